#include "core/quarantine.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "core/sql.h"
#include "core/stored_message.h"

#define ROW_BYTES 64 // What an entry takes beside its texts and payload.

struct quarantine {
    struct store *store;
    sqlite3_stmt *insert, *find, *drop, *read, *edit;
};

// As put and edit count it.
#define SIZE                                                                                       \
    "length(CAST(topic AS BLOB)) + length(CAST(reason AS BLOB)) + length(payload) +"               \
    " length(CAST(content_type AS BLOB)) + length(properties) + length(CAST(event AS BLOB))"

#define STATEMENTS(quarantine)                                                                     \
    {                                                                                              \
        {"INSERT INTO pipit_quarantine(at, topic, reason, payload, payload_bytes, rule,"           \
         " content_type, properties, qos, retain, received, event)"                                \
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",                            \
         &(quarantine)->insert},                                                                   \
            {"SELECT id, " SIZE " FROM pipit_quarantine WHERE id BETWEEN ?1 AND ?2 ORDER BY id"    \
             " LIMIT 1",                                                                           \
             &(quarantine)->find},                                                                 \
            {"DELETE FROM pipit_quarantine WHERE id = ?1", &(quarantine)->drop},                   \
            {"SELECT id, topic, payload, content_type, properties, qos, retain, received, rule,"   \
             " event, payload_bytes FROM pipit_quarantine WHERE id BETWEEN ?1 AND ?2 ORDER BY id"  \
             " LIMIT 1",                                                                           \
             &(quarantine)->read},                                                                 \
        {                                                                                          \
            "UPDATE pipit_quarantine SET edited = ?2, topic = coalesce(?3, topic),"                \
            " payload_bytes = coalesce(length(?4), payload_bytes),"                                \
            " payload = coalesce(?4, payload) WHERE id = ?1",                                      \
                &(quarantine)->edit                                                                \
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

// The oldest entry of the range and what it counts for.
static enum err find_one(struct quarantine *quarantine, const struct quarantine_range *range,
                         int64_t *out_id, uint64_t *out_size, bool *out_has_row, struct error *e)
{
    sqlite3_stmt *find = quarantine->find;
    sqlite3_bind_int64(find, 1, range->first);
    sqlite3_bind_int64(find, 2, range->last);
    enum err rc = sql_next(quarantine->store, find, "read the quarantine", out_has_row, e);
    if (rc == ERR_OK && *out_has_row) {
        *out_id = sqlite3_column_int64(find, 0);
        *out_size = ROW_BYTES + sql_u64(find, 1);
        sqlite3_reset(find);
    }
    return rc;
}

static void count_out(struct ledger *ledger, uint64_t size)
{
    ledger->quarantine_bytes -= size < ledger->quarantine_bytes ? size : ledger->quarantine_bytes;
}

// Takes the oldest entry of the range out.
static enum err drop_one(struct quarantine *quarantine, const struct quarantine_range *range,
                         struct ledger *ledger, bool *out_has_row, struct error *e)
{
    int64_t id = 0;
    uint64_t size = 0;
    enum err rc = find_one(quarantine, range, &id, &size, out_has_row, e);
    if (rc != ERR_OK || !*out_has_row) {
        return rc;
    }
    count_out(ledger, size);
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

static void bind_topic(sqlite3_stmt *statement, int index, struct bytes topic)
{
    if (utf8_is_valid(topic)) {
        sql_bind_text(statement, index, topic);
    } else {
        sql_bind_blob(statement, index, topic);
    }
}

static enum err insert(struct quarantine *quarantine, const struct rejection *rejection,
                       struct bytes payload, struct bytes properties, struct error *e)
{
    sqlite3_stmt *to = quarantine->insert;
    const struct message *message = rejection->message;
    sqlite3_bind_int64(to, 1, rejection->at_ms);
    bind_topic(to, 2, message->topic);
    sql_bind_text(to, 3, bytes_from_text(rejection->reason));
    sql_bind_blob(to, 4, payload);
    sql_bind_u64(to, 5, message->payload.len);
    sqlite3_bind_text(to, 6, rejection->rule, -1, SQLITE_STATIC);
    sql_bind_text(to, 7, message->content_type);
    sql_bind_blob(to, 8, properties);
    sqlite3_bind_int(to, 9, message->qos);
    sqlite3_bind_int(to, 10, message->is_retained);
    sqlite3_bind_int64(to, 11, message->received_ms);
    sql_bind_text(to, 12, bytes_from_text(rejection->event));
    return sql_run(quarantine->store, to, "put into the quarantine", e);
}

enum err quarantine_put(struct quarantine *quarantine, const struct rejection *rejection,
                        const struct core_spec *spec, struct event_memory *memory,
                        struct ledger *ledger, struct error *e)
{
    const struct message *message = rejection->message;
    uint64_t limit = spec->quarantine_limit_bytes;
    struct bytes properties;
    if (!stored_properties(message, memory, &properties)) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the quarantine");
    }
    uint64_t rest = ROW_BYTES + message->topic.len + strlen(rejection->reason) +
                    message->content_type.len + properties.len + strlen(rejection->event);
    bool is_whole =
        message->payload.len <= spec->payload_bytes_max && rest + message->payload.len <= limit;
    struct bytes payload = cut(message->payload, is_whole ? SIZE_MAX : QUARANTINE_CUT_BYTES);
    uint64_t size = rest + payload.len;
    ledger->books.quarantined++;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && ledger->quarantine_bytes > 0 &&
           ledger->quarantine_bytes + size > limit) {
        rc = drop_oldest(quarantine, ledger, e);
    }
    if (rc != ERR_OK || size > limit) {
        return rc;
    }
    ledger->quarantine_bytes += size;
    return insert(quarantine, rejection, payload, properties, e);
}

static bool read_row(sqlite3_stmt *row, struct event_memory *memory, struct quarantined *out_entry)
{
    const struct message message = {
        .topic = sql_bytes(row, 1),
        .payload = sql_bytes(row, 2),
        .content_type = sql_bytes(row, 3),
        .qos = (uint8_t)sqlite3_column_int(row, 5),
        .is_retained = sqlite3_column_int(row, 6) != 0,
        .received_ms = sqlite3_column_int64(row, 7),
    };
    bool has_rule = sqlite3_column_type(row, 8) != SQLITE_NULL;
    const char *rule = has_rule ? event_memory_text(memory, sql_bytes(row, 8)) : NULL;
    const char *event = event_memory_text(memory, sql_bytes(row, 9));
    *out_entry = (struct quarantined){
        .id = sqlite3_column_int64(row, 0),
        .cut_bytes = sql_u64(row, 10) - message.payload.len,
        .playback = {.rule = rule, .is_known = true},
    };
    if (event != NULL && event[0] != '\0') {
        out_entry->playback.event_id = event;
    }
    return event != NULL && has_rule == (rule != NULL) &&
           stored_message_copy(&message, sql_bytes(row, 4), memory, &out_entry->message);
}

enum err quarantine_read(struct quarantine *quarantine, const struct quarantine_range *range,
                         struct event_memory *memory, struct quarantined *out_entry,
                         bool *out_has_one, struct error *e)
{
    sqlite3_stmt *read = quarantine->read;
    sqlite3_bind_int64(read, 1, range->first);
    sqlite3_bind_int64(read, 2, range->last);
    enum err rc = sql_next(quarantine->store, read, "read the quarantine", out_has_one, e);
    if (rc == ERR_OK && *out_has_one) {
        bool is_read = read_row(read, memory, out_entry);
        sqlite3_reset(read);
        rc = is_read ? ERR_OK : error_set(e, ERR_NO_MEMORY, "out of memory for a quarantine entry");
    }
    return rc;
}

enum err quarantine_edit(struct quarantine *quarantine, int64_t id, const struct edit *edit,
                         int64_t now_ms, struct ledger *ledger, struct error *e)
{
    const struct quarantine_range range = {id, id};
    uint64_t before = 0, after = 0;
    bool has_row = false;
    enum err rc = find_one(quarantine, &range, &id, &before, &has_row, e);
    if (rc == ERR_OK && !has_row) {
        return error_set(e, ERR_NOT_FOUND, "the quarantine has no entry %" PRId64, id);
    }
    sqlite3_stmt *change = quarantine->edit;
    sqlite3_bind_int64(change, 1, id);
    sqlite3_bind_int64(change, 2, now_ms);
    sqlite3_bind_null(change, 3);
    sqlite3_bind_null(change, 4);
    if (edit->topic.ptr != NULL) {
        bind_topic(change, 3, edit->topic);
    }
    if (edit->payload.ptr != NULL) {
        sql_bind_blob(change, 4, edit->payload);
    }
    rc = rc == ERR_OK ? sql_run(quarantine->store, change, "edit a quarantine entry", e) : rc;
    rc = rc == ERR_OK ? find_one(quarantine, &range, &id, &after, &has_row, e) : rc;
    if (rc == ERR_OK) {
        count_out(ledger, before);
        ledger->quarantine_bytes += after;
    }
    return rc;
}
