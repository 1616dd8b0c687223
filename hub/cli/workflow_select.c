#include "cli/workflow_select.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

int workflow_run_fail(const struct workflow_run *run, const struct error *e)
{
    fprintf(stderr, "pipit %s: %s\n", run->usage->name, e->text);
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
    fprintf(stderr,
            "pipit %s: there is no instance %s; those that have ended are dropped when the "
            "workflow's `keep` is over\n",
            run->usage->name, word);
    return EXIT_FAILED;
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
    free(name);
    return rc == ERR_OK ? -1 : workflow_run_fail(run, &e);
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
