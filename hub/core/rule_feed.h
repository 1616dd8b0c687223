// rule_feed.h - tables that are fed by events: those of the configuration, and `latest`, which has
// the last event of each device and type. They are ordinary tables of the store.
//
// A rule sees the tables as they are after its own event, however events are cut into batches: an
// event that changes one waits until the rules have seen those before it that read one.
//
// Threads:   core thread.
//
// Ownership: borrows space and specs.
//
// Failure:   rule_feeds_create: ERR_CONFIG. An event on which a table's SELECT fails is told to
// sink->failure with rule_index UINT32_MAX, changes nothing in any table and should be skipped.
#ifndef PIPIT_CORE_RULE_FEED_H
#define PIPIT_CORE_RULE_FEED_H

#include "core/rule_space.h"
#include "core/rules.h"

#define LATEST_TABLE    "latest"
#define LATEST_ROWS_MAX 100000 // The row that was renewed longest ago makes room.

struct rule_feeds;

// Compiles the SELECTs and makes the tables; a table whose columns have changed begins empty.
enum err rule_feeds_create(struct rule_feeds **out_feeds, struct rule_space *space,
                           const struct core_spec *spec, struct error *e);
void rule_feeds_destroy(struct rule_feeds *feeds); // NULL is fine.

// The fence: a statement that is compiled reads this table.
void rule_feeds_mark(struct rule_feeds *feeds, const char *table);
// SQLite asked for `latest`: it is made.
enum err rule_feeds_make_latest(struct rule_space *space, struct error *e);
// A rule has been compiled, over this filter: if it reads what is fed, that is remembered.
enum err rule_feeds_note_rule(struct rule_feeds *feeds, const char *filter, struct error *e);
// After the rules have been compiled: is `latest` read? Then it is kept up to date.
enum err rule_feeds_ready(struct rule_feeds *feeds, struct error *e);

// An expression reads `latest`, too.
enum err rule_feeds_keep_latest(struct rule_feeds *feeds, struct error *e);

bool rule_feeds_is_idle(const struct rule_feeds *feeds); // Nothing is fed.
// Of an event: may it change a table, and may a rule read one for it?
bool rule_feeds_writes(struct rule_feeds *feeds, struct bytes topic);
bool rule_feeds_reads(struct rule_feeds *feeds, struct bytes topic);
bool rule_feeds_reads_latest(const struct rule_feeds *feeds);

// Around rule_feeds_apply: what was put in stays only where rc is ERR_OK.
enum err rule_feeds_begin(struct rule_feeds *feeds, struct error *e);
enum err rule_feeds_end(struct rule_feeds *feeds, enum err rc, struct error *e);
// Between rule_space_begin and rule_space_end.
enum err rule_feeds_apply(struct rule_feeds *feeds, struct event_batch *batch, uint32_t index,
                          const struct rule_sink *sink, struct error *e);
// The transaction was rolled back.
void rule_feeds_rollback(struct rule_feeds *feeds);

#endif
