#include "store/store_view_workflows.h"

#include "store/store_view_parts.h"

static const char *text_or_null(sqlite3_stmt *row, int column)
{
    return (const char *)sqlite3_column_text(row, column);
}

static uint64_t count_at(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}

static enum err run(struct store_view *view, const char *sql, struct error *e)
{
    int sqlite_rc = sqlite3_exec(store_db(view->store), sql, NULL, NULL, NULL);
    return sqlite_rc == SQLITE_OK ? ERR_OK : store_fail(view->store, sqlite_rc, "read", e);
}

enum err store_view_freeze(struct store_view *view, struct error *e)
{
    return run(view, "BEGIN", e);
}

void store_view_thaw(struct store_view *view)
{
    if (!sqlite3_get_autocommit(store_db(view->store))) {
        (void)run(view, "COMMIT", NULL);
    }
}

// Binds a name as 1; NULL is any.
static enum err walk_named(struct store_view *view, const char *sql, const char *name,
                           view_row_fn *row, void *walk, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(view, sql, &statement, e);
    if (rc == ERR_OK) {
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        rc = view_each_row(view, statement, row, walk, e);
    }
    return rc;
}

// Binds an id as 1.
static enum err walk_of(struct store_view *view, const char *sql, int64_t id, view_row_fn *row,
                        void *walk, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(view, sql, &statement, e);
    if (rc == ERR_OK) {
        sqlite3_bind_int64(statement, 1, id);
        rc = view_each_row(view, statement, row, walk, e);
    }
    return rc;
}

struct workflow_walk {
    view_workflow_fn *each;
    void *context;
};

static bool workflow_row(sqlite3_stmt *row, void *opaque)
{
    const struct workflow_walk *walk = opaque;
    const struct view_workflow workflow = {
        .name = view_text(row, 0),
        .version = text_or_null(row, 1),
        .started = count_at(row, 2),
        .queued = count_at(row, 3),
        .running = count_at(row, 4),
        .undoing = count_at(row, 5),
        .parked = count_at(row, 6),
        .completed = count_at(row, 7),
        .failed = count_at(row, 8),
        .cancelled = count_at(row, 9),
        .ignored = count_at(row, 10),
    };
    return walk->each(walk->context, &workflow);
}

enum err store_view_workflows(struct store_view *view, view_workflow_fn *each, void *context,
                              struct error *e)
{
    struct workflow_walk walk = {each, context};
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(view,
                               "SELECT w.name, d.version, w.started, w.queued, w.running,"
                               " w.undoing, w.parked, w.completed, w.failed, w.cancelled,"
                               " w.ignored FROM pipit_workflow AS w"
                               " LEFT JOIN pipit_workflow_definition AS d ON d.id = w.definition"
                               " ORDER BY w.name",
                               &statement, e);
    return rc == ERR_OK ? view_each_row(view, statement, workflow_row, &walk, e) : rc;
}

struct definition_walk {
    view_definition_fn *each;
    void *context;
};

static bool definition_row(sqlite3_stmt *row, void *opaque)
{
    const struct definition_walk *walk = opaque;
    return walk->each(walk->context, view_text(row, 0));
}

enum err store_view_definition(struct store_view *view, int64_t definition,
                               view_definition_fn *each, void *context, struct error *e)
{
    struct definition_walk walk = {each, context};
    return walk_of(view, "SELECT text FROM pipit_workflow_definition WHERE id = ?1", definition,
                   definition_row, &walk, e);
}

// Of an entry p.
#define ENTRY_COLUMNS                                                                              \
    " p.number, p.at, p.step, p.execution, p.what, p.attempt, p.error, p.reason, p.data,"          \
    " p.branch"

static struct view_entry entry_at(sqlite3_stmt *row, int first)
{
    return (struct view_entry){
        .number = (uint32_t)sqlite3_column_int64(row, first),
        .at_ms = sqlite3_column_int64(row, first + 1),
        .step = view_text(row, first + 2),
        .execution = (uint32_t)sqlite3_column_int64(row, first + 3),
        .what = view_text(row, first + 4),
        .attempt = (uint32_t)sqlite3_column_int64(row, first + 5),
        .error = text_or_null(row, first + 6),
        .reason = text_or_null(row, first + 7),
        .data = text_or_null(row, first + 8),
        .branch = text_or_null(row, first + 9),
    };
}

struct instance_walk {
    view_instance_fn *each;
    void *context;
};

