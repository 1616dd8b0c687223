#include "cli/replay_send.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "admin/control.h"
#include "admin/control_client.h"
#include "base/clock.h"
#include "cli/delivery_print.h"
#include "cli/terminal.h"

#define CHUNK_BYTES 262144 // Of payloads and topics; or one delivery.
#define CHUNK_COUNT 1000
#define RETRY_MS    200

struct replay_sender {
    char *store_path;
    int64_t wait_ms;
    uint64_t replay, chunks;
    json_t *deliveries;
    size_t bytes;
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a replay");
}

static bool may_come(enum err rc)
{
    return rc == ERR_NOT_FOUND || rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT || rc == ERR_FULL;
}

// Again and again, for what is done twice is done once. is_first: with no hub there at all it is
// not waited for.
static enum err ask(const struct replay_sender *sender, const json_t *request, bool is_first,
                    json_t **out_reply, struct error *e)
{
    int64_t end_ms = clock_monotonic_ms() + sender->wait_ms;
    enum err rc = control_ask(sender->store_path, request, out_reply, e);
    bool is_absent = is_first && rc == ERR_NOT_FOUND;
    while (!is_absent && may_come(rc) && clock_monotonic_ms() < end_ms) {
        progress_show("waiting for the hub: %s", e->text);
        poll(NULL, 0, RETRY_MS);
        rc = control_ask(sender->store_path, request, out_reply, e);
    }
    return rc;
}

static enum err begin(struct replay_sender *sender, const struct replay_begin *what,
                      struct error *e)
{
    uint64_t random[2] = {0};
    char token[64];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return error_set(e, ERR_UNAVAILABLE, "no random number for the replay's token");
    }
    snprintf(token, sizeof(token), "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    json_t *reply = NULL;
    json_t *request = json_pack("{s:s, s:s, s:s, s:s}", "op", "replay_begin", "rule", what->rule,
                                "what", what->what, "token", token);
    enum err rc = request == NULL ? no_memory(e) : ask(sender, request, true, &reply, e);
    if (rc == ERR_OK) {
        sender->replay = (uint64_t)json_integer_value(json_object_get(reply, "replay"));
        sender->chunks = (uint64_t)json_integer_value(json_object_get(reply, "chunks"));
    }
    json_decref(request);
    json_decref(reply);
    return rc;
}

enum err replay_sender_create(struct replay_sender **out_sender, const struct replay_begin *what,
                              struct error *e)
{
    struct replay_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL) {
        return no_memory(e);
    }
    sender->store_path = strdup(what->store_path);
    sender->deliveries = json_array();
    sender->wait_ms = what->wait_ms;
    sender->replay = what->replay;
    sender->chunks = what->chunks;
    enum err rc = sender->store_path == NULL || sender->deliveries == NULL ? no_memory(e) : ERR_OK;
    if (rc == ERR_OK && sender->replay == 0) {
        rc = begin(sender, what, e);
    }
    if (rc != ERR_OK) {
        replay_sender_destroy(sender);
        return rc;
    }
    *out_sender = sender;
    return ERR_OK;
}

void replay_sender_destroy(struct replay_sender *sender)
{
    if (sender != NULL) {
        json_decref(sender->deliveries);
        free(sender->store_path);
        free(sender);
    }
}

uint64_t replay_sender_number(const struct replay_sender *sender)
{
    return sender->replay;
}

static enum err send_chunk(struct replay_sender *sender, bool is_last, struct error *e)
{
    json_t *reply = NULL;
    json_t *request =
        json_pack("{s:s, s:I, s:I, s:b, s:O}", "op", "replay_chunk", "replay",
                  (json_int_t)sender->replay, "number", (json_int_t)sender->chunks + 1, "is_last",
                  is_last, "deliveries", sender->deliveries);
    enum err rc = request == NULL ? no_memory(e) : ask(sender, request, false, &reply, e);
    json_decref(request);
    json_decref(reply);
    if (rc == ERR_OK) {
        sender->chunks++;
        sender->bytes = 0;
        json_array_clear(sender->deliveries);
    }
    return rc;
}

enum err replay_sender_put(struct replay_sender *sender, const struct delivery *delivery,
                           const char *target, struct error *e)
{
    size_t bytes = delivery->payload.len + delivery->topic.len + delivery->properties.len;
    if (bytes > CONTROL_REQUEST_MAX / 2) {
        return error_set(e, ERR_FULL,
                         "delivery %s has %zu bytes; a replay hands over at most %d a delivery",
                         delivery->idempotency_key, bytes, CONTROL_REQUEST_MAX / 2);
    }
    enum err rc = ERR_OK;
    if (json_array_size(sender->deliveries) >= CHUNK_COUNT ||
        (sender->bytes > 0 && sender->bytes + bytes > CHUNK_BYTES)) {
        rc = send_chunk(sender, false, e);
    }
    json_t *json = rc == ERR_OK ? delivery_json(delivery, target) : NULL;
    if (rc == ERR_OK && json_array_append_new(sender->deliveries, json) != 0) {
        rc = no_memory(e);
    }
    sender->bytes += bytes;
    return rc;
}

enum err replay_sender_end(struct replay_sender *sender, struct error *e)
{
    return send_chunk(sender, true, e);
}
