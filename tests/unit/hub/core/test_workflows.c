// Workflows through whole steps of the core: which events start instances and which are taken by
// them, failures, bounds, what operators wish.
#include "workflow_ask.h"

#include "core/workflow_parts.h"

#define KEEP ",'keep':3600000"

#define UNDONE(running)                                                                            \
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'" running "'},"           \
    "'failure':'undo','keep':864000000,'variables':{'n':'n'},'steps':["                            \
    "{'name':'on','do':'call','to':'web','topic':'/on','is_url':true,'payload':'json','undo':["    \
    "{'name':'off','do':'call','to':'web','topic':'/off','is_url':true,'payload':'json'}]},"       \
    "{'name':'go','do':'await','from':'go','key':'k'}]}"

// A deadline that is due with the timer that makes it none.
#define OVERTAKEN                                                                                  \
    "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo','keep':864000000," \
    "'steps':[{'name':'both','do':'parallel','branches':{'a':[{'name':'nap','do':'sleep',"         \
    "'for':100}]},'wait':'all','within':150},{'name':'rest','do':'sleep','for':1000}]}"

struct expected {
    const char *why, *definition, *script, *states, *sent;
};

static const struct expected cases[] = {
    {"an event starts one", WAITING("ignore", ""), "e start {'k':1};", "1 1 running", ""},
    {"another of the key is ignored", WAITING("ignore", ""), "e start {'k':1};e start {'k':1};",
     "1 1 running", ""},
    {"one of another key is not", WAITING("ignore", ""), "e start {'k':1};e start {'k':2};",
     "1 1 running, 2 2 running", ""},
    {"nor one after it has ended", WAITING("ignore", ""),
     "e start {'k':1};e go {'k':1};e start {'k':1};", "1 1 completed, 2 1 running", "got/1"},
    {"a whole number is the same key whatever it was written like", WAITING("ignore", ""),
     "e start {'k':1};e start {'k':1.0};e start {'k':'1'};", "1 1 running", ""},
    {"parallel: each runs, one event is for all", WAITING("parallel", ""),
     "e start {'k':1};e start {'k':1};e go {'k':1};", "1 1 completed, 2 1 completed",
     "got/1 got/1"},
    {"queue: one after the other", WAITING("queue", ""),
     "e start {'k':1};e start {'k':1};e start {'k':1};e go {'k':1};",
     "1 1 completed, 2 1 running, 3 1 queued", "got/1"},
    {"queue: in order, to the end", WAITING("queue", ""),
     "e start {'k':1};e start {'k':1};e start {'k':1};e go {'k':1};e go {'k':1};e go {'k':1};",
     "1 1 completed, 2 1 completed, 3 1 completed", "got/1 got/1 got/1"},
    {"queue: of each key", WAITING("queue", ""),
     "e start {'k':1};e start {'k':2};e start {'k':2};e go {'k':2};",
     "1 1 running, 2 2 completed, 3 2 running", "got/2"},
    {"queue: a queued one is cancelled at once, the next takes its place", WAITING("queue", ""),
     "e start {'k':1};e start {'k':1};e start {'k':1};c undo 2;e go {'k':1};",
     "1 1 completed, 2 1 cancelled, 3 1 running", "got/1"},
    {"restart: the old one is cancelled, the new one begins", WAITING("restart", ""),
     "e start {'k':1};e start {'k':1};", "1 1 cancelled, 2 1 running", ""},
    {"restart: of several that wait for their turn the last one is left", UNDONE("restart"),
     "e start {'k':1};a /on done;e start {'k':1};e start {'k':1};e start {'k':1};a /off done;",
     "1 1 cancelled, 2 1 cancelled, 3 1 cancelled, 4 1 running", "/on /off /on"},
    {"restart: it waits until what was done is undone", UNDONE("restart"),
     "e start {'k':1};a /on done;e start {'k':1};", "1 1 undoing, 2 1 queued", "/on /off"},
    {"an event is not taken by an await that begins behind it",
     "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo','keep':1000000,"
     "'steps':[{'name':'a','do':'await','from':'go','key':'k'},"
     "{'name':'b','do':'await','from':'go','key':'k'}]}",
     "e start {'k':1};e go {'k':1};", "1 1 running", ""},
    {"nor by the instance that it starts",
     "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo','keep':1000000,"
     "'steps':[{'name':'a','do':'await','from':'start','key':'k'" KEEP "}]}",
     "e start {'k':1};", "1 1 running", ""},
    {"where decides with the instance's variables",
     WAITING("parallel", ",'where':'event.n > my.n'"),
     "e start {'k':1,'n':5};e start {'k':1,'n':7};e go {'k':1,'n':6};",
     "1 1 completed, 2 1 running", "got/1"},
    {"an event that comes too early is ignored", WAITING("ignore", ""),
     "e go {'k':1};e start {'k':1};", "1 1 running", ""},
    {"or kept", WAITING("ignore", KEEP), "e go {'k':1};e start {'k':1};", "1 1 completed", "got/1"},
    {"for so long", WAITING("ignore", KEEP), "e go {'k':1};t 3600000;e start {'k':1};",
     "1 1 running", ""},
    {"kept ones are taken in order, each once", WAITING("parallel", KEEP ",'where':'event.n > 1'"),
     "e go {'k':1,'n':1};e go {'k':1,'n':2};e start {'k':1};e start {'k':1};",
     "1 1 completed, 2 1 running", "got/1"},
    {"what is taken is not kept", WAITING("ignore", KEEP),
     "e start {'k':1};e go {'k':1};e start {'k':1};", "1 1 completed, 2 1 running", "got/1"},
    {"one that nobody's where takes is kept", WAITING("ignore", KEEP ",'where':'event.n = my.n'"),
     "e start {'k':1,'n':1};e go {'k':1,'n':2};c abandon 1;e start {'k':1,'n':2};",
     "1 1 cancelled, 2 1 completed", "got/1"},
    {"match: another value than the key", WAITING("ignore", ",'match':'n * 10'"),
     "e start {'k':1,'n':5};e go {'k':1};e go {'k':50};", "1 1 completed", "got/1"},
    {"of two timers that are due together the first puts the second off", OVERTAKEN,
     "e start {'k':1};t 200;t 999;", "1 1 running", ""},
    {"and that one comes in its time", OVERTAKEN, "e start {'k':1};t 200;t 1000;", "1 1 completed",
     ""},
    {"a key that is NULL in an event is of nobody", WAITING("ignore", KEEP),
     "e start {'k':1};e go {'x':1};", "1 1 running", ""},
};

