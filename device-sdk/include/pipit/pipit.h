// pipit.h - the device SDK: typed events that are kept in a spool until a hub has stored them.
// Threads:   one thread at a time per device and everything handed to it; devices share nothing.
//            All callbacks run inside pipit_poll. A callback may publish, it must not poll.
// Ownership: the caller gives all memory; strings, buffers and the configuration stay the caller's
//            and must outlive the device (so a const configuration can live in flash).
// Failure:   every call that can fail returns enum pipit_err; nothing blocks, nothing aborts.
#ifndef PIPIT_PIPIT_H
#define PIPIT_PIPIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "features.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PIPIT_VERSION "0.1.0"

// Values are stable: they travel as negative Reply.status. What to do next is in the text.
#define PIPIT_ERR_TABLE(X)                                                                         \
    X(PIPIT_OK, 0, "ok")                                                                           \
    X(PIPIT_ERR_FULL, -1, "spool is full: poll until receipts make room, or raise its limit")      \
    X(PIPIT_ERR_BUSY, -2, "link is busy: try again after the next poll")                           \
    X(PIPIT_ERR_SIZE, -3, "does not fit: the buffer or the spool's record memory is too small")    \
    X(PIPIT_ERR_ARGUMENT, -4, "argument is not allowed: see the function's contract")              \
    X(PIPIT_ERR_TEXT, -5, "text is not valid UTF-8, or a topic level holds / + # or a control")    \
    X(PIPIT_ERR_MALFORMED, -6, "message from the broker is malformed")                             \
    X(PIPIT_ERR_EMPTY, -7, "nothing there")                                                        \
    X(PIPIT_ERR_STATE, -8, "call is not allowed now: from a callback, or after stop")              \
    X(PIPIT_ERR_IO, -9, "storage failed: nothing more is accepted until the spool is reopened")    \
    X(PIPIT_ERR_LOCKED, -10, "spool is in use by another process: stop it or use another path")    \
    X(PIPIT_ERR_CORRUPT, -11,                                                                      \
      "no spool of this version is there, untouched: move the file away, or format the flash")     \
    X(PIPIT_ERR_UNREACHABLE, -12, "broker cannot be reached: retried with backoff")                \
    X(PIPIT_ERR_REFUSED, -13, "broker refused: check credentials, client id and access rules")     \
    X(PIPIT_ERR_TLS, -14, "TLS failed: check CA, host name, certificate and key")                  \
    X(PIPIT_ERR_EXPIRED, -15, "command came after its deadline and was not started")               \
    X(PIPIT_ERR_UNKNOWN, -16, "device does not know this command")

#define PIPIT_ERR_ENUM(name, value, text) name = value,
enum pipit_err { PIPIT_ERR_TABLE(PIPIT_ERR_ENUM) };
#undef PIPIT_ERR_ENUM

// Never NULL, also for values that are not in the table.
const char *pipit_err_text(enum pipit_err rc);

// An event's number within its boot; starts at 1.
#if PIPIT_WITH_LONG_SEQUENCES
typedef uint64_t pipit_sequence;
#else
typedef uint32_t pipit_sequence;
#endif

// ---- values ------------------------------------------------------------------------------------

struct pipit_bytes {
    const uint8_t *ptr;
    size_t len;
};

static inline struct pipit_bytes pipit_text(const char *text)
{
    struct pipit_bytes bytes = {(const uint8_t *)text, text != NULL ? strlen(text) : 0};
    return bytes;
}

static inline struct pipit_bytes pipit_data(const uint8_t *ptr, size_t len)
{
    struct pipit_bytes bytes = {ptr, len};
    return bytes;
}

// The numbers are the field numbers of pipit.v1.Field.
enum pipit_kind {
    PIPIT_KIND_BOOL = 2,
    PIPIT_KIND_SIGNED = 3,
    PIPIT_KIND_UNSIGNED = 4,
    PIPIT_KIND_FLOAT = 5,
    PIPIT_KIND_DOUBLE = 6,
    PIPIT_KIND_TEXT = 7,
    PIPIT_KIND_DATA = 8
};

