// sparkplug_node.h - a Sparkplug node as it lies in the store.
//
// Threads:   core thread.
//
// Ownership: a node owns its devices.
//
// Failure:   of the store's kind, or ERR_NO_MEMORY.
#ifndef PIPIT_CORE_SPARKPLUG_NODE_H
#define PIPIT_CORE_SPARKPLUG_NODE_H

#include <uthash.h>

#include "core/sparkplug_alias.h"
#include "store/store.h"

// The node itself is the device without a name.
struct sparkplug_device {
    struct sparkplug_device *next;
    int64_t id; // Row; 0: not in the store yet.
    bool is_online;
    bool is_dirty, is_reborn; // Its row, and its metrics.
    struct sparkplug_aliases aliases;
    char name[];
};

struct sparkplug_node {
    int64_t id; // Row; 0: not in the store yet.
    bool is_online;
    int seq;         // Of its last message; -1: none.
    int64_t bdseq;   // -1: none.
    int64_t born_ms; // Timestamps of payloads: of the birth, of the newest message; 0: none.
    int64_t latest_ms;
    int64_t asked_ms; // For a rebirth that has not come; 0: it was not asked.
    struct sparkplug_device *devices;
    uint32_t metric_count; // Of all devices.
    bool is_touched, is_dirty, is_reborn;
    bool is_asking; // In this batch, through the source of:
    uint32_t input;
    struct sparkplug_node *next_touched;
    struct sparkplug_node *prev, *next; // By last use, the oldest first.
    UT_hash_handle hh;
    char key[]; // "<group>/<node>"
};

// NULL: out of memory.
struct sparkplug_node *sparkplug_node_create(const char *group, const char *node);
void sparkplug_node_destroy(struct sparkplug_node *node);

struct sparkplug_device *sparkplug_node_device(const struct sparkplug_node *node,
                                               const char *name); // NULL: unknown.
// The device of that name, made when there is none; NULL: out of memory.
struct sparkplug_device *sparkplug_node_add(struct sparkplug_node *node, const char *name);
void sparkplug_node_forget_devices(struct sparkplug_node *node);
void sparkplug_node_set_metrics(struct sparkplug_node *node, struct sparkplug_device *device,
                                struct sparkplug_aliases *take_aliases);

// The rows.
struct sparkplug_rows;
enum err sparkplug_rows_create(struct sparkplug_rows **out_rows, struct store *store,
                               struct error *e);
void sparkplug_rows_destroy(struct sparkplug_rows *rows); // NULL is fine.
// A node that is not there is left as it was created.
enum err sparkplug_rows_read(struct sparkplug_rows *rows, struct sparkplug_node *node,
                             struct error *e);
enum err sparkplug_rows_write(struct sparkplug_rows *rows, struct sparkplug_node *node,
                              struct error *e);

#endif
