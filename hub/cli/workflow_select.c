#include "cli/workflow_select.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/advice.h"
#include "cli/terminal.h"

void workflow_run_tell(const struct workflow_run *run, const char *text)
{
    fprintf(stderr, "pipit %s: ", run->usage->name);
    advice_put(stderr, text, option_text(run->arguments.options, "config"));
    fputc('\n', stderr);
}

int workflow_run_fail(const struct workflow_run *run, const struct error *e)
{
    workflow_run_tell(run, e->text);
    return e->code == ERR_NOT_FOUND ? EXIT_STORE : exit_code_of(e->code); // No store yet.
}

int workflow_run_open(struct workflow_run *run, const struct usage *usage, int argc, char **argv)
{
    *run = (struct workflow_run){.usage = usage};
    int code = arguments_init(&run->arguments, usage, argc, argv);
    if (code != -1) {
        return code;
    }
    run->is_json = option_bool(run->arguments.options, "json");
    run->config =
        config_for_command(usage->name, option_text(run->arguments.options, "config"), &code);
    if (run->config == NULL) {
        return code;
    }
    struct error e = {0};
    enum err rc = store_view_open(&run->view, option_text(run->config->hub, "store"), &e);
    rc = rc == ERR_OK ? workflow_look_create(&run->look, run->view, &e) : rc;
    return rc == ERR_OK ? -1 : workflow_run_fail(run, &e);
}

void workflow_run_close(struct workflow_run *run)
{
    workflow_look_destroy(run->look);
    store_view_close(run->view);
    config_destroy(run->config);
    arguments_deinit(&run->arguments);
    *run = (struct workflow_run){.usage = run->usage};
}

// In the order of the option's choices: the states, then open, ended, all.
static uint32_t states_of(int choice)
{
    static const uint32_t sets[] = {WORKFLOW_OPEN_STATES, WORKFLOW_ENDED_STATES, 0};
    return choice < INSTANCE_STATE_COUNT ? 1u << choice : sets[choice - INSTANCE_STATE_COUNT];
}

void workflow_select(const struct options *options, struct view_instance_filter *out_filter)
{
    int64_t now_ms = clock_wall_ms();
    *out_filter = (struct view_instance_filter){
        .workflow = option_text(options, "name"),
        .key = option_text(options, "key"),
        .states = states_of(option_choice(options, "state")),
    };
    if (options_is_set(options, "older")) {
        out_filter->to_ms = now_ms - option_int(options, "older");
    }
    if (options_is_set(options, "newer")) {
        out_filter->from_ms = now_ms - option_int(options, "newer");
    }
}

static bool on_found(void *context, const struct view_instance *instance)
{
    int64_t *id = context;
    *id = instance->id;
    return false;
}

static int not_found(const struct workflow_run *run, const char *word)
{
    fprintf(stderr, "pipit %s: there is no instance ", run->usage->name);
    terminal_put(stderr, word);
    fputs("; those that have ended are dropped when the workflow's `keep` is over\n", stderr);
    return EXIT_FAILED;
}

// Names of workflows: of the store, and of the configuration, which may not have run yet.
struct names {
    char **list; // Ends with NULL.
    size_t count;
    bool is_exhausted;
};

static bool names_add(struct names *names, const char *name)
{
    char **list = reallocarray(names->list, names->count + 2, sizeof(list[0]));
    char *copy = list == NULL ? NULL : strdup(name);
    names->list = list == NULL ? names->list : list;
    names->is_exhausted |= copy == NULL;
    if (copy != NULL) {
        names->list[names->count++] = copy;
        names->list[names->count] = NULL;
    }
    return copy != NULL;
}

static bool on_workflow(void *context, const struct view_workflow *workflow)
{
    return names_add(context, workflow->name);
}

static enum err names_read(struct names *names, const struct workflow_run *run, struct error *e)
{
    const struct core_spec *core = &run->config->core;
    enum err rc = store_view_workflows(run->view, on_workflow, names, e);
    for (uint32_t i = 0; rc == ERR_OK && i < core->workflow_count && !names->is_exhausted; i++) {
        names_add(names, core->workflows[i].name);
    }
    return rc == ERR_OK && names->is_exhausted ? error_set(e, ERR_NO_MEMORY, "out of memory") : rc;
}

static int unknown(const struct workflow_run *run, const struct names *names, const char *name)
{
    const char *near =
        names->count == 0 ? NULL : nearest_name(name, (const char *const *)names->list);
    fprintf(stderr, "pipit %s: there is no workflow '", run->usage->name);
    terminal_put(stderr, name);
    fprintf(stderr, "', neither in %s nor with instances in its store%s%s%s\n", run->config->path,
            near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
            near == NULL ? "" : "'?");
    return EXIT_FAILED;
}

int workflow_run_knows(const struct workflow_run *run, const char *name)
{
    struct names names = {0};
    struct error e = {0};
    bool is_known = false;
    enum err rc = names_read(&names, run, &e);
    for (size_t i = 0; i < names.count; i++) {
        is_known |= strcmp(names.list[i], name) == 0;
    }
    int code = rc != ERR_OK ? workflow_run_fail(run, &e)
               : is_known   ? -1
                            : unknown(run, &names, name);
    for (size_t i = 0; i < names.count; i++) {
        free(names.list[i]);
    }
    free(names.list);
    return code;
}

static int find_by_key(struct workflow_run *run, const char *word, const char *slash,
                       int64_t *out_id)
{
    struct error e = {0};
    char *name = strndup(word, (size_t)(slash - word));
    struct view_instance_filter filter = {.workflow = name,
                                          .key = slash + 1,
                                          .states = WORKFLOW_OPEN_STATES,
                                          .is_newest_first = true,
                                          .rows_max = 1};
    enum err rc = name == NULL ? error_set(&e, ERR_NO_MEMORY, "out of memory")
                               : store_view_instances(run->view, &filter, on_found, out_id, &e);
    filter.states = 0;
    if (rc == ERR_OK && *out_id == 0) {
        rc = store_view_instances(run->view, &filter, on_found, out_id, &e);
    }
    int code = rc != ERR_OK   ? workflow_run_fail(run, &e)
               : *out_id == 0 ? workflow_run_knows(run, name)
                              : -1;
    free(name);
    return code;
}

int workflow_find(struct workflow_run *run, const char *word, int64_t *out_id)
{
    struct error e = {0};
    const char *slash = strchr(word, '/');
    char *end = NULL;
    int code = -1;
    *out_id = 0;
    errno = 0;
    long long id = strtoll(word, &end, 10);
    bool is_number = *word >= '0' && *word <= '9' && *end == '\0' && errno == 0 && id > 0;
    if (slash != NULL) {
        code = find_by_key(run, word, slash, out_id);
    } else if (!is_number) {
        return usage_fail(run->usage, "'%s' is neither an instance's number nor <workflow>/<key>",
                          word);
    } else {
        const struct view_instance_filter filter = {.id = id};
        if (store_view_instances(run->view, &filter, on_found, out_id, &e) != ERR_OK) {
            return workflow_run_fail(run, &e);
        }
    }
    return code != -1 || *out_id != 0 ? code : not_found(run, word);
}
