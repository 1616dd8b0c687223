// store_filters.h - the topic filters that each source has ever subscribed to: a broker's session
// keeps those that have left the configuration until they are unsubscribed, and cannot be asked for
// them.
//
// Threads:   the hub thread.
//
// Ownership: the list that store_filters_swap gives is one block, to be freed with free().
//
// Failure:   of the store's kind; nothing has changed then.
#ifndef PIPIT_STORE_FILTERS_H
#define PIPIT_STORE_FILTERS_H

#include "store/store.h"

#define STORE_FILTERS_MAX 1000 // Old ones of a source that are remembered.

// From now on these (NULL-terminated) are the source's. *out_old (NULL-terminated): those that it
// once had and has no more.
enum err store_filters_swap(struct store *store, const char *source, const char *const *filters,
                            char ***out_old, struct error *e);

#endif
