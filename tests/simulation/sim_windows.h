// sim_windows.h - what came of windows in a run: each result once, each event in one of them.
// Threads:   one.
// Failure:   as sim_history.h.
#ifndef PIPIT_SIM_WINDOWS_H
#define PIPIT_SIM_WINDOWS_H

#include <sqlite3.h>

#include "sim_history.h"

#define SIM_WINDOW_RULES 2 // "tumbled" by arrival, "counted" in fives.

// Which of them the rule is; SIM_WINDOW_RULES: none.
uint32_t sim_window_rule_of(const char *rule);

// A target got this result, or it is a dead letter. The same again has to be the same.
void sim_windows_received(struct sim_history *history, uint32_t rule, const char *key,
                          struct bytes payload);
// When all is quiet: the dead letters, too; gives how many results there were.
uint64_t sim_windows_check_end(struct sim_history *history, sqlite3 *db);

#endif
