#include <jansson.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "cli/arguments.h"
#include "cli/entry_range.h"
#include "cli/explain_message.h"
#include "cli/explain_print.h"
#include "config/config.h"
#include "store/store_view.h"
#include "trial/explain.h"

int explain_command(int argc, char **argv);

static const struct option_spec explain_command_options[] = {
    {"config", OPTION_PATH, false, "hub.yaml", 0, 0, NULL,
     "The configuration file; -c is short for it."},
    {"topic", OPTION_TEXT, false, NULL, 0, 0, NULL, "The message's topic."},
    {"payload", OPTION_TEXT, false, NULL, 0, 0, NULL, "Its payload as text."},
    {"payload-file", OPTION_PATH, false, NULL, 0, 0, NULL, "Its payload is in this file."},
    {"content-type", OPTION_TEXT, false, NULL, 0, 0, NULL, "Its MQTT 5 content type."},
    {"properties", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Its MQTT 5 user properties, as a JSON object of texts."},
    {"retain", OPTION_BOOL, false, "false", 0, 0, NULL, "It is a retained message."},
    {"id", OPTION_TEXT, false, NULL, 0, 0, NULL, "Or: the event of this id in the hub's history."},
    {"quarantine", OPTION_INT, false, NULL, 1, INT64_MAX, NULL,
     "Or: the entry of this id in the hub's quarantine."},
    {"store", OPTION_PATH, false, NULL, 0, 0, NULL,
     "The store they are in. Without it the configuration's."},
    {"rule", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only about this rule."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object."},
    {NULL},
};

static const struct usage usage = {
    .name = "explain",
    .synopsis =
        "[-c hub.yaml] (--topic T [--payload P] | --id EVENT | --quarantine ID) [OPTION...]",
    .about =
        "Says for every rule why it does or does not fire on a message: where its topic leaves\n"
        "the filter, how the payload is read, which term of the condition is false with which\n"
        "values, which window it enters, and what is delivered where; then which workflows it\n"
        "starts and which of their steps await it, with its key. Nothing is sent, and the hub's\n"
        "store is only read.\n",
    .options = explain_command_options,
    .more =
        "Examples:\n"
        "  pipit explain --topic legacy/a/telemetry --payload '{\"celsius\": 31}'\n"
        "  pipit explain --rule overheat --id plant-7/press-1/3/1842\n"
        "  pipit explain --quarantine 17\n\n"
        "Exit codes: 0 explained, 1 no such event or rule, 2 usage, 3 configuration, 4 store.\n",
};

static int fail(const struct error *e)
{
    fprintf(stderr, "pipit explain: %s\n", e->text);
    return exit_code_of(e->code);
}

static int tell(const struct config *config, const struct options *options,
                const struct explained_message *about, struct store_view *store_view)
{
    struct error e = {0};
    json_t *explanation = NULL;
    const struct explain_options explained = {.config = config,
                                              .message = &about->message,
                                              .rule = option_text(options, "rule"),
                                              .now_ms = about->message.received_ms,
                                              .births = store_view};
    if (explain(&explained, &explanation, &e) != ERR_OK) {
        return fail(&e);
    }
    json_t *read = json_object_get(explanation, "read");
    if (option_text(options, "topic") != NULL && explain_is_seen(store_view, read)) {
        json_object_set_new(read, "duplicate",
                            json_string("the hub has seen this event: it would "
                                        "be counted and not reach any rule"));
    }
    if (option_bool(options, "json")) {
        if (about->was_rejected != NULL) {
            json_object_set_new(explanation, "was_rejected", json_string(about->was_rejected));
        }
        json_dumpf(explanation, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
        putchar('\n');
    } else {
        explain_print(explanation, about->was_rejected);
    }
    json_decref(explanation);
    return EXIT_OK;
}

static int explain_with(const struct config *config, const struct options *options)
{
    struct error e = {0};
    struct explained_message about;
    struct arena *arena = arena_create();
    const char *store = option_text(options, "store");
    if (arena == NULL) {
        error_set(&e, ERR_NO_MEMORY, "out of memory");
        return fail(&e);
    }
    store = store == NULL ? option_text(config->hub, "store") : store;
    struct store_view *store_view = NULL;
    enum err rc = store_view_open(&store_view, store, &e);
    int code = EXIT_OK;
    if (rc != ERR_OK && option_text(options, "topic") == NULL) {
        code = fail(&e);
        code = rc == ERR_NOT_FOUND ? EXIT_STORE : code; // No store yet.
    } else {
        rc = explain_message_read(options, store_view, clock_wall_ms(), arena, &about, &e);
        code = rc == ERR_OK ? tell(config, options, &about, store_view) : fail(&e);
    }
    store_view_close(store_view);
    arena_destroy(arena);
    return code;
}

static int check_words(const struct arguments *arguments)
{
    const struct options *options = arguments->options;
    int sources = options_is_set(options, "topic") + options_is_set(options, "id") +
                  options_is_set(options, "quarantine");
    if (arguments->word_count > 0) {
        return usage_fail(&usage, "'%s' is not expected here", arguments->words[0]);
    }
    if (sources != 1) {
        return usage_fail(&usage, "one of --topic, --id and --quarantine says which message");
    }
    if (options_is_set(options, "payload") && options_is_set(options, "payload-file")) {
        return usage_fail(&usage, "--payload and --payload-file; only one can be");
    }
    return -1;
}

int explain_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    code = check_words(&arguments);
    if (code == -1) {
        struct config *config =
            config_for_command("explain", option_text(arguments.options, "config"), &code);
        code = config == NULL ? code : explain_with(config, arguments.options);
        config_destroy(config);
    }
    arguments_deinit(&arguments);
    return code;
}
