#include "admin/status.h"

#define BOOKS(X)                                                                                   \
    X(received)                                                                                    \
    X(routed)                                                                                      \
    X(filtered)                                                                                    \
    X(duplicate)                                                                                   \
    X(rejected)                                                                                    \
    X(enqueued)                                                                                    \
    X(delivered)                                                                                   \
    X(waiting)                                                                                     \
    X(dead)                                                                                        \
    X(dropped)                                                                                     \
    X(missing)                                                                                     \
    X(rule_failures)                                                                               \
    X(quarantined)                                                                                 \
    X(dead_dropped)                                                                                \
    X(derived)                                                                                     \
    X(late)                                                                                        \
    X(replayed)                                                                                    \
    X(answered)

void status_books(const struct books *books, status_book_fn *each, void *context)
{
#define BOOK(name) each(context, #name, books->name);
    BOOKS(BOOK)
#undef BOOK
}

static void book_add(void *context, const char *name, uint64_t value)
{
    json_object_set_new(context, name, json_integer((json_int_t)value));
}

static json_t *books_json(const struct books *books)
{
    json_t *json = json_object();
    status_books(books, book_add, json);
    return json;
}

static json_t *source_json(const struct status_source *source)
{
    return json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:s, s:s}", "name", source->name, "up",
                     source->is_up, "away", source->is_away, "since_ms",
                     (json_int_t)source->since_ms, "messages", (json_int_t)source->messages,
                     "reconnects", (json_int_t)source->reconnects, "broker_dropped",
                     (json_int_t)source->broker_dropped, "error", source->error, "advice",
                     source->advice);
}

static json_t *target_json(const struct status_target *target)
{
    return json_pack("{s:s, s:b, s:I, s:I, s:s}", "name", target->name, "up", target->is_up,
                     "in_flight", (json_int_t)target->in_flight, "down_since_ms",
                     (json_int_t)target->down_since_ms, "error", target->error);
}

json_t *status_json(const struct status_view *view)
{
    json_t *sources = json_array(), *targets = json_array();
    for (uint32_t i = 0; i < view->source_count; i++) {
        json_array_append_new(sources, source_json(&view->sources[i]));
    }
    for (uint32_t i = 0; i < view->target_count; i++) {
        json_array_append_new(targets, target_json(&view->targets[i]));
    }
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:o, s:{s:f, s:f}, s:{s:s, s:I, s:I}, s:o, s:o}", "hub", view->hub_id,
        "version", view->version, "state", view->state, "uptime_s", (json_int_t)view->uptime_s,
        "books", books_json(&view->books), "rates", "received_per_s", view->received_per_s,
        "delivered_per_s", view->delivered_per_s, "store", "path", view->store_path, "used_bytes",
        (json_int_t)view->used_bytes, "limit_bytes", (json_int_t)view->limit_bytes, "sources",
        sources, "targets", targets);
    if (view->full != NULL) {
        json_object_set_new(json, "full", json_string(view->full));
    }
    return json;
}
