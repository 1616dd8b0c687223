// The engine: whatever comes in whatever order, the same is written down however the batches are
// cut and however often the hub is stopped between, and the laws of the tables hold.
#include "workflow_scenario.h"

#define SEEDS      12
#define LINES      40
#define LINE_BYTES 300

#define TRY ",'within':400,'retry':{'attempts':3,'backoff':100,'backoff_max':200}"
#define TO(name, topic, more)                                                                      \
    "{'name':'" name "','do':'call','to':'web','topic':'/" topic "','is_url':true,"                \
    "'payload':'json'" more "}"

static const char *const definitions[] = {
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'queue'},"
    "'variables':{'list':'`[1,2,3]`'},'within':20000,'failure':'undo','keep':864000000,'steps':["
    "{'name':'both','do':'parallel','wait':1,'branches':{'a':[" TO(
        "a", "a/{my.key}",
        TRY ",'undo':[" TO(
            "ua", "ua/{my.key}",
            TRY) "]") "],'b':[{'name':'pay',"
                      "'do':'await','from':'pay','key':'k','keep':500,'within':700},{'name':'nap','"
                      "do':'sleep',"
                      "'for':150}],'c':[{'name':'go','do':'command','to':'bus','device':'`g/"
                      "d1`','command':'boost',"
                      "'offline':'wait'" TRY "}]}},"
                      "{'name':'each','do':'for_each','in':'list','as':'item','at_once':2,'stop':'"
                      "failed > 1',"
                      "'steps':[" TO(
                          "s", "s/{item}/{my.key}",
                          TRY ",'take':{'got':'body.x'},'undo':[" TO(
                              "us", "us/{item}/{my.key}",
                              "") "]") "]},"
                                       "{'name':'sub','do':'run','workflow':'child','key':'my.key',"
                                       "'wait':true,'on_error':[" SET(
                                           "note", "why",
                                           "my.reason") "]},"
                                                        "{'name':'last','do':'await','from':'pay','"
                                                        "key':'k','keep':0,'within':3000}]}",
    "{'format':1,'name':'child','start':{'from':'child','key':'k','running':'restart'},"
    "'failure':'park','keep':864000000,'steps':[" TO(
        "c", "c/{my.key}",
        ",'undo':[" TO("uc", "uc/{my.key}", "") "]") ",{'name':'rest','do':'sleep','for':100}]}",
    NULL};

struct dice {
    uint64_t state;
};

static uint32_t roll(struct dice *dice, uint32_t sides)
{
    dice->state = dice->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(dice->state >> 33) % sides;
}

static const struct play_delivery *any_delivery(const struct play *play, struct dice *dice,
                                                bool is_open)
{
    const struct play_delivery *found = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < play->delivery_count; i++) {
        const struct play_delivery *delivery = &play->deliveries[i];
        bool is_command = strncmp(delivery->topic, "pipit/", 6) == 0;
        if ((is_open ? delivery->is_open : is_command) && roll(dice, ++count) == 0) {
            found = delivery;
        }
    }
    return found;
}

static void write_line(const struct play *play, struct dice *dice, char *out_line)
{
    static const char *const verdicts[] = {"done 200 {'x':1}", "done 200 {'x':2}", "retry",
                                           "reject 404"};
    static const char *const wishes[] = {"undo", "abandon", "retry", "retry"};
    const struct play_delivery *delivery = any_delivery(play, dice, true);
    const struct play_delivery *command = any_delivery(play, dice, false);
    uint32_t key = 1 + roll(dice, 2), kind = roll(dice, 16);
    snprintf(out_line, LINE_BYTES, "t %u;", 50 + roll(dice, 300));
    if (kind < 2) {
        snprintf(out_line, LINE_BYTES, "e start {'k':%u};", key);
    } else if (kind < 4) {
        snprintf(out_line, LINE_BYTES, "e pay {'k':%u};", key);
    } else if (kind < 10 && delivery != NULL) {
        snprintf(out_line, LINE_BYTES, "a? %s %s;", play_visit(delivery), verdicts[roll(dice, 4)]);
    } else if (kind == 10 && command != NULL) {
        snprintf(out_line, LINE_BYTES, "r? %s %u;", play_visit(command), roll(dice, 2));
    } else if (kind == 11) {
        snprintf(out_line, LINE_BYTES, "o g/d1 %s;", roll(dice, 2) == 0 ? "on" : "off");
    } else if (kind == 12) {
        snprintf(out_line, LINE_BYTES, "c? %s %u;", wishes[roll(dice, 4)], 1 + roll(dice, 5));
    } else if (kind == 13) {
        snprintf(out_line, LINE_BYTES, "e child {'k':%u};", key);
    }
}

// Makes the story up as it goes, for what can be answered depends on what was sent. What one event
// sends and the next takes back is never sent where both come in one batch.
static struct play *tell_story(uint64_t seed, char lines[LINES][LINE_BYTES])
{
    struct dice dice = {seed};
    struct play *play = play_create(definitions, PLAY_PLAIN);
    for (int i = 0; i < LINES; i++) {
        write_line(play, &dice, lines[i]);
        play_script(play, lines[i]);
        play_check(play, lines[i]);
    }
    return play;
}

static void a_story_is_the_same_however_it_is_told(void **state)
{
    static char lines[LINES][LINE_BYTES], record[PLAY_TEXT_MAX], story[LINES * LINE_BYTES];
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct play *first = tell_story(seed, lines);
        snprintf(record, sizeof(record), "%s", play_record(first));
        story[0] = '\0';
        for (int i = 0; i < LINES; i++) {
            strcat(story, lines[i]);
        }
        play_destroy(first);
        for (int mode = PLAY_REOPENED; mode < PLAY_MODES; mode++) {
            struct play *play = play_create(definitions, (enum play_mode)mode);
            play_script(play, story);
            if (strcmp(play_record(play), record) != 0) {
                fail_msg("seed %d, mode %d:\n  %s\nis not\n  %s", (int)seed, mode,
                         play_record(play), record);
            }
            play_check(play, "a story");
            play_destroy(play);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_story_is_the_same_however_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
