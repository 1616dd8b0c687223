#include "core/rule_space.h"

#include <stdlib.h>
#include <uthash.h>

#include "core/rule_statement.h"

#define SPACE_FUNCTION "pipit_rule_space"
#define SPACE_POINTER  "pipit_rule_space"
#define SLICE_STEPS    1000 // Instructions between two looks at the budget.

struct rule_name {
    uint32_t users;
    struct rule_statement *owner; // NULL: SQLite does not know the name now.
    UT_hash_handle hh;
    char folded[];
};

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
    struct rule_name *name, *next;
    HASH_ITER(hh, space->names, name, next)
    {
        HASH_DEL(space->names, name);
        free(name);
    }
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
    if (scan->end == 0 || scan->rows != NULL) {
        return NULL;
    }
    uint32_t position = scan->position < scan->end ? scan->position : scan->end - 1;
    return event_batch_at(scan->batch, scan->events[position]);
}

static struct rule_name *find_name(struct rule_space *space, const char *filter)
{
    struct rule_name *name = NULL, *wanted;
    size_t len = strlen(filter);
    wanted = calloc(1, sizeof(*wanted) + len + 1);
    if (wanted == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) { // ASCII only, as SQLite does.
        char c = filter[i];
        wanted->folded[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    HASH_FIND_STR(space->names, wanted->folded, name);
    if (name != NULL) {
        free(wanted);
        return name;
    }
    HASH_ADD_KEYPTR(hh, space->names, wanted->folded, len, wanted);
    return wanted;
}

enum err rule_name_claim(struct rule_statement *statement, struct error *e)
{
    struct rule_space *space = statement->space;
    if (statement->name == NULL) {
        statement->name = find_name(space, statement->filter);
        if (statement->name == NULL) {
            return error_set(e, ERR_NO_MEMORY, "out of memory for a rule");
        }
        statement->name->users++;
    }
    if (statement->name->owner == statement && !statement->has_new_fields) {
        return ERR_OK;
    }
    int rc =
        sqlite3_create_module_v2(space->db, statement->filter, &rule_table_module, statement, NULL);
    if (rc != SQLITE_OK) {
        return error_set(e, ERR_INTERNAL, "register topic filter \"%s\": %s", statement->filter,
                         sqlite3_errmsg(space->db));
    }
    statement->name->owner = statement;
    statement->has_new_fields = false;
    return ERR_OK;
}

static void hide(struct rule_space *space, struct rule_name *name)
{
    if (name->owner != NULL) {
        sqlite3_create_module_v2(space->db, name->folded, NULL, NULL, NULL);
        name->owner = NULL;
    }
}

void rule_name_release(struct rule_statement *statement)
{
    struct rule_name *name = statement->name;
    if (name == NULL) {
        return;
    }
    if (name->owner == statement) {
        hide(statement->space, name);
    }
    statement->name = NULL;
    if (--name->users == 0) {
        HASH_DEL(statement->space->names, name);
        free(name);
    }
}

void rule_names_hide(struct rule_space *space)
{
    struct rule_name *name, *next;
    HASH_ITER(hh, space->names, name, next)
    {
        hide(space, name);
    }
}
