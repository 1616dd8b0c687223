#include "store/store_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store_view_parts.h"

enum err store_view_open(struct store_view **out_view, const char *path, struct error *e)
{
    if (access(path, F_OK) != 0) {
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "store %s: %s", path,
                         errno == ENOENT ? "there is none yet; the hub makes it when it starts"
                                         : strerror(errno));
    }
    struct store_view *view = calloc(1, sizeof(*view));
    if (view == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    struct store_options options = {.path = path, .is_read_only = true};
    enum err rc = store_open(&view->store, &options, e);
    if (rc != ERR_OK) {
        free(view);
        return rc;
    }
    *out_view = view;
    return ERR_OK;
}

void store_view_close(struct store_view *view)
{
    if (view != NULL) {
        store_close(view->store);
        free(view);
    }
}

uint64_t store_view_used_bytes(struct store_view *view)
{
    return store_used_bytes(view->store);
}

const char *view_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text == NULL ? "" : text;
}

static uint64_t count_at(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

// The pointer must be asked for before the length.
static struct bytes bytes_at(sqlite3_stmt *statement, int column)
{
    const void *ptr = sqlite3_column_blob(statement, column);
    return bytes_of(ptr, (size_t)sqlite3_column_bytes(statement, column));
}

enum err view_each_row(struct store_view *view, sqlite3_stmt *statement, view_row_fn *row,
                       void *walk, struct error *e)
{
    int sqlite_rc = SQLITE_ROW;
    bool wants_more = true;
    while (wants_more && (sqlite_rc = sqlite3_step(statement)) == SQLITE_ROW) {
        wants_more = row(statement, walk);
    }
    sqlite3_finalize(statement);
    return sqlite_rc == SQLITE_ROW || sqlite_rc == SQLITE_DONE
               ? ERR_OK
               : store_fail(view->store, sqlite_rc, "read", e);
}

enum err view_prepare(struct store_view *view, const char *sql, sqlite3_stmt **out_statement,
                      struct error *e)
{
    int sqlite_rc = sqlite3_prepare_v2(store_db(view->store), sql, -1, out_statement, NULL);
    return sqlite_rc == SQLITE_OK ? ERR_OK : store_fail(view->store, sqlite_rc, "read", e);
}

static enum err walk_all(struct store_view *view, const char *sql, view_row_fn *row, void *walk,
                         struct error *e)
{
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(view, sql, &statement, e);
    return rc == ERR_OK ? view_each_row(view, statement, row, walk, e) : rc;
}

// ids are bound as 1 and 2, target and rule, where the statement has them, as 3 and 4.
static enum err walk_filtered(struct store_view *view, const char *sql,
                              const struct view_filter *filter, view_row_fn *row, void *walk,
                              struct error *e)
{
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(view, sql, &statement, e);
    if (rc != ERR_OK) {
        return rc;
    }
    uint64_t last = filter->last > INT64_MAX ? INT64_MAX : filter->last;
    sqlite3_bind_int64(statement, 1, (int64_t)filter->first);
    sqlite3_bind_int64(statement, 2, (int64_t)last);
    if (sqlite3_bind_parameter_count(statement) > 2) {
        sqlite3_bind_text(statement, 3, filter->target, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 4, filter->rule, -1, SQLITE_STATIC);
    }
    return view_each_row(view, statement, row, walk, e);
}

struct book_walk {
    view_count_fn *each;
    void *context;
};

static bool book_row(sqlite3_stmt *statement, void *opaque)
{
    const struct book_walk *walk = opaque;
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        if (!walk->each(walk->context, sqlite3_column_name(statement, i), count_at(statement, i))) {
            break;
        }
    }
    return true;
}

enum err store_view_books(struct store_view *view, view_count_fn *each, void *context,
                          struct error *e)
{
    struct book_walk walk = {each, context};
    return walk_all(view,
                    "SELECT received, routed, filtered, duplicate, rejected, enqueued, delivered,"
                    " waiting, dead, dropped, missing, rule_failures, quarantined, dead_dropped,"
                    " derived, late, replayed, answered, history_rows, history_bytes,"
                    " quarantine_bytes, (SELECT count(*) FROM pipit_quarantine) AS"
                    " quarantine_entries FROM pipit_books WHERE id = 1",
                    book_row, &walk, e);
}

