#include "cli/status_read.h"

#include <string.h>

#include "admin/control_client.h"
#include "base/clock.h"
#include "store/store_view_workflows.h"

static bool set_count(void *context, const char *name, uint64_t value)
{
    return json_object_set_new(context, name, json_integer((json_int_t)value)) == 0;
}

static json_t *find_named(const json_t *list, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *its = json_string_value(json_object_get(item, "name"));
        if (its != NULL && strcmp(its, name) == 0) {
            return item;
        }
    }
    return NULL;
}

// A target or rule of the store joins the one of the configuration, or stands alone when it has
// been taken out there and something of it is left.
static json_t *named(json_t *list, const char *name)
{
    json_t *item = find_named(list, name);
    if (item == NULL) {
        item = json_pack("{s:s, s:b}", "name", name, "configured", 0);
        json_array_append_new(list, item);
    }
    return item;
}

static bool on_target(void *context, const struct view_target *target)
{
    bool is_gone = find_named(context, target->name) == NULL;
    if (is_gone && target->waiting == 0 && target->dead == 0) {
        return true;
    }
    json_t *item = named(context, target->name);
    int64_t age_ms = target->oldest_ms == 0 ? 0 : clock_wall_ms() - target->oldest_ms;
    set_count(item, "enqueued", target->enqueued);
    set_count(item, "delivered", target->delivered);
    set_count(item, "waiting", target->waiting);
    set_count(item, "waiting_bytes", target->waiting_bytes);
    set_count(item, "dead", target->dead);
    set_count(item, "dropped", target->dropped);
    set_count(item, "retried", target->retried);
    set_count(item, "oldest_ms", age_ms < 0 ? 0 : (uint64_t)age_ms);
    return true;
}

static bool on_rule(void *context, const struct view_rule *rule)
{
    json_t *item = find_named(context, rule->name);
    if (item != NULL) {
        set_count(item, "matched", rule->matched);
        set_count(item, "rows", rule->rows);
        set_count(item, "failures", rule->failures);
    }
    return true;
}

// Also one that is not configured any more, while instances of it are there.
static bool on_workflow(void *context, const struct view_workflow *workflow)
{
    uint64_t open = workflow->queued + workflow->running + workflow->undoing + workflow->parked;
    bool is_gone = find_named(context, workflow->name) == NULL;
    if (is_gone && open == 0) {
        return true;
    }
    json_t *item = named(context, workflow->name);
    set_count(item, "started", workflow->started);
    set_count(item, "queued", workflow->queued);
    set_count(item, "running", workflow->running);
    set_count(item, "undoing", workflow->undoing);
    set_count(item, "parked", workflow->parked);
    set_count(item, "completed", workflow->completed);
    set_count(item, "failed", workflow->failed);
    set_count(item, "cancelled", workflow->cancelled);
    set_count(item, "ignored", workflow->ignored);
    return true;
}

static json_t *named_item(const char *name)
{
    return json_pack("{s:s, s:b}", "name", name, "configured", 1);
}

static json_t *configured(const struct config *config)
{
    json_t *sources = json_array(), *targets = json_array(), *rules = json_array();
    json_t *workflows = json_array();
    for (uint32_t i = 0; i < config->source_count; i++) {
        json_array_append_new(sources, named_item(config->sources[i].name));
    }
    for (uint32_t i = 0; i < config->target_count; i++) {
        json_t *item = named_item(config->targets[i].name);
        json_object_set_new(item, "connector", json_string(config->targets[i].type->name));
        json_array_append_new(targets, item);
    }
    for (uint32_t i = 0; i < config->core.rule_count; i++) {
        json_array_append_new(rules, named_item(config->core.rules[i].name));
    }
    for (uint32_t i = 0; i < config->core.workflow_count; i++) {
        json_array_append_new(workflows, named_item(config->core.workflows[i].name));
    }
    return json_pack("{s:s, s:I, s:b, s:{}, s:o, s:o, s:o, s:o}", "hub",
                     option_text(config->hub, "id"), "at_ms", (json_int_t)clock_wall_ms(),
                     "running", 0, "books", "sources", sources, "targets", targets, "rules", rules,
                     "workflows", workflows);
}

