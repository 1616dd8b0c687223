// What steps send through the outbox and the inbox: under which key and name, how, and taken back.
#include "core/workflow_ticket.h"
#include "workflow_scenario.h"

#define BRANCH(name) CALL(name, ",'undo':[" CALL("undo-" name, "") "]")
#define BOTH(a, b)                                                                                 \
    "{'name':'both','do':'parallel','branches':{'a':[" a "],'b':[" b "]},'wait':'all'}"
#define RETRY ",'retry':{'attempts':3,'backoff':1000,'backoff_max':1000}"
#define EMIT(to, topic, more)                                                                      \
    "{'name':'tell','do':'emit','to':'" to "','topic':'" topic "','payload':'json'" more "}"

static struct play *begin(const char *definition)
{
    const char *const definitions[] = {definition, NULL};
    return play_create(definitions, PLAY_PLAIN);
}

static const struct play_delivery *sent(struct play *play, const char *topic)
{
    const struct play_delivery *delivery = play_sent_to(play, topic, false);
    if (delivery == NULL) {
        fail_msg("nothing was sent to %s, but to %s", topic, play->sent);
    }
    return delivery;
}

static const struct {
    const char *why, *topic, *key;
} keys[] = {
    {"the flow itself", "/first", "w/1"},
    {"a branch", "/one", "w/1/0"},
    {"another one", "/two", "w/1/1"},
    {"the undo of the flow's step", "/undo-first", "w/1"},
    {"the undo of a branch's follows in its branch", "/undo-one", "w/1/0"},
};

// What is sent in a branch keeps its order, and what undoes it comes behind it.
static void branches_have_keys_of_their_own(void **state)
{
    (void)state;
    struct play *play =
        begin(WORKFLOW("", BRANCH("first") "," BOTH(BRANCH("one"), CALL("two", ""))));
    play_script(play, START "a /first done;a /one done;a /two reject;a /undo-one done;"
                            "a /undo-first done;");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        print_message("%s\n", keys[i].why);
        assert_string_equal(sent(play, keys[i].topic)->key, keys[i].key);
    }
    play_check(play, "keys");
    play_destroy(play);
}

// All attempts of a visit have one name, another visit of the step has another.
static void a_visit_has_one_name(void **state)
{
    (void)state;
    struct play *play =
        begin(WORKFLOW("", CALL("go", RETRY) ",{'name':'again','do':'goto','step':'go'}"));
    char tickets[3][WORKFLOW_TICKET_BYTES];
    play_script(play, START);
    for (int i = 0; i < 3; i++) {
        const struct play_delivery *last = &play->deliveries[play->delivery_count - 1];
        snprintf(tickets[i], sizeof(tickets[i]), "%s", last->ticket);
        play_script(play, i == 0 ? "a /go retry;t 1000;" : "a /go done;");
    }
    assert_string_equal(tickets[0], tickets[1]);
    assert_string_not_equal(tickets[1], tickets[2]);
    char wanted[WORKFLOW_TICKET_BYTES];
    const struct workflow_ticket ticket = {1, 1, 0, PLAY_START_MS};
    workflow_ticket_make(wanted, store_id(play->store), &ticket);
    assert_string_equal(tickets[0], wanted);
    play_destroy(play);
}

