// workflow_laws.h - what holds of workflows in a store at every commit, as SQL.
#ifndef PIPIT_TESTS_WORKFLOW_LAWS_H
#define PIPIT_TESTS_WORKFLOW_LAWS_H

// Tokens as their instances have them; a parked one has left what it failed at.
#define WORKFLOW_TOKENS                                                                            \
    "WITH token AS (SELECT i.definition, t.value ->> 3 AS step, t.value ->> 7 AS arrived"          \
    " FROM pipit_workflow_instance AS i, json_each(i.tokens) AS t"                                 \
    " WHERE i.tokens IS NOT NULL AND NOT (i.state = 3 AND t.value ->> 6 = 0)) "

static const struct {
    const char *what, *sql; // A number that has to be 0.
} workflow_books[] = {
    {"instances by state", // Those that have ended are dropped after a while.
     "SELECT count(*) FROM pipit_workflow AS w WHERE (queued, running, undoing, parked) <>"
     " (SELECT coalesce(sum(state = 0), 0), coalesce(sum(state = 1), 0),"
     " coalesce(sum(state = 2), 0), coalesce(sum(state = 3), 0) FROM pipit_workflow_instance"
     " WHERE workflow = w.id)"},
    {"instances that have ended",
     "SELECT count(*) FROM pipit_workflow AS w, pipit_workflow_instance AS i"
     " WHERE i.workflow = w.id AND i.ended IS NOT NULL GROUP BY w.id HAVING"
     " sum(state = 4) > completed OR sum(state = 5) > failed OR sum(state = 6) > cancelled"},
    {"instances that were started",
     "SELECT count(*) FROM pipit_workflow WHERE started <> queued + running + undoing + parked +"
     " completed + failed + cancelled"},
    {"tokens at a step",
     WORKFLOW_TOKENS "SELECT count(*) FROM pipit_workflow_step AS s WHERE arrived - departed <>"
                     " (SELECT count(*) FROM token WHERE definition = s.definition AND"
                     " step = s.step)"},
    {"Little's law",
     WORKFLOW_TOKENS "SELECT count(*) FROM pipit_workflow_step AS s WHERE area - residence <>"
                     " (SELECT coalesce(sum(s.last - arrived), 0) FROM token WHERE"
                     " definition = s.definition AND step = s.step)"},
    {"who undoes stands at a step, or waits for one that it runs and that is not over",
     "SELECT count(*) FROM pipit_workflow_instance AS i WHERE state = 2 AND"
     " json_array_length(coalesce(tokens, '[]')) = 0 AND NOT EXISTS (SELECT 1 FROM"
     " pipit_workflow_instance AS c WHERE c.id = i.undo ->> '$[#-1].child' AND c.ended IS NULL)"},
    {"tokens at a step that was never counted",
     WORKFLOW_TOKENS "SELECT count(*) FROM token AS t WHERE NOT EXISTS (SELECT 1 FROM"
                     " pipit_workflow_step AS s WHERE s.definition = t.definition AND"
                     " s.step = t.step)"},
};

#endif
