// schema.h - the tables of a store, as the steps that lead from one version to the next.
// Threads:   any; constant.
// Ownership: constants.
// Failure:   none.
#ifndef PIPIT_STORE_SCHEMA_H
#define PIPIT_STORE_SCHEMA_H

#include "store/store.h"

// store_schema_steps[v]: NULL-terminated statements that bring version v (0: an empty file) to v +
// 1; run in one transaction.
extern const char *const *const store_schema_steps[STORE_SCHEMA_VERSION];

#endif
