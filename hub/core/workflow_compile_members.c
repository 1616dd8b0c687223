#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/option.h"
#include "core/topic.h"
#include "core/workflow_compile_parts.h"

const char *const workflow_running_names[] = {[RUNNING_IGNORE] = "ignore",
                                              [RUNNING_QUEUE] = "queue",
                                              [RUNNING_RESTART] = "restart",
                                              [RUNNING_PARALLEL] = "parallel",
                                              NULL};
const char *const workflow_offline_names[] = {
    [OFFLINE_WAIT] = "wait", [OFFLINE_SEND] = "send", [OFFLINE_FAIL] = "fail", NULL};
const char *const workflow_failure_names[] = {"undo", "park", NULL};
const char *const workflow_payload_names[] = {"json", "text", "pipit", "cbor", NULL};

#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

const struct member_spec workflow_members[] = {
    {"format", MEMBER_NUMBER, true, 0, NULL},
    {"name", MEMBER_TEXT, true, 0, NULL},
    {"start", MEMBER_OBJECT, false, 0, NULL},
    {"variables", MEMBER_EXPRESSIONS, false, 0, NULL},
    {"within", MEMBER_NUMBER, false, 0, NULL},
    {"failure", MEMBER_TEXT, false, 0, workflow_failure_names},
    {"keep", MEMBER_NUMBER, false, 0, NULL},
    {"steps", MEMBER_STEPS, true, 0, NULL},
    END};

const struct member_spec workflow_start_members[] = {
    {"from", MEMBER_TEXT, true, 0, NULL},
    {"where", MEMBER_TEXT, false, 0, NULL},
    {"key", MEMBER_TEXT, true, 0, NULL},
    {"running", MEMBER_TEXT, false, 0, workflow_running_names},
    END};

const struct member_spec workflow_retry_members[] = {
    {"attempts", MEMBER_NUMBER, false, WORKFLOW_ATTEMPTS_MAX, NULL},
    {"backoff", MEMBER_NUMBER, false, 0, NULL},
    {"backoff_max", MEMBER_NUMBER, false, 0, NULL},
    {"within", MEMBER_NUMBER, false, 0, NULL},
    {"errors", MEMBER_NAMES, false, 0, NULL},
    END};

#define MESSAGE                                                                                    \
    {"topic", MEMBER_TEXT, false, 0, NULL}, {"is_url", MEMBER_TRUTH, false, 0, NULL},              \
        {"payload", MEMBER_TEXT, false, 0, workflow_payload_names},                                \
        {"text", MEMBER_TEXT, false, 0, NULL}, {"type", MEMBER_TEXT, false, 0, NULL},              \
        {"fields", MEMBER_TEXTS, false, 0, NULL}, {"properties", MEMBER_TEXTS, false, 0, NULL},    \
        {"qos", MEMBER_NUMBER, false, 2, NULL},                                                    \
    {                                                                                              \
        "retain", MEMBER_TRUTH, false, 0, NULL                                                     \
    }

static const struct member_spec message_members[] = {
    {"to", MEMBER_TEXT, true, 0, NULL}, MESSAGE, END};
static const struct member_spec command_members[] = {
    {"to", MEMBER_TEXT, true, 0, NULL},
    {"device", MEMBER_TEXT, true, 0, NULL},
    {"command", MEMBER_TEXT, true, 0, NULL},
    {"fields", MEMBER_TEXTS, false, 0, NULL},
    {"expires", MEMBER_NUMBER, false, 0, NULL},
    {"offline", MEMBER_TEXT, false, 0, workflow_offline_names},
    END};
static const struct member_spec await_members[] = {
    {"from", MEMBER_TEXT, true, 0, NULL},    {"key", MEMBER_TEXT, true, 0, NULL},
    {"match", MEMBER_TEXT, false, 0, NULL},  {"where", MEMBER_TEXT, false, 0, NULL},
    {"keep", MEMBER_NUMBER, false, 0, NULL}, END};