static void an_event_is_sent_as_the_step_says(void **state)
{
    (void)state;
    static const char look[] = "SELECT topic || ' ' || CAST(payload AS TEXT) || ' ' || qos || ' '"
                               " || retain || ' ' || content_type FROM pipit_outbox";
    static const struct {
        const char *step, *want;
    } cases[] = {
        {EMIT("bus", "say/{k}", ",'fields':{'n':'n * 2'},'qos':1,'retain':true"),
         "say/1 {\"n\":10} 1 1 application/json"},
        {EMIT("bus", "say/{k}", ""), "say/1 {\"k\":1,\"n\":5} 0 0 application/json"},
        {"{'name':'tell','do':'command','to':'bus','device':'`plant/` || k','command':'go'}", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char definition[2000];
        snprintf(definition, sizeof(definition), WORKFLOW("'variables':{'k':'k','n':'n'},", "%s"),
                 cases[i].step);
        struct play *play = begin(definition);
        play_script(play, START);
        if (cases[i].want != NULL) {
            assert_string_equal(play_ask(play, look), cases[i].want);
        } else {
            assert_string_equal(play_ask(play, "SELECT topic || ' ' || qos || ' ' || retain"
                                               " FROM pipit_outbox"),
                                "pipit/v1/plant/1/command/go 1 0");
        }
        play_destroy(play);
    }
}

// It comes in under the name of the visit, and whoever starts by it is a hop further.
static void an_event_for_the_hub_comes_in_with_the_next_batch(void **state)
{
    (void)state;
    const char *const definitions[] = {
        WORKFLOW("'variables':{'k':'k','n':'n'},", EMIT("rules", "second/{k}", "")),
        "{'format':1,'name':'child','start':{'from':'second/+','key':'k','running':'parallel'},"
        "'failure':'undo','keep':864000000,'variables':{'n':'n'},'steps':[" SLEEP("nap",
                                                                                  "1000") "]}",
        NULL};
    struct play *play = play_create(definitions, PLAY_PLAIN);
    play_script(play, START);
    char wanted[WORKFLOW_TICKET_BYTES + 10];
    const struct workflow_ticket ticket = {1, 1, 0, PLAY_START_MS};
    workflow_ticket_make(wanted, store_id(play->store), &ticket);
    strcat(wanted, " 1 5");
    assert_string_equal(play_ask(play, "SELECT event || ' ' || hops || ' ' || (start ->> 'n')"
                                       " FROM pipit_workflow_instance WHERE id = 2"),
                        wanted);
    assert_int_equal(ask(play->store, "SELECT count(*) FROM pipit_inbox"), 0);
    play_check(play, "inbox");
    play_destroy(play);
}

static const struct {
    const char *why, *step, *reason;
} failures[] = {
    {"a wildcard", EMIT("bus", "say/{`#`}", ""), "holds the wildcard #"},
    {"an empty level", EMIT("bus", "say//{k}", ""), "has an empty level"},
    {"NULL", EMIT("bus", "say/{nullif(k, 1)}", ""), "is NULL"},
    {"no topic for the hub", EMIT("rules", "{``}", ""), "is empty"},
    {"no device", "{'name':'tell','do':'command','to':'bus','device':'k','command':'go'}",
     "\"1\" is no device"},
    {"too large", EMIT("bus", "say", ",'fields':{'x':'printf(`%01200000d`, 0)'}"),
     "larger than 1000000 bytes"},
};

static void what_cannot_be_sent_fails_the_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        char definition[2000];
        snprintf(definition, sizeof(definition), WORKFLOW("'variables':{'k':'k','n':'n'},", "%s"),
                 failures[i].step);
        struct play *play = begin(definition);
        play_script(play, START);
        if (strcmp(play_record(play), "started tell!expression failed") != 0 ||
            strstr(play_ask(play, "SELECT reason FROM pipit_workflow_instance"),
                   failures[i].reason) == NULL) {
            fail_msg("%s: %s", failures[i].why,
                     play_ask(play, "SELECT reason FROM pipit_workflow_instance"));
        }
        assert_int_equal(ask(play->store, "SELECT count(*) FROM pipit_outbox"), 0);
        play_destroy(play);
    }
}

// Nobody else can answer for a device, also when it knows the command's id.
static void only_the_device_that_was_asked_answers(void **state)
{
    (void)state;
    struct play *play = begin(WORKFLOW(
        "", "{'name':'go','do':'command','to':'bus','device':'`plant/press`','command':'go'}"));
    play_script(play, START);
    static const char *const topics[] = {"pipit/v1/plant/rogue/reply/go",
                                         "pipit/v1/plant/press/reply/go"};
    static const char *const records[] = {"started go>", "started go> go+ completed"};
    for (int i = 0; i < 2; i++) {
        uint8_t packed[300];
        Pipit__V1__Reply reply = PIPIT__V1__REPLY__INIT;
        reply.id = play->deliveries[0].ticket;
        play_message(play, topics[i], bytes_of(packed, pipit__v1__reply__pack(&reply, packed)));
        play_flush(play);
        assert_string_equal(play_record(play), records[i]);
    }
    play_destroy(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_have_keys_of_their_own),
        cmocka_unit_test(a_visit_has_one_name),
        cmocka_unit_test(an_event_is_sent_as_the_step_says),
        cmocka_unit_test(an_event_for_the_hub_comes_in_with_the_next_batch),
        cmocka_unit_test(what_cannot_be_sent_fails_the_step),
        cmocka_unit_test(only_the_device_that_was_asked_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
