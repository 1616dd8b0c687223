#include "cli/workflow_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/event_value.h"

const char *print_text(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    return text == NULL ? "" : text;
}

long long print_number(const json_t *json, const char *name)
{
    return (long long)json_integer_value(json_object_get(json, name));
}

size_t print_flags(const json_t *json)
{
    return JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION((size_t)json_precision(json));
}

// Jansson escapes what is below 0x20; DEL and C1 are in strings only, too.
static void put_escaped(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        uint8_t byte = (uint8_t)text[0], next = (uint8_t)text[1];
        bool is_c1 = byte == 0xC2 && next >= 0x80 && next <= 0x9F;
        if (byte == 0x7F || is_c1) {
            fprintf(file, "\\u%04x", is_c1 ? next : byte);
            text += is_c1;
        } else {
            fputc(byte, file);
        }
    }
    fputc('\n', file);
}

static void put_json(FILE *file, const json_t *json, size_t flags)
{
    char *text = json_dumps(json, flags);
    if (text != NULL) {
        put_escaped(file, text);
    }
    free(text);
}

void print_json_line(FILE *file, const json_t *json)
{
    put_json(file, json, print_flags(json));
}

void print_json_indented(FILE *file, const json_t *json)
{
    put_json(file, json, JSON_INDENT(2));
}

enum colour print_state_colour(const char *state)
{
    static const struct {
        const char *state;
        enum colour colour;
    } colours[] = {{"queued", COLOUR_DIM},      {"running", COLOUR_NONE},
                   {"undoing", COLOUR_YELLOW},  {"parked", COLOUR_RED},
                   {"completed", COLOUR_GREEN}, {"failed", COLOUR_RED},
                   {"cancelled", COLOUR_YELLOW}};
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (strcmp(colours[i].state, state) == 0) {
            return colours[i].colour;
        }
    }
    return COLOUR_NONE;
}

// Each step once, in the order of the branches, with how many stand there.
static json_t *count_steps(const json_t *instance)
{
    json_t *counts = json_object(), *step;
    size_t i;
    json_array_foreach(json_object_get(instance, "steps"), i, step)
    {
        const char *name = print_text(step, "step");
        json_object_set_new(counts, name, json_integer(print_number(counts, name) + 1));
    }
    return counts;
}

const char *print_steps(const json_t *instance, char out_text[PRINT_TEXT_MAX])
{
    json_t *counts = count_steps(instance), *count;
    const char *name;
    size_t len = 0;
    out_text[0] = '\0';
    json_object_foreach(counts, name, count)
    {
        char times[24] = "";
        if (json_integer_value(count) > 1) {
            snprintf(times, sizeof(times), " x%lld", (long long)json_integer_value(count));
        }
        int added = snprintf(out_text + len, PRINT_TEXT_MAX - len, "%s%s%s", len == 0 ? "" : ", ",
                             name, times);
        len = added < 0 || (size_t)added >= PRINT_TEXT_MAX - len ? PRINT_TEXT_MAX - 1
                                                                 : len + (size_t)added;
    }
    json_decref(counts);
    return out_text;
}

const char *print_since(const json_t *instance, int64_t now_ms, char out_text[PRINT_TEXT_MAX])
{
    long long since = print_number(instance, "ended");
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(instance, "steps"), i, step)
    {
        long long at = print_number(step, "since");
        since = since == 0 || at < since ? at : since;
    }
    since = since == 0 ? print_number(instance, "changed") : since;
    int64_t age_ms = now_ms > since ? now_ms - since : 0;
    return amount_duration(age_ms, out_text);
}

const char *print_due(const json_t *json, int64_t now_ms, char out_text[PRINT_TEXT_MAX])
{
    char amount[AMOUNT_TEXT_MAX];
    long long due = print_number(json, "due");
    out_text[0] = '\0';
    if (due >= now_ms) {
        snprintf(out_text, PRINT_TEXT_MAX, "in %s", amount_duration(due - now_ms, amount));
    } else if (due != 0) {
        snprintf(out_text, PRINT_TEXT_MAX, "%s late", amount_duration(now_ms - due, amount));
    }
    return out_text;
}

// Behind what there is, as far as there is room; the sign stands between the two.
static void add_part(char text[PRINT_TEXT_MAX], const char *sign, const char *part)
{
    size_t len = strlen(text);
    if (part[0] != '\0') {
        snprintf(text + len, PRINT_TEXT_MAX - len, "%s%s", len == 0 ? "" : sign, part);
    }
}

const char *print_branch(const json_t *entry, char out_text[PRINT_TEXT_MAX])
{
    const json_t *list = json_object_get(entry, "branch"), *level;
    size_t i;
    out_text[0] = '\0';
    json_array_foreach((json_t *)list, i, level)
    {
        const json_t *value = json_object_get(level, "value");
        char number[24] = "", *text = value == NULL ? NULL : json_dumps(value, print_flags(value));
        if (print_number(level, "item") > 0) {
            snprintf(number, sizeof(number), "%lld", print_number(level, "item"));
        }
        add_part(out_text, "", i == 0 ? " [" : "/");
        add_part(out_text, "", print_text(level, "branch"));
        add_part(out_text, "", number);
        add_part(out_text, " ", text == NULL ? "" : text);
        free(text);
    }
    add_part(out_text, "", json_array_size(list) == 0 ? "" : "]");
    return out_text;
}

static void add_failure(char text[PRINT_TEXT_MAX], const char *sign, const json_t *failure)
{
    add_part(text, sign, print_text(failure, "error"));
    add_part(text, ": ", print_text(failure, "reason"));
}

static bool is_same_failure(const json_t *a, const json_t *b)
{
    return strcmp(print_text(a, "error"), print_text(b, "error")) == 0 &&
           strcmp(print_text(a, "reason"), print_text(b, "reason")) == 0;
}

// Of a parked one first what an operator has to mend, then what it is undone for.
const char *print_note(const json_t *instance, char out_text[PRINT_TEXT_MAX])
{
    bool is_configured = json_is_true(json_object_get(instance, "configured"));
    bool is_current = json_is_true(json_object_get(instance, "current"));
    const json_t *parked = json_object_get(instance, "parked");
    out_text[0] = '\0';
    add_part(out_text, "",
             !is_configured ? "not configured any more"
             : !is_current  ? "older version"
                            : "");
    if (parked != NULL) {
        char branch[PRINT_TEXT_MAX];
        add_part(out_text, "; ", print_text(parked, "step"));
        add_part(out_text, "", print_branch(parked, branch));
        add_failure(out_text, print_text(parked, "step")[0] == '\0' ? "; " : ": ", parked);
    }
    if (parked == NULL || !is_same_failure(parked, instance)) {
        add_failure(out_text, parked == NULL ? "; " : "; after ", instance);
    }
    return out_text;
}
