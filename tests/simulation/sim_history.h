// sim_history.h - what happened in a run, and the checker that knows only the promises.
// Threads:   one.
// Failure:   sim_violation prints what was broken and when, and counts it.
#ifndef PIPIT_SIM_HISTORY_H
#define PIPIT_SIM_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"

#define SIM_DEVICES    4 // The last one is plain: JSON, no SDK, no receipts.
#define SIM_PLAIN      (SIM_DEVICES - 1)
#define SIM_TARGETS    2
#define SIM_FLOWS      7 // Ways from the devices to a target; each keeps the order of a device.
#define SIM_EVENTS_MAX 4000
#define SIM_KEY_MAX    160

// One event that a device accepted, from then until its deliveries.
struct sim_event {
    uint32_t device, boot;
    uint64_t sequence;
    uint32_t value;
    bool is_confirmed;      // The device has heard that it is stored.
    bool is_claimed;        // The hub said so, to whomever.
    bool is_committed;      // A step that held it returned ERR_OK.
    bool is_lost_by_broker; // A plain device's event that a broker took and then lost: nobody's
                            // promise.
    struct {
        uint32_t received;      // Times the target got it.
        uint64_t first_id;      // Outbox row of the first one.
        bool is_rejected;       // The target said that it never will take it.
        bool is_settled;        // A step took its DONE ...
        bool is_settled_synced; // ... and a synced commit followed.
        char key[SIM_KEY_MAX];
    } at[SIM_FLOWS];
};

struct sim_history {
    int64_t now_ms;
    bool is_calm; // The network kept order and lost nothing: order is then checked strictly.
    bool is_verbose;
    uint32_t violations;
    uint32_t count;
    struct sim_event events[SIM_EVENTS_MAX];
    uint64_t last_first_id[SIM_FLOWS][SIM_DEVICES];
    uint32_t last_event[SIM_FLOWS][SIM_DEVICES]; // Index + 1 of the newest first-received event.
};

void sim_violation(struct sim_history *history, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_note(const struct sim_history *history, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct sim_event *sim_history_accept(struct sim_history *history, uint32_t device, uint32_t boot,
                                     uint64_t sequence, uint32_t value);
struct sim_event *sim_history_find(struct sim_history *history, uint32_t device, uint32_t boot,
                                   uint64_t sequence);

void sim_history_committed(struct sim_history *history, struct sim_event *event);
void sim_history_received(struct sim_history *history, const struct delivery *delivery);
void sim_history_settled(struct sim_history *history, uint32_t flow, const char *key,
                         enum verdict verdict);
void sim_history_synced(struct sim_history *history);
void sim_history_power_cut(struct sim_history *history);

// The event an idempotency key speaks of; NULL when the key is malformed.
struct sim_event *sim_history_of_key(struct sim_history *history, const char *key);

// The flow of a rule's deliveries; SIM_FLOWS: there is no such rule.
uint32_t sim_flow_of(const char *rule);
// Whether the rules send this event this way.
bool sim_is_expected(const struct sim_event *event, uint32_t flow);

// After every successful step.
void sim_check_books(struct sim_history *history, const struct books *books);
// When all is quiet. others: results of windows, deliveries of workflows. is_dead tells whether a
// key is among the dead letters.
void sim_check_end(struct sim_history *history, const struct books *books, uint64_t others,
                   bool (*is_dead)(void *context, const char *key), void *context);

#endif
