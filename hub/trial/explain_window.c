// explain_window.c - which window an event would enter, in words.
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/arena.h"
#include "trial/case_match.h"
#include "trial/explain_parts.h"

static int64_t floor_to(int64_t value, int64_t unit)
{
    int64_t rest = value % unit;
    return value - (rest < 0 ? rest + unit : rest);
}

// Start and end of the first and the last window that hold the time.
static void aligned(const struct window_spec *window, int64_t time_ms, struct arena *arena,
                    char *out_text, size_t size)
{
    int64_t step_ms = window->kind == WINDOW_HOPPING ? window->every_ms : window->size_ms;
    int64_t last_ms = floor_to(time_ms, step_ms);
    int64_t first_ms = floor_to(time_ms - window->size_ms, step_ms) + step_ms;
    if (first_ms >= last_ms) {
        snprintf(out_text, size, "enters the window from %s to %s",
                 case_instant_text(arena, last_ms),
                 case_instant_text(arena, last_ms + window->size_ms));
    } else {
        snprintf(out_text, size, "enters %" PRId64 " windows, the first from %s to %s",
                 (last_ms - first_ms) / step_ms + 1, case_instant_text(arena, first_ms),
                 case_instant_text(arena, first_ms + window->size_ms));
    }
}

static void describe(const struct window_spec *window, int64_t time_ms, struct arena *arena,
                     char *out_text, size_t size)
{
    switch (window->kind) {
    case WINDOW_TUMBLING:
    case WINDOW_HOPPING:
        aligned(window, time_ms, arena, out_text, size);
        break;
    case WINDOW_SLIDING:
        snprintf(out_text, size, "is looked at with what came since %s",
                 case_instant_text(arena, time_ms - window->size_ms));
        break;
    case WINDOW_SESSION:
        snprintf(out_text, size, "keeps its session open until %s, if nothing more comes",
                 case_instant_text(arena, time_ms + window->size_ms));
        break;
    default:
        snprintf(out_text, size, "is one of %" PRIu32 " events of a window", window->count);
        break;
    }
}

static void add_lateness(const struct window_spec *window, int64_t time_ms, int64_t received_ms,
                         char *out_text, size_t size)
{
    size_t len = strlen(out_text);
    if (window->is_by_arrival || window->kind == WINDOW_COUNT) {
        snprintf(out_text + len, size - len, ", by arrival");
    } else if (window->ahead_ms > 0 && time_ms > received_ms + window->ahead_ms) {
        snprintf(out_text, size, "is too far ahead of the hub's clock for any window: late");
    } else if (window->kind != WINDOW_SLIDING) {
        snprintf(out_text + len, size - len,
                 ", by its own time; it would be late once events of its key are more than "
                 "%" PRId64 " ms past the end",
                 window->grace_ms);
    }
}

bool explain_window(const struct window_spec *window, const struct json_t *read,
                    int64_t received_ms, char *out_text, size_t size)
{
    if (window->kind == WINDOW_NONE) {
        return false;
    }
    const json_t *time = json_object_get(read, "time");
    if (!json_is_integer(time) && !window->is_by_arrival && window->kind != WINDOW_COUNT) {
        snprintf(out_text, size,
                 "has no time, which windows by time need; `time` of an entry in "
                 "`devices` says where it is in the payload");
        return true;
    }
    int64_t time_ms =
        json_is_integer(time) && !window->is_by_arrival ? json_integer_value(time) : received_ms;
    struct arena *arena = arena_create();
    if (arena == NULL) {
        return false;
    }
    describe(window, time_ms, arena, out_text, size);
    add_lateness(window, time_ms, received_ms, out_text, size);
    arena_destroy(arena);
    return true;
}
