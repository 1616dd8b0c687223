// daemon_read.c - messages of all sources, collected into one batch, and when that batch is
// complete.
//
// A batch is complete as soon as the sockets are dry: that is what keeps latency low. When events
// come so fast that the next ones are certain, it rests a millisecond at a time and grows instead:
// a sync for a dozen events costs more than everything else done for them.
#include "daemon/daemon_parts.h"

#define RATE_WINDOW_MS    20
#define REST_RATE_PER_MS  8 // Resting begins at so many events a millisecond.
#define REST_SLICE_MS     1
#define REST_MS_MAX       4   // From the first message to its commit.
#define REST_MESSAGES_MAX 500 // So many are enough.

// Those of one priority share what room there is.
static uint32_t read_share(const struct daemon *daemon, uint32_t index, uint32_t room)
{
    uint32_t peers = 0;
    int priority = source_priority(daemon->sources[index].source);
    for (uint32_t i = index; i < daemon->source_count; i++) {
        const struct source *source = daemon->sources[i].source;
        peers += source != NULL && source_priority(source) == priority;
    }
    return peers == 0 || room / peers == 0 ? room : room / peers;
}

static uint32_t read_source(struct daemon *daemon, uint32_t index, uint32_t room)
{
    struct source_slot *slot = &daemon->sources[index];
    struct input *inputs = daemon->inputs + SETTLE_COUNT_MAX + daemon->message_count;
    uint64_t bytes_max = (uint64_t)option_int(daemon->config->hub, "batch_bytes");
    uint64_t bytes_left = daemon->message_bytes < bytes_max ? bytes_max - daemon->message_bytes : 0;
    if (slot->source == NULL || bytes_left == 0 ||
        (slot->pollfd.revents == 0 && daemon->now_ms < slot->due_ms)) {
        return 0;
    }
    uint32_t count = source_read(slot->source, slot->pollfd.revents, daemon->now_ms, inputs,
                                 read_share(daemon, index, room), bytes_left);
    for (uint32_t i = 0; i < count; i++) {
        daemon->message_bytes += inputs[i].message.payload.len + inputs[i].message.topic.len;
        daemon->owners[daemon->message_count++] = (uint16_t)index;
    }
    slot->read += count;
    return count;
}

// By priority: the slots are in that order.
static uint32_t read_all(struct daemon *daemon)
{
    uint32_t room = daemon->batch_limit;
    uint32_t before = daemon->message_count;
    for (uint32_t i = 0; i < daemon->source_count && daemon->message_count < room; i++) {
        read_source(daemon, i, room - daemon->message_count);
    }
    return daemon->message_count - before;
}

static void rate_count(struct daemon *daemon, uint32_t count)
{
    int64_t ms = daemon->now_ms - daemon->window_at_ms;
    daemon->window_count += count;
    if (ms >= RATE_WINDOW_MS) {
        daemon->is_busy = daemon->window_count >= (uint64_t)ms * REST_RATE_PER_MS;
        daemon->window_at_ms = daemon->now_ms;
        daemon->window_count = 0;
    }
}

static bool may_rest(const struct daemon *daemon)
{
    uint64_t bytes_max = (uint64_t)option_int(daemon->config->hub, "batch_bytes");
    return daemon->is_busy && daemon->message_count < REST_MESSAGES_MAX &&
           daemon->message_bytes < bytes_max / 2 &&
           daemon->now_ms - daemon->first_at_ms < REST_MS_MAX;
}

enum read_result read_messages(struct daemon *daemon)
{
    if (read_is_resting(daemon, daemon->now_ms) || !daemon->did_poll_sources) {
        return READ_GROWING;
    }
    bool is_first = daemon->message_count == 0;
    uint32_t count = read_all(daemon);
    rate_count(daemon, count);
    if (daemon->message_count == 0) {
        return READ_NOTHING;
    }
    daemon->first_at_ms = is_first ? daemon->now_ms : daemon->first_at_ms;
    if (count == 0 || !may_rest(daemon)) {
        return READ_COMPLETE;
    }
    daemon->rest_until_ms = daemon->now_ms + REST_SLICE_MS;
    return READ_GROWING;
}

bool read_is_resting(const struct daemon *daemon, int64_t now_ms)
{
    return daemon->message_count > 0 && now_ms < daemon->rest_until_ms;
}

void read_forget(struct daemon *daemon)
{
    daemon->message_count = 0;
    daemon->message_bytes = 0;
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        daemon->sources[i].read = 0;
    }
}
