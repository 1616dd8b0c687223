// bench_sample.h - messages of a file, one a line, for `pipit bench-rule`.
//
// Threads:   one.
//
// Ownership: the sample owns everything in it.
//
// Failure:   ERR_NOT_FOUND, ERR_INVALID (a line without a payload: path:line), ERR_NO_MEMORY.
#ifndef PIPIT_CLI_BENCH_SAMPLE_H
#define PIPIT_CLI_BENCH_SAMPLE_H

#include "core/core.h"

#define BENCH_SAMPLE_MAX   (256 * 1024 * 1024) // Bytes of the file.
#define BENCH_MESSAGES_MAX 1000000             // What is behind them is left out.

struct bench_sample {
    struct message *messages;
    uint32_t count;
    char *text;
};

// topic NULL: each line is a topic, a blank and a payload. Empty lines are passed over.
enum err bench_sample_read(struct bench_sample *out_sample, const char *path, const char *topic,
                           struct error *e);
void bench_sample_free(struct bench_sample *sample);

#endif
