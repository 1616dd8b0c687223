#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/actor.h"
#include "cli/arguments.h"
#include "cli/field.h"

int publish_command(int argc, char **argv);

#define FIELDS_MAX        256
#define PAYLOAD_BYTES_MAX (1024 * 1024) // What a hub takes unless it is told otherwise.
#define SPOOL_BYTES       (64u * 1024)
#define EVENT_EXTRA_BYTES 4096 // Of an event beside its payload.
#define GOODBYE_MS        5000

enum wait { WAIT_RECEIPT, WAIT_PUBACK, WAIT_NONE };

static const struct option_spec publish_options[] = {
    {"device", OPTION_TEXT, true, NULL, 0, 0, NULL, "Whose event it is: GROUP/NAME."},
    {"type", OPTION_TEXT, true, NULL, 0, 0, NULL, "Type of the event; may have several levels."},
    {"payload", OPTION_PATH, false, NULL, 0, 0, NULL,
     "Send this file instead of fields; - is standard input."},
    {"content-type", OPTION_TEXT, false, "application/octet-stream", 0, 0, NULL,
     "Content type of the payload."},
    {"time", OPTION_TEXT, false, "now", 0, 0, NULL,
     "Device time: now, none, or milliseconds since 1970 UTC."},
    {"qos", OPTION_INT, false, "1", 0, 2, NULL, "MQTT quality of service."},
    {"wait", OPTION_ENUM, false, "receipt", 0, 0, "receipt|puback|none",
     "What to wait for: the hub's receipt, the broker's word, or nothing."},
    {"timeout", OPTION_DURATION, false, "10 s", 100, 86400000, NULL, "How long to wait."},
    {"spool", OPTION_PATH, false, NULL, 0, 0, NULL,
     "Folder that keeps events across runs; what still waits there is sent too."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "Tell the outcome as JSON."},
    PEER_OPTIONS,
    {NULL},
};

static const struct usage usage = {
    .name = "publish",
    .synopsis = "--device GROUP/NAME --type TYPE [OPTION...] [NAME=VALUE...]",
    .about = "Acts as a device: publishes one event and waits until a hub has stored it.\n"
             "A value's type is seen from its look (true, 5, 27.1, text) or given: NAME:TYPE=VALUE "
             "with\n"
             "bool, int, uint, float, double, text or data (hex digits).\n",
    .options = publish_options,
    .more = "Examples:\n"
            "  pipit publish --device plant/press-4 --type climate temp=27.1 light=true\n"
            "  pipit publish --device plant/cam --type picture --payload p.jpg --content-type "
            "image/jpeg\n\n"
            "Exit codes: 0 stored (or acknowledged, or sent, as --wait says), 1 not accepted,\n"
            "2 usage, 5 not confirmed in time.\n",
};

struct publish {
    const struct options *options;
    enum wait wait;
    struct peer peer;
    struct pipit_bell bell;
    struct actor *actor;
    struct pipit_field fields[FIELDS_MAX];
    size_t field_count;
    char *payload; // NULL: fields.
    size_t payload_len;
    struct pipit_event_options event;
    int64_t waited_ms;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

static enum err time_read(struct publish *publish, struct error *e)
{
    const char *text = option_text(publish->options, "time");
    char *end = NULL;
    if (strcmp(text, "none") == 0) {
        return ERR_OK;
    }
    publish->event.has_time = true;
    publish->event.time_ms = (uint64_t)clock_wall_ms();
    if (strcmp(text, "now") == 0) {
        return ERR_OK;
    }
    publish->event.time_ms = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0') {
        return error_set(e, ERR_CONFIG, "--time '%s' must be now, none or milliseconds since 1970",
                         text);
    }
    return ERR_OK;
}

static enum err payload_read(struct publish *publish, const char *path, struct error *e)
{
    enum err rc = file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, PAYLOAD_BYTES_MAX,
                            &publish->payload, &publish->payload_len, e);
    return rc == ERR_OK ? rc : error_wrap(e, "--payload");
}

