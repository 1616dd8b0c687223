#include "sim_hub.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/fault.h"
#include "sim_vfs.h"
#include "sim_windows.h"
#include "sim_workflows.h"
#include "store/store.h"

#define STORE_PATH "/sim/hub.db"

static const struct route_spec all_routes[] = {{.target = 0, .topic = "all/{device}", .qos = 1}};
static const struct route_spec some_routes[] = {
    {.target = 1, .topic = "some/{device}", .qos = 1},
    {.target = ROUTE_TO_RULES, .topic = "derived/{device}"},
};
static const struct route_spec else_routes[] = {
    {.target = 1, .topic = "else/{device}", .format = PAYLOAD_ORIGINAL, .priority = PRIORITY_LOW}};
static const struct route_spec doubled_routes[] = {{.target = 1, .topic = "doubled/{device}"}};
static const struct route_spec alarm_routes[] = {
    {.target = 0, .topic = "alarm/{device}", .qos = 1, .priority = PRIORITY_HIGH}};
static const struct route_spec paced_routes[] = {
    {.target = 1,
     .topic = "paced/{device}",
     .rate = {.count = 20, .per_ms = 1000, .is_waiting = true}}};
static const struct route_spec sampled_routes[] = {
    {.target = 0, .topic = "sampled/{device}", .sample = 2}};
static const struct route_spec tumbled_routes[] = {
    {.target = 0, .topic = "tumbled/{k}", .format = PAYLOAD_TEXT, .text = "{events}"}};
static const struct route_spec counted_routes[] = {
    {.target = 1, .topic = "counted/{k}", .format = PAYLOAD_TEXT, .text = "{events}"}};
static const struct rule_spec rules[] = {
    {.name = "all",
     .sql = "SELECT device, value FROM \"pipit/v1/+/+/event/#\"",
     .key = "device",
     .routes = all_routes,
     .route_count = 1},
    {.name = "doubled", // Before the one that feeds it.
     .sql = "SELECT device, twice FROM \"derived/+\" WHERE twice % 4 = 0",
     .key = "device",
     .routes = doubled_routes,
     .route_count = 1},
    {.name = "some",
     .sql = "SELECT device, value * 2 AS twice FROM \"pipit/v1/+/+/event/reading\" "
            "WHERE value % 3 = 0",
     .key = "device",
     .routes = some_routes,
     .route_count = 2},
    {.name = "some/else",
     .branch = BRANCH_ELSE,
     .parent = 2,
     .key = "device",
     .routes = else_routes,
     .route_count = 1},
    {.name = "plain",
     .sql = "SELECT device, n, value FROM \"plain/+/telemetry\"",
     .key = "device",
     .routes = all_routes,
     .route_count = 1},
    {.name = "alarm",
     .sql = "SELECT device, value FROM \"pipit/v1/+/+/event/+\" WHERE value % 10 = 0",
     .key = "device",
     .routes = alarm_routes,
     .route_count = 1},
    {.name = "paced",
     .sql = "SELECT device, value FROM \"pipit/v1/+/+/event/+\" WHERE value % 7 = 0",
     .key = "device",
     .routes = paced_routes,
     .route_count = 1},
    {.name = "sampled",
     .sql = "SELECT device, value FROM \"pipit/v1/+/+/event/+\"",
     .key = "device",
     .routes = sampled_routes,
     .route_count = 1},
    {.name = "tumbled",
     .sql = "SELECT window_key AS k, group_concat(device || '/' || boot || '/' || sequence) AS "
            "events FROM \"pipit/v1/+/+/event/+\"",
     .window = {.kind = WINDOW_TUMBLING, .size_ms = 500, .is_by_arrival = true},
     .routes = tumbled_routes,
     .route_count = 1},
    {.name = "counted",
     .sql = "SELECT window_key AS k, group_concat(device || '/' || boot || '/' || sequence) AS "
            "events FROM \"pipit/v1/+/+/event/+\"",
     .window = {.kind = WINDOW_COUNT, .count = 5},
     .routes = counted_routes,
     .route_count = 1},
};
static const struct identity_spec identities[] = {
    {.name = "plain", .from = "plain/+/telemetry", .device = "topic_part(2)", .sequence = "n"},
};
static const struct target_spec targets[] = {
    {.name = "first", .attempts_max = 12, .backoff_min_ms = 20, .backoff_max_ms = 500},
    {.name = "second", .attempts_max = 3, .backoff_min_ms = 20, .backoff_max_ms = 500},
};

