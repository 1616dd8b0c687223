// workflow_compile_step.c - what a step does: its expressions and numbers, by kind.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "core/topic.h"
#include "core/workflow_compile_parts.h"

#define BACKOFF_MS     1000
#define BACKOFF_MAX_MS 60000

// A step that is being compiled; the draft is made anew for each of its queries.
struct work {
    struct compiler *compiler;
    struct workflow_step *step;
    const json_t *text;
    struct query_draft *draft;
};

static enum err fault(const struct work *work, const char *member, const char *sentence)
{
    error_set(work->compiler->e, ERR_CONFIG, "%s", sentence);
    return compile_fault(work->compiler, work->step->path, member, NULL);
}

static void begin(const struct work *work, enum query_over over)
{
    draft_init(work->draft, work->compiler, work->step->path, over);
    work->draft->spec.filter = over == QUERY_EVENT ? work->step->filter : NULL;
}

static enum err compile_one(const struct work *work, const char *member, bool is_template)
{
    begin(work, QUERY_VARIABLES);
    draft_add(work->draft, work->text, member, is_template);
    return draft_compile(work->draft, &work->step->query);
}

static enum err compile_each(const struct work *work, const char *member, bool is_template,
                             struct workflow_query **out_query)
{
    begin(work, QUERY_VARIABLES);
    draft_add_each(work->draft, work->text, member, is_template);
    return draft_compile(work->draft, out_query);
}

// Indexes of the variables that the member's object names.
static enum err find_variables(const struct work *work, const char *member, uint32_t **out_indexes)
{
    json_t *object = json_object_get(work->text, member);
    uint32_t *indexes =
        compile_take(work->compiler, json_object_size(object) + 1, sizeof(indexes[0]));
    if (indexes == NULL) {
        return compile_no_memory(work->compiler);
    }
    uint32_t count = 0;
    const char *name;
    json_t *text;
    json_object_foreach(object, name, text)
    {
        indexes[count++] = workflow_variable_find(work->compiler->definition, name);
    }
    *out_indexes = indexes;
    return ERR_OK;
}

// ---- kinds --------------------------------------------------------------------------------------

static const char *target_of(const struct work *work)
{
    const char *to = member_text(work->text, "to");
    return strcmp(to, "rules") == 0 ? NULL : to;
}

// Without fields of its own a message has all variables.
static enum err compile_variables(const struct work *work, struct workflow_query **out_query)
{
    const struct workflow_definition *definition = work->compiler->definition;
    begin(work, QUERY_VARIABLES);
    for (uint32_t i = 0; i < definition->variable_count; i++) {
        const char *name = definition->variables[i];
        size_t size = strlen(name) + 3;
        char *quoted = compile_take(work->compiler, size, 1);
        if (quoted == NULL) {
            return compile_no_memory(work->compiler);
        }
        snprintf(quoted, size, "\"%s\"", name); // A name has no quotes in it.
        draft_add_part(work->draft, &(struct query_part){.name = name, .text = quoted}, "fields");
    }
    return draft_compile(work->draft, out_query);
}

static enum err compile_fields(const struct work *work)
{
    struct workflow_message *message = &work->step->message;
    bool has_fields = json_object_get(work->text, "fields") != NULL;
    return has_fields || message->format == PAYLOAD_TEXT
               ? compile_each(work, "fields", false, &message->fields)
               : compile_variables(work, &message->fields);
}

static enum err compile_message(const struct work *work)
{
    static const enum payload_format formats[] = {PAYLOAD_JSON, PAYLOAD_TEXT, PAYLOAD_PIPIT,
                                                  PAYLOAD_CBOR};
    struct workflow_message *message = &work->step->message;
    message->target = target_of(work);
    message->format = formats[member_choice(work->text, "payload", workflow_payload_names)];
    message->qos = (uint8_t)member_number(work->text, "qos", 0);
    message->is_retained = member_truth(work->text, "retain", false);
    message->is_url = member_truth(work->text, "is_url", false);
    if (work->step->kind == STEP_CALL && message->target == NULL) {
        return fault(work, "to", "rules answer nothing; emit is for them");
    }
    begin(work, QUERY_VARIABLES);
    draft_add(work->draft, work->text, "topic", true);
    if (work->draft->spec.part_count == 1) { // There is one.
        work->draft->parts[0].is_url = message->is_url;
    }
    draft_add(work->draft, work->text, "text", true);
    draft_add(work->draft, work->text, "type", true);
    enum err rc = draft_compile(work->draft, &message->address);
    rc = rc == ERR_OK ? compile_each(work, "properties", true, &message->properties) : rc;
    return rc == ERR_OK ? compile_fields(work) : rc;
}

