#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "cli/arguments.h"
#include "cli/entry_range.h"
#include "cli/status_print.h"
#include "cli/status_read.h"
#include "cli/terminal.h"

int status_command(int argc, char **argv);

static const struct option_spec status_options[] = {
    {"config", OPTION_PATH, true, NULL, 0, 0, NULL, "The hub's configuration file; -c is short."},
    {"watch", OPTION_BOOL, false, "false", 0, 0, NULL, "Show it again and again, until Ctrl-C."},
    {"interval", OPTION_DURATION, false, "1 s", 0, 3600000, NULL,
     "Time between the two readings that rates are made from, and between two views of --watch; 0 "
     "reads once and gives no rates."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object a reading."},
    {NULL},
};

static const struct usage usage = {
    .name = "status",
    .synopsis = "-c hub.yaml [--watch] [--json]",
    .about =
        "Shows what a hub has done and what it owes: the books, rates, queues and the oldest\n"
        "delivery that waits, gaps in device sequences, sources and targets with their last\n"
        "error, advice about the broker, how full the store is. Without a running hub it shows\n"
        "what its store says.\n",
    .options = status_options,
    .more = "Exit codes: 0 shown, 1 the books do not balance, 2 usage, 3 configuration,\n"
            "4 there is no store or it cannot be read.\n",
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

static void show(const json_t *status, bool is_json, bool is_watching)
{
    if (is_json) {
        json_dumpf(status, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
    } else {
        if (is_watching && terminal_is(stdout)) {
            fputs("\033[H\033[2J", stdout); // To the top of an empty screen.
        }
        status_print(status);
    }
    fflush(stdout);
}

// Sleeps; a signal ends it early.
static void pause_ms(int64_t ms)
{
    if (ms > 0 && !is_interrupted) {
        poll(NULL, 0, (int)ms);
    }
}

static enum err show_all(const struct config *config, const struct options *options,
                         bool *out_is_balanced, struct error *e)
{
    bool is_json = option_bool(options, "json"), is_watching = option_bool(options, "watch");
    int64_t interval_ms = option_int(options, "interval");
    json_t *before = NULL, *now = NULL;
    enum err rc = status_read(config, &now, e);
    if (rc == ERR_OK && is_watching && interval_ms > 0) {
        show(now, is_json, true); // The first view need not wait for rates.
    }
    while (rc == ERR_OK && interval_ms > 0 && !is_interrupted) {
        pause_ms(interval_ms);
        json_decref(before);
        before = now;
        now = NULL;
        rc = status_read(config, &now, e);
        if (rc == ERR_OK) {
            status_add_rates(now, before);
        }
        if (rc != ERR_OK || !is_watching) {
            break;
        }
        show(now, is_json, true);
    }
    if (rc == ERR_OK && (!is_watching || interval_ms == 0)) {
        show(now, is_json, false);
    }
    *out_is_balanced = rc != ERR_OK || status_is_balanced(now);
    json_decref(before);
    json_decref(now);
    return rc;
}

static int status_run(const struct options *options)
{
    struct error e = {0};
    int code = EXIT_OK;
    bool is_balanced = true;
    struct config *config = config_for_command("status", option_text(options, "config"), &code);
    if (config == NULL) {
        return code;
    }
    enum err rc = show_all(config, options, &is_balanced, &e);
    config_destroy(config);
    if (rc != ERR_OK) {
        fprintf(stderr, "pipit status: %s\n", e.text);
        return rc == ERR_NOT_FOUND ? EXIT_STORE : exit_code_of(rc);
    }
    return is_balanced ? EXIT_OK : EXIT_FAILED;
}

int status_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    if (arguments.word_count > 0) {
        code = usage_fail(&usage, "'%s' is not expected here", arguments.words[0]);
    } else {
        struct sigaction action = {.sa_handler = on_signal};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        code = status_run(arguments.options);
    }
    arguments_deinit(&arguments);
    return code;
}
