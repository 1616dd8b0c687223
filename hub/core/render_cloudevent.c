#include "core/render_cloudevent.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/render_json.h"
#include "core/render_properties.h"

#define EXTENSION_PREFIX     "ce_"
#define EXTENSION_PREFIX_LEN (sizeof(EXTENSION_PREFIX) - 1)
#define EXTENSION_NAME_MAX   20 // "SHOULD NOT exceed 20 characters in length."

#define TIME_TEXT_BYTES 25

struct cloudevent_route {
    bool is_structured;
    struct template *type, *source, *subject; // subject may be NULL.
    struct json_row *data;
};

// Attributes that have their place; NULL: the hub sets it by itself.
static const struct {
    const char *name, *option;
} own_attributes[] = {
    {"id", NULL},     {"specversion", NULL}, {"time", NULL},
    {"data", NULL},   {"data_base64", NULL}, {"datacontenttype", NULL},
    {"type", "type"}, {"source", "source"},  {"subject", "subject"},
};

static bool is_extension(const char *column)
{
    return strncmp(column, EXTENSION_PREFIX, EXTENSION_PREFIX_LEN) == 0;
}

static enum err check_extension(const char *column, struct error *e)
{
    const char *name = column + EXTENSION_PREFIX_LEN;
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
    for (size_t i = 0; i < sizeof(own_attributes) / sizeof(own_attributes[0]); i++) {
        const char *option = own_attributes[i].option;
        if (strcmp(own_attributes[i].name, name) == 0) {
            return error_set(e, ERR_CONFIG,
                             "column \"%s\" cannot be an extension: %s is set by %s%s", column,
                             name, option == NULL ? "the hub" : "the route's option ",
                             option == NULL ? "" : option);
        }
    }
    if (len == 0 || name[len] != '\0' || len > EXTENSION_NAME_MAX) {
        return error_set(e, ERR_CONFIG,
                         "column \"%.80s\" cannot be an extension: behind " EXTENSION_PREFIX
                         " stand 1 to %d of a to z and 0 to 9",
                         column, EXTENSION_NAME_MAX);
    }
    return ERR_OK;
}

static enum err check_extensions(sqlite3_stmt *compiled, struct error *e)
{
    int count = sqlite3_column_count(compiled);
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < count; i++) {
        const char *name = sqlite3_column_name(compiled, i);
        rc = is_extension(name) ? check_extension(name, e) : ERR_OK;
        for (int j = 0; rc == ERR_OK && j < i; j++) {
            if (strcmp(sqlite3_column_name(compiled, j), name) == 0) {
                rc = error_set(e, ERR_CONFIG,
                               "two columns of the result are called \"%s\"; name one with AS",
                               name);
            }
        }
    }
    return rc;
}

static enum err create_template(struct template **out_template, const char *what, const char *text,
                                sqlite3_stmt *compiled, struct error *e)
{
    enum err rc = template_create(out_template, text, compiled, e);
    return rc == ERR_CONFIG ? error_wrap(e, "%s", what) : rc;
}

enum err cloudevent_create(struct cloudevent_route **out_route, const struct cloudevent_spec *spec,
                           sqlite3_stmt *compiled, struct error *e)
{
    struct cloudevent_route *route = calloc(1, sizeof(*route));
    if (route == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
    }
    route->is_structured = spec->is_structured;
    enum err rc = check_extensions(compiled, e);
    rc = rc == ERR_OK ? create_template(&route->type, "type", spec->type, compiled, e) : rc;
    rc = rc == ERR_OK ? create_template(&route->source, "source", spec->source, compiled, e) : rc;
    if (rc == ERR_OK && spec->subject != NULL) {
        rc = create_template(&route->subject, "subject", spec->subject, compiled, e);
    }
    if (rc == ERR_OK) {
        rc = json_row_create(&route->data, compiled, EXTENSION_PREFIX, e);
    }
    if (rc == ERR_OK) {
        *out_route = route;
    } else {
        cloudevent_destroy(route);
    }
    return rc;
}

