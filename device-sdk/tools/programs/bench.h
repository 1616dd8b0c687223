// bench.h - counts the instructions and the deepest stack of code on a Cortex-M4 in QEMU.
// Threads:   none; no interrupt is on.
// Ownership: holds nothing.
// Failure:   a fault ends the run with an exit status that is not 0.
#ifndef PROGRAMS_BENCH_H
#define PROGRAMS_BENCH_H

#include <stdint.h>

// A call that is measured. At most 600,000 instructions.
typedef void bench_fn(void *context);

struct bench {
    uint32_t instructions; // Of the function, its own entry and return included.
    uint32_t stack_bytes;  // Below the caller's frame.
};

struct bench bench_run(bench_fn *fn, void *context);

// Prints "name=value".
void bench_print(const char *name, uint32_t value);

// Ends the run with this exit status.
void bench_exit(uint32_t status);

#endif