static void events_find_their_instances(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (enum play_mode mode = PLAY_PLAIN; mode < PLAY_MODES; mode++) {
            const char *definitions[] = {cases[i].definition, NULL};
            struct play *play = play_create(definitions, mode);
            play_script(play, cases[i].script);
            play_check(play, cases[i].why);
            if (strcmp(play_ask(play, states_sql), cases[i].states) != 0 ||
                strcmp(play->sent, cases[i].sent) != 0) {
                fail_msg("%s (mode %d): \"%s\", sent \"%s\"", cases[i].why, (int)mode,
                         play_ask(play, states_sql), play->sent);
            }
            play_destroy(play);
        }
    }
}

// ---- rules --------------------------------------------------------------------------------------

// A rule whose rows start the workflow, as the configuration makes it.
static struct play *one_by_rule(const char *definition)
{
    static const struct route_spec route = {.target = ROUTE_TO_RULES, .topic = RULE_TOPIC "hot"};
    static const struct rule_spec rule = {.name = "hot",
                                          .sql = "SELECT device AS k, n FROM \"raw/#\" WHERE n > 5",
                                          .routes = &route,
                                          .route_count = 1};
    static const struct identity_spec identity = {"g", "raw/#", "d", NULL, NULL, NULL};
    struct play *play = one(definition);
    play->spec.rules = &rule;
    play->spec.rule_count = 1;
    play->spec.identities = &identity;
    play->spec.identity_count = 1;
    swap(play, definition);
    return play;
}

