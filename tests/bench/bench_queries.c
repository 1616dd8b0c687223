// bench_queries - what a query costs as a rule over batches of events, and what the same query
// costs SQLite over a table that holds the same: CPU nanoseconds an event, medians of interleaved
// rounds.
//   bench_queries [events [rounds]]
// Prints one line of JSON. Nothing is routed: what rendering and the outbox add is bench_rules' and
// bench_core's to tell. Decoding the envelope is outside; reading the fields of the payload is
// inside.
#include <pipit/v1/pipit.pb-c.h>
#include <reading.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/format.h"
#include "core/rules.h"

#define BATCH      1000
#define DEVICES    50
#define ROUNDS_MAX 31
#define NOW_MS     1700000000000

static const char schema[] =
    "CREATE TABLE event(device TEXT, time INTEGER, celsius REAL, payload TEXT);"
    "CREATE TABLE sensors(id TEXT PRIMARY KEY, site TEXT, offset REAL) WITHOUT ROWID;";

enum payload_kind { PAYLOAD_KIND_PIPIT, PAYLOAD_KIND_JSON, PAYLOAD_KIND_PROTOBUF, PAYLOAD_KINDS };

static const struct query {
    const char *name;
    enum payload_kind kind;
    const char *rule, *plain; // %s: the topic filter in quotes, or the table.
} queries[] = {
    {"rule_filter_ns", PAYLOAD_KIND_PIPIT, "SELECT device, celsius FROM %s WHERE celsius > 90",
     NULL},
    {"rule_arithmetic_ns", PAYLOAD_KIND_PIPIT,
     "SELECT device, celsius * 1.8 + 32 AS fahrenheit FROM %s WHERE celsius * 1.8 + 32 > 194",
     NULL},
    {"rule_json_ns", PAYLOAD_KIND_JSON,
     "SELECT device_id, \"data.temp\" AS temp FROM %s WHERE \"data.temp\" > 90",
     "SELECT json_extract(payload, '$.device_id'), json_extract(payload, '$.data.temp') AS temp "
     "FROM %s WHERE json_extract(payload, '$.data.temp') > 90"},
    {"rule_protobuf_ns", PAYLOAD_KIND_PROTOBUF,
     "SELECT device_id, \"data.temp\" AS temp FROM %s WHERE \"data.temp\" > 90",
     "SELECT device, celsius AS temp FROM %s WHERE celsius > 90"},
    {"rule_join_ns", PAYLOAD_KIND_PIPIT,
     "SELECT e.device, e.celsius + s.offset AS celsius, s.site FROM %s AS e "
     "JOIN sensors AS s ON s.id = e.device WHERE e.celsius > 90",
     NULL},
};

struct bench {
    sqlite3 *db, *plain;
    struct event_batch *batch;
    struct message messages[PAYLOAD_KINDS][BATCH];
    char topics[BATCH][64];
    uint8_t pipit[BATCH][128];
    char json[BATCH][192];
    uint8_t protobuf[BATCH][128];
    uint8_t descriptors[4096];
    struct format_spec format;
    struct formats *formats;
    uint32_t batches;
    uint64_t rows;
};

static void check(enum err rc, const struct error *e)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "bench_queries: %s\n", e->text);
        exit(1);
    }
}

