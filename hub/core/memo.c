#include "core/memo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "core/sql.h"

#define DAY_MS       86400000
#define KEY_BYTES(n) (2 * sizeof(int64_t) + (n))
#define EVICT_PART   16 // Of the bound, at a time.

// What an entry is worth at one time; never changed, but replaced.
struct state {
    uint64_t event; // That asked last; 0: none of this batch.
    struct memo_value value, asked, band, answer;
    uint8_t bytes[];
};

struct memo_entry {
    int64_t id; // Row; 0: not in the store yet.
    struct state *state;
    bool is_dirty, is_touched, is_new;
    struct memo_entry *prev, *next; // By last use, the oldest first.
    struct memo_entry *next_touched;
    UT_hash_handle hh;
    size_t key_bytes;
    uint8_t key[]; // Rule, site, the key itself.
};

struct change {
    struct memo_entry *entry;
    struct state *before;
    bool was_dirty;
};

struct memo {
    struct store *store;
    uint64_t rows, rows_committed, rows_max;
    struct memo_entry *by_key, *by_use, *touched;
    uint32_t count;
    struct change *changes; // Of the round, in order.
    size_t change_count, change_capacity;
    bool did_evict;
    sqlite3_stmt *find, *insert, *update, *evict, *count_rows;
};

#define STATEMENTS(memo)                                                                           \
    {                                                                                              \
        {"SELECT id, value FROM pipit_memo WHERE rule = ?1 AND site = ?2 AND key = ?3",            \
         &(memo)->find},                                                                           \
            {"INSERT INTO pipit_memo(rule, site, key, value, used) VALUES (?1, ?2, ?3, ?4, ?5)",   \
             &(memo)->insert},                                                                     \
            {"UPDATE pipit_memo SET value = ?4, used = ?5 WHERE id = ?1", &(memo)->update},        \
            {"DELETE FROM pipit_memo WHERE id IN"                                                  \
             " (SELECT id FROM pipit_memo ORDER BY used, id LIMIT ?1)",                            \
             &(memo)->evict},                                                                      \
        {                                                                                          \
            "SELECT count(*) FROM pipit_memo", &(memo)->count_rows                                 \
        }                                                                                          \
    }

static enum err count_rows(struct memo *memo, struct error *e)
{
    bool has_row = false;
    enum err rc = sql_next(memo->store, memo->count_rows, "count what rules remember", &has_row, e);
    if (rc == ERR_OK && has_row) {
        memo->rows = sql_u64(memo->count_rows, 0);
    }
    sqlite3_reset(memo->count_rows);
    return rc;
}

enum err memo_create(struct memo **out_memo, struct store *store, uint64_t max_rows,
                     struct error *e)
{
    struct memo *memo = calloc(1, sizeof(*memo));
    if (memo == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for what rules remember");
    }
    memo->store = store;
    memo->rows_max = max_rows == 0 ? MEMO_ROWS_MAX : max_rows;
    const struct sql_text texts[] = STATEMENTS(memo);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    rc = rc == ERR_OK ? count_rows(memo, e) : rc;
    if (rc != ERR_OK) {
        memo_destroy(memo);
        return rc;
    }
    memo->rows_committed = memo->rows;
    *out_memo = memo;
    return ERR_OK;
}

static void forget(struct memo *memo, struct memo_entry *entry)
{
    HASH_DEL(memo->by_key, entry);
    DL_DELETE(memo->by_use, entry);
    memo->count--;
    free(entry->state);
    free(entry);
}

static void forget_all(struct memo *memo)
{
    while (memo->by_use != NULL) {
        forget(memo, memo->by_use);
    }
}

void memo_end_round(struct memo *memo)
{
    while (memo->change_count > 0) {
        free(memo->changes[--memo->change_count].before);
    }
}

void memo_destroy(struct memo *memo)
{
    if (memo == NULL) {
        return;
    }
    memo_end_round(memo);
    forget_all(memo);
    const struct sql_text texts[] = STATEMENTS(memo);
    sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
    free(memo->changes);
    free(memo);
}

// ---- states -------------------------------------------------------------------------------------

static struct state *state_create(const struct memo_ask *ask, const struct memo_value *value,
                                  const struct memo_value *answer)
{
    size_t bytes = memo_value_bytes(value) + memo_value_bytes(answer) +
                   memo_value_bytes(&ask->asked) + memo_value_bytes(&ask->band);
    struct state *state = calloc(1, sizeof(*state) + bytes);
    if (state == NULL) {
        return NULL;
    }
    uint8_t *room = state->bytes;
    state->event = ask->event;
    state->value = memo_value_copy(value, &room);
    state->answer = memo_value_copy(answer, &room);
    state->asked = memo_value_copy(&ask->asked, &room);
    state->band = memo_value_copy(&ask->band, &room);
    return state;
}

