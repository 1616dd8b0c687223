// core_sparkplug.c - what becomes of an event by what is known of its Sparkplug node.
#include "core/core_parts.h"

enum err core_note_sparkplug(struct core *core, uint32_t event_index, uint32_t input,
                             struct error *e)
{
    struct event *event = event_batch_at(core->batch.events, event_index);
    struct slot *slot = &core->batch.slots[event_index];
    struct sparkplug_verdict verdict;
    enum err rc = sparkplug_see(core->sparkplug, event, input, core->now_ms, &verdict, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (verdict.reason[0] != '\0') {
        core_mark_rejected(core, event_index, verdict.reason);
    } else if (verdict.is_duplicate || verdict.is_ignored) {
        slot->fate = verdict.is_duplicate ? FATE_DUPLICATE : FATE_IGNORED;
        core->batch.is_skipped[event_index] = true;
    }
    return ERR_OK;
}
