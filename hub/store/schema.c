#include "store/schema.h"

#include <stddef.h>

// Whole numbers without a sign (sequences, counts) are kept as SQLite's signed ones of the same 64
// bits. Times are milliseconds since 1970-01-01 UTC.
static const char *const version_1[] = {
    "CREATE TABLE pipit_meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"

    // One row: struct books, and what is counted beside it.
    "CREATE TABLE pipit_books(id INTEGER PRIMARY KEY CHECK (id = 1),"
    " received INTEGER NOT NULL DEFAULT 0, routed INTEGER NOT NULL DEFAULT 0,"
    " filtered INTEGER NOT NULL DEFAULT 0, duplicate INTEGER NOT NULL DEFAULT 0,"
    " rejected INTEGER NOT NULL DEFAULT 0, enqueued INTEGER NOT NULL DEFAULT 0,"
    " delivered INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL DEFAULT 0,"
    " dead INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,"
    " missing INTEGER NOT NULL DEFAULT 0, rule_failures INTEGER NOT NULL DEFAULT 0,"
    " quarantined INTEGER NOT NULL DEFAULT 0, dead_dropped INTEGER NOT NULL DEFAULT 0,"
    " next_event INTEGER NOT NULL DEFAULT 1, quarantine_bytes INTEGER NOT NULL DEFAULT 0);"
    "INSERT INTO pipit_books(id) VALUES (1);"

    // The dedupe window of a boot of a device. id grows: the largest ids are the most recent boots.
    // Bit i (least significant first) of bitmap: sequence upto + 1 + i was seen.
    "CREATE TABLE pipit_device_boot(id INTEGER PRIMARY KEY, device TEXT NOT NULL,"
    " boot INTEGER NOT NULL, first INTEGER NOT NULL, upto INTEGER NOT NULL, bitmap BLOB NOT NULL,"
    " missing INTEGER NOT NULL, UNIQUE (device, boot));"

    // What a source's session at its broker may be subscribed to. is_current: it is configured.
    "CREATE TABLE pipit_filter(id INTEGER PRIMARY KEY, source TEXT NOT NULL, filter TEXT NOT NULL,"
    " is_current INTEGER NOT NULL, UNIQUE (source, filter));"

    "CREATE TABLE pipit_rule(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " matched INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0,"
    " failures INTEGER NOT NULL DEFAULT 0);"

    // next: the number of the next delivery; see pipit_outbox.id.
    "CREATE TABLE pipit_target(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " next INTEGER NOT NULL DEFAULT 1, enqueued INTEGER NOT NULL DEFAULT 0,"
    " delivered INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL DEFAULT 0,"
    " waiting_bytes INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,"
    " dropped INTEGER NOT NULL DEFAULT 0, retried INTEGER NOT NULL DEFAULT 0);"

    "CREATE TABLE pipit_route(id INTEGER PRIMARY KEY, rule TEXT NOT NULL, number INTEGER NOT NULL,"
    " enqueued INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0,"
    " waiting INTEGER NOT NULL DEFAULT 0, waiting_bytes INTEGER NOT NULL DEFAULT 0,"
    " dead INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,"
    " retried INTEGER NOT NULL DEFAULT 0, UNIQUE (rule, number));"

    // id: 10^14 times the target's id plus a number that grows by one: the deliveries of a target
    // lie together in their order, without an index, and an id is never used twice.
    "CREATE TABLE pipit_outbox(id INTEGER PRIMARY KEY, route INTEGER NOT NULL,"
    " idempotency_key TEXT NOT NULL, key BLOB NOT NULL, topic TEXT NOT NULL,"
    " payload BLOB NOT NULL, content_type TEXT NOT NULL, qos INTEGER NOT NULL,"
    " retain INTEGER NOT NULL, attempts INTEGER NOT NULL, next_at INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL);"

    // Dead letters. target and rule are names, so that they can be read without the configuration.
    "CREATE TABLE pipit_dead(id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL,"
    " rule TEXT NOT NULL, route INTEGER NOT NULL, idempotency_key TEXT NOT NULL,"
    " key BLOB NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL, content_type TEXT NOT NULL,"
    " qos INTEGER NOT NULL, retain INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL, reason TEXT NOT NULL, died_at INTEGER NOT NULL);"

    // What was rejected and why. payload is cut short, payload_bytes is its whole length.
    "CREATE TABLE pipit_quarantine(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,"
    " topic NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL,"
    " payload_bytes INTEGER NOT NULL);",
    NULL};

