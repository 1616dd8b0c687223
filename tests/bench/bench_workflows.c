// bench_workflows - what durable workflows cost, with a store on this disk, synced as the hub does
// it.
//   bench_workflows [waiting [running]]
// steps: `running` instances go through ten calls each, whose answers come back in batches; a step
// is
//   a call that went out, was answered, and moved its instance on, durably.
// starts: `waiting` instances begin and wait for an event for up to 30 days.
// Then the store is opened again beside one with a hundredth of them, and events wake some of each:
// what it takes must not depend on how many wait.
// One line of JSON. The store is a file in the current folder and removed at the end.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"
#include "store/store.h"

#define BATCH       500
#define FLIGHT_MAX  200
#define CALLS       10
#define WOKEN       1000
#define STORE_PATH  "bench_workflows.db"
#define BEGIN_MS    1700000000000
#define STEP_LENGTH 200

struct bench {
    struct store *store;
    struct core *core;
    struct input inputs[BATCH];
    char topics[BATCH][64];
    char payloads[BATCH][96];
    int64_t now_ms;
    double store_open_ms, core_open_ms; // The last time.
};

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void check(enum err rc, const struct error *e)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "bench_workflows: %s\n", e->text);
        exit(1);
    }
}

static void remove_store(void)
{
    unlink(STORE_PATH);
    unlink(STORE_PATH "-wal");
    unlink(STORE_PATH "-shm");
    unlink(STORE_PATH ".lock");
}

// Ten calls, one after the other.
static const char *calls_definition(void)
{
    static char text[512 + CALLS * STEP_LENGTH];
    int len = snprintf(text, sizeof(text),
                       "{\"format\":1,\"name\":\"calls\",\"start\":{\"from\":\"orders/+\",\"key\":"
                       "\"topic_part(2)\",\"running\":\"ignore\"},\"variables\":{\"amount\":"
                       "\"amount\"},\"failure\":\"undo\",\"keep\":0,\"steps\":[");
    for (int i = 0; i < CALLS; i++) {
        len += snprintf(text + len, sizeof(text) - (size_t)len,
                        "%s{\"name\":\"call-%d\",\"do\":\"call\",\"to\":\"sink\",\"topic\":"
                        "\"work\",\"payload\":\"json\",\"fields\":{\"amount\":\"amount\"},"
                        "\"within\":60000}",
                        i == 0 ? "" : ",", i);
    }
    snprintf(text + len, sizeof(text) - (size_t)len, "]}");
    return text;
}

static const char waits_definition[] =
    "{\"format\":1,\"name\":\"waits\",\"start\":{\"from\":\"waits/+\",\"key\":\"topic_part(2)\","
    "\"running\":\"ignore\"},\"variables\":{\"amount\":\"amount\"},\"failure\":\"undo\",\"keep\":0,"
    "\"steps\":[{\"name\":\"paid\",\"do\":\"await\",\"from\":\"paid/+\",\"key\":\"topic_part(2)\","
    "\"keep\":0,\"within\":2592000000}]}";

static void open_core(struct bench *bench)
{
    static struct workflow_spec workflows[2];
    static const struct target_spec target = {
        .name = "sink", .attempts_max = 10, .backoff_min_ms = 100, .backoff_max_ms = 1000};
    workflows[0] = (struct workflow_spec){"calls", calls_definition()};
    workflows[1] = (struct workflow_spec){"waits", waits_definition};
    static const struct core_spec spec = {.hub_id = "bench",
                                          .workflows = workflows,
                                          .workflow_count = 2,
                                          .instances_max = 10000000,
                                          .targets = &target,
                                          .target_count = 1,
                                          .store_limit_bytes = UINT64_C(1) << 34,
                                          .quarantine_limit_bytes = 1 << 20,
                                          .payload_bytes_max = 1 << 20,
                                          .rule_steps_max = 1000000};
    const struct store_options options = {.path = STORE_PATH};
    struct error e;
    double begun_s = wall_s();
    check(store_open(&bench->store, &options, &e), &e);
    bench->store_open_ms = (wall_s() - begun_s) * 1e3;
    begun_s = wall_s();
    check(core_open(&bench->core, bench->store, &spec, &e), &e);
    bench->core_open_ms = (wall_s() - begun_s) * 1e3;
}

static void close_core(struct bench *bench)
{
    core_close(bench->core);
    store_close(bench->store);
}

static void step(struct bench *bench, uint32_t count)
{
    struct outcome outcome;
    struct error e;
    check(core_step(bench->core, bench->inputs, count, bench->now_ms, &outcome, &e), &e);
}

// Messages <what>/<first> and so on; numbers are keys.
static void publish(struct bench *bench, const char *what, uint32_t first, uint32_t count)
{
    for (uint32_t done = 0; done < count; done += BATCH) {
        uint32_t batch = count - done < BATCH ? count - done : BATCH;
        for (uint32_t i = 0; i < batch; i++) {
            snprintf(bench->topics[i], sizeof(bench->topics[i]), "%s/%u", what, first + done + i);
            snprintf(bench->payloads[i], sizeof(bench->payloads[i]), "{\"amount\":%u.5}", i);
            bench->inputs[i] =
                (struct input){.kind = INPUT_MESSAGE,
                               .message = {.topic = bytes_from_text(bench->topics[i]),
                                           .payload = bytes_from_text(bench->payloads[i]),
                                           .received_ms = bench->now_ms}};
        }
        step(bench, batch);
    }
}

