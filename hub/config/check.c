// check.c - config_check: what only compiling shows, mapped back to where it stands in the file.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/parts.h"
#include "config/workflow_check.h"
#include "core/core.h"

// The member of a section, NULL when it is not there.
static const struct node *item_find(const struct config_file *file, const char *section,
                                    const char *name)
{
    const struct node *node = node_get(document_root(file->document), section);
    return node == NULL ? NULL : node_get(node, name);
}

static const struct node *list_item(const struct node *list, uint32_t number)
{
    const struct node *item = list == NULL ? NULL : list->first;
    while (item != NULL && --number > 0) {
        item = item->next;
    }
    return item;
}

// The number after "route " in the text of a rule's error; 0: it is about no route.
static uint32_t route_number(const char *text)
{
    const char *found = strstr(text, "\": route ");
    return found == NULL ? 0 : (uint32_t)strtoul(found + 9, NULL, 10);
}

// A branch's faults are in its list; its SQL and key are not what is written there.
static struct position branch_position(const struct node *rule, const char *list,
                                       const struct error *fault)
{
    const struct node *routes = node_get(rule, list);
    const struct node *at = list_item(routes, route_number(fault->text));
    at = at == NULL ? routes : at;
    return at == NULL ? rule->at : at->at;
}

static struct position rule_position(const struct config_file *file, const struct node *rule,
                                     const struct rule_spec *spec, const struct error *fault)
{
    if (spec->branch != BRANCH_MAIN) {
        return branch_position(rule, spec->branch == BRANCH_ELSE ? "else" : "late", fault);
    }
    const struct node *sql = node_get(rule, "sql"), *key = node_get(rule, "key");
    uint32_t route = route_number(fault->text);
    const struct node *at = route > 0 ? list_item(node_get(rule, "to"), route) : NULL;
    if (fault->offset >= 0 && sql != NULL) {
        return document_locate(file->document, sql, (size_t)fault->offset);
    }
    if (at == NULL && key != NULL && strstr(fault->text, "\": key: ") != NULL) {
        at = key;
    }
    at = at != NULL ? at : sql;
    return at == NULL ? rule->at : at->at;
}

// The expression that the text names: `identity "legacy": device: ...`.
static struct position identity_position(const struct config_file *file,
                                         const struct node *identity, const struct error *fault)
{
    for (const struct option_spec *row = identity_options; row->name != NULL; row++) {
        char part[80];
        const struct node *node = node_get(identity, row->name);
        snprintf(part, sizeof(part), "\": %s: ", row->name);
        if (node != NULL && strstr(fault->text, part) != NULL) {
            return fault->offset < 0 ? node->at
                                     : document_locate(file->document, node, (size_t)fault->offset);
        }
    }
    return identity->at;
}

// The rule by itself; a branch with its parent.
static enum err check_rule(const struct core_spec *core, uint32_t index, struct error *e)
{
    struct core_spec one = *core;
    struct rule_spec rules[2];
    const struct rule_spec *rule = &core->rules[index];
    one.rules = rules;
    one.rule_count = 0;
    one.identity_count = 0;
    if (rule->branch != BRANCH_MAIN) {
        rules[one.rule_count++] = core->rules[rule->parent];
    }
    rules[one.rule_count] = *rule;
    rules[one.rule_count++].parent = 0;
    return core_check(&one, e);
}

static const struct node *rule_node(const struct config_file *file, const struct rule_spec *rule)
{
    bool is_branch = rule->branch != BRANCH_MAIN;
    const struct rule_spec *main = is_branch ? &file->config.core.rules[rule->parent] : rule;
    return item_find(file, "rules", main->name);
}

// Compiling all of them together is quick; only a fault makes it worth compiling each by itself.
static void check_rules(struct reader *reader, const struct config_file *file)
{
    const struct core_spec *core = &file->config.core;
    bool is_parent_good = true;
    for (uint32_t i = 0; i < core->rule_count; i++) {
        const struct rule_spec *rule = &core->rules[i];
        struct error fault = {.offset = -1};
        const struct node *node = rule_node(file, rule);
        if (node == NULL || (rule->branch != BRANCH_MAIN && !is_parent_good)) {
            continue; // Its parent's fault has been told.
        }
        bool is_good = check_rule(core, i, &fault) == ERR_OK;
        is_parent_good = rule->branch == BRANCH_MAIN ? is_good : is_parent_good;
        if (!is_good) {
            reader_problem(reader, rule_position(file, node, rule, &fault), "%s", fault.text);
        }
    }
}