static void check_sqlite(int rc, sqlite3 *db)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        fprintf(stderr, "bench_queries: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// One in ten passes `> 90`.
static double celsius_of(uint32_t i)
{
    return (double)((i * 7919) % 1000) / 10;
}

static size_t make_pipit(uint8_t *out, uint32_t i)
{
    Pipit__V1__Field celsius = PIPIT__V1__FIELD__INIT, humidity = PIPIT__V1__FIELD__INIT;
    Pipit__V1__Field *fields[] = {&celsius, &humidity};
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    celsius.name = (char *)(uintptr_t) "celsius";
    celsius.value_case = PIPIT__V1__FIELD__VALUE_REAL;
    celsius.real = celsius_of(i);
    humidity.name = (char *)(uintptr_t) "humidity";
    humidity.value_case = PIPIT__V1__FIELD__VALUE_REAL;
    humidity.real = 58.2;
    event.boot = 7;
    event.type = (char *)(uintptr_t) "temperature";
    event.sequence = i + 1;
    event.device_time_case = PIPIT__V1__EVENT__DEVICE_TIME_TIME;
    event.time = NOW_MS + i;
    event.n_fields = 2;
    event.fields = fields;
    return pipit__v1__event__pack(&event, out);
}

static size_t make_json(char *out, size_t size, uint32_t i)
{
    int len = snprintf(out, size,
                       "{\"data\":{\"co\":0.004532068199369834,\"humidity\":58.2,\"light\":true,"
                       "\"temp\":%.1f},\"device_id\":\"5e:44:3b:f3:79:c8\",\"ts\":1594598735.77}",
                       celsius_of(i));
    return (size_t)len;
}

static size_t make_protobuf(uint8_t *out, uint32_t i)
{
    Bench__Data data = BENCH__DATA__INIT;
    Bench__Reading reading = BENCH__READING__INIT;
    data.co = 0.004532068199369834;
    data.humidity = 58.2;
    data.light = true;
    data.temp = celsius_of(i);
    reading.data = &data;
    reading.device_id = (char *)(uintptr_t) "5e:44:3b:f3:79:c8";
    reading.ts = 1594598735.77;
    return bench__reading__pack(&reading, out);
}

static void make_formats(struct bench *bench)
{
    struct error e;
    FILE *file = fopen(READING_DESCRIPTORS, "rb");
    size_t len = file == NULL ? 0 : fread(bench->descriptors, 1, sizeof(bench->descriptors), file);
    if (len == 0) {
        fprintf(stderr, "bench_queries: cannot read " READING_DESCRIPTORS "\n");
        exit(1);
    }
    fclose(file);
    bench->format = (struct format_spec){.name = "meter",
                                         .from = "meters/+/reading",
                                         .kind = FORMAT_PROTOBUF,
                                         .descriptors = bytes_of(bench->descriptors, len),
                                         .message = "bench.Reading"};
    const struct core_spec spec = {.formats = &bench->format, .format_count = 1};
    check(formats_create(&bench->formats, &spec, &e), &e);
    event_batch_set_formats(bench->batch, bench->formats);
}

static void make_messages(struct bench *bench)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        snprintf(bench->topics[i], sizeof(bench->topics[i]),
                 "pipit/v1/bench/d%02u/event/temperature", i % DEVICES);
        size_t len = make_pipit(bench->pipit[i], i);
        bench->messages[PAYLOAD_KIND_PIPIT][i] =
            (struct message){.topic = bytes_from_text(bench->topics[i]),
                             .payload = bytes_of(bench->pipit[i], len),
                             .received_ms = NOW_MS};
        len = make_json(bench->json[i], sizeof(bench->json[i]), i);
        bench->messages[PAYLOAD_KIND_JSON][i] =
            (struct message){.topic = bytes_from_text("legacy/d042/telemetry"),
                             .payload = bytes_of(bench->json[i], len),
                             .received_ms = NOW_MS};
        len = make_protobuf(bench->protobuf[i], i);
        bench->messages[PAYLOAD_KIND_PROTOBUF][i] =
            (struct message){.topic = bytes_from_text("meters/d042/reading"),
                             .payload = bytes_of(bench->protobuf[i], len),
                             .received_ms = NOW_MS};
    }
}

static void fill_sensors(sqlite3 *db)
{
    char sql[128];
    check_sqlite(sqlite3_exec(db, schema, NULL, NULL, NULL), db);
    for (uint32_t i = 0; i < DEVICES; i++) {
        snprintf(sql, sizeof(sql), "INSERT INTO sensors VALUES ('d%02u', 'site %u', 0.5)", i,
                 i % 7);
        check_sqlite(sqlite3_exec(db, sql, NULL, NULL, NULL), db);
    }
}

// The same events, as rows.
static void fill_events(struct bench *bench)
{
    sqlite3_stmt *insert;
    sqlite3 *db = bench->plain;
    check_sqlite(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), db);
    check_sqlite(
        sqlite3_prepare_v2(db, "INSERT INTO event VALUES (?1, ?2, ?3, ?4)", -1, &insert, NULL), db);
    for (uint32_t i = 0; i < BATCH * bench->batches; i++) {
        char device[8];
        snprintf(device, sizeof(device), "d%02u", i % BATCH % DEVICES);
        sqlite3_bind_text(insert, 1, device, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int64(insert, 2, NOW_MS + i);
        sqlite3_bind_double(insert, 3, celsius_of(i % BATCH));
        sqlite3_bind_text(insert, 4, bench->json[i % BATCH], -1, SQLITE_STATIC);
        check_sqlite(sqlite3_step(insert), db);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    check_sqlite(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), db);
}

static enum err no_output(void *context, const struct rule_output *output, struct error *e)
{
    (void)context;
    (void)output;
    (void)e;
    return ERR_OK;
}

