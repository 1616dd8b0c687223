// Messages from anybody: topic, a line end, payload. Whatever they are, the step succeeds, each is
// counted once, and the books balance.
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"
#include "fuzz.h"
#include "pipit/v1/pipit.pb-c.h"
#include "store/store.h"

const uint32_t fuzz_count = 20000;

static const struct route_spec routes[] = {
    {.target = 0, .topic = "out/{device}", .format = PAYLOAD_JSON, .qos = 1},
    {.target = 0, .topic = "text/{device}", .format = PAYLOAD_TEXT, .text = "{v} {device}"},
    {.target = 0,
     .topic = "pipit/{device}",
     .format = PAYLOAD_PIPIT,
     .limit_bytes = 65536,
     .overflow = OVERFLOW_DROP_OLD},
    {.target = 0,
     .topic = "raw",
     .format = PAYLOAD_ORIGINAL,
     .limit_bytes = 65536,
     .overflow = OVERFLOW_DROP_NEW},
};
static const struct rule_spec rules[] = {
    {.name = "all",
     .sql =
         "SELECT device, celsius AS v, fields() AS f, \"a.b\" AS ab FROM \"pipit/v1/+/+/event/#\"",
     .key = "device",
     .routes = routes,
     .route_count = 4},
    {.name = "plain",
     .sql = "SELECT device, v, v / 2 AS half, \"a.0\" AS first FROM \"plain/+\" WHERE v > 0 OR v "
            "IS NULL",
     .key = "device",
     .routes = routes,
     .route_count = 4},
    {.name = "every",
     .sql = "SELECT topic_part(2) AS device, payload AS v FROM \"#\"",
     .routes = routes,
     .route_count = 2},
};
static const struct identity_spec identities[] = {
    {"plain", "plain/+", "coalesce(serial, topic_part(2))", "n", "b", "t"},
};
static const struct field_spec schema[] = {{"v", FIELD_NUMBER, false}, {"a.b", FIELD_ANY, false}};
static const struct format_spec formats[] = {
    {.name = "cbor", .from = "plain/cbor", .kind = FORMAT_CBOR},
    {.name = "json", .from = "plain/json", .kind = FORMAT_JSON, .fields = schema, .field_count = 2},
    {.name = "figures", .from = "plain/figures", .kind = FORMAT_NUMBER},
    {.name = "words", .from = "plain/words", .kind = FORMAT_TEXT},
    {.name = "ours", .from = "pipit/v1/+/+/event/cbor", .kind = FORMAT_CBOR},
};
static const struct target_spec targets[] = {
    {.name = "bus", .attempts_max = 3, .backoff_min_ms = 10, .backoff_max_ms = 100}};
static const struct core_spec spec = {.hub_id = "fuzz",
                                      .rules = rules,
                                      .rule_count = 3,
                                      .formats = formats,
                                      .format_count = 5,
                                      .identities = identities,
                                      .identity_count = 1,
                                      .targets = targets,
                                      .target_count = 1,
                                      .store_limit_bytes = 1 << 30,
                                      .quarantine_limit_bytes = 1 << 16,
                                      .payload_bytes_max = 1 << 20,
                                      .rule_steps_max = 100000,
                                      .is_mirror_on = true};
static struct store *store;
static struct core *core;
static int64_t now_ms = 1000;

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const texts[] = {
        "plain/b7\n{\"n\": 1, \"v\": 2.5, \"a\": {\"b\": [1, true, null, \"x\\u00e9\"]}}",
        "plain/b8\n{\"serial\": 17, \"n\": 3, \"b\": 9, \"t\": 1700000000000, \"v\": -1e300, "
        "\"a\": [[[]]]}",
        "plain/b9\n[1, 2, 3]",
        "plain/b9\n27.5",
        "plain/cbor\n\xa2\x61v\xf9\x3e\x01\x61\x61\xa1\x61\x62\x01",
        "plain/json\n{\"v\": 2.5, \"a\": {\"b\": [1]}}",
        "plain/figures\n27.5",
        "plain/words\non",
        "pipit/v1/g/d1/status\nx",
        "a/b/c\n\xff\xfe",
    };
    size_t text_count = sizeof(texts) / sizeof(texts[0]);
    if (index < text_count) {
        size_t len = strlen(texts[index]);
        memcpy(out, texts[index], len);
        return len;
    }
    if (index > text_count + 2 || size < 400) {
        return 0;
    }
    Pipit__V1__Field field = PIPIT__V1__FIELD__INIT;
    Pipit__V1__Field *fields[] = {&field};
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    field.name = "celsius";
    field.value_case = index % 2 == 0 ? PIPIT__V1__FIELD__VALUE_REAL : PIPIT__V1__FIELD__VALUE_TEXT;
    if (index % 2 == 0) {
        field.real = 21.5;
    } else {
        field.text = "warm";
    }
    event.boot = 1;
    event.sequence = index;
    event.type = "climate";
    event.wants_receipt = true;
    event.n_fields = 1;
    event.fields = fields;
    int at = sprintf((char *)out, "pipit/v1/g/d%u/event/climate\n", index);
    return (size_t)at + pipit__v1__event__pack(&event, out + at);
}

static void check(struct core *opened, enum err rc, const struct error *e)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", e->text);
    }
    assert(rc == ERR_OK && opened != NULL);
}

static void start(void)
{
    struct store_options options = {.path = ":memory:"};
    struct error e = {0};
    enum err rc = store_open(&store, &options, &e);
    rc = rc == ERR_OK ? core_open(&core, store, &spec, &e) : rc;
    check(core, rc, &e);
}

// Delivered, refused or to be tried again, by turns: the queue stays short.
static void settle_all(void)
{
    const struct delivery *taken[256];
    struct input inputs[256];
    struct outcome outcome;
    struct error e = {0};
    uint32_t count = core_take(core, 0, 256, 1 << 20, now_ms, taken);
    for (uint32_t i = 0; i < count; i++) {
        enum verdict verdict = (enum verdict[]){VERDICT_DONE, VERDICT_DONE, VERDICT_REJECT,
                                                VERDICT_RETRY}[taken[i]->id % 4];
        inputs[i] = (struct input){.kind = INPUT_SETTLEMENT};
        inputs[i].settlement = (struct settlement){.delivery_id = taken[i]->id,
                                                   .verdict = verdict,
                                                   .reason = verdict == VERDICT_DONE ? NULL : "no"};
    }
    if (count > 0) {
        check(core, core_step(core, inputs, count, now_ms, &outcome, &e), &e);
    }
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    if (core == NULL) {
        start();
    }
    const uint8_t *end = len == 0 ? NULL : memchr(ptr, '\n', len);
    size_t topic_len = end == NULL ? len : (size_t)(end - ptr);
    struct input input = {.kind = INPUT_MESSAGE};
    input.message.topic = (struct bytes){ptr, topic_len};
    input.message.payload =
        (struct bytes){end == NULL ? ptr : end + 1, end == NULL ? 0 : len - topic_len - 1};
    input.message.qos = 1;
    input.message.received_ms = ++now_ms;
    struct books before, after;
    struct outcome outcome;
    struct error e = {0};
    core_books(core, &before);
    check(core, core_step(core, &input, 1, now_ms, &outcome, &e), &e);
    core_books(core, &after);
    assert(after.received == before.received + 1);
    assert(after.received == after.routed + after.filtered + after.duplicate + after.rejected);
    assert(after.enqueued == after.delivered + after.waiting + after.dead + after.dropped);
    settle_all();
}