#define BY_RULE(await)                                                                             \
    "{'format':1,'name':'w','start':{'from':'$rule/hot','key':'k'},'failure':'undo',"              \
    "'keep':864000000,'variables':{'n':'n'},'steps':["                                             \
    "{'name':'go','do':'await','from':'raw','key':'d'" await "},"                                  \
    "{'name':'got','do':'emit','to':'bus','topic':'got/{my.key}/{n}','payload':'json'}]}"

// What a rule makes of an event is seen behind it and before the next, in one batch or in two.
static void a_rule_starts_one(void **state)
{
    (void)state;
    for (int together = 0; together < 2; together++) {
        struct play *play = one_by_rule(BY_RULE(",'where':'event.n < 3'"));
        play->mode = together ? PLAY_TOGETHER : PLAY_PLAIN;
        play_script(play, "e raw {'d':'a','n':1};e raw {'d':'a','n':9};e raw {'d':'b','n':2};"
                          "e raw {'d':'a','n':2};e raw {'d':'b','n':7};e raw {'d':'a','n':8};");
        assert_asked(play, states_sql, "1 a completed, 2 b running, 3 a running");
        assert_string_equal(play->sent, "got/a/9");
        assert_int_equal(books_of(play).derived, 3);
        assert_int_equal(books_of(play).filtered, 2);
        play_destroy(play);
    }
}

// A table that is fed by events is as it was after the workflow's own event.
static void tables_are_as_of_the_event(void **state)
{
    (void)state;
    static const struct table_spec table = {
        .name = "seen", .key = "d", .sql = "SELECT d, v FROM \"seen/#\"", .rows_max = 10};
    for (int together = 0; together < 2; together++) {
        struct play *play = one(WAITING("ignore", ""));
        play->spec.tables = &table;
        play->spec.table_count = 1;
        play->mode = together ? PLAY_TOGETHER : PLAY_PLAIN;
        swap(play, "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo',"
                   "'keep':864000000,'steps':["
                   "{'name':'set','do':'set','set':{'m':'(SELECT max(v) FROM seen)'}},"
                   "{'name':'got','do':'emit','to':'bus','topic':'got/{my.key}/{m}',"
                   "'payload':'json'}]}");
        play_script(play, "e seen {'d':1,'v':7};e start {'k':1};e seen {'d':2,'v':8};"
                          "e seen {'d':1,'v':9};e start {'k':2};");
        assert_string_equal(play->sent, "got/1/7 got/2/9");
        play_destroy(play);
    }
}

// ---- failures and bounds ------------------------------------------------------------------------

#define START_BY(key)                                                                              \
    "{'format':1,'name':'w','start':{'from':'start','key':'" key "'},'failure':'undo',"            \
    "'keep':1000000,'steps':[{'name':'go','do':'sleep','for':1}]}"
#define TEN_E "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"

static const struct {
    const char *why, *definition, *event, *reason;
} failures[] = {
    {"a key that is NULL", WAITING("ignore", ""), "start {'x':1}",
     "workflow \"w\": the key is NULL (key: k); the event has no field \"k\", or it is null"},
    {"one of a payload without fields", WAITING("ignore", ""), "start now",
     "workflow \"w\": the key is NULL (key: k); the payload is no JSON object and has no fields"},
    {"one that an event has of its own", START_BY("device"), "start {'device':'d'}",
     "workflow \"w\": the key is NULL (key: device); the payload's field of that name is written "
     "\"fields.device\""},
    {"one that no field explains", START_BY("nullif(k, 7)"), "start {'k':7}",
     "workflow \"w\": the key is NULL (key: nullif(k, 7))"},
    {"of several fields the one that is not there", START_BY("k || n"), "start {'k':7}",
     "(key: k || n); the event has no field \"n\", or it is null"},
    {"a blob", START_BY("x`00`"), "start {'k':7}", "the key is a blob of 1 bytes (key: x'00')"},
    {"a long expression is cut between two letters",
     START_BY("NULL OR `" TEN_E TEN_E TEN_E TEN_E TEN_E TEN_E "`"), "start {'k':7}",
     "\xC3\xA9...)"},
    {"an await's key that is a blob",
     "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo','keep':1000000,"
     "'steps':[{'name':'go','do':'await','from':'go','key':'x`00`'}]}",
     "go {'k':7}", "workflow \"w\": step go: the key is a blob of 1 bytes (key: x'00')"},
    {"an expression that fails",
     "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo','keep':1000000,"
     "'variables':{'n':'json_extract(n, `$.a`)'},'steps':[{'name':'go','do':'sleep','for':1}]}",
     "start {'k':1,'n':'{'}", "malformed JSON"},
    {"an await's key", WAITING("ignore", ",'keep':1000"), "go {'k':{'a':1}}",
     NULL}, // JSON is a text.
    {"a where that fails", WAITING("ignore", ",'where':'json_extract(event.n, `$.a`) = 1'"),
     "go {'k':7,'n':'{'}", "step go: where: "},
};

