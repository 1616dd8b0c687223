#include "check.h"

#define READINGS_MAX 20000000u // Of a clock that stands still, then it is given up.
#define RUN_MS       50u
#define STEP_MAX_MS  100u
#define WRAP_MS      8u

static bool is_later(uint32_t now_ms, uint32_t than_ms)
{
    return ((now_ms - than_ms) & 0x80000000u) == 0;
}

static bool clock_step_is_right(struct check_run *run, uint32_t before_ms, uint32_t now_ms)
{
    if (!is_later(now_ms, before_ms)) {
        (void)check_fail(run, "it went from ");
        check_add_number(run, before_ms);
        check_add(run, " back to ");
        check_add_number(run, now_ms);
        return false;
    }
    if (now_ms - before_ms > STEP_MAX_MS && ++run->slow_count > CHECK_SLOW_MAX) {
        (void)check_fail(run, "it jumped by ");
        check_add_number(run, now_ms - before_ms);
        check_add(run, " ms between two readings, and not for the first time");
        return false;
    }
    return true;
}

// Reads the clock until `ms` have passed, each reading held to the one before.
static bool clock_watch(struct check_run *run, uint32_t ms)
{
    uint32_t before_ms = check_now(run);
    uint32_t passed_ms = 0;
    for (uint32_t i = 0; i < READINGS_MAX; i++) {
        uint32_t now_ms = check_now(run);
        if (!clock_step_is_right(run, before_ms, now_ms)) {
            return false;
        }
        passed_ms += now_ms - before_ms <= STEP_MAX_MS ? now_ms - before_ms : 0; // Jumps apart.
        if (passed_ms >= ms) {
            return true;
        }
        before_ms = now_ms;
    }
    return check_fail(run, "it stands still");
}

static bool clock_runs(struct check_run *run)
{
    return clock_watch(run, RUN_MS);
}

// A clock that is divided from microseconds or ticks begins anew too early, which looks like going
// back by weeks.
static bool clock_wraps(struct check_run *run)
{
    static const struct {
        uint32_t at_ms;
        const char *what;
    } places[] = {
        {0xFFFFFFFFu / 1000u, "where microseconds of 32 bits wrap"},
        {0x7FFFFFFFu, "where it becomes negative"},
        {0xFFFFFFFFu, "where it wraps"},
    };
    if (run->options->clock_set == NULL) {
        return check_leave_out(run, "there is no clock_set");
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (!run->options->clock_set(run->options->context, places[i].at_ms - WRAP_MS / 2)) {
            return check_leave_out(run, "the clock cannot be set");
        }
        if (places[i].at_ms - check_now(run) > WRAP_MS) {
            return check_fail(run, "clock_set had no effect");
        }
        if (!clock_watch(run, WRAP_MS)) {
            check_add(run, ", ");
            check_add(run, places[i].what);
            return false;
        }
    }
    return true;
}

static bool entropy_differs(struct check_run *run)
{
    uint32_t first, differing = 0;
    if (run->options->entropy == NULL) {
        return check_leave_out(run, "there is no entropy");
    }
    first = run->options->entropy(run->options->context);
    for (unsigned i = 0; i < 8; i++) {
        differing |= first ^ run->options->entropy(run->options->context);
    }
    if (differing == 0) {
        return check_fail(run, "it is the same each time");
    }
    // Eight words of true entropy leave a bit of the low 20 alone once in ten thousand runs.
    return (differing & 0xFFFFFu) != 0 ? true : check_fail(run, "its low 20 bits never change");
}

const struct check check_clock[] = {
    {"clock: runs, evenly, never back", clock_runs},
    {"clock: wraps after 2^32 ms", clock_wraps},
    {NULL, NULL},
};

const struct check check_entropy[] = {
    {"entropy: differs from call to call", entropy_differs},
    {NULL, NULL},
};
