#include "core_support.h"
#include "sparkplug_support.h"

#include "core/sparkplug.h"

#define RESTART "restart" // As topic: the core is closed and opened again.
#define LATER   "later"   // As topic: seq milliseconds pass.

// A message of node n in group g, and what comes of it.
struct act {
    const char *why;
    const char *topic; // Behind spBv1.0/g/.
    int seq;
    const char *metrics;
    uint32_t requests;
    const char *fate;   // routed, filtered, rejected, duplicate
    const char *output; // Of the rule; NULL: not looked at.
};

static struct format_spec formats[] = {
    {.name = "plant", .from = "spBv1.0/#", .kind = FORMAT_SPARKPLUG}};

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *fixture = *state;
    fixture_close(fixture);
    fixture->rules[0].sql = "SELECT fields FROM \"spBv1.0/#\"";
    fixture->rules[0].key = NULL;
    fixture->routes[0].topic = "out";
    fixture->spec.formats = formats;
    fixture->spec.format_count = 1;
    fixture_open(fixture);
    return 0;
}

static const char *fate_of(const struct books *before, const struct books *after)
{
    assert_int_equal(after->received, before->received + 1);
    return after->routed > before->routed         ? "routed"
           : after->rejected > before->rejected   ? "rejected"
           : after->duplicate > before->duplicate ? "duplicate"
                                                  : "filtered";
}

static void settle_all(struct fixture *fixture, const char *expected)
{
    uint32_t count = take(fixture, 0, FLIGHT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (expected != NULL) {
            assert_int_equal(fixture->taken[i]->payload.len, strlen(expected));
            assert_memory_equal(fixture->taken[i]->payload.ptr, expected, strlen(expected));
        }
        add_settlement(fixture, fixture->taken[i]->id, VERDICT_DONE);
    }
    step(fixture);
}

static void give(struct fixture *fixture, const struct act *act, uint8_t qos)
{
    uint8_t packed[1024];
    char topic[64];
    snprintf(topic, sizeof(topic), "spBv1.0/g/%s", act->topic);
    struct bytes payload = sparkplug_pack(packed, act->metrics, act->seq, fixture->now_ms);
    add_message(fixture, topic, payload)->qos = qos;
}

static void play(struct fixture *fixture, const struct act *act)
{
    if (strcmp(act->topic, RESTART) == 0) {
        fixture_reopen(fixture);
        return;
    }
    if (strcmp(act->topic, LATER) == 0) {
        fixture->now_ms += act->seq;
        return;
    }
    struct books before = books_of(fixture), after;
    give(fixture, act, 0);
    step(fixture);
    after = books_of(fixture);
    if (fixture->outcome.request_count != act->requests ||
        strcmp(fate_of(&before, &after), act->fate) != 0) {
        fail_msg("%s: %u requests, %s (%s)", act->why, fixture->outcome.request_count,
                 fate_of(&before, &after),
                 fixture->outcome.rejection == NULL ? "" : fixture->outcome.rejection);
    }
    settle_all(fixture, act->output);
}

#define PLAY(fixture, acts)                                                                        \
    for (size_t act_ = 0; act_ < sizeof(acts) / sizeof((acts)[0]); act_++) {                       \
        play(fixture, &(acts)[act_]);                                                              \
    }

static void aliases_stand_for_names(void **state)
{
    static const struct act acts[] = {
        {"a birth names its metrics", "NBIRTH/n", 0, "bdSeq:8=7;t@1:9=21.5;count@2:3=-3", 0,
         "routed", "{\"fields\":{\"bdSeq\":7,\"t\":21.5,\"count\":-3}}"},
        {"aliases and datatypes are the birth's", "NDATA/n", 1, "@1:9=22.25;@2=-4", 0, "routed",
         "{\"fields\":{\"t\":22.25,\"count\":-4}}"},
        {"a device has aliases of its own", "DBIRTH/n/d", 2, "level@1:1=-1;name@5:12=tank", 0,
         "routed", "{\"fields\":{\"level\":-1,\"name\":\"tank\"}}"},
        {"and keeps them", "DDATA/n/d", 3, "@1=255;@5:12=vat", 0, "routed",
         "{\"fields\":{\"level\":-1,\"name\":\"vat\"}}"},
        {"which leaves the node's alone", "NDATA/n", 4, "@1:9=1", 0, "routed",
         "{\"fields\":{\"t\":1.0}}"},
        {"null is null", "NDATA/n", 5, "@1:9=null", 0, "routed", "{\"fields\":{\"t\":null}}"},
        {"a restart forgets nothing", RESTART, 0, "", 0, NULL, NULL},
        {"aliases lie in the store", "NDATA/n", 6, "@2=-5", 0, "routed",
         "{\"fields\":{\"count\":-5}}"},
        {"those of devices, too", "DDATA/n/d", 7, "@5:12=tub", 0, "routed",
         "{\"fields\":{\"name\":\"tub\"}}"},
        {"a new birth gives new ones", "NBIRTH/n", 0, "bdSeq:8=8;x@1:3=1", 0, "routed", NULL},
        {"of which the old ones are gone", "NDATA/n", 1, "@2=1", 1, "rejected", NULL},
        {"and the new ones there", "NDATA/n", 2, "@1=2", 0, "routed", "{\"fields\":{\"x\":2}}"},
    };
    PLAY(*state, acts)
}

