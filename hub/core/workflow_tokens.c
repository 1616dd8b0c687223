// workflow_tokens.c - the tokens of an instance, in memory and as text: an array of arrays of
// numbers in the order of `members`, then the scope, the items of a for_each and the failure, as
// far as there are any.
#include <stdlib.h>
#include <string.h>

#include "core/workflow_rows.h"

// Numbers of a token as the text has them.
enum member {
    TOKEN_ID,
    TOKEN_PARENT,
    TOKEN_BRANCH,
    TOKEN_STEP,
    TOKEN_EXECUTION,
    TOKEN_ATTEMPT,
    TOKEN_PHASE,
    TOKEN_ARRIVED,
    TOKEN_DEADLINE,
    TOKEN_DELIVERY,
    TOKEN_SENT,
    TOKEN_TOTAL,
    TOKEN_BEGUN,
    TOKEN_DONE,
    TOKEN_FAILED,
    TOKEN_NUMBERS
};

enum err workflow_token_add(struct workflow_instance *instance, workflow_place step,
                            struct workflow_token **out_token, struct error *e)
{
    if (instance->token_count == instance->token_capacity) {
        uint32_t capacity = instance->token_capacity == 0 ? 1 : 2 * instance->token_capacity;
        struct workflow_token *tokens = reallocarray(instance->tokens, capacity, sizeof(tokens[0]));
        if (tokens == NULL) {
            return error_set(e, ERR_NO_MEMORY, "out of memory for %u branches", capacity);
        }
        instance->tokens = tokens;
        instance->token_capacity = capacity;
    }
    struct workflow_token *token = &instance->tokens[instance->token_count++];
    *token = (struct workflow_token){.id = instance->next_token++, .step = step, .attempt = 1};
    *out_token = token;
    return ERR_OK;
}

struct workflow_token *workflow_token_find(const struct workflow_instance *instance, uint32_t id)
{
    for (uint32_t i = 0; i < instance->token_count; i++) {
        if (instance->tokens[i].id == id && !instance->tokens[i].is_gone) {
            return &instance->tokens[i];
        }
    }
    return NULL;
}

bool workflow_token_has_left(const struct workflow_instance *instance,
                             const struct workflow_token *token)
{
    return instance->state == INSTANCE_PARKED && token->phase == TOKEN_READY;
}

struct workflow_token *workflow_token_of(const struct workflow_instance *instance,
                                         uint32_t execution)
{
    for (uint32_t i = 0; i < instance->token_count; i++) {
        if (instance->tokens[i].execution == execution && !instance->tokens[i].is_gone) {
            return &instance->tokens[i];
        }
    }
    return NULL;
}

const json_t *workflow_token_scope(const struct workflow_instance *instance,
                                   const struct workflow_token *token)
{
    for (uint32_t depth = 0; token != NULL && depth <= WORKFLOW_DEPTH_MAX; depth++) {
        if (token->scope != NULL || token->parent == 0) {
            return token->scope;
        }
        token = workflow_token_find(instance, token->parent);
    }
    return NULL;
}

const json_t *workflow_token_failure(const struct workflow_instance *instance,
                                     const struct workflow_token *token)
{
    for (uint32_t depth = 0; token != NULL && depth <= WORKFLOW_DEPTH_MAX; depth++) {
        if (token->failure != NULL || token->parent == 0) {
            return token->failure;
        }
        token = workflow_token_find(instance, token->parent);
    }
    return NULL;
}

bool workflow_token_fail(struct workflow_token *token, const char *error, const char *reason)
{
    json_decref(token->failure);
    token->failure = json_pack("[s, s]", error, reason == NULL ? "" : reason);
    return token->failure != NULL;
}

void workflow_token_clear(struct workflow_token *token)
{
    json_decref(token->scope);
    json_decref(token->items);
    json_decref(token->failure);
    token->scope = token->items = token->failure = NULL;
}

// ---- as text ------------------------------------------------------------------------------------

static void numbers_of(const struct workflow_token *token, int64_t numbers[TOKEN_NUMBERS])
{
    numbers[TOKEN_ID] = token->id;
    numbers[TOKEN_PARENT] = token->parent;
    numbers[TOKEN_BRANCH] = token->branch;
    numbers[TOKEN_STEP] = token->step;
    numbers[TOKEN_EXECUTION] = token->execution;
    numbers[TOKEN_ATTEMPT] = token->attempt;
    numbers[TOKEN_PHASE] = token->phase;
    numbers[TOKEN_ARRIVED] = token->arrived_ms;
    numbers[TOKEN_DEADLINE] = token->deadline_ms;
    numbers[TOKEN_DELIVERY] = (int64_t)token->delivery;
    numbers[TOKEN_SENT] = token->is_sent;
    numbers[TOKEN_TOTAL] = token->total;
    numbers[TOKEN_BEGUN] = token->begun;
    numbers[TOKEN_DONE] = token->done;
    numbers[TOKEN_FAILED] = token->failed;
}

static bool has_more(const struct workflow_token *token)
{
    return token->scope != NULL || token->items != NULL || token->failure != NULL;
}

