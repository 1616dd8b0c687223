#define _GNU_SOURCE // asprintf
#include "trial/explain.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json_bytes.h"
#include "core/cloudevent.h"
#include "core/format.h"
#include "core/function_list.h"
#include "core/rules.h"
#include "core/sql_words.h"
#include "core/topic.h"
#include "trial/case_match.h"
#include "trial/explain_parts.h"
#include "trial/trial.h"

#define TEXT_MAX 700

bool explain_filter(struct bytes filter, struct bytes topic, char *out_why, size_t size)
{
    if (topic_filter_matches(filter, topic)) {
        return false;
    }
    struct bytes wanted = filter, given = topic, want, got;
    bool is_system = topic.len > 0 && topic.ptr[0] == '$';
    if (is_system && filter.len > 0 && (filter.ptr[0] == '+' || filter.ptr[0] == '#')) {
        snprintf(out_why, size, "a filter that begins with a wildcard leaves topics with $ alone");
        return true;
    }
    for (uint32_t level = 1;; level++) {
        bool has_want = topic_next_level(&wanted, &want), has_got = topic_next_level(&given, &got);
        if (!has_want || !has_got) {
            snprintf(out_why, size, "the topic has %s levels than the filter",
                     has_got ? "more" : "fewer");
            return true;
        }
        bool is_any = bytes_equal(want, bytes_from_text("+"));
        if (!is_any && !bytes_equal(want, got)) {
            snprintf(out_why, size, "level %" PRIu32 " is \"%.*s\", the filter wants \"%.*s\"",
                     level, (int)got.len, (const char *)got.ptr, (int)want.len,
                     (const char *)want.ptr);
            return true;
        }
    }
}

// ---- how the message is read --------------------------------------------------------------------

static json_t *format_name(const struct config *config, const struct message *message)
{
    for (uint32_t i = 0; i < config->core.format_count; i++) {
        const struct format_spec *format = &config->core.formats[i];
        if (topic_filter_matches(bytes_from_text(format->from), message->topic)) {
            return json_sprintf("formats: %s", format->name);
        }
    }
    struct bytes prefix = bytes_of(message->topic.ptr, 9);
    if (message->topic.len > 9 && bytes_equal(prefix, bytes_from_text("pipit/v1/"))) {
        return json_string("pipit, by its topic");
    }
    if (cloudevent_mode(message, false) != CLOUDEVENT_NONE) {
        return json_string("cloudevents, by its content type or user properties");
    }
    const char *name = format_type_of(format_of_content(message->content_type))->name;
    return strcmp(name, "any") == 0 ? json_string("JSON, text or bytes, by what it holds")
                                    : json_sprintf("%s, by its content type", name);
}

// A filter that only this topic matches (and what is below it).
static char *own_filter(struct bytes topic)
{
    size_t at = 0;
    char *text = malloc(2 * topic.len + 3);
    for (size_t i = 0; text != NULL && i < topic.len; i++) {
        text[at++] = (char)topic.ptr[i];
        if (topic.ptr[i] == '"') {
            text[at++] = '"';
        }
    }
    if (text != NULL) {
        memcpy(text + at, "/#", 3);
    }
    return text;
}

static enum err query_standard(const struct explain_options *options, json_t **out_rows,
                               struct error *e)
{
    char *filter = own_filter(options->message->topic);
    char *sql = NULL;
    int len = filter == NULL
                  ? -1
                  : asprintf(&sql,
                             "SELECT id, device, device_group, type, time, boot, sequence, fields "
                             "FROM \"%s\"",
                             filter);
    enum err rc = len < 0 ? error_set(e, ERR_NO_MEMORY, "out of memory")
                          : explain_query(options, sql, out_rows, e);
    free(len < 0 ? NULL : sql);
    free(filter);
    return rc;
}

static void copy_known(json_t *read, const json_t *row)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row, name, value)
    {
        bool is_made_up = strcmp(name, "id") == 0 && json_is_null(json_object_get(row, "sequence"));
        if (!json_is_null(value) && !is_made_up) {
            json_object_set(read, strcmp(name, "device_group") == 0 ? "group" : name, value);
        }
    }
}

