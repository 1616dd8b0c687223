#include "core/rule_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/event_memory.h"
#include "core/event_value.h"
#include "core/feed_table.h"
#include "core/rule_matches.h"
#include "core/rule_statement.h"

#define VALUES_MAX 65536 // Of the rows of one event.

// Rows that an event gives a table.
struct pending {
    struct feed_table *table;
    uint32_t first, columns, rows; // In values.
};

struct feed {
    const struct table_spec *spec;
    struct rule_statement *statement;
    struct feed_table *table;
};

struct rule_feeds {
    struct rule_space *space;
    struct rule_matches *matches;
    struct rule_matches *readers; // Rules that read what is fed; all are the same one here.
    bool is_marked;               // What is compiled reads what is fed.
    bool reads_latest, has_readers;
    bool has_derived;          // Rules make events for rules: any event may lead to any rule.
    struct feed_table *latest; // NULL: nobody reads it.
    // Rows of one event, until its last one has worked in all tables.
    struct pending *pending;
    uint32_t pending_count;
    struct event_memory memory;
    struct event_value *values;
    uint32_t value_count, value_capacity;
    uint32_t count;
    struct feed feeds[];
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a table");
}

static enum err make_feed(struct rule_feeds *feeds, uint32_t index, const struct table_spec *spec,
                          struct error *e)
{
    struct feed *feed = &feeds->feeds[index];
    feed->spec = spec;
    enum err rc = rule_statement_create(&feed->statement, feeds->space, spec->sql, e);
    if (rc == ERR_OK && feeds->is_marked) {
        rc = error_set(e, ERR_CONFIG,
                       "a table that is fed by events cannot be fed from another "
                       "one, or from latest");
    }
    if (rc == ERR_OK) {
        rc = feed_table_open(&feed->table, feeds->space->db, spec, feed->statement->compiled, e);
    }
    return rc == ERR_OK ? rule_matches_add(feeds->matches, feed->statement->filter, index, e) : rc;
}

static uint32_t count_fed(const struct core_spec *spec)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < spec->table_count; i++) {
        count += spec->tables[i].sql != NULL;
    }
    return count;
}

enum err rule_feeds_create(struct rule_feeds **out_feeds, struct rule_space *space,
                           const struct core_spec *spec, struct error *e)
{
    uint32_t count = count_fed(spec);
    struct rule_feeds *feeds = calloc(1, sizeof(*feeds) + count * sizeof(feeds->feeds[0]));
    if (feeds == NULL) {
        return no_memory(e);
    }
    feeds->space = space;
    event_memory_init(&feeds->memory);
    space->feeds = feeds;
    feeds->pending = calloc((size_t)count + 1, sizeof(feeds->pending[0]));
    enum err rc =
        feeds->pending == NULL ? no_memory(e) : rule_matches_create(&feeds->matches, count, e);
    rc = rc == ERR_OK ? rule_matches_create(&feeds->readers, 1, e) : rc;
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        for (uint32_t j = 0; j < spec->rules[i].route_count; j++) {
            feeds->has_derived |= spec->rules[i].routes[j].target == ROUTE_TO_RULES;
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && i < spec->table_count; i++) {
        if (spec->tables[i].sql != NULL) {
            feeds->feeds[feeds->count].spec = &spec->tables[i];
            rc = make_feed(feeds, feeds->count++, &spec->tables[i], e);
            if (rc != ERR_OK) {
                error_wrap(e, "table \"%s\"", spec->tables[i].name);
            }
        }
    }
    if (rc != ERR_OK) {
        rule_feeds_destroy(feeds);
        return rc;
    }
    *out_feeds = feeds;
    return ERR_OK;
}

void rule_feeds_destroy(struct rule_feeds *feeds)
{
    if (feeds == NULL) {
        return;
    }
    if (feeds->space->feeds == feeds) {
        feeds->space->feeds = NULL;
    }
    for (uint32_t i = 0; i < feeds->count; i++) {
        rule_statement_destroy(feeds->feeds[i].statement);
        feed_table_close(feeds->feeds[i].table);
    }
    feed_table_close(feeds->latest);
    rule_matches_destroy(feeds->matches);
    rule_matches_destroy(feeds->readers);
    event_memory_deinit(&feeds->memory);
    free(feeds->pending);
    free(feeds->values);
    free(feeds);
}

