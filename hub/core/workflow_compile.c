#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/topic.h"
#include "core/workflow_compile_parts.h"

void compile_join(char out_path[WORKFLOW_PATH_MAX], const char *path, const char *member,
                  const char *item)
{
    const char *const names[] = {member, item};
    size_t len = (size_t)snprintf(out_path, WORKFLOW_PATH_MAX, "%s", path);
    len = len < WORKFLOW_PATH_MAX ? len : WORKFLOW_PATH_MAX - 1;
    for (size_t i = 0; i < 2 && names[i] != NULL; i++) {
        if (len + 1 < WORKFLOW_PATH_MAX) {
            out_path[len++] = '/';
        }
        for (const char *c = names[i]; *c != '\0' && len + 2 < WORKFLOW_PATH_MAX; c++) {
            bool is_escaped = *c == '~' || *c == '/'; // [RFC 6901 3]
            out_path[len++] = is_escaped ? '~' : *c;
            if (is_escaped) {
                out_path[len++] = *c == '~' ? '0' : '1';
            }
        }
    }
    out_path[len] = '\0';
}

enum err compile_fault(struct compiler *compiler, const char *path, const char *member,
                       const char *item)
{
    compile_join(compiler->fault->path, path, member, item);
    return ERR_CONFIG;
}

enum err compile_no_memory(struct compiler *compiler)
{
    return error_set(compiler->e, ERR_NO_MEMORY, "out of memory for a workflow");
}

void *compile_take(struct compiler *compiler, size_t count, size_t size)
{
    struct workflow_program *program = compiler->program;
    void **pieces =
        reallocarray(program->pieces, (size_t)program->piece_count + 1, sizeof(*pieces));
    if (pieces == NULL) {
        return NULL;
    }
    program->pieces = pieces;
    void *piece = calloc(count, size);
    if (piece != NULL) {
        pieces[program->piece_count++] = piece;
    }
    return piece;
}

// ---- the whole ----------------------------------------------------------------------------------

static enum err read_text(struct compiler *compiler, const char *text)
{
    json_error_t problem;
    if (strlen(text) > WORKFLOW_TEXT_MAX) {
        error_set(compiler->e, ERR_CONFIG, "the definition is longer than %d bytes",
                  WORKFLOW_TEXT_MAX);
        return compile_fault(compiler, "", NULL, NULL);
    }
    compiler->program->text = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (compiler->program->text == NULL && problem.text[0] == '\0') { // It says nothing else.
        return compile_no_memory(compiler);
    }
    if (compiler->program->text == NULL) {
        error_set(compiler->e, ERR_CONFIG, "the definition is no JSON: %s", problem.text);
        return compile_fault(compiler, "", NULL, NULL);
    }
    if (!json_is_object(compiler->program->text)) {
        error_set(compiler->e, ERR_CONFIG, "the definition is no JSON object");
        return compile_fault(compiler, "", NULL, NULL);
    }
    return ERR_OK;
}

// Before its members: a newer hub may have others.
static enum err check_format(struct compiler *compiler)
{
    const json_t *text = compiler->program->text;
    int64_t format = member_number(text, "format", WORKFLOW_FORMAT);
    if (format == WORKFLOW_FORMAT) {
        return compile_check_members(compiler, text, "", workflow_members);
    }
    error_set(compiler->e, ERR_CONFIG, "the definition's format is %lld, this hub reads %d",
              (long long)format, WORKFLOW_FORMAT);
    return compile_fault(compiler, "", "format", NULL);
}

static enum err check_start(struct compiler *compiler, const json_t *start)
{
    enum err rc = compile_check_members(compiler, start, "/start", workflow_start_members);
    const char *from = rc == ERR_OK ? member_text(start, "from") : NULL;
    const char *problem = from == NULL ? NULL : topic_filter_problem(bytes_from_text(from));
    if (problem != NULL) {
        error_set(compiler->e, ERR_CONFIG, "topic filter \"%.200s\" %s", from, problem);
        rc = compile_fault(compiler, "/start", "from", NULL);
    }
    return rc;
}

static enum err read_header(struct compiler *compiler)
{
    const json_t *text = compiler->program->text;
    const json_t *start = json_object_get(text, "start");
    struct workflow_definition *definition = compiler->definition;
    enum err rc = check_format(compiler);
    rc = rc == ERR_OK && start != NULL ? check_start(compiler, start) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    definition->name = member_text(text, "name");
    definition->filter = member_text(start, "from");
    definition->running =
        (enum workflow_running)member_choice(start, "running", workflow_running_names);
    definition->within_ms = member_number(text, "within", 0);
    definition->keep_ms = member_number(text, "keep", 0);
    definition->is_parking = member_choice(text, "failure", workflow_failure_names) == 1;
    return compile_check_name(compiler, definition->name, "", "name");
}

// Key and variables over the event; those without an expression begin as NULL.
static void draft_start(struct query_draft *draft, const json_t *text)
{
    static const struct query_part nothing = {.text = "NULL"};
    const struct workflow_definition *definition = draft->compiler->definition;
    const json_t *start = json_object_get(text, "start");
    draft->spec.filter = definition->filter;
    draft->spec.variables = NULL; // There is no instance yet.
    draft->spec.variable_count = 0;
    draft->spec.where = member_text(start, "where");
    if (start != NULL) {
        draft_add(draft, start, "key", false);
    } else {
        draft->parts[draft->spec.part_count++] = (struct query_part){"key", "my.key", false, false};
    }
    for (uint32_t i = 0; i < definition->variable_count; i++) {
        const char *name = definition->variables[i];
        uint32_t part = draft->spec.part_count++;
        draft->parts[part] = nothing;
        draft->parts[part].name = name;
        draft->places[part].member = name;
        const char *expression = member_text(json_object_get(text, "variables"), name);
        if (expression != NULL) {
            draft->parts[part].text = expression;
        }
    }
}

