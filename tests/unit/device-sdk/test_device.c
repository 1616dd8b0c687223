// The device against a scripted link in virtual time: window, receipts, resends, presence, backoff.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipit/v1/pipit.pb-c.h"
#include "scripted_link.h"

static uint8_t ring[65536];
static uint8_t buffer[512];
static struct pipit_ram_spool spool;
static struct scripted_link script;
static struct pipit_device device;
static struct pipit_config config;
static uint32_t now;

static void start_with(struct pipit_config extra, size_t ring_bytes)
{
    config = extra;
    config.group = "plant";
    config.device = "pump";
    config.software = "test 1";
    config.spool = &spool.base;
    config.link = &script.base;
    config.buffer = buffer;
    config.buffer_bytes = sizeof(buffer);
    config.seed = 42;
    script_init(&script);
    now = UINT32_MAX - 5000; // The clock wraps during the test.
    assert_int_equal(pipit_ram_spool_init(&spool, ring, ring_bytes, PIPIT_REFUSE, 7), PIPIT_OK);
    assert_int_equal(pipit_init(&device, &config), PIPIT_OK);
}

static int setup(void **state)
{
    (void)state;
    start_with((struct pipit_config){0}, sizeof(ring));
    return 0;
}

static void run_ms(uint32_t ms)
{
    for (uint32_t i = 0; i < ms; i += 100) {
        now += 100;
        assert_int_equal(pipit_poll(&device, now), PIPIT_OK);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pipit_poll(&device, now), PIPIT_OK);
    }
}

static void publish(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pipit_publish(&device, "t", PIPIT_UNSIGNED("n", i)), PIPIT_OK);
    }
}

static bool is_event(const struct script_sent *sent)
{
    return strstr(sent->topic, "/event/") != NULL;
}

static Pipit__V1__Event *event_at(size_t index)
{
    const struct script_sent *sent = &script.sent[index];
    Pipit__V1__Event *event = pipit__v1__event__unpack(NULL, sent->len, sent->payload);
    assert_non_null(event);
    return event;
}

// Events sent since `from`: how many, the first and last sequence, how many asked for a receipt.
struct tally {
    unsigned count, asked;
    uint64_t first, last;
    bool last_asked;
};

static struct tally tally_from(size_t from)
{
    struct tally tally = {0};
    for (size_t i = from; i < script.sent_count; i++) {
        if (!is_event(&script.sent[i])) {
            continue;
        }
        Pipit__V1__Event *event = event_at(i);
        tally.first = tally.count == 0 ? event->sequence : tally.first;
        tally.last = event->sequence;
        tally.count++;
        tally.asked += event->wants_receipt ? 1 : 0;
        tally.last_asked = event->wants_receipt;
        pipit__v1__event__free_unpacked(event, NULL);
    }
    return tally;
}

static void receipt(uint32_t boot, uint64_t upto, const uint8_t *bitmap, size_t bitmap_len)
{
    Pipit__V1__Receipt message = PIPIT__V1__RECEIPT__INIT;
    uint8_t packed[128];
    message.boot = boot;
    message.upto = upto;
    message.bitmap = (ProtobufCBinaryData){bitmap_len, (uint8_t *)(uintptr_t)bitmap};
    size_t size = pipit__v1__receipt__pack(&message, packed);
    script_message(&script, "pipit/v1/plant/pump/receipt", packed, size);
}

// The way to the hub is proven: event 1 was sent and is confirmed.
static void prove(void)
{
    publish(1);
    run_ms(100);
    receipt(7, 1, NULL, 0);
    run_ms(100);
    assert_int_equal(pipit_waiting(&device), 0);
}

static void test_presence(void **state)
{
    (void)state;
    publish(1);
    run_ms(100);
    assert_true(pipit_is_online(&device));
    assert_string_equal(script.client_id, "plant/pump");
    assert_string_equal(script.will.topic, "pipit/v1/plant/pump/status");
    Pipit__V1__Status *will = pipit__v1__status__unpack(NULL, script.will.len, script.will.payload);
    assert_non_null(will);
    assert_false(will->online);
    assert_int_equal(will->boot, 7);
    pipit__v1__status__free_unpacked(will, NULL);
    assert_string_equal(script.sent[0].topic, "pipit/v1/plant/pump/status");
    assert_true(script.sent[0].is_retained);
    Pipit__V1__Status *status =
        pipit__v1__status__unpack(NULL, script.sent[0].len, script.sent[0].payload);
    assert_true(status->online);
    assert_string_equal(status->software, "test 1");
    assert_int_equal(status->waiting, 1);
    pipit__v1__status__free_unpacked(status, NULL);
    assert_string_equal(script.sent[1].topic, "pipit/v1/plant/pump/event/t");
    assert_int_equal(script.sent[1].qos, 1);

    size_t before = script.sent_count;
    pipit_stop(&device);
    run_ms(100);
    assert_true(pipit_is_stopped(&device));
    assert_int_equal(script.disconnect_count, 1);
    status = pipit__v1__status__unpack(NULL, script.sent[before].len, script.sent[before].payload);
    assert_false(status->online);
    assert_true(script.sent[before].is_retained);
    pipit__v1__status__free_unpacked(status, NULL);
    assert_int_equal(pipit_waiting(&device), 1);
}

