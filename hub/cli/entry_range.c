#include "cli/entry_range.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control_client.h"
#include "base/clock.h"
#include "cli/command.h"
#include "intake/source.h"
#include "store/store.h"

static bool id_parse(const char *text, char end_char, uint64_t *out_id, const char **out_end)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || errno != 0 || *end != end_char) {
        return false;
    }
    *out_id = value;
    *out_end = end;
    return true;
}

bool entry_range_parse(const char *text, struct entry_range *out_range)
{
    struct entry_range range = {0, UINT64_MAX};
    const char *end;
    if (strcmp(text, "all") == 0) {
        *out_range = range;
        return true;
    }
    if (id_parse(text, '\0', &range.first, &end)) {
        range.last = range.first;
    } else if (!id_parse(text, '-', &range.first, &end) ||
               !id_parse(end + 1, '\0', &range.last, &end) || range.last < range.first) {
        return false;
    }
    *out_range = range;
    return true;
}

static int unknown_verb(const struct usage *usage, const char *const *verbs, const char *word)
{
    const char *near = nearest_name(word, verbs);
    if (near != NULL) {
        return usage_fail(usage, "unknown '%s'; did you mean '%s'?", word, near);
    }
    return usage_fail(usage, "unknown '%s'", word);
}

int entry_words(const struct usage *usage, const char *const *verbs,
                const struct arguments *arguments, struct entry_range *out_range)
{
    int count = arguments->word_count;
    char **words = arguments->words;
    if (count == 0) {
        return usage_fail(usage, "say what to do, such as %s", verbs[0]);
    }
    size_t verb = 0;
    while (verbs[verb] != NULL && strcmp(words[0], verbs[verb]) != 0) {
        verb++;
    }
    if (verbs[verb] == NULL) {
        return unknown_verb(usage, verbs, words[0]);
    }
    if (count > 2) {
        return usage_fail(usage, "'%s' is not expected here", words[2]);
    }
    if (count == 1 && strcmp(words[0], "list") != 0) {
        return usage_fail(usage, "%s what? Give an id, FIRST-LAST or all", words[0]);
    }
    if (count == 2 && !entry_range_parse(words[1], out_range)) {
        return usage_fail(usage, "'%s' is neither an id, FIRST-LAST nor all", words[1]);
    }
    return -1;
}

static void report(void *context, const struct error *error)
{
    const char *command = context;
    fprintf(stderr, "pipit %s: %s\n", command, error->text);
}

struct config *config_for_command(const char *command, const char *path, int *out_code)
{
    struct config *config = NULL;
    struct error e = {0};
    enum err rc = config_load(&config, path, source_options, report, (void *)command, &e);
    if (rc != ERR_OK) {
        *out_code = rc == ERR_NO_MEMORY ? EXIT_FAILED : EXIT_CONFIGURATION;
        return NULL;
    }
    return config;
}

static const struct {
    const char *op;
    int kind;
} operations[] = {
    {"dead_replay", OPERATION_DEAD_REPLAY},
    {"dead_drop", OPERATION_DEAD_DROP},
    {"quarantine_drop", OPERATION_QUARANTINE_DROP},
};

static const char *operation_name(const struct operation *operation)
{
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (operations[i].kind == (int)operation->kind) {
            return operations[i].op;
        }
    }
    return "unknown";
}

// JSON's whole numbers end at 2^63 - 1; no id is larger.
static json_int_t json_id(uint64_t id)
{
    return id > INT64_MAX ? INT64_MAX : (json_int_t)id;
}

static enum err operate_remotely(const char *store_path, const struct operation *operation,
                                 uint64_t *out_operated, struct error *e)
{
    json_t *reply = NULL;
    json_t *request = json_pack("{s:s, s:I, s:I}", "op", operation_name(operation), "first",
                                json_id(operation->first), "last", json_id(operation->last));
    enum err rc = request == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory")
                                  : control_ask(store_path, request, &reply, e);
    if (rc == ERR_OK) {
        *out_operated = (uint64_t)json_integer_value(json_object_get(reply, "operated"));
    }
    json_decref(request);
    json_decref(reply);
    return rc;
}

static enum err operate_here(const struct config *config, const struct operation *operation,
                             uint64_t *out_operated, struct error *e)
{
    struct store *store = NULL;
    struct core *core = NULL;
    struct outcome outcome;
    struct store_options options = {.path = option_text(config->hub, "store")};
    struct input input = {.kind = INPUT_OPERATION, .operation = *operation};
    enum err rc = store_open(&store, &options, e);
    rc = rc == ERR_OK ? core_open(&core, store, &config->core, e) : rc;
    rc = rc == ERR_OK ? core_step(core, &input, 1, clock_wall_ms(), &outcome, e) : rc;
    if (rc == ERR_OK) {
        *out_operated = outcome.operated;
    }
    core_close(core);
    store_close(store);
    return rc;
}

enum err operate(const struct config *config, const struct operation *operation,
                 uint64_t *out_operated, struct error *e)
{
    enum err rc = operate_remotely(option_text(config->hub, "store"), operation, out_operated, e);
    return rc == ERR_NOT_FOUND ? operate_here(config, operation, out_operated, e) : rc;
}
