#include "config/workflow_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/part_workflow.h"
#include "core/core.h"

struct examination {
    struct reader *reader;
    const struct config_file *file;
    uint32_t workflow; // At hand.
};

// The member of a list or object.
static const json_t *member_of(const json_t *value, const char *name)
{
    return json_is_array(value) ? json_array_get(value, strtoul(name, NULL, 10))
                                : json_object_get(value, name);
}

// What the pointer leads to, for people: "step reserve: fields: user: ".
static void place_text(const json_t *definition, const char *path, char *out_text, size_t size)
{
    const json_t *value = definition;
    char part[WORKFLOW_PATH_MAX];
    size_t at = 0;
    out_text[0] = '\0';
    while (value != NULL && *path == '/' && at < size) {
        size_t len = strcspn(path + 1, "/");
        snprintf(part, sizeof(part), "%.*s", (int)len, path + 1);
        bool is_item = json_is_array(value);
        bool is_path = strcmp(part, "topic") == 0 && json_object_get(value, "is_url") != NULL;
        value = member_of(value, part);
        path += 1 + len;
        if (json_object_get(value, "do") != NULL) { // What is around a step is of no interest.
            at = (size_t)snprintf(out_text, size,
                                  "step %s: ", json_string_value(json_object_get(value, "name")));
        } else if (!is_item) {
            at += (size_t)snprintf(out_text + at, size - at,
                                   "%s: ", is_path ? "path" : workflow_option_of(part));
        }
    }
}

static void on_fault(void *context, uint32_t index, const char *path, const struct error *fault)
{
    const struct examination *examination = context;
    const struct config_file *file = examination->file;
    const struct workflow_spec *spec = &file->config.core.workflows[index];
    struct position at =
        workflow_map_locate(file->workflow_maps[index], file->document, path, fault->offset);
    json_t *definition = json_loads(spec->definition, 0, NULL);
    char place[300] = "";
    if (strncmp(fault->text, "step ", strlen("step ")) != 0) { // It says itself which.
        place_text(definition, path, place, sizeof(place));
    }
    json_decref(definition);
    reader_problem(examination->reader, at, "workflow %s: %s%s", spec->name, place, fault->text);
}

// What a step that commands a device has to hear of it.
static void check_command(void *context, const json_t *step, const char *path)
{
    const struct examination *examination = context;
    const struct config_file *file = examination->file;
    const char *offline = json_string_value(json_object_get(step, "offline"));
    const char *kind = json_string_value(json_object_get(step, "do"));
    if (kind == NULL || strcmp(kind, "command") != 0) {
        return;
    }
    struct position at =
        workflow_map_locate(file->workflow_maps[examination->workflow], file->document, path, -1);
    const char *name = file->config.core.workflows[examination->workflow].name;
    const char *step_name = json_string_value(json_object_get(step, "name"));
    if (!wired_is_heard(&file->config, "pipit/v1/+/+/reply/#")) {
        reader_problem(examination->reader, at,
                       "workflow %s: step %s: no source hears the device's reply; subscribe one to "
                       "\"pipit/v1/+/+/reply/#\"",
                       name, step_name);
    }
    if (offline != NULL && strcmp(offline, "send") != 0 &&
        !wired_is_heard(&file->config, "pipit/v1/+/+/status")) {
        reader_problem(examination->reader, at,
                       "workflow %s: step %s: no source hears whether the device is online; "
                       "subscribe one to \"pipit/v1/+/+/status\", or say offline: send",
                       name, step_name);
    }
}

static void check_commands(struct examination *examination, const struct wired *wired)
{
    for (uint32_t i = 0; i < wired->config->core.workflow_count; i++) {
        examination->workflow = i;
        workflow_json_steps(examination->reader->arena, wired->definitions[i], check_command,
                            examination);
    }
}

enum err workflows_examine(struct reader *reader, const struct config_file *file, bool has_rules,
                           struct error *e)
{
    struct examination examination = {.reader = reader, .file = file};
    struct wired wired;
    if (file->config.core.workflow_count == 0) {
        return ERR_OK;
    }
    bool is_ready = wired_init(&wired, reader->arena, &file->config);
    if (is_ready) {
        check_commands(&examination, &wired);
        workflow_circles_tell(reader, file, &wired, true); // What rules make of events is not sure.
    }
    wired_deinit(&wired);
    if (!is_ready) {
        return error_set(e, ERR_NO_MEMORY, "%s: out of memory", file->config.path);
    }
    return core_check_workflows(&file->config.core, has_rules, on_fault, &examination, e);
}
