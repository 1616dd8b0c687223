// device.h - the parts of a device, for each other.
// Threads:   as pipit.h.
// Ownership: config->buffer is free at the start of every function here and after it.
// Failure:   enum pipit_err; link trouble is handled by the state machine in device.c.
#ifndef PIPIT_DEVICE_H
#define PIPIT_DEVICE_H

#include "wire.h"

// Tokens of publishes and subscribes. An event's holds low bits of boot and sequence.
#define TOKEN_EVENT  0x80000000u
#define TOKEN_REPLY  0x40000000u // The low bits are the slot.
#define TOKEN_STATUS 1u
#define TOKEN_JOIN   2u

// Kept apart from its only caller, whose stack frame would hold the locals of both.
#if defined(__GNUC__)
#define PIPIT_APART __attribute__((noinline))
#else
#define PIPIT_APART
#endif

static inline bool is_due(uint32_t now_ms, uint32_t at_ms)
{
    return ((now_ms - at_ms) & 0x80000000u) == 0;
}

static inline uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

#if PIPIT_WITH_COUNTERS
#define COUNT(device, counter, n) ((device)->counters.counter += (n))
#else
#define COUNT(device, counter, n) ((void)(device), (void)(n))
#endif

static inline bool uses_receipts(const struct pipit_device *device)
{
    return PIPIT_WITH_RECEIPTS && device->config->confirm == PIPIT_CONFIRM_RECEIPT;
}

// Bytes that the topic, identity and flags add to a message in the buffer, at most.
size_t pipit_device_overhead(const struct pipit_device *device, size_t rest_len);
// Whether a message of so many bytes, its topic included, can ever be sent.
bool pipit_device_fits(const struct pipit_device *device, size_t message_bytes);
extern const struct pipit_bytes pipit_no_bytes;

// Writes "pipit/v1/<group>/<device>/<kind>[/<rest>]" with its NUL at the front of the buffer, and
// opens `sink` on what is left.
enum pipit_err pipit_device_topic(const struct pipit_device *device, const char *kind,
                                  struct pipit_bytes rest, struct pipit_sink *sink);
// Publishes what `sink` holds to the topic at the front of the buffer.
enum pipit_err pipit_device_send(struct pipit_device *device, const struct pipit_sink *sink,
                                 struct pipit_message *message);

void pipit_event_encode(struct pipit_sink *sink, const struct pipit_record *record,
                        bool wants_receipt);
enum pipit_err pipit_event_type(struct pipit_bytes body, struct pipit_bytes *out_type);

// send.c: events from the spool to the link, receipts from the link to the spool.
void pipit_send_restart(struct pipit_device *device); // After a reconnect: everything again.
enum pipit_err pipit_send_events(struct pipit_device *device);
enum pipit_err pipit_send_take_receipt(struct pipit_device *device, struct pipit_bytes encoded);
enum pipit_err pipit_send_take_ack(struct pipit_device *device, uint32_t token, enum pipit_err rc);

// command.c
enum pipit_err pipit_command_check(const struct pipit_config *config);
void pipit_command_init(struct pipit_device *device);
void pipit_command_take(struct pipit_device *device, struct pipit_bytes name,
                        struct pipit_bytes encoded);
void pipit_command_send_replies(struct pipit_device *device);
void pipit_command_reply_acked(struct pipit_device *device, uint32_t token, enum pipit_err rc);
void pipit_command_restart(struct pipit_device *device); // Replies not acknowledged are due again.

// backoff.c
uint32_t pipit_backoff_next(struct pipit_device *device);

#endif
