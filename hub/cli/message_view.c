#include "cli/message_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "cli/field.h"
#include "cli/terminal.h"
#include "core/topic.h"

#define PAYLOAD_SHOWN_MAX 400 // Bytes of a plain payload in a line.
#define FIELDS_SHOWN_MAX  256
#define DETAIL_MAX        160

enum kind { KIND_EVENT, KIND_RECEIPT, KIND_COMMAND, KIND_REPLY, KIND_STATUS, KIND_PLAIN };

static const struct {
    const char *name;
    bool has_rest; // More levels follow: an event's type, a command's name.
    enum colour colour;
} kinds[] = {
    [KIND_EVENT] = {"event", true, COLOUR_GREEN},
    [KIND_RECEIPT] = {"receipt", false, COLOUR_DIM},
    [KIND_COMMAND] = {"command", true, COLOUR_YELLOW},
    [KIND_REPLY] = {"reply", true, COLOUR_YELLOW},
    [KIND_STATUS] = {"status", false, COLOUR_BLUE},
    [KIND_PLAIN] = {"message", false, COLOUR_NONE},
};

// What a message says, whatever it was.
struct view {
    enum kind kind;
    struct bytes device; // "group/name"
    struct bytes rest;   // Type or name.
    struct pipit_field fields[FIELDS_SHOWN_MAX];
    size_t field_count;
    struct bytes payload;
    const char *content_type;
    char detail[DETAIL_MAX]; // What is worth knowing beside the fields.
    json_t *extra;           // The same for JSON.
    ProtobufCMessage *proto; // Holds what the fields point to.
    const char *fault;       // Why it was not decoded.
};

static void view_topic(struct view *view, const char *topic)
{
    static const char root[] = "pipit/v1/";
    struct bytes rest = bytes_from_text(topic), group, device, kind;
    view->kind = KIND_PLAIN;
    if (strncmp(topic, root, sizeof(root) - 1) != 0) {
        return;
    }
    rest = bytes_of(rest.ptr + sizeof(root) - 1, rest.len - (sizeof(root) - 1));
    struct bytes all = rest;
    if (!topic_next_level(&rest, &group) || !topic_next_level(&rest, &device) ||
        !topic_next_level(&rest, &kind) || group.len == 0 || group.ptr[0] == '$') {
        return;
    }
    for (enum kind i = KIND_EVENT; i < KIND_PLAIN; i++) {
        if (bytes_equal(kind, bytes_from_text(kinds[i].name)) &&
            kinds[i].has_rest == (rest.ptr != NULL)) {
            view->kind = i;
            view->device = bytes_of(all.ptr, group.len + 1 + device.len);
            view->rest = rest;
        }
    }
}

static void view_fields(struct view *view, Pipit__V1__Field **fields, size_t count)
{
    for (size_t i = 0; i < count && view->field_count < FIELDS_SHOWN_MAX; i++) {
        view->field_count += field_from_proto(fields[i], &view->fields[view->field_count]);
    }
}

static void view_payload(struct view *view, ProtobufCBinaryData payload, const char *content_type)
{
    view->payload = bytes_of(payload.data, payload.len);
    view->content_type = content_type[0] == '\0' ? NULL : content_type;
}

static void view_event(struct view *view, struct bytes bytes)
{
    Pipit__V1__Event *event = pipit__v1__event__unpack(NULL, bytes.len, bytes.ptr);
    if (event == NULL) {
        return;
    }
    view->proto = &event->base;
    view_fields(view, event->fields, event->n_fields);
    view_payload(view, event->payload, event->content_type);
    snprintf(view->detail, sizeof(view->detail), "boot %u, sequence %" PRIu64 "%s", event->boot,
             event->sequence, event->wants_receipt ? ", wants a receipt" : "");
    view->extra = json_pack("{s:I, s:I, s:b}", "boot", (json_int_t)event->boot, "sequence",
                            (json_int_t)event->sequence, "wants_receipt", event->wants_receipt);
    if (event->device_time_case == PIPIT__V1__EVENT__DEVICE_TIME_TIME) {
        json_object_set_new(view->extra, "time", json_integer((json_int_t)event->time));
    }
}

