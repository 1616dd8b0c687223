#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/entry_print.h"
#include "cli/workflow_print.h"
#include "cli/workflow_select.h"

int workflow_show_command(int argc, char **argv);

#define DATA_SHOWN_MAX  400 // Bytes of an entry's data; --full shows all.
#define STEPS_SHOWN_MAX 20  // That branches stand at, or that would be undone; the same.

static const struct option_spec show_options[] = {
    WORKFLOW_CONFIG_OPTION,
    {"full", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Long data and lists whole, and the definition that the instance runs on."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object an instance."},
    {NULL},
};

static const struct usage usage = {
    .name = "workflow show",
    .synopsis = "ID|WORKFLOW/KEY... -c hub.yaml [--full] [--json]",
    .about =
        "Shows instances of workflows: variables, what each branch waits for and until when, what\n"
        "would be undone if it failed now, and the history step by step with what was sent, what\n"
        "came back, attempts and times. Of a key that has had several instances it is the one "
        "that\n"
        "has not ended, or the newest.\n",
    .options = show_options,
    .more = "Examples:\n"
            "  pipit workflow show 17 -c hub.yaml\n"
            "  pipit workflow show order/1007 -c hub.yaml\n\n"
            "Exit codes: 0 done, 1 no such instance, 2 usage, 3 configuration, 4 store.\n",
};

struct shown {
    const json_t *json;
    int64_t now_ms;
    bool is_full;
};

static const char *colour(enum colour which)
{
    return terminal_colour(stdout, which);
}

static void put_clean(const char *text)
{
    terminal_put(stdout, text);
}

static void line_clean(const char *name, const char *text)
{
    char *copy = strdup(text);
    entry_line(name, copy == NULL ? "?" : utf8_disarm(copy));
    free(copy);
}

// "2026-05-04 03:02:01 (3 min 2 s ago)"
static void line_time(const char *name, long long at_ms, int64_t now_ms)
{
    char at[ENTRY_TIME_MAX], amount[AMOUNT_TEXT_MAX], text[160];
    if (at_ms != 0) {
        bool is_past = at_ms <= now_ms;
        snprintf(text, sizeof(text), "%s (%s%s%s)", entry_time(at_ms, at), is_past ? "" : "in ",
                 amount_duration(is_past ? now_ms - at_ms : at_ms - now_ms, amount),
                 is_past ? " ago" : "");
        entry_line(name, text);
    }
}

static void make_time(json_t *object, const char *name)
{
    const json_t *at = json_object_get(object, name);
    if (json_is_integer(at)) {
        char text[ENTRY_TIME_MAX];
        entry_time(json_integer_value(at), text);
        json_object_set_new(object, name, json_string(text));
    }
}

// With times as times.
static json_t *readable(const json_t *data)
{
    json_t *copy = json_copy((json_t *)data);
    json_t *command = json_copy(json_object_get(copy, "command"));
    if (command != NULL) {
        make_time(command, "expires");
        json_object_set_new(copy, "command", command);
    }
    make_time(copy, "until");
    return copy;
}

// The length of it, or of as many whole characters as are shown.
static size_t cut_at(const char *text)
{
    size_t len = strlen(text), shown = len > DATA_SHOWN_MAX ? DATA_SHOWN_MAX : len;
    while (((unsigned char)text[shown] & 0xc0) == 0x80) {
        shown--;
    }
    return shown;
}

static void print_data(const char *sign, const json_t *data, bool is_full)
{
    json_t *copy = data == NULL ? NULL : readable(data);
    char *text = copy == NULL ? NULL : json_dumps(copy, print_flags(copy));
    json_decref(copy);
    if (text == NULL) {
        return;
    }
    size_t shown = is_full ? strlen(text) : cut_at(text);
    bool is_cut = text[shown] != '\0';
    text[shown] = '\0';
    printf("    %s%s %s%s%s\n", colour(COLOUR_DIM), sign, utf8_disarm(text),
           is_cut ? "... (--full shows all)" : "", colour(COLOUR_NONE));
    free(text);
}

static void print_head(const struct shown *shown)
{
    const json_t *json = shown->json;
    char text[PRINT_TEXT_MAX];
    const char *state = print_text(json, "state"), *note = print_note(json, text);
    fputs(colour(COLOUR_BOLD), stdout);
    put_clean(print_text(json, "workflow"));
    putchar('/');
    put_clean(print_text(json, "key"));
    printf("%s  instance %lld, %s%s%s\n", colour(COLOUR_NONE), print_number(json, "id"),
           colour(print_state_colour(state)), state, colour(COLOUR_NONE));
    if (note[0] != '\0') {
        line_clean("note", note);
    }
    entry_line("version", print_text(json, "version"));
    line_time("started", print_number(json, "started"), shown->now_ms);
    line_clean("by event", print_text(json, "event"));
    if (print_number(json, "parent") != 0) {
        snprintf(text, sizeof(text), "instance %lld", print_number(json, "parent"));
        entry_line("run by", text);
    }
    line_time("ended", print_number(json, "ended"), shown->now_ms);
    line_time("kept until", print_number(json, "until"), shown->now_ms);
}