static void test_window(void **state)
{
    (void)state;
    prove();
    size_t from = script.sent_count;
    publish(400);
    run_ms(1000);
    struct tally tally = tally_from(from);
    assert_int_equal(tally.last, 2 + PIPIT_WINDOW); // Never more than 128 beyond the oldest, 2.
    assert_int_equal(tally.count, 129);
    assert_true(tally.last_asked); // Nothing moves until it is answered.
    from = script.sent_count;
    receipt(7, 11, NULL, 0);
    run_ms(100);
    tally = tally_from(from);
    assert_int_equal(tally.first, 131);
    assert_int_equal(tally.last, 12 + PIPIT_WINDOW);
    assert_int_equal(pipit_waiting(&device), 390);
    // A hole at 12: all of the window behind it is stored, and yet nothing beyond it may go.
    static uint8_t ones[16];
    memset(ones, 0xFF, sizeof(ones));
    ones[0] = 0xFE;
    from = script.sent_count;
    receipt(7, 11, ones, sizeof(ones));
    run_ms(100);
    assert_int_equal(tally_from(from).count, 0);
    assert_int_equal(pipit_waiting(&device), 390 - 127);
    receipt(7, 139, NULL, 0);
    run_ms(100);
    tally = tally_from(from);
    assert_int_equal(tally.last, 140 + PIPIT_WINDOW);
}

static void test_receipt_bitmap(void **state)
{
    (void)state;
    const uint8_t bitmap[] = {0x05, 0x01}; // 4, 6 and 12 beyond upto 3
    prove();
    publish(19);
    run_ms(100);
    receipt(7, 3, bitmap, sizeof(bitmap));
    run_ms(100);
    assert_int_equal(pipit_waiting(&device), 20 - 3 - 3);
    size_t from = script.sent_count;
    run_ms(10000); // The rest is sent again, and only the rest: the oldest, then all.
    struct tally tally = tally_from(from);
    assert_int_equal(tally.count, 1);
    assert_int_equal(tally.first, 5);
    receipt(7, 6, NULL, 0);
    run_ms(100);
    assert_int_equal(tally_from(from).count, 14);
    receipt(7, 20, NULL, 0);
    receipt(7, 20, NULL, 0); // Twice is once.
    run_ms(100);
    assert_int_equal(pipit_waiting(&device), 0);
    assert_int_equal(pipit_counters(&device)->confirmed, 20);
}

static void test_impossible_receipts(void **state)
{
    (void)state;
    const uint8_t high[] = {0x00, 0x80};
    publish(5);
    run_ms(100);
    receipt(7, 6, NULL, 0);            // Never accepted: someone else's.
    receipt(7, 0, high, sizeof(high)); // Likewise, in the bitmap.
    receipt(8, 5, NULL, 0);            // Another boot.
    script_message(&script, "pipit/v1/plant/pump/receipt", (const uint8_t *)"\x08", 1);
    script_message(&script, "pipit/v1/plant/other/receipt", (const uint8_t *)"", 0);
    run_ms(100);
    assert_int_equal(pipit_waiting(&device), 5);
    assert_int_equal(pipit_counters(&device)->refused_messages, 4);
}

static void test_resend(void **state)
{
    (void)state;
    prove();
    publish(3);
    run_ms(100);
    size_t from = script.sent_count;
    run_ms(9500);
    assert_int_equal(tally_from(from).count, 0);
    run_ms(500); // The oldest; the others when it is confirmed.
    assert_int_equal(tally_from(from).count, 1);
    assert_int_equal(tally_from(from).first, 2);
    assert_int_equal(pipit_counters(&device)->resent, 1);
    from = script.sent_count;
    run_ms(19000); // The second wait is twice as long.
    assert_int_equal(tally_from(from).count, 0);
    run_ms(1500);
    assert_int_equal(tally_from(from).count, 1);
    receipt(7, 4, NULL, 0);
    from = script.sent_count;
    run_ms(200000);
    assert_int_equal(tally_from(from).count, 0);
}

