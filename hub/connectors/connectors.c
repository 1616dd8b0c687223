#include <stdio.h>
#include <string.h>

#include "connectors/connector.h"
#include "connectors/types.h"

const struct connector_type *const connector_types[] = {
    &connector_file,
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
