// core_history.c - the history's part in a batch, and how it gives way to everything else.
#include "core/core_parts.h"

#define GIVE_WAY_BYTES   65536              // At least, at a time.
#define DISK_SPARE_BYTES (16 * 1024 * 1024) // Beyond what is reserved; below it nothing is added.

// With little room on the disk as much goes as comes: the pages that are freed take the new rows.
static enum err spare_disk(struct core *core, uint64_t added_bytes, struct error *e)
{
    uint64_t reserve = core->spec->disk_reserve_bytes;
    if (reserve == 0 || added_bytes == 0 ||
        store_disk_free_bytes(core->store) >= reserve + DISK_SPARE_BYTES) {
        return ERR_OK;
    }
    return history_give_way(core->history, added_bytes, &core->ledger, e);
}

// A message that gave several events is kept once.
static bool is_kept(const struct core *core, uint32_t index)
{
    const struct message *message = event_message(event_batch_at(core->batch.events, index));
    bool is_let_in = core->batch.slots[index].fate == FATE_NEW &&
                     (message->playback == NULL || message->playback->rule == NULL);
    bool is_again =
        index > 0 && event_message(event_batch_at(core->batch.events, index - 1)) == message;
    return is_let_in && !is_again && history_wants(&core->spec->history, message->topic);
}

enum err core_history_keep(struct core *core, struct error *e)
{
    uint32_t count = core->spec->history.keep_ms == 0 ? 0 : event_batch_count(core->batch.events);
    uint64_t before = core->ledger.history_bytes;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (is_kept(core, i)) {
            rc = history_put(core->history, event_batch_at(core->batch.events, i), &core->memory,
                             &core->ledger, e);
        }
    }
    return rc == ERR_OK ? spare_disk(core, core->ledger.history_bytes - before, e) : rc;
}

enum err core_history_prune(struct core *core, uint32_t events, struct error *e)
{
    return history_prune(core->history, &core->spec->history, core->now_ms,
                         HISTORY_PRUNE_ROWS + 2 * events, &core->ledger, e);
}

enum err core_history_make_room(struct core *core, uint64_t more_bytes, struct error *e)
{
    enum err rc = ERR_OK;
    while (rc == ERR_OK && core->ledger.history_rows > 0) {
        uint64_t wanted = store_used_bytes(core->store) + more_bytes;
        if (wanted <= core->spec->store_limit_bytes) {
            break;
        }
        uint64_t over = wanted - core->spec->store_limit_bytes;
        rc = history_give_way(core->history, over > GIVE_WAY_BYTES ? over : GIVE_WAY_BYTES,
                              &core->ledger, e);
    }
    return rc;
}