static void what_fails_is_in_the_quarantine(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        struct play *play = one(failures[i].definition);
        char script[300];
        snprintf(script, sizeof(script), "e start {'k':7,'n':1};e %s;", failures[i].event);
        bool is_start = strncmp(failures[i].event, "start", 5) == 0;
        play_script(play, is_start ? strstr(script, ";") + 1 : script);
        const char *reason = play_ask(play, "SELECT reason FROM pipit_quarantine");
        bool is_right = failures[i].reason == NULL ? reason[0] == '\0'
                                                   : strstr(reason, failures[i].reason) != NULL;
        if (!is_right) {
            fail_msg("%s: \"%s\"", failures[i].why, reason);
        }
        if (failures[i].reason != NULL) {
            assert_asked(play, "SELECT rule FROM pipit_quarantine", "workflow/w");
            assert_int_equal(books_of(play).rejected, 1);
            assert_int_equal(books_of(play).rule_failures, 1);
        }
        play_destroy(play);
    }
}

// The event is for the workflow that failed on it, and no other.
static void a_quarantined_event_is_played_again(void **state)
{
    (void)state;
    static const char *const definitions[] = {
        "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'parallel'},"
        "'failure':'undo','keep':864000000,'steps':[{'name':'nap','do':'sleep','for':1000}]}",
        "{'format':1,'name':'child','start':{'from':'start','key':'n','running':'parallel'},"
        "'failure':'undo','keep':864000000,'steps':[{'name':'nap','do':'sleep','for':1000}]}",
        NULL};
    struct play *play = play_create(definitions, PLAY_PLAIN);
    struct outcome outcome;
    play_script(play, "e start {'n':2};");
    assert_asked(play, states_sql, "1 2 running");
    const struct edit edit = {.payload = bytes_from_text("{\"n\":2,\"k\":5}")};
    const struct input input = {
        .kind = INPUT_OPERATION,
        .operation = {.kind = OPERATION_QUARANTINE_EDIT, .first = 1, .last = 1, .edit = &edit}};
    assert_ok(core_step(play->core, &input, 1, play->now_ms, &outcome, &play->e), play->e);
    assert_ok(operate(play, OPERATION_QUARANTINE_REPLAY, 0, &outcome), play->e);
    assert_int_equal(outcome.operated, 1);
    assert_asked(play, states_sql, "1 2 running, 2 5 running");
    play_script(play, "e start {'n':3};");
    play->spec.workflow_count = 0;
    assert_ok(core_swap(play->core, &play->spec, &play->e), play->e);
    assert_ok(operate(play, OPERATION_QUARANTINE_REPLAY, 0, &outcome), play->e);
    assert_int_equal(outcome.operated, 0);
    assert_non_null(strstr(outcome.skip, "failed in workflow w, which is not in the running"));
    play_destroy(play);
}

