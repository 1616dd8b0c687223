#include "connection.h"

size_t pipit_connection_room(const struct pipit_client *client)
{
    return client->options->send_bytes - client->sending;
}

uint8_t *pipit_connection_end(const struct pipit_client *client)
{
    return client->options->send_memory + client->sending;
}

enum pipit_err pipit_connection_send(struct pipit_client *client, size_t len)
{
    if (len == 0) {
        return client->sending > 0 ? PIPIT_ERR_BUSY : PIPIT_ERR_SIZE;
    }
    client->sending += len;
    return PIPIT_OK;
}

bool pipit_connection_answer(struct pipit_client *client, uint8_t packet, uint16_t id,
                             uint8_t reason)
{
    uint8_t code = connection_is_v5(client) ? reason : 0;
    size_t len = pipit_mqtt_write_answer(pipit_connection_end(client),
                                         pipit_connection_room(client), packet, id, code);
    client->sending += len;
    return len > 0;
}

// What was written at QoS 0 is settled when the transport has all of it.
static void written(struct pipit_client *client)
{
    for (uint16_t id = 1; client->has_writing && id <= client->options->flights_max; id++) {
        struct pipit_flight *flight = pipit_flight_at(client, id);
        if (flight->state == FLIGHT_WRITING) {
            client->has_written = true;
            flight->state = FLIGHT_WRITTEN;
        }
    }
    client->has_writing = false;
}

void pipit_connection_flush(struct pipit_client *client)
{
    struct pipit_transport *transport = client->options->transport;
    uint8_t *ptr = client->options->send_memory;
    if (client->sending == 0) {
        return;
    }
    int32_t taken = transport->type->write(transport, ptr, client->sending);
    if (taken < 0 || (size_t)taken > client->sending) {
        pipit_connection_down(client, taken < 0 ? (enum pipit_err)taken : PIPIT_ERR_UNREACHABLE);
        return;
    }
    if (taken > 0) {
        client->sent_at_ms = client->now_ms;
        client->sending -= (size_t)taken;
    }
    if (client->sending == 0) {
        written(client);
    } else {
        memmove(ptr, ptr + taken, client->sending);
    }
}

void pipit_connection_down(struct pipit_client *client, enum pipit_err rc)
{
    struct pipit_transport *transport = client->options->transport;
    if (transport->type->close != NULL) {
        transport->type->close(transport);
    }
    pipit_session_down(client);
    client->state = CLIENT_DOWN;
    client->has_more = false;
    client->down_rc = (int8_t)rc;
    client->sending = 0;
}

void pipit_connection_fail(struct pipit_client *client, uint8_t reason)
{
    uint8_t *at = pipit_connection_end(client);
    client->reason = reason;
    if (connection_is_v5(client) && client->state == CLIENT_UP &&
        pipit_connection_room(client) >= 3) {
        at[0] = MQTT_DISCONNECT; // [MQTT-4.13.1-1]
        at[1] = 1;
        at[2] = reason;
        client->sending += 3;
    }
    pipit_connection_flush(client); // Also what was answered just before: it need not come again.
    if (client->state != CLIENT_DOWN) {
        pipit_connection_down(client, PIPIT_ERR_MALFORMED);
    }
}