struct target_walk {
    view_target_fn *each;
    void *context;
};

static bool target_row(sqlite3_stmt *statement, void *opaque)
{
    const struct target_walk *walk = opaque;
    struct view_target target = {
        .name = view_text(statement, 0),
        .enqueued = count_at(statement, 1),
        .delivered = count_at(statement, 2),
        .waiting = count_at(statement, 3),
        .waiting_bytes = count_at(statement, 4),
        .dead = count_at(statement, 5),
        .dropped = count_at(statement, 6),
        .retried = count_at(statement, 7),
        .oldest_ms = sqlite3_column_int64(statement, 8),
    };
    return walk->each(walk->context, &target);
}

enum err store_view_targets(struct store_view *view, view_target_fn *each, void *context,
                            struct error *e)
{
    struct target_walk walk = {each, context};
    return walk_all(view,
                    "SELECT name, enqueued, delivered, waiting, waiting_bytes, dead, dropped,"
                    " retried, coalesce((SELECT created_at FROM pipit_outbox AS o WHERE o.id >="
                    " t.id * 100000000000000 AND o.id < (t.id + 1) * 100000000000000"
                    " ORDER BY o.id LIMIT 1), 0) FROM pipit_target AS t ORDER BY name",
                    target_row, &walk, e);
}

struct rule_walk {
    view_rule_fn *each;
    void *context;
};

static bool rule_row(sqlite3_stmt *statement, void *opaque)
{
    const struct rule_walk *walk = opaque;
    struct view_rule rule = {
        .name = view_text(statement, 0),
        .matched = count_at(statement, 1),
        .rows = count_at(statement, 2),
        .failures = count_at(statement, 3),
    };
    return walk->each(walk->context, &rule);
}

enum err store_view_rules(struct store_view *view, view_rule_fn *each, void *context,
                          struct error *e)
{
    struct rule_walk walk = {each, context};
    return walk_all(view, "SELECT name, matched, rows, failures FROM pipit_rule ORDER BY name",
                    rule_row, &walk, e);
}

struct dead_walk {
    view_dead_fn *each;
    void *context;
};

static bool dead_row(sqlite3_stmt *statement, void *opaque)
{
    const struct dead_walk *walk = opaque;
    struct view_dead dead = {
        .id = count_at(statement, 0),
        .target = view_text(statement, 1),
        .rule = view_text(statement, 2),
        .idempotency_key = view_text(statement, 3),
        .key = bytes_at(statement, 4),
        .topic = view_text(statement, 5),
        .payload = bytes_at(statement, 6),
        .content_type = view_text(statement, 7),
        .qos = sqlite3_column_int(statement, 8),
        .is_retained = sqlite3_column_int(statement, 9) != 0,
        .attempts = (uint32_t)count_at(statement, 10),
        .created_ms = sqlite3_column_int64(statement, 11),
        .died_ms = sqlite3_column_int64(statement, 12),
        .reason = view_text(statement, 13),
        .route = (uint32_t)count_at(statement, 14),
        .edited_ms = sqlite3_column_int64(statement, 15),
        .properties = bytes_at(statement, 16),
    };
    return walk->each(walk->context, &dead);
}

enum err store_view_dead(struct store_view *view, const struct view_filter *filter,
                         view_dead_fn *each, void *context, struct error *e)
{
    struct dead_walk walk = {each, context};
    return walk_filtered(view,
                         "SELECT id, target, rule, idempotency_key, key, topic, payload,"
                         " content_type, qos, retain, attempts, created_at, died_at, reason,"
                         " route, edited, properties FROM pipit_dead WHERE id BETWEEN ?1 AND ?2"
                         " AND (?3 IS NULL OR target = ?3) AND (?4 IS NULL OR rule = ?4)"
                         " ORDER BY id",
                         filter, dead_row, &walk, e);
}

struct quarantine_walk {
    view_quarantined_fn *each;
    void *context;
};

