// The counters of workflows: at every commit they are what the visits and instances themselves say,
// whatever the clock does, and after a rollback as if the batch had never been.
#include "core/workflow_parts.h"
#include "core/workflow_rows.h"
#include "store_support.h"

#define STEPS         3
#define VISITS_MAX    400
#define BATCHES       3000
#define INSTANCES_MAX 60

static struct workflow_step steps[STEPS] = {{.name = "one"}, {.name = "two"}, {.name = "three"}};
static struct workflow_definition definition = {
    .id = 1, .workflow_id = 1, .name = "order", .keep_ms = 1000, .steps = steps, .step_count = 3};

struct visit {
    workflow_place step;
    int64_t arrived_ms;
};

// What the tally is to say.
struct model {
    struct visit visits[VISITS_MAX];
    uint32_t count;
    uint64_t arrived[STEPS], failed[STEPS], retried[STEPS];
    enum workflow_state states[INSTANCES_MAX];
    uint32_t instances;
    uint64_t ignored;
};

struct fixture {
    struct store *store;
    struct workflows workflows;
    struct workflow_instance instances[INSTANCES_MAX]; // Only what the tally looks at.
    struct model model;
    uint64_t seed;
};

static uint32_t chance(struct fixture *fixture, uint32_t below)
{
    fixture->seed = fixture->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(fixture->seed >> 33) % below;
}

static void run_sql(struct store *store, const char *sql)
{
    if (sqlite3_exec(store_db(store), sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(store_db(store)));
    }
}

static void open_tally(struct fixture *fixture)
{
    struct error e;
    assert_ok(workflow_tally_create(&fixture->workflows.tally, fixture->store, &e), e);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->store = open_store(":memory:");
    run_sql(fixture->store,
            "INSERT INTO pipit_workflow(id, name, definition) VALUES (1, 'order', 1);"
            "INSERT INTO pipit_workflow_definition VALUES (1, 1, 'v', '{}', 0)");
    fixture->workflows.store = fixture->store;
    fixture->workflows.now_ms = 1000000;
    fixture->seed = 20261121;
    open_tally(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    workflow_tally_destroy(fixture->workflows.tally);
    store_close(fixture->store);
    free(fixture);
    return 0;
}

static void begin(struct fixture *fixture)
{
    struct error e;
    assert_ok(store_begin(fixture->store, true, &e), e);
}

static void commit(struct fixture *fixture)
{
    struct error e;
    assert_ok(workflow_tally_flush(fixture->workflows.tally, fixture->workflows.now_ms, &e), e);
    assert_ok(store_commit(fixture->store, &e), e);
    workflow_tally_commit(fixture->workflows.tally);
}

static void arrive(struct fixture *fixture, workflow_place step)
{
    struct error e;
    struct model *model = &fixture->model;
    assert_ok(workflow_tally_arrive(&fixture->workflows, &definition, step, &e), e);
    model->visits[model->count++] = (struct visit){step, fixture->workflows.now_ms};
    model->arrived[step]++;
}

static void depart(struct fixture *fixture, uint32_t index, bool is_failed)
{
    struct error e;
    struct model *model = &fixture->model;
    const struct visit visit = model->visits[index];
    const struct tally_departure departure = {&definition, visit.step, visit.arrived_ms, is_failed};
    assert_ok(workflow_tally_depart(&fixture->workflows, &departure, &e), e);
    model->visits[index] = model->visits[--model->count];
    model->failed[visit.step] += is_failed;
}

static void retry(struct fixture *fixture, workflow_place step)
{
    struct error e;
    assert_ok(workflow_tally_retry(&fixture->workflows, &definition, step, &e), e);
    fixture->model.retried[step]++;
}

static void ignore(struct fixture *fixture)
{
    struct error e;
    assert_ok(workflow_tally_ignored(&fixture->workflows, &definition, &e), e);
    fixture->model.ignored++;
}

// An instance is new, or gets into another state.
static void change(struct fixture *fixture, uint32_t index, enum workflow_state to)
{
    struct error e;
    struct workflow_instance *instance = &fixture->instances[index];
    instance->definition = &definition;
    instance->state = to;
    assert_ok(workflow_tally_state(&fixture->workflows, instance, &e), e);
    fixture->model.states[index] = to;
}

static int64_t of_step(struct fixture *fixture, const char *column, workflow_place step)
{
    char sql[200];
    snprintf(sql, sizeof(sql),
             "SELECT coalesce(sum(%s), 0) FROM pipit_workflow_step WHERE definition = 1 AND"
             " step = %u",
             column, step);
    return ask(fixture->store, sql);
}

static int64_t ages_ms(const struct model *model, workflow_place step, int64_t at_ms)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        sum += model->visits[i].step == step ? at_ms - model->visits[i].arrived_ms : 0;
    }
    return sum;
}