static struct core_spec make_spec(enum sim_plant plant)
{
    return (struct core_spec){
        .hub_id = "sim",
        .rules = rules,
        .rule_count = sizeof(rules) / sizeof(rules[0]),
        .identities = identities,
        .identity_count = 1,
        .workflows = &sim_workflow,
        .workflow_count = 1,
        .targets = targets,
        .target_count = SIM_TARGETS,
        .store_limit_bytes = 64u << 20,
        .quarantine_limit_bytes = 1u << 20,
        .payload_bytes_max = 1u << 16,
        .rule_steps_max = 100000,
        .faults = plant == SIM_PLANT_DEDUPE             ? FAULT_DEDUPE_OFF_BY_ONE
                  : plant == SIM_PLANT_SETTLE_OUTSIDE   ? FAULT_SETTLE_OUTSIDE
                  : plant == SIM_PLANT_WINDOW_IN_MEMORY ? FAULT_WINDOW_IN_MEMORY
                  : plant == SIM_PLANT_TIMER_KEPT       ? FAULT_WORKFLOW_TIMER_KEPT
                                                        : 0,
    };
}

static struct core_spec spec; // The core borrows it for as long as it is open.

static void hub_down(struct sim_hub *hub)
{
    core_close(hub->core);
    store_close(hub->store);
    hub->core = NULL;
    hub->store = NULL;
    hub->flight_count = 0;
    sim_network_drop_link(hub->network);
}

void sim_hub_start(struct sim_hub *hub)
{
    struct error e = {0};
    const struct store_options options = {.path = STORE_PATH, .vfs = SIM_VFS_NAME};
    spec = make_spec(hub->plant);
    enum err rc = store_open(&hub->store, &options, &e);
    if (rc == ERR_OK) {
        rc = core_open(&hub->core, hub->store, &spec, &e);
    }
    if (rc == ERR_OK) {
        sim_note(hub->history, "hub up");
        return;
    }
    if (rc != ERR_IO && !sim_vfs_is_cut()) {
        sim_violation(hub->history, "hub does not start: %s", e.text);
    }
    sim_hub_power_cut(hub);
}

// Closing must not write to a disk that is gone: a killed process closes nothing in order.
void sim_hub_kill(struct sim_hub *hub)
{
    sim_note(hub->history, "hub killed");
    sim_vfs_cut_after(1);
    hub_down(hub);
    sim_vfs_process_restart();
    hub->deaths++;
}

void sim_hub_power_cut(struct sim_hub *hub)
{
    sim_note(hub->history, "power cut");
    sim_vfs_cut_after(1);
    hub_down(hub);
    sim_vfs_power_cycle();
    sim_history_power_cut(hub->history);
    hub->deaths++;
}

void sim_hub_stop(struct sim_hub *hub)
{
    hub_down(hub);
}

static uint32_t add_answers(struct sim_hub *hub, struct input *inputs)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < hub->flight_count; i++) {
        struct sim_flight *flight = &hub->flights[i];
        flight->reply = (struct reply){.status = 200,
                                       .body = bytes_from_text(flight->body),
                                       .content_type = "application/json"};
        if (flight->answer_at_ms <= hub->history->now_ms) {
            bool is_good = flight->verdict == VERDICT_DONE || flight->verdict == VERDICT_NOT_SENT;
            inputs[count++] = (struct input){
                .kind = INPUT_SETTLEMENT,
                .settlement = {.delivery_id = flight->id,
                               .verdict = flight->verdict,
                               .reason = is_good ? NULL : "the target said no",
                               .reply = flight->is_of_workflow ? &flight->reply : NULL},
            };
        }
    }
    return count;
}