static enum err compile_start(struct compiler *compiler)
{
    struct workflow_definition *definition = compiler->definition;
    struct query_draft *draft = malloc(sizeof(*draft));
    if (draft == NULL) {
        return compile_no_memory(compiler);
    }
    bool is_run = definition->filter == NULL; // By others alone, which give the key.
    draft_init(draft, compiler, "/start", is_run ? QUERY_VARIABLES : QUERY_EVENT);
    draft_start(draft, compiler->program->text);
    uint32_t variables = definition->variable_count, part = 0;
    enum err rc = workflow_query_create(&definition->start, compiler->space, &draft->spec, &part,
                                        compiler->e);
    if (rc == ERR_CONFIG) {
        bool is_variable = part > 0 && part <= variables;
        rc = is_variable ? compile_fault(compiler, "/variables", draft->places[part].member, NULL)
                         : compile_fault(compiler, "/start", part == 0 ? "key" : "where", NULL);
    }
    free(draft);
    return rc;
}

static enum err compile_steps(struct compiler *compiler)
{
    struct workflow_definition *definition = compiler->definition;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < definition->step_count; i++) {
        rc = compile_step(compiler, &definition->steps[i], compiler->texts[i]);
    }
    return rc;
}

static enum err compile(struct compiler *compiler, const char *text)
{
    struct workflow_definition *definition = compiler->definition;
    enum err rc = read_text(compiler, text);
    rc = rc == ERR_OK ? read_header(compiler) : rc;
    rc = rc == ERR_OK ? compile_layout(compiler) : rc;
    rc = rc == ERR_OK ? compile_check_graph(compiler) : rc;
    rc = rc == ERR_OK ? compile_start(compiler) : rc;
    rc = rc == ERR_OK ? compile_steps(compiler) : rc;
    if (rc == ERR_OK) {
        struct workflow_step *fitting =
            realloc(definition->steps, definition->step_count * sizeof(*fitting));
        definition->steps = fitting == NULL ? definition->steps : fitting;
        workflow_version(text, definition->version);
    }
    return rc;
}

static enum err create(struct compiler *compiler, const char *text)
{
    struct workflow_definition *definition = compiler->definition;
    compiler->texts = calloc(WORKFLOW_STEPS_MAX, sizeof(compiler->texts[0]));
    compiler->lanes = calloc(WORKFLOW_STEPS_MAX, sizeof(compiler->lanes[0]));
    compiler->variables =
        compile_take(compiler, WORKFLOW_VARIABLES_MAX, sizeof(compiler->variables[0]));
    definition->variables = compiler->variables;
    definition->steps = calloc(WORKFLOW_STEPS_MAX, sizeof(definition->steps[0]));
    bool has_all = compiler->texts != NULL && compiler->lanes != NULL &&
                   compiler->variables != NULL && definition->steps != NULL;
    enum err rc = has_all ? compile(compiler, text) : compile_no_memory(compiler);
    free(compiler->texts);
    free(compiler->lanes);
    return rc;
}

enum err workflow_definition_create(struct workflow_definition **out_definition,
                                    struct rule_space *space, const char *text,
                                    struct workflow_fault *out_fault, struct error *e)
{
    struct workflow_fault own_fault;
    struct error own;
    struct compiler compiler = {.program = calloc(1, sizeof(*compiler.program)),
                                .space = space,
                                .fault = out_fault == NULL ? &own_fault : out_fault,
                                .e = e == NULL ? &own : e};
    compiler.fault->path[0] = '\0';
    if (compiler.program == NULL) {
        return compile_no_memory(&compiler);
    }
    compiler.definition = &compiler.program->definition;
    enum err rc = create(&compiler, text);
    if (rc == ERR_OK) {
        *out_definition = compiler.definition;
    } else {
        workflow_definition_destroy(compiler.definition);
    }
    return rc;
}

static void destroy_queries(const struct workflow_step *step)
{
    workflow_query_destroy(step->take);
    workflow_query_destroy(step->query);
    workflow_query_destroy(step->message.address);
    workflow_query_destroy(step->message.properties);
    workflow_query_destroy(step->message.fields);
    workflow_query_destroy(step->event_key);
    workflow_query_destroy(step->where);
    workflow_query_destroy(step->stop);
}

void workflow_definition_destroy(struct workflow_definition *definition)
{
    struct workflow_program *program = (struct workflow_program *)definition;
    if (program == NULL) {
        return;
    }
    for (uint32_t i = 0; i < definition->step_count && definition->steps != NULL; i++) {
        destroy_queries(&definition->steps[i]);
    }
    workflow_query_destroy(definition->start);
    free(definition->steps);
    for (uint32_t i = 0; i < program->piece_count; i++) {
        free(program->pieces[i]);
    }
    free(program->pieces);
    json_decref(program->text);
    free(program);
}
