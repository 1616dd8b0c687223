// What the store keeps of workflows: instances with their tokens, what they wait for, events that
// came too early. Written, read again by another connection's eyes, rolled back.
#include "core/workflow_kept.h"
#include "core/workflow_rows.h"
#include "core/workflow_wait.h"
#include "store_support.h"

static struct workflow_step steps[3] = {{.name = "one"}, {.name = "two"}, {.name = "three"}};
static struct workflow_definition definition = {
    .id = 7, .workflow_id = 3, .name = "order", .keep_ms = 1000, .steps = steps, .step_count = 3};

static struct workflow_definition *find(void *context, int64_t id)
{
    (void)context;
    return id == definition.id ? &definition : NULL;
}

struct fixture {
    struct store *store;
    struct workflow_instances *instances;
    struct workflow_waits *waits;
    struct workflow_kept *kept;
    struct event_memory memory;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const struct store_options options = {.path = ":memory:"};
    struct error e;
    assert_int_equal(store_open(&fixture->store, &options, &e), ERR_OK);
    assert_int_equal(workflow_instances_create(&fixture->instances, fixture->store, find, NULL, &e),
                     ERR_OK);
    assert_int_equal(workflow_waits_create(&fixture->waits, fixture->store, &e), ERR_OK);
    assert_int_equal(workflow_kept_create(&fixture->kept, fixture->store, &e), ERR_OK);
    event_memory_init(&fixture->memory);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    workflow_instances_destroy(fixture->instances);
    workflow_waits_destroy(fixture->waits);
    workflow_kept_destroy(fixture->kept);
    event_memory_deinit(&fixture->memory);
    store_close(fixture->store);
    free(fixture);
    return 0;
}

static void begin(struct fixture *fixture)
{
    struct error e;
    assert_int_equal(store_begin(fixture->store, true, &e), ERR_OK);
}

static void commit(struct fixture *fixture)
{
    struct error e;
    assert_int_equal(workflow_instances_write(fixture->instances, &e), ERR_OK);
    assert_int_equal(store_commit(fixture->store, &e), ERR_OK);
    workflow_instances_forget(fixture->instances);
    workflow_waits_commit(fixture->waits);
    workflow_kept_commit(fixture->kept);
}

static void rollback(struct fixture *fixture)
{
    store_rollback(fixture->store);
    workflow_instances_forget(fixture->instances);
    workflow_waits_rollback(fixture->waits);
    workflow_kept_rollback(fixture->kept);
}

static struct workflow_instance *add(struct fixture *fixture, const char *key,
                                     enum workflow_state as)
{
    const struct instance_spec spec = {.definition = &definition,
                                       .key = key,
                                       .event = "plant/d1/1/1",
                                       .take_variables = json_pack("{s:i}", "amount", 5),
                                       .state = as,
                                       .now_ms = 100};
    struct workflow_instance *instance = NULL;
    struct error e = {0};
    assert_int_equal(workflow_instance_add(fixture->instances, &spec, &instance, &e), ERR_OK);
    return instance;
}

static struct workflow_instance *get(struct fixture *fixture, int64_t id)
{
    struct workflow_instance *instance = NULL;
    struct error e = {0};
    assert_int_equal(workflow_instance_get(fixture->instances, id, &instance, &e), ERR_OK);
    return instance;
}

static int64_t find_key(struct fixture *fixture, const char *key, enum instance_turn turn)
{
    const struct instance_wanted wanted = {.workflow = 3, .key = key, .turn = turn};
    int64_t id = -1;
    struct error e;
    assert_int_equal(workflow_instance_find(fixture->instances, &wanted, &id, &e), ERR_OK);
    return id;
}

static struct workflow_token *add_token(struct workflow_instance *instance, workflow_place step)
{
    struct workflow_token *token = NULL;
    struct error e;
    assert_int_equal(workflow_token_add(instance, step, &token, &e), ERR_OK);
    return token;
}

