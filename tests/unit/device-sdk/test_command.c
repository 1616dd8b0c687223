// Commands: run once, answered as often as asked, refused in words; against a scripted link.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipit/v1/pipit.pb-c.h"
#include "scripted_link.h"

#define SLOTS     2
#define SLOT_ROOM 64

static uint8_t ring[4096];
static uint8_t buffer[512];
static uint8_t memory[PIPIT_COMMAND_MEMORY(SLOTS, SLOT_ROOM)];
static struct pipit_ram_spool spool;
static struct scripted_link script;
static struct pipit_device device;
static struct pipit_config config;
static uint64_t wall;
static unsigned runs;
static int32_t answer;
static const char *reply_note;
static const char *reply_type; // Of the payload that it answers with, instead of fields.
static struct pipit_bytes reply_payload;

static uint64_t clock_ms(void *context)
{
    (void)context;
    return wall;
}

static int32_t on_command(void *context, const struct pipit_command *command,
                          struct pipit_sink *reply)
{
    struct pipit_field level;
    assert_ptr_equal(context, &runs);
    runs++;
    if (reply_type != NULL) {
        (void)pipit_reply_payload(reply, reply_type, reply_payload);
    } else if (pipit_command_field(command, "level", &level) == PIPIT_OK) {
        (void)pipit_reply_add(reply, &level);
    }
    if (reply_note != NULL) {
        (void)pipit_reply_text(reply, reply_note);
    }
    // A callback may publish, and must not poll.
    assert_int_equal(pipit_publish(&device, "ran", PIPIT_UNSIGNED("n", runs)), PIPIT_OK);
    assert_int_equal(pipit_poll(&device, 0), PIPIT_ERR_STATE);
    return answer;
}

static int setup(void **state)
{
    (void)state;
    runs = 0;
    answer = 0;
    reply_note = NULL;
    reply_type = NULL;
    wall = 1000;
    config = (struct pipit_config){.group = "plant",
                                   .device = "pump",
                                   .spool = &spool.base,
                                   .link = &script.base,
                                   .buffer = buffer,
                                   .buffer_bytes = sizeof(buffer),
                                   .clock_ms = clock_ms,
                                   .on_command = on_command,
                                   .command_context = &runs,
                                   .command_memory = memory,
                                   .command_slots = SLOTS,
                                   .command_slot_bytes = PIPIT_COMMAND_SLOT(SLOT_ROOM)};
    script_init(&script);
    (void)pipit_ram_spool_init(&spool, ring, sizeof(ring), PIPIT_DROP_OLDEST, 7);
    assert_int_equal(pipit_init(&device, &config), PIPIT_OK);
    return 0;
}

static void polls(void)
{
    for (int i = 0; i < 6; i++) {
        assert_int_equal(pipit_poll(&device, 10), PIPIT_OK);
    }
}

static void command(const char *id, uint64_t expires)
{
    Pipit__V1__Field field = PIPIT__V1__FIELD__INIT;
    Pipit__V1__Field *fields = &field;
    Pipit__V1__Command message = PIPIT__V1__COMMAND__INIT;
    uint8_t packed[200];
    field.name = (char *)(uintptr_t) "level";
    field.value_case = PIPIT__V1__FIELD__VALUE_SIGNED;
    field.signed_ = 3;
    message.id = (char *)(uintptr_t)id;
    message.name = (char *)(uintptr_t) "set/boost";
    message.expiry_case = expires != 0 ? PIPIT__V1__COMMAND__EXPIRY_EXPIRES : 0;
    message.expires = expires;
    message.n_fields = 1;
    message.fields = &fields;
    size_t size = pipit__v1__command__pack(&message, packed);
    script_message(&script, "pipit/v1/plant/pump/command/set/boost", packed, size);
    polls();
}

// The n-th reply that was sent; NULL when there were not so many.
static const struct script_sent *reply_sent(size_t n)
{
    for (size_t i = 0; i < script.sent_count; i++) {
        if (strcmp(script.sent[i].topic, "pipit/v1/plant/pump/reply/set/boost") == 0 && n-- == 0) {
            return &script.sent[i];
        }
    }
    return NULL;
}

