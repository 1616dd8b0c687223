// workflow_start.c - new instances: by which key, and what happens when one of that key is running.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "core/workflow_key.h"
#include "core/workflow_parts.h"

#define WHOLE_MAX 9007199254740992.0 // Whole reals up to here are told from their neighbours.

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for an instance");
}

// ---- keys ---------------------------------------------------------------------------------------

static const char *keep_number(const struct event_value *value, struct event_memory *memory)
{
    char text[REAL_TEXT_BYTES];
    bool is_whole =
        value->kind == VALUE_INTEGER || (value->real >= -WHOLE_MAX && value->real <= WHOLE_MAX &&
                                         value->real == (double)(int64_t)value->real);
    if (is_whole) {
        int64_t whole = value->kind == VALUE_INTEGER ? value->integer : (int64_t)value->real;
        snprintf(text, sizeof(text), "%" PRId64, whole);
    } else {
        real_to_text(value->real, text);
    }
    return event_memory_text(memory, bytes_from_text(text));
}

enum err workflow_key_text(const struct event_value *value, struct event_memory *memory,
                           const char **out_text, struct error *e)
{
    switch (value->kind) {
    case VALUE_NULL:
        return error_set(e, ERR_INVALID, "is NULL");
    case VALUE_BLOB:
        return error_set(e, ERR_INVALID, "is a blob of %zu bytes", value->bytes.len);
    case VALUE_TREE:
        return error_set(e, ERR_INVALID, "is an object or array");
    case VALUE_BOOLEAN:
        *out_text = value->integer != 0 ? "true" : "false";
        return ERR_OK;
    case VALUE_INTEGER:
    case VALUE_REAL:
        *out_text = keep_number(value, memory);
        break;
    case VALUE_TEXT:
    case VALUE_JSON:
        if (value->bytes.len > WORKFLOW_KEY_BYTES_MAX) {
            return error_set(e, ERR_INVALID, "has %zu bytes, %d are allowed", value->bytes.len,
                             WORKFLOW_KEY_BYTES_MAX);
        }
        if (!utf8_is_valid(value->bytes) ||
            (value->bytes.len > 0 && memchr(value->bytes.ptr, 0, value->bytes.len) != NULL)) {
            return error_set(e, ERR_INVALID, "is no text: it is not UTF-8, or has a zero byte");
        }
        *out_text = event_memory_text(memory, value->bytes);
        break;
    }
    return *out_text == NULL ? no_memory(e) : ERR_OK;
}

// ---- may it begin? ------------------------------------------------------------------------------

static enum err check_bounds(const struct workflows *workflows, const struct instance_spec *spec,
                             struct error *e)
{
    uint32_t max = workflows->spec->instances_max == 0 ? WORKFLOW_INSTANCES_DEFAULT
                                                       : workflows->spec->instances_max;
    size_t bytes = json_dumpb(spec->take_variables, NULL, 0, JSON_COMPACT);
    if (strlen(spec->key) > WORKFLOW_KEY_BYTES_MAX) {
        return error_set(e, ERR_INVALID, "the key has %zu bytes, %d are allowed", strlen(spec->key),
                         WORKFLOW_KEY_BYTES_MAX);
    }
    if (bytes > WORKFLOW_VARIABLES_BYTES_MAX) {
        return error_set(e, ERR_INVALID,
                         "the variables have %zu bytes as JSON, %d are allowed: take less of the "
                         "event",
                         bytes, WORKFLOW_VARIABLES_BYTES_MAX);
    }
    if (spec->hops > WORKFLOW_HOPS_MAX) {
        return error_set(e, ERR_INVALID,
                         "workflows have led to one another %u times at once, at most %d may: one "
                         "starts itself, or several each other, without a pause",
                         spec->hops, WORKFLOW_HOPS_MAX);
    }
    if (workflow_set_active(workflows->set) >= max) {
        return error_set(e, ERR_INVALID,
                         "%" PRIu64
                         " instances are running or queued, the hub's `instances` is %u: "
                         "raise it, or see what they wait for with: pipit workflow stats",
                         workflow_set_active(workflows->set), max);
    }
    return ERR_OK;
}

// Any of the key that is not over.
static enum err find_any(struct workflows *workflows, const struct instance_spec *spec,
                         int64_t *out_id, struct error *e)
{
    struct instance_wanted wanted = {spec->definition->workflow_id, spec->key, TURN_BEGUN, 0};
    enum err rc = workflow_instance_find(workflows->instances, &wanted, out_id, e);
    wanted.turn = TURN_QUEUED;
    return rc == ERR_OK && *out_id == 0
               ? workflow_instance_find(workflows->instances, &wanted, out_id, e)
               : rc;
}