// A broker that was restarted may have forgotten the hub: what it takes then is gone, and events
// sent after the hub is back must not overtake it.
static void test_proves_the_way_to_the_hub(void **state)
{
    (void)state;
    publish(50);
    run_ms(500);
    struct tally tally = tally_from(0);
    assert_int_equal(tally.count, 1);
    assert_true(tally.last_asked);
    run_ms(1000); // Asked again after 1, 2, 4 s: nobody has heard it.
    assert_int_equal(tally_from(0).count, 2);
    run_ms(2000);
    assert_int_equal(tally_from(0).count, 3);
    assert_int_equal(tally_from(0).last, 1);
    size_t from = script.sent_count;
    receipt(7, 1, NULL, 0);
    run_ms(100);
    assert_int_equal(tally_from(from).count, 49);
    from = script.sent_count;
    script_down(&script, PIPIT_ERR_UNREACHABLE);
    run_ms(900);
    assert_int_equal(script.connect_count, 2);
    tally = tally_from(from);
    assert_int_equal(tally.first, 2); // At once after a reconnect, alone.
    assert_int_equal(tally.last, 2);
    receipt(7, 1, NULL, 0); // Late, for nothing that was sent here: proves nothing.
    run_ms(100);
    assert_int_equal(tally_from(from).last, 2);
    receipt(7, 2, NULL, 0);
    run_ms(100);
    assert_int_equal(tally_from(from).last, 50);
}

static void test_asks_at_burst_end(void **state)
{
    (void)state;
    prove();
    size_t from = script.sent_count;
    publish(10);
    run_ms(100);
    struct tally tally = tally_from(from);
    assert_int_equal(tally.asked, 1);
    assert_true(tally.last_asked);
    from = script.sent_count;
    publish(100);
    run_ms(100);
    tally = tally_from(from); // Half the window, and the end.
    assert_int_equal(tally.asked, 2);
    assert_true(tally.last_asked);
}

static void test_asks_at_half_the_spool(void **state)
{
    (void)state;
    start_with((struct pipit_config){0}, 400); // 33 events of 12 bytes.
    prove();
    size_t from = script.sent_count;
    publish(30);
    run_ms(100);
    struct tally tally = tally_from(from);
    assert_int_equal(tally.count, 30);
    assert_int_equal(tally.asked, 2); // At half the ring, and at the end.
}

static void test_asks_seldom_when_told(void **state)
{
    (void)state;
    start_with((struct pipit_config){.receipt_gap_ms = 60000}, sizeof(ring));
    publish(1);
    run_ms(100);
    assert_int_equal(tally_from(0).asked, 1); // The first has no gap before it.
    receipt(7, 1, NULL, 0);
    run_ms(100);
    size_t from = script.sent_count;
    for (int i = 0; i < 5; i++) {
        publish(1);
        run_ms(300);
    }
    assert_int_equal(tally_from(from).asked, 0);
    run_ms(1000); // Two seconds after the first that was not asked about, the newest asks.
    struct tally tally = tally_from(from);
    assert_int_equal(tally.count, 6);
    assert_int_equal(tally.asked, 1);
    assert_int_equal(tally.last, 6);
}

static void test_event_larger_than_the_buffer(void **state)
{
    (void)state;
    prove();
    size_t from = script.sent_count;
    publish(1);
    config.buffer_bytes = 36; // As if the program had been started with less.
    assert_int_equal(pipit_poll(&device, now), PIPIT_ERR_SIZE);
    assert_true(pipit_next_ms(&device) > 0); // No spinning on what does not change.
    config.buffer_bytes = sizeof(buffer);
    run_ms(1000);
    assert_int_equal(tally_from(from).count, 1);
}

static void test_busy_link(void **state)
{
    (void)state;
    prove();
    size_t from = script.sent_count;
    script.room = 2;
    publish(10);
    run_ms(500);
    assert_int_equal(tally_from(from).count, 2);
    assert_true(pipit_next_ms(&device) > 0); // No spinning while it is busy.
    script.room = 1000;
    run_ms(100);
    struct tally tally = tally_from(from);
    assert_int_equal(tally.count, 10);
    assert_int_equal(tally.last, 11);
}

