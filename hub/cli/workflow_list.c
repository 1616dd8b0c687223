#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/terminal.h"
#include "cli/workflow_print.h"
#include "cli/workflow_select.h"

int workflow_list_command(int argc, char **argv);

static const struct option_spec list_options[] = {
    WORKFLOW_CONFIG_OPTION,
    WORKFLOW_SELECT_OPTIONS("open"),
    {"limit", OPTION_INT, false, "100", 0, INT64_MAX, NULL, "List at most so many; 0: all."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object an instance."},
    {NULL},
};

static const struct usage usage = {
    .name = "workflow list",
    .synopsis = "-c hub.yaml [--name WORKFLOW] [--state STATE] [OPTION...]",
    .about =
        "Lists instances of workflows: where each one is, since when it is there and when its\n"
        "time is up. Those that have not ended come with the oldest first. With a --state that\n"
        "takes ended ones (all, ended, completed, failed, cancelled) it is the one started last\n"
        "that comes first; they are there until their workflow's `keep` is over. When there are\n"
        "more than --limit it is said how many. NOTE says why an instance failed, and of a parked\n"
        "one the step to mend (an undo's where that failed) and why; also when the configuration\n"
        "has no such workflow any more or another version of it: an instance stays on the version\n"
        "that it began with.\n",
    .options = list_options,
    .more = "Examples:\n"
            "  pipit workflow list -c hub.yaml\n"
            "  pipit workflow list --state parked -c hub.yaml\n"
            "  pipit workflow list --state failed --limit 10 -c hub.yaml\n"
            "  pipit workflow list --name order --older '2 d' --json -c hub.yaml\n\n"
            "Exit codes: 0 done, 2 usage, 3 configuration, 4 store.\n",
};

static const char *const headings[] = {">ID",    "WORKFLOW", "KEY",  "STATE", "STEP",
                                       ">SINCE", ">DUE",     "NOTE", NULL};

#define ROWS_TOGETHER 10000 // Of a table; then the next one begins, so that memory is bounded.

struct listing {
    struct workflow_run *run;
    struct table *table;
    uint64_t shown, limit;
    bool has_more;
    int64_t now_ms;
};

static void row_print(struct listing *listing, const json_t *json)
{
    char text[PRINT_TEXT_MAX];
    struct table *table = listing->table;
    const char *state = print_text(json, "state");
    table_cell(table, COLOUR_BOLD, "%lld", print_number(json, "id"));
    table_cell(table, COLOUR_NONE, "%s", print_text(json, "workflow"));
    table_cell(table, COLOUR_NONE, "%s", print_text(json, "key"));
    table_cell(table, print_state_colour(state), "%s", state);
    table_cell(table, COLOUR_NONE, "%s", print_steps(json, text));
    table_cell(table, COLOUR_NONE, "%s", print_since(json, listing->now_ms, text));
    table_cell(table, COLOUR_NONE, "%s", print_due(json, listing->now_ms, text));
    table_cell(table, COLOUR_YELLOW, "%s", print_note(json, text));
}

static bool on_instance(void *context, const struct view_instance *instance)
{
    struct listing *listing = context;
    if (listing->limit != 0 && listing->shown == listing->limit) {
        listing->has_more = true;
        return false;
    }
    json_t *json = workflow_look_instance(listing->run->look, instance);
    if (listing->run->is_json) {
        print_json_line(stdout, json);
    } else {
        row_print(listing, json);
        if ((listing->shown + 1) % ROWS_TOGETHER == 0) {
            table_print(listing->table, stdout);
            table_destroy(listing->table);
            listing->table = table_create(headings);
        }
    }
    json_decref(json);
    listing->shown++;
    return true;
}

// Those that wait longest are what an operator looks for, of those that are over the last ones.
static bool is_newest_first(const struct view_instance_filter *filter)
{
    return filter->states == 0 || (filter->states & WORKFLOW_ENDED_STATES) != 0;
}

// How many more there are. The hub may have dropped some since they were listed.
static enum err tell_more(const struct listing *listing, const struct view_instance_filter *filter,
                          struct error *e)
{
    uint64_t count = 0;
    enum err rc = store_view_instance_count(listing->run->view, filter, &count, e);
    if (rc == ERR_OK) {
        uint64_t shown = listing->shown;
        fprintf(stderr,
                "the %s %" PRIu64 " of %" PRIu64 " instances are listed; --limit 0 lists all\n",
                filter->is_newest_first ? "newest" : "oldest", shown,
                count > shown ? count : shown + 1);
    }
    return rc;
}

static int list(struct workflow_run *run)
{
    const struct options *options = run->arguments.options;
    struct error e = {0};
    struct listing listing = {
        .run = run, .limit = (uint64_t)option_int(options, "limit"), .now_ms = clock_wall_ms()};
    struct view_instance_filter filter;
    workflow_select(options, &filter);
    filter.is_newest_first = is_newest_first(&filter);
    listing.table = table_create(headings);
    enum err rc = store_view_instances(run->view, &filter, on_instance, &listing, &e);
    if (rc == ERR_OK && !run->is_json && listing.shown % ROWS_TOGETHER > 0) {
        table_print(listing.table, stdout);
    }
    table_destroy(listing.table);
    if (rc != ERR_OK) {
        return workflow_run_fail(run, &e);
    }
    if (!run->is_json && listing.shown == 0) {
        bool is_open = filter.states == WORKFLOW_OPEN_STATES;
        printf("no such instance%s\n",
               is_open ? " that has not ended; --state all lists the others, too" : "");
    }
    if (listing.shown == 0 && filter.workflow != NULL) {
        (void)workflow_run_knows(run, filter.workflow); // None of it is an answer all the same.
    }
    rc = listing.has_more ? tell_more(&listing, &filter, &e) : ERR_OK;
    return rc == ERR_OK ? EXIT_OK : workflow_run_fail(run, &e);
}

int workflow_list_command(int argc, char **argv)
{
    struct workflow_run run;
    int code = workflow_run_open(&run, &usage, argc, argv);
    if (code == -1 && run.arguments.word_count > 0) {
        code = usage_fail(&usage,
                          "'%s' is not expected here; --name selects by workflow, --key by "
                          "key",
                          run.arguments.words[0]);
    }
    code = code == -1 ? list(&run) : code;
    workflow_run_close(&run);
    return code;
}
