#include "core/rule_space.h"

#include <stdlib.h>

#include "core/rule_statement.h"

#define SPACE_FUNCTION "pipit_rule_space"
#define SPACE_POINTER  "pipit_rule_space"
#define SLICE_STEPS    1000 // Instructions between two looks at the budget.

struct space_wanted {
    struct rule_space *found;
};

// SQL function that hands the space to whoever passes a place for it. Text cannot get at it.
static void give_space(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct space_wanted *wanted = sqlite3_value_pointer(values[0], SPACE_POINTER);
    if (wanted != NULL) {
        wanted->found = sqlite3_user_data(context);
    }
}

static struct rule_space *find_space(sqlite3 *db)
{
    struct space_wanted wanted = {NULL};
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, "SELECT " SPACE_FUNCTION "(?1)", -1, &statement, NULL) ==
        SQLITE_OK) {
        sqlite3_bind_pointer(statement, 1, &wanted, SPACE_POINTER, NULL);
        sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return wanted.found;
}

static void space_destroy(void *context)
{
    struct rule_space *space = context;
    rule_denials_deinit(&space->denials);
    free(space);
}

enum err rule_space_get(sqlite3 *db, struct rule_space **out_space, struct error *e)
{
    struct rule_space *space = find_space(db);
    if (space != NULL) {
        *out_space = space;
        return ERR_OK;
    }
    space = calloc(1, sizeof(*space));
    if (space == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for rules");
    }
    space->db = db;
    // On failure, too, SQLite calls space_destroy.
    if (sqlite3_create_function_v2(db, SPACE_FUNCTION, 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, space,
                                   give_space, NULL, NULL, space_destroy) != SQLITE_OK) {
        return error_set(e, ERR_INTERNAL, "prepare the store for rules: %s", sqlite3_errmsg(db));
    }
    enum err rc = functions_register(space, e);
    if (rc == ERR_OK) {
        rc = rule_fence_install(space, e);
    }
    if (rc == ERR_OK) {
        *out_space = space;
    }
    return rc;
}

static int count_steps(void *context)
{
    struct rule_space *space = context;
    if (!space->is_counting) {
        return 0; // The hub's own SQL, between two executions.
    }
    space->steps += space->steps_slice;
    return space->steps > space->steps_max;
}

void rule_space_begin(struct rule_space *space, uint32_t steps_max, uint64_t memory_max,
                      int64_t now_ms)
{
    space->memory_max = memory_max;
    space->now_ms = now_ms;
    space->runs++;
    space->steps = 0;
    space->steps_max = steps_max == 0 ? UINT32_MAX - SLICE_STEPS : steps_max;
    space->steps_slice = space->steps_max < SLICE_STEPS ? space->steps_max : SLICE_STEPS;
    sqlite3_progress_handler(space->db, (int)space->steps_slice, count_steps, space);
}

void rule_space_end(struct rule_space *space)
{
    sqlite3_progress_handler(space->db, 0, NULL, NULL);
    space->scan = (struct rule_scan){.batch = NULL};
}

uint64_t rule_space_serial(const struct rule_space *space, uint32_t event_index)
{
    return ((uint64_t)space->runs << 32 | event_index) + 1;
}

struct event *rule_space_event(const struct rule_space *space)
{
    const struct rule_scan *scan = &space->scan;
    if (scan->end == 0 || scan->rows != NULL || scan->batch == NULL) {
        return NULL;
    }
    uint32_t position = scan->position < scan->end ? scan->position : scan->end - 1;
    return event_batch_at(scan->batch, scan->events[position]);
}

enum err rule_table_show(struct rule_statement *statement, struct error *e)
{
    if (statement->is_shown || statement->table_name.name == NULL) { // It reads no events.
        return ERR_OK;
    }
    sqlite3 *db = statement->space->db;
    int rc = sqlite3_create_module_v2(db, statement->table_name.name, &rule_table_module, statement,
                                      NULL);
    if (rc != SQLITE_OK) {
        enum err code = rc == SQLITE_NOMEM ? ERR_NO_MEMORY : ERR_INTERNAL;
        return error_set(e, code, "register topic filter \"%s\": %s", statement->filter,
                         sqlite3_errmsg(db));
    }
    statement->is_shown = true;
    return ERR_OK;
}

void rule_table_hide(struct rule_statement *statement)
{
    if (statement->is_shown) {
        sqlite3_create_module_v2(statement->space->db, statement->table_name.name, NULL, NULL,
                                 NULL);
        statement->is_shown = false;
    }
}
