// workflow_scenario.h - a workflow, what happens to it, and what has to be written down of it.
#ifndef PIPIT_TESTS_WORKFLOW_SCENARIO_H
#define PIPIT_TESTS_WORKFLOW_SCENARIO_H

#include "workflow_play.h"

// A workflow "w" that event "start" starts, by its k.
#define WORKFLOW(more, steps)                                                                      \
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'parallel'},"              \
    "'failure':'undo','keep':864000000," more "'steps':[" steps "]}"
#define CALL(name, more)                                                                           \
    "{'name':'" name "','do':'call','to':'web','topic':'/" name                                    \
    "','is_url':true,'payload':'json'" more "}"
#define SET(name, variable, value)                                                                 \
    "{'name':'" name "','do':'set','set':{'" variable "':'" value "'}}"
#define SLEEP(name, ms) "{'name':'" name "','do':'sleep','for':" ms "}"
#define START           "e start {'k':1,'n':5};"

struct scenario {
    const char *why, *definition, *script;
    const char *record, *sent;
    const char *variables; // NULL: they are not looked at.
};

// What has to hold whatever has happened.
static inline void play_check(struct play *play, const char *why)
{
    static const struct {
        const char *what, *sql; // Gives 0 rows, or what is wrong.
    } laws[] = {
        {"who is over waits for nothing",
         "SELECT w.instance FROM pipit_workflow_wait AS w LEFT JOIN pipit_workflow_instance AS i"
         " ON i.id = w.instance WHERE i.id IS NULL OR i.state NOT IN (1, 2)"},
        {"who is over has no tokens and nothing to undo",
         "SELECT id FROM pipit_workflow_instance WHERE state >= 4 AND (json_array_length("
         "coalesce(tokens, '[]')) > 0 OR json_array_length(coalesce(undo, '[]')) > 0)"},
        {"who has arrived at a step has left it or is there",
         "SELECT 1 WHERE NOT EXISTS(SELECT 1 FROM pipit_workflow_instance WHERE state = 3) AND"
         " (SELECT coalesce(sum(arrived - departed), 0) FROM pipit_workflow_step) <> (SELECT"
         " coalesce(sum(json_array_length(coalesce(tokens, '[]'))), 0)"
         " FROM pipit_workflow_instance)"},
        {"who has begun is in one state",
         "SELECT name FROM pipit_workflow WHERE started <> queued + running + undoing + parked +"
         " completed + failed + cancelled"},
        {"the counters say what the rows say",
         "SELECT 1 WHERE (SELECT sum(completed) FROM pipit_workflow) <> (SELECT count(*) FROM"
         " pipit_workflow_instance WHERE state = 4)"},
    };
    for (size_t i = 0; i < sizeof(laws) / sizeof(laws[0]); i++) {
        if (play_ask(play, laws[i].sql)[0] != '\0') {
            fail_msg("%s (mode %d): %s", why, play->mode, laws[i].what);
        }
    }
    struct books books;
    core_books(play->core, &books);
    assert_int_equal(books.enqueued, books.delivered + books.waiting + books.dead + books.dropped);
    assert_int_equal(books.received,
                     books.routed + books.filtered + books.duplicate + books.rejected);
}

// definitions: the scenario's, then "child" and "third", up to NULL.
static inline void play_scenario_of(const struct scenario *scenario, const char *const *definitions)
{
    for (int mode = 0; mode < PLAY_MODES; mode++) {
        struct play *play = play_create(definitions, (enum play_mode)mode);
        play_script(play, scenario->script);
        if (strcmp(play_record(play), scenario->record) != 0) {
            fail_msg("%s (mode %d):\n  %s\nis not\n  %s", scenario->why, mode, play_record(play),
                     scenario->record);
        }
        if (strcmp(play->sent, scenario->sent) != 0) {
            fail_msg("%s (mode %d): sent %s, not %s", scenario->why, mode, play->sent,
                     scenario->sent);
        }
        if (scenario->variables != NULL && !play_has_variables(play, scenario->variables)) {
            fail_msg("%s (mode %d): variables %s", scenario->why, mode, play_variables(play));
        }
        play_check(play, scenario->why);
        play_destroy(play);
    }
}

// child: another definition, "child"; NULL: there is none.
static inline void play_scenario(const struct scenario *scenario, const char *child)
{
    const char *const definitions[] = {scenario->definition, child, NULL};
    play_scenario_of(scenario, definitions);
}

static inline void play_scenarios(const struct scenario *scenarios, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        play_scenario(&scenarios[i], NULL);
    }
}

#endif
