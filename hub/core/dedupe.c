#include "core/dedupe.h"

#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "core/fault.h"
#include "core/sql.h"

#define KEY_BYTES_MAX (sizeof(uint32_t) + 2 * EVENT_NAME_MAX + 2)

struct entry {
    struct dedupe_entry shown;
    int64_t id;              // Row; 0: not in the store yet.
    uint64_t missing_stored; // Of shown.window.missing.
    bool is_touched, is_dirty, is_new, is_pruned;
    struct entry *prev, *next; // By last use, the oldest first.
    UT_hash_handle hh;
    uint32_t key_bytes;
    uint8_t key[]; // Boot, device, NUL.
};

struct dedupe {
    struct store *store;
    uint32_t faults;
    struct entry *by_key, *by_use;
    uint32_t count;
    struct dedupe_entry *touched, *last_touched;
    sqlite3_stmt *find, *insert, *update, *old, *prune;
};

#define STATEMENTS(dedupe)                                                                         \
    {                                                                                              \
        {"SELECT id, first, upto, bitmap, missing FROM pipit_device_boot"                          \
         " WHERE device = ?1 AND boot = ?2",                                                       \
         &(dedupe)->find},                                                                         \
            {"INSERT INTO pipit_device_boot(device, boot, first, upto, bitmap, missing)"           \
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",                                                   \
             &(dedupe)->insert},                                                                   \
            {"UPDATE pipit_device_boot SET first = ?3, upto = ?4, bitmap = ?5, missing = ?6"       \
             " WHERE id = ?1",                                                                     \
             &(dedupe)->update},                                                                   \
            {"SELECT id, boot FROM pipit_device_boot WHERE device = ?1"                            \
             " ORDER BY +id DESC LIMIT -1 OFFSET ?2" /* Sorted first: the rows are deleted. */,    \
             &(dedupe)->old},                                                                      \
        {                                                                                          \
            "DELETE FROM pipit_device_boot WHERE id = ?1", &(dedupe)->prune                        \
        }                                                                                          \
    }

enum err dedupe_create(struct dedupe **out_dedupe, struct store *store, uint32_t faults,
                       struct error *e)
{
    struct dedupe *dedupe = calloc(1, sizeof(*dedupe));
    if (dedupe == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the dedupe windows");
    }
    dedupe->store = store;
    dedupe->faults = faults;
    const struct sql_text texts[] = STATEMENTS(dedupe);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        dedupe_destroy(dedupe);
        return rc;
    }
    *out_dedupe = dedupe;
    return ERR_OK;
}

static void forget(struct dedupe *dedupe, struct entry *entry)
{
    HASH_DEL(dedupe->by_key, entry);
    DL_DELETE(dedupe->by_use, entry);
    dedupe->count--;
    free(entry);
}

void dedupe_destroy(struct dedupe *dedupe)
{
    if (dedupe == NULL) {
        return;
    }
    while (dedupe->by_use != NULL) {
        forget(dedupe, dedupe->by_use);
    }
    const struct sql_text texts[] = STATEMENTS(dedupe);
    sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
    free(dedupe);
}

static uint32_t make_key(uint8_t *out_key, const char *device, uint32_t boot)
{
    size_t len = strlen(device);
    memcpy(out_key, &boot, sizeof(boot));
    memcpy(out_key + sizeof(boot), device, len + 1);
    return (uint32_t)(sizeof(boot) + len + 1);
}

static struct entry *find_cached(struct dedupe *dedupe, const uint8_t *key, uint32_t key_bytes)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, dedupe->by_key, key, key_bytes, entry);
    return entry;
}

static struct entry *entry_create(const uint8_t *key, uint32_t key_bytes)
{
    struct entry *entry = calloc(1, sizeof(*entry) + key_bytes);
    if (entry != NULL) {
        memcpy(entry->key, key, key_bytes);
        entry->key_bytes = key_bytes;
        memcpy(&entry->shown.boot, key, sizeof(entry->shown.boot));
        entry->shown.device = (const char *)entry->key + sizeof(entry->shown.boot);
    }
    return entry;
}

