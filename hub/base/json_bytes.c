#include "base/json_bytes.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

#define NAME_BYTES_MAX 64 // Of a member, with "_base64".

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// [RFC 4648, section 4]; the caller frees it.
static char *base64(struct bytes bytes)
{
    char *out = malloc((bytes.len + 2) / 3 * 4 + 1);
    if (out == NULL) {
        return NULL;
    }
    char *at = out;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.ptr[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes.ptr[i + 2] : 0;
        *at++ = base64_digits[group >> 18];
        *at++ = base64_digits[group >> 12 & 63];
        *at++ = left > 1 ? base64_digits[group >> 6 & 63] : '=';
        *at++ = left > 2 ? base64_digits[group & 63] : '=';
    }
    *at = '\0';
    return out;
}

// Jansson takes U+0000 as well.
bool json_set_bytes(struct json_t *object, const char *name, struct bytes bytes)
{
    if (bytes.len == 0) {
        return json_object_set_new(object, name, json_string("")) == 0;
    }
    if (utf8_is_valid(bytes)) {
        return json_object_set_new(object, name,
                                   json_stringn((const char *)bytes.ptr, bytes.len)) == 0;
    }
    char other[NAME_BYTES_MAX];
    snprintf(other, sizeof(other), "%s_base64", name);
    char *text = base64(bytes);
    bool is_set = text != NULL && json_object_set_new(object, other, json_string(text)) == 0;
    free(text);
    return is_set;
}
