// workflow.c - `pipit workflow`: one file a verb beside this one.
#include <stdio.h>
#include <string.h>

#include "base/option.h"
#include "cli/command.h"
#include "cli/terminal.h"

int workflow_command(int argc, char **argv);
int workflow_list_command(int argc, char **argv);
int workflow_show_command(int argc, char **argv);
int workflow_cancel_command(int argc, char **argv);
int workflow_retry_command(int argc, char **argv);
int workflow_replay_command(int argc, char **argv);
int workflow_stats_command(int argc, char **argv);
int workflow_draw_command(int argc, char **argv);

static const struct command verbs[] = {
    {"list", "Instances: where each one is, since when and until when.", workflow_list_command},
    {"show", "One instance: its variables, what it waits for, its history step by step.",
     workflow_show_command},
    {"cancel", "End instances: what they have done is undone first.", workflow_cancel_command},
    {"retry", "Parked instances try again what they failed at.", workflow_retry_command},
    {"replay", "Start instances that have ended anew, as they were started.",
     workflow_replay_command},
    {"stats", "Each step: arrivals, departures, how many are in it and for how long.",
     workflow_stats_command},
    {"draw", "The definition as a graph, for Graphviz or Mermaid.", workflow_draw_command},
    {NULL, NULL, NULL},
};

static int help(void)
{
    printf(
        "Usage: pipit workflow VERB ... -c hub.yaml [OPTION...]\n\n"
        "Workflows: processes in several steps that outlive restarts. An instance is one run of\n"
        "one, named by its number or by <workflow>/<key>.\n\n");
    for (const struct command *verb = verbs; verb->name != NULL; verb++) {
        printf("  %-8s %s\n", verb->name, verb->summary);
    }
    printf(
        "\n`pipit workflow VERB --help` explains a verb. What happens in workflows is published\n"
        "as it happens: mosquitto_sub -v -t 'pipit/v1/$hub/+/workflow/#'\n");
    return EXIT_OK;
}

static int unknown(const char *word)
{
    const char *names[sizeof(verbs) / sizeof(verbs[0])] = {NULL};
    for (size_t i = 0; verbs[i].name != NULL; i++) {
        names[i] = verbs[i].name;
    }
    const char *near = nearest_name(word, names);
    fputs("pipit workflow: unknown '", stderr);
    terminal_put(stderr, word);
    fprintf(stderr, "'%s%s%s\nTry: pipit workflow --help\n", near == NULL ? "" : "; did you mean '",
            near == NULL ? "" : near, near == NULL ? "" : "'?");
    return EXIT_USAGE;
}

int workflow_command(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "pipit workflow: say what to do, such as list\n"
                        "Try: pipit workflow --help\n");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return help();
    }
    for (const struct command *verb = verbs; verb->name != NULL; verb++) {
        if (strcmp(verb->name, argv[1]) == 0) {
            return verb->run(argc - 1, argv + 1);
        }
    }
    return unknown(argv[1]);
}
