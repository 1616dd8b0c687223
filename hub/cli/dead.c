#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_bytes.h"
#include "base/utf8.h"
#include "cli/arguments.h"
#include "cli/delivery_print.h"
#include "cli/entry_edit.h"
#include "cli/entry_print.h"
#include "cli/entry_range.h"
#include "cli/entry_walk.h"
#include "cli/terminal.h"
#include "store/store_view.h"

int dead_command(int argc, char **argv);

#define KEY_SHOWN_MAX 40

static const struct option_spec dead_options[] = {
    {"config", OPTION_PATH, true, NULL, 0, 0, NULL, "The hub's configuration file; -c is short."},
    {"target", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only dead letters of this target."},
    {"rule", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only dead letters of this rule."},
    ENTRY_EDIT_OPTIONS,
    {"limit", OPTION_INT, false, "100", 0, INT64_MAX, NULL, "List at most so many; 0: all."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object a dead letter or result."},
    {NULL},
};

static const struct usage usage = {
    .name = "dead",
    .synopsis = "list|show|edit|test|replay|drop [ID|FIRST-LAST|all] -c hub.yaml [OPTION...]",
    .about =
        "Dead letters: deliveries that a target refused, or that failed as often as the\n"
        "configuration allows. list and show read the store, edit changes the topic or payload of\n"
        "one, test says what would be sent where and sends nothing, replay puts them back into\n"
        "their target's queue with the same idempotency key, drop forgets them. A running hub\n"
        "does it at once; without one the store is changed directly.\n",
    .options = dead_options,
    .more = "Examples:\n"
            "  pipit dead list -c hub.yaml\n"
            "  pipit dead show 17 -c hub.yaml\n"
            "  pipit dead edit 17 --topic alerts/d1 -c hub.yaml\n"
            "  pipit dead test 17 -c hub.yaml\n"
            "  pipit dead replay all --target bus -c hub.yaml\n"
            "  pipit dead drop 17-40 -c hub.yaml\n\n"
            "Exit codes: 0 done, 1 no such dead letter or the hub refused, 2 usage,\n"
            "3 configuration, 4 store, 5 the hub does not answer.\n",
};

static const char *const headings[] = {">ID",       "TARGET", "RULE",   "KEY",
                                       ">ATTEMPTS", "AGE",    "REASON", NULL};

struct dead_run {
    const struct options *options;
    struct config *config;
    struct store_view *view;
    struct view_filter filter;
    struct entry_walk walk;
    uint64_t problems; // Of test.
};

static void print_json(const struct view_dead *dead)
{
    json_t *json = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:I, s:I, s:I, s:s}", "id", (json_int_t)dead->id,
        "target", dead->target, "rule", dead->rule, "idempotency_key", dead->idempotency_key,
        "topic", dead->topic, "content_type", dead->content_type, "qos", dead->qos, "retain",
        dead->is_retained, "attempts", (json_int_t)dead->attempts, "created",
        (json_int_t)dead->created_ms, "died", (json_int_t)dead->died_ms, "reason", dead->reason);
    if (json != NULL && json_set_bytes(json, "key", dead->key) &&
        json_object_set_new(json, "edited", json_integer((json_int_t)dead->edited_ms)) == 0 &&
        json_set_bytes(json, "payload", dead->payload)) {
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(json);
}

static void print_full(const struct view_dead *dead)
{
    char text[64];
    snprintf(text, sizeof(text), "%" PRIu64, dead->id);
    entry_line("id", text);
    entry_line("target", dead->target);
    entry_line("rule", dead->rule);
    entry_line("reason", dead->reason);
    snprintf(text, sizeof(text), "%" PRIu32, dead->attempts);
    entry_line("attempts", text);
    entry_time(dead->created_ms, text);
    entry_line("made", text);
    entry_time(dead->died_ms, text);
    entry_line("given up", text);
    entry_line("idempotency key", dead->idempotency_key);
    entry_bytes("key", dead->key);
    entry_line("topic", dead->topic);
    snprintf(text, sizeof(text), "%d%s", dead->qos, dead->is_retained ? ", retained" : "");
    entry_line("qos", text);
    entry_line("content type", dead->content_type);
    if (dead->edited_ms != 0) {
        entry_line("edited", entry_time(dead->edited_ms, text));
    }
    entry_bytes("payload", dead->payload);
    putchar('\n');
}

static void table_row(struct table *table, const struct view_dead *dead)
{
    char age[AMOUNT_TEXT_MAX];
    bool is_text = dead->key.len > 0 && utf8_is_valid(dead->key);
    int key_len =
        is_text ? (int)(dead->key.len < KEY_SHOWN_MAX ? dead->key.len : KEY_SHOWN_MAX) : 0;
    table_cell(table, COLOUR_BOLD, "%" PRIu64, dead->id);
    table_cell(table, COLOUR_NONE, "%s", dead->target);
    table_cell(table, COLOUR_NONE, "%s", dead->rule);
    table_cell(table, COLOUR_NONE, "%.*s", key_len, is_text ? (const char *)dead->key.ptr : "");
    table_cell(table, COLOUR_NONE, "%" PRIu32, dead->attempts);
    table_cell(table, COLOUR_NONE, "%s", amount_duration(clock_wall_ms() - dead->died_ms, age));
    table_cell(table, COLOUR_RED, "%s", dead->reason);
}

static bool on_dead(void *context, const struct view_dead *dead)
{
    struct dead_run *run = context;
    switch (entry_next(&run->walk)) {
    case ENTRY_LEFT_OUT:
        break;
    case ENTRY_JSON:
        print_json(dead);
        break;
    case ENTRY_FULL:
        print_full(dead);
        break;
    case ENTRY_ROW:
        table_row(run->walk.table, dead);
        break;
    }
    return true;
}

static enum err walk_all(void *context, struct error *e)
{
    struct dead_run *run = context;
    return store_view_dead(run->view, &run->filter, on_dead, run, e);
}

struct candidates {
    const struct view_filter *filter;
    struct entry_ranges ranges;
};

static bool filter_takes(const struct view_filter *filter, const struct view_dead *dead)
{
    return (filter->target == NULL || strcmp(filter->target, dead->target) == 0) &&
           (filter->rule == NULL || strcmp(filter->rule, dead->rule) == 0);
}

static bool on_candidate(void *context, const struct view_dead *dead)
{
    struct candidates *list = context;
    return entry_ranges_add(&list->ranges, dead->id, filter_takes(list->filter, dead));
}

static enum err find_ranges(struct dead_run *run, struct candidates *list, struct error *e)
{
    struct view_filter any = {.first = run->filter.first, .last = run->filter.last};
    list->filter = &run->filter;
    enum err rc = store_view_dead(run->view, &any, on_candidate, list, e);
    store_view_close(run->view); // Nothing may hold the write-ahead log while it is changed.
    run->view = NULL;
    return rc == ERR_OK && list->ranges.is_exhausted ? error_set(e, ERR_NO_MEMORY, "out of memory")
                                                     : rc;
}

static int dead_operate(struct dead_run *run, bool is_replay)
{
    struct candidates list = {0};
    struct error e = {0};
    uint64_t total = 0;
    enum err rc = find_ranges(run, &list, &e);
    for (size_t i = 0; rc == ERR_OK && i < list.ranges.count; i++) {
        struct operation operation = {.kind =
                                          is_replay ? OPERATION_DEAD_REPLAY : OPERATION_DEAD_DROP,
                                      .first = list.ranges.ranges[i].first,
                                      .last = list.ranges.ranges[i].last};
        struct operated operated = {0};
        rc = operate(run->config, &operation, &operated, &e);
        total += rc == ERR_OK ? operated.count : 0;
        progress_show("%zu of %zu ranges", i + 1, list.ranges.count);
    }
    progress_end();
    entry_ranges_deinit(&list.ranges);
    if (rc == ERR_OK && total == 0) {
        return entry_none(&run->walk);
    }
    if (rc != ERR_OK && total == 0) {
        return entry_fail(&run->walk, &e);
    }
    if (run->walk.is_json) {
        entry_count_json(is_replay ? "replayed" : "dropped", total);
    } else {
        printf("%" PRIu64 " dead letter%s %s\n", total, total == 1 ? "" : "s",
               is_replay ? "put back to be delivered" : "dropped");
    }
    return rc == ERR_OK ? EXIT_OK : entry_fail(&run->walk, &e);
}

// Where it would go by the configuration on disk; NULL: nowhere, and *out_problem says why.
static const char *target_now(const struct core_spec *core, const struct view_dead *dead,
                              const char **out_problem)
{
    *out_problem = "its target is not in the configuration: replayed, it waits until it is again";
    for (uint32_t i = 0; i < core->target_count; i++) {
        if (strcmp(core->targets[i].name, dead->target) == 0) {
            *out_problem = "";
            return core->targets[i].name;
        }
    }
    return NULL;
}

// What would be sent, and nothing is.
static bool on_tested(void *context, const struct view_dead *dead)
{
    struct dead_run *run = context;
    const char *problem;
    const char *target = target_now(&run->config->core, dead, &problem);
    const struct delivery delivery = {
        .idempotency_key = dead->idempotency_key,
        .rule = dead->rule,
        .route = dead->route,
        .key = dead->key,
        .topic = bytes_from_text(dead->topic),
        .payload = dead->payload,
        .content_type = dead->content_type,
        .properties = dead->properties,
    };
    run->walk.shown++;
    delivery_print(&delivery, dead->target, run->walk.is_json || !terminal_is(stdout));
    if (target == NULL) {
        fprintf(stderr, "pipit dead: %" PRIu64 ": %s\n", dead->id, problem);
        run->problems++;
    }
    return true;
}

static int dead_test(struct dead_run *run)
{
    struct error e = {0};
    if (store_view_dead(run->view, &run->filter, on_tested, run, &e) != ERR_OK) {
        return entry_fail(&run->walk, &e);
    }
    if (run->walk.shown == 0) {
        return entry_none(&run->walk);
    }
    return run->problems == 0 ? EXIT_OK : EXIT_FAILED;
}

static int dead_edit(struct dead_run *run)
{
    const struct operation operation = {
        .kind = OPERATION_DEAD_EDIT, .first = run->filter.first, .last = run->filter.last};
    store_view_close(run->view); // Nothing may hold the write-ahead log while it is changed.
    run->view = NULL;
    return entry_edit(&usage, &run->walk, run->options, run->config, &operation);
}

static int dead_do(struct dead_run *run, const char *verb)
{
    if (strcmp(verb, "edit") == 0) {
        return dead_edit(run);
    }
    if (strcmp(verb, "test") == 0) {
        return dead_test(run);
    }
    if (strcmp(verb, "list") == 0) {
        return entry_list(&run->walk, walk_all, run);
    }
    if (strcmp(verb, "show") == 0) {
        return entry_show(&run->walk, walk_all, run);
    }
    return dead_operate(run, strcmp(verb, "replay") == 0);
}

static int dead_open(struct dead_run *run, const char *verb)
{
    struct error e = {0};
    int code = EXIT_OK;
    run->config = config_for_command("dead", option_text(run->options, "config"), &code);
    if (run->config == NULL) {
        return code;
    }
    const char *path = option_text(run->config->hub, "store");
    code = store_view_open(&run->view, path, &e) == ERR_OK ? dead_do(run, verb)
                                                           : entry_fail(&run->walk, &e);
    store_view_close(run->view);
    config_destroy(run->config);
    return code;
}

int dead_command(int argc, char **argv)
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
        struct dead_run run = {
            .options = arguments.options,
            .filter = {.first = range.first,
                       .last = range.last,
                       .target = option_text(arguments.options, "target"),
                       .rule = option_text(arguments.options, "rule")},
            .walk = {.command = "dead",
                     .none = "no such dead letter",
                     .empty = "no dead letters",
                     .headings = headings,
                     .is_json = option_bool(arguments.options, "json"),
                     .limit = (uint64_t)option_int(arguments.options, "limit")},
        };
        code = dead_open(&run, arguments.words[0]);
    }
    arguments_deinit(&arguments);
    return code;
}
