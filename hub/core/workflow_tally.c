// workflow_tally.c - how many instances of each workflow are in each state, and how many visits of
// each step there were, are, and how long they took.
//
// The time that a step's visits take is kept twice, so that one holds the other to account: by
// visit, `residence` gets the whole of it when one ends; by the clock, `area` grows by the number
// present times what has passed. Both take the hub's wall clock as it is, so that at any time
//
//     area = residence + the sum of (last - arrived) of those present
//
// also when the clock is set: what a step back takes from the visits under way, the step forward
// gives back to them. Divided by the time since the first arrival this is Little's law.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sql.h"
#include "core/workflow_parts.h"
#include "core/workflow_rows.h"

struct workflow_counts {
    uint64_t started, ignored;
    uint64_t states[INSTANCE_STATE_COUNT];
};

struct workflow_row {
    int64_t id;
    char *name;
    struct workflow_counts now, committed;
    bool is_dirty;
    struct workflow_row *next_dirty;
    UT_hash_handle hh;
};

struct step_counts {
    uint64_t arrived, departed, failed, retried;
    int64_t residence_ms, area_ms; // See above.
    int64_t first_ms, last_ms;
};

struct step_id {
    int64_t definition, step;
};

struct step_row {
    struct step_id id;
    int64_t workflow;
    char *name;
    struct step_counts now, committed;
    bool is_dirty;
    struct step_row *next_dirty;
    UT_hash_handle hh;
};

struct workflow_tally {
    struct store *store;
    struct workflow_row *workflows, *dirty_workflows; // By id; those of this batch.
    struct step_row *steps, *dirty_steps;
    sqlite3_stmt *read_workflows, *save_workflow, *read_steps, *save_step, *sum_steps;
};

#define STATEMENTS(tally)                                                                          \
    {                                                                                              \
        {"SELECT id, name, started, ignored, queued, running, undoing, parked, completed,"         \
         " failed, cancelled FROM pipit_workflow",                                                 \
         &(tally)->read_workflows},                                                                \
            {"UPDATE pipit_workflow SET (started, ignored, queued, running, undoing, parked,"      \
             " completed, failed, cancelled) = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"              \
             " WHERE id = ?1",                                                                     \
             &(tally)->save_workflow},                                                             \
            {"SELECT s.definition, s.step, d.workflow, s.name, s.arrived, s.departed, s.failed,"   \
             " s.retried, s.residence, s.area, s.first, s.last FROM pipit_workflow_step AS s"      \
             " JOIN pipit_workflow_definition AS d ON d.id = s.definition"                         \
             " ORDER BY s.definition, s.step",                                                     \
             &(tally)->read_steps},                                                                \
            {"SELECT w.name, s.name, sum(s.arrived), sum(s.departed), sum(s.failed),"              \
             " sum(s.retried), sum(s.residence) FROM pipit_workflow_step AS s"                     \
             " JOIN pipit_workflow_definition AS d ON d.id = s.definition"                         \
             " JOIN pipit_workflow AS w ON w.id = d.workflow GROUP BY w.name, s.name",             \
             &(tally)->sum_steps},                                                                 \
        {                                                                                          \
            "INSERT OR REPLACE INTO pipit_workflow_step(definition, step, name, arrived,"          \
            " departed, failed, retried, residence, area, first, last)"                            \
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",                              \
                &(tally)->save_step                                                                \
        }                                                                                          \
    }

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for the counters of workflows");
}

// ---- rows in memory -----------------------------------------------------------------------------

static struct workflow_row *add_workflow(struct workflow_tally *tally, int64_t id, const char *name)
{
    struct workflow_row *row = calloc(1, sizeof(*row));
    char *copy = strdup(name);
    if (row == NULL || copy == NULL) {
        free(row);
        free(copy);
        return NULL;
    }
    row->id = id;
    row->name = copy;
    HASH_ADD(hh, tally->workflows, id, sizeof(row->id), row);
    return row;
}

static struct step_row *add_step(struct workflow_tally *tally, struct step_id id, int64_t workflow,
                                 const char *name)
{
    struct step_row *row = calloc(1, sizeof(*row));
    char *copy = strdup(name);
    if (row == NULL || copy == NULL) {
        free(row);
        free(copy);
        return NULL;
    }
    row->id = id;
    row->workflow = workflow;
    row->name = copy;
    HASH_ADD(hh, tally->steps, id, sizeof(row->id), row);
    return row;
}

static struct workflow_row *workflow_at(struct workflow_tally *tally, int64_t id, const char *name)
{
    struct workflow_row *row;
    HASH_FIND(hh, tally->workflows, &id, sizeof(id), row);
    row = row == NULL ? add_workflow(tally, id, name) : row;
    if (row != NULL && !row->is_dirty) {
        row->is_dirty = true;
        row->next_dirty = tally->dirty_workflows;
        tally->dirty_workflows = row;
    }
    return row;
}

// Its area up to now; its row is to be written.
static void advance(struct workflows *workflows, struct step_row *row)
{
    struct workflow_tally *tally = workflows->tally;
    struct step_counts *counts = &row->now;
    if (!row->is_dirty) {
        row->is_dirty = true;
        row->next_dirty = tally->dirty_steps;
        tally->dirty_steps = row;
    }
    counts->area_ms +=
        (int64_t)(counts->arrived - counts->departed) * (workflows->now_ms - counts->last_ms);
    counts->last_ms = workflows->now_ms;
}

static struct step_row *step_at(struct workflows *workflows,
                                const struct workflow_definition *definition, workflow_place step)
{
    struct workflow_tally *tally = workflows->tally;
    const struct step_id id = {definition->id, step};
    struct step_row *row;
    HASH_FIND(hh, tally->steps, &id, sizeof(id), row);
    if (row == NULL) {
        row = add_step(tally, id, definition->workflow_id, definition->steps[step].name);
    }
    if (row != NULL) {
        advance(workflows, row);
    }
    return row;
}

// ---- from and to the store ----------------------------------------------------------------------

static const char *text_at(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    return text == NULL ? "" : (const char *)text;
}

static enum err read_workflows(struct workflow_tally *tally, struct error *e)
{
    sqlite3_stmt *rows = tally->read_workflows;
    bool has_row;
    enum err rc = sql_next(tally->store, rows, "read the counters of workflows", &has_row, e);
    while (rc == ERR_OK && has_row) {
        struct workflow_row *row =
            add_workflow(tally, sqlite3_column_int64(rows, 0), text_at(rows, 1));
        if (row == NULL) {
            sqlite3_reset(rows);
            return no_memory(e);
        }
        row->now.started = sql_u64(rows, 2);
        row->now.ignored = sql_u64(rows, 3);
        for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
            row->now.states[state] = sql_u64(rows, 4 + state);
        }
        row->committed = row->now;
        rc = sql_next(tally->store, rows, "read the counters of workflows", &has_row, e);
    }
    return rc;
}

