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

    // next_high, next_low: as next, for the classes that go before the others and after them. Their
    // ids begin 25 and 50 times 10^12 further.
    "ALTER TABLE pipit_target ADD COLUMN next_high INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE pipit_target ADD COLUMN next_low INTEGER NOT NULL DEFAULT 1;",

    // Of dropped: those that a sample left out, that were over a rate, over the limit of a key.
    // keyed: pipit_route_waiting knows this route. pace_keys: its rows in pipit_route_pace; paced:
    // when it last looked at the clock.
    "ALTER TABLE pipit_route ADD COLUMN unsampled INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_route ADD COLUMN over_rate INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_route ADD COLUMN over_key INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_route ADD COLUMN keyed INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_route ADD COLUMN pace_keys INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_route ADD COLUMN paced INTEGER NOT NULL DEFAULT 0;"
    // Bytes of a key that wait, of routes with a limit of each key.
    "CREATE TABLE pipit_route_waiting(route INTEGER NOT NULL, key BLOB NOT NULL,"
    " bytes INTEGER NOT NULL, PRIMARY KEY (route, key)) WITHOUT ROWID;"
    // Rows seen of a key, for its sample; due: nanoseconds since 1970 up to which its rate is used
    // up. The key '' (a text) is the route as a whole. used: a number that grows with each use.
    "CREATE TABLE pipit_route_pace(route INTEGER NOT NULL, key NOT NULL, seen INTEGER NOT NULL,"
    " due INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (route, key)) WITHOUT ROWID;",

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

    // Replays that were made for real. what: the selection, as JSON. last_key: idempotency key
    // of the last delivery that is in.
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
    "CREATE TABLE pipit_memo_rule(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " rule TEXT NOT NULL UNIQUE, sql TEXT NOT NULL);"
    "CREATE TABLE pipit_memo(id INTEGER PRIMARY KEY, rule INTEGER NOT NULL, site INTEGER NOT NULL,"
    " key TEXT NOT NULL, value, used INTEGER NOT NULL, UNIQUE (rule, site, key));"
    "CREATE INDEX pipit_memo_used ON pipit_memo(used);",

    // A Sparkplug node, "<group>/<node>". bdseq, seq: -1 when unknown. born, latest: timestamps of
    // its payloads. asked: when a rebirth was asked for that has not come, else 0.
    "CREATE TABLE pipit_sparkplug_node(id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE,"
    " bdseq INTEGER NOT NULL, seq INTEGER NOT NULL, online INTEGER NOT NULL,"
    " born INTEGER NOT NULL, latest INTEGER NOT NULL, asked INTEGER NOT NULL);"
    // Its devices since its birth; the node itself is the one without a name.
    "CREATE TABLE pipit_sparkplug_device(id INTEGER PRIMARY KEY, node INTEGER NOT NULL,"
    " device TEXT NOT NULL, online INTEGER NOT NULL, UNIQUE (node, device));"
    // The metrics of their births.
    "CREATE TABLE pipit_sparkplug_alias(device INTEGER NOT NULL, name TEXT NOT NULL, alias INTEGER,"
    " datatype INTEGER NOT NULL, PRIMARY KEY (device, name)) WITHOUT ROWID;",

    // Windows of rules. sql, options: what they are; when either changes they begin anew.
    "CREATE TABLE pipit_window(id INTEGER PRIMARY KEY, rule TEXT NOT NULL UNIQUE,"
    " sql TEXT NOT NULL, options TEXT NOT NULL, late INTEGER NOT NULL DEFAULT 0,"
    " overflow INTEGER NOT NULL DEFAULT 0, closed INTEGER NOT NULL DEFAULT 0);"
    // watermark: the largest time seen. closed: windows that end by then are closed. arrived: when
    // an event last came, by the hub's clock. number: of the next chunk, or event. open: windows,
    // or parts of them, that have rows; spans: which. due: before it there is nothing to do.
    "CREATE TABLE pipit_window_key(id INTEGER PRIMARY KEY, window INTEGER NOT NULL,"
    " key BLOB NOT NULL, watermark INTEGER, closed INTEGER, arrived INTEGER NOT NULL,"
    " number INTEGER NOT NULL, open INTEGER NOT NULL, spans BLOB NOT NULL, due INTEGER,"
    " UNIQUE (window, key));"
    "CREATE INDEX pipit_window_due ON pipit_window_key(due) WHERE due IS NOT NULL;"
    // Rows of a key, packed, in order of time.
    "CREATE TABLE pipit_window_chunk(key INTEGER NOT NULL, pane INTEGER NOT NULL,"
    " first INTEGER NOT NULL, number INTEGER NOT NULL, last INTEGER NOT NULL,"
    " rows INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (key, pane, first, number))"
    " WITHOUT ROWID;",

    "ALTER TABLE pipit_books ADD COLUMN derived INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_books ADD COLUMN late INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_books ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_books ADD COLUMN history_rows INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_books ADD COLUMN history_bytes INTEGER NOT NULL DEFAULT 0;",
    NULL};