static void view_receipt(struct view *view, struct bytes bytes)
{
    Pipit__V1__Receipt *receipt = pipit__v1__receipt__unpack(NULL, bytes.len, bytes.ptr);
    if (receipt == NULL) {
        return;
    }
    unsigned beyond = 0;
    for (size_t i = 0; i < receipt->bitmap.len; i++) {
        beyond += (unsigned)__builtin_popcount(receipt->bitmap.data[i]);
    }
    view->proto = &receipt->base;
    snprintf(view->detail, sizeof(view->detail), "boot %u stored up to %" PRIu64, receipt->boot,
             receipt->upto);
    if (beyond > 0) {
        size_t len = strlen(view->detail);
        snprintf(view->detail + len, sizeof(view->detail) - len, " and %u beyond", beyond);
    }
    view->extra = json_pack("{s:I, s:I, s:I}", "boot", (json_int_t)receipt->boot, "upto",
                            (json_int_t)receipt->upto, "beyond", (json_int_t)beyond);
}

static void view_command(struct view *view, struct bytes bytes)
{
    Pipit__V1__Command *command = pipit__v1__command__unpack(NULL, bytes.len, bytes.ptr);
    if (command == NULL) {
        return;
    }
    view->proto = &command->base;
    view_fields(view, command->fields, command->n_fields);
    view_payload(view, command->payload, command->content_type);
    snprintf(view->detail, sizeof(view->detail), "id %s", command->id);
    view->extra = json_pack("{s:s}", "id", command->id);
    if (command->expiry_case == PIPIT__V1__COMMAND__EXPIRY_EXPIRES) {
        json_object_set_new(view->extra, "expires", json_integer((json_int_t)command->expires));
    }
}

static void view_reply(struct view *view, struct bytes bytes)
{
    Pipit__V1__Reply *reply = pipit__v1__reply__unpack(NULL, bytes.len, bytes.ptr);
    if (reply == NULL) {
        return;
    }
    view->proto = &reply->base;
    view_fields(view, reply->fields, reply->n_fields);
    view_payload(view, reply->payload, reply->content_type);
    snprintf(view->detail, sizeof(view->detail), "id %s, status %d%s%s", reply->id, reply->status,
             reply->message[0] == '\0' ? "" : ": ", reply->message);
    view->extra = json_pack("{s:s, s:i, s:s}", "id", reply->id, "status", (int)reply->status,
                            "message", reply->message);
}

static void view_status(struct view *view, struct bytes bytes)
{
    Pipit__V1__Status *status = pipit__v1__status__unpack(NULL, bytes.len, bytes.ptr);
    if (status == NULL) {
        return;
    }
    view->proto = &status->base;
    snprintf(view->detail, sizeof(view->detail), "%s, boot %u%s%s, %u waiting, %" PRIu64 " dropped",
             status->online ? "online" : "offline", status->boot,
             status->software[0] == '\0' ? "" : ", ", status->software, status->waiting,
             status->dropped);
    view->extra = json_pack("{s:b, s:I, s:s, s:I, s:I}", "online", status->online, "boot",
                            (json_int_t)status->boot, "software", status->software, "waiting",
                            (json_int_t)status->waiting, "dropped", (json_int_t)status->dropped);
}

static void view_init(struct view *view, const struct client_message *message)
{
    static void (*const decoders[])(struct view *, struct bytes) = {
        [KIND_EVENT] = view_event, [KIND_RECEIPT] = view_receipt, [KIND_COMMAND] = view_command,
        [KIND_REPLY] = view_reply, [KIND_STATUS] = view_status,
    };
    memset(view, 0, sizeof(*view));
    view_topic(view, message->topic);
    if (view->kind != KIND_PLAIN) {
        decoders[view->kind](view, message->payload);
    }
    if (view->kind == KIND_PLAIN || view->proto == NULL) {
        view->payload = message->payload;
        view->content_type = message->content_type;
        view->fault = view->kind == KIND_PLAIN ? NULL : "not a valid Pipit message";
    }
}

static void view_deinit(struct view *view)
{
    json_decref(view->extra);
    if (view->proto != NULL) {
        protobuf_c_message_free_unpacked(view->proto, NULL);
    }
}

// ---- a line for a person -----------------------------------------------------------------------

static void time_print(FILE *file, int64_t now_ms)
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    char text[16] = "";
    if (localtime_r(&seconds, &tm) != NULL) {
        strftime(text, sizeof(text), "%H:%M:%S", &tm);
    }
    fprintf(file, "%s%s.%03d%s ", terminal_colour(file, COLOUR_DIM), text, (int)(now_ms % 1000),
            terminal_colour(file, COLOUR_NONE));
}

