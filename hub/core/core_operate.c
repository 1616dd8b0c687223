// core_operate.c - what operators wish of the core: dead letters, quarantine entries, replays.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/core_parts.h"
#include "core/topic.h"

#define PLAYED_MAX       1000              // Quarantine entries that are played again at a time,
#define PLAYED_BYTES_MAX (4 * 1024 * 1024) // and so many bytes of them, or one.

static struct quarantine_range range_of(const struct operation *operation)
{
    return (struct quarantine_range){
        .first = operation->first < INT64_MAX ? (int64_t)operation->first : INT64_MAX,
        .last = operation->last < INT64_MAX ? (int64_t)operation->last : INT64_MAX,
    };
}

static enum err check_edit(const struct core *core, const struct edit *edit, bool is_url,
                           struct error *e)
{
    const char *problem = edit->topic.ptr == NULL ? NULL
                          : is_url                ? address_problem(edit->topic)
                                                  : topic_problem(edit->topic);
    if (problem != NULL) {
        return error_set(e, ERR_INVALID, "the new %s %s", is_url ? "address" : "topic", problem);
    }
    if (edit->payload.len > core->spec->payload_bytes_max) {
        return error_set(e, ERR_INVALID, "the new payload has %zu bytes, payload_max is %u",
                         edit->payload.len, core->spec->payload_bytes_max);
    }
    return ERR_OK;
}

static enum err edit(struct core *core, const struct operation *operation, struct error *e)
{
    int64_t id = range_of(operation).first;
    bool is_url = false;
    enum err rc = operation->kind == OPERATION_DEAD_EDIT
                      ? outbox_dead_is_url(core->outbox, id, &is_url, e)
                      : ERR_OK;
    rc = rc == ERR_OK ? check_edit(core, operation->edit, is_url, e) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    rc = operation->kind == OPERATION_DEAD_EDIT
             ? outbox_edit_dead(core->outbox, id, operation->edit, e)
             : quarantine_edit(core->quarantine, id, operation->edit, core->now_ms, &core->ledger,
                               e);
    core->outcome.operated += rc == ERR_OK;
    return rc;
}

