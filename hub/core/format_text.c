// format_text.c - payloads that are one value: a text, a number in decimal text, or bytes that
// nobody looks into.
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/format_types.h"

#define NUMBER_BYTES_MAX 64

static bool is_value(const char *path)
{
    return strcmp(path, "value") == 0;
}

static bool has_value(const void *state, const char *path)
{
    (void)state;
    return is_value(path);
}

static const char *const *value_names(const void *state)
{
    static const char *const names[] = {"value", NULL};
    (void)state;
    return names;
}

// {"value": ...}
static json_t *value_object(const struct event_value *value)
{
    const char *problem;
    json_t *object = json_object(), *json = value_to_json(value, &problem);
    json_object_set_new_nocheck(object, "value", json == NULL ? json_null() : json);
    return object;
}

static enum err validate_text(struct event *event, struct error *e)
{
    return utf8_is_valid(event->payload)
               ? ERR_OK
               : error_set(e, ERR_INVALID, "the payload is not valid UTF-8; a text was expected");
}

static bool text_field(struct event *event, const char *path, struct event_value *out_value)
{
    if (!is_value(path) || event->payload.ptr == NULL || !utf8_is_valid(event->payload)) {
        return false;
    }
    *out_value = (struct event_value){.kind = VALUE_TEXT, .bytes = event->payload};
    return true;
}

static json_t *text_fields(struct event *event)
{
    struct event_value value;
    return text_field(event, "value", &value) ? value_object(&value) : NULL;
}

const struct format_type format_text = {
    .name = "text",
    .validate = validate_text,
    .field = text_field,
    .fields = text_fields,
    .has_field = has_value,
    .names = value_names,
    .is_closed = true,
};

static struct bytes trimmed(struct bytes text)
{
    while (text.len > 0 && memchr(" \t\r\n", text.ptr[text.len - 1], 4) != NULL) {
        text.len--;
    }
    while (text.len > 0 && memchr(" \t\r\n", text.ptr[0], 4) != NULL) {
        text = bytes_of(text.ptr + 1, text.len - 1);
    }
    return text;
}

// strtod's words and hexadecimals are no decimal numbers.
static bool is_decimal(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "+-.0123456789eE")] == '\0';
}

// A whole number that SQL can hold stays whole.
static bool number_of(struct bytes payload, struct event_value *out_value)
{
    struct bytes text = trimmed(payload);
    char copy[NUMBER_BYTES_MAX + 1];
    if (text.len > NUMBER_BYTES_MAX) {
        return false;
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    if (strlen(copy) != text.len || !is_decimal(copy)) {
        return false;
    }
    char *end;
    double real = strtod(copy, &end);
    if (*end != '\0' || !isfinite(real)) {
        return false;
    }
    bool is_whole = strpbrk(copy, ".eE") == NULL && fabs(real) < 0x1p63;
    *out_value =
        is_whole ? (struct event_value){.kind = VALUE_INTEGER, .integer = strtoll(copy, NULL, 10)}
                 : (struct event_value){.kind = VALUE_REAL, .real = real};
    return true;
}

static enum err validate_number(struct event *event, struct error *e)
{
    struct event_value value;
    if (number_of(event->payload, &value)) {
        return ERR_OK;
    }
    return error_set(e, ERR_INVALID,
                     "the payload (%zu bytes) is not a number in decimal text of at most %d bytes",
                     event->payload.len, NUMBER_BYTES_MAX);
}

static bool number_field(struct event *event, const char *path, struct event_value *out_value)
{
    return is_value(path) && number_of(event->payload, out_value);
}

static json_t *number_fields(struct event *event)
{
    struct event_value value;
    return number_of(event->payload, &value) ? value_object(&value) : NULL;
}

const struct format_type format_number = {
    .name = "number",
    .validate = validate_number,
    .field = number_field,
    .fields = number_fields,
    .has_field = has_value,
    .names = value_names,
    .is_closed = true,
};

static bool no_field(struct event *event, const char *path, struct event_value *out_value)
{
    (void)event;
    (void)path;
    (void)out_value;
    return false;
}

static bool has_none(const void *state, const char *path)
{
    (void)state;
    (void)path;
    return false;
}

const struct format_type format_bytes = {
    .name = "bytes",
    .field = no_field,
    .has_field = has_none,
    .is_closed = true,
};
