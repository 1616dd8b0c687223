#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/parts.h"

struct options *options_make(struct builder *builder, const struct option_spec *table)
{
    struct options *options = options_create(table);
    builder->is_out_of_memory = builder->is_out_of_memory || options == NULL;
    return options;
}

const struct node *section_find(struct builder *builder, const char *name)
{
    const struct node *node = node_get(document_root(builder->file->document), name);
    return reader_mapping(&builder->reader, node, name, true) && node->count > 0 ? node : NULL;
}

enum err problems_report(struct reader *reader, config_report_fn *each, void *context,
                         struct error *e)
{
    reader_sort(reader);
    for (uint32_t i = 0; i < reader->problem_count && i < CONFIG_ERRORS_MAX; i++) {
        struct error problem = {0};
        document_error(reader->document, reader->problems[i].at, &problem, "%s",
                       reader->problems[i].text);
        if (i == 0 && e != NULL) {
            *e = problem;
        }
        if (each != NULL) {
            each(context, &problem);
        }
    }
    return reader->problem_count == 0 ? ERR_OK : ERR_CONFIG;
}

static void top_check(struct builder *builder)
{
    static const char *const keys[] = {"hub",     "sources", "devices", "formats",   "history",
                                       "targets", "tables",  "rules",   "workflows", NULL};
    struct shape shape = {.what = "the configuration", .others = keys};
    reader_options(&builder->reader, document_root(builder->file->document), &shape);
}

static void parts_build(struct builder *builder)
{
    top_check(builder);
    if (document_root(builder->file->document)->kind != NODE_MAPPING) {
        return;
    }
    sources_build(builder);
    hub_build(builder);
    identities_build(builder);
    formats_build(builder);
    history_build(builder);
    targets_build(builder);
    tables_build(builder);
    rules_build(builder);
    workflows_build(builder);
}

// "/etc/pipit/hub.yaml" -> "/etc/pipit/", "hub.yaml" -> "".
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strndup(path, slash == NULL ? 0 : (size_t)(slash + 1 - path));
}

static struct config_file *file_create(const char *path)
{
    struct config_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return NULL;
    }
    file->arena = arena_create();
    file->folder = folder_of(path);
    if (file->arena == NULL || file->folder == NULL) {
        config_destroy(&file->config);
        return NULL;
    }
    file->config.path = arena_text(file->arena, path, strlen(path));
    return file;
}

static enum err build(struct config_file *file, const struct option_spec *source_table,
                      config_report_fn *each, void *context, struct error *e)
{
    struct builder builder = {
        .file = file,
        .reader = {.document = file->document, .arena = file->arena, .folder = file->folder},
        .source_table = source_table,
    };
    builder.reader.problems = calloc(READER_PROBLEMS_MAX, sizeof(struct problem));
    if (builder.reader.problems == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", file->config.path);
    }
    parts_build(&builder);
    enum err rc = problems_report(&builder.reader, each, context, e);
    free(builder.reader.problems);
    if (builder.is_out_of_memory || arena_is_exhausted(file->arena)) {
        rc = error_set(e, ERR_NO_MEMORY, "%s: out of memory", file->config.path);
    }
    return rc;
}

enum err config_load(struct config **out_config, const char *path,
                     const struct option_spec *source_table, config_report_fn *each, void *context,
                     struct error *e)
{
    struct error first = {0};
    struct config_file *file = file_create(path);
    if (file == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", path);
    }
    enum err rc = document_load(&file->document, path, CONFIG_SIZE_MAX, &first);
    if (rc != ERR_OK) {
        if (each != NULL) {
            each(context, &first);
        }
    } else {
        rc = build(file, source_table, each, context, &first);
    }
    if (rc != ERR_OK) {
        if (e != NULL) {
            *e = first;
        }
        config_destroy(&file->config);
        return rc;
    }
    *out_config = &file->config;
    return ERR_OK;
}

void config_destroy(struct config *config)
{
    if (config == NULL) {
        return;
    }
    struct config_file *file = (struct config_file *)config; // Its first member.
    options_destroy((struct options *)config->hub);
    for (uint32_t i = 0; i < config->source_count; i++) {
        options_destroy((struct options *)config->sources[i].options);
    }
    for (uint32_t i = 0; i < config->target_count; i++) {
        options_destroy((struct options *)config->targets[i].options);
    }
    tables_free(config);
    document_destroy(file->document);
    arena_destroy(file->arena);
    free(file->folder);
    free(file);
}
