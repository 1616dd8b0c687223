// A device whose spool is full: it refuses or gives up by its policy, and says how many it gave up.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipit/v1/pipit.pb-c.h"
#include "scripted_link.h"

#define PUBLISHED 100u

static uint8_t ring[400]; // 33 events of 12 bytes.
static uint8_t buffer[256];
static struct pipit_ram_spool spool;
static struct scripted_link script;
static struct pipit_device device;
static struct pipit_config config;

static void start(enum pipit_policy policy)
{
    config = (struct pipit_config){.group = "plant",
                                   .device = "pump",
                                   .spool = &spool.base,
                                   .link = &script.base,
                                   .buffer = buffer,
                                   .buffer_bytes = sizeof(buffer)};
    script_init(&script);
    assert_int_equal(pipit_ram_spool_init(&spool, ring, sizeof(ring), policy, 7), PIPIT_OK);
    assert_int_equal(pipit_init(&device, &config), PIPIT_OK);
}

// How many of PUBLISHED events were accepted.
static uint32_t publish(void)
{
    uint32_t accepted = 0;
    for (unsigned i = 0; i < PUBLISHED; i++) {
        enum pipit_err rc = pipit_publish(&device, "t", PIPIT_UNSIGNED("n", i));
        assert_true(rc == PIPIT_OK || rc == PIPIT_ERR_FULL);
        accepted += rc == PIPIT_OK ? 1 : 0;
    }
    return accepted;
}

// `dropped` of the status that it sends when it comes online.
static uint64_t told(void)
{
    for (int i = 0; i < 6; i++) {
        assert_int_equal(pipit_poll(&device, 10), PIPIT_OK);
    }
    assert_true(script.sent_count > 0);
    assert_string_equal(script.sent[0].topic, "pipit/v1/plant/pump/status");
    Pipit__V1__Status *status =
        pipit__v1__status__unpack(NULL, script.sent[0].len, script.sent[0].payload);
    assert_non_null(status);
    uint64_t dropped = status->dropped;
    pipit__v1__status__free_unpacked(status, NULL);
    return dropped;
}

static void test_policies(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        enum pipit_policy policy;
        uint32_t accepted, dropped;
    } cases[] = {
        {"what is refused was never accepted, so it is not dropped", PIPIT_REFUSE, 33, 0},
        {"each that is accepted costs an old one", PIPIT_DROP_OLDEST, PUBLISHED, PUBLISHED - 33},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("%s\n", cases[i].why);
        start(cases[i].policy);
        assert_int_equal(pipit_dropped(&device), 0);
        assert_int_equal(publish(), cases[i].accepted);
        assert_int_equal(pipit_dropped(&device), cases[i].dropped);
        assert_int_equal(pipit_waiting(&device) + pipit_dropped(&device), cases[i].accepted);
        assert_int_equal(told(), cases[i].dropped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
