#include "cli/entry_range.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control_client.h"
#include "base/clock.h"
#include "base/json_bytes.h"
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

// "17", "17-40", "all".
static bool parse(const char *text, struct entry_range *out_range)
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
    if (count == 2 && !parse(words[1], out_range)) {
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
    enum operation_kind kind;
} operations[] = {
    {"dead_replay", OPERATION_DEAD_REPLAY},
    {"dead_drop", OPERATION_DEAD_DROP},
    {"dead_edit", OPERATION_DEAD_EDIT},
    {"quarantine_drop", OPERATION_QUARANTINE_DROP},
    {"quarantine_replay", OPERATION_QUARANTINE_REPLAY},
    {"quarantine_edit", OPERATION_QUARANTINE_EDIT},
    {"workflow_cancel", OPERATION_WORKFLOW_CANCEL},
    {"workflow_retry", OPERATION_WORKFLOW_RETRY},
    {"workflow_replay", OPERATION_WORKFLOW_REPLAY},
};

static const char *operation_name(const struct operation *operation)
{
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (operations[i].kind == operation->kind) {
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

static bool is_of_workflow(const struct operation *operation)
{
    return operation->kind == OPERATION_WORKFLOW_CANCEL ||
           operation->kind == OPERATION_WORKFLOW_RETRY ||
           operation->kind == OPERATION_WORKFLOW_REPLAY;
}

static json_t *request_make(const struct operation *operation)
{
    if (is_of_workflow(operation)) {
        return json_pack("{s:s, s:I, s:b, s:s*}", "op", operation_name(operation), "instance",
                         json_id(operation->first), "abandon", operation->cancel == CANCEL_ABANDON,
                         "reason", operation->reason);
    }
    const struct edit *edit = operation->edit;
    json_t *request = json_pack("{s:s, s:I, s:I}", "op", operation_name(operation), "first",
                                json_id(operation->first), "last", json_id(operation->last));
    bool is_fine = request != NULL;
    if (is_fine && edit != NULL && edit->topic.ptr != NULL) {
        is_fine = json_set_bytes(request, "topic", edit->topic);
    }
    if (is_fine && edit != NULL && edit->payload.ptr != NULL) {
        is_fine = json_set_bytes(request, "payload", edit->payload);
    }
    if (!is_fine) {
        json_decref(request);
        return NULL;
    }
    return request;
}

static void reply_read(const json_t *reply, struct operated *out_operated)
{
    const json_t *upto = json_object_get(reply, "upto");
    const char *skip = json_string_value(json_object_get(reply, "skip"));
    *out_operated = (struct operated){
        .count = (uint64_t)json_integer_value(json_object_get(reply, "operated")),
        .skipped = (uint64_t)json_integer_value(json_object_get(reply, "skipped")),
        .upto = upto == NULL ? UINT64_MAX : (uint64_t)json_integer_value(upto),
        .instance = (uint64_t)json_integer_value(json_object_get(reply, "instance")),
    };
    snprintf(out_operated->skip, sizeof(out_operated->skip), "%s", skip == NULL ? "" : skip);
}

static enum err operate_remotely(const char *store_path, const struct operation *operation,
                                 struct operated *out_operated, struct error *e)
{
    json_t *reply = NULL;
    json_t *request = request_make(operation);
    enum err rc = request == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory")
                                  : control_ask(store_path, request, &reply, e);
    if (rc == ERR_OK) {
        reply_read(reply, out_operated);
    }
    json_decref(request);
    json_decref(reply);
    return rc;
}

static enum err open_here(struct operation_site *site, struct error *e)
{
    struct store_options options = {.path = option_text(site->config->hub, "store")};
    enum err rc = site->core != NULL ? ERR_OK : store_open(&site->store, &options, e);
    if (rc == ERR_OK && site->core == NULL) {
        rc = core_open(&site->core, site->store, &site->config->core, e);
    }
    return rc;
}

static enum err operate_here(struct operation_site *site, const struct operation *operation,
                             struct operated *out_operated, struct error *e)
{
    struct outcome outcome;
    struct input input = {.kind = INPUT_OPERATION, .operation = *operation};
    enum err rc = open_here(site, e);
    rc = rc == ERR_OK ? core_step(site->core, &input, 1, clock_wall_ms(), &outcome, e) : rc;
    if (rc == ERR_OK) {
        bool is_played = operation->kind == OPERATION_QUARANTINE_REPLAY;
        *out_operated = (struct operated){
            .count = outcome.operated,
            .skipped = outcome.skipped,
            .upto = is_played ? outcome.operated_upto : UINT64_MAX,
            .instance = outcome.instance,
        };
        memcpy(out_operated->skip, outcome.skip, sizeof(out_operated->skip));
    }
    return rc;
}

enum err operation_site_do(struct operation_site *site, const struct operation *operation,
                           struct operated *out_operated, struct error *e)
{
    const char *store_path = option_text(site->config->hub, "store");
    enum err rc = site->core != NULL ? ERR_NOT_FOUND // We hold its lock.
                                     : operate_remotely(store_path, operation, out_operated, e);
    return rc == ERR_NOT_FOUND ? operate_here(site, operation, out_operated, e) : rc;
}

void operation_site_deinit(struct operation_site *site)
{
    core_close(site->core);
    store_close(site->store);
    *site = (struct operation_site){.config = site->config};
}

enum err operate(const struct config *config, const struct operation *operation,
                 struct operated *out_operated, struct error *e)
{
    struct operation_site site = {.config = config};
    enum err rc = operation_site_do(&site, operation, out_operated, e);
    operation_site_deinit(&site);
    return rc;
}

static bool ranges_grow(struct entry_ranges *list)
{
    if (list->count < list->capacity) {
        return true;
    }
    size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
    struct entry_range *ranges = realloc(list->ranges, capacity * sizeof(ranges[0]));
    if (ranges == NULL) {
        list->is_exhausted = true;
        return false;
    }
    list->ranges = ranges;
    list->capacity = capacity;
    return true;
}

bool entry_ranges_add(struct entry_ranges *list, uint64_t id, bool is_taken)
{
    if (is_taken && list->is_open) {
        list->ranges[list->count - 1].last = id;
    } else if (is_taken && ranges_grow(list)) {
        list->ranges[list->count++] = (struct entry_range){id, id};
    }
    list->is_open = is_taken;
    return !list->is_exhausted;
}

void entry_ranges_deinit(struct entry_ranges *list)
{
    free(list->ranges);
    *list = (struct entry_ranges){0};
}
