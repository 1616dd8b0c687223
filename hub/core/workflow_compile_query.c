// workflow_compile_query.c - queries put together from the members of a step.
#include <string.h>

#include "core/workflow_compile_parts.h"

void draft_init(struct query_draft *draft, struct compiler *compiler, const char *path,
                enum query_over over)
{
    draft->compiler = compiler;
    draft->path = path;
    draft->spec = (struct query_spec){.over = over,
                                      .variables = compiler->definition->variables,
                                      .variable_count = compiler->definition->variable_count,
                                      .parts = draft->parts};
}

static void add(struct query_draft *draft, const struct query_part *part, const char *member,
                const char *item)
{
    uint32_t count = draft->spec.part_count;
    if (count < WORKFLOW_PARTS_MAX) {
        draft->parts[count] = *part;
        draft->places[count].member = member;
        draft->places[count].item = item;
    }
    draft->spec.part_count++; // Too many are found out when it is compiled.
}

void draft_add_part(struct query_draft *draft, const struct query_part *part, const char *member)
{
    add(draft, part, member, NULL);
}

void draft_add(struct query_draft *draft, const json_t *object, const char *member,
               bool is_template)
{
    const struct query_part part = {
        .name = member, .text = member_text(object, member), .is_template = is_template};
    if (part.text != NULL) {
        add(draft, &part, member, NULL);
    }
}

void draft_add_each(struct query_draft *draft, const json_t *object, const char *member,
                    bool is_template)
{
    const char *name;
    json_t *text;
    json_object_foreach(json_object_get(object, member), name, text)
    {
        const struct query_part part = {
            .name = name, .text = json_string_value(text), .is_template = is_template};
        add(draft, &part, member, name);
    }
}

enum err draft_compile(struct query_draft *draft, struct workflow_query **out_query)
{
    struct compiler *compiler = draft->compiler;
    uint32_t part = 0;
    if (draft->spec.part_count > WORKFLOW_PARTS_MAX) {
        error_set(compiler->e, ERR_CONFIG, "there are more than %d expressions in it",
                  WORKFLOW_PARTS_MAX);
        return compile_fault(compiler, draft->path, draft->places[0].member, NULL);
    }
    if (draft->spec.part_count == 0 && draft->spec.where == NULL) {
        return ERR_OK;
    }
    draft->places[draft->spec.part_count].member = "where";
    draft->places[draft->spec.part_count].item = NULL;
    enum err rc =
        workflow_query_create(out_query, compiler->space, &draft->spec, &part, compiler->e);
    return rc == ERR_CONFIG ? compile_fault(compiler, draft->path, draft->places[part].member,
                                            draft->places[part].item)
                            : rc;
}
