// connection.h - one connection of the client, for its parts: sending bytes, and ending it.
// Threads:   as client.h.
// Ownership: as client.h.
// Failure:   the connection ends; a PIPIT_LINK_DOWN with the reason follows.
#ifndef PIPIT_CONNECTION_H
#define PIPIT_CONNECTION_H

#include "mqtt.h"
#include "session.h"

enum client_state {
    CLIENT_IDLE = 0,
    CLIENT_STARTED,    // From the next poll on the time counts.
    CLIENT_OPENING,    // The transport connects.
    CLIENT_CONNECTING, // CONNECT is being sent, CONNACK awaited.
    CLIENT_UP,
    CLIENT_CLOSING, // DISCONNECT is being sent.
    CLIENT_DOWN,    // PIPIT_LINK_DOWN has to be handed out.
};

static inline bool connection_is_v5(const struct pipit_client *client)
{
    return mqtt_is_v5(client->options->version == PIPIT_MQTT_5);
}

// Bytes that may still be put into the send memory.
size_t pipit_connection_room(const struct pipit_client *client);
uint8_t *pipit_connection_end(const struct pipit_client *client);
// `len` bytes were put at the end. With 0, nothing fitted: PIPIT_ERR_BUSY when it may fit later,
// else PIPIT_ERR_SIZE.
enum pipit_err pipit_connection_send(struct pipit_client *client, size_t len);
// An acknowledgement; `reason` goes with MQTT 5 only. False: no room.
bool pipit_connection_answer(struct pipit_client *client, uint8_t packet, uint16_t id,
                             uint8_t reason);
// Hands the transport what it takes now; ends the connection when that fails.
void pipit_connection_flush(struct pipit_client *client);
// Closes the transport; what waits to be sent is dropped.
void pipit_connection_down(struct pipit_client *client, enum pipit_err rc);
// The broker has broken the protocol: says so where MQTT has words for it, and leaves.
void pipit_connection_fail(struct pipit_client *client, uint8_t reason);

// receive.c: takes packets until one is an event for the device, or none is left.
void pipit_receive(struct pipit_client *client, struct pipit_link_event *out_event);
// Acknowledges the message that was handed out last. False while there is no room for that.
bool pipit_receive_settle(struct pipit_client *client);

#endif