static enum err cancel(struct workflows *workflows, int64_t id, struct error *e)
{
    struct workflow_instance *instance;
    struct error why = {.text = ""};
    enum err rc = workflow_instance_get_usable(workflows->instances, id, &instance, e);
    if (rc != ERR_OK || instance == NULL) {
        return rc; // One that rests stays: the new one waits until it is given up.
    }
    rc = workflow_engine_cancel(workflows, instance, CANCEL_UNDO,
                                "a new one of the same key has begun (running: restart)", &why);
    if (rc == ERR_INVALID || rc == ERR_NOT_FOUND) {
        return ERR_OK; // It is on its way out already.
    }
    return rc == ERR_OK ? ERR_OK : error_set(e, rc, "%s", why.text);
}

// The older ones of the key; each may begin the next when it is over, so the newest is theirs to
// begin at last.
static enum err cancel_older(struct workflows *workflows, const struct instance_spec *spec,
                             int64_t before_id, struct error *e)
{
    static const enum instance_turn turns[] = {TURN_QUEUED, TURN_BEGUN}; // So none of them begins.
    enum err rc = ERR_OK;
    for (int i = 0; i < 2; i++) {
        struct instance_wanted wanted = {spec->definition->workflow_id, spec->key, turns[i], 0};
        int64_t id = 0;
        do {
            wanted.after_id = id;
            rc = rc == ERR_OK ? workflow_instance_find(workflows->instances, &wanted, &id, e) : rc;
            if (rc == ERR_OK && id != 0 && id < before_id) {
                rc = cancel(workflows, id, e);
            }
        } while (rc == ERR_OK && id != 0 && id < before_id);
    }
    return rc;
}

// ---- it begins ----------------------------------------------------------------------------------

static enum err note_queued(struct workflows *workflows, struct workflow_instance *instance,
                            struct error *e)
{
    const struct workflow_entry entry = {.kind = ENTRY_QUEUED};
    return workflow_journal_add(workflows, instance, &entry, e);
}

static enum err add(struct workflows *workflows, const struct instance_spec *spec, bool is_queued,
                    int64_t *out_id, struct error *e)
{
    struct workflow_instance *instance;
    struct instance_spec own = *spec;
    own.state = is_queued ? INSTANCE_QUEUED : INSTANCE_RUNNING;
    own.now_ms = workflows->now_ms;
    enum err rc = workflow_instance_add(workflows->instances, &own, &instance, e);
    if (rc != ERR_OK) {
        return rc;
    }
    *out_id = instance->id;
    workflow_set_count(workflows->set, spec->definition->id, 1);
    return is_queued ? note_queued(workflows, instance, e)
                     : workflow_engine_begin(workflows, instance, e);
}

static enum err ignore(struct workflows *workflows, const struct instance_spec *spec,
                       struct error *e)
{
    json_decref(spec->take_variables);
    return workflow_tally_ignored(workflows, spec->definition, e);
}

enum err workflow_start(struct workflows *workflows, const struct instance_spec *spec,
                        int64_t *out_id, struct error *e)
{
    enum workflow_running running = spec->definition->running;
    int64_t other = 0;
    *out_id = 0;
    enum err rc = running == RUNNING_PARALLEL ? ERR_OK : find_any(workflows, spec, &other, e);
    if (rc == ERR_OK && other != 0 && running == RUNNING_IGNORE) {
        return ignore(workflows, spec, e);
    }
    rc = rc == ERR_OK ? check_bounds(workflows, spec, e) : rc;
    if (rc != ERR_OK) {
        json_decref(spec->take_variables);
        return rc;
    }
    rc = add(workflows, spec, other != 0, out_id, e);
    if (rc == ERR_OK && other != 0 && running == RUNNING_RESTART) {
        rc = cancel_older(workflows, spec, *out_id, e);
    }
    return rc;
}

// ---- the next of a key --------------------------------------------------------------------------

static enum err begin_queued(struct workflows *workflows, int64_t id, struct error *e)
{
    struct workflow_instance *instance;
    enum err rc = workflow_instance_get_usable(workflows->instances, id, &instance, e);
    if (rc != ERR_OK || instance == NULL) {
        return rc;
    }
    instance->state = INSTANCE_RUNNING;
    workflow_instance_touch(instance, workflows->now_ms);
    rc = workflow_instance_write(workflows->instances, instance, e); // See workflow_instance_find.
    return rc == ERR_OK ? workflow_engine_begin(workflows, instance, e) : rc;
}

