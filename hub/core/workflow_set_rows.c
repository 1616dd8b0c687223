#include "core/workflow_set_rows.h"

#include <string.h>

#include "core/sql.h"
#include "core/workflow_definition.h"

struct statements {
    sqlite3_stmt *known, *add, *find, *add_definition, *find_definition, *use, *used;
    sqlite3_stmt *is_kept, *drop, *drop_steps;
};

// Instances are counted only where a workflow has several versions: its books have the sum.
#define STATEMENTS(sql)                                                                            \
    {                                                                                              \
        {"SELECT w.id, w.name, w.definition, d.version FROM pipit_workflow w"                      \
         " JOIN pipit_workflow_definition d ON d.id = w.definition ORDER BY w.id",                 \
         &(sql).known},                                                                            \
            {"INSERT INTO pipit_workflow(name) VALUES (?1) ON CONFLICT DO NOTHING", &(sql).add},   \
            {"SELECT id FROM pipit_workflow WHERE name = ?1", &(sql).find},                        \
            {"INSERT INTO pipit_workflow_definition(workflow, version, text, created)"             \
             " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",                                    \
             &(sql).add_definition},                                                               \
            {"SELECT id FROM pipit_workflow_definition WHERE workflow = ?1 AND version = ?2",      \
             &(sql).find_definition},                                                              \
            {"UPDATE pipit_workflow SET definition = ?2 WHERE id = ?1", &(sql).use},               \
            {"SELECT d.id, d.workflow, w.name, d.version, d.text, w.definition = d.id, CASE"       \
             " WHEN (SELECT count(*) FROM pipit_workflow_definition AS o"                          \
             " WHERE o.workflow = d.workflow) = 1"                                                 \
             " THEN w.queued + w.running + w.undoing + w.parked"                                   \
             " ELSE (SELECT count(*) FROM pipit_workflow_instance AS i"                            \
             " WHERE i.workflow = d.workflow AND i.definition = d.id AND i.ended IS NULL) END"     \
             " FROM pipit_workflow_definition AS d JOIN pipit_workflow AS w ON w.id = d.workflow"  \
             " ORDER BY d.id",                                                                     \
             &(sql).used},                                                                         \
            {"SELECT 1 FROM pipit_workflow_instance WHERE definition = ?1 LIMIT 1",                \
             &(sql).is_kept},                                                                      \
            {"DELETE FROM pipit_workflow_definition WHERE id = ?1", &(sql).drop},                  \
        {                                                                                          \
            "DELETE FROM pipit_workflow_step WHERE definition = ?1", &(sql).drop_steps             \
        }                                                                                          \
    }

#define WHAT "look for versions of workflows"

// A workflow of the spec in the store.
struct configured {
    int64_t workflow, definition;
};

struct update {
    struct set_rows *rows;
    const struct core_spec *spec;
    struct configured *configured;
    struct statements sql;
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for workflows");
}

static enum err find_id(struct update *update, sqlite3_stmt *statement, int64_t *out_id,
                        struct error *e)
{
    bool has_row = false;
    enum err rc = sql_next(update->rows->store, statement, WHAT, &has_row, e);
    *out_id = rc == ERR_OK && has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return rc;
}

static const char *copy_text(struct update *update, sqlite3_stmt *row, int column)
{
    return event_memory_text(&update->rows->memory, sql_bytes(row, column));
}

// ---- what is configured -------------------------------------------------------------------------

static enum err find_workflow(struct update *update, const char *name, int64_t *out_id,
                              struct error *e)
{
    struct statements *sql = &update->sql;
    sql_bind_text(sql->find, 1, bytes_from_text(name));
    enum err rc = find_id(update, sql->find, out_id, e);
    if (rc == ERR_OK && *out_id == 0) {
        sql_bind_text(sql->add, 1, bytes_from_text(name));
        rc = sql_run(update->rows->store, sql->add, "add a workflow", e);
        sql_bind_text(sql->find, 1, bytes_from_text(name));
        rc = rc == ERR_OK ? find_id(update, sql->find, out_id, e) : rc;
    }
    return rc;
}

