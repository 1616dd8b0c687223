// case_device.c - what devices with the SDK say beside events: their status, replies to commands.
#include <jansson.h>
#include <pipit/v1/pipit.pb-c.h>

#include "trial/case_parts.h"

static bool make_status(struct case_builder *builder, const struct node *node, case_number n,
                        bool is_online, struct message *message)
{
    Pipit__V1__Status status = PIPIT__V1__STATUS__INIT;
    struct arena *arena = builder->reader.arena;
    const char *text = reader_text(&builder->reader, node, node->key->text);
    const char *device = text == NULL ? NULL : value_numbered(arena, text, n);
    status.online = is_online;
    status.boot = 1;
    uint8_t *bytes = arena_alloc(arena, pipit__v1__status__get_packed_size(&status));
    if (device == NULL || bytes == NULL) {
        return false;
    }
    message->topic = bytes_from_text(arena_print(arena, "pipit/v1/%s/status", device));
    message->payload = bytes_of(bytes, pipit__v1__status__pack(&status, bytes));
    return true;
}

bool case_online_make(struct case_builder *builder, const struct node *node, case_number n,
                      struct message *message)
{
    return make_status(builder, node, n, true, message);
}

bool case_offline_make(struct case_builder *builder, const struct node *node, case_number n,
                       struct message *message)
{
    return make_status(builder, node, n, false, message);
}

bool case_reply_make(struct case_builder *builder, const struct node *fields, int32_t status,
                     const char *text, struct bytes *out_payload)
{
    Pipit__V1__Reply reply = PIPIT__V1__REPLY__INIT;
    json_t *json = fields == NULL ? json_object() : value_of_node(fields, 0);
    struct case_fields made = {0};
    bool is_good = json != NULL && case_fields_make(builder, fields, json, &made);
    reply.status = status;
    reply.fields = made.fields;
    reply.n_fields = made.count;
    if (text != NULL) {
        reply.message = (char *)(uintptr_t)text;
    }
    uint8_t *bytes =
        is_good ? arena_alloc(builder->reader.arena, pipit__v1__reply__get_packed_size(&reply))
                : NULL;
    if (bytes != NULL) {
        *out_payload = bytes_of(bytes, pipit__v1__reply__pack(&reply, bytes));
    }
    json_decref(json);
    return bytes != NULL;
}