static enum err explain_read(const struct explain_options *options, json_t **out_read,
                             struct error *e)
{
    json_t *read = json_object(), *rows = NULL;
    struct error why = {0};
    const char *problem = topic_problem(options->message->topic);
    enum err rc = problem != NULL ? error_set(&why, ERR_INVALID, "the topic %s", problem)
                                  : query_standard(options, &rows, &why);
    json_object_set_new(read, "format", format_name(options->config, options->message));
    if (rc == ERR_OK) {
        copy_known(read, json_array_get(rows, 0));
    } else if (rc == ERR_INVALID) {
        json_object_set_new(read, "problem", json_string(why.text));
    }
    json_decref(rows);
    if (rc != ERR_OK && rc != ERR_INVALID) {
        json_decref(read);
        return error_set(e, rc, "%s", why.text);
    }
    *out_read = read;
    return ERR_OK;
}

// ---- what a rule does ---------------------------------------------------------------------------

static json_t *delivery_json(const struct config *config, const struct trial_delivery *delivery)
{
    struct arena *arena = arena_create();
    json_t *json = json_pack("{s:s, s:s}", "rule", delivery->delivery.rule, "target",
                             config->targets[delivery->target].name);
    json_set_bytes(json, "topic", delivery->delivery.topic);
    json_set_bytes(json, "key", delivery->delivery.key);
    json_set_bytes(json, "payload", delivery->delivery.payload);
    if (arena != NULL) {
        json_object_set_new(json, "at", json_string(case_instant_text(arena, delivery->at_ms)));
    }
    arena_destroy(arena);
    return json;
}

static enum err take_deliveries(struct trial *trial, const struct config *config, json_t *rule,
                                struct error *e)
{
    const struct trial_delivery *deliveries = NULL;
    uint32_t count = 0;
    enum err rc = trial_take(trial, &deliveries, &count, e);
    json_t *list = json_array();
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        json_array_append_new(list, delivery_json(config, &deliveries[i]));
    }
    json_object_set_new(rule, "deliveries", list);
    return rc;
}

struct rows_of {
    char name[TEXT_MAX];
    uint64_t rows;
};

static void on_counter(void *context, const char *name, uint64_t value)
{
    struct rows_of *wanted = context;
    if (strcmp(name, wanted->name) == 0) {
        wanted->rows = value;
    }
}

static void on_rejection(void *context, const struct trial_rejection *rejection)
{
    json_object_set_new(context, "failure", json_string(rejection->reason));
}

// The event through the rule as it is, until its windows have closed.
static enum err run_rule(const struct explain_options *options, const struct rule_spec *spec,
                         json_t *rule, struct error *e)
{
    struct trial *trial = NULL;
    struct rows_of wanted = {.rows = 0};
    const struct trial_options trial_options = {.config = options->config,
                                                .rule = spec->name,
                                                .now_ms = options->now_ms,
                                                .births = options->births};
    snprintf(wanted.name, sizeof(wanted.name), "rule/%s/rows", spec->name);
    enum err rc = trial_create(&trial, &trial_options, e);
    rc = rc == ERR_OK ? trial_step(trial, options->message, 1, options->now_ms, e) : rc;
    if (rc == ERR_OK && spec->window.kind != WINDOW_NONE) {
        rc = trial_close_windows(trial, e);
    }
    rc = rc == ERR_OK ? take_deliveries(trial, options->config, rule, e) : rc;
    rc = rc == ERR_OK ? trial_rejections(trial, on_rejection, rule, e) : rc;
    if (rc == ERR_OK) {
        core_counters(trial_core(trial), on_counter, &wanted);
        json_object_set_new(rule, "rows", json_integer((json_int_t)wanted.rows));
    }
    trial_destroy(trial);
    return rc;
}

static void note_add(json_t *rule, json_t *take_note)
{
    json_t *notes = json_object_get(rule, "notes");
    if (notes == NULL) {
        notes = json_array();
        json_object_set_new(rule, "notes", notes);
    }
    json_array_append_new(notes, take_note);
}

// Its last route is for workflows where some start by it: see RULE_TOPIC.
static void note_workflows(const struct rule_spec *spec, json_t *rule)
{
    const struct route_spec *last =
        spec->route_count == 0 ? NULL : &spec->routes[spec->route_count - 1];
    if (last != NULL && last->target == ROUTE_TO_RULES &&
        strncmp(last->topic, RULE_TOPIC, strlen(RULE_TOPIC)) == 0 &&
        json_integer_value(json_object_get(rule, "rows")) > 0) {
        note_add(rule, json_string("workflows start by its rows"));
    }
}