static enum err find_definition(struct update *update, const struct workflow_spec *spec,
                                struct configured *configured, int64_t now_ms, struct error *e)
{
    struct statements *sql = &update->sql;
    char version[WORKFLOW_VERSION_BYTES];
    workflow_version(spec->definition, version);
    sqlite3_bind_int64(sql->find_definition, 1, configured->workflow);
    sql_bind_text(sql->find_definition, 2, bytes_from_text(version));
    enum err rc = find_id(update, sql->find_definition, &configured->definition, e);
    if (rc != ERR_OK || configured->definition != 0) {
        return rc;
    }
    sqlite3_bind_int64(sql->add_definition, 1, configured->workflow);
    sql_bind_text(sql->add_definition, 2, bytes_from_text(version));
    sql_bind_text(sql->add_definition, 3, bytes_from_text(spec->definition));
    sqlite3_bind_int64(sql->add_definition, 4, now_ms);
    rc = sql_run(update->rows->store, sql->add_definition, "add a version of a workflow", e);
    configured->definition = sqlite3_last_insert_rowid(store_db(update->rows->store));
    return rc;
}

static enum err write_configured(struct update *update, int64_t now_ms, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < update->spec->workflow_count; i++) {
        const struct workflow_spec *spec = &update->spec->workflows[i];
        rc = find_workflow(update, spec->name, &update->configured[i].workflow, e);
        if (rc == ERR_OK) {
            rc = find_definition(update, spec, &update->configured[i], now_ms, e);
        }
    }
    return rc;
}

// ---- what is different from before --------------------------------------------------------------

// The definition that the workflow has now; 0: it is not configured.
static int64_t definition_of(const struct update *update, int64_t workflow)
{
    for (uint32_t i = 0; i < update->spec->workflow_count; i++) {
        if (update->configured[i].workflow == workflow) {
            return update->configured[i].definition;
        }
    }
    return 0;
}

static const char *version_of(struct update *update, int64_t workflow)
{
    char version[WORKFLOW_VERSION_BYTES] = "";
    for (uint32_t i = 0; i < update->spec->workflow_count; i++) {
        if (update->configured[i].workflow == workflow) {
            workflow_version(update->spec->workflows[i].definition, version);
        }
    }
    return event_memory_text(&update->rows->memory, bytes_from_text(version));
}

static enum err note_change(struct update *update, int64_t now, struct error *e)
{
    sqlite3_stmt *row = update->sql.known;
    struct set_change *change = event_memory_take(&update->rows->memory, sizeof(*change));
    if (change == NULL) {
        return no_memory(e);
    }
    *change = (struct set_change){
        .next = update->rows->changes,
        .name = copy_text(update, row, 1),
        .old_version = copy_text(update, row, 3),
        .new_version = version_of(update, sqlite3_column_int64(row, 0)),
        .is_gone = now == 0,
    };
    update->rows->changes = change;
    return change->name == NULL || change->old_version == NULL || change->new_version == NULL
               ? no_memory(e)
               : ERR_OK;
}

static enum err use(struct update *update, int64_t workflow, int64_t definition, struct error *e)
{
    sqlite3_bind_int64(update->sql.use, 1, workflow);
    sqlite3_bind_int64(update->sql.use, 2, definition);
    return sql_run(update->rows->store, update->sql.use, "use a version of a workflow", e);
}

static enum err note_changes(struct update *update, struct error *e)
{
    sqlite3_stmt *known = update->sql.known;
    bool has_row = true;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && has_row) {
        rc = sql_next(update->rows->store, known, WHAT, &has_row, e);
        if (rc == ERR_OK && has_row) {
            int64_t now = definition_of(update, sqlite3_column_int64(known, 0));
            rc = now == sqlite3_column_int64(known, 2) ? ERR_OK : note_change(update, now, e);
        }
    }
    sqlite3_reset(known);
    return rc;
}

static enum err write_uses(struct update *update, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < update->spec->workflow_count; i++) {
        rc = use(update, update->configured[i].workflow, update->configured[i].definition, e);
    }
    for (struct set_change *change = update->rows->changes; rc == ERR_OK && change != NULL;
         change = change->next) {
        int64_t workflow;
        sql_bind_text(update->sql.find, 1, bytes_from_text(change->name));
        rc = find_id(update, update->sql.find, &workflow, e);
        if (rc == ERR_OK && change->is_gone) {
            rc = use(update, workflow, 0, e);
        }
    }
    return rc;
}

// ---- what is in use -----------------------------------------------------------------------------

