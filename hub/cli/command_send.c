#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/arguments.h"
#include "cli/client.h"
#include "cli/field.h"
#include "core/topic.h"
#include "pipit/pipit.h"

int command_command(int argc, char **argv);

#define FIELDS_MAX        256
#define PAYLOAD_BYTES_MAX (256 * 1024) // What a device's link takes.
#define TOPIC_TEXT_MAX    320

static const struct option_spec command_options[] = {
    {"device", OPTION_TEXT, true, NULL, 0, 0, NULL, "Who shall do it: GROUP/NAME."},
    {"name", OPTION_TEXT, true, NULL, 0, 0, NULL, "Name of the command."},
    {"payload", OPTION_PATH, false, NULL, 0, 0, NULL,
     "Send this file instead of fields; - is standard input."},
    {"content-type", OPTION_TEXT, false, "application/octet-stream", 0, 0, NULL,
     "Content type of the payload."},
    {"id", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Identity; a device does not run the same one twice (default: random)."},
    {"timeout", OPTION_DURATION, false, "10 s", 100, 86400000, NULL,
     "How long to wait for the reply; the device does not start it later than that."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "Tell the reply as JSON."},
    PEER_OPTIONS,
    {NULL},
};

static const struct usage usage = {
    .name = "command",
    .synopsis = "--device GROUP/NAME --name NAME [OPTION...] [FIELD=VALUE...]",
    .about = "Sends a command to a device and waits for its reply. Values as in pipit publish.\n",
    .options = command_options,
    .more = "Example:\n"
            "  pipit command --device plant/press-4 --name boost level=3\n\n"
            "Exit codes: 0 the device did it, 1 it replied with another status, 2 usage,\n"
            "5 no broker, or no reply in time.\n",
};

struct order {
    const struct options *options;
    struct peer peer;
    struct client *client;
    char group[PEER_NAME_MAX], device[PEER_NAME_MAX];
    char id[64];
    char topic[TOPIC_TEXT_MAX], reply_topic[TOPIC_TEXT_MAX], status_topic[TOPIC_TEXT_MAX];
    struct pipit_field fields[FIELDS_MAX];
    size_t field_count;
    char *payload;
    size_t payload_len;
    Pipit__V1__Reply *reply; // NULL until it is there.
    bool is_status_known, is_online;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

static void on_status(struct order *order, struct bytes payload)
{
    Pipit__V1__Status *status = pipit__v1__status__unpack(NULL, payload.len, payload.ptr);
    if (status != NULL) {
        order->is_status_known = true;
        order->is_online = status->online;
        pipit__v1__status__free_unpacked(status, NULL);
    }
}

static void on_message(void *context, const struct client_message *message)
{
    struct order *order = context;
    if (strcmp(message->topic, order->status_topic) == 0) {
        on_status(order, message->payload);
    } else if (strcmp(message->topic, order->reply_topic) == 0 && order->reply == NULL) {
        order->reply = pipit__v1__reply__unpack(NULL, message->payload.len, message->payload.ptr);
        if (order->reply != NULL && strcmp(order->reply->id, order->id) != 0) {
            pipit__v1__reply__free_unpacked(order->reply, NULL); // Another one's.
            order->reply = NULL;
        }
    }
}

// ---- what is asked -----------------------------------------------------------------------------

static enum err id_make(struct order *order, struct error *e)
{
    const char *given = option_text(order->options, "id");
    uint64_t random = 0;
    if (given == NULL) {
        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            return error_set(e, ERR_UNAVAILABLE, "the kernel gives no random number");
        }
        snprintf(order->id, sizeof(order->id), "%016llx", (unsigned long long)random);
        return ERR_OK;
    }
    if (given[0] == '\0' || strlen(given) >= sizeof(order->id)) {
        return error_set(e, ERR_CONFIG, "--id must be 1 to 63 bytes");
    }
    snprintf(order->id, sizeof(order->id), "%s", given);
    return ERR_OK;
}

static enum err topics_make(struct order *order, struct error *e)
{
    const char *name = option_text(order->options, "name");
    enum err rc =
        peer_device_split(option_text(order->options, "device"), order->group, order->device, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "--device");
    }
    if (strlen(name) > PIPIT_TYPE_MAX || !topic_is_valid(bytes_from_text(name))) {
        return error_set(e, ERR_CONFIG,
                         "--name '%s' must be 1 to %u bytes without + # and controls", name,
                         PIPIT_TYPE_MAX);
    }
    snprintf(order->topic, TOPIC_TEXT_MAX, "pipit/v1/%s/%s/command/%s", order->group, order->device,
             name);
    snprintf(order->reply_topic, TOPIC_TEXT_MAX, "pipit/v1/%s/%s/reply/%s", order->group,
             order->device, name);
    snprintf(order->status_topic, TOPIC_TEXT_MAX, "pipit/v1/%s/%s/status", order->group,
             order->device);
    return ERR_OK;
}

