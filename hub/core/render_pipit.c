#include <pipit/v1/pipit.pb-c.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/render_json.h"
#include "core/topic.h"

enum err pipit_row_check(sqlite3_stmt *compiled, const char *type, struct error *e)
{
    int count = sqlite3_column_count(compiled);
    size_t type_len = strlen(type);
    if (type_len == 0 || type_len > EVENT_NAME_MAX || !topic_is_valid(bytes_from_text(type))) {
        return error_set(
            e, ERR_CONFIG,
            "\"%.128s\" cannot be the type of a Pipit event: 1 to %d bytes, no wildcards", type,
            EVENT_NAME_MAX);
    }
    if (count > EVENT_FIELDS_MAX) {
        return error_set(e, ERR_CONFIG, "a Pipit event has at most %d fields, the result has %d",
                         EVENT_FIELDS_MAX, count);
    }
    for (int i = 0; i < count; i++) {
        const char *name = sqlite3_column_name(compiled, i);
        if (strlen(name) > EVENT_NAME_MAX) {
            return error_set(e, ERR_CONFIG,
                             "the column \"%.40s...\" is longer than the %d bytes of a field's "
                             "name; name it with AS",
                             name, EVENT_NAME_MAX);
        }
        for (int j = 0; j < i; j++) {
            if (strcmp(sqlite3_column_name(compiled, j), name) == 0) {
                return error_set(e, ERR_CONFIG,
                                 "two columns of the result are called \"%s\"; name one with AS",
                                 name);
            }
        }
    }
    return ERR_OK;
}

// protobuf-c needs strings that end in NUL, and so without one inside.
static enum err set_text(Pipit__V1__Field *field, struct bytes text, struct event_memory *memory,
                         struct error *e)
{
    bool has_nul = text.len > 0 && memchr(text.ptr, 0, text.len) != NULL;
    if (has_nul || !utf8_is_valid(text)) {
        return error_set(e, ERR_INVALID, "column \"%s\" %s", field->name,
                         has_nul ? "holds a NUL character" : "is not valid UTF-8");
    }
    field->value_case = PIPIT__V1__FIELD__VALUE_TEXT;
    field->text = event_memory_text(memory, text);
    return field->text == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for a text") : ERR_OK;
}

static enum err set_value(Pipit__V1__Field *field, const struct event_value *value,
                          struct event_memory *memory, struct error *e)
{
    switch (value->kind) {
    case VALUE_BOOLEAN:
        field->value_case = PIPIT__V1__FIELD__VALUE_BOOLEAN;
        field->boolean = value->integer != 0;
        return ERR_OK;
    case VALUE_INTEGER:
        field->value_case = PIPIT__V1__FIELD__VALUE_SIGNED;
        field->signed_ = value->integer;
        return ERR_OK;
    case VALUE_REAL:
        field->value_case = PIPIT__V1__FIELD__VALUE_REAL;
        field->real = value->real;
        return ERR_OK;
    case VALUE_BLOB:
        field->value_case = PIPIT__V1__FIELD__VALUE_DATA;
        field->data.len = value->bytes.len;
        field->data.data = (uint8_t *)(uintptr_t)value->bytes.ptr; // Packed, not written to.
        return ERR_OK;
    default:
        return set_text(field, value->bytes, memory, e);
    }
}

struct field_list {
    Pipit__V1__Field **fields;
    size_t count;
};

static enum err make_fields(struct field_list *list, const struct render_row *row, struct error *e)
{
    int count = sqlite3_column_count(row->compiled);
    list->count = 0;
    list->fields = event_memory_take(row->memory, (size_t)count * sizeof(list->fields[0]));
    Pipit__V1__Field *fields = event_memory_take(row->memory, (size_t)count * sizeof(*fields));
    if (list->fields == NULL || fields == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the fields of a message");
    }
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < count; i++) {
        struct event_value value;
        value_of_sqlite(sqlite3_column_value(row->compiled, i), &value);
        if (value.kind != VALUE_NULL) {
            Pipit__V1__Field *field = &fields[list->count];
            pipit__v1__field__init(field);
            field->name = (char *)(uintptr_t)sqlite3_column_name(row->compiled, i);
            list->fields[list->count++] = field;
            rc = set_value(field, &value, row->memory, e);
        }
    }
    return rc;
}

static enum err pack(const ProtobufCMessage *message, struct event_memory *memory,
                     struct bytes *out_payload, struct error *e)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = event_memory_take(memory, size);
    if (packed == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a message of Pipit's");
    }
    protobuf_c_message_pack(message, packed);
    *out_payload = bytes_of(packed, size);
    return ERR_OK;
}

enum err pipit_row_render(const struct render_row *row, const char *type, struct bytes *out_payload,
                          struct error *e)
{
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    event.type = (char *)(uintptr_t)type;
    int64_t time_ms;
    if (event_time_ms(row->event, &time_ms) && time_ms >= 0) {
        event.device_time_case = PIPIT__V1__EVENT__DEVICE_TIME_TIME;
        event.time = (uint64_t)time_ms;
    }
    struct field_list list;
    enum err rc = make_fields(&list, row, e);
    if (rc == ERR_OK) {
        event.fields = list.fields;
        event.n_fields = list.count;
        rc = pack(&event.base, row->memory, out_payload, e);
    }
    return rc;
}

enum err pipit_command_render(const struct pipit_command_head *head, const struct render_row *row,
                              struct bytes *out_payload, struct error *e)
{
    Pipit__V1__Command command = PIPIT__V1__COMMAND__INIT;
    command.id = (char *)(uintptr_t)head->id;
    command.name = (char *)(uintptr_t)head->name;
    if (head->expires_ms > 0) {
        command.expiry_case = PIPIT__V1__COMMAND__EXPIRY_EXPIRES;
        command.expires = (uint64_t)head->expires_ms;
    }
    struct field_list list = {NULL, 0};
    enum err rc = row->compiled == NULL ? ERR_OK : make_fields(&list, row, e);
    if (rc == ERR_OK) {
        command.fields = list.fields;
        command.n_fields = list.count;
        rc = pack(&command.base, row->memory, out_payload, e);
    }
    return rc;
}
