#include "connectors/http_headers.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/properties.h"

// Those that say how a message travels are the connection's business [RFC 9110 7.6.1].
static const char *const reserved[] = {
    "Connection",
    "Content-Length",
    "Expect",
    "Host",
    "Idempotency-Key",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "Proxy-Authorization",
    "Transfer-Encoding",
};

static bool is_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("!#$%&'*+-.^_`|~", name[i]) == NULL) {
            return false;
        }
    }
    return len > 0;
}

// A line's end in a value would be a header of its own.
static bool is_value(const char *value)
{
    for (; *value != '\0'; value++) {
        if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f) {
            return false;
        }
    }
    return true;
}

static const char *problem_of(const struct http_header *header)
{
    if (!is_name(header->name)) {
        return "is no name of a header";
    }
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (strcasecmp(header->name, reserved[i]) == 0) {
            return "is a header that the hub sets itself";
        }
    }
    return is_value(header->value) ? NULL : "has a control character in its value";
}

const char *http_header_problem(const char *name)
{
    const struct http_header header = {name, ""};
    return problem_of(&header);
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL) {
        text[--len] = '\0';
    }
    return text;
}

static enum err parse_line(char *line, struct http_fixed *fixed, struct error *e)
{
    char *colon = strchr(line, ':');
    if (colon == NULL) { // Not shown: it may be a secret.
        return error_set(e, ERR_CONFIG, "a line has no colon; each is 'Name: value'");
    }
    if (fixed->count == HTTP_HEADERS_MAX / 2) {
        return error_set(e, ERR_CONFIG, "more than %d lines", HTTP_HEADERS_MAX / 2);
    }
    *colon = '\0';
    struct http_header header = {trim(line), trim(colon + 1)};
    const char *problem = problem_of(&header);
    if (problem != NULL) {
        return error_set(e, ERR_CONFIG, "'%.60s' %s", header.name, problem);
    }
    fixed->headers[fixed->count++] = header;
    return ERR_OK;
}

enum err http_fixed_parse(const char *lines, struct http_fixed *out_fixed, struct error *e)
{
    struct http_fixed fixed = {.text = strdup(lines == NULL ? "" : lines)};
    if (fixed.text == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for headers");
    }
    enum err rc = ERR_OK;
    char *rest = fixed.text, *line;
    while (rc == ERR_OK && (line = strsep(&rest, "\n")) != NULL) {
        line = trim(line);
        rc = line[0] == '\0' ? ERR_OK : parse_line(line, &fixed, e);
    }
    if (rc != ERR_OK) {
        http_fixed_deinit(&fixed);
        return rc;
    }
    *out_fixed = fixed;
    return ERR_OK;
}

void http_fixed_deinit(struct http_fixed *fixed)
{
    free(fixed->text);
    *fixed = (struct http_fixed){.text = NULL};
}

static const char *keep(struct http_headers *headers, const char *prefix, const char *text,
                        bool (*is_plain)(unsigned char byte))
{
    size_t need = strlen(prefix) + 3 * strlen(text) + 1;
    if (need > sizeof(headers->text) - headers->used) {
        return NULL;
    }
    char *start = headers->text + headers->used;
    char *at = stpcpy(start, prefix);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (is_plain(byte)) {
            *at++ = *text;
        } else {
            at += snprintf(at, 4, "%%%02X", byte);
        }
    }
    *at++ = '\0';
    headers->used += (size_t)(at - start);
    return start;
}

// Of an idempotency key, which is to be the same text wherever it is looked at.
static bool is_plain_key(unsigned char byte)
{
    return byte > ' ' && byte <= '~' && byte != '%';
}

// Of a CloudEvent's attribute [CloudEvents HTTP Protocol Binding 3.1.3.2].
static bool is_plain_attribute(unsigned char byte)
{
    return byte > ' ' && byte <= '~' && byte != '%' && byte != '"';
}

static bool is_any(unsigned char byte)
{
    (void)byte;
    return true;
}

static bool add(struct http_headers *headers, const char *name, const char *value)
{
    if (headers->count == HTTP_HEADERS_MAX || name == NULL || value == NULL) {
        return false;
    }
    headers->headers[headers->count++] = (struct http_header){name, value};
    return true;
}

static bool has(const struct http_headers *headers, const char *name)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        if (strcasecmp(headers->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_cloudevent(struct bytes properties)
{
    struct bytes name, value;
    while (properties_next(&properties, &name, &value)) {
        if (bytes_equal(name, bytes_from_text("specversion"))) {
            return true;
        }
    }
    return false;
}

// A property is a header of its name; an attribute of a CloudEvent is ce-<name>.
static bool add_property(struct http_headers *headers, const char *name, const char *value,
                         bool is_attribute)
{
    if (is_attribute) {
        name = keep(headers, "ce-", name, is_any);
        value = keep(headers, "", value, is_plain_attribute);
    }
    return add(headers, name, value);
}

static const char *add_properties(struct http_headers *headers, struct bytes properties,
                                  char problem[200])
{
    bool is_event = is_cloudevent(properties);
    struct bytes name, value;
    while (properties_next(&properties, &name, &value)) {
        const struct http_header given = {(const char *)name.ptr, (const char *)value.ptr};
        const char *why = problem_of(&given);
        if (why != NULL) {
            snprintf(problem, 200, "the property '%.60s' %s", given.name, why);
            return problem;
        }
        if (!add_property(headers, given.name, given.value, is_event)) {
            return "its properties are more than a call can have";
        }
    }
    return NULL;
}

const char *http_headers_make(struct http_headers *headers, const struct http_fixed *fixed,
                              const struct delivery *delivery, char problem[200])
{
    headers->count = 0;
    headers->used = 0;
    const char *key = keep(headers, "", delivery->idempotency_key, is_plain_key);
    add(headers, "Idempotency-Key", key);
    const char *why = add_properties(headers, delivery->properties, problem);
    for (uint32_t i = 0; why == NULL && i < fixed->count; i++) {
        if (!has(headers, fixed->headers[i].name) &&
            !add(headers, fixed->headers[i].name, fixed->headers[i].value)) {
            why = "its properties are more than a call can have";
        }
    }
    if (why == NULL && delivery->content_type[0] != '\0' && !has(headers, "Content-Type")) {
        if (!is_value(delivery->content_type)) {
            return "its content type has a control character";
        }
        add(headers, "Content-Type", delivery->content_type);
    }
    return why;
}
