#include "cli/status_print.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/status_read.h"
#include "cli/terminal.h"

#define BAR_WIDTH 20

static long long number(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value == NULL ? "" : value;
}

static const char *colour(enum colour which)
{
    return terminal_colour(stdout, which);
}

static void heading(const char *name)
{
    printf("\n%s%s%s\n", colour(COLOUR_BOLD), name, colour(COLOUR_NONE));
}

static void print_head(const json_t *status)
{
    bool is_running = json_is_true(json_object_get(status, "running"));
    char amount[AMOUNT_TEXT_MAX];
    printf("%shub %s%s  ", colour(COLOUR_BOLD), text(status, "hub"), colour(COLOUR_NONE));
    if (!is_running) {
        printf("%snot running%s\n", colour(COLOUR_RED), colour(COLOUR_NONE));
    } else {
        printf("%srunning%s for %s, version %s\n", colour(COLOUR_GREEN), colour(COLOUR_NONE),
               amount_duration(number(status, "uptime_s") * 1000, amount), text(status, "version"));
    }
    static const char *const alarms[] = {"problem", "full"};
    for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++) {
        if (text(status, alarms[i])[0] != '\0') {
            printf("%s%s%s\n", colour(COLOUR_RED), text(status, alarms[i]), colour(COLOUR_NONE));
        }
    }
}

// "received 5 = routed 3 + filtered 2 + ..."
static void print_equation(const json_t *books, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        printf("%s%s %lld",
               i == 0   ? "  "
               : i == 1 ? " = "
                        : " + ",
               names[i], number(books, names[i]));
    }
    printf("\n");
}

static void print_books(const json_t *status)
{
    static const char *const events[] = {"received",  "routed",   "filtered",
                                         "duplicate", "rejected", NULL};
    static const char *const deliveries[] = {"enqueued", "delivered", "waiting",
                                             "dead",     "dropped",   NULL};
    const json_t *books = json_object_get(status, "books");
    bool is_balanced = status_is_balanced(status);
    heading("books");
    print_equation(books, events);
    print_equation(books, deliveries);
    long long missing = number(books, "missing"), failures = number(books, "rule_failures");
    printf("  %smissing %lld%s, %srule failures %lld%s\n",
           colour(missing > 0 ? COLOUR_YELLOW : COLOUR_NONE), missing, colour(COLOUR_NONE),
           colour(failures > 0 ? COLOUR_YELLOW : COLOUR_NONE), failures, colour(COLOUR_NONE));
    printf("  late %lld, derived %lld, replayed %lld\n", number(books, "late"),
           number(books, "derived"), number(books, "replayed"));
    long long answered = number(books, "answered");
    if (answered > 0) { // Nothing is lost by them.
        printf("  of dropped, %lld were calls of workflows, which know that they failed\n",
               answered);
    }
    if (!is_balanced) {
        printf("  %sthe books do not balance: please report this with the store%s\n",
               colour(COLOUR_RED), colour(COLOUR_NONE));
    }
    const json_t *rates = json_object_get(status, "rates");
    if (rates != NULL) {
        printf("  received %.1f/s, enqueued %.1f/s, delivered %.1f/s\n",
               json_number_value(json_object_get(rates, "received")),
               json_number_value(json_object_get(rates, "enqueued")),
               json_number_value(json_object_get(rates, "delivered")));
    }
}

static void print_fill(const char *name, const json_t *object, const char *used_name)
{
    char used_text[AMOUNT_TEXT_MAX], limit_text[AMOUNT_TEXT_MAX], bar[BAR_WIDTH + 1];
    uint64_t used = (uint64_t)number(object, used_name);
    uint64_t limit = (uint64_t)number(object, "limit_bytes");
    double part = limit == 0 ? 0 : (double)used / (double)limit;
    int filled = part >= 1 ? BAR_WIDTH : (int)(part * BAR_WIDTH);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    enum colour which = part > 0.9 ? COLOUR_RED : part > 0.7 ? COLOUR_YELLOW : COLOUR_GREEN;
    printf("  %-11s%s[%s]%s %s of %s", name, colour(which), bar, colour(COLOUR_NONE),
           amount_bytes(used, used_text), amount_bytes(limit, limit_text));
}

static void print_store(const json_t *status)
{
    const json_t *quarantine = json_object_get(status, "quarantine");
    heading("store");
    print_fill("used", json_object_get(status, "store"), "used_bytes");
    printf("\n");
    print_fill("quarantine", quarantine, "bytes");
    printf(", %lld entries\n", number(quarantine, "entries"));
    const json_t *history = json_object_get(status, "history");
    if (number(history, "keep_ms") > 0 || number(history, "rows") > 0) {
        print_fill("history", history, "bytes");
        printf(", %lld events\n", number(history, "rows"));
    }
}

static void state_cell(struct table *table, const json_t *item)
{
    const json_t *up = json_object_get(item, "up");
    if (json_is_false(json_object_get(item, "configured"))) {
        table_cell(table, COLOUR_YELLOW, "not configured");
    } else if (up == NULL) {
        table_cell(table, COLOUR_DIM, "-");
    } else if (json_is_true(json_object_get(item, "away"))) {
        table_cell(table, COLOUR_YELLOW, "away, no room");
    } else {
        table_cell(table, json_is_true(up) ? COLOUR_GREEN : COLOUR_RED, "%s",
                   json_is_true(up) ? "up" : "down");
    }
}

