// Who is online: what devices say in their status, and nothing else.
#include "core/workflow_parts.h"
#include "event_support.h"
#include "store_support.h"

struct fixture {
    struct store *store;
    struct workflow_presence *presence;
    struct event_batch *batch;
    struct error e;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->store = open_store(":memory:");
    assert_ok(workflow_presence_create(&fixture->presence, fixture->store, &fixture->e),
              fixture->e);
    assert_ok(event_batch_create(&fixture->batch, 4, &fixture->e), fixture->e);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    workflow_presence_destroy(fixture->presence);
    event_batch_destroy(fixture->batch);
    store_close(fixture->store);
    free(fixture);
    return 0;
}

// What the device says at that time; gives whether it came online by it.
static bool say(struct fixture *fixture, const char *device, bool is_online, int64_t now_ms)
{
    char topic[100];
    uint8_t packed[100];
    Pipit__V1__Status status = PIPIT__V1__STATUS__INIT;
    status.online = is_online;
    status.boot = 3;
    struct bytes payload = bytes_of(packed, pipit__v1__status__pack(&status, packed));
    snprintf(topic, sizeof(topic), "pipit/v1/%s/status", device);
    const struct message message = message_of(topic, payload);
    struct event *event;
    bool came_online = false;
    event_batch_clear(fixture->batch);
    assert_ok(event_batch_add(fixture->batch, &message, &event, &fixture->e), fixture->e);
    assert_int_equal(event_kind(event), EVENT_STATUS);
    assert_ok(workflow_presence_note(fixture->presence, event, now_ms, &came_online, &fixture->e),
              fixture->e);
    return came_online;
}

static enum presence presence_of(struct fixture *fixture, const char *device)
{
    enum presence presence;
    assert_ok(workflow_presence_get(fixture->presence, device, &presence, &fixture->e), fixture->e);
    return presence;
}

static const struct {
    const char *why;
    bool is_online, came_online;
    enum presence presence;
    int64_t at; // Since when it is so.
} sayings[] = {
    {"the first we hear of it", true, true, PRESENCE_ONLINE, 1000},
    {"the same again changes nothing", true, false, PRESENCE_ONLINE, 1000},
    {"its last will", false, false, PRESENCE_OFFLINE, 1002},
    {"the retained one, once more", false, false, PRESENCE_OFFLINE, 1002},
    {"it is back", true, true, PRESENCE_ONLINE, 1004},
};

static void a_device_comes_and_goes(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(presence_of(fixture, "plant/press"), PRESENCE_UNKNOWN);
    for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
        bool came_online = say(fixture, "plant/press", sayings[i].is_online, 1000 + (int64_t)i);
        if (came_online != sayings[i].came_online ||
            presence_of(fixture, "plant/press") != sayings[i].presence ||
            ask(fixture->store, "SELECT at FROM pipit_presence") != sayings[i].at) {
            fail_msg("%s", sayings[i].why);
        }
    }
    assert_int_equal(presence_of(fixture, "plant/pres"), PRESENCE_UNKNOWN);
    assert_int_equal(presence_of(fixture, "plant/press4"), PRESENCE_UNKNOWN);
}

static void what_is_rolled_back_was_not_said(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(store_begin(fixture->store, true, &fixture->e), fixture->e);
    assert_true(say(fixture, "plant/press", true, 1));
    store_rollback(fixture->store);
    assert_int_equal(presence_of(fixture, "plant/press"), PRESENCE_UNKNOWN);
    assert_true(say(fixture, "plant/press", true, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_device_comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_rolled_back_was_not_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