// What is played for one rule again starts nothing; what is played for all does.
static void a_message_that_is_played_again(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *states;
    } played[] = {
        {"hot", ""}, {"workflow/other", ""}, {"workflow/w", "1 1 running"}, {NULL, "1 1 running"}};
    for (size_t i = 0; i < sizeof(played) / sizeof(played[0]); i++) {
        struct play *play = one(WAITING("ignore", ""));
        const struct playback playback = {.rule = played[i].rule, .is_known = true};
        play_message(play, "start", bytes_from_text("{\"k\":1}"));
        play->inputs[0].message.playback = &playback;
        play_flush(play);
        assert_asked(play, states_sql, played[i].states);
        play_destroy(play);
    }
}

static void instances_are_bounded(void **state)
{
    (void)state;
    struct play *play = one(WAITING("parallel", ""));
    play->spec.instances_max = 2;
    swap(play, WAITING("parallel", ""));
    play_script(play, "e start {'k':1};e start {'k':2};e start {'k':3};");
    assert_asked(play, states_sql, "1 1 running, 2 2 running");
    assert_non_null(strstr(play_ask(play, "SELECT reason FROM pipit_quarantine"),
                           "2 instances are running or queued, the hub's `instances` is 2"));
    play_script(play, "e go {'k':1};e start {'k':4};");
    assert_asked(play, states_sql, "1 1 completed, 2 2 running, 3 4 running");
    play_reopen(play); // Counted anew.
    play_script(play, "e start {'k':5};e go {'k':2};e go {'k':4};e start {'k':6};");
    assert_asked(play, states_sql, "1 1 completed, 2 2 completed, 3 4 completed, 4 6 running");
    play_destroy(play);
}

static void keys_and_variables_are_bounded(void **state)
{
    (void)state;
    static const char wide[] =
        "{'format':1,'name':'w','start':{'from':'start','key':'printf(`%.*c`, k, `x`)'},"
        "'failure':'undo','keep':1000000,'variables':{'n':'printf(`%.*c`, n, `y`)'},"
        "'steps':[{'name':'nap','do':'sleep','for':1000}]}";
    struct play *play = one(wide);
    play_script(play, "e start {'k':1024,'n':1};e start {'k':1025,'n':1};");
    assert_asked(play, "SELECT count(*) FROM pipit_workflow_instance", "1");
    assert_non_null(strstr(play_ask(play, "SELECT reason FROM pipit_quarantine"),
                           "the key has 1025 bytes, 1024 are allowed"));
    play_script(play, "e start {'k':1,'n':65000};e start {'k':2,'n':65536};");
    assert_asked(play, "SELECT count(*) FROM pipit_workflow_instance", "2");
    assert_non_null(strstr(play_ask(play, "SELECT reason FROM pipit_quarantine WHERE id = 2"),
                           "bytes as JSON, 65536 are allowed"));
    play_destroy(play);
}

// One that takes far more memory than it may fails on its event, and the batch goes on.
static void memory_is_bounded(void **state)
{
    (void)state;
    static const char greedy[] =
        "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo',"
        "'keep':864000000,'variables':{'n':'length(printf(`%.*c`, n, `y`) || printf(`%.*c`, n, "
        "`z`))'},"
        "'steps':[{'name':'go','do':'await','from':'go','key':'k',"
        "'where':'length(printf(`%.*c`, event.n, `y`) || event.n) > 0'}]}";
    struct play *play = one(greedy);
    play->spec.rule_memory_max = 1 << 20;
    play->mode = PLAY_TOGETHER;
    swap(play, greedy);
    play_script(play, "e start {'k':1,'n':10};e start {'k':2,'n':9000000};e start {'k':3,'n':10};"
                      "e go {'k':1,'n':9000000};e go {'k':3,'n':1};");
    assert_asked(play, states_sql, "1 1 running, 2 3 completed");
    assert_asked(play, "SELECT count(*) FROM pipit_quarantine", "2");
    play_destroy(play);
}

