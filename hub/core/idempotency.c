#include "core/idempotency.h"

#include <stdio.h>

void idempotency_key_make(char out_key[IDEMPOTENCY_KEY_BYTES], const char *event_id,
                          const char *rule, uint32_t route_index, uint32_t row_index)
{
    int used =
        snprintf(out_key, IDEMPOTENCY_KEY_BYTES, "%s:%s:%u", event_id, rule, route_index + 1);
    if (row_index > 0 && used > 0 && used < IDEMPOTENCY_KEY_BYTES) {
        snprintf(out_key + used, (size_t)(IDEMPOTENCY_KEY_BYTES - used), ":%u", row_index + 1);
    }
}

bool idempotency_key_replay(const char *key, struct bytes *out_number)
{
    static const char prefix[] = "replay/";
    if (strncmp(key, prefix, sizeof(prefix) - 1) != 0) {
        return false;
    }
    const char *number = key + sizeof(prefix) - 1;
    size_t len = strspn(number, "0123456789");
    *out_number = bytes_of(number, len);
    return len > 0 && number[len] == '/';
}
