#include "core/workflow_definition.h"

enum err workflow_definition_create(struct workflow_definition **out_definition,
                                    struct rule_space *space, const char *text,
                                    struct workflow_fault *out_fault, struct error *e)
{
    (void)out_definition, (void)space, (void)text;
    out_fault->path[0] = '\0';
    return error_set(e, ERR_CONFIG, "workflows cannot be read yet");
}

void workflow_definition_destroy(struct workflow_definition *definition)
{
    (void)definition;
}
