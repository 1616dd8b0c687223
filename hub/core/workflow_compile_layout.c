// workflow_compile_layout.c - the steps of all lists in one row, each with the places where the
// flow goes on, and the variables that they name.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/workflow_compile_parts.h"

// A list of steps, and where it stands.
struct list {
    const json_t *steps;
    const char *path;
    workflow_place after, catch, parent, of;
    uint32_t lane, depth;
    bool is_undo;
};

static enum err lay_list(struct compiler *compiler, const struct list *list,
                         workflow_place *out_first);

static enum err fault(struct compiler *compiler, const struct workflow_step *step,
                      const char *member, const char *sentence)
{
    error_set(compiler->e, ERR_CONFIG, "%s", sentence);
    return compile_fault(compiler, step->path, member, NULL);
}

// ---- variables ----------------------------------------------------------------------------------

// ERR_CONFIG: the caller says where.
static enum err check_variable(struct compiler *compiler, const char *name)
{
    static const char *const reserved[] = {"key",     "workflow", "instance",
                                           "started", "error",    "reason"};
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (strcasecmp(reserved[i], name) == 0) {
            return error_set(compiler->e, ERR_CONFIG,
                             "a variable cannot be called \"%s\": my.%s is what the hub says of "
                             "the instance",
                             name, reserved[i]);
        }
    }
    if (compiler->definition->variable_count == WORKFLOW_VARIABLES_MAX) {
        return error_set(compiler->e, ERR_CONFIG, "there are more than %d variables",
                         WORKFLOW_VARIABLES_MAX);
    }
    if (strchr(name, '"') != NULL) {
        return error_set(compiler->e, ERR_CONFIG,
                         "the name \"%.100s\" holds a double quote, which ends a name in SQL",
                         name);
    }
    return compile_check_name(compiler, name, "", NULL);
}

static enum err add_variable(struct compiler *compiler, const char *name)
{
    struct workflow_definition *definition = compiler->definition;
    uint32_t known = workflow_variable_find(definition, name);
    if (known == UINT32_MAX) {
        enum err rc = check_variable(compiler, name);
        if (rc == ERR_OK) {
            compiler->variables[definition->variable_count++] = name;
        }
        return rc;
    }
    return strcmp(definition->variables[known], name) == 0
               ? ERR_OK
               : error_set(compiler->e, ERR_CONFIG,
                           "the variables \"%.100s\" and \"%.100s\" are one in SQL, where case "
                           "does not matter",
                           definition->variables[known], name);
}

static enum err add_variables(struct compiler *compiler, const json_t *object, const char *path,
                              const char *member)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(object, member), name, value)
    {
        if (add_variable(compiler, name) != ERR_OK) {
            return compile_fault(compiler, path, member, name);
        }
    }
    return ERR_OK;
}

// ---- lists within a step ------------------------------------------------------------------------

static char *path_of(struct compiler *compiler, const char *path, const char *member,
                     const char *item)
{
    char text[WORKFLOW_PATH_MAX];
    compile_join(text, path, member, item);
    char *copy = compile_take(compiler, strlen(text) + 1, 1);
    if (copy != NULL) {
        memcpy(copy, text, strlen(text) + 1);
    }
    return copy;
}

// A list of the step at `of`: the same branch, unless it is told otherwise.
static struct list list_within(const struct compiler *compiler, const struct list *outer,
                               workflow_place of, const json_t *steps)
{
    const struct workflow_step *step = &compiler->definition->steps[of];
    return (struct list){.steps = steps,
                         .after = step->next,
                         .catch = step->catch,
                         .parent = outer->parent,
                         .of = of,
                         .lane = outer->lane,
                         .depth = outer->depth + 1,
                         .is_undo = outer->is_undo};
}

static enum err lay_member(struct compiler *compiler, struct list *list, const char *member,
                           const char *item, workflow_place *out_first)
{
    const char *path = compiler->definition->steps[list->of].path;
    list->path = path_of(compiler, path, member, item);
    return list->path == NULL ? compile_no_memory(compiler) : lay_list(compiler, list, out_first);
}

static enum err lay_on_error(struct compiler *compiler, const struct list *outer,
                             workflow_place index)
{
    struct workflow_step *step = &compiler->definition->steps[index];
    const json_t *steps = json_object_get(compiler->texts[index], "on_error");
    if (steps == NULL) {
        return ERR_OK;
    }
    struct list list = list_within(compiler, outer, index, steps);
    list.catch = outer->catch;
    return lay_member(compiler, &list, "on_error", NULL, &step->catch);
}