static void an_instance_is_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    struct workflow_instance *instance = add(fixture, "17", INSTANCE_RUNNING);
    int64_t id = instance->id;
    struct workflow_token *token = add_token(instance, 1);
    *token = (struct workflow_token){.id = 1,
                                     .step = 1,
                                     .execution = 4,
                                     .attempt = 2,
                                     .phase = TOKEN_WAITING,
                                     .arrived_ms = 90,
                                     .deadline_ms = 5000,
                                     .delivery = 25000000000001,
                                     .is_sent = true,
                                     .items = json_pack("[s,s]", "a", "b"),
                                     .total = 2};
    token = add_token(instance, 2);
    token->parent = 1;
    token->scope = json_pack("{s:s}", "item", "a");
    token = add_token(instance, 2);
    token->parent = 2;
    token = add_token(instance, 2);
    token->is_gone = true;
    json_object_set_new(instance->variables, "amount", json_real(7.25));
    json_array_append_new(instance->undo, json_pack("{s:i}", "step", 1));
    instance->error = strdup("timeout");
    workflow_instance_touch(instance, 120);
    commit(fixture);

    instance = get(fixture, id);
    assert_non_null(instance);
    assert_string_equal(instance->key, "17");
    assert_int_equal(instance->changed_ms, 120);
    assert_int_equal(instance->token_count, 3); // Without the one that has ended.
    assert_int_equal(instance->next_token, 5);  // No number is used twice.
    token = workflow_token_of(instance, 4);
    assert_int_equal(token->delivery, 25000000000001);
    assert_true(token->is_sent && token->phase == TOKEN_WAITING && token->attempt == 2);
    assert_int_equal(json_array_size(token->items), 2);
    assert_null(token->scope);
    token = workflow_token_find(instance, 3);
    const json_t *scope = workflow_token_scope(instance, token);
    assert_string_equal(json_string_value(json_object_get(scope, "item")), "a");
    assert_null(workflow_token_find(instance, 4));
    assert_true(json_real_value(json_object_get(instance->variables, "amount")) == 7.25);
    assert_int_equal(json_integer_value(json_object_get(instance->start, "amount")), 5);
    assert_int_equal(json_array_size(instance->undo), 1);
    assert_string_equal(instance->error, "timeout");
}

static void a_rollback_takes_an_instance_back(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    int64_t id = add(fixture, "1", INSTANCE_RUNNING)->id;
    rollback(fixture);
    assert_null(get(fixture, id));
    begin(fixture);
    assert_int_equal(add(fixture, "1", INSTANCE_RUNNING)->id, id);
    commit(fixture);
}

static void keys_are_found_as_the_batch_has_left_them(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    struct workflow_instance *first = add(fixture, "a", INSTANCE_RUNNING);
    int64_t second = add(fixture, "a", INSTANCE_QUEUED)->id;
    add(fixture, "b", INSTANCE_RUNNING);
    assert_int_equal(find_key(fixture, "a", TURN_BEGUN), first->id);
    assert_int_equal(find_key(fixture, "a", TURN_QUEUED), second);
    first->state = INSTANCE_COMPLETED; // Not written yet.
    first->ended_ms = 130;
    assert_int_equal(find_key(fixture, "a", TURN_QUEUED), second);
    assert_int_equal(find_key(fixture, "a", TURN_BEGUN), 0);
    assert_int_equal(find_key(fixture, "c", TURN_BEGUN), 0);
    workflow_instance_touch(first, 130);
    commit(fixture);
    assert_int_equal(find_key(fixture, "a", TURN_QUEUED), second);
    assert_int_equal(find_key(fixture, "a", TURN_BEGUN), 0);
    uint64_t count = 0;
    assert_int_equal(workflow_instances_count(fixture->instances, 7, &count, NULL), ERR_OK);
    assert_int_equal(count, 2);
}

