#include "cli/fleet_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/field.h"
#include "cli/fleet_walk.h"

#define DEPTH_MAX    16    // Nested objects in a row.
#define READ_BYTES   65536 // At once.
#define STOP_LOOK_MS 100   // While a pipe is silent: a signal just before the wait does not end it.
#define SECONDS_BELOW                                                                              \
    1e11 // A smaller time counts seconds (until the year 5138), else milliseconds.

struct rows {
    struct rows_options options;
    struct walk *walk; // Generated instead of read.
    int fd;
    uint8_t *chunk;             // READ_BYTES.
    size_t chunk_at, chunk_len; // What has been read ends at the second, and used at the first.
    bool is_csv;
    uint64_t number;
    uint64_t line; // In this pass over the file.
    bool has_rows; // In this pass.
    char *text;
    json_t *json;
    char *heading;
    char *columns[ROW_FIELDS_MAX];
    size_t column_count;
    char names[ROW_BYTES_MAX]; // Dotted names of the row's fields.
    size_t names_len;
};

static enum err row_bad(const struct rows *rows, struct error *e, const char *what,
                        const char *name)
{
    return error_set(e, ERR_INVALID, "%s:%llu: %s%s%s%s", rows->options.path,
                     (unsigned long long)rows->line, what, name == NULL ? "" : " '",
                     name == NULL ? "" : name, name == NULL ? "" : "'");
}

// ---- lines -------------------------------------------------------------------------------------

static bool is_stopped(const struct rows *rows)
{
    return rows->options.stop != NULL && *rows->options.stop > 0;
}

// Waits for bytes, or until it is stopped. An error is left for read to tell.
static bool bytes_wait(const struct rows *rows)
{
    struct pollfd fd = {.fd = rows->fd, .events = POLLIN};
    while (!is_stopped(rows)) {
        int ready = poll(&fd, 1, STOP_LOOK_MS);
        if (ready > 0 || (ready < 0 && errno != EINTR)) {
            return true;
        }
    }
    return false;
}

// The next bytes into rows->chunk; none at the end, or when it was stopped.
static enum err bytes_fill(struct rows *rows, struct error *e)
{
    ssize_t got = 0;
    rows->chunk_at = rows->chunk_len = 0;
    while (bytes_wait(rows)) {
        got = read(rows->fd, rows->chunk, READ_BYTES);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) {
            break;
        }
        got = 0;
    }
    if (got < 0) {
        return error_set(e, ERR_IO, "%s: cannot be read: %s", rows->options.path, strerror(errno));
    }
    rows->chunk_len = (size_t)got;
    return ERR_OK;
}

// EOF: at the end.
static enum err byte_next(struct rows *rows, int *out_byte, struct error *e)
{
    enum err rc = rows->chunk_at < rows->chunk_len ? ERR_OK : bytes_fill(rows, e);
    if (rc == ERR_OK) {
        *out_byte = rows->chunk_len == 0 ? EOF : rows->chunk[rows->chunk_at++];
    }
    return rc;
}

// One line without its end into rows->text.
static enum err line_read(struct rows *rows, struct error *e)
{
    size_t len = 0;
    int c = EOF;
    enum err rc;
    if (rows->text == NULL && (rows->text = calloc(1, ROW_BYTES_MAX + 1)) == NULL) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", rows->options.path);
    }
    while ((rc = byte_next(rows, &c, e)) == ERR_OK && c != EOF && c != '\n' &&
           len < ROW_BYTES_MAX) {
        rows->text[len++] = (char)c;
    }
    rows->text[len] = '\0';
    if (rc != ERR_OK) {
        return rc;
    }
    if (c == EOF && (len == 0 || is_stopped(rows))) { // Half a line is none.
        return error_set(e, ERR_NOT_FOUND, "%s: end", rows->options.path);
    }
    rows->line++;
    if (c != EOF && c != '\n') {
        return row_bad(rows, e, "line is longer than 64 KB", NULL);
    }
    if (strlen(rows->text) != len) {
        return row_bad(rows, e, "line holds a NUL byte", NULL);
    }
    if (len > 0 && rows->text[len - 1] == '\r') {
        rows->text[len - 1] = '\0';
    }
    return ERR_OK;
}