static const struct member_spec sleep_members[] = {{"for", MEMBER_NUMBER, true, 0, NULL}, END};
static const struct member_spec until_members[] = {{"at", MEMBER_TEXT, true, 0, NULL}, END};
static const struct member_spec if_members[] = {{"when", MEMBER_TEXT, true, 0, NULL},
                                                {"then", MEMBER_STEPS, true, 0, NULL},
                                                {"else", MEMBER_STEPS, false, 0, NULL},
                                                END};
static const struct member_spec switch_members[] = {{"on", MEMBER_TEXT, true, 0, NULL},
                                                    {"cases", MEMBER_LISTS, true, 0, NULL},
                                                    {"default", MEMBER_STEPS, false, 0, NULL},
                                                    END};
static const struct member_spec parallel_members[] = {
    {"branches", MEMBER_LISTS, true, 0, NULL},
    {"wait", MEMBER_TEXT_OR_NUMBER, false, WORKFLOW_STEPS_MAX, NULL},
    END};
static const struct member_spec for_each_members[] = {
    {"in", MEMBER_TEXT, true, 0, NULL},
    {"as", MEMBER_TEXT, true, 0, NULL},
    {"at_once", MEMBER_NUMBER, false, WORKFLOW_AT_ONCE_MAX, NULL},
    {"wave", MEMBER_TRUTH, false, 0, NULL},
    {"stop", MEMBER_TEXT, false, 0, NULL},
    {"steps", MEMBER_STEPS, true, 0, NULL},
    END};
static const struct member_spec set_members[] = {{"set", MEMBER_TEXTS, true, 0, NULL}, END};
static const struct member_spec run_members[] = {{"workflow", MEMBER_TEXT, true, 0, NULL},
                                                 {"key", MEMBER_TEXT, true, 0, NULL},
                                                 {"with", MEMBER_TEXTS, false, 0, NULL},
                                                 {"wait", MEMBER_TRUTH, false, 0, NULL},
                                                 END};
static const struct member_spec end_members[] = {{"result", MEMBER_TEXTS, false, 0, NULL}, END};
static const struct member_spec fail_members[] = {{"reason", MEMBER_TEXT, true, 0, NULL}, END};
static const struct member_spec goto_members[] = {{"step", MEMBER_TEXT, true, 0, NULL}, END};

#define HAS_ATTEMPTS (HAS_WITHIN | HAS_RETRY | HAS_UNDO | HAS_ERROR)

const struct kind_spec workflow_kinds[STEP_KIND_COUNT] = {
    [STEP_EMIT] = {message_members, HAS_RETRY | HAS_UNDO | HAS_ERROR, false},
    [STEP_CALL] = {message_members, HAS_ATTEMPTS | HAS_TAKE, true},
    [STEP_COMMAND] = {command_members, HAS_ATTEMPTS | HAS_TAKE, true},
    [STEP_AWAIT] = {await_members, HAS_ATTEMPTS | HAS_TAKE, true},
    [STEP_SLEEP] = {sleep_members, HAS_UNDO | HAS_ERROR, true},
    [STEP_UNTIL] = {until_members, HAS_UNDO | HAS_ERROR, true},
    [STEP_IF] = {if_members, HAS_ERROR, false},
    [STEP_SWITCH] = {switch_members, HAS_ERROR, false},
    [STEP_PARALLEL] = {parallel_members, HAS_ATTEMPTS, true},
    [STEP_FOR_EACH] = {for_each_members, HAS_ATTEMPTS, true},
    [STEP_SET] = {set_members, HAS_UNDO | HAS_ERROR, false},
    [STEP_RUN] = {run_members, HAS_ATTEMPTS | HAS_TAKE, true},
    [STEP_END] = {end_members, HAS_ERROR, false},
    [STEP_FAIL] = {fail_members, HAS_ERROR, false},
    [STEP_GOTO] = {goto_members, 0, false},
};