// One named, typed value. Name and text are UTF-8; a name is not empty.
struct pipit_field {
    struct pipit_bytes name;
    enum pipit_kind kind;
    union {
        bool boolean;
        int64_t integer;  // PIPIT_KIND_SIGNED
        uint64_t counter; // PIPIT_KIND_UNSIGNED
        float single;
        double real;              // Where it has 32 bits (AVR) it is sent as a float.
        struct pipit_bytes bytes; // PIPIT_KIND_TEXT and PIPIT_KIND_DATA
    } value;
};

#ifndef __cplusplus
#define PIPIT_FIELD(name_, kind_, member_, value_)                                                 \
    ((struct pipit_field){                                                                         \
        .name = pipit_text(name_), .kind = (kind_), .value = {.member_ = (value_)}})
#else // Has no compound literals; within functions, from C++11.
#define PIPIT_FIELD(name_, kind_, member_, value_)                                                 \
    ([&] {                                                                                         \
        struct pipit_field field_;                                                                 \
        field_.name = pipit_text(name_);                                                           \
        field_.kind = (kind_);                                                                     \
        field_.value.member_ = (value_);                                                           \
        return field_;                                                                             \
    }())
#endif
#define PIPIT_BOOL(name, v)     PIPIT_FIELD(name, PIPIT_KIND_BOOL, boolean, v)
#define PIPIT_SIGNED(name, v)   PIPIT_FIELD(name, PIPIT_KIND_SIGNED, integer, v)
#define PIPIT_UNSIGNED(name, v) PIPIT_FIELD(name, PIPIT_KIND_UNSIGNED, counter, v)
#define PIPIT_FLOAT(name, v)    PIPIT_FIELD(name, PIPIT_KIND_FLOAT, single, v)
#define PIPIT_DOUBLE(name, v)   PIPIT_FIELD(name, PIPIT_KIND_DOUBLE, real, v)
#define PIPIT_TEXT(name, v)     PIPIT_FIELD(name, PIPIT_KIND_TEXT, bytes, pipit_text(v))
#define PIPIT_DATA(name, ptr_, len_)                                                               \
    PIPIT_FIELD(name, PIPIT_KIND_DATA, bytes, pipit_data(ptr_, len_))

// ---- spool: where accepted events wait for their receipt ---------------------------------------

enum pipit_policy {
    PIPIT_REFUSE = 0,  // A full spool refuses new events: PIPIT_ERR_FULL.
    PIPIT_DROP_OLDEST, // A full spool gives up its oldest events, counted in `dropped`.
};

// An event as the spool keeps it: its identity, and its encoding without identity and flags.
struct pipit_record {
    uint32_t boot;
    pipit_sequence sequence;
    struct pipit_bytes body; // Valid until the next call on the spool.
    bool is_last;            // No record of the same boot that is ready to be sent follows now.
};

struct pipit_spool;

// What a spool must do. Records stay in the order (boot, sequence) in which they were put.
// The spool has one read position; what lies before it has been handed out and awaits release.
struct pipit_spool_type {
    // Keeps `body` as (spool->boot, spool->next_sequence), and the mark with it when `mark` is not
    // NULL, both or neither; then increments next_sequence. PIPIT_ERR_FULL at the limit (policy
    // refuse), PIPIT_ERR_SIZE when it can never fit, PIPIT_ERR_IO: the event was not accepted.
    enum pipit_err (*put)(struct pipit_spool *spool, struct pipit_bytes body, const uint64_t *mark);
    // The record at the read position; PIPIT_ERR_EMPTY when none is ready.
    enum pipit_err (*peek)(struct pipit_spool *spool, struct pipit_record *out_record);
    // Moves the read position past the record that peek gave last.
    void (*advance)(struct pipit_spool *spool);
    // Moves the read position back to the oldest record.
    void (*rewind)(struct pipit_spool *spool);
    // Lets go of the records of `boot` from `first` to `last`, both included.
    enum pipit_err (*release)(struct pipit_spool *spool, uint32_t boot, pipit_sequence first,
                              pipit_sequence last);
    // Timed work (a delayed sync); may be NULL.
    enum pipit_err (*tick)(struct pipit_spool *spool, uint32_t now_ms);
};