// A workflow that starts itself without a pause comes to an end, and it is said why.
static void one_that_starts_itself_is_stopped(void **state)
{
    (void)state;
    struct play *play =
        one("{'format':1,'name':'w','start':{'from':'start','key':'k','running':'parallel'},"
            "'failure':'undo','keep':864000000,'steps':[{'name':'more','do':'emit','to':'rules',"
            "'topic':'start','payload':'json','fields':{'k':'my.key'}}]}");
    play_script(play, "e start {'k':1};");
    char wanted[20];
    snprintf(wanted, sizeof(wanted), "%d", WORKFLOW_HOPS_MAX + 1);
    assert_asked(play, "SELECT count(*) FROM pipit_workflow_instance WHERE state = 4", wanted);
    assert_non_null(strstr(play_ask(play, "SELECT reason FROM pipit_quarantine"),
                           "events of workflows have led to one another 33 times at once"));
    assert_int_equal(books_of(play).rejected, 1);
    play_destroy(play);
}

// With a pause it is a clock.
static void one_that_pauses_may_start_itself(void **state)
{
    (void)state;
    struct play *play =
        one("{'format':1,'name':'w','start':{'from':'start','key':'k','running':'parallel'},"
            "'failure':'undo','keep':864000000,'steps':[{'name':'nap','do':'sleep','for':1000},"
            "{'name':'more','do':'emit','to':'rules','topic':'start','payload':'json',"
            "'fields':{'k':'my.key'}}]}");
    play_script(play, "e start {'k':1};");
    for (int i = 0; i < 2 * WORKFLOW_HOPS_MAX; i++) {
        play_script(play, "t 1000;");
    }
    assert_asked(play, "SELECT count(*) FROM pipit_workflow_instance WHERE state = 4", "64");
    assert_asked(play, "SELECT count(*) FROM pipit_quarantine", "0");
    play_destroy(play);
}

// As many begin, in one batch.
static void begin_many(struct play *play, uint32_t count)
{
    static struct input starts[3 * WORKFLOW_TAKERS_MAX];
    struct outcome outcome;
    for (uint32_t i = 0; i < count; i++) {
        starts[i] = (struct input){.kind = INPUT_MESSAGE,
                                   .message = {.topic = bytes_from_text("start"),
                                               .payload = bytes_from_text("{\"k\":1}")}};
    }
    assert_ok(core_step(play->core, starts, count, play->now_ms, &outcome, &play->e), play->e);
}

// More wait for one event than are held in memory at a time: all of them get it, once.
static void an_event_is_for_very_many(void **state)
{
    (void)state;
    struct play *play =
        one("{'format':1,'name':'w','start':{'from':'start','key':'k','running':'parallel'},"
            "'failure':'undo','keep':864000000,'steps':["
            "{'name':'a','do':'await','from':'go','key':'k'},"
            "{'name':'b','do':'await','from':'go','key':'k'}]}");
    static const char at_b_sql[] = "SELECT count(*) FROM pipit_workflow_wait WHERE step = 1";
    begin_many(play, 2 * WORKFLOW_TAKERS_MAX + 500);
    play_script(play, "e go {'k':1};");
    assert_asked(play, at_b_sql, "2500");
    play_script(play, "e go {'k':1};");
    assert_asked(play, at_b_sql, "0");
    assert_asked(play, "SELECT completed FROM pipit_workflow", "2500");
    play_destroy(play);
}

// More timers than a batch fires: the others follow at once, all of them once.
static void timers_fire_in_batches(void **state)
{
    (void)state;
    struct play *play =
        one("{'format':1,'name':'w','start':{'from':'start','key':'k','running':'parallel'},"
            "'failure':'undo','keep':864000000,'steps':[{'name':'nap','do':'sleep','for':1000}]}");
    const struct input tick = {.kind = INPUT_TICK};
    struct outcome outcome;
    begin_many(play, WORKFLOW_TIMERS_MAX + 10);
    play->now_ms += 999;
    static const char ended_sql[] = "SELECT count(*) FROM pipit_workflow_instance WHERE state = 4";
    assert_ok(core_step(play->core, &tick, 1, play->now_ms, &outcome, &play->e), play->e);
    assert_asked(play, ended_sql, "0"); // Never early.
    play->now_ms += 1;
    assert_ok(core_step(play->core, &tick, 1, play->now_ms, &outcome, &play->e), play->e);
    assert_asked(play, ended_sql, "1000");
    assert_true(core_next_timer_ms(play->core) <= play->now_ms);
    assert_ok(core_step(play->core, &tick, 1, play->now_ms, &outcome, &play->e), play->e);
    assert_asked(play, ended_sql, "1010");
    assert_true(core_next_timer_ms(play->core) > play->now_ms);
    play_destroy(play);
}

