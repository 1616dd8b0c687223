// window_store.c - what all windows have to do with the store: found again after a restart or a new
// configuration, fired by time, written at the end of a round, counted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/window_parts.h"

// ---- found again --------------------------------------------------------------------------------

struct attaching {
    struct windows *windows;
    struct notes *notes;
    sqlite3_stmt *find, *add, *all, *count_open, *count_keys;
    sqlite3_stmt *drop_chunks, *drop_keys, *drop;
};

#define ATTACH_STATEMENTS(a)                                                                       \
    {                                                                                              \
        {"SELECT id, sql, options, late, overflow, closed FROM pipit_window WHERE rule = ?1",      \
         &(a)->find},                                                                              \
            {"INSERT INTO pipit_window(rule, sql, options) VALUES (?1, ?2, ?3)", &(a)->add},       \
            {"SELECT id, rule FROM pipit_window ORDER BY id", &(a)->all},                          \
            {"SELECT coalesce(sum(open), 0), count(*) FROM pipit_window_key"                       \
             " WHERE window = ?1 AND open > 0",                                                    \
             &(a)->count_open},                                                                    \
            {"SELECT count(*) FROM pipit_window_key WHERE window = ?1", &(a)->count_keys},         \
            {"DELETE FROM pipit_window_chunk WHERE key IN"                                         \
             " (SELECT id FROM pipit_window_key WHERE window = ?1)",                               \
             &(a)->drop_chunks},                                                                   \
            {"DELETE FROM pipit_window_key WHERE window = ?1", &(a)->drop_keys},                   \
        {                                                                                          \
            "DELETE FROM pipit_window WHERE id = ?1", &(a)->drop                                   \
        }                                                                                          \
    }

static enum err run_with_id(struct attaching *a, sqlite3_stmt *statement, int64_t id,
                            struct error *e)
{
    sqlite3_bind_int64(statement, 1, id);
    return sql_run(a->windows->store, statement, "drop a rule's windows", e);
}

static enum err read_counts(struct attaching *a, sqlite3_stmt *statement, int64_t id,
                            int64_t *out_first, int64_t *out_second, struct error *e)
{
    bool has_row;
    sqlite3_bind_int64(statement, 1, id);
    enum err rc = sql_next(a->windows->store, statement, "count windows", &has_row, e);
    if (rc == ERR_OK && has_row) {
        *out_first = sqlite3_column_int64(statement, 0);
        *out_second = out_second == out_first ? 0 : sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return rc;
}

static enum err drop_window(struct attaching *a, int64_t id, const char *rule, const char *why,
                            struct error *e)
{
    int64_t open = 0, keys = 0;
    enum err rc = read_counts(a, a->count_open, id, &open, &keys, e);
    if (rc == ERR_OK && keys > 0 && a->notes != NULL) {
        notes_add(a->notes, "rule %.100s: %lld open window%s of %lld key%s %s dropped, for %s",
                  rule, (long long)open, open == 1 ? "" : "s", (long long)keys,
                  keys == 1 ? "" : "s", open == 1 ? "was" : "were", why);
    }
    if (rc == ERR_OK) {
        rc = run_with_id(a, a->drop_chunks, id, e);
    }
    if (rc == ERR_OK) {
        rc = run_with_id(a, a->drop_keys, id, e);
    }
    return rc == ERR_OK ? run_with_id(a, a->drop, id, e) : rc;
}

static enum err add_window(struct attaching *a, struct window_rule *rule, struct error *e)
{
    sql_bind_text(a->add, 1, bytes_from_text(rule->rule->name));
    sql_bind_text(a->add, 2, bytes_from_text(rule->rule->sql));
    sql_bind_text(a->add, 3, bytes_from_text(rule->options));
    enum err rc = sql_run(a->windows->store, a->add, "add a rule's windows", e);
    rule->id = sqlite3_last_insert_rowid(a->windows->space->db);
    return rc;
}

static bool is_text(sqlite3_stmt *statement, int column, const char *text)
{
    const char *have = (const char *)sqlite3_column_text(statement, column);
    return have != NULL && strcmp(have, text) == 0;
}

// What of it has changed; NULL: nothing. The SQL decides about columns, so it comes first.
static const char *change_of(struct attaching *a, const struct window_rule *rule)
{
    if (!is_text(a->find, 1, rule->rule->sql)) {
        return "its sql has changed";
    }
    return is_text(a->find, 2, rule->options) ? NULL : "its window has changed";
}

static enum err attach_rule(struct attaching *a, struct window_rule *rule, struct error *e)
{
    bool has_row;
    const char *change = NULL;
    int64_t id = 0, keys = 0;
    sql_bind_text(a->find, 1, bytes_from_text(rule->rule->name));
    enum err rc = sql_next(a->windows->store, a->find, "look for a rule's windows", &has_row, e);
    if (rc == ERR_OK && has_row) {
        id = sqlite3_column_int64(a->find, 0);
        change = change_of(a, rule);
        rule->now =
            (struct window_tally){sql_u64(a->find, 3), sql_u64(a->find, 4), sql_u64(a->find, 5)};
    }
    sqlite3_reset(a->find);
    if (rc == ERR_OK && change != NULL) {
        rc = drop_window(a, id, rule->rule->name, change, e);
    }
    if (rc == ERR_OK && (id == 0 || change != NULL)) {
        rc = add_window(a, rule, e);
        rule->is_dirty = true; // Counters go on.
    } else if (rc == ERR_OK) {
        rule->id = id;
        rc = read_counts(a, a->count_keys, id, &keys, &keys, e);
    }
    rule->committed = rule->now;
    rule->key_count = rule->key_count_committed = (uint64_t)keys;
    return rc;
}

static bool is_wanted(const struct windows *windows, int64_t id)
{
    for (uint32_t i = 0; i < windows->active_count; i++) {
        if (windows->active[i]->id == id) {
            return true;
        }
    }
    return false;
}

// Windows of rules that are gone, or that have none any more.
static enum err drop_unwanted(struct attaching *a, struct error *e)
{
    bool has_row = true;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && has_row) {
        rc = sql_next(a->windows->store, a->all, "look for windows", &has_row, e);
        if (rc != ERR_OK || !has_row) {
            break;
        }
        int64_t id = sqlite3_column_int64(a->all, 0);
        if (!is_wanted(a->windows, id)) {
            char rule[128];
            snprintf(rule, sizeof(rule), "%.127s", (const char *)sqlite3_column_text(a->all, 1));
            rc = drop_window(a, id, rule, "there is no such rule with a window any more", e);
        }
    }
    sqlite3_reset(a->all);
    return rc;
}