// Most tokens end in zeros, which are left out where nothing follows.
static size_t used_numbers(const struct workflow_token *token, const int64_t *numbers)
{
    size_t count = TOKEN_NUMBERS;
    while (!has_more(token) && count > 0 && numbers[count - 1] == 0) {
        count--;
    }
    return count;
}

static json_t *token_to_json(const struct workflow_token *token)
{
    int64_t numbers[TOKEN_NUMBERS];
    numbers_of(token, numbers);
    json_t *list = json_array();
    size_t count = used_numbers(token, numbers);
    int failed = list == NULL ? -1 : 0;
    for (size_t i = 0; failed == 0 && i < count; i++) {
        failed = json_array_append_new(list, json_integer(numbers[i]));
    }
    json_t *more[] = {token->scope, token->items, token->failure};
    size_t more_count = token->failure != NULL ? 3 : token->items != NULL ? 2 : has_more(token);
    for (size_t i = 0; failed == 0 && i < more_count; i++) {
        failed = json_array_append_new(list, more[i] == NULL ? json_null() : json_incref(more[i]));
    }
    if (failed != 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

char *workflow_tokens_text(const struct workflow_instance *instance)
{
    json_t *list = json_array();
    bool is_whole = list != NULL;
    for (uint32_t i = 0; is_whole && i < instance->token_count; i++) {
        if (!instance->tokens[i].is_gone) {
            is_whole = json_array_append_new(list, token_to_json(&instance->tokens[i])) == 0;
        }
    }
    char *text = is_whole ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}

static bool in_range(int64_t number, uint64_t max)
{
    return number >= 0 && (uint64_t)number <= max;
}

static bool fill(struct workflow_token *token, const int64_t *numbers)
{
    for (int i = 0; i < TOKEN_NUMBERS; i++) {
        bool is_long = i == TOKEN_ARRIVED || i == TOKEN_DEADLINE || i == TOKEN_DELIVERY;
        if (!in_range(numbers[i], is_long ? INT64_MAX : UINT32_MAX)) {
            return false;
        }
    }
    token->id = (uint32_t)numbers[TOKEN_ID];
    token->parent = (uint32_t)numbers[TOKEN_PARENT];
    token->branch = (uint32_t)numbers[TOKEN_BRANCH];
    token->step = (workflow_place)numbers[TOKEN_STEP];
    token->execution = (uint32_t)numbers[TOKEN_EXECUTION];
    token->attempt = (uint32_t)numbers[TOKEN_ATTEMPT];
    token->phase = (enum token_phase)numbers[TOKEN_PHASE];
    token->arrived_ms = numbers[TOKEN_ARRIVED];
    token->deadline_ms = numbers[TOKEN_DEADLINE];
    token->delivery = (uint64_t)numbers[TOKEN_DELIVERY];
    token->is_sent = numbers[TOKEN_SENT] != 0;
    token->total = (uint32_t)numbers[TOKEN_TOTAL];
    token->begun = (uint32_t)numbers[TOKEN_BEGUN];
    token->done = (uint32_t)numbers[TOKEN_DONE];
    token->failed = (uint32_t)numbers[TOKEN_FAILED];
    return token->phase <= TOKEN_BACKOFF;
}

static bool token_of_json(struct workflow_instance *instance, const json_t *list)
{
    int64_t numbers[TOKEN_NUMBERS] = {0};
    size_t count = json_array_size(list);
    struct workflow_token *token = NULL;
    for (size_t i = 0; i < count && i < TOKEN_NUMBERS; i++) {
        const json_t *number = json_array_get(list, i);
        if (!json_is_integer(number)) {
            return false;
        }
        numbers[i] = json_integer_value(number);
    }
    bool is_good = json_is_array(list) && count <= TOKEN_NUMBERS + 3 &&
                   workflow_token_add(instance, 0, &token, NULL) == ERR_OK &&
                   fill(token, numbers) &&
                   (instance->definition == NULL || token->step < instance->definition->step_count);
    if (is_good && count > TOKEN_NUMBERS) {
        json_t *scope = json_array_get(list, TOKEN_NUMBERS);
        token->scope = json_is_object(scope) ? json_incref(scope) : NULL;
    }
    if (is_good && count > TOKEN_NUMBERS + 1) {
        json_t *items = json_array_get(list, TOKEN_NUMBERS + 1);
        token->items = json_is_array(items) ? json_incref(items) : NULL;
    }
    if (is_good && count > TOKEN_NUMBERS + 2) {
        json_t *failure = json_array_get(list, TOKEN_NUMBERS + 2);
        token->failure = json_is_array(failure) ? json_incref(failure) : NULL;
    }
    return is_good;
}

bool workflow_tokens_read(struct workflow_instance *instance, struct bytes text)
{
    uint32_t next = instance->next_token;
    json_t *list = json_loadb((const char *)text.ptr, text.len, JSON_ALLOW_NUL, NULL);
    bool is_good = json_is_array(list);
    for (size_t i = 0; is_good && i < json_array_size(list); i++) {
        is_good = token_of_json(instance, json_array_get(list, i));
    }
    json_decref(list);
    instance->next_token = next;
    return is_good;
}