// While a feed is compiled its own table may not be there yet, or may be another feed's.
void rule_feeds_mark(struct rule_feeds *feeds, const char *table)
{
    if (feeds == NULL) {
        return;
    }
    if (strcasecmp(table, LATEST_TABLE) == 0) {
        feeds->is_marked = feeds->reads_latest = true;
    }
    for (uint32_t i = 0; i < feeds->count; i++) {
        feeds->is_marked |= strcasecmp(table, feeds->feeds[i].spec->name) == 0;
    }
}

enum err rule_feeds_make_latest(struct rule_space *space, struct error *e)
{
    const struct rule_statement *compiling = space->compiling;
    space->compiling = NULL; // The table is ours and would be fenced.
    enum err rc = feed_table_make_latest(space->db, e);
    space->compiling = compiling;
    return rc;
}

enum err rule_feeds_note_rule(struct rule_feeds *feeds, const char *filter, struct error *e)
{
    bool is_marked = feeds->is_marked;
    feeds->is_marked = false;
    feeds->has_readers |= is_marked;
    return is_marked ? rule_matches_add(feeds->readers, filter, 0, e) : ERR_OK;
}

enum err rule_feeds_ready(struct rule_feeds *feeds, struct error *e)
{
    feeds->space->feeds = NULL;
    return feeds->reads_latest ? rule_feeds_keep_latest(feeds, e) : ERR_OK;
}

enum err rule_feeds_keep_latest(struct rule_feeds *feeds, struct error *e)
{
    feeds->reads_latest = true;
    return feeds->latest == NULL ? feed_table_open_latest(&feeds->latest, feeds->space->db, e)
                                 : ERR_OK;
}

bool rule_feeds_is_idle(const struct rule_feeds *feeds)
{
    return feeds->count == 0 && feeds->latest == NULL;
}

static enum err note_match(void *context, uint32_t rule, const uint32_t *events, uint32_t count,
                           struct error *e)
{
    (void)rule;
    (void)events;
    (void)count;
    (void)e;
    *(bool *)context = true;
    return ERR_OK;
}

// Out of memory it is as if one did, which is the slower way.
static bool has_match(struct rule_matches *matches, struct bytes topic)
{
    bool is_match = false;
    struct error unused;
    bool is_short = rule_matches_put(matches, topic, 0, &unused) != ERR_OK ||
                    rule_matches_each(matches, note_match, &is_match, &unused) != ERR_OK;
    rule_matches_clear(matches);
    return is_match || is_short;
}

bool rule_feeds_writes(struct rule_feeds *feeds, struct bytes topic)
{
    return feeds->latest != NULL || has_match(feeds->matches, topic);
}

bool rule_feeds_reads(struct rule_feeds *feeds, struct bytes topic)
{
    return feeds->has_readers && (feeds->has_derived || has_match(feeds->readers, topic));
}

bool rule_feeds_reads_latest(const struct rule_feeds *feeds)
{
    return feeds->reads_latest;
}

// ---- running ------------------------------------------------------------------------------------

