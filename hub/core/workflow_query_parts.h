// workflow_query_parts.h - what a query is made of, for workflow_query*.c: the names that its
// expressions may use, its text, its run.
//
// Threads:   core thread.
//
// Ownership: the query's.
//
// Failure:   as workflow_query.h.
#ifndef PIPIT_CORE_WORKFLOW_QUERY_PARTS_H
#define PIPIT_CORE_WORKFLOW_QUERY_PARTS_H

#include "core/rule_statement.h"
#include "core/rule_values.h"
#include "core/workflow_query.h"
#include "core/workflow_template.h"

// What an instance tells of itself, and an answer, and a for_each.
#define MY_NAMES(X)                                                                                \
    X(KEY, "key")                                                                                  \
    X(WORKFLOW, "workflow")                                                                        \
    X(INSTANCE, "instance")                                                                        \
    X(STARTED, "started")                                                                          \
    X(ERROR, "error")                                                                              \
    X(REASON, "reason")
#define ANSWER_NAMES(X)                                                                            \
    X(STATUS, "status")                                                                            \
    X(REASON, "reason")
#define ITEMS_NAMES(X)                                                                             \
    X(DONE, "done")                                                                                \
    X(FAILED, "failed")                                                                            \
    X(TOTAL, "total")

enum query_table { TABLE_MY, TABLE_ANSWER, TABLE_ITEMS, QUERY_TABLE_COUNT };

// A table of values: of all that it could have, what the expressions mention.
struct query_names {
    struct workflow_query *query;
    char *table;      // As SQLite sees it.
    char **columns;   // Names, in the case in which they were declared.
    uint32_t *places; // Of each: which of the builtin names; PLACE_VARIABLE: a variable.
    uint32_t count;
};
#define PLACE_VARIABLE UINT32_MAX

struct query_expression {
    char *name; // NULL: none.
    bool is_template, is_url;
    char *text;
    struct workflow_template template;
    uint32_t column; // Of the statement, its first.
};

struct workflow_query {
    struct rule_space *space;
    enum query_over over;
    char *filter;
    struct query_names names[QUERY_TABLE_COUNT];
    struct rule_values values[QUERY_TABLE_COUNT]; // Those that are used, value_count of them.
    struct rule_frame frame;
    struct query_expression *expressions;
    uint32_t expression_count, column_count;
    char *where;
    struct rule_statement *statement;
    const struct query_input *input; // While it runs.
    struct text_writer writer;
};

// ---- workflow_query_names.c ---------------------------------------------------------------------

// Makes the tables of what the expressions mention, and shows them.
enum err query_names_create(struct workflow_query *query, const struct query_spec *spec,
                            struct error *e);
void query_names_destroy(struct workflow_query *query);
// FROM and what follows it, for all its statements; the caller frees it with sqlite3_free.
char *query_names_from(const struct workflow_query *query);
// SQLite's sentence about a name, put in the words of workflows.
void query_names_teach(const struct query_spec *spec, uint32_t part, struct error *e);

#endif
