// rule_graph.h - rules that feed rules: in which order they run, and that none feeds itself.
// Threads:   any.
// Ownership: everything is borrowed for the call.
// Failure:   ERR_CONFIG names the whole way round.
#ifndef PIPIT_CORE_RULE_GRAPH_H
#define PIPIT_CORE_RULE_GRAPH_H

#include "base/bytes.h"
#include "base/error.h"
#include "core/spec.h"

#define RULE_CHAIN_MAX 8 // Rules one behind the other; the key of a delivery names all of them.

bool rule_graph_has_edges(const struct core_spec *spec); // Does any route lead to rules?

// filters[i] is what rule i reads. Writes each rule's place in an order in which a rule comes after
// those that feed it, and otherwise as in the spec; a branch is where its parent is.
enum err rule_graph_order(const struct core_spec *spec, const char *const *filters,
                          uint32_t *out_position, struct error *e);

// May a topic that a route to rules makes of its template match the filter? False without memory.
bool rule_graph_may_feed(const char *topic_template, const char *filter);

// What is wrong with a topic that a route to rules has made of its template; NULL: nothing. A
// {column} fills a part of one level, else the order of rules would not hold.
const char *rule_graph_topic_problem(const char *topic_template, struct bytes topic);

#endif
