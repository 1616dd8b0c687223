// part_workflow.c - the section `workflows`: each becomes one JSON text.
#include "config/part_workflow.h"

const struct option_spec workflow_options[] = {
    {"within", OPTION_DURATION, false, NULL, 1, 3660 * WORKFLOW_DAY_MS, NULL,
     "How long an instance may run: then it fails with `timeout`."},
    {"failure", OPTION_ENUM, false, "undo", 0, 0, "undo|park",
     "What comes first when no step handles an error: `undo` runs the undo steps of what was done, "
     "`park` leaves that to an operator, who can have the failed step tried again."},
    {"keep", OPTION_DURATION, false, "7 d", 0, 3660 * WORKFLOW_DAY_MS, NULL,
     "How long an instance that has ended can be looked at."},
    {NULL},
};

const struct option_spec workflow_start_options[] = {
    {"from", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Topic filter: each event of it starts an instance. Either this or `rule`."},
    {"rule", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Name of a rule: each of its rows starts an instance, and its columns are the event's fields. "
     "Such a rule needs no `to`."},
    {"where", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression over the event; only events for which it is true start one."},
    {"key", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "SQL expression over the event: what the instance is about. One of a key runs at a time, "
     "unless `running` says otherwise."},
    {"running", OPTION_ENUM, false, "ignore", 0, 0, "ignore|queue|restart|parallel",
     "What an event does whose key has an instance already: nothing, start behind it, cancel it "
     "and "
     "start anew, or start beside it."},
    {NULL},
};

static void start_build(struct workflow_part *part, json_t *definition)
{
    struct arena *arena = part->builder->file->arena;
    const struct node *node = node_get(part->node, "start");
    const char *what = arena_print(arena, "%s: start", part->what);
    if (node == NULL) { // Others run it.
        return;
    }
    struct workflow_step_part start = {part, node, node, what, what, "/start", json_object()};
    workflow_put(part, definition, "start", start.json);
    workflow_map_add(part->map, start.path, node, 0);
    struct options *options =
        what == NULL ? NULL : workflow_options_read(&start, node, workflow_start_options, NULL);
    if (options != NULL && node->kind == NODE_MAPPING) {
        workflow_put_options(&start, node, options);
        workflow_events_build(&start);
    }
    options_destroy(options);
}

// Declared ones have an expression over the event that starts it.
static void variables_build(struct workflow_part *part)
{
    struct workflow_step_part all = {.part = part, .what = part->what, .path = ""};
    json_t *declared =
        workflow_expressions(&all, node_get(part->node, "variables"), "variables", true);
    if (declared == NULL) {
        return;
    }
    const char *name;
    json_t *sql;
    json_object_foreach(declared, name, sql)
    {
        const struct node *node = node_get(node_get(part->node, "variables"), name);
        if (!node_is_empty(node)) { // Else it is there, and NULL until a step sets it.
            workflow_put(part, part->variables, name, json_incref(sql));
        }
    }
    json_decref(declared);
}

static void fill(struct workflow_part *part, json_t *definition)
{
    static const char *const others[] = {"start", "variables", "steps", NULL};
    struct arena *arena = part->builder->file->arena;
    struct workflow_step_part all = {part,       part->node, part->node, part->what,
                                     part->what, "",         definition};
    struct options *options = workflow_options_read(&all, part->node, workflow_options, others);
    bool is_there = part->node->kind == NODE_MAPPING || node_is_empty(part->node);
    if (options == NULL || !is_there) {
        options_destroy(options);
        return;
    }
    start_build(part, definition);
    variables_build(part);
    workflow_put(part, definition, "variables", json_incref(part->variables));
    workflow_put_options(&all, part->node, options);
    options_destroy(options);
    const struct node *steps = node_get(part->node, "steps");
    if (steps == NULL) {
        reader_problem(&part->builder->reader, part->node->key->at,
                       "%s: 'steps' is missing: a list such as [{pause: {sleep: 5 min}}]",
                       part->what);
        return;
    }
    workflow_steps_build(part, steps, arena_print(arena, "%s: steps", part->what), "/steps",
                         definition, "steps");
    workflow_names_check(part);
}

// NULL: it has faults.
static const char *definition_build(struct workflow_part *part)
{
    uint32_t before = part->builder->reader.problem_count;
    const char *text = NULL;
    json_t *definition = json_object();
    part->variables = json_object();
    if (definition == NULL || part->variables == NULL) {
        part->builder->is_out_of_memory = true;
    } else {
        workflow_put(part, definition, "format", json_integer(1));
        workflow_put(part, definition, "name", json_string(part->node->key->text));
        fill(part, definition);
        if (part->builder->reader.problem_count == before) {
            text = workflow_json_text(part->builder->file->arena, definition);
            part->builder->is_out_of_memory |= text == NULL;
        }
    }
    json_decref(part->variables);
    json_decref(definition);
    return text;
}

static void workflow_build(struct builder *builder, const struct node *node,
                           struct workflow_spec *out_spec, struct workflow_map **out_map)
{
    struct workflow_part part = {.builder = builder, .node = node};
    part.what = arena_print(builder->file->arena, "workflow %s", node->key->text);
    part.map = workflow_map_create(builder->file->arena);
    if (part.what == NULL || part.map == NULL) {
        return;
    }
    reader_name(&builder->reader, node->key, "workflow");
    workflow_map_add(part.map, "", node, 0);
    *out_spec = (struct workflow_spec){node->key->text, definition_build(&part)};
    *out_map = part.map;
}

void workflows_build(struct builder *builder)
{
    struct config_file *file = builder->file;
    const struct node *section = section_find(builder, "workflows");
    if (section == NULL) {
        return;
    }
    if (section->count > CONFIG_WORKFLOWS_MAX) {
        reader_problem(&builder->reader, section->at,
                       "workflows: %u of them; at most %d are possible", section->count,
                       CONFIG_WORKFLOWS_MAX);
        return;
    }
    struct workflow_spec *specs = arena_alloc(file->arena, section->count * sizeof(specs[0]));
    struct workflow_map **maps =
        arena_alloc(file->arena, section->count * sizeof(struct workflow_map *));
    if (specs == NULL || maps == NULL) {
        return;
    }
    file->config.core.workflows = specs;
    file->workflow_maps = maps;
    uint32_t count = 0;
    for (const struct node *node = section->first; node != NULL; node = node->next, count++) {
        workflow_build(builder, node, &specs[count], &maps[count]);
    }
    file->config.core.workflow_count = count;
}
