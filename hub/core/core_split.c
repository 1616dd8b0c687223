// core_split.c - messages that are several events: batches of CloudEvents, each taken apart before
// its events are added.
#include "core/cloudevent_batch.h"
#include "core/core_parts.h"

#define STEP_EVENTS_MAX 32768 // Of messages that are taken apart; more come in smaller steps.

static const struct message *message_at(const struct core *core, const struct input *inputs,
                                        uint32_t count, uint32_t index)
{
    if (index >= count) {
        return &core->played[index - count];
    }
    return inputs[index].kind == INPUT_MESSAGE ? &inputs[index].message : NULL;
}

static enum err split(struct core *core, const struct message *message, struct split *out_split,
                      struct error *e)
{
    struct error why = {0};
    enum err rc =
        cloudevent_split(message, &core->memory, &out_split->messages, &out_split->count, &why);
    if (rc == ERR_INVALID) {
        out_split->problem = event_memory_text(&core->memory, bytes_from_text(why.text));
        return out_split->problem == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
    }
    return rc == ERR_OK ? rc : error_set(e, rc, "%s", why.text);
}

enum err core_split(struct core *core, const struct input *inputs, uint32_t count,
                    uint32_t *out_events, struct error *e)
{
    uint32_t total = count + core->played_count;
    struct split *first = NULL, **tail = &first;
    enum err rc = ERR_OK;
    uint64_t events = total;
    for (uint32_t i = 0; rc == ERR_OK && i < total; i++) {
        const struct message *message = message_at(core, inputs, count, i);
        if (message == NULL || !cloudevent_is_batch(core->formats, message)) {
            continue;
        }
        struct split *found = event_memory_take(&core->memory, sizeof(*found));
        if (found == NULL) {
            return error_set(e, ERR_NO_MEMORY, "out of memory for a batch of CloudEvents");
        }
        *found = (struct split){.input = i};
        rc = split(core, message, found, e);
        *tail = found;
        tail = &found->next;
        events += found->count;
        if (rc == ERR_OK && events > STEP_EVENTS_MAX && total > 1) {
            rc = error_set(e, ERR_FULL,
                           "%u messages hold more than %d events; fewer are taken at once", total,
                           STEP_EVENTS_MAX);
        }
    }
    core->batch.splits = first;
    *out_events = (uint32_t)events;
    return rc;
}