static uint64_t present(const struct model *model, workflow_place step)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        count += model->visits[i].step == step;
    }
    return count;
}

static void check_step(struct fixture *fixture, workflow_place step)
{
    const struct model *model = &fixture->model;
    int64_t last_ms = of_step(fixture, "last", step);
    assert_int_equal(of_step(fixture, "arrived", step), model->arrived[step]);
    assert_int_equal(of_step(fixture, "arrived - departed", step), present(model, step));
    assert_int_equal(of_step(fixture, "failed", step), model->failed[step]);
    assert_int_equal(of_step(fixture, "retried", step), model->retried[step]);
    assert_int_equal(of_step(fixture, "area - residence", step), ages_ms(model, step, last_ms));
}

static void check_states(struct fixture *fixture)
{
    for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
        char sql[100];
        uint64_t count = 0;
        for (uint32_t i = 0; i < fixture->model.instances; i++) {
            count += (int)fixture->model.states[i] == state;
        }
        snprintf(sql, sizeof(sql), "SELECT %s FROM pipit_workflow", workflow_state_names[state]);
        assert_int_equal(ask(fixture->store, sql), count);
    }
    assert_int_equal(ask(fixture->store, "SELECT started FROM pipit_workflow"),
                     fixture->model.instances);
    assert_int_equal(ask(fixture->store,
                         "SELECT queued + running + undoing + parked + completed + failed +"
                         " cancelled FROM pipit_workflow"),
                     fixture->model.instances);
    assert_int_equal(ask(fixture->store, "SELECT ignored FROM pipit_workflow"),
                     fixture->model.ignored);
}

static void do_one(struct fixture *fixture)
{
    struct model *model = &fixture->model;
    uint32_t dice = chance(fixture, 100);
    if (dice < 45 && model->count < VISITS_MAX) {
        arrive(fixture, chance(fixture, STEPS));
    } else if (dice < 80 && model->count > 0) {
        depart(fixture, chance(fixture, model->count), chance(fixture, 5) == 0);
    } else if (dice < 85) {
        retry(fixture, chance(fixture, STEPS));
    } else if (dice < 88) {
        ignore(fixture);
    } else if (dice < 92 && model->instances < INSTANCES_MAX) {
        change(fixture, model->instances++,
               chance(fixture, 2) == 0 ? INSTANCE_QUEUED : INSTANCE_RUNNING);
    } else if (model->instances > 0) {
        change(fixture, chance(fixture, model->instances),
               (enum workflow_state)chance(fixture, INSTANCE_STATE_COUNT));
    }
}

// Mostly forward; sometimes a day or a second back, or a year ahead.
static void move_clock(struct fixture *fixture)
{
    static const int64_t jumps_ms[] = {-86400000, -1000, -1, 0, 31536000000, 86400000};
    int64_t *now_ms = &fixture->workflows.now_ms;
    bool is_set = chance(fixture, 20) == 0;
    *now_ms += is_set ? jumps_ms[chance(fixture, 6)] : (int64_t)chance(fixture, 5000);
}

static void roll_back(struct fixture *fixture, const struct model *before,
                      const struct workflow_instance *instances)
{
    store_rollback(fixture->store);
    workflow_tally_rollback(fixture->workflows.tally);
    fixture->model = *before;
    memcpy(fixture->instances, instances, sizeof(fixture->instances));
}

// Little's law: what the clock has added up is what the visits took, and are taking.
static void it_adds_up_at_every_commit_whatever_the_clock_does(void **state)
{
    struct fixture *fixture = *state;
    static struct model before;
    static struct workflow_instance instances[INSTANCES_MAX];
    for (int batch = 0; batch < BATCHES; batch++) {
        before = fixture->model;
        memcpy(instances, fixture->instances, sizeof(instances));
        move_clock(fixture);
        begin(fixture);
        for (uint32_t i = chance(fixture, 12); i > 0; i--) {
            do_one(fixture);
        }
        if (chance(fixture, 10) == 0) {
            roll_back(fixture, &before, instances);
        } else {
            commit(fixture);
        }
        for (workflow_place step = 0; step < STEPS; step++) {
            check_step(fixture, step);
        }
        check_states(fixture);
        if (chance(fixture, 200) == 0) { // The hub is started again.
            workflow_tally_destroy(fixture->workflows.tally);
            open_tally(fixture);
        }
    }
    assert_true(fixture->model.arrived[0] > 1000);
}

