#include "device.h"

// Field numbers of pipit.v1.Reply.
enum { REPLY_ID = 1, REPLY_STATUS, REPLY_MESSAGE, REPLY_FIELDS, REPLY_PAYLOAD, REPLY_CONTENT_TYPE };

// A slot is bytes, so that it needs no alignment: this head, then id, name and the encoded reply
// without id and status.
enum { SLOT_STATE = 0, SLOT_ID_LEN, SLOT_NAME_LEN, SLOT_REPLY_LEN, SLOT_STATUS = 5, SLOT_HEAD = 9 };
enum { SLOT_FREE = 0, SLOT_DUE, SLOT_SENT, SLOT_DONE };

#define SLOT_BYTES_MIN (SLOT_HEAD + 8)

struct slot {
    uint8_t *ptr;
    struct pipit_bytes id;
    struct pipit_bytes name;
    struct pipit_bytes reply;
    int32_t status;
};

static uint8_t *slot_at(const struct pipit_device *device, uint16_t index)
{
    return device->config->command_memory + (size_t)index * device->config->command_slot_bytes;
}

static void slot_read(uint8_t *ptr, struct slot *slot)
{
    uint32_t status = 0;
    for (unsigned i = 4; i-- > 0;) {
        status = status << 8 | ptr[SLOT_STATUS + i];
    }
    slot->ptr = ptr;
    slot->id.ptr = ptr + SLOT_HEAD;
    slot->id.len = ptr[SLOT_ID_LEN];
    slot->name.ptr = slot->id.ptr + slot->id.len;
    slot->name.len = ptr[SLOT_NAME_LEN];
    slot->reply.ptr = slot->name.ptr + slot->name.len;
    slot->reply.len = (size_t)ptr[SLOT_REPLY_LEN] | (size_t)ptr[SLOT_REPLY_LEN + 1] << 8;
    slot->status = (int32_t)status;
}

static void slot_put_result(uint8_t *ptr, int32_t status, size_t reply_len)
{
    uint32_t bits = (uint32_t)status;
    for (unsigned i = 0; i < 4; i++) {
        ptr[SLOT_STATUS + i] = (uint8_t)(bits >> 8 * i);
    }
    ptr[SLOT_REPLY_LEN] = (uint8_t)reply_len;
    ptr[SLOT_REPLY_LEN + 1] = (uint8_t)(reply_len >> 8);
    ptr[SLOT_STATE] = SLOT_DUE;
}

enum pipit_err pipit_command_check(const struct pipit_config *config)
{
    if (config->on_command == NULL) {
        return PIPIT_OK;
    }
    bool is_complete = config->command_memory != NULL && config->command_slots > 0 &&
                       config->command_slot_bytes >= SLOT_BYTES_MIN;
    return is_complete ? PIPIT_OK : PIPIT_ERR_ARGUMENT;
}

void pipit_command_init(struct pipit_device *device)
{
    if (device->config->on_command == NULL) {
        return;
    }
    for (uint16_t i = 0; i < device->config->command_slots; i++) {
        slot_at(device, i)[SLOT_STATE] = SLOT_FREE;
    }
}

static enum pipit_err reply_send(struct pipit_device *device, const struct slot *slot,
                                 uint32_t token)
{
    struct pipit_message message;
    struct pipit_sink sink;
    enum pipit_err rc = pipit_device_topic(device, "reply", slot->name, &sink);
    if (rc != PIPIT_OK) {
        return rc;
    }
    pipit_sink_bytes(&sink, REPLY_ID, slot->id);
    if (slot->status != 0) {
        pipit_sink_varint(&sink, REPLY_STATUS, pipit_wire_zigzag(slot->status));
    }
    pipit_sink_raw(&sink, slot->reply);
    memset(&message, 0, sizeof(message));
    message.qos = 1;
    message.token = token;
    return pipit_device_send(device, &sink, &message);
}

// Says that the command was not run. Not remembered: running it later is still possible.
static void refuse(struct pipit_device *device, const struct pipit_command *command,
                   enum pipit_err rc)
{
    struct slot slot;
    memset(&slot, 0, sizeof(slot));
    slot.id = command->id;
    slot.name = command->name;
    slot.status = rc;
    COUNT(device, refused_commands, 1);
    (void)reply_send(device, &slot, 0);
}

