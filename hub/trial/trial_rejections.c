// trial_rejections.c - what the core has put into the quarantine.
#include "core/sql.h"
#include "trial/trial_parts.h"

enum err rejections_read(struct store *store, uint64_t *inout_last, trial_rejection_fn *each,
                         void *context, struct error *e)
{
    sqlite3_stmt *read = NULL;
    const struct sql_text text = {
        "SELECT id, topic, rule, reason FROM pipit_quarantine WHERE id > ?1 ORDER BY id", &read};
    enum err rc = sql_prepare(store, &text, 1, e);
    if (rc != ERR_OK) {
        return rc;
    }
    sql_bind_u64(read, 1, *inout_last);
    bool has_row = true;
    while (rc == ERR_OK && has_row) {
        rc = sql_next(store, read, "read the quarantine", &has_row, e);
        if (rc == ERR_OK && has_row) {
            const struct trial_rejection rejection = {
                .topic = sql_bytes(read, 1),
                .rule = (const char *)sqlite3_column_text(read, 2),
                .reason = (const char *)sqlite3_column_text(read, 3),
            };
            *inout_last = sql_u64(read, 0);
            each(context, &rejection);
        }
    }
    sql_finalize(&text, 1);
    return rc;
}
