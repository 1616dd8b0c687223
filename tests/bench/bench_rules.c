// bench_rules - what decoding, rules and rendering cost: CPU nanoseconds an event.
//   bench_rules [batches [batch]]
// 55-byte Pipit events and 150-byte JSON messages; every event passes the filter of the rule.
#include <pipit/v1/pipit.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/rules.h"

#define PIPIT_TOPIC "pipit/v1/bench/d042/event/temperature"
#define JSON_TOPIC  "legacy/d042/telemetry"

struct bench {
    sqlite3 *db;
    struct event_batch *batch;
    uint32_t batches, batch_count;
    uint8_t pipit[128];
    size_t pipit_len;
    uint64_t outputs, output_bytes;
};

static void check(enum err rc, const struct error *e)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", e->text);
        exit(1);
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static enum err count_output(void *context, const struct rule_output *output, struct error *e)
{
    (void)e;
    struct bench *bench = context;
    bench->outputs++;
    bench->output_bytes += output->payload.len;
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

static void make_pipit(struct bench *bench)
{
    Pipit__V1__Field celsius = PIPIT__V1__FIELD__INIT, humidity = PIPIT__V1__FIELD__INIT;
    Pipit__V1__Field *fields[] = {&celsius, &humidity};
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    celsius.name = "celsius";
    celsius.value_case = PIPIT__V1__FIELD__VALUE_REAL;
    celsius.real = 31.25;
    humidity.name = "humidity";
    humidity.value_case = PIPIT__V1__FIELD__VALUE_REAL;
    humidity.real = 58.2;
    event.boot = 3;
    event.sequence = 12345;
    event.type = "temperature";
    event.device_time_case = PIPIT__V1__EVENT__DEVICE_TIME_TIME;
    event.time = 1700000000000;
    event.n_fields = 2;
    event.fields = fields;
    bench->pipit_len = pipit__v1__event__pack(&event, bench->pipit);
}

// One stage: decode only (sql NULL), or decode, rule and output. rule_count - 1 others never match.
static void measure(struct bench *bench, const char *name, const char *topic, struct bytes payload,
                    const char *sql, uint32_t rule_count, const struct route_spec *route)
{
    struct error e;
    struct rule_spec *specs = calloc(rule_count, sizeof(*specs));
    char(*texts)[64] = calloc(rule_count, sizeof(*texts));
    for (uint32_t i = 0; i < rule_count; i++) {
        snprintf(texts[i], sizeof(texts[i]), "SELECT device, celsius FROM \"other/%u/+/x\"", i);
        specs[i] = (struct rule_spec){.name = "r",
                                      .sql = i == 0 && sql != NULL ? sql : texts[i],
                                      .routes = route,
                                      .route_count = 1};
    }
    struct core_spec spec = {.rules = specs, .rule_count = rule_count, .rule_steps_max = 100000};
    struct rules *rules = NULL;
    check(rules_open(&rules, bench->db, &spec, &e), &e);
    struct message message = {.topic = bytes_from_text(topic), .payload = payload, .qos = 1};
    const struct rule_sink sink = {bench, count_output, stop_on_failure, NULL};
    bench->outputs = bench->output_bytes = 0;
    uint64_t begun = cpu_ns();
    for (uint32_t batch = 0; batch < bench->batches; batch++) {
        event_batch_clear(bench->batch);
        for (uint32_t i = 0; i < bench->batch_count; i++) {
            struct event *event;
            check(event_batch_add(bench->batch, &message, &event, &e), &e);
        }
        if (sql != NULL) {
            check(rules_run(rules, bench->batch, NULL, 1700000000000, &sink, &e), &e);
        }
    }
    uint64_t events = (uint64_t)bench->batches * bench->batch_count;
    printf("%-44s %6llu ns/event  %5.2f outputs  %3llu bytes\n", name,
           (unsigned long long)((cpu_ns() - begun) / events),
           (double)bench->outputs / (double)events,
           (unsigned long long)(bench->outputs == 0 ? 0 : bench->output_bytes / bench->outputs));
    rules_close(rules);
    free(texts);
    free(specs);
}

int main(int argc, char **argv)
{
    struct bench bench = {.batches = argc > 1 ? (uint32_t)atoi(argv[1]) : 500,
                          .batch_count = argc > 2 ? (uint32_t)atoi(argv[2]) : 1000};
    struct error e;
    if (sqlite3_open(":memory:", &bench.db) != SQLITE_OK) {
        return 1;
    }
    check(event_batch_create(&bench.batch, bench.batch_count, &e), &e);
    make_pipit(&bench);
    struct bytes pipit = bytes_of(bench.pipit, bench.pipit_len);
    struct bytes json = bytes_from_text(
        "{\"data\":{\"co\":0.004532068199369834,\"humidity\":58.2,\"light\":true,\"temp\":27.1},"
        "\"device_id\":\"5e:44:3b:f3:79:c8\",\"ts\":1594598735.77}");
    const struct route_spec to_json = {.topic = "alerts/{device}"},
                            plain_json = {.topic = "alerts"};
    const struct route_spec original = {.topic = "alerts", .format = PAYLOAD_ORIGINAL};
    const struct route_spec to_pipit = {.topic = "alerts/{device}", .format = PAYLOAD_PIPIT};
    static const char arithmetic[] = "SELECT device, celsius * 1.8 + 32 AS fahrenheit, time FROM "
                                     "\"pipit/v1/+/+/event/temperature\" WHERE celsius > 30";
    measure(&bench, "decode", PIPIT_TOPIC, pipit, NULL, 1, &to_json);
    measure(&bench, "filter, none passes", PIPIT_TOPIC, pipit,
            "SELECT 1 FROM \"pipit/v1/+/+/event/temperature\" WHERE celsius > 50", 1, &to_json);
    measure(&bench, "filter, payload as it came", PIPIT_TOPIC, pipit,
            "SELECT 1 FROM \"pipit/v1/+/+/event/temperature\" WHERE celsius > 30", 1, &original);
    measure(&bench, "filter, arithmetic, JSON", PIPIT_TOPIC, pipit, arithmetic, 1, &to_json);
    measure(&bench, "filter, arithmetic, JSON, 1000 rules", PIPIT_TOPIC, pipit, arithmetic, 1000,
            &to_json);
    measure(&bench, "filter, arithmetic, Pipit event", PIPIT_TOPIC, pipit, arithmetic, 1,
            &to_pipit);
    measure(&bench, "JSON payload, filter on a field", JSON_TOPIC, json,
            "SELECT 1 FROM \"legacy/+/telemetry\" WHERE \"data.temp\" > 25", 1, &original);
    measure(&bench, "JSON payload, two fields, JSON", JSON_TOPIC, json,
            "SELECT device_id, \"data.temp\" AS temp FROM \"legacy/+/telemetry\" WHERE temp > 25",
            1, &plain_json);
    event_batch_destroy(bench.batch);
    sqlite3_close(bench.db);
    return 0;
}
