// rules_open.c - rules are compiled, in the order in which they feed each other, and asked what
// they are.
#include <stdlib.h>
#include <string.h>

#include "core/event_value.h"
#include "core/rules_parts.h"

// What a branch is compiled from: its parent's events as they are. The parent's key orders it where
// an event has such a column; what a statement computed is not known here.
static enum err complete_branch(struct rules *rules, struct rule *rule, struct error *e)
{
    const struct rule_spec *spec = rule->spec;
    bool is_of_event = spec->key != NULL && (event_column_find(spec->key) != EVENT_COLUMN_COUNT ||
                                             strncasecmp(spec->key, "fields.", 7) == 0);
    rule->branch = malloc(sizeof(*rule->branch));
    char *sql = rule_branch_sql(rules->rules[spec->parent].statement->filter);
    if (rule->branch == NULL || sql == NULL) {
        free(sql);
        free(rule->branch);
        rule->branch = NULL;
        return error_set(e, ERR_NO_MEMORY, "out of memory for a rule's branch");
    }
    *rule->branch = *spec;
    rule->branch->sql = sql;
    rule->branch->key = is_of_event ? spec->key : NULL;
    rule->spec = rule->branch;
    return ERR_OK;
}

static enum err compile_rule(struct rules *rules, uint32_t index, const struct rule_spec *spec,
                             struct error *e)
{
    struct rule *rule = &rules->rules[index];
    rule->spec = spec;
    if (spec->route_count > ROUTES_MAX) {
        return error_set(e, ERR_CONFIG, "%u routes are more than %d", spec->route_count,
                         ROUTES_MAX);
    }
    enum err rc = spec->branch == BRANCH_MAIN ? ERR_OK : complete_branch(rules, rule, e);
    if (rc == ERR_OK) {
        rules->space->may_remember = spec->window.kind == WINDOW_NONE;
        rc = rule_statement_create(&rule->statement, rules->space, rule->spec->sql, e);
        rules->space->may_remember = false;
    }
    if (rc == ERR_OK && spec->window.kind != WINDOW_NONE) {
        rc = windows_add(rules->windows, index, rule->statement, e);
        rc = rc == ERR_OK ? window_outputs_check(spec, rule->statement->compiled, e) : rc;
    }
    if (rc == ERR_OK) {
        rc = render_create(&rule->render, rule->spec, rule->statement->compiled, e);
    }
    if (rc != ERR_OK || spec->branch != BRANCH_MAIN) { // A branch gets its events from its parent.
        return rc;
    }
    return rule_matches_add(rules->matches, rule->statement->filter, index, e);
}

static enum err compile_rules(struct rules *rules, const struct core_spec *spec, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < spec->rule_count; i++) {
        rules->rule_count = i + 1;
        rc = compile_rule(rules, i, &spec->rules[i], e);
        if (rc == ERR_OK) {
            rc = rule_feeds_note_rule(rules->feeds, rules->rules[i].statement->filter, e);
        }
        if (rc != ERR_OK) {
            error_wrap(e, "rule \"%s\"", spec->rules[i].name);
        }
    }
    return rc;
}

// Rules that feed rules run in an order of their own.
static enum err order_rules(struct rules *rules, const struct core_spec *spec, struct error *e)
{
    if (!rule_graph_has_edges(spec)) {
        return ERR_OK;
    }
    const char **filters = calloc(spec->rule_count, sizeof(filters[0]));
    rules->position = calloc(spec->rule_count, sizeof(rules->position[0]));
    if (filters == NULL || rules->position == NULL) {
        free(filters);
        return error_set(e, ERR_NO_MEMORY, "out of memory for the order of rules");
    }
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        filters[i] = rules->rules[i].statement->filter;
    }
    enum err rc = rule_graph_order(spec, filters, rules->position, e);
    rule_matches_set_order(rules->matches, rules->position);
    free(filters);
    return rc;
}