static enum err lay_undo(struct compiler *compiler, const struct list *outer, workflow_place index)
{
    struct workflow_step *step = &compiler->definition->steps[index];
    const json_t *steps = json_object_get(compiler->texts[index], "undo");
    if (steps == NULL || json_array_size(steps) == 0) {
        return ERR_OK;
    }
    if (outer->is_undo) {
        return fault(compiler, step, "undo", "what undoes a step has no undo itself");
    }
    struct list list = list_within(compiler, outer, index, steps);
    list.after = PLACE_UNDONE;
    list.catch = PLACE_FAIL;
    list.parent = PLACE_NONE;
    list.lane = ++compiler->lane_count;
    list.is_undo = true;
    return lay_member(compiler, &list, "undo", NULL, &step->undo);
}

static bool is_fork(const struct workflow_step *step)
{
    return step->kind == STEP_PARALLEL || step->kind == STEP_FOR_EACH;
}

static enum err lay_branch(struct compiler *compiler, const struct list *outer,
                           workflow_place index, const char *member, const char *item)
{
    struct workflow_step *step = &compiler->definition->steps[index];
    const json_t *steps = json_object_get(compiler->texts[index], member);
    steps = item == NULL ? steps : json_object_get(steps, item);
    struct workflow_branch *branch = &step->branches[step->branch_count++];
    struct list list = list_within(compiler, outer, index, steps);
    branch->name = item;
    if (is_fork(step)) {
        list.after = list.catch = PLACE_JOIN;
        list.parent = index;
        list.lane = ++compiler->lane_count;
        if (json_array_size(steps) == 0) {
            return fault(compiler, step, member, "there is no step in it");
        }
    }
    branch->first = list.after;
    return steps == NULL ? ERR_OK : lay_member(compiler, &list, member, item, &branch->first);
}

static enum err lay_each(struct compiler *compiler, const struct list *outer, workflow_place index,
                         const char *member)
{
    enum err rc = ERR_OK;
    const char *name;
    json_t *steps;
    json_object_foreach(json_object_get(compiler->texts[index], member), name, steps)
    {
        rc = rc == ERR_OK ? lay_branch(compiler, outer, index, member, name) : rc;
    }
    return rc;
}

static enum err lay_branches(struct compiler *compiler, const struct list *outer,
                             workflow_place index)
{
    struct workflow_step *step = &compiler->definition->steps[index];
    const json_t *text = compiler->texts[index];
    size_t items = json_object_size(json_object_get(text, "cases")) +
                   json_object_size(json_object_get(text, "branches"));
    if (step->kind != STEP_IF && step->kind != STEP_SWITCH && !is_fork(step)) {
        return ERR_OK;
    }
    step->branches = compile_take(compiler, items + 2, sizeof(step->branches[0]));
    if (step->branches == NULL) {
        return compile_no_memory(compiler);
    }
    if (step->kind == STEP_IF) {
        enum err rc = lay_branch(compiler, outer, index, "then", NULL);
        return rc == ERR_OK ? lay_branch(compiler, outer, index, "else", NULL) : rc;
    }
    if (step->kind == STEP_FOR_EACH) {
        return lay_branch(compiler, outer, index, "steps", NULL);
    }
    if (items == 0) {
        const char *member = step->kind == STEP_SWITCH ? "cases" : "branches";
        return fault(compiler, step, member, "there is none of them");
    }
    enum err rc =
        lay_each(compiler, outer, index, step->kind == STEP_SWITCH ? "cases" : "branches");
    return rc == ERR_OK && step->kind == STEP_SWITCH
               ? lay_branch(compiler, outer, index, "default", NULL)
               : rc;
}

// ---- a list -------------------------------------------------------------------------------------

static enum err take_names(struct compiler *compiler, const struct workflow_step *step,
                           const json_t *text)
{
    enum err rc = add_variables(compiler, text, step->path, "take");
    if (rc == ERR_OK && step->kind == STEP_SET) {
        rc = add_variables(compiler, text, step->path, "set");
    }
    if (rc == ERR_OK && step->kind == STEP_FOR_EACH) {
        rc = add_variable(compiler, member_text(text, "as"));
        rc = rc == ERR_OK ? ERR_OK : compile_fault(compiler, step->path, "as", NULL);
    }
    return rc;
}

static enum err check_unique(struct compiler *compiler, workflow_place index)
{
    const struct workflow_step *step = &compiler->definition->steps[index];
    workflow_place other = workflow_step_find(compiler->definition, step->name);
    if (other == index) {
        return ERR_OK;
    }
    error_set(compiler->e, ERR_CONFIG, "there are two steps called \"%s\"", step->name);
    return compile_fault(compiler, step->path, "name", NULL);
}

