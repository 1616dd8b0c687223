// function_series.c - aggregates over numbers in the order of their rows: delta, rate, ewma.
#include "core/function_series.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS_A_STEP 16 // Numbers looked at cost as much as one SQLite instruction.

enum err function_aggregates_add(struct rule_space *space, const struct function_aggregate *list,
                                 size_t count, struct error *e)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    for (size_t i = 0; i < count; i++) {
        const struct function_aggregate *row = &list[i];
        int rc = row->value == NULL
                     ? sqlite3_create_function_v2(space->db, row->name, row->arguments, flags,
                                                  space, NULL, row->step, row->final, NULL)
                     : sqlite3_create_window_function(space->db, row->name, row->arguments, flags,
                                                      space, row->step, row->final, row->value,
                                                      row->inverse, NULL);
        if (rc != SQLITE_OK) {
            return error_set(e, ERR_INTERNAL, "add the SQL function %s: %s", row->name,
                             sqlite3_errmsg(space->db));
        }
    }
    return ERR_OK;
}

bool series_charge(sqlite3_context *context, uint32_t items)
{
    struct rule_space *space = sqlite3_user_data(context);
    uint32_t steps = items / ITEMS_A_STEP;
    if (space->steps_max != 0 &&
        steps > space->steps_max -
                    (space->steps < space->steps_max ? space->steps : space->steps_max)) {
        sqlite3_result_error_code(context, SQLITE_INTERRUPT);
        return false;
    }
    space->steps += steps;
    return true;
}

static void refuse(sqlite3_context *context, char *text)
{
    sqlite3_result_error(context, text == NULL ? "out of memory" : text, -1);
    sqlite3_free(text);
}

bool series_number(sqlite3_context *context, const char *function, sqlite3_value *value,
                   struct series_item *out_item)
{
    *out_item = (struct series_item){0};
    switch (sqlite3_value_numeric_type(value)) {
    case SQLITE_INTEGER:
        out_item->is_integer = true;
        out_item->integer = sqlite3_value_int64(value);
        out_item->real = (double)out_item->integer;
        return true;
    case SQLITE_FLOAT:
        out_item->real = sqlite3_value_double(value);
        return true;
    case SQLITE_NULL:
        return false;
    case SQLITE_BLOB:
        refuse(context, sqlite3_mprintf("%s(): a blob is not a number", function));
        return false;
    default:
        refuse(context, sqlite3_mprintf("%s(): '%.40s' is not a number", function,
                                        sqlite3_value_text(value)));
        return false;
    }
}

bool series_add(sqlite3_context *context, struct series *series, const struct series_item *item)
{
    if (series->end == series->capacity && series->head > series->capacity / 2) {
        series->end -= series->head;
        memmove(series->items, series->items + series->head, series->end * sizeof(*item));
        series->head = 0;
    }
    if (series->end - series->head == SERIES_COUNT_MAX) {
        refuse(context, sqlite3_mprintf("more than %d values in one aggregate", SERIES_COUNT_MAX));
        return false;
    }
    if (series->end == series->capacity) {
        uint32_t capacity = series->capacity == 0 ? 16 : series->capacity * 2;
        struct series_item *items = reallocarray(series->items, capacity, sizeof(items[0]));
        if (items == NULL) {
            sqlite3_result_error_nomem(context);
            return false;
        }
        series->items = items;
        series->capacity = capacity;
    }
    series->items[series->end++] = *item;
    return true;
}

void series_free(struct series *series)
{
    free(series->items);
    *series = (struct series){0};
}

static struct series *series_of(sqlite3_context *context)
{
    struct series *series = sqlite3_aggregate_context(context, sizeof(*series));
    if (series == NULL) {
        sqlite3_result_error_nomem(context);
    }
    return series;
}

// A row without a number is no row.
static void add_row(sqlite3_context *context, const char *function, sqlite3_value *x,
                    sqlite3_value *at)
{
    struct series *series = series_of(context);
    struct series_item item, place = {0};
    if (series == NULL || !series_number(context, function, x, &item) ||
        (at != NULL && !series_number(context, function, at, &place))) {
        return;
    }
    item.at = place.real;
    series_add(context, series, &item);
}