static void gaps_ask_for_a_rebirth_once(void **state)
{
    static const struct act acts[] = {
        {"born", "NBIRTH/n", 0, "bdSeq:8=1;t@1:9=1", 0, "routed", NULL},
        {"in turn", "NDATA/n", 1, "@1:9=1", 0, "routed", NULL},
        {"2 is missing: the data is used, a rebirth is asked for", "NDATA/n", 3, "@1:9=2", 1,
         "routed", "{\"fields\":{\"t\":2.0}}"},
        {"one request is enough", "NDATA/n", 5, "@1:9=3", 0, "routed", NULL},
        {"also over a restart", RESTART, 0, "", 0, NULL, NULL},
        {"which does not ask again at once", "NDATA/n", 9, "@1:9=3", 0, "routed", NULL},
        {"but in a while", LATER, SPARKPLUG_ASK_AGAIN_MS, "", 0, NULL, NULL},
        {"when there is still no birth", "NDATA/n", 10, "@1:9=3", 1, "routed", NULL},
        {"the birth", "NBIRTH/n", 0, "bdSeq:8=2;t@1:9=1", 0, "routed", NULL},
        {"ends it", "NDATA/n", 1, "@1:9=3", 0, "routed", NULL},
        {"a new gap asks anew", "NDATA/n", 4, "@1:9=3", 1, "routed", NULL},
    };
    PLAY(*state, acts)
}

static void seq_begins_again_after_255(void **state)
{
    struct fixture *fixture = *state;
    const struct act birth = {"born", "NBIRTH/n", 254, "bdSeq:8=1;t@1:9=1", 0, "routed", NULL};
    const struct act acts[] = {
        {"255", "NDATA/n", 255, "@1:9=1", 0, "routed", NULL},
        {"0 follows", "NDATA/n", 0, "@1:9=1", 0, "routed", NULL},
        {"2 does not", "NDATA/n", 2, "@1:9=1", 1, "routed", NULL},
    };
    play(fixture, &birth);
    PLAY(fixture, acts)
}

static void what_was_not_born_asks(void **state)
{
    static const struct act acts[] = {
        {"data before a birth, with names", "NDATA/n", 3, "t:9=1", 1, "routed",
         "{\"fields\":{\"t\":1.0}}"},
        {"another node is asked itself", "NDATA/m", 3, "@1:9=1", 1, "rejected", NULL},
        {"born", "NBIRTH/n", 0, "bdSeq:8=1;t@1:9=1", 0, "routed", NULL},
        {"a device that was not born", "DDATA/n/d", 1, "x:9=1", 1, "routed", NULL},
        {"born again", "NBIRTH/n", 0, "bdSeq:8=1;t@1:9=1", 0, "routed", NULL},
        {"with its device", "DBIRTH/n/d", 1, "x@9:9=1", 0, "routed", NULL},
        {"that is fine", "DDATA/n/d", 2, "@9:9=1", 0, "routed", NULL},
        {"a dead device", "DDEATH/n/d", 3, "", 0, "routed", NULL},
        {"must not send", "DDATA/n/d", 4, "@9:9=1", 1, "routed", NULL},
    };
    PLAY(*state, acts)
}

