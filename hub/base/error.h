// error.h - what can go wrong, what happens next, and the sentence for people.
// Threads:   any; a struct error belongs to its caller.
// Ownership: nothing is allocated.
// Failure:   error_set and error_wrap return the code, so that `return error_set(...)` reads as it
// acts.
#ifndef PIPIT_BASE_ERROR_H
#define PIPIT_BASE_ERROR_H

#include <stdint.h>

// What a caller does about it: go on, try again later, give this one up, or stop.
enum err_action { ERR_ACTION_DONE, ERR_ACTION_RETRY, ERR_ACTION_REJECT, ERR_ACTION_STOP };

#define ERR_TABLE(X)                                                                               \
    X(ERR_OK, DONE, "ok")                                                                          \
    X(ERR_NO_MEMORY, RETRY, "out of memory")                                                       \
    X(ERR_INVALID, REJECT, "invalid input")                                                        \
    X(ERR_CONFIG, STOP, "configuration error")                                                     \
    X(ERR_NOT_FOUND, REJECT, "not found")                                                          \
    X(ERR_UNAVAILABLE, RETRY, "peer unavailable")                                                  \
    X(ERR_REJECTED, REJECT, "peer said no")                                                        \
    X(ERR_TIMEOUT, RETRY, "timed out")                                                             \
    X(ERR_FULL, RETRY, "bound reached")                                                            \
    X(ERR_IO, STOP, "store input/output error")                                                    \
    X(ERR_BUSY, STOP, "in use by another process")                                                 \
    X(ERR_CORRUPT, STOP, "store is damaged")                                                       \
    X(ERR_VERSION, STOP, "store written by a newer version")                                       \
    X(ERR_INTERNAL, STOP, "internal error")

#define ERR_ENUM(name, action, text) name,
enum err { ERR_TABLE(ERR_ENUM) ERR_COUNT };
#undef ERR_ENUM

struct error {
    enum err code;
    int32_t offset; // Byte offset into the text that was at fault (SQL, JSON), -1 when unknown.
    char text[600];
};

const char *err_name(enum err code);
enum err_action err_action(enum err code);

// Sets code and text, offset to -1. e may be NULL.
enum err error_set(struct error *e, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Puts "what was being done: " before the text that is there; returns e->code (ERR_INTERNAL if e is
// NULL).
enum err error_wrap(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