static bool instance_row(sqlite3_stmt *row, void *opaque)
{
    const struct instance_walk *walk = opaque;
    const struct view_instance instance = {
        .id = sqlite3_column_int64(row, 0),
        .definition = sqlite3_column_int64(row, 1),
        .workflow = view_text(row, 2),
        .version = view_text(row, 3),
        .key = view_text(row, 4),
        .is_configured = sqlite3_column_int64(row, 5) != 0,
        .is_current = sqlite3_column_int64(row, 5) == sqlite3_column_int64(row, 1),
        .state = sqlite3_column_int(row, 6),
        .goal = sqlite3_column_int(row, 7),
        .started_ms = sqlite3_column_int64(row, 8),
        .changed_ms = sqlite3_column_int64(row, 9),
        .ended_ms = sqlite3_column_int64(row, 10),
        .until_ms = sqlite3_column_int64(row, 11),
        .due_ms = sqlite3_column_int64(row, 12),
        .event = view_text(row, 13),
        .parent = sqlite3_column_int64(row, 14),
        .start = text_or_null(row, 15),
        .variables = text_or_null(row, 16),
        .tokens = text_or_null(row, 17),
        .undo = text_or_null(row, 18),
        .error = text_or_null(row, 19),
        .reason = text_or_null(row, 20),
        .result = text_or_null(row, 21),
        .parked = entry_at(row, 22),
    };
    return walk->each(walk->context, &instance);
}

// What is parked is there for the newest of its entries that says so. 3: INSTANCE_PARKED.
#define PARKED_JOIN                                                                                \
    " LEFT JOIN pipit_workflow_entry AS p ON i.state = 3 AND p.instance = i.id AND p.number ="     \
    " (SELECT x.number FROM pipit_workflow_entry AS x WHERE x.instance = i.id"                     \
    " AND x.what = 'parked' ORDER BY x.number DESC LIMIT 1)"

#define INSTANCE_COLUMNS                                                                           \
    "SELECT i.id, i.definition, w.name, coalesce(d.version, ''), i.key, w.definition, i.state,"    \
    " i.goal, i.started, i.changed, coalesce(i.ended, 0), coalesce(i.until, 0),"                   \
    " coalesce((SELECT min(due) FROM pipit_workflow_wait AS x WHERE x.instance = i.id), 0),"       \
    " i.event, i.parent, i.start, coalesce(i.variables, i.start), i.tokens, i.undo, i.error,"      \
    " i.reason, i.result," ENTRY_COLUMNS                                                           \
    " FROM pipit_workflow_instance AS i JOIN pipit_workflow AS w ON w.id = i.workflow"             \
    " LEFT JOIN pipit_workflow_definition AS d ON d.id = i.definition" PARKED_JOIN

#define INSTANCE_COUNT                                                                             \
    "SELECT count(*) FROM pipit_workflow_instance AS i"                                            \
    " JOIN pipit_workflow AS w ON w.id = i.workflow"

#define INSTANCE_BY_ID " WHERE i.id = ?1"

#define INSTANCE_WHERE                                                                             \
    " WHERE (?2 IS NULL OR w.name = ?2) AND (?3 IS NULL OR i.key = ?3) AND (?4 >> i.state) & 1"    \
    " AND i.started >= ?5 AND i.started < ?6"

// By its number; all others may be any. Without a walk over the whole table where an index helps.
static const char *instances_sql(const struct view_instance_filter *filter)
{
    return filter->id != 0           ? INSTANCE_COLUMNS INSTANCE_BY_ID
           : filter->is_newest_first ? INSTANCE_COLUMNS INSTANCE_WHERE
               " ORDER BY i.id DESC LIMIT ?7"
                                     : INSTANCE_COLUMNS INSTANCE_WHERE " ORDER BY i.id LIMIT ?7";
}

static void bind_filter(sqlite3_stmt *statement, const struct view_instance_filter *filter)
{
    bool is_any = filter->rows_max == 0 || filter->rows_max > INT64_MAX;
    sqlite3_bind_int64(statement, 1, filter->id);
    if (filter->id != 0) {
        return;
    }
    sqlite3_bind_text(statement, 2, filter->workflow, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, filter->key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, filter->states == 0 ? UINT32_MAX : filter->states);
    sqlite3_bind_int64(statement, 5, filter->from_ms);
    sqlite3_bind_int64(statement, 6, filter->to_ms == 0 ? INT64_MAX : filter->to_ms);
    sqlite3_bind_int64(statement, 7, is_any ? -1 : (int64_t)filter->rows_max);
}