// What it remembers of earlier events is not known here.
static void note_memory(const char *sql, json_t *rule)
{
    struct bytes rest = bytes_from_text(sql);
    for (struct sql_word word = sql_word_next(&rest); word.kind != SQL_END;
         word = sql_word_next(&rest)) {
        char name[80];
        const struct function_info *found =
            word.kind == SQL_WORD && sql_word_name(&word, name, sizeof(name)) ? function_find(name)
                                                                              : NULL;
        if (found != NULL && found->kind == FUNCTION_MEMORY) {
            note_add(rule, json_sprintf("%s() remembers earlier events; here this one is the first",
                                        found->name));
            return;
        }
    }
}

static enum err explain_match(const struct explain_options *options, const struct rules *rules,
                              uint32_t index, const json_t *read, json_t *rule, struct error *e)
{
    const struct rule_spec *spec = &options->config->core.rules[index];
    char text[TEXT_MAX];
    if (json_object_get(read, "problem") != NULL) {
        json_object_set_new(rule, "why", json_string("the message is rejected before any rule"));
        return ERR_OK;
    }
    if (explain_window(&spec->window, read, options->message->received_ms, text, sizeof(text))) {
        json_object_set_new(rule, "window", json_string(text));
    }
    note_memory(spec->sql, rule);
    enum err rc = explain_terms(options, rules, index, json_object_get(read, "fields"), rule, e);
    rc = rc == ERR_OK ? run_rule(options, spec, rule, e) : rc;
    note_workflows(spec, rule);
    return rc;
}

static enum err explain_rule(const struct explain_options *options, const struct rules *rules,
                             uint32_t index, const json_t *read, json_t *list, struct error *e)
{
    const struct rule_spec *spec = &options->config->core.rules[index];
    const char *filter = rules_filter(rules, index);
    char why[TEXT_MAX];
    bool is_other =
        explain_filter(bytes_from_text(filter), options->message->topic, why, sizeof(why));
    json_t *rule =
        json_pack("{s:s, s:s, s:b}", "rule", spec->name, "filter", filter, "matches", !is_other);
    json_array_append_new(list, rule);
    if (is_other) {
        json_object_set_new(rule, "why", json_string(why));
        return ERR_OK;
    }
    return explain_match(options, rules, index, read, rule, e);
}

static bool is_asked_for(const struct explain_options *options, const struct rule_spec *spec)
{
    return spec->branch == BRANCH_MAIN &&
           (options->rule == NULL || strcmp(spec->name, options->rule) == 0);
}

static enum err explain_rules(const struct explain_options *options, const json_t *read,
                              json_t *list, struct error *e)
{
    struct trial *trial = NULL; // Only for its compiled rules.
    const struct trial_options trial_options = {
        .config = options->config, .rule = NULL, .now_ms = options->now_ms};
    enum err rc = trial_create(&trial, &trial_options, e);
    for (uint32_t i = 0; rc == ERR_OK && i < options->config->core.rule_count; i++) {
        if (is_asked_for(options, &options->config->core.rules[i])) {
            rc = explain_rule(options, core_rules(trial_core(trial)), i, read, list, e);
        }
    }
    trial_destroy(trial);
    if (rc == ERR_OK && options->rule != NULL && json_array_size(list) == 0) {
        return error_set(e, ERR_NOT_FOUND, "there is no rule '%s'", options->rule);
    }
    return rc;
}

enum err explain(const struct explain_options *options, struct json_t **out_explanation,
                 struct error *e)
{
    struct error own = {0};
    e = e == NULL ? &own : e;
    json_t *explanation = json_object(), *rules = json_array(), *workflows = json_array();
    json_t *read = NULL;
    json_set_bytes(explanation, "topic", options->message->topic);
    enum err rc = explain_read(options, &read, e);
    rc = rc == ERR_OK ? explain_rules(options, read, rules, e) : rc;
    rc = rc == ERR_OK ? explain_workflows(options, read, workflows, e) : rc;
    json_object_set_new(explanation, "read", read);
    json_object_set_new(explanation, "rules", rules);
    json_object_set_new(explanation, "workflows", workflows);
    if (rc == ERR_OK) {
        *out_explanation = explanation;
    } else {
        json_decref(explanation);
    }
    return rc;
}
