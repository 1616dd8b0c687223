#include "base/utf8.h"

#include <string.h>

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

// The length that a lead byte announces; 0: it is no lead byte.
static size_t announced_length(uint8_t lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        return 3;
    }
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

size_t utf8_decode(struct bytes text, uint32_t *out_code_point)
{
    static const uint8_t lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = announced_length(text.ptr[0]);
    if (len == 0 || len > text.len) {
        return 0;
    }
    uint32_t code_point = text.ptr[0] & lead_mask[len];
    for (size_t i = 1; i < len; i++) {
        if (!is_continuation(text.ptr[i])) {
            return 0;
        }
        code_point = code_point << 6 | (text.ptr[i] & 0x3FU);
    }
    bool is_surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    if (code_point < smallest[len] || code_point > 0x10FFFF || is_surrogate) {
        return 0;
    }
    *out_code_point = code_point;
    return len;
}

bool utf8_is_valid(struct bytes text)
{
    size_t at = 0;
    while (at < text.len) {
        uint32_t code_point;
        if (text.ptr[at] < 0x80) { // Most text is ASCII.
            at++;
            continue;
        }
        size_t len = utf8_decode(bytes_of(text.ptr + at, text.len - at), &code_point);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

static bool is_control(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F);
}

char *utf8_disarm(char *text)
{
    size_t size = strlen(text), from = 0, to = 0;
    while (from < size) {
        uint32_t code_point = 0;
        size_t len = utf8_decode(bytes_of(text + from, size - from), &code_point);
        if (len == 0 || is_control(code_point)) {
            text[to++] = '?';
            from += len == 0 ? 1 : len;
            continue;
        }
        memmove(text + to, text + from, len);
        to += len;
        from += len;
    }
    text[to] = '\0';
    return text;
}
