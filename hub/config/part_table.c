// part_table.c - the section `tables`: reference tables that rules may join.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/parts.h"
#include "config/table_file.h"
#include "core/core.h"
#include "core/tables.h"

// Reached from the public part alone, which trials copy.
struct config_rows {
    struct table_spec *specs;    // core.tables; here they may be written to.
    struct table_rows *tables[]; // Parallel to them; NULL: not read.
};

const struct option_spec table_options[] = {
    {"csv", OPTION_PATH, false, NULL, 0, 0, NULL,
     "CSV file whose first line names the columns. A column in which every value is a number is "
     "one of numbers; an empty field is NULL. The hub reads it again when it has changed."},
    {"sql", OPTION_PATH, false, NULL, 0, 0, NULL,
     "SQL script that makes a table of this name with CREATE TABLE and INSERT; it runs in a "
     "database of its own. The hub reads it again when it has changed."},
    {"events", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SELECT over a topic filter: each row that it gives replaces the one with the same key."},
    {"key", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Column that names a row: there once, never empty. A join on it is one look-up. Needed with "
     "`events`."},
    {"delimiter", OPTION_TEXT, false, ",", 0, 0, NULL,
     "The character between the fields of a CSV file; `tab` is one, too."},
    {"text", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Columns of a CSV file, separated by commas, that stay text although all their values look "
     "like numbers."},
    {"rows", OPTION_INT, false, "100000", 1, 10000000, NULL,
     "Most rows. A file with more is refused; of a table fed by events the row that was renewed "
     "longest ago goes."},
    {"size", OPTION_SIZE, false, "16 MB", 1, INT64_C(1) << 30, NULL,
     "Largest file, and most memory that a script may fill."},
    {"keep", OPTION_DURATION, false, "0", 0, INT64_C(3650) * 86400000, NULL,
     "Rows fed by events that were not renewed for so long go; 0 keeps them."},
    {NULL},
};

static const char *copy(struct builder *builder, const struct options *options, const char *name)
{
    const char *text = option_text(options, name);
    return text == NULL ? NULL : arena_print(builder->file->arena, "%s", text);
}

static void refuse(struct builder *builder, const struct node *node, const char *option,
                   const char *what, const char *why)
{
    const struct node *at = node_get(node, option);
    if (at != NULL) {
        reader_problem(&builder->reader, at->key->at, "%s: '%s' %s", what, option, why);
    }
}

static void check_kind(struct builder *builder, const struct node *node, const char *what,
                       const struct config_table *table, const struct table_spec *spec)
{
    int kinds = (table->csv != NULL) + (table->sql != NULL) + (spec->sql != NULL);
    if (kinds != 1) {
        reader_problem(&builder->reader, node->key->at,
                       "%s: must have one of 'csv', 'sql' and 'events', which say where its rows "
                       "come from",
                       what);
    }
    if (spec->sql != NULL && spec->key == NULL) {
        reader_problem(&builder->reader, node_get(node, "events")->key->at,
                       "%s: 'events' needs a 'key', the column by which rows are replaced", what);
    }
    if (table->csv == NULL) {
        refuse(builder, node, "delimiter", what, "is for CSV files");
        refuse(builder, node, "text", what, "is for CSV files");
    }
    if (spec->sql == NULL) {
        refuse(builder, node, "keep", what, "is for tables that are fed by events");
    } else {
        refuse(builder, node, "size", what, "is for tables that come from a file");
    }
}

static void check_name(struct builder *builder, const struct node *node)
{
    const char *problem = table_name_problem(node->key->text);
    if (problem != NULL) {
        reader_problem(&builder->reader, node->key->at, "table name '%.80s': %s", node->key->text,
                       problem);
    }
    for (const struct node *other = node->next; other != NULL; other = other->next) {
        if (strcasecmp(other->key->text, node->key->text) == 0 &&
            strcmp(other->key->text, node->key->text) != 0) {
            reader_problem(&builder->reader, other->key->at,
                           "table name '%.80s': SQL does not tell it from '%.80s'",
                           other->key->text, node->key->text);
        }
    }
}

static char delimiter_of(struct builder *builder, const struct node *node,
                         const struct options *options, const char *what)
{
    const char *text = option_text(options, "delimiter");
    if (strcmp(text, "tab") == 0) {
        return '\t';
    }
    if (strlen(text) != 1 || strchr("\"\r\n ", text[0]) != NULL) {
        refuse(builder, node, "delimiter", what, "must be one character, or tab");
    }
    return text[0];
}

static void table_build(struct builder *builder, const struct node *node,
                        struct table_spec *out_spec, struct config_table *out_table)
{
    struct reader *reader = &builder->reader;
    const char *what = arena_print(reader->arena, "table %s", node->key->text);
    struct options *options = options_make(builder, table_options);
    if (what == NULL || options == NULL) {
        options_destroy(options);
        return;
    }
    check_name(builder, node);
    struct shape shape = {.what = what, .options = {options, NULL}, .is_verbatim = true};
    reader_options(reader, node, &shape);
    *out_spec = (struct table_spec){
        .name = node->key->text,
        .key = copy(builder, options, "key"),
        .sql = copy(builder, options, "events"),
        .keep_ms = option_int(options, "keep"),
        .rows_max = (uint32_t)option_int(options, "rows"),
    };
    *out_table = (struct config_table){
        .name = out_spec->name,
        .csv = copy(builder, options, "csv"),
        .sql = copy(builder, options, "sql"),
        .key = out_spec->key,
        .text = copy(builder, options, "text"),
        .delimiter = delimiter_of(builder, node, options, what),
        .rows_max = out_spec->rows_max,
        .size_bytes = (uint64_t)option_int(options, "size"),
    };
    if (node->kind == NODE_MAPPING || node_is_empty(node)) {
        check_kind(builder, node, what, out_table, out_spec);
    }
    options_destroy(options);
}

void tables_build(struct builder *builder)
{
    struct config_file *file = builder->file;
    const struct node *section = section_find(builder, "tables");
    if (section == NULL) {
        return;
    }
    if (section->count > TABLES_MAX) {
        reader_problem(&builder->reader, section->at, "tables: %u of them; at most %d are possible",
                       section->count, TABLES_MAX);
        return;
    }
    struct table_spec *specs = arena_alloc(file->arena, section->count * sizeof(specs[0]));
    struct config_table *tables = arena_alloc(file->arena, section->count * sizeof(tables[0]));
    struct config_rows *rows = calloc(1, sizeof(*rows) + section->count * sizeof(rows->tables[0]));
    file->config.rows = rows;
    if (specs == NULL || tables == NULL || rows == NULL) {
        builder->is_out_of_memory = true;
        return;
    }
    file->config.core.tables = rows->specs = specs;
    file->config.tables = tables;
    for (const struct node *node = section->first; node != NULL; node = node->next) {
        uint32_t i = file->config.core.table_count++;
        table_build(builder, node, &specs[i], &tables[i]);
    }
}

static enum err read_rows(const struct config *config, uint32_t index, struct error *e)
{
    struct config_rows *rows = config->rows;
    if (rows->tables[index] != NULL || config->core.tables[index].sql != NULL) {
        return ERR_OK;
    }
    enum err rc = table_rows_read(&rows->tables[index], &config->tables[index], e);
    if (rc != ERR_OK) {
        return error_wrap(e, "table %s", config->tables[index].name);
    }
    rows->specs[index].data = table_rows_data(rows->tables[index]);
    return ERR_OK;
}

enum err config_read_rows(const struct config *config, config_report_fn *each, void *context,
                          struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; i < config->core.table_count; i++) {
        struct error fault = {0};
        enum err result = read_rows(config, i, &fault);
        if (result != ERR_OK && each != NULL) {
            each(context, &fault);
        }
        if (result != ERR_OK && rc == ERR_OK) {
            rc = error_set(e, result, "%s", fault.text);
        }
    }
    return rc;
}

void tables_read(struct reader *reader, const struct config_file *file)
{
    const struct config *config = &file->config;
    const struct node *section = node_get(document_root(file->document), "tables");
    for (uint32_t i = 0; i < config->core.table_count; i++) {
        const struct config_table *table = &config->tables[i];
        const struct node *node = node_get(section, table->name);
        struct error fault = {0};
        if (read_rows(config, i, &fault) != ERR_OK) {
            const struct node *at = node_get(node, table->csv != NULL ? "csv" : "sql");
            reader_problem(reader, at == NULL ? (struct position){1, 1} : at->at, "%s", fault.text);
        }
    }
}

void config_forget_rows(struct config *config)
{
    for (uint32_t i = 0; config->rows != NULL && i < config->core.table_count; i++) {
        config->rows->specs[i].data = NULL;
        table_rows_destroy(config->rows->tables[i]);
        config->rows->tables[i] = NULL;
    }
}

void tables_free(struct config *config)
{
    config_forget_rows(config);
    free(config->rows);
}
