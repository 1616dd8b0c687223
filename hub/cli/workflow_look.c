#include "cli/workflow_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "config/workflow_json.h"
#include "core/workflow_rows.h"

struct step_id {
    int64_t definition, step;
};

struct step_name {
    struct step_id id;
    UT_hash_handle hh;
    char name[];
};

struct workflow_look {
    struct store_view *view;
    struct step_name *names;
    bool is_exhausted;
};

// A step that something stands at has been counted: its name is there.
static bool on_step(void *context, const struct view_step *step)
{
    struct workflow_look *look = context;
    size_t size = strlen(step->name) + 1;
    struct step_name *name = calloc(1, sizeof(*name) + size);
    if (name == NULL) {
        look->is_exhausted = true;
        return false;
    }
    name->id = (struct step_id){step->definition, step->step};
    memcpy(name->name, step->name, size);
    HASH_ADD(hh, look->names, id, sizeof(name->id), name);
    return true;
}

enum err workflow_look_create(struct workflow_look **out_look, struct store_view *view,
                              struct error *e)
{
    struct workflow_look *look = calloc(1, sizeof(*look));
    if (look == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    look->view = view;
    enum err rc = store_view_steps(view, NULL, on_step, look, e);
    if (rc == ERR_OK && look->is_exhausted) {
        rc = error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    if (rc != ERR_OK) {
        workflow_look_destroy(look);
        return rc;
    }
    *out_look = look;
    return ERR_OK;
}

void workflow_look_destroy(struct workflow_look *look)
{
    if (look == NULL) {
        return;
    }
    struct step_name *name, *next;
    HASH_ITER(hh, look->names, name, next)
    {
        HASH_DEL(look->names, name);
        free(name);
    }
    free(look);
}

// "running"; "?" for a number that is none.
static const char *state_name(int state)
{
    return state >= 0 && state < INSTANCE_STATE_COUNT ? workflow_state_names[state] : "?";
}

static const char *step_name(const struct workflow_look *look, int64_t definition, uint32_t step)
{
    const struct step_id id = {definition, step};
    struct step_name *name;
    HASH_FIND(hh, look->names, &id, sizeof(id), name);
    return name == NULL ? "?" : name->name;
}

// NULL: out of memory, or these are no tokens.
static struct workflow_instance *read_tokens(const struct view_instance *row)
{
    struct workflow_instance *instance = workflow_instance_create();
    if (instance == NULL || row->tokens == NULL ||
        workflow_tokens_read(instance, bytes_from_text(row->tokens))) {
        return instance;
    }
    workflow_instance_destroy(instance);
    return NULL;
}

bool workflow_look_tokens(const struct view_instance *row, look_token_fn *each, void *context)
{
    struct workflow_instance *instance = read_tokens(row);
    if (instance == NULL) {
        return false;
    }
    instance->state = (enum workflow_state)row->state;
    for (uint32_t i = 0; i < instance->token_count; i++) {
        const struct workflow_token *token = &instance->tokens[i];
        if (!workflow_token_has_left(instance, token)) {
            each(context, row->definition, token->step, token->arrived_ms);
        }
    }
    workflow_instance_destroy(instance);
    return true;
}

static json_t *token_json(const struct workflow_look *look, int64_t definition,
                          const struct workflow_token *token)
{
    static const char *const phases[] = {"ready", "waiting", "offline", "backoff"};
    json_t *json = json_pack("{s:s, s:I, s:s, s:I, s:I, s:I}", "step",
                             step_name(look, definition, token->step), "execution",
                             (json_int_t)token->execution, "phase", phases[token->phase & 3],
                             "since", (json_int_t)token->arrived_ms, "attempt",
                             (json_int_t)token->attempt, "token", (json_int_t)token->id);
    if (json != NULL && token->scope != NULL) {
        json_object_set(json, "scope", token->scope);
    }
    if (json != NULL && token->total > 0) {
        json_object_set_new(json, "total", json_integer(token->total));
        json_object_set_new(json, "done", json_integer(token->done));
        json_object_set_new(json, "failed", json_integer(token->failed));
    }
    return json;
}

static json_t *tokens_json(const struct workflow_look *look, const struct view_instance *row)
{
    struct workflow_instance *instance = read_tokens(row);
    json_t *list = instance == NULL ? NULL : json_array();
    for (uint32_t i = 0; list != NULL && i < instance->token_count; i++) {
        json_array_append_new(list, token_json(look, row->definition, &instance->tokens[i]));
    }
    workflow_instance_destroy(instance);
    return list;
}

static void set_text(json_t *json, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_object_set_new(json, name, json_string(text));
    }
}

static void set_number(json_t *json, const char *name, int64_t number)
{
    if (number != 0) {
        json_object_set_new(json, name, json_integer(number));
    }
}

static void set_json(json_t *json, const char *name, const char *text)
{
    json_t *value = text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (value != NULL) {
        json_object_set_new(json, name, value);
    }
}

static void set_parked(json_t *json, const struct view_entry *entry)
{
    json_t *parked = entry->number == 0 ? NULL : json_object();
    if (parked != NULL) {
        set_text(parked, "step", entry->step);
        set_json(parked, "branch", entry->branch);
        set_number(parked, "execution", entry->execution);
        set_text(parked, "error", entry->error);
        set_text(parked, "reason", entry->reason);
        json_object_set_new(json, "parked", parked);
    }
}

json_t *workflow_look_instance(struct workflow_look *look, const struct view_instance *row)
{
    json_t *json =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:b, s:b}", "id", (json_int_t)row->id, "workflow",
                  row->workflow, "key", row->key, "state", state_name(row->state), "version",
                  row->version, "configured", row->is_configured, "current", row->is_current);
    json_t *steps = json == NULL ? NULL : tokens_json(look, row);
    if (json == NULL) {
        return NULL;
    }
    set_number(json, "started", row->started_ms);
    set_number(json, "changed", row->changed_ms);
    set_number(json, "ended", row->ended_ms);
    set_number(json, "due", row->due_ms);
    set_number(json, "parent", row->parent);
    set_text(json, "event", row->event);
    set_text(json, "error", row->error);
    set_text(json, "reason", row->reason);
    set_json(json, "result", row->result);
    set_parked(json, &row->parked);
    json_object_set_new(json, "steps", steps == NULL ? json_array() : steps);
    return json;
}