// The slot that remembers this id; NULL when none does.
static uint8_t *slot_find(const struct pipit_device *device, const struct pipit_command *command)
{
    struct slot slot;
    for (uint16_t i = 0; i < device->config->command_slots; i++) {
        uint8_t *ptr = slot_at(device, i);
        slot_read(ptr, &slot);
        if (ptr[SLOT_STATE] != SLOT_FREE && pipit_wire_is_equal(slot.id, command->id) &&
            pipit_wire_is_equal(slot.name, command->name)) {
            return ptr;
        }
    }
    return NULL;
}

// The oldest slot whose reply has been delivered; NULL when all replies are still under way.
static uint8_t *slot_take(struct pipit_device *device)
{
    for (uint16_t i = 0; i < device->config->command_slots; i++) {
        uint8_t *ptr = slot_at(device, device->command_next);
        uint16_t next = (uint16_t)(device->command_next + 1);
        device->command_next = next < device->config->command_slots ? next : 0;
        if (ptr[SLOT_STATE] == SLOT_FREE || ptr[SLOT_STATE] == SLOT_DONE) {
            return ptr;
        }
    }
    return NULL;
}

static bool is_expired(const struct pipit_device *device, const struct pipit_command *command)
{
    const struct pipit_config *config = device->config;
    if (!command->has_expires || config->clock_ms == NULL) {
        return false;
    }
    uint64_t now = config->clock_ms(config->clock_context);
    return now != 0 && now > command->expires;
}

static void run(struct pipit_device *device, const struct pipit_command *command, uint8_t *ptr)
{
    const struct pipit_config *config = device->config;
    size_t used = SLOT_HEAD + command->id.len + command->name.len;
    struct pipit_sink reply;
    ptr[SLOT_ID_LEN] = (uint8_t)command->id.len;
    ptr[SLOT_NAME_LEN] = (uint8_t)command->name.len;
    memcpy(ptr + SLOT_HEAD, command->id.ptr, command->id.len);
    memcpy(ptr + SLOT_HEAD + command->id.len, command->name.ptr, command->name.len);
    pipit_sink_init(&reply, ptr + used, config->command_slot_bytes - used);
    COUNT(device, commands, 1);
    int32_t status = config->on_command(config->command_context, command, &reply);
    size_t need = pipit_device_overhead(device, command->name.len) + command->id.len + reply.len;
    if (reply.rc != PIPIT_OK || !pipit_device_fits(device, need)) {
        status = reply.rc != PIPIT_OK ? reply.rc : PIPIT_ERR_SIZE;
        reply.len = 0;
    }
    slot_put_result(ptr, status, reply.len);
    device->is_reply_due = true;
}

static void execute(struct pipit_device *device, const struct pipit_command *command)
{
    size_t need = SLOT_HEAD + command->id.len + command->name.len;
    if (is_expired(device, command)) {
        refuse(device, command, PIPIT_ERR_EXPIRED);
    } else if (need > device->config->command_slot_bytes) {
        refuse(device, command, PIPIT_ERR_SIZE);
    } else {
        uint8_t *ptr = slot_take(device);
        if (ptr == NULL) {
            refuse(device, command, PIPIT_ERR_BUSY);
        } else {
            run(device, command, ptr);
        }
    }
}

void pipit_command_take(struct pipit_device *device, struct pipit_bytes name,
                        struct pipit_bytes encoded)
{
    struct pipit_command command;
    enum pipit_err rc = pipit_wire_command(encoded, &command);
    if (rc != PIPIT_OK || device->config->on_command == NULL ||
        !pipit_wire_is_name(name, PIPIT_TYPE_MAX, true) ||
        !pipit_wire_is_equal(name, command.name)) {
        COUNT(device, refused_messages, 1);
        return;
    }
    uint8_t *known = slot_find(device, &command);
    if (known != NULL) {
        known[SLOT_STATE] = SLOT_DUE;
        device->is_reply_due = true;
        COUNT(device, repeated_commands, 1);
        return;
    }
    execute(device, &command);
}

