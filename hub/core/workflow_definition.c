#include "core/workflow_definition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *const step_kind_names[STEP_KIND_COUNT + 1] = {
    [STEP_EMIT] = "emit",
    [STEP_CALL] = "call",
    [STEP_COMMAND] = "command",
    [STEP_AWAIT] = "await",
    [STEP_SLEEP] = "sleep",
    [STEP_UNTIL] = "until",
    [STEP_IF] = "if",
    [STEP_SWITCH] = "switch",
    [STEP_PARALLEL] = "parallel",
    [STEP_FOR_EACH] = "for_each",
    [STEP_SET] = "set",
    [STEP_RUN] = "run",
    [STEP_END] = "end",
    [STEP_FAIL] = "fail",
    [STEP_GOTO] = "goto",
};

const char *const workflow_error_names[WORKFLOW_ERROR_COUNT + 1] = {
#define ERROR_NAME(id, name) name,
    WORKFLOW_ERRORS(ERROR_NAME)
#undef ERROR_NAME
};

// FNV-1a, its weak upper bits mixed as splitmix64 does: content that has changed is told apart;
// nobody has a reason to forge it.
void workflow_version(const char *text, char out_version[WORKFLOW_VERSION_BYTES])
{
    uint64_t hash = 14695981039346656037U;
    for (const char *c = text; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 1099511628211U;
    }
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    snprintf(out_version, WORKFLOW_VERSION_BYTES, "%016" PRIx64, hash ^ (hash >> 31));
}

workflow_place workflow_step_find(const struct workflow_definition *definition, const char *name)
{
    for (uint32_t i = 0; i < definition->step_count; i++) {
        if (strcmp(definition->steps[i].name, name) == 0) {
            return i;
        }
    }
    return PLACE_NONE;
}

uint32_t workflow_variable_find(const struct workflow_definition *definition, const char *name)
{
    for (uint32_t i = 0; i < definition->variable_count; i++) {
        if (strcasecmp(definition->variables[i], name) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}
