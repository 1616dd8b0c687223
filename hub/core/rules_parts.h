// rules_parts.h - what a set of rules is made of, for the files that work on it: rules_open.c
// (compiled, opened, asked), rules.c (run).
// Threads:   core thread.
// Ownership: the rules own their parts; specs are borrowed.
// Failure:   as rules.h.
#ifndef PIPIT_CORE_RULES_PARTS_H
#define PIPIT_CORE_RULES_PARTS_H

#include "core/event_memory.h"
#include "core/memo.h"
#include "core/render.h"
#include "core/rule_branch.h"
#include "core/rule_feed.h"
#include "core/rule_graph.h"
#include "core/rule_identity.h"
#include "core/rule_matches.h"
#include "core/rule_statement.h"
#include "core/rules.h"
#include "core/window.h"

#define ROUTES_MAX 64 // Of one rule.

struct rule {
    const struct rule_spec *spec;
    struct rule_spec *branch; // Of a branch: its own, made of the configured one.
    struct rule_statement *statement;
    struct render *render;
};

struct rules {
    struct rule_space *space;
    uint32_t steps_max;
    uint64_t memory_max;
    bool is_batched;
    struct rule_matches *matches;
    struct rule_branches *branches;
    uint32_t *position; // Of each rule in the order of a run; NULL: as they are configured.
    struct rule_identities *identities;
    struct rule_feeds *feeds;
    bool is_cut_by_feeds; // See rules_cut_before.
    struct windows *windows;
    const struct rule_window_sink *window_sink; // NULL: nobody is told.
    struct event_memory memory;                 // Of the outputs of one event in one rule.
    struct rule_output *outputs;                // Waiting until the event's last row has worked.
    uint32_t output_count, output_capacity;
    uint32_t rule_count;
    struct rule rules[];
};

#endif