static void check_identities(struct reader *reader, const struct config_file *file)
{
    const struct core_spec *core = &file->config.core;
    for (uint32_t i = 0; i < core->identity_count; i++) {
        struct core_spec one = *core;
        struct error fault = {.offset = -1};
        one.identities = &core->identities[i];
        one.identity_count = 1;
        one.rule_count = 0;
        const struct node *node = item_find(file, "devices", core->identities[i].name);
        if (node != NULL && core_check(&one, &fault) != ERR_OK) {
            reader_problem(reader, identity_position(file, node, &fault), "%s", fault.text);
        }
    }
}

static void check_targets(struct reader *reader, const struct config_file *file)
{
    const struct config *config = &file->config;
    for (uint32_t i = 0; i < config->target_count; i++) {
        const struct config_target *target = &config->targets[i];
        const struct node *node = item_find(file, "targets", target->name);
        struct error fault = {.offset = -1};
        if (node != NULL && target->type->check != NULL &&
            target->type->check(target->options, &fault) != ERR_OK) {
            const struct node *connector = node_get(node, target->type->name);
            reader_problem(reader, connector == NULL ? node->at : connector->at, "target %s: %s",
                           target->name, fault.text);
        }
    }
}

// Where the option that the text names stands: `source plant: ca: ...`.
static struct position source_position(const struct config_source *source, const struct node *node,
                                       const struct error *fault)
{
    const struct node *mqtt = node_get(node, "mqtt");
    for (const struct option_spec *row = options_table(source->options); row->name != NULL; row++) {
        char part[160];
        const struct node *member = mqtt == NULL ? NULL : node_get(mqtt, row->name);
        snprintf(part, sizeof(part), "source %s: %s: ", source->name, row->name);
        if (member != NULL && strncmp(fault->text, part, strlen(part)) == 0) {
            return member->at;
        }
    }
    return mqtt == NULL ? node->at : mqtt->at;
}

static void check_sources(struct reader *reader, const struct config_file *file,
                          config_source_fn *check_source)
{
    const struct config *config = &file->config;
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        const struct node *node = item_find(file, "sources", source->name);
        struct error fault = {.offset = -1};
        if (node != NULL &&
            check_source(config->core.hub_id, source->name, source->options, &fault) != ERR_OK) {
            reader_problem(reader, source_position(source, node, &fault), "%s", fault.text);
        }
    }
}

// The rule that a fault of all rules together names first: `rule "a": route 2: ...`.
static const struct rule_spec *rule_named(const struct core_spec *core, const char *text)
{
    for (uint32_t i = 0; i < core->rule_count; i++) {
        char prefix[200];
        snprintf(prefix, sizeof(prefix), "rule \"%.150s\": ", core->rules[i].name);
        if (strncmp(text, prefix, strlen(prefix)) == 0) {
            return &core->rules[i];
        }
    }
    return NULL;
}

static struct position together_position(const struct config_file *file, const struct error *fault)
{
    const struct rule_spec *rule = rule_named(&file->config.core, fault->text);
    const struct node *node = rule == NULL ? NULL : rule_node(file, rule);
    return node == NULL ? (struct position){1, 1} : rule_position(file, node, rule, fault);
}

static void check_all(struct reader *reader, struct config_file *file,
                      config_source_fn *check_source)
{
    struct error fault = {.offset = -1};
    check_sources(reader, file, check_source);
    check_targets(reader, file);
    uint32_t without_tables = reader->problem_count;
    tables_read(reader, file);
    if (reader->problem_count > without_tables) {
        return; // What rules would say of a table that is not there.
    }
    bool is_good = core_check(&file->config.core, &fault) == ERR_OK;
    struct error other = {.offset = -1};
    if (workflows_examine(reader, file, is_good, &other) != ERR_OK) { // Not of a workflow: of all.
        reader_problem(reader, (struct position){1, 1}, "workflows: %s", other.text);
    }
    if (is_good) {
        return;
    }
    uint32_t before = reader->problem_count;
    check_identities(reader, file);
    check_rules(reader, file);
    if (reader->problem_count == before) { // Each is fine alone.
        reader_problem(reader, together_position(file, &fault), "%s", fault.text);
    }
}

enum err config_check(const struct config *config, config_source_fn *check_source,
                      config_report_fn *each, void *context, struct error *e)
{
    struct config_file *file = (struct config_file *)config; // Its first member.
    struct reader reader = {.document = file->document, .folder = file->folder};
    reader.arena = arena_create();
    reader.problems = calloc(READER_PROBLEMS_MAX, sizeof(struct problem));
    enum err rc = ERR_NO_MEMORY;
    if (reader.arena != NULL && reader.problems != NULL) {
        check_all(&reader, file, check_source);
        rc = problems_report(&reader, each, context, e);
    }
    if (rc == ERR_NO_MEMORY || (reader.arena != NULL && arena_is_exhausted(reader.arena))) {
        rc = error_set(e, ERR_NO_MEMORY, "%s: out of memory", config->path);
    }
    free(reader.problems);
    arena_destroy(reader.arena);
    return rc;
}
