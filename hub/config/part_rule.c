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
    static const char *const keys[] = {"to", NULL};
    struct reader *reader = &builder->reader;
    const char *what = arena_print(reader->arena, "rule %s", node->key->text);
    struct options *options = options_make(builder, rule_options);
    if (what == NULL || options == NULL) {
        options_destroy(options);
        return;
    }
    reader_name(reader, node->key, "rule");
    struct shape shape = {what, {options, NULL}, keys, true};
    reader_options(reader, node, &shape);
    const char *sql = option_text(options, "sql"), *key = option_text(options, "key");
    out_rule->name = node->key->text;
    out_rule->sql = sql == NULL ? NULL : arena_print(reader->arena, "%s", sql);
    out_rule->key = key == NULL ? NULL : arena_print(reader->arena, "%s", key);
    options_destroy(options);
    if (node->kind == NODE_MAPPING) {
        routes_build(builder, node, out_rule);
    }
}

void rules_build(struct builder *builder)
{
    struct core_spec *core = &builder->file->config.core;
    const struct node *section = section_find(builder, "rules");
    if (section == NULL) {
        return;
    }
    if (section->count > CONFIG_RULES_MAX) {
        reader_problem(&builder->reader, section->at, "rules: %u of them; at most %d are possible",
                       section->count, CONFIG_RULES_MAX);
        return;
    }
    struct rule_spec *rules = arena_alloc(builder->file->arena, section->count * sizeof(rules[0]));
    if (rules == NULL) {
        return;
    }
    core->rules = rules;
    for (const struct node *node = section->first; node != NULL; node = node->next) {
        rule_build(builder, node, &rules[core->rule_count++]);
    }
}
