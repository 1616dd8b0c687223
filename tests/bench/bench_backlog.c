// bench_backlog - a noisy device before a slow target: what a backlog of one key costs the others.
//   bench_backlog [rows [keys]]   rows of one key wait in the store when 50 others send one each;
//                                 then rows of `keys` keys, each as many, are drained.
// The store is a file in the current folder, removed at the end. CPU of this process.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"
#include "store/store.h"

#define STORE_PATH "bench_backlog.db"
#define BATCH      1000
#define OTHERS     50

struct bench {
    struct store *store;
    struct core *core;
    struct input inputs[BATCH];
    char topics[BATCH][32];
    uint32_t count;
    uint64_t step_ns, take_ns, longest_take_ns;
};

static const struct route_spec route = {.target = 0, .topic = "out"};
static const struct rule_spec rule = {
    .name = "r", .sql = "SELECT v FROM \"t/+\"", .routes = &route, .route_count = 1};
static const struct target_spec target = {
    .name = "slow", .attempts_max = 10, .backoff_min_ms = 100, .backoff_max_ms = 1000};
static const struct core_spec spec = {.hub_id = "bench",
                                      .rules = &rule,
                                      .rule_count = 1,
                                      .targets = &target,
                                      .target_count = 1,
                                      .store_limit_bytes = UINT64_C(8) << 30,
                                      .quarantine_limit_bytes = 1 << 20,
                                      .payload_bytes_max = 1 << 16,
                                      .rule_steps_max = 100000};

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

static void open_core(struct bench *bench)
{
    struct error e;
    const struct store_options options = {.path = STORE_PATH};
    check(store_open(&bench->store, &options, &e), &e);
    check(core_open(&bench->core, bench->store, &spec, &e), &e);
}

static void close_core(struct bench *bench)
{
    core_close(bench->core);
    store_close(bench->store);
}

static void step(struct bench *bench)
{
    struct error e;
    struct outcome outcome;
    uint64_t start = cpu_ns();
    check(core_step(bench->core, bench->inputs, bench->count, 1700000000000, &outcome, &e), &e);
    bench->step_ns += cpu_ns() - start;
    bench->count = 0;
}

static void add(struct bench *bench, uint32_t key)
{
    char *topic = bench->topics[bench->count];
    snprintf(topic, sizeof(bench->topics[0]), "t/%u", key);
    bench->inputs[bench->count++] = (struct input){
        .kind = INPUT_MESSAGE,
        .message = {.topic = bytes_from_text(topic), .payload = bytes_from_text("{\"v\":1}")}};
    if (bench->count == BATCH) {
        step(bench);
    }
}

static uint32_t take_and_settle(struct bench *bench, uint32_t max, uint32_t *out_others)
{
    const struct delivery *taken[256];
    uint64_t start = cpu_ns();
    uint32_t count = core_take(bench->core, 0, max, 1 << 30, 1700000000000, taken);
    uint64_t spent = cpu_ns() - start;
    bench->take_ns += spent;
    bench->longest_take_ns = spent > bench->longest_take_ns ? spent : bench->longest_take_ns;
    for (uint32_t i = 0; i < count; i++) {
        *out_others += !bytes_equal(taken[i]->key, bytes_from_text("t/0"));
        bench->inputs[bench->count++] =
            (struct input){.kind = INPUT_SETTLEMENT,
                           .settlement = {.delivery_id = taken[i]->id, .verdict = VERDICT_DONE}};
    }
    if (count > 0) {
        step(bench);
    }
    return count;
}

static void begin(struct bench *bench)
{
    bench->step_ns = bench->take_ns = bench->longest_take_ns = 0;
}

static void noisy(struct bench *bench, uint32_t rows, bool is_reopened)
{
    begin(bench);
    for (uint32_t i = 0; i < rows; i++) {
        add(bench, 0);
    }
    printf("%u rows of one key        %6.0f ns/row to put\n", rows, (double)bench->step_ns / rows);
    for (uint32_t i = 1; i <= OTHERS; i++) {
        add(bench, i);
    }
    step(bench);
    if (is_reopened) {
        close_core(bench);
        open_core(bench);
    }
    begin(bench);
    uint32_t went = 0, others = 0;
    while (others < OTHERS) {
        went += take_and_settle(bench, 1, &others);
    }
    printf("%d others%s     behind %u deliveries in all, take %.1f us each, longest %.1f ms\n",
           OTHERS, is_reopened ? ", restarted" : "           ", went,
           (double)bench->take_ns / went / 1000, (double)bench->longest_take_ns / 1e6);
    begin(bench);
    uint32_t rest = 0, count;
    while ((count = take_and_settle(bench, 200, &others)) > 0) {
        rest += count;
    }
    printf("the rest                  %6.0f ns/row to take, longest %.1f ms\n",
           (double)bench->take_ns / rest, (double)bench->longest_take_ns / 1e6);
}

static void even(struct bench *bench, uint32_t rows, uint32_t keys)
{
    begin(bench);
    for (uint32_t i = 0; i < rows; i++) {
        add(bench, i % keys);
    }
    if (bench->count > 0) {
        step(bench);
    }
    printf("%u rows of %u keys       %6.0f ns/row to put\n", rows, keys,
           (double)bench->step_ns / rows);
    begin(bench);
    uint32_t count, others = 0;
    while ((count = take_and_settle(bench, 200, &others)) > 0) {
    }
    printf("drained                   %6.0f ns/row to take, %.0f to settle, longest take %.1f ms\n",
           (double)bench->take_ns / rows, (double)bench->step_ns / rows,
           (double)bench->longest_take_ns / 1e6);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    uint32_t rows = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 200000;
    uint32_t keys = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 200;
    unlink(STORE_PATH);
    open_core(&bench);
    noisy(&bench, rows, false);
    noisy(&bench, rows, true);
    even(&bench, rows, keys);
    even(&bench, rows, 20 * keys);
    close_core(&bench);
    unlink(STORE_PATH);
    unlink(STORE_PATH "-wal");
    unlink(STORE_PATH "-shm");
    return 0;
}
