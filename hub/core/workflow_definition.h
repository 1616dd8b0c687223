// workflow_definition.h - a workflow as the engine runs it: its steps in one row, each knowing
// where the flow goes on, its expressions compiled.
//
// Threads:   core thread.
//
// Ownership: everything is copied; borrows the connection's space.
//
// Failure:   ERR_CONFIG with what is wrong; workflow_fault says where in the text: a JSON pointer
// (RFC 6901), and e->offset into the expression there, -1: all of it.
//
// The text is JSON (format 1), written by the configuration, kept in the store with the instances
// that run on it. Times are milliseconds. What stands in [] may be missing. "sql" is an expression
// of the rules' SQL, a template a text with {expression} in it ({{ and }} are braces).
//
// {"format": 1, "name": "order",
//  ["start": {"from": "<filter>" or "$rule/<rule>", ["where": sql], "key": sql,
//            "running": "ignore"|"queue"|"restart"|"parallel"}],       over the event; without it
//                                          only other workflows run it
//  ["variables": {"<name>": sql, ...}],    over the event; also those that steps set later (null);
//                                          without a start: of those that are not given
//  ["within": ms],                          of an instance as a whole: it fails with "timeout"
//  "failure": "undo"|"park",                what comes first when no step handles an error
//  "keep": ms,                              how long instances that have ended can be looked at
//  "steps": [STEP, ...]}
//
// STEP: {"name": "reserve", "do": "<kind>", ...members of the kind...,
//        ["within": ms],                    of an attempt: its answer, reply or event
//        ["retry": {"attempts": n, "backoff": ms, "backoff_max": ms, ["within": ms],
//                   "errors": ["timeout", ...]}],
//        ["take": {"<variable>": sql, ...}], over what came back (call, command, await, run)
//        ["undo": [STEP, ...]],             when the workflow fails or is cancelled later
//        ["on_error": [STEP, ...]]}         handles the step's error; then the flow goes on behind
//                                           it. Also of if, switch, parallel, for_each: theirs
//                                           within
// kinds:
//  emit    {"to": "<target>"|"rules", MESSAGE}
//  call    {"to": "<target>", MESSAGE}
//  command {"to": "<target>", "device": sql ("<group>/<device>"), "command": template,
//           ["fields": {"<name>": sql}], ["expires": ms], "offline": "wait"|"send"|"fail"}
//  await   {"from": "<filter>", "key": sql (over the event; has to equal the instance's key, or
//           "match"), ["match": sql (over the variables)], ["where": sql (over both)], "keep": ms}
//  sleep   {"for": ms}          until {"at": sql (milliseconds since 1970, or ISO text)}
//  if      {"when": sql, "then": [STEP...], ["else": [STEP...]]}
//  switch  {"on": sql, "cases": {"<value as text>": [STEP...], ...}, ["default": [STEP...]]}
//  parallel {"branches": {"<name>": [STEP...], ...}, "wait": "all"|"any"|n}
//  for_each {"in": sql (a JSON array), "as": "<variable>", "at_once": n, "wave": true|false,
//           ["stop": sql (also over done, failed, total; default: failed > 0)], "steps": [STEP...]}
//           wave: the next at_once begin when all of those before have ended
//  set     {"set": {"<variable>": sql, ...}}
//  run     {"workflow": "<name>", "key": sql, ["with": {"<variable>": sql}], "wait": true|false}
//  end     {["result": {"<name>": sql}]}
//  fail    {"reason": template}
//  goto    {"step": "<name>"}    to a step of the same list of branches (not into another branch)
// MESSAGE: ["topic": template], ["is_url": true (values are percent-encoded)],
//          "payload": "json"|"text"|"pipit"|"cbor", ["text": template], ["type": template],
//          ["fields": {"<name>": sql}] (none: all variables), ["properties": {"<name>": template}],
//          ["qos": n], ["retain": true]
//
// Names in SQL: variables (also as my.<name>), and my.key, my.workflow, my.instance, my.started,
// my.error, my.reason. Over an event also its columns and payload fields (event.<name>); over an
// answer answer.status, answer.reason and the fields of its body (body.<name>).
// A name that a variable and an event may both have is written with its table: my.x, event.x.
// Tables of the configuration and `latest` can be read in sub-selects; those that events feed are
// as they were after the event at hand.
#ifndef PIPIT_CORE_WORKFLOW_DEFINITION_H
#define PIPIT_CORE_WORKFLOW_DEFINITION_H