// The answers of this step are in the store.
static void drop_answered(struct sim_hub *hub)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < hub->flight_count; i++) {
        struct sim_flight *flight = &hub->flights[i];
        if (flight->answer_at_ms <= hub->history->now_ms && flight->is_of_workflow) {
            if (flight->verdict == VERDICT_DONE) {
                sim_workflow_done(flight->key);
            }
        } else if (flight->answer_at_ms <= hub->history->now_ms) {
            sim_history_settled(hub->history, flight->flow, flight->key, flight->verdict);
        } else {
            hub->flights[kept++] = *flight;
        }
    }
    hub->flight_count = kept;
}

static void step_succeeded(struct sim_hub *hub, struct sim_message *const *batch, uint32_t count,
                           const struct outcome *outcome)
{
    drop_answered(hub);
    for (uint32_t i = 0; i < count; i++) {
        if (!batch[i]->event->is_committed) {
            sim_history_committed(hub->history, batch[i]->event);
        }
    }
    if (count > 0) {
        sim_history_synced(hub->history);
    }
    struct books books;
    core_books(hub->core, &books);
    sim_check_books(hub->history, &books);
    for (uint32_t i = 0; i < outcome->receipt_count; i++) {
        sim_network_receipt(hub->network, outcome->receipts[i].topic, outcome->receipts[i].payload);
    }
    sim_network_acknowledge(hub->network);
}

static void step_failed(struct sim_hub *hub, enum err rc, const struct error *e)
{
    if (rc != ERR_IO && !sim_vfs_is_cut()) {
        sim_violation(hub->history, "core_step: %s", e->text);
    }
    // With the disk gone it is the power; else a sync failed and the process closes and opens
    // again.
    if (sim_vfs_is_cut()) {
        sim_hub_power_cut(hub);
    } else {
        sim_hub_kill(hub);
    }
}

void sim_hub_step(struct sim_hub *hub)
{
    static uint8_t payloads[SIM_BATCH_MAX][SIM_PAYLOAD_MAX];
    static char topics[SIM_BATCH_MAX][64];
    struct input inputs[SIM_BATCH_MAX + SIM_FLIGHT_MAX + 1];
    struct sim_message *batch[SIM_BATCH_MAX];
    struct outcome outcome = {0};
    struct error e = {0};
    uint32_t answers = add_answers(hub, inputs), ticks = 0;
    uint32_t want = sim_random_below(hub->random, SIM_BATCH_MAX);
    uint32_t count = sim_network_deliver(hub->network, batch, want);
    for (uint32_t i = 0; i < count; i++) {
        size_t len;
        sim_message_encode(batch[i], topics[i], sizeof(topics[i]), payloads[i], &len);
        inputs[answers + i] = (struct input){
            .kind = INPUT_MESSAGE,
            .message = {.topic = bytes_from_text(topics[i]),
                        .payload = bytes_of(payloads[i], len),
                        .qos = 1,
                        .received_ms = hub->history->now_ms},
        };
    }
    if (core_next_timer_ms(hub->core) <= hub->history->now_ms) {
        inputs[answers + count] = (struct input){.kind = INPUT_TICK};
        ticks = 1;
    }
    if (answers + count + ticks == 0) {
        return;
    }
    hub->steps++;
    if (hub->plant == SIM_PLANT_EARLY_ACK) {
        struct sim_event *events[SIM_BATCH_MAX];
        for (uint32_t i = 0; i < count; i++) {
            events[i] = batch[i]->event;
        }
        static struct sim_message copies[SIM_BATCH_MAX];
        for (uint32_t i = 0; i < count; i++) {
            copies[i] = (struct sim_message){.event = events[i]};
            batch[i] = &copies[i];
        }
        sim_network_acknowledge(hub->network);
    }
    enum err rc =
        core_step(hub->core, inputs, answers + count + ticks, hub->history->now_ms, &outcome, &e);
    if (rc == ERR_OK) {
        step_succeeded(hub, batch, count, &outcome);
    } else {
        step_failed(hub, rc, &e);
    }
}

