// case_instance.c - how a case says that instances of workflows are at its end.
#include <jansson.h>
#include <stdio.h>

#include "core/workflow_instance.h"
#include "trial/case_parts.h"

const struct option_spec case_instance_options[] = {
    {"state", OPTION_ENUM, false, NULL, 0, 0,
     "queued|running|undoing|parked|completed|failed|cancelled", "How it is."},
    {"error", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "What it has failed with: `timeout`, `refused`, `failed`, ..."},
    {"reason", OPTION_TEXT, false, NULL, 0, 0, NULL, "A part of the reason."},
    {"number", OPTION_INT, false, NULL, 1, CASE_EVENTS_MAX, NULL,
     "Which one of those with this key, the oldest is 1. Without it the newest."},
    {"after", OPTION_DURATION, false, NULL, 0, 0, NULL,
     "It ended exactly so long after the start of the case."},
    {"at", OPTION_TEXT, false, NULL, 0, 0, NULL, "It ended at exactly this instant."},
    {"tolerance", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Two numbers that are so near are the same."},
    {NULL},
};

static const char *const other_keys[] = {"variables", "result", "steps", "waiting", NULL};

static bool find_workflow(struct case_builder *builder, struct position at, const char *name)
{
    const struct core_spec *core = &builder->config->core;
    const char **names = case_alloc(builder, core->workflow_count + 1, sizeof(names[0]));
    for (uint32_t i = 0; names != NULL && i < core->workflow_count; i++) {
        names[i] = core->workflows[i].name;
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    if (names != NULL) {
        reader_problem(&builder->reader, at, "there is no workflow '%.80s'%s", name,
                       reader_hint(&builder->reader, name, names));
    }
    return false;
}

bool case_instance_name(struct case_builder *builder, struct position at, const char *text,
                        const char **out_workflow, const char **out_key)
{
    const char *slash = text == NULL ? NULL : strchr(text, '/');
    if (slash == NULL || slash == text) {
        reader_problem(&builder->reader, at,
                       "an instance is called <workflow>/<key>, such as order/17; not '%.80s'",
                       text == NULL ? "" : text);
        return false;
    }
    const char *name = arena_text(builder->reader.arena, text, (size_t)(slash - text));
    *out_workflow = name;
    *out_key = arena_text(builder->reader.arena, slash + 1, strlen(slash + 1));
    return name != NULL && *out_key != NULL && find_workflow(builder, at, name);
}

static void check_error(struct case_builder *builder, const struct node *node, const char *name)
{
    const char *names[WORKFLOW_ERROR_COUNT + 1] = {0};
    for (size_t i = 0; name != NULL && i < WORKFLOW_ERROR_COUNT; i++) {
        names[i] = workflow_error_names[i];
        if (strcmp(names[i], name) == 0) {
            return;
        }
    }
    if (name != NULL) {
        reader_problem(&builder->reader, node_get(node, "error")->at,
                       "error: steps do not fail with '%.80s'%s", name,
                       reader_hint(&builder->reader, name, names));
    }
}

// A member as JSON of that kind; NULL when it is not there or after a reported problem.
static json_t *read_json(struct case_builder *builder, const struct node *node, const char *name,
                         enum node_kind kind)
{
    const struct node *member = node_get(node, name);
    if (member == NULL) {
        return NULL;
    }
    if (member->kind != kind) {
        reader_problem(&builder->reader, member->at, "%s: must be a %s, not %s", name,
                       kind == NODE_LIST ? "list of steps" : "mapping", node_kind_name(member));
        return NULL;
    }
    return case_keep_json(builder, value_of_node(member, 0));
}

static void read_time(struct case_builder *builder, const struct node *node,
                      const struct options *options, int64_t start_ms,
                      struct case_instance *instance)
{
    instance->ended_ms = INT64_MIN;
    if (options_is_set(options, "after")) {
        instance->ended_ms = start_ms + option_int(options, "after");
    }
    case_instant(builder, node, options, "at", &instance->ended_ms);
}

static void read_instance(struct case_builder *builder, const struct node *node,
                          const struct options *options, struct case_instance *instance)
{
    const char *tolerance = option_text(options, "tolerance");
    if (options_is_set(options, "state")) {
        instance->state = workflow_state_names[option_choice(options, "state")];
    }
    instance->error = case_text(builder, options, "error");
    instance->reason = case_text(builder, options, "reason");
    instance->number =
        options_is_set(options, "number") ? (uint32_t)option_int(options, "number") : 0;
    instance->variables = read_json(builder, node, "variables", NODE_MAPPING);
    instance->result = read_json(builder, node, "result", NODE_MAPPING);
    instance->steps = read_json(builder, node, "steps", NODE_LIST);
    instance->waiting = read_json(builder, node, "waiting", NODE_LIST);
    check_error(builder, node, instance->error);
    if (tolerance != NULL &&
        (!value_number(tolerance, &instance->tolerance) || instance->tolerance < 0)) {
        reader_problem(&builder->reader, node_get(node, "tolerance")->at,
                       "tolerance: must be a number such as 0.01, not '%.40s'", tolerance);
    }
}

static void add_item(struct case_builder *builder, const struct node *item, int64_t start_ms,
                     struct case_instance *instance)
{
    struct options *options = case_options_make(builder, case_instance_options);
    const struct node *node = item->first;
    char what[100];
    snprintf(what, sizeof(what), "instances: %.64s", node->key->text);
    const struct shape shape = {.what = what, .options = {options}, .others = other_keys};
    instance->at = node->key->at;
    instance->ended_ms = INT64_MIN;
    bool is_named = case_instance_name(builder, node->key->at, node->key->text, &instance->workflow,
                                       &instance->key);
    if (options != NULL && is_named && reader_mapping(&builder->reader, node, what, true)) {
        reader_options(&builder->reader, node, &shape);
        read_instance(builder, node, options, instance);
        read_time(builder, node, options, start_ms, instance);
    }
    options_destroy(options);
}

void case_instances_build(struct case_builder *builder, const struct node *node,
                          struct case_spec *spec)
{
    if (node == NULL) {
        return;
    }
    spec->has_instances = true;
    if (node->kind == NODE_TEXT && strcmp(node->text, "nothing") == 0) {
        return;
    }
    if (node->kind != NODE_LIST || node->count == 0) {
        reader_problem(&builder->reader, node->at,
                       "instances: must be a list of instances, or `nothing`");
        return;
    }
    struct case_instance *instances = case_alloc(builder, node->count, sizeof(instances[0]));
    for (const struct node *item = node->first; instances != NULL && item != NULL;
         item = item->next) {
        if (item->kind != NODE_MAPPING || item->count != 1) {
            reader_problem(&builder->reader, item->at,
                           "instances: each item is one instance and how it is, such as "
                           "`- order/17: {state: completed}`");
        } else {
            add_item(builder, item, spec->start_ms, &instances[spec->instance_count++]);
        }
    }
    spec->instances = instances;
}
