// sim_hub.h - the real core over the simulated disk, with targets that answer late, wrongly or not
// at all. Threads: one.
#ifndef PIPIT_SIM_HUB_H
#define PIPIT_SIM_HUB_H

#include "sim_network.h"

#define SIM_BATCH_MAX  48
#define SIM_FLIGHT_MAX 64

enum sim_plant {
    SIM_PLANT_NONE,
    SIM_PLANT_EARLY_ACK,        // Acknowledges to the broker before the commit.
    SIM_PLANT_DEDUPE,           // core_spec.faults: dedupe off by one.
    SIM_PLANT_SETTLE_OUTSIDE,   // core_spec.faults: settlements outside the transaction.
    SIM_PLANT_WINDOW_IN_MEMORY, // core_spec.faults: that a window is closed is not stored.
    SIM_PLANT_TIMER_KEPT,       // core_spec.faults: a workflow's timer stays when it has fired.
};

// A delivery that a target has been given; its answer is on the way.
struct sim_flight {
    uint64_t id;
    uint32_t flow;
    enum verdict verdict;
    int64_t answer_at_ms;
    char key[SIM_KEY_MAX];
    bool is_of_workflow;
    char body[40]; // Of its answer.
    struct reply reply;
};

struct sim_hub {
    struct sim_history *history;
    struct sim_random *random;
    struct sim_network *network;
    enum sim_plant plant;
    struct store *store;
    struct core *core; // NULL: the hub is down.
    struct sim_flight flights[SIM_FLIGHT_MAX];
    uint32_t flight_count;
    int64_t target_down_until_ms[SIM_TARGETS];
    uint32_t steps, deaths;
    bool is_healing; // No more faults: the run is coming to its end.
};

void sim_hub_start(struct sim_hub *hub); // May fail when the disk does; then call again.
void sim_hub_kill(struct sim_hub *hub);  // SIGKILL: what was written is still there.
void sim_hub_power_cut(struct sim_hub *hub);
void sim_hub_stop(struct sim_hub *hub); // At the end, in order.

// A batch from the broker and the answers that have come: one core_step.
void sim_hub_step(struct sim_hub *hub);
// Gives the targets what is due.
void sim_hub_dispatch(struct sim_hub *hub);
bool sim_hub_is_quiet(const struct sim_hub *hub);
// At any time.
void sim_hub_check(struct sim_hub *hub);
// When it is quiet.
void sim_hub_check_end(struct sim_hub *hub);

#endif
