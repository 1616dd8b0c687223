// check.h - one run of the conformance program, for its parts.
// Threads:   as pipit.h.
// Ownership: as conformance.h.
// Failure:   a check returns false after check_fail or check_leave_out.
#ifndef PIPIT_CHECK_H
#define PIPIT_CHECK_H

#include "conformance.h"

#define CHECK_TEXT_MAX 120u
#define CHECK_CALL_MAX 100u // Milliseconds after which a call has blocked.
#define CHECK_SLOW_MAX 2u   // That often in a run it was something else: a scheduler, a debugger.

struct check_run {
    const struct pipit_conformance_options *options;
    char text[CHECK_TEXT_MAX]; // What is wrong, or why a check is left out.
    size_t text_len;
    unsigned failed;
    unsigned left_out;
    unsigned slow_count; // Calls and clock steps that took too long.
    bool is_left_out;
    bool is_clock_right;
    bool is_open;              // The transport.
    struct pipit_spool *spool; // NULL: closed.
};

// A check: its name, and what it does. True when the port is right there.
struct check {
    const char *name;
    bool (*run)(struct check_run *run);
};

// Each begins the text anew; they return false.
bool check_fail(struct check_run *run, const char *text);
bool check_leave_out(struct check_run *run, const char *reason);
// These add to it.
void check_add(struct check_run *run, const char *text);
void check_add_number(struct check_run *run, uint32_t number);
void check_add_byte(struct check_run *run, uint8_t byte);

uint32_t check_now(const struct check_run *run);
void check_idle(const struct check_run *run);
uint32_t check_timeout(const struct check_run *run);

// The same bytes for the same seed, whoever asks.
struct check_stream {
    uint32_t state;
};

uint8_t check_stream_next(struct check_stream *stream);

extern const struct check check_clock[];
extern const struct check check_entropy[];
extern const struct check check_transport[];
extern const struct check check_spool[];

#endif
