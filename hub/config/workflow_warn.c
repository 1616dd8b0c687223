// workflow_warn.c - workflows that compile and can still hardly be meant.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/workflow_check.h"
#include "config/workflow_json.h"
#include "core/address.h"

struct workflow_warning {
    struct reader *reader;
    const struct config_file *file;
    const struct wired *wired;
    uint32_t workflow;
    const json_t *definition, *run; // run: names of those that others run.
};

static void warn(const struct workflow_warning *warning, const char *path, const char *text,
                 const char *name)
{
    const struct config_file *file = warning->file;
    struct position at =
        workflow_map_locate(file->workflow_maps[warning->workflow], file->document, path, -1);
    reader_problem(warning->reader, at, "warning: workflow %s: %s%s",
                   file->config.core.workflows[warning->workflow].name, text, name);
}

static void warn_of_filter(const struct workflow_warning *warning, const char *path,
                           const char *filter)
{
    if (filter != NULL && !wired_reaches(warning->wired, filter)) {
        const char *quoted = arena_print(warning->reader->arena, "\"%s\" matches", filter);
        warn(warning, path, "no source, rule or workflow gives anything that ",
             quoted == NULL ? filter : quoted);
    }
}

// `id` is a column of every event, a new one each time: hardly what an instance is about.
static void warn_of_key(const struct workflow_warning *warning, const char *path, const char *key)
{
    if (key != NULL && (strcmp(key, "id") == 0 || strcmp(key, "event.id") == 0)) {
        warn(warning, path,
             "id is the event's own, another one each time; a field of that name is "
             "written \"fields.id\"",
             "");
    }
}

// Of emit and call: whether what they send has a payload.
static bool carries_payload(const json_t *step)
{
    const char *address = json_string_value(json_object_get(step, "topic"));
    if (address == NULL || !json_is_true(json_object_get(step, "is_url"))) {
        return true;
    }
    struct address parsed = address_parse(bytes_from_text(address));
    return address_has_body(&parsed);
}

static void warn_of_payload(const struct workflow_warning *warning, const json_t *step,
                            const char *path)
{
    static const char *const members[] = {"fields", "text"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (json_object_get(step, members[i]) != NULL && !carries_payload(step)) {
            const char *own = workflow_path(warning->reader->arena, path, members[i]);
            warn(warning, own == NULL ? path : own,
                 "GET, HEAD and DELETE carry no payload: put it into the path, or leave out ",
                 members[i]);
        }
    }
}

static void on_step(void *context, const json_t *step, const char *path)
{
    const struct workflow_warning *warning = context;
    const char *kind = json_string_value(json_object_get(step, "do"));
    warn_of_payload(warning, step, path);
    if (kind != NULL && strcmp(kind, "await") == 0) {
        const char *own = workflow_path(warning->reader->arena, path, "from");
        warn_of_filter(warning, own == NULL ? path : own,
                       json_string_value(json_object_get(step, "from")));
        own = workflow_path(warning->reader->arena, path, "key");
        warn_of_key(warning, own == NULL ? path : own,
                    json_string_value(json_object_get(step, "key")));
    }
}

// ---- variables ----------------------------------------------------------------------------------

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; *at != '\0'; at++) {
        bool is_begin = at == text || !is_word(at[-1]);
        if (is_begin && strncasecmp(at, word, len) == 0 && !is_word(at[len])) {
            return true;
        }
    }
    return false;
}

// What is sent without `fields` is all variables.
static bool sends_all(const json_t *step)
{
    static const char *const kinds[] = {"emit", "call", NULL};
    const char *kind = json_string_value(json_object_get(step, "do"));
    const char *payload = json_string_value(json_object_get(step, "payload"));
    return kind != NULL && name_is_among(kind, kinds) && carries_payload(step) &&
           json_object_get(step, "fields") == NULL &&
           (payload == NULL || strcmp(payload, "text") != 0);
}

// In any text below the value: names of members are no use of a variable.
static bool is_used(const json_t *value, const char *variable)
{
    const char *key;
    json_t *member;
    size_t index;
    if (json_is_string(value)) {
        return has_word(json_string_value(value), variable);
    }
    if (json_is_object(value) && sends_all(value)) {
        return true;
    }
    json_object_foreach((json_t *)value, key, member)
    {
        bool is_name = strcmp(key, "name") == 0 && json_is_string(member);
        if (!is_name && is_used(member, variable)) {
            return true;
        }
    }
    json_array_foreach((json_t *)value, index, member)
    {
        if (is_used(member, variable)) {
            return true;
        }
    }
    return false;
}