static enum err read_steps(struct workflow_tally *tally, struct error *e)
{
    sqlite3_stmt *rows = tally->read_steps;
    bool has_row;
    enum err rc = sql_next(tally->store, rows, "read the counters of steps", &has_row, e);
    while (rc == ERR_OK && has_row) {
        const struct step_id id = {sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1)};
        struct step_row *row = add_step(tally, id, sqlite3_column_int64(rows, 2), text_at(rows, 3));
        if (row == NULL) {
            sqlite3_reset(rows);
            return no_memory(e);
        }
        row->now = (struct step_counts){
            .arrived = sql_u64(rows, 4),
            .departed = sql_u64(rows, 5),
            .failed = sql_u64(rows, 6),
            .retried = sql_u64(rows, 7),
            .residence_ms = sqlite3_column_int64(rows, 8),
            .area_ms = sqlite3_column_int64(rows, 9),
            .first_ms = sqlite3_column_int64(rows, 10),
            .last_ms = sqlite3_column_int64(rows, 11),
        };
        row->committed = row->now;
        rc = sql_next(tally->store, rows, "read the counters of steps", &has_row, e);
    }
    return rc;
}

static enum err save_workflow(struct workflow_tally *tally, const struct workflow_row *row,
                              struct error *e)
{
    sqlite3_stmt *save = tally->save_workflow;
    sqlite3_bind_int64(save, 1, row->id);
    sql_bind_u64(save, 2, row->now.started);
    sql_bind_u64(save, 3, row->now.ignored);
    for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
        sql_bind_u64(save, 4 + state, row->now.states[state]);
    }
    return sql_run(tally->store, save, "write the counters of a workflow", e);
}

static enum err save_step(struct workflow_tally *tally, const struct step_row *row, struct error *e)
{
    sqlite3_stmt *save = tally->save_step;
    const struct step_counts *now = &row->now;
    sqlite3_bind_int64(save, 1, row->id.definition);
    sqlite3_bind_int64(save, 2, row->id.step);
    sql_bind_text(save, 3, bytes_from_text(row->name));
    sql_bind_u64(save, 4, now->arrived);
    sql_bind_u64(save, 5, now->departed);
    sql_bind_u64(save, 6, now->failed);
    sql_bind_u64(save, 7, now->retried);
    sqlite3_bind_int64(save, 8, now->residence_ms);
    sqlite3_bind_int64(save, 9, now->area_ms);
    sqlite3_bind_int64(save, 10, now->first_ms);
    sqlite3_bind_int64(save, 11, now->last_ms);
    return sql_run(tally->store, save, "write the counters of a step", e);
}

