// cloudevent_json.c - a CloudEvent in its JSON format [CloudEvents JSON format 1.0.2].
#include <jansson.h>
#include <stdlib.h>

#include "core/cloudevent.h"
#include "core/json_tape.h"

static bool is_json_type(struct bytes content_type)
{
    return content_type.len == 0 || content_type_is(content_type, "application/json", "+json") ||
           content_type_is(content_type, "text/json", "+json");
}

static int digit_of(uint8_t byte)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = byte == 0 ? NULL : strchr(digits, byte);
    return found == NULL ? -1 : (int)(found - digits);
}

// [RFC 4648, section 4]; out has room for three quarters of the text.
static bool decode_base64(struct bytes text, uint8_t *out, size_t *out_len)
{
    size_t len = 0, digits = text.len;
    uint32_t bits = 0;
    while (digits > 0 && text.len - digits < 2 && text.ptr[digits - 1] == '=') {
        digits--;
    }
    if (text.len % 4 != 0 || digits % 4 == 1) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0) {
            out[len++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
        }
    }
    *out_len = len;
    return true;
}

static enum err out_of_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
}

static enum err take_base64(struct cloudevent *event, const struct json_node *node,
                            struct event_memory *memory, struct error *e)
{
    if (node->kind != JSON_KIND_TEXT) {
        return error_set(e, ERR_INVALID, "the CloudEvent's data_base64 is not a text");
    }
    uint8_t *out = event_memory_take(memory, node->text_len / 4 * 3 + 3);
    if (out == NULL) {
        return out_of_memory(e);
    }
    size_t len;
    if (!decode_base64(bytes_of(node->text, node->text_len), out, &len)) {
        return error_set(e, ERR_INVALID, "the CloudEvent's data_base64 is not base64");
    }
    event->data = bytes_of(out, len);
    return ERR_OK;
}

// A text as JSON again, with quotes and escapes.
static enum err quote(struct cloudevent *event, const struct json_node *node,
                      struct event_memory *memory, struct error *e)
{
    json_t *json = json_stringn(node->text, node->text_len);
    char *text = json == NULL ? NULL : json_dumps(json, JSON_ENCODE_ANY);
    const char *kept = text == NULL ? NULL : event_memory_text(memory, bytes_from_text(text));
    free(text);
    json_decref(json);
    event->data = bytes_from_text(kept);
    return kept == NULL ? out_of_memory(e) : ERR_OK;
}

// What is declared as JSON stays JSON; of anything else the text is the data.
static enum err take_data(struct cloudevent *event, const struct json_node *node,
                          struct event_memory *memory, struct error *e)
{
    bool is_json = is_json_type(event->content_type);
    switch (node->kind) {
    case JSON_KIND_NULL:
        return ERR_OK;
    case JSON_KIND_FALSE:
        event->data = bytes_from_text("false");
        return ERR_OK;
    case JSON_KIND_TRUE:
        event->data = bytes_from_text("true");
        return ERR_OK;
    case JSON_KIND_TEXT:
        if (is_json) {
            return quote(event, node, memory, e);
        }
        event->data = bytes_of(node->text_len == 0 ? "" : node->text, node->text_len);
        return ERR_OK;
    default:
        event->data = bytes_of(node->text, node->text_len);
        return ERR_OK;
    }
}

static enum err add_attribute(struct cloudevent *event, const struct json_node *node,
                              struct error *e)
{
    struct event_value value;
    json_node_value(node, &value);
    if (value.kind == VALUE_NULL) {
        return ERR_OK;
    }
    if (value.kind != VALUE_TEXT && value.kind != VALUE_INTEGER && value.kind != VALUE_BOOLEAN) {
        return error_set(e, ERR_INVALID,
                         "the CloudEvent's attribute \"%.*s\" must be a text, a whole number or a "
                         "boolean",
                         (int)(node->key_len < 80 ? node->key_len : 80), node->key);
    }
    return cloudevent_add(event, bytes_of(node->key, node->key_len), &value, e);
}

static bool key_is(const struct json_node *node, const char *name)
{
    return bytes_equal(bytes_of(node->key, node->key_len), bytes_from_text(name));
}

struct data_nodes {
    const struct json_node *data, *base64;
};

static enum err take_members(struct cloudevent *event, const struct json_tape *tape,
                             struct data_nodes *out_data, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 1; rc == ERR_OK && i < tape->nodes[0].next; i = tape->nodes[i].next) {
        const struct json_node *node = &tape->nodes[i];
        if (key_is(node, "data")) {
            out_data->data = node;
        } else if (key_is(node, "data_base64")) {
            out_data->base64 = node;
        } else {
            rc = add_attribute(event, node, e);
        }
    }
    return rc;
}

enum err cloudevent_read_json(struct cloudevent *event, struct bytes payload,
                              struct event_memory *memory, struct error *e)
{
    struct json_tape tape;
    struct data_nodes nodes = {NULL, NULL};
    enum err rc = json_tape_read(&tape, payload, memory, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (tape.nodes[0].kind != JSON_KIND_OBJECT) {
        return error_set(e, ERR_INVALID, "the CloudEvent is not a JSON object");
    }
    rc = take_members(event, &tape, &nodes, e);
    if (rc != ERR_OK) {
        return rc;
    }
    const struct event_value *type = cloudevent_find(event, bytes_from_text("datacontenttype"));
    event->content_type =
        type != NULL && type->kind == VALUE_TEXT ? type->bytes : bytes_of(NULL, 0);
    if (nodes.data != NULL && nodes.base64 != NULL) {
        return error_set(e, ERR_INVALID, "the CloudEvent has both data and data_base64");
    }
    if (nodes.base64 != NULL) {
        return take_base64(event, nodes.base64, memory, e);
    }
    if (event->content_type.len == 0) {
        event->content_type = bytes_from_text("application/json");
    }
    return nodes.data == NULL ? ERR_OK : take_data(event, nodes.data, memory, e);
}
