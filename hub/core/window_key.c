// window_key.c - the keys of windows: a row of the store each, those in use in memory. What a round
// of rules does to them is written at its end; before that it can be forgotten, and the store knows
// better.
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/window_parts.h"

#define NAME_BYTES_MAX (4 + WINDOW_KEY_BYTES_MAX)

// Times that are NEVER or ALWAYS are NULL in the store.
#define STATEMENTS(windows)                                                                        \
    {                                                                                              \
        {"SELECT id, watermark, closed, arrived, number, due, spans FROM pipit_window_key"         \
         " WHERE window = ?1 AND key = ?2",                                                        \
         &(windows)->find_key},                                                                    \
            {"INSERT INTO pipit_window_key(window, key, watermark, closed, arrived, number, open," \
             " spans, due) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",                           \
             &(windows)->add_key},                                                                 \
            {"UPDATE pipit_window_key SET (watermark, closed, arrived, number, open, spans)"       \
             " = (?3, ?4, ?5, ?6, ?7, ?8) WHERE id = ?1",                                          \
             &(windows)->save_key},                                                                \
            {"UPDATE pipit_window_key SET due = ?2 WHERE id = ?1", &(windows)->save_due},          \
            {"DELETE FROM pipit_window_key WHERE id = ?1", &(windows)->drop_key},                  \
            {"SELECT id, key FROM pipit_window_key WHERE window = ?1 AND open = 0"                 \
             " ORDER BY arrived, id LIMIT ?2",                                                     \
             &(windows)->idle_keys},                                                               \
            {"DELETE FROM pipit_window_chunk WHERE key = ?1 AND pane < ?2",                        \
             &(windows)->drop_chunks},                                                             \
            {"DELETE FROM pipit_window_chunk WHERE key = ?1", &(windows)->drop_all_chunks},        \
            {"INSERT INTO pipit_window_chunk(key, pane, first, number, last, rows, data)"          \
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",                                               \
             &(windows)->add_chunk},                                                               \
            {"SELECT pane, first, number, rows, data FROM pipit_window_chunk"                      \
             " WHERE key = ?1 AND pane >= ?2 AND pane <= ?3 ORDER BY pane, first, number",         \
             &(windows)->chunks},                                                                  \
            {"SELECT window, key FROM pipit_window_key WHERE due <= ?1 ORDER BY due, id LIMIT ?2", \
             &(windows)->due_keys},                                                                \
            {"SELECT min(due) FROM pipit_window_key WHERE due IS NOT NULL",                        \
             &(windows)->next_due_key},                                                            \
            {"UPDATE pipit_window_key SET arrived = min(arrived, ?1), due = min(due, ?1)"          \
             " WHERE due IS NOT NULL",                                                             \
             &(windows)->clamp},                                                                   \
        {                                                                                          \
            "UPDATE pipit_window SET (late, overflow, closed) = (?2, ?3, ?4) WHERE id = ?1",       \
                &(windows)->save_tally                                                             \
        }                                                                                          \
    }

enum err window_keys_prepare(struct windows *windows, struct error *e)
{
    const struct sql_text texts[] = STATEMENTS(windows);
    return sql_prepare(windows->store, texts, sizeof(texts) / sizeof(texts[0]), e);
}

void window_keys_finalize(struct windows *windows)
{
    const struct sql_text texts[] = STATEMENTS(windows);
    sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
}

struct bytes window_key_text(const struct window_key *key)
{
    return bytes_of(key->name + 4, key->name_bytes - 4);
}

static void free_stages(struct window_key *key)
{
    while (key->stages != NULL) {
        struct window_stage *next = key->stages->next;
        free(key->stages->bytes.data);
        free(key->stages);
        key->stages = next;
    }
    key->last_stage = NULL;
}

static void remove_key(struct windows *windows, struct window_key *key)
{
    HASH_DEL(windows->keys, key);
    free_stages(key);
    free(key->spans);
    free(key);
}

static int64_t time_at(sqlite3_stmt *statement, int column, int64_t none)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL
               ? none
               : sqlite3_column_int64(statement, column);
}

// Spans are whole numbers of 8 bytes as the processor has them: a store stays on its machine type.
static enum err read_spans(struct window_key *key, struct bytes blob, struct error *e)
{
    uint32_t count = (uint32_t)(blob.len / sizeof(key->spans[0]));
    if (count == 0) {
        return ERR_OK;
    }
    key->spans = calloc(count, sizeof(key->spans[0]));
    if (key->spans == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for windows");
    }
    memcpy(key->spans, blob.ptr, count * sizeof(key->spans[0]));
    key->span_count = key->span_capacity = count;
    return ERR_OK;
}

// Leaves the key as it is when the store does not know it.
static enum err read_key(struct window_key *key, struct error *e)
{
    struct windows *windows = key->rule->windows;
    sqlite3_stmt *find = windows->find_key;
    bool has_row;
    sqlite3_bind_int64(find, 1, key->rule->id);
    sql_bind_blob(find, 2, window_key_text(key));
    enum err rc = sql_next(windows->store, find, "read a window's key", &has_row, e);
    if (rc == ERR_OK && has_row) {
        key->id = sqlite3_column_int64(find, 0);
        key->watermark = time_at(find, 1, ALWAYS);
        key->closed = time_at(find, 2, ALWAYS);
        key->arrived = sqlite3_column_int64(find, 3);
        key->number = sqlite3_column_int64(find, 4);
        key->due = time_at(find, 5, NEVER);
        rc = read_spans(key, sql_bytes(find, 6), e);
    }
    sqlite3_reset(find);
    return rc;
}

static struct window_key *new_key(struct window_rule *rule, const char *name, uint32_t name_bytes)
{
    struct window_key *key = calloc(1, sizeof(*key) + name_bytes);
    if (key != NULL) {
        key->rule = rule;
        key->watermark = key->closed = key->keep_from = ALWAYS;
        key->due = NEVER;
        key->name_bytes = name_bytes;
        memcpy(key->name, name, name_bytes);
    }
    return key;
}

// A new key needs room: those without an open window make it, at the end of the round.
static enum err check_room(const struct window_rule *rule, struct error *e)
{
    uint32_t most = rule->spec.keys_max;
    if (rule->key_count < (uint64_t)most + most / 16 + 64) {
        return ERR_OK;
    }
    return error_set(e, ERR_INVALID,
                     "more than %u keys have open windows; raise 'keys' of the window, or choose a "
                     "key with fewer values",
                     most);
}

static enum err load_key(struct window_rule *rule, const char *name, uint32_t name_bytes,
                         struct window_key **out_key, struct error *e)
{
    struct window_key *key = new_key(rule, name, name_bytes);
    if (key == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a window's key");
    }
    enum err rc = read_key(key, e);
    if (rc == ERR_OK && key->id == 0) {
        rc = check_room(rule, e);
    }
    if (rc != ERR_OK) {
        free(key->spans);
        free(key);
        return rc;
    }
    HASH_ADD(hh, rule->windows->keys, name, key->name_bytes, key);
    *out_key = key;
    return ERR_OK;
}

enum err window_key_get(struct window_rule *rule, struct bytes text, struct window_key **out_key,
                        struct error *e)
{
    char name[NAME_BYTES_MAX];
    if (text.len > WINDOW_KEY_BYTES_MAX) {
        return error_set(e, ERR_INVALID, "the window's key is longer than %d bytes",
                         WINDOW_KEY_BYTES_MAX);
    }
    memcpy(name, &rule->index, 4);
    if (text.len > 0) {
        memcpy(name + 4, text.ptr, text.len);
    }
    uint32_t name_bytes = (uint32_t)text.len + 4;
    struct window_key *key;
    HASH_FIND(hh, rule->windows->keys, name, name_bytes, key);
    if (key != NULL) {
        key->is_recent = true;
        *out_key = key;
        return ERR_OK;
    }
    return load_key(rule, name, name_bytes, out_key, e);
}

// The batch has to do with it: a rollback forgets it.
static void list_key(struct window_key *key)
{
    struct windows *windows = key->rule->windows;
    if (!key->is_listed) {
        key->is_listed = true;
        key->next_dirty = windows->dirty;
        windows->dirty = key;
    }
}

void window_key_touch(struct window_key *key)
{
    list_key(key);
    if (!key->is_touched && key->id == 0) {
        key->rule->key_count++;
    }
    key->is_touched = true;
}

static struct window_stage *find_stage(const struct window_key *key, int64_t pane)
{
    struct window_stage *found = NULL;
    if (key->last_stage != NULL && key->last_stage->pane == pane) {
        return key->last_stage;
    }
    for (struct window_stage *stage = key->stages; stage != NULL; stage = stage->next) {
        found = stage->pane == pane ? stage : found; // The newest has room.
    }
    return found;
}

static struct window_stage *add_stage(struct window_key *key, int64_t pane, int64_t time)
{
    struct window_stage *stage = calloc(1, sizeof(*stage));
    if (stage == NULL) {
        return NULL;
    }
    *stage =
        (struct window_stage){.pane = pane, .number = key->number, .first = time, .last = time};
    // A count window counts its events with it, which are as well in order.
    key->number += key->rule->spec.kind == WINDOW_COUNT ? 0 : 1;
    if (key->last_stage == NULL) {
        key->stages = stage;
    } else {
        key->last_stage->next = stage;
    }
    key->last_stage = stage;
    return stage;
}

enum err window_key_stage(struct window_key *key, int64_t pane, int64_t time,
                          const struct window_bytes *row, struct error *e)
{
    struct window_stage *stage = find_stage(key, pane);
    if (stage == NULL || stage->bytes.len >= WINDOW_CHUNK_BYTES) {
        stage = add_stage(key, pane, time);
        if (stage == NULL) {
            return error_set(e, ERR_NO_MEMORY, "out of memory for a window's rows");
        }
    }
    enum err rc = window_bytes_reserve(&stage->bytes, row->len, e);
    if (rc != ERR_OK) {
        return rc;
    }
    memcpy(stage->bytes.data + stage->bytes.len, row->data, row->len);
    stage->bytes.len += row->len;
    stage->rows++;
    stage->is_unsorted |= time < stage->last;
    stage->first = time < stage->first ? time : stage->first;
    stage->last = time > stage->last ? time : stage->last;
    return ERR_OK;
}

void window_key_drop_panes(struct window_key *key, int64_t pane)
{
    key->keep_from = pane > key->keep_from ? pane : key->keep_from;
    struct window_stage **at = &key->stages;
    key->last_stage = NULL;
    while (*at != NULL) {
        struct window_stage *stage = *at;
        if (stage->pane < pane) {
            *at = stage->next;
            free(stage->bytes.data);
            free(stage);
        } else {
            key->last_stage = stage;
            at = &stage->next;
        }
    }
}

static void bind_time(sqlite3_stmt *statement, int index, int64_t time)
{
    if (time == NEVER || time == ALWAYS) {
        sqlite3_bind_null(statement, index);
    } else {
        sqlite3_bind_int64(statement, index, time);
    }
}

// What the statements that write a key have in common: ?3 to ?8.
static void bind_key(sqlite3_stmt *statement, const struct window_key *key)
{
    bool is_counting = key->rule->spec.kind == WINDOW_COUNT && key->number > 0;
    bind_time(statement, 3, key->watermark);
    bind_time(statement, 4, key->closed);
    sqlite3_bind_int64(statement, 5, key->arrived);
    sqlite3_bind_int64(statement, 6, key->number);
    sqlite3_bind_int64(statement, 7, is_counting ? 1 : key->span_count);
    sql_bind_blob(statement, 8, bytes_of(key->spans, key->span_count * sizeof(key->spans[0])));
}

// The store's due may be too early, which costs a look; so it changes only when it would be late,
// and when it was due.
static bool must_save_due(const struct window_key *key, int64_t due)
{
    return due < key->due || (key->due != due && key->due <= key->rule->windows->now_ms) ||
           (due == NEVER && key->due != NEVER);
}

static enum err save_key(struct window_key *key, struct error *e)
{
    struct windows *windows = key->rule->windows;
    int64_t due = window_due(key);
    if (key->id == 0) {
        sqlite3_bind_int64(windows->add_key, 1, key->rule->id);
        sql_bind_blob(windows->add_key, 2, window_key_text(key));
        bind_key(windows->add_key, key);
        bind_time(windows->add_key, 9, due);
        enum err rc = sql_run(windows->store, windows->add_key, "add a window's key", e);
        if (rc == ERR_OK) {
            key->id = sqlite3_last_insert_rowid(windows->space->db);
            key->due = due;
            windows->has_due = true;
        }
        return rc;
    }
    sqlite3_bind_int64(windows->save_key, 1, key->id);
    bind_key(windows->save_key, key);
    enum err rc = sql_run(windows->store, windows->save_key, "write a window's key", e);
    if (rc == ERR_OK && must_save_due(key, due)) {
        sqlite3_bind_int64(windows->save_due, 1, key->id);
        bind_time(windows->save_due, 2, due);
        rc = sql_run(windows->store, windows->save_due, "write a window's timer", e);
        key->due = due;
        windows->has_due = true;
    }
    return rc;
}

static enum err drop_chunks(struct window_key *key, struct error *e)
{
    struct windows *windows = key->rule->windows;
    bool is_all = key->keep_from == NEVER;
    sqlite3_stmt *drop = is_all ? windows->drop_all_chunks : windows->drop_chunks;
    sqlite3_bind_int64(drop, 1, key->id);
    if (!is_all) {
        sqlite3_bind_int64(drop, 2, key->keep_from);
    }
    return sql_run(windows->store, drop, "drop a window's rows", e);
}

static enum err write_stage(struct window_key *key, struct window_stage *stage, struct error *e)
{
    struct windows *windows = key->rule->windows;
    sqlite3_stmt *add = windows->add_chunk;
    enum err rc = ERR_OK;
    if (stage->is_unsorted) {
        rc = window_rows_sort(&stage->bytes, stage->rows, key->rule->column_count, e);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    sqlite3_bind_int64(add, 1, key->id);
    sqlite3_bind_int64(add, 2, stage->pane);
    sqlite3_bind_int64(add, 3, stage->first);
    sqlite3_bind_int64(add, 4, stage->number);
    sqlite3_bind_int64(add, 5, stage->last);
    sqlite3_bind_int64(add, 6, stage->rows);
    sql_bind_blob(add, 7, bytes_of(stage->bytes.data, stage->bytes.len));
    return sql_run(windows->store, add, "write a window's rows", e);
}

static enum err write_key(struct window_key *key, struct error *e)
{
    bool is_stored = key->id != 0;
    bool is_faulty = (key->rule->windows->spec->faults & FAULT_WINDOW_IN_MEMORY) != 0;
    bool is_kept_back = is_faulty && is_stored && key->keep_from != ALWAYS;
    enum err rc = is_kept_back ? ERR_OK : save_key(key, e);
    is_stored = is_stored && !is_kept_back;
    if (rc == ERR_OK && is_stored && key->keep_from != ALWAYS) {
        rc = drop_chunks(key, e);
    }
    for (struct window_stage *stage = key->stages; rc == ERR_OK && stage != NULL;
         stage = stage->next) {
        rc = write_stage(key, stage, e);
    }
    if (rc == ERR_OK) {
        free_stages(key);
        key->keep_from = ALWAYS;
        key->is_touched = false;
    }
    return rc;
}

// Makes room among the keys of the rule: those without an open window that came longest ago go.
static enum err evict_keys(struct window_rule *rule, struct error *e)
{
    struct windows *windows = rule->windows;
    sqlite3_stmt *idle = windows->idle_keys;
    uint64_t wanted = rule->key_count - rule->spec.keys_max + rule->spec.keys_max / 16;
    sqlite3_bind_int64(idle, 1, rule->id);
    sql_bind_u64(idle, 2, wanted);
    bool has_row = true;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && has_row) {
        rc = sql_next(windows->store, idle, "look for idle keys", &has_row, e);
        if (rc != ERR_OK || !has_row) {
            break;
        }
        char name[NAME_BYTES_MAX];
        struct bytes text = sql_bytes(idle, 1);
        struct window_key *key;
        memcpy(name, &rule->index, 4);
        memcpy(name + 4, text.len > 0 ? text.ptr : (const void *)"", text.len);
        HASH_FIND(hh, windows->keys, name, text.len + 4, key);
        if (key != NULL) { // As if it had never been seen.
            list_key(key);
            key->id = key->number = 0;
            key->watermark = key->closed = ALWAYS;
        }
        sqlite3_bind_int64(windows->drop_key, 1, sqlite3_column_int64(idle, 0));
        rc = sql_run(windows->store, windows->drop_key, "drop an idle key", e);
        rule->key_count--;
    }
    sqlite3_reset(idle);
    return rc;
}

enum err window_keys_write(struct windows *windows, struct error *e)
{
    enum err rc = ERR_OK;
    for (struct window_key *key = windows->dirty; rc == ERR_OK && key != NULL;
         key = key->next_dirty) {
        if (key->is_touched) {
            rc = write_key(key, e);
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && i < windows->spec->rule_count; i++) {
        struct window_rule *rule = windows->rules[i];
        if (rule != NULL && rule->key_count > rule->spec.keys_max) {
            rc = evict_keys(rule, e);
        }
    }
    return rc;
}

void window_keys_forget(struct windows *windows, bool is_all)
{
    struct window_key **at = &windows->dirty;
    while (*at != NULL) {
        struct window_key *key = *at;
        if (!is_all && !key->is_touched) {
            at = &key->next_dirty;
            continue;
        }
        *at = key->next_dirty;
        if (key->is_touched && key->id == 0 && !is_all) {
            key->rule->key_count--;
        }
        remove_key(windows, key);
    }
}

void window_keys_trim(struct windows *windows)
{
    for (struct window_key *key = windows->dirty; key != NULL; key = key->next_dirty) {
        key->is_listed = false;
    }
    windows->dirty = NULL;
    if (HASH_COUNT(windows->keys) <= WINDOW_KEYS_CACHED) {
        return;
    }
    struct window_key *key, *next;
    HASH_ITER(hh, windows->keys, key, next)
    {
        if (!key->is_recent) {
            remove_key(windows, key);
        } else {
            key->is_recent = false;
        }
    }
    HASH_ITER(hh, windows->keys, key, next)
    {
        if (HASH_COUNT(windows->keys) <= WINDOW_KEYS_CACHED) {
            break;
        }
        remove_key(windows, key);
    }
}

void window_keys_clear(struct windows *windows)
{
    struct window_key *key, *next;
    HASH_ITER(hh, windows->keys, key, next)
    {
        remove_key(windows, key);
    }
    windows->dirty = NULL;
}
