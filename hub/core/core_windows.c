// core_windows.c - what a step has to do with windows: events that enter them count as routed, the
// time that passes closes them, and one that a statement fails on is put in the quarantine.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/core_parts.h"
#include "core/window.h"

static void on_kept(void *context, uint32_t event_index)
{
    struct core *core = context;
    core->batch.slots[event_index].is_routed = true;
}

// Said in the log as a rule's failure is; what it says is counted as the rule's overflow.
static void on_left_out(void *context, uint32_t rule_index, struct bytes key, uint32_t rows_max)
{
    struct core *core = context;
    snprintf(core->rejection, sizeof(core->rejection),
             "rule \"%.100s\": a window of the key \"%.*s\" has more than its 'rows', %u; events "
             "are left out and counted as overflow",
             core->spec->rules[rule_index].name, (int)(key.len < 120 ? key.len : 120),
             (const char *)key.ptr, rows_max);
    core->outcome.rejection = core->rejection;
}

static void on_closed(void *context, uint32_t rule_index, uint32_t rows)
{
    if (rows > 0) {
        core_tally(context, rule_index)->rows += rows;
    }
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a window's failure");
}

// The key as a JSON text; what is no text is cut there.
static void write_key(char *out, size_t size, struct bytes key)
{
    size_t len = 0;
    for (size_t i = 0; i < key.len && key.ptr[i] >= 0x20 && len + 3 < size; i++) {
        if (key.ptr[i] == '"' || key.ptr[i] == '\\') {
            out[len++] = '\\';
        }
        out[len++] = (char)key.ptr[i];
    }
    out[len] = '\0';
}

// What stands in the quarantine for a window: the rule's filter as topic, which window as payload.
static enum err on_failure(void *context, uint32_t rule_index, const struct window_result *window,
                           const char *reason, struct error *e)
{
    struct core *core = context;
    char key[2 * WINDOW_KEY_BYTES_MAX + 8], payload[sizeof(key) + 100];
    write_key(key, sizeof(key), window->key);
    snprintf(payload, sizeof(payload),
             "{\"window_key\":\"%s\",\"window_start\":%" PRId64 ",\"window_end\":%" PRId64 "}", key,
             window->start_ms, window->end_ms);
    struct message *message = event_memory_take(&core->memory, sizeof(*message));
    const char *copy = event_memory_text(&core->memory, bytes_from_text(payload));
    if (message == NULL || copy == NULL) {
        return no_memory(e);
    }
    *message = (struct message){
        .topic = bytes_from_text(rules_filter(core->rules, rule_index)),
        .payload = bytes_from_text(copy),
        .content_type = bytes_from_text("application/json"),
        .received_ms = core->now_ms,
    };
    return core_note_failure(core, message, window->id, rule_index, reason, e);
}

enum err core_attach_windows(struct core *core, struct rules *rules, struct error *e)
{
    core->window_sink =
        (struct rule_window_sink){core, on_kept, on_left_out, on_closed, on_failure};
    rules_set_window_sink(rules, &core->window_sink);
    return windows_attach(rules_windows(rules), core->store, &core->notes, e);
}

enum err core_fire_windows(struct core *core, struct error *e)
{
    uint32_t keys = WINDOW_DUE_KEYS_MAX;
    bool is_more = windows_is_due(rules_windows(core->rules));
    enum err rc = ERR_OK;
    for (uint32_t round = 0; rc == ERR_OK && is_more && round < WINDOW_ROUNDS_MAX; round++) {
        bool is_too_much = false;
        rc = core_fire_round(core, keys, &is_more, &is_too_much, e);
        if (is_too_much) { // Fewer at a time; one that is too much by itself is given up.
            keys = keys == 1 ? 0 : keys / 2;
            is_more = true;
        } else {
            keys = keys == 0 ? 1 : keys;
        }
    }
    return rc;
}