static const struct {
    unsigned flag;
    struct member_spec member;
} common[] = {
    {0, {"name", MEMBER_TEXT, true, 0, NULL}},
    {0, {"do", MEMBER_TEXT, true, 0, step_kind_names}},
    {HAS_WITHIN, {"within", MEMBER_NUMBER, false, 0, NULL}},
    {HAS_RETRY, {"retry", MEMBER_OBJECT, false, 0, NULL}},
    {HAS_TAKE, {"take", MEMBER_TEXTS, false, 0, NULL}},
    {HAS_UNDO, {"undo", MEMBER_STEPS, false, 0, NULL}},
    {HAS_ERROR, {"on_error", MEMBER_STEPS, false, 0, NULL}},
};
#define COMMON_COUNT (sizeof(common) / sizeof(common[0]))

static bool is_number(const json_t *value, int64_t max)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           json_integer_value(value) <= (max == 0 ? WORKFLOW_MS_MAX : max);
}

static bool is_text(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) <= WORKFLOW_SQL_MAX;
}

static bool is_steps(const json_t *value)
{
    size_t index;
    json_t *step;
    bool is_good = json_is_array(value);
    json_array_foreach((json_t *)value, index, step)
    {
        is_good = is_good && json_is_object(step);
    }
    return is_good;
}

static bool is_object_of(const json_t *value, bool (*is_good_one)(const json_t *item),
                         bool may_be_null)
{
    const char *name;
    json_t *item;
    bool is_good = json_is_object(value);
    json_object_foreach((json_t *)value, name, item)
    {
        is_good = is_good && (is_good_one(item) || (may_be_null && json_is_null(item)));
    }
    return is_good;
}

static bool is_names(const json_t *value)
{
    size_t index;
    json_t *name;
    bool is_good = json_is_array(value);
    json_array_foreach((json_t *)value, index, name)
    {
        is_good = is_good && is_text(name);
    }
    return is_good;
}

static const char *type_problem(const json_t *value, const struct member_spec *spec)
{
    switch (spec->type) {
    case MEMBER_TEXT:
        return is_text(value) ? NULL : "has to be a text of at most 64 KB";
    case MEMBER_NUMBER:
        return is_number(value, spec->max) ? NULL : "is no whole number within its bounds";
    case MEMBER_TRUTH:
        return json_is_boolean(value) ? NULL : "has to be true or false";
    case MEMBER_TEXTS:
        return is_object_of(value, is_text, false) ? NULL : "has to hold texts by name";
    case MEMBER_EXPRESSIONS:
        return is_object_of(value, is_text, true) ? NULL : "has to hold expressions by name";
    case MEMBER_STEPS:
        return is_steps(value) ? NULL : "has to be a list of steps";
    case MEMBER_LISTS:
        return is_object_of(value, is_steps, false) ? NULL : "has to hold lists of steps by name";
    case MEMBER_OBJECT:
        return json_is_object(value) ? NULL : "has to be an object";
    case MEMBER_NAMES:
        return is_names(value) ? NULL : "has to be a list of names";
    case MEMBER_TEXT_OR_NUMBER:
        return is_text(value) || is_number(value, spec->max) ? NULL
                                                             : "has to be a name or a number";
    }
    return NULL;
}

static const char *choice_near(const char *text, const char *const *choices, bool *out_is_one)
{
    const char *near = nearest_name(text, choices);
    *out_is_one = false;
    for (uint32_t i = 0; choices[i] != NULL; i++) {
        *out_is_one = *out_is_one || strcmp(choices[i], text) == 0;
    }
    return near;
}

