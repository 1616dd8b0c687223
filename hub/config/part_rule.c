#include <string.h>

#include "config/parts.h"

const struct option_spec rule_options[] = {
    {"sql", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "The SELECT over one or more topic filters. Each row it gives goes to every route in `to`."},
    {"key", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Column (of the result, else of the event) whose value orders deliveries: those of one target "
     "with the same key arrive in the order of their events. Usually `device`."},
    {NULL},
};

static void rule_build(struct builder *builder, const struct node *node, struct rule_spec *out_rule)
{
    static const char *const keys[] = {"to", "else", "late", "window", NULL};
    struct reader *reader = &builder->reader;
    const char *what = arena_print(reader->arena, "rule %s", node->key->text);
    struct options *options = options_make(builder, rule_options);
    if (what == NULL || options == NULL) {
        options_destroy(options);
        return;
    }
    reader_name(reader, node->key, "rule");
    if (strcmp(node->key->text, "workflow") == 0) { // Its branches would be called like workflows.
        reader_problem(reader, node->key->at,
                       "rule workflow: the name is taken: what workflows send goes by it");
    }
    struct shape shape = {what, {options, NULL}, keys, true, NULL, NULL};
    reader_options(reader, node, &shape);
    const char *sql = option_text(options, "sql"), *key = option_text(options, "key");
    out_rule->name = node->key->text;
    out_rule->sql = sql == NULL ? NULL : arena_print(reader->arena, "%s", sql);
    out_rule->key = key == NULL ? NULL : arena_print(reader->arena, "%s", key);
    options_destroy(options);
    window_build(builder, node, what, &out_rule->window);
    if (node->kind == NODE_MAPPING) {
        routes_build(builder, node, "to", out_rule);
    }
}

// What `else` and `late` of a rule make: rules of their own, right behind it.
static const struct {
    const char *name;
    enum branch branch;
} branches[] = {{"else", BRANCH_ELSE}, {"late", BRANCH_LATE}};

#define BRANCHES (sizeof(branches) / sizeof(branches[0]))

// A rule with a window gives its rows for windows, not for events; without one nothing is late.
// A faulty window is told by itself.
static void branch_check(struct builder *builder, const struct node *rule, const struct node *list,
                         const struct rule_spec *branch, const struct rule_spec *parent)
{
    bool has_window = node_get(rule, "window") != NULL;
    if (branch->branch == BRANCH_ELSE && has_window) {
        reader_problem(&builder->reader, list->key->at,
                       "rule %s: 'else' is for rules without a window; write another rule with the "
                       "opposite condition",
                       parent->name);
    } else if (branch->branch == BRANCH_LATE && !has_window) {
        reader_problem(&builder->reader, list->key->at,
                       "rule %s: 'late' needs a 'window' to be late for", parent->name);
    }
}

static void branches_build(struct builder *builder, const struct node *node, uint32_t parent)
{
    struct core_spec *core = &builder->file->config.core;
    struct rule_spec *rules = (struct rule_spec *)core->rules; // Of the arena, and being built.
    for (size_t i = 0; i < BRANCHES; i++) {
        if (node->kind != NODE_MAPPING || node_get(node, branches[i].name) == NULL) {
            continue;
        }
        struct rule_spec *branch = &rules[core->rule_count++];
        branch->branch = branches[i].branch;
        branch->parent = parent;
        branch->key = rules[parent].key;
        branch->name =
            arena_print(builder->file->arena, "%s/%s", node->key->text, branches[i].name);
        if (branch->name == NULL) {
            core->rule_count--;
            continue;
        }
        branch_check(builder, node, node_get(node, branches[i].name), branch, &rules[parent]);
        routes_build(builder, node, branches[i].name, branch);
    }
}

static uint32_t count_rules(const struct node *section)
{
    uint32_t count = section->count;
    for (const struct node *node = section->first; node != NULL; node = node->next) {
        for (size_t i = 0; i < BRANCHES; i++) {
            count += node->kind == NODE_MAPPING && node_get(node, branches[i].name) != NULL;
        }
    }
    return count;
}

void rules_build(struct builder *builder)
{
    struct core_spec *core = &builder->file->config.core;
    const struct node *section = section_find(builder, "rules");
    if (section == NULL) {
        return;
    }
    uint32_t count = count_rules(section);
    if (count > CONFIG_RULES_MAX) {
        reader_problem(&builder->reader, section->at,
                       "rules: %u of them with their else and late lists; at most %d are possible",
                       count, CONFIG_RULES_MAX);
        return;
    }
    struct rule_spec *rules = arena_alloc(builder->file->arena, count * sizeof(rules[0]));
    if (rules == NULL) {
        return;
    }
    core->rules = rules;
    for (const struct node *node = section->first; node != NULL; node = node->next) {
        uint32_t index = core->rule_count++;
        rule_build(builder, node, &rules[index]);
        branches_build(builder, node, index);
    }
}
