// parts.h - the sections of the file, each read by one part into the configuration being built.
//
// Threads:   one.
//
// Ownership: everything built lives in the file's arena; structs options are destroyed with it.
//
// Failure:   faults go to the reader; what could not be built is left out or NULL.
#ifndef PIPIT_CONFIG_PARTS_H
#define PIPIT_CONFIG_PARTS_H

#include "config/config.h"
#include "config/reader.h"

struct config_file {
    struct config config; // First: the public part.
    struct document *document;
    struct arena *arena;
    char *folder;
    struct workflow_map **workflow_maps; // Parallel to core.workflows: where its parts are written.
};

// A rule that workflows name.
struct rule_use {
    const char *rule;
    const struct rule_use *next;
};

struct builder {
    struct config_file *file;
    struct reader reader;
    const struct option_spec *source_table;
    const struct rule_use *rule_uses; // See workflows_hear_rule.
    bool has_rule_uses, is_out_of_memory;
};

// As options_create; NULL is remembered, and the load fails with ERR_NO_MEMORY.
struct options *options_make(struct builder *builder, const struct option_spec *table);

// The section of that name, duplicates reported; NULL when absent, empty or no mapping.
const struct node *section_find(struct builder *builder, const char *name);
// Switches that break a promise on purpose are refused outside tests.
void faults_refuse(struct builder *builder, const struct node *node, const struct options *options,
                   const char *what);

// In this order: later parts look names up in earlier ones.
void sources_build(struct builder *builder);
void hub_build(struct builder *builder);
void identities_build(struct builder *builder);
void formats_build(struct builder *builder);
void history_build(struct builder *builder);
void targets_build(struct builder *builder);
void tables_build(struct builder *builder);
void rules_build(struct builder *builder);
void workflows_build(struct builder *builder);
// Does a workflow start by the rule's rows, or await them? As the file says it: rules are read
// before workflows.
bool workflows_hear_rule(struct builder *builder, const char *rule);

// The files of tables; faults go to the reader.
void tables_read(struct reader *reader, const struct config_file *file);
void tables_free(struct config *config);

#define TARGET_RULES "rules" // In `to`: the event goes to other rules. No target is called so.

// Adds the routes of one rule that stand in its member `list`: `to`, or `else` and `late` of its
// branches. part_rule.c reads the rules, part_route.c the lists.
void routes_build(struct builder *builder, const struct node *rule, const char *list,
                  struct rule_spec *spec);

// part_payload.c: what a route sends. Its options by route_payload_options are the shape's third.
void payload_build(struct builder *builder, const struct shape *shape, const struct node *node,
                   const struct rule_spec *rule, struct route_spec *out_route);
#define ROUTE_PROPERTIES_MAX 32 // Of a route, or of what a workflow sends.
// Why a property cannot have this name; NULL: it can.
const char *property_problem(const char *name);
// Reports those of the mapping (may be NULL) that the target's connector has no use for.
void properties_check(struct builder *builder, const struct node *section, const char *what,
                      const struct connector_type *type);
// A FileDescriptorSet from the file that node, of `what`, names; empty after a reported problem.
struct bytes descriptors_read(struct builder *builder, const struct node *node, const char *what,
                              const char *path);

// part_window.c: the rule's `window`, if it has one; what: "rule <name>".
void window_build(struct builder *builder, const struct node *rule, const char *what,
                  struct window_spec *out_window);

// Reports and reading faults in order; the number is capped. Gives ERR_CONFIG when there were any.
enum err problems_report(struct reader *reader, config_report_fn *each, void *context,
                         struct error *e);

#endif
