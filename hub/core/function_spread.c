// function_spread.c - how values spread: stddev, stddev_pop, percentile, median.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/function_series.h"

// Welford's running mean and sum of squared distances from it: no difference of large sums.
struct spread {
    uint64_t count;
    double mean, squares;
};

static void stddev_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct spread *spread = sqlite3_aggregate_context(context, sizeof(*spread));
    struct series_item item;
    if (spread == NULL) {
        sqlite3_result_error_nomem(context);
    } else if (series_number(context, "stddev", values[0], &item)) {
        spread->count++;
        double distance = item.real - spread->mean;
        spread->mean += distance / (double)spread->count;
        spread->squares += distance * (item.real - spread->mean);
    }
}

static void stddev_inverse(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct spread *spread = sqlite3_aggregate_context(context, sizeof(*spread));
    struct series_item item;
    if (spread == NULL || !series_number(context, "stddev", values[0], &item)) {
        return;
    }
    if (spread->count <= 1) {
        *spread = (struct spread){0};
        return;
    }
    double distance = item.real - spread->mean;
    spread->count--;
    spread->mean -= distance / (double)spread->count;
    spread->squares -= distance * (item.real - spread->mean);
    spread->squares = spread->squares < 0 ? 0 : spread->squares; // Of rounding.
}

static void spread_result(sqlite3_context *context, uint64_t fewer)
{
    const struct spread *spread = sqlite3_aggregate_context(context, 0);
    if (spread != NULL && spread->count > fewer) {
        sqlite3_result_double(context, sqrt(spread->squares / (double)(spread->count - fewer)));
    }
}

static void stddev_value(sqlite3_context *context)
{
    spread_result(context, 1);
}

static void stddev_pop_value(sqlite3_context *context)
{
    spread_result(context, 0);
}

static void refuse(sqlite3_context *context, const char *text)
{
    sqlite3_result_error(context, text, -1);
}

static void add(sqlite3_context *context, const char *function, sqlite3_value *x, double p)
{
    struct series *series = sqlite3_aggregate_context(context, sizeof(*series));
    struct series_item item;
    if (series == NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    series->parameter = p;
    if (series_number(context, function, x, &item)) {
        series_add(context, series, &item);
    }
}

static void percentile_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    int type = sqlite3_value_numeric_type(values[1]);
    double p = sqlite3_value_double(values[1]);
    if ((type != SQLITE_INTEGER && type != SQLITE_FLOAT) || !(p >= 0 && p <= 100)) {
        refuse(context, "percentile(): p must be a number from 0 to 100");
    } else {
        add(context, "percentile", values[0], p);
    }
}

static void median_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    add(context, "median", values[0], 50);
}

static int item_compare(const void *a, const void *b)
{
    double left = ((const struct series_item *)a)->real;
    double right = ((const struct series_item *)b)->real;
    return (left > right) - (left < right);
}

// The first place in low..high whose value is not below `real`.
static uint32_t lower_bound(const struct series *series, uint32_t low, uint32_t high, double real)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (series->items[middle].real < real) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// One more value than were sorted is put into its place; many are sorted together.
static bool sort(sqlite3_context *context, struct series *series)
{
    uint32_t count = series->end - series->head, fresh = count - series->sorted;
    if (fresh == 0) {
        return true;
    }
    if (!series_charge(context, fresh == 1 ? count / 4 : count * 4)) {
        return false;
    }
    if (fresh == 1) {
        struct series_item item = series->items[series->end - 1];
        uint32_t at = lower_bound(series, series->head, series->end - 1, item.real);
        memmove(&series->items[at + 1], &series->items[at], (series->end - 1 - at) * sizeof(item));
        series->items[at] = item;
    } else {
        qsort(series->items + series->head, count, sizeof(series->items[0]), item_compare);
    }
    series->sorted = count;
    return true;
}

static void percentile_inverse(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct series *series = sqlite3_aggregate_context(context, sizeof(*series));
    struct series_item item;
    if (series == NULL || !series_number(context, "percentile", values[0], &item) ||
        !sort(context, series)) {
        return;
    }
    uint32_t at = lower_bound(series, series->head, series->end, item.real);
    if (at < series->end) {
        series->end--;
        series->sorted--;
        memmove(&series->items[at], &series->items[at + 1], (series->end - at) * sizeof(item));
    }
}

static void percentile_value(sqlite3_context *context)
{
    struct series *series = sqlite3_aggregate_context(context, 0);
    if (series == NULL || series->head == series->end || !sort(context, series)) {
        return;
    }
    const struct series_item *items = series->items + series->head;
    double place = (double)(series->end - series->head - 1) * series->parameter / 100.0;
    uint32_t low = (uint32_t)place;
    double part = place - (double)low, value = items[low].real;
    if (part > 0) {
        value += part * (items[low + 1].real - value);
    }
    sqlite3_result_double(context, value);
}

static void percentile_final(sqlite3_context *context)
{
    percentile_value(context);
    struct series *series = sqlite3_aggregate_context(context, 0);
    if (series != NULL) {
        series_free(series);
    }
}

enum err function_spread_register(struct rule_space *space, struct error *e)
{
    static const struct function_aggregate list[] = {
        {"stddev", 1, stddev_step, stddev_value, stddev_value, stddev_inverse},
        {"stddev_pop", 1, stddev_step, stddev_pop_value, stddev_pop_value, stddev_inverse},
        {"percentile", 2, percentile_step, percentile_final, percentile_value, percentile_inverse},
        {"median", 1, median_step, percentile_final, percentile_value, percentile_inverse},
    };
    return function_aggregates_add(space, list, sizeof(list) / sizeof(list[0]), e);
}
