#include "core/workflow_instance.h"

#include <stdlib.h>
#include <string.h>

#include "core/workflow_rows.h"

const char *const workflow_state_names[INSTANCE_STATE_COUNT] = {
    "queued", "running", "undoing", "parked", "completed", "failed", "cancelled",
};

struct workflow_instances {
    struct store *store;
    struct workflow_rows *rows;
    workflow_definition_fn *find;
    void *context;
    struct workflow_instance *loaded; // By id.
    int64_t last_id;                  // -1: to be asked for.
    int64_t until_ms;                 // The earliest; INT64_MIN: to be asked for.
};

enum err workflow_instances_create(struct workflow_instances **out_instances, struct store *store,
                                   workflow_definition_fn *find, void *context, struct error *e)
{
    struct workflow_instances *instances = calloc(1, sizeof(*instances));
    if (instances == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for workflows");
    }
    instances->store = store;
    instances->find = find;
    instances->context = context;
    instances->last_id = -1;
    instances->until_ms = INT64_MIN;
    enum err rc = workflow_rows_create(&instances->rows, store, e);
    if (rc != ERR_OK) {
        free(instances);
        return rc;
    }
    *out_instances = instances;
    return ERR_OK;
}

void workflow_instances_destroy(struct workflow_instances *instances)
{
    if (instances != NULL) {
        workflow_instances_forget(instances);
        workflow_rows_destroy(instances->rows);
        free(instances);
    }
}

struct workflow_instance *workflow_instance_create(void)
{
    return calloc(1, sizeof(struct workflow_instance));
}

void workflow_instance_destroy(struct workflow_instance *instance)
{
    if (instance == NULL) {
        return;
    }
    for (uint32_t i = 0; i < instance->token_count; i++) {
        workflow_token_clear(&instance->tokens[i]);
    }
    free(instance->tokens);
    json_decref(instance->start);
    json_decref(instance->variables);
    json_decref(instance->undo);
    json_decref(instance->result);
    free((char *)instance->key);
    free((char *)instance->event);
    free(instance->error);
    free(instance->reason);
    free(instance);
}

static void keep(struct workflow_instances *instances, struct workflow_instance *take_instance)
{
    HASH_ADD(hh, instances->loaded, id, sizeof(take_instance->id), take_instance);
}

enum err workflow_instance_get(struct workflow_instances *instances, int64_t id,
                               struct workflow_instance **out_instance, struct error *e)
{
    HASH_FIND(hh, instances->loaded, &id, sizeof(id), *out_instance);
    if (*out_instance != NULL) {
        return ERR_OK;
    }
    enum err rc = workflow_rows_read(instances->rows, id, instances->find, instances->context,
                                     out_instance, e);
    if (rc == ERR_OK && *out_instance != NULL) {
        keep(instances, *out_instance);
    }
    return rc;
}

enum err workflow_instance_get_usable(struct workflow_instances *instances, int64_t id,
                                      struct workflow_instance **out_instance, struct error *e)
{
    struct error why = {.text = ""};
    *out_instance = NULL;
    enum err rc = workflow_instance_get(instances, id, out_instance, &why);
    if (rc == ERR_INVALID) {
        *out_instance = NULL;
        return ERR_OK;
    }
    return rc == ERR_OK ? ERR_OK : error_set(e, rc, "%s", why.text);
}

static enum err next_id(struct workflow_instances *instances, int64_t *out_id, struct error *e)
{
    enum err rc = instances->last_id >= 0
                      ? ERR_OK
                      : workflow_rows_last_id(instances->rows, &instances->last_id, e);
    *out_id = rc == ERR_OK ? ++instances->last_id : 0;
    return rc;
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for an instance");
}

static enum err fill(struct workflow_instance *instance, const struct instance_spec *spec,
                     struct error *e)
{
    instance->definition = spec->definition;
    instance->state = spec->state;
    instance->started_ms = instance->changed_ms = spec->now_ms;
    instance->hops = spec->hops;
    instance->parent = spec->parent;
    instance->parent_execution = spec->parent_execution;
    instance->next_token = instance->next_execution = instance->next_entry = 1;
    instance->is_new = instance->is_dirty = true;
    instance->start = spec->take_variables;
    instance->variables = json_deep_copy(spec->take_variables);
    instance->undo = json_array();
    instance->key = strdup(spec->key);
    instance->event = strdup(spec->event);
    bool is_whole = instance->variables != NULL && instance->undo != NULL &&
                    instance->key != NULL && instance->event != NULL;
    return is_whole ? ERR_OK : no_memory(e);
}

