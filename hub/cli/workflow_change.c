// workflow_change.c - `pipit workflow cancel`, `retry` and `replay`: something is done to the
// instances that were named, or that a filter takes.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"
#include "cli/workflow_select.h"

int workflow_cancel_command(int argc, char **argv);
int workflow_retry_command(int argc, char **argv);
int workflow_replay_command(int argc, char **argv);

#define CHANGE_OPTIONS(default_state)                                                              \
    WORKFLOW_CONFIG_OPTION, WORKFLOW_SELECT_OPTIONS(default_state),                                \
        {"yes",                                                                                    \
         OPTION_BOOL,                                                                              \
         false,                                                                                    \
         "false",                                                                                  \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         "Do it to all that the filter takes, however many; without it they are only counted."},   \
    {                                                                                              \
        "json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object an instance."            \
    }
#define CHANGE_SYNOPSIS                                                                            \
    "ID|WORKFLOW/KEY... -c hub.yaml [OPTION...]\n"                                                 \
    "   or: --name WORKFLOW [--state STATE] [--older AGE] --yes -c hub.yaml"
#define CHANGE_EXIT_CODES                                                                          \
    "\nExit codes: 0 done, 1 no such instance or the hub refused, 2 usage, 3 configuration,\n"     \
    "4 store, 5 the hub does not answer.\n"

static const struct option_spec cancel_options[] = {
    CHANGE_OPTIONS("open"),
    {"abandon", OPTION_BOOL, false, "false", 0, 0, NULL,
     "End it, and those that it runs and waits for, at once and undo nothing: what has happened "
     "outside stays as it is."},
    {"reason", OPTION_TEXT, false, NULL, 0, 0, NULL, "For the history: why."},
    {NULL},
};
static const struct option_spec retry_options[] = {CHANGE_OPTIONS("parked"), {NULL}};
static const struct option_spec replay_options[] = {CHANGE_OPTIONS("failed"), {NULL}};

static const struct usage cancel_usage = {
    .name = "workflow cancel",
    .synopsis = CHANGE_SYNOPSIS,
    .about =
        "Ends instances of workflows. What they have done is undone first, newest first, by the\n"
        "steps that their definition gives as `undo`; then they are cancelled. One that is parked\n"
        "because an undo failed can be tried again (`retry`) or given up (--abandon). A running\n"
        "hub does it at once; without one the store is changed directly.\n",
    .options = cancel_options,
    .more = "Examples:\n"
            "  pipit workflow cancel order/1007 --reason 'customer called' -c hub.yaml\n"
            "  pipit workflow cancel 17 --abandon -c hub.yaml\n"
            "  pipit workflow cancel --name order --older '30 d' --yes -c hub.yaml\n" //
    CHANGE_EXIT_CODES,
};
static const struct usage retry_usage = {
    .name = "workflow retry",
    .synopsis = CHANGE_SYNOPSIS,
    .about = "Lets parked instances go on: each tries again the step, or the undo, that it failed\n"
             "at, with all its attempts. A running hub does it at once; without one it happens\n"
             "when the hub is started again.\n",
    .options = retry_options,
    .more = "Examples:\n"
            "  pipit workflow retry 17 -c hub.yaml\n"
            "  pipit workflow retry --name order --yes -c hub.yaml\n" //
    CHANGE_EXIT_CODES,
};
static const struct usage replay_usage = {
    .name = "workflow replay",
    .synopsis = CHANGE_SYNOPSIS,
    .about =
        "Starts instances that have ended anew: a new instance of the same key with the variables\n"
        "that the old one began with, on the version that is configured now. With a filter and\n"
        "without --state those that have failed.\n",
    .options = replay_options,
    .more = "Examples:\n"
            "  pipit workflow replay order/1007 -c hub.yaml\n"
            "  pipit workflow replay --name order --newer '1 h' --yes -c hub.yaml\n" //
    CHANGE_EXIT_CODES,
};

struct change {
    const struct usage *usage;
    enum operation_kind kind;
    const char *verb, *done; // "cancel", "cancelled"
};

struct ids {
    int64_t *list;
    size_t count, capacity;
    bool is_exhausted;
};

static bool ids_add(struct ids *ids, int64_t id)
{
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity == 0 ? 64 : 2 * ids->capacity;
        int64_t *list = reallocarray(ids->list, capacity, sizeof(list[0]));
        if (list == NULL) {
            ids->is_exhausted = true;
            return false;
        }
        ids->list = list;
        ids->capacity = capacity;
    }
    ids->list[ids->count++] = id;
    return true;
}

static bool on_selected(void *context, const struct view_instance *instance)
{
    return ids_add(context, instance->id);
}

static int no_memory(const struct workflow_run *run)
{
    fprintf(stderr, "pipit %s: out of memory\n", run->usage->name);
    return EXIT_FAILED;
}

static int select_words(struct workflow_run *run, struct ids *ids)
{
    int code = -1;
    for (int i = 0; code == -1 && i < run->arguments.word_count; i++) {
        int64_t id;
        code = workflow_find(run, run->arguments.words[i], &id);
        if (code == -1 && !ids_add(ids, id)) {
            code = no_memory(run);
        }
    }
    return code;
}