static enum err value_time(const struct rows *rows, double value, struct row *row, struct error *e)
{
    double ms = value < SECONDS_BELOW ? value * 1000 : value;
    if (!(value >= 0) || ms > 9e15) {
        return row_bad(rows, e, "no time in seconds or milliseconds since 1970 in",
                       rows->options.time_field);
    }
    row->has_time = true;
    row->time_ms = (uint64_t)llround(ms);
    return ERR_OK;
}

static enum err field_reserve(struct rows *rows, struct row *row, struct pipit_field **out_field,
                              struct error *e)
{
    if (row->field_count == ROW_FIELDS_MAX) {
        return row_bad(rows, e, "more than 256 fields", NULL);
    }
    *out_field = &row->fields[row->field_count++];
    return ERR_OK;
}

// ---- NDJSON ------------------------------------------------------------------------------------

static const json_t *json_path(const json_t *json, const char *path)
{
    char name[256];
    while (json != NULL && path != NULL) {
        const json_t *whole = json_object_get(json, path); // A name that itself holds a dot.
        const char *dot = strchr(path, '.');
        if (whole != NULL || dot == NULL || (size_t)(dot - path) >= sizeof(name)) {
            return whole;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
        json = json_object_get(json, name);
        path = dot + 1;
    }
    return json;
}

// "prefix.name" in memory that lasts as long as the row.
static const char *name_join(struct rows *rows, const char *prefix, const char *name)
{
    size_t room = sizeof(rows->names) - rows->names_len;
    char *out = rows->names + rows->names_len;
    int len = snprintf(out, room, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", name);
    if (len < 0 || (size_t)len >= room) {
        return NULL;
    }
    rows->names_len += (size_t)len + 1;
    return out;
}

static void scalar_to_field(const json_t *json, struct pipit_field *field)
{
    if (json_is_boolean(json)) {
        field->kind = PIPIT_KIND_BOOL;
        field->value.boolean = json_is_true(json);
    } else if (json_is_integer(json)) {
        field->kind = PIPIT_KIND_SIGNED;
        field->value.integer = json_integer_value(json);
    } else if (json_is_real(json)) {
        field->kind = PIPIT_KIND_DOUBLE;
        field->value.real = json_real_value(json);
    } else {
        field->kind = PIPIT_KIND_TEXT;
        field->value.bytes = (struct pipit_bytes){(const uint8_t *)json_string_value(json),
                                                  json_string_length(json)};
    }
}

static bool is_spoken_for(const struct rows *rows, const char *name)
{
    const struct rows_options *options = &rows->options;
    return options->fields == NULL &&
           ((options->device == NULL && strcmp(name, options->device_field) == 0) ||
            (options->time_field != NULL && strcmp(name, options->time_field) == 0));
}

static enum err json_add(struct rows *rows, struct row *row, const char *name, const json_t *json,
                         int depth, struct error *e);

static enum err json_add_members(struct rows *rows, struct row *row, const char *prefix,
                                 const json_t *json, int depth, struct error *e)
{
    enum err rc = ERR_OK;
    if (depth >= DEPTH_MAX) {
        return row_bad(rows, e, "nested deeper than 16 levels at", prefix);
    }
    if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json) && rc == ERR_OK; i++) {
            char index[24];
            snprintf(index, sizeof(index), "%zu", i);
            const char *name = name_join(rows, prefix, index);
            rc = json_add(rows, row, name, json_array_get(json, i), depth + 1, e);
        }
        return rc;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        const char *name = name_join(rows, prefix, key);
        rc = rc == ERR_OK ? json_add(rows, row, name, value, depth + 1, e) : rc;
    }
    return rc;
}

static enum err json_add(struct rows *rows, struct row *row, const char *name, const json_t *json,
                         int depth, struct error *e)
{
    struct pipit_field *field = NULL;
    if (name == NULL) {
        return row_bad(rows, e, "names of fields are longer than 64 KB together", NULL);
    }
    if (json_is_null(json) || is_spoken_for(rows, name)) {
        return ERR_OK;
    }
    if (json_is_object(json) || json_is_array(json)) {
        return json_add_members(rows, row, name, json, depth, e);
    }
    enum err rc = field_reserve(rows, row, &field, e);
    if (rc == ERR_OK) {
        field->name = pipit_text(name);
        scalar_to_field(json, field);
    }
    return rc;
}

