// rule_matches.h - which rules see which events of a batch: by rule, in the order of events.
// Threads:   core thread.
// Ownership: the lists are kept from batch to batch.
// Failure:   ERR_INVALID for a filter that is none, ERR_NO_MEMORY; else what a callback gives.
#ifndef PIPIT_CORE_RULE_MATCHES_H
#define PIPIT_CORE_RULE_MATCHES_H

#include "base/bytes.h"
#include "base/error.h"

struct rule_matches;

enum err rule_matches_create(struct rule_matches **out_matches, uint32_t rule_count,
                             struct error *e);
void rule_matches_destroy(struct rule_matches *matches); // NULL is fine.

enum err rule_matches_add(struct rule_matches *matches, const char *filter, uint32_t rule,
                          struct error *e);

// The event matches whichever rules its topic matches. Events come in their order.
enum err rule_matches_put(struct rule_matches *matches, struct bytes topic, uint32_t event,
                          struct error *e);

// The same, but only the first rule that matches gets the event.
enum err rule_matches_put_first(struct rule_matches *matches, struct bytes topic, uint32_t event,
                                struct error *e);

// The same, but only rules that is_wanted says true of get the event.
typedef bool rule_wanted_fn(const void *context, uint32_t rule);
enum err rule_matches_put_wanted(struct rule_matches *matches, struct bytes topic, uint32_t event,
                                 rule_wanted_fn *is_wanted, const void *context, struct error *e);

// Where each rule stands in the order of rule_matches_each; NULL: the order of rules. Borrowed.
void rule_matches_set_order(struct rule_matches *matches, const uint32_t *position);

// While rule_matches_each runs, or before it: the event came of `root`, and is seen behind it by
// the rules whose turn is still to come. Rules that have had theirs must not match.
enum err rule_matches_feed(struct rule_matches *matches, struct bytes topic, uint32_t event,
                           uint32_t root, struct error *e);

// The event of which this one came; itself when it came of none.
uint32_t rule_matches_root(const struct rule_matches *matches, uint32_t event);

// Calls run for each rule that has events, in the order of rules, until it fails.
typedef enum err rule_matches_fn(void *context, uint32_t rule, const uint32_t *events,
                                 uint32_t count, struct error *e);
enum err rule_matches_each(struct rule_matches *matches, rule_matches_fn *run, void *context,
                           struct error *e);
void rule_matches_clear(struct rule_matches *matches);

#endif
