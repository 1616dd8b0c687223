#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_bytes.h"
#include "base/utf8.h"
#include "cli/arguments.h"
#include "cli/entry_print.h"
#include "cli/entry_range.h"
#include "cli/entry_walk.h"
#include "cli/terminal.h"
#include "store/store_view.h"

int quarantine_command(int argc, char **argv);

static const struct option_spec quarantine_options[] = {
    {"config", OPTION_PATH, true, NULL, 0, 0, NULL, "The hub's configuration file; -c is short."},
    {"limit", OPTION_INT, false, "100", 0, INT64_MAX, NULL, "List at most so many; 0: all."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object an entry or result."},
    {NULL},
};

static const struct usage usage = {
    .name = "quarantine",
    .synopsis = "list|show|drop [ID|FIRST-LAST|all] -c hub.yaml [OPTION...]",
    .about =
        "Rejected input: messages that the hub acknowledged and could not use, with the reason\n"
        "and the beginning of their payload. The quarantine is bounded (quarantine_limit); the\n"
        "oldest make room.\n",
    .options = quarantine_options,
    .more = "Examples:\n"
            "  pipit quarantine list -c hub.yaml\n"
            "  pipit quarantine show 17 -c hub.yaml\n"
            "  pipit quarantine drop all -c hub.yaml\n\n"
            "Exit codes: 0 done, 1 no such entry or the hub refused, 2 usage, 3 configuration,\n"
            "4 store, 5 the hub does not answer.\n",
};

static const char *const headings[] = {">ID", "AGE", "TOPIC", ">SIZE", "REASON", NULL};

struct quarantine_run {
    struct store_view *view;
    struct view_filter filter;
    struct entry_walk walk;
};

static void print_json(const struct view_quarantined *entry)
{
    json_t *json = json_pack("{s:I, s:I, s:s, s:I}", "id", (json_int_t)entry->id, "at",
                             (json_int_t)entry->at_ms, "reason", entry->reason, "payload_bytes",
                             (json_int_t)entry->payload_bytes);
    if (json != NULL && json_set_bytes(json, "topic", entry->topic) &&
        json_set_bytes(json, "payload", entry->payload)) {
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(json);
}

static void print_full(const struct view_quarantined *entry)
{
    char text[64], time[ENTRY_TIME_MAX];
    snprintf(text, sizeof(text), "%" PRIu64, entry->id);
    entry_line("id", text);
    entry_line("at", entry_time(entry->at_ms, time));
    entry_bytes("topic", entry->topic);
    entry_line("reason", entry->reason);
    snprintf(text, sizeof(text), "%" PRIu64 " bytes%s", entry->payload_bytes,
             entry->payload_bytes > entry->payload.len ? ", cut short here" : "");
    entry_line("size", text);
    entry_bytes("payload", entry->payload);
    putchar('\n');
}

static void table_row(struct table *table, const struct view_quarantined *entry)
{
    char age[AMOUNT_TEXT_MAX], size[AMOUNT_TEXT_MAX];
    bool is_text = entry->topic.len > 0 && utf8_is_valid(entry->topic);
    table_cell(table, COLOUR_BOLD, "%" PRIu64, entry->id);
    table_cell(table, COLOUR_NONE, "%s", amount_duration(clock_wall_ms() - entry->at_ms, age));
    table_cell(table, COLOUR_NONE, "%.*s", is_text ? (int)entry->topic.len : 0,
               is_text ? (const char *)entry->topic.ptr : "");
    table_cell(table, COLOUR_NONE, "%s", amount_bytes(entry->payload_bytes, size));
    table_cell(table, COLOUR_RED, "%s", entry->reason);
}

static bool on_entry(void *context, const struct view_quarantined *entry)
{
    struct quarantine_run *run = context;
    switch (entry_next(&run->walk)) {
    case ENTRY_LEFT_OUT:
        break;
    case ENTRY_JSON:
        print_json(entry);
        break;
    case ENTRY_FULL:
        print_full(entry);
        break;
    case ENTRY_ROW:
        table_row(run->walk.table, entry);
        break;
    }
    return true;
}

static enum err walk_all(void *context, struct error *e)
{
    struct quarantine_run *run = context;
    return store_view_quarantine(run->view, &run->filter, on_entry, run, e);
}

static int quarantine_drop(struct quarantine_run *run, const struct config *config)
{
    struct operation operation = {
        .kind = OPERATION_QUARANTINE_DROP, .first = run->filter.first, .last = run->filter.last};
    struct error e = {0};
    uint64_t operated = 0;
    if (operate(config, &operation, &operated, &e) != ERR_OK) {
        return entry_fail(&run->walk, &e);
    }
    if (operated == 0) {
        return entry_none(&run->walk);
    }
    if (run->walk.is_json) {
        entry_count_json("dropped", operated);
    } else {
        printf("%" PRIu64 " dropped\n", operated);
    }
    return EXIT_OK;
}

static int quarantine_do(struct quarantine_run *run, const char *config_path, const char *verb)
{
    struct error e = {0};
    int code = EXIT_OK;
    struct config *config = config_for_command("quarantine", config_path, &code);
    if (config == NULL) {
        return code;
    }
    if (strcmp(verb, "drop") == 0) {
        code = quarantine_drop(run, config);
    } else if (store_view_open(&run->view, option_text(config->hub, "store"), &e) != ERR_OK) {
        code = entry_fail(&run->walk, &e);
    } else {
        code = strcmp(verb, "show") == 0 ? entry_show(&run->walk, walk_all, run)
                                         : entry_list(&run->walk, walk_all, run);
    }
    store_view_close(run->view);
    config_destroy(config);
    return code;
}

int quarantine_command(int argc, char **argv)
{
    static const char *const verbs[] = {"list", "show", "drop", NULL};
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    struct entry_range range = {0, UINT64_MAX};
    code = entry_words(&usage, verbs, &arguments, &range);
    if (code == -1) {
        struct quarantine_run run = {
            .filter = {.first = range.first, .last = range.last},
            .walk = {.command = "quarantine",
                     .none = "no such entry",
                     .empty = "the quarantine is empty",
                     .headings = headings,
                     .is_json = option_bool(arguments.options, "json"),
                     .limit = (uint64_t)option_int(arguments.options, "limit")},
        };
        code = quarantine_do(&run, option_text(arguments.options, "config"), arguments.words[0]);
    }
    arguments_deinit(&arguments);
    return code;
}