enum err workflow_start_after(struct workflows *workflows, int64_t workflow_id, const char *key,
                              struct error *e)
{
    struct instance_wanted wanted = {workflow_id, key, TURN_QUEUED, 0};
    int64_t next, running = 0;
    enum err rc = workflow_instance_find(workflows->instances, &wanted, &next, e);
    if (rc == ERR_OK && next != 0) {
        wanted.turn = TURN_BEGUN;
        rc = workflow_instance_find(workflows->instances, &wanted, &running, e);
    }
    return rc == ERR_OK && next != 0 && running == 0 ? begin_queued(workflows, next, e) : rc;
}

enum err workflow_start_next(struct workflows *workflows, const struct workflow_instance *over,
                             struct error *e)
{
    const struct workflow_definition *definition = over->definition;
    workflow_set_count(workflows->set, definition->id, -1);
    // Whatever `running` says now: some may have been queued by another version.
    return workflow_start_after(workflows, definition->workflow_id, over->key, e);
}

// ---- by an event --------------------------------------------------------------------------------

// The variables that the definition's expressions make of the event.
static enum err make_variables(const struct workflow_definition *definition,
                               const struct event_value *values, struct instance_spec *spec,
                               struct error *e)
{
    uint32_t count = workflow_query_count(definition->start);
    struct error why = {.text = ""};
    json_t *variables = json_object();
    enum err rc = variables == NULL ? no_memory(e) : ERR_OK;
    for (uint32_t i = 1; rc == ERR_OK && i < count; i++) {
        const char *name = workflow_query_name(definition->start, i);
        json_t *json = NULL;
        rc = query_value_to_json(&values[i], &json, &why);
        if (rc != ERR_OK) {
            rc = error_set(e, rc, "variable %.100s: %s", name, why.text);
        } else if (json_object_set_new(variables, name, json) != 0) {
            rc = no_memory(e);
        }
    }
    if (rc != ERR_OK) {
        json_decref(variables);
        return rc;
    }
    spec->take_variables = variables;
    return ERR_OK;
}

static enum err evaluate(struct workflows *workflows, const struct workflow_definition *definition,
                         struct query_input *input, struct instance_spec *spec, bool *out_is_for_us,
                         struct error *e)
{
    uint32_t count = workflow_query_count(definition->start);
    struct event_value *values =
        event_memory_take(workflows->memory, (count + 1) * sizeof(values[0]));
    const struct key_source source = {
        .query = definition->start,
        .event = event_batch_at(input->batch, input->event_index),
        .memory = workflows->memory,
    };
    *out_is_for_us = false;
    enum err rc = values == NULL
                      ? no_memory(e)
                      : workflow_query_run(definition->start, input, values, out_is_for_us, e);
    if (rc == ERR_OK && *out_is_for_us) {
        rc = workflow_key_of_event(&source, &values[0], &spec->key, e);
        rc = rc == ERR_OK ? make_variables(definition, values, spec, e) : rc;
    }
    return rc;
}

enum err workflow_start_by(struct workflows *workflows, struct workflow_definition *definition,
                           struct event_batch *batch, uint32_t event_index, struct error *e)
{
    struct event *event = event_batch_at(batch, event_index);
    const struct playback *playback = event_message(event)->playback;
    const struct workflow_sink *sink = workflows->sink;
    struct instance_spec spec = {
        .definition = definition,
        .event = event_id(event),
        .hops = playback == NULL ? 0 : playback->hops,
    };
    struct query_input input;
    struct error why = {.text = ""};
    bool is_for_us;
    int64_t id;
    workflows_input(workflows, NULL, NULL, &input);
    input.batch = batch;
    input.event_index = event_index;
    enum err rc = evaluate(workflows, definition, &input, &spec, &is_for_us, &why);
    if (rc == ERR_OK && is_for_us) {
        rc = workflow_start(workflows, &spec, &id, &why);
    }
    if (rc == ERR_INVALID) {
        return sink->failure(sink->context, event_index, definition->name, why.text, e);
    }
    if (rc == ERR_OK && is_for_us) {
        sink->taken(sink->context, event_index);
    }
    return rc == ERR_OK ? ERR_OK : error_set(e, rc, "%s", why.text);
}
