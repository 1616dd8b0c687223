// part_workflow_send.c - steps that send: emit, call, command. What their target takes is said by
// its connector's options of a route.
#include <stdlib.h>
#include <string.h>

#include "config/part_workflow.h"
#include "core/address.h"

const struct option_spec step_message_options[] = {
    {"to", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The target; of `emit` also `rules`: an event for the hub itself. `emit` needs none where the "
     "configuration has one MQTT target."},
    {"payload", OPTION_ENUM, false, "json", 0, 0, "json|text|pipit|cbor",
     "What is sent: `json` and `cbor` the fields, `text` the template in `text`, `pipit` a Pipit "
     "event of the fields."},
    {"text", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Template for `payload: text`; `{expression}` is replaced by its value."},
    {"type", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Template of the event type for `payload: pipit`. Without it the workflow's name."},
    {NULL},
};

const struct option_spec step_command_options[] = {
    {"to", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The MQTT target that the device is connected to; not needed where there is only one."},
    {"device", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "SQL expression that gives the device, `<group>/<device>`."},
    {"name", OPTION_TEXT, true, NULL, 0, 0, NULL, "Template of the command's name."},
    {"expires", OPTION_DURATION, false, NULL, 1, 366 * WORKFLOW_DAY_MS, NULL,
     "A device with a clock does not begin it later than this after the attempt began, and a "
     "broker of MQTT 5 does not hand it out later."},
    {"offline", OPTION_ENUM, false, "wait", 0, 0, "wait|send|fail",
     "What is done for a device that is known to be offline: `wait` until it is online, as long as "
     "`within` says, `send` all the same, or `fail` with `offline`."},
    {NULL},
};

// NULL: there is none.
static const struct config_target *target_named(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->target_count; i++) {
        if (strcmp(config->targets[i].name, name) == 0) {
            return &config->targets[i];
        }
    }
    return NULL;
}

static bool is_mqtt(const struct config_target *target)
{
    return target->type != NULL && strcmp(target->type->name, "mqtt") == 0;
}

// The one MQTT target; NULL: there is none, or more.
static const struct config_target *target_only(const struct config *config)
{
    const struct config_target *found = NULL;
    for (uint32_t i = 0; i < config->target_count; i++) {
        if (is_mqtt(&config->targets[i])) {
            if (found != NULL) {
                return NULL;
            }
            found = &config->targets[i];
        }
    }
    return found;
}

// With "rules" where the step may send to them.
static const char *target_hint(struct workflow_step_part *step, const char *name, bool has_rules)
{
    const struct config *config = &step->part->builder->file->config;
    const char **names = arena_alloc(step->part->builder->file->arena,
                                     (config->target_count + 2) * sizeof(names[0]));
    uint32_t count = 0;
    for (uint32_t i = 0; names != NULL && i < config->target_count; i++) {
        names[count++] = config->targets[i].name;
    }
    if (names != NULL && has_rules) {
        names[count++] = TARGET_RULES;
    }
    const char *hint =
        names == NULL ? NULL : reader_hint(&step->part->builder->reader, name, names);
    return hint == NULL ? "" : hint;
}

bool workflow_target_takes(const struct config *config, const char *option)
{
    bool takes = option_find(route_to_rules_options, option) != NULL;
    for (uint32_t i = 0; i < config->target_count; i++) {
        const struct connector_type *type = config->targets[i].type;
        takes = takes || (type != NULL && type->route_options != NULL &&
                          option_find(type->route_options, option) != NULL);
    }
    return takes;
}

enum send_kind { SEND_EMIT, SEND_CALL, SEND_COMMAND };

// Who gets it. *out_target NULL: the rules. False after a reported problem.
static bool target_find(struct workflow_step_part *step, enum send_kind kind,
                        const struct config_target **out_target)
{
    struct reader *reader = &step->part->builder->reader;
    const struct config *config = &step->part->builder->file->config;
    const struct node *to = node_get(step->inner, "to");
    if (to == NULL) {
        *out_target = kind == SEND_CALL ? NULL : target_only(config);
        bool is_misplaced = node_get(step->node, "to") != NULL; // That has been told.
        if (*out_target == NULL && !is_misplaced) {
            reader_problem(reader, step->inner->key->at, "%s: 'to', the target, is missing%s",
                           step->inner_what, target_hint(step, "", kind == SEND_EMIT));
        }
        return *out_target != NULL;
    }
    if (to->kind != NODE_TEXT || node_is_empty(to)) {
        return false; // The reader will report it.
    }
    *out_target = target_named(config, to->text);
    if (*out_target == NULL && kind == SEND_EMIT && strcmp(to->text, TARGET_RULES) == 0) {
        return true;
    }
    if (*out_target == NULL) {
        reader_problem(reader, to->at, "%s: there is no target '%.80s'%s", step->inner_what,
                       to->text, target_hint(step, to->text, kind == SEND_EMIT));
        return false;
    }
    if (kind == SEND_COMMAND && (*out_target)->type != NULL && !is_mqtt(*out_target)) {
        reader_problem(reader, to->at, "%s: target %s is no MQTT broker, which devices are at",
                       step->inner_what, to->text);
        return false;
    }
    return (*out_target)->type != NULL; // Else it has been reported itself.
}

static void uses_check(struct workflow_step_part *step)
{
    static const struct {
        const char *option, *payload;
    } uses[] = {{"text", "text"}, {"type", "pipit"}};
    const char *payload = json_string_value(json_object_get(step->json, "payload"));
    for (size_t i = 0; i < 2; i++) {
        const struct node *node = node_get(step->inner, uses[i].option);
        if (node != NULL && payload != NULL && strcmp(payload, uses[i].payload) != 0) {
            reader_problem(&step->part->builder->reader, node->key->at,
                           "%s: '%s' needs payload: %s", step->inner_what, uses[i].option,
                           uses[i].payload);
        }
    }
    const struct node *fields = node_get(step->inner, "fields");
    if (payload != NULL && strcmp(payload, "text") == 0) {
        if (node_get(step->inner, "text") == NULL) {
            reader_problem(&step->part->builder->reader, step->inner->key->at,
                           "%s: payload: text needs 'text', its template", step->inner_what);
        }
        if (fields != NULL) {
            reader_problem(&step->part->builder->reader, fields->key->at,
                           "%s: 'fields' does nothing for payload: text", step->inner_what);
        }
    }
}

// The first wildcard outside of {expressions}; '\0': none.
static char wildcard_in(const char *topic)
{
    uint32_t depth = 0;
    for (; *topic != '\0'; topic++) {
        depth += *topic == '{';
        depth -= *topic == '}' && depth > 0;
        if (depth == 0 && (*topic == '+' || *topic == '#')) {
            return *topic;
        }
    }
    return '\0';
}

static void topic_put(struct workflow_step_part *step)
{
    struct builder *builder = step->part->builder;
    const struct node *node = node_get(step->inner, "topic");
    if (node == NULL || node->kind != NODE_TEXT || node_is_empty(node)) {
        return;
    }
    const char *text = reader_text(&builder->reader, node, step->inner_what);
    if (text == NULL) {
        return;
    }
    char wildcard = wildcard_in(text);
    if (wildcard != '\0') {
        reader_problem(&builder->reader, node->at,
                       "%s: topic: '%s' holds the wildcard %c, which no message is published on",
                       step->inner_what, text, wildcard);
    }
    workflow_put(step->part, step->json, "topic", json_string(text));
    workflow_map_add(step->part->map, workflow_path(builder->file->arena, step->path, "topic"),
                     node, 0);
}

// Expressions are taken for a letter; those that hold texts are left to the compiler.
static const char *address_fault(struct arena *arena, const char *template)
{
    char *text = arena_alloc(arena, strlen(template) + 1);
    size_t len = 0;
    for (const char *at = template; text != NULL && *at != '\0'; at++) {
        bool is_expression = *at == '{' && at[1] != '{' && strchr(at, '}') != NULL;
        at = is_expression ? strchr(at, '}') : at;
        text[len++] = is_expression ? 'x' : *at;
    }
    bool is_plain = text != NULL && strpbrk(template, "'\"") == NULL;
    return is_plain ? address_problem(bytes_of(text, len)) : NULL;
}

// "<METHOD> <path>", see core/address.h; values are percent-encoded.
static void url_put(struct workflow_step_part *step, const struct options *options)
{
    struct builder *builder = step->part->builder;
    struct arena *arena = builder->file->arena;
    const struct node *node = node_get(step->inner, "path");
    bool is_text = node != NULL && node->kind == NODE_TEXT && !node_is_empty(node);
    const char *method = option_text(options, "method");
    const char *path = is_text ? reader_text(&builder->reader, node, step->inner_what) : NULL;
    const char *topic = path == NULL ? method : arena_print(arena, "%s %s", method, path);
    const char *problem = topic == NULL ? NULL : address_fault(arena, topic);
    if (problem != NULL) {
        reader_problem(&builder->reader, node == NULL ? step->inner->at : node->at,
                       "%s: path: the address '%s' %s", step->inner_what, topic, problem);
    }
    workflow_put(step->part, step->json, "topic", json_string(topic == NULL ? "" : topic));
    workflow_put(step->part, step->json, "is_url", json_true());
    if (node != NULL) {
        workflow_map_add(step->part->map, workflow_path(arena, step->path, "topic"), node,
                         (uint32_t)strlen(method) + 1);
    }
}

static void address_put(struct workflow_step_part *step, const struct config_target *target,
                        const struct options *options)
{
    const struct option_spec *table = options_table(options);
    if (target != NULL && target->type->is_url) {
        url_put(step, options);
    } else if (option_find(table, "topic") != NULL) {
        topic_put(step);
    }
    if (option_find(table, "qos") != NULL) {
        workflow_put(step->part, step->json, "qos", json_integer(option_int(options, "qos")));
    }
    if (option_find(table, "retain") != NULL && option_bool(options, "retain")) {
        workflow_put(step->part, step->json, "retain", json_true());
    }
}

static void properties_put(struct workflow_step_part *step)
{
    struct reader *reader = &step->part->builder->reader;
    struct arena *arena = step->part->builder->file->arena;
    const struct node *section = node_get(step->inner, "properties");
    const char *what = arena_print(arena, "%s: properties", step->inner_what);
    const char *path = workflow_path(arena, step->path, "properties");
    if (section == NULL || what == NULL || path == NULL ||
        !reader_mapping(reader, section, what, false)) {
        return;
    }
    if (section->count > ROUTE_PROPERTIES_MAX) {
        reader_problem(reader, section->at, "%s: %u of them; at most %d are possible", what,
                       section->count, ROUTE_PROPERTIES_MAX);
        return;
    }
    json_t *object = json_object();
    for (const struct node *node = section->first; object != NULL && node != NULL;
         node = node->next) {
        const char *problem = property_problem(node->key->text);
        const char *value = reader_text(reader, node, what);
        if (problem != NULL) {
            reader_problem(reader, node->key->at, "%s: the name '%.80s' %s", what, node->key->text,
                           problem);
        } else if (value != NULL) {
            workflow_put(step->part, object, node->key->text, json_string(value));
            workflow_map_add(step->part->map, workflow_path(arena, path, node->key->text), node, 0);
        }
    }
    workflow_put(step->part, step->json, "properties", object);
}

static void fields_put(struct workflow_step_part *step)
{
    json_t *fields = workflow_expressions(step, node_get(step->inner, "fields"), "fields", false);
    if (fields != NULL) {
        workflow_put(step->part, step->json, "fields", fields);
    }
}

static void message_put(struct workflow_step_part *step, const struct config_target *target,
                        const struct options *message, const struct options *address)
{
    workflow_put(step->part, step->json, "to",
                 json_string(target == NULL ? TARGET_RULES : target->name));
    workflow_put_options(step, step->inner, message);
    address_put(step, target, address);
    fields_put(step);
    properties_put(step);
    if (target != NULL) {
        properties_check(step->part->builder, node_get(step->inner, "properties"), step->inner_what,
                         target->type);
    }
    uses_check(step);
}

static void message_build(struct workflow_step_part *step, enum send_kind kind)
{
    static const struct option_spec none[] = {{NULL}};
    static const char *const others[] = {"fields", "properties", NULL};
    const struct config_target *target = NULL;
    const struct option_spec *table = route_to_rules_options;
    struct builder *builder = step->part->builder;
    if (!reader_mapping(&builder->reader, step->inner, step->inner_what, false) ||
        !target_find(step, kind, &target)) {
        return;
    }
    if (target != NULL) {
        table = target->type->route_options == NULL ? none : target->type->route_options;
    }
    struct options *message = options_make(builder, step_message_options);
    struct options *address = options_make(builder, table);
    if (message != NULL && address != NULL) {
        struct shape shape = {step->inner_what,   {address, message}, others, true,
                              workflow_step_keys, step->node};
        reader_options(&builder->reader, step->inner, &shape);
        message_put(step, target, message, address);
    }
    options_destroy(message);
    options_destroy(address);
}

void step_emit_build(struct workflow_step_part *step)
{
    message_build(step, SEND_EMIT);
}

void step_call_build(struct workflow_step_part *step)
{
    message_build(step, SEND_CALL);
}

void step_command_build(struct workflow_step_part *step)
{
    static const char *const others[] = {"fields", NULL};
    const struct config_target *target = NULL;
    struct options *options =
        workflow_options_read(step, step->inner, step_command_options, others);
    if (options != NULL && step->inner->kind == NODE_MAPPING &&
        target_find(step, SEND_COMMAND, &target)) {
        workflow_put(step->part, step->json, "to", json_string(target->name));
        workflow_put_options(step, step->inner, options);
        fields_put(step);
    }
    options_destroy(options);
}
