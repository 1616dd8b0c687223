// workflow_ask.h - a core with workflows whose store is asked, and whose definitions change.
#ifndef PIPIT_TESTS_WORKFLOW_ASK_H
#define PIPIT_TESTS_WORKFLOW_ASK_H

#include "workflow_scenario.h"

// Starts by "start", key k; waits for "go" with its key in k, then sends to got/<key>.
#define WAITING(running, await)                                                                    \
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'" running "'},"           \
    "'failure':'undo','keep':864000000,'variables':{'n':'n'},'steps':["                            \
    "{'name':'go','do':'await','from':'go','key':'k','take':{'n':'event.n'}" await "},"            \
    "{'name':'got','do':'emit','to':'bus','topic':'got/{my.key}','payload':'json'}]}"
// "<id> <key> <state>" of each instance.
static const char states_sql[] =
    "SELECT group_concat(id || ' ' || key || ' ' || (SELECT value FROM json_each('[\"queued\","
    "\"running\",\"undoing\",\"parked\",\"completed\",\"failed\",\"cancelled\"]') WHERE"
    " json_each.key = state), ', ') FROM (SELECT * FROM pipit_workflow_instance ORDER BY id)";

static inline struct play *one(const char *definition)
{
    const char *definitions[] = {definition, NULL};
    return play_create(definitions, PLAY_PLAIN);
}

static inline void assert_asked(struct play *play, const char *sql, const char *wanted)
{
    const char *given = play_ask(play, sql);
    if (strcmp(given, wanted) != 0) {
        fail_msg("%s: \"%s\", wanted \"%s\"", sql, given, wanted);
    }
}

static inline struct books books_of(const struct play *play)
{
    struct books books;
    core_books(play->core, &books);
    assert_int_equal(books.received,
                     books.routed + books.filtered + books.duplicate + books.rejected);
    assert_int_equal(books.enqueued, books.delivered + books.waiting + books.dead + books.dropped);
    return books;
}

static inline void swap(struct play *play, const char *definition)
{
    static char text[PLAY_TEXT_MAX];
    play_flush(play);
    if (definition != NULL) {
        play_quote(text, sizeof(text), definition);
        memcpy(play->texts[0], text, sizeof(text));
    }
    play->spec.workflow_count = definition == NULL ? 0 : 1;
    if (core_swap(play->core, &play->spec, &play->e) != ERR_OK) {
        fail_msg("%s", play->e.text);
    }
}

static inline enum err operate(struct play *play, enum operation_kind kind, uint64_t first,
                               struct outcome *out_outcome)
{
    const struct input input = {.kind = INPUT_OPERATION,
                                .operation = {.kind = kind, .first = first, .last = UINT64_MAX}};
    enum err rc = core_step(play->core, &input, 1, play->now_ms, out_outcome, &play->e);
    play_take(play);
    return rc;
}

#endif