// Sends the reply of slot `index`. One that is larger than this broker takes is replaced by one
// that says so; when even that is too large it is given up, for it would hold up the others.
static enum pipit_err slot_send(struct pipit_device *device, uint16_t index)
{
    uint8_t *ptr = slot_at(device, index);
    struct slot slot;
    slot_read(ptr, &slot);
    enum pipit_err rc = reply_send(device, &slot, TOKEN_REPLY | index);
    if (rc == PIPIT_ERR_SIZE && slot.reply.len > 0) {
        slot_put_result(ptr, PIPIT_ERR_SIZE, 0);
        slot_read(ptr, &slot);
        rc = reply_send(device, &slot, TOKEN_REPLY | index);
    }
    if (rc == PIPIT_ERR_SIZE) {
        ptr[SLOT_STATE] = SLOT_DONE;
        return PIPIT_OK;
    }
    if (rc == PIPIT_OK) {
        ptr[SLOT_STATE] = SLOT_SENT;
    }
    return rc;
}

void pipit_command_send_replies(struct pipit_device *device)
{
    if (!device->is_reply_due) {
        return;
    }
    for (uint16_t i = 0; i < device->config->command_slots; i++) {
        if (slot_at(device, i)[SLOT_STATE] == SLOT_DUE && slot_send(device, i) != PIPIT_OK) {
            return; // Still due.
        }
    }
    device->is_reply_due = false;
}

void pipit_command_reply_acked(struct pipit_device *device, uint32_t token, enum pipit_err rc)
{
    uint32_t index = token & ~TOKEN_REPLY;
    if (device->config->on_command == NULL || index >= device->config->command_slots) {
        return;
    }
    uint8_t *ptr = slot_at(device, (uint16_t)index);
    if (ptr[SLOT_STATE] == SLOT_SENT) {
        ptr[SLOT_STATE] = SLOT_DONE; // Refused replies too: sending them again changes nothing.
    }
    (void)rc;
}

void pipit_command_restart(struct pipit_device *device)
{
    if (device->config->on_command == NULL) {
        return;
    }
    for (uint16_t i = 0; i < device->config->command_slots; i++) {
        uint8_t *ptr = slot_at(device, i);
        if (ptr[SLOT_STATE] == SLOT_SENT) {
            ptr[SLOT_STATE] = SLOT_DUE;
            device->is_reply_due = true;
        }
    }
}

bool pipit_command_is(const struct pipit_command *command, const char *name)
{
    return pipit_wire_is_equal(command->name, pipit_text(name));
}

enum pipit_err pipit_command_next(const struct pipit_command *command, size_t *position,
                                  struct pipit_field *out_field)
{
    struct wire_item item;
    if (*position > command->encoded.len) {
        return PIPIT_ERR_ARGUMENT;
    }
    struct pipit_bytes rest = {command->encoded.ptr + *position, command->encoded.len - *position};
    enum pipit_err rc = pipit_wire_next(&rest, &item);
    while (rc == PIPIT_OK && item.number != 4) {
        rc = pipit_wire_next(&rest, &item);
    }
    *position = command->encoded.len - rest.len;
    return rc == PIPIT_OK ? pipit_wire_field(item.bytes, out_field) : rc;
}

enum pipit_err pipit_command_field(const struct pipit_command *command, const char *name,
                                   struct pipit_field *out_field)
{
    struct pipit_field field;
    size_t position = 0;
    bool is_found = false;
    while (pipit_command_next(command, &position, &field) == PIPIT_OK) {
        if (pipit_wire_is_equal(field.name, pipit_text(name))) {
            *out_field = field;
            is_found = true;
        }
    }
    return is_found ? PIPIT_OK : PIPIT_ERR_EMPTY;
}

enum pipit_err pipit_reply_text(struct pipit_sink *reply, const char *message)
{
    struct pipit_bytes text = pipit_text(message);
    if (!pipit_wire_is_utf8(text)) {
        pipit_sink_fail(reply, PIPIT_ERR_TEXT);
    }
    pipit_sink_bytes(reply, REPLY_MESSAGE, text);
    return reply->rc;
}

enum pipit_err pipit_reply_add(struct pipit_sink *reply, const struct pipit_field *field)
{
    pipit_sink_field(reply, REPLY_FIELDS, field);
    return reply->rc;
}

enum pipit_err pipit_reply_payload(struct pipit_sink *reply, const char *content_type,
                                   struct pipit_bytes payload)
{
    struct pipit_bytes kind = pipit_text(content_type);
    if (!pipit_wire_is_utf8(kind)) {
        pipit_sink_fail(reply, PIPIT_ERR_TEXT);
    }
    pipit_sink_bytes(reply, REPLY_PAYLOAD, payload);
    pipit_sink_bytes(reply, REPLY_CONTENT_TYPE, kind);
    return reply->rc;
}