static enum verdict choose_fate(struct sim_hub *hub, const struct delivery *delivery)
{
    uint32_t dice = hub->is_healing ? 999 : sim_random_below(hub->random, 1000);
    if (dice < 60) {
        return VERDICT_RETRY;
    }
    if (dice < 110) {
        return VERDICT_NOT_SENT;
    }
    if (dice < 125) {
        return VERDICT_REJECT;
    }
    uint32_t window = sim_window_rule_of(delivery->rule);
    if (sim_is_workflow(delivery->rule)) {
        return dice < 190 ? VERDICT_RETRY : VERDICT_DONE;
    }
    if (window < SIM_WINDOW_RULES) {
        sim_windows_received(hub->history, window, delivery->idempotency_key, delivery->payload);
    } else {
        sim_history_received(hub->history, delivery);
    }
    return dice < 190 ? VERDICT_RETRY : VERDICT_DONE; // Got it, and the answer was lost.
}

static void give(struct sim_hub *hub, const struct delivery *delivery)
{
    struct sim_flight *flight = &hub->flights[hub->flight_count++];
    flight->id = delivery->id;
    flight->flow = sim_flow_of(delivery->rule);
    flight->answer_at_ms = hub->history->now_ms + sim_random_below(hub->random, 400);
    snprintf(flight->key, sizeof(flight->key), "%s", delivery->idempotency_key);
    flight->is_of_workflow = sim_is_workflow(delivery->rule);
    flight->verdict = choose_fate(hub, delivery);
    if (flight->is_of_workflow) {
        sim_workflow_sent(hub->history, delivery, flight->verdict);
    }
    sim_workflow_answer(flight->key, flight->body, sizeof(flight->body));
}

void sim_hub_dispatch(struct sim_hub *hub)
{
    for (uint32_t target = 0; target < SIM_TARGETS; target++) {
        const struct delivery *batch[SIM_FLIGHT_MAX];
        uint32_t room = SIM_FLIGHT_MAX - hub->flight_count;
        if (hub->target_down_until_ms[target] > hub->history->now_ms || room == 0) {
            continue;
        }
        uint32_t want = 1 + sim_random_below(hub->random, room);
        uint32_t count = core_take(hub->core, target, want, 1u << 20, hub->history->now_ms, batch);
        for (uint32_t i = 0; i < count; i++) {
            give(hub, batch[i]);
        }
    }
}

bool sim_hub_is_quiet(const struct sim_hub *hub)
{
    struct books books;
    core_books(hub->core, &books);
    return hub->flight_count == 0 && books.waiting == 0 &&
           // No window is open, no workflow waits.
           core_next_timer_ms(hub->core) > hub->history->now_ms + SIM_WORKFLOW_KEEP_MS / 2;
}

// part: the end of a key from "d<device>/" on.
static bool is_dead(void *context, const char *part)
{
    sqlite3 *db = store_db(((struct sim_hub *)context)->store);
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(
        db, "SELECT 1 FROM pipit_dead WHERE idempotency_key LIKE '%/' || ?1", -1, &statement, NULL);
    assert(rc == SQLITE_OK);
    sqlite3_bind_text(statement, 1, part, -1, SQLITE_STATIC);
    rc = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW;
}

static uint64_t count_rows(struct sim_hub *hub, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store_db(hub->store), sql, -1, &statement, NULL);
    assert(rc == SQLITE_OK);
    rc = sqlite3_step(statement);
    assert(rc == SQLITE_ROW);
    (void)rc;
    uint64_t count = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

void sim_hub_check(struct sim_hub *hub)
{
    sim_workflows_check(hub->history, store_db(hub->store));
}

void sim_hub_check_end(struct sim_hub *hub)
{
    struct books books;
    core_books(hub->core, &books);
    uint64_t others = sim_windows_check_end(hub->history, store_db(hub->store));
    sim_workflows_check_end(hub->history, store_db(hub->store));
    others += count_rows(hub, "SELECT sum(enqueued) FROM pipit_route WHERE rule LIKE 'workflow/%'");
    sim_check_end(hub->history, &books, others, is_dead, hub);
    uint64_t rows = count_rows(hub, "SELECT count(*) FROM pipit_outbox");
    uint64_t dead = count_rows(hub, "SELECT count(*) FROM pipit_dead");
    if (rows != books.waiting || dead != books.dead) {
        sim_violation(hub->history,
                      "books: %" PRIu64 " waiting and %" PRIu64 " dead, but the store has %" PRIu64
                      " and %" PRIu64,
                      books.waiting, books.dead, rows, dead);
    }
}
