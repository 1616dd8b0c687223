// config.h - the configuration file, parsed, checked and turned into plain specs.
//
// Threads:   immutable after config_load, but for the rows of tables.
//
// Ownership: struct config owns everything reachable from it.
//
// Failure:   ERR_CONFIG, every fault with file:line:column: "hub.yaml:12:9: unknown key 'tpoic' in
// rule overheat: route to bus; did you mean 'topic'?".
#ifndef PIPIT_CONFIG_CONFIG_H
#define PIPIT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "connectors/connector.h"
#include "core/spec.h"

struct config_source {
    const char *name;
    const struct options *options; // By source_options, handed to config_load.
    const char *const *topics;     // NULL-terminated.
};

struct config_target {
    const char *name;
    const struct connector_type *type;
    const struct options *options; // By type->options.
};

// A reference table that comes from a file; of one that is fed by events both paths are NULL.
struct config_table {
    const char *name;
    const char *csv, *sql; // Path.
    const char *key, *text;
    char delimiter;
    uint32_t rows_max;
    uint64_t size_bytes;
};

struct config_rows;

struct config {
    const char *path; // As given.
    const struct options
        *hub; // By hub_options: id, store, store_limit, stats_every, mirror, log_level, ...
    struct core_spec core; // Rules, routes, identities, targets, bounds; ready for core_open.
    const struct config_table *tables; // Parallel to core.tables.
    struct config_rows *rows;          // Of those that come from files, where they have been read.
    const struct config_source *sources;
    uint32_t source_count;
    const struct config_target *targets; // Parallel to core.targets.
    uint32_t target_count;
};

extern const struct option_spec hub_options[];
extern const struct option_spec history_options[];        // keep, limit.
extern const struct option_spec identity_options[];       // from, device, sequence, boot, time.
extern const struct option_spec format_options[];         // from, closed.
extern const struct option_spec protobuf_options[];       // descriptors, message.
extern const struct option_spec window_options[];         // tumbling, hopping, ...
extern const struct option_spec window_every_options[];   // every.
extern const struct option_spec rule_options[];           // sql, key.
extern const struct option_spec table_options[];          // csv, sql, events, key, ...
extern const struct option_spec target_common_options[];  // attempts, backoff_min, backoff_max.
extern const struct option_spec route_to_rules_options[]; // topic.
extern const struct option_spec route_common_options[];   // limit, overflow, ...
extern const struct option_spec route_payload_options[];  // payload, text, type, ...

extern const struct option_spec workflow_options[];       // within, failure, keep.
extern const struct option_spec workflow_start_options[]; // from, rule, where, key, running.
extern const struct option_spec step_options[];           // within.
extern const struct option_spec step_retry_options[];     // attempts, backoff, ...
extern const struct option_spec step_value_options[];     // sleep, until, if, ...
extern const struct option_spec step_message_options[];   // to, payload, ...: emit, call.
extern const struct option_spec step_command_options[];   // to, device, name, ...
extern const struct option_spec step_await_options[];     // from, key, ...
extern const struct option_spec step_for_each_options[];  // as, at_once, ...
extern const struct option_spec step_parallel_options[];  // wait.
extern const struct option_spec step_run_options[];       // workflow, key, wait.

// A switch that breaks a promise on purpose: for tests, so it is in no hint and no manual.
bool option_is_fault(const struct option_spec *row);

#define CONFIG_SIZE_MAX      (4 * 1024 * 1024)
#define CONFIG_RULES_MAX     10000
#define CONFIG_WORKFLOWS_MAX 1000
#define CONFIG_ERRORS_MAX    20 // Reported in one run.

// Every error found is reported through `each` (up to CONFIG_ERRORS_MAX), in file order; the first
// is left in e. Relative paths have been resolved against the file's folder, secrets filled in.
// source_table comes from intake/source.h: config does not depend on intake. each may be NULL.
typedef void config_report_fn(void *context, const struct error *error);
enum err config_load(struct config **out_config, const char *path,
                     const struct option_spec *source_table, config_report_fn *each, void *context,
                     struct error *e);
void config_destroy(struct config *config); // NULL is fine.

// Is what a source's options say possible, as far as that can be known without its broker?
typedef enum err config_source_fn(const char *hub_id, const char *name,
                                  const struct options *options, struct error *e);
// Compiles every rule, identity and template against an in-memory store, and asks each connector
// and, through check_source, each source for what can be known without its peer: what `pipit check`
// does beyond parsing. Positions inside SQL are mapped to the file. Reads the files of tables, too;
// their rows stay in core.tables for core_open and core_swap.
enum err config_check(const struct config *config, config_source_fn *check_source,
                      config_report_fn *each, void *context, struct error *e);
// Reads the files of tables that have not been read. Each fault is reported, the first is left in
// e; each may be NULL.
enum err config_read_rows(const struct config *config, config_report_fn *each, void *context,
                          struct error *e);
// Frees the rows of tables: the core has them.
void config_forget_rows(struct config *config);

// What is no fault and hardly meant: a rule whose filter matches nothing that a source subscribes
// to. Of a configuration that config_check has found to be fine.
enum err config_warn(const struct config *config, config_report_fn *each, void *context,
                     struct error *e);

#endif