static enum err read_row(struct dedupe *dedupe, struct entry *entry, struct error *e)
{
    sql_bind_text(dedupe->find, 1, bytes_from_text(entry->shown.device));
    sqlite3_bind_int64(dedupe->find, 2, entry->shown.boot);
    bool has_row;
    enum err rc = sql_next(dedupe->store, dedupe->find, "read a device's window", &has_row, e);
    if (rc == ERR_OK && has_row) {
        struct sequence_window *window = &entry->shown.window;
        entry->id = sqlite3_column_int64(dedupe->find, 0);
        window->first = sql_u64(dedupe->find, 1);
        window->upto = sql_u64(dedupe->find, 2);
        sequence_window_set_bitmap(window, sql_bytes(dedupe->find, 3));
        window->missing = entry->missing_stored = sql_u64(dedupe->find, 4);
        sqlite3_reset(dedupe->find);
    }
    return rc;
}

static enum err load(struct dedupe *dedupe, const uint8_t *key, uint32_t key_bytes,
                     bool is_counted_from_one, struct entry **out_entry, struct error *e)
{
    struct entry *entry = entry_create(key, key_bytes);
    if (entry == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the dedupe windows");
    }
    sequence_window_init(&entry->shown.window, is_counted_from_one ? 1 : 0);
    enum err rc = read_row(dedupe, entry, e);
    if (rc != ERR_OK) {
        free(entry);
        return rc;
    }
    HASH_ADD_KEYPTR(hh, dedupe->by_key, entry->key, entry->key_bytes, entry);
    DL_APPEND(dedupe->by_use, entry);
    dedupe->count++;
    *out_entry = entry;
    return ERR_OK;
}

static void touch(struct dedupe *dedupe, struct entry *entry)
{
    if (entry->is_touched) {
        return;
    }
    entry->is_touched = true;
    entry->shown.wants_receipt = false;
    entry->shown.next_touched = NULL;
    if (dedupe->last_touched == NULL) {
        dedupe->touched = &entry->shown;
    } else {
        dedupe->last_touched->next_touched = &entry->shown;
    }
    dedupe->last_touched = &entry->shown;
    DL_DELETE(dedupe->by_use, entry);
    DL_APPEND(dedupe->by_use, entry);
}

