#include <jansson.h>
#include <stdio.h>

#include "cli/arguments.h"
#include "cli/reference.h"
#include "cli/terminal.h"
#include "config/config.h"
#include "intake/source.h"

int check_command(int argc, char **argv);

static const struct option_spec check_options[] = {
    {"config", OPTION_PATH, false, "hub.yaml", 0, 0, NULL,
     "The configuration file; -c is short for it."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object with every fault."},
    {"reference", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Print what every option of a configuration does, as Markdown, and check nothing."},
    {NULL},
};

static const struct usage usage = {
    .name = "check",
    .synopsis = "[-c hub.yaml] [--json | --reference]",
    .about =
        "Reads a configuration and compiles its rules and workflows, as the hub would, without a\n"
        "broker and without touching the store. Every fault is one line: file:line:column: what is "
        "wrong.\n"
        "A warning is one, too, and no fault: a rule that nothing can reach.\n",
    .options = check_options,
    .more = "Exit codes: 0 fine, 2 usage, 3 there are faults.\n",
};

struct faults {
    bool is_json;
    uint32_t count;
    json_t *list, *warnings;
};

static void report(void *context, const struct error *fault)
{
    struct faults *faults = context;
    faults->count++;
    if (faults->is_json) {
        json_array_append_new(faults->list, json_string(fault->text));
    } else {
        fprintf(stderr, "%s%s%s\n", terminal_colour(stderr, COLOUR_RED), fault->text,
                terminal_colour(stderr, COLOUR_NONE));
    }
}

static void warn(void *context, const struct error *warning)
{
    struct faults *faults = context;
    if (faults->is_json) {
        json_array_append_new(faults->warnings, json_string(warning->text));
    } else {
        fprintf(stderr, "%s%s%s\n", terminal_colour(stderr, COLOUR_YELLOW), warning->text,
                terminal_colour(stderr, COLOUR_NONE));
    }
}

// As written: the lists of `else` and `late` are rules of their own only inside.
static uint32_t count_rules(const struct core_spec *core)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < core->rule_count; i++) {
        count += core->rules[i].branch == BRANCH_MAIN;
    }
    return count;
}

static void tell_fine(const struct config *config)
{
    const struct core_spec *core = &config->core;
    uint32_t rules = count_rules(core);
    printf("%s%s: fine%s: %u source%s, %u target%s, %u rule%s",
           terminal_colour(stdout, COLOUR_GREEN), config->path,
           terminal_colour(stdout, COLOUR_NONE), config->source_count,
           config->source_count == 1 ? "" : "s", config->target_count,
           config->target_count == 1 ? "" : "s", rules, rules == 1 ? "" : "s");
    if (core->workflow_count > 0) {
        printf(", %u workflow%s", core->workflow_count, core->workflow_count == 1 ? "" : "s");
    }
    if (core->identity_count > 0) {
        printf(", %u device identit%s", core->identity_count,
               core->identity_count == 1 ? "y" : "ies");
    }
    printf("\n");
}

static int check(const char *path, bool is_json)
{
    struct faults faults = {.is_json = is_json, .list = json_array(), .warnings = json_array()};
    struct config *config = NULL;
    struct error e = {0};
    enum err rc = config_load(&config, path, source_options, report, &faults, &e);
    rc = rc == ERR_OK ? config_check(config, source_check, report, &faults, &e) : rc;
    rc = rc == ERR_OK ? config_warn(config, warn, &faults, &e) : rc;
    if (rc != ERR_OK && faults.count == 0) { // Out of memory, say.
        report(&faults, &e);
    }
    if (is_json) {
        json_t *result = json_pack("{s:b, s:O, s:O}", "ok", rc == ERR_OK, "faults", faults.list,
                                   "warnings", faults.warnings);
        json_dumpf(result, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(result);
    } else if (rc == ERR_OK) {
        tell_fine(config);
    }
    json_decref(faults.list);
    json_decref(faults.warnings);
    config_destroy(config);
    return rc == ERR_OK ? EXIT_OK : EXIT_CONFIGURATION;
}

int check_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    if (arguments.word_count > 0) {
        code = usage_fail(&usage, "'%s' is not expected here", arguments.words[0]);
    } else if (option_bool(arguments.options, "reference")) {
        reference_print();
        code = EXIT_OK;
    } else {
        code =
            check(option_text(arguments.options, "config"), option_bool(arguments.options, "json"));
    }
    arguments_deinit(&arguments);
    return code;
}
