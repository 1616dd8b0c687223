// bench_windows - what a mean of a minute per device costs as a tumbling window by event time,
// beside the same GROUP BY over a table: CPU nanoseconds an event, medians of interleaved rounds.
//   bench_windows [events [rounds]]
// A window is of the core, not of a statement alone: the figure is what a batch costs with the
// window, less what it costs with a rule that nothing passes. The store is in memory: no syncs.
#include <pipit/v1/pipit.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/core.h"
#include "store/store.h"

#define BATCH      1000
#define DEVICES    50
#define STEP_MS    1000 // Between two events of a device.
#define ROUNDS_MAX 31
#define BEGIN_MS   1699999980000 // The beginning of a minute.

static const char filter[] = "pipit/v1/+/+/event/temperature";

struct bench {
    struct input inputs[BATCH];
    char topics[BATCH][64];
    uint8_t payloads[BATCH][96];
    uint32_t events;
};

static void check(enum err rc, const struct error *e)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "bench_windows: %s\n", e->text);
        exit(1);
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double celsius_of(uint32_t n)
{
    return (double)((n * 7919) % 1000) / 10;
}

static int64_t time_of(uint32_t n)
{
    return BEGIN_MS + (int64_t)(n / DEVICES) * STEP_MS;
}

static size_t make_event(uint8_t *out, uint32_t n)
{
    Pipit__V1__Field celsius = PIPIT__V1__FIELD__INIT;
    Pipit__V1__Field *fields[] = {&celsius};
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    celsius.name = (char *)(uintptr_t) "celsius";
    celsius.value_case = PIPIT__V1__FIELD__VALUE_REAL;
    celsius.real = celsius_of(n);
    event.boot = 1;
    event.sequence = n / DEVICES + 1;
    event.type = (char *)(uintptr_t) "temperature";
    event.device_time_case = PIPIT__V1__EVENT__DEVICE_TIME_TIME;
    event.time = (uint64_t)time_of(n);
    event.n_fields = 1;
    event.fields = fields;
    return pipit__v1__event__pack(&event, out);
}

static void make_batch(struct bench *bench, uint32_t first)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t n = first + i;
        size_t len = make_event(bench->payloads[i], n);
        snprintf(bench->topics[i], sizeof(bench->topics[i]),
                 "pipit/v1/bench/d%02u/event/temperature", n % DEVICES);
        bench->inputs[i] = (struct input){.kind = INPUT_MESSAGE,
                                          .message = {.topic = bytes_from_text(bench->topics[i]),
                                                      .payload = bytes_of(bench->payloads[i], len),
                                                      .received_ms = time_of(n)}};
    }
}

static void find_rows(void *context, const char *name, uint64_t value)
{
    if (strcmp(name, "rule/bench/rows") == 0) {
        *(uint64_t *)context = value;
    }
}

// All events through a core with this one rule; the windows that are open at the end close then.
static double time_core(struct bench *bench, const struct rule_spec *rule, uint64_t *out_rows)
{
    struct error e;
    struct outcome outcome;
    struct store_options options = {.path = ":memory:"};
    const struct core_spec spec = {.hub_id = "bench",
                                   .rules = rule,
                                   .rule_count = 1,
                                   .store_limit_bytes = UINT64_C(1) << 40,
                                   .payload_bytes_max = 1 << 20,
                                   .rule_steps_max = 1000000};
    struct store *store;
    struct core *core;
    check(store_open(&store, &options, &e), &e);
    check(core_open(&core, store, &spec, &e), &e);
    uint64_t spent = 0;
    for (uint32_t first = 0; first < bench->events; first += BATCH) {
        make_batch(bench, first);
        uint64_t begun = cpu_ns();
        check(core_step(core, bench->inputs, BATCH, time_of(first + BATCH), &outcome, &e), &e);
        spent += cpu_ns() - begun;
    }
    const struct input tick = {.kind = INPUT_TICK};
    int64_t end_ms = time_of(bench->events) + 86400000;
    uint64_t begun = cpu_ns();
    while (core_next_timer_ms(core) <= end_ms) {
        check(core_step(core, &tick, 1, end_ms, &outcome, &e), &e);
    }
    spent += cpu_ns() - begun;
    core_counters(core, find_rows, out_rows);
    core_close(core);
    store_close(store);
    return (double)spent / bench->events;
}