// The check can fail: a visit that leaves at another time than it took is seen.
static void a_departure_that_is_forgotten_is_seen(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    arrive(fixture, 0);
    fixture->workflows.now_ms += 5000;
    arrive(fixture, 0);
    commit(fixture);
    fixture->model.count--; // As if it had left without a word.
    int64_t last_ms = of_step(fixture, "last", 0);
    assert_int_not_equal(of_step(fixture, "arrived - departed", 0), present(&fixture->model, 0));
    fixture->model.visits[0].arrived_ms += 1; // As if it had come later than it said.
    assert_int_not_equal(of_step(fixture, "area - residence", 0),
                         ages_ms(&fixture->model, 0, last_ms));
}

static void a_step_back_is_given_back(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    arrive(fixture, 1);
    commit(fixture);
    fixture->workflows.now_ms -= 86400000;
    begin(fixture);
    retry(fixture, 1);
    commit(fixture);
    assert_int_equal(of_step(fixture, "area", 1), -86400000);
    fixture->workflows.now_ms += 86400000 + 2500;
    begin(fixture);
    depart(fixture, 0, false);
    commit(fixture);
    assert_int_equal(of_step(fixture, "area", 1), 2500);
    assert_int_equal(of_step(fixture, "residence", 1), 2500);
}

static void an_instance_that_cannot_be_loaded_leaves_its_steps(void **state)
{
    struct fixture *fixture = *state;
    struct error e;
    begin(fixture);
    change(fixture, fixture->model.instances++, INSTANCE_RUNNING);
    arrive(fixture, 2);
    commit(fixture);
    struct workflow_instance *instance = &fixture->instances[0];
    struct workflow_token *token = NULL;
    assert_ok(workflow_token_add(instance, 2, &token, &e), e);
    token->arrived_ms = fixture->workflows.now_ms;
    token->phase = TOKEN_WAITING;
    char *text = workflow_tokens_text(instance);
    fixture->workflows.now_ms += 700;
    begin(fixture);
    const struct tally_abandoned abandoned = {1, 1, "order", INSTANCE_RUNNING, text};
    assert_ok(workflow_tally_abandon(&fixture->workflows, &abandoned, &e), e);
    commit(fixture);
    free(text);
    free(instance->tokens);
    fixture->model.count = 0;
    fixture->model.states[0] = INSTANCE_CANCELLED;
    check_step(fixture, 2);
    check_states(fixture);
    assert_int_equal(of_step(fixture, "residence", 2), 700);
}

static void add_counter(void *context, const char *name, uint64_t value)
{
    char *text = context;
    size_t len = strlen(text);
    snprintf(text + len, 1200 - len, "%s %llu\n", name, (unsigned long long)value);
}

static void counters_are_told_also_of_what_nothing_has_started(void **state)
{
    struct fixture *fixture = *state;
    char text[1200] = "";
    workflow_tally_tell(fixture->workflows.tally, add_counter, text);
    assert_non_null(strstr(text, "workflow/order/started 0\n"));
    begin(fixture);
    change(fixture, fixture->model.instances++, INSTANCE_RUNNING);
    change(fixture, fixture->model.instances++, INSTANCE_PARKED);
    commit(fixture);
    text[0] = '\0';
    workflow_tally_tell(fixture->workflows.tally, add_counter, text);
    assert_non_null(strstr(text, "workflow/order/started 2\n"));
    assert_non_null(strstr(text, "workflow/order/running 1\n"));
    assert_non_null(strstr(text, "workflow/order/parked 1\n"));
    assert_null(strstr(text, "/steps/"));
    begin(fixture);
    arrive(fixture, 1);
    arrive(fixture, 1);
    fixture->workflows.now_ms += 40;
    depart(fixture, 0, true);
    commit(fixture);
    text[0] = '\0';
    workflow_tally_tell(fixture->workflows.tally, add_counter, text);
    assert_non_null(strstr(text, "workflow/order/steps/two/in 1\n"));
    assert_non_null(strstr(text, "workflow/order/steps/two/failed 1\n"));
    assert_non_null(strstr(text, "workflow/order/steps/two/took_ms 40\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_adds_up_at_every_commit_whatever_the_clock_does, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_departure_that_is_forgotten_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_back_is_given_back, setup, teardown),
        cmocka_unit_test_setup_teardown(an_instance_that_cannot_be_loaded_leaves_its_steps, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(counters_are_told_also_of_what_nothing_has_started, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
