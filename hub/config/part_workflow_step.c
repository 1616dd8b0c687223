// part_workflow_step.c - lists of steps, and what every step may have.
#include <stdlib.h>
#include <string.h>

#include "config/part_workflow.h"

const struct option_spec step_options[] = {
    {"within", OPTION_DURATION, false, NULL, 1, 3660 * WORKFLOW_DAY_MS, NULL,
     "How long one attempt may take: until the answer, the reply or the event is there, or all "
     "branches have ended. Then it fails with `timeout`."},
    {NULL},
};

const struct option_spec step_retry_options[] = {
    {"attempts", OPTION_INT, false, "10", 1, 1000000, NULL, "How often it is tried in all."},
    {"backoff", OPTION_DURATION, false, "1 s", 1, WORKFLOW_DAY_MS, NULL,
     "The pause after the first attempt; it doubles with each, and half of it is left to chance."},
    {"backoff_max", OPTION_DURATION, false, "1 min", 1, 30 * WORKFLOW_DAY_MS, NULL,
     "The longest pause between two attempts."},
    {"within", OPTION_DURATION, false, NULL, 1, 3660 * WORKFLOW_DAY_MS, NULL,
     "No attempt begins later than this after the first one."},
    {NULL},
};

// Errors that are tried again where `retry` names none.
static const enum workflow_error errors_default[] = {WORKFLOW_TIMEOUT, WORKFLOW_UNAVAILABLE,
                                                     WORKFLOW_OFFLINE, WORKFLOW_ANSWER};

static const struct {
    const char *name;
    uint32_t bit;
} commons[] = {
    {"within", STEP_MAY_WITHIN}, {"retry", STEP_MAY_RETRY},       {"take", STEP_MAY_TAKE},
    {"undo", STEP_MAY_UNDO},     {"on_error", STEP_MAY_ON_ERROR},
};

#define COMMONS (sizeof(commons) / sizeof(commons[0]))

const char *const workflow_step_keys[] = {"within", "retry", "take", "undo", "on_error", NULL};

static void error_put(struct workflow_step_part *step, const struct node *node, json_t *list)
{
    struct reader *reader = &step->part->builder->reader;
    if (node->kind != NODE_TEXT || !name_is_among(node->text, workflow_error_names)) {
        const char *name = node->kind == NODE_TEXT ? node->text : node_kind_name(node);
        const char *hint = reader_hint(reader, name, workflow_error_names);
        reader_problem(reader, node->at, "%s: retry: errors: '%.80s' is no kind of error%s",
                       step->what, name, hint == NULL ? "" : hint);
        return;
    }
    json_array_append_new(list, json_string(node->text));
}

static json_t *errors_build(struct workflow_step_part *step, const struct node *node)
{
    json_t *list = json_array();
    if (node == NULL) {
        for (size_t i = 0; i < sizeof(errors_default) / sizeof(errors_default[0]); i++) {
            json_array_append_new(list, json_string(workflow_error_names[errors_default[i]]));
        }
        return list;
    }
    if (node->kind == NODE_TEXT && !node_is_empty(node)) {
        error_put(step, node, list);
        return list;
    }
    if (node->kind != NODE_LIST || node->count == 0) {
        reader_problem(&step->part->builder->reader, node->at,
                       "%s: retry: errors: must be a list such as [timeout, unavailable], not %s",
                       step->what, node_kind_name(node));
    }
    const struct node *item = node->kind == NODE_LIST ? node->first : NULL;
    for (; item != NULL; item = item->next) {
        error_put(step, item, list);
    }
    return list;
}

static void retry_check(struct workflow_step_part *retry, const struct node *node,
                        const struct options *options)
{
    if (option_int(options, "backoff") > option_int(options, "backoff_max")) {
        const struct node *at = node_get(node, "backoff");
        at = at == NULL ? node_get(node, "backoff_max") : at;
        reader_problem(&retry->part->builder->reader, at == NULL ? node->at : at->at,
                       "%s: backoff (%s) is longer than backoff_max (%s)", retry->inner_what,
                       option_text(options, "backoff"), option_text(options, "backoff_max"));
    }
}