// The part every spool has in common; the spool keeps it, the device reads it.
struct pipit_spool {
    const struct pipit_spool_type *type;
    enum pipit_policy policy;
    bool has_mark;
    uint32_t boot;                // Of the events put from now on.
    pipit_sequence next_sequence; // Of the next event; starts at 1.
    uint32_t count;               // Events waiting, sent or not.
    uint32_t read_count;          // Of these, before the read position.
    uint32_t unread_count;        // Of these, ready to be sent.
    uint32_t used_bytes;
    uint32_t limit_bytes;
    uint32_t dropped;   // Given up by the drop policy since the spool was opened.
    uint32_t tail_boot; // Identity of the oldest event, when count > 0.
    pipit_sequence tail_sequence;
    uint32_t tick_ms; // `tick` wants to be called within this time; 0: it has nothing to do.
    uint64_t mark;    // Of the last event accepted with a mark, when has_mark.
};

// A ring in the caller's memory. Lost with the power; for devices without storage, and tests.
struct pipit_ram_spool {
    struct pipit_spool base; // Hand &spool.base to pipit_config.
    uint8_t *memory;         // private from here
    uint32_t head;
    uint32_t tail;
    uint32_t read;
    uint32_t record_count;
    pipit_sequence read_sequence;
};

#define PIPIT_RAM_RECORD_MAX 32766u // Bytes of one event in the ring; 2 bytes each are bookkeeping.

// `boot` must differ from that of the last 64 starts: keep a counter somewhere, or use
// pipit_boot_random with true entropy. Memory: at least 16 bytes, at most 2 GB.
enum pipit_err pipit_ram_spool_init(struct pipit_ram_spool *spool, uint8_t *memory,
                                    size_t memory_bytes, enum pipit_policy policy, uint32_t boot);

// Unsent events outlive deep sleep, or a reset that keeps the RAM: spool, memory and seal lie where
// the startup code does not clear them (.noinit), and this is the last that is done with the spool
// before, and again whenever what was accepted shall outlive a reset that nobody foresees. Its time
// goes with the bytes that wait.
uint32_t pipit_ram_spool_seal(const struct pipit_ram_spool *spool);
// Instead of pipit_ram_spool_init: goes on in the same boot, everything unsent is read again.
// PIPIT_ERR_CORRUPT: not as it was sealed, or other memory; nothing is changed, begin a new boot.
enum pipit_err pipit_ram_spool_resume(struct pipit_ram_spool *spool, uint8_t *memory,
                                      size_t memory_bytes, uint32_t seal);

// A first boot number for a device that has none stored, 1 to 2^20, so that a wiped device is not
// taken for its former self. `entropy` must be random, not a constant or the time of day.
uint32_t pipit_boot_random(uint32_t entropy);

// ---- link: an MQTT client behind a small interface ---------------------------------------------

enum pipit_mqtt { PIPIT_MQTT_5 = 0, PIPIT_MQTT_311 };

// What the device wants from a connection. Pointers are borrowed for the call.
struct pipit_connect {
    const char *client_id;
    const char *username; // NULL: none.
    struct pipit_bytes password;
    const char *will_topic; // QoS 1, retained.
    struct pipit_bytes will;
    uint32_t session_expiry_s; // At most 0x7FFFFFFF; 3.1.1: 0 means a clean session.
    uint16_t keepalive_s;
    bool is_clean_start;
};

