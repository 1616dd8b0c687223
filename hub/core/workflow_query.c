#include "core/workflow_query.h"

enum err workflow_query_create(struct workflow_query **out_query, struct rule_space *space,
                               const struct query_spec *spec, uint32_t *out_part, struct error *e)
{
    (void)out_query, (void)space, (void)spec;
    *out_part = 0;
    return error_set(e, ERR_CONFIG, "expressions of workflows cannot be read yet");
}

void workflow_query_destroy(struct workflow_query *query)
{
    (void)query;
}

uint32_t workflow_query_count(const struct workflow_query *query)
{
    (void)query;
    return 0;
}

const char *workflow_query_name(const struct workflow_query *query, uint32_t index)
{
    (void)query, (void)index;
    return NULL;
}

bool workflow_query_has(const struct workflow_query *query, const char *name)
{
    (void)query, (void)name;
    return false;
}

enum err workflow_query_run(struct workflow_query *query, const struct query_input *input,
                            struct event_value *out_values, bool *out_has_row, struct error *e)
{
    (void)query, (void)input, (void)out_values, (void)out_has_row;
    return error_set(e, ERR_INVALID, "expressions of workflows cannot be read yet");
}

enum err workflow_query_row(struct workflow_query *query, const struct query_input *input,
                            query_row_fn *each, void *context, struct error *e)
{
    (void)query, (void)input, (void)each, (void)context;
    return error_set(e, ERR_INVALID, "expressions of workflows cannot be read yet");
}

enum err query_value_to_json(const struct event_value *value, json_t **out_json, struct error *e)
{
    const char *problem = NULL;
    *out_json = value_to_json(value, &problem);
    if (*out_json != NULL) {
        return ERR_OK;
    }
    return problem == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for a value")
                           : error_set(e, ERR_INVALID, "%s", problem);
}

bool query_value_is_true(const struct event_value *value)
{
    (void)value;
    return false;
}