enum err windows_attach(struct windows *windows, struct store *store, struct notes *notes,
                        struct error *e)
{
    struct attaching a = {.windows = windows, .notes = notes};
    windows->store = store;
    const struct sql_text texts[] = ATTACH_STATEMENTS(&a);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc == ERR_OK) {
        rc = window_keys_prepare(windows, e);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < windows->active_count; i++) {
        rc = attach_rule(&a, windows->active[i], e);
    }
    if (rc == ERR_OK) {
        rc = drop_unwanted(&a, e);
    }
    sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
    windows->has_due = true;
    if (rc == ERR_OK) {
        rc = windows_flush(windows, e);
    }
    windows->next_due_committed = windows->next_due;
    return rc;
}

// ---- fired --------------------------------------------------------------------------------------

static enum err read_next_due(struct windows *windows, struct error *e)
{
    sqlite3_stmt *next = windows->next_due_key;
    bool has_row;
    enum err rc = sql_next(windows->store, next, "look for the next timer", &has_row, e);
    if (rc == ERR_OK) {
        windows->next_due = !has_row || sqlite3_column_type(next, 0) == SQLITE_NULL
                                ? NEVER
                                : sqlite3_column_int64(next, 0);
        windows->has_due = false;
    }
    sqlite3_reset(next);
    return rc;
}

enum err windows_set_now(struct windows *windows, int64_t now_ms, struct error *e)
{
    windows->now_ms = now_ms;
    if (windows->active_count == 0 || now_ms + WINDOW_CLOCK_SLACK_MS >= windows->known_now_ms) {
        windows->known_now_ms = now_ms;
        return ERR_OK;
    }
    window_keys_clear(windows);
    sqlite3_bind_int64(windows->clamp, 1, now_ms);
    enum err rc = sql_run(windows->store, windows->clamp, "set the windows' timers back", e);
    return rc == ERR_OK ? read_next_due(windows, e) : rc;
}

bool windows_is_due(const struct windows *windows)
{
    return windows->active_count > 0 && windows->next_due <= windows->now_ms;
}

struct due_key {
    struct window_rule *rule;
    struct bytes text;
};

static struct window_rule *rule_by_id(const struct windows *windows, int64_t id)
{
    for (uint32_t i = 0; i < windows->active_count; i++) {
        if (windows->active[i]->id == id) {
            return windows->active[i];
        }
    }
    return NULL;
}

// Reads them before any changes: closing writes.
static enum err read_due(struct windows *windows, uint32_t keys_max, struct due_key *out_keys,
                         uint32_t *out_count, struct error *e)
{
    sqlite3_stmt *due = windows->due_keys;
    bool has_row = true;
    enum err rc = ERR_OK;
    *out_count = 0;
    sqlite3_bind_int64(due, 1, windows->now_ms);
    sqlite3_bind_int64(due, 2, keys_max);
    while (rc == ERR_OK && has_row && *out_count < keys_max) {
        rc = sql_next(windows->store, due, "look for windows that end", &has_row, e);
        if (rc == ERR_OK && has_row) {
            struct due_key *key = &out_keys[*out_count];
            struct bytes text = sql_bytes(due, 1);
            char *copy = event_memory_text(&windows->memory, text);
            key->rule = rule_by_id(windows, sqlite3_column_int64(due, 0));
            key->text = bytes_of(copy, text.len);
            *out_count += key->rule != NULL;
            rc = copy == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for windows") : ERR_OK;
        }
    }
    sqlite3_reset(due);
    return rc;
}