static void add_store(json_t *status, const struct config *config, struct store_view *view)
{
    json_t *books = json_object_get(status, "books");
    json_t *bytes = json_object_get(books, "quarantine_bytes");
    json_t *entries = json_object_get(books, "quarantine_entries");
    json_object_set_new(status, "store",
                        json_pack("{s:s, s:I, s:I}", "path", option_text(config->hub, "store"),
                                  "used_bytes", (json_int_t)store_view_used_bytes(view),
                                  "limit_bytes",
                                  (json_int_t)option_int(config->hub, "store_limit")));
    json_object_set_new(status, "quarantine",
                        json_pack("{s:I, s:I, s:I}", "entries", json_integer_value(entries),
                                  "bytes", json_integer_value(bytes), "limit_bytes",
                                  (json_int_t)option_int(config->hub, "quarantine_limit")));
    json_t *rows = json_object_get(books, "history_rows");
    json_t *kept = json_object_get(books, "history_bytes");
    const struct history_spec *history = &config->core.history;
    json_object_set_new(status, "history",
                        json_pack("{s:I, s:I, s:I, s:I}", "rows", json_integer_value(rows), "bytes",
                                  json_integer_value(kept), "limit_bytes",
                                  (json_int_t)(history->keep_ms == 0 ? 0 : history->limit_bytes),
                                  "keep_ms", (json_int_t)history->keep_ms));
    static const char *const moved[] = {"quarantine_bytes", "quarantine_entries", "history_rows",
                                        "history_bytes"};
    for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
        json_object_del(books, moved[i]);
    }
}

static enum err read_store(json_t *status, const struct config *config, struct error *e)
{
    struct store_view *view = NULL;
    enum err rc = store_view_open(&view, option_text(config->hub, "store"), e);
    rc = rc != ERR_OK ? rc : store_view_books(view, set_count, json_object_get(status, "books"), e);
    rc = rc != ERR_OK ? rc
                      : store_view_targets(view, on_target, json_object_get(status, "targets"), e);
    rc = rc != ERR_OK ? rc : store_view_rules(view, on_rule, json_object_get(status, "rules"), e);
    json_t *workflows = json_object_get(status, "workflows");
    rc = rc != ERR_OK ? rc : store_view_workflows(view, on_workflow, workflows, e);
    if (rc == ERR_OK) {
        add_store(status, config, view);
    }
    store_view_close(view);
    return rc;
}

// What the hub says about its sources and targets joins what the store says about them.
static void merge_list(json_t *status, const json_t *reply, const char *name)
{
    json_t *list = json_object_get(status, name), *item;
    size_t i;
    json_array_foreach(json_object_get(reply, name), i, item)
    {
        const char *its = json_string_value(json_object_get(item, "name"));
        json_t *ours = its == NULL ? NULL : find_named(list, its);
        if (ours != NULL) {
            json_object_update_missing(ours, item);
        }
    }
}

static enum err ask_hub(json_t *status, const struct config *config, struct error *e)
{
    json_t *reply = NULL, *request = json_pack("{s:s}", "op", "status");
    enum err rc = control_ask(option_text(config->hub, "store"), request, &reply, e);
    json_decref(request);
    if (rc == ERR_OK) {
        static const char *const taken[] = {"version", "uptime_s", "state", "full"};
        json_object_set_new(status, "running", json_true());
        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
            json_object_set(status, taken[i], json_object_get(reply, taken[i]));
        }
        merge_list(status, reply, "sources");
        merge_list(status, reply, "targets");
    } else if (rc != ERR_NOT_FOUND) {
        json_object_set_new(status, "problem", json_string(e->text));
    }
    json_decref(reply);
    return ERR_OK;
}

enum err status_read(const struct config *config, json_t **out_status, struct error *e)
{
    json_t *status = configured(config);
    if (status == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    enum err rc = read_store(status, config, e);
    rc = rc == ERR_OK ? ask_hub(status, config, e) : rc;
    if (rc != ERR_OK) {
        json_decref(status);
        return rc;
    }
    *out_status = status;
    return ERR_OK;
}

static double book(const json_t *status, const char *name)
{
    return (double)json_integer_value(json_object_get(json_object_get(status, "books"), name));
}

void status_add_rates(json_t *now, const json_t *before)
{
    static const char *const names[] = {"received", "routed", "enqueued", "delivered"};
    double seconds = (double)(json_integer_value(json_object_get(now, "at_ms")) -
                              json_integer_value(json_object_get(before, "at_ms"))) /
                     1000;
    if (seconds <= 0) {
        return;
    }
    json_t *rates = json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        double rate = (book(now, names[i]) - book(before, names[i])) / seconds;
        json_object_set_new(rates, names[i], json_real(rate < 0 ? 0 : rate));
    }
    json_object_set_new(now, "rates", rates);
}

bool status_is_balanced(const json_t *status)
{
    return book(status, "received") == book(status, "routed") + book(status, "filtered") +
                                           book(status, "duplicate") + book(status, "rejected") &&
           book(status, "enqueued") == book(status, "delivered") + book(status, "waiting") +
                                           book(status, "dead") + book(status, "dropped");
}
