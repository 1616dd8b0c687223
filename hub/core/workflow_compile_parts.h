// workflow_compile_parts.h - a definition while it is compiled, for workflow_compile*.c and
// workflow_graph.c: first its members are checked against tables, then its steps get their places,
// then its expressions are compiled, then the flow is looked at.
//
// Threads:   core thread.
//
// Ownership: the definition owns the text's JSON and what is taken with compile_take.
//
// Failure:   ERR_CONFIG with the fault's path set.
#ifndef PIPIT_CORE_WORKFLOW_COMPILE_PARTS_H
#define PIPIT_CORE_WORKFLOW_COMPILE_PARTS_H

#include <jansson.h>

#include "core/workflow_definition.h"

#define WORKFLOW_FORMAT       1
#define WORKFLOW_TEXT_MAX     1048576      // Bytes of a definition.
#define WORKFLOW_PARTS_MAX    256          // Expressions of one member: fields, take, ...
#define WORKFLOW_NAME_MAX     128          // Bytes of a name of a workflow, step or variable.
#define WORKFLOW_MS_MAX       315360000000 // Ten years.
#define WORKFLOW_ATTEMPTS_MAX 1000000
#define WORKFLOW_AT_ONCE_MAX  10000
#define WORKFLOW_SQL_MAX      65536 // Bytes of one expression or template.

// ---- members ------------------------------------------------------------------------------------

enum member_type {
    MEMBER_TEXT,
    MEMBER_NUMBER,      // Whole, 0 to max.
    MEMBER_TRUTH,       // true, false.
    MEMBER_TEXTS,       // An object of texts.
    MEMBER_EXPRESSIONS, // An object of texts or null.
    MEMBER_STEPS,       // An array of objects.
    MEMBER_LISTS,       // An object of arrays of objects.
    MEMBER_OBJECT,
    MEMBER_NAMES,          // An array of texts.
    MEMBER_TEXT_OR_NUMBER, // A number as MEMBER_NUMBER.
};

struct member_spec {
    const char *name;
    enum member_type type;
    bool is_required;
    int64_t max;                // Of a number; 0: WORKFLOW_MS_MAX.
    const char *const *choices; // Of a text; NULL: any.
};

// The common members that a step may have.
enum { HAS_WITHIN = 1, HAS_RETRY = 2, HAS_TAKE = 4, HAS_UNDO = 8, HAS_ERROR = 16 };

struct kind_spec {
    const struct member_spec *members; // The kind's own; ends with name NULL.
    unsigned common;
    bool is_waiting;
};
extern const struct kind_spec workflow_kinds[STEP_KIND_COUNT];
extern const struct member_spec workflow_members[], workflow_start_members[],
    workflow_retry_members[];
extern const char *const workflow_running_names[], *const workflow_offline_names[],
                                                       *const workflow_failure_names[],
                                                           *const workflow_payload_names[];

// ---- the compiler -------------------------------------------------------------------------------

struct workflow_program {
    struct workflow_definition definition; // The first: it is what others see.
    json_t *text;
    void **pieces; // Freed with it.
    uint32_t piece_count;
};

struct compiler {
    struct workflow_program *program;
    struct workflow_definition *definition; // The program's.
    struct rule_space *space;
    json_t **texts;  // Of each step.
    uint32_t *lanes; // Of each step: lists that gotos lead about in; branches and undo have others.
    uint32_t lane_count;
    const char **variables; // As they are found.
    struct workflow_fault *fault;
    struct error *e;
};

// ERR_CONFIG. path is of an object, member and item name what is in it; either may be NULL.
enum err compile_fault(struct compiler *compiler, const char *path, const char *member,
                       const char *item);
// The same as text, escaped [RFC 6901 3], cut short where it is too long.
void compile_join(char out_path[WORKFLOW_PATH_MAX], const char *path, const char *member,
                  const char *item);
void *compile_take(struct compiler *compiler, size_t count, size_t size); // Zeroed; NULL: an error.
enum err compile_no_memory(struct compiler *compiler);

// workflow_compile_members.c: an object has what the table says and nothing else.
enum err compile_check_members(struct compiler *compiler, const json_t *object, const char *path,
                               const struct member_spec *specs);
enum err compile_check_step(struct compiler *compiler, const json_t *object, const char *path,
                            enum step_kind *out_kind);
// A name that can stand in a topic and in SQL.
enum err compile_check_name(struct compiler *compiler, const char *name, const char *path,
                            const char *member);
// Of members that have been checked.
const char *member_text(const json_t *object, const char *name); // NULL: there is none.
int64_t member_number(const json_t *object, const char *name, int64_t missing);
bool member_truth(const json_t *object, const char *name, bool missing);
uint32_t member_choice(const json_t *object, const char *name, const char *const *choices);

// workflow_compile_layout.c: steps in one row, with their places; variables.
enum err compile_layout(struct compiler *compiler);
// workflow_compile_step.c: what a step does.
enum err compile_step(struct compiler *compiler, struct workflow_step *step, const json_t *text);
// workflow_graph.c
enum err compile_check_graph(struct compiler *compiler);

// ---- expressions --------------------------------------------------------------------------------

// A query that is put together, part by part.
struct query_draft {
    struct compiler *compiler;
    const char *path; // Of the object that the parts stand in.
    struct query_spec spec;
    struct query_part parts[WORKFLOW_PARTS_MAX];
    struct {
        const char *member, *item;
    } places[WORKFLOW_PARTS_MAX + 1];
};

void draft_init(struct query_draft *draft, struct compiler *compiler, const char *path,
                enum query_over over);
// That part; what is wrong in it is the member's.
void draft_add_part(struct query_draft *draft, const struct query_part *part, const char *member);
// The text of the member, unless there is none.
void draft_add(struct query_draft *draft, const json_t *object, const char *member,
               bool is_template);
// Each text in the member's object, under its name.
void draft_add_each(struct query_draft *draft, const json_t *object, const char *member,
                    bool is_template);
// NULL when it has no parts and no condition.
enum err draft_compile(struct query_draft *draft, struct workflow_query **out_query);

#endif
