#include "core/render_json.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "core/event_value.h"

struct json_row {
    json_t *object;
    int count;
    size_t size_guess;
    json_t *cells[]; // The object's values, borrowed; NULL: left out.
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a JSON object");
}

static enum err add_cell(struct json_row *json_row, int column, const char *name, struct error *e)
{
    if (!utf8_is_valid(bytes_from_text(name))) {
        return error_set(e, ERR_CONFIG, "the name of column %d is not valid UTF-8; name it with AS",
                         column + 1);
    }
    if (json_object_get(json_row->object, name) != NULL) {
        return error_set(e, ERR_CONFIG,
                         "two columns of the result are called \"%s\"; name one with AS", name);
    }
    json_row->cells[column] = json_null();
    return json_object_set_new(json_row->object, name, json_null()) == 0 ? ERR_OK : no_memory(e);
}

enum err json_row_create(struct json_row **out_row, sqlite3_stmt *compiled, const char *left_out,
                         struct error *e)
{
    int count = sqlite3_column_count(compiled);
    struct json_row *json_row =
        calloc(1, sizeof(*json_row) + (size_t)count * sizeof(json_row->cells[0]));
    if (json_row == NULL) {
        return no_memory(e);
    }
    json_row->object = json_object();
    json_row->count = count;
    json_row->size_guess = 128;
    enum err rc = json_row->object == NULL ? no_memory(e) : ERR_OK;
    for (int i = 0; rc == ERR_OK && i < count; i++) {
        const char *name = sqlite3_column_name(compiled, i);
        if (left_out == NULL || strncmp(name, left_out, strlen(left_out)) != 0) {
            rc = add_cell(json_row, i, name, e);
        }
    }
    if (rc == ERR_OK) {
        *out_row = json_row;
    } else {
        json_row_destroy(json_row);
    }
    return rc;
}

void json_row_destroy(struct json_row *json_row)
{
    if (json_row != NULL) {
        json_decref(json_row->object);
        free(json_row);
    }
}

// True when the value could be put into the cell that is there.
static bool refill(json_t *cell, const struct event_value *value)
{
    switch (value->kind) {
    case VALUE_INTEGER:
        return json_is_integer(cell) && json_integer_set(cell, value->integer) == 0;
    case VALUE_REAL:
        return json_is_real(cell) && json_real_set(cell, value->real) == 0;
    case VALUE_TEXT:
        return json_is_string(cell) && value->bytes.len > 0 &&
               json_string_setn(cell, (const char *)value->bytes.ptr, value->bytes.len) == 0;
    case VALUE_NULL:
        return json_is_null(cell);
    default:
        return false;
    }
}

static enum err fill(struct json_row *json_row, int column, const struct render_row *row,
                     struct error *e)
{
    struct event_value value;
    value_of_sqlite(sqlite3_column_value(row->compiled, column), &value);
    if (refill(json_row->cells[column], &value)) {
        return ERR_OK;
    }
    const char *name = sqlite3_column_name(row->compiled, column), *problem = NULL;
    json_t *json = value_to_json(&value, &problem);
    if (json == NULL && problem != NULL) {
        return error_set(e, ERR_INVALID, "column \"%s\" %s", name, problem);
    }
    if (json == NULL || json_object_set_new_nocheck(json_row->object, name, json) != 0) {
        return no_memory(e);
    }
    json_row->cells[column] = json;
    return ERR_OK;
}

static enum err dump(struct json_row *json_row, struct event_memory *memory,
                     struct bytes *out_payload, struct error *e)
{
    size_t flags = JSON_COMPACT | JSON_REAL_PRECISION((size_t)json_precision(json_row->object));
    for (;;) {
        size_t room = json_row->size_guess;
        char *text = event_memory_take(memory, room);
        size_t needed = text == NULL ? 0 : json_dumpb(json_row->object, text, room, flags);
        if (needed == 0) {
            return no_memory(e);
        }
        if (needed <= room) {
            *out_payload = bytes_of(text, needed);
            return ERR_OK;
        }
        json_row->size_guess = needed + needed / 8;
    }
}

enum err json_row_render(struct json_row *json_row, const struct render_row *row,
                         struct bytes *out_payload, struct error *e)
{
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < json_row->count; i++) {
        rc = json_row->cells[i] == NULL ? ERR_OK : fill(json_row, i, row, e);
    }
    return rc == ERR_OK ? dump(json_row, row->memory, out_payload, e) : rc;
}