static enum err drop(struct update *update, int64_t id, struct error *e)
{
    sqlite3_stmt *const both[] = {update->sql.drop, update->sql.drop_steps};
    int64_t kept;
    sqlite3_bind_int64(update->sql.is_kept, 1, id);
    enum err rc = find_id(update, update->sql.is_kept, &kept, e);
    for (uint32_t i = 0; rc == ERR_OK && kept == 0 && i < 2; i++) {
        sqlite3_bind_int64(both[i], 1, id);
        rc = sql_run(update->rows->store, both[i], "drop a version of a workflow", e);
    }
    return rc;
}

static enum err read_row(struct update *update, struct set_row **out_row, struct error *e)
{
    sqlite3_stmt *row = update->sql.used;
    struct set_row *read = event_memory_take(&update->rows->memory, sizeof(*read));
    if (read == NULL) {
        return no_memory(e);
    }
    *read = (struct set_row){
        .id = sqlite3_column_int64(row, 0),
        .workflow = sqlite3_column_int64(row, 1),
        .name = copy_text(update, row, 2),
        .version = copy_text(update, row, 3),
        .text = copy_text(update, row, 4),
        .is_current = sqlite3_column_int(row, 5) != 0,
        .active = sql_u64(row, 6),
    };
    *out_row = read;
    return read->name == NULL || read->version == NULL || read->text == NULL ? no_memory(e)
                                                                             : ERR_OK;
}

static void count_older(struct update *update, const struct set_row *row)
{
    for (struct set_change *change = update->rows->changes; change != NULL; change = change->next) {
        if (strcmp(change->name, row->name) == 0 && !row->is_current) {
            change->active += row->active;
        }
    }
}

static enum err read_all(struct update *update, struct set_row **out_all, struct error *e)
{
    sqlite3_stmt *used = update->sql.used;
    struct set_row **end = out_all;
    bool has_row = true;
    enum err rc = ERR_OK;
    *out_all = NULL;
    while (rc == ERR_OK && has_row) {
        rc = sql_next(update->rows->store, used, WHAT, &has_row, e);
        if (rc == ERR_OK && has_row) {
            rc = read_row(update, end, e);
            end = rc == ERR_OK ? &(*end)->next : end;
        }
    }
    sqlite3_reset(used);
    return rc;
}

// Configured ones go to the front, each to its place in the spec; old ones that nobody runs on go.
static enum err sort_rows(struct update *update, struct set_row *all, struct error *e)
{
    uint32_t count = update->spec->workflow_count;
    struct set_row **front =
        event_memory_take(&update->rows->memory, (count + 1) * sizeof(front[0]));
    struct set_row *next, *old = NULL, **old_end = &old, **end = &update->rows->first;
    enum err rc = front == NULL ? no_memory(e) : ERR_OK;
    for (struct set_row *row = all; rc == ERR_OK && row != NULL; row = next) {
        next = row->next;
        row->next = NULL;
        count_older(update, row);
        if (row->is_current) {
            for (uint32_t i = 0; i < count; i++) {
                if (update->configured[i].definition == row->id) {
                    front[i] = row;
                }
            }
        } else if (row->active > 0) {
            *old_end = row;
            old_end = &row->next;
        } else {
            rc = drop(update, row->id, e);
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        *end = front[i];
        end = &front[i]->next;
    }
    *end = rc == ERR_OK ? old : NULL;
    return rc;
}

enum err set_rows_update(struct set_rows *rows, const struct core_spec *spec, int64_t now_ms,
                         struct error *e)
{
    struct update update = {.rows = rows, .spec = spec};
    const struct sql_text texts[] = STATEMENTS(update.sql);
    struct set_row *all = NULL;
    rows->first = NULL;
    rows->changes = NULL;
    update.configured =
        event_memory_take(&rows->memory, (spec->workflow_count + 1) * sizeof(update.configured[0]));
    enum err rc = update.configured == NULL ? no_memory(e) : ERR_OK;
    rc = rc == ERR_OK ? sql_prepare(rows->store, texts, sizeof(texts) / sizeof(texts[0]), e) : rc;
    rc = rc == ERR_OK ? write_configured(&update, now_ms, e) : rc;
    rc = rc == ERR_OK ? note_changes(&update, e) : rc;
    rc = rc == ERR_OK ? write_uses(&update, e) : rc;
    rc = rc == ERR_OK ? read_all(&update, &all, e) : rc;
    rc = rc == ERR_OK ? sort_rows(&update, all, e) : rc;
    sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
    return rc;
}
