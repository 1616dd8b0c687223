// workflow_engine.c - a token from step to step, until it waits.
#include "core/workflow_parts.h"

enum err workflow_await_value(struct workflows *workflows, const struct workflow_instance *instance,
                              const struct workflow_token *token, const char **out_value,
                              struct error *e)
{
    (void)workflows;
    (void)token;
    (void)e;
    *out_value = instance->key;
    return ERR_OK;
}

enum err workflow_engine_begin(struct workflows *workflows, struct workflow_instance *instance,
                               struct error *e)
{
    struct workflow_token *token = NULL;
    (void)workflows;
    return workflow_token_add(instance, 0, &token, e);
}

enum err workflow_engine_tell(struct workflows *workflows, struct workflow_instance *instance,
                              uint32_t token_id, const struct workflow_news_item *news,
                              struct error *e)
{
    (void)workflows;
    (void)instance;
    (void)token_id;
    (void)news;
    (void)e;
    return ERR_OK;
}

enum err workflow_engine_cancel(struct workflows *workflows, struct workflow_instance *instance,
                                enum workflow_cancel how, const char *reason, struct error *e)
{
    (void)workflows;
    (void)how;
    (void)reason;
    return error_set(e, ERR_INVALID, "instance %ld cannot be cancelled", (long)instance->id);
}

enum err workflow_engine_retry(struct workflows *workflows, struct workflow_instance *instance,
                               struct error *e)
{
    (void)workflows;
    return error_set(e, ERR_INVALID, "instance %ld is not parked", (long)instance->id);
}