static enum err compile_command(const struct work *work)
{
    struct workflow_step *step = work->step;
    step->message.target = target_of(work);
    step->expires_ms = member_number(work->text, "expires", 0);
    step->offline =
        (enum workflow_offline)member_choice(work->text, "offline", workflow_offline_names);
    if (step->message.target == NULL) {
        return fault(work, "to", "a command goes to a broker");
    }
    begin(work, QUERY_VARIABLES);
    draft_add(work->draft, work->text, "device", false);
    draft_add(work->draft, work->text, "command", true);
    enum err rc = draft_compile(work->draft, &step->message.address);
    return rc == ERR_OK ? compile_each(work, "fields", false, &step->message.fields) : rc;
}

static enum err compile_await(const struct work *work)
{
    struct workflow_step *step = work->step;
    step->filter = member_text(work->text, "from");
    step->keep_ms = member_number(work->text, "keep", 0);
    const char *problem = topic_filter_problem(bytes_from_text(step->filter));
    if (problem != NULL) {
        error_set(work->compiler->e, ERR_CONFIG, "topic filter \"%.200s\" %s", step->filter,
                  problem);
        return compile_fault(work->compiler, step->path, "from", NULL);
    }
    enum err rc = compile_one(work, "match", false);
    if (rc != ERR_OK) {
        return rc;
    }
    begin(work, QUERY_EVENT);
    work->draft->spec.variables = NULL; // For whom the event is, it says alone.
    work->draft->spec.variable_count = 0;
    draft_add(work->draft, work->text, "key", false);
    rc = draft_compile(work->draft, &step->event_key);
    if (rc != ERR_OK) {
        return rc;
    }
    begin(work, QUERY_EVENT);
    work->draft->spec.where = member_text(work->text, "where");
    return draft_compile(work->draft, &step->where);
}

static enum err compile_sleep(const struct work *work)
{
    work->step->for_ms = member_number(work->text, "for", 0);
    return ERR_OK;
}

static enum err compile_until(const struct work *work)
{
    return compile_one(work, "at", false);
}

static enum err compile_if(const struct work *work)
{
    return compile_one(work, "when", false);
}

static enum err compile_switch(const struct work *work)
{
    return compile_one(work, "on", false);
}

static enum err compile_parallel(const struct work *work)
{
    struct workflow_step *step = work->step;
    const char *name = member_text(work->text, "wait");
    int64_t count = member_number(work->text, "wait", step->branch_count);
    if (name != NULL && strcmp(name, "all") != 0 && strcmp(name, "any") != 0) {
        return fault(work, "wait", "wait is all, any or a number of branches");
    }
    if (name != NULL) {
        count = strcmp(name, "any") == 0 ? 1 : step->branch_count;
    }
    if (count < 1 || count > step->branch_count) {
        error_set(work->compiler->e, ERR_CONFIG, "wait has to be from 1 to %u, the branches",
                  step->branch_count);
        return compile_fault(work->compiler, step->path, "wait", NULL);
    }
    step->wait_count = (uint32_t)count;
    return ERR_OK;
}

static enum err compile_for_each(const struct work *work)
{
    struct workflow_step *step = work->step;
    step->item_variable =
        workflow_variable_find(work->compiler->definition, member_text(work->text, "as"));
    step->at_once = (uint32_t)member_number(work->text, "at_once", 1);
    step->is_wave = member_truth(work->text, "wave", false);
    if (step->at_once == 0) {
        return fault(work, "at_once", "at_once has to be at least 1");
    }
    enum err rc = compile_one(work, "in", false);
    if (rc != ERR_OK) {
        return rc;
    }
    begin(work, QUERY_ITEMS);
    draft_add(work->draft, work->text, "stop", false);
    return draft_compile(work->draft, &step->stop);
}

static enum err compile_set(const struct work *work)
{
    enum err rc = compile_each(work, "set", false, &work->step->query);
    if (rc == ERR_OK && work->step->query == NULL) {
        return fault(work, "set", "there is nothing to set");
    }
    return rc == ERR_OK ? find_variables(work, "set", &work->step->set_variables) : rc;
}

static enum err compile_run(const struct work *work)
{
    struct workflow_step *step = work->step;
    step->workflow = member_text(work->text, "workflow");
    step->is_waited = member_truth(work->text, "wait", true);
    step->is_waiting = step->is_waited;
    begin(work, QUERY_VARIABLES);
    draft_add(work->draft, work->text, "key", false);
    draft_add_each(work->draft, work->text, "with", false);
    return draft_compile(work->draft, &step->query);
}

static enum err compile_end(const struct work *work)
{
    return compile_each(work, "result", false, &work->step->query);
}

static enum err compile_fail(const struct work *work)
{
    return compile_one(work, "reason", true);
}