// ---- entries ------------------------------------------------------------------------------------

static size_t make_key(uint8_t *out_key, const struct memo_ask *ask)
{
    memcpy(out_key, &ask->rule, sizeof(ask->rule));
    memcpy(out_key + sizeof(ask->rule), &ask->site, sizeof(ask->site));
    if (ask->key.len > 0) {
        memcpy(out_key + KEY_BYTES(0), ask->key.ptr, ask->key.len);
    }
    return KEY_BYTES(ask->key.len);
}

static int64_t number_in(const struct memo_entry *entry, size_t at)
{
    int64_t number;
    memcpy(&number, entry->key + at, sizeof(number));
    return number;
}

static int64_t rule_of(const struct memo_entry *entry)
{
    return number_in(entry, 0);
}

// Within a running statement: SQLite's own codes go back to it.
static int read_row(struct memo *memo, struct memo_entry *entry, const struct memo_ask *ask)
{
    sqlite3_bind_int64(memo->find, 1, ask->rule);
    sqlite3_bind_int64(memo->find, 2, ask->site);
    sql_bind_text(memo->find, 3, ask->key);
    int rc = sqlite3_step(memo->find);
    if (rc == SQLITE_ROW) {
        struct memo_value value;
        const struct memo_ask none = {.rule = 0};
        memo_value_read(memo->find, 1, &value);
        entry->id = sqlite3_column_int64(memo->find, 0);
        entry->state = state_create(&none, &value, &none.asked);
        rc = entry->state == NULL ? SQLITE_NOMEM : SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
        rc = SQLITE_OK;
    }
    sqlite3_reset(memo->find);
    return rc;
}

static int load(struct memo *memo, const uint8_t *key, size_t key_bytes, const struct memo_ask *ask,
                struct memo_entry **out_entry)
{
    struct memo_entry *entry = calloc(1, sizeof(*entry) + key_bytes);
    if (entry == NULL) {
        return SQLITE_NOMEM;
    }
    memcpy(entry->key, key, key_bytes);
    entry->key_bytes = key_bytes;
    int rc = read_row(memo, entry, ask);
    if (rc != SQLITE_OK) {
        free(entry->state);
        free(entry);
        return rc;
    }
    HASH_ADD_KEYPTR(hh, memo->by_key, entry->key, entry->key_bytes, entry);
    DL_APPEND(memo->by_use, entry);
    memo->count++;
    *out_entry = entry;
    return SQLITE_OK;
}

// What a batch has touched is dropped when it is rolled back.
static void touch(struct memo *memo, struct memo_entry *entry)
{
    if (!entry->is_touched) {
        entry->is_touched = true;
        entry->next_touched = memo->touched;
        memo->touched = entry;
        DL_DELETE(memo->by_use, entry);
        DL_APPEND(memo->by_use, entry);
    }
}

