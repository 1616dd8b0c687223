// rule_run.c - a compiled statement over events: rows are given to the event they come from, and a
// failure costs one event.
#include "core/rule_statement.h"

struct run {
    struct rule_statement *statement;
    const struct rule_reader *reader;
    const uint32_t *events; // From the scan's first on.
    uint32_t end;           // Events in this scan.
    uint32_t done;          // Events before it are finished or failed.
    uint32_t rows;          // Of events[done].
    bool is_numbered;       // Denied by the number of the execution, not by the event.
};

static enum err finish_before(struct run *run, uint32_t position, struct error *e)
{
    enum err rc = ERR_OK;
    while (rc == ERR_OK && run->done < position) {
        rc = run->reader->finish(run->reader->context, run->events[run->done], run->rows, e);
        run->rows = 0;
        run->done++;
    }
    return rc;
}

static enum err take_row(struct run *run, uint32_t position, struct error *e)
{
    if (run->rows == RULE_ROWS_MAX) {
        return error_set(e, ERR_INVALID, "more than %d rows for one event", RULE_ROWS_MAX);
    }
    run->rows++;
    return run->reader->row(run->reader->context, run->events[position], run->statement->compiled,
                            e);
}

static enum err over_memory(const struct rule_space *space, struct error *e)
{
    return error_set(e, ERR_INVALID, "more than %llu KB of memory for one %s",
                     (unsigned long long)(space->memory_max / 1024),
                     space->scan.rows == NULL ? "event" : "window");
}

// Far too much, at once: SQLite has rolled back the transaction.
static enum err refused_memory(const struct run *run, struct error *e)
{
    struct rule_space *space = run->statement->space;
    uint32_t place = run->is_numbered ? space->denials.windows : run->events[run->done];
    if (space->memory.is_refused) {
        rule_denials_add(&space->denials, run->statement, place, run->is_numbered);
    }
    return error_set(e, ERR_NO_MEMORY, "out of memory");
}