void cloudevent_destroy(struct cloudevent_route *route)
{
    if (route != NULL) {
        template_destroy(route->type);
        template_destroy(route->source);
        template_destroy(route->subject);
        json_row_destroy(route->data);
        free(route);
    }
}

// RFC 3339 in UTC. The day of the (proleptic Gregorian) calendar: years begin in March, so that the
// leap day is the last one.
static void time_to_text(int64_t ms, char out_text[TIME_TEXT_BYTES])
{
    ms = ms < 0 ? 0 : ms > EVENT_TIME_MAX_MS ? EVENT_TIME_MAX_MS : ms;
    int64_t day = ms / 86400000 + 719468; // Since March 1st of the year 0.
    int64_t era = day / 146097, of_era = day % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    int64_t of_month = of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    year += era * 400 + (month <= 2);
    int64_t of_day = ms % 86400000;
    // All of them are within their digits; the rest says so to the compiler.
    snprintf(out_text, TIME_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)year % 10000, (unsigned)month % 100, (unsigned)of_month % 100,
             (unsigned)(of_day / 3600000) % 100, (unsigned)(of_day / 60000) % 60,
             (unsigned)(of_day / 1000) % 60, (unsigned)of_day % 1000);
}

// Where attributes go: into a JSON object, or among the properties.
struct attributes {
    json_t *object; // NULL: binary mode.
    struct text_writer *scratch, *properties;
};

static enum err set_json(json_t *object, const char *name, json_t *value, struct error *e)
{
    return json_object_set_new(object, name, value) == 0
               ? ERR_OK
               : error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
}

// Both modes: a text of Unicode without control characters.
static enum err set_text(struct attributes *attributes, const char *name, struct bytes text,
                         struct error *e)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) {
            return error_set(e, ERR_INVALID, "%s holds a control character", name);
        }
    }
    if (!utf8_is_valid(text)) {
        return error_set(e, ERR_INVALID, "%s is not valid UTF-8", name);
    }
    return attributes->object == NULL ? property_add(attributes->properties, name, text, e)
                                      : set_json(attributes->object, name,
                                                 json_stringn((const char *)text.ptr, text.len), e);
}

static enum err set_template(struct attributes *attributes, const char *name,
                             const struct template *template, const struct render_row *row,
                             struct error *e)
{
    struct text_writer *scratch = attributes->scratch;
    scratch->len = 0;
    enum err rc = template_render(template, row, TEMPLATE_TEXT, scratch, e);
    if (rc != ERR_OK) {
        return rc == ERR_INVALID ? error_wrap(e, "%s", name) : rc;
    }
    if (scratch->len == 0) { // Attributes are not empty.
        return strcmp(name, "subject") == 0 ? ERR_OK
                                            : error_set(e, ERR_INVALID, "%s is empty", name);
    }
    return set_text(attributes, name, bytes_of(scratch->text, scratch->len), e);
}

// JSON knows booleans and the integers of CloudEvents, which have 32 bits; all else is a text.
static json_t *json_attribute(const struct event_value *value)
{
    if (value->kind == VALUE_BOOLEAN) {
        return json_boolean(value->integer != 0);
    }
    bool is_small =
        value->kind == VALUE_INTEGER && value->integer >= INT32_MIN && value->integer <= INT32_MAX;
    return is_small ? json_integer(value->integer) : NULL;
}

static enum err set_extension(struct attributes *attributes, const char *column,
                              const struct event_value *value, struct error *e)
{
    const char *name = column + EXTENSION_PREFIX_LEN;
    json_t *json = attributes->object == NULL ? NULL : json_attribute(value);
    if (json != NULL) {
        return set_json(attributes->object, name, json, e);
    }
    struct text_writer *scratch = attributes->scratch;
    scratch->len = 0;
    struct error why = {0};
    enum err rc = text_writer_add_value(scratch, value, &why);
    if (rc != ERR_OK) {
        return error_set(e, rc, "column \"%s\" %s", column, why.text);
    }
    return scratch->len == 0 ? ERR_OK
                             : set_text(attributes, name, bytes_of(scratch->text, scratch->len), e);
}