static enum err stop_on_failure(void *context, uint32_t event_index, uint32_t rule_index,
                                const char *reason, struct error *e)
{
    (void)context;
    (void)event_index;
    (void)rule_index;
    return error_set(e, ERR_INTERNAL, "%s", reason);
}

static void count_rows(void *context, uint32_t event_index, uint32_t rule_index, uint32_t rows)
{
    (void)event_index;
    (void)rule_index;
    ((struct bench *)context)->rows += rows;
}

static const char *filter_of(const struct query *query)
{
    static const char *const filters[] = {"\"pipit/v1/+/+/event/temperature\"",
                                          "\"legacy/+/telemetry\"", "\"meters/+/reading\""};
    return filters[query->kind];
}

static double time_rule(struct bench *bench, const struct query *query)
{
    struct error e;
    char sql[400];
    snprintf(sql, sizeof(sql), query->rule, filter_of(query));
    const struct rule_spec rule = {.name = "bench", .sql = sql};
    const struct core_spec spec = {.rules = &rule, .rule_count = 1, .rule_steps_max = 1000000};
    const struct rule_sink sink = {bench, no_output, stop_on_failure, count_rows};
    struct rules *rules;
    check(rules_open(&rules, bench->db, &spec, &e), &e);
    uint64_t spent = 0;
    bench->rows = 0;
    for (uint32_t batch = 0; batch < bench->batches; batch++) {
        event_batch_clear(bench->batch);
        for (uint32_t i = 0; i < BATCH; i++) {
            struct event *event;
            check(event_batch_add(bench->batch, &bench->messages[query->kind][i], &event, &e), &e);
        }
        uint64_t begun = cpu_ns();
        for (uint32_t i = 0; i < BATCH; i++) {
            check(event_validate(event_batch_at(bench->batch, i), &e), &e);
        }
        check(rules_run(rules, bench->batch, NULL, NOW_MS, &sink, &e), &e);
        spent += cpu_ns() - begun;
    }
    rules_close(rules);
    return (double)spent / ((double)bench->batches * BATCH);
}

static double time_plain(struct bench *bench, const struct query *query)
{
    char sql[400];
    snprintf(sql, sizeof(sql), query->plain == NULL ? query->rule : query->plain, "event");
    sqlite3_stmt *statement;
    check_sqlite(sqlite3_prepare_v2(bench->plain, sql, -1, &statement, NULL), bench->plain);
    uint64_t begun = cpu_ns(), rows = 0;
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        rows++;
    }
    uint64_t spent = cpu_ns() - begun;
    check_sqlite(rc, bench->plain);
    sqlite3_finalize(statement);
    if (rows != bench->rows) {
        fprintf(stderr, "bench_queries: %s gives %llu rows as a rule, %llu in a table\n",
                query->name, (unsigned long long)bench->rows, (unsigned long long)rows);
        exit(1);
    }
    return (double)spent / ((double)bench->batches * BATCH);
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

static void measure(struct bench *bench, const struct query *query, uint32_t rounds)
{
    double rule[ROUNDS_MAX], plain[ROUNDS_MAX];
    for (uint32_t round = 0; round < rounds; round++) {
        rule[round] = time_rule(bench, query);
        plain[round] = time_plain(bench, query);
    }
    printf("\"%s\": [%.0f, %.0f]", query->name, median(rule, rounds), median(plain, rounds));
}

int main(int argc, char **argv)
{
    uint32_t events = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000000;
    uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 5;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    struct bench *bench = calloc(1, sizeof(*bench));
    struct error e;
    if (bench == NULL || sqlite3_open(":memory:", &bench->db) != SQLITE_OK ||
        sqlite3_open(":memory:", &bench->plain) != SQLITE_OK) {
        return 1;
    }
    bench->batches = events < BATCH ? 1 : events / BATCH;
    check(event_batch_create(&bench->batch, BATCH, &e), &e);
    make_formats(bench);
    make_messages(bench);
    fill_sensors(bench->db);
    fill_sensors(bench->plain);
    fill_events(bench);
    printf("{\"events\": %u, \"rounds\": %u", BATCH * bench->batches, rounds);
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        printf(", ");
        measure(bench, &queries[i], rounds);
        fflush(stdout);
    }
    printf("}\n");
    event_batch_destroy(bench->batch);
    formats_destroy(bench->formats);
    sqlite3_close(bench->plain);
    sqlite3_close(bench->db);
    free(bench);
    return 0;
}