// Why SQLite stopped. ERR_INVALID: because of this event.
static enum err step_error(const struct run *run, int rc, struct error *e)
{
    const struct rule_space *space = run->statement->space;
    const char *message = sqlite3_errmsg(space->db);
    if (space->memory.is_over && (rc & 0xFF) != SQLITE_NOMEM) {
        return over_memory(space, e);
    }
    switch (rc & 0xFF) {
    case SQLITE_INTERRUPT:
        if (space->scan.rows != NULL) {
            return error_set(e, ERR_INVALID, "more than %u SQLite instructions for a window",
                             space->steps_max);
        }
        return error_set(e, ERR_INVALID, "more than %u SQLite instructions for one event",
                         space->steps_max);
    case SQLITE_NOMEM:
        return refused_memory(run, e);
    case SQLITE_IOERR:
        return error_set(e, ERR_IO, "%s", message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(e, ERR_CORRUPT, "%s", message);
    case SQLITE_FULL:
        return error_set(e, ERR_FULL, "%s", message);
    default:
        return error_set(e, ERR_INVALID, "%s", message);
    }
}

// One step: a row, the end (*out_is_over) or a failure. ERR_INVALID: the event at done failed.
static enum err step(struct run *run, bool *out_is_over, struct error *e)
{
    const struct rule_scan *scan = &run->statement->space->scan;
    int sqlite_rc = sqlite3_step(run->statement->compiled);
    if (run->statement->space->memory.is_over && sqlite_rc == SQLITE_ROW) {
        sqlite_rc = SQLITE_TOOBIG; // It has ended before SQLite looked at the interruption.
    }
    *out_is_over = sqlite_rc != SQLITE_ROW;
    if (sqlite_rc == SQLITE_DONE) {
        return finish_before(run, run->end, e);
    }
    uint32_t position = scan->position < run->end ? scan->position : run->end - 1;
    enum err rc = finish_before(run, position, e);
    if (rc != ERR_OK) {
        return rc;
    }
    return sqlite_rc == SQLITE_ROW ? take_row(run, position, e) : step_error(run, sqlite_rc, e);
}

// One execution, from events[done] to the end or to the first event that fails.
static enum err execute(struct run *run, struct error *e)
{
    struct rule_space *space = run->statement->space;
    space->scan.events = run->events;
    space->scan.position = run->done;
    space->scan.end = run->end;
    space->steps = 0;
    run->rows = 0;
    bool is_over = false;
    store_memory_begin(&space->memory, space->db, (int64_t)space->memory_max);
    space->is_counting = true;
    int sqlite_rc = rule_statement_wake(run->statement);
    enum err rc = sqlite_rc == SQLITE_OK ? ERR_OK : step_error(run, sqlite_rc, e);
    while (rc == ERR_OK && !is_over) {
        rc = step(run, &is_over, e);
    }
    space->is_counting = false;
    if (rc == ERR_INVALID) {
        rc = run->reader->failure(run->reader->context, run->events[run->done], e->text, e);
        run->done++;
    }
    sqlite3_reset(run->statement->compiled);
    store_memory_end(&space->memory);
    return rc;
}

// The event at done was denied to the statement.
static enum err deny(struct run *run, struct error *e)
{
    over_memory(run->statement->space, e);
    enum err rc = run->reader->failure(run->reader->context, run->events[run->done], e->text, e);
    run->done++;
    return rc;
}

// One execution, named by its number in the batch.
static enum err run_numbered(struct rule_statement *statement, uint32_t event_index,
                             const struct rule_reader *reader, struct error *e)
{
    struct rule_denials *denials = &statement->space->denials;
    struct run run = {statement, reader, &event_index, 1, 0, 0, true};
    denials->windows++;
    bool is_denied = rule_is_denied(denials, statement, denials->windows, true);
    return is_denied ? deny(&run, e) : execute(&run, e);
}

enum err rule_statement_run_framed(struct rule_statement *statement, struct event_batch *batch,
                                   uint32_t event_index, const struct rule_reader *reader,
                                   struct error *e)
{
    struct rule_space *space = statement->space;
    enum err rc = rule_table_show(statement, e);
    if (rc == ERR_OK) {
        space->scan.batch = batch;
        space->running = statement;
        rc = run_numbered(statement, event_index, reader, e);
        space->scan = (struct rule_scan){.batch = NULL};
    }
    return rc;
}

enum err rule_statement_run(struct rule_statement *statement, struct event_batch *batch,
                            const uint32_t *events, uint32_t count, bool is_batched,
                            const struct rule_reader *reader, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    enum err rc = rule_table_show(statement, e);
    statement->space->scan.batch = batch;
    statement->space->running = statement;
    const struct rule_denials *denials = &statement->space->denials;
    uint32_t size = is_batched && statement->is_plain && denials->count == 0 ? count : 1;
    for (uint32_t first = 0; rc == ERR_OK && first < count; first += size) {
        struct run run = {statement, reader, events + first, size, 0, 0, false};
        while (rc == ERR_OK && run.done < run.end) {
            bool is_denied = rule_is_denied(denials, statement, run.events[run.done], false);
            rc = is_denied ? deny(&run, e) : execute(&run, e);
        }
    }
    return rc;
}

// The budget of a window: that of each of its rows, and of one that has none.
static uint32_t window_steps(uint32_t steps_max, uint32_t row_count)
{
    uint64_t steps = (uint64_t)steps_max * ((uint64_t)row_count + 1);
    return steps < UINT32_MAX / 2 ? (uint32_t)steps : UINT32_MAX / 2;
}

enum err rule_statement_run_rows(struct rule_statement *statement, const struct rule_rows *rows,
                                 uint32_t row_count, uint32_t event_index,
                                 const struct rule_reader *reader, struct error *e)
{
    struct rule_space *space = statement->space;
    uint32_t steps_max = space->steps_max;
    enum err rc = rule_table_show(statement, e);
    if (rc == ERR_OK) {
        space->scan.rows = rows;
        space->steps_max = window_steps(steps_max, row_count);
        rc = run_numbered(statement, event_index, reader, e);
        space->steps_max = steps_max;
        space->scan.rows = NULL;
        space->scan.end = 0; // No event is at hand.
    }
    return rc;
}
