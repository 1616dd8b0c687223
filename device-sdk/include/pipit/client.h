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

// A publish above QoS 0, a subscribe or an unsubscribe that awaits its answer; 8 bytes each.
struct pipit_flight {
    uint32_t token;
    uint8_t state;
    uint8_t code;
};

// Zero means the default everywhere.
struct pipit_client_options {
    struct pipit_transport *transport;
    enum pipit_mqtt version; // 5 is the default where it is built in.
    uint8_t *receive_memory; // Holds one whole packet of the broker; larger ones are refused.
    uint8_t *send_memory;    // Holds what the transport has not taken yet; at least one packet.
    size_t receive_bytes;    // At least 32.
    size_t send_bytes;       // At least 32.
    struct pipit_flight *flights; // As many as may be under way at once, at least 1.
    uint16_t flights_max;
    uint16_t inbound_max; // QoS 2 messages that may be on their way to us; 0: QoS 2 is not taken.
    uint16_t *inbound;    // Their packet identifiers.
    uint16_t timeout_s;   // For connecting, from open to CONNACK: 20 s.
    bool is_ack_explicit; // The caller acknowledges each message by pipit_client_acknowledge.
};

// All members are private.
struct pipit_client {
    struct pipit_link base; // Hand &client.base to pipit_config.
    const struct pipit_client_options *options;
    size_t received; // Bytes in receive_memory.
    size_t taken;    // Of these, of the packet that was handed out last.
    size_t sending;  // Bytes in send_memory.
    uint32_t skip;   // Bytes of a packet too large for us that are still to come.
    uint32_t now_ms;
    uint32_t received_at_ms;
    uint32_t sent_at_ms;
    uint32_t waiting_at_ms; // Since when an answer (CONNACK, PINGRESP) is awaited.
    uint32_t packet_max;    // Largest packet that the broker takes.
    uint16_t quota;         // PUBLISH packets above QoS 0 that the broker still takes.
    uint16_t keepalive_s;
    uint8_t state;
    uint8_t reason; // The broker's last reason code.
};

// PIPIT_ERR_ARGUMENT for memory that is missing or too small.
enum pipit_err pipit_client_init(struct pipit_client *client,
                                 const struct pipit_client_options *options);

#ifdef __cplusplus
}
#endif

#endif
