// functions.c - SQL functions about the event at hand and the core's time.
#include "core/cloudevent.h"
#include "core/event_value.h"
#include "core/function_series.h"
#include "core/function_text.h"
#include "core/rule_space.h"
#include "core/topic.h"

// They belong to an event, so they are not deterministic: SQLite must not compute them once.
#define OF_EVENT (SQLITE_UTF8 | SQLITE_DIRECTONLY)
#define OF_BATCH (SQLITE_UTF8 | SQLITE_DIRECTONLY | SQLITE_DETERMINISTIC)

static struct event *event_of(sqlite3_context *context)
{
    return rule_space_event(sqlite3_user_data(context));
}

static void text_result(sqlite3_context *context, struct bytes text)
{
    const struct event_value value = {.kind = VALUE_TEXT, .bytes = text};
    value_result(&value, context);
}

// topic_part(n): the n-th level of the event's topic, from 1; NULL beyond the last.
static void topic_part_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct event *event = event_of(context);
    sqlite3_int64 n = sqlite3_value_int64(values[0]);
    struct bytes part;
    if (event != NULL && n > 0 && n <= TOPIC_BYTES_MAX &&
        topic_part(event_message(event)->topic, (uint32_t)n, &part)) {
        text_result(context, part);
    }
}

// prop(name): the first MQTT 5 user property of that name, else a CloudEvent's attribute: in
// structured mode they are in the payload. NULL without one.
static void prop_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct event *event = event_of(context);
    struct bytes name = bytes_from_text((const char *)sqlite3_value_text(values[0]));
    const struct message *message = event == NULL ? NULL : event_message(event);
    for (uint32_t i = 0; message != NULL && i < message->property_count; i++) {
        if (bytes_equal(message->properties[i].name, name)) {
            text_result(context, message->properties[i].value);
            return;
        }
    }
    const struct cloudevent *read = event == NULL ? NULL : cloudevent_of(event);
    const struct event_value *value = read == NULL ? NULL : cloudevent_find(read, name);
    if (value != NULL) {
        value_result(value, context);
    }
}

// fields(): all payload fields as one JSON object; NULL when there are none.
static void fields_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    struct event *event = event_of(context);
    struct event_value value = {.kind = VALUE_NULL};
    if (event != NULL) {
        event_column(event, EVENT_COLUMN_FIELDS, &value);
    }
    value_result(&value, context);
}

// now_ms(): the core's time, milliseconds since 1970; the same all through a batch.
static void now_ms_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    const struct rule_space *space = sqlite3_user_data(context);
    sqlite3_result_int64(context, space->now_ms);
}

static enum err scalars_register(struct rule_space *space, struct error *e)
{
    static const struct {
        const char *name;
        int arguments, flags;
        void (*call)(sqlite3_context *context, int count, sqlite3_value **values);
    } functions[] = {
        {"topic_part", 1, OF_EVENT, topic_part_function},
        {"prop", 1, OF_EVENT, prop_function},
        {"fields", 0, OF_EVENT, fields_function},
        {"now_ms", 0, OF_BATCH, now_ms_function},
    };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        int rc = sqlite3_create_function_v2(space->db, functions[i].name, functions[i].arguments,
                                            functions[i].flags, space, functions[i].call, NULL,
                                            NULL, NULL);
        if (rc != SQLITE_OK) {
            return error_set(e, ERR_INTERNAL, "add the SQL function %s: %s", functions[i].name,
                             sqlite3_errmsg(space->db));
        }
    }
    return ERR_OK;
}

enum err functions_register(struct rule_space *space, struct error *e)
{
    enum err rc = scalars_register(space, e);
    rc = rc == ERR_OK ? function_text_register(space, e) : rc;
    rc = rc == ERR_OK ? function_format_register(space, e) : rc;
    rc = rc == ERR_OK ? function_series_register(space, e) : rc;
    rc = rc == ERR_OK ? function_spread_register(space, e) : rc;
    rc = rc == ERR_OK ? function_memory_register(space, e) : rc;
    return rc == ERR_OK ? function_ends_register(space, e) : rc;
}
