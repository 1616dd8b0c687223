#include "core/workflow_set.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/sql.h"
#include "core/topic_trie.h"
#include "core/workflow_set_rows.h"
#include "core/workflows.h"

struct set_entry {
    int64_t id;
    struct workflow_definition *definition; // NULL: it does not compile any more.
    uint64_t active, active_committed;
    bool is_current;
};

struct workflow_set {
    struct set_entry *entries; // Configured ones first, in their order.
    uint32_t count, capacity;
    struct set_entry **by_id;
    struct topic_trie *trie; // To channels.
    struct workflow_channel *channels;
    uint32_t channel_count, channel_capacity;
    uint32_t *matches; // Of the topic at hand; then as channels.
    const struct workflow_channel **matched;
    uint32_t match_count;
    uint64_t active, active_committed;
    bool is_changed, has_commands, has_current;
};

void workflow_set_destroy(struct workflow_set *set)
{
    if (set == NULL) {
        return;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        workflow_definition_destroy(set->entries[i].definition);
    }
    topic_trie_destroy(set->trie);
    free(set->entries);
    free(set->by_id);
    free(set->channels);
    free(set->matches);
    free(set->matched);
    free(set);
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for workflows");
}

// ---- entries ------------------------------------------------------------------------------------

static enum err add_entry(struct workflow_set *set, const struct set_entry *entry, struct error *e)
{
    if (set->count == set->capacity) {
        uint32_t capacity = set->capacity == 0 ? 16 : 2 * set->capacity;
        struct set_entry *entries = reallocarray(set->entries, capacity, sizeof(entries[0]));
        if (entries == NULL) {
            return no_memory(e);
        }
        set->entries = entries;
        set->capacity = capacity;
    }
    set->entries[set->count++] = *entry;
    return ERR_OK;
}

static int compare_ids(const void *a, const void *b)
{
    const struct set_entry *const *left = a, *const *right = b;
    return ((*left)->id > (*right)->id) - ((*left)->id < (*right)->id);
}

static enum err sort_entries(struct workflow_set *set, struct error *e)
{
    set->by_id = calloc((size_t)set->count + 1, sizeof(set->by_id[0]));
    if (set->by_id == NULL) {
        return no_memory(e);
    }
    for (uint32_t i = 0; i < set->count; i++) {
        set->by_id[i] = &set->entries[i];
        set->active += set->entries[i].active;
        set->entries[i].active_committed = set->entries[i].active;
    }
    set->active_committed = set->active;
    qsort(set->by_id, set->count, sizeof(set->by_id[0]), compare_ids);
    return ERR_OK;
}

static struct set_entry *find_entry(const struct workflow_set *set, int64_t id)
{
    const struct set_entry wanted = {.id = id}, *key = &wanted;
    struct set_entry **found =
        set->count == 0 ? NULL
                        : bsearch(&key, set->by_id, set->count, sizeof(set->by_id[0]), compare_ids);
    return found == NULL ? NULL : *found;
}

static enum err compile(struct rule_space *space, const struct set_row *row,
                        struct workflow_definition **out_definition, struct error *e)
{
    struct workflow_fault fault = {""};
    enum err rc = workflow_definition_create(out_definition, space, row->text, &fault, e);
    if (rc != ERR_OK) {
        error_wrap(e, "workflow \"%s\"%s%s", row->name, fault.path[0] == '\0' ? "" : " at ",
                   fault.path);
        return rc;
    }
    (*out_definition)->id = row->id;
    (*out_definition)->workflow_id = row->workflow;
    (*out_definition)->instances = (uint32_t)row->active;
    return ERR_OK;
}

static enum err add_row(struct workflow_set *set, struct rule_space *space,
                        const struct set_row *row, struct error *e)
{
    struct set_entry entry = {.id = row->id, .active = row->active, .is_current = row->is_current};
    enum err rc = compile(space, row, &entry.definition, e);
    bool will_rest = rc == ERR_CONFIG && !row->is_current; // Of the store: so do its instances.
    if (rc != ERR_OK && !will_rest) {
        return rc;
    }
    entry.definition = will_rest ? NULL : entry.definition;
    rc = add_entry(set, &entry, e);
    if (rc != ERR_OK) {
        workflow_definition_destroy(entry.definition);
    }
    return rc;
}

