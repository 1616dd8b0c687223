#include "sim_network.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pipit/v1/pipit.pb-c.h"

#define RESEND_AFTER_MS 2000

void sim_network_init(struct sim_network *network, struct sim_history *history,
                      struct sim_random *random)
{
    memset(network, 0, sizeof(*network));
    network->history = history;
    network->random = random;
    network->is_reordering = !history->is_calm && sim_random_chance(random, 500);
    network->loss = history->is_calm ? 0 : sim_random_below(random, 200);
    network->doubling = sim_random_below(random, 200);
    for (uint32_t i = 0; i < SIM_DEVICES; i++) {
        network->devices[i].boot = i == SIM_PLAIN ? 0 : 1 + sim_random_below(random, 1000);
    }
}

static void publish(struct sim_network *network, struct sim_event *event, bool wants_receipt)
{
    bool is_plain = event->device == SIM_PLAIN;
    if (!is_plain && sim_random_chance(network->random, network->loss)) {
        return; // The SDK sends it again; a plain device stands at the broker's side and loses
                // nothing.
    }
    uint32_t copies = sim_random_chance(network->random, network->doubling) ? 2 : 1;
    for (uint32_t i = 0; i < copies && network->queue_count < SIM_QUEUE_MAX; i++) {
        network->queue[network->queue_count++] =
            (struct sim_message){.event = event, .wants_receipt = wants_receipt};
    }
}

// The oldest unconfirmed sequence of a boot, 0 when all are confirmed.
static uint64_t oldest_unconfirmed(const struct sim_history *history, uint32_t device,
                                   uint32_t boot)
{
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_event *event = &history->events[i];
        if (event->device == device && event->boot == boot && !event->is_confirmed) {
            return event->sequence;
        }
    }
    return 0;
}

static bool is_within_window(const struct sim_history *history, const struct sim_event *event)
{
    uint64_t oldest = oldest_unconfirmed(history, event->device, event->boot);
    return event->device == SIM_PLAIN || oldest == 0 || event->sequence <= oldest + SIM_WINDOW;
}

void sim_network_generate(struct sim_network *network, uint32_t device)
{
    struct sim_device *from = &network->devices[device];
    if (network->queue_count == SIM_QUEUE_MAX) {
        return;
    }
    struct sim_event *event =
        sim_history_accept(network->history, device, from->boot, from->sequence + 1,
                           sim_random_below(network->random, 1000));
    if (event == NULL) {
        return;
    }
    from->sequence++;
    if (is_within_window(network->history, event)) {
        publish(network, event, sim_random_chance(network->random, 400));
        from->resend_at_ms = network->history->now_ms + RESEND_AFTER_MS;
    }
}

void sim_network_restart_device(struct sim_network *network, uint32_t device)
{
    if (device != SIM_PLAIN) {
        network->devices[device].boot++;
        network->devices[device].sequence = 0;
        network->devices[device].resend_at_ms = network->history->now_ms;
    }
}

static void resend(struct sim_network *network, uint32_t device)
{
    struct sim_history *history = network->history;
    struct sim_event *last = NULL;
    for (uint32_t i = 0; i < history->count; i++) {
        struct sim_event *event = &history->events[i];
        if (event->device == device && !event->is_confirmed && is_within_window(history, event)) {
            if (last != NULL) {
                publish(network, last, last->boot != event->boot);
            }
            last = event;
        }
    }
    if (last != NULL) {
        publish(network, last, true);
    }
}

void sim_network_tick(struct sim_network *network)
{
    for (uint32_t i = 0; i < SIM_PLAIN; i++) {
        struct sim_device *device = &network->devices[i];
        if (device->resend_at_ms <= network->history->now_ms) {
            device->resend_at_ms = network->history->now_ms + RESEND_AFTER_MS;
            resend(network, i);
        }
    }
}

void sim_network_crash_broker(struct sim_network *network)
{
    for (uint32_t i = 0; i < network->queue_count; i++) {
        struct sim_event *event = network->queue[i].event;
        event->is_lost_by_broker |= event->device == SIM_PLAIN && !event->is_committed;
    }
    network->queue_count = 0;
}

void sim_network_drop_link(struct sim_network *network)
{
    for (uint32_t i = 0; i < network->queue_count; i++) {
        network->queue[i].is_in_flight = false;
    }
}