static void print_object(const char *name, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        char *text = json_dumps(value, print_flags(value));
        printf("%s%-16s%s ", colour(COLOUR_DIM), name, colour(COLOUR_NONE));
        put_clean(key);
        printf(" = %s\n", text == NULL ? "?" : utf8_disarm(text));
        free(text);
        name = "";
    }
}

static size_t list_shown(const struct shown *shown, const json_t *list)
{
    return shown->is_full ? json_array_size(list) : STEPS_SHOWN_MAX;
}

// The variables that are a branch's own: which item it is of a for_each.
static void print_scope(const json_t *entry)
{
    const json_t *scope = json_object_get(entry, "scope");
    char *text = scope == NULL ? NULL : json_dumps(scope, print_flags(scope));
    if (text != NULL) {
        text[cut_at(text)] = '\0';
        printf(" %s", utf8_disarm(text));
    }
    free(text);
}

// What a branch at a step waits for, in words.
static void describe(const json_t *step, char out_text[PRINT_TEXT_MAX])
{
    static const struct {
        const char *kind, *words;
    } kinds[] = {{"call", "the answer"},       {"command", "the device's reply"},
                 {"await", "an event"},        {"sleep", "its time"},
                 {"until", "its time"},        {"parallel", "its branches"},
                 {"for_each", "its branches"}, {"run", "the workflow that it runs"}};
    const char *kind = print_text(step, "kind"), *phase = print_text(step, "phase");
    const char *value = print_text(step, "for"), *words = phase;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        words = strcmp(kinds[i].kind, kind) == 0 ? kinds[i].words : words;
    }
    if (strcmp(phase, "backoff") == 0) {
        snprintf(out_text, PRINT_TEXT_MAX, "attempt %lld", print_number(step, "attempt") + 1);
    } else if (strcmp(phase, "offline") == 0) {
        snprintf(out_text, PRINT_TEXT_MAX, "device %.100s to be online", value);
    } else if (print_number(step, "total") > 0) {
        snprintf(out_text, PRINT_TEXT_MAX, "%s: %lld of %lld done, %lld failed", words,
                 print_number(step, "done"), print_number(step, "total"),
                 print_number(step, "failed"));
    } else {
        snprintf(out_text, PRINT_TEXT_MAX, "%s%s%.150s", words, value[0] == '\0' ? "" : " for ",
                 value);
    }
}