enum err workflow_tally_create(struct workflow_tally **out_tally, struct store *store,
                               struct error *e)
{
    struct workflow_tally *tally = calloc(1, sizeof(*tally));
    if (tally == NULL) {
        return no_memory(e);
    }
    tally->store = store;
    const struct sql_text texts[] = STATEMENTS(tally);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    rc = rc == ERR_OK ? read_workflows(tally, e) : rc;
    rc = rc == ERR_OK ? read_steps(tally, e) : rc;
    if (rc != ERR_OK) {
        workflow_tally_destroy(tally);
        return rc;
    }
    *out_tally = tally;
    return ERR_OK;
}

void workflow_tally_destroy(struct workflow_tally *tally)
{
    if (tally == NULL) {
        return;
    }
    const struct sql_text texts[] = STATEMENTS(tally);
    sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
    struct workflow_row *workflow, *next_workflow;
    HASH_ITER(hh, tally->workflows, workflow, next_workflow)
    {
        HASH_DEL(tally->workflows, workflow);
        free(workflow->name);
        free(workflow);
    }
    struct step_row *step, *next_step;
    HASH_ITER(hh, tally->steps, step, next_step)
    {
        HASH_DEL(tally->steps, step);
        free(step->name);
        free(step);
    }
    free(tally);
}

// ---- counting -----------------------------------------------------------------------------------

enum err workflow_tally_arrive(struct workflows *workflows,
                               const struct workflow_definition *definition, workflow_place step,
                               struct error *e)
{
    struct step_row *row = step_at(workflows, definition, step);
    if (row == NULL) {
        return no_memory(e);
    }
    if (row->now.arrived++ == 0) {
        row->now.first_ms = workflows->now_ms;
    }
    return ERR_OK;
}

enum err workflow_tally_depart(struct workflows *workflows, const struct tally_departure *departure,
                               struct error *e)
{
    struct step_row *row = step_at(workflows, departure->definition, departure->step);
    if (row == NULL) {
        return no_memory(e);
    }
    row->now.departed++;
    row->now.failed += departure->is_failed;
    row->now.residence_ms += workflows->now_ms - departure->arrived_ms;
    return ERR_OK;
}

enum err workflow_tally_retry(struct workflows *workflows,
                              const struct workflow_definition *definition, workflow_place step,
                              struct error *e)
{
    struct step_row *row = step_at(workflows, definition, step);
    if (row == NULL) {
        return no_memory(e);
    }
    row->now.retried++;
    return ERR_OK;
}

enum err workflow_tally_state(struct workflows *workflows, struct workflow_instance *instance,
                              struct error *e)
{
    if (instance->counted == 1 + instance->state) {
        return ERR_OK;
    }
    const struct workflow_definition *definition = instance->definition;
    struct workflow_row *row =
        workflow_at(workflows->tally, definition->workflow_id, definition->name);
    if (row == NULL) {
        return no_memory(e);
    }
    if (instance->counted == 0) {
        row->now.started++;
    } else {
        row->now.states[instance->counted - 1]--;
    }
    row->now.states[instance->state]++;
    instance->counted = (uint8_t)(1 + instance->state);
    return ERR_OK;
}

enum err workflow_tally_ignored(struct workflows *workflows,
                                const struct workflow_definition *definition, struct error *e)
{
    struct workflow_row *row =
        workflow_at(workflows->tally, definition->workflow_id, definition->name);
    if (row == NULL) {
        return no_memory(e);
    }
    row->now.ignored++;
    return ERR_OK;
}

// Its tokens have been counted as arriving: the rows are there.
static void leave_steps(struct workflows *workflows, int64_t definition,
                        const struct workflow_instance *instance)
{
    for (uint32_t i = 0; i < instance->token_count; i++) {
        const struct workflow_token *token = &instance->tokens[i];
        const struct step_id id = {definition, token->step};
        struct step_row *row;
        HASH_FIND(hh, workflows->tally->steps, &id, sizeof(id), row);
        if (row != NULL && !workflow_token_has_left(instance, token)) {
            advance(workflows, row);
            row->now.departed++;
            row->now.residence_ms += workflows->now_ms - token->arrived_ms;
        }
    }
}

