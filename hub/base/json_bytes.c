#include "base/json_bytes.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
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

static int digit_value(char digit)
{
    const char *at = digit == '\0' ? NULL : strchr(base64_digits, digit);
    return at == NULL ? -1 : (int)(at - base64_digits);
}

// With its padding, and nothing else in between.
static bool base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len)
{
    size_t padding = 0, at = 0;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=') {
        padding++;
    }
    bool is_fine = len % 4 == 0;
    for (size_t i = 0; is_fine && i < len; i += 4) {
        uint32_t group = 0;
        for (size_t n = 0; n < 4; n++) {
            int value = i + n >= len - padding ? 0 : digit_value(text[i + n]);
            is_fine = is_fine && value >= 0;
            group = group << 6 | (uint32_t)(value < 0 ? 0 : value);
        }
        for (int n = 16; n >= 0; n -= 8) {
            out[at++] = (uint8_t)(group >> n);
        }
    }
    *out_len = at - (at == 0 ? 0 : padding);
    return is_fine;
}

bool json_get_bytes(const struct json_t *object, const char *name, struct arena *arena,
                    struct bytes *out_bytes)
{
    char other[NAME_BYTES_MAX];
    snprintf(other, sizeof(other), "%s_base64", name);
    const json_t *text = json_object_get(object, name);
    const json_t *encoded = json_object_get(object, other);
    *out_bytes = bytes_of(NULL, 0);
    if (text != NULL) {
        *out_bytes = bytes_of(json_string_value(text), json_string_length(text));
        return json_is_string(text) && encoded == NULL;
    }
    if (encoded == NULL) {
        return true;
    }
    size_t len = json_string_length(encoded), decoded_len = 0;
    uint8_t *decoded = arena_alloc(arena, len / 4 * 3 + 1);
    if (!json_is_string(encoded) || decoded == NULL ||
        !base64_decode(json_string_value(encoded), len, decoded, &decoded_len)) {
        return false;
    }
    *out_bytes = bytes_of(decoded, decoded_len);
    return true;
}
