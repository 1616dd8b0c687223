#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "admin/control_client.h"
#include "cli/arguments.h"
#include "cli/terminal.h"
#include "config/config.h"
#include "intake/source.h"

int apply_command(int argc, char **argv);

static const struct option_spec apply_options[] = {
    {"config", OPTION_PATH, true, NULL, 0, 0, NULL,
     "The configuration file of the running hub; -c is short."},
    {"dry-run", OPTION_BOOL, false, "false", 0, 0, NULL, "Say what would change; change nothing."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "The hub's answer as one JSON object."},
    {NULL},
};

static const struct usage usage = {
    .name = "apply",
    .synopsis = "-c hub.yaml [OPTION...]",
    .about =
        "Checks the configuration file, and has the running hub use it from its next batch on.\n"
        "It is used as a whole or not at all. What rules keep (windows, memory, tables) stays\n"
        "where they have not changed; what is given up is said. SIGHUP does the same and logs\n"
        "it.\n",
    .options = apply_options,
    .more = "Examples:\n"
            "  pipit apply -c hub.yaml --dry-run\n"
            "  pipit apply -c hub.yaml\n\n"
            "Exit codes: 0 applied, 1 the hub refused, 2 usage, 3 faults in the configuration,\n"
            "5 no hub runs.\n",
};

static void report(void *context, const struct error *fault)
{
    unsigned *count = context;
    (*count)++;
    fprintf(stderr, "%s%s%s\n", terminal_colour(stderr, COLOUR_RED), fault->text,
            terminal_colour(stderr, COLOUR_NONE));
}

static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value == NULL ? "" : value;
}

static enum colour colour_of(const char *what)
{
    return strcmp(what, "added") == 0     ? COLOUR_GREEN
           : strcmp(what, "removed") == 0 ? COLOUR_RED
                                          : COLOUR_YELLOW;
}

static void print(const json_t *reply, bool is_dry)
{
    const json_t *changes = json_object_get(reply, "changes"),
                 *notes = json_object_get(reply, "notes");
    size_t i;
    json_t *item;
    json_array_foreach(changes, i, item)
    {
        const char *what = text(item, "change");
        printf("%s%-8s%s %s: %s\n", terminal_colour(stdout, colour_of(what)), what,
               terminal_colour(stdout, COLOUR_NONE), text(item, "section"), text(item, "name"));
    }
    json_array_foreach(notes, i, item)
    {
        printf("%snote%s     %s\n", terminal_colour(stdout, COLOUR_YELLOW),
               terminal_colour(stdout, COLOUR_NONE), json_string_value(item));
    }
    json_int_t left_out = json_integer_value(json_object_get(reply, "notes_left_out"));
    if (left_out > 0) {
        printf("note     and %lld more\n", (long long)left_out);
    }
    if (json_array_size(changes) == 0) {
        printf("nothing in the file has changed\n");
    }
    printf("%s\n", is_dry ? "this is what would change; nothing has" : "applied");
}

static int ask(const struct config *config, bool is_dry, bool is_json)
{
    struct error e = {0};
    json_t *reply = NULL;
    json_t *request = json_pack("{s:s, s:b}", "op", "reload", "dry_run", is_dry);
    enum err rc = request == NULL
                      ? error_set(&e, ERR_NO_MEMORY, "out of memory")
                      : control_ask(option_text(config->hub, "store"), request, &reply, &e);
    if (rc != ERR_OK) {
        fprintf(stderr, "pipit apply: %s\n", e.text);
    } else if (is_json) {
        json_dumpf(reply, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        print(reply, is_dry);
    }
    json_decref(request);
    json_decref(reply);
    return rc == ERR_NOT_FOUND ? EXIT_UNAVAILABLE : exit_code_of(rc);
}

static int apply(const struct options *options)
{
    struct config *config = NULL;
    struct error e = {0};
    unsigned faults = 0;
    enum err rc =
        config_load(&config, option_text(options, "config"), source_options, report, &faults, &e);
    rc = rc == ERR_OK ? config_check(config, source_check, report, &faults, &e) : rc;
    if (rc != ERR_OK && faults == 0) { // Out of memory, say.
        report(&faults, &e);
    }
    int code = rc == ERR_OK
                   ? ask(config, option_bool(options, "dry-run"), option_bool(options, "json"))
                   : EXIT_CONFIGURATION;
    config_destroy(config);
    return code;
}

int apply_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    code = arguments.word_count > 0
               ? usage_fail(&usage, "'%s' is not expected here", arguments.words[0])
               : apply(arguments.options);
    arguments_deinit(&arguments);
    return code;
}
