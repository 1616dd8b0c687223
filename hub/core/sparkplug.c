#include "core/sparkplug.h"

#include <sparkplug/sparkplug_b.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "core/event_parts.h"
#include "core/sparkplug_format.h"
#include "core/sparkplug_node.h"
#include "core/sparkplug_value.h"

#define SEQ_COUNT 256 // seq goes from 0 to 255 and begins again.

struct sparkplug {
    struct store *store;
    struct sparkplug_rows *rows;
    struct sparkplug_node *by_key, *by_use;
    uint32_t node_count;
    struct sparkplug_node *touched, *last_touched;
    int64_t now_ms;
};

enum err sparkplug_create(struct sparkplug **out_sparkplug, struct store *store, struct error *e)
{
    struct sparkplug *sparkplug = calloc(1, sizeof(*sparkplug));
    if (sparkplug == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the Sparkplug nodes");
    }
    sparkplug->store = store;
    enum err rc = sparkplug_rows_create(&sparkplug->rows, store, e);
    if (rc != ERR_OK) {
        sparkplug_destroy(sparkplug);
        return rc;
    }
    *out_sparkplug = sparkplug;
    return ERR_OK;
}

static void forget(struct sparkplug *sparkplug, struct sparkplug_node *node)
{
    HASH_DEL(sparkplug->by_key, node);
    DL_DELETE(sparkplug->by_use, node);
    sparkplug->node_count--;
    sparkplug_node_destroy(node);
}

void sparkplug_destroy(struct sparkplug *sparkplug)
{
    if (sparkplug == NULL) {
        return;
    }
    while (sparkplug->by_use != NULL) {
        forget(sparkplug, sparkplug->by_use);
    }
    sparkplug_rows_destroy(sparkplug->rows);
    free(sparkplug);
}

// ---- the nodes at hand --------------------------------------------------------------------------

static struct sparkplug_node *find_cached(const struct sparkplug *sparkplug,
                                          const struct sparkplug_message *message)
{
    char key[2 * EVENT_NAME_MAX + 2]; // The topic was checked: both names fit.
    struct sparkplug_node *found = NULL;
    size_t len = (size_t)snprintf(key, sizeof(key), "%s/%s", message->group, message->node);
    HASH_FIND(hh, sparkplug->by_key, key, len, found);
    return found;
}

static enum err load(struct sparkplug *sparkplug, const struct sparkplug_message *message,
                     struct sparkplug_node **out_node, struct error *e)
{
    *out_node = find_cached(sparkplug, message);
    if (*out_node != NULL) {
        return ERR_OK;
    }
    struct sparkplug_node *made = sparkplug_node_create(message->group, message->node);
    if (made == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the Sparkplug nodes");
    }
    enum err rc = sparkplug_rows_read(sparkplug->rows, made, e);
    if (rc != ERR_OK) {
        sparkplug_node_destroy(made);
        return rc;
    }
    HASH_ADD_KEYPTR(hh, sparkplug->by_key, made->key, strlen(made->key), made);
    DL_APPEND(sparkplug->by_use, made);
    sparkplug->node_count++;
    *out_node = made;
    return ERR_OK;
}

static void touch(struct sparkplug *sparkplug, struct sparkplug_node *node)
{
    if (node->is_touched) {
        return;
    }
    node->is_touched = true;
    node->next_touched = NULL;
    if (sparkplug->last_touched == NULL) {
        sparkplug->touched = node;
    } else {
        sparkplug->last_touched->next_touched = node;
    }
    sparkplug->last_touched = node;
    DL_DELETE(sparkplug->by_use, node);
    DL_APPEND(sparkplug->by_use, node);
}

// ---- what a message does ------------------------------------------------------------------------

// A message of a node on its way through.
struct passage {
    struct sparkplug *sparkplug;
    struct sparkplug_node *node;
    struct sparkplug_message *message;
    struct event *event;
    uint32_t input;
    struct sparkplug_verdict *verdict;
};

// Once in SPARKPLUG_ASK_AGAIN_MS, until the birth comes. A clock that stepped back asks again.
static void ask(const struct passage *passage)
{
    struct sparkplug_node *node = passage->node;
    int64_t now_ms = passage->sparkplug->now_ms;
    bool is_waiting = node->asked_ms != 0 && now_ms >= node->asked_ms &&
                      now_ms - node->asked_ms < SPARKPLUG_ASK_AGAIN_MS;
    if (!is_waiting) {
        node->asked_ms = now_ms;
        node->is_asking = true;
        node->input = passage->input;
    }
}

