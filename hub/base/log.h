// log.h - one line per event on standard error, such as: level=warn at=deliver id=DELIVER-RETRY
// connector=bus count=16
//
// Threads:   any; one line is one write.
//
// Ownership: arguments are borrowed for the call.
//
// Failure:   none is reported; logging never blocks the work for longer than the write.
#ifndef PIPIT_BASE_LOG_H
#define PIPIT_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

// error: a person must act; warn: we coped; info: the process's own life; debug: single events.
void log_set_level(enum log_level level);

// at: the stage ("intake", "deliver"); id: stable, upper case ("DELIVER-RETRY"); format: the
// fields, e.g. "connector=%s in_ms=%d err=\"%s\"". Control characters in the line are replaced by
// '?'.
void log_line(enum log_level level, const char *at, const char *id, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// At most one line with this id in interval_ms; the next one says how many were left out.
void log_line_limited(enum log_level level, const char *at, const char *id, int interval_ms,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
