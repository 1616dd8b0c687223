#include "config/parts.h"

const struct option_spec target_common_options[] = {
    {"attempts", OPTION_INT, false, "10", 1, 1000000, NULL,
     "How often a delivery that fails is tried before it becomes a dead letter. A target that is "
     "down costs no attempt."},
    {"backoff_min", OPTION_DURATION, false, "500 ms", 1, 3600000, NULL,
     "The first pause after a failed attempt; it doubles with each, with jitter."},
    {"backoff_max", OPTION_DURATION, false, "1 min", 1, 86400000, NULL,
     "The longest pause between two attempts."},
    {NULL},
};

// One is enough: more would be two targets.
static const struct node *connector_node(struct builder *builder, const struct node *node,
                                         const char *what)
{
    struct reader *reader = &builder->reader;
    const struct node *found = NULL;
    const struct node *member = node->kind == NODE_MAPPING ? node->first : NULL;
    for (; member != NULL; member = member->next) {
        if (connector_find(member->key->text) == NULL) {
            continue;
        }
        if (found != NULL) {
            reader_problem(reader, member->key->at,
                           "%s: '%s' besides '%s'; one target is one connector", what,
                           member->key->text, found->key->text);
        } else {
            found = member;
        }
    }
    return found;
}

// An unknown key has been reported; that nothing else says where to is then no second fault.
static bool has_unknown_key(const struct node *node)
{
    const struct node *member = node->kind == NODE_MAPPING ? node->first : NULL;
    while (member != NULL && option_find(target_common_options, member->key->text) != NULL) {
        member = member->next;
    }
    return member != NULL;
}

// NULL-terminated, in the arena.
static const char *const *connector_names(struct arena *arena)
{
    size_t count = 0;
    while (connector_types[count] != NULL) {
        count++;
    }
    const char **names = arena_alloc(arena, (count + 1) * sizeof(names[0]));
    for (size_t i = 0; names != NULL && i < count; i++) {
        names[i] = connector_types[i]->name;
    }
    return names;
}

static void common_build(struct builder *builder, const struct node *node, const char *what,
                         struct target_spec *out_spec)
{
    struct reader *reader = &builder->reader;
    struct options *options = options_make(builder, target_common_options);
    const char *const *names = connector_names(reader->arena);
    if (options == NULL || names == NULL) {
        options_destroy(options);
        return;
    }
    struct shape shape = {.what = what, .options = {options, NULL}, .others = names};
    reader_options(reader, node, &shape);
    out_spec->attempts_max = (uint32_t)option_int(options, "attempts");
    out_spec->backoff_min_ms = option_int(options, "backoff_min");
    out_spec->backoff_max_ms = option_int(options, "backoff_max");
    if (out_spec->backoff_min_ms > out_spec->backoff_max_ms) {
        const struct node *low = node_get(node, "backoff_min");
        const struct node *at = low != NULL ? low : node_get(node, "backoff_max");
        reader_problem(reader, at->at, "%s: backoff_min (%s) is longer than backoff_max (%s)", what,
                       option_text(options, "backoff_min"), option_text(options, "backoff_max"));
    }
    options_destroy(options);
}

static void target_build(struct builder *builder, const struct node *node,
                         struct config_target *out_target, struct target_spec *out_spec)
{
    struct reader *reader = &builder->reader;
    const char *what = arena_print(reader->arena, "target %s", node->key->text);
    out_target->name = out_spec->name = node->key->text;
    reader_name(reader, node->key, "target");
    if (strcmp(node->key->text, TARGET_RULES) == 0) {
        reader_problem(reader, node->key->at,
                       "target rules: the name is taken: a route to 'rules' leads to other rules");
    }
    if (what == NULL) {
        return;
    }
    common_build(builder, node, what, out_spec);
    const struct node *connector = connector_node(builder, node, what);
    if (connector == NULL) {
        const char *const *names = connector_names(reader->arena);
        const char *hint = names == NULL ? NULL : reader_hint(reader, "", names);
        bool is_empty = node_is_empty(node);
        if ((node->kind == NODE_MAPPING || is_empty) && !has_unknown_key(node)) {
            reader_problem(reader, is_empty ? node->key->at : node->at,
                           "%s: does not say where to%s", what, hint ? hint : "");
        }
        return;
    }
    struct options *options = NULL;
    out_target->type = connector_find(connector->key->text);
    out_target->options = options = options_make(builder, out_target->type->options);
    out_spec->is_url = out_target->type->is_url;
    const char *inner = arena_print(reader->arena, "%s: %s", what, connector->key->text);
    if (options == NULL || inner == NULL) {
        return;
    }
    struct shape shape = {.what = inner, .options = {options, NULL}};
    reader_options(reader, connector, &shape);
}

void targets_build(struct builder *builder)
{
    struct config *config = &builder->file->config;
    const struct node *section = section_find(builder, "targets");
    if (section == NULL) {
        return;
    }
    struct config_target *targets =
        arena_alloc(builder->file->arena, section->count * sizeof(targets[0]));
    struct target_spec *specs =
        arena_alloc(builder->file->arena, section->count * sizeof(specs[0]));
    if (targets == NULL || specs == NULL) {
        return;
    }
    config->targets = targets;
    config->core.targets = specs;
    uint32_t count = 0;
    for (const struct node *node = section->first; node != NULL; node = node->next, count++) {
        target_build(builder, node, &targets[count], &specs[count]);
    }
    config->target_count = config->core.target_count = count;
}