enum err workflow_tally_abandon(struct workflows *workflows,
                                const struct tally_abandoned *abandoned, struct error *e)
{
    struct workflow_row *row = workflow_at(workflows->tally, abandoned->workflow, abandoned->name);
    struct workflow_instance *instance = workflow_instance_create();
    if (row == NULL || instance == NULL) {
        workflow_instance_destroy(instance);
        return no_memory(e);
    }
    row->now.states[abandoned->state]--;
    row->now.states[INSTANCE_CANCELLED]++;
    instance->state = abandoned->state;
    if (abandoned->tokens != NULL &&
        workflow_tokens_read(instance, bytes_from_text(abandoned->tokens))) {
        leave_steps(workflows, abandoned->definition, instance);
    }
    workflow_instance_destroy(instance);
    return ERR_OK;
}

// ---- a batch's end ------------------------------------------------------------------------------

enum err workflow_tally_flush(struct workflow_tally *tally, int64_t now_ms, struct error *e)
{
    (void)now_ms; // Each row has the time of its last change.
    enum err rc = ERR_OK;
    for (const struct workflow_row *row = tally->dirty_workflows; rc == ERR_OK && row != NULL;
         row = row->next_dirty) {
        rc = save_workflow(tally, row, e);
    }
    for (const struct step_row *row = tally->dirty_steps; rc == ERR_OK && row != NULL;
         row = row->next_dirty) {
        rc = save_step(tally, row, e);
    }
    return rc;
}

void workflow_tally_commit(struct workflow_tally *tally)
{
    for (; tally->dirty_workflows != NULL;
         tally->dirty_workflows = tally->dirty_workflows->next_dirty) {
        tally->dirty_workflows->committed = tally->dirty_workflows->now;
        tally->dirty_workflows->is_dirty = false;
    }
    for (; tally->dirty_steps != NULL; tally->dirty_steps = tally->dirty_steps->next_dirty) {
        tally->dirty_steps->committed = tally->dirty_steps->now;
        tally->dirty_steps->is_dirty = false;
    }
}

void workflow_tally_rollback(struct workflow_tally *tally)
{
    for (; tally->dirty_workflows != NULL;
         tally->dirty_workflows = tally->dirty_workflows->next_dirty) {
        tally->dirty_workflows->now = tally->dirty_workflows->committed;
        tally->dirty_workflows->is_dirty = false;
    }
    for (; tally->dirty_steps != NULL; tally->dirty_steps = tally->dirty_steps->next_dirty) {
        tally->dirty_steps->now = tally->dirty_steps->committed;
        tally->dirty_steps->is_dirty = false;
    }
}

// ---- telling ------------------------------------------------------------------------------------

// Of the row that the statement stands on.
static void tell_workflow(sqlite3_stmt *row, core_counter_fn *each, void *context)
{
    char name[400];
    const char *workflow = text_at(row, 1);
    snprintf(name, sizeof(name), "workflow/%s/started", workflow);
    each(context, name, sql_u64(row, 2));
    snprintf(name, sizeof(name), "workflow/%s/ignored", workflow);
    each(context, name, sql_u64(row, 3));
    for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
        snprintf(name, sizeof(name), "workflow/%s/%s", workflow, workflow_state_names[state]);
        each(context, name, sql_u64(row, 4 + state));
    }
}

// Of a step, all versions together. What visits took is below zero only while the clock is behind.
static void tell_step(sqlite3_stmt *row, core_counter_fn *each, void *context)
{
    static const char *const names[] = {"arrived", "departed", "failed", "retried"};
    char name[600];
    const char *workflow = text_at(row, 0), *step = text_at(row, 1);
    int64_t residence_ms = sqlite3_column_int64(row, 6);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "workflow/%s/steps/%s/%s", workflow, step, names[i]);
        each(context, name, sql_u64(row, 2 + i));
    }
    snprintf(name, sizeof(name), "workflow/%s/steps/%s/in", workflow, step);
    each(context, name, sql_u64(row, 2) - sql_u64(row, 3));
    snprintf(name, sizeof(name), "workflow/%s/steps/%s/took_ms", workflow, step);
    each(context, name, residence_ms < 0 ? 0 : (uint64_t)residence_ms);
}

typedef void tell_fn(sqlite3_stmt *row, core_counter_fn *each, void *context);

static void tell_all(const struct workflow_tally *tally, sqlite3_stmt *rows, tell_fn *tell,
                     core_counter_fn *each, void *context)
{
    bool has_row = false;
    while (sql_next(tally->store, rows, "read the counters of workflows", &has_row, NULL) ==
               ERR_OK &&
           has_row) {
        tell(rows, each, context);
    }
}

// From the store, which also has those that nothing has started yet.
void workflow_tally_tell(const struct workflow_tally *tally, core_counter_fn *each, void *context)
{
    tell_all(tally, tally->read_workflows, tell_workflow, each, context);
    tell_all(tally, tally->sum_steps, tell_step, each, context);
}