static void test_full_is_an_answer(void **state)
{
    (void)state;
    start_with((struct pipit_config){0}, 64);
    enum pipit_err rc;
    unsigned accepted = 0;
    while ((rc = pipit_publish(&device, "t", PIPIT_UNSIGNED("n", 1))) == PIPIT_OK) {
        accepted++;
    }
    assert_int_equal(rc, PIPIT_ERR_FULL);
    run_ms(100);
    receipt(7, accepted, NULL, 0);
    run_ms(100);
    publish(accepted); // As many again.
    assert_int_equal(spool.base.next_sequence, 2 * accepted + 1);
}

static void test_puback_mode(void **state)
{
    (void)state;
    start_with((struct pipit_config){.confirm = PIPIT_CONFIRM_PUBACK, .qos = PIPIT_QOS_2},
               sizeof(ring));
    publish(5);
    run_ms(100);
    assert_true(script.is_clean_start);
    struct tally tally = tally_from(0);
    assert_int_equal(tally.count, 5);
    assert_int_equal(tally.asked, 0);
    assert_int_equal(script.sent[1].qos, 2);
    script_ack(&script, script.sent[3].token, PIPIT_OK); // The third event alone.
    script_ack(&script, script.sent[3].token, PIPIT_OK);
    script_ack(&script, script.sent[1].token, PIPIT_ERR_REFUSED);
    run_ms(100);
    assert_int_equal(pipit_waiting(&device), 4);
    for (size_t i = 1; i <= 5; i++) {
        script_ack(&script, script.sent[i].token, PIPIT_OK);
    }
    run_ms(100);
    assert_int_equal(pipit_waiting(&device), 0);
    publish(1);
    script_ack(&script, script.sent[1].token, PIPIT_OK); // Late: hits nothing.
    run_ms(100);
    assert_int_equal(pipit_waiting(&device), 1);
}

// The connection itself delivers what was published; only what the broker refused is sent again.
static void test_puback_mode_resends_only_what_was_refused(void **state)
{
    (void)state;
    start_with((struct pipit_config){.confirm = PIPIT_CONFIRM_PUBACK, .resend_ms = 5000},
               sizeof(ring));
    publish(2);
    run_ms(60000);
    assert_int_equal(tally_from(0).count, 2);
    size_t before = script.sent_count;
    script_ack(&script, script.sent[1].token, PIPIT_ERR_REFUSED);
    script_ack(&script, script.sent[2].token, PIPIT_OK);
    run_ms(4000);
    assert_int_equal(script.sent_count, before);
    run_ms(2000);
    struct tally tally = tally_from(before);
    assert_int_equal(tally.count, 1);
    assert_int_equal(tally.first, 1);
    script_ack(&script, script.sent[before].token, PIPIT_OK);
    run_ms(20000);
    assert_int_equal(pipit_waiting(&device), 0);
    assert_int_equal(script.sent_count, before + 1);
    publish(1); // A later refusal waits no longer than the first.
    run_ms(100);
    script_ack(&script, script.sent[before + 1].token, PIPIT_ERR_REFUSED);
    run_ms(6000);
    assert_int_equal(script.sent_count, before + 3);
}

static uint32_t time_to_next_connect(void)
{
    size_t before = script.connect_count;
    uint32_t start = now;
    while (script.connect_count == before) {
        now++;
        assert_int_equal(pipit_poll(&device, now), PIPIT_OK);
        assert_true(now - start < 100000);
    }
    return now - start;
}

static void test_backoff(void **state)
{
    (void)state;
    script.accepts = false;
    run_ms(0);
    assert_int_equal(script.connect_count, 1); // The first at once.
    uint32_t previous = 500;
    uint32_t longest = 0;
    for (int i = 0; i < 200; i++) {
        uint32_t sleep = time_to_next_connect();
        uint32_t high = previous * 3 < 60000 ? previous * 3 : 60000;
        assert_true(sleep >= 500 && sleep <= high + 2);
        previous = sleep;
        longest = sleep > longest ? sleep : longest;
    }
    assert_true(longest > 30000);
}

// Devices that fall together when all have come near the cap must not come back together.
static void test_backoff_is_spread_at_the_cap(void **state)
{
    (void)state;
    script.accepts = false;
    config.retry_base_ms = 10000;
    config.retry_cap_ms = 20000;
    run_ms(0);
    unsigned at_the_cap = 0;
    for (int i = 0; i < 40; i++) {
        at_the_cap += time_to_next_connect() >= 19900 ? 1 : 0;
    }
    assert_in_range(at_the_cap, 0, 4);
}

