// idempotency.h - the name of a delivery that every retry, restart and second run gives it again.
// Threads:   any.
// Ownership: the caller gives the key's memory; a number is borrowed from the key.
// Failure:   none; what does not fit is cut.
#ifndef PIPIT_CORE_IDEMPOTENCY_H
#define PIPIT_CORE_IDEMPOTENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define IDEMPOTENCY_KEY_BYTES 1024 // With the zero byte at its end.

// "<event id>:<rule>:<route>", and ":<row>" for a row that is not the first; both count from 1.
void idempotency_key_make(char out_key[IDEMPOTENCY_KEY_BYTES], const char *event_id,
                          const char *rule, uint32_t route_index, uint32_t row_index);

// The number of the replay that made it, "replay/<number>/..."; false: none did.
bool idempotency_key_replay(const char *key, struct bytes *out_number);

#endif