// Rows leave a window in the order in which they came.
static void remove_row(sqlite3_context *context, bool is_there)
{
    struct series *series = series_of(context);
    if (series != NULL && is_there && series->head < series->end) {
        series->head++;
    }
}

static bool is_number(sqlite3_value *value)
{
    int type = sqlite3_value_numeric_type(value);
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

static void delta_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    add_row(context, "delta", values[0], count > 1 ? values[1] : NULL);
}

static void rate_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    add_row(context, "rate", values[0], values[1]);
}

static void pair_inverse(sqlite3_context *context, int count, sqlite3_value **values)
{
    remove_row(context, is_number(values[0]) && (count < 2 || is_number(values[1])));
}

// The ends by `at`: of equal ones the first that came and the last. false: there is none.
static bool find_ends(sqlite3_context *context, const struct series **out_series, uint32_t *out_low,
                      uint32_t *out_high)
{
    const struct series *series = series_of(context);
    if (series == NULL || series->head == series->end ||
        !series_charge(context, series->end - series->head)) {
        return false;
    }
    uint32_t low = series->head, high = series->head;
    for (uint32_t i = series->head + 1; i < series->end; i++) {
        low = series->items[i].at < series->items[low].at ? i : low;
        high = series->items[i].at >= series->items[high].at ? i : high;
    }
    *out_series = series;
    *out_low = low;
    *out_high = high;
    return true;
}

static void difference_result(sqlite3_context *context, const struct series_item *from,
                              const struct series_item *to)
{
    int64_t difference;
    if (from->is_integer && to->is_integer &&
        !__builtin_sub_overflow(to->integer, from->integer, &difference)) {
        sqlite3_result_int64(context, difference);
    } else {
        sqlite3_result_double(context, to->real - from->real);
    }
}

static void delta_value(sqlite3_context *context)
{
    const struct series *series;
    uint32_t low, high;
    if (find_ends(context, &series, &low, &high)) {
        difference_result(context, &series->items[low], &series->items[high]);
    }
}

static void rate_value(sqlite3_context *context)
{
    const struct series *series;
    uint32_t low, high;
    if (!find_ends(context, &series, &low, &high)) {
        return;
    }
    double ms = series->items[high].at - series->items[low].at;
    if (ms > 0) {
        sqlite3_result_double(context,
                              (series->items[high].real - series->items[low].real) * 1000.0 / ms);
    }
}

static void ewma_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct series *series = series_of(context);
    double alpha = sqlite3_value_double(values[1]);
    if (series == NULL) {
        return;
    }
    if (!(alpha > 0 && alpha <= 1)) {
        refuse(context, sqlite3_mprintf("ewma(): alpha must be above 0 and at most 1"));
        return;
    }
    series->parameter = alpha;
    add_row(context, "ewma", values[0], NULL);
}

static void ewma_inverse(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    remove_row(context, is_number(values[0]));
}

static void ewma_value(sqlite3_context *context)
{
    const struct series *series = series_of(context);
    if (series == NULL || series->head == series->end ||
        !series_charge(context, series->end - series->head)) {
        return;
    }
    double mean = series->items[series->head].real;
    for (uint32_t i = series->head + 1; i < series->end; i++) {
        mean += series->parameter * (series->items[i].real - mean);
    }
    sqlite3_result_double(context, mean);
}

#define FINAL(name)                                                                                \
    static void name##_final(sqlite3_context *context)                                             \
    {                                                                                              \
        name##_value(context);                                                                     \
        struct series *series = sqlite3_aggregate_context(context, 0);                             \
        if (series != NULL) {                                                                      \
            series_free(series);                                                                   \
        }                                                                                          \
    }
FINAL(delta)
FINAL(rate)
FINAL(ewma)

enum err function_series_register(struct rule_space *space, struct error *e)
{
    static const struct function_aggregate list[] = {
        {"delta", 1, delta_step, delta_final, delta_value, pair_inverse},
        {"delta", 2, delta_step, delta_final, delta_value, pair_inverse},
        {"rate", 2, rate_step, rate_final, rate_value, pair_inverse},
        {"ewma", 2, ewma_step, ewma_final, ewma_value, ewma_inverse},
    };
    return function_aggregates_add(space, list, sizeof(list) / sizeof(list[0]), e);
}