static sqlite3 *make_table(const struct bench *bench)
{
    sqlite3 *db;
    sqlite3_stmt *insert;
    bool is_fine =
        sqlite3_open(":memory:", &db) == SQLITE_OK &&
        sqlite3_exec(db, "CREATE TABLE event(device TEXT, time INTEGER, celsius REAL); BEGIN", NULL,
                     NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "INSERT INTO event VALUES (?1, ?2, ?3)", -1, &insert, NULL) ==
            SQLITE_OK;
    for (uint32_t n = 0; is_fine && n < bench->events; n++) {
        char device[8];
        snprintf(device, sizeof(device), "d%02u", n % DEVICES);
        sqlite3_bind_text(insert, 1, device, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int64(insert, 2, time_of(n));
        sqlite3_bind_double(insert, 3, celsius_of(n));
        is_fine = sqlite3_step(insert) == SQLITE_DONE && sqlite3_reset(insert) == SQLITE_OK;
    }
    if (!is_fine || sqlite3_finalize(insert) != SQLITE_OK ||
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "bench_windows: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
    return db;
}

static double time_table(const struct bench *bench, sqlite3 *db, uint64_t *out_rows)
{
    sqlite3_stmt *statement;
    static const char sql[] =
        "SELECT device, time / 60000, avg(celsius) FROM event GROUP BY device, time / 60000";
    *out_rows = 0;
    uint64_t begun = cpu_ns();
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fprintf(stderr, "bench_windows: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
    while (sqlite3_step(statement) == SQLITE_ROW) {
        ++*out_rows;
    }
    sqlite3_finalize(statement);
    return (double)(cpu_ns() - begun) / bench->events;
}

static int by_size(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double median(double *values, uint32_t count)
{
    qsort(values, count, sizeof(values[0]), by_size);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 5;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    if (bench == NULL) {
        return 1;
    }
    bench->events = (argc > 1 ? (uint32_t)atoi(argv[1]) : 1000000) / BATCH * BATCH;
    char mean[200], none[200];
    // A window is of one device: the table needs the GROUP BY, the rule does not.
    snprintf(mean, sizeof(mean), "SELECT device, window_start, avg(celsius) AS mean FROM \"%s\"",
             filter);
    snprintf(none, sizeof(none), "SELECT device FROM \"%s\" WHERE celsius > 1000", filter);
    const struct rule_spec window = {
        .name = "bench",
        .sql = mean,
        .window = {
            .kind = WINDOW_TUMBLING, .size_ms = 60000, .idle_ms = 60000, .ahead_ms = 86400000}};
    const struct rule_spec nothing = {.name = "bench", .sql = none};
    sqlite3 *db = make_table(bench);
    double with[ROUNDS_MAX], plain[ROUNDS_MAX];
    for (uint32_t round = 0; round < rounds; round++) {
        uint64_t rows = 0, none_rows = 0, table_rows = 0;
        with[round] = time_core(bench, &window, &rows) - time_core(bench, &nothing, &none_rows);
        plain[round] = time_table(bench, db, &table_rows);
        if (rows != table_rows || none_rows != 0) {
            fprintf(stderr, "bench_windows: %llu windows, %llu groups\n", (unsigned long long)rows,
                    (unsigned long long)table_rows);
            return 1;
        }
    }
    printf("{\"events\": %u, \"rounds\": %u, \"rule_window_ns\": [%.0f, %.0f]}\n", bench->events,
           rounds, median(with, rounds), median(plain, rounds));
    sqlite3_close(db);
    free(bench);
    return 0;
}