static enum err check_member(struct compiler *compiler, const json_t *object, const char *path,
                             const struct member_spec *spec)
{
    const json_t *value = json_object_get(object, spec->name);
    const char *problem = value == NULL ? NULL : type_problem(value, spec);
    if (value == NULL && spec->is_required) {
        error_set(compiler->e, ERR_CONFIG, "%s is missing", spec->name);
        return compile_fault(compiler, path, NULL, NULL);
    }
    if (problem != NULL) {
        error_set(compiler->e, ERR_CONFIG, "%s %s", spec->name, problem);
        return compile_fault(compiler, path, spec->name, NULL);
    }
    bool is_one = true;
    const char *near = value == NULL || spec->choices == NULL
                           ? NULL
                           : choice_near(json_string_value(value), spec->choices, &is_one);
    if (is_one) {
        return ERR_OK;
    }
    error_set(compiler->e, ERR_CONFIG, "%s cannot be \"%.100s\"%s%s%s", spec->name,
              json_string_value(value), near == NULL ? "" : " (did you mean \"",
              near == NULL ? "" : near, near == NULL ? "" : "\"?)");
    return compile_fault(compiler, path, spec->name, NULL);
}

static bool is_member(const struct member_spec *specs, const char *name)
{
    while (specs->name != NULL && strcmp(specs->name, name) != 0) {
        specs++;
    }
    return specs->name != NULL;
}

static enum err unknown_member(struct compiler *compiler, const char *path, const char *name)
{
    error_set(compiler->e, ERR_CONFIG, "\"%.100s\" is not known here", name);
    return compile_fault(compiler, path, name, NULL);
}

enum err compile_check_members(struct compiler *compiler, const json_t *object, const char *path,
                               const struct member_spec *specs)
{
    enum err rc = ERR_OK;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (rc == ERR_OK && !is_member(specs, name)) {
            rc = unknown_member(compiler, path, name);
        }
    }
    for (; rc == ERR_OK && specs->name != NULL; specs++) {
        rc = check_member(compiler, object, path, specs);
    }
    return rc;
}

static bool is_common(unsigned flags, const char *name)
{
    for (size_t i = 0; i < COMMON_COUNT; i++) {
        bool is_there = common[i].flag == 0 || (flags & common[i].flag) != 0;
        if (is_there && strcmp(common[i].member.name, name) == 0) {
            return true;
        }
    }
    return false;
}

enum err compile_check_step(struct compiler *compiler, const json_t *object, const char *path,
                            enum step_kind *out_kind)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < COMMON_COUNT; i++) {
        rc = check_member(compiler, object, path, &common[i].member);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    enum step_kind kind = (enum step_kind)member_choice(object, "do", step_kind_names);
    const struct kind_spec *spec = &workflow_kinds[kind];
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (rc == ERR_OK && !is_common(spec->common, name) && !is_member(spec->members, name)) {
            rc = unknown_member(compiler, path, name);
        }
    }
    for (const struct member_spec *member = spec->members; rc == ERR_OK && member->name != NULL;
         member++) {
        rc = check_member(compiler, object, path, member);
    }
    if (rc == ERR_OK) {
        *out_kind = kind;
    }
    return rc;
}

enum err compile_check_name(struct compiler *compiler, const char *name, const char *path,
                            const char *member)
{
    struct bytes text = bytes_from_text(name), level, rest = text;
    const char *problem = text.len == 0                  ? "is empty"
                          : text.len > WORKFLOW_NAME_MAX ? "is longer than 128 bytes"
                                                         : topic_problem(text);
    if (problem == NULL && (!topic_next_level(&rest, &level) || rest.ptr != NULL)) {
        problem = "holds a slash";
    }
    if (problem == NULL) {
        return ERR_OK;
    }
    error_set(compiler->e, ERR_CONFIG, "the name \"%.100s\" %s", name, problem);
    return compile_fault(compiler, path, member, NULL);
}

const char *member_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

int64_t member_number(const json_t *object, const char *name, int64_t missing)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : missing;
}

bool member_truth(const json_t *object, const char *name, bool missing)
{
    const json_t *value = json_object_get(object, name);
    return value == NULL ? missing : json_is_true(value);
}

uint32_t member_choice(const json_t *object, const char *name, const char *const *choices)
{
    const char *text = member_text(object, name);
    for (uint32_t i = 0; text != NULL && choices[i] != NULL; i++) {
        if (strcmp(choices[i], text) == 0) {
            return i;
        }
    }
    return 0;
}