static enum err take_birth(const struct passage *passage, struct error *e)
{
    const struct sparkplug_message *message = passage->message;
    struct sparkplug_alias *items = calloc(message->metric_count + 1U, sizeof(items[0]));
    struct sparkplug_device *device = sparkplug_node_add(passage->node, message->part);
    if (items == NULL || device == NULL) {
        free(items);
        return error_set(e, ERR_NO_MEMORY, "out of memory for a birth's metrics");
    }
    for (uint32_t i = 0; i < message->metric_count; i++) {
        const Sparkplug__Metric *metric = message->metrics[i];
        items[i] = (struct sparkplug_alias){metric->name, metric->alias, metric->has_alias != 0,
                                            metric->datatype};
    }
    struct sparkplug_aliases aliases;
    enum err rc = sparkplug_aliases_build(&aliases, items, message->metric_count, e);
    free(items);
    if (rc == ERR_OK) {
        sparkplug_node_set_metrics(passage->node, device, &aliases);
        device->is_online = device->is_dirty = device->is_reborn = true;
    }
    return rc;
}

static void take_time(struct sparkplug_node *node, const struct sparkplug_message *message)
{
    if (message->has_time) {
        node->latest_ms = message->time_ms;
    }
}

static enum err node_birth(const struct passage *passage, struct error *e)
{
    struct sparkplug_node *node = passage->node;
    const struct sparkplug_message *message = passage->message;
    sparkplug_node_forget_devices(node);
    node->is_reborn = true;
    node->is_online = true;
    node->bdseq = message->bdseq;
    node->seq = message->seq < 0 ? 0 : message->seq;
    node->born_ms = message->time_ms;
    node->asked_ms = 0;
    node->is_asking = false;
    take_time(node, message);
    return take_birth(passage, e);
}

static enum err node_death(const struct passage *passage, struct error *e)
{
    struct sparkplug_node *node = passage->node;
    int64_t bdseq = passage->message->bdseq;
    (void)e;
    if (node->bdseq >= 0 && bdseq >= 0 && bdseq != node->bdseq) {
        passage->verdict->is_ignored = true;
        return ERR_OK;
    }
    node->is_online = false;
    for (struct sparkplug_device *device = node->devices; device != NULL; device = device->next) {
        device->is_dirty |= device->is_online;
        device->is_online = false;
    }
    return ERR_OK;
}

// Whether anything was missed before this message.
static void follow(const struct passage *passage)
{
    struct sparkplug_node *node = passage->node;
    const struct sparkplug_message *message = passage->message;
    int expected = (node->seq + 1) % SEQ_COUNT;
    bool is_missing =
        !node->is_online || node->asked_ms != 0 || (message->seq >= 0 && message->seq != expected);
    if (is_missing) {
        ask(passage);
    }
    if (message->seq >= 0) {
        node->seq = message->seq;
    }
    take_time(node, message);
}

static enum err device_birth(const struct passage *passage, struct error *e)
{
    follow(passage);
    return take_birth(passage, e);
}

static enum err device_death(const struct passage *passage, struct error *e)
{
    struct sparkplug_device *device = sparkplug_node_device(passage->node, passage->message->part);
    (void)e;
    follow(passage);
    if (device != NULL) {
        device->is_dirty |= device->is_online;
        device->is_online = false;
    }
    return ERR_OK;
}

static enum err out_of_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a Sparkplug message");
}

// Names and datatypes as the birth announced them. *out_alias: one that it did not.
static enum err resolve(const struct passage *passage, bool *out_is_known, uint64_t *out_alias,
                        struct error *e)
{
    static const struct sparkplug_aliases none;
    const struct sparkplug_device *device =
        sparkplug_node_device(passage->node, passage->message->part);
    const struct sparkplug_aliases *aliases = device == NULL ? &none : &device->aliases;
    *out_is_known = true;
    for (uint32_t i = 0; i < passage->message->metric_count; i++) {
        Sparkplug__Metric *metric = passage->message->metrics[i];
        const struct sparkplug_alias *found = metric->name != NULL
                                                  ? sparkplug_alias_by_name(aliases, metric->name)
                                                  : sparkplug_alias_find(aliases, metric->alias);
        if (found == NULL && metric->name == NULL) {
            *out_is_known = false;
            *out_alias = metric->alias;
        } else if (found != NULL && metric->name == NULL) {
            metric->name = event_memory_text(passage->event->memory, bytes_from_text(found->name));
            if (metric->name == NULL) {
                return out_of_memory(e);
            }
        }
        if (found != NULL && !metric->has_datatype) {
            metric->datatype = found->datatype;
            metric->has_datatype = true;
        }
    }
    return ERR_OK;
}

static enum err take_names(const struct passage *passage, bool *out_is_known, struct error *e)
{
    uint64_t alias = 0;
    enum err rc = resolve(passage, out_is_known, &alias, e);
    if (rc == ERR_OK && !*out_is_known) {
        snprintf(passage->verdict->reason, sizeof(passage->verdict->reason),
                 "alias %llu stands for no metric of %.80s: its birth was not seen; "
                 "a rebirth is asked for",
                 (unsigned long long)alias, passage->message->device);
    }
    return rc;
}

