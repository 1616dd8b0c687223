#include "core/render_properties.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/idempotency.h"
#include "core/properties.h"

struct route_properties {
    const struct route_spec *spec;
    struct template *values[];
};

enum err route_properties_create(struct route_properties **out_properties,
                                 const struct route_spec *spec, sqlite3_stmt *compiled,
                                 struct error *e)
{
    uint32_t count = spec->property_count;
    struct route_properties *properties =
        calloc(1, sizeof(*properties) + count * sizeof(properties->values[0]));
    if (properties == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a route's properties");
    }
    properties->spec = spec;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        rc = template_create(&properties->values[i], spec->properties[i].value, compiled, e);
        rc = rc == ERR_CONFIG ? error_wrap(e, "property %s", spec->properties[i].name) : rc;
    }
    if (rc == ERR_OK) {
        *out_properties = properties;
    } else {
        route_properties_destroy(properties);
    }
    return rc;
}

void route_properties_destroy(struct route_properties *properties)
{
    if (properties == NULL) {
        return;
    }
    for (uint32_t i = 0; i < properties->spec->property_count; i++) {
        template_destroy(properties->values[i]);
    }
    free(properties);
}

static bool has_property(const struct text_writer *writer, const char *wanted)
{
    struct bytes rest = bytes_of(writer->text, writer->len), name, value;
    while (properties_next(&rest, &name, &value)) {
        if (bytes_equal(name, bytes_from_text(wanted))) {
            return true;
        }
    }
    return false;
}

static enum err check_value(const struct text_writer *writer, const char *name, struct bytes value,
                            struct error *e)
{
    if (value.len > 0 && memchr(value.ptr, 0, value.len) != NULL) {
        return error_set(e, ERR_INVALID, "property %s holds a NUL character", name);
    }
    if (!utf8_is_valid(value)) {
        return error_set(e, ERR_INVALID, "property %s is not valid UTF-8", name);
    }
    if (writer->len + strlen(name) + value.len + 2 > PROPERTIES_BYTES_MAX) {
        return error_set(e, ERR_INVALID, "with property %s the properties are more than %d bytes",
                         name, PROPERTIES_BYTES_MAX);
    }
    return ERR_OK;
}

enum err property_add(struct text_writer *writer, const char *name, struct bytes value,
                      struct error *e)
{
    if (has_property(writer, name)) {
        return ERR_OK;
    }
    enum err rc = check_value(writer, name, value, e);
    if (rc == ERR_OK) {
        rc = text_writer_add(writer, bytes_of(name, strlen(name) + 1), e);
    }
    rc = rc == ERR_OK ? text_writer_add(writer, value, e) : rc;
    return rc == ERR_OK ? text_writer_add(writer, bytes_of("", 1), e) : rc;
}

enum err route_properties_render(const struct route_properties *properties,
                                 const struct render_row *row, struct text_writer *scratch,
                                 struct text_writer *writer, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < properties->spec->property_count; i++) {
        const char *name = properties->spec->properties[i].name;
        scratch->len = 0;
        rc = template_render(properties->values[i], row, TEMPLATE_TEXT, scratch, e);
        rc = rc == ERR_INVALID ? error_wrap(e, "property %s", name) : rc;
        if (rc == ERR_OK && scratch->len > 0) {
            rc = property_add(writer, name, bytes_of(scratch->text, scratch->len), e);
        }
    }
    return rc;
}

static const struct user_property *find_property(const struct message *message, const char *name)
{
    for (uint32_t i = 0; i < message->property_count; i++) {
        if (bytes_equal(message->properties[i].name, bytes_from_text(name))) {
            return &message->properties[i];
        }
    }
    return NULL;
}

enum err carried_properties_render(const struct render_row *row, struct text_writer *writer,
                                   struct error *e)
{
    static const char *const names[] = {"traceparent", "tracestate"};
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < sizeof(names) / sizeof(names[0]); i++) {
        const struct user_property *found = find_property(event_message(row->event), names[i]);
        struct error why = {0};
        // One that cannot be carried is no reason to lose the delivery.
        rc = found == NULL ? ERR_OK : property_add(writer, names[i], found->value, &why);
        rc = rc == ERR_NO_MEMORY ? error_set(e, rc, "%s", why.text) : ERR_OK;
    }
    struct bytes number;
    if (rc == ERR_OK && idempotency_key_replay(event_id(row->event), &number)) {
        rc = property_add(writer, "replay", number, e);
    }
    return rc;
}
