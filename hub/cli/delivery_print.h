// delivery_print.h - deliveries that a dry run would make: a line of JSON each in a pipe, readable
// on a terminal.
//
// Threads:   one.
//
// Ownership: nothing is kept.
//
// Failure:   out of memory, the line is left out and false is returned.
#ifndef PIPIT_CLI_DELIVERY_PRINT_H
#define PIPIT_CLI_DELIVERY_PRINT_H

#include <stdbool.h>

#include "core/delivery.h"

struct json_t;

// {"target", "rule", "route", "idempotency_key", "key", "topic", "payload", "content_type",
//  "properties"}: bytes that are no UTF-8 as base64 under "<name>_base64". NULL: out of memory.
struct json_t *delivery_json(const struct delivery *delivery, const char *target);

bool delivery_print(const struct delivery *delivery, const char *target, bool is_json);

#endif