// ---- one of them in full ------------------------------------------------------------------------

struct full {
    struct workflow_look *look;
    json_t *json, *definition, *history;
    json_t *entered; // Times by execution, as text.
    int64_t definition_id;
};

static bool on_definition(void *context, const char *text)
{
    struct full *full = context;
    full->definition = json_loads(text, 0, NULL);
    return true;
}

static void add_undo(struct full *full, const char *text)
{
    json_t *undo = text == NULL ? NULL : json_loads(text, 0, NULL);
    json_t *names = json_array();
    for (size_t i = json_array_size(undo); i > 0; i--) {
        const json_t *entry = json_array_get(undo, i - 1);
        const json_t *step = json_object_get(entry, "step");
        const char *name =
            step_name(full->look, full->definition_id, (uint32_t)json_integer_value(step));
        json_array_append_new(names, json_pack("{s:s, s:O*, s:O*}", "step", name, "scope",
                                               json_object_get(entry, "scope"), "instance",
                                               json_object_get(entry, "child")));
    }
    if (json_array_size(names) > 0) {
        json_object_set(full->json, "undo", names);
    }
    json_decref(names);
    json_decref(undo);
}

static bool on_full(void *context, const struct view_instance *row)
{
    struct full *full = context;
    full->json = workflow_look_instance(full->look, row);
    full->definition_id = row->definition;
    if (full->json != NULL) {
        set_json(full->json, "start", row->start);
        set_json(full->json, "variables", row->variables);
        set_number(full->json, "until", row->until_ms);
        add_undo(full, row->undo);
    }
    return false;
}

static bool on_wait(void *context, const struct view_wait *wait)
{
    struct full *full = context;
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(full->json, "steps"), i, step)
    {
        if (json_integer_value(json_object_get(step, "token")) == wait->token) {
            set_number(step, "due", wait->due_ms);
            set_text(step, "for", wait->value);
        }
    }
    return true;
}

static void note_took(struct full *full, const struct view_entry *entry, json_t *json)
{
    char execution[24];
    snprintf(execution, sizeof(execution), "%" PRIu32, entry->execution);
    const json_t *since = json_object_get(full->entered, execution);
    if (entry->execution != 0 && since == NULL) {
        json_object_set_new(full->entered, execution, json_integer(entry->at_ms));
    } else if (since != NULL && strcmp(entry->what, "undone") != 0) {
        json_object_set_new(json, "took", json_integer(entry->at_ms - json_integer_value(since)));
    }
}

static bool on_entry(void *context, const struct view_entry *entry)
{
    struct full *full = context;
    json_t *json = json_pack("{s:I, s:s}", "at", (json_int_t)entry->at_ms, "what", entry->what);
    if (json == NULL) {
        return false;
    }
    set_text(json, "step", entry->step);
    set_json(json, "branch", entry->branch);
    set_number(json, "execution", entry->execution);
    set_number(json, "attempt", entry->attempt);
    note_took(full, entry, json);
    set_text(json, "error", entry->error);
    set_text(json, "reason", entry->reason);
    set_json(json, "data", entry->data);
    json_array_append_new(full->history, json);
    return true;
}

static void add_kinds(struct full *full)
{
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(full->json, "steps"), i, step)
    {
        const json_t *written =
            workflow_json_step(full->definition, json_string_value(json_object_get(step, "step")));
        const char *kind = json_string_value(json_object_get(written, "do"));
        set_text(step, "kind", kind);
    }
}

enum err workflow_look_full(struct workflow_look *look, int64_t id, json_t **out_json,
                            struct error *e)
{
    struct full full = {.look = look, .history = json_array(), .entered = json_object()};
    const struct view_instance_filter filter = {.id = id};
    enum err rc = store_view_freeze(look->view, e);
    rc = rc == ERR_OK ? store_view_instances(look->view, &filter, on_full, &full, e) : rc;
    if (rc == ERR_OK && full.json != NULL) {
        rc = store_view_waits(look->view, id, on_wait, &full, e);
        rc = rc == ERR_OK ? store_view_entries(look->view, id, on_entry, &full, e) : rc;
        rc = rc == ERR_OK
                 ? store_view_definition(look->view, full.definition_id, on_definition, &full, e)
                 : rc;
    }
    store_view_thaw(look->view);
    if (rc == ERR_OK && full.json != NULL) {
        add_kinds(&full);
        json_object_set(full.json, "history", full.history);
        json_object_set(full.json, "definition", full.definition);
    }
    json_decref(full.history);
    json_decref(full.entered);
    json_decref(full.definition);
    if (rc != ERR_OK) {
        json_decref(full.json);
        return rc;
    }
    *out_json = full.json;
    return ERR_OK;
}