static enum err json_device(const struct rows *rows, struct row *row, struct error *e)
{
    row->device = rows->options.device;
    if (row->device != NULL) {
        return ERR_OK;
    }
    row->device = json_string_value(json_path(rows->json, rows->options.device_field));
    return row->device != NULL ? ERR_OK
                               : row_bad(rows, e, "no text member", rows->options.device_field);
}

static enum err json_row(struct rows *rows, struct row *row, struct error *e)
{
    json_error_t fault;
    json_decref(rows->json);
    rows->json = json_loads(rows->text, JSON_REJECT_DUPLICATES, &fault);
    if (rows->json == NULL || !json_is_object(rows->json)) {
        return row_bad(rows, e, rows->json == NULL ? fault.text : "not a JSON object", NULL);
    }
    enum err rc = json_device(rows, row, e);
    if (rc == ERR_OK && rows->options.time_field != NULL) {
        const json_t *time = json_path(rows->json, rows->options.time_field);
        rc = json_is_number(time) ? value_time(rows, json_number_value(time), row, e)
                                  : row_bad(rows, e, "no number member", rows->options.time_field);
    }
    const json_t *from = json_path(rows->json, rows->options.fields);
    if (rc == ERR_OK && !json_is_object(from)) {
        rc = row_bad(rows, e, "no object member", rows->options.fields);
    }
    return rc == ERR_OK ? json_add_members(rows, row, "", from, 0, e) : rc;
}

// ---- CSV [RFC 4180], without line breaks inside quotes -----------------------------------------

// Cuts the cell at *text off in place; *text becomes NULL after the last.
static bool cell_next(char **text, char **out_cell)
{
    char *from = *text, *to = *text;
    *out_cell = to;
    if (*from != '"') {
        from += strcspn(from, ",");
        *text = *from == ',' ? from + 1 : NULL;
        *from = '\0';
        return true;
    }
    bool is_closed = false;
    for (from++; *from != '\0';) {
        if (*from == '"' && *++from != '"') {
            is_closed = *from == ',' || *from == '\0';
            break;
        }
        *to++ = *from++;
    }
    *text = *from == ',' ? from + 1 : NULL;
    *to = '\0';
    return is_closed;
}

