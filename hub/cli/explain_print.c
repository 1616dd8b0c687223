#include "cli/explain_print.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"

#define VALUE_MAX 200 // Bytes shown of one value.

static const char *colour(enum colour wanted)
{
    return terminal_colour(stdout, wanted);
}

static const char *text_of(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static void value_print(const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    const char *shown = text == NULL ? "" : text;
    if (json_is_null(value)) {
        printf("NULL");
    } else {
        printf("%.*s%s", VALUE_MAX, shown, strlen(shown) > VALUE_MAX ? "..." : "");
    }
    free(text);
}

static void line(const char *name, const char *text)
{
    if (text != NULL) {
        printf("  %-10s %s\n", name, text);
    }
}

static void read_print(const json_t *read)
{
    static const char *const names[] = {"id",   "group", "device",  "type",
                                        "time", "boot",  "sequence"};
    line("format", text_of(read, "format"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *value = json_object_get(read, names[i]);
        if (value != NULL) {
            printf("  %-10s ", names[i]);
            value_print(value);
            printf("\n");
        }
    }
    const char *name;
    json_t *value, *fields = json_object_get(read, "fields");
    json_object_foreach(fields, name, value)
    {
        printf("  %-10s %s = ", "field", name);
        value_print(value);
        printf("\n");
    }
    if (text_of(read, "duplicate") != NULL) {
        printf("  %sduplicate  %s%s\n", colour(COLOUR_YELLOW), text_of(read, "duplicate"),
               colour(COLOUR_NONE));
    }
    if (text_of(read, "problem") != NULL) {
        printf("  %srejected   %s%s\n", colour(COLOUR_RED), text_of(read, "problem"),
               colour(COLOUR_NONE));
    }
}

static void term_print(const json_t *term)
{
    const json_t *value = json_object_get(term, "value");
    const char *word = json_is_true(value) ? "true " : json_is_false(value) ? "false" : "NULL ";
    const char *name;
    json_t *column;
    bool is_first = true;
    printf("    %s%s%s  %s", colour(json_is_true(value) ? COLOUR_GREEN : COLOUR_RED), word,
           colour(COLOUR_NONE), text_of(term, "sql"));
    json_object_foreach(json_object_get(term, "columns"), name, column)
    {
        printf("%s%s = ", is_first ? "   (" : ", ", name);
        value_print(column);
        is_first = false;
    }
    printf("%s\n", is_first ? "" : ")");
}

static void missing_print(const json_t *rule)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(rule, "missing"), i, one)
    {
        const char *near = text_of(one, "nearest");
        printf("    %scolumn %s is NULL: the payload has no such field%s%s%s%s\n",
               colour(COLOUR_YELLOW), text_of(one, "column"), near == NULL ? "" : "; it has ",
               near == NULL ? "" : near, near == NULL ? "" : " - is that meant?",
               colour(COLOUR_NONE));
    }
}

static void delivery_print_line(const json_t *delivery)
{
    const char *topic = text_of(delivery, "topic"), *payload = text_of(delivery, "payload");
    const char *coded = text_of(delivery, "payload_base64");
    printf("    -> %s%s%s %s%s%s%s  (rule %s, key %s, at %s)\n", colour(COLOUR_BOLD),
           text_of(delivery, "target"), colour(COLOUR_NONE), topic == NULL ? "" : topic,
           topic == NULL || topic[0] == '\0' ? "" : " ", payload == NULL ? "base64 " : payload,
           payload != NULL || coded == NULL ? "" : coded, text_of(delivery, "rule"),
           text_of(delivery, "key") == NULL ? "-" : text_of(delivery, "key"),
           text_of(delivery, "at"));
}

static void verdict_print(const json_t *rule)
{
    const char *name = text_of(rule, "rule"), *why = text_of(rule, "why");
    size_t deliveries = json_array_size(json_object_get(rule, "deliveries"));
    bool is_firing = deliveries > 0 || json_integer_value(json_object_get(rule, "rows")) > 0;
    const char *verdict = is_firing ? "fires" : "does not fire";
    if (text_of(rule, "failure") != NULL) {
        verdict = "fails";
    }
    printf("%srule %s%s: %s%s%s", colour(COLOUR_BOLD), name, colour(COLOUR_NONE),
           colour(is_firing ? COLOUR_GREEN : COLOUR_RED), verdict, colour(COLOUR_NONE));
    printf("%s%s\n", why == NULL ? "" : ": ", why == NULL ? "" : why);
    printf("    filter %s%s\n", text_of(rule, "filter"),
           json_is_true(json_object_get(rule, "matches")) ? " matches" : " does not match");
}

static void rule_print(const json_t *rule)
{
    size_t i;
    json_t *one;
    verdict_print(rule);
    json_array_foreach(json_object_get(rule, "terms"), i, one)
    {
        term_print(one);
    }
    missing_print(rule);
    if (text_of(rule, "window") != NULL) {
        printf("    window: the event %s\n", text_of(rule, "window"));
    }
    json_array_foreach(json_object_get(rule, "notes"), i, one)
    {
        printf("    note: %s\n", json_string_value(one));
    }
    if (text_of(rule, "failure") != NULL) {
        printf("    %s%s%s\n", colour(COLOUR_RED), text_of(rule, "failure"), colour(COLOUR_NONE));
    }
    json_array_foreach(json_object_get(rule, "deliveries"), i, one)
    {
        delivery_print_line(one);
    }
}

// What would happen, or why it does not; what is about other topics is left out.
static void workflow_line(const char *workflow, const json_t *by)
{
    const json_t *key = json_object_get(by, "key");
    const char *step = text_of(by, "step");
    if (!json_is_true(json_object_get(by, "matches"))) {
        return;
    }
    printf("%sworkflow %s%s: %s%s%s%s%s%s", colour(COLOUR_BOLD), workflow, colour(COLOUR_NONE),
           step == NULL ? "" : "step ", step == NULL ? "" : step, step == NULL ? "" : " ",
           colour(key == NULL ? COLOUR_RED : COLOUR_GREEN),
           key == NULL    ? step == NULL ? "does not start" : "does not take it"
           : step == NULL ? "starts"
                          : "awaits it",
           colour(COLOUR_NONE));
    if (key == NULL) {
        printf(": %s\n", text_of(by, "why"));
        return;
    }
    printf(", key ");
    value_print(key);
    printf("\n");
}

static void workflow_print(const json_t *workflow)
{
    size_t i;
    json_t *one;
    const char *name = text_of(workflow, "workflow");
    workflow_line(name, json_object_get(workflow, "starts"));
    json_array_foreach(json_object_get(workflow, "awaits"), i, one)
    {
        workflow_line(name, one);
    }
}

void explain_print(const struct json_t *explanation, const char *was_rejected)
{
    size_t i;
    json_t *rule;
    const char *topic = text_of(explanation, "topic");
    printf("%s%s%s\n", colour(COLOUR_BOLD), topic == NULL ? "(a topic that is no text)" : topic,
           colour(COLOUR_NONE));
    if (was_rejected != NULL) {
        line("then", was_rejected);
    }
    read_print(json_object_get(explanation, "read"));
    json_array_foreach(json_object_get(explanation, "rules"), i, rule)
    {
        rule_print(rule);
    }
    json_array_foreach(json_object_get(explanation, "workflows"), i, rule)
    {
        workflow_print(rule);
    }
}
