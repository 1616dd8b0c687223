#include "core/quarantine.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "core/sql.h"

#define ROW_BYTES 64 // What an entry takes beside its texts and payload.

struct quarantine {
    struct store *store;
    sqlite3_stmt *insert, *find, *drop;
};

#define STATEMENTS(quarantine)                                                                     \
    {                                                                                              \
        {"INSERT INTO pipit_quarantine(at, topic, reason, payload, payload_bytes)"                 \
         " VALUES (?1, ?2, ?3, ?4, ?5)",                                                           \
         &(quarantine)->insert},                                                                   \
            {"SELECT id, length(CAST(topic AS BLOB)) + length(CAST(reason AS BLOB)) +"             \
             " length(payload) FROM pipit_quarantine WHERE id BETWEEN ?1 AND ?2 ORDER BY id "      \
             "LIMIT 1",                                                                            \
             &(quarantine)->find},                                                                 \
        {                                                                                          \
            "DELETE FROM pipit_quarantine WHERE id = ?1", &(quarantine)->drop                      \
        }                                                                                          \
    }

enum err quarantine_create(struct quarantine **out_quarantine, struct store *store, struct error *e)
{
    struct quarantine *quarantine = calloc(1, sizeof(*quarantine));
    if (quarantine == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the quarantine");
    }
    quarantine->store = store;
    const struct sql_text texts[] = STATEMENTS(quarantine);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        quarantine_destroy(quarantine);
        return rc;
    }
    *out_quarantine = quarantine;
    return ERR_OK;
}

void quarantine_destroy(struct quarantine *quarantine)
{
    if (quarantine != NULL) {
        const struct sql_text texts[] = STATEMENTS(quarantine);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(quarantine);
    }
}

// Takes the oldest entry of the range out.
static enum err drop_one(struct quarantine *quarantine, const struct quarantine_range *range,
                         struct ledger *ledger, bool *out_has_row, struct error *e)
{
    sqlite3_stmt *find = quarantine->find;
    sqlite3_bind_int64(find, 1, range->first);
    sqlite3_bind_int64(find, 2, range->last);
    enum err rc = sql_next(quarantine->store, find, "read the quarantine", out_has_row, e);
    if (rc != ERR_OK || !*out_has_row) {
        return rc;
    }
    int64_t id = sqlite3_column_int64(find, 0);
    uint64_t size = ROW_BYTES + sql_u64(find, 1);
    sqlite3_reset(find);
    ledger->quarantine_bytes -= size < ledger->quarantine_bytes ? size : ledger->quarantine_bytes;
    sqlite3_bind_int64(quarantine->drop, 1, id);
    return sql_run(quarantine->store, quarantine->drop, "take out of the quarantine", e);
}

static enum err drop_oldest(struct quarantine *quarantine, struct ledger *ledger, struct error *e)
{
    const struct quarantine_range all = {0, INT64_MAX};
    bool has_row = false;
    enum err rc = drop_one(quarantine, &all, ledger, &has_row, e);
    if (rc == ERR_OK && !has_row) { // Somebody has emptied it.
        ledger->quarantine_bytes = 0;
    }
    return rc;
}

enum err quarantine_drop(struct quarantine *quarantine, const struct quarantine_range *range,
                         struct ledger *ledger, uint64_t *inout_count, struct error *e)
{
    bool has_row = true;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && has_row) {
        rc = drop_one(quarantine, range, ledger, &has_row, e);
        *inout_count += rc == ERR_OK && has_row ? 1 : 0;
    }
    return rc;
}

static struct bytes cut(struct bytes bytes, size_t max)
{
    return bytes_of(bytes.ptr, bytes.len < max ? bytes.len : max);
}

enum err quarantine_put(struct quarantine *quarantine, const struct rejection *rejection,
                        uint64_t limit_bytes, struct ledger *ledger, struct error *e)
{
    struct bytes topic = cut(rejection->topic, QUARANTINE_TOPIC_MAX);
    struct bytes payload = cut(rejection->payload, QUARANTINE_PAYLOAD_MAX);
    struct bytes reason = bytes_from_text(rejection->reason);
    uint64_t size = ROW_BYTES + topic.len + payload.len + reason.len;
    ledger->books.quarantined++;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && ledger->quarantine_bytes > 0 &&
           ledger->quarantine_bytes + size > limit_bytes) {
        rc = drop_oldest(quarantine, ledger, e);
    }
    if (rc != ERR_OK || size > limit_bytes) {
        return rc;
    }
    sqlite3_bind_int64(quarantine->insert, 1, rejection->at_ms);
    if (utf8_is_valid(topic)) {
        sql_bind_text(quarantine->insert, 2, topic);
    } else {
        sql_bind_blob(quarantine->insert, 2, topic);
    }
    sql_bind_text(quarantine->insert, 3, reason);
    sql_bind_blob(quarantine->insert, 4, payload);
    sql_bind_u64(quarantine->insert, 5, rejection->payload.len);
    ledger->quarantine_bytes += size;
    return sql_run(quarantine->store, quarantine->insert, "put into the quarantine", e);
}