static void deaths_belong_to_a_birth(void **state)
{
    static const struct act acts[] = {
        {"born", "NBIRTH/n", 0, "bdSeq:8=4;t@1:9=1", 0, "routed", NULL},
        {"the will of an earlier session", "NDEATH/n", -1, "bdSeq:8=3", 0, "filtered", NULL},
        {"changes nothing", "NDATA/n", 1, "@1:9=1", 0, "routed", NULL},
        {"over a restart", RESTART, 0, "", 0, NULL, NULL},
        {"its own will", "NDEATH/n", -1, "bdSeq:8=4", 0, "routed", "{\"fields\":{\"bdSeq\":4}}"},
        {"after which there is no data without a birth", "NDATA/n", 2, "@1:9=1", 1, "routed", NULL},
    };
    PLAY(*state, acts)
}

static void commands_change_nothing(void **state)
{
    static const struct act acts[] = {
        {"born", "NBIRTH/n", 0, "bdSeq:8=1;t@1:9=1", 0, "routed", NULL},
        {"our own request comes back", "NCMD/n", -1, "Node Control/Rebirth:11=true", 0, "routed",
         "{\"fields\":{\"Node Control/Rebirth\":true}}"},
        {"by alias, too", "NCMD/n", -1, "@1:9=5", 0, "routed", "{\"fields\":{\"t\":5.0}}"},
        {"nobody is asked for an alias of a command", "NCMD/n", -1, "@4:9=5", 0, "rejected", NULL},
        {"the count goes on", "NDATA/n", 1, "@1:9=1", 0, "routed", NULL},
    };
    PLAY(*state, acts)
}

static void bad_messages_are_rejected(void **state)
{
    static const struct act acts[] = {
        {"a type that is none", "NFOO/n", 0, "t:9=1", 0, "rejected", NULL},
        {"a node with a device's type", "DDATA/n", 0, "t:9=1", 0, "rejected", NULL},
        {"a device with a node's type", "NDATA/n/d", 0, "t:9=1", 0, "rejected", NULL},
        {"too many levels", "DDATA/n/d/e", 0, "t:9=1", 0, "rejected", NULL},
        {"no node", "NDATA/", 0, "t:9=1", 0, "rejected", NULL},
        {"seq beyond 255", "NDATA/n", 256, "t:9=1", 0, "rejected", NULL},
        {"a birth without names", "NBIRTH/n", 0, "@1:9=1", 0, "rejected", NULL},
        {"a metric without name and alias", "NDATA/n", 0, ":9=1", 0, "rejected", NULL},
        {"a datatype that the value is not of", "NBIRTH/n", 0, "t:17=xy;u:12=z", 0, "routed", NULL},
    };
    PLAY(*state, acts)
    struct fixture *fixture = *state;
    uint8_t packed[64];
    struct bytes payload = sparkplug_pack(packed, "t:9=1", -1, -1);
    payload.len -= 3; // Within the metric.
    add_message(fixture, "spBv1.0/g/NDATA/n", payload);
    step(fixture);
    assert_non_null(strstr(fixture->outcome.rejection, "is not Sparkplug B"));
}

static void the_value_must_be_of_its_datatype(void **state)
{
    struct fixture *fixture = *state;
    Sparkplug__Metric metric = SPARKPLUG__METRIC__INIT, *list[] = {&metric};
    Sparkplug__Payload payload = SPARKPLUG__PAYLOAD__INIT;
    uint8_t packed[64];
    metric.name = "t";
    metric.has_datatype = true;
    metric.datatype = 12;
    metric.value_case = SPARKPLUG__METRIC__VALUE_INT_VALUE;
    metric.int_value = 3;
    payload.metrics = list;
    payload.n_metrics = 1;
    add_message(fixture, "spBv1.0/g/NCMD/n",
                bytes_of(packed, sparkplug__payload__pack(&payload, packed)));
    step(fixture);
    assert_non_null(strstr(fixture->outcome.rejection,
                           "metric \"t\": its datatype is String but its value is not a string"));
}