// Everything that is called is answered, until nothing more is; gives the number of answers.
static uint32_t answer_all(struct bench *bench)
{
    const struct delivery *deliveries[FLIGHT_MAX];
    uint32_t answers = 0, count;
    do {
        count = core_take(bench->core, 0, FLIGHT_MAX, 1 << 20, bench->now_ms, deliveries);
        for (uint32_t i = 0; i < count; i++) {
            bench->inputs[i] = (struct input){
                .kind = INPUT_SETTLEMENT,
                .settlement = {.delivery_id = deliveries[i]->id, .verdict = VERDICT_DONE}};
        }
        if (count > 0) {
            step(bench, count);
        }
        answers += count;
    } while (count > 0);
    return answers;
}

static double rss_mb(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0, resident = 0;
    if (file == NULL || fscanf(file, "%lu %lu", &pages, &resident) != 2) {
        resident = 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static void find_running(void *context, const char *name, uint64_t value)
{
    if (strcmp(name, "workflow/waits/running") == 0) {
        *(uint64_t *)context = value;
    }
}

// So many instances at a time, until all their calls have been answered: seconds, and of the CPU.
static void run_steps(struct bench *bench, uint32_t running, double *out_s, double *out_cpu_s)
{
    remove_store();
    open_core(bench);
    publish(bench, "orders", 0, running);
    double begun_s = wall_s(), cpu_begun_s = cpu_s();
    uint32_t steps = answer_all(bench);
    *out_s = wall_s() - begun_s;
    *out_cpu_s = cpu_s() - cpu_begun_s;
    close_core(bench);
    if (steps != running * CALLS) {
        fprintf(stderr, "bench_workflows: %u calls were answered, not %u\n", steps,
                running * CALLS);
        exit(1);
    }
}

static void bench_steps(struct bench *bench, uint32_t running)
{
    double spent_s, cpu_spent_s;
    run_steps(bench, 1, &spent_s, &cpu_spent_s);
    printf("\"single_steps_per_s\": %.0f, ", CALLS / spent_s);
    run_steps(bench, running, &spent_s, &cpu_spent_s);
    double steps = (double)running * CALLS;
    printf("\"steps\": %.0f, \"steps_per_s\": %.0f, \"step_cpu_us\": %.2f, ", steps,
           steps / spent_s, cpu_spent_s * 1e6 / steps);
}

// With so many that wait: how long it takes to open, and to wake some of them.
static void bench_waiting(struct bench *bench, uint32_t waiting, const char *what)
{
    remove_store();
    open_core(bench);
    uint64_t empty = store_used_bytes(bench->store);
    double begun_s = wall_s();
    publish(bench, "waits", 0, waiting);
    double starts_s = wall_s() - begun_s;
    double bytes = (double)(store_used_bytes(bench->store) - empty);
    close_core(bench);
    double rss_before = rss_mb();
    open_core(bench);
    double rss_after = rss_mb();
    uint64_t running = 0;
    core_counters(bench->core, find_running, &running);
    if (running != waiting) {
        fprintf(stderr, "bench_workflows: %llu instances wait, not %u\n",
                (unsigned long long)running, waiting);
        exit(1);
    }
    begun_s = cpu_s();
    publish(bench, "paid", waiting / 2, waiting < 2 * WOKEN ? waiting / 2 : WOKEN);
    double woken = waiting < 2 * WOKEN ? waiting / 2 : WOKEN;
    double wake_us = (cpu_s() - begun_s) * 1e6 / woken;
    close_core(bench);
    printf("\"%s\": {\"waiting\": %u, \"starts_per_s\": %.0f, \"bytes_per_instance\": %.0f, "
           "\"store_open_ms\": %.1f, \"core_open_ms\": %.1f, \"open_rss_mb\": %.1f, "
           "\"wake_cpu_us\": %.1f}",
           what, waiting, waiting / starts_s, bytes / waiting, bench->store_open_ms,
           bench->core_open_ms, rss_after - rss_before, wake_us);
}

int main(int argc, char **argv)
{
    uint32_t waiting = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    uint32_t running = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 2000;
    struct bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL || waiting < 1000 || running == 0) {
        fprintf(stderr, "usage: bench_workflows [waiting (1000 or more) [running]]\n");
        return 1;
    }
    bench->now_ms = BEGIN_MS;
    printf("{");
    bench_steps(bench, running);
    bench_waiting(bench, waiting / 100 < 1000 ? 1000 : waiting / 100, "few");
    printf(", ");
    bench_waiting(bench, waiting, "many");
    printf("}\n");
    remove_store();
    free(bench);
    return 0;
}