static enum err fire_key(struct window_key *key, const struct window_sink *sink, struct error *e)
{
    struct windows *windows = key->rule->windows;
    const struct window_spec *spec = &key->rule->spec;
    window_key_touch(key); // So that its timer is set anew.
    key->arrived = key->arrived < windows->now_ms ? key->arrived : windows->now_ms;
    if (window_due(key) > windows->now_ms) {
        return ERR_OK;
    }
    if (spec->kind == WINDOW_SLIDING) {
        key->span_count = 0;
        window_key_drop_panes(key, NEVER);
        return ERR_OK;
    }
    int64_t limit = spec->is_by_arrival ? windows->now_ms : windows->now_ms - spec->grace_ms;
    return window_close_until(key, limit, sink, e);
}

enum err windows_fire(struct windows *windows, uint32_t keys_max, const struct window_sink *sink,
                      bool *out_more, struct error *e)
{
    struct due_key keys[WINDOW_DUE_KEYS_MAX];
    uint32_t count = 0;
    windows->is_giving_up = keys_max == 0;
    keys_max = keys_max == 0 ? 1 : keys_max;
    keys_max = keys_max < WINDOW_DUE_KEYS_MAX ? keys_max : WINDOW_DUE_KEYS_MAX;
    *out_more = false;
    enum err rc = read_due(windows, keys_max, keys, &count, e);
    *out_more = count == keys_max;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        struct window_key *key;
        rc = window_key_get(keys[i].rule, keys[i].text, &key, e);
        if (rc == ERR_OK) {
            rc = fire_key(key, sink, e);
        }
    }
    windows->is_giving_up = false;
    event_memory_reset(&windows->memory);
    return rc;
}

// ---- written ------------------------------------------------------------------------------------

static void add_tally(struct window_tally *total, const struct window_tally *more)
{
    total->late += more->late;
    total->overflow += more->overflow;
    total->closed += more->closed;
}

enum err windows_write(struct windows *windows, uint64_t *inout_late, struct error *e)
{
    enum err rc = window_keys_write(windows, e);
    for (uint32_t i = 0; rc == ERR_OK && i < windows->active_count; i++) {
        struct window_rule *rule = windows->active[i];
        const struct window_tally *round = &rule->round;
        if (round->late + round->overflow + round->closed > 0) {
            *inout_late += round->late;
            add_tally(&rule->now, round);
            rule->round = (struct window_tally){0};
            rule->is_dirty = true;
        }
    }
    return rc == ERR_OK && windows->has_due ? read_next_due(windows, e) : rc;
}

void windows_forget(struct windows *windows)
{
    window_keys_forget(windows, false);
    for (uint32_t i = 0; i < windows->active_count; i++) {
        windows->active[i]->round = (struct window_tally){0};
    }
}

enum err windows_flush(struct windows *windows, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < windows->active_count; i++) {
        struct window_rule *rule = windows->active[i];
        if (rule->is_dirty) {
            sqlite3_bind_int64(windows->save_tally, 1, rule->id);
            sql_bind_u64(windows->save_tally, 2, rule->now.late);
            sql_bind_u64(windows->save_tally, 3, rule->now.overflow);
            sql_bind_u64(windows->save_tally, 4, rule->now.closed);
            rc = sql_run(windows->store, windows->save_tally, "count windows", e);
        }
    }
    return rc == ERR_OK && windows->has_due ? read_next_due(windows, e) : rc;
}

void windows_commit(struct windows *windows)
{
    window_keys_trim(windows);
    for (uint32_t i = 0; i < windows->active_count; i++) {
        struct window_rule *rule = windows->active[i];
        rule->committed = rule->now;
        rule->key_count_committed = rule->key_count;
        rule->is_dirty = false;
    }
    windows->next_due_committed = windows->next_due;
    windows->known_now_ms = windows->now_ms;
}

void windows_rollback(struct windows *windows)
{
    window_keys_forget(windows, true);
    for (uint32_t i = 0; i < windows->active_count; i++) {
        struct window_rule *rule = windows->active[i];
        rule->now = rule->committed;
        rule->round = (struct window_tally){0};
        rule->key_count = rule->key_count_committed;
        rule->is_dirty = false;
    }
    windows->next_due = windows->next_due_committed;
    windows->has_due = false;
}

int64_t windows_next_due_ms(const struct windows *windows)
{
    return windows->next_due_committed;
}

void windows_counters(const struct windows *windows, core_counter_fn *each, void *context)
{
    for (uint32_t i = 0; i < windows->active_count; i++) {
        const struct window_rule *rule = windows->active[i];
        const struct {
            const char *what;
            uint64_t value;
        } counters[] = {{"late", rule->committed.late},
                        {"overflow", rule->committed.overflow},
                        {"windows", rule->committed.closed},
                        {"keys", rule->key_count_committed}};
        for (size_t n = 0; n < sizeof(counters) / sizeof(counters[0]); n++) {
            char name[400];
            snprintf(name, sizeof(name), "rule/%s/%s", rule->rule->name, counters[n].what);
            each(context, name, counters[n].value);
        }
    }
}