// Why a parked one is there: the newest entry about it. NULL: it is older than the history.
static const json_t *find_parking(const struct shown *shown, const json_t *step)
{
    const json_t *entries = json_object_get(shown->json, "history");
    for (size_t i = json_array_size(entries); i > 0; i--) {
        const json_t *entry = json_array_get(entries, i - 1);
        if (strcmp(print_text(entry, "what"), "parked") == 0 &&
            strcmp(print_text(entry, "step"), print_text(step, "step")) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void print_parking(const struct shown *shown, const json_t *step, const char *since)
{
    const json_t *entry = find_parking(shown, step);
    printf(", since %s%s%s", since, entry == NULL ? "" : ": ",
           entry == NULL ? "" : print_text(entry, "error"));
    if (entry != NULL && print_text(entry, "reason")[0] != '\0') {
        fputs(": ", stdout);
        put_clean(print_text(entry, "reason"));
    }
    putchar('\n');
}

static void print_wait(const struct shown *shown, const json_t *step, const char *since)
{
    char what[PRINT_TEXT_MAX], due[PRINT_TEXT_MAX];
    describe(step, what);
    print_due(step, shown->now_ms, due);
    printf(" waits for ");
    put_clean(what);
    printf(", since %s%s%s\n", since, due[0] == '\0' ? "" : ", due ", due);
}

static void print_waits(const struct shown *shown)
{
    bool is_parked = strcmp(print_text(shown->json, "state"), "parked") == 0;
    const json_t *steps = json_object_get(shown->json, "steps");
    size_t i, shown_count = list_shown(shown, steps);
    json_t *step;
    json_array_foreach(steps, i, step)
    {
        if (i == shown_count) {
            printf("%-16s ... and %zu more (--full shows all)\n", "", json_array_size(steps) - i);
            break;
        }
        char since[AMOUNT_TEXT_MAX];
        int64_t since_ms = shown->now_ms - print_number(step, "since");
        amount_duration(since_ms < 0 ? 0 : since_ms, since);
        printf("%s%-16s%s %s%s%s", colour(COLOUR_DIM),
               i > 0       ? ""
               : is_parked ? "parked at"
                           : "at step",
               colour(COLOUR_NONE), colour(COLOUR_CYAN), print_text(step, "step"),
               colour(COLOUR_NONE));
        print_scope(step);
        if (is_parked) {
            print_parking(shown, step, since);
        } else {
            print_wait(shown, step, since);
        }
    }
}

static void print_undo(const struct shown *shown)
{
    const json_t *list = json_object_get(shown->json, "undo");
    size_t i, shown_count = list_shown(shown, list);
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        if (i == shown_count) {
            printf(" ... and %zu more (--full shows all)\n", json_array_size(list) - i);
            break;
        }
        if (i == 0) {
            printf("%s%-16s%s ", colour(COLOUR_DIM), "would undo", colour(COLOUR_NONE));
        }
        printf("%s%s", i == 0 ? "" : ", then ", print_text(entry, "step"));
        print_scope(entry);
        if (print_number(entry, "instance") != 0) { // What the step has run undoes itself.
            printf(" (instance %lld)", print_number(entry, "instance"));
        }
        fputs(i + 1 == json_array_size(list) ? "\n" : "", stdout);
    }
}

static enum colour entry_colour(const char *what)
{
    static const struct {
        const char *what;
        enum colour colour;
    } colours[] = {{"error", COLOUR_RED},        {"failed", COLOUR_RED},
                   {"parked", COLOUR_RED},       {"done", COLOUR_GREEN},
                   {"completed", COLOUR_GREEN},  {"undone", COLOUR_GREEN},
                   {"retrying", COLOUR_YELLOW},  {"undoing", COLOUR_YELLOW},
                   {"cancelled", COLOUR_YELLOW}, {"retried", COLOUR_YELLOW}};
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (strcmp(colours[i].what, what) == 0) {
            return colours[i].colour;
        }
    }
    return COLOUR_NONE;
}

// What went out is marked by >, what came back or was found by <.
static const char *data_sign(const char *what, const json_t *data)
{
    bool is_sent = strcmp(what, "entered") == 0 || json_object_get(data, "to") != NULL;
    return is_sent ? ">" : strcmp(what, "done") == 0 ? "<" : "=";
}

static void print_entry(const struct shown *shown, const json_t *entry)
{
    char at[ENTRY_TIME_MAX], amount[AMOUNT_TEXT_MAX], branch[PRINT_TEXT_MAX];
    long long at_ms = print_number(entry, "at"), attempt = print_number(entry, "attempt");
    const char *what = print_text(entry, "what"), *step = print_text(entry, "step");
    const char *error = print_text(entry, "error"), *reason = print_text(entry, "reason");
    printf("  %s.%03lld  %s%s%s", entry_time(at_ms, at), at_ms % 1000, colour(COLOUR_CYAN), step,
           colour(COLOUR_NONE));
    put_clean(print_branch(entry, branch));
    printf("%s%s%s%s", step[0] == '\0' ? "" : " ", colour(entry_colour(what)), what,
           colour(COLOUR_NONE));
    if (attempt > 1) {
        printf(", attempt %lld", attempt);
    }
    if (json_object_get(entry, "took") != NULL) {
        printf(", after %s", amount_duration(print_number(entry, "took"), amount));
    }
    printf("%s%s%s", error[0] == '\0' && reason[0] == '\0' ? "" : "  ", error,
           reason[0] == '\0' || error[0] == '\0' ? "" : ": ");
    put_clean(reason);
    putchar('\n');
    const json_t *data = json_object_get(entry, "data");
    print_data(data_sign(what, data), data, shown->is_full);
}

static void print_history(const struct shown *shown)
{
    size_t i;
    json_t *entry;
    printf("%shistory%s\n", colour(COLOUR_BOLD), colour(COLOUR_NONE));
    json_array_foreach(json_object_get(shown->json, "history"), i, entry)
    {
        print_entry(shown, entry);
    }
}

static void print_instance(const struct shown *shown)
{
    print_head(shown);
    print_object("variables", json_object_get(shown->json, "variables"));
    print_object("result", json_object_get(shown->json, "result"));
    print_waits(shown);
    print_undo(shown);
    print_history(shown);
    if (shown->is_full) {
        printf("%sdefinition%s\n", colour(COLOUR_BOLD), colour(COLOUR_NONE));
        print_json_indented(stdout, json_object_get(shown->json, "definition"));
    }
    putchar('\n');
}

static int show(struct workflow_run *run, const char *word)
{
    struct error e = {0};
    json_t *json = NULL;
    int64_t id;
    int code = workflow_find(run, word, &id);
    if (code != -1) {
        return code;
    }
    if (workflow_look_full(run->look, id, &json, &e) != ERR_OK) {
        return workflow_run_fail(run, &e);
    }
    if (run->is_json) {
        print_json_line(stdout, json);
    } else {
        const struct shown shown = {json, clock_wall_ms(),
                                    option_bool(run->arguments.options, "full")};
        print_instance(&shown);
    }
    json_decref(json);
    return EXIT_OK;
}

int workflow_show_command(int argc, char **argv)
{
    struct workflow_run run;
    int code = workflow_run_open(&run, &usage, argc, argv);
    if (code == -1 && run.arguments.word_count == 0) {
        code = usage_fail(&usage, "show what? Give an instance's number or <workflow>/<key>");
    }
    for (int i = 0; code == -1 && i < run.arguments.word_count; i++) {
        int rc = show(&run, run.arguments.words[i]);
        code = rc != EXIT_OK ? rc : i + 1 == run.arguments.word_count ? EXIT_OK : -1;
    }
    workflow_run_close(&run);
    return code;
}