struct pipit_message {
    const char *topic;
    struct pipit_bytes payload;
    uint8_t qos;
    bool is_retained;
    uint32_t token; // Comes back in PIPIT_LINK_ACKED; 0: nobody waits for it.
};

enum pipit_link_kind {
    PIPIT_LINK_NOTHING = 0,
    PIPIT_LINK_UP,      // CONNACK accepted.
    PIPIT_LINK_DOWN,    // Gone, or could not be made: `rc` says why. Nothing follows until connect.
    PIPIT_LINK_ACKED,   // `token` is settled: PUBACK, PUBCOMP, SUBACK, or QoS 0 written. `rc`.
    PIPIT_LINK_MESSAGE, // `topic` and `payload`; `rc` when it could not be taken and is lost.
};

struct pipit_link_event {
    enum pipit_link_kind kind;
    enum pipit_err rc;
    uint32_t token;             // Of PIPIT_LINK_ACKED. Of a message: the link's own.
    struct pipit_bytes topic;   // Valid until the next poll of the link.
    struct pipit_bytes payload; // Valid until the next poll of the link.
};

struct pipit_link;

// What a link must do. No call blocks; PIPIT_ERR_BUSY means "nothing happened, try again later".
struct pipit_link_type {
    // Starts a connection; exactly one UP or DOWN follows in bounded time, and one DOWN after UP.
    enum pipit_err (*connect)(struct pipit_link *link, const struct pipit_connect *options);
    // Copies the message. What was not acknowledged when DOWN comes is forgotten by the link.
    enum pipit_err (*publish)(struct pipit_link *link, const struct pipit_message *message);
    enum pipit_err (*subscribe)(struct pipit_link *link, const char *filter, uint8_t qos,
                                uint32_t token);
    // Works, and hands out at most one event; out_event->kind is PIPIT_LINK_NOTHING when done.
    void (*poll)(struct pipit_link *link, uint32_t now_ms, struct pipit_link_event *out_event);
    // Sends DISCONNECT (so no will) when connected; DOWN follows.
    void (*disconnect)(struct pipit_link *link);
    // Milliseconds until it wants to be polled though nothing comes; NULL: it makes that known.
    uint32_t (*next_ms)(const struct pipit_link *link);
};

struct pipit_link {
    const struct pipit_link_type *type;
    size_t message_max; // Bytes of topic and payload that it can ever take; 0: no limit.
};

// ---- device ------------------------------------------------------------------------------------

#define PIPIT_WINDOW         128u // No event further beyond the oldest unconfirmed one is sent.
#define PIPIT_NAME_MAX       64u  // Bytes of group and of device.
#define PIPIT_TYPE_MAX       128u // Bytes of an event's type and of a command's name.
#define PIPIT_COMMAND_ID_MAX 64u  // Bytes of a command's id.

struct pipit_command;
struct pipit_sink;

// Runs a command once. Returns the reply's status: 0 done, positive the device's own code, negative
// an enum pipit_err (PIPIT_ERR_UNKNOWN for a name it does not know). May add to the reply.
typedef int32_t pipit_command_fn(void *context, const struct pipit_command *command,
                                 struct pipit_sink *reply);

enum pipit_confirm {
    PIPIT_CONFIRM_RECEIPT = 0, // An event leaves the spool when a hub's receipt covers it.
    PIPIT_CONFIRM_PUBACK,      // ... when the broker acknowledged it: brokers without a hub.
};

enum pipit_qos { PIPIT_QOS_DEFAULT = 0, PIPIT_QOS_0, PIPIT_QOS_1, PIPIT_QOS_2 };

// Zero means the default everywhere.
struct pipit_config {
    const char *group;    // Topic level. Required.
    const char *device;   // Topic level, unique in its group. Required.
    const char *software; // Name and version of the program, shown in the status. NULL: none.
    struct pipit_spool *spool;
    struct pipit_link *link;
    uint8_t *buffer; // Holds one message with its topic; nothing is kept in it between calls.
    size_t buffer_bytes;
    uint32_t seed; // For the jitter: differs between devices.
    // Milliseconds since 1970 UTC, 0 while unknown; NULL: no clock. Stamps and expires by it.
    uint64_t (*clock_ms)(void *context);
    void *clock_context;