static const char *const version_3[] = {
    // definition: the one that new instances get; 0: it is not configured. started = queued +
    // running + undoing + parked + completed + failed + cancelled.
    "CREATE TABLE pipit_workflow(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " definition INTEGER NOT NULL DEFAULT 0, started INTEGER NOT NULL DEFAULT 0,"
    " completed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,"
    " cancelled INTEGER NOT NULL DEFAULT 0, ignored INTEGER NOT NULL DEFAULT 0,"
    " queued INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,"
    " undoing INTEGER NOT NULL DEFAULT 0, parked INTEGER NOT NULL DEFAULT 0);"
    // version: a fingerprint of text, which is JSON.
    "CREATE TABLE pipit_workflow_definition(id INTEGER PRIMARY KEY, workflow INTEGER NOT NULL,"
    " version TEXT NOT NULL, text TEXT NOT NULL, created INTEGER NOT NULL,"
    " UNIQUE (workflow, version));"
    // state: enum workflow_state. event: id of the one that started it. start: the variables it
    // began with; variables, tokens, undo: JSON, NULL where the same as at the start or empty.
    // until: one that has ended is dropped then.
    // goal: the state that undoing leads to.
    // parent: the instance that runs it and the execution that waits for it; 0: none.
    "CREATE TABLE pipit_workflow_instance(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " workflow INTEGER NOT NULL, definition INTEGER NOT NULL, key TEXT NOT NULL,"
    " state INTEGER NOT NULL, started INTEGER NOT NULL, changed INTEGER NOT NULL, ended INTEGER,"
    " until INTEGER,"
    " event TEXT NOT NULL, hops INTEGER NOT NULL, parent INTEGER NOT NULL,"
    " parent_execution INTEGER NOT NULL, start TEXT NOT NULL, variables TEXT, tokens TEXT,"
    " undo TEXT, next_token INTEGER NOT NULL, next_execution INTEGER NOT NULL,"
    " next_entry INTEGER NOT NULL, goal INTEGER NOT NULL, error TEXT, reason TEXT, result TEXT);"
    // id in it, so that the next one of very many of a key is found without looking at all.
    "CREATE INDEX pipit_workflow_running ON pipit_workflow_instance(workflow, key, state, id,"
    " definition) WHERE ended IS NULL;"
    "CREATE INDEX pipit_workflow_until ON pipit_workflow_instance(until)"
    " WHERE until IS NOT NULL;"
    // What a token of an instance waits for: until due, for an event with this value at this step
    // of this definition (0, 0: for the device of that name to be online).
    "CREATE TABLE pipit_workflow_wait(instance INTEGER NOT NULL, token INTEGER NOT NULL,"
    " definition INTEGER NOT NULL, step INTEGER NOT NULL, value TEXT, due INTEGER,"
    " PRIMARY KEY (instance, token)) WITHOUT ROWID;"
    "CREATE INDEX pipit_workflow_wait_value ON pipit_workflow_wait(definition, step, value)"
    " WHERE value IS NOT NULL;"
    "CREATE INDEX pipit_workflow_wait_due ON pipit_workflow_wait(due) WHERE due IS NOT NULL;"
    // Events that came before the instance was waiting for them, by the workflow and the name of
    // the step, so that they outlive a change of the definition. device: \"<group>/<name>\" or ''.
    "CREATE TABLE pipit_workflow_kept(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " workflow INTEGER NOT NULL, step TEXT NOT NULL, value TEXT NOT NULL, until INTEGER NOT NULL,"
    " event TEXT NOT NULL, device TEXT NOT NULL, boot INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " time INTEGER, received INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,"
    " content_type TEXT NOT NULL, properties BLOB NOT NULL, qos INTEGER NOT NULL,"
    " retain INTEGER NOT NULL);"
    "CREATE INDEX pipit_workflow_kept_value ON pipit_workflow_kept(workflow, step, value);"
    "CREATE INDEX pipit_workflow_kept_until ON pipit_workflow_kept(until);"
    // What has happened in an instance, in order. what: WORKFLOW_ENTRIES of
    // core/workflow_parts.h. data, branch: JSON.
    "CREATE TABLE pipit_workflow_entry(instance INTEGER NOT NULL, number INTEGER NOT NULL,"
    " at INTEGER NOT NULL, step TEXT NOT NULL, execution INTEGER NOT NULL, what TEXT NOT NULL,"
    " attempt INTEGER NOT NULL, error TEXT, reason TEXT, data TEXT,"
    " branch TEXT, PRIMARY KEY (instance, number))"
    " WITHOUT ROWID;"
    // Visits of a step. residence: milliseconds that those which have left have spent in it; area:
    // the sum of milliseconds with the number in it, up to `last`. area = residence + ages.
    "CREATE TABLE pipit_workflow_step(definition INTEGER NOT NULL, step INTEGER NOT NULL,"
    " name TEXT NOT NULL, arrived INTEGER NOT NULL, departed INTEGER NOT NULL,"
    " failed INTEGER NOT NULL, retried INTEGER NOT NULL, residence INTEGER NOT NULL,"
    " area INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,"
    " PRIMARY KEY (definition, step)) WITHOUT ROWID;"
    // Of dropped: calls of workflows that failed, which the workflow was told of (answered), and
    // deliveries that it took back (withdrawn).
    "ALTER TABLE pipit_books ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_route ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pipit_route ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;"
    // timeout: milliseconds that somebody waits for its answer; 0: as long as the target says.
    "ALTER TABLE pipit_outbox ADD COLUMN timeout INTEGER NOT NULL DEFAULT 0;"
    // What devices say of themselves: \"<group>/<name>\".
    "CREATE TABLE pipit_presence(device TEXT PRIMARY KEY, online INTEGER NOT NULL,"
    " at INTEGER NOT NULL) WITHOUT ROWID;"
    // Events that workflows have made for the hub itself: they come in with the next batch. hops:
    // how often one has led to another so far.
    "CREATE TABLE pipit_inbox(id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL,"
    " hops INTEGER NOT NULL, created INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,"
    " content_type TEXT NOT NULL, properties BLOB NOT NULL);",
    NULL};

const char *const *const store_schema_steps[STORE_SCHEMA_VERSION] = {version_1, version_2,
                                                                     version_3};
