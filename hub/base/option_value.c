#include "base/option_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHOICES_MAX 16 // Of one option, as far as one of them is looked for.

struct unit {
    const char *name;
    int64_t factor;
};

// Ascending, so that printing can look for the largest that divides.
static const struct unit size_units[] = {
    {"", 1}, {"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", INT64_C(1) << 40}, {NULL, 0},
};
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

static const struct unit *units_of(enum option_type type)
{
    return type == OPTION_SIZE ? size_units : type == OPTION_DURATION ? duration_units : NULL;
}

static bool is_limited(const struct option_spec *row)
{
    return row->min != 0 || row->max != 0;
}

// 65536 -> "64 KB", 90000 -> "90 s".
static void number_print(const struct option_spec *row, int64_t value, char out_text[32])
{
    const struct unit *units = units_of(row->type), *unit = units;
    if (units == NULL || value == 0) {
        snprintf(out_text, 32, "%" PRId64, value);
        return;
    }
    for (const struct unit *u = units; u->name != NULL; u++) {
        unit = value % u->factor == 0 ? u : unit;
    }
    snprintf(out_text, 32, "%" PRId64 "%s%s", value / unit->factor, unit->name[0] ? " " : "",
             unit->name);
}

static void range_print(const struct option_spec *row, char *out_text, size_t size)
{
    char low[32], high[32];
    number_print(row, row->min, low);
    number_print(row, row->max, high);
    if (!is_limited(row)) {
        out_text[0] = '\0';
    } else if (row->max == INT64_MAX) {
        snprintf(out_text, size, " of at least %s", low);
    } else {
        snprintf(out_text, size, " from %s to %s", low, high);
    }
}

static void choices_print(const char *choices, char *out_text, size_t size)
{
    size_t at = (size_t)snprintf(out_text, size, "one of ");
    for (const char *c = choices; *c != '\0' && at + 3 < size; c++) {
        if (*c == '|') {
            out_text[at++] = ',';
            out_text[at++] = ' ';
        } else {
            out_text[at++] = *c;
        }
    }
    out_text[at] = '\0';
}

void option_allowed(const struct option_spec *row, char *out_text, size_t size_bytes)
{
    char range[80];
    range_print(row, range, sizeof(range));
    switch (row->type) {
    case OPTION_BOOL:
        snprintf(out_text, size_bytes, "true or false");
        return;
    case OPTION_INT:
        snprintf(out_text, size_bytes, "a whole number%s", range);
        return;
    case OPTION_SIZE:
        snprintf(out_text, size_bytes, "a size%s (bytes, KB, MB, GB or TB, such as 64 KB)", range);
        return;
    case OPTION_DURATION:
        snprintf(out_text, size_bytes, "a duration%s (ms, s, min, h or d, such as 30 s)", range);
        return;
    case OPTION_PATH:
        snprintf(out_text, size_bytes, "a path");
        return;
    case OPTION_ENUM:
        choices_print(row->choices, out_text, size_bytes);
        return;
    case OPTION_TEXT:
    case OPTION_SECRET:
        snprintf(out_text, size_bytes, "a text");
        return;
    }
}

// A whole decimal number; *out_rest is what follows it, blanks skipped.
static bool number_read(const char *text, int64_t *out_value, const char **out_rest)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (*digits < '0' || *digits > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    *out_value = value;
    *out_rest = end + strspn(end, " ");
    return true;
}

static bool number_parse(const struct option_spec *row, const char *text, int64_t *out_value)
{
    const struct unit *units = units_of(row->type);
    int64_t value = 0;
    const char *rest = NULL;
    if (!number_read(text, &value, &rest)) {
        return false;
    }
    if (*rest == '\0' && (units == NULL || value == 0)) {
        *out_value = value;
        return true;
    }
    for (const struct unit *unit = units; unit != NULL && unit->name != NULL; unit++) {
        if (strcmp(unit->name, rest) == 0) {
            return !__builtin_mul_overflow(value, unit->factor, out_value);
        }
    }
    return false;
}

static bool in_range(const struct option_spec *row, int64_t value)
{
    if (is_limited(row)) {
        return value >= row->min && value <= row->max;
    }
    return row->type == OPTION_INT || value >= 0;
}

static bool choice_parse(const char *choices, const char *text, int64_t *out_value)
{
    size_t len = strlen(text);
    int64_t index = 0;
    for (const char *choice = choices;; index++) {
        size_t choice_len = strcspn(choice, "|");
        if (choice_len == len && memcmp(choice, text, len) == 0) {
            *out_value = index;
            return true;
        }
        if (choice[choice_len] == '\0') {
            return false;
        }
        choice += choice_len + 1;
    }
}

static bool value_parse(const struct option_spec *row, const char *text, int64_t *out_value)
{
    switch (row->type) {
    case OPTION_BOOL:
        *out_value = strcmp(text, "true") == 0;
        return *out_value || strcmp(text, "false") == 0;
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return number_parse(row, text, out_value) && in_range(row, *out_value);
    case OPTION_ENUM:
        return choice_parse(row->choices, text, out_value);
    case OPTION_PATH:
        *out_value = 0;
        return text[0] != '\0';
    case OPTION_TEXT:
    case OPTION_SECRET:
        *out_value = 0;
        return true;
    }
    return false;
}

// "; did you mean 'GET'?", or nothing.
static void choice_hint(const struct option_spec *row, const char *text, char *out_text,
                        size_t size)
{
    char words[200];
    const char *names[CHOICES_MAX + 1] = {NULL};
    size_t count = 0;
    snprintf(words, sizeof(words), "%s", row->type == OPTION_ENUM ? row->choices : "");
    char *rest = NULL;
    for (char *word = strtok_r(words, "|", &rest); word != NULL && count < CHOICES_MAX;
         word = strtok_r(NULL, "|", &rest)) {
        names[count++] = word;
    }
    const char *near = nearest_name(text, names);
    out_text[0] = '\0';
    if (near != NULL) {
        snprintf(out_text, size, "; did you mean '%s'?", near);
    }
}

enum err option_value_parse(const struct option_spec *row, const char *text, int64_t *out_value,
                            struct error *e)
{
    int64_t value = 0;
    if (strlen(text) > OPTION_TEXT_MAX) {
        return error_set(e, ERR_CONFIG, "%s: longer than %d bytes", row->name, OPTION_TEXT_MAX);
    }
    if (!value_parse(row, text, &value)) {
        char allowed[200], hint[200];
        option_allowed(row, allowed, sizeof(allowed));
        choice_hint(row, text, hint, sizeof(hint));
        return error_set(e, ERR_CONFIG, "%s: must be %s, not '%.60s'%s", row->name, allowed, text,
                         hint);
    }
    *out_value = value;
    return ERR_OK;
}
