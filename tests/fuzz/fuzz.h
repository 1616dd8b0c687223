// fuzz.h - a fuzz target: seeds that are mutated, and what is done with each input.
// Threads:   one.
// Ownership: inputs are borrowed for the call.
// Failure:   fuzz_one asserts, or a sanitizer ends the program; the same seed shows it again.
#ifndef PIPIT_TESTS_FUZZ_H
#define PIPIT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_INPUT_MAX 4096

extern const uint32_t fuzz_count; // Inputs of a run without --count.

// Writes the index-th seed; 0: there are no more.
size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size);
void fuzz_one(const uint8_t *ptr, size_t len);

#endif
