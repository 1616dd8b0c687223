// sim_network.h - devices that follow the SDK's rules, and a broker with the hub's session in it.
// Both lose, double, reorder, restart and forget, as the seed says.
// Threads: one.
#ifndef PIPIT_SIM_NETWORK_H
#define PIPIT_SIM_NETWORK_H

#include "sim_history.h"
#include "sim_random.h"

#define SIM_QUEUE_MAX   8192
#define SIM_PAYLOAD_MAX 160
#define SIM_WINDOW      128 // The window rule: see docs/PROTOCOL.md.

struct sim_message {
    struct sim_event *event;
    bool wants_receipt;
    bool is_in_flight; // Handed to the hub, not acknowledged.
    uint32_t uses;     // Times it is in the batch at hand.
};

struct sim_device {
    uint32_t boot;
    uint64_t sequence;
    int64_t resend_at_ms;
};

struct sim_network {
    struct sim_history *history;
    struct sim_random *random;
    struct sim_device devices[SIM_DEVICES];
    struct sim_message queue[SIM_QUEUE_MAX];
    uint32_t queue_count;
    uint32_t loss, doubling; // Per thousand; 0 on a calm network.
    bool is_reordering;
};

void sim_network_init(struct sim_network *network, struct sim_history *history,
                      struct sim_random *random);
void sim_network_generate(struct sim_network *network, uint32_t device);
void sim_network_restart_device(struct sim_network *network, uint32_t device);
// Resends what has been unconfirmed for long.
void sim_network_tick(struct sim_network *network);
void sim_network_crash_broker(struct sim_network *network);
// The hub's connection broke: what it had not acknowledged will come again.
void sim_network_drop_link(struct sim_network *network);
// Up to max messages in flight to the hub now; with doubling one may be there twice.
uint32_t sim_network_deliver(struct sim_network *network, struct sim_message **out_batch,
                             uint32_t max);
void sim_network_acknowledge(struct sim_network *network);
void sim_network_receipt(struct sim_network *network, const char *topic, struct bytes payload);
bool sim_network_is_quiet(const struct sim_network *network);

// Topic and payload of a message as they are on the wire.
void sim_message_encode(const struct sim_message *message, char *out_topic, size_t topic_size,
                        uint8_t *out_payload, size_t *out_len);

#endif
