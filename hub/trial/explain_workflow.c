// explain_workflow.c - what workflows make of an event: which would start by it, and which of their
// steps await such events, each with the key that it gives.
#define _GNU_SOURCE // asprintf
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "trial/explain_parts.h"

#define TEXT_MAX 700

static const char *text_of(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static void put_text(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, json_string(text));
}

// The one row of key and where over the event, in the words of rules.
static enum err ask(const struct explain_options *options, const json_t *by, json_t **out_row,
                    struct error *e)
{
    const char *where = text_of(by, "do") == NULL ? text_of(by, "where") : NULL;
    char *sql = NULL;
    json_t *rows = NULL;
    *out_row = NULL;
    // An await's where is over the variables, too, which are not known here.
    if (asprintf(&sql, "SELECT (%s) AS key, (%s) AS \"where\" FROM \"%s\" AS event",
                 text_of(by, "key"), where == NULL ? "1" : where, text_of(by, "from")) < 0) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    enum err rc = explain_query(options, sql, &rows, e);
    free(sql);
    if (rc == ERR_OK) {
        *out_row = json_incref(json_array_get(rows, 0));
    }
    json_decref(rows);
    return rc;
}

static bool is_true(const json_t *value)
{
    return json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0);
}

// The key that the event has for it, or why it has none.
static enum err explain_key(const struct explain_options *options, const json_t *by, json_t *told,
                            struct error *e)
{
    json_t *row = NULL;
    struct error why = {0};
    enum err rc = ask(options, by, &row, &why);
    if (rc != ERR_OK) {
        put_text(told, "why", why.text);
        return rc == ERR_INVALID || rc == ERR_CONFIG ? ERR_OK : error_set(e, rc, "%s", why.text);
    }
    const json_t *key = json_object_get(row, "key");
    if (!is_true(json_object_get(row, "where"))) {
        json_t *text = json_sprintf("where is not true: %s", text_of(by, "where"));
        json_object_set_new(told, "why", text);
    } else if (key == NULL || json_is_null(key)) {
        put_text(told, "why", "its key is NULL");
    } else {
        json_object_set(told, "key", (json_t *)(uintptr_t)key);
    }
    json_decref(row);
    return ERR_OK;
}

// `by` has a filter, key and where: the start of a workflow, or a step.
static enum err explain_by(const struct explain_options *options, const json_t *by, json_t *told,
                           struct error *e)
{
    const char *filter = text_of(by, "from");
    char why[TEXT_MAX];
    bool is_other =
        explain_filter(bytes_from_text(filter), options->message->topic, why, sizeof(why));
    put_text(told, "filter", filter);
    json_object_set_new(told, "matches", json_boolean(!is_other));
    if (is_other) {
        put_text(told, "why", why);
        return ERR_OK;
    }
    return explain_key(options, by, told, e);
}

// Every step that awaits something, those within others, too.
static enum err explain_awaits(const struct explain_options *options, const json_t *within,
                               json_t *list, struct error *e)
{
    const char *name, *kind = text_of(within, "do");
    json_t *member;
    size_t i;
    enum err rc = ERR_OK;
    if (kind != NULL && strcmp(kind, "await") == 0 && text_of(within, "from") != NULL) {
        json_t *told = json_object();
        json_array_append_new(list, told);
        put_text(told, "step", text_of(within, "name"));
        rc = explain_by(options, within, told, e);
    }
    json_object_foreach((json_t *)(uintptr_t)within, name, member)
    {
        rc = rc == ERR_OK ? explain_awaits(options, member, list, e) : rc;
    }
    json_array_foreach((json_t *)(uintptr_t)within, i, member)
    {
        rc = rc == ERR_OK ? explain_awaits(options, member, list, e) : rc;
    }
    return rc;
}

static enum err explain_workflow(const struct explain_options *options, const char *name,
                                 const json_t *definition, json_t *list, struct error *e)
{
    const json_t *start = json_object_get(definition, "start");
    json_t *told = json_object(), *awaits = json_array();
    json_array_append_new(list, told);
    put_text(told, "workflow", name);
    json_object_set_new(told, "awaits", awaits);
    enum err rc = ERR_OK;
    if (text_of(start, "from") != NULL) {
        json_t *starts = json_object();
        json_object_set_new(told, "starts", starts);
        rc = explain_by(options, start, starts, e);
    }
    rc = rc == ERR_OK ? explain_awaits(options, json_object_get(definition, "steps"), awaits, e)
                      : rc;
    return rc;
}

enum err explain_workflows(const struct explain_options *options, const json_t *read, json_t *list,
                           struct error *e)
{
    const struct core_spec *core = &options->config->core;
    bool is_wanted = options->rule == NULL && json_object_get(read, "problem") == NULL;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && is_wanted && i < core->workflow_count; i++) {
        json_t *definition = json_loads(core->workflows[i].definition, 0, NULL);
        rc = definition == NULL
                 ? error_set(e, ERR_NO_MEMORY, "out of memory")
                 : explain_workflow(options, core->workflows[i].name, definition, list, e);
        json_decref(definition);
    }
    return rc;
}
