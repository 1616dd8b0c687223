// part_workflow_events.c - the events that a workflow starts by or awaits: those of a topic filter,
// or the rows of a rule.
#include <string.h>

#include "config/part_workflow.h"
#include "core/topic.h"

// Its rows have a topic of their own: see RULE_TOPIC.
static void rule_put(struct workflow_step_part *step, const struct node *rule)
{
    struct arena *arena = step->part->builder->file->arena;
    json_object_del(step->json, "rule");
    if (rule->kind != NODE_TEXT || node_is_empty(rule) ||
        !workflow_name_check(step->part, rule, "rules", step->inner_what)) {
        return;
    }
    const char *topic = arena_print(arena, RULE_TOPIC "%s", rule->text);
    workflow_put(step->part, step->json, "from", json_string(topic == NULL ? "" : topic));
    workflow_map_add(step->part->map, workflow_path(arena, step->path, "from"), rule, 0);
}

static void filter_check(struct workflow_step_part *step, const struct node *from)
{
    struct reader *reader = &step->part->builder->reader;
    bool is_text = from->kind == NODE_TEXT && !node_is_empty(from);
    const char *problem = is_text ? topic_filter_problem(bytes_from_text(from->text)) : NULL;
    if (problem != NULL) {
        reader_problem(reader, from->at, "%s: from: topic filter \"%.80s\" %s", step->inner_what,
                       from->text, problem);
    } else if (is_text && strncmp(from->text, RULE_TOPIC, strlen(RULE_TOPIC)) == 0) {
        reader_problem(reader, from->at, "%s: from: for the rows of a rule write rule: %.80s",
                       step->inner_what, from->text + strlen(RULE_TOPIC));
    }
}

// Then the key that is unknown, or beside it, is the fault.
static bool is_told(const struct workflow_step_part *step)
{
    static const char *const names[] = {"from",  "rule", "where",   "key",
                                        "match", "keep", "running", NULL};
    const struct shape shape = {.what = step->inner_what, .others = names};
    return node_get(step->node, "from") != NULL || node_get(step->node, "rule") != NULL ||
           reader_is_misspelt(step->inner, &shape, "from") ||
           reader_is_misspelt(step->inner, &shape, "rule");
}

void workflow_events_build(struct workflow_step_part *step)
{
    const struct node *from = node_get(step->inner, "from"), *rule = node_get(step->inner, "rule");
    if (from == NULL && rule == NULL && is_told(step)) {
        return;
    }
    if ((from == NULL) == (rule == NULL)) {
        reader_problem(&step->part->builder->reader, rule == NULL ? step->inner->at : rule->key->at,
                       "%s: which events? Those of a topic filter, 'from', or the rows of a "
                       "'rule'%s",
                       step->inner_what, rule == NULL ? "" : ", not both");
    } else if (rule != NULL) {
        rule_put(step, rule);
    } else {
        filter_check(step, from);
    }
}

// ---- which rules they are -----------------------------------------------------------------------

// Of a `start` or an `await`; as deep as a document: DOCUMENT_DEPTH_MAX.
static void gather(struct builder *builder, const struct node *node)
{
    for (const struct node *member = node->first; member != NULL; member = member->next) {
        bool hears = member->key != NULL && (strcmp(member->key->text, "start") == 0 ||
                                             strcmp(member->key->text, "await") == 0);
        const struct node *rule = hears ? node_get(member, "rule") : NULL;
        struct rule_use *use = rule == NULL || rule->kind != NODE_TEXT
                                   ? NULL
                                   : arena_alloc(builder->file->arena, sizeof(*use));
        if (use != NULL) {
            *use = (struct rule_use){rule->text, builder->rule_uses};
            builder->rule_uses = use;
        }
        gather(builder, member);
    }
}

bool workflows_hear_rule(struct builder *builder, const char *rule)
{
    const struct node *section = node_get(document_root(builder->file->document), "workflows");
    if (!builder->has_rule_uses && section != NULL) {
        gather(builder, section);
    }
    builder->has_rule_uses = true;
    for (const struct rule_use *use = builder->rule_uses; use != NULL; use = use->next) {
        if (strcmp(use->rule, rule) == 0) {
            return true;
        }
    }
    return false;
}