static enum err lay_step(struct compiler *compiler, const struct list *list, size_t position,
                         workflow_place index)
{
    struct workflow_step *step = &compiler->definition->steps[index];
    const json_t *text = json_array_get(list->steps, position);
    char place[16];
    snprintf(place, sizeof(place), "%zu", position);
    step->path = path_of(compiler, list->path, place, NULL);
    if (step->path == NULL) {
        return compile_no_memory(compiler);
    }
    enum err rc = compile_check_step(compiler, text, step->path, &step->kind);
    if (rc != ERR_OK) {
        return rc;
    }
    compiler->texts[index] = json_array_get(list->steps, position);
    compiler->lanes[index] = list->lane;
    step->name = member_text(text, "name");
    step->next = position + 1 < json_array_size(list->steps) ? index + 1 : list->after;
    step->catch = list->catch;
    step->undo = PLACE_NONE;
    step->parent = list->parent;
    step->of = list->of;
    step->is_undo = list->is_undo;
    rc = compile_check_name(compiler, step->name, step->path, "name");
    rc = rc == ERR_OK ? check_unique(compiler, index) : rc;
    return rc == ERR_OK ? take_names(compiler, step, text) : rc;
}

static enum err lay_inner(struct compiler *compiler, const struct list *list, workflow_place index)
{
    enum err rc = lay_on_error(compiler, list, index);
    rc = rc == ERR_OK ? lay_branches(compiler, list, index) : rc;
    return rc == ERR_OK ? lay_undo(compiler, list, index) : rc;
}

// Its steps stand one behind the other, those within them behind all of these.
static enum err lay_list(struct compiler *compiler, const struct list *list,
                         workflow_place *out_first)
{
    struct workflow_definition *definition = compiler->definition;
    uint32_t count = (uint32_t)json_array_size(list->steps);
    workflow_place first = definition->step_count;
    if (list->depth > WORKFLOW_DEPTH_MAX) {
        error_set(compiler->e, ERR_CONFIG, "steps stand within steps more than %d deep",
                  WORKFLOW_DEPTH_MAX);
        return compile_fault(compiler, list->path, NULL, NULL);
    }
    if (json_array_size(list->steps) > WORKFLOW_STEPS_MAX - first) {
        error_set(compiler->e, ERR_CONFIG, "there are more than %d steps", WORKFLOW_STEPS_MAX);
        return compile_fault(compiler, list->path, NULL, NULL);
    }
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        definition->step_count++;
        rc = lay_step(compiler, list, i, first + i);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        rc = lay_inner(compiler, list, first + i);
    }
    if (rc == ERR_OK) {
        *out_first = count == 0 ? list->after : first;
    }
    return rc;
}

// ---- gotos --------------------------------------------------------------------------------------

static enum err lead_goto(struct compiler *compiler, workflow_place index)
{
    struct workflow_step *step = &compiler->definition->steps[index];
    const char *name = member_text(compiler->texts[index], "step");
    workflow_place to = workflow_step_find(compiler->definition, name);
    if (to == PLACE_NONE) {
        error_set(compiler->e, ERR_CONFIG, "there is no step \"%.100s\"", name);
        return compile_fault(compiler, step->path, "step", NULL);
    }
    if (compiler->lanes[to] != compiler->lanes[index]) {
        error_set(compiler->e, ERR_CONFIG,
                  "step \"%s\" is in another branch or undo, into which no goto can lead", name);
        return compile_fault(compiler, step->path, "step", NULL);
    }
    step->next = to;
    return ERR_OK;
}

static enum err lead_all(struct compiler *compiler)
{
    struct workflow_definition *definition = compiler->definition;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < definition->step_count; i++) {
        struct workflow_step *step = &definition->steps[i];
        if (step->kind == STEP_GOTO) {
            rc = lead_goto(compiler, i);
        } else if (step->kind == STEP_END) {
            step->next = PLACE_END;
        } else if (step->kind == STEP_FAIL) {
            step->next = PLACE_NONE;
        }
        if (step->kind == STEP_END && step->is_undo) {
            rc = fault(compiler, step, NULL, "end cannot stand in an undo");
        }
    }
    return rc;
}

enum err compile_layout(struct compiler *compiler)
{
    const json_t *text = compiler->program->text;
    const struct list list = {.steps = json_object_get(text, "steps"),
                              .path = "/steps",
                              .after = PLACE_END,
                              .catch = PLACE_FAIL,
                              .parent = PLACE_NONE,
                              .of = PLACE_NONE,
                              .depth = 1};
    workflow_place first;
    if (json_array_size(list.steps) == 0) {
        error_set(compiler->e, ERR_CONFIG, "there is no step");
        return compile_fault(compiler, list.path, NULL, NULL);
    }
    enum err rc = add_variables(compiler, text, "", "variables");
    rc = rc == ERR_OK ? lay_list(compiler, &list, &first) : rc;
    return rc == ERR_OK ? lead_all(compiler) : rc;
}
