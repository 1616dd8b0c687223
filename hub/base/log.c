#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LOG_LINE_MAX    1400
#define LOG_LIMITED_MAX 64 // Ids that can be limited at the same time; the oldest makes room.
#define LOG_ID_MAX      48

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static _Atomic int level_now = LOG_INFO;

struct limited_id {
    char id[LOG_ID_MAX];
    int64_t last_ms;
    uint64_t left_out;
};
static pthread_mutex_t limited_mutex = PTHREAD_MUTEX_INITIALIZER; // Guards limited_ids.
static struct limited_id limited_ids[LOG_LIMITED_MAX];

void log_set_level(enum log_level level)
{
    atomic_store(&level_now, (int)level);
}

static bool is_on(enum log_level level)
{
    return (int)level >= atomic_load(&level_now);
}

// One write a line, so that lines of several threads do not mix.
static void write_line(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[len] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len + 1);
    (void)written; // There is nowhere left to say that the log is gone.
}

__attribute__((format(printf, 5, 0))) static void log_valist(enum log_level level, const char *at,
                                                             const char *id, uint64_t left_out,
                                                             const char *format, va_list args)
{
    char line[LOG_LINE_MAX + 1];
    int64_t now_ms = clock_wall_ms();
    int used =
        snprintf(line, LOG_LINE_MAX, "time=%lld.%03d level=%s at=%s id=%s ",
                 (long long)(now_ms / 1000), (int)(now_ms % 1000), level_names[level], at, id);
    size_t len = used < 0 ? 0 : (size_t)used;
    if (len < LOG_LINE_MAX) {
        used = vsnprintf(line + len, LOG_LINE_MAX - len, format, args);
        len += used < 0 ? 0 : (size_t)used;
    }
    if (left_out > 0 && len < LOG_LINE_MAX) {
        used = snprintf(line + len, LOG_LINE_MAX - len, " left_out=%llu",
                        (unsigned long long)left_out);
        len += used < 0 ? 0 : (size_t)used;
    }
    write_line(line, len < LOG_LINE_MAX ? len : LOG_LINE_MAX - 1);
}

void log_line(enum log_level level, const char *at, const char *id, const char *format, ...)
{
    if (!is_on(level)) {
        return;
    }
    va_list args;
    va_start(args, format);
    log_valist(level, at, id, 0, format, args);
    va_end(args);
}

static struct limited_id *limited_find_locked(const char *id)
{
    struct limited_id *oldest = &limited_ids[0];
    for (size_t i = 0; i < LOG_LIMITED_MAX; i++) {
        if (strncmp(limited_ids[i].id, id, LOG_ID_MAX - 1) == 0) {
            return &limited_ids[i];
        }
        if (limited_ids[i].last_ms < oldest->last_ms) {
            oldest = &limited_ids[i];
        }
    }
    memset(oldest, 0, sizeof(*oldest));
    snprintf(oldest->id, sizeof(oldest->id), "%s", id);
    oldest->last_ms = INT64_MIN;
    return oldest;
}

void log_line_limited(enum log_level level, const char *at, const char *id, int interval_ms,
                      const char *format, ...)
{
    if (!is_on(level)) {
        return;
    }
    int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&limited_mutex);
    struct limited_id *limited = limited_find_locked(id);
    bool is_due = limited->last_ms == INT64_MIN || now_ms - limited->last_ms >= interval_ms;
    uint64_t left_out = limited->left_out;
    limited->left_out = is_due ? 0 : left_out + 1;
    limited->last_ms = is_due ? now_ms : limited->last_ms;
    pthread_mutex_unlock(&limited_mutex);
    if (is_due) {
        va_list args;
        va_start(args, format);
        log_valist(level, at, id, left_out, format, args);
        va_end(args);
    }
}
