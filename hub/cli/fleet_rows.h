// fleet_rows.h - the events a fleet replays or makes up, one row after the other.
// Threads:   one.
// Ownership: a row's texts belong to the rows and live until the next call.
// Failure:   ERR_INVALID: "telemetry.ndjson:12: no member 'device'".
#ifndef PIPIT_CLI_FLEET_ROWS_H
#define PIPIT_CLI_FLEET_ROWS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pipit/pipit.h"

#define ROW_FIELDS_MAX 256
#define ROW_BYTES_MAX  (64 * 1024) // Of one line.

struct row {
    uint64_t number; // Counted from 1 over the whole run, all loops included: the SDK's mark.
    const char *device;
    bool has_time;
    uint64_t time_ms;
    struct pipit_field fields[ROW_FIELDS_MAX];
    size_t field_count;
};

struct rows_options {
    const char *path;         // NDJSON, or CSV when it ends in .csv; "-" is standard input.
    const char *device;       // All rows are this device's; NULL: device_field names it.
    const char *device_field; // Dotted path of the device's name.
    const char *fields;       // Dotted path of the object whose members are fields; NULL: the row.
    const char *time_field;   // Dotted path of the time, seconds or milliseconds; NULL: none.
    bool is_looping;
    const volatile sig_atomic_t *stop; // Above 0: the rows end, also where a pipe has none yet.
};

struct rows;

enum err rows_open(struct rows **out_rows, const struct rows_options *options, struct error *e);
// Random walks of `devices` devices, the same for the same seed; they never end.
enum err rows_generate(struct rows **out_rows, uint32_t devices, uint64_t seed, struct error *e);
void rows_close(struct rows *rows); // NULL is fine.

// ERR_NOT_FOUND after the last row.
enum err rows_next(struct rows *rows, struct row *row, struct error *e);

#endif
