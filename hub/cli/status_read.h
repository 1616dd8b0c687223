// status_read.h - what a hub is doing: its store's books and queues, and, when it runs, its
// connections. One JSON object, as `pipit status --json` prints it.
//
// Threads:   one.
//
// Ownership: the caller has a new reference.
//
// Failure:   as store_view_open; a hub that does not run is no failure ("running": false).
#ifndef PIPIT_CLI_STATUS_READ_H
#define PIPIT_CLI_STATUS_READ_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"

enum err status_read(const struct config *config, json_t **out_status, struct error *e);

// Adds "rates" to now: what happened per second since an earlier reading.
void status_add_rates(json_t *now, const json_t *before);

// Both equations of the books hold.
bool status_is_balanced(const json_t *status);

#endif
