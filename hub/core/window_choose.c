// window_choose.c - which events of a batch enter a rule's windows, and under which key.
#include <inttypes.h>
#include <stdio.h>

#include "core/window_parts.h"

// Events with a key and where of their own.
struct choosing {
    struct window_rule *rule;
    struct event_batch *batch;
    const uint32_t *events;
    struct window_choice *choices;
    uint32_t done; // Events whose choice is known.
    const struct window_sink *sink;
};

// The device, else the topic.
static struct bytes default_key(struct event_batch *batch, uint32_t index)
{
    const struct event *event = event_batch_at(batch, index);
    struct bytes key = bytes_from_text(event_identity(event)->key);
    return key.len > 0 ? key : event_message(event)->topic;
}

static enum err keep_text(struct choosing *choosing, struct bytes text, struct bytes *out_text,
                          struct error *e)
{
    char *copy = event_memory_text(&choosing->rule->windows->memory, text);
    if (copy == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a window's key");
    }
    *out_text = bytes_of(copy, text.len);
    return ERR_OK;
}

static enum err key_of(struct choosing *choosing, sqlite3_stmt *compiled, struct bytes *out_key,
                       struct error *e)
{
    struct event_value value;
    char text[REAL_TEXT_BYTES];
    value_of_sqlite(sqlite3_column_value(compiled, 0), &value);
    switch (value.kind) {
    case VALUE_BOOLEAN:
    case VALUE_INTEGER:
        snprintf(text, sizeof(text), "%" PRId64, value.integer);
        break;
    case VALUE_REAL:
        real_to_text(value.real, text);
        break;
    case VALUE_TEXT:
    case VALUE_BLOB:
    case VALUE_JSON:
        return keep_text(choosing, value.bytes, out_key, e);
    default: // NULL is the empty key.
        text[0] = '\0';
        break;
    }
    return keep_text(choosing, bytes_from_text(text), out_key, e);
}

static enum err on_row(void *context, uint32_t event_index, sqlite3_stmt *compiled, struct error *e)
{
    struct choosing *choosing = context;
    struct window_choice *choice = &choosing->choices[choosing->done];
    choice->is_in = sqlite3_column_int(compiled, 1) != 0;
    if (!choice->is_in) {
        return ERR_OK;
    }
    if (choosing->rule->spec.key == NULL) {
        choice->key = default_key(choosing->batch, event_index);
        return ERR_OK;
    }
    return key_of(choosing, compiled, &choice->key, e);
}

static enum err on_finish(void *context, uint32_t event_index, uint32_t rows, struct error *e)
{
    struct choosing *choosing = context;
    const struct window_sink *sink = choosing->sink;
    bool is_in = rows > 0 && choosing->choices[choosing->done].is_in;
    (void)e;
    choosing->choices[choosing->done++].is_in = is_in;
    if (!is_in) {
        sink->entered(sink->context, choosing->rule->index, event_index, false);
    }
    return ERR_OK;
}

static enum err on_failure(void *context, uint32_t event_index, const char *reason, struct error *e)
{
    struct choosing *choosing = context;
    const struct window_sink *sink = choosing->sink;
    choosing->choices[choosing->done++].is_in = false;
    return sink->failure(sink->context, choosing->rule->index, event_index, reason, e);
}

enum err window_choose(struct window_rule *rule, struct event_batch *batch, const uint32_t *events,
                       uint32_t count, const struct window_sink *sink,
                       struct window_choice **out_choices, struct error *e)
{
    struct window_choice *choices =
        event_memory_take(&rule->windows->memory, count * sizeof(choices[0]));
    if (choices == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a window's events");
    }
    *out_choices = choices;
    if (rule->chooser == NULL) {
        for (uint32_t i = 0; i < count; i++) {
            choices[i] = (struct window_choice){true, default_key(batch, events[i])};
        }
        return ERR_OK;
    }
    struct choosing choosing = {rule, batch, events, choices, 0, sink};
    const struct rule_reader reader = {&choosing, on_row, on_finish, on_failure};
    return rule_statement_run(rule->chooser, batch, events, count, true, &reader, e);
}