    const char *client_id; // NULL: "<group>/<device>", which needs 130 bytes of the buffer at most.
    const char *username;
    struct pipit_bytes password;
    uint32_t session_expiry_s; // How long the broker keeps commands for us: one day.
    uint16_t keepalive_s;      // The link pings in silence: 30 s.
    bool is_clean_start;

    enum pipit_confirm confirm;
    enum pipit_qos qos;      // Of events: QoS 1.
    uint32_t resend_ms;      // First wait for a receipt, then doubled up to 8 times this: 10 s.
                             // (At most 1 s, and one event, until the connection's first receipt.)
    uint32_t receipt_gap_ms; // The end of a burst asks for a receipt at most this often: always.
    uint32_t retry_base_ms;  // Reconnect: sleep = random(base, min(cap, 3 x previous)): 500 ms.
    uint32_t retry_cap_ms;   // 60 s
    uint32_t retry_reset_ms; // The link must stay up this long for the backoff to start anew: 30 s.

    pipit_command_fn *on_command; // NULL: no command is subscribed to.
    void *command_context;
    uint8_t *command_memory;     // PIPIT_COMMAND_MEMORY(slots, bytes)
    uint16_t command_slots;      // Recent commands remembered with their reply.
    uint16_t command_slot_bytes; // PIPIT_COMMAND_SLOT(bytes of id + name + reply)
};

// `bytes` holds one command's id, its name and the encoded reply.
#define PIPIT_COMMAND_SLOT(bytes)          ((bytes) + 9u)
#define PIPIT_COMMAND_MEMORY(slots, bytes) ((slots)*PIPIT_COMMAND_SLOT(bytes))

// Since pipit_init; they wrap.
struct pipit_counters {
    uint32_t sent;              // Publishes of events, resends included.
    uint32_t resent;            // Of these, of events that had been sent before.
    uint32_t confirmed;         // Events released by a receipt or PUBACK.
    uint32_t receipts;          // Well-formed receipts taken.
    uint32_t refused_messages;  // Malformed or impossible messages from the broker, ignored.
    uint32_t commands;          // Commands executed.
    uint32_t repeated_commands; // Answered from memory.
    uint32_t refused_commands;  // Expired, larger than a slot, or no slot free.
    uint32_t connects;          // Connections that came up.
};

enum pipit_state {
    PIPIT_OFFLINE = 0, // Waiting to connect.
    PIPIT_CONNECTING,
    PIPIT_JOINING, // Connected, waiting for its subscriptions.
    PIPIT_ONLINE,
    PIPIT_LEAVING, // pipit_stop: saying goodbye.
    PIPIT_CLOSING, // DISCONNECT sent or link being dropped.
    PIPIT_STOPPED,
};