// The names that steps give values to: {"<name>": ...}.
static void gather_assigned(void *context, const json_t *step, const char *path)
{
    (void)path;
    json_object_update_missing(context, json_object_get(step, "take"));
    json_object_update_missing(context, json_object_get(step, "set"));
}

// "valve_1" and "valve_2" are two of a kind, and none is the other misspelt.
static bool is_sibling(const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    size_t a_len = strcspn(a, digits), b_len = strcspn(b, digits);
    return a_len == b_len && a[a_len] != '\0' && b[b_len] != '\0' && memcmp(a, b, a_len) == 0;
}

// The variable that `name` may be a misspelling of: one that is read, or declared with a value.
static const char *meant(const struct workflow_warning *warning, const char *name)
{
    const json_t *variables = json_object_get(warning->definition, "variables");
    const json_t *steps = json_object_get(warning->definition, "steps");
    const char **names =
        arena_alloc(warning->reader->arena, (json_object_size(variables) + 1) * sizeof(names[0]));
    const char *other;
    json_t *value;
    size_t count = 0;
    json_object_foreach((json_t *)variables, other, value)
    {
        bool is_one = strcmp(other, name) != 0 && (!json_is_null(value) || is_used(steps, other));
        if (names != NULL && is_one && !is_sibling(name, other)) {
            names[count++] = other;
        }
    }
    return names == NULL ? NULL : nearest_name(name, names);
}

// What steps fill and nothing reads is there for who looks at the instance (`pipit workflow show`),
// so nothing is said of it unless it looks like another's name. One that no step fills is told of.
static void warn_of_variable(const struct workflow_warning *warning, const char *name,
                             bool is_assigned)
{
    struct arena *arena = warning->reader->arena;
    const char *path = workflow_path(arena, "/variables", name), *near = meant(warning, name);
    const char *text =
        near == NULL ? name : arena_print(arena, "%s; did you mean '%s'?", name, near);
    if (path != NULL && text != NULL && (near != NULL || !is_assigned)) {
        warn(warning, path, "nothing uses the variable ", text);
    }
}

static void warn_of_variables(const struct workflow_warning *warning)
{
    const char *name;
    json_t *value, *assigned = json_object();
    const json_t *steps = json_object_get(warning->definition, "steps");
    workflow_json_steps(warning->reader->arena, warning->definition, gather_assigned, assigned);
    json_object_foreach(json_object_get(warning->definition, "variables"), name, value)
    {
        if (!is_used(steps, name)) {
            warn_of_variable(warning, name, json_object_get(assigned, name) != NULL);
        }
    }
    json_decref(assigned);
}

// ---- start --------------------------------------------------------------------------------------

// The names of those that steps run: {"<name>": true}.
static void gather_run(void *context, const json_t *step, const char *path)
{
    (void)path;
    const char *kind = json_string_value(json_object_get(step, "do"));
    const char *name = json_string_value(json_object_get(step, "workflow"));
    if (kind != NULL && strcmp(kind, "run") == 0 && name != NULL) {
        json_object_set_new(context, name, json_true());
    }
}

static json_t *gather_runs(struct arena *arena, const struct wired *wired)
{
    json_t *names = json_object();
    for (uint32_t i = 0; i < wired->config->core.workflow_count; i++) {
        workflow_json_steps(arena, wired->definitions[i], gather_run, names);
    }
    return names;
}

static void warn_of_start(const struct workflow_warning *warning)
{
    const char *name = warning->file->config.core.workflows[warning->workflow].name;
    const json_t *start = json_object_get(warning->definition, "start");
    if (start != NULL) {
        warn_of_filter(warning, "/start/from", json_string_value(json_object_get(start, "from")));
        warn_of_key(warning, "/start/key", json_string_value(json_object_get(start, "key")));
    } else if (json_object_get(warning->run, name) == NULL) {
        warn(warning, "", "it has no 'start', and no workflow runs it", "");
    }
}

void workflows_warn(struct reader *reader, const struct config_file *file,
                    const struct wired *wired)
{
    json_t *run = gather_runs(reader->arena, wired);
    for (uint32_t i = 0; i < file->config.core.workflow_count; i++) {
        const json_t *definition = wired->definitions[i];
        struct workflow_warning warning = {reader, file, wired, i, definition, run};
        warn_of_start(&warning);
        warn_of_variables(&warning);
        workflow_json_steps(reader->arena, definition, on_step, &warning);
    }
    json_decref(run);
    workflow_circles_tell(reader, file, wired, false);
}
