#include "config/table_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "config/table_csv.h"
#include "core/table_script.h"

struct table_rows {
    struct table_csv *csv;
    struct table_script *script;
    struct table_data data;
    char fingerprint[48];
};

// FNV-1a: content that has changed is told apart; nobody has a reason to forge it.
static uint64_t hash_add(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

// How it is read belongs to it: another delimiter makes another table.
static void fingerprint_print(struct table_rows *rows, const struct config_table *table,
                              struct bytes file)
{
    const char *text = table->text == NULL ? "" : table->text;
    uint64_t hash = hash_add(UINT64_C(0xcbf29ce484222325), file.ptr, file.len);
    hash = hash_add(hash, &table->delimiter, 1);
    hash = hash_add(hash, text, strlen(text));
    snprintf(rows->fingerprint, sizeof(rows->fingerprint), "%s-%016" PRIx64 "-%zu",
             table->csv != NULL ? "csv" : "sql", hash, file.len);
}

static enum err read_csv(struct table_rows *rows, const struct config_table *table,
                         struct bytes file, struct error *e)
{
    const struct table_csv_options options = {
        .delimiter = table->delimiter,
        .key = table->key,
        .text = table->text,
        .rows_max = table->rows_max,
    };
    struct error fault = {0};
    enum err rc = table_csv_parse(&rows->csv, file, &options, &fault);
    if (rc != ERR_OK) {
        return error_set(e, rc, "%s:%s", table->csv, fault.text);
    }
    rows->data = *table_csv_data(rows->csv);
    return ERR_OK;
}

static uint32_t line_of(const char *text, int32_t offset)
{
    uint32_t line = 1;
    for (int32_t i = 0; i < offset && text[i] != '\0'; i++) {
        line += text[i] == '\n';
    }
    return line;
}

static enum err read_script(struct table_rows *rows, const struct config_table *table,
                            struct bytes file, struct error *e)
{
    const struct table_script_options options = {
        .name = table->name,
        .sql = (const char *)file.ptr,
        .size_bytes = table->size_bytes,
        .rows_max = table->rows_max,
    };
    struct error fault = {.offset = -1};
    if (!utf8_is_valid(file) || memchr(file.ptr, '\0', file.len) != NULL) {
        return error_set(e, ERR_CONFIG, "%s:1: the script is not UTF-8 text", table->sql);
    }
    enum err rc = table_script_run(&rows->script, &options, &fault);
    if (rc != ERR_OK) {
        return error_set(e, rc, "%s:%u: %s", table->sql,
                         line_of((const char *)file.ptr, fault.offset), fault.text);
    }
    rows->data = *table_script_data(rows->script);
    return ERR_OK;
}

enum err table_rows_read(struct table_rows **out_rows, const struct config_table *table,
                         struct error *e)
{
    const char *path = table->csv != NULL ? table->csv : table->sql;
    char *text = NULL;
    size_t len = 0;
    enum err rc = file_read(path, (size_t)table->size_bytes, &text, &len, e);
    if (rc != ERR_OK) {
        return rc;
    }
    struct table_rows *rows = calloc(1, sizeof(*rows));
    if (rows == NULL) {
        free(text);
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", path);
    }
    struct bytes file = bytes_of(text, len);
    rc = table->csv != NULL ? read_csv(rows, table, file, e) : read_script(rows, table, file, e);
    if (rc == ERR_OK) {
        fingerprint_print(rows, table, file);
        rows->data.table = table->name;
        rows->data.fingerprint = rows->fingerprint;
        *out_rows = rows;
    } else {
        table_rows_destroy(rows);
    }
    free(text);
    return rc;
}

void table_rows_destroy(struct table_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    table_csv_destroy(rows->csv);
    table_script_destroy(rows->script);
    free(rows);
}

const struct table_data *table_rows_data(const struct table_rows *rows)
{
    return &rows->data;
}
