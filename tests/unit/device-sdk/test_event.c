// Event writer: its bytes against protobuf-c's, the size that was promised, and what it refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "device.h"
#include "pipit/pipit.h"
#include "pipit/v1/pipit.pb-c.h"

#define FIELDS_MAX 8

static uint8_t ring[65536];
static uint8_t buffer[8192];
static struct pipit_ram_spool spool;
static struct pipit_link no_link;
static struct pipit_device device;
static struct pipit_config config;
static uint32_t random_state = 20260101;

static uint32_t random_next(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static int setup(void **state)
{
    (void)state;
    config = (struct pipit_config){.group = "g",
                                   .device = "d",
                                   .spool = &spool.base,
                                   .link = &no_link,
                                   .buffer = buffer,
                                   .buffer_bytes = sizeof(buffer)};
    assert_int_equal(pipit_ram_spool_init(&spool, ring, sizeof(ring), PIPIT_DROP_OLDEST, 7),
                     PIPIT_OK);
    return pipit_init(&device, &config);
}

static ProtobufCBinaryData to_binary(struct pipit_bytes bytes)
{
    return (ProtobufCBinaryData){bytes.len, (uint8_t *)(uintptr_t)bytes.ptr};
}

static char *to_string(struct pipit_bytes bytes)
{
    char *text = test_calloc(1, bytes.len + 1);
    memcpy(text, bytes.ptr, bytes.len);
    return text;
}

// The same field, for protobuf-c.
static void field_mirror(const struct pipit_field *from, Pipit__V1__Field *to)
{
    pipit__v1__field__init(to);
    to->name = to_string(from->name);
    to->value_case = (Pipit__V1__Field__ValueCase)from->kind;
    switch (from->kind) {
    case PIPIT_KIND_BOOL:
        to->boolean = from->value.boolean;
        break;
    case PIPIT_KIND_SIGNED:
        to->signed_ = from->value.integer;
        break;
    case PIPIT_KIND_UNSIGNED:
        to->unsigned_ = from->value.counter;
        break;
    case PIPIT_KIND_FLOAT:
        to->single = from->value.single;
        break;
    case PIPIT_KIND_DOUBLE:
        to->real = from->value.real;
        break;
    case PIPIT_KIND_TEXT:
        to->text = to_string(from->value.bytes);
        break;
    case PIPIT_KIND_DATA:
        to->data = to_binary(from->value.bytes);
        break;
    }
}

// What the device would send now for the record at the read position.
static struct pipit_sink encoded_next(bool wants_receipt)
{
    static uint8_t memory[16384];
    struct pipit_record record;
    struct pipit_sink sink;
    pipit_sink_init(&sink, memory, sizeof(memory));
    assert_int_equal(spool.base.type->peek(&spool.base, &record), PIPIT_OK);
    pipit_event_encode(&sink, &record, wants_receipt);
    spool.base.type->advance(&spool.base);
    spool.base.type->release(&spool.base, record.boot, 0, record.sequence);
    assert_int_equal(sink.rc, PIPIT_OK);
    return sink;
}

static void expect_same(const Pipit__V1__Event *event, const struct pipit_sink *sink)
{
    static uint8_t packed[16384];
    size_t size = pipit__v1__event__pack(event, packed);
    assert_int_equal(sink->len, size);
    assert_memory_equal(sink->ptr, packed, size);
}

static void compare(uint64_t sequence, const uint64_t *time, const struct pipit_field *fields,
                    size_t count, bool wants_receipt)
{
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    Pipit__V1__Field mirrors[FIELDS_MAX];
    Pipit__V1__Field *pointers[FIELDS_MAX];
    struct pipit_event_options options = {.has_time = time != NULL, .time_ms = time ? *time : 0};
    spool.base.next_sequence = sequence;
    spool.base.tail_sequence = sequence;
    spool.read_sequence = sequence;
    assert_int_equal(pipit_publish_fields(&device, "climate", fields, count, &options), PIPIT_OK);
    struct pipit_sink sink = encoded_next(wants_receipt);
    event.boot = spool.base.boot;
    event.sequence = sequence;
    event.type = (char *)(uintptr_t) "climate";
    event.device_time_case =
        time != NULL ? PIPIT__V1__EVENT__DEVICE_TIME_TIME : PIPIT__V1__EVENT__DEVICE_TIME__NOT_SET;
    event.time = options.time_ms;
    event.wants_receipt = wants_receipt;
    event.n_fields = count;
    event.fields = pointers;
    for (size_t i = 0; i < count; i++) {
        field_mirror(&fields[i], &mirrors[i]);
        pointers[i] = &mirrors[i];
    }
    expect_same(&event, &sink);
    for (size_t i = 0; i < count; i++) {
        test_free(mirrors[i].name);
        if (fields[i].kind == PIPIT_KIND_TEXT) {
            test_free(mirrors[i].text);
        }
    }
}

static void test_typical_size(void **state)
{
    (void)state;
    struct pipit_event_options options = {.has_time = true, .time_ms = 1594598735772};
    struct pipit_field fields[] = {PIPIT_FLOAT("temp", 27.0f), PIPIT_FLOAT("humidity", 58.2f)};
    spool.base.next_sequence = 1234;
    spool.base.tail_sequence = 1234;
    spool.read_sequence = 1234;
    assert_int_equal(pipit_publish_fields(&device, "climate", fields, 2, &options), PIPIT_OK);
    struct pipit_sink sink = encoded_next(true);
    assert_true(sink.len <= 55);
    assert_int_equal(sink.len, 53); // docs/PROTOCOL.md says so; 51 without the receipt's flag.
}

static void test_table(void **state)
{
    (void)state;
    static const uint8_t data[] = {0, 255, 1};
    uint64_t time = 1594598735772;
    uint64_t zero = 0;
    const struct {
        const char *why;
        struct pipit_field field;
    } cases[] = {
        {"false is written: a field has a value", PIPIT_BOOL("b", false)},
        {"true", PIPIT_BOOL("b", true)},
        {"zero is written", PIPIT_SIGNED("s", 0)},
        {"zigzag of -1", PIPIT_SIGNED("s", -1)},
        {"zigzag of the least", PIPIT_SIGNED("s", INT64_MIN)},
        {"zigzag of the greatest", PIPIT_SIGNED("s", INT64_MAX)},
        {"unsigned zero", PIPIT_UNSIGNED("u", 0)},
        {"one byte's greatest", PIPIT_UNSIGNED("u", 127)},
        {"two bytes' least", PIPIT_UNSIGNED("u", 128)},
        {"ten bytes", PIPIT_UNSIGNED("u", UINT64_MAX)},
        {"negative zero keeps its sign", PIPIT_FLOAT("f", -0.0f)},
        {"double", PIPIT_DOUBLE("d", 1e300)},
        {"empty text", PIPIT_TEXT("t", "")},
        {"text of several bytes a character", PIPIT_TEXT("t", "gr\xC3\xBC\xC3\x9F")},
        {"data with zeros", PIPIT_DATA("x", data, sizeof(data))},
        {"empty data", PIPIT_DATA("x", NULL, 0)},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        compare(1, NULL, &cases[i].field, 1, false);
        compare(UINT32_MAX, &time, &cases[i].field, 1, true);
        compare(300, &zero, &cases[i].field, 1, false);
    }
}

static struct pipit_field random_field(char *name, uint8_t *data)
{
    size_t name_len = 1 + random_next() % 20;
    size_t data_len = random_next() % 200;
    for (size_t i = 0; i < name_len; i++) {
        name[i] = (char)('a' + random_next() % 26);
    }
    name[name_len] = '\0';
    for (size_t i = 0; i < data_len; i++) {
        data[i] = (uint8_t)(1 + random_next() % 127); // Also valid text.
    }
    uint64_t bits =
        ((uint64_t)random_next() << 40 ^ (uint64_t)random_next() << 20 ^ random_next()) >>
        random_next() % 64;
    struct pipit_field field = PIPIT_UNSIGNED(name, bits);
    field.kind = (enum pipit_kind)(2 + random_next() % 7);
    switch (field.kind) {
    case PIPIT_KIND_BOOL:
        field.value.boolean = (bits & 1) != 0;
        break;
    case PIPIT_KIND_FLOAT:
        field.value.single = (float)bits;
        break;
    case PIPIT_KIND_DOUBLE:
        field.value.real = (double)bits / 3;
        break;
    case PIPIT_KIND_TEXT:
    case PIPIT_KIND_DATA:
        field.value.bytes = (struct pipit_bytes){data, data_len};
        break;
    default:
        break;
    }
    return field;
}

static void test_random(void **state)
{
    (void)state;
    static char names[FIELDS_MAX][32];
    static uint8_t data[FIELDS_MAX][256];
    struct pipit_field fields[FIELDS_MAX];
    for (int round = 0; round < 5000; round++) {
        size_t count = random_next() % (FIELDS_MAX + 1);
        uint64_t time = (uint64_t)random_next() << random_next() % 30;
        uint64_t sequence = 1 + ((uint64_t)random_next() << random_next() % 30);
        for (size_t i = 0; i < count; i++) {
            fields[i] = random_field(names[i], data[i]);
        }
        spool.base.boot = random_next();
        compare(sequence, random_next() % 2 ? &time : NULL, fields, count, random_next() % 2);
    }
}

static void test_payload(void **state)
{
    (void)state;
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    struct pipit_bytes json = pipit_text("{\"a\":1}");
    assert_int_equal(pipit_publish_payload(&device, "raw/deep", "application/json", json, NULL),
                     PIPIT_OK);
    struct pipit_sink sink = encoded_next(false);
    event.boot = 7;
    event.sequence = 1;
    event.type = (char *)(uintptr_t) "raw/deep";
    event.payload = to_binary(json);
    event.content_type = (char *)(uintptr_t) "application/json";
    expect_same(&event, &sink);
}

static void test_refused(void **state)
{
    (void)state;
    static char huge[9000];
    memset(huge, 'x', sizeof(huge) - 1);
    const struct {
        const char *why, *type;
        struct pipit_field field;
        enum pipit_err want;
    } cases[] = {
        {"no type", "", PIPIT_BOOL("b", true), PIPIT_ERR_ARGUMENT},
        {"wildcard", "a/+", PIPIT_BOOL("b", true), PIPIT_ERR_TEXT},
        {"empty level", "a//b", PIPIT_BOOL("b", true), PIPIT_ERR_TEXT},
        {"slash at the end", "a/", PIPIT_BOOL("b", true), PIPIT_ERR_TEXT},
        {"slash at the start", "/a", PIPIT_BOOL("b", true), PIPIT_ERR_TEXT},
        {"type that is not UTF-8", "\xFF", PIPIT_BOOL("b", true), PIPIT_ERR_TEXT},
        {"no name", "t", PIPIT_BOOL("", true), PIPIT_ERR_ARGUMENT},
        {"overlong UTF-8", "t", PIPIT_TEXT("n", "\xC0\x80"), PIPIT_ERR_TEXT},
        {"surrogate", "t", PIPIT_TEXT("n", "\xED\xA0\x80"), PIPIT_ERR_TEXT},
        {"beyond Unicode", "t", PIPIT_TEXT("n", "\xF4\x90\x80\x80"), PIPIT_ERR_TEXT},
        {"cut UTF-8", "t", PIPIT_TEXT("n", "\xE2\x82"), PIPIT_ERR_TEXT},
        {"larger than the buffer", "t", PIPIT_TEXT("n", huge), PIPIT_ERR_SIZE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum pipit_err rc = pipit_publish_fields(&device, cases[i].type, &cases[i].field, 1, NULL);
        if (rc != cases[i].want) {
            fail_msg("%s: got %s", cases[i].why, pipit_err_text(rc));
        }
    }
    assert_int_equal(spool.base.count, 0);
    assert_int_equal(spool.base.next_sequence, 1); // What was refused took no number.
}

// Each size of memory is either enough for the whole event or refused, and never run over.
static void test_every_size(void **state)
{
    (void)state;
    uint8_t memory[64];
    bool was_accepted = false;
    for (size_t size = 0; size <= sizeof(memory); size++) {
        uint8_t *exact = test_malloc(size + 1);
        struct pipit_event event = PIPIT_EVENT(memory);
        event.sink.ptr = exact;
        event.sink.size = size;
        exact[size] = 0xA5;
        (void)pipit_event_begin(&event, &device, "climate", NULL);
        (void)pipit_event_add(&event, &PIPIT_FLOAT("temp", 27.0f));
        (void)pipit_event_add(&event, &PIPIT_TEXT("note", "ok"));
        enum pipit_err rc = pipit_event_commit(&event);
        assert_true(rc == PIPIT_OK || rc == PIPIT_ERR_SIZE);
        assert_false(was_accepted && rc != PIPIT_OK);
        was_accepted = rc == PIPIT_OK;
        assert_int_equal(exact[size], 0xA5);
        if (rc == PIPIT_OK) {
            assert_int_equal(pipit_event_commit(&event), PIPIT_ERR_STATE);
        }
        test_free(exact);
    }
    assert_true(was_accepted);
}

static void test_fields_or_payload(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct pipit_event event = PIPIT_EVENT(memory);
    pipit_event_begin(&event, &device, "t", NULL);
    pipit_event_add(&event, &PIPIT_BOOL("b", true));
    assert_int_equal(pipit_event_payload(&event, "text/plain", pipit_text("x")),
                     PIPIT_ERR_ARGUMENT);
    assert_int_equal(pipit_event_commit(&event), PIPIT_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_typical_size, setup),
        cmocka_unit_test_setup(test_table, setup),
        cmocka_unit_test_setup(test_random, setup),
        cmocka_unit_test_setup(test_payload, setup),
        cmocka_unit_test_setup(test_refused, setup),
        cmocka_unit_test_setup(test_every_size, setup),
        cmocka_unit_test_setup(test_fields_or_payload, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
