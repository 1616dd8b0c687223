// bench_core - what an event costs in the core: CPU nanoseconds an event for each stage.
//   bench_core [events [batch [history]]]   200-byte Pipit events from 100 devices, one rule that
//   wants half
//                                   of them, its target taking and settling everything.
// history: MB of events that are kept for replay; 0: none.
// The store is a file in the current folder, synced as the hub does it, and removed at the end.
#include <assert.h>
#include <pipit/v1/pipit.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"
#include "store/store.h"

#define DEVICES       100
#define PAYLOAD_BYTES 200
#define FLIGHT_MAX    200
#define STORE_PATH    "bench_core.db"

struct bench {
    struct store *store;
    struct core *core;
    uint32_t batch_count;
    struct input *inputs;
    uint8_t (*payloads)[PAYLOAD_BYTES];
    char (*topics)[64];
    uint64_t sequence;
    uint64_t messages_ns, take_ns, settle_ns; // CPU.
    uint64_t events, deliveries;
};

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void check(enum err rc, const struct error *e)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", e->text);
        exit(1);
    }
}

static size_t make_event(uint8_t out[PAYLOAD_BYTES], uint64_t sequence, uint64_t n, bool is_last)
{
    static uint8_t padding[PAYLOAD_BYTES];
    Pipit__V1__Field value = PIPIT__V1__FIELD__INIT, pad = PIPIT__V1__FIELD__INIT;
    Pipit__V1__Field *fields[] = {&value, &pad};
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    value.name = "celsius";
    value.value_case = PIPIT__V1__FIELD__VALUE_REAL;
    value.real = (double)(n % 100);
    pad.name = "pad";
    pad.value_case = PIPIT__V1__FIELD__VALUE_DATA;
    pad.data = (ProtobufCBinaryData){136, padding};
    event.boot = 1;
    event.sequence = sequence;
    event.type = "temperature";
    event.n_fields = 2;
    event.fields = fields;
    event.wants_receipt = is_last;
    size_t size = pipit__v1__event__get_packed_size(&event);
    assert(size <= PAYLOAD_BYTES);
    return pipit__v1__event__pack(&event, out);
}

static void make_batch(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->batch_count; i++) {
        uint64_t n = bench->events + i;
        size_t len = make_event(bench->payloads[i], n / DEVICES + 1, n / 7,
                                i + DEVICES >= bench->batch_count);
        snprintf(bench->topics[i], sizeof(bench->topics[i]),
                 "pipit/v1/bench/d%03u/event/temperature", (unsigned)(n % DEVICES));
        bench->inputs[i] = (struct input){
            .kind = INPUT_MESSAGE,
            .message = {.topic = bytes_from_text(bench->topics[i]),
                        .payload = bytes_of(bench->payloads[i], len),
                        .qos = 1},
        };
    }
}

static uint32_t take(struct bench *bench, struct input *out_settlements)
{
    const struct delivery *deliveries[FLIGHT_MAX];
    uint32_t count =
        core_take(bench->core, 0, FLIGHT_MAX, 1 << 20, (int64_t)bench->events + 1000, deliveries);
    for (uint32_t i = 0; i < count; i++) {
        out_settlements[i] = (struct input){
            .kind = INPUT_SETTLEMENT,
            .settlement = {.delivery_id = deliveries[i]->id, .verdict = VERDICT_DONE}};
    }
    return count;
}

static void drain(struct bench *bench)
{
    struct input settlements[FLIGHT_MAX];
    struct outcome outcome;
    struct error e;
    for (;;) {
        uint64_t start = cpu_ns();
        uint32_t count = take(bench, settlements);
        bench->take_ns += cpu_ns() - start;
        if (count == 0) {
            return;
        }
        start = cpu_ns();
        check(
            core_step(bench->core, settlements, count, (int64_t)bench->events + 1000, &outcome, &e),
            &e);
        bench->settle_ns += cpu_ns() - start;
        bench->deliveries += count;
    }
}

static void run(struct bench *bench, uint64_t events)
{
    struct outcome outcome;
    struct error e;
    while (bench->events < events) {
        make_batch(bench);
        uint64_t start = cpu_ns();
        check(core_step(bench->core, bench->inputs, bench->batch_count,
                        (int64_t)bench->events + 1000, &outcome, &e),
              &e);
        bench->messages_ns += cpu_ns() - start;
        bench->events += bench->batch_count;
        drain(bench);
    }
}

static void report(const struct bench *bench, double wall_s)
{
    double events = (double)bench->events;
    uint64_t all = bench->messages_ns + bench->take_ns + bench->settle_ns;
    printf("events          %10.0f in batches of %u, %.0f deliveries\n", events, bench->batch_count,
           (double)bench->deliveries);
    printf("messages to commit  %6.0f ns/event\n", (double)bench->messages_ns / events);
    printf("take                %6.0f ns/event\n", (double)bench->take_ns / events);
    printf("settle to commit    %6.0f ns/event\n", (double)bench->settle_ns / events);
    printf("all                 %6.0f ns/event\n", (double)all / events);
    printf("wall clock          %6.0f ns/event, syncs included\n", wall_s * 1e9 / events);
}

static void remove_store(void)
{
    unlink(STORE_PATH);
    unlink(STORE_PATH "-wal");
    unlink(STORE_PATH "-shm");
    unlink(STORE_PATH ".lock");
}

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    static const struct route_spec route = {.target = 0, .topic = "hot/{device}", .qos = 1};
    static const struct rule_spec rule = {
        .name = "hot",
        .sql = "SELECT device, celsius * 1.8 + 32 AS fahrenheit FROM "
               "\"pipit/v1/+/+/event/temperature\" WHERE celsius >= 50",
        .key = "device",
        .routes = &route,
        .route_count = 1};
    static const struct target_spec target = {
        .name = "sink", .attempts_max = 10, .backoff_min_ms = 100, .backoff_max_ms = 1000};
    static struct core_spec spec = {.hub_id = "bench",
                                    .rules = &rule,
                                    .rule_count = 1,
                                    .targets = &target,
                                    .target_count = 1,
                                    .store_limit_bytes = UINT64_C(1) << 30,
                                    .quarantine_limit_bytes = 1 << 20,
                                    .payload_bytes_max = 1 << 20,
                                    .rule_steps_max = 1000000};
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000;
    struct bench bench = {.batch_count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 500};
    uint64_t history_mb = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (history_mb > 0) {
        spec.history =
            (struct history_spec){.keep_ms = 86400000, .limit_bytes = history_mb * 1000000};
    }
    const struct store_options options = {.path = STORE_PATH};
    struct error e;
    bench.inputs = calloc(bench.batch_count, sizeof(bench.inputs[0]));
    bench.payloads = calloc(bench.batch_count, sizeof(bench.payloads[0]));
    bench.topics = calloc(bench.batch_count, sizeof(bench.topics[0]));
    if (bench.inputs == NULL || bench.payloads == NULL || bench.topics == NULL) {
        fprintf(stderr, "out of memory for a batch of %u events\n", bench.batch_count);
        return 1;
    }
    remove_store();
    check(store_open(&bench.store, &options, &e), &e);
    check(core_open(&bench.core, bench.store, &spec, &e), &e);
    double start = wall_s();
    run(&bench, events);
    report(&bench, wall_s() - start);
    core_close(bench.core);
    store_close(bench.store);
    remove_store();
    free(bench.inputs);
    free(bench.payloads);
    free(bench.topics);
    return 0;
}
