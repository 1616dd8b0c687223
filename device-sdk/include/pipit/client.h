// client.h - the SDK's own MQTT client, 3.1.1 and 5, as a link over any byte transport.
// Threads:   as pipit.h.
// Ownership: the caller gives all memory; options, buffers and transport outlive the client.
// Failure:   enum pipit_err; what a peer sends can end the connection, nothing else.
#ifndef PIPIT_CLIENT_H
#define PIPIT_CLIENT_H

#include "pipit.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- transport: bytes in order, to the broker and back ------------------------------------------

struct pipit_transport;

// `read` and `write` are all that a wire needs which is always there (a UART, a modem in
// transparent mode): the other two may then be NULL. No call blocks.
struct pipit_transport_type {
    // Bytes taken, at most `len` (a short count is normal), 0 when none can be taken now; a
    // negative enum pipit_err when the connection is gone.
    int32_t (*write)(struct pipit_transport *transport, const uint8_t *ptr, size_t len);
    // Bytes put at `ptr`, at most `size`, 0 when none are there now; negative as above.
    int32_t (*read)(struct pipit_transport *transport, uint8_t *ptr, size_t size);
    // Begins or goes on connecting: PIPIT_OK when bytes may flow, PIPIT_ERR_BUSY while it is under
    // way (called again by every poll), else it has failed (`close` follows).
    enum pipit_err (*open)(struct pipit_transport *transport, uint32_t now_ms);
    // Ends the connection, also one that is being opened, and forgets bytes that wait. Idempotent.
    void (*close)(struct pipit_transport *transport);
};

struct pipit_transport {
    const struct pipit_transport_type *type;
};

// ---- client -------------------------------------------------------------------------------------

// What is under way to the broker and awaits its answer; 8 bytes each. All members are private.
struct pipit_flight {
    uint32_t token;
    uint8_t state;
    bool is_resumed; // Of an earlier connection, not sent again yet.
};

// Zero means the default everywhere.
struct pipit_client_options {
    struct pipit_transport *transport;
    enum pipit_mqtt version; // PIPIT_MQTT_5, the default, means 3.1.1 where only that is built in.
    uint8_t *receive_memory; // Holds one whole packet of the broker; larger ones are refused.
    uint8_t *send_memory;    // Holds what the transport has not taken yet; at least one packet: the
                             // largest event with its topic and 10 bytes, and the CONNECT.
    size_t receive_bytes;    // At least 32.
    size_t send_bytes;       // At least 32.
    struct pipit_flight *flights; // As many as may be under way at once, at least 1.
    uint16_t flights_max;
    uint16_t inbound_max; // QoS 2 messages that may be on their way to us; 0: QoS 2 is not taken.
    uint16_t *inbound;    // Their packet identifiers, as many.
    uint16_t timeout_s;   // For connecting, from open to CONNACK: 20 s.
    bool is_ack_explicit; // The caller acknowledges each message by pipit_client_acknowledge.
};

// All members are private.
struct pipit_client {
    struct pipit_link base; // Hand &client.base to pipit_config.
    const struct pipit_client_options *options;
    uint8_t state; // What is small comes first, where short instructions reach it.
    uint8_t reason;
    uint8_t qos_max;
    uint8_t held_answer; // What acknowledges the message that was handed out, or is dropped.
    uint16_t held_id;
    int8_t down_rc;
    bool has_retain;
    bool is_clean;
    bool is_pinged;   // Nothing has been received since.
    bool has_writing; // Some flight may be in the state of that name, so look for it.
    bool has_written;
    bool has_more; // Bytes may be left that were not looked at.
    bool has_release_due;
    uint16_t quota; // Packets with an identifier that the broker takes at once.
    uint16_t keepalive_s;
    size_t begin;       // Bytes of receive_memory that are not taken yet, from here
    size_t end;         // to here.
    size_t held;        // Of these, of the message that was handed out last.
    size_t sending;     // Bytes in send_memory.
    uint32_t skip;      // Bytes of a packet too large for us that are still to be dropped,
    uint32_t skip_then; // and those behind its packet identifier.
    uint32_t now_ms;
    uint32_t received_at_ms;
    uint32_t sent_at_ms; // Of the last bytes that the transport took.
    uint32_t packet_max; // Largest packet that the broker takes.
};

// PIPIT_ERR_ARGUMENT for memory that is missing or too small, or a version that is not built in.
enum pipit_err pipit_client_init(struct pipit_client *client,
                                 const struct pipit_client_options *options);

// The last failure that the broker named: a CONNACK code of 3.1.1 or a reason code of MQTT 5; or
// the reason for which we left. 0: none.
uint8_t pipit_client_reason(const struct pipit_client *client);

// With is_ack_explicit: settles a message by the token of its PIPIT_LINK_MESSAGE (0: QoS 0, nothing
// is sent). PIPIT_ERR_BUSY: try again after the next poll. Not after the connection has ended: the
// broker then sends the message again. [MQTT-4.3.2-4] [MQTT-4.3.3-8]
enum pipit_err pipit_client_acknowledge(struct pipit_client *client, uint32_t token);

// PIPIT_LINK_ACKED with the token follows. PIPIT_ERR_BUSY as for publish.
enum pipit_err pipit_client_unsubscribe(struct pipit_client *client, const char *filter,
                                        uint32_t token);

#ifdef __cplusplus
}
#endif

#endif
