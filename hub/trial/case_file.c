#include "trial/case_file.h"

#include <jansson.h>
#include <stdlib.h>

#include "config/parts.h"
#include "trial/case_parts.h"

const struct option_spec case_options[] = {
    {"at", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The clock at the start: `2026-01-01T10:00:00Z`, or milliseconds since 1970. Without it "
     "2026-01-01T00:00:00Z."},
    {"rule", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Only this rule sees the events, and what it feeds. Without it all do."},
    {"order", OPTION_ENUM, false, "target", 0, 0, "target|any",
     "target: what goes to one target comes in the order of `expect`. any: in any order."},
    {NULL},
};

struct loaded {
    struct case_file file; // First: the public part.
    struct document *document;
    struct arena *arena;
    char *folder;
    json_t *kept, *sequences;
};

struct options *case_options_make(struct case_builder *builder, const struct option_spec *table)
{
    struct options *options = options_create(table);
    builder->is_out_of_memory = builder->is_out_of_memory || options == NULL;
    return options;
}

void *case_alloc(struct case_builder *builder, size_t count, size_t size_bytes)
{
    return arena_alloc(builder->reader.arena, count == 0 ? 1 : count * size_bytes);
}

const char *case_text(struct case_builder *builder, const struct options *options, const char *name)
{
    const char *text = option_text(options, name);
    return text == NULL ? NULL : arena_text(builder->reader.arena, text, strlen(text));
}

bool case_instant(struct case_builder *builder, const struct node *node,
                  const struct options *options, const char *name, int64_t *out_ms)
{
    const struct node *member = node_get(node, name);
    if (member == NULL || option_text(options, name) == NULL) {
        return false;
    }
    if (value_instant(option_text(options, name), out_ms)) {
        return true;
    }
    reader_problem(&builder->reader, member->at,
                   "%s: '%.80s' is no instant; write 2026-01-01T10:00:00Z, or milliseconds since "
                   "1970",
                   name, option_text(options, name));
    return false;
}

const char *const *case_pairs(struct case_builder *builder, const struct node *node,
                              const char *what, case_number n, uint32_t *out_count)
{
    if (!reader_mapping(&builder->reader, node, what, false)) {
        return NULL;
    }
    const char **pairs = case_alloc(builder, node->count * 2 + 1, sizeof(pairs[0]));
    uint32_t count = 0;
    for (const struct node *member = node->first; pairs != NULL && member != NULL;
         member = member->next) {
        const char *value = reader_text(&builder->reader, member, what);
        if (value != NULL) {
            pairs[count * 2] = member->key->text;
            pairs[count++ * 2 + 1] = value_numbered(builder->reader.arena, value, n);
        }
    }
    *out_count = count;
    return pairs;
}

const struct node *case_one_of(struct case_builder *builder, const struct node *node,
                               const char *what, const char *const *keys)
{
    const struct node *found = NULL;
    for (size_t i = 0; keys[i] != NULL; i++) {
        const struct node *member = node_get(node, keys[i]);
        if (member != NULL && found != NULL) {
            reader_problem(&builder->reader, member->key->at, "%s: '%s' and '%s'; only one can be",
                           what, found->key->text, keys[i]);
        }
        found = member != NULL ? member : found;
    }
    return found;
}

json_t *case_keep_json(struct case_builder *builder, json_t *take_json)
{
    if (take_json == NULL || json_array_append_new(builder->kept, take_json) != 0) {
        builder->is_out_of_memory = true;
        return NULL;
    }
    return take_json;
}

bool case_target(struct case_builder *builder, const char *what, const struct node *key,
                 uint32_t *out_target)
{
    const struct config *config = builder->config;
    const char **names = case_alloc(builder, config->target_count + 1, sizeof(names[0]));
    for (uint32_t i = 0; names != NULL && i < config->target_count; i++) {
        names[i] = config->targets[i].name;
        if (strcmp(names[i], key->text) == 0) {
            *out_target = i;
            return true;
        }
    }
    if (names != NULL) {
        reader_problem(&builder->reader, key->at, "%s: there is no target '%.80s'%s", what,
                       key->text, reader_hint(&builder->reader, key->text, names));
    }
    return false;
}

static bool has_rule(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->core.rule_count; i++) {
        const struct rule_spec *rule = &config->core.rules[i];
        if (rule->branch == BRANCH_MAIN && strcmp(rule->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_rule(struct case_builder *builder, const struct node *node, const char *name)
{
    const struct config *config = builder->config;
    const char **names = case_alloc(builder, config->core.rule_count + 1, sizeof(names[0]));
    if (names == NULL || has_rule(config, name)) {
        return;
    }
    for (uint32_t i = 0; i < config->core.rule_count; i++) {
        names[i] = config->core.rules[i].name;
    }
    reader_problem(&builder->reader, node->at, "there is no rule '%.80s'%s", name,
                   reader_hint(&builder->reader, name, names));
}

static const char *const case_keys[] = {"events",  "expect",  "rejected",  "books",
                                        "answers", "replies", "instances", NULL};

static void case_parts_build(struct case_builder *builder, const struct node *node,
                             const struct options *options, struct case_spec *spec)
{
    spec->start_ms = CASE_START_MS;
    json_object_clear(builder->sequences);
    case_instant(builder, node, options, "at", &spec->start_ms);
    spec->rule = case_text(builder, options, "rule");
    if (spec->rule != NULL) {
        check_rule(builder, node_get(node, "rule"), spec->rule);
    }
    spec->is_any_order = option_choice(options, "order") == 1;
    case_events_build(builder, node_get(node, "events"), spec);
    case_expects_build(builder, node_get(node, "expect"), spec);
    case_rejected_build(builder, node_get(node, "rejected"), spec);
    case_books_build(builder, node_get(node, "books"), spec);
    case_answers_build(builder, node_get(node, "answers"), node_get(node, "replies"), spec);
    case_instances_build(builder, node_get(node, "instances"), spec);
}

static bool expects_something(const struct node *node)
{
    return node_get(node, "expect") != NULL || node_get(node, "rejected") != NULL ||
           node_get(node, "books") != NULL || node_get(node, "instances") != NULL;
}

static void case_build(struct case_builder *builder, const struct node *node,
                       struct case_spec *spec)
{
    struct reader *reader = &builder->reader;
    const char *what = arena_print(reader->arena, "case '%.60s'", node->key->text);
    struct options *options = case_options_make(builder, case_options);
    const struct shape shape = {.what = what, .options = {options}, .others = case_keys};
    spec->name = node->key->text;
    spec->at = node->key->at;
    if (what == NULL || options == NULL || !reader_mapping(reader, node, what, false)) {
        options_destroy(options);
        return;
    }
    reader_options(reader, node, &shape);
    case_parts_build(builder, node, options, spec);
    if (node_get(node, "events") == NULL && !reader_is_misspelt(node, &shape, "events")) {
        reader_problem(reader, node->key->at, "%s: 'events' is missing: the list of what comes in",
                       what);
    }
    if (!expects_something(node) && !reader_is_misspelt(node, &shape, "expect")) {
        reader_problem(reader, node->key->at,
                       "%s: says nothing about what comes out; add 'expect' (a list, or `nothing`)",
                       what);
    }
    options_destroy(options);
}

static void cases_build(struct case_builder *builder, struct case_file *file)
{
    static const char *const keys[] = {"cases", NULL};
    struct reader *reader = &builder->reader;
    const struct node *root = document_root(reader->document);
    const struct shape shape = {.what = "the case file", .others = keys};
    reader_options(reader, root, &shape);
    const struct node *cases = node_get(root, "cases");
    if (cases == NULL) {
        if (root->kind == NODE_MAPPING && !reader_is_misspelt(root, &shape, "cases")) {
            reader_problem(reader, root->at, "'cases' is missing: a mapping of names to cases");
        }
        return;
    }
    if (!reader_mapping(reader, cases, "cases", false)) {
        return;
    }
    struct case_spec *specs = case_alloc(builder, cases->count, sizeof(specs[0]));
    for (const struct node *node = cases->first; specs != NULL && node != NULL; node = node->next) {
        case_build(builder, node, &specs[file->case_count++]);
    }
    file->cases = specs;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strndup(path, slash == NULL ? 0 : (size_t)(slash + 1 - path));
}

static enum err build(struct loaded *loaded, const struct config *config, config_report_fn *each,
                      void *context, struct error *e)
{
    struct case_builder builder = {
        .reader = {.document = loaded->document, .arena = loaded->arena, .folder = loaded->folder},
        .config = config,
        .kept = loaded->kept,
        .sequences = loaded->sequences,
    };
    builder.reader.problems = calloc(READER_PROBLEMS_MAX, sizeof(struct problem));
    if (builder.reader.problems == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", loaded->file.path);
    }
    cases_build(&builder, &loaded->file);
    enum err rc = problems_report(&builder.reader, each, context, e);
    free(builder.reader.problems);
    if (builder.is_out_of_memory || arena_is_exhausted(loaded->arena)) {
        rc = error_set(e, ERR_NO_MEMORY, "%s: out of memory", loaded->file.path);
    }
    return rc;
}

enum err case_file_load(struct case_file **out_file, const char *path, const struct config *config,
                        config_report_fn *each, void *context, struct error *e)
{
    struct error first = {0};
    struct loaded *loaded = calloc(1, sizeof(*loaded));
    if (loaded == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", path);
    }
    loaded->arena = arena_create();
    loaded->folder = folder_of(path);
    loaded->kept = json_array();
    loaded->sequences = json_object();
    enum err rc = ERR_OK;
    if (loaded->arena == NULL || loaded->folder == NULL || loaded->kept == NULL ||
        loaded->sequences == NULL) {
        rc = error_set(&first, ERR_NO_MEMORY, "%s: out of memory", path);
    } else {
        loaded->file.path = arena_text(loaded->arena, path, strlen(path));
        rc = document_load(&loaded->document, path, CASE_FILE_SIZE_MAX, &first);
        if (rc != ERR_OK && each != NULL) {
            each(context, &first);
        }
    }
    rc = rc == ERR_OK ? build(loaded, config, each, context, &first) : rc;
    if (rc == ERR_OK) {
        *out_file = &loaded->file;
        return ERR_OK;
    }
    if (e != NULL) {
        *e = first;
    }
    case_file_destroy(&loaded->file);
    return rc;
}

void case_file_destroy(struct case_file *file)
{
    if (file == NULL) {
        return;
    }
    struct loaded *loaded = (struct loaded *)file; // Its first member.
    json_decref(loaded->kept);
    json_decref(loaded->sequences);
    document_destroy(loaded->document);
    arena_destroy(loaded->arena);
    free(loaded->folder);
    free(loaded);
}
