#include "trial/case_json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/event_value.h"

#define PATH_MAX_BYTES 400
#define SHOWN_MAX      120 // Bytes of one value in a sentence.

struct walk {
    const struct json_compare *how;
    char path[PATH_MAX_BYTES]; // "a.b.0", "" at the top.
    const char *difference;
};

const char *json_show(struct arena *arena, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS |
                                      JSON_REAL_PRECISION((size_t)json_precision(json)));
    const char *copy = text == NULL ? "" : arena_text(arena, text, strlen(text));
    free(text);
    return copy == NULL ? "" : copy;
}

static void differ(struct walk *walk, const json_t *expected, const json_t *got)
{
    struct arena *arena = walk->how->arena;
    const char *left = expected == NULL ? "nothing" : json_show(arena, expected);
    const char *right = got == NULL ? "nothing" : json_show(arena, got);
    walk->difference = arena_print(arena, "%s%sexpected %.*s%s, got %.*s%s", walk->path,
                                   walk->path[0] == '\0' ? "" : ": ", SHOWN_MAX, left,
                                   strlen(left) > SHOWN_MAX ? "..." : "", SHOWN_MAX, right,
                                   strlen(right) > SHOWN_MAX ? "..." : "");
}

static void compare(struct walk *walk, const json_t *expected, const json_t *got);

// One member below, under its name.
static void descend(struct walk *walk, const char *name, const json_t *expected, const json_t *got)
{
    size_t len = strlen(walk->path);
    snprintf(walk->path + len, sizeof(walk->path) - len, "%s%s", len == 0 ? "" : ".", name);
    compare(walk, expected, got);
    if (walk->difference == NULL) {
        walk->path[len] = '\0';
    }
}

static void compare_objects(struct walk *walk, const json_t *expected, const json_t *got)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)expected, name, member)
    {
        descend(walk, name, member, json_object_get(got, name));
        if (walk->difference != NULL) {
            return;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)got, name, member)
    {
        if (!walk->how->is_subset && json_object_get(expected, name) == NULL) {
            descend(walk, name, NULL, member);
            return;
        }
    }
}

static void compare_arrays(struct walk *walk, const json_t *expected, const json_t *got)
{
    size_t left = json_array_size(expected), right = json_array_size(got);
    for (size_t i = 0; i < (left > right ? left : right) && walk->difference == NULL; i++) {
        char name[24];
        snprintf(name, sizeof(name), "%zu", i);
        descend(walk, name, json_array_get(expected, i), json_array_get(got, i));
    }
}

// The shortest decimals of both name the same number where they are equal.
static bool same_number(const struct walk *walk, const json_t *expected, const json_t *got)
{
    if (json_is_integer(expected) && json_is_integer(got) && walk->how->tolerance == 0) {
        return json_integer_value(expected) == json_integer_value(got);
    }
    double left = json_number_value(expected), right = json_number_value(got);
    return fabs(left - right) <= walk->how->tolerance;
}

static bool same_value(const struct walk *walk, const json_t *expected, const json_t *got)
{
    if (expected == NULL || got == NULL) {
        return false;
    }
    return json_is_number(expected) && json_is_number(got) ? same_number(walk, expected, got)
                                                           : json_equal(expected, got);
}

static void compare(struct walk *walk, const json_t *expected, const json_t *got)
{
    if (json_is_object(expected) && json_is_object(got)) {
        compare_objects(walk, expected, got);
    } else if (json_is_array(expected) && json_is_array(got)) {
        compare_arrays(walk, expected, got);
    } else if (!same_value(walk, expected, got)) {
        differ(walk, expected, got);
    }
}

const char *json_difference(const struct json_compare *how, const json_t *expected,
                            const json_t *got)
{
    struct walk walk = {.how = how};
    compare(&walk, expected, got);
    return walk.difference;
}