// All members are private; use the functions below.
struct pipit_device {
    const struct pipit_config *config;
    enum pipit_state state; // What is small comes first, where short instructions reach it.
    enum pipit_err link_err;
    uint8_t joins_due;     // Subscriptions still to be asked for.
    uint8_t joins_waiting; // SUBACKs to come.
    bool has_polled;
    bool is_polling;
    bool is_stopping;
    bool is_timing;        // The resend timer runs.
    bool is_proven;        // A receipt has come for an event sent on this connection.
    bool is_blocked;       // Events wait for the link or the window.
    bool has_asked;        // asked_at_ms is valid on this connection.
    bool must_ask;         // The next event sent asks for a receipt.
    bool is_status_due;    // Our status has to be published.
    bool is_reply_due;     // Some slot has a reply to send.
    uint16_t command_next; // The slot that is used next.
    uint32_t random;
    uint32_t now_ms;
    uint32_t retry_ms;       // The last sleep between connects.
    uint32_t state_at_ms;    // When `state` was entered; in OFFLINE: when to connect.
    uint32_t up_at_ms;       // When the link came up.
    uint32_t resend_wait_ms; // The present wait for a receipt.
    uint32_t resend_at_ms;
    uint32_t asked_at_ms;   // When a receipt was last asked for.
    uint32_t unasked_at_ms; // When the first event after that was sent.
    uint32_t unasked_count; // Events sent after that.
    uint32_t unasked_bytes; // Of their encodings.
    uint32_t oldest_boot;   // The oldest event when the resend timer was started.
    pipit_sequence oldest_sequence;
#if PIPIT_WITH_COUNTERS
    struct pipit_counters counters;
    uint32_t sent_boot; // The furthest event sent so far.
    pipit_sequence sent_sequence;
#endif
};

// Checks the configuration: PIPIT_ERR_ARGUMENT, PIPIT_ERR_TEXT, PIPIT_ERR_SIZE. Sends nothing.
enum pipit_err pipit_init(struct pipit_device *device, const struct pipit_config *config);

// Does whatever is due now: connects, sends, resends, takes receipts, runs commands. Call it often;
// pipit_next_ms says by when. `now_ms` comes from a clock that never goes back and may wrap.
// PIPIT_ERR_IO, PIPIT_ERR_SIZE (an event in the spool does not fit the buffer), PIPIT_ERR_STATE.
// A broken link is not an error here: see pipit_link_error.
enum pipit_err pipit_poll(struct pipit_device *device, uint32_t now_ms);

// Milliseconds until timed work is due, at most 1000; earlier when the link has news.
uint32_t pipit_next_ms(const struct pipit_device *device);

// Publishes "offline" and disconnects within 5 s of polling; then pipit_is_stopped. Events that
// still wait stay in the spool. Publishing goes on being accepted.
void pipit_stop(struct pipit_device *device);

bool pipit_is_online(const struct pipit_device *device);
bool pipit_is_stopped(const struct pipit_device *device);
uint32_t pipit_waiting(const struct pipit_device *device); // Events not yet confirmed.
uint32_t pipit_dropped(const struct pipit_device *device); // Events given up by the policy.
// Why the link is not up; PIPIT_OK while it is, or before the first try.
enum pipit_err pipit_link_error(const struct pipit_device *device);
const struct pipit_counters *pipit_counters(const struct pipit_device *device);
// The mark of the last event accepted with one, also before a restart. PIPIT_ERR_EMPTY: none.
enum pipit_err pipit_mark(const struct pipit_device *device, uint64_t *out_mark);

// ---- publishing --------------------------------------------------------------------------------

struct pipit_event_options {
    uint64_t time_ms; // Milliseconds since 1970 UTC; instead of the device's clock.
    uint64_t mark;    // Kept atomically with the event: a position in the program's own source.
    bool has_time;
    bool has_mark;
};

// Accepts a typed event: pipit_publish(&device, "climate", PIPIT_FLOAT("celsius", 21.5f), ...).
// PIPIT_OK means that the spool has it. PIPIT_ERR_FULL, _SIZE, _TEXT, _ARGUMENT, _IO: it has not.
#ifndef __cplusplus
#define pipit_publish(device, type, ...)                                                           \
    pipit_publish_fields(                                                                          \
        (device), (type), (const struct pipit_field[]){__VA_ARGS__},                               \
        sizeof((const struct pipit_field[]){__VA_ARGS__}) / sizeof(struct pipit_field), NULL)
#else
#define pipit_publish(device, type, ...)                                                           \
    ([&] {                                                                                         \
        const struct pipit_field fields_[] = {__VA_ARGS__};                                        \
        return pipit_publish_fields((device), (type), fields_,                                     \
                                    sizeof(fields_) / sizeof(fields_[0]), NULL);                   \
    }())