static enum err event_read(struct publish *publish, const struct arguments *arguments,
                           struct error *e)
{
    const char *path = option_text(publish->options, "payload");
    if (path != NULL && arguments->word_count > 0) {
        return error_set(e, ERR_CONFIG, "an event has fields or a payload, not both ('%s')",
                         arguments->words[0]);
    }
    if (arguments->word_count > FIELDS_MAX) {
        return error_set(e, ERR_CONFIG, "an event has at most %d fields", FIELDS_MAX);
    }
    if (path == NULL && options_is_set(publish->options, "content-type")) {
        return error_set(e, ERR_CONFIG, "--content-type goes with --payload");
    }
    enum err rc = path != NULL ? payload_read(publish, path, e) : ERR_OK;
    for (int i = 0; i < arguments->word_count && rc == ERR_OK; i++) {
        rc = field_parse(arguments->words[i], &publish->fields[publish->field_count++], e);
    }
    return rc == ERR_OK ? time_read(publish, e) : rc;
}

static enum err actor_make(struct publish *publish, struct error *e)
{
    char group[PEER_NAME_MAX], device[PEER_NAME_MAX];
    enum err rc = peer_device_split(option_text(publish->options, "device"), group, device, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "--device");
    }
    struct actor_options options = {
        .peer = &publish->peer,
        .software = "pipit publish",
        .spool = option_text(publish->options, "spool"),
        .spool_bytes = SPOOL_BYTES,
        .event_bytes = (uint32_t)publish->payload_len + EVENT_EXTRA_BYTES + SPOOL_BYTES,
        .confirm = publish->wait == WAIT_RECEIPT ? PIPIT_CONFIRM_RECEIPT : PIPIT_CONFIRM_PUBACK,
        .qos = (enum pipit_qos)(option_int(publish->options, "qos") + 1),
        .bell = &publish->bell,
    };
    if (publish->wait == WAIT_NONE && !options_is_set(publish->options, "qos")) {
        options.qos = PIPIT_QOS_0;
    }
    if (options.spool != NULL) {
        options.spool_bytes += 4 * options.event_bytes + (uint32_t)publish->payload_len;
    }
    return actor_create(&publish->actor, group, device, &options, e);
}

static enum err event_accept(struct publish *publish, struct error *e)
{
    struct pipit_device *device = actor_device(publish->actor);
    const char *type = option_text(publish->options, "type");
    enum pipit_err rc =
        publish->payload != NULL
            ? pipit_publish_payload(
                  device, type, option_text(publish->options, "content-type"),
                  (struct pipit_bytes){(const uint8_t *)publish->payload, publish->payload_len},
                  &publish->event)
            : pipit_publish_fields(device, type, publish->fields, publish->field_count,
                                   &publish->event);
    return actor_error(publish->actor, rc, e);
}

// Polls until nothing waits (or, after pipit_stop, until it has stopped), or the time is over.
static enum err run_until(struct publish *publish, bool is_stopping, int64_t timeout_ms,
                          struct error *e)
{
    struct pipit_device *device = actor_device(publish->actor);
    int64_t begin_ms = clock_monotonic_ms(), end_ms = begin_ms + timeout_ms;
    while (is_stopping ? !pipit_is_stopped(device) : pipit_waiting(device) > 0) {
        int64_t now_ms = clock_monotonic_ms();
        if (now_ms >= end_ms || is_interrupted) {
            return error_set(e, ERR_TIMEOUT, "timed out");
        }
        enum pipit_err rc = pipit_poll(device, pipit_now_ms());
        if (rc != PIPIT_OK) {
            return actor_error(publish->actor, rc, e);
        }
        uint32_t next_ms = pipit_next_ms(device), left_ms = (uint32_t)(end_ms - now_ms);
        if (is_stopping ? !pipit_is_stopped(device) : pipit_waiting(device) > 0) {
            pipit_bell_wait(&publish->bell, next_ms < left_ms ? next_ms : left_ms);
        }
        publish->waited_ms = clock_monotonic_ms() - begin_ms;
    }
    return ERR_OK;
}

static void explain_missing(struct publish *publish, struct error *e)
{
    char seconds[32];
    snprintf(seconds, sizeof(seconds), "%g s",
             (double)option_int(publish->options, "timeout") / 1000);
    const char *trouble = actor_trouble(publish->actor);
    if (!pipit_is_online(actor_device(publish->actor))) {
        error_set(e, ERR_UNAVAILABLE, "not connected within %s: %s", seconds,
                  trouble[0] != '\0' ? trouble : publish->peer.url);
    } else if (publish->wait != WAIT_RECEIPT) {
        error_set(e, ERR_TIMEOUT, "the broker did not acknowledge within %s", seconds);
    } else {
        error_set(e, ERR_TIMEOUT,
                  "the broker has it, but no hub confirmed it within %s. Check that a hub runs "
                  "(pipit status) and that its source's topics include pipit/v1/%s/event/%s",
                  seconds, actor_name(publish->actor), option_text(publish->options, "type"));
    }
}

