#include "core/properties.h"

static bool take_text(struct bytes *rest, struct bytes *out_text)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->ptr, 0, rest->len);
    if (end == NULL) {
        return false;
    }
    *out_text = bytes_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = bytes_of(end + 1, rest->len - out_text->len - 1);
    return true;
}

bool properties_next(struct bytes *rest, struct bytes *out_name, struct bytes *out_value)
{
    struct bytes left = *rest, name;
    if (!take_text(&left, &name) || !take_text(&left, out_value)) {
        return false;
    }
    *out_name = name;
    *rest = left;
    return true;
}
