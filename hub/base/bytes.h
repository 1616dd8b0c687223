// bytes.h - borrowed bytes: a pointer and a length, valid as long as their owner says.
// Threads:   any.
// Ownership: never owns.
// Failure:   none.
#ifndef PIPIT_BASE_BYTES_H
#define PIPIT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *ptr;
    size_t len;
};

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
    return (struct bytes){(const uint8_t *)ptr, len};
}

// NULL is the empty string.
static inline struct bytes bytes_from_text(const char *text)
{
    return bytes_of(text, text == NULL ? 0 : strlen(text));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

#endif