// ---- channels -----------------------------------------------------------------------------------

static enum err add_channel(struct workflow_set *set, struct workflow_definition *definition,
                            workflow_place step, struct error *e)
{
    if (set->channel_count == set->channel_capacity) {
        uint32_t capacity = set->channel_capacity == 0 ? 16 : 2 * set->channel_capacity;
        struct workflow_channel *channels =
            reallocarray(set->channels, capacity, sizeof(channels[0]));
        if (channels == NULL) {
            return no_memory(e);
        }
        set->channels = channels;
        set->channel_capacity = capacity;
    }
    const char *filter = step == PLACE_NONE ? definition->filter : definition->steps[step].filter;
    set->channels[set->channel_count] = (struct workflow_channel){definition, step};
    return topic_trie_add(set->trie, bytes_from_text(filter), set->channel_count++, e);
}

static enum err add_awaits(struct workflow_set *set, struct workflow_definition *definition,
                           struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < definition->step_count; i++) {
        set->has_commands |= definition->steps[i].kind == STEP_COMMAND;
        if (definition->steps[i].kind == STEP_AWAIT) {
            rc = add_channel(set, definition, i, e);
        }
    }
    return rc;
}

static enum err make_channels(struct workflow_set *set, struct error *e)
{
    enum err rc = topic_trie_create(&set->trie, e);
    for (uint32_t i = 0; rc == ERR_OK && i < set->count; i++) {
        set->has_current |= set->entries[i].is_current;
        if (set->entries[i].definition != NULL) {
            rc = add_awaits(set, set->entries[i].definition, e);
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && i < set->count; i++) {
        bool is_started = set->entries[i].is_current && set->entries[i].definition->filter != NULL;
        if (is_started) { // Others are run by workflows alone.
            rc = add_channel(set, set->entries[i].definition, PLACE_NONE, e);
        }
    }
    if (rc != ERR_OK) {
        return rc;
    }
    set->matches = calloc((size_t)set->channel_count + 1, sizeof(set->matches[0]));
    set->matched = calloc((size_t)set->channel_count + 1, sizeof(set->matched[0]));
    return set->matches == NULL || set->matched == NULL ? no_memory(e) : ERR_OK;
}

static void note_match(void *context, uint32_t id)
{
    struct workflow_set *set = context;
    set->matches[set->match_count++] = id;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

uint32_t workflow_set_match(struct workflow_set *set, struct bytes topic,
                            const struct workflow_channel *const **out_channels)
{
    set->match_count = 0;
    if (set->channel_count > 0) {
        topic_trie_match(set->trie, topic, note_match, set);
        qsort(set->matches, set->match_count, sizeof(set->matches[0]), compare_numbers);
    }
    for (uint32_t i = 0; i < set->match_count; i++) {
        set->matched[i] = &set->channels[set->matches[i]];
    }
    *out_channels = set->matched;
    return set->match_count;
}

// ---- the whole ----------------------------------------------------------------------------------

static void tell_change(const struct set_change *change, struct notes *notes)
{
    if (change->active == 0) {
        return;
    }
    if (change->is_gone) {
        notes_add(notes,
                  "workflow %s is not configured any more: its %" PRIu64
                  " instance%s on with version %s, new ones do not begin",
                  change->name, change->active, change->active == 1 ? " runs" : "s run",
                  change->old_version);
    } else {
        notes_add(notes,
                  "workflow %s: %" PRIu64 " instance%s began with (%s the last), new ones get %s",
                  change->name, change->active,
                  change->active == 1 ? " stays on the version it" : "s stay on the version they",
                  change->old_version, change->new_version);
    }
}

static void tell_broken(const struct set_row *row, const struct error *why, struct notes *notes)
{
    notes_add(notes,
              "workflow %s: %" PRIu64 " instance%s of version %s rest%s, for it cannot be used any "
              "more (%.200s): bring back what it names, or give them up with: pipit workflow "
              "cancel --abandon",
              row->name, row->active, row->active == 1 ? "" : "s", row->version,
              row->active == 1 ? "s" : "", why->text);
}

static enum err add_rows(struct workflow_set *set, const struct workflow_set_parts *parts,
                         const struct set_row *rows, struct notes *notes, struct error *e)
{
    enum err rc = ERR_OK;
    for (const struct set_row *row = rows; rc == ERR_OK && row != NULL; row = row->next) {
        struct error why = {.text = ""};
        rc = add_row(set, parts->space, row, &why);
        if (rc != ERR_OK && e != NULL) {
            *e = why;
        } else if (rc == ERR_OK && set->entries[set->count - 1].definition == NULL) {
            tell_broken(row, &why, notes);
        }
    }
    return rc;
}

enum err workflow_set_create(struct workflow_set **out_set, const struct workflow_set_parts *parts,
                             struct notes *notes, struct error *e)
{
    struct set_rows rows = {.store = parts->store};
    struct workflow_set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return no_memory(e);
    }
    event_memory_init(&rows.memory);
    enum err rc = set_rows_update(&rows, parts->spec, parts->now_ms, e);
    rc = rc == ERR_OK ? add_rows(set, parts, rows.first, notes, e) : rc;
    rc = rc == ERR_OK ? sort_entries(set, e) : rc;
    rc = rc == ERR_OK ? make_channels(set, e) : rc;
    for (const struct set_change *change = rows.changes; rc == ERR_OK && change != NULL;
         change = change->next) {
        tell_change(change, notes);
    }
    event_memory_deinit(&rows.memory);
    if (rc != ERR_OK) {
        workflow_set_destroy(set);
        return rc;
    }
    *out_set = set;
    return ERR_OK;
}

struct workflow_definition *workflow_set_find(const struct workflow_set *set, int64_t id)
{
    const struct set_entry *entry = find_entry(set, id);
    return entry == NULL ? NULL : entry->definition;
}

struct workflow_definition *workflow_set_current(const struct workflow_set *set, const char *name)
{
    for (uint32_t i = 0; i < set->count && set->entries[i].is_current; i++) {
        if (strcmp(set->entries[i].definition->name, name) == 0) {
            return set->entries[i].definition;
        }
    }
    return NULL;
}

bool workflow_set_has_current(const struct workflow_set *set)
{
    return set->has_current;
}

bool workflow_set_has_commands(const struct workflow_set *set)
{
    return set->has_commands;
}

uint64_t workflow_set_active(const struct workflow_set *set)
{
    return set->active;
}

static void put_count(struct set_entry *entry, uint64_t active)
{
    entry->active = active;
    if (entry->definition != NULL) {
        entry->definition->instances = (uint32_t)active;
    }
}

void workflow_set_count(struct workflow_set *set, int64_t definition_id, int change)
{
    struct set_entry *entry = find_entry(set, definition_id);
    if (entry == NULL || (change < 0 && entry->active == 0)) {
        return;
    }
    put_count(entry, change > 0 ? entry->active + 1 : entry->active - 1);
    set->active = change > 0 ? set->active + 1 : set->active - 1;
    set->is_changed = true;
}

void workflow_set_commit(struct workflow_set *set)
{
    for (uint32_t i = 0; set->is_changed && i < set->count; i++) {
        set->entries[i].active_committed = set->entries[i].active;
    }
    set->active_committed = set->active;
    set->is_changed = false;
}

void workflow_set_rollback(struct workflow_set *set)
{
    for (uint32_t i = 0; set->is_changed && i < set->count; i++) {
        put_count(&set->entries[i], set->entries[i].active_committed);
    }
    set->active = set->active_committed;
    set->is_changed = false;
}