// Templates within templates, by hand: protobuf-c would follow them as deep as they go.
static void depth_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    uint8_t inner[300];
    size_t inner_len = 0;
    // metrics(2) with a template(18) with metrics ...: five bytes a level.
    for (int level = 0; level < 14; level++) {
        uint8_t outer[300];
        size_t n = 0;
        outer[n++] = 0x92;
        outer[n++] = 0x01;
        outer[n++] = (uint8_t)inner_len;
        memcpy(outer + n, inner, inner_len);
        n += inner_len;
        inner[0] = 0x12;
        inner[1] = (uint8_t)n;
        memcpy(inner + 2, outer, n);
        inner_len = n + 2;
    }
    add_message(fixture, "spBv1.0/g/NCMD/n", bytes_of(inner, inner_len));
    step(fixture);
    assert_non_null(fixture->outcome.rejection);
    assert_non_null(strstr(fixture->outcome.rejection, "nested deeper than"));
}

static void what_comes_again_is_a_duplicate(void **state)
{
    struct fixture *fixture = *state;
    static const struct act acts[] = {
        {"", "NBIRTH/n", 0, "bdSeq:8=1;t@1:9=1", 0, "", NULL},
        {"", "NDATA/n", 1, "@1:9=2", 0, "", NULL},
        {"", "NDATA/n", 2, "@1:9=3", 0, "", NULL},
        {"", "NDEATH/n", -1, "bdSeq:8=1", 0, "", NULL},
    };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 4; i++) {
            give(fixture, &acts[i], 1);
        }
        step(fixture);
        assert_int_equal(fixture->outcome.request_count, 0);
    }
    assert_int_equal(books_of(fixture).routed, 4);
    assert_int_equal(books_of(fixture).duplicate, 4);
}

// Where the batches are cut makes no difference, and one that was sent back leaves nothing.
static void a_batch_may_be_sent_back(void **state)
{
    struct fixture *fixture = *state;
    const struct act birth = {"", "NBIRTH/n", 0, "bdSeq:8=1;t@1:9=1", 0, "", NULL};
    const struct act data = {"", "NDATA/n", 1, "@1:9=2", 0, "routed", "{\"fields\":{\"t\":2.0}}"};
    const struct act gap = {"", "NDATA/n", 9, "@1:9=2", 0, "", NULL};
    give(fixture, &birth, 0);
    step(fixture);
    settle_all(fixture, NULL);
    give(fixture, &gap, 0);
    fixture->spec.store_limit_bytes = 1;
    assert_int_equal(try_step(fixture), ERR_FULL);
    fixture->count = 0;
    fixture->spec.store_limit_bytes = 64 << 20;
    play(fixture, &data); // As if the gap had not been there.
    give(fixture, &gap, 0);
    give(fixture, &gap, 0);
    step(fixture);
    assert_int_equal(fixture->outcome.request_count, 1);
    assert_string_equal(fixture->outcome.requests[0].topic, "spBv1.0/g/NCMD/n");
    Sparkplug__Payload *request = sparkplug__payload__unpack(
        NULL, fixture->outcome.requests[0].payload.len, fixture->outcome.requests[0].payload.ptr);
    assert_non_null(request);
    assert_string_equal(request->metrics[0]->name, "Node Control/Rebirth");
    assert_true(request->metrics[0]->boolean_value && request->metrics[0]->datatype == 11);
    assert_false(request->has_seq);
    sparkplug__payload__free_unpacked(request, NULL);
}

// The limit is found out when the work is done.
static void a_birth_that_does_not_fit_was_never_there(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t packed[200000];
    static Sparkplug__Metric metrics[4000], *list[4000];
    static char names[4000][24];
    Sparkplug__Payload payload = SPARKPLUG__PAYLOAD__INIT;
    const struct act birth = {"born", "NBIRTH/n", 0, "bdSeq:8=1;old@1:9=1", 0, "", NULL};
    const struct act data = {"the old birth holds",       "NDATA/n", 1, "@1:9=2", 0, "routed",
                             "{\"fields\":{\"old\":2.0}}"};
    for (uint32_t i = 0; i < 4000; i++) {
        sparkplug__metric__init(&metrics[i]);
        snprintf(names[i], sizeof(names[i]), "a/rather/long/name/%u", i);
        metrics[i].name = names[i];
        metrics[i].has_alias = true;
        metrics[i].alias = i;
        list[i] = &metrics[i];
    }
    payload.metrics = list;
    payload.n_metrics = 4000;
    give(fixture, &birth, 0);
    step(fixture); // Its delivery waits.
    fixture->spec.payload_bytes_max = sizeof(packed);
    fixture->spec.store_limit_bytes = store_used_bytes(fixture->store) * 5 / 4;
    fixture->inputs[0] = (struct input){
        .kind = INPUT_MESSAGE,
        .message = {.topic = bytes_from_text("spBv1.0/g/NBIRTH/n"),
                    .payload = bytes_of(packed, sparkplug__payload__pack(&payload, packed))}};
    fixture->count = 1;
    assert_int_equal(try_step(fixture), ERR_FULL);
    fixture->count = 0;
    fixture->spec.store_limit_bytes = 64 << 20;
    settle_all(fixture, NULL);
    play(fixture, &data);
}

