// Events that workflows make for the hub: in order, whole, bounded a batch, as the store has them.
#include "core/workflow_parts.h"
#include "store_support.h"

struct fixture {
    struct store *store;
    struct workflow_inbox *inbox;
    struct event_memory memory;
    struct error e;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->store = open_store(":memory:");
    assert_ok(workflow_inbox_create(&fixture->inbox, fixture->store, &fixture->e), fixture->e);
    event_memory_init(&fixture->memory);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    workflow_inbox_destroy(fixture->inbox);
    event_memory_deinit(&fixture->memory);
    store_close(fixture->store);
    free(fixture);
    return 0;
}

static void begin(struct fixture *fixture)
{
    assert_ok(store_begin(fixture->store, true, &fixture->e), fixture->e);
}

static void commit(struct fixture *fixture)
{
    assert_ok(store_commit(fixture->store, &fixture->e), fixture->e);
    workflow_inbox_commit(fixture->inbox);
}

static void rollback(struct fixture *fixture)
{
    store_rollback(fixture->store);
    workflow_inbox_rollback(fixture->inbox);
}

static void put(struct fixture *fixture, uint32_t number)
{
    char id[32];
    snprintf(id, sizeof(id), "0badcafe/w%u-1-5", number);
    const struct inbox_entry entry = {
        .event_id = id,
        .hops = number,
        .message = {.topic = bytes_from_text("orders/new"),
                    .payload = bytes_of("{\0}", 3),
                    .content_type = bytes_from_text("application/json")},
    };
    assert_ok(workflow_inbox_put(fixture->inbox, &entry, bytes_of("a\0b\0", 4), 1700, &fixture->e),
              fixture->e);
}

static uint32_t take(struct fixture *fixture, const struct inbox_entry **out_entries)
{
    uint32_t count = 0;
    assert_ok(
        workflow_inbox_take(fixture->inbox, &fixture->memory, out_entries, &count, &fixture->e),
        fixture->e);
    return count;
}

static void an_event_comes_out_as_it_went_in(void **state)
{
    struct fixture *fixture = *state;
    const struct inbox_entry *entries;
    begin(fixture);
    put(fixture, 7);
    assert_int_equal(take(fixture, &entries), 1);
    const struct message *message = &entries[0].message;
    assert_string_equal(entries[0].event_id, "0badcafe/w7-1-5");
    assert_int_equal(entries[0].hops, 7);
    assert_true(bytes_equal(message->topic, bytes_from_text("orders/new")));
    assert_true(bytes_equal(message->payload, bytes_of("{\0}", 3)));
    assert_true(bytes_equal(message->content_type, bytes_from_text("application/json")));
    assert_int_equal(message->received_ms, 1700);
    assert_int_equal(message->property_count, 1);
    assert_true(bytes_equal(message->properties[0].name, bytes_from_text("a")));
    assert_true(bytes_equal(message->properties[0].value, bytes_from_text("b")));
    assert_int_equal(take(fixture, &entries), 0); // Once.
    commit(fixture);
    assert_true(workflow_inbox_is_empty(fixture->inbox));
}

static void so_many_at_a_time_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    const struct inbox_entry *entries;
    const uint32_t total = 2 * WORKFLOW_INBOX_MAX + 3;
    begin(fixture);
    for (uint32_t i = 0; i < total; i++) {
        put(fixture, i);
    }
    commit(fixture);
    uint32_t next = 0;
    while (!workflow_inbox_is_empty(fixture->inbox)) {
        begin(fixture);
        uint32_t count = take(fixture, &entries);
        assert_in_range(count, 1, WORKFLOW_INBOX_MAX);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(entries[i].hops, next++);
        }
        commit(fixture);
    }
    assert_int_equal(next, total);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_inbox"), 0);
}

static void memory_follows_the_store(void **state)
{
    struct fixture *fixture = *state;
    const struct inbox_entry *entries;
    begin(fixture);
    put(fixture, 1);
    assert_true(workflow_inbox_is_empty(fixture->inbox)); // As of the last commit.
    rollback(fixture);
    assert_true(workflow_inbox_is_empty(fixture->inbox));
    begin(fixture);
    put(fixture, 2);
    commit(fixture);
    assert_false(workflow_inbox_is_empty(fixture->inbox));
    begin(fixture);
    assert_int_equal(take(fixture, &entries), 1);
    rollback(fixture); // What was taken is there again.
    assert_false(workflow_inbox_is_empty(fixture->inbox));
    begin(fixture);
    assert_int_equal(take(fixture, &entries), 1);
    assert_int_equal(entries[0].hops, 2);
    commit(fixture);
    assert_true(workflow_inbox_is_empty(fixture->inbox));
}

static void a_new_process_finds_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    put(fixture, 3);
    commit(fixture);
    workflow_inbox_destroy(fixture->inbox);
    assert_ok(workflow_inbox_create(&fixture->inbox, fixture->store, &fixture->e), fixture->e);
    assert_false(workflow_inbox_is_empty(fixture->inbox));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_comes_out_as_it_went_in, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_at_a_time_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_follows_the_store, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_process_finds_what_is_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
