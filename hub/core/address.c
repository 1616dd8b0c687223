#include "core/address.h"

#include <ctype.h>
#include <string.h>

static bool is_path(struct bytes text)
{
    return text.len == 0 || text.ptr[0] == '/' || text.ptr[0] == '?';
}

struct address address_parse(struct bytes text)
{
    if (is_path(text)) {
        return (struct address){bytes_from_text("POST"), text};
    }
    const uint8_t *space = memchr(text.ptr, ' ', text.len);
    size_t method_len = space == NULL ? text.len : (size_t)(space - text.ptr);
    size_t skipped = method_len + (space != NULL);
    return (struct address){bytes_of(text.ptr, method_len),
                            bytes_of(text.ptr + skipped, text.len - skipped)};
}

static const char *method_problem(struct bytes method)
{
    if (method.len == 0 || method.len > ADDRESS_METHOD_MAX) {
        return "has no method before its space";
    }
    for (size_t i = 0; i < method.len; i++) {
        if (method.ptr[i] < 'A' || method.ptr[i] > 'Z') {
            return "begins with neither a method in capitals nor a / of its path";
        }
    }
    if (bytes_equal(method, bytes_from_text("CONNECT")) ||
        bytes_equal(method, bytes_from_text("TRACE"))) {
        return "has a method that is not for calls";
    }
    return NULL;
}

static const char *character_problem(struct bytes path)
{
    for (size_t i = 0; i < path.len; i++) {
        uint8_t byte = path.ptr[i];
        if (byte == ' ') {
            return "holds a space in its path, which is written %20";
        }
        if (byte == '#') {
            return "holds a #, which no server is sent; the character is written %23";
        }
        if (byte < ' ' || byte > '~' || strchr("\"<>\\^`{}", byte) != NULL) {
            return "holds a character that has to be percent-encoded";
        }
        if (byte == '%' &&
            (i + 2 >= path.len || !isxdigit(path.ptr[i + 1]) || !isxdigit(path.ptr[i + 2]))) {
            return "holds a % without two hexadecimal digits behind it";
        }
    }
    return NULL;
}

// They lead to another place than the one that is written, which a value must not.
static bool has_dot_part(struct bytes path)
{
    const uint8_t *query = memchr(path.ptr, '?', path.len);
    size_t len = query == NULL ? path.len : (size_t)(query - path.ptr), start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && path.ptr[i] != '/') {
            continue;
        }
        struct bytes part = bytes_of(path.ptr + start, i - start);
        if (bytes_equal(part, bytes_from_text(".")) || bytes_equal(part, bytes_from_text(".."))) {
            return true;
        }
        start = i + 1;
    }
    return false;
}

const char *address_problem(struct bytes text)
{
    if (text.len > ADDRESS_BYTES_MAX) {
        return "is longer than 8000 bytes";
    }
    struct address address = address_parse(text);
    const char *problem = method_problem(address.method);
    if (problem == NULL && !is_path(address.path)) {
        problem = "has a path that does not begin with /";
    }
    problem = problem == NULL ? character_problem(address.path) : problem;
    if (problem == NULL && address.path.len > 0 && has_dot_part(address.path)) {
        problem = "has . or .. as a part of its path";
    }
    return problem;
}

bool address_has_body(const struct address *address)
{
    return !bytes_equal(address->method, bytes_from_text("GET")) &&
           !bytes_equal(address->method, bytes_from_text("HEAD")) &&
           !bytes_equal(address->method, bytes_from_text("DELETE"));
}