static bool quarantine_row(sqlite3_stmt *statement, void *opaque)
{
    const struct quarantine_walk *walk = opaque;
    struct view_quarantined entry = {
        .id = count_at(statement, 0),
        .at_ms = sqlite3_column_int64(statement, 1),
        .topic = bytes_at(statement, 2),
        .reason = view_text(statement, 3),
        .payload = bytes_at(statement, 4),
        .payload_bytes = count_at(statement, 5),
        .rule = (const char *)sqlite3_column_text(statement, 6),
        .content_type = view_text(statement, 7),
        .properties = bytes_at(statement, 8),
        .qos = sqlite3_column_int(statement, 9),
        .is_retained = sqlite3_column_int(statement, 10) != 0,
        .received_ms = sqlite3_column_int64(statement, 11),
        .event = view_text(statement, 12),
        .edited_ms = sqlite3_column_int64(statement, 13),
    };
    return walk->each(walk->context, &entry);
}

enum err store_view_quarantine(struct store_view *view, const struct view_filter *filter,
                               view_quarantined_fn *each, void *context, struct error *e)
{
    struct quarantine_walk walk = {each, context};
    return walk_filtered(view,
                         "SELECT id, at, topic, reason, payload, payload_bytes, rule,"
                         " content_type, properties, qos, retain, received, event, edited"
                         " FROM pipit_quarantine WHERE id BETWEEN ?1 AND ?2"
                         " AND ?3 IS NULL AND (?4 IS NULL OR rule = ?4) ORDER BY id",
                         filter, quarantine_row, &walk, e);
}

#define HISTORY_WHERE                                                                              \
    " FROM pipit_history WHERE id BETWEEN ?1 AND ?2 AND received >= ?3 AND received < ?4"          \
    " AND (?5 IS NULL OR device = ?5 OR substr(device, instr(device, '/') + 1) = ?5)"

static void bind_history(sqlite3_stmt *statement, const struct view_history_filter *filter)
{
    uint64_t last = filter->last > INT64_MAX ? INT64_MAX : filter->last;
    sqlite3_bind_int64(statement, 1, (int64_t)filter->first);
    sqlite3_bind_int64(statement, 2, (int64_t)last);
    sqlite3_bind_int64(statement, 3, filter->from_ms);
    sqlite3_bind_int64(statement, 4, filter->to_ms);
    sqlite3_bind_text(statement, 5, filter->device, -1, SQLITE_STATIC);
}

struct event_walk {
    view_event_fn *each;
    void *context;
};

static bool event_row(sqlite3_stmt *statement, void *opaque)
{
    const struct event_walk *walk = opaque;
    struct view_event event = {
        .id = count_at(statement, 0),
        .received_ms = sqlite3_column_int64(statement, 1),
        .event = view_text(statement, 2),
        .device = view_text(statement, 3),
        .topic = bytes_at(statement, 4),
        .payload = bytes_at(statement, 5),
        .content_type = view_text(statement, 6),
        .properties = bytes_at(statement, 7),
        .qos = sqlite3_column_int(statement, 8),
        .is_retained = sqlite3_column_int(statement, 9) != 0,
    };
    return walk->each(walk->context, &event);
}

enum err store_view_history(struct store_view *view, const struct view_history_filter *filter,
                            view_event_fn *each, void *context, struct error *e)
{
    struct event_walk walk = {each, context};
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(view,
                               "SELECT id, received, event, device, topic, payload, content_type,"
                               " properties, qos, retain" HISTORY_WHERE " ORDER BY id LIMIT ?6",
                               &statement, e);
    if (rc != ERR_OK) {
        return rc;
    }
    bind_history(statement, filter);
    sqlite3_bind_int64(statement, 6, filter->rows_max);
    return view_each_row(view, statement, event_row, &walk, e);
}

static bool span_row(sqlite3_stmt *statement, void *opaque)
{
    struct view_span *span = opaque;
    *span = (struct view_span){
        .rows = count_at(statement, 0),
        .first = count_at(statement, 1),
        .last = count_at(statement, 2),
        .first_ms = sqlite3_column_int64(statement, 3),
        .last_ms = sqlite3_column_int64(statement, 4),
    };
    return true;
}

enum err store_view_span(struct store_view *view, const struct view_history_filter *filter,
                         struct view_span *out_span, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(
        view, "SELECT count(*), min(id), max(id), min(received), max(received)" HISTORY_WHERE,
        &statement, e);
    if (rc != ERR_OK) {
        return rc;
    }
    bind_history(statement, filter);
    return view_each_row(view, statement, span_row, out_span, e);
}

struct replay_walk {
    view_replay_fn *each;
    void *context;
};

