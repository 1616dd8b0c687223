// core_support.h - a core over a real store, fed with events and settlements as the hub does it.
#ifndef PIPIT_TEST_CORE_SUPPORT_H
#define PIPIT_TEST_CORE_SUPPORT_H

#include "store_support.h"

#include <pipit/v1/pipit.pb-c.h>

#include "core/core.h"

#define INPUTS_MAX  6000
#define FLIGHT_MAX  6000
#define PAYLOAD_MAX 512

struct fixture {
    struct folder folder;
    struct store *store;
    struct core *core;
    struct core_spec spec;
    struct route_spec routes[2];
    struct rule_spec rules[2];
    struct target_spec targets[2];
    int64_t now_ms;
    struct input inputs[INPUTS_MAX];
    uint32_t count; // Of inputs for the next step.
    uint8_t payloads[INPUTS_MAX][PAYLOAD_MAX];
    char topics[INPUTS_MAX][64];
    struct outcome outcome;
    struct error e;
    const struct delivery *taken[FLIGHT_MAX];
};

static inline void fixture_open(struct fixture *fixture)
{
    fixture->store = open_store(fixture->folder.store_path);
    assert_ok(core_open(&fixture->core, fixture->store, &fixture->spec, &fixture->e), fixture->e);
}

static inline void fixture_close(struct fixture *fixture)
{
    core_close(fixture->core);
    store_close(fixture->store);
    fixture->core = NULL;
    fixture->store = NULL;
}

static inline void fixture_reopen(struct fixture *fixture)
{
    fixture_close(fixture);
    fixture_open(fixture);
}

// One rule "hot" that takes what is at 50 or above, keyed by device, to the target "bus".
static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    folder_create(&fixture->folder);
    fixture->now_ms = 1700000000000;
    fixture->routes[0] = (struct route_spec){.target = 0, .topic = "hot/{device}", .qos = 1};
    fixture->routes[1] = (struct route_spec){.target = 1, .topic = "copy/{device}"};
    fixture->rules[0] = (struct rule_spec){
        .name = "hot",
        .sql = "SELECT device, celsius FROM \"pipit/v1/+/+/event/temperature\" WHERE celsius >= 50",
        .key = "device",
        .routes = fixture->routes,
        .route_count = 1};
    fixture->targets[0] = (struct target_spec){
        .name = "bus", .attempts_max = 3, .backoff_min_ms = 1000, .backoff_max_ms = 8000};
    fixture->targets[1] = (struct target_spec){
        .name = "log", .attempts_max = 3, .backoff_min_ms = 1000, .backoff_max_ms = 8000};
    fixture->spec = (struct core_spec){.hub_id = "h1",
                                       .rules = fixture->rules,
                                       .rule_count = 1,
                                       .targets = fixture->targets,
                                       .target_count = 1,
                                       .store_limit_bytes = 64 << 20,
                                       .quarantine_limit_bytes = 1 << 20,
                                       .payload_bytes_max = 400,
                                       .rule_steps_max = 100000};
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture);
    folder_remove(&fixture->folder);
    free(fixture);
    return 0;
}

static inline struct message *add_message(struct fixture *fixture, const char *topic,
                                          struct bytes payload)
{
    uint32_t i = fixture->count++;
    assert_true(i < INPUTS_MAX && payload.len <= PAYLOAD_MAX);
    if (payload.len > 0) {
        memcpy(fixture->payloads[i], payload.ptr, payload.len);
    }
    snprintf(fixture->topics[i], sizeof(fixture->topics[i]), "%s", topic);
    fixture->inputs[i] = (struct input){
        .kind = INPUT_MESSAGE,
        .message = {.topic = bytes_from_text(fixture->topics[i]),
                    .payload = bytes_of(fixture->payloads[i], payload.len),
                    .qos = 1,
                    .received_ms = fixture->now_ms},
    };
    return &fixture->inputs[i].message;
}

struct reading {
    const char *device;
    uint32_t boot;
    uint64_t sequence;
    double celsius;
    bool wants_receipt;
    uint32_t padding_bytes;
};

static inline void add_reading(struct fixture *fixture, const struct reading *reading)
{
    static uint8_t zeroes[PAYLOAD_MAX];
    uint8_t packed[2 * PAYLOAD_MAX];
    char topic[64];
    Pipit__V1__Field value = PIPIT__V1__FIELD__INIT, padding = PIPIT__V1__FIELD__INIT;
    Pipit__V1__Field *fields[] = {&value, &padding};
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    value.name = "celsius";
    value.value_case = PIPIT__V1__FIELD__VALUE_REAL;
    value.real = reading->celsius;
    padding.name = "padding";
    padding.value_case = PIPIT__V1__FIELD__VALUE_DATA;
    padding.data = (ProtobufCBinaryData){reading->padding_bytes, zeroes};
    event.boot = reading->boot;
    event.sequence = reading->sequence;
    event.type = "temperature";
    event.n_fields = reading->padding_bytes > 0 ? 2 : 1;
    event.fields = fields;
    event.wants_receipt = reading->wants_receipt;
    snprintf(topic, sizeof(topic), "pipit/v1/g/%s/event/temperature", reading->device);
    add_message(fixture, topic, bytes_of(packed, pipit__v1__event__pack(&event, packed)));
}

// The device's event at 60 degrees, which the rule wants.
static inline void add_hot(struct fixture *fixture, const char *device, uint64_t sequence)
{
    add_reading(fixture, &(struct reading){device, 1, sequence, 60, false, 0});
}

static inline void add_settlement(struct fixture *fixture, uint64_t id, enum verdict verdict)
{
    fixture->inputs[fixture->count++] = (struct input){
        .kind = INPUT_SETTLEMENT,
        .settlement = {.delivery_id = id,
                       .verdict = verdict,
                       .reason = verdict == VERDICT_DONE ? NULL : "the target said no"},
    };
}

// The inputs stay, for those who try again.
static inline enum err try_step(struct fixture *fixture)
{
    return core_step(fixture->core, fixture->inputs, fixture->count, fixture->now_ms,
                     &fixture->outcome, &fixture->e);
}

static inline void step(struct fixture *fixture)
{
    assert_ok(try_step(fixture), fixture->e);
    fixture->count = 0;
}

static inline uint32_t take(struct fixture *fixture, uint32_t target, uint32_t max)
{
    return core_take(fixture->core, target, max, 1 << 30, fixture->now_ms, fixture->taken);
}

static inline struct books books_of(const struct fixture *fixture)
{
    struct books books;
    core_books(fixture->core, &books);
    return books;
}

static inline void operate(struct fixture *fixture, int kind, uint64_t first, uint64_t last)
{
    fixture->inputs[fixture->count++] =
        (struct input){.kind = INPUT_OPERATION, .operation = {kind, first, last}};
    step(fixture);
}

#endif