static const char *outcome_text(const struct publish *publish)
{
    static const char *const texts[] = {"stored", "acknowledged", "sent"};
    return texts[publish->wait];
}

static void outcome_json(const struct publish *publish, const struct error *e)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:I}", "outcome",
                  e == NULL ? outcome_text(publish) : "unconfirmed", "device",
                  actor_name(publish->actor), "type", option_text(publish->options, "type"), "boot",
                  (json_int_t)actor_boot(publish->actor), "sequence",
                  (json_int_t)actor_sequence(publish->actor), "confirmed", e == NULL, "waited_ms",
                  (json_int_t)publish->waited_ms);
    if (publish->payload == NULL) {
        json_object_set_new(json, "fields", fields_to_json(publish->fields, publish->field_count));
    } else {
        json_object_set_new(json, "payload_bytes", json_integer((json_int_t)publish->payload_len));
    }
    if (e != NULL) {
        json_object_set_new(json, "error", json_string(e->text));
    }
    json_dumpf(json, stdout, JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(json);
}

static void outcome_print(const struct publish *publish)
{
    printf("%s: %s %s (boot %u, sequence %llu)", outcome_text(publish), actor_name(publish->actor),
           option_text(publish->options, "type"), actor_boot(publish->actor),
           (unsigned long long)actor_sequence(publish->actor));
    for (size_t i = 0; i < publish->field_count; i++) {
        putchar(' ');
        field_print(stdout, &publish->fields[i]);
    }
    if (publish->payload != NULL) {
        printf(" payload=<%zu bytes>", publish->payload_len);
    }
    printf(" after %lld ms\n", (long long)publish->waited_ms);
}

static enum err publish_run(struct publish *publish, struct error *e)
{
    struct error goodbye;
    enum err rc = event_accept(publish, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "not accepted");
    }
    rc = run_until(publish, false, option_int(publish->options, "timeout"), e);
    if (rc == ERR_TIMEOUT) {
        explain_missing(publish, e);
        rc = e->code;
    }
    if (option_bool(publish->options, "json")) {
        outcome_json(publish, rc == ERR_OK ? NULL : e);
    } else if (rc == ERR_OK) {
        outcome_print(publish);
    }
    if (pipit_is_online(actor_device(publish->actor))) {
        pipit_stop(actor_device(publish->actor));
        (void)run_until(publish, true, GOODBYE_MS, &goodbye);
    }
    return rc;
}

static enum err publish_open(struct publish *publish, const struct arguments *arguments,
                             struct error *e)
{
    enum err rc = event_read(publish, arguments, e);
    if (rc == ERR_OK) {
        rc = peer_init(&publish->peer, publish->options, e);
    }
    if (rc == ERR_OK && pipit_bell_open(&publish->bell) != PIPIT_OK) {
        rc = error_set(e, ERR_NO_MEMORY, "no file descriptors left");
    }
    return rc == ERR_OK ? actor_make(publish, e) : rc;
}

int publish_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    struct publish publish = {.options = arguments.options, .bell = {{-1, -1}}};
    struct error e = {0};
    publish.wait = (enum wait)option_choice(arguments.options, "wait");
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    enum err rc = publish_open(&publish, &arguments, &e);
    bool is_usage = rc == ERR_CONFIG || rc == ERR_INVALID;
    if (rc == ERR_OK) {
        rc = publish_run(&publish, &e);
    }
    if (is_usage) {
        code = usage_fail(&usage, "%s", e.text);
    } else if (rc != ERR_OK) {
        fprintf(stderr, "pipit publish: %s\n", e.text);
        code = rc == ERR_IO || rc == ERR_BUSY ? EXIT_FAILED : exit_code_of(rc);
    } else {
        code = EXIT_OK;
    }
    actor_destroy(publish.actor);
    pipit_bell_close(&publish.bell);
    peer_deinit(&publish.peer);
    free(publish.payload);
    arguments_deinit(&arguments);
    return code;
}
