#include "cli/replay_events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"
#include "core/properties.h"
#include "core/stored_message.h"
#include "core/topic.h"

#define PAGE_ROWS  500
#define GROUP_MS   50
#define PAGE_BYTES (4 * 1024 * 1024) // Of a page, or one event.

// Events that are in memory.
struct page {
    struct message messages[PAGE_ROWS];
    struct playback playbacks[PAGE_ROWS];
    uint32_t count;
    uint64_t bytes, read, last_id;
    bool is_short;
    const struct replay_stretch *stretch;
    const char *rule, *id_prefix;
    struct event_memory memory;
};

// NULL: out of memory.
static const char *make_id(struct page *page, const char *event)
{
    size_t size = strlen(page->id_prefix) + strlen(event) + 1;
    char *id = event_memory_take(&page->memory, size);
    if (id != NULL) {
        snprintf(id, size, "%s%s", event[0] == '\0' ? "" : page->id_prefix, event);
    }
    return id;
}

static bool take_event(struct page *page, const struct view_event *event)
{
    const struct message from = {
        .topic = event->topic,
        .payload = event->payload,
        .content_type = bytes_from_text(event->content_type),
        .qos = (uint8_t)event->qos,
        .is_retained = event->is_retained,
        .received_ms = event->received_ms,
    };
    struct message *message = &page->messages[page->count];
    struct playback *playback = &page->playbacks[page->count];
    const char *id = make_id(page, event->event);
    *playback = (struct playback){.rule = page->rule, .is_known = true};
    if (id != NULL && id[0] != '\0') {
        playback->event_id = id;
    }
    bool is_taken =
        id != NULL && stored_message_copy(&from, event->properties, &page->memory, message);
    message->playback = playback;
    page->count += is_taken;
    return is_taken;
}

static bool on_event(void *context, const struct view_event *event)
{
    struct page *page = context;
    const char *topic = page->stretch->topic;
    page->bytes += event->payload.len + event->topic.len;
    if (page->read > 0 && page->bytes > PAGE_BYTES) {
        return false;
    }
    page->read++;
    page->last_id = event->id;
    if (topic == NULL || topic_filter_matches(bytes_from_text(topic), event->topic)) {
        page->is_short = !take_event(page, event);
    }
    return !page->is_short;
}

static enum err read_page(struct page *page, struct store_view *view, uint64_t first,
                          struct error *e)
{
    struct view_history_filter filter = page->stretch->filter;
    filter.first = first;
    filter.rows_max = PAGE_ROWS;
    page->count = 0;
    page->bytes = page->read = 0;
    event_memory_reset(&page->memory);
    enum err rc = store_view_history(view, &filter, on_event, page, e);
    return rc == ERR_OK && page->is_short
               ? error_set(e, ERR_NO_MEMORY, "out of memory for the history")
               : rc;
}

static enum err hand_out(struct trial *trial, const struct replay_run *run,
                         struct replay_tally *tally, struct error *e)
{
    const struct trial_delivery *deliveries;
    uint32_t count = 0;
    enum err rc = trial_take(trial, &deliveries, &count, e);
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        const char *target = run->config->targets[deliveries[i].target].name;
        rc = run->each(run->context, &deliveries[i].delivery, target, e);
        tally->deliveries += rc == ERR_OK;
    }
    return rc == ERR_OK ? trial_rejections(trial, run->rejected, run->context, e) : rc;
}

// Events that came closely one after the other go together, as they did in the hub, unless
// something is due in between.
static uint32_t group_end(struct trial *trial, const struct page *page, uint32_t at)
{
    int64_t first_ms = page->messages[at].received_ms;
    int64_t timer_ms = core_next_timer_ms(trial_core(trial));
    int64_t end_ms =
        timer_ms > first_ms && timer_ms < first_ms + GROUP_MS ? timer_ms : first_ms + GROUP_MS;
    uint32_t end = at + 1;
    while (end < page->count && page->messages[end].received_ms >= first_ms &&
           page->messages[end].received_ms < end_ms) {
        end++;
    }
    return end;
}

static enum err play_page(struct trial *trial, const struct page *page, struct error *e)
{
    enum err rc = ERR_OK;
    uint32_t at = 0;
    while (rc == ERR_OK && at < page->count) {
        uint32_t end = group_end(trial, page, at);
        int64_t now_ms = page->messages[end - 1].received_ms;
        rc = trial_step(trial, page->messages + at, end - at, now_ms, e);
        at = end;
    }
    return rc;
}

static enum err play_all(struct trial *trial, struct store_view *view, struct page *page,
                         const struct replay_run *run, struct replay_tally *tally, struct error *e)
{
    uint64_t first = page->stretch->filter.first;
    enum err rc = ERR_OK;
    do {
        rc = read_page(page, view, first, e);
        rc = rc == ERR_OK ? play_page(trial, page, e) : rc;
        rc = rc == ERR_OK ? hand_out(trial, run, tally, e) : rc;
        first = page->last_id + 1;
        tally->events += page->count;
        progress_show("%llu events, %llu deliveries", (unsigned long long)tally->events,
                      (unsigned long long)tally->deliveries);
    } while (rc == ERR_OK && page->read > 0);
    rc = rc == ERR_OK ? trial_close_windows(trial, e) : rc;
    return rc == ERR_OK ? hand_out(trial, run, tally, e) : rc;
}

enum err replay_events(struct store_view *view, const struct replay_stretch *stretch,
                       const struct replay_run *run, struct replay_tally *out_tally,
                       struct error *e)
{
    struct view_span span = {0};
    struct trial *trial = NULL;
    struct page *page = calloc(1, sizeof(*page));
    if (page == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the history");
    }
    page->stretch = stretch;
    page->rule = run->rule;
    page->id_prefix = run->id_prefix;
    event_memory_init(&page->memory);
    enum err rc = store_view_span(view, &stretch->filter, &span, e);
    const struct trial_options options = {.config = run->config,
                                          .rule = run->rule,
                                          .id_prefix = run->id_prefix,
                                          .now_ms = span.first_ms,
                                          .births = view};
    rc = rc == ERR_OK ? trial_create(&trial, &options, e) : rc;
    rc = rc == ERR_OK ? play_all(trial, view, page, run, out_tally, e) : rc;
    progress_end();
    trial_destroy(trial);
    event_memory_deinit(&page->memory);
    free(page);
    return rc;
}