// ---- operators ----------------------------------------------------------------------------------

static void operations_are_refused_with_a_sentence(void **state)
{
    (void)state;
    struct play *play = one(WAITING("ignore", ""));
    struct outcome outcome;
    play_script(play, "e start {'k':1};e go {'k':1};e start {'k':2};");
    const struct {
        enum operation_kind kind;
        uint64_t instance;
        enum err want;
        const char *text;
    } refused[] = {
        {OPERATION_WORKFLOW_CANCEL, 9, ERR_NOT_FOUND, "there is no instance 9"},
        {OPERATION_WORKFLOW_CANCEL, 1, ERR_INVALID, "has completed: there is nothing to cancel"},
        {OPERATION_WORKFLOW_RETRY, 1, ERR_INVALID, "has ended; start it anew"},
        {OPERATION_WORKFLOW_REPLAY, 2, ERR_INVALID, "has not ended, it is running"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(operate(play, refused[i].kind, refused[i].instance, &outcome),
                         refused[i].want);
        assert_non_null(strstr(play->e.text, refused[i].text));
    }
    play_destroy(play);
}

static void one_is_started_again(void **state)
{
    (void)state;
    struct play *play = one(WAITING("ignore", ""));
    struct outcome outcome;
    play_script(play, "e start {'k':1,'n':5};e go {'k':1,'n':6};");
    assert_ok(operate(play, OPERATION_WORKFLOW_REPLAY, 1, &outcome), play->e);
    assert_int_equal(outcome.instance, 2);
    assert_asked(play, states_sql, "1 1 completed, 2 1 running");
    assert_asked(play, "SELECT start FROM pipit_workflow_instance WHERE id = 2", "{\"n\":5}");
    assert_int_equal(operate(play, OPERATION_WORKFLOW_REPLAY, 1, &outcome), ERR_INVALID);
    assert_non_null(strstr(play->e.text, "an instance of w with the key \"1\" is running"));
    swap(play, NULL);
    play_script(play, "c abandon 2;");
    assert_int_equal(operate(play, OPERATION_WORKFLOW_REPLAY, 1, &outcome), ERR_INVALID);
    assert_non_null(strstr(play->e.text, "is not in the running configuration"));
    play_destroy(play);
}

// ---- what it costs ------------------------------------------------------------------------------

// Without workflows nothing of them is touched.
static void a_hub_without_workflows_is_idle(void **state)
{
    (void)state;
    struct play *play = one(WAITING("ignore", ""));
    swap(play, NULL);
    play_script(play, "e start {'k':1};e go {'k':1};");
    assert_asked(play, states_sql, "");
    assert_int_equal(core_next_timer_ms(play->core), INT64_MAX);
    assert_int_equal(books_of(play).filtered, 2);
    play_destroy(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_find_their_instances),
        cmocka_unit_test(a_rule_starts_one),
        cmocka_unit_test(tables_are_as_of_the_event),
        cmocka_unit_test(what_fails_is_in_the_quarantine),
        cmocka_unit_test(a_quarantined_event_is_played_again),
        cmocka_unit_test(a_message_that_is_played_again),
        cmocka_unit_test(instances_are_bounded),
        cmocka_unit_test(keys_and_variables_are_bounded),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(one_that_starts_itself_is_stopped),
        cmocka_unit_test(one_that_pauses_may_start_itself),
        cmocka_unit_test(an_event_is_for_very_many),
        cmocka_unit_test(timers_fire_in_batches),
        cmocka_unit_test(operations_are_refused_with_a_sentence),
        cmocka_unit_test(one_is_started_again),
        cmocka_unit_test(a_hub_without_workflows_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