static void test_backoff_with_a_cap_below_the_base(void **state)
{
    (void)state;
    script.accepts = false;
    config.retry_base_ms = 500;
    config.retry_cap_ms = 200;
    run_ms(0);
    for (int i = 0; i < 10; i++) {
        assert_in_range(time_to_next_connect(), 200, 201);
    }
}

static void test_backoff_resets_only_when_stable(void **state)
{
    (void)state;
    script.accepts = false;
    uint32_t sleep = 0;
    for (int i = 0; i < 200 && sleep < 20000; i++) {
        sleep = time_to_next_connect();
    }
    assert_true(sleep >= 20000);
    script.accepts = true;
    (void)time_to_next_connect();
    uint32_t most = 0;
    for (int i = 0; i < 30; i++) { // Up for a moment each time: the backoff stays.
        run_ms(1000);
        assert_true(pipit_is_online(&device));
        script_down(&script, PIPIT_ERR_UNREACHABLE);
        sleep = time_to_next_connect();
        most = sleep > most ? sleep : most;
    }
    assert_true(most > 10000);
    run_ms(30100);
    script_down(&script, PIPIT_ERR_UNREACHABLE);
    assert_true(time_to_next_connect() <= 1502);
}

static void test_refused_subscription(void **state)
{
    (void)state;
    run_ms(100);
    script_down(&script, PIPIT_ERR_UNREACHABLE);
    run_ms(0);
    script.accepts = true;
    while (script.connect_count == 1) {
        now += 10;
        pipit_poll(&device, now);
        script.accepts = script.connect_count == 1; // Comes up, but refuses the subscription.
    }
    run_ms(0);
    assert_false(pipit_is_online(&device));
    assert_int_equal(pipit_link_error(&device), PIPIT_ERR_REFUSED);
    assert_true(script.disconnect_count >= 1);
}

static void test_stop_while_offline(void **state)
{
    (void)state;
    script.accepts = false;
    run_ms(100);
    pipit_stop(&device);
    run_ms(100);
    assert_true(pipit_is_stopped(&device));
}

static void test_config_is_checked(void **state)
{
    (void)state;
    const struct {
        const char *why, *group, *name;
        size_t buffer_bytes;
        enum pipit_err want;
    } cases[] = {
        {"good", "g", "d", 256, PIPIT_OK},
        {"no device", "g", NULL, 256, PIPIT_ERR_ARGUMENT},
        {"empty", "", "d", 256, PIPIT_ERR_TEXT},
        {"a slash", "g", "a/b", 256, PIPIT_ERR_TEXT},
        {"the hub's own level", "$hub", "d", 256, PIPIT_ERR_TEXT},
        {"a buffer without room for the will", "g", "d", 40, PIPIT_ERR_SIZE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pipit_config bad = config;
        bad.group = cases[i].group;
        bad.device = cases[i].name;
        bad.buffer_bytes = cases[i].buffer_bytes;
        if (pipit_init(&device, &bad) != cases[i].want) {
            fail_msg("%s", cases[i].why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_presence, setup),
        cmocka_unit_test_setup(test_window, setup),
        cmocka_unit_test_setup(test_receipt_bitmap, setup),
        cmocka_unit_test_setup(test_impossible_receipts, setup),
        cmocka_unit_test_setup(test_resend, setup),
        cmocka_unit_test_setup(test_proves_the_way_to_the_hub, setup),
        cmocka_unit_test_setup(test_asks_at_burst_end, setup),
        cmocka_unit_test_setup(test_asks_at_half_the_spool, setup),
        cmocka_unit_test_setup(test_asks_seldom_when_told, setup),
        cmocka_unit_test_setup(test_event_larger_than_the_buffer, setup),
        cmocka_unit_test_setup(test_busy_link, setup),
        cmocka_unit_test_setup(test_full_is_an_answer, setup),
        cmocka_unit_test_setup(test_puback_mode, setup),
        cmocka_unit_test_setup(test_puback_mode_resends_only_what_was_refused, setup),
        cmocka_unit_test_setup(test_backoff, setup),
        cmocka_unit_test_setup(test_backoff_is_spread_at_the_cap, setup),
        cmocka_unit_test_setup(test_backoff_with_a_cap_below_the_base, setup),
        cmocka_unit_test_setup(test_backoff_resets_only_when_stable, setup),
        cmocka_unit_test_setup(test_refused_subscription, setup),
        cmocka_unit_test_setup(test_stop_while_offline, setup),
        cmocka_unit_test_setup(test_config_is_checked, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
