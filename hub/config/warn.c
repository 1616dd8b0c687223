// warn.c - config_warn: what compiles and can still hardly be meant.
#include <stdlib.h>

#include "config/parts.h"
#include "config/workflow_check.h"
#include "core/core.h"
#include "core/rule_graph.h"
#include "core/topic.h"

struct warning {
    struct reader reader;
    const struct config *config;
    struct wired wired;
};

static bool overlaps(const char *a, const char *b)
{
    return topic_filters_overlap(bytes_from_text(a), bytes_from_text(b));
}

// Can events of the filter have a time of their own, as far as the configuration tells? An event
// that a rule made has that of the one it was made of.
static bool may_have_time(const struct wired *wired, const char *filter)
{
    const struct core_spec *core = &wired->config->core;
    bool may = overlaps(filter, "pipit/v1/+/+/event/#") || wired_is_fed(wired, filter);
    for (uint32_t i = 0; i < core->identity_count; i++) {
        may |= core->identities[i].time != NULL && overlaps(filter, core->identities[i].from);
    }
    for (uint32_t i = 0; i < core->format_count; i++) {
        const struct format_spec *format = &core->formats[i];
        bool is_timed = format->kind == FORMAT_SPARKPLUG || format->kind == FORMAT_CLOUDEVENTS;
        may |= is_timed && overlaps(filter, format->from);
    }
    return may;
}

static void warn_of_time(struct warning *warning, const struct rule_spec *rule, const char *filter)
{
    const struct document *document = warning->reader.document;
    const struct node *rules = node_get(document_root(document), "rules");
    const struct node *node = rules == NULL ? NULL : node_get(rules, rule->name);
    const struct node *window = node == NULL ? NULL : node_get(node, "window");
    bool is_by_time = rule->window.kind != WINDOW_NONE && rule->window.kind != WINDOW_COUNT &&
                      !rule->window.is_by_arrival;
    if (window != NULL && is_by_time && !may_have_time(&warning->wired, filter)) {
        reader_problem(&warning->reader, window->at,
                       "warning: rule %s: its window goes by the events' own time, and nothing "
                       "here gives events of \"%s\" one (CloudEvents may bring it); events "
                       "without a time are rejected: give them `time` under `devices`, or the "
                       "window `by: arrival`",
                       rule->name, filter);
    }
}

static void warn_of_filter(struct warning *warning, const struct rule_spec *rule,
                           const char *filter)
{
    const struct document *document = warning->reader.document;
    const struct node *rules = node_get(document_root(document), "rules");
    const struct node *node = rules == NULL ? NULL : node_get(rules, rule->name);
    const struct node *sql = node == NULL ? NULL : node_get(node, "sql");
    const char *found = sql == NULL ? NULL : strstr(sql->text, filter);
    if (found != NULL && !wired_reaches(&warning->wired, filter)) {
        reader_problem(
            &warning->reader, document_locate(document, sql, (size_t)(found - sql->text)),
            "warning: rule %s: no source subscribes to anything that \"%s\" matches%s", rule->name,
            filter, rule_graph_has_edges(&warning->config->core) ? ", and no rule feeds it" : "");
    }
}

static void on_filter(void *context, uint32_t rule_index, const char *filter)
{
    struct warning *warning = context;
    const struct rule_spec *rule = &warning->config->core.rules[rule_index];
    if (rule->branch == BRANCH_MAIN) {
        warning->wired.filters[rule_index] = arena_print(warning->reader.arena, "%s", filter);
        warn_of_time(warning, rule, filter);
        warn_of_filter(warning, rule, filter);
    }
}

enum err config_warn(const struct config *config, config_report_fn *each, void *context,
                     struct error *e)
{
    const struct config_file *file = (const struct config_file *)config; // Its first member.
    struct warning warning = {
        .reader = {.document = file->document, .folder = file->folder, .arena = arena_create()},
        .config = config,
    };
    struct reader *reader = &warning.reader;
    reader->problems = calloc(READER_PROBLEMS_MAX, sizeof(struct problem));
    bool is_ready = reader->arena != NULL && reader->problems != NULL &&
                    wired_init(&warning.wired, reader->arena, config);
    enum err rc =
        !is_ready ? error_set(e, ERR_NO_MEMORY, "%s: out of memory", config->path) : ERR_OK;
    if (rc == ERR_OK) {
        rc = core_filters(&config->core, on_filter, &warning, e);
    }
    if (rc == ERR_OK) {
        workflows_warn(reader, file, &warning.wired);
        problems_report(reader, each, context, NULL);
    }
    free(reader->problems);
    wired_deinit(&warning.wired);
    arena_destroy(reader->arena);
    return rc;
}
