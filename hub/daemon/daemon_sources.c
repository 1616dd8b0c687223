#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon_parts.h"
#include "store/store_filters.h"

static int64_t priority_of(const struct config_source *spec)
{
    return option_int(spec->options, "priority");
}

// Highest priority first, then as written.
static void sort_slots(struct source_slot *slots, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct source_slot slot = slots[i];
        uint32_t at = i;
        for (; at > 0 && priority_of(slots[at - 1].spec) < priority_of(slot.spec); at--) {
            slots[at] = slots[at - 1];
        }
        slots[at] = slot;
    }
}

static void list_free(char **list)
{
    for (char **item = list; item != NULL && *item != NULL; item++) {
        free(*item);
    }
    free(list);
}

static char **filters_of(const struct config_source *spec)
{
    size_t count = 0;
    while (spec->topics[count] != NULL) {
        count++;
    }
    char **filters = calloc(count + 1, sizeof(filters[0]));
    for (size_t i = 0; filters != NULL && i < count; i++) {
        filters[i] = source_filter(spec->options, spec->topics[i]);
        if (filters[i] == NULL) {
            list_free(filters);
            return NULL;
        }
    }
    return filters;
}

// What cannot be noted now is unsubscribed at another start: it does no harm.
static void forget_old_filters(struct daemon *daemon, struct source_slot *slot)
{
    struct error e = {0};
    char **filters = daemon->store == NULL ? NULL : filters_of(slot->spec);
    char **old = NULL;
    if (filters == NULL) {
        return;
    }
    if (store_filters_swap(daemon->store, slot->spec->name, (const char *const *)filters, &old,
                           &e) == ERR_OK) {
        source_forget(slot->source, old);
    } else {
        log_line(LOG_WARN, "intake", "INTAKE-FILTERS", "source=%s err=\"%s\"", slot->spec->name,
                 e.text);
    }
    list_free(filters);
}

static enum err slot_open(struct daemon *daemon, struct source_slot *slot, struct error *e)
{
    const char *hub_id = option_text(slot->config->hub, "id");
    enum err rc = source_create(&slot->source, hub_id, slot->spec->name, slot->spec->options,
                                slot->spec->topics, e);
    if (rc != ERR_OK) {
        slot->source = NULL;
        daemon->ensure_at_ms = daemon->now_ms + ENSURE_MS;
        return error_wrap(e, "source %s", slot->spec->name);
    }
    forget_old_filters(daemon, slot);
    source_check_broker(slot->source, option_bool(slot->config->hub, "check_broker"));
    if (daemon->state == DAEMON_FULL || daemon->state == DAEMON_SEALED) {
        source_leave(slot->source, daemon->reason);
    }
    return ERR_OK;
}

static struct source_slot *slots_make(const struct config *config, struct error *e)
{
    struct source_slot *slots = calloc(config->source_count + 1, sizeof(slots[0]));
    if (slots == NULL) {
        error_set(e, ERR_NO_MEMORY, "out of memory for %u sources", config->source_count);
        return NULL;
    }
    for (uint32_t i = 0; i < config->source_count; i++) {
        slots[i].spec = &config->sources[i];
        slots[i].config = config;
        slots[i].pollfd.fd = -1;
    }
    sort_slots(slots, config->source_count);
    return slots;
}

enum err sources_create(struct daemon *daemon, struct error *e)
{
    daemon->sources = slots_make(daemon->config, e);
    if (daemon->sources == NULL) {
        return ERR_NO_MEMORY;
    }
    daemon->source_count = daemon->config->source_count;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < daemon->source_count; i++) {
        rc = slot_open(daemon, &daemon->sources[i], e);
    }
    return rc;
}

void sources_destroy(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        source_destroy(daemon->sources[i].source);
    }
    free(daemon->sources);
    daemon->sources = NULL;
    daemon->source_count = 0;
}

void sources_leave(struct daemon *daemon, const char *reason)
{
    read_forget(daemon);
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        if (daemon->sources[i].source != NULL) {
            source_leave(daemon->sources[i].source, reason);
        }
    }
}

void sources_return(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        if (daemon->sources[i].source != NULL) {
            source_return(daemon->sources[i].source);
        }
    }
}

void sources_ensure(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        struct error e = {0};
        if (daemon->sources[i].source == NULL &&
            slot_open(daemon, &daemon->sources[i], &e) != ERR_OK) {
            log_line(LOG_ERROR, "intake", "INTAKE-FAILED", "retry_in_ms=%d err=\"%s\"", ENSURE_MS,
                     e.text);
        }
    }
}

static bool topics_equal(const char *const *a, const char *const *b)
{
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

// The slot of the same name; an equal one goes on as it is.
static struct source_slot *slot_named(struct daemon *daemon, const char *name)
{
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        if (strcmp(daemon->sources[i].spec->name, name) == 0) {
            return &daemon->sources[i];
        }
    }
    return NULL;
}

static bool is_same(const struct source_slot *a, const struct source_slot *b)
{
    return options_equal(a->spec->options, b->spec->options) &&
           topics_equal(a->spec->topics, b->spec->topics);
}

struct source_slot *sources_plan(struct daemon *daemon, const struct config *config,
                                 struct reload_changes *changes, struct error *e)
{
    struct source_slot *slots = slots_make(config, e);
    for (uint32_t i = 0; slots != NULL && i < config->source_count; i++) {
        const struct source_slot *old = slot_named(daemon, slots[i].spec->name);
        bool is_kept = old != NULL && old->source != NULL && is_same(old, &slots[i]);
        changes->added += old == NULL;
        changes->kept += is_kept;
        changes->changed += old != NULL && !is_kept;
    }
    changes->removed = daemon->source_count - changes->kept - changes->changed;
    return slots;
}

void sources_adopt(struct daemon *daemon, const struct config *config,
                   struct source_slot *take_slots)
{
    for (uint32_t i = 0; i < config->source_count; i++) {
        struct source_slot *old = slot_named(daemon, take_slots[i].spec->name);
        if (old != NULL && old->source != NULL && is_same(old, &take_slots[i])) {
            take_slots[i] = *old; // It borrows from the configuration that it was made of.
            old->source = NULL;
        }
    }
    sources_destroy(daemon); // Those that did not move over; same client ids come back.
    daemon->sources = take_slots;
    daemon->source_count = config->source_count;
    sort_slots(take_slots, config->source_count);
    sources_ensure(daemon);
}

struct source_slot *sources_for_stats(struct daemon *daemon)
{
    const char *name = option_text(daemon->config->hub, "stats_source");
    if (name == NULL && daemon->config->source_count > 0) {
        name = daemon->config->sources[0].name;
    }
    struct source_slot *slot = name == NULL ? NULL : slot_named(daemon, name);
    return slot == NULL || slot->source == NULL ? NULL : slot;
}