enum err workflow_instance_add(struct workflow_instances *instances,
                               const struct instance_spec *spec,
                               struct workflow_instance **out_instance, struct error *e)
{
    struct workflow_instance *instance = workflow_instance_create();
    if (instance == NULL) {
        json_decref(spec->take_variables);
        return no_memory(e);
    }
    enum err rc = fill(instance, spec, e);
    if (rc == ERR_OK) {
        rc = next_id(instances, &instance->id, e);
    }
    if (rc == ERR_OK) {
        rc = workflow_rows_insert(instances->rows, instance, e);
    }
    if (rc != ERR_OK) {
        workflow_instance_destroy(instance);
        return rc;
    }
    keep(instances, instance);
    *out_instance = instance;
    return ERR_OK;
}

void workflow_instance_touch(struct workflow_instance *instance, int64_t now_ms)
{
    instance->is_dirty = true;
    instance->changed_ms = now_ms;
}

// Rows are there from the first on; what has become of one in this batch is in memory.
enum err workflow_instance_find(struct workflow_instances *instances,
                                const struct instance_wanted *wanted, int64_t *out_id,
                                struct error *e)
{
    enum workflow_state found = INSTANCE_STATE_COUNT;
    int64_t id = wanted->after_id;
    enum err rc;
    bool is_it = false;
    do {
        rc = workflow_rows_next(instances->rows, wanted->workflow, wanted->key, wanted->turn, &id,
                                &found, e);
        struct workflow_instance *loaded = NULL;
        HASH_FIND(hh, instances->loaded, &id, sizeof(id), loaded);
        found = loaded == NULL ? found : loaded->state;
        is_it = wanted->turn == TURN_QUEUED
                    ? found == INSTANCE_QUEUED
                    : found != INSTANCE_QUEUED && !workflow_state_is_over(found);
    } while (rc == ERR_OK && id != 0 && !is_it);
    *out_id = rc == ERR_OK ? id : 0;
    return rc;
}

enum err workflow_instances_count(struct workflow_instances *instances, int64_t definition_id,
                                  uint64_t *out_count, struct error *e)
{
    return workflow_rows_count(instances->rows, definition_id, out_count, e);
}

enum err workflow_instances_prune(struct workflow_instances *instances, int64_t now_ms,
                                  uint32_t rows_max, struct error *e)
{
    uint32_t count;
    if (workflow_instances_due_ms(instances) > now_ms) {
        return ERR_OK;
    }
    enum err rc = workflow_rows_prune(instances->rows, now_ms, rows_max, &count, e);
    instances->until_ms = INT64_MIN;
    return rc;
}

int64_t workflow_instances_due_ms(struct workflow_instances *instances)
{
    if (instances->until_ms == INT64_MIN) {
        instances->until_ms = workflow_rows_until_ms(instances->rows);
    }
    return instances->until_ms;
}

enum err workflow_instance_abandon(struct workflow_instances *instances, int64_t id, int64_t now_ms,
                                   bool *out_was_there, struct error *e)
{
    return workflow_rows_abandon(instances->rows, id, now_ms, out_was_there, e);
}

enum err workflow_instance_write(struct workflow_instances *instances,
                                 struct workflow_instance *instance, struct error *e)
{
    enum err rc = workflow_rows_update(instances->rows, instance, e);
    instance->is_dirty = instance->is_new = rc != ERR_OK;
    instances->until_ms = workflow_state_is_over(instance->state) ? INT64_MIN : instances->until_ms;
    return rc;
}

enum err workflow_instances_write(struct workflow_instances *instances, struct error *e)
{
    struct workflow_instance *instance, *next;
    enum err rc = ERR_OK;
    HASH_ITER(hh, instances->loaded, instance, next)
    {
        if (rc == ERR_OK && instance->is_dirty) {
            rc = workflow_instance_write(instances, instance, e);
        }
    }
    return rc;
}

void workflow_instances_forget(struct workflow_instances *instances)
{
    struct workflow_instance *instance, *next;
    HASH_ITER(hh, instances->loaded, instance, next)
    {
        HASH_DEL(instances->loaded, instance);
        workflow_instance_destroy(instance);
    }
    instances->last_id = -1; // A rollback may have taken ids back.
}
