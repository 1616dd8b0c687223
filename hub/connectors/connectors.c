#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/connector.h"
#include "connectors/types.h"

const struct connector_type *const connector_types[] = {
    &connector_file,
    &connector_http,
    &connector_mqtt,
    NULL,
};

const struct connector_type *connector_find(const char *name)
{
    for (size_t i = 0; connector_types[i] != NULL; i++) {
        if (strcmp(connector_types[i]->name, name) == 0) {
            return connector_types[i];
        }
    }
    return NULL;
}

void answer_set(struct answer *answer, enum verdict verdict, const char *reason)
{
    answer->verdict = verdict;
    snprintf(answer->reason, sizeof(answer->reason), "%.*s", CONNECTOR_REASON_MAX - 1,
             reason == NULL ? "" : reason);
}

struct reply *reply_create(const struct reply *from)
{
    size_t type_bytes = from->content_type == NULL ? 1 : strlen(from->content_type) + 1;
    struct reply *reply = malloc(sizeof(*reply) + from->body.len + type_bytes);
    if (reply == NULL) {
        return NULL;
    }
    *reply = *from;
    char *type = (char *)(reply + 1);
    memcpy(type, from->content_type == NULL ? "" : from->content_type, type_bytes);
    reply->content_type = type;
    if (from->body.len > 0) {
        memcpy(type + type_bytes, from->body.ptr, from->body.len);
    }
    reply->body = bytes_of(type + type_bytes, from->body.len);
    return reply;
}