static bool has_filter(const struct options *options)
{
    static const char *const names[] = {"name", "key", "state", "older", "newer"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (options_is_set(options, names[i])) {
            return true;
        }
    }
    return false;
}

static int select_filtered(struct workflow_run *run, const struct change *change, struct ids *ids)
{
    const struct options *options = run->arguments.options;
    struct view_instance_filter filter;
    struct error e = {0};
    workflow_select(options, &filter);
    if (store_view_instances(run->view, &filter, on_selected, ids, &e) != ERR_OK) {
        return workflow_run_fail(run, &e);
    }
    if (ids->is_exhausted) {
        return no_memory(run);
    }
    int code =
        ids->count == 0 && filter.workflow != NULL ? workflow_run_knows(run, filter.workflow) : -1;
    if (code != -1) {
        return code;
    }
    if (ids->count == 0) {
        fprintf(stderr, "pipit %s: the filter takes no instance (--state is %s)\n",
                run->usage->name, option_text(options, "state"));
        return EXIT_FAILED;
    }
    if (!option_bool(options, "yes")) {
        return usage_fail(run->usage, "the filter takes %zu instance%s; add --yes to %s %s",
                          ids->count, ids->count == 1 ? "" : "s", change->verb,
                          ids->count == 1 ? "it" : "them all");
    }
    return -1;
}

static int select_ids(struct workflow_run *run, const struct change *change, struct ids *ids)
{
    bool is_filtered = has_filter(run->arguments.options);
    if (run->arguments.word_count > 0 && is_filtered) {
        return usage_fail(run->usage, "give instances or a filter, not both");
    }
    if (run->arguments.word_count == 0 && !is_filtered) {
        return usage_fail(run->usage,
                          "%s what? Give an instance's number, <workflow>/<key>, or a filter "
                          "such as --name",
                          change->verb);
    }
    return is_filtered ? select_filtered(run, change, ids) : select_words(run, ids);
}

static void tell(const struct workflow_run *run, const struct change *change, int64_t id,
                 const struct operated *operated)
{
    progress_end();
    if (run->is_json) {
        json_t *json = json_pack("{s:I, s:s}", "instance", (json_int_t)id, "done", change->done);
        if (json != NULL && operated->instance != 0) {
            json_object_set_new(json, "started", json_integer((json_int_t)operated->instance));
        }
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
    } else if (operated->instance != 0) {
        printf("instance %" PRId64 " started anew as %" PRIu64 "\n", id, operated->instance);
    } else {
        printf("instance %" PRId64 " %s\n", id, change->done);
    }
}

static bool is_refused(enum err rc)
{
    return rc == ERR_REJECTED || rc == ERR_NOT_FOUND || rc == ERR_INVALID;
}

// One by one: what one is refused for does not concern the others.
static int change_all(struct workflow_run *run, const struct change *change, const struct ids *ids)
{
    const struct options *options = run->arguments.options;
    bool is_cancel = change->kind == OPERATION_WORKFLOW_CANCEL;
    struct operation_site site = {.config = run->config};
    int code = EXIT_OK;
    for (size_t i = 0; i < ids->count; i++) {
        const struct operation operation = {
            .kind = change->kind,
            .first = (uint64_t)ids->list[i],
            .last = (uint64_t)ids->list[i],
            .cancel = is_cancel && option_bool(options, "abandon") ? CANCEL_ABANDON : CANCEL_UNDO,
            .reason = is_cancel ? option_text(options, "reason") : NULL,
        };
        struct operated operated = {0};
        struct error e = {0};
        progress_show("%zu of %zu instances", i + 1, ids->count);
        enum err rc = operation_site_do(&site, &operation, &operated, &e);
        if (rc == ERR_OK) {
            tell(run, change, ids->list[i], &operated);
            continue;
        }
        progress_end();
        workflow_run_tell(run, e.text);
        code = is_refused(rc) ? EXIT_FAILED : exit_code_of(rc);
        if (!is_refused(rc)) {
            break;
        }
    }
    operation_site_deinit(&site);
    progress_end();
    return code;
}

static int change_command(const struct change *change, int argc, char **argv)
{
    struct workflow_run run;
    struct ids ids = {0};
    int code = workflow_run_open(&run, change->usage, argc, argv);
    code = code == -1 ? select_ids(&run, change, &ids) : code;
    if (code == -1) {
        store_view_close(run.view); // Nothing may hold the write-ahead log while it is changed.
        run.view = NULL;
        code = change_all(&run, change, &ids);
    }
    free(ids.list);
    workflow_run_close(&run);
    return code;
}

int workflow_cancel_command(int argc, char **argv)
{
    static const struct change change = {&cancel_usage, OPERATION_WORKFLOW_CANCEL, "cancel",
                                         "is being cancelled"};
    return change_command(&change, argc, argv);
}

int workflow_retry_command(int argc, char **argv)
{
    static const struct change change = {&retry_usage, OPERATION_WORKFLOW_RETRY, "retry",
                                         "goes on"};
    return change_command(&change, argc, argv);
}

int workflow_replay_command(int argc, char **argv)
{
    static const struct change change = {&replay_usage, OPERATION_WORKFLOW_REPLAY, "replay",
                                         "started anew"};
    return change_command(&change, argc, argv);
}