static const char *const version_2[] = {
    // Name, value, name, value, ... each ended by a zero byte: MQTT 5 user properties.
    "ALTER TABLE pipit_outbox ADD COLUMN properties BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE pipit_dead ADD COLUMN properties BLOB NOT NULL DEFAULT x'';",

    // rule: the one that failed, NULL when the message could not be read. The message came with
    // the rest; received is when.
    "ALTER TABLE pipit_quarantine ADD COLUMN rule TEXT;"
    "ALTER TABLE pipit_quarantine ADD COLUMN content_type TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE pipit_quarantine ADD COLUMN properties BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE pipit_quarantine ADD COLUMN qos INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_quarantine ADD COLUMN retain INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_quarantine ADD COLUMN received INTEGER NOT NULL DEFAULT 0;"
    // edited: when an operator changed it, 0: never. event: what idempotency keys begin with, "" if
    // the message has not got as far.
    "ALTER TABLE pipit_quarantine ADD COLUMN edited INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_quarantine ADD COLUMN event TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE pipit_dead ADD COLUMN edited INTEGER NOT NULL DEFAULT 0;",

    // What was let in, whole. device: "<group>/<name>" or ''. time: the event's own, NULL: none.
    "CREATE TABLE pipit_history(id INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL,"
    " event TEXT NOT NULL, device TEXT NOT NULL, time INTEGER, topic TEXT NOT NULL,"
    " payload BLOB NOT NULL, content_type TEXT NOT NULL, properties BLOB NOT NULL,"
    " qos INTEGER NOT NULL, retain INTEGER NOT NULL);"

    // Replays that were made for real. what: the selection, as JSON. last_key: idempotency key, as
    // in a first run, of the last delivery that is in.
    "CREATE TABLE pipit_replay(id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL UNIQUE,"
    " rule TEXT NOT NULL, what TEXT NOT NULL, started INTEGER NOT NULL,"
    " ended INTEGER NOT NULL DEFAULT 0, chunks INTEGER NOT NULL DEFAULT 0,"
    " deliveries INTEGER NOT NULL DEFAULT 0, last_key TEXT NOT NULL DEFAULT '');",

    // Reference tables, which are tables of their own names. definition: their CREATE TABLE, or the
    // SELECT that feeds them. fingerprint: of the file's content.
    "CREATE TABLE pipit_table(name TEXT PRIMARY KEY, definition TEXT NOT NULL,"
    " fingerprint TEXT NOT NULL, rows INTEGER NOT NULL) WITHOUT ROWID;"

    // What changed(), previous() and smooth() remember. sql: a fingerprint of the rule's; site: the
    // number of the call in it. used: days since 1970, so that the index changes once a day.
    "CREATE TABLE pipit_memo_rule(id INTEGER PRIMARY KEY, rule TEXT NOT NULL UNIQUE,"
    " sql TEXT NOT NULL);"
    "CREATE TABLE pipit_memo(id INTEGER PRIMARY KEY, rule INTEGER NOT NULL, site INTEGER NOT NULL,"
    " key TEXT NOT NULL, value, used INTEGER NOT NULL, UNIQUE (rule, site, key));"
    "CREATE INDEX pipit_memo_used ON pipit_memo(used);",

    // A Sparkplug node, "<group>/<node>". bdseq, seq: -1 when unknown. born, latest: timestamps of its
    // payloads. asked: when a rebirth was asked for that has not come, else 0.
    "CREATE TABLE pipit_sparkplug_node(id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE,"
    " bdseq INTEGER NOT NULL, seq INTEGER NOT NULL, online INTEGER NOT NULL,"
    " born INTEGER NOT NULL, latest INTEGER NOT NULL, asked INTEGER NOT NULL);"
    // Its devices since its birth; the node itself is the one without a name.
    "CREATE TABLE pipit_sparkplug_device(id INTEGER PRIMARY KEY, node INTEGER NOT NULL,"
    " device TEXT NOT NULL, online INTEGER NOT NULL, UNIQUE (node, device));"
    // The metrics of their births.
    "CREATE TABLE pipit_sparkplug_alias(device INTEGER NOT NULL, name TEXT NOT NULL, alias INTEGER,"
    " datatype INTEGER NOT NULL, PRIMARY KEY (device, name)) WITHOUT ROWID;",

    "ALTER TABLE pipit_books ADD COLUMN derived INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_books ADD COLUMN late INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_books ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_books ADD COLUMN history_rows INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_books ADD COLUMN history_bytes INTEGER NOT NULL DEFAULT 0;",
    NULL};

const char *const *const store_schema_steps[STORE_SCHEMA_VERSION] = {version_1, version_2};