static void payload_print(FILE *file, const struct view *view)
{
    if (view->payload.len == 0 && view->field_count > 0) {
        return;
    }
    size_t len = view->payload.len;
    while (len > 0 && (view->payload.ptr[len - 1] == '\n' || view->payload.ptr[len - 1] == '\r')) {
        len--;
    }
    fputs(" ", file);
    bytes_print(file, (struct pipit_bytes){view->payload.ptr, len}, PAYLOAD_SHOWN_MAX);
}

static void head_print(FILE *file, const struct view *view, const struct client_message *message)
{
    const char *none = terminal_colour(file, COLOUR_NONE);
    if (view->kind == KIND_PLAIN) {
        fprintf(file, "%s%s%s", terminal_colour(file, COLOUR_CYAN), message->topic, none);
        return;
    }
    fprintf(file, "%s%-20.*s%s %s%s", terminal_colour(file, COLOUR_CYAN), (int)view->device.len,
            (const char *)view->device.ptr, none, terminal_colour(file, kinds[view->kind].colour),
            kinds[view->kind].name);
    if (view->rest.len > 0) {
        fprintf(file, " %.*s", (int)view->rest.len, (const char *)view->rest.ptr);
    }
    fputs(none, file);
}

void message_print(FILE *file, const struct client_message *message, int64_t now_ms)
{
    struct view view;
    view_init(&view, message);
    time_print(file, now_ms);
    head_print(file, &view, message);
    for (size_t i = 0; i < view.field_count; i++) {
        fputc(' ', file);
        field_print(file, &view.fields[i]);
    }
    if (view.kind == KIND_PLAIN || view.payload.len > 0) {
        payload_print(file, &view);
    }
    fprintf(file, "%s", terminal_colour(file, COLOUR_DIM));
    if (view.detail[0] != '\0') {
        fputs(" (", file);
        bytes_print(file, pipit_text(view.detail), sizeof(view.detail));
        fputs(")", file);
    }
    fprintf(file, "%s%s%s", message->is_retained ? " retained" : "",
            view.fault == NULL ? "" : " - ", view.fault == NULL ? "" : view.fault);
    fprintf(file, "%s\n", terminal_colour(file, COLOUR_NONE));
    view_deinit(&view);
}

// ---- a line for a program ----------------------------------------------------------------------

// JSON stays JSON, text is text, the rest is hexadecimal.
static json_t *payload_json(const struct view *view)
{
    struct bytes payload = view->payload;
    const struct pipit_field data = {.kind = PIPIT_KIND_DATA,
                                     .value.bytes = {payload.ptr, payload.len}};
    json_t *json = json_loadb((const char *)payload.ptr, payload.len, JSON_DECODE_ANY, NULL);
    if (json != NULL) {
        return json;
    }
    json = utf8_is_valid(payload) ? json_stringn((const char *)payload.ptr, payload.len) : NULL;
    return json != NULL ? json : field_to_json(&data);
}

void message_json(FILE *file, const struct client_message *message, int64_t now_ms)
{
    struct view view;
    view_init(&view, message);
    json_t *json = json_pack("{s:s, s:I, s:s, s:i, s:b}", "topic", message->topic, "at_ms",
                             (json_int_t)now_ms, "kind", kinds[view.kind].name, "qos", message->qos,
                             "retained", message->is_retained);
    if (view.device.len > 0) {
        json_object_set_new(json, "device",
                            json_stringn((const char *)view.device.ptr, view.device.len));
    }
    if (view.rest.len > 0) {
        json_object_set_new(json, view.kind == KIND_EVENT ? "type" : "name",
                            json_stringn((const char *)view.rest.ptr, view.rest.len));
    }
    json_object_update(json, view.extra);
    if (view.field_count > 0) {
        json_object_set_new(json, "fields", fields_to_json(view.fields, view.field_count));
    } else if (view.kind == KIND_PLAIN || view.payload.len > 0) {
        json_object_set_new(json, "payload", payload_json(&view));
    }
    if (view.content_type != NULL) {
        json_object_set_new(json, "content_type", json_string(view.content_type));
    }
    if (view.fault != NULL) {
        json_object_set_new(json, "error", json_string(view.fault));
    }
    json_dumpf(json, file, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputc('\n', file);
    json_decref(json);
    view_deinit(&view);
}