static void what_has_ended_is_dropped_when_its_time_is_over(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    for (int i = 0; i < 3; i++) {
        struct workflow_instance *instance = add(fixture, "a", INSTANCE_RUNNING);
        instance->state = INSTANCE_FAILED;
        instance->ended_ms = 100 + i;
    }
    commit(fixture);
    assert_int_equal(workflow_instances_due_ms(fixture->instances), 1100);
    static const struct {
        const char *why;
        int64_t now_ms, want_due_ms;
    } cases[] = {
        {"not before", 1099, 1100},
        {"two of three at a time", 1102, 1102},
        {"the last", 1102, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e;
        begin(fixture);
        assert_int_equal(workflow_instances_prune(fixture->instances, cases[i].now_ms, 2, &e),
                         ERR_OK);
        commit(fixture);
        assert_int_equal(workflow_instances_due_ms(fixture->instances), cases[i].want_due_ms);
    }
}

static void an_instance_without_its_definition_can_be_given_up(void **state)
{
    struct fixture *fixture = *state;
    struct workflow_instance *instance = NULL;
    struct error e = {0};
    bool was_there;
    begin(fixture);
    int64_t id = add(fixture, "a", INSTANCE_RUNNING)->id;
    commit(fixture);
    definition.id = 8;
    assert_int_equal(workflow_instance_get(fixture->instances, id, &instance, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "--abandon"));
    definition.id = 7;
    for (int i = 0; i < 2; i++) {
        begin(fixture);
        assert_int_equal(workflow_instance_abandon(fixture->instances, id, 500, &was_there, &e),
                         ERR_OK);
        commit(fixture);
        assert_int_equal(was_there, i == 0);
    }
    assert_int_equal(get(fixture, id)->state, INSTANCE_CANCELLED);
}

static void damaged_tokens_are_refused(void **state)
{
    static const struct {
        const char *why, *tokens;
        bool is_good;
    } cases[] = {
        {"as we write them", "[[1,0,0,2,3]]", true},
        {"none", "[]", true},
        {"no array", "{}", false},
        {"no JSON", "[[1,", false},
        {"a text for a number", "[[\"1\"]]", false},
        {"a step that is not there", "[[1,0,0,3]]", false},
        {"negative", "[[-1]]", false},
        {"too large", "[[4294967296]]", false},
        {"no such phase", "[[1,0,0,0,1,1,9]]", false},
        {"too many", "[[1,0,0,0,1,1,0,0,0,0,0,0,0,0,0,null,[],[],1]]", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct workflow_instance *instance = workflow_instance_create();
        instance->definition = &definition;
        if (workflow_tokens_read(instance, bytes_from_text(cases[i].tokens)) != cases[i].is_good) {
            fail_msg("%s: %s", cases[i].why, cases[i].tokens);
        }
        workflow_instance_destroy(instance);
    }
}

static struct workflow_wait_list waiting(struct fixture *fixture, const char *value)
{
    const struct workflow_wait like = {.definition = 7, .step = 2, .value = value};
    struct workflow_wait_list found = {.memory = &fixture->memory, .count_max = 10};
    struct error e;
    assert_int_equal(workflow_waits_for(fixture->waits, &like, &found, &e), ERR_OK);
    return found;
}

static void put_wait(struct fixture *fixture, struct workflow_wait wait)
{
    struct error e;
    wait.definition = 7;
    wait.step = 2;
    assert_int_equal(workflow_wait_put(fixture->waits, &wait, &e), ERR_OK);
}

static void waits_are_found_by_value_and_by_time(void **state)
{
    struct fixture *fixture = *state;
    struct workflow_wait_list due = {.memory = &fixture->memory, .count_max = 10};
    struct error e;
    assert_int_equal(workflow_waits_next_due_ms(fixture->waits), INT64_MAX);
    begin(fixture);
    put_wait(fixture,
             (struct workflow_wait){.instance = 2, .token = 1, .value = "x", .due_ms = 50});
    put_wait(fixture,
             (struct workflow_wait){.instance = 1, .token = 1, .value = "x", .due_ms = 70});
    put_wait(fixture, (struct workflow_wait){.instance = 3, .token = 1, .value = "y"});
    put_wait(fixture, (struct workflow_wait){.instance = 4, .token = 1, .due_ms = 60});
    commit(fixture);
    assert_int_equal(workflow_waits_next_due_ms(fixture->waits), 50);
    struct workflow_wait_list found = waiting(fixture, "x");
    assert_int_equal(found.count, 2);
    assert_int_equal(found.waits[0].instance, 1);
    assert_string_equal(found.waits[1].value, "x");
    assert_int_equal(workflow_waits_due(fixture->waits, 60, &due, &e), ERR_OK);
    assert_int_equal(due.count, 2);
    assert_int_equal(due.waits[0].instance, 2); // The earliest first.
    assert_null(due.waits[1].value);

    begin(fixture);
    put_wait(fixture, (struct workflow_wait){.instance = 2, .token = 1, .value = "z"});
    assert_int_equal(workflow_wait_drop(fixture->waits, 4, 1, &e), ERR_OK);
    rollback(fixture);
    assert_int_equal(workflow_waits_next_due_ms(fixture->waits), 50);
    begin(fixture);
    put_wait(fixture, (struct workflow_wait){.instance = 2, .token = 1, .value = "z"});
    assert_int_equal(workflow_wait_drop(fixture->waits, 4, 1, &e), ERR_OK);
    commit(fixture);
    assert_int_equal(workflow_waits_next_due_ms(fixture->waits), 70);
    assert_int_equal(waiting(fixture, "x").count, 1);
}

static void keep_event(struct fixture *fixture, const char *payload, int64_t until_ms)
{
    static const struct user_property property = {{(const uint8_t *)"a", 1},
                                                  {(const uint8_t *)"b", 1}};
    const struct kept_place place = {3, "paid", "17"};
    const struct message message = {.topic = bytes_from_text("shop/payments"),
                                    .payload = bytes_from_text(payload),
                                    .properties = &property,
                                    .property_count = 1,
                                    .qos = 1,
                                    .received_ms = 90};
    struct event_batch *batch = NULL;
    struct event *event = NULL;
    struct error e;
    assert_int_equal(event_batch_create(&batch, 1, &e), ERR_OK);
    assert_int_equal(event_batch_add(batch, &message, &event, &e), ERR_OK);
    event_set_identity(event, "shop", "web", 2, 9);
    event_set_time(event, 80);
    event_set_id(event, "shop/web/2/9");
    assert_int_equal(
        workflow_kept_put(fixture->kept, &place, event, until_ms, &fixture->memory, &e), ERR_OK);
    event_batch_destroy(batch);
}

static struct kept_event next_kept(struct fixture *fixture, int64_t after_id, int64_t now_ms)
{
    const struct kept_search search = {{3, "paid", "17"}, after_id, now_ms, &fixture->memory};
    struct kept_event found;
    struct error e;
    assert_int_equal(workflow_kept_next(fixture->kept, &search, &found, &e), ERR_OK);
    return found;
}

static void kept_events_are_whole_and_run_out(void **state)
{
    struct fixture *fixture = *state;
    struct error e;
    begin(fixture);
    keep_event(fixture, "{\"amount\":1}", 1000);
    keep_event(fixture, "{\"amount\":2}", 2000);
    commit(fixture);
    assert_int_equal(workflow_kept_due_ms(fixture->kept), 1000);
    struct kept_event first = next_kept(fixture, 0, 999);
    assert_int_equal(first.message.payload.len, 12);
    assert_memory_equal(first.message.payload.ptr, "{\"amount\":1}", 12);
    assert_string_equal(first.event_id, "shop/web/2/9");
    assert_string_equal(first.group, "shop");
    assert_string_equal(first.device, "web");
    assert_true(first.boot == 2 && first.sequence == 9 && first.has_time && first.time_ms == 80);
    assert_int_equal(first.message.property_count, 1);
    assert_int_equal(first.message.received_ms, 90);
    assert_int_not_equal(next_kept(fixture, first.id, 999).id, 0);
    assert_int_equal(next_kept(fixture, 0, 1000).id, first.id + 1); // The first has run out.
    begin(fixture);
    assert_int_equal(workflow_kept_prune(fixture->kept, 1000, 10, &e), ERR_OK);
    rollback(fixture);
    assert_int_equal(workflow_kept_due_ms(fixture->kept), 1000);
    begin(fixture);
    assert_int_equal(workflow_kept_drop(fixture->kept, first.id, &e), ERR_OK);
    assert_int_equal(workflow_kept_prune(fixture->kept, 2000, 10, &e), ERR_OK);
    commit(fixture);
    assert_int_equal(workflow_kept_due_ms(fixture->kept), INT64_MAX);
    assert_int_equal(next_kept(fixture, 0, 0).id, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_instance_is_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rollback_takes_an_instance_back, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_found_as_the_batch_has_left_them, setup, teardown),
        cmocka_unit_test_setup_teardown(what_has_ended_is_dropped_when_its_time_is_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_instance_without_its_definition_can_be_given_up, setup,
                                        teardown),
        cmocka_unit_test(damaged_tokens_are_refused),
        cmocka_unit_test_setup_teardown(waits_are_found_by_value_and_by_time, setup, teardown),
        cmocka_unit_test_setup_teardown(kept_events_are_whole_and_run_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
