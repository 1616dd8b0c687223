#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/arguments.h"
#include "cli/client.h"
#include "cli/field.h"
#include "cli/message_view.h"
#include "cli/terminal.h"

int tail_command(int argc, char **argv);

static const struct option_spec tail_options[] = {
    {"topic", OPTION_TEXT, false, "#", 0, 0, NULL, "Topic filter to watch."},
    {"qos", OPTION_INT, false, "0", 0, 2, NULL, "MQTT quality of service of the subscription."},
    {"count", OPTION_INT, false, NULL, 1, INT64_MAX, NULL, "End after so many messages."},
    {"for", OPTION_DURATION, false, NULL, 1, INT64_MAX, NULL, "End after this long."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object a message."},
    PEER_OPTIONS,
    {NULL},
};

static const struct usage usage = {
    .name = "tail",
    .synopsis = "[--topic FILTER] [OPTION...]",
    .about = "Shows what passes the broker, as it passes: events, receipts, status, commands and\n"
             "replies of Pipit devices decoded, anything else as text. Only watches: a clean\n"
             "session, nothing is taken from anyone. The hub's statistics are shown when the\n"
             "filter names them (pipit/v1/$hub/#).\n",
    .options = tail_options,
    .more = "Examples:\n"
            "  pipit tail --topic 'pipit/v1/+/press-4/#'\n"
            "  pipit tail --topic 'alerts/#' --json --count 10\n\n"
            "Exit codes: 0 ended as asked, 1 the broker refuses the filter, 2 usage,\n"
            "5 no broker.\n",
};

struct tail {
    bool is_json, wants_statistics;
    uint64_t left; // Messages to show.
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

static void on_message(void *context, const struct client_message *message)
{
    struct tail *tail = context;
    bool is_statistic = strncmp(message->topic, "pipit/v1/$hub/", 14) == 0;
    if (tail->left == 0 || (is_statistic && !tail->wants_statistics)) {
        return;
    }
    tail->left--;
    if (tail->is_json) {
        message_json(stdout, message, clock_wall_ms());
    } else {
        message_print(stdout, message, clock_wall_ms());
    }
    if (fflush(stdout) != 0) { // Nobody reads any more.
        tail->left = 0;
    }
}

static enum err tail_run(struct tail *tail, struct client *client, const struct options *options,
                         struct error *e)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t end_ms =
        options_is_set(options, "for") ? now_ms + option_int(options, "for") : INT64_MAX;
    enum err rc =
        client_subscribe(client, option_text(options, "topic"), (int)option_int(options, "qos"), e);
    while (rc == ERR_OK && tail->left > 0 && !is_interrupted &&
           (now_ms = clock_monotonic_ms()) < end_ms) {
        rc = client_run(client, end_ms - now_ms, e);
    }
    return rc;
}

int tail_command(int argc, char **argv)
{
    struct arguments arguments;
    struct peer peer = {0};
    struct client *client = NULL;
    struct error e = {0};
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    const struct options *options = arguments.options;
    struct tail tail = {
        .is_json = option_bool(options, "json"),
        .wants_statistics = strstr(option_text(options, "topic"), "$hub") != NULL,
        .left =
            options_is_set(options, "count") ? (uint64_t)option_int(options, "count") : UINT64_MAX,
    };
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    enum err rc = arguments.word_count > 0
                      ? error_set(&e, ERR_CONFIG,
                                  "'%s' is not expected here; a filter goes with "
                                  "--topic",
                                  arguments.words[0])
                      : peer_init(&peer, options, &e);
    if (rc == ERR_OK) {
        rc = client_open(&client, &peer, on_message, &tail, &e);
    }
    if (rc == ERR_OK) {
        rc = tail_run(&tail, client, options, &e);
    }
    if (rc == ERR_CONFIG) {
        code = usage_fail(&usage, "%s", e.text);
    } else {
        code = exit_code_of(rc);
        if (rc != ERR_OK) {
            fprintf(stderr, "pipit tail: %s\n", e.text);
        }
    }
    client_close(client);
    peer_deinit(&peer);
    arguments_deinit(&arguments);
    return code;
}
