// daemon_read.c - messages of all sources, collected into one batch, and when that batch is
// complete.
//
// A batch is complete as soon as the sockets are dry: that is what keeps latency low. When events
// come so fast that the next ones are certain, it rests and grows instead, for a sync costs more
// than everything else done for a dozen of them: once and shorter than a sync when a few come in
// the time of one, a millisecond at a time when many do.
#include "base/clock.h"
#include "daemon/daemon_parts.h"

#define RATE_WINDOW_MS    20
#define REST_MS_MAX       4   // From the first message to its commit.
#define REST_MESSAGES_MAX 500 // So many are enough.

// From so many events a millisecond on.
static const struct pace {
    uint32_t rate_per_ms;
    int64_t rest_us;
    bool is_repeated;
} paces[] = {
    {8, 1000, true},
    {3, 60, false},
    {0, 0, false},
};

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
        const struct pace *pace = paces;
        while (daemon->window_count < (uint64_t)ms * pace->rate_per_ms) {
            pace++;
        }
        daemon->pace = pace;
        daemon->window_at_ms = daemon->now_ms;
        daemon->window_count = 0;
    }
}

static bool may_rest(const struct daemon *daemon, bool is_first)
{
    uint64_t bytes_max = (uint64_t)option_int(daemon->config->hub, "batch_bytes");
    const struct pace *pace = daemon->pace;
    return pace != NULL && pace->rest_us > 0 && (is_first || pace->is_repeated) &&
           daemon->message_count < REST_MESSAGES_MAX && daemon->message_bytes < bytes_max / 2 &&
           daemon->now_ms - daemon->first_at_ms < REST_MS_MAX;
}

enum read_result read_messages(struct daemon *daemon)
{
    if (read_rest_us(daemon) > 0 || !daemon->did_poll_sources) {
        return READ_GROWING;
    }
    bool is_first = daemon->message_count == 0;
    uint32_t count = read_all(daemon);
    rate_count(daemon, count);
    if (daemon->message_count == 0) {
        return READ_NOTHING;
    }
    daemon->first_at_ms = is_first ? daemon->now_ms : daemon->first_at_ms;
    if (count == 0 || !may_rest(daemon, is_first)) {
        return READ_COMPLETE;
    }
    daemon->rest_until_us = clock_monotonic_us() + daemon->pace->rest_us;
    return READ_GROWING;
}

int64_t read_rest_us(const struct daemon *daemon)
{
    int64_t left_us = daemon->message_count > 0 ? daemon->rest_until_us - clock_monotonic_us() : 0;
    return left_us > 0 ? left_us : 0;
}

void read_forget(struct daemon *daemon)
{
    daemon->message_count = 0;
    daemon->message_bytes = 0;
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        daemon->sources[i].read = 0;
    }
}