static enum err csv_heading(struct rows *rows, struct error *e)
{
    enum err rc = line_read(rows, e);
    if (rc != ERR_OK) {
        return rc;
    }
    free(rows->heading);
    rows->heading = strdup(rows->text);
    char *rest = rows->heading;
    for (rows->column_count = 0; rest != NULL; rows->column_count++) {
        if (rows->column_count == ROW_FIELDS_MAX ||
            !cell_next(&rest, &rows->columns[rows->column_count])) {
            return row_bad(rows, e, "headings are not CSV, or more than 256", NULL);
        }
    }
    return rows->heading == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

static enum err csv_cell(struct rows *rows, struct row *row, char *name, char *cell,
                         struct error *e)
{
    const struct rows_options *options = &rows->options;
    struct pipit_field *field = NULL, seen = {0};
    if (options->device == NULL && strcmp(name, options->device_field) == 0) {
        row->device = cell;
        return ERR_OK;
    }
    if (options->time_field != NULL && strcmp(name, options->time_field) == 0) {
        field_infer(cell, &seen);
        double time = seen.kind == PIPIT_KIND_SIGNED   ? (double)seen.value.integer
                      : seen.kind == PIPIT_KIND_DOUBLE ? seen.value.real
                                                       : -1;
        return value_time(rows, time, row, e);
    }
    if (cell[0] == '\0') {
        return ERR_OK;
    }
    enum err rc = field_reserve(rows, row, &field, e);
    if (rc == ERR_OK) {
        field->name = pipit_text(name);
        field_infer(cell, field);
    }
    return rc;
}

static enum err csv_row(struct rows *rows, struct row *row, struct error *e)
{
    char *rest = rows->text, *cell = NULL;
    enum err rc = ERR_OK;
    size_t i = 0;
    row->device = rows->options.device;
    for (; rest != NULL && rc == ERR_OK; i++) {
        if (i == rows->column_count || !cell_next(&rest, &cell)) {
            return row_bad(rows, e, "not CSV, or more cells than headings", NULL);
        }
        rc = csv_cell(rows, row, rows->columns[i], cell, e);
    }
    if (rc == ERR_OK && (row->device == NULL || row->device[0] == '\0')) {
        return row_bad(rows, e, "no value in column", rows->options.device_field);
    }
    if (rc == ERR_OK && rows->options.time_field != NULL && !row->has_time) {
        return row_bad(rows, e, "no value in column", rows->options.time_field);
    }
    return rc;
}

// ---- all of them -------------------------------------------------------------------------------

static enum err pass_begin(struct rows *rows, struct error *e)
{
    rows->line = 0;
    rows->has_rows = false;
    if (!rows->is_csv) {
        return ERR_OK;
    }
    enum err rc = csv_heading(rows, e);
    if (rc == ERR_NOT_FOUND && is_stopped(rows)) {
        return ERR_OK; // There is no line after it, either.
    }
    return rc == ERR_NOT_FOUND ? error_set(e, ERR_INVALID, "%s: is empty", rows->options.path) : rc;
}

enum err rows_open(struct rows **out_rows, const struct rows_options *options, struct error *e)
{
    struct rows *rows = calloc(1, sizeof(*rows));
    if (rows == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    size_t len = strlen(options->path);
    bool is_stdin = strcmp(options->path, "-") == 0;
    rows->options = *options;
    rows->is_csv = len > 4 && strcmp(options->path + len - 4, ".csv") == 0;
    // A pipe that nobody writes to yet is opened at once, too: the waiting is done in bytes_wait.
    rows->fd =
        is_stdin ? STDIN_FILENO : open(options->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    rows->chunk = rows->fd < 0 ? NULL : malloc(READ_BYTES);
    enum err rc = rows->fd < 0          ? error_set(e, ERR_NOT_FOUND, "%s: cannot be read: %s",
                                                    options->path, strerror(errno))
                  : rows->chunk == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory")
                                        : pass_begin(rows, e);
    if (rc != ERR_OK) {
        rows_close(rows);
        return rc;
    }
    *out_rows = rows;
    return ERR_OK;
}

enum err rows_generate(struct rows **out_rows, uint32_t devices, uint64_t seed, struct error *e)
{
    struct rows *rows = calloc(1, sizeof(*rows));
    if (rows != NULL) {
        rows->fd = -1;
        rows->walk = walk_create(devices, seed);
    }
    if (rows == NULL || rows->walk == NULL) {
        free(rows);
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    *out_rows = rows;
    return ERR_OK;
}

void rows_close(struct rows *rows)
{
    if (rows == NULL) {
        return;
    }
    if (rows->fd > STDIN_FILENO) {
        close(rows->fd);
    }
    free(rows->chunk);
    walk_destroy(rows->walk);
    json_decref(rows->json);
    free(rows->heading);
    free(rows->text);
    free(rows);
}

static enum err pass_again(struct rows *rows, struct error *e)
{
    if (!rows->options.is_looping || !rows->has_rows || is_stopped(rows)) {
        return ERR_NOT_FOUND;
    }
    rows->chunk_at = rows->chunk_len = 0;
    if (lseek(rows->fd, 0, SEEK_SET) != 0) {
        return error_set(e, ERR_INVALID, "%s: cannot be read again: %s", rows->options.path,
                         strerror(errno));
    }
    return pass_begin(rows, e);
}

enum err rows_next(struct rows *rows, struct row *row, struct error *e)
{
    row->field_count = 0;
    row->has_time = false;
    row->number = ++rows->number;
    if (rows->walk != NULL) {
        walk_next(rows->walk, row);
        return ERR_OK;
    }
    enum err rc;
    do {
        rc = line_read(rows, e);
        if (rc == ERR_NOT_FOUND) {
            rc = pass_again(rows, e);
            if (rows->text != NULL) {
                rows->text[0] = '\0';
            }
        }
    } while (rc == ERR_OK && (rows->text == NULL || rows->text[0] == '\0'));
    if (rc != ERR_OK) {
        return rc;
    }
    rows->has_rows = true;
    rows->names_len = 0;
    return rows->is_csv ? csv_row(rows, row, e) : json_row(rows, row, e);
}
