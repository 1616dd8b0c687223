// sparkplug_message.h - a Sparkplug B message: what its topic says and the metrics of its payload
// [Sparkplug 3.0, 4 and 6.4].
//
// Threads:   core thread.
//
// Ownership: all of it is in the memory given, topic and payload are borrowed.
//
// Failure:   ERR_INVALID: the topic or the payload is none of Sparkplug's. ERR_NO_MEMORY.
#ifndef PIPIT_CORE_SPARKPLUG_MESSAGE_H
#define PIPIT_CORE_SPARKPLUG_MESSAGE_H

#include "core/event.h"
#include "core/event_memory.h"

#define SPARKPLUG_METRICS_MAX 20000 // Of a message.
#define SPARKPLUG_DEPTH_MAX   24    // Messages in messages: templates, property sets.

struct Sparkplug__Payload;
struct Sparkplug__Metric;

#define SPARKPLUG_TYPES(X)                                                                         \
    X(NBIRTH)                                                                                      \
    X(NDEATH)                                                                                      \
    X(NDATA)                                                                                       \
    X(NCMD)                                                                                        \
    X(DBIRTH)                                                                                      \
    X(DDEATH)                                                                                      \
    X(DDATA)                                                                                       \
    X(DCMD)                                                                                        \
    X(STATE)

#define SPARKPLUG_ENUM(name) SPARKPLUG_##name,
enum sparkplug_type { SPARKPLUG_TYPES(SPARKPLUG_ENUM) SPARKPLUG_TYPE_COUNT };
#undef SPARKPLUG_ENUM

struct sparkplug_message {
    enum sparkplug_type type;
    const char *group, *node;
    const char *device; // Of the event: "<node>" or "<node>/<device>"; of STATE the host's id.
    const char *part;   // The device alone; "" for the node itself.
    bool has_time;
    int64_t time_ms;
    int seq;       // -1: none.
    int64_t bdseq; // Birth and death of a session belong together by it; -1: none.
    struct Sparkplug__Metric **metrics; // Without a name until its alias was looked up.
    uint32_t metric_count;
};

const char *sparkplug_type_name(enum sparkplug_type type);

// What the topic says; the payload is not read.
enum err sparkplug_message_address(struct bytes topic, struct event_memory *memory,
                                   struct sparkplug_message *out_message, struct error *e);
// The payload of any type but STATE into the message. It may take a multiple of its size.
enum err sparkplug_message_read(struct sparkplug_message *message, struct bytes payload,
                                struct event_memory *memory, struct error *e);

// Values fit their datatypes and texts are UTF-8, to be asked when all metrics have their names and
// datatypes: ERR_INVALID names the metric.
enum err sparkplug_message_check(const struct sparkplug_message *message, struct error *e);

#endif