static enum err content_read(struct order *order, const struct arguments *arguments,
                             struct error *e)
{
    const char *path = option_text(order->options, "payload");
    if (path != NULL && arguments->word_count > 0) {
        return error_set(e, ERR_CONFIG, "a command has fields or a payload, not both ('%s')",
                         arguments->words[0]);
    }
    if (arguments->word_count > FIELDS_MAX) {
        return error_set(e, ERR_CONFIG, "a command has at most %d fields", FIELDS_MAX);
    }
    enum err rc = path == NULL
                      ? ERR_OK
                      : file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, PAYLOAD_BYTES_MAX,
                                  &order->payload, &order->payload_len, e);
    for (int i = 0; i < arguments->word_count && rc == ERR_OK; i++) {
        rc = field_parse(arguments->words[i], &order->fields[order->field_count++], e);
    }
    return rc;
}

static enum err order_send(struct order *order, struct error *e)
{
    Pipit__V1__Command command = PIPIT__V1__COMMAND__INIT;
    Pipit__V1__Field fields[FIELDS_MAX], *pointers[FIELDS_MAX];
    for (size_t i = 0; i < order->field_count; i++) {
        field_to_proto(&order->fields[i], &fields[i]);
        pointers[i] = &fields[i];
    }
    command.id = order->id;
    command.name = (char *)option_text(order->options, "name");
    command.expiry_case = PIPIT__V1__COMMAND__EXPIRY_EXPIRES;
    command.expires = (uint64_t)(clock_wall_ms() + option_int(order->options, "timeout"));
    command.n_fields = order->field_count;
    command.fields = pointers;
    if (order->payload != NULL) {
        command.payload = (ProtobufCBinaryData){order->payload_len, (uint8_t *)order->payload};
        command.content_type = (char *)option_text(order->options, "content-type");
    }
    uint8_t *packed = malloc(pipit__v1__command__get_packed_size(&command) + 1);
    if (packed == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    size_t len = pipit__v1__command__pack(&command, packed);
    enum err rc = client_publish(order->client, order->topic, bytes_of(packed, len), e);
    free(packed);
    return rc;
}

// ---- what came ---------------------------------------------------------------------------------

static enum err reply_await(struct order *order, struct error *e)
{
    int64_t timeout_ms = option_int(order->options, "timeout"), now_ms = 0;
    int64_t end_ms = clock_monotonic_ms() + timeout_ms;
    while (order->reply == NULL && !is_interrupted && (now_ms = clock_monotonic_ms()) < end_ms) {
        enum err rc = client_run(order->client, end_ms - now_ms, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    if (order->reply != NULL) {
        return ERR_OK;
    }
    return error_set(e, ERR_TIMEOUT, "no reply from %s/%s within %g s: %s", order->group,
                     order->device, (double)timeout_ms / 1000,
                     !order->is_status_known ? "no such device was ever online at this broker"
                     : order->is_online
                         ? "it is online, but does not take commands or is still at it"
                         : "it is offline");
}

static size_t reply_fields(const Pipit__V1__Reply *reply, struct pipit_field *fields)
{
    size_t count = 0;
    for (size_t i = 0; i < reply->n_fields && count < FIELDS_MAX; i++) {
        count += field_from_proto(reply->fields[i], &fields[count]);
    }
    return count;
}

static void reply_json(const struct order *order)
{
    struct pipit_field fields[FIELDS_MAX];
    const Pipit__V1__Reply *reply = order->reply;
    json_t *json =
        json_pack("{s:s, s:s, s:i, s:s, s:s}", "device", option_text(order->options, "device"),
                  "name", option_text(order->options, "name"), "status", (int)reply->status,
                  "message", reply->message, "id", reply->id);
    json_object_set_new(json, "fields", fields_to_json(fields, reply_fields(reply, fields)));
    if (reply->payload.len > 0) {
        json_object_set_new(json, "payload",
                            json_stringn((const char *)reply->payload.data, reply->payload.len));
        json_object_set_new(json, "content_type", json_string(reply->content_type));
    }
    json_dumpf(json, stdout, JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(json);
}

static void reply_print(const struct order *order)
{
    struct pipit_field fields[FIELDS_MAX];
    const Pipit__V1__Reply *reply = order->reply;
    size_t count = reply_fields(reply, fields);
    printf("%s: %s", option_text(order->options, "device"), reply->status == 0 ? "done" : "status");
    if (reply->status != 0) {
        printf(" %d", (int)reply->status);
        if (reply->status < 0) { // The SDK's own, so that its words fit.
            printf(" (%s)", pipit_err_text((enum pipit_err)reply->status));
        }
    }
    if (reply->message[0] != '\0') {
        fputs(", ", stdout);
        bytes_print(stdout, pipit_text(reply->message), 400);
    }
    for (size_t i = 0; i < count; i++) {
        putchar(' ');
        field_print(stdout, &fields[i]);
    }
    if (reply->payload.len > 0) {
        putchar(' ');
        bytes_print(stdout, (struct pipit_bytes){reply->payload.data, reply->payload.len}, 400);
    }
    putchar('\n');
}

// ---- all of it ---------------------------------------------------------------------------------

static enum err order_run(struct order *order, const struct arguments *arguments, struct error *e)
{
    enum err rc = topics_make(order, e);
    if (rc == ERR_OK) {
        rc = id_make(order, e);
    }
    if (rc == ERR_OK) {
        rc = content_read(order, arguments, e);
    }
    if (rc == ERR_OK) {
        rc = peer_init(&order->peer, order->options, e);
    }
    if (rc == ERR_OK) {
        rc = client_open(&order->client, &order->peer, on_message, order, e);
    }
    if (rc == ERR_OK) {
        rc = client_subscribe(order->client, order->reply_topic, 1, e);
    }
    if (rc == ERR_OK) {
        rc = client_subscribe(order->client, order->status_topic, 1, e);
    }
    if (rc == ERR_OK) {
        rc = order_send(order, e);
    }
    return rc == ERR_OK ? reply_await(order, e) : rc;
}

static int order_outcome(const struct order *order, enum err rc, const struct error *e)
{
    if (rc == ERR_CONFIG || rc == ERR_INVALID) {
        return usage_fail(&usage, "%s", e->text);
    }
    if (rc != ERR_OK) {
        fprintf(stderr, "pipit command: %s\n", e->text);
        return rc == ERR_IO || rc == ERR_NOT_FOUND ? EXIT_FAILED : exit_code_of(rc);
    }
    if (option_bool(order->options, "json")) {
        reply_json(order);
    } else {
        reply_print(order);
    }
    return order->reply->status == 0 ? EXIT_OK : EXIT_FAILED;
}

int command_command(int argc, char **argv)
{
    static struct order order;
    struct arguments arguments;
    struct error e = {0};
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    order.options = arguments.options;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    code = order_outcome(&order, order_run(&order, &arguments, &e), &e);
    client_close(order.client);
    peer_deinit(&order.peer);
    if (order.reply != NULL) {
        pipit__v1__reply__free_unpacked(order.reply, NULL);
    }
    free(order.payload);
    arguments_deinit(&arguments);
    return code;
}
