// core_derived.c - what a rule gives other rules: an event of the same transaction.
//
// It has the group, device and time of the event that it came of and its own idempotency key as
// id. It is in no history and no mirror, and counted in books.derived only: its device never sent
// it.
#include <stdio.h>

#include "core/core_parts.h"
#include "core/idempotency.h"
#include "core/stored_message.h"

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for an event of a rule");
}

// A message of the output, all of it copied; NULL without memory.
static struct message *make_message(struct core *core, const struct rule_output *output,
                                    const struct event *source)
{
    const struct message from = {
        .topic = output->topic,
        .payload = output->payload,
        .content_type = bytes_from_text(output->content_type),
        .received_ms = event_message(source)->received_ms,
    };
    struct message *message = event_memory_take(&core->memory, sizeof(*message));
    bool is_whole =
        message != NULL && stored_message_copy(&from, output->properties, &core->memory, message);
    return is_whole ? message : NULL;
}

static void inherit(struct event *event, const struct event *source)
{
    int64_t time_ms;
    if (event_device(source)[0] != '\0') {
        event_set_identity(event, event_group(source), event_device(source), 0, 0);
    }
    if (event_time_ms(source, &time_ms)) {
        event_set_time(event, time_ms);
    }
}

// The event that stands for a window has the window's key as topic: where that is made of the
// events, "<group>/<device>".
static void inherit_key(struct event *event, struct bytes key)
{
    char names[2 * EVENT_NAME_MAX + 2];
    const uint8_t *slash = key.len == 0 ? NULL : memchr(key.ptr, '/', key.len);
    if (slash == NULL || key.len >= sizeof(names)) {
        return;
    }
    size_t group = (size_t)(slash - key.ptr), device = key.len - group - 1;
    if (group == 0 || device == 0 || memchr(slash + 1, '/', device) != NULL) {
        return; // The topic of an event without a device.
    }
    memcpy(names, key.ptr, key.len);
    names[key.len] = '\0';
    names[group] = '\0';
    event_set_identity(event, names, names + group + 1, 0, 0);
}

static enum err too_much(struct core *core, const char *what, struct error *e)
{
    struct batch *batch = &core->batch;
    batch->is_too_much = true;
    snprintf(batch->too_much, sizeof(batch->too_much), "the rules make more than %s of it", what);
    return error_set(e, ERR_FULL, "%s", batch->too_much);
}

// Into the batch; ERR_INVALID: it cannot be read.
static enum err add_event(struct core *core, const struct message *message,
                          struct event **out_event, struct error *e)
{
    struct event_batch *events = core->batch.events;
    uint32_t count = event_batch_count(events);
    enum err rc = event_batch_add(events, message, out_event, e);
    if (rc == ERR_OK && (rc = event_validate(*out_event, e)) != ERR_OK) {
        event_batch_truncate(events, count);
    }
    return rc;
}

enum err core_derive(struct core *core, const struct rule_output *output, struct error *e)
{
    struct batch *batch = &core->batch;
    struct event *event, *source = output->source;
    struct error why = {0};
    char id[IDEMPOTENCY_KEY_BYTES];
    batch->derived_bytes += output->topic.len + output->payload.len;
    if (batch->derived_count == DERIVED_MAX || batch->derived_bytes > DERIVED_BYTES_MAX) {
        return too_much(core, DERIVED_BOUND_TEXT, e);
    }
    const struct message *message = make_message(core, output, source);
    if (message == NULL) {
        return no_memory(e);
    }
    const char *rule = core->spec->rules[output->rule_index].name;
    idempotency_key_make(id, event_id(source), rule, output->route_index, output->row_index);
    enum err rc = add_event(core, message, &event, &why);
    if (rc == ERR_INVALID) {
        char reason[sizeof(why.text)];
        snprintf(reason, sizeof(reason), "rule \"%.100s\": route %u: the event for rules: %.300s",
                 rule, output->route_index + 1, why.text);
        return core_note_failure(core, message, id, output->rule_index, reason, e);
    }
    if (rc != ERR_OK) {
        return error_set(e, rc, "%s", why.text);
    }
    inherit(event, source);
    if (output->window != NULL && core->spec->rules[output->rule_index].window.key == NULL) {
        inherit_key(event, event_message(source)->topic);
    }
    event_set_id(event, id);
    uint32_t index = event_batch_count(batch->events) - 1;
    batch->slots[index] = (struct slot){.fate = FATE_NEW, .root = output->root_index};
    batch->is_skipped[index] = true; // The rules are fed with it, once.
    batch->derived_count++;
    return rules_feed(core->rules, batch->events, index, output->root_index, e);
}
