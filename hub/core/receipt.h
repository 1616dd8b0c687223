// receipt.h - what a device is told to be stored: pipit.v1.Receipt of a window, on its topic.
// Threads:   core thread.
// Ownership: topic and payload are in the memory given.
// Failure:   ERR_NO_MEMORY.
#ifndef PIPIT_CORE_RECEIPT_H
#define PIPIT_CORE_RECEIPT_H

#include "core/dedupe.h"
#include "core/event_memory.h"

enum err receipt_make(const struct dedupe_entry *entry, struct event_memory *memory,
                      struct receipt *out_receipt, struct error *e);

#endif
