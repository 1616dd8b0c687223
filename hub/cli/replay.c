#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_bytes.h"
#include "cli/arguments.h"
#include "cli/delivery_print.h"
#include "cli/entry_print.h"
#include "cli/entry_range.h"
#include "cli/moment.h"
#include "cli/replay_events.h"
#include "cli/replay_send.h"
#include "cli/terminal.h"
#include "core/topic.h"
#include "intake/source.h"

int replay_command(int argc, char **argv);

#define REJECTIONS_SHOWN 10

static const struct option_spec replay_options[] = {
    {"config", OPTION_PATH, true, NULL, 0, 0, NULL, "The hub's configuration file; -c is short."},
    {"from", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Events that were received then or later: " MOMENT_FORMS "."},
    {"to", OPTION_TEXT, false, NULL, 0, 0, NULL, "Events that were received before then."},
    {"first", OPTION_INT, false, "0", 0, INT64_MAX, NULL, "From this number of the history on."},
    {"last", OPTION_INT, false, NULL, 0, INT64_MAX, NULL, "Up to this number, included."},
    {"topic", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only topics that match this filter."},
    {"device", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Only events of this device, as <group>/<device> or <device>."},
    {"run", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Hand the deliveries to the running hub. Without it they are printed and nothing is sent."},
    {"resume", OPTION_INT, false, NULL, 1, INT64_MAX, NULL,
     "Go on with this replay, which was begun with --run and did not come to its end."},
    {"wait", OPTION_DURATION, false, "60 s", 0, 86400000, NULL,
     "How long a hub that restarts, or is full, is waited for in the middle."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "JSON also on a terminal."},
    {NULL},
};

static const struct usage usage = {
    .name = "replay",
    .synopsis = "RULE -c hub.yaml [--from TIME] [--to TIME] [OPTION...]",
    .about =
        "Runs a rule, as the configuration file has it now, over a stretch of the event history\n"
        "(section `history`). It prints the deliveries that would be made; with --run the running\n"
        "hub makes them, each exactly once, with idempotency keys of their own that begin with\n"
        "replay/<number>/ and the user property replay. Rules behind the rule run, too; a rule\n"
        "that only other rules feed is replayed through those.\n",
    .options = replay_options,
    .more = "Examples:\n"
            "  pipit replay overheat -c hub.yaml --from '2 h ago'\n"
            "  pipit replay hourly -c hub.yaml --from 2026-05-04 --to 2026-05-05 --run\n"
            "  pipit replay -c hub.yaml --resume 3\n\n"
            "Exit codes: 0 done, 1 no such rule, nothing in the range or the hub refused,\n"
            "2 usage, 3 configuration, 4 store, 5 the hub does not answer.\n",
};

struct replay {
    const struct options *options;
    struct config *config;
    struct store_view *view;
    char *rule;
    struct replay_stretch stretch;
    char *device, *topic; // Of a replay that is resumed.
    struct replay_sender *sender;
    uint64_t skip;  // Deliveries of an earlier run that are in;
    char *last_key; // the last of them.
    uint64_t replay, chunks, seen;
    uint64_t rejections;
    bool is_run, is_json;
};

static int fail(const struct error *e)
{
    fprintf(stderr, "pipit replay: %s\n", e->text);
    return e->code == ERR_NOT_FOUND ? EXIT_UNAVAILABLE : exit_code_of(e->code);
}

static bool read_moment(const struct replay *replay, const char *name, int64_t *out_ms)
{
    const char *text = option_text(replay->options, name);
    if (text == NULL || moment_parse(text, clock_wall_ms(), out_ms)) {
        return true;
    }
    usage_fail(&usage, "--%s: '%s' is no time; write for instance " MOMENT_FORMS, name, text);
    return false;
}

static int read_stretch(struct replay *replay)
{
    const struct options *options = replay->options;
    struct view_history_filter *filter = &replay->stretch.filter;
    *filter = (struct view_history_filter){
        .first = (uint64_t)option_int(options, "first"),
        .last =
            options_is_set(options, "last") ? (uint64_t)option_int(options, "last") : UINT64_MAX,
        .from_ms = INT64_MIN,
        .to_ms = INT64_MAX,
        .device = option_text(options, "device"),
    };
    replay->stretch.topic = option_text(options, "topic");
    if (!read_moment(replay, "from", &filter->from_ms) ||
        !read_moment(replay, "to", &filter->to_ms)) {
        return EXIT_USAGE;
    }
    const char *topic = replay->stretch.topic;
    const char *problem = topic == NULL ? NULL : topic_filter_problem(bytes_from_text(topic));
    if (problem != NULL) {
        return usage_fail(&usage, "--topic: '%s' %s", topic, problem);
    }
    return -1;
}

static bool find_rule(const struct replay *replay)
{
    const struct core_spec *core = &replay->config->core;
    const char **names = calloc(core->rule_count + 1, sizeof(names[0]));
    bool is_found = false;
    uint32_t count = 0;
    for (uint32_t i = 0; names != NULL && i < core->rule_count; i++) {
        if (core->rules[i].branch == BRANCH_MAIN) {
            names[count++] = core->rules[i].name;
            is_found |= strcmp(core->rules[i].name, replay->rule) == 0;
        }
    }
    const char *near = names == NULL || is_found ? NULL : nearest_name(replay->rule, names);
    if (!is_found) {
        fprintf(stderr, "pipit replay: %s has no rule '%s'%s%s%s\n", replay->config->path,
                replay->rule, near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
                near == NULL ? "" : "'?");
    }
    free(names);
    return is_found;
}

// The range by numbers, so that the same can be read again; nothing in it: why.
static int resolve(struct replay *replay)
{
    struct view_history_filter *filter = &replay->stretch.filter;
    const struct view_history_filter all = {0, UINT64_MAX, INT64_MIN, INT64_MAX, NULL, 0};
    struct view_span span = {0}, whole = {0};
    struct error e = {0};
    if (store_view_span(replay->view, filter, &span, &e) != ERR_OK ||
        store_view_span(replay->view, &all, &whole, &e) != ERR_OK) {
        return fail(&e);
    }
    if (span.rows > 0) {
        filter->first = span.first;
        filter->last = span.last;
        filter->from_ms = INT64_MIN;
        filter->to_ms = INT64_MAX;
        return -1;
    }
    char first[ENTRY_TIME_MAX], last[ENTRY_TIME_MAX];
    if (whole.rows > 0) {
        fprintf(stderr,
                "pipit replay: nothing of the history is in this range; it holds %" PRIu64
                " events, received from %s to %s, numbers %" PRIu64 " to %" PRIu64 "\n",
                whole.rows, entry_time(whole.first_ms, first), entry_time(whole.last_ms, last),
                whole.first, whole.last);
    } else {
        fprintf(stderr, "pipit replay: the history is empty%s\n",
                replay->config->core.history.keep_ms > 0
                    ? ""
                    : "; the configuration keeps none: write for instance history: {keep: 7 d}");
    }
    return EXIT_FAILED;
}

static enum err on_delivery(void *context, const struct delivery *delivery, const char *target,
                            struct error *e)
{
    struct replay *replay = context;
    replay->seen++;
    if (replay->sender == NULL) {
        return delivery_print(delivery, target, replay->is_json)
                   ? ERR_OK
                   : error_set(e, ERR_NO_MEMORY, "out of memory for a delivery");
    }
    if (replay->seen == replay->skip && strcmp(delivery->idempotency_key, replay->last_key) != 0) {
        return error_set(e, ERR_INVALID,
                         "replay %" PRIu64 " cannot be gone on with: its delivery %" PRIu64
                         " was %s and would now be %s, for the rule or the history has changed",
                         replay->replay, replay->skip, replay->last_key, delivery->idempotency_key);
    }
    return replay->seen <= replay->skip ? ERR_OK
                                        : replay_sender_put(replay->sender, delivery, target, e);
}

static void on_rejection(void *context, const struct trial_rejection *rejection)
{
    struct replay *replay = context;
    if (replay->rejections++ < REJECTIONS_SHOWN) {
        progress_end();
        fprintf(stderr, "%srejected%s %.*s: %s\n", terminal_colour(stderr, COLOUR_YELLOW),
                terminal_colour(stderr, COLOUR_NONE), (int)rejection->topic.len,
                (const char *)rejection->topic.ptr, rejection->reason);
    }
}

static char *what_of(const struct replay *replay)
{
    const struct view_history_filter *filter = &replay->stretch.filter;
    json_t *json = json_pack("{s:I, s:I, s:s*, s:s*}", "first", (json_int_t)filter->first, "last",
                             (json_int_t)(filter->last > INT64_MAX ? INT64_MAX : filter->last),
                             "device", filter->device, "topic", replay->stretch.topic);
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static enum err open_sender(struct replay *replay, struct error *e)
{
    char *what = what_of(replay);
    if (what == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a replay");
    }
    const struct replay_begin begin = {
        .store_path = option_text(replay->config->hub, "store"),
        .rule = replay->rule,
        .what = what,
        .wait_ms = option_int(replay->options, "wait"),
        .replay = replay->replay,
        .chunks = replay->chunks,
    };
    enum err rc = replay_sender_create(&replay->sender, &begin, e);
    free(what);
    return rc;
}

static void summarize(const struct replay *replay, const struct replay_tally *tally)
{
    if (replay->sender == NULL) {
        fprintf(stderr,
                "%" PRIu64 " events read, %" PRIu64 " deliveries, %" PRIu64
                " rejected; nothing was sent: --run does it\n",
                tally->events, tally->deliveries, replay->rejections);
        return;
    }
    uint64_t number = replay_sender_number(replay->sender);
    if (replay->is_json) {
        json_t *json =
            json_pack("{s:I, s:I, s:I, s:I}", "replay", (json_int_t)number, "events",
                      (json_int_t)tally->events, "deliveries", (json_int_t)tally->deliveries,
                      "rejected", (json_int_t)replay->rejections);
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
        return;
    }
    printf("replay %" PRIu64 ": %" PRIu64 " events read, %" PRIu64 " deliveries handed to the hub, "
           "%" PRIu64 " rejected\n",
           number, tally->events, tally->deliveries, replay->rejections);
}

static int run(struct replay *replay)
{
    char prefix[40] = "";
    const struct replay_run job = {
        .config = replay->config,
        .rule = replay->rule,
        .id_prefix = prefix,
        .each = on_delivery,
        .rejected = on_rejection,
        .context = replay,
    };
    struct replay_tally tally = {0};
    struct error e = {0};
    enum err rc = replay->is_run ? open_sender(replay, &e) : ERR_OK;
    if (replay->sender != NULL) {
        snprintf(prefix, sizeof(prefix), "replay/%" PRIu64 "/",
                 replay_sender_number(replay->sender));
    }
    rc = rc == ERR_OK ? replay_events(replay->view, &replay->stretch, &job, &tally, &e) : rc;
    if (rc == ERR_OK && replay->seen < replay->skip) {
        rc = error_set(&e, ERR_INVALID,
                       "replay %" PRIu64 " cannot be gone on with: %" PRIu64
                       " deliveries of it are in and it would now make %" PRIu64,
                       replay->replay, replay->skip, replay->seen);
    }
    rc = rc == ERR_OK && replay->sender != NULL ? replay_sender_end(replay->sender, &e) : rc;
    if (rc == ERR_OK) {
        summarize(replay, &tally);
        return EXIT_OK;
    }
    progress_end();
    if (replay->sender != NULL) {
        fprintf(stderr,
                "pipit replay: it can be gone on with: pipit replay -c %s --resume %" PRIu64 "\n",
                replay->config->path, replay_sender_number(replay->sender));
    }
    return fail(&e);
}

static bool on_replay(void *context, const struct view_replay *found)
{
    struct replay *replay = context;
    json_t *what = json_loads(found->what, 0, NULL);
    const char *device = json_string_value(json_object_get(what, "device"));
    const char *topic = json_string_value(json_object_get(what, "topic"));
    struct view_history_filter *filter = &replay->stretch.filter;
    *filter = (struct view_history_filter){
        .first = (uint64_t)json_integer_value(json_object_get(what, "first")),
        .last = (uint64_t)json_integer_value(json_object_get(what, "last")),
        .from_ms = INT64_MIN,
        .to_ms = INT64_MAX,
    };
    replay->rule = strdup(found->rule);
    replay->last_key = strdup(found->last_key);
    filter->device = replay->device = device == NULL ? NULL : strdup(device);
    replay->stretch.topic = replay->topic = topic == NULL ? NULL : strdup(topic);
    replay->replay = found->id;
    replay->chunks = found->chunks;
    replay->skip = found->deliveries;
    replay->is_run = found->ended_ms == 0;
    json_decref(what);
    return false;
}

static int read_replay(struct replay *replay)
{
    uint64_t number = (uint64_t)option_int(replay->options, "resume");
    struct error e = {0};
    if (store_view_replays(replay->view, number, number, on_replay, replay, &e) != ERR_OK) {
        return fail(&e);
    }
    if (replay->rule == NULL || replay->last_key == NULL) {
        fprintf(stderr, "pipit replay: there is no replay %" PRIu64 "\n", number);
        return EXIT_FAILED;
    }
    if (!replay->is_run) {
        fprintf(stderr, "pipit replay: replay %" PRIu64 " is complete: %" PRIu64 " deliveries\n",
                number, replay->skip);
        return EXIT_FAILED;
    }
    return -1;
}

static int with_store(struct replay *replay)
{
    int code = options_is_set(replay->options, "resume") ? read_replay(replay) : -1;
    if (code == -1 && !find_rule(replay)) {
        code = EXIT_FAILED;
    }
    code = code == -1 && replay->replay == 0 ? resolve(replay) : code;
    return code == -1 ? run(replay) : code;
}

static int with_config(struct replay *replay)
{
    int code = EXIT_OK;
    struct error e = {0};
    replay->config = config_for_command("replay", option_text(replay->options, "config"), &code);
    if (replay->config == NULL) {
        return code;
    }
    if (store_view_open(&replay->view, option_text(replay->config->hub, "store"), &e) != ERR_OK) {
        fprintf(stderr, "pipit replay: %s\n", e.text);
        code = e.code == ERR_NOT_FOUND ? EXIT_STORE : exit_code_of(e.code);
    } else {
        code = with_store(replay);
    }
    return code;
}

static void replay_deinit(struct replay *replay)
{
    replay_sender_destroy(replay->sender);
    store_view_close(replay->view);
    config_destroy(replay->config);
    free(replay->rule);
    free(replay->device);
    free(replay->topic);
    free(replay->last_key);
}

static int check_words(const struct arguments *arguments)
{
    bool is_resumed = options_is_set(arguments->options, "resume");
    if (arguments->word_count > (is_resumed ? 0 : 1)) {
        return usage_fail(&usage, "'%s' is not expected here%s",
                          arguments->words[is_resumed ? 0 : 1],
                          is_resumed ? ": --resume knows the rule" : "");
    }
    return arguments->word_count == 0 && !is_resumed ? usage_fail(&usage, "which rule?") : -1;
}

int replay_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    struct replay replay = {.options = arguments.options,
                            .is_run = option_bool(arguments.options, "run")};
    replay.is_json = option_bool(arguments.options, "json") || !terminal_is(stdout);
    code = check_words(&arguments);
    code = code == -1 ? read_stretch(&replay) : code;
    if (code == -1) {
        replay.rule = arguments.word_count == 0 ? NULL : strdup(arguments.words[0]);
        code = with_config(&replay);
    }
    replay_deinit(&replay);
    arguments_deinit(&arguments);
    return code;
}
