// event_value.h - one value on its way from an event through SQL into an output.
// Threads:   core thread.
// Ownership: texts and trees are borrowed from where they came.
// Failure:   what cannot be told, or for which there is no memory, is NULL.
#ifndef PIPIT_CORE_EVENT_VALUE_H
#define PIPIT_CORE_EVENT_VALUE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct event;
struct json_t;

#define SUBTYPE_BOOLEAN 'b' // Ours.
#define SUBTYPE_JSON    'J' // SQLite's own for text that is JSON.

enum value_kind {
    VALUE_NULL,
    VALUE_BOOLEAN,
    VALUE_INTEGER,
    VALUE_REAL,
    VALUE_TEXT,
    VALUE_BLOB,
    VALUE_TREE, // JSON object or array.
    VALUE_JSON, // The same as text.
};

struct event_value {
    enum value_kind kind;
    int64_t integer; // BOOLEAN, INTEGER.
    double real;
    struct bytes bytes; // TEXT, BLOB, JSON.
    struct json_t *tree;
};

// Standard columns, in the order in which SELECT * gives them. payload is not among those of *.
#define EVENT_COLUMNS(X)                                                                           \
    X(ID, "id", "TEXT")                                                                            \
    X(TOPIC, "topic", "TEXT")                                                                      \
    X(DEVICE, "device", "TEXT")                                                                    \
    X(DEVICE_GROUP, "device_group", "TEXT")                                                        \
    X(TYPE, "type", "TEXT")                                                                        \
    X(TIME, "time", "INTEGER")                                                                     \
    X(RECEIVED, "received", "INTEGER")                                                             \
    X(BOOT, "boot", "INTEGER")                                                                     \
    X(SEQUENCE, "sequence", "INTEGER")                                                             \
    X(QOS, "qos", "INTEGER")                                                                       \
    X(RETAIN, "retain", "")                                                                        \
    X(CONTENT_TYPE, "content_type", "TEXT")                                                        \
    X(PAYLOAD, "payload", "HIDDEN")                                                                \
    X(FIELDS, "fields", "")

#define EVENT_COLUMN_ENUM(id, name, type) EVENT_COLUMN_##id,
enum event_column { EVENT_COLUMNS(EVENT_COLUMN_ENUM) EVENT_COLUMN_COUNT };
#undef EVENT_COLUMN_ENUM

// EVENT_COLUMN_COUNT when there is none of that name (case does not matter, as in SQL).
enum event_column event_column_find(const char *name);
const char *event_column_name(enum event_column column);

void event_column(struct event *event, enum event_column column, struct event_value *out_value);
// The payload's field at a dotted path, VALUE_NULL when absent.
void event_field(struct event *event, const char *path, struct event_value *out_value);
void value_result(const struct event_value *value, sqlite3_context *context);
void value_of_sqlite(sqlite3_value *source, struct event_value *out_value);

// A new JSON value. NULL when JSON has none for it, and then *out_problem says why ("is a blob").
struct json_t *value_to_json(const struct event_value *value, const char **out_problem);
void value_of_json(struct json_t *json, struct event_value *out_value);

// The number with the shortest decimal that names this float: 27.1f reads 27.1.
double real_of_float(float single);
// Significant digits, 15 to 17, that name this number and no other.
int real_precision(double real);
// The most that any number in the tree needs.
int json_precision(const struct json_t *json);
// Compact text with the fewest digits that name its numbers, to be freed with free(); NULL without
// memory.
char *json_to_text(const struct json_t *json);
// Decimal text, the shortest of 15 to 17 digits; "86.0" when whole. Gives its length.
#define REAL_TEXT_BYTES 32
size_t real_to_text(double real, char out_text[REAL_TEXT_BYTES]);

#endif