static enum err data(const struct passage *passage, struct error *e)
{
    const struct sparkplug_device *device =
        sparkplug_node_device(passage->node, passage->message->part);
    bool is_known;
    follow(passage);
    enum err rc = take_names(passage, &is_known, e);
    if (rc == ERR_OK && (!is_known || device == NULL || !device->is_online)) {
        ask(passage);
    }
    return rc;
}

static enum err command(const struct passage *passage, struct error *e)
{
    bool is_known;
    return take_names(passage, &is_known, e);
}

static const struct {
    bool is_counted; // It has a seq, so that it can be told from one that came before.
    bool changes;    // What is known of the node.
    enum err (*act)(const struct passage *passage, struct error *e);
} actions[SPARKPLUG_TYPE_COUNT] = {
    [SPARKPLUG_NBIRTH] = {true, true, node_birth},
    [SPARKPLUG_NDEATH] = {false, true, node_death},
    [SPARKPLUG_NDATA] = {true, true, data},
    [SPARKPLUG_NCMD] = {false, false, command},
    [SPARKPLUG_DBIRTH] = {true, true, device_birth},
    [SPARKPLUG_DDEATH] = {true, true, device_death},
    [SPARKPLUG_DDATA] = {true, true, data},
    [SPARKPLUG_DCMD] = {false, false, command},
    [SPARKPLUG_STATE] = {false, false, NULL},
};

// Sparkplug publishes at QoS 0, which a broker delivers once. Where a node uses more, what was not
// acknowledged comes again: out of turn, and not younger than what was seen last.
static bool is_repeated(const struct passage *passage)
{
    const struct sparkplug_node *node = passage->node;
    const struct sparkplug_message *message = passage->message;
    if (event_message(passage->event)->qos == 0 || node->seq < 0) {
        return false;
    }
    if (message->type == SPARKPLUG_NDEATH) {
        return !node->is_online && message->bdseq == node->bdseq;
    }
    if (!actions[message->type].is_counted || !message->has_time || message->seq < 0) {
        return false;
    }
    if (message->type == SPARKPLUG_NBIRTH) {
        return message->time_ms <= node->born_ms && message->bdseq == node->bdseq;
    }
    return message->seq != (node->seq + 1) % SEQ_COUNT && message->time_ms <= node->latest_ms;
}

// An event of the history knows the aliases of its own time only.
static bool is_older_than_birth(const struct passage *passage)
{
    const struct playback *playback = event_message(passage->event)->playback;
    const struct sparkplug_message *message = passage->message;
    bool is_older = playback != NULL && playback->rule != NULL && playback->is_known &&
                    message->has_time && message->time_ms < passage->node->born_ms;
    for (uint32_t i = 0; is_older && i < message->metric_count; i++) {
        if (message->metrics[i]->name == NULL) {
            snprintf(passage->verdict->reason, sizeof(passage->verdict->reason),
                     "its aliases are of an earlier birth of %.80s than the one that is known",
                     message->node);
            return true;
        }
    }
    return false;
}

// An event that is played again says nothing new of its node.
static enum err pass(const struct passage *passage, struct error *e)
{
    bool is_new = event_message(passage->event)->playback == NULL;
    enum sparkplug_type type = passage->message->type;
    bool is_known;
    if (!is_new || !actions[type].changes) {
        bool is_birth = type == SPARKPLUG_NBIRTH || type == SPARKPLUG_DBIRTH;
        return is_birth || is_older_than_birth(passage) ? ERR_OK
                                                        : take_names(passage, &is_known, e);
    }
    if (is_repeated(passage)) {
        passage->verdict->is_duplicate = true;
        return ERR_OK;
    }
    touch(passage->sparkplug, passage->node);
    passage->node->is_dirty = true;
    return actions[type].act(passage, e);
}

enum err sparkplug_see(struct sparkplug *sparkplug, struct event *event, uint32_t input,
                       int64_t now_ms, struct sparkplug_verdict *out_verdict, struct error *e)
{
    struct sparkplug_message *message = sparkplug_message_of(event);
    out_verdict->is_duplicate = out_verdict->is_ignored = false;
    out_verdict->reason[0] = '\0';
    if (message == NULL || message->type == SPARKPLUG_STATE) {
        return ERR_OK;
    }
    struct passage passage = {.sparkplug = sparkplug,
                              .message = message,
                              .event = event,
                              .input = input,
                              .verdict = out_verdict};
    sparkplug->now_ms = now_ms;
    enum err rc = load(sparkplug, message, &passage.node, e);
    return rc == ERR_OK ? pass(&passage, e) : rc;
}

// ---- the end of a batch -------------------------------------------------------------------------