enum err store_view_instances(struct store_view *view, const struct view_instance_filter *filter,
                              view_instance_fn *each, void *context, struct error *e)
{
    struct instance_walk walk = {each, context};
    sqlite3_stmt *statement = NULL;
    enum err rc = view_prepare(view, instances_sql(filter), &statement, e);
    if (rc == ERR_OK) {
        bind_filter(statement, filter);
        rc = view_each_row(view, statement, instance_row, &walk, e);
    }
    return rc;
}

static bool count_row(sqlite3_stmt *row, void *opaque)
{
    uint64_t *count = opaque;
    *count = count_at(row, 0);
    return false;
}

enum err store_view_instance_count(struct store_view *view,
                                   const struct view_instance_filter *filter, uint64_t *out_count,
                                   struct error *e)
{
    sqlite3_stmt *statement = NULL;
    const char *sql =
        filter->id != 0 ? INSTANCE_COUNT INSTANCE_BY_ID : INSTANCE_COUNT INSTANCE_WHERE;
    enum err rc = view_prepare(view, sql, &statement, e);
    if (rc == ERR_OK) {
        bind_filter(statement, filter);
        rc = view_each_row(view, statement, count_row, out_count, e);
    }
    return rc;
}

struct entry_walk {
    view_entry_fn *each;
    void *context;
};

static bool entry_row(sqlite3_stmt *row, void *opaque)
{
    const struct entry_walk *walk = opaque;
    const struct view_entry entry = entry_at(row, 0);
    return walk->each(walk->context, &entry);
}

enum err store_view_entries(struct store_view *view, int64_t instance, view_entry_fn *each,
                            void *context, struct error *e)
{
    struct entry_walk walk = {each, context};
    return walk_of(view,
                   "SELECT" ENTRY_COLUMNS
                   " FROM pipit_workflow_entry AS p WHERE p.instance = ?1 ORDER BY p.number",
                   instance, entry_row, &walk, e);
}

struct wait_walk {
    view_wait_fn *each;
    void *context;
};

static bool wait_row(sqlite3_stmt *row, void *opaque)
{
    const struct wait_walk *walk = opaque;
    const struct view_wait wait = {
        .token = (uint32_t)sqlite3_column_int64(row, 0),
        .definition = sqlite3_column_int64(row, 1),
        .step = (uint32_t)sqlite3_column_int64(row, 2),
        .value = text_or_null(row, 3),
        .due_ms = sqlite3_column_int64(row, 4),
    };
    return walk->each(walk->context, &wait);
}

enum err store_view_waits(struct store_view *view, int64_t instance, view_wait_fn *each,
                          void *context, struct error *e)
{
    struct wait_walk walk = {each, context};
    return walk_of(view,
                   "SELECT token, definition, step, value, coalesce(due, 0)"
                   " FROM pipit_workflow_wait WHERE instance = ?1 ORDER BY token",
                   instance, wait_row, &walk, e);
}

struct step_walk {
    view_step_fn *each;
    void *context;
};

static bool step_row(sqlite3_stmt *row, void *opaque)
{
    const struct step_walk *walk = opaque;
    const struct view_step step = {
        .workflow = view_text(row, 0),
        .version = view_text(row, 1),
        .name = view_text(row, 2),
        .definition = sqlite3_column_int64(row, 3),
        .step = (uint32_t)sqlite3_column_int64(row, 4),
        .is_configured = sqlite3_column_int64(row, 5) != 0,
        .is_current = sqlite3_column_int64(row, 5) == sqlite3_column_int64(row, 3),
        .arrived = count_at(row, 6),
        .departed = count_at(row, 7),
        .failed = count_at(row, 8),
        .retried = count_at(row, 9),
        .residence_ms = sqlite3_column_int64(row, 10),
        .area_ms = sqlite3_column_int64(row, 11),
        .first_ms = sqlite3_column_int64(row, 12),
        .last_ms = sqlite3_column_int64(row, 13),
    };
    return walk->each(walk->context, &step);
}

enum err store_view_steps(struct store_view *view, const char *workflow, view_step_fn *each,
                          void *context, struct error *e)
{
    struct step_walk walk = {each, context};
    return walk_named(view,
                      "SELECT w.name, d.version, s.name, s.definition, s.step, w.definition,"
                      " s.arrived, s.departed, s.failed, s.retried, s.residence, s.area, s.first,"
                      " s.last FROM pipit_workflow_step AS s"
                      " JOIN pipit_workflow_definition AS d ON d.id = s.definition"
                      " JOIN pipit_workflow AS w ON w.id = d.workflow"
                      " WHERE ?1 IS NULL OR w.name = ?1 ORDER BY w.name, s.definition, s.step",
                      workflow, step_row, &walk, e);
}
