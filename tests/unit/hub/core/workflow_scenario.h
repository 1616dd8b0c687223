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

// child: another definition, "child"; NULL: there is none.
static inline void play_scenario(const struct scenario *scenario, const char *child)
{
    const char *const definitions[] = {scenario->definition, child, NULL};
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
        play_destroy(play);
    }
}

static inline void play_scenarios(const struct scenario *scenarios, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        play_scenario(&scenarios[i], NULL);
    }
}

#endif