#endif

// `type` is one or more topic levels. `options` may be NULL.
enum pipit_err pipit_publish_fields(struct pipit_device *device, const char *type,
                                    const struct pipit_field *fields, size_t fields_count,
                                    const struct pipit_event_options *options);

// An opaque payload with its content type ("application/json").
enum pipit_err pipit_publish_payload(struct pipit_device *device, const char *type,
                                     const char *content_type, struct pipit_bytes payload,
                                     const struct pipit_event_options *options);

// Bytes being written into the caller's memory. The first error stays, later calls do nothing.
struct pipit_sink {
    uint8_t *ptr;
    size_t size;
    size_t len;
    enum pipit_err rc;
};

// An event written step by step, when its fields are not known at one place:
//   uint8_t memory[128];
//   struct pipit_event event = PIPIT_EVENT(memory);
//   pipit_event_begin(&event, &device, "climate", NULL);
//   pipit_event_add(&event, &PIPIT_FLOAT("celsius", 21.5f));
//   rc = pipit_event_commit(&event);
struct pipit_event {
    struct pipit_sink sink; // private from here
    struct pipit_device *device;
    const uint64_t *mark;
    uint64_t mark_value;
    uint8_t type_len;
    bool has_fields;
    bool has_payload;
};

#ifndef __cplusplus
#define PIPIT_EVENT(memory)                                                                        \
    {                                                                                              \
        .sink = {.ptr = (memory), .size = sizeof(memory) }                                         \
    }
#else
static inline struct pipit_event pipit_event_in(uint8_t *ptr, size_t size)
{
    struct pipit_event event;
    memset(&event, 0, sizeof(event));
    event.sink.ptr = ptr;
    event.sink.size = size;
    return event;
}
#define PIPIT_EVENT(memory) pipit_event_in((memory), sizeof(memory))
#endif

// Starts over when called again. Each step returns the first error there was; commit does too.
enum pipit_err pipit_event_begin(struct pipit_event *event, struct pipit_device *device,
                                 const char *type, const struct pipit_event_options *options);
enum pipit_err pipit_event_add(struct pipit_event *event, const struct pipit_field *field);
// Instead of fields: PIPIT_ERR_ARGUMENT after pipit_event_add or when called twice.
enum pipit_err pipit_event_payload(struct pipit_event *event, const char *content_type,
                                   struct pipit_bytes payload);
enum pipit_err pipit_event_commit(struct pipit_event *event);

// ---- commands ----------------------------------------------------------------------------------

// A command being run; everything is valid during the callback only and is not NUL-terminated.
struct pipit_command {
    struct pipit_bytes id;
    struct pipit_bytes name; // As in the topic; may have several levels.
    struct pipit_bytes payload;
    struct pipit_bytes content_type;
    bool has_expires;
    uint64_t expires;           // Milliseconds since 1970 UTC.
    struct pipit_bytes encoded; // private
};

bool pipit_command_is(const struct pipit_command *command, const char *name);

// The command's fields one after another; *position starts at 0. PIPIT_ERR_EMPTY after the last.
enum pipit_err pipit_command_next(const struct pipit_command *command, size_t *position,
                                  struct pipit_field *out_field);
// The last field of that name; PIPIT_ERR_EMPTY when there is none.
enum pipit_err pipit_command_field(const struct pipit_command *command, const char *name,
                                   struct pipit_field *out_field);

// What the reply says beside its status. A reply that does not fit its slot is replaced by one
// with the status PIPIT_ERR_SIZE.
enum pipit_err pipit_reply_text(struct pipit_sink *reply, const char *message);
enum pipit_err pipit_reply_add(struct pipit_sink *reply, const struct pipit_field *field);
enum pipit_err pipit_reply_payload(struct pipit_sink *reply, const char *content_type,
                                   struct pipit_bytes payload);

#ifdef __cplusplus
}
#endif

#endif