static void expect_reply(size_t n, const char *id, int32_t status, size_t fields)
{
    const struct script_sent *sent = reply_sent(n);
    assert_non_null(sent);
    Pipit__V1__Reply *reply = pipit__v1__reply__unpack(NULL, sent->len, sent->payload);
    assert_non_null(reply);
    assert_string_equal(reply->id, id);
    assert_int_equal(reply->status, status);
    assert_int_equal(reply->n_fields, fields);
    pipit__v1__reply__free_unpacked(reply, NULL);
}

static void settle(size_t n)
{
    script_ack(&script, reply_sent(n)->token, PIPIT_OK);
    polls();
}

static void test_once(void **state)
{
    (void)state;
    polls();
    command("c1", 0);
    assert_int_equal(runs, 1);
    expect_reply(0, "c1", 0, 1);
    settle(0);
    command("c1", 0); // Delivered twice: run once, answered twice, with the same bytes.
    assert_int_equal(runs, 1);
    assert_int_equal(reply_sent(0)->len, reply_sent(1)->len);
    assert_memory_equal(reply_sent(0)->payload, reply_sent(1)->payload, reply_sent(0)->len);
    assert_int_equal(pipit_counters(&device)->repeated_commands, 1);
}

static void test_status_and_text(void **state)
{
    (void)state;
    answer = PIPIT_ERR_UNKNOWN;
    reply_note = "no such thing";
    polls();
    command("c1", 0);
    expect_reply(0, "c1", PIPIT_ERR_UNKNOWN, 1);
}

static void test_oldest_is_forgotten(void **state)
{
    (void)state;
    polls();
    const char *ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        command(ids[i], 0);
        settle(i);
    }
    command("b", 0); // Still remembered: two slots.
    assert_int_equal(runs, 3);
    settle(3);
    command("a", 0); // Beyond the memory that the caller gave.
    assert_int_equal(runs, 4);
}

static void test_no_slot_free(void **state)
{
    (void)state;
    polls();
    command("a", 0);
    command("b", 0);
    command("c", 0); // The replies of a and b are not acknowledged: c is not run.
    assert_int_equal(runs, 2);
    expect_reply(2, "c", PIPIT_ERR_BUSY, 0);
    settle(0);
    command("c", 0); // And can be run later.
    assert_int_equal(runs, 3);
}

static void test_expired(void **state)
{
    (void)state;
    polls();
    command("a", 999);
    assert_int_equal(runs, 0);
    expect_reply(0, "a", PIPIT_ERR_EXPIRED, 0);
    command("b", 1000);
    assert_int_equal(runs, 1);
    settle(1);
    wall = 5000;
    command("b", 1000); // Done in time: repeats its answer.
    expect_reply(2, "b", 0, 1);
    settle(2);
    wall = 0; // The clock is not set: deadlines cannot be judged.
    command("d", 1);
    assert_int_equal(runs, 2);
}