#define SCRIPT_ACTS 120

// What a random life of two nodes gives, with steps of so many messages; reopens: after each.
static void live(uint32_t seed, uint32_t step_count, bool reopens, char *out, size_t size)
{
    static const struct act kinds[] = {
        {"", "NBIRTH/%c", 0, "bdSeq:8=1;t@1:9=1;u@2:3=5", 0, "", NULL},
        {"", "NDATA/%c", 1, "@1:9=2;@2=7", 0, "", NULL},
        {"", "NDATA/%c", 1, "@2=8", 0, "", NULL},
        {"", "DBIRTH/%c/d", 1, "x@1:12=y", 0, "", NULL},
        {"", "DDATA/%c/d", 1, "@1=z", 0, "", NULL},
        {"", "DDEATH/%c/d", 1, "", 0, "", NULL},
        {"", "NDEATH/%c", -1, "bdSeq:8=1", 0, "", NULL},
        {"", "NDEATH/%c", -1, "bdSeq:8=0", 0, "", NULL},
        {"", "NDATA/%c", 2, "@1:9=3", 0, "", NULL}, // A gap.
    };
    void *state;
    setup(&state);
    struct fixture *fixture = state;
    int seq[2] = {0, 0};
    size_t used = 0;
    for (uint32_t i = 1; i <= SCRIPT_ACTS; i++) {
        seed = seed * 1664525 + 1013904223;
        const struct act *kind = &kinds[(seed >> 16) % 9];
        int node = (int)(seed >> 31);
        char topic[32];
        snprintf(topic, sizeof(topic), kind->topic, 'a' + node);
        struct act act = *kind;
        act.topic = topic;
        seq[node] = kind->seq < 0 ? seq[node] : kind->seq == 0 ? 0 : (seq[node] + kind->seq) % 256;
        act.seq = kind->seq < 0 ? -1 : seq[node];
        give(fixture, &act, 0);
        if (i % step_count == 0) {
            step(fixture);
            if (reopens) {
                fixture_reopen(fixture);
            }
        }
    }
    step(fixture);
    for (uint32_t count; (count = take(fixture, 0, FLIGHT_MAX)) > 0; step(fixture)) {
        for (uint32_t i = 0; i < count; i++) {
            struct bytes payload = fixture->taken[i]->payload;
            used += (size_t)snprintf(out + used, size - used, "%.*s\n", (int)payload.len,
                                     (const char *)payload.ptr);
            assert_true(used < size);
            add_settlement(fixture, fixture->taken[i]->id, VERDICT_DONE);
        }
    }
    struct books books = books_of(fixture);
    snprintf(out + used, size - used, "%d %d %d", (int)books.routed, (int)books.rejected,
             (int)books.filtered);
    fixture_teardown(&state);
}

static void where_batches_are_cut_makes_no_difference(void **state)
{
    static char whole[65536], other[65536];
    static const uint32_t cuts[] = {1, 7};
    (void)state;
    for (uint32_t seed = 1; seed <= 3; seed++) {
        live(seed * 7919, SCRIPT_ACTS, false, whole, sizeof(whole));
        for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
            live(seed * 7919, cuts[i], i % 2 == 0, other, sizeof(other));
            assert_string_equal(other, whole);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(aliases_stand_for_names),
        TEST(gaps_ask_for_a_rebirth_once),
        TEST(seq_begins_again_after_255),
        TEST(what_was_not_born_asks),
        TEST(deaths_belong_to_a_birth),
        TEST(commands_change_nothing),
        TEST(bad_messages_are_rejected),
        TEST(the_value_must_be_of_its_datatype),
        TEST(depth_is_bounded),
        TEST(what_comes_again_is_a_duplicate),
        TEST(a_batch_may_be_sent_back),
        TEST(a_birth_that_does_not_fit_was_never_there),
        cmocka_unit_test(where_batches_are_cut_makes_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