static enum err run(struct rule_feeds *feeds, const char *sql, struct error *e)
{
    int rc = sqlite3_exec(feeds->space->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : feed_table_error(feeds->space->db, rc, e);
}

enum err rule_feeds_begin(struct rule_feeds *feeds, struct error *e)
{
    return run(feeds, "SAVEPOINT pipit_feeds", e);
}

enum err rule_feeds_end(struct rule_feeds *feeds, enum err rc, struct error *e)
{
    struct error unused;
    if (rc != ERR_OK) {
        rule_feeds_rollback(feeds);
        run(feeds, "ROLLBACK TO pipit_feeds", &unused); // Else the transaction is rolled back.
        run(feeds, "RELEASE pipit_feeds", &unused);
        return rc;
    }
    return run(feeds, "RELEASE pipit_feeds", e);
}

void rule_feeds_rollback(struct rule_feeds *feeds)
{
    for (uint32_t i = 0; i < feeds->count; i++) {
        feed_table_forget_count(feeds->feeds[i].table);
    }
    feed_table_forget_count(feeds->latest);
}

struct feed_pass {
    struct rule_feeds *feeds;
    const struct feed *feed;
    struct event_batch *batch;
    const struct rule_sink *sink;
    uint32_t first; // Of this table's values.
    bool has_failed;
};

static void forget_values(struct rule_feeds *feeds)
{
    feeds->pending_count = 0;
    feeds->value_count = 0;
    event_memory_reset(&feeds->memory);
}

static enum err reserve(struct rule_feeds *feeds, uint32_t more, struct error *e)
{
    uint32_t wanted = feeds->value_count + more;
    if (wanted > VALUES_MAX) {
        return error_set(e, ERR_INVALID, "more than %d values for one event", VALUES_MAX);
    }
    if (wanted <= feeds->value_capacity) {
        return ERR_OK;
    }
    struct event_value *values = reallocarray(feeds->values, wanted * 2, sizeof(values[0]));
    if (values == NULL) {
        return no_memory(e);
    }
    feeds->values = values;
    feeds->value_capacity = wanted * 2;
    return ERR_OK;
}

static enum err on_row(void *context, uint32_t event_index, sqlite3_stmt *compiled, struct error *e)
{
    struct rule_feeds *feeds = ((struct feed_pass *)context)->feeds;
    uint32_t columns = (uint32_t)sqlite3_column_count(compiled);
    (void)event_index;
    enum err rc = reserve(feeds, columns, e);
    for (uint32_t i = 0; rc == ERR_OK && i < columns; i++) {
        struct event_value *value = &feeds->values[feeds->value_count];
        value_of_sqlite(sqlite3_column_value(compiled, (int)i), value);
        if (value->bytes.len > 0) {
            value->bytes.ptr = (const uint8_t *)event_memory_text(&feeds->memory, value->bytes);
            rc = value->bytes.ptr == NULL ? no_memory(e) : ERR_OK;
        }
        feeds->value_count++;
    }
    return rc;
}

static enum err on_failure(void *context, uint32_t event_index, const char *reason, struct error *e)
{
    struct feed_pass *pass = context;
    char sentence[sizeof(e->text)];
    if (pass->has_failed) {
        return ERR_OK;
    }
    pass->has_failed = true;
    snprintf(sentence, sizeof(sentence), "table \"%.80s\": %.500s", pass->feed->spec->name, reason);
    return pass->sink->failure(pass->sink->context, event_index, UINT32_MAX, sentence, e);
}

static enum err on_finish(void *context, uint32_t event_index, uint32_t rows, struct error *e)
{
    struct feed_pass *pass = context;
    struct rule_feeds *feeds = pass->feeds;
    uint32_t columns = rows == 0 ? 0 : (feeds->value_count - pass->first) / rows;
    struct feed_table *table = pass->feed->table;
    if (feed_table_check(table, feeds->values + pass->first, rows, e) != ERR_OK) {
        return on_failure(context, event_index, e->text, e);
    }
    feeds->pending[feeds->pending_count++] = (struct pending){table, pass->first, columns, rows};
    return ERR_OK;
}

static enum err run_feed(void *context, uint32_t index, const uint32_t *events, uint32_t count,
                         struct error *e)
{
    struct feed_pass *pass = context;
    pass->feed = &pass->feeds->feeds[index];
    pass->first = pass->feeds->value_count;
    const struct rule_reader reader = {pass, on_row, on_finish, on_failure};
    return rule_statement_run(pass->feed->statement, pass->batch, events, count, false, &reader, e);
}

static enum err put_pending(struct rule_feeds *feeds, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < feeds->pending_count; i++) {
        const struct pending *pending = &feeds->pending[i];
        for (uint32_t row = 0; rc == ERR_OK && row < pending->rows; row++) {
            rc = feed_table_put(pending->table,
                                feeds->values + pending->first + row * pending->columns,
                                feeds->space->now_ms, e);
        }
    }
    return rc;
}

static enum err expire(struct rule_feeds *feeds, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < feeds->count; i++) {
        rc = feed_table_expire(feeds->feeds[i].table, feeds->space->now_ms, e);
    }
    return rc;
}

enum err rule_feeds_apply(struct rule_feeds *feeds, struct event_batch *batch, uint32_t index,
                          const struct rule_sink *sink, struct error *e)
{
    struct event *event = event_batch_at(batch, index);
    const struct message *message = event_message(event);
    struct feed_pass pass = {.feeds = feeds, .batch = batch, .sink = sink};
    if (message->playback != NULL && message->playback->rule != NULL) {
        return ERR_OK; // Played again for one rule: the tables have had it.
    }
    enum err rc = expire(feeds, e);
    forget_values(feeds);
    if (rc == ERR_OK && feeds->count > 0) {
        rc = rule_matches_put(feeds->matches, message->topic, index, e);
        rc = rc == ERR_OK ? rule_matches_each(feeds->matches, run_feed, &pass, e) : rc;
        rule_matches_clear(feeds->matches);
    }
    if (rc != ERR_OK || pass.has_failed) {
        return rc;
    }
    rc = put_pending(feeds, e);
    return rc == ERR_OK && feeds->latest != NULL ? feed_table_put_latest(feeds->latest, event, e)
                                                 : rc;
}
