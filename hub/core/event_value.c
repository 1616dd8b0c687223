#include "core/event_value.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/format.h"

static const char *const column_names[] = {
#define COLUMN_NAME(id, name, type) name,
    EVENT_COLUMNS(COLUMN_NAME)
#undef COLUMN_NAME
};

enum event_column event_column_find(const char *name)
{
    int column = 0;
    while (column < EVENT_COLUMN_COUNT && strcasecmp(column_names[column], name) != 0) {
        column++;
    }
    return (enum event_column)column;
}

const char *event_column_name(enum event_column column)
{
    return column_names[column];
}

static struct event_value null_value(void)
{
    return (struct event_value){.kind = VALUE_NULL};
}

static struct event_value integer_value(int64_t integer)
{
    return (struct event_value){.kind = VALUE_INTEGER, .integer = integer};
}

static struct event_value text_value(struct bytes text)
{
    return (struct event_value){.kind = VALUE_TEXT, .bytes = text};
}

static struct event_value name_value(const char *name)
{
    return name[0] == '\0' ? null_value() : text_value(bytes_from_text(name));
}

static struct event_value payload_value(const struct event *event)
{
    static const char opaque[] = "application/octet-stream";
    if (event->payload.ptr == NULL) {
        return null_value();
    }
    bool is_opaque = bytes_equal(event->content_type, bytes_of(opaque, sizeof(opaque) - 1));
    struct event_value value = text_value(event->payload);
    if (is_opaque || !utf8_is_valid(event->payload)) {
        value.kind = VALUE_BLOB;
    }
    return value;
}

static struct event_value fields_value(struct event *event)
{
    json_t *fields = event_fields_json(event);
    return fields == NULL ? null_value() : (struct event_value){.kind = VALUE_TREE, .tree = fields};
}

static struct event_value column_value(struct event *event, enum event_column column)
{
    switch (column) {
    case EVENT_COLUMN_ID:
        return text_value(bytes_from_text(event_id(event)));
    case EVENT_COLUMN_TOPIC:
        return text_value(event->message->topic);
    case EVENT_COLUMN_DEVICE:
        return name_value(event->device);
    case EVENT_COLUMN_DEVICE_GROUP:
        return name_value(event->group);
    case EVENT_COLUMN_TYPE:
        return name_value(event->type);
    case EVENT_COLUMN_TIME:
        return event->has_time ? integer_value(event->time_ms) : null_value();
    case EVENT_COLUMN_RECEIVED:
        return integer_value(event->message->received_ms);
    case EVENT_COLUMN_BOOT:
        return event->has_boot ? integer_value(event->identity.boot) : null_value();
    case EVENT_COLUMN_SEQUENCE:
        return event->identity.sequence == 0 ? null_value()
                                             : integer_value((int64_t)event->identity.sequence);
    case EVENT_COLUMN_QOS:
        return integer_value(event->message->qos);
    case EVENT_COLUMN_RETAIN:
        return (struct event_value){.kind = VALUE_BOOLEAN, .integer = event->message->is_retained};
    case EVENT_COLUMN_CONTENT_TYPE:
        return event->content_type.len == 0 ? null_value() : text_value(event->content_type);
    case EVENT_COLUMN_PAYLOAD:
        return payload_value(event);
    case EVENT_COLUMN_FIELDS:
        return fields_value(event);
    case EVENT_COLUMN_COUNT:
        break;
    }
    return null_value();
}

void event_column(struct event *event, enum event_column column, struct event_value *out_value)
{
    *out_value = column_value(event, column);
}

void event_field(struct event *event, const char *path, struct event_value *out_value)
{
    bool is_there =
        event->envelope != NULL && format_type_of(event->envelope)->field(event, path, out_value);
    if (!is_there && !format_type_of(event->format)->field(event, path, out_value)) {
        *out_value = null_value();
    }
}

static void tree_result(const json_t *tree, sqlite3_context *context)
{
    char *text = json_to_text(tree);
    if (text == NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    sqlite3_result_text64(context, text, strlen(text), free, SQLITE_UTF8);
    sqlite3_result_subtype(context, SUBTYPE_JSON);
}

void value_result(const struct event_value *value, sqlite3_context *context)
{
    // Borrowed bytes outlive the row (the batch owns them), so SQLite need not copy.
    const char *bytes = value->bytes.len == 0 ? "" : (const char *)value->bytes.ptr;
    switch (value->kind) {
    case VALUE_NULL:
        sqlite3_result_null(context);
        break;
    case VALUE_BOOLEAN:
        sqlite3_result_int(context, value->integer != 0);
        sqlite3_result_subtype(context, SUBTYPE_BOOLEAN);
        break;
    case VALUE_INTEGER:
        sqlite3_result_int64(context, value->integer);
        break;
    case VALUE_REAL:
        sqlite3_result_double(context, value->real);
        break;
    case VALUE_TEXT:
        sqlite3_result_text64(context, bytes, value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case VALUE_BLOB:
        sqlite3_result_blob64(context, bytes, value->bytes.len, SQLITE_STATIC);
        break;
    case VALUE_TREE:
        tree_result(value->tree, context);
        break;
    case VALUE_JSON:
        sqlite3_result_text64(context, bytes, value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
        sqlite3_result_subtype(context, SUBTYPE_JSON);
        break;
    }
}

static void value_of_text(sqlite3_value *source, struct event_value *out_value)
{
    const void *text = sqlite3_value_text(source);
    bool is_json = sqlite3_value_subtype(source) == SUBTYPE_JSON;
    out_value->kind = is_json ? VALUE_JSON : VALUE_TEXT;
    out_value->bytes = bytes_of(text, (size_t)sqlite3_value_bytes(source));
}

void value_of_sqlite(sqlite3_value *source, struct event_value *out_value)
{
    *out_value = null_value();
    switch (sqlite3_value_type(source)) {
    case SQLITE_INTEGER:
        out_value->kind =
            sqlite3_value_subtype(source) == SUBTYPE_BOOLEAN ? VALUE_BOOLEAN : VALUE_INTEGER;
        out_value->integer = sqlite3_value_int64(source);
        break;
    case SQLITE_FLOAT:
        out_value->kind = VALUE_REAL;
        out_value->real = sqlite3_value_double(source);
        break;
    case SQLITE_TEXT:
        value_of_text(source, out_value);
        break;
    case SQLITE_BLOB:
        out_value->kind = VALUE_BLOB;
        const void *blob = sqlite3_value_blob(source);
        out_value->bytes = bytes_of(blob, (size_t)sqlite3_value_bytes(source));
        break;
    default:
        break;
    }
}

// Whether some decimal of at most 15 digits with few decimals is this very number: then 15 digits
// name it, found without printing it.
static bool is_short(double real)
{
    static const double scales[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
        double whole = rint(real * scales[i]);
        if (!(fabs(whole) < 1e15)) {
            return false;
        }
        if (whole / scales[i] == real) {
            return true;
        }
    }
    return false;
}

int real_precision(double real)
{
    if (is_short(real)) {
        return 15;
    }
    char text[REAL_TEXT_BYTES];
    int digits = 15;
    while (digits < 17) {
        snprintf(text, sizeof(text), "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
        digits++;
    }
    return digits;
}

size_t real_to_text(double real, char out_text[REAL_TEXT_BYTES])
{
    size_t len =
        (size_t)snprintf(out_text, REAL_TEXT_BYTES - 2, "%.*g", real_precision(real), real);
    if (strspn(out_text, "-0123456789") == len) {
        memcpy(out_text + len, ".0", 3);
        len += 2;
    }
    return len;
}