#include "core/rule_space.h"
#include "core/workflow_query.h"

#define WORKFLOW_STEPS_MAX     500 // Of one definition, those within others counted.
#define WORKFLOW_VARIABLES_MAX 200
#define WORKFLOW_DEPTH_MAX     8 // Steps within steps.
#define WORKFLOW_PATH_MAX      400
#define WORKFLOW_VERSION_BYTES 17 // 16 hexadecimal digits and the end.

enum step_kind {
    STEP_EMIT,
    STEP_CALL,
    STEP_COMMAND,
    STEP_AWAIT,
    STEP_SLEEP,
    STEP_UNTIL,
    STEP_IF,
    STEP_SWITCH,
    STEP_PARALLEL,
    STEP_FOR_EACH,
    STEP_SET,
    STEP_RUN,
    STEP_END,
    STEP_FAIL,
    STEP_GOTO,
    STEP_KIND_COUNT
};
extern const char *const step_kind_names[STEP_KIND_COUNT + 1]; // "emit", as in the text; NULL.

// What a step can fail with, by name in `errors` and my.error.
#define WORKFLOW_ERRORS(X)                                                                         \
    X(TIMEOUT, "timeout")         /* Nothing came within the time: whether it happened is open. */ \
    X(UNAVAILABLE, "unavailable") /* The target failed and may work later: open, too. */           \
    X(REFUSED, "refused")         /* The target or device said no. */                              \
    X(OFFLINE, "offline")         /* The device is. */                                             \
    X(EXPRESSION, "expression")   /* An expression failed, or gave what cannot be used. */         \
    X(ANSWER, "answer")           /* The answer is too large or cannot be read. */                 \
    X(FAILED, "failed")           /* A fail step, a branch, or the workflow that was run. */       \
    X(BOUND, "bound")             /* More than a bound of the hub. */                              \
    X(CANCELLED, "cancelled")

#define WORKFLOW_ERROR_ENUM(id, name) WORKFLOW_##id,
enum workflow_error { WORKFLOW_ERRORS(WORKFLOW_ERROR_ENUM) WORKFLOW_ERROR_COUNT };
#undef WORKFLOW_ERROR_ENUM
extern const char *const workflow_error_names[WORKFLOW_ERROR_COUNT + 1]; // And NULL.

// Where a token goes: the index of a step, or one of these.
typedef uint32_t workflow_place;
#define PLACE_NONE   UINT32_MAX       // Nowhere: there is no such list.
#define PLACE_END    (UINT32_MAX - 1) // The steps are over: the instance has completed.
#define PLACE_JOIN   (UINT32_MAX - 2) // The branch is over or, of catch, has failed: its parent's.
#define PLACE_UNDONE (UINT32_MAX - 3) // The undo list is over.
#define PLACE_FAIL   (UINT32_MAX - 4) // Of catch: nobody handles it. In an undo list: park.

struct workflow_retry {
    uint32_t attempts_max; // 1: no retry.
    int64_t backoff_ms, backoff_max_ms;
    int64_t within_ms; // Since the first attempt; 0: no deadline.
    uint32_t errors;   // Bits, 1u << enum workflow_error.
};

enum workflow_offline { OFFLINE_WAIT, OFFLINE_SEND, OFFLINE_FAIL };
enum workflow_running { RUNNING_IGNORE, RUNNING_QUEUE, RUNNING_RESTART, RUNNING_PARALLEL };

