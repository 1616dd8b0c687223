#include "faults.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { WHOLE_32, WHOLE_64, PROBABILITY };

static const struct fault {
    const char *name;
    enum kind kind;
    double max;
    size_t offset;
} table[] = {
    {"delay", WHOLE_32, 60000, offsetof(struct faults, delay_ms)},
    {"split", WHOLE_32, 65536, offsetof(struct faults, split_bytes)},
    {"drop", PROBABILITY, 1, offsetof(struct faults, drop)},
    {"garble", PROBABILITY, 1, offsetof(struct faults, garble)},
    {"kill-after", WHOLE_64, 1e12, offsetof(struct faults, kill_after)},
};

static const struct fault *find(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static bool parse(const struct fault *fault, const char *text, double *out_value)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    bool is_number = errno == 0 && end != text && *end == '\0';
    if (!is_number || !(value >= 0 && value <= fault->max) ||
        (fault->kind != PROBABILITY && value != (double)(uint64_t)value)) {
        return false;
    }
    *out_value = value;
    return true;
}

static void store(struct faults *faults, const struct fault *fault, double value)
{
    char *at = (char *)faults + fault->offset;
    uint32_t whole_32 = fault->kind == WHOLE_32 ? (uint32_t)value : 0;
    uint64_t whole_64 = fault->kind == WHOLE_64 ? (uint64_t)value : 0;
    switch (fault->kind) {
    case WHOLE_32:
        memcpy(at, &whole_32, sizeof(whole_32));
        break;
    case WHOLE_64:
        memcpy(at, &whole_64, sizeof(whole_64));
        break;
    case PROBABILITY:
        memcpy(at, &value, sizeof(value));
        break;
    }
}

bool faults_is_name(const char *name)
{
    return find(name) != NULL;
}

bool faults_set(struct faults *up, struct faults *down, const char *name, const char *value,
                const char *direction, char error[FAULTS_ERROR_MAX])
{
    const struct fault *fault = find(name);
    double number = 0;
    bool is_both = direction == NULL || strcmp(direction, "both") == 0;
    bool is_up = is_both || strcmp(direction, "up") == 0;
    bool is_down = is_both || strcmp(direction, "down") == 0;
    if (fault == NULL) {
        snprintf(error, FAULTS_ERROR_MAX, "there is no fault '%s'", name);
        return false;
    }
    if (!parse(fault, value, &number)) {
        snprintf(error, FAULTS_ERROR_MAX, "%s takes %s from 0 to %.0f, not '%.40s'", name,
                 fault->kind == PROBABILITY ? "a probability" : "a whole number", fault->max,
                 value);
        return false;
    }
    if (!is_up && !is_down) {
        snprintf(error, FAULTS_ERROR_MAX, "a direction is up, down or both, not '%.40s'",
                 direction);
        return false;
    }
    if (is_up) {
        store(up, fault, number);
    }
    if (is_down) {
        store(down, fault, number);
    }
    return true;
}