enum err sparkplug_flush(struct sparkplug *sparkplug, struct error *e)
{
    enum err rc = ERR_OK;
    for (struct sparkplug_node *node = sparkplug->touched; rc == ERR_OK && node != NULL;
         node = node->next_touched) {
        rc = sparkplug_rows_write(sparkplug->rows, node, e);
    }
    return rc;
}

// "Node Control/Rebirth" [Sparkplug 3.0, 6.4.20].
static struct bytes pack_request(int64_t now_ms, struct event_memory *memory)
{
    Sparkplug__Payload payload = SPARKPLUG__PAYLOAD__INIT;
    Sparkplug__Metric metric = SPARKPLUG__METRIC__INIT, *metrics[] = {&metric};
    metric.name = "Node Control/Rebirth";
    metric.has_timestamp = payload.has_timestamp = true;
    metric.timestamp = payload.timestamp = (uint64_t)now_ms;
    metric.has_datatype = true;
    metric.datatype = SPARKPLUG_BOOLEAN;
    metric.value_case = SPARKPLUG__METRIC__VALUE_BOOLEAN_VALUE;
    metric.boolean_value = true;
    payload.n_metrics = 1;
    payload.metrics = metrics;
    size_t len = sparkplug__payload__get_packed_size(&payload);
    uint8_t *packed = event_memory_take(memory, len);
    if (packed != NULL) {
        sparkplug__payload__pack(&payload, packed);
    }
    return bytes_of(packed, packed == NULL ? 0 : len);
}

static enum err make_request(const struct sparkplug_node *node, int64_t now_ms,
                             struct event_memory *memory, struct request *out_request,
                             struct error *e)
{
    const char *name = strchr(node->key, '/') + 1;
    size_t size = strlen(node->key) + sizeof("spBv1.0//NCMD");
    char *topic = event_memory_take(memory, size);
    struct bytes payload = pack_request(now_ms, memory);
    if (topic == NULL || payload.ptr == NULL) {
        return out_of_memory(e);
    }
    snprintf(topic, size, "spBv1.0/%.*s/NCMD/%s", (int)(name - node->key - 1), node->key, name);
    *out_request = (struct request){topic, payload, node->input};
    return ERR_OK;
}

enum err sparkplug_requests(const struct sparkplug *sparkplug, struct event_memory *memory,
                            const struct request **out_requests, uint32_t *out_count,
                            struct error *e)
{
    uint32_t count = 0, made = 0;
    const struct sparkplug_node *node;
    for (node = sparkplug->touched; node != NULL; node = node->next_touched) {
        count += node->is_asking;
    }
    *out_count = 0;
    if (count == 0) {
        return ERR_OK;
    }
    struct request *requests = event_memory_take(memory, count * sizeof(requests[0]));
    enum err rc = requests == NULL ? out_of_memory(e) : ERR_OK;
    for (node = sparkplug->touched; rc == ERR_OK && node != NULL; node = node->next_touched) {
        if (node->is_asking) {
            rc = make_request(node, sparkplug->now_ms, memory, &requests[made++], e);
        }
    }
    *out_requests = requests;
    *out_count = rc == ERR_OK ? made : 0;
    return rc;
}

static void settle(struct sparkplug_node *node)
{
    struct sparkplug_device *device;
    node->is_touched = node->is_dirty = node->is_reborn = node->is_asking = false;
    for (device = node->devices; device != NULL; device = device->next) {
        device->is_dirty = device->is_reborn = false;
    }
}

static uint32_t count_metrics(const struct sparkplug *sparkplug)
{
    uint32_t count = 0;
    for (const struct sparkplug_node *node = sparkplug->by_use; node != NULL; node = node->next) {
        count += node->metric_count;
    }
    return count;
}

// Goes through what the batch has touched; is_kept: it is as in the store now.
static void finish(struct sparkplug *sparkplug, bool is_kept)
{
    struct sparkplug_node *next;
    for (struct sparkplug_node *node = sparkplug->touched; node != NULL; node = next) {
        next = node->next_touched;
        if (is_kept) {
            settle(node);
        } else {
            forget(sparkplug, node);
        }
    }
    sparkplug->touched = sparkplug->last_touched = NULL;
}

void sparkplug_commit(struct sparkplug *sparkplug)
{
    bool was_touched = sparkplug->touched != NULL;
    finish(sparkplug, true);
    uint32_t metrics = was_touched ? count_metrics(sparkplug) : 0;
    while (sparkplug->node_count > SPARKPLUG_NODES_MAX || metrics > SPARKPLUG_CACHED_MAX) {
        metrics -= sparkplug->by_use->metric_count;
        forget(sparkplug, sparkplug->by_use);
    }
}

void sparkplug_rollback(struct sparkplug *sparkplug)
{
    finish(sparkplug, false);
}
