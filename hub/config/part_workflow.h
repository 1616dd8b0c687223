// part_workflow.h - a workflow of the file on its way to JSON, for the files that make it:
//   part_workflow.c         the section; start, variables, options of a workflow
//   part_workflow_json.c    members of the JSON, made of what the file says
//   part_workflow_step.c    lists of steps; what every step may have; the table of kinds
//   part_workflow_kinds.c   what each kind has of its own
//   part_workflow_send.c    messages: emit, call, command
//   part_workflow_events.c  what starts and await hear
//   part_workflow_names.c   names that steps use of each other and of other workflows
//
// Threads:   one.
//
// Ownership: texts live in the file's arena; the JSON is the part's until it is written out.
//
// Failure:   faults go to the reader, memory that is out to the builder.
#ifndef PIPIT_CONFIG_PART_WORKFLOW_H
#define PIPIT_CONFIG_PART_WORKFLOW_H

#include "config/parts.h"
#include "config/workflow_json.h"
#include "core/workflow_definition.h"

// A name that is used of another step, variable or workflow.
struct workflow_use {
    const struct node *node;
    const char *what; // For texts.
    struct workflow_use *next;
};

struct workflow_part {
    struct builder *builder;
    const struct node *node;
    const char *what; // "workflow order"
    struct workflow_map *map;
    json_t *variables;
    uint32_t step_count, depth;
    struct workflow_use *steps, *gotos; // Names of steps (their keys), and those that gotos name.
    bool is_step_fault_told;            // Too many of them, or too deep: told once.
};

// A step being read.
struct workflow_step_part {
    struct workflow_part *part;
    const struct node *node;  // The mapping behind its name.
    const struct node *inner; // What stands behind its kind.
    const char *what;         // "workflow order: step reserve"
    const char *inner_what;   // "workflow order: step reserve: call"
    const char *path;
    json_t *json;
};

#define WORKFLOW_DAY_MS INT64_C(86400000)

#define STEP_MAY_WITHIN   1U
#define STEP_MAY_RETRY    2U
#define STEP_MAY_TAKE     4U
#define STEP_MAY_UNDO     8U
#define STEP_MAY_ON_ERROR 16U

typedef void workflow_kind_fn(struct workflow_step_part *step);

// A kind is a mapping (`inner`: its options), a text (a row of step_value_options), or has names
// of its own behind it (neither).
struct step_reader {
    enum step_kind kind;
    bool is_value;
    const struct option_spec *beside; // Of the step; NULL: none.
    const char *const *lists;         // Of the step, read by build; NULL: none.
    uint32_t may;                     // Which of those that steps have in common.
    workflow_kind_fn *build;          // What stands in `inner` and `lists`.
    // What may stand in `inner`, for who has written it beside; of a mapping.
    const struct option_spec *inner_options;
    const char *const *inner_others;
};
extern const struct step_reader step_readers[STEP_KIND_COUNT];

extern const char *const workflow_step_keys[]; // What may stand beside a kind; ends with NULL.

// ---- part_workflow_json.c: members --------------------------------------------------------------

// Takes the value; NULL is memory that is out.
void workflow_put(struct workflow_part *part, json_t *object, const char *name, json_t *take_value);
// What the options say that were read from node, under their names in a definition.
void workflow_put_options(struct workflow_step_part *step, const struct node *node,
                          const struct options *options);
const char *workflow_option_of(const char *member); // As the file calls it.
// The member `name` of node as a mapping of names to expressions: {"<name>": sql}; NULL: it is not
// there, or was reported. is_variables: the names are variables of the workflow.
json_t *workflow_expressions(struct workflow_step_part *step, const struct node *mapping,
                             const char *name, bool is_variables);
// Reads node into new options of table, verbatim. NULL without memory; others may be NULL.
struct options *workflow_options_read(struct workflow_step_part *step, const struct node *node,
                                      const struct option_spec *table, const char *const *others);
// Is declared or set by a step: its value is null until then.
void workflow_variable_add(struct workflow_part *part, const struct node *name, const char *what);

// ---- part_workflow_step.c -----------------------------------------------------------------------

// The list of steps that node is (or the one step); it goes into the object under `name`, its
// pointer is path. NULL: nothing.
void workflow_steps_build(struct workflow_part *part, const struct node *node, const char *what,
                          const char *path, json_t *object, const char *name);

// ---- part_workflow_kinds.c, part_workflow_send.c ------------------------------------------------

workflow_kind_fn step_emit_build, step_call_build, step_command_build, step_await_build,
    step_if_build, step_switch_build, step_parallel_build, step_for_each_build, step_set_build,
    step_run_build, step_end_build, step_value_build, step_goto_build;

// Does a message to one of the targets, or to rules, have an option of that name?
bool workflow_target_takes(const struct config *config, const char *option);

// ---- part_workflow_events.c ---------------------------------------------------------------------

// `from` or `rule` of what stands behind `start` or `await`, once its options have been put.
void workflow_events_build(struct workflow_step_part *step);

// ---- part_workflow_names.c ----------------------------------------------------------------------

void workflow_use_add(struct workflow_part *part, struct workflow_use **list,
                      const struct node *node, const char *what);
// Duplicate names of steps, gotos that lead nowhere.
void workflow_names_check(struct workflow_part *part);
// Says that there is none of that name, unless there is.
bool workflow_name_check(struct workflow_part *part, const struct node *node, const char *section,
                         const char *what);

#endif