static enum err open_all(struct rules *rules, sqlite3 *db, const struct core_spec *spec,
                         struct error *e)
{
    enum err rc = rule_space_get(db, &rules->space, e);
    if (rc == ERR_OK) {
        rules->space->reads_latest = rules->space->reads_tables = false;
        rc = rule_matches_create(&rules->matches, spec->rule_count, e);
    }
    if (rc == ERR_OK) {
        rc = rule_branches_create(&rules->branches, spec, e);
    }
    if (rc == ERR_OK) {
        rc = windows_create(&rules->windows, rules->space, spec, e);
    }
    if (rc == ERR_OK) {
        rc = rule_identities_create(&rules->identities, rules->space, spec, e);
    }
    if (rc == ERR_OK) {
        rc = rule_feeds_create(&rules->feeds, rules->space, spec, e);
    }
    if (rc == ERR_OK) {
        rc = compile_rules(rules, spec, e);
    }
    if (rc == ERR_OK) {
        rc = rule_feeds_ready(rules->feeds, e);
    }
    return rc == ERR_OK ? order_rules(rules, spec, e) : rc;
}

enum err rules_open(struct rules **out_rules, sqlite3 *db, const struct core_spec *spec,
                    struct error *e)
{
    struct rules *rules = calloc(1, sizeof(*rules) + spec->rule_count * sizeof(rules->rules[0]));
    if (rules == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for rules");
    }
    struct error own;
    e = e == NULL ? &own : e;
    event_memory_init(&rules->memory);
    rules->steps_max = spec->rule_steps_max;
    rules->memory_max = spec->rule_memory_max;
    rules->is_batched = true;
    enum err rc = open_all(rules, db, spec, e);
    if (rc == ERR_OK) {
        *out_rules = rules;
    } else {
        rules_close(rules);
    }
    return rc;
}

void rules_close(struct rules *rules)
{
    if (rules == NULL) {
        return;
    }
    for (uint32_t i = 0; i < rules->rule_count; i++) {
        render_destroy(rules->rules[i].render);
        rule_statement_destroy(rules->rules[i].statement);
        if (rules->rules[i].branch != NULL) {
            free((char *)rules->rules[i].branch->sql);
            free(rules->rules[i].branch);
        }
    }
    windows_destroy(rules->windows);
    rule_branches_destroy(rules->branches);
    free(rules->position);
    rule_identities_destroy(rules->identities);
    rule_feeds_destroy(rules->feeds);
    rule_matches_destroy(rules->matches);
    event_memory_deinit(&rules->memory);
    free(rules->outputs);
    free(rules);
}

void rules_set_batched(struct rules *rules, bool is_batched)
{
    rules->is_batched = is_batched;
}

bool rules_remembers(const struct rules *rules, uint32_t rule_index)
{
    return rules->rules[rule_index].statement->remembers;
}

void rules_set_memo(struct rules *rules, uint32_t rule_index, struct memo *memo, int64_t id)
{
    rules->rules[rule_index].statement->memo = memo;
    rules->rules[rule_index].statement->memo_rule = id;
}

const char *rules_filter(const struct rules *rules, uint32_t rule_index)
{
    return rules->rules[rule_index].statement->filter;
}

uint32_t rules_columns(const struct rules *rules, uint32_t rule_index, const char **out_columns,
                       uint32_t count_max)
{
    sqlite3_stmt *compiled = rules->rules[rule_index].statement->compiled;
    uint32_t count = (uint32_t)sqlite3_column_count(compiled);
    count = count < count_max ? count : count_max;
    for (uint32_t i = 0; i < count; i++) {
        out_columns[i] = sqlite3_column_name(compiled, (int)i);
    }
    return count;
}

uint32_t rules_fields(const struct rules *rules, uint32_t rule_index,
                      const char *const **out_fields)
{
    const struct rule_statement *statement = rules->rules[rule_index].statement;
    *out_fields = (const char *const *)statement->fields;
    return statement->field_count;
}

uint32_t rules_instructions(const struct rules *rules, uint32_t rule_index)
{
    sqlite3_stmt *compiled = rules->rules[rule_index].statement->compiled;
    return (uint32_t)sqlite3_stmt_status(compiled, SQLITE_STMTSTATUS_VM_STEP, 0);
}