static void retry_build(struct workflow_step_part *step, const struct node *node)
{
    static const char *const others[] = {"errors", NULL};
    struct arena *arena = step->part->builder->file->arena;
    struct workflow_step_part retry = *step;
    retry.inner_what = arena_print(arena, "%s: retry", step->what);
    retry.path = workflow_path(arena, step->path, "retry");
    retry.json = json_object();
    if (retry.inner_what == NULL || retry.path == NULL || retry.json == NULL) {
        json_decref(retry.json);
        return;
    }
    struct options *options = workflow_options_read(&retry, node, step_retry_options, others);
    if (options != NULL && (node->kind == NODE_MAPPING || node_is_empty(node))) {
        workflow_put_options(&retry, node, options);
        workflow_put(step->part, retry.json, "errors",
                     errors_build(step, node_get(node, "errors")));
        retry_check(&retry, node, options);
    }
    options_destroy(options);
    workflow_map_add(step->part->map, retry.path, node, 0);
    workflow_put(step->part, step->json, "retry", retry.json);
}

// Options that would be there to no effect are mistakes.
static void refuse_commons(struct workflow_step_part *step, const struct step_reader *kind)
{
    for (size_t i = 0; i < COMMONS; i++) {
        const struct node *node = node_get(step->node, commons[i].name);
        if (node != NULL && (kind->may & commons[i].bit) == 0) {
            reader_problem(&step->part->builder->reader, node->key->at,
                           "%s: '%s' does nothing for a step that is '%s'", step->what,
                           commons[i].name, step_kind_names[kind->kind]);
        }
    }
}

static const struct node *common_get(const struct workflow_step_part *step,
                                     const struct step_reader *kind, uint32_t bit)
{
    for (size_t i = 0; i < COMMONS; i++) {
        if (commons[i].bit == bit) {
            return (kind->may & bit) != 0 ? node_get(step->node, commons[i].name) : NULL;
        }
    }
    return NULL;
}

static void commons_build(struct workflow_step_part *step, const struct step_reader *kind)
{
    struct workflow_part *part = step->part;
    struct arena *arena = part->builder->file->arena;
    const struct node *retry = common_get(step, kind, STEP_MAY_RETRY);
    const struct node *take = common_get(step, kind, STEP_MAY_TAKE);
    const struct node *undo = common_get(step, kind, STEP_MAY_UNDO);
    const struct node *on_error = common_get(step, kind, STEP_MAY_ON_ERROR);
    refuse_commons(step, kind);
    if (retry != NULL) {
        retry_build(step, retry);
    }
    json_t *values = workflow_expressions(step, take, "take", true);
    if (values != NULL) {
        workflow_put(part, step->json, "take", values);
    }
    if (undo != NULL) {
        workflow_steps_build(part, undo, arena_print(arena, "%s: undo", step->what),
                             workflow_path(arena, step->path, "undo"), step->json, "undo");
    }
    if (on_error != NULL) {
        workflow_steps_build(part, on_error, arena_print(arena, "%s: on_error", step->what),
                             workflow_path(arena, step->path, "on_error"), step->json, "on_error");
    }
}

// `- sleep: 5 min`: what it does stands where its name should. Says so.
static bool is_nameless(struct workflow_part *part, const struct node *node, const char *what)
{
    const char *kind = node->key->text;
    if (!name_is_among(kind, step_kind_names)) {
        return false;
    }
    reader_problem(&part->builder->reader, node->key->at,
                   "%s: '%s' is what a step does; its name comes first: - NAME: {%s: ...}", what,
                   kind, kind);
    return true;
}

// It has no kind: the first key that could be one misspelt is at fault, else all of it.
static void unknown_kind(struct workflow_step_part *step)
{
    struct reader *reader = &step->part->builder->reader;
    const struct node *at = NULL;
    for (const struct node *node = step->node->first; node != NULL; node = node->next) {
        const char *name = node->key->text;
        if (!name_is_among(name, workflow_step_keys) &&
            (at == NULL || nearest_name(name, step_kind_names))) {
            at = node;
        }
    }
    const char *hint = reader_hint(reader, at ? at->key->text : "", step_kind_names);
    if (at != NULL && hint != NULL) {
        reader_problem(reader, at->key->at, "%s: '%.80s' is no kind of step%s", step->what,
                       at->key->text, hint);
    } else if (hint != NULL) {
        reader_problem(reader, step->node->at, "%s: does not say what to do%s", step->what, hint);
    }
}