int memo_find(struct memo *memo, const struct memo_ask *ask, struct memo_entry **out_entry,
              struct memo_value *out_before, struct memo_value *out_answer)
{
    uint8_t key[KEY_BYTES(MEMO_KEY_BYTES_MAX)];
    struct memo_entry *entry = NULL;
    size_t key_bytes = make_key(key, ask);
    HASH_FIND(hh, memo->by_key, key, key_bytes, entry);
    if (entry == NULL) {
        int rc = load(memo, key, key_bytes, ask, &entry);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    touch(memo, entry);
    const struct state *state = entry->state;
    *out_before = *out_answer = (struct memo_value){0};
    if (state != NULL) {
        bool is_again = state->event == ask->event &&
                        memo_value_is_same(&state->asked, &ask->asked) &&
                        memo_value_is_same(&state->band, &ask->band);
        *out_before = state->value;
        *out_answer = is_again ? state->answer : (struct memo_value){0};
    }
    *out_entry = entry;
    return SQLITE_OK;
}

static bool reserve_change(struct memo *memo)
{
    if (memo->change_count < memo->change_capacity) {
        return true;
    }
    size_t capacity = memo->change_capacity == 0 ? 256 : memo->change_capacity * 2;
    struct change *changes = reallocarray(memo->changes, capacity, sizeof(changes[0]));
    if (changes == NULL) {
        return false;
    }
    memo->changes = changes;
    memo->change_capacity = capacity;
    return true;
}

int memo_keep(struct memo *memo, struct memo_entry *entry, const struct memo_ask *ask,
              const struct memo_value *value, const struct memo_value *answer)
{
    if (memo_value_bytes(value) > MEMO_TEXT_BYTES_MAX ||
        memo_value_bytes(&ask->asked) > MEMO_TEXT_BYTES_MAX) {
        return SQLITE_TOOBIG;
    }
    struct state *state = state_create(ask, value, answer);
    if (state == NULL || !reserve_change(memo)) {
        free(state);
        return SQLITE_NOMEM;
    }
    bool is_other = entry->state == NULL || !memo_value_is_same(&entry->state->value, value);
    memo->changes[memo->change_count++] = (struct change){entry, entry->state, entry->is_dirty};
    entry->state = state;
    entry->is_dirty |= is_other;
    return SQLITE_OK;
}

static void undo_last(struct memo *memo)
{
    const struct change *change = &memo->changes[--memo->change_count];
    free(change->entry->state);
    change->entry->state = change->before;
    change->entry->is_dirty = change->was_dirty;
}

void memo_forget_event(struct memo *memo, int64_t rule, uint64_t event)
{
    while (memo->change_count > 0) {
        const struct memo_entry *entry = memo->changes[memo->change_count - 1].entry;
        if (rule_of(entry) != rule || entry->state->event != event) {
            return;
        }
        undo_last(memo);
    }
}

void memo_undo_round(struct memo *memo)
{
    while (memo->change_count > 0) {
        undo_last(memo);
    }
}

// ---- the store ----------------------------------------------------------------------------------

static enum err write_row(struct memo *memo, struct memo_entry *entry, int64_t now_ms,
                          struct error *e)
{
    sqlite3_stmt *statement = entry->id == 0 ? memo->insert : memo->update;
    if (entry->id == 0) {
        sqlite3_bind_int64(statement, 1, rule_of(entry));
        sqlite3_bind_int64(statement, 2, number_in(entry, sizeof(int64_t)));
        sql_bind_text(statement, 3,
                      bytes_of(entry->key + KEY_BYTES(0), entry->key_bytes - KEY_BYTES(0)));
    } else {
        sqlite3_bind_int64(statement, 1, entry->id);
    }
    memo_value_bind(statement, 4, &entry->state->value);
    sqlite3_bind_int64(statement, 5, now_ms / DAY_MS);
    enum err rc = sql_run(memo->store, statement, "write what a rule remembers", e);
    if (rc == ERR_OK && entry->id == 0) {
        entry->id = sqlite3_last_insert_rowid(store_db(memo->store));
        memo->rows++;
    }
    return rc;
}

static enum err make_room(struct memo *memo, struct error *e)
{
    uint64_t part = memo->rows_max / EVICT_PART + 1;
    sql_bind_u64(memo->evict, 1, memo->rows - memo->rows_max + part);
    enum err rc = sql_run(memo->store, memo->evict, "forget what rules remember", e);
    if (rc == ERR_OK) {
        memo->rows -= (uint64_t)sqlite3_changes64(store_db(memo->store));
        memo->did_evict = true;
    }
    return rc;
}

enum err memo_flush(struct memo *memo, int64_t now_ms, struct error *e)
{
    enum err rc = ERR_OK;
    memo_end_round(memo);
    for (struct memo_entry *entry = memo->touched; rc == ERR_OK && entry != NULL;
         entry = entry->next_touched) {
        if (entry->is_dirty && entry->state != NULL) {
            rc = write_row(memo, entry, now_ms, e);
        }
    }
    return rc == ERR_OK && memo->rows > memo->rows_max ? make_room(memo, e) : rc;
}

// is_kept: what the batch has touched is as in the store now.
static void finish(struct memo *memo, bool is_kept)
{
    struct memo_entry *next;
    memo_end_round(memo);
    for (struct memo_entry *entry = memo->touched; entry != NULL; entry = next) {
        next = entry->next_touched;
        entry->is_touched = entry->is_dirty = false;
        entry->next_touched = NULL;
        if (!is_kept) {
            forget(memo, entry);
        }
    }
    memo->touched = NULL;
}

void memo_commit(struct memo *memo)
{
    finish(memo, true);
    memo->rows_committed = memo->rows;
    if (memo->did_evict) {
        forget_all(memo);
        memo->did_evict = false;
    }
    while (memo->count > MEMO_CACHE_MAX) {
        forget(memo, memo->by_use);
    }
}

void memo_rollback(struct memo *memo)
{
    finish(memo, false);
    memo->rows = memo->rows_committed;
    memo->did_evict = false;
}

// ---- rules --------------------------------------------------------------------------------------

struct claim {
    struct memo *memo;
    struct notes *notes;
};

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static enum err exec(struct memo *memo, char *sql, struct error *e)
{
    int rc =
        sql == NULL ? SQLITE_NOMEM : sqlite3_exec(store_db(memo->store), sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? ERR_OK : store_fail(memo->store, rc, "change what rules remember", e);
}

static enum err drop(struct memo *memo, int64_t rule, struct error *e)
{
    enum err rc =
        exec(memo, sqlite3_mprintf("DELETE FROM pipit_memo WHERE rule = %lld", (long long)rule), e);
    return rc == ERR_OK ? exec(memo,
                               sqlite3_mprintf("DELETE FROM pipit_memo_rule WHERE id = %lld",
                                               (long long)rule),
                               e)
                        : rc;
}

// Ids are never used twice, so that what is in memory of a rule that was is nobody's.
static enum err add(struct memo *memo, const char *rule, const char *sql, int64_t *out_id,
                    struct error *e)
{
    enum err rc = exec(
        memo, sqlite3_mprintf("INSERT INTO pipit_memo_rule(rule, sql) VALUES (%Q, %Q)", rule, sql),
        e);
    *out_id = sqlite3_last_insert_rowid(store_db(memo->store));
    return rc;
}

static enum err look_up(struct memo *memo, const char *rule, const char *sql, int64_t *out_id,
                        bool *out_is_same, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false;
    *out_id = 0;
    int prepared = sqlite3_prepare_v2(store_db(memo->store),
                                      "SELECT id, sql = ?2 FROM pipit_memo_rule WHERE rule = ?1",
                                      -1, &statement, NULL);
    if (prepared != SQLITE_OK) {
        return store_fail(memo->store, prepared, "read what rules remember", e);
    }
    sql_bind_text(statement, 1, bytes_from_text(rule));
    sql_bind_text(statement, 2, bytes_from_text(sql));
    enum err rc = sql_next(memo->store, statement, "read what rules remember", &has_row, e);
    if (rc == ERR_OK && has_row) {
        *out_id = sqlite3_column_int64(statement, 0);
        *out_is_same = sqlite3_column_int(statement, 1) != 0;
    }
    sqlite3_finalize(statement);
    return rc;
}

static enum err claim_rule(const struct claim *claim, const struct rule_spec *spec, int64_t *out_id,
                           struct error *e)
{
    char sql[24];
    bool is_same = false;
    snprintf(sql, sizeof(sql), "%016" PRIx64, hash_of(spec->sql));
    enum err rc = look_up(claim->memo, spec->name, sql, out_id, &is_same, e);
    if (rc != ERR_OK || (*out_id != 0 && is_same)) {
        return rc;
    }
    if (*out_id != 0) {
        notes_add(claim->notes,
                  "rule %s: what changed(), previous() and smooth() remembered was dropped, for "
                  "its sql has changed",
                  spec->name);
        rc = drop(claim->memo, *out_id, e);
    }
    return rc == ERR_OK ? add(claim->memo, spec->name, sql, out_id, e) : rc;
}

static bool is_remembering(struct rules *rules, const struct core_spec *spec, const char *name)
{
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        if (rules_remembers(rules, i) && strcmp(spec->rules[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

// Of rules that are gone or remember nothing any more.
static enum err drop_others(const struct claim *claim, struct rules *rules,
                            const struct core_spec *spec, struct error *e)
{
    struct memo *memo = claim->memo;
    sqlite3_stmt *statement = NULL;
    bool has_row = true;
    int prepared = sqlite3_prepare_v2(store_db(memo->store), "SELECT id, rule FROM pipit_memo_rule",
                                      -1, &statement, NULL);
    enum err rc = prepared == SQLITE_OK
                      ? ERR_OK
                      : store_fail(memo->store, prepared, "read what rules remember", e);
    while (rc == ERR_OK && has_row) {
        rc = sql_next(memo->store, statement, "read what rules remember", &has_row, e);
        const char *name = has_row ? (const char *)sqlite3_column_text(statement, 1) : NULL;
        if (rc == ERR_OK && name != NULL && !is_remembering(rules, spec, name)) {
            notes_add(claim->notes,
                      "rule %s: what changed(), previous() and smooth() remembered was dropped, "
                      "for it does not ask for it any more",
                      name);
            rc = drop(memo, sqlite3_column_int64(statement, 0), e);
        }
    }
    sqlite3_finalize(statement);
    return rc;
}

enum err memo_claim(struct memo *memo, struct rules *rules, const struct core_spec *spec,
                    struct notes *notes, struct error *e)
{
    const struct claim claim = {memo, notes};
    enum err rc = drop_others(&claim, rules, spec, e);
    for (uint32_t i = 0; rc == ERR_OK && i < spec->rule_count; i++) {
        int64_t id = 0;
        if (rules_remembers(rules, i)) {
            rc = claim_rule(&claim, &spec->rules[i], &id, e);
            rules_set_memo(rules, i, memo, id);
        }
    }
    return rc == ERR_OK ? count_rows(memo, e) : rc;
}
