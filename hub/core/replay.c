#include "core/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sql.h"

struct replays {
    struct store *store;
    sqlite3_stmt *add, *by_token, *find, *advance, *forget;
};

#define STATEMENTS(replays)                                                                        \
    {                                                                                              \
        {"INSERT INTO pipit_replay(token, rule, what, started) VALUES (?1, ?2, ?3, ?4)",           \
         &(replays)->add},                                                                         \
            {"SELECT id, chunks FROM pipit_replay WHERE token = ?1", &(replays)->by_token},        \
            {"SELECT chunks, ended FROM pipit_replay WHERE id = ?1", &(replays)->find},            \
            {"UPDATE pipit_replay SET chunks = chunks + 1, deliveries = deliveries + ?2,"          \
             " last_key = coalesce(?3, last_key), ended = ?4 WHERE id = ?1",                       \
             &(replays)->advance},                                                                 \
        {                                                                                          \
            "DELETE FROM pipit_replay WHERE id <= (SELECT max(id) FROM pipit_replay) - ?1",        \
                &(replays)->forget                                                                 \
        }                                                                                          \
    }

enum err replays_create(struct replays **out_replays, struct store *store, struct error *e)
{
    struct replays *replays = calloc(1, sizeof(*replays));
    if (replays == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for replays");
    }
    replays->store = store;
    const struct sql_text texts[] = STATEMENTS(replays);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        replays_destroy(replays);
        return rc;
    }
    *out_replays = replays;
    return ERR_OK;
}

void replays_destroy(struct replays *replays)
{
    if (replays != NULL) {
        const struct sql_text texts[] = STATEMENTS(replays);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(replays);
    }
}

// *out_has_one: a replay has this token.
static enum err find_token(struct replays *replays, const char *token, uint64_t *out_replay,
                           uint64_t *out_chunks, bool *out_has_one, struct error *e)
{
    sql_bind_text(replays->by_token, 1, bytes_from_text(token));
    enum err rc = sql_next(replays->store, replays->by_token, "look for a replay", out_has_one, e);
    if (rc == ERR_OK && *out_has_one) {
        *out_replay = sql_u64(replays->by_token, 0);
        *out_chunks = sql_u64(replays->by_token, 1);
        sqlite3_reset(replays->by_token);
    }
    return rc;
}

static enum err add(struct replays *replays, const struct replay_chunk *chunk, int64_t now_ms,
                    struct error *e)
{
    sql_bind_text(replays->add, 1, bytes_from_text(chunk->token));
    sql_bind_text(replays->add, 2, bytes_from_text(chunk->rule));
    sql_bind_text(replays->add, 3, bytes_from_text(chunk->what));
    sqlite3_bind_int64(replays->add, 4, now_ms);
    enum err rc = sql_run(replays->store, replays->add, "begin a replay", e);
    sqlite3_bind_int64(replays->forget, 1, REPLAYS_KEPT);
    return rc == ERR_OK ? sql_run(replays->store, replays->forget, "forget an old replay", e) : rc;
}

enum err replays_begin(struct replays *replays, const struct replay_chunk *chunk, int64_t now_ms,
                       uint64_t *out_replay, uint64_t *out_chunks, struct error *e)
{
    bool has_one = false;
    enum err rc = find_token(replays, chunk->token, out_replay, out_chunks, &has_one, e);
    if (rc == ERR_OK && !has_one) {
        rc = add(replays, chunk, now_ms, e);
        rc = rc == ERR_OK ? find_token(replays, chunk->token, out_replay, out_chunks, &has_one, e)
                          : rc;
    }
    return rc;
}

static enum err read_chunks(struct replays *replays, const struct replay_chunk *chunk,
                            uint64_t *out_chunks, struct error *e)
{
    bool has_row = false, is_over = false;
    sql_bind_u64(replays->find, 1, chunk->replay);
    enum err rc = sql_next(replays->store, replays->find, "look for a replay", &has_row, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (!has_row) {
        return error_set(e, ERR_NOT_FOUND, "there is no replay %" PRIu64, chunk->replay);
    }
    *out_chunks = sql_u64(replays->find, 0);
    is_over = sqlite3_column_int64(replays->find, 1) != 0;
    sqlite3_reset(replays->find);
    if (is_over && chunk->number > *out_chunks) {
        return error_set(e, ERR_INVALID, "replay %" PRIu64 " is complete", chunk->replay);
    }
    if (chunk->number == 0 || chunk->number > *out_chunks + 1) {
        return error_set(e, ERR_INVALID,
                         "replay %" PRIu64 " has %" PRIu64 " chunks; %" PRIu64 " is not the next",
                         chunk->replay, *out_chunks, chunk->number);
    }
    return ERR_OK;
}

// A space of its own: what was delivered before must not stand in the way.
static enum err check_key(uint64_t replay, const char *key, struct error *e)
{
    char prefix[40];
    snprintf(prefix, sizeof(prefix), "replay/%" PRIu64 "/", replay);
    return strncmp(key, prefix, strlen(prefix)) == 0
               ? ERR_OK
               : error_set(e, ERR_INVALID, "idempotency key %.200s does not begin with %s", key,
                           prefix);
}

static enum err advance(struct replays *replays, const struct replay_chunk *chunk, int64_t now_ms,
                        struct error *e)
{
    sqlite3_stmt *advance = replays->advance;
    sql_bind_u64(advance, 1, chunk->replay);
    sqlite3_bind_int64(advance, 2, chunk->count);
    sqlite3_bind_null(advance, 3);
    if (chunk->count > 0) {
        const struct replayed *last = &chunk->deliveries[chunk->count - 1];
        sql_bind_text(advance, 3, bytes_from_text(last->delivery.idempotency_key));
    }
    sqlite3_bind_int64(advance, 4, chunk->is_last ? now_ms : 0);
    return sql_run(replays->store, advance, "write a chunk of a replay", e);
}

enum err replays_put(struct replays *replays, struct outbox *outbox,
                     const struct replay_chunk *chunk, int64_t now_ms, uint64_t *out_chunks,
                     uint64_t *out_added, struct error *e)
{
    *out_added = 0;
    enum err rc = read_chunks(replays, chunk, out_chunks, e);
    if (rc != ERR_OK || chunk->number <= *out_chunks) {
        return rc;
    }
    for (uint32_t i = 0; rc == ERR_OK && i < chunk->count; i++) {
        rc = check_key(chunk->replay, chunk->deliveries[i].delivery.idempotency_key, e);
        rc = rc == ERR_OK ? outbox_add_replayed(outbox, &chunk->deliveries[i], e) : rc;
    }
    rc = rc == ERR_OK ? advance(replays, chunk, now_ms, e) : rc;
    if (rc == ERR_OK) {
        *out_chunks = chunk->number;
        *out_added = chunk->count;
    }
    return rc;
}