// NULL after a reported problem.
static const struct step_reader *kind_find(struct workflow_step_part *step)
{
    const struct step_reader *found = NULL;
    for (const struct node *node = step->node->first; node != NULL; node = node->next) {
        for (int i = 0; i < STEP_KIND_COUNT; i++) {
            if (strcmp(step_kind_names[i], node->key->text) != 0) {
                continue;
            }
            if (found != NULL) {
                reader_problem(&step->part->builder->reader, node->key->at,
                               "%s: '%s' besides '%s'; a step does one thing", step->what,
                               node->key->text, step_kind_names[found->kind]);
                return NULL;
            }
            found = &step_readers[i];
            step->inner = node;
        }
    }
    if (found == NULL && !is_nameless(step->part, step->node, step->part->what)) {
        unknown_kind(step);
    }
    return found;
}

static bool is_inner(const struct workflow_step_part *step, const struct step_reader *kind,
                     const char *name)
{
    bool is_message = kind->kind == STEP_EMIT || kind->kind == STEP_CALL;
    return (kind->inner_options != NULL && option_find(kind->inner_options, name) != NULL) ||
           name_is_among(name, kind->inner_others) ||
           (is_message && workflow_target_takes(&step->part->builder->file->config, name));
}

// Says which keys of the step belong into the mapping of its kind, and puts them into out_names.
static void misplaced_tell(const struct workflow_step_part *step, const struct step_reader *kind,
                           const char **out_names)
{
    for (const struct node *node = step->node->first; node != NULL; node = node->next) {
        const char *name = node->key->text;
        if (is_inner(step, kind, name)) {
            reader_problem(&step->part->builder->reader, node->key->at,
                           "%s: '%s' belongs into %s: {...}, not beside it", step->what, name,
                           step_kind_names[kind->kind]);
            *out_names++ = name;
        }
    }
}

// Those of every step, the kind itself, its lists; and those that have been told of.
static const char *const *others_of(const struct workflow_step_part *step,
                                    const struct step_reader *kind)
{
    size_t count = 0, at = 0;
    while (kind->lists != NULL && kind->lists[count] != NULL) {
        count++;
    }
    const char **names = arena_alloc(step->part->builder->file->arena,
                                     (count + COMMONS + 2 + step->node->count) * sizeof(names[0]));
    if (names == NULL) {
        return NULL;
    }
    if (!kind->is_value) {
        names[at++] = step_kind_names[kind->kind];
    }
    for (size_t i = 1; i < COMMONS; i++) { // `within` is an option.
        names[at++] = commons[i].name;
    }
    for (size_t i = 0; i < count; i++) {
        names[at++] = kind->lists[i];
    }
    misplaced_tell(step, kind, names + at);
    return names;
}

// What stands beside the kind: `within`, the kind's own, or its value.
static void beside_build(struct workflow_step_part *step, const struct step_reader *kind)
{
    static const struct option_spec none[] = {{NULL}};
    struct builder *builder = step->part->builder;
    struct options *common = options_make(builder, step_options);
    struct options *own = options_make(builder, kind->beside == NULL ? none : kind->beside);
    struct options *value = options_make(builder, kind->is_value ? step_value_options : none);
    const char *const *others = others_of(step, kind);
    if (common != NULL && own != NULL && value != NULL && others != NULL) {
        struct shape shape = {step->what, {value, own, common}, others, true, NULL, NULL};
        reader_options(&builder->reader, step->node, &shape);
        workflow_put_options(step, step->node, value);
        workflow_put_options(step, step->node, own);
        workflow_put_options(step, step->node, common);
    }
    options_destroy(common);
    options_destroy(own);
    options_destroy(value);
}

static void step_fill(struct workflow_step_part *step)
{
    struct arena *arena = step->part->builder->file->arena;
    const struct step_reader *kind = kind_find(step);
    if (kind == NULL) {
        return;
    }
    step->inner_what = arena_print(arena, "%s: %s", step->what, step_kind_names[kind->kind]);
    if (step->inner_what == NULL) {
        return;
    }
    workflow_put(step->part, step->json, "do", json_string(step_kind_names[kind->kind]));
    beside_build(step, kind);
    kind->build(step);
    commons_build(step, kind);
}