static enum err set_extensions(struct attributes *attributes, const struct render_row *row,
                               struct error *e)
{
    int count = sqlite3_column_count(row->compiled);
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < count; i++) {
        const char *column = sqlite3_column_name(row->compiled, i);
        if (is_extension(column)) {
            struct event_value value;
            value_of_sqlite(sqlite3_column_value(row->compiled, i), &value);
            rc = set_extension(attributes, column, &value, e);
        }
    }
    return rc;
}

static enum err set_time(struct attributes *attributes, const struct render_row *row,
                         struct error *e)
{
    char text[TIME_TEXT_BYTES];
    int64_t ms;
    if (!event_time_ms(row->event, &ms)) {
        ms = event_message(row->event)->received_ms;
    }
    time_to_text(ms, text);
    return set_text(attributes, "time", bytes_from_text(text), e);
}

static enum err set_all(const struct cloudevent_route *route, const struct render_row *row,
                        const char *id, struct attributes *attributes, struct error *e)
{
    enum err rc = set_text(attributes, "specversion", bytes_from_text("1.0"), e);
    rc = rc == ERR_OK ? set_text(attributes, "id", bytes_from_text(id), e) : rc;
    rc = rc == ERR_OK ? set_template(attributes, "source", route->source, row, e) : rc;
    rc = rc == ERR_OK ? set_template(attributes, "type", route->type, row, e) : rc;
    if (rc == ERR_OK && route->subject != NULL) {
        rc = set_template(attributes, "subject", route->subject, row, e);
    }
    rc = rc == ERR_OK ? set_time(attributes, row, e) : rc;
    return rc == ERR_OK ? set_extensions(attributes, row, e) : rc;
}

// {attributes,"datacontenttype":"application/json","data":data}
static enum err write_structured(json_t *object, struct bytes data, struct text_writer *writer,
                                 struct error *e)
{
    static const char member[] = ",\"datacontenttype\":\"application/json\",\"data\":";
    char *text = json_dumps(object, JSON_COMPACT);
    if (text == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
    }
    writer->len = 0;
    enum err rc = text_writer_add(writer, bytes_of(text, strlen(text) - 1), e);
    rc = rc == ERR_OK ? text_writer_add(writer, bytes_of(member, sizeof(member) - 1), e) : rc;
    rc = rc == ERR_OK ? text_writer_add(writer, data, e) : rc;
    rc = rc == ERR_OK ? text_writer_add(writer, bytes_of("}", 1), e) : rc;
    free(text);
    return rc == ERR_INVALID ? error_wrap(e, "the CloudEvent") : rc;
}

static enum err render_structured(struct cloudevent_route *route, const struct render_row *row,
                                  const char *id, struct cloudevent_output *output, struct error *e)
{
    struct attributes attributes = {json_object(), output->scratch, NULL};
    struct bytes data;
    if (attributes.object == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
    }
    enum err rc = set_all(route, row, id, &attributes, e);
    rc = rc == ERR_OK ? json_row_render(route->data, row, &data, e) : rc;
    rc = rc == ERR_OK ? write_structured(attributes.object, data, output->scratch, e) : rc;
    json_decref(attributes.object);
    output->content_type = CONTENT_TYPE_CLOUDEVENT;
    return rc == ERR_OK ? text_writer_keep(output->scratch, row->memory, &output->payload, e) : rc;
}

static enum err render_binary(struct cloudevent_route *route, const struct render_row *row,
                              const char *id, struct cloudevent_output *output, struct error *e)
{
    struct attributes attributes = {NULL, output->scratch, output->properties};
    enum err rc = set_all(route, row, id, &attributes, e);
    output->content_type = CONTENT_TYPE_JSON;
    return rc == ERR_OK ? json_row_render(route->data, row, &output->payload, e) : rc;
}

enum err cloudevent_render(struct cloudevent_route *route, const struct render_row *row,
                           const char *id, struct cloudevent_output *output, struct error *e)
{
    return route->is_structured ? render_structured(route, row, id, output, e)
                                : render_binary(route, row, id, output, e);
}
