// rule_count.h - what each rule has seen and given, in the store.
// Threads:   core thread.
// Ownership: rule_count_create creates; names are borrowed from the spec.
// Failure:   of the store's kind; then rule_count_rollback.
#ifndef PIPIT_CORE_RULE_COUNT_H
#define PIPIT_CORE_RULE_COUNT_H

#include "core/core.h"
#include "store/store.h"

struct rule_tally {
    uint64_t matched, rows, failures;
};

struct rule_count;

// Makes rows for rules that have none; in a transaction. It counts nothing yet.
enum err rule_count_create(struct rule_count **out_count, struct store *store,
                           const struct core_spec *spec, struct error *e);
void rule_count_destroy(struct rule_count *count); // NULL is fine.

void rule_count_add(struct rule_count *count, uint32_t rule, const struct rule_tally *more);
enum err rule_count_flush(struct rule_count *count, struct error *e);
void rule_count_commit(struct rule_count *count);
void rule_count_rollback(struct rule_count *count);
void rule_count_tell(const struct rule_count *count, core_counter_fn *each, void *context);

#endif
