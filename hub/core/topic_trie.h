// topic_trie.h - many topic filters and the ids behind them: one walk over a topic's levels finds
// all that match, whatever their number.
// Threads:   one at a time.
// Ownership: filters are copied.
// Failure:   ERR_INVALID for a filter that is none, ERR_NO_MEMORY.
#ifndef PIPIT_CORE_TOPIC_TRIE_H
#define PIPIT_CORE_TOPIC_TRIE_H

#include "base/bytes.h"
#include "base/error.h"

struct topic_trie;

enum err topic_trie_create(struct topic_trie **out_trie, struct error *e);
void topic_trie_destroy(struct topic_trie *trie); // NULL is fine.

// Ids need not be unique: an id is reported once for each of its filters that matches.
enum err topic_trie_add(struct topic_trie *trie, struct bytes filter, uint32_t id, struct error *e);

typedef void topic_trie_fn(void *context, uint32_t id);

// Calls each for every match, in no particular order [MQTT-4.7].
void topic_trie_match(const struct topic_trie *trie, struct bytes topic, topic_trie_fn *each,
                      void *context);

#endif