struct workflow_branch {
    const char *name; // Of a parallel: the branch's; of a switch: the value; else NULL.
    workflow_place first;
};

// What emit, call and command send: expressions whose values are its parts.
struct workflow_message {
    const char *target; // NULL: to the hub itself ("rules").
    enum payload_format format;
    uint8_t qos;
    bool is_retained, is_url;
    // address: "topic" (of a command: "device" and "command"), "text", "type", in this order where
    // they are there; properties: their values; fields: the payload's. Each may be NULL.
    struct workflow_query *address, *properties, *fields;
};

struct workflow_step {
    const char *name;
    const char *path; // JSON pointer of it in the text.
    enum step_kind kind;
    workflow_place next, catch;
    workflow_place undo;   // First step of the list; PLACE_NONE.
    workflow_place parent; // The parallel or for_each in one of whose branches it is; PLACE_NONE.
    workflow_place of;     // The innermost step that it is written in; PLACE_NONE.
    bool is_undo;          // In an undo list.
    bool is_waiting;       // May wait: emit, if, switch, set, end, fail and goto never do.
    int64_t within_ms;     // 0: no bound.
    struct workflow_retry retry;
    struct workflow_query *take;  // Values of variables, over what came back; NULL.
    uint32_t *take_variables;     // Which they are: index into the definition's.
    struct workflow_query *query; // until: at; if: when; switch: on; for_each: in; set: values;
                                  // run: key, then with; end: result; fail: reason; await: match.
    uint32_t *set_variables;      // Of set.
    struct workflow_message message;          // emit, call, command.
    int64_t expires_ms;                       // command; 0: none.
    enum workflow_offline offline;            // command
    const char *filter;                       // await
    struct workflow_query *event_key, *where; // await: over the event; where is its row or none.
    int64_t keep_ms;                  // await: 0, an event that nobody waits for is ignored.
    int64_t for_ms;                   // sleep
    struct workflow_branch *branches; // if: then, else; switch: cases, default last (name NULL);
    uint32_t branch_count;            // parallel: branches; for_each: one.
    uint32_t wait_count;              // parallel: so many branches are enough.
    uint32_t item_variable;           // for_each: index of `as`.
    uint32_t at_once;                 // for_each
    bool is_wave;
    struct workflow_query *stop; // for_each: over done, failed, total, too.
    const char *workflow;        // run
    bool is_waited;              // run
};

struct workflow_definition {
    int64_t id;          // In the store; set by who loads it.
    int64_t workflow_id; // pipit_workflow.id; the same.
    const char *name;
    char version[WORKFLOW_VERSION_BYTES];
    const char *filter;           // start: topic filter; NULL: only other workflows run it.
    struct workflow_query *start; // Over the event (without a filter: none): key, then each
                                  // variable; no row: not for us.
    enum workflow_running running;
    int64_t within_ms, keep_ms;
    bool is_parking; // failure: park
    const char *const *variables;
    uint32_t variable_count;
    struct workflow_step *steps; // The first is where an instance begins.
    uint32_t step_count;
    uint32_t instances; // That are not over; kept by workflows.c.
};

struct workflow_fault {
    char path[WORKFLOW_PATH_MAX];
};

// Compiles the text; checks that every step can be reached, that no circle of steps is without one
// that waits, that gotos lead somewhere, that expressions name what there is.
enum err workflow_definition_create(struct workflow_definition **out_definition,
                                    struct rule_space *space, const char *text,
                                    struct workflow_fault *out_fault, struct error *e);
void workflow_definition_destroy(struct workflow_definition *definition); // NULL is fine.

// The fingerprint of a definition's text: another text has another, for all that can be expected.
void workflow_version(const char *text, char out_version[WORKFLOW_VERSION_BYTES]);
// The step of that name; PLACE_NONE.
workflow_place workflow_step_find(const struct workflow_definition *definition, const char *name);
// The variable of that name; UINT32_MAX.
uint32_t workflow_variable_find(const struct workflow_definition *definition, const char *name);

#endif
