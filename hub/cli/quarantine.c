#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_bytes.h"
#include "base/utf8.h"
#include "cli/arguments.h"
#include "cli/entry_edit.h"
#include "cli/entry_print.h"
#include "cli/entry_range.h"
#include "cli/entry_walk.h"
#include "cli/quarantine_test.h"
#include "cli/terminal.h"
#include "core/properties.h"
#include "store/store_view.h"

int quarantine_command(int argc, char **argv);

static const struct option_spec quarantine_options[] = {
    {"config", OPTION_PATH, true, NULL, 0, 0, NULL, "The hub's configuration file; -c is short."},
    {"rule", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only messages on which this rule failed."},
    ENTRY_EDIT_OPTIONS,
    {"limit", OPTION_INT, false, "100", 0, INT64_MAX, NULL, "List at most so many; 0: all."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object an entry or result."},
    {NULL},
};

static const struct usage usage = {
    .name = "quarantine",
    .synopsis = "list|show|edit|test|replay|drop [ID|FIRST-LAST|all] -c hub.yaml [OPTION...]",
    .about =
        "Rejected input: messages that the hub acknowledged and could not use, or on which a rule\n"
        "failed, with the reason. list and show read the store, edit changes the topic or payload\n"
        "of the copy that is kept, test says what it would give by the configuration as it is now\n"
        "and changes nothing, replay lets it in again: through the rule that failed, or through\n"
        "all if it could not be read; what fails again is rejected again. drop forgets. The\n"
        "quarantine is bounded (quarantine_limit); the oldest make room.\n",
    .options = quarantine_options,
    .more = "Examples:\n"
            "  pipit quarantine list -c hub.yaml\n"
            "  pipit quarantine show 17 -c hub.yaml\n"
            "  pipit quarantine edit 17 --payload '{\"celsius\": 21}' -c hub.yaml\n"
            "  pipit quarantine test 17 -c hub.yaml\n"
            "  pipit quarantine replay all --rule overheat -c hub.yaml\n"
            "  pipit quarantine drop all -c hub.yaml\n\n"
            "Exit codes: 0 done, 1 no such entry or the hub refused, 2 usage, 3 configuration,\n"
            "4 store, 5 the hub does not answer.\n",
};

static const char *const headings[] = {">ID", "AGE", "RULE", "TOPIC", ">SIZE", "REASON", NULL};

struct quarantine_run {
    const struct options *options;
    struct config *config;
    struct store_view *view;
    struct view_filter filter;
    struct entry_walk walk;
};

static json_t *properties_json(struct bytes packed)
{
    struct bytes name, value;
    json_t *json = json_object();
    while (properties_next(&packed, &name, &value)) {
        json_object_set_new(json, (const char *)name.ptr,
                            json_stringn((const char *)value.ptr, value.len));
    }
    return json;
}

static void print_json(const struct view_quarantined *entry)
{
    json_t *json = json_pack(
        "{s:I, s:I, s:s, s:s?, s:I, s:s, s:s, s:i, s:b, s:I, s:I}", "id", (json_int_t)entry->id,
        "at", (json_int_t)entry->at_ms, "reason", entry->reason, "rule", entry->rule,
        "payload_bytes", (json_int_t)entry->payload_bytes, "event", entry->event, "content_type",
        entry->content_type, "qos", entry->qos, "retain", entry->is_retained, "received",
        (json_int_t)entry->received_ms, "edited", (json_int_t)entry->edited_ms);
    if (json != NULL && json_set_bytes(json, "topic", entry->topic) &&
        json_object_set_new(json, "properties", properties_json(entry->properties)) == 0 &&
        json_set_bytes(json, "payload", entry->payload)) {
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(json);
}

static void print_properties(struct bytes packed)
{
    struct bytes name, value;
    while (properties_next(&packed, &name, &value)) {
        char text[200];
        snprintf(text, sizeof(text), "%s: %s", (const char *)name.ptr, (const char *)value.ptr);
        entry_line("property", text);
    }
}

static void print_full(const struct view_quarantined *entry)
{
    char text[64], time[ENTRY_TIME_MAX];
    snprintf(text, sizeof(text), "%" PRIu64, entry->id);
    entry_line("id", text);
    entry_line("at", entry_time(entry->at_ms, time));
    entry_bytes("topic", entry->topic);
    entry_line("reason", entry->reason);
    entry_line("rule", entry->rule == NULL ? "none: it could not be used at all" : entry->rule);
    if (entry->received_ms != 0) {
        entry_line("received", entry_time(entry->received_ms, time));
    }
    if (entry->edited_ms != 0) {
        entry_line("edited", entry_time(entry->edited_ms, time));
    }
    snprintf(text, sizeof(text), "%d%s", entry->qos, entry->is_retained ? ", retained" : "");
    entry_line("qos", text);
    entry_line("content type", entry->content_type);
    print_properties(entry->properties);
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
    table_cell(table, COLOUR_NONE, "%s", entry->rule == NULL ? "" : entry->rule);
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

struct candidates {
    const char *rule; // NULL: any.
    struct entry_ranges *ranges;
};

static bool on_candidate(void *context, const struct view_quarantined *entry)
{
    struct candidates *list = context;
    bool is_taken =
        list->rule == NULL || (entry->rule != NULL && strcmp(entry->rule, list->rule) == 0);
    return entry_ranges_add(list->ranges, entry->id, is_taken);
}

// What there is now: entries that come while it is done are left alone.
static enum err find_ranges(struct quarantine_run *run, struct entry_ranges *ranges,
                            struct error *e)
{
    struct candidates list = {run->filter.rule, ranges};
    const struct view_filter any = {.first = run->filter.first, .last = run->filter.last};
    enum err rc = store_view_quarantine(run->view, &any, on_candidate, &list, e);
    store_view_close(run->view); // Nothing may hold the write-ahead log while it is changed.
    run->view = NULL;
    return rc == ERR_OK && ranges->is_exhausted ? error_set(e, ERR_NO_MEMORY, "out of memory") : rc;
}

// One range, in as many steps as it takes.
static enum err operate_range(struct quarantine_run *run, enum operation_kind kind,
                              const struct entry_range *range, struct operated *total,
                              struct error *e)
{
    struct operation operation = {.kind = kind, .first = range->first, .last = range->last};
    enum err rc = ERR_OK;
    while (rc == ERR_OK && operation.first <= operation.last) {
        struct operated operated = {0};
        rc = operate(run->config, &operation, &operated, e);
        if (rc != ERR_OK) {
            break;
        }
        total->count += operated.count;
        total->skipped += operated.skipped;
        if (operated.skipped > 0) {
            memcpy(total->skip, operated.skip, sizeof(total->skip));
        }
        bool is_over = kind == OPERATION_QUARANTINE_DROP || operated.upto >= operation.last;
        operation.first = is_over ? operation.last + 1 : operated.upto + 1;
        progress_show("%" PRIu64 " entries", total->count);
    }
    return rc;
}

static void print_operated(const struct quarantine_run *run, const char *what,
                           const struct operated *total)
{
    if (!run->walk.is_json) {
        printf("%" PRIu64 " %s\n", total->count, what);
    } else {
        json_t *json = json_pack("{s:I, s:I}", what, (json_int_t)total->count, "skipped",
                                 (json_int_t)total->skipped);
        if (strcmp(what, "dropped") == 0) {
            json_object_del(json, "skipped");
        }
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
    }
    if (total->skipped > 0) {
        fprintf(stderr, "pipit quarantine: %" PRIu64 " left as they were; %s%s\n", total->skipped,
                total->skipped > 1 ? "the last: " : "", total->skip);
    }
}

static int quarantine_operate(struct quarantine_run *run, enum operation_kind kind)
{
    struct entry_ranges list = {0};
    struct operated total = {0};
    struct error e = {0};
    enum err rc = find_ranges(run, &list, &e);
    for (size_t i = 0; rc == ERR_OK && i < list.count; i++) {
        rc = operate_range(run, kind, &list.ranges[i], &total, &e);
    }
    progress_end();
    entry_ranges_deinit(&list);
    if (rc != ERR_OK) {
        return entry_fail(&run->walk, &e);
    }
    if (total.count == 0 && total.skipped == 0) {
        return entry_none(&run->walk);
    }
    print_operated(run, kind == OPERATION_QUARANTINE_DROP ? "dropped" : "replayed", &total);
    return total.skipped == 0 ? EXIT_OK : EXIT_FAILED;
}

static int quarantine_edit(struct quarantine_run *run)
{
    const struct operation operation = {
        .kind = OPERATION_QUARANTINE_EDIT, .first = run->filter.first, .last = run->filter.last};
    store_view_close(run->view); // Nothing may hold the write-ahead log while it is changed.
    run->view = NULL;
    return entry_edit(&usage, &run->walk, run->options, run->config, &operation);
}

static int quarantine_do(struct quarantine_run *run, const char *verb)
{
    if (strcmp(verb, "list") == 0) {
        return entry_list(&run->walk, walk_all, run);
    }
    if (strcmp(verb, "show") == 0) {
        return entry_show(&run->walk, walk_all, run);
    }
    if (strcmp(verb, "edit") == 0) {
        return quarantine_edit(run);
    }
    if (strcmp(verb, "test") == 0) {
        run->walk.is_json |= !terminal_is(stdout);
        return quarantine_test(&run->walk, run->view, &run->filter, run->config);
    }
    return quarantine_operate(run, strcmp(verb, "drop") == 0 ? OPERATION_QUARANTINE_DROP
                                                             : OPERATION_QUARANTINE_REPLAY);
}

static int quarantine_open(struct quarantine_run *run, const char *verb)
{
    struct error e = {0};
    int code = EXIT_OK;
    run->config = config_for_command("quarantine", option_text(run->options, "config"), &code);
    if (run->config == NULL) {
        return code;
    }
    const char *path = option_text(run->config->hub, "store");
    code = store_view_open(&run->view, path, &e) == ERR_OK ? quarantine_do(run, verb)
                                                           : entry_fail(&run->walk, &e);
    store_view_close(run->view);
    config_destroy(run->config);
    return code;
}

int quarantine_command(int argc, char **argv)
{
    static const char *const verbs[] = {"list", "show", "edit", "test", "replay", "drop", NULL};
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    struct entry_range range = {0, UINT64_MAX};
    code = entry_words(&usage, verbs, &arguments, &range);
    if (code == -1) {
        struct quarantine_run run = {
            .options = arguments.options,
            .filter = {.first = range.first,
                       .last = range.last,
                       .rule = option_text(arguments.options, "rule")},
            .walk = {.command = "quarantine",
                     .none = "no such entry",
                     .empty = "the quarantine is empty",
                     .headings = headings,
                     .is_json = option_bool(arguments.options, "json"),
                     .limit = (uint64_t)option_int(arguments.options, "limit")},
        };
        code = quarantine_open(&run, arguments.words[0]);
    }
    arguments_deinit(&arguments);
    return code;
}
