#include "admin/stats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define TOPIC_MAX 512
#define TEXT_MAX  600

struct entry {
    UT_hash_handle hh;
    char *text; // NULL: to be published whatever it is.
    char name[];
};

struct stats {
    stats_publish_fn *publish;
    void *context;
    struct entry *entries;
    char hub_id[TOPIC_MAX];
};

struct stats *stats_create(const char *hub_id, stats_publish_fn *publish, void *context)
{
    struct stats *stats = calloc(1, sizeof(*stats));
    if (stats != NULL) {
        stats->publish = publish;
        stats->context = context;
        snprintf(stats->hub_id, sizeof(stats->hub_id), "%s", hub_id);
    }
    return stats;
}

void stats_destroy(struct stats *stats)
{
    if (stats == NULL) {
        return;
    }
    struct entry *entry, *next;
    HASH_ITER(hh, stats->entries, entry, next)
    {
        HASH_DEL(stats->entries, entry);
        free(entry->text);
        free(entry);
    }
    free(stats);
}

void stats_forget(struct stats *stats)
{
    struct entry *entry, *next;
    HASH_ITER(hh, stats->entries, entry, next)
    {
        free(entry->text);
        entry->text = NULL;
    }
}

static struct entry *entry_of(struct stats *stats, const char *name)
{
    struct entry *entry = NULL;
    size_t len = strlen(name);
    HASH_FIND(hh, stats->entries, name, len, entry);
    if (entry == NULL && HASH_COUNT(stats->entries) < STATS_TOPICS_MAX) {
        entry = calloc(1, sizeof(*entry) + len + 1);
        if (entry != NULL) {
            memcpy(entry->name, name, len + 1);
            HASH_ADD_KEYPTR(hh, stats->entries, entry->name, len, entry);
        }
    }
    return entry;
}

static void put_text(struct stats *stats, const char *name, const char *text)
{
    struct entry *entry = entry_of(stats, name);
    if (entry == NULL || (entry->text != NULL && strcmp(entry->text, text) == 0)) {
        return;
    }
    char topic[2 * TOPIC_MAX];
    snprintf(topic, sizeof(topic), "pipit/v1/$hub/%s/%s", stats->hub_id, name);
    bool is_out = stats->publish(stats->context, topic, bytes_from_text(text));
    free(entry->text);
    entry->text = is_out ? strdup(text) : NULL;
}

static void put_count(struct stats *stats, const char *name, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    put_text(stats, name, text);
}

__attribute__((format(printf, 5, 6))) static void put_of(struct stats *stats, const char *kind,
                                                         const char *name, const char *what,
                                                         const char *format, ...)
{
    char topic[TOPIC_MAX], text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(topic, sizeof(topic), "%s/%s/%s", kind, name, what);
    put_text(stats, topic, text);
}

static void put_book(void *context, const char *name, uint64_t value)
{
    char topic[TOPIC_MAX];
    snprintf(topic, sizeof(topic), "books/%s", name);
    put_count(context, topic, value);
}

struct counters {
    struct stats *stats;
    int64_t now_ms;
};

// "rule/overheat/matched" goes to rules/overheat/matched. The oldest one's time becomes its age.
static void put_counter(void *context, const char *name, uint64_t value)
{
    struct counters *counters = context;
    const char *slash = strchr(name, '/'), *last = strrchr(name, '/');
    char topic[TOPIC_MAX];
    int kind_len = slash == NULL ? 0 : (int)(slash - name);
    bool is_many = strncmp(name, "rule/", 5) == 0 || strncmp(name, "target/", 7) == 0 ||
                   strncmp(name, "route/", 6) == 0 || strncmp(name, "workflow/", 9) == 0;
    if (slash == NULL || strcmp(last, "/in_flight") == 0) {
        return; // The workers know that better.
    }
    if (strcmp(last, "/oldest_created_ms") == 0) {
        int64_t age_ms = value == 0 ? 0 : counters->now_ms - (int64_t)value;
        snprintf(topic, sizeof(topic), "targets/%.*s/oldest_ms", (int)(last - slash - 1),
                 slash + 1);
        put_count(counters->stats, topic, age_ms < 0 ? 0 : (uint64_t)age_ms);
        return;
    }
    snprintf(topic, sizeof(topic), "%.*s%s%s", kind_len, name, is_many ? "s" : "", slash);
    put_count(counters->stats, topic, value);
}

static void put_source(struct stats *stats, const struct status_source *source)
{
    const char *name = source->name;
    put_of(stats, "sources", name, "up", "%d", source->is_up);
    put_of(stats, "sources", name, "away", "%d", source->is_away);
    put_of(stats, "sources", name, "messages", "%" PRIu64, source->messages);
    put_of(stats, "sources", name, "reconnects", "%" PRIu64, source->reconnects);
    put_of(stats, "sources", name, "broker_dropped", "%" PRIu64, source->broker_dropped);
    put_of(stats, "sources", name, "error", "%s", source->error);
    put_of(stats, "sources", name, "advice", "%s", source->advice);
}

static void put_target(struct stats *stats, const struct status_target *target)
{
    put_of(stats, "targets", target->name, "up", "%d", target->is_up);
    put_of(stats, "targets", target->name, "in_flight", "%" PRIu32, target->in_flight);
    put_of(stats, "targets", target->name, "error", "%s", target->error);
}

void stats_publish(struct stats *stats, const struct status_view *view)
{
    struct counters counters = {.stats = stats, .now_ms = view->now_ms};
    char text[32];
    put_text(stats, "status", "online");
    put_text(stats, "version", view->version);
    put_text(stats, "state", view->state);
    put_text(stats, "full", view->full == NULL ? "" : view->full);
    put_count(stats, "uptime_s", (uint64_t)view->uptime_s);
    status_books(&view->books, put_book, stats);
    snprintf(text, sizeof(text), "%.1f", view->received_per_s);
    put_text(stats, "rate/received_per_s", text);
    snprintf(text, sizeof(text), "%.1f", view->delivered_per_s);
    put_text(stats, "rate/delivered_per_s", text);
    if (view->core != NULL) {
        core_counters(view->core, put_counter, &counters);
    }
    for (uint32_t i = 0; i < view->source_count; i++) {
        put_source(stats, &view->sources[i]);
    }
    for (uint32_t i = 0; i < view->target_count; i++) {
        put_target(stats, &view->targets[i]);
    }
}

void stats_status(struct stats *stats, const char *text)
{
    put_text(stats, "status", text);
}
