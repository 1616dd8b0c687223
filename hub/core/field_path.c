#include "core/field_path.h"

#include <jansson.h>

#define INDEX_DIGITS_MAX 9 // Fits 32 bits; no payload has so many items.

struct bytes field_path_step(struct bytes *rest)
{
    const uint8_t *dot = rest->len == 0 ? NULL : memchr(rest->ptr, '.', rest->len);
    size_t len = dot == NULL ? rest->len : (size_t)(dot - rest->ptr);
    struct bytes step = bytes_of(rest->ptr, len);
    *rest = dot == NULL ? bytes_of(NULL, 0) : bytes_of(dot + 1, rest->len - len - 1);
    return step;
}

bool field_path_index(struct bytes step, uint32_t *out_index)
{
    uint32_t index = 0;
    if (step.len == 0 || step.len > INDEX_DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < step.len; i++) {
        if (step.ptr[i] < '0' || step.ptr[i] > '9') {
            return false;
        }
        index = index * 10 + (uint32_t)(step.ptr[i] - '0');
    }
    *out_index = index;
    return true;
}

static json_t *step_into(json_t *json, struct bytes step)
{
    uint32_t index;
    if (json_is_object(json)) {
        return json_object_getn(json, (const char *)step.ptr, step.len);
    }
    return json_is_array(json) && field_path_index(step, &index) ? json_array_get(json, index)
                                                                 : NULL;
}

json_t *field_path_find(json_t *tree, const char *path)
{
    struct bytes rest = bytes_from_text(path);
    json_t *found = step_into(tree, rest);
    bool is_open = found == NULL && strchr(path, '.') != NULL;
    for (found = is_open ? tree : found; is_open; is_open = found != NULL && rest.ptr != NULL) {
        found = step_into(found, field_path_step(&rest));
    }
    return found;
}
