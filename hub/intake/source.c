#include "base/clock.h"
#include "base/log.h"
#include "intake/source_parts.h"

// Nothing that was read waits for its commit, so that writing cannot acknowledge too early.
static bool may_write(const struct source *source)
{
    return source->batch.count == 0;
}

static void flush(struct source *source)
{
    if (source->link != NULL && link_state(source->link) == LINK_UP && may_write(source)) {
        link_flush(source->link);
    }
}

static void read_link(struct source *source, short revents, uint32_t count_max, uint64_t bytes_max)
{
    bool is_tick = source->now_ms >= source->next_tick_ms;
    if (is_tick) {
        source->next_tick_ms = source->now_ms + TICK_MS;
    }
    if ((revents & POLLOUT) != 0) {
        flush(source); // What is queued belongs to earlier batches.
    }
    // A tick reads, too: OpenSSL may hold bytes that poll does not see.
    if ((revents & ~POLLOUT) != 0 || is_tick) {
        link_read(source->link, count_max, bytes_max);
    }
    if (is_tick) {
        link_tend(source->link);
    }
    if (source->resubscribe_ms != 0 && source->now_ms >= source->resubscribe_ms) {
        source_subscribe(source); // The broker's access rules may have been mended.
    }
    if (source->does_fault_acknowledge) {
        link_flush(source->link);
    }
}

static uint32_t hand_out(struct source *source, struct input *inputs, uint32_t count_max)
{
    struct message_batch *batch = &source->batch;
    uint32_t count = 0;
    while (count < count_max && batch->given < batch->count) {
        inputs[count].kind = INPUT_MESSAGE;
        inputs[count].message = batch->messages[batch->given++];
        count++;
    }
    source->state.messages += count;
    return count;
}

uint32_t source_read(struct source *source, short revents, int64_t now_ms, struct input *inputs,
                     uint32_t count_max, uint64_t bytes_max)
{
    source->now_ms = now_ms;
    if (source->batch.given < source->batch.count || count_max == 0) {
        return hand_out(source, inputs, count_max); // What an earlier batch had no room for.
    }
    uint32_t given = source->batch.given;
    source_drive(source, revents);
    if (source->link != NULL && link_state(source->link) == LINK_UP) {
        uint64_t bytes_total = bytes_max > UINT64_MAX - source->batch.bytes
                                   ? UINT64_MAX
                                   : source->batch.bytes + bytes_max;
        read_link(source, revents, given + count_max, bytes_total);
        if (!source->is_announced && source->filters_open == 0) {
            source_announce(source);
        }
        source_host_tend(source);
        flush(source);
        source_check_lost(source);
    }
    source_tend_probe(source);
    return hand_out(source, inputs, count_max);
}

void source_acknowledge(struct source *source)
{
    struct message_batch *batch = &source->batch;
    if (batch->given < batch->count) {
        return; // libmosquitto writes all or nothing: wait for the commit of the rest.
    }
    message_batch_reset(batch);
    flush(source);
    source_check_lost(source);
}

void source_leave(struct source *source, const char *reason)
{
    flush(source); // Only if all that was read is committed.
    link_close(source->link, false);
    source->link = NULL;
    message_batch_reset(&source->batch);
    source_change(source, false);
    if (!source->is_away) {
        source->is_away = true;
        source->state.is_away = true;
        source->state.since_ms = clock_wall_ms();
        log_line(LOG_WARN, "intake", "INTAKE-LEAVE", "source=%s err=\"%s\"", source->name, reason);
    }
}

void source_return(struct source *source)
{
    if (!source->is_away) {
        return;
    }
    source->is_away = false;
    source->state.is_away = false;
    source->state.since_ms = clock_wall_ms();
    source->next_attempt_ms = source->now_ms;
    log_line(LOG_INFO, "intake", "INTAKE-RETURN", "source=%s", source->name);
}

static int until(int64_t at_ms, int64_t now_ms)
{
    int64_t wait_ms = at_ms - now_ms;
    return wait_ms < 0 ? 0 : wait_ms > TICK_MS ? TICK_MS : (int)wait_ms;
}

void source_poll(struct source *source, struct pollfd *out_pollfd, int64_t now_ms,
                 int *out_timeout_ms)
{
    *out_pollfd = (struct pollfd){.fd = -1};
    *out_timeout_ms = TICK_MS;
    source->now_ms = now_ms;
    if (source->batch.given < source->batch.count) {
        *out_timeout_ms = 0;
    } else if (source->link == NULL) {
        *out_timeout_ms = source->is_away ? TICK_MS : until(source->next_attempt_ms, now_ms);
    } else {
        out_pollfd->fd = link_fd(source->link);
        out_pollfd->events = link_wanted(source->link, may_write(source));
        *out_timeout_ms = link_state(source->link) == LINK_CONNECTING
                              ? until(link_deadline_ms(source->link), now_ms)
                              : until(source->next_tick_ms, now_ms);
    }
}

bool source_publish(struct source *source, const char *topic, struct bytes payload, uint8_t qos,
                    bool is_retained, const char *content_type)
{
    struct link_publish publish = {
        .topic = topic,
        .payload = payload,
        .qos = qos,
        .is_retained = is_retained,
        .content_type = content_type,
    };
    // Written when poll finds the socket writable, a batch's worth at a time.
    return source->link != NULL && link_publish(source->link, &publish);
}

int source_priority(const struct source *source)
{
    return source->priority;
}

void source_state(const struct source *source, struct source_state *out_state)
{
    *out_state = source->state;
}

void source_check_broker(struct source *source, bool is_on)
{
    source->is_probed = source->is_probed || !is_on;
}
