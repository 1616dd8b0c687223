// workflow_branch.c - in which branch of its instance a token is, by names for people.
#include <stdlib.h>

#include "core/workflow_parts.h"

#define VALUE_BYTES_MAX 60 // Of an item, as JSON; what is longer has only its number.

// One step around, and which of its branches.
struct level {
    const struct workflow_step *step;
    uint32_t branch;
    const json_t *item; // Of a for_each; NULL: not known.
};

static int count_bytes(const char *text, size_t size, void *context)
{
    size_t *left = context;
    (void)text;
    if (size > *left) {
        return -1;
    }
    *left -= size;
    return 0;
}

static bool is_short(const json_t *value)
{
    size_t left = VALUE_BYTES_MAX;
    return json_dump_callback(value, count_bytes, &left, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
}

// Those further out come later and stand before it.
static bool add_level(json_t *list, const struct level *level)
{
    const struct workflow_step *step = level->step;
    json_t *json = json_pack("{s:s}", "step", step->name);
    bool is_whole = json != NULL;
    if (is_whole && step->kind == STEP_FOR_EACH) {
        is_whole = json_object_set_new(json, "item", json_integer(level->branch + 1LL)) == 0 &&
                   (level->item == NULL || !is_short(level->item) ||
                    json_object_set_new(json, "value", json_deep_copy(level->item)) == 0);
    } else if (is_whole && level->branch < step->branch_count) {
        const char *name = step->branches[level->branch].name;
        is_whole = name == NULL || json_object_set_new(json, "branch", json_string(name)) == 0;
    }
    if (!is_whole) {
        json_decref(json);
        return false;
    }
    return json_array_insert_new(list, 0, json) == 0;
}

// ---- what an undo list is of --------------------------------------------------------------------

static const json_t *undone_entry(const struct workflow_instance *instance,
                                  const struct workflow_token *root)
{
    bool is_undoing = instance->state == INSTANCE_UNDOING ||
                      (root != NULL && instance->definition->steps[root->step].is_undo);
    return is_undoing ? workflow_undo_last(instance) : NULL;
}

// Numbers of "/0/12".
static uint32_t read_path(const char *path, uint32_t branches[WORKFLOW_DEPTH_MAX])
{
    uint32_t depth = 0;
    while (path != NULL && path[0] == '/' && depth < WORKFLOW_DEPTH_MAX) {
        char *end;
        branches[depth++] = (uint32_t)strtoul(path + 1, &end, 10);
        path = end;
    }
    return depth;
}

// The item is what the branch's scope has: the innermost one's where two have the same name.
static bool add_undone(const struct workflow_instance *instance, const json_t *entry, json_t *list)
{
    const struct workflow_definition *definition = instance->definition;
    const json_t *scope = json_object_get(entry, "scope");
    uint32_t branches[WORKFLOW_DEPTH_MAX], seen = UINT32_MAX;
    uint32_t depth = read_path(json_string_value(json_object_get(entry, "path")), branches);
    json_int_t place = json_integer_value(json_object_get(entry, "step"));
    bool is_whole = true;
    for (; is_whole && depth > 0 && place >= 0 && place < definition->step_count; depth--) {
        place = definition->steps[place].parent;
        if (place >= definition->step_count) {
            break; // It is not ours.
        }
        const struct workflow_step *step = &definition->steps[place];
        bool is_known = step->kind == STEP_FOR_EACH && step->item_variable != seen;
        seen = step->kind == STEP_FOR_EACH ? step->item_variable : seen;
        const char *name = is_known ? definition->variables[step->item_variable] : "";
        const struct level level = {step, branches[depth - 1],
                                    is_known ? json_object_get(scope, name) : NULL};
        is_whole = add_level(list, &level);
    }
    return is_whole;
}

// ---- the interface ------------------------------------------------------------------------------

bool workflow_branch_of(const struct workflow_instance *instance,
                        const struct workflow_token *token, json_t **out_branch)
{
    const struct workflow_token *parent = NULL, *root = token;
    *out_branch = NULL;
    if (token == NULL || (token->parent == 0 && undone_entry(instance, token) == NULL)) {
        return true;
    }
    json_t *list = json_array();
    bool is_whole = list != NULL;
    for (int depth = 0; is_whole && root->parent != 0 && depth < WORKFLOW_DEPTH_MAX; depth++) {
        parent = workflow_token_find(instance, root->parent);
        if (parent == NULL) {
            break;
        }
        const struct level level = {&instance->definition->steps[parent->step], root->branch,
                                    json_array_get(parent->items, root->branch)};
        is_whole = add_level(list, &level);
        root = parent;
    }
    const json_t *entry = undone_entry(instance, root);
    is_whole = is_whole && (entry == NULL || add_undone(instance, entry, list));
    if (!is_whole || json_array_size(list) == 0) {
        json_decref(list);
        return is_whole;
    }
    *out_branch = list;
    return true;
}