// Whether the rule, of which `name` may be a branch, is configured.
static bool has_rule(const struct core_spec *spec, const char *name)
{
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        if (strcmp(spec->rules[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

// The workflow that the entry failed in; NULL: a rule, which may have a branch called so.
static const char *workflow_of(const struct core_spec *spec, const struct quarantined *entry)
{
    const char *rule = entry->playback.rule;
    size_t prefix = sizeof(WORKFLOW_RULE) - 1;
    bool is_one =
        rule != NULL && strncmp(rule, WORKFLOW_RULE, prefix) == 0 && !has_rule(spec, rule);
    return is_one ? rule + prefix : NULL;
}

static bool has_workflow(const struct core_spec *spec, const char *name)
{
    for (uint32_t i = 0; i < spec->workflow_count; i++) {
        if (strcmp(spec->workflows[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

// A window that a statement failed on: its id ends in the times between which it was.
static bool is_window(const struct quarantined *entry)
{
    const char *id = entry->playback.event_id;
    const char *times = id == NULL ? NULL : strrchr(id, '/');
    return times != NULL && strncmp(id, "window/", 7) == 0 && strchr(times, '-') != NULL;
}

// Why the entry cannot be played again; in core->outcome.skip.
static bool must_skip(struct core *core, const struct quarantined *entry)
{
    char *why = core->outcome.skip;
    size_t size = sizeof(core->outcome.skip);
    if (entry->cut_bytes > 0) {
        snprintf(why, size,
                 "entry %" PRId64 " was too large and is cut short (%zu of %" PRIu64
                 " bytes are here): edit it with a whole payload, or drop it",
                 entry->id, entry->message.payload.len,
                 entry->message.payload.len + entry->cut_bytes);
        return true;
    }
    if (is_window(entry)) {
        snprintf(why, size,
                 "entry %" PRId64 " is a window of rule %.100s, whose events are gone: replay them "
                 "from the history, if it has them, and drop the entry",
                 entry->id, entry->playback.rule == NULL ? "" : entry->playback.rule);
        return true;
    }
    const char *workflow = workflow_of(core->spec, entry);
    if (workflow != NULL && !has_workflow(core->spec, workflow)) {
        snprintf(why, size,
                 "entry %" PRId64 " failed in workflow %.100s, which is not in the running "
                 "configuration: add it again, or drop the entry",
                 entry->id, workflow);
        return true;
    }
    if (workflow == NULL && entry->playback.rule != NULL &&
        !has_rule(core->spec, entry->playback.rule)) {
        snprintf(why, size,
                 "entry %" PRId64 " failed in rule %.100s, which is not in the running "
                 "configuration: add it again, or drop the entry",
                 entry->id, entry->playback.rule);
        return true;
    }
    return false;
}

// A branch's event goes through its rule again.
static void to_main_rule(const struct core_spec *spec, struct quarantined *entry)
{
    char *slash = entry->playback.rule == NULL || workflow_of(spec, entry) != NULL
                      ? NULL
                      : strchr(entry->playback.rule, '/');
    if (slash != NULL) {
        *slash = '\0'; // In our own copy.
    }
}

static enum err play_entry(struct core *core, const struct quarantined *entry, struct error *e)
{
    struct message *message = &core->played[core->played_count++];
    struct playback *playback = event_memory_take(&core->memory, sizeof(*playback));
    if (playback == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a quarantine entry");
    }
    *playback = entry->playback;
    *message = entry->message;
    message->playback = playback;
    const struct quarantine_range range = {entry->id, entry->id};
    return quarantine_drop(core->quarantine, &range, &core->ledger, &core->outcome.operated, e);
}

// Out of the quarantine and in again as inputs of this very batch, in the order of their ids.
static enum err replay_quarantine(struct core *core, const struct operation *operation,
                                  struct error *e)
{
    struct quarantine_range range = range_of(operation);
    size_t bytes = 0;
    bool has_one = range.first <= range.last;
    enum err rc = ERR_OK;
    core->played = event_memory_take(&core->memory, PLAYED_MAX * sizeof(core->played[0]));
    if (core->played == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a replay");
    }
    core->outcome.operated_upto = UINT64_MAX;
    while (rc == ERR_OK && has_one) {
        struct quarantined entry;
        rc = quarantine_read(core->quarantine, &range, &core->memory, &entry, &has_one, e);
        if (rc != ERR_OK || !has_one) {
            break;
        }
        bytes += entry.message.payload.len;
        if (core->played_count == PLAYED_MAX ||
            (core->played_count > 0 && bytes > PLAYED_BYTES_MAX)) {
            core->outcome.operated_upto = (uint64_t)entry.id - 1;
            break;
        }
        to_main_rule(core->spec, &entry);
        if (must_skip(core, &entry)) {
            core->outcome.skipped++;
        } else {
            rc = play_entry(core, &entry, e);
        }
        range.first = entry.id + 1;
    }
    return rc;
}

static enum err put_chunk(struct core *core, const struct operation *operation, struct error *e)
{
    uint64_t added = 0;
    core->outcome.replay = operation->chunk->replay;
    enum err rc = replays_put(core->replays, core->outbox, operation->chunk, core->now_ms,
                              &core->outcome.chunks, &added, e);
    rc = rc == ERR_OK ? outbox_write(core->outbox, &core->ledger.books, e) : rc;
    core->ledger.books.replayed += added;
    return rc;
}

enum err core_operate(struct core *core, const struct operation *operation, struct error *e)
{
    const struct quarantine_range range = range_of(operation);
    switch (operation->kind) {
    case OPERATION_DEAD_REPLAY:
    case OPERATION_DEAD_DROP:
        return outbox_operate(core->outbox, operation, &core->ledger.books, &core->outcome.operated,
                              e);
    case OPERATION_QUARANTINE_DROP:
        return quarantine_drop(core->quarantine, &range, &core->ledger, &core->outcome.operated, e);
    case OPERATION_QUARANTINE_REPLAY:
        return replay_quarantine(core, operation, e);
    case OPERATION_DEAD_EDIT:
    case OPERATION_QUARANTINE_EDIT:
        return edit(core, operation, e);
    case OPERATION_REPLAY_BEGIN:
        return replays_begin(core->replays, operation->chunk, core->now_ms, &core->outcome.replay,
                             &core->outcome.chunks, e);
    case OPERATION_REPLAY_CHUNK:
        return put_chunk(core, operation, e);
    case OPERATION_WORKFLOW_CANCEL:
    case OPERATION_WORKFLOW_RETRY:
    case OPERATION_WORKFLOW_REPLAY:
        return workflows_operate(core->workflows, operation, &core->outcome, e);
    }
    return ERR_OK;
}