static enum err compile_goto(const struct work *work)
{
    (void)work;
    return ERR_OK;
}

static enum err (*const compile_kind[STEP_KIND_COUNT])(const struct work *work) = {
    [STEP_EMIT] = compile_message,
    [STEP_CALL] = compile_message,
    [STEP_COMMAND] = compile_command,
    [STEP_AWAIT] = compile_await,
    [STEP_SLEEP] = compile_sleep,
    [STEP_UNTIL] = compile_until,
    [STEP_IF] = compile_if,
    [STEP_SWITCH] = compile_switch,
    [STEP_PARALLEL] = compile_parallel,
    [STEP_FOR_EACH] = compile_for_each,
    [STEP_SET] = compile_set,
    [STEP_RUN] = compile_run,
    [STEP_END] = compile_end,
    [STEP_FAIL] = compile_fail,
    [STEP_GOTO] = compile_goto,
};

// ---- what they have in common -------------------------------------------------------------------

static enum err read_errors(const struct work *work, const json_t *names, const char *path)
{
    size_t index;
    json_t *name;
    work->step->retry.errors = 0;
    json_array_foreach((json_t *)names, index, name)
    {
        const char *text = json_string_value(name);
        uint32_t kind = 0;
        while (kind < WORKFLOW_ERROR_COUNT && strcmp(workflow_error_names[kind], text) != 0) {
            kind++;
        }
        if (kind == WORKFLOW_ERROR_COUNT || kind == WORKFLOW_CANCELLED) {
            const char *near = nearest_name(text, workflow_error_names);
            error_set(work->compiler->e, ERR_CONFIG, "no step fails with \"%.100s\"%s%s%s", text,
                      near == NULL ? "" : " (did you mean \"", near == NULL ? "" : near,
                      near == NULL ? "" : "\"?)");
            return compile_fault(work->compiler, path, "errors", NULL);
        }
        work->step->retry.errors |= 1u << kind;
    }
    return ERR_OK;
}

static enum err read_retry(const struct work *work)
{
    struct workflow_retry *retry = &work->step->retry;
    const json_t *text = json_object_get(work->text, "retry");
    *retry = (struct workflow_retry){.attempts_max = 1,
                                     .backoff_ms = BACKOFF_MS,
                                     .backoff_max_ms = BACKOFF_MAX_MS,
                                     .errors = 1u << WORKFLOW_TIMEOUT | 1u << WORKFLOW_UNAVAILABLE |
                                               1u << WORKFLOW_OFFLINE | 1u << WORKFLOW_ANSWER};
    if (text == NULL) {
        return ERR_OK;
    }
    char path[WORKFLOW_PATH_MAX];
    compile_join(path, work->step->path, "retry", NULL);
    enum err rc = compile_check_members(work->compiler, text, path, workflow_retry_members);
    if (rc != ERR_OK) {
        return rc;
    }
    retry->attempts_max = (uint32_t)member_number(text, "attempts", 1);
    retry->backoff_ms = member_number(text, "backoff", BACKOFF_MS);
    retry->backoff_max_ms = member_number(text, "backoff_max", BACKOFF_MAX_MS);
    retry->within_ms = member_number(text, "within", 0);
    if (retry->attempts_max == 0) {
        error_set(work->compiler->e, ERR_CONFIG, "attempts has to be at least 1");
        return compile_fault(work->compiler, path, "attempts", NULL);
    }
    const json_t *names = json_object_get(text, "errors");
    return names == NULL ? ERR_OK : read_errors(work, names, path);
}

static enum err compile_take_of(const struct work *work)
{
    struct workflow_step *step = work->step;
    if (json_object_get(work->text, "take") == NULL) {
        return ERR_OK;
    }
    begin(work, step->kind == STEP_AWAIT ? QUERY_EVENT : QUERY_ANSWER);
    draft_add_each(work->draft, work->text, "take", false);
    enum err rc = draft_compile(work->draft, &step->take);
    return rc == ERR_OK ? find_variables(work, "take", &step->take_variables) : rc;
}

enum err compile_step(struct compiler *compiler, struct workflow_step *step, const json_t *text)
{
    const struct work work = {compiler, step, text, malloc(sizeof(struct query_draft))};
    if (work.draft == NULL) {
        return compile_no_memory(compiler);
    }
    step->is_waiting = workflow_kinds[step->kind].is_waiting;
    step->within_ms = member_number(text, "within", 0);
    enum err rc = read_retry(&work);
    rc = rc == ERR_OK ? compile_kind[step->kind](&work) : rc;
    rc = rc == ERR_OK ? compile_take_of(&work) : rc;
    free(work.draft);
    return rc;
}
