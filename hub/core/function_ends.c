// function_ends.c - the aggregates first and last, for values of any type. As window functions
// SQLite has first_value and last_value of its own.
#include <string.h>

#include "core/function_series.h"

struct end {
    sqlite3_value *value; // NULL: none yet.
    sqlite3_value *order; // NULL: the order of the rows.
};

static int text_compare(sqlite3_value *a, sqlite3_value *b)
{
    int a_bytes = sqlite3_value_bytes(a), b_bytes = sqlite3_value_bytes(b);
    size_t common = (size_t)(a_bytes < b_bytes ? a_bytes : b_bytes);
    const void *left = sqlite3_value_blob(a), *right = sqlite3_value_blob(b);
    int order = common == 0 ? 0 : memcmp(left, right, common);
    return order != 0 ? order : a_bytes - b_bytes;
}

// Numbers before texts before blobs, as SQL orders them.
static int rank_of(sqlite3_value *value)
{
    int type = sqlite3_value_type(value);
    return type == SQLITE_BLOB ? 2 : type == SQLITE_TEXT ? 1 : 0;
}

static int order_compare(sqlite3_value *a, sqlite3_value *b)
{
    int rank = rank_of(a) - rank_of(b);
    if (rank != 0) {
        return rank;
    }
    if (rank_of(a) != 0) {
        return text_compare(a, b);
    }
    if (sqlite3_value_type(a) == SQLITE_INTEGER && sqlite3_value_type(b) == SQLITE_INTEGER) {
        sqlite3_int64 left = sqlite3_value_int64(a), right = sqlite3_value_int64(b);
        return (left > right) - (left < right);
    }
    double left = sqlite3_value_double(a), right = sqlite3_value_double(b);
    return (left > right) - (left < right);
}

static void take(sqlite3_context *context, struct end *end, sqlite3_value **values, int count)
{
    sqlite3_value *value = sqlite3_value_dup(values[0]);
    sqlite3_value *order = count > 1 ? sqlite3_value_dup(values[1]) : NULL;
    if (value == NULL || (count > 1 && order == NULL)) {
        sqlite3_value_free(value);
        sqlite3_result_error_nomem(context);
        return;
    }
    sqlite3_value_free(end->value);
    sqlite3_value_free(end->order);
    *end = (struct end){value, order};
}

// is_last: of equal ones the later row.
static void step(sqlite3_context *context, int count, sqlite3_value **values, bool is_last)
{
    struct end *end = sqlite3_aggregate_context(context, sizeof(*end));
    if (end == NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    if (sqlite3_value_type(values[0]) == SQLITE_NULL ||
        (count > 1 && sqlite3_value_type(values[1]) == SQLITE_NULL)) {
        return;
    }
    bool is_better = end->value == NULL || (is_last && count == 1);
    if (!is_better && count > 1) {
        int order = order_compare(values[1], end->order);
        is_better = is_last ? order >= 0 : order < 0;
    }
    if (is_better) {
        take(context, end, values, count);
    }
}

static void first_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    step(context, count, values, false);
}

static void last_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    step(context, count, values, true);
}

static void end_final(sqlite3_context *context)
{
    struct end *end = sqlite3_aggregate_context(context, 0);
    if (end == NULL || end->value == NULL) {
        return;
    }
    sqlite3_result_value(context, end->value);
    sqlite3_value_free(end->value);
    sqlite3_value_free(end->order);
    *end = (struct end){NULL, NULL};
}

enum err function_ends_register(struct rule_space *space, struct error *e)
{
    static const struct function_aggregate list[] = {
        {"first", 1, first_step, end_final, NULL, NULL},
        {"first", 2, first_step, end_final, NULL, NULL},
        {"last", 1, last_step, end_final, NULL, NULL},
        {"last", 2, last_step, end_final, NULL, NULL},
    };
    return function_aggregates_add(space, list, sizeof(list) / sizeof(list[0]), e);
}