static void test_reply_too_long(void **state)
{
    (void)state;
    reply_note = "a text that is much longer than the slot which the caller has set aside for it";
    polls();
    command("a", 0);
    assert_int_equal(runs, 1);
    expect_reply(0, "a", PIPIT_ERR_SIZE, 0);
    char id[PIPIT_COMMAND_ID_MAX + 1];
    memset(id, 'i', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    command(id, 0); // Id and name do not fit the slot: not run.
    assert_int_equal(runs, 1);
    expect_reply(1, id, PIPIT_ERR_SIZE, 0);
}

static void test_reply_larger_than_the_link_takes(void **state)
{
    (void)state;
    polls();
    reply_note = "a text that fits the slot";
    script.base.message_max = 90;
    command("a", 0);
    assert_int_equal(runs, 1);
    expect_reply(0, "a", PIPIT_ERR_SIZE, 0); // Kept as it was it would block all later replies.
}

static void test_reply_larger_than_the_broker_takes(void **state)
{
    (void)state;
    polls();
    script.room = 0;
    reply_note = "a text that fits the slot";
    command("a", 0);
    reply_note = NULL;
    command("b", 0);
    script.payload_max = 24;
    script.room = 100;
    polls();
    expect_reply(0, "a", PIPIT_ERR_SIZE, 0);
    expect_reply(1, "b", 0, 1);
    settle(0);
    settle(1);
    script.payload_max = 4; // Not even that: given up, the slot is free again.
    command("c", 0);
    command("d", 0);
    command("e", 0);
    assert_int_equal(runs, 5);
    assert_null(reply_sent(2));
}

// An answer in bytes of its own, as a camera's or a configuration file; the payload stays the
// caller's.
static void test_reply_with_payload(void **state)
{
    (void)state;
    static const uint8_t picture[] = {0xFF, 0xD8, 0x00, 0xD9};
    static const uint8_t large[SLOT_ROOM];
    static const struct {
        const char *why, *type;
        struct pipit_bytes payload;
        int32_t status;
    } cases[] = {
        {"bytes that are no text", "image/jpeg", {picture, sizeof(picture)}, 0},
        {"an empty payload is one", "text/plain", {picture, 0}, 0},
        {"a type must be a text", "\xFF", {picture, sizeof(picture)}, PIPIT_ERR_TEXT},
        {"larger than the slot", "image/jpeg", {large, sizeof(large)}, PIPIT_ERR_SIZE},
    };
    polls();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char id[] = {(char)('a' + i), '\0'};
        print_message("%s\n", cases[i].why);
        reply_type = cases[i].type;
        reply_payload = cases[i].payload;
        command(id, 0);
        const struct script_sent *sent = reply_sent(i);
        assert_non_null(sent);
        Pipit__V1__Reply *reply = pipit__v1__reply__unpack(NULL, sent->len, sent->payload);
        bool is_given = cases[i].status == PIPIT_OK;
        assert_non_null(reply);
        assert_string_equal(reply->id, id);
        assert_int_equal(reply->status, cases[i].status);
        assert_int_equal(reply->n_fields, 0);
        assert_string_equal(reply->content_type, is_given ? cases[i].type : "");
        assert_int_equal(reply->payload.len, is_given ? cases[i].payload.len : 0);
        assert_memory_equal(reply->payload.data, cases[i].payload.ptr, reply->payload.len);
        pipit__v1__reply__free_unpacked(reply, NULL);
        settle(i);
    }
}

static void test_reply_outlives_the_link(void **state)
{
    (void)state;
    polls();
    script.room = 0;
    command("a", 0);
    assert_null(reply_sent(0));
    script.room = 100;
    polls();
    assert_non_null(reply_sent(0));
    script_down(&script, PIPIT_ERR_UNREACHABLE); // Before it was acknowledged.
    for (uint32_t now = 0; now < 5000; now += 100) {
        assert_int_equal(pipit_poll(&device, now), PIPIT_OK);
    }
    expect_reply(1, "a", 0, 1);
    assert_int_equal(runs, 1);
}

static void test_malformed(void **state)
{
    (void)state;
    polls();
    const uint8_t other_name[] = {0x0A, 1, 'i', 0x12, 1, 'x'};
    script_message(&script, "pipit/v1/plant/pump/command/boost", other_name, sizeof(other_name));
    script_message(&script, "pipit/v1/plant/pump/command/x", other_name, 3);
    script_message(&script, "pipit/v1/plant/pump/command/", other_name, 3);
    script_message(&script, "pipit/v1/plant/pump", other_name, 3);
    polls();
    assert_int_equal(runs, 0);
    assert_int_equal(pipit_counters(&device)->refused_messages, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_once, setup),
        cmocka_unit_test_setup(test_status_and_text, setup),
        cmocka_unit_test_setup(test_oldest_is_forgotten, setup),
        cmocka_unit_test_setup(test_no_slot_free, setup),
        cmocka_unit_test_setup(test_expired, setup),
        cmocka_unit_test_setup(test_reply_too_long, setup),
        cmocka_unit_test_setup(test_reply_larger_than_the_link_takes, setup),
        cmocka_unit_test_setup(test_reply_larger_than_the_broker_takes, setup),
        cmocka_unit_test_setup(test_reply_with_payload, setup),
        cmocka_unit_test_setup(test_reply_outlives_the_link, setup),
        cmocka_unit_test_setup(test_malformed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