static void step_build(struct workflow_part *part, const struct node *node, const char *path,
                       json_t *list)
{
    struct arena *arena = part->builder->file->arena;
    struct workflow_step_part step = {.part = part, .node = node, .path = path};
    step.what = arena_print(arena, "%s: step %s", part->what, node->key->text);
    step.json = json_object();
    if (step.what == NULL || step.json == NULL || path == NULL) {
        part->builder->is_out_of_memory = true;
        json_decref(step.json);
        return;
    }
    reader_name(&part->builder->reader, node->key, step.what);
    workflow_use_add(part, &part->steps, node->key, part->what);
    workflow_map_add(part->map, path, node, 0);
    workflow_put(part, step.json, "name", json_string(node->key->text));
    if (node->kind == NODE_MAPPING) {
        step_fill(&step);
    } else if (!is_nameless(part, node, part->what)) {
        reader_problem(&part->builder->reader, node->at,
                       "%s: must be what it does, such as {sleep: 5 min}, not %s", step.what,
                       node_kind_name(node));
    }
    if (json_array_append_new(list, step.json) != 0) {
        part->builder->is_out_of_memory = true;
    }
}

// A step is a name and what it does: `- pause: {sleep: 5 min}`.
static void item_build(struct workflow_part *part, const struct node *item, const char *what,
                       const char *path, json_t *list)
{
    struct reader *reader = &part->builder->reader;
    if (item->kind != NODE_MAPPING || item->count != 1) {
        bool is_many = item->kind == NODE_MAPPING && item->count > 1;
        if (is_many && is_nameless(part, item->first, what)) {
            return;
        }
        reader_problem(reader, is_many ? item->first->next->key->at : item->at,
                       "%s: a step is its name and what it does, such as - pause: {sleep: 5 min}%s",
                       what, is_many ? "; the next one needs a '-' of its own" : "");
        return;
    }
    part->step_count++;
    if (part->step_count > WORKFLOW_STEPS_MAX) {
        if (!part->is_step_fault_told) {
            reader_problem(reader, item->first->key->at,
                           "%s: more than %d steps; workflows can `run` others", part->what,
                           WORKFLOW_STEPS_MAX);
        }
        part->is_step_fault_told = true;
        return;
    }
    step_build(part, item->first, path, list);
}

static void items_build(struct workflow_part *part, const struct node *node, const char *what,
                        const char *path, json_t *list)
{
    struct arena *arena = part->builder->file->arena;
    if (node->kind == NODE_MAPPING && node->count > 0) { // One step needs no list.
        item_build(part, node, what, workflow_path_at(arena, path, 0), list);
        return;
    }
    if (node->kind != NODE_LIST || node->count == 0) {
        reader_problem(&part->builder->reader, node->at,
                       "%s: must be a list of steps, such as - pause: {sleep: 5 min}, not %s", what,
                       node->kind == NODE_LIST ? "an empty one" : node_kind_name(node));
        return;
    }
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        item_build(part, item, what, workflow_path_at(arena, path, (uint32_t)json_array_size(list)),
                   list);
    }
}

void workflow_steps_build(struct workflow_part *part, const struct node *node, const char *what,
                          const char *path, json_t *object, const char *name)
{
    json_t *list = json_array();
    if (what == NULL || path == NULL || list == NULL) {
        part->builder->is_out_of_memory = true;
        json_decref(list);
        return;
    }
    workflow_map_add(part->map, path, node, 0);
    if (part->depth >= WORKFLOW_DEPTH_MAX) {
        if (!part->is_step_fault_told) {
            reader_problem(&part->builder->reader, node->at,
                           "%s: steps within steps, more than %d deep; workflows can `run` others",
                           what, WORKFLOW_DEPTH_MAX);
        }
        part->is_step_fault_told = true;
    } else {
        part->depth++;
        items_build(part, node, what, path, list);
        part->depth--;
    }
    workflow_put(part, object, name, list);
}
