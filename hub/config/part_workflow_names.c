// part_workflow_names.c - names that steps use of each other, of rules and of other workflows.
#include <inttypes.h>
#include <string.h>

#include "config/part_workflow.h"

void workflow_use_add(struct workflow_part *part, struct workflow_use **list,
                      const struct node *node, const char *what)
{
    struct workflow_use *use = arena_alloc(part->builder->file->arena, sizeof(*use));
    if (use != NULL) {
        *use = (struct workflow_use){node, what, NULL};
        while (*list != NULL) { // In the order of the file; WORKFLOW_STEPS_MAX of them.
            list = &(*list)->next;
        }
        *list = use;
    }
}

static const struct workflow_use *use_find(const struct workflow_use *list, const char *name,
                                           const struct workflow_use *end)
{
    for (; list != end; list = list->next) {
        if (strcmp(list->node->text, name) == 0) {
            return list;
        }
    }
    return NULL;
}

static const char *const *step_names(struct workflow_part *part)
{
    const char **names =
        arena_alloc(part->builder->file->arena, (part->step_count + 1) * sizeof(names[0]));
    uint32_t count = 0;
    for (const struct workflow_use *use = part->steps; names != NULL && use != NULL;
         use = use->next) {
        names[count++] = use->node->text;
    }
    return names;
}

static void check_steps(struct workflow_part *part)
{
    for (const struct workflow_use *use = part->steps; use != NULL; use = use->next) {
        const struct workflow_use *first = use_find(part->steps, use->node->text, use);
        if (first != NULL) {
            reader_problem(&part->builder->reader, use->node->at,
                           "%s: step %s is already there on line %" PRIu32 ", column %" PRIu32
                           "; names are for all steps of the workflow",
                           part->what, use->node->text, first->node->at.line,
                           first->node->at.column);
        }
    }
}

static void check_gotos(struct workflow_part *part)
{
    const char *const *names = part->gotos == NULL ? NULL : step_names(part);
    for (const struct workflow_use *use = part->gotos; names != NULL && use != NULL;
         use = use->next) {
        const struct node *node = use->node;
        if (node->kind != NODE_TEXT || node_is_empty(node) ||
            use_find(part->steps, node->text, NULL) != NULL) {
            continue;
        }
        const char *hint = reader_hint(&part->builder->reader, node->text, names);
        reader_problem(&part->builder->reader, node->at, "%s: goto: there is no step '%.80s'%s",
                       use->what, node->text, hint == NULL ? "" : hint);
    }
}

void workflow_names_check(struct workflow_part *part)
{
    check_steps(part);
    check_gotos(part);
}

// The keys of a section, NULL-terminated, in the arena; NULL without memory.
static const char *const *section_names(struct builder *builder, const char *section)
{
    const struct node *node = node_get(document_root(builder->file->document), section);
    uint32_t room = node == NULL || node->kind != NODE_MAPPING ? 0 : node->count, count = 0;
    const char **names = arena_alloc(builder->file->arena, (room + 1) * sizeof(names[0]));
    const struct node *member = room == 0 ? NULL : node->first;
    for (; names != NULL && member != NULL; member = member->next) {
        names[count++] = member->key->text;
    }
    return names;
}

bool workflow_name_check(struct workflow_part *part, const struct node *node, const char *section,
                         const char *what)
{
    struct builder *builder = part->builder;
    const struct node *items = node_get(document_root(builder->file->document), section);
    if (items != NULL && node_get(items, node->text) != NULL) {
        return true;
    }
    const char *const *names = section_names(builder, section);
    const char *hint = names == NULL ? NULL : reader_hint(&builder->reader, node->text, names);
    reader_problem(&builder->reader, node->at, "%s: there is no %.*s '%.80s'%s", what,
                   (int)strlen(section) - 1, section, node->text, hint == NULL ? "" : hint);
    return false;
}