static bool replay_row(sqlite3_stmt *statement, void *opaque)
{
    const struct replay_walk *walk = opaque;
    struct view_replay replay = {
        .id = count_at(statement, 0),
        .rule = view_text(statement, 1),
        .what = view_text(statement, 2),
        .started_ms = sqlite3_column_int64(statement, 3),
        .ended_ms = sqlite3_column_int64(statement, 4),
        .chunks = count_at(statement, 5),
        .deliveries = count_at(statement, 6),
        .last_key = view_text(statement, 7),
    };
    return walk->each(walk->context, &replay);
}

enum err store_view_replays(struct store_view *view, uint64_t first, uint64_t last,
                            view_replay_fn *each, void *context, struct error *e)
{
    struct replay_walk walk = {each, context};
    const struct view_filter filter = {.first = first, .last = last};
    return walk_filtered(view,
                         "SELECT id, rule, what, started, ended, chunks, deliveries, last_key"
                         " FROM pipit_replay WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
                         &filter, replay_row, &walk, e);
}

// A row as it is into the same table of another store.
struct copying {
    struct store *to;
    sqlite3_stmt *insert;
    enum err rc;
    struct error *e;
};

static bool copy_row(sqlite3_stmt *statement, void *walk)
{
    struct copying *copying = walk;
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        sqlite3_bind_value(copying->insert, i + 1, sqlite3_column_value(statement, i));
    }
    int sqlite_rc = sqlite3_step(copying->insert);
    sqlite3_reset(copying->insert);
    if (sqlite_rc != SQLITE_DONE) {
        copying->rc = store_fail(copying->to, sqlite_rc, "copy a birth", copying->e);
    }
    return sqlite_rc == SQLITE_DONE;
}

static enum err copy_table(struct store_view *view, const char *select, const char *insert,
                           struct copying *copying)
{
    int sqlite_rc = sqlite3_prepare_v2(store_db(copying->to), insert, -1, &copying->insert, NULL);
    if (sqlite_rc != SQLITE_OK) {
        return store_fail(copying->to, sqlite_rc, "copy births", copying->e);
    }
    enum err rc = walk_all(view, select, copy_row, copying, copying->e);
    sqlite3_finalize(copying->insert);
    return rc == ERR_OK ? copying->rc : rc;
}

enum err store_view_copy_births(struct store_view *view, struct store *to, struct error *e)
{
    static const char *const tables[][2] = {
        {"SELECT * FROM pipit_sparkplug_node",
         "INSERT INTO pipit_sparkplug_node VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
        {"SELECT * FROM pipit_sparkplug_device",
         "INSERT INTO pipit_sparkplug_device VALUES (?1, ?2, ?3, ?4)"},
        {"SELECT * FROM pipit_sparkplug_alias",
         "INSERT INTO pipit_sparkplug_alias VALUES (?1, ?2, ?3, ?4)"},
    };
    struct copying copying = {.to = to, .rc = ERR_OK, .e = e};
    enum err rc = store_begin(to, false, e);
    for (size_t i = 0; rc == ERR_OK && i < sizeof(tables) / sizeof(tables[0]); i++) {
        rc = copy_table(view, tables[i][0], tables[i][1], &copying);
    }
    rc = rc == ERR_OK ? store_commit(to, e) : rc;
    if (rc != ERR_OK) {
        store_rollback(to);
    }
    return rc;
}

struct boot_walk {
    view_boot_fn *each;
    void *context;
};

static bool boot_row(sqlite3_stmt *statement, void *opaque)
{
    const struct boot_walk *walk = opaque;
    const struct view_boot boot = {count_at(statement, 0), bytes_at(statement, 1)};
    return walk->each(walk->context, &boot);
}

enum err store_view_boot(struct store_view *view, const char *device, uint32_t boot,
                         view_boot_fn *each, void *context, struct error *e)
{
    struct boot_walk walk = {each, context};
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(view,
                               "SELECT upto, bitmap FROM pipit_device_boot"
                               " WHERE device = ?1 AND boot = ?2",
                               &statement, e);
    if (rc == ERR_OK) {
        sqlite3_bind_text(statement, 1, device, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, boot);
        rc = view_each_row(view, statement, boot_row, &walk, e);
    }
    return rc;
}