enum err dedupe_see(struct dedupe *dedupe, const struct event_identity *identity,
                    bool is_counted_from_one, bool *out_is_new, struct dedupe_entry **out_entry,
                    struct error *e)
{
    uint8_t key[KEY_BYTES_MAX];
    uint32_t key_bytes = make_key(key, identity->key, identity->boot);
    struct entry *entry = find_cached(dedupe, key, key_bytes);
    if (entry == NULL) {
        enum err rc = load(dedupe, key, key_bytes, is_counted_from_one, &entry, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    touch(dedupe, entry);
    uint64_t upto = entry->shown.window.upto;
    *out_is_new = sequence_window_add(&entry->shown.window, identity->sequence);
    entry->is_dirty |= *out_is_new;
    if ((dedupe->faults & FAULT_DEDUPE_OFF_BY_ONE) != 0 && identity->sequence == upto) {
        *out_is_new = true;
    }
    *out_entry = &entry->shown;
    return ERR_OK;
}

static struct entry *entry_of(const struct dedupe_entry *shown)
{
    return (struct entry *)(uintptr_t)shown; // Its first member.
}

static enum err write_row(struct dedupe *dedupe, struct entry *entry, struct error *e)
{
    const struct sequence_window *window = &entry->shown.window;
    sqlite3_stmt *statement = entry->id == 0 ? dedupe->insert : dedupe->update;
    uint8_t bitmap[SEQUENCE_WINDOW_BITS / 8];
    size_t bitmap_bytes = sequence_window_bitmap(window, bitmap);
    if (entry->id == 0) {
        sql_bind_text(statement, 1, bytes_from_text(entry->shown.device));
        sqlite3_bind_int64(statement, 2, entry->shown.boot);
    } else {
        sqlite3_bind_int64(statement, 1, entry->id);
    }
    sql_bind_u64(statement, 3, window->first);
    sql_bind_u64(statement, 4, window->upto);
    sql_bind_blob(statement, 5, bytes_of(bitmap, bitmap_bytes));
    sql_bind_u64(statement, 6, window->missing);
    enum err rc = sql_run(dedupe->store, statement, "write a device's window", e);
    if (rc == ERR_OK && entry->id == 0) {
        entry->id = sqlite3_last_insert_rowid(store_db(dedupe->store));
        entry->is_new = true;
    }
    return rc;
}

// A device that has started often: the oldest boots of it make room.
static enum err prune(struct dedupe *dedupe, const struct entry *entry, struct error *e)
{
    sql_bind_text(dedupe->old, 1, bytes_from_text(entry->shown.device));
    sqlite3_bind_int64(dedupe->old, 2, DEDUPE_BOOTS_MAX);
    bool has_row;
    enum err rc = sql_next(dedupe->store, dedupe->old, "read a device's boots", &has_row, e);
    while (rc == ERR_OK && has_row) {
        uint8_t key[KEY_BYTES_MAX];
        uint32_t key_bytes =
            make_key(key, entry->shown.device, (uint32_t)sqlite3_column_int64(dedupe->old, 1));
        struct entry *old = find_cached(dedupe, key, key_bytes);
        if (old != NULL) {
            touch(dedupe, old);
            old->is_pruned = true;
        }
        sqlite3_bind_int64(dedupe->prune, 1, sqlite3_column_int64(dedupe->old, 0));
        rc = sql_run(dedupe->store, dedupe->prune, "forget an old boot", e);
        if (rc == ERR_OK) {
            rc = sql_next(dedupe->store, dedupe->old, "read a device's boots", &has_row, e);
        }
    }
    sqlite3_reset(dedupe->old);
    return rc;
}

enum err dedupe_flush(struct dedupe *dedupe, uint64_t *missing, struct error *e)
{
    enum err rc = ERR_OK;
    struct dedupe_entry *shown, *first_new = NULL;
    for (shown = dedupe->touched; rc == ERR_OK && shown != NULL; shown = shown->next_touched) {
        struct entry *entry = entry_of(shown);
        if (entry->is_dirty) {
            *missing += shown->window.missing - entry->missing_stored;
            rc = write_row(dedupe, entry, e);
            first_new = first_new == NULL && entry->is_new ? shown : first_new;
        }
    }
    for (shown = first_new; rc == ERR_OK && shown != NULL; shown = shown->next_touched) {
        struct entry *entry = entry_of(shown);
        if (entry->is_new && !entry->is_pruned) {
            rc = prune(dedupe, entry, e);
        }
    }
    return rc;
}

const struct dedupe_entry *dedupe_touched(const struct dedupe *dedupe)
{
    return dedupe->touched;
}

// Goes through what the batch has touched; is_kept: it is as in the store now.
static void finish(struct dedupe *dedupe, bool is_kept)
{
    struct dedupe_entry *next;
    for (struct dedupe_entry *shown = dedupe->touched; shown != NULL; shown = next) {
        struct entry *entry = entry_of(shown);
        next = shown->next_touched;
        entry->is_touched = false;
        if (!is_kept || entry->is_pruned) {
            forget(dedupe, entry);
        } else {
            entry->is_dirty = entry->is_new = false;
            entry->missing_stored = entry->shown.window.missing;
        }
    }
    dedupe->touched = dedupe->last_touched = NULL;
}

void dedupe_commit(struct dedupe *dedupe)
{
    finish(dedupe, true);
    while (dedupe->count > DEDUPE_CACHE_MAX) {
        forget(dedupe, dedupe->by_use);
    }
}

void dedupe_rollback(struct dedupe *dedupe)
{
    finish(dedupe, false);
}
