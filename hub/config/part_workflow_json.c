// part_workflow_json.c - members of a definition, made of what the file says.
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/part_workflow.h"

#define EXPRESSION_BYTES_MAX 65536

void workflow_put(struct workflow_part *part, json_t *object, const char *name, json_t *take_value)
{
    if (json_object_set_new(object, name, take_value) != 0) {
        part->builder->is_out_of_memory = true;
    }
}

// Options that are SQL: what is written, without anything replaced. The others are texts.
static const char *const expressions[] = {"where", "key",    "match",    "device", "until",
                                          "if",    "switch", "for_each", "stop",   NULL};

// Options that a definition calls differently.
static const struct {
    const char *option, *member;
} renamed[] = {
    {"sleep", "for"},   {"until", "at"},    {"if", "when"},   {"switch", "on"},
    {"for_each", "in"}, {"fail", "reason"}, {"goto", "step"}, {"name", "command"},
};

static const char *member_of(const char *option)
{
    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
        if (strcmp(renamed[i].option, option) == 0) {
            return renamed[i].member;
        }
    }
    return option;
}

const char *workflow_option_of(const char *member)
{
    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
        if (strcmp(renamed[i].member, member) == 0) {
            return renamed[i].option;
        }
    }
    return member;
}

// An expression, without the space behind it. NULL after a reported problem.
static json_t *sql_of(struct workflow_part *part, const struct node *node, const char *what)
{
    struct reader *reader = &part->builder->reader;
    if (node->kind != NODE_TEXT) {
        reader_problem(reader, node->at, "%s: must be an SQL expression, not %s", what,
                       node_kind_name(node));
        return NULL;
    }
    size_t len = strlen(node->text);
    while (len > 0 && isspace((unsigned char)node->text[len - 1])) {
        len--;
    }
    if (len > EXPRESSION_BYTES_MAX) {
        reader_problem(reader, node->at, "%s: longer than %d bytes", what, EXPRESSION_BYTES_MAX);
        return NULL;
    }
    json_t *json =
        node_is_empty(node) || len == 0 ? json_string("NULL") : json_stringn(node->text, len);
    part->builder->is_out_of_memory |= json == NULL;
    return json;
}

static json_t *text_of(struct workflow_step_part *step, const struct node *node,
                       const struct options *options, const char *option)
{
    const char *default_text = option_text(options, option);
    if (node == NULL) {
        return json_string(default_text);
    }
    const char *what = arena_print(step->part->builder->file->arena, "%s: %s", step->what, option);
    if (what == NULL || node->kind != NODE_TEXT || node_is_empty(node)) {
        return NULL; // The reader has reported it.
    }
    if (name_is_among(option, expressions)) {
        return sql_of(step->part, node, what);
    }
    const char *text = reader_text(&step->part->builder->reader, node, what);
    return text == NULL ? NULL : json_string(text);
}

static json_t *value_of(struct workflow_step_part *step, const struct node *node,
                        const struct options *options, const struct option_spec *row)
{
    switch (row->type) {
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return json_integer(option_int(options, row->name));
    case OPTION_BOOL:
        return json_boolean(option_bool(options, row->name));
    case OPTION_ENUM:
        return json_string(option_text(options, row->name));
    default:
        return text_of(step, node, options, row->name);
    }
}

void workflow_put_options(struct workflow_step_part *step, const struct node *node,
                          const struct options *options)
{
    struct arena *arena = step->part->builder->file->arena;
    for (const struct option_spec *row = options_table(options); row->name != NULL; row++) {
        if (option_text(options, row->name) == NULL) {
            continue;
        }
        const char *name = member_of(row->name);
        const struct node *member = node_get(node, row->name);
        json_t *value = value_of(step, member, options, row);
        if (value == NULL) {
            continue; // Reported.
        }
        workflow_put(step->part, step->json, name, value);
        if (member != NULL) {
            workflow_map_add(step->part->map, workflow_path(arena, step->path, name), member, 0);
        }
    }
}

struct options *workflow_options_read(struct workflow_step_part *step, const struct node *node,
                                      const struct option_spec *table, const char *const *others)
{
    struct options *options = options_make(step->part->builder, table);
    if (options != NULL) {
        bool is_kind = node == step->inner && node != step->node;
        const char *const *beside = is_kind ? workflow_step_keys : NULL;
        struct shape shape = {step->inner_what,           {options, NULL}, others, true, beside,
                              is_kind ? step->node : NULL};
        reader_options(&step->part->builder->reader, node, &shape);
    }
    return options;
}

static bool is_identifier(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 64 || isdigit((unsigned char)name[0])) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && name[i] != '_') {
            return false;
        }
    }
    return true;
}

// Whatever its case; NULL: there is none.
static const char *variable_like(const struct workflow_part *part, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach(part->variables, key, value)
    {
        if (strcasecmp(key, name) == 0) {
            return key;
        }
    }
    return NULL;
}

void workflow_variable_add(struct workflow_part *part, const struct node *name, const char *what)
{
    struct reader *reader = &part->builder->reader;
    if (!is_identifier(name->text)) {
        reader_problem(reader, name->at,
                       "%s: variable '%.80s': must be 1 to 64 letters, digits or '_', and no digit "
                       "first",
                       what, name->text);
        return;
    }
    const char *other = variable_like(part, name->text);
    if (other != NULL && strcmp(other, name->text) != 0) {
        reader_problem(reader, name->at,
                       "%s: variable '%s': '%s' is there, too, and SQL takes them for the same",
                       what, name->text, other);
    }
    if (other != NULL) {
        return;
    }
    if (json_object_size(part->variables) == WORKFLOW_VARIABLES_MAX) {
        reader_problem(reader, name->at, "%s: variable '%s': at most %d are possible", part->what,
                       name->text, WORKFLOW_VARIABLES_MAX);
        return;
    }
    workflow_put(part, part->variables, name->text, json_null());
    const char *own = workflow_path(part->builder->file->arena, "/variables", name->text);
    workflow_map_add(part->map, own, name, 0);
}

// One name and its expression.
static void expression_put(struct workflow_step_part *step, const struct node *node,
                           const char *what, const char *path, json_t *object)
{
    struct arena *arena = step->part->builder->file->arena;
    const char *own = arena_print(arena, "%s: %s", what, node->key->text);
    json_t *sql = own == NULL ? NULL : sql_of(step->part, node, own);
    if (sql != NULL) {
        workflow_put(step->part, object, node->key->text, sql);
        workflow_map_add(step->part->map, workflow_path(arena, path, node->key->text), node, 0);
    }
}

json_t *workflow_expressions(struct workflow_step_part *step, const struct node *mapping,
                             const char *name, bool is_variables)
{
    struct reader *reader = &step->part->builder->reader;
    struct arena *arena = step->part->builder->file->arena;
    const char *what = arena_print(arena, "%s: %s", step->what, name);
    const char *path = workflow_path(arena, step->path, name);
    if (mapping == NULL || what == NULL || path == NULL) {
        return NULL;
    }
    if (!reader_mapping(reader, mapping, what, true) && !node_is_empty(mapping)) {
        return NULL;
    }
    json_t *object = json_object();
    for (const struct node *node = mapping->first; node != NULL && object != NULL;
         node = node->next) {
        if (is_variables) {
            workflow_variable_add(step->part, node->key, what);
        }
        expression_put(step, node, what, path, object);
    }
    workflow_map_add(step->part->map, path, mapping, 0);
    step->part->builder->is_out_of_memory |= object == NULL;
    return object;
}
