// The outbox against a model that knows only the promises.
#include "routing_support.h"

// Each key's rows of a class come out in their order, each
// at least once, whatever fails, however many wait, whenever the hub starts again.
#define MODEL_KEYS 40

struct model {
    uint64_t random;
    int next[PRIORITY_COUNT][MODEL_KEYS]; // To be sent.
    int seen[PRIORITY_COUNT][MODEL_KEYS]; // Received in order up to here.
    struct {
        uint64_t id;
        uint32_t class, key;
        int number;
    } flights[600];
    uint32_t flight_count;
    int64_t sent, settled;
};

static uint32_t below(struct model *model, uint32_t bound)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(model->random >> 33) % bound;
}

static void model_send(struct fixture *fixture, struct model *model, uint32_t count)
{
    static const char *const names[] = {"t", "h", "l"}; // In the order of enum priority.
    for (uint32_t i = 0; i < count; i++) {
        uint32_t class = below(model, 10) < 8 ? 0 : 1 + below(model, 2);
        uint32_t key = below(model, 2) == 0 ? 0 : below(model, 1 + below(model, MODEL_KEYS));
        char topic[20];
        snprintf(topic, sizeof(topic), "%s/%u", names[class], key);
        add_value(fixture, topic, model->next[class][key]++);
        model->sent++;
    }
    step(fixture);
}

static void model_take(struct fixture *fixture, struct model *model)
{
    uint32_t room = 600 - model->flight_count;
    uint32_t count = take(fixture, 0, 1 + below(model, 300) % (room == 0 ? 1 : room));
    for (uint32_t i = 0; room > 0 && i < count; i++) {
        const struct delivery *delivery = fixture->taken[i];
        char class;
        uint32_t key;
        int number;
        assert_int_equal(sscanf((const char *)delivery->key.ptr, "%c/%u", &class, &key), 2);
        assert_int_equal(sscanf((const char *)delivery->topic.ptr, "%*c/%d", &number), 1);
        uint32_t rank = class == 't' ? 0 : class == 'h' ? 1 : 2;
        if (number > model->seen[rank][key]) {
            fail_msg("%c/%u: %d came, %d is next", class, key, number, model->seen[rank][key]);
        }
        model->flights[model->flight_count].id = delivery->id;
        model->flights[model->flight_count].class = rank;
        model->flights[model->flight_count].key = key;
        model->flights[model->flight_count++].number = number;
    }
}

static void model_answer(struct fixture *fixture, struct model *model, bool is_healing)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < model->flight_count; i++) {
        uint32_t dice = is_healing ? 50 : below(model, 100);
        if (dice >= 80 && fixture->count < 4000) {
            model->flights[kept++] = model->flights[i]; // Later.
            continue;
        }
        enum verdict verdict = dice < 5    ? VERDICT_RETRY
                               : dice < 10 ? VERDICT_NOT_SENT
                               : dice < 11 ? VERDICT_REJECT
                                           : VERDICT_DONE;
        add_settlement(fixture, model->flights[i].id, verdict);
        if (verdict == VERDICT_DONE || verdict == VERDICT_REJECT) {
            int *seen = &model->seen[model->flights[i].class][model->flights[i].key];
            assert_int_equal(*seen, model->flights[i].number);
            *seen = *seen + 1;
            model->settled++;
        }
    }
    model->flight_count = kept;
    if (fixture->count > 0) {
        step(fixture);
    }
}

static void model_run(struct fixture *fixture, uint64_t seed)
{
    static struct model model;
    memset(&model, 0, sizeof(model));
    model.random = seed;
    for (int round = 0; round < 120; round++) {
        if (below(&model, 100) < 35) {
            model_send(fixture, &model, below(&model, 600));
        }
        if (below(&model, 100) < 60) {
            model_take(fixture, &model);
        }
        model_answer(fixture, &model, false);
        fixture->now_ms += below(&model, 3000);
        if (below(&model, 100) < 5) {
            model.flight_count = 0; // As if they had never been sent.
            fixture_reopen(fixture);
        }
    }
    for (int round = 0; round < 20000 && model.settled < model.sent; round++) {
        model_take(fixture, &model);
        model_answer(fixture, &model, true);
        fixture->now_ms += 1000;
    }
    if (model.settled != model.sent || books_of(fixture).waiting != 0) {
        fail_msg("seed %d: %d of %d came out", (int)seed, (int)model.settled, (int)model.sent);
    }
    assert_books_hold(fixture);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_outbox"), 0);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_route_waiting"), 0);
}

static void each_key_keeps_its_order_whatever_happens(void **state)
{
    struct fixture *fixture = *state;
    static struct made rules[3];
    memcpy(rules, classes, sizeof(rules));
    for (int i = 0; i < 3; i++) {
        rules[i].routes[0].key_limit_bytes = 1 << 30; // Is counted, and never reached.
        rules[i].routes[0].overflow = OVERFLOW_DROP_NEW;
    }
    fixture->targets[0].attempts_max = 1000;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        use(fixture, rules, 3);
        model_run(fixture, seed);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_key_keeps_its_order_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
