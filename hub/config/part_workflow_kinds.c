// part_workflow_kinds.c - the kinds of steps, but those that send: what each has of its own.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/part_workflow.h"

const struct option_spec step_value_options[] = {
    {"sleep", OPTION_DURATION, false, NULL, 1, 3660 * WORKFLOW_DAY_MS, NULL,
     "Waits so long. A restart does not begin it anew."},
    {"until", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Waits until the time that this SQL expression gives: milliseconds since 1970, or ISO text."},
    {"if", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression: where it is true the steps in `then` follow, else those in `else`, if there "
     "are any."},
    {"switch", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression: the steps of the case with its value follow, `cases: {<value>: [...]}`, else "
     "those in `default`, if there are any."},
    {"for_each", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression that gives a JSON array: `steps` run for each of its items, in a branch with "
     "variables of its own."},
    {"fail", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The workflow fails with `failed`; this template is the reason."},
    {"goto", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The flow goes on at the step of this name. A circle needs a step that waits."},
    {NULL},
};

const struct option_spec step_for_each_options[] = {
    {"as", OPTION_TEXT, true, NULL, 0, 0, NULL, "Variable that holds the item."},
    {"at_once", OPTION_INT, false, "1", 1, 10000, NULL, "Most items under way at the same time."},
    {"wave", OPTION_BOOL, false, "false", 0, 0, NULL,
     "The next `at_once` items begin when all of those before have ended; else each begins when "
     "there is room."},
    {"stop", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression over `done`, `failed` and `total`, asked after each item: where it is true "
     "the "
     "others are ended and the step fails. Without it one failed item is enough."},
    {NULL},
};

const struct option_spec step_parallel_options[] = {
    {"wait", OPTION_TEXT, false, "all", 0, 0, NULL,
     "How many branches have to be done before the flow goes on: `all`, `any` or a number. The "
     "others are ended then."},
    {NULL},
};

const struct option_spec step_await_options[] = {
    {"from", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Topic filter of the events. Either this or `rule`."},
    {"rule", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Name of a rule: its rows are the events, their columns the fields. Such a rule needs no "
     "`to`."},
    {"key", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "SQL expression over the event. The event is for the instance whose key (or `match`) it "
     "gives."},
    {"match", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression over the variables: what the event's `key` has to be. Without it the "
     "instance's key."},
    {"where", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression over the event and the variables: other events are passed over."},
    {"keep", OPTION_DURATION, false, "0", 0, 366 * WORKFLOW_DAY_MS, NULL,
     "How long an event that nobody awaits yet is kept for who does later; 0: it is not."},
    {NULL},
};

const struct option_spec step_run_options[] = {
    {"workflow", OPTION_TEXT, true, NULL, 0, 0, NULL, "Name of the other workflow."},
    {"key", OPTION_TEXT, false, "my.key", 0, 0, NULL,
     "SQL expression: the key of the instance that is started."},
    {"wait", OPTION_BOOL, false, "true", 0, 0, NULL,
     "Whether the step is done when that instance has ended (its `end` is the answer's body), or "
     "at once."},
    {NULL},
};

// The mapping behind the kind by its table. Gives whether it is one.
static bool inner_build(struct workflow_step_part *step, const struct option_spec *table,
                        const char *const *others)
{
    struct options *options = workflow_options_read(step, step->inner, table, others);
    bool is_good = options != NULL && step->inner->kind == NODE_MAPPING;
    if (is_good) {
        workflow_put_options(step, step->inner, options);
    }
    options_destroy(options);
    return is_good;
}

void step_await_build(struct workflow_step_part *step)
{
    if (inner_build(step, step_await_options, NULL)) {
        workflow_events_build(step);
    }
}

// The variables of the other workflow: those that it declares.
static void with_check(struct workflow_step_part *step, const struct node *with,
                       const char *workflow)
{
    struct reader *reader = &step->part->builder->reader;
    const struct node *section = node_get(document_root(reader->document), "workflows");
    const struct node *other = section == NULL ? NULL : node_get(section, workflow);
    const struct node *variables = other == NULL ? NULL : node_get(other, "variables");
    const struct node *node = with->kind == NODE_MAPPING ? with->first : NULL;
    for (; other != NULL && node != NULL; node = node->next) {
        if (variables == NULL || node_get(variables, node->key->text) == NULL) {
            reader_problem(reader, node->key->at,
                           "%s: with: workflow %s declares no variable '%.80s'", step->inner_what,
                           workflow, node->key->text);
        }
    }
}

static const char *const run_others[] = {"with", NULL};

void step_run_build(struct workflow_step_part *step)
{
    if (!inner_build(step, step_run_options, run_others)) {
        return;
    }
    const struct node *workflow = node_get(step->inner, "workflow");
    const struct node *with = node_get(step->inner, "with");
    const struct node *take = node_get(step->node, "take");
    json_t *values = workflow_expressions(step, with, "with", false);
    if (values != NULL) {
        workflow_put(step->part, step->json, "with", values);
    }
    if (workflow != NULL && workflow->kind == NODE_TEXT && !node_is_empty(workflow) &&
        workflow_name_check(step->part, workflow, "workflows", step->inner_what) && with != NULL) {
        with_check(step, with, workflow->text);
    }
    if (take != NULL && json_is_false(json_object_get(step->json, "wait"))) {
        reader_problem(&step->part->builder->reader, take->key->at,
                       "%s: 'take' needs 'wait: true': there is no answer yet", step->what);
    }
}

static void lists_build(struct workflow_step_part *step, const char *const *names)
{
    struct arena *arena = step->part->builder->file->arena;
    for (; *names != NULL; names++) {
        const struct node *node = node_get(step->node, *names);
        if (node != NULL) {
            workflow_steps_build(step->part, node, arena_print(arena, "%s: %s", step->what, *names),
                                 workflow_path(arena, step->path, *names), step->json, *names);
        }
    }
}

static void require(struct workflow_step_part *step, const char *name, const char *why)
{
    if (node_get(step->node, name) == NULL) {
        reader_problem(&step->part->builder->reader, step->inner->key->at,
                       "%s: '%s' is missing: %s", step->what, name, why);
    }
}

static const char *const if_lists[] = {"then", "else", NULL};
static const char *const switch_lists[] = {"cases", "default", NULL};
static const char *const for_each_lists[] = {"steps", NULL};

void step_if_build(struct workflow_step_part *step)
{
    require(step, "then", "The steps where the expression is true.");
    lists_build(step, if_lists);
}

// A mapping of names to lists of steps: {"<name>": [STEP...]}.
static void branches_build(struct workflow_step_part *step, const struct node *node,
                           const char *name, bool is_named)
{
    struct reader *reader = &step->part->builder->reader;
    struct arena *arena = step->part->builder->file->arena;
    const char *what = arena_print(arena, "%s: %s", step->what, is_named ? "parallel" : name);
    const char *path = workflow_path(arena, step->path, name);
    if (what == NULL || path == NULL || !reader_mapping(reader, node, what, false)) {
        return;
    }
    if (node->count == 0) {
        reader_problem(reader, node->at, "%s: there is none", what);
    }
    json_t *object = json_object();
    workflow_put(step->part, step->json, name, object);
    workflow_map_add(step->part->map, path, node, 0);
    for (const struct node *list = node->first; list != NULL && object != NULL; list = list->next) {
        if (is_named) {
            reader_name(reader, list->key, what);
        }
        workflow_steps_build(step->part, list, arena_print(arena, "%s: %s", what, list->key->text),
                             workflow_path(arena, path, list->key->text), object, list->key->text);
    }
}

void step_switch_build(struct workflow_step_part *step)
{
    static const char *const default_list[] = {"default", NULL};
    const struct node *cases = node_get(step->node, "cases");
    require(step, "cases", "The steps for each value, {<value>: [...]}.");
    if (cases != NULL) {
        branches_build(step, cases, "cases", false);
    }
    lists_build(step, default_list);
}

// "all", "any" or a number: as the definition has it.
static void wait_put(struct workflow_step_part *step, uint32_t branch_count)
{
    const struct node *node = node_get(step->node, "wait");
    if (node == NULL || node->kind != NODE_TEXT || strcmp(node->text, "all") == 0 ||
        strcmp(node->text, "any") == 0) {
        return;
    }
    char *end;
    errno = 0;
    long count = strtol(node->text, &end, 10);
    if (*end != '\0' || errno != 0 || count < 1 || count > (long)branch_count) {
        reader_problem(&step->part->builder->reader, node->at,
                       "%s: wait: must be all, any, or a number from 1 to %u, the branches there "
                       "are, not '%.60s'",
                       step->what, branch_count, node->text);
        return;
    }
    workflow_put(step->part, step->json, "wait", json_integer(count));
}

void step_parallel_build(struct workflow_step_part *step)
{
    branches_build(step, step->inner, "branches", true);
    wait_put(step, step->inner->kind == NODE_MAPPING ? step->inner->count : 0);
}

void step_for_each_build(struct workflow_step_part *step)
{
    const struct node *as = node_get(step->node, "as");
    require(step, "steps", "What is done for each item.");
    if (as != NULL && as->kind == NODE_TEXT && !node_is_empty(as)) {
        workflow_variable_add(step->part, as, step->what);
    }
    lists_build(step, for_each_lists);
}

void step_set_build(struct workflow_step_part *step)
{
    json_t *values = workflow_expressions(step, step->inner, "set", true);
    if (values != NULL && step->inner->count == 0) {
        reader_problem(&step->part->builder->reader, step->inner->at,
                       "%s: which variables? Such as set: {tries: \"tries + 1\"}", step->what);
    }
    if (values != NULL) {
        workflow_put(step->part, step->json, "set", values);
    }
}

void step_end_build(struct workflow_step_part *step)
{
    json_t *values = workflow_expressions(step, step->inner, "result", false);
    if (values != NULL && json_object_size(values) > 0) {
        workflow_put(step->part, step->json, "result", values);
    } else {
        json_decref(values);
    }
}

// sleep, until, fail: the value is all.
void step_value_build(struct workflow_step_part *step)
{
    (void)step;
}

void step_goto_build(struct workflow_step_part *step)
{
    workflow_use_add(step->part, &step->part->gotos, step->inner, step->what);
}

#define MAY_ALL                                                                                    \
    (STEP_MAY_WITHIN | STEP_MAY_RETRY | STEP_MAY_TAKE | STEP_MAY_UNDO | STEP_MAY_ON_ERROR)
#define MAY_AFTER (STEP_MAY_UNDO | STEP_MAY_ON_ERROR)

static const char *const message_others[] = {"fields", "properties", NULL};
static const char *const command_others[] = {"fields", NULL};

const struct step_reader step_readers[STEP_KIND_COUNT] = {
    [STEP_EMIT] = {STEP_EMIT, false, NULL, NULL, STEP_MAY_RETRY | MAY_AFTER, step_emit_build,
                   step_message_options, message_others},
    [STEP_CALL] = {STEP_CALL, false, NULL, NULL, MAY_ALL, step_call_build, step_message_options,
                   message_others},
    [STEP_COMMAND] = {STEP_COMMAND, false, NULL, NULL, MAY_ALL, step_command_build,
                      step_command_options, command_others},
    [STEP_AWAIT] = {STEP_AWAIT, false, NULL, NULL, MAY_ALL, step_await_build, step_await_options,
                    NULL},
    [STEP_SLEEP] = {STEP_SLEEP, true, NULL, NULL, MAY_AFTER, step_value_build},
    [STEP_UNTIL] = {STEP_UNTIL, true, NULL, NULL, MAY_AFTER, step_value_build},
    [STEP_IF] = {STEP_IF, true, NULL, if_lists, STEP_MAY_ON_ERROR, step_if_build},
    [STEP_SWITCH] = {STEP_SWITCH, true, NULL, switch_lists, STEP_MAY_ON_ERROR, step_switch_build},
    [STEP_PARALLEL] = {STEP_PARALLEL, false, step_parallel_options, NULL,
                       STEP_MAY_WITHIN | STEP_MAY_RETRY | MAY_AFTER, step_parallel_build},
    [STEP_FOR_EACH] = {STEP_FOR_EACH, true, step_for_each_options, for_each_lists,
                       STEP_MAY_WITHIN | STEP_MAY_RETRY | MAY_AFTER, step_for_each_build},
    [STEP_SET] = {STEP_SET, false, NULL, NULL, MAY_AFTER, step_set_build},
    [STEP_RUN] = {STEP_RUN, false, NULL, NULL, MAY_ALL, step_run_build, step_run_options,
                  run_others},
    [STEP_END] = {STEP_END, false, NULL, NULL, 0, step_end_build},
    [STEP_FAIL] = {STEP_FAIL, true, NULL, NULL, 0, step_value_build},
    [STEP_GOTO] = {STEP_GOTO, true, NULL, NULL, 0, step_goto_build},
};
