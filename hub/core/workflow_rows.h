// workflow_rows.h - instances as rows of the store: read, inserted, written, dropped.
// Threads:   core thread.
// Ownership: workflow_rows_create creates; what is read is the caller's.
// Failure:   of the store's kind; ERR_INVALID: the row does not hold what we would have written.
#ifndef PIPIT_CORE_WORKFLOW_ROWS_H
#define PIPIT_CORE_WORKFLOW_ROWS_H

#include "core/workflow_instance.h"

struct workflow_rows;

enum err workflow_rows_create(struct workflow_rows **out_rows, struct store *store,
                              struct error *e);
void workflow_rows_destroy(struct workflow_rows *rows); // NULL is fine.

// The largest id that was ever given.
enum err workflow_rows_last_id(struct workflow_rows *rows, int64_t *out_id, struct error *e);
// *out_instance NULL: there is none. Free it with workflow_instance_destroy.
enum err workflow_rows_read(struct workflow_rows *rows, int64_t id, workflow_definition_fn *find,
                            void *context, struct workflow_instance **out_instance,
                            struct error *e);
enum err workflow_rows_insert(struct workflow_rows *rows, const struct workflow_instance *instance,
                              struct error *e);
enum err workflow_rows_update(struct workflow_rows *rows, const struct workflow_instance *instance,
                              struct error *e);
// The next one after after_id of the key, as it was written; *out_id 0: there is none.
enum err workflow_rows_next(struct workflow_rows *rows, int64_t workflow_id, const char *key,
                            enum instance_turn turn, int64_t *inout_id,
                            enum workflow_state *out_state, struct error *e);
enum err workflow_rows_count(struct workflow_rows *rows, int64_t definition_id, uint64_t *out_count,
                             struct error *e);
enum err workflow_rows_abandon(struct workflow_rows *rows, int64_t id, int64_t now_ms,
                               bool *out_was_there, struct error *e);
// With their entries; *out_count of them.
enum err workflow_rows_prune(struct workflow_rows *rows, int64_t now_ms, uint32_t rows_max,
                             uint32_t *out_count, struct error *e);
int64_t workflow_rows_until_ms(struct workflow_rows *rows); // The earliest; INT64_MAX: none.

struct workflow_instance *workflow_instance_create(void);           // NULL: out of memory.
void workflow_instance_destroy(struct workflow_instance *instance); // NULL is fine.

// workflow_tokens.c: tokens that have not ended, as compact JSON text to be freed with free();
// NULL: out of memory.
char *workflow_tokens_text(const struct workflow_instance *instance);
// Without a definition whether there are such steps is not looked at. false: these are not such
// tokens, or out of memory.
bool workflow_tokens_read(struct workflow_instance *instance, struct bytes text);

#endif