uint32_t sim_network_deliver(struct sim_network *network, struct sim_message **out_batch,
                             uint32_t max)
{
    uint32_t count = 0;
    uint32_t start = network->is_reordering && network->queue_count > 0
                         ? sim_random_below(network->random, network->queue_count)
                         : 0;
    for (uint32_t i = 0; i < network->queue_count && count < max; i++) {
        struct sim_message *message = &network->queue[(start + i) % network->queue_count];
        if (!message->is_in_flight) {
            message->is_in_flight = true;
            out_batch[count++] = message;
        }
    }
    if (count > 0 && count < max && sim_random_chance(network->random, network->doubling)) {
        out_batch[count] = out_batch[sim_random_below(network->random, count)];
        count++;
    }
    return count;
}

void sim_network_acknowledge(struct sim_network *network)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < network->queue_count; i++) {
        if (!network->queue[i].is_in_flight) {
            network->queue[kept++] = network->queue[i];
        }
    }
    network->queue_count = kept;
}

static bool is_covered(const Pipit__V1__Receipt *receipt, uint64_t sequence)
{
    if (sequence <= receipt->upto) {
        return true;
    }
    uint64_t bit = sequence - receipt->upto - 1;
    return bit / 8 < receipt->bitmap.len && (receipt->bitmap.data[bit / 8] >> (bit % 8) & 1) != 0;
}

static uint64_t highest_covered(const Pipit__V1__Receipt *receipt)
{
    uint64_t highest = receipt->upto;
    for (uint64_t i = 0; i < receipt->bitmap.len * 8; i++) {
        highest = is_covered(receipt, receipt->upto + 1 + i) ? receipt->upto + 1 + i : highest;
    }
    return highest;
}

static void take_receipt(struct sim_network *network, uint32_t device,
                         const Pipit__V1__Receipt *receipt)
{
    struct sim_history *history = network->history;
    bool is_heard = !sim_random_chance(network->random, network->loss + 50);
    uint64_t newest = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        struct sim_event *event = &history->events[i];
        if (event->device == device && event->boot == receipt->boot) {
            newest = event->sequence;
            event->is_claimed |= is_covered(receipt, event->sequence);
            event->is_confirmed |= is_heard && is_covered(receipt, event->sequence);
        }
    }
    if (highest_covered(receipt) > newest) {
        sim_violation(history, "receipt for d%u/%u/%" PRIu64 ", which never existed", device,
                      receipt->boot, highest_covered(receipt));
    }
}

void sim_network_receipt(struct sim_network *network, const char *topic, struct bytes payload)
{
    uint32_t device;
    Pipit__V1__Receipt *receipt = pipit__v1__receipt__unpack(NULL, payload.len, payload.ptr);
    if (receipt == NULL || sscanf(topic, "pipit/v1/sim/d%u/receipt", &device) != 1 ||
        device >= SIM_PLAIN) {
        sim_violation(network->history, "malformed receipt on %s", topic);
        pipit__v1__receipt__free_unpacked(receipt, NULL);
        return;
    }
    take_receipt(network, device, receipt);
    pipit__v1__receipt__free_unpacked(receipt, NULL);
}

bool sim_network_is_quiet(const struct sim_network *network)
{
    const struct sim_history *history = network->history;
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->events[i].device != SIM_PLAIN && !history->events[i].is_confirmed) {
            return false;
        }
    }
    return network->queue_count == 0;
}

void sim_message_encode(const struct sim_message *message, char *out_topic, size_t topic_size,
                        uint8_t *out_payload, size_t *out_len)
{
    const struct sim_event *event = message->event;
    if (event->device == SIM_PLAIN) {
        snprintf(out_topic, topic_size, "plain/d%u/telemetry", event->device);
        int len = snprintf((char *)out_payload, SIM_PAYLOAD_MAX, "{\"n\":%" PRIu64 ",\"value\":%u}",
                           event->sequence, event->value);
        *out_len = (size_t)len;
        return;
    }
    snprintf(out_topic, topic_size, "pipit/v1/sim/d%u/event/reading", event->device);
    Pipit__V1__Field field = PIPIT__V1__FIELD__INIT;
    field.name = "value";
    field.value_case = PIPIT__V1__FIELD__VALUE_UNSIGNED;
    field.unsigned_ = event->value;
    Pipit__V1__Field *fields[] = {&field};
    Pipit__V1__Event wire = PIPIT__V1__EVENT__INIT;
    wire.boot = event->boot;
    wire.sequence = event->sequence;
    wire.type = "reading";
    wire.n_fields = 1;
    wire.fields = fields;
    wire.wants_receipt = message->wants_receipt;
    assert(pipit__v1__event__get_packed_size(&wire) <= SIM_PAYLOAD_MAX);
    *out_len = pipit__v1__event__pack(&wire, out_payload);
}