// How long ago a wall clock time was; "" for never.
static void since_cell(struct table *table, long long at_ms)
{
    char amount[AMOUNT_TEXT_MAX];
    if (at_ms == 0) {
        table_cell(table, COLOUR_NONE, "%s", "");
    } else {
        table_cell(table, COLOUR_NONE, "%s", amount_duration(clock_wall_ms() - at_ms, amount));
    }
}

static void print_sources(const json_t *status)
{
    static const char *const headings[] = {"NAME",        "STATE",    ">SINCE",     ">MESSAGES",
                                           ">RECONNECTS", ">DROPPED", "LAST ERROR", NULL};
    struct table *table = table_create(headings);
    const json_t *list = json_object_get(status, "sources");
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        long long lost = number(item, "broker_dropped");
        table_cell(table, COLOUR_BOLD, "%s", text(item, "name"));
        state_cell(table, item);
        since_cell(table, number(item, "since_ms"));
        table_cell(table, COLOUR_NONE, "%lld", number(item, "messages"));
        table_cell(table, COLOUR_NONE, "%lld", number(item, "reconnects"));
        table_cell(table, lost > 0 ? COLOUR_RED : COLOUR_NONE, "%lld", lost);
        table_cell(table, COLOUR_NONE, "%s", text(item, "error"));
    }
    heading("sources");
    table_print(table, stdout);
    table_destroy(table);
    json_array_foreach(list, i, item)
    {
        if (text(item, "advice")[0] != '\0') {
            printf("%s%s: %s%s\n", colour(COLOUR_YELLOW), text(item, "name"), text(item, "advice"),
                   colour(COLOUR_NONE));
        }
    }
}

static void print_targets(const json_t *status)
{
    static const char *const headings[] = {"NAME",       "STATE",      ">WAITING", ">BYTES",
                                           ">OLDEST",    ">DELIVERED", ">RETRIED", ">DEAD",
                                           "LAST ERROR", NULL};
    struct table *table = table_create(headings);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(status, "targets"), i, item)
    {
        char bytes[AMOUNT_TEXT_MAX], age[AMOUNT_TEXT_MAX];
        long long waiting = number(item, "waiting"), dead = number(item, "dead");
        table_cell(table, COLOUR_BOLD, "%s", text(item, "name"));
        state_cell(table, item);
        table_cell(table, COLOUR_NONE, "%lld", waiting);
        table_cell(table, COLOUR_NONE, "%s",
                   amount_bytes((uint64_t)number(item, "waiting_bytes"), bytes));
        table_cell(table, COLOUR_NONE, "%s",
                   waiting == 0 ? "" : amount_duration(number(item, "oldest_ms"), age));
        table_cell(table, COLOUR_NONE, "%lld", number(item, "delivered"));
        table_cell(table, COLOUR_NONE, "%lld", number(item, "retried"));
        table_cell(table, dead > 0 ? COLOUR_RED : COLOUR_NONE, "%lld", dead);
        table_cell(table, COLOUR_NONE, "%s", text(item, "error"));
    }
    heading("targets");
    table_print(table, stdout);
    table_destroy(table);
}

static void print_rules(const json_t *status)
{
    static const char *const headings[] = {"NAME", ">MATCHED", ">ROWS", ">FAILURES", NULL};
    struct table *table = table_create(headings);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(status, "rules"), i, item)
    {
        long long failures = number(item, "failures");
        table_cell(table, COLOUR_BOLD, "%s", text(item, "name"));
        table_cell(table, COLOUR_NONE, "%lld", number(item, "matched"));
        table_cell(table, COLOUR_NONE, "%lld", number(item, "rows"));
        table_cell(table, failures > 0 ? COLOUR_YELLOW : COLOUR_NONE, "%lld", failures);
    }
    heading("rules");
    table_print(table, stdout);
    table_destroy(table);
}

static void print_workflows(const json_t *status)
{
    static const char *const headings[] = {"NAME",       ">STARTED", ">QUEUED",    ">RUNNING",
                                           ">UNDOING",   ">PARKED",  ">COMPLETED", ">FAILED",
                                           ">CANCELLED", ">IGNORED", "NOTE",       NULL};
    static const char *const counts[] = {"started",   "queued", "running",   "undoing", "parked",
                                         "completed", "failed", "cancelled", "ignored"};
    const json_t *list = json_object_get(status, "workflows");
    struct table *table = table_create(headings);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        bool is_gone = json_is_false(json_object_get(item, "configured"));
        table_cell(table, COLOUR_BOLD, "%s", text(item, "name"));
        for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
            bool is_bad = strcmp(counts[n], "parked") == 0 || strcmp(counts[n], "failed") == 0;
            long long value = number(item, counts[n]);
            table_cell(table, is_bad && value > 0 ? COLOUR_RED : COLOUR_NONE, "%lld", value);
        }
        table_cell(table, COLOUR_YELLOW, "%s", is_gone ? "not configured" : "");
    }
    if (json_array_size(list) > 0) {
        heading("workflows");
        table_print(table, stdout);
    }
    table_destroy(table);
}

void status_print(const json_t *status)
{
    print_head(status);
    print_books(status);
    print_store(status);
    print_sources(status);
    print_targets(status);
    print_rules(status);
    print_workflows(status);
}
