// client_world.h - the SDK's MQTT client between a byte pipe and a judge, for its fuzzers.
// Threads:   one.
// Ownership: memory of exactly the sizes that were asked for, so that a sanitizer sees its ends.
// Failure:   asserts what must hold whatever happens: the link's contract, well-formed packets,
//            bounded work.
#ifndef CLIENT_WORLD_H
#define CLIENT_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "unit/device-sdk/byte_pipe.h"
#include "unit/device-sdk/mqtt_judge.h"

#define WORLD_TIMEOUT_MS 20000u
#define WORLD_READS_MAX  64u // Of one poll.

#define WORLD_MUST(what)                                                                           \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum world_state { WORLD_IDLE = 0, WORLD_TRYING, WORLD_UP };

struct world_sizes {
    size_t receive, send;
    uint16_t flights, inbound;
};

struct world {
    struct byte_pipe pipe;
    struct judge judge;
    struct pipit_client client;
    struct pipit_link *link;
    struct pipit_client_options options;
    struct pipit_connect connect;
    struct pipit_link_event event;
    enum world_state state;
    uint32_t now_ms;
    uint32_t polled_at_ms; // When a try was polled first.
    bool has_polled;
    unsigned idle_count; // Polls that were wanted and brought nothing.
    bool is_v5;
    void (*on_packet)(struct world *world, const struct judge_packet *packet);
};

static inline void world_packet(void *context, const struct judge_packet *packet)
{
    struct world *world = context;
    if (world->on_packet != NULL) {
        world->on_packet(world, packet);
    }
}

static inline void world_watch(void *context, const uint8_t *ptr, size_t len)
{
    struct world *world = context;
    judge_put(&world->judge, ptr, len);
    if (world->judge.fault != NULL) {
        fprintf(stderr, "the client sent: %s\n", world->judge.fault);
        abort();
    }
}

static inline void *world_memory(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    WORLD_MUST(memory != NULL);
    memset(memory, 0xA5, size);
    return memory;
}

static inline void world_begin(struct world *world, bool is_v5, struct world_sizes sizes)
{
    struct pipit_client_options *options = &world->options;
    memset(options, 0, sizeof(*options));
    pipe_init(&world->pipe);
    world->pipe.watch = world_watch;
    world->pipe.context = world;
    world->judge.fault = NULL;
    world->judge.on_packet = world_packet;
    world->judge.context = world;
    world->state = WORLD_IDLE;
    world->idle_count = 0;
    world->now_ms = 0xFFFFF000u; // The clock wraps early in each run.
    world->is_v5 = is_v5;
    world->on_packet = NULL;
    world->connect =
        (struct pipit_connect){.client_id = "c", .keepalive_s = 30, .session_expiry_s = 60};
    options->transport = &world->pipe.base;
    options->version = is_v5 ? PIPIT_MQTT_5 : PIPIT_MQTT_311;
    options->receive_memory = world_memory(sizes.receive);
    options->send_memory = world_memory(sizes.send);
    options->flights = world_memory(sizes.flights * sizeof(options->flights[0]));
    options->inbound = world_memory(sizes.inbound * sizeof(options->inbound[0]));
    options->receive_bytes = sizes.receive;
    options->send_bytes = sizes.send;
    options->flights_max = sizes.flights;
    options->inbound_max = sizes.inbound;
    WORLD_MUST(pipit_client_init(&world->client, options) == PIPIT_OK);
    world->link = &world->client.base;
}

static inline void world_end(struct world *world)
{
    free(world->options.receive_memory);
    free(world->options.send_memory);
    free(world->options.flights);
    free(world->options.inbound);
}

static inline enum pipit_err world_connect(struct world *world)
{
    enum pipit_err rc = world->link->type->connect(world->link, &world->connect);
    WORLD_MUST((rc == PIPIT_OK) ? world->state == WORLD_IDLE
                                : rc != PIPIT_ERR_BUSY || world->state != WORLD_IDLE);
    if (rc == PIPIT_OK) {
        judge_begin(&world->judge, world->is_v5);
        world->state = WORLD_TRYING;
        world->has_polled = false;
    }
    return rc;
}

static inline bool world_is_inside(const struct world *world, struct pipit_bytes bytes)
{
    const struct pipit_client_options *options = &world->options;
    return bytes.len == 0 ||
           (bytes.ptr >= options->receive_memory &&
            bytes.ptr + bytes.len <= options->receive_memory + options->receive_bytes);
}

static inline void world_message(struct world *world)
{
    const struct pipit_link_event *event = &world->event;
    if (event->rc != PIPIT_OK) { // Only 3.1.1 reads over what is too large.
        WORLD_MUST(event->rc == PIPIT_ERR_SIZE && !world->is_v5);
        WORLD_MUST(event->token == 0 && event->topic.len == 0 && event->payload.len == 0);
        return;
    }
    WORLD_MUST(world_is_inside(world, event->topic) && world_is_inside(world, event->payload));
    WORLD_MUST(event->topic.len > 0 && event->topic.len <= UINT16_MAX);
    for (size_t i = 0, size; i < event->topic.len; i += size) {
        size = judge_character(event->topic.ptr + i, event->topic.len - i);
        WORLD_MUST(size > 0 && event->topic.ptr[i] != '+' && event->topic.ptr[i] != '#');
    }
}

static inline size_t world_unread(const struct world *world)
{
    return world->client.end - world->client.begin;
}

// One poll, with all that must hold of it.
static inline enum pipit_link_kind world_poll(struct world *world)
{
    unsigned reads = world->pipe.read_count;
    size_t taken = world->pipe.in_at, left = world_unread(world);
    bool is_due = world->link->type->next_ms(world->link) == 0;
    if (world->state == WORLD_TRYING && !world->has_polled) {
        world->has_polled = true;
        world->polled_at_ms = world->now_ms;
    }
    memset(&world->event, 0xA5, sizeof(world->event));
    world->link->type->poll(world->link, world->now_ms, &world->event);
    WORLD_MUST(world->pipe.read_count - reads <= WORLD_READS_MAX);
    // Else the device would spin: a poll may be for nothing, but not the next one too. One that
    // only gets on with what has come is not for nothing.
    bool has_moved = world->pipe.in_at != taken || world_unread(world) != left;
    world->idle_count =
        is_due && !has_moved && world->event.kind == PIPIT_LINK_NOTHING ? world->idle_count + 1 : 0;
    WORLD_MUST(world->idle_count < 2);
    switch (world->event.kind) {
    case PIPIT_LINK_NOTHING: // A try ends in its time.
        WORLD_MUST(world->state != WORLD_TRYING ||
                   world->now_ms - world->polled_at_ms <= WORLD_TIMEOUT_MS);
        break;
    case PIPIT_LINK_UP:
        WORLD_MUST(world->state == WORLD_TRYING);
        world->state = WORLD_UP;
        break;
    case PIPIT_LINK_DOWN:
        WORLD_MUST(world->state != WORLD_IDLE);
        WORLD_MUST(world->pipe.type.close == NULL || !world->pipe.is_open);
        world->state = WORLD_IDLE;
        break;
    case PIPIT_LINK_ACKED:
        WORLD_MUST(world->state == WORLD_UP);
        break;
    case PIPIT_LINK_MESSAGE:
        WORLD_MUST(world->state == WORLD_UP);
        world_message(world);
        break;
    default:
        WORLD_MUST(!"a kind that there is");
    }
    return world->event.kind;
}

static inline void world_put(struct world *world, const uint8_t *ptr, size_t len)
{
    struct byte_pipe *pipe = &world->pipe;
    if (pipe->in_at == pipe->in_end) {
        pipe->in_at = pipe->in_end = 0;
    }
    if ((pipe->is_open || pipe->type.open == NULL) && len <= sizeof(pipe->in) - pipe->in_end) {
        pipe_put(pipe, ptr, len);
    }
}

static inline void world_heal(struct world *world)
{
    struct byte_pipe *pipe = &world->pipe;
    pipe->read_error = pipe->write_error = 0;
    pipe->open_busy = 0;
    pipe->open_rc = PIPIT_OK;
    pipe->read_max = pipe->write_max = pipe->write_room = PIPE_ANY;
}

// Whatever there was: it ends when it is asked to, in bounded time.
static inline void world_finish(struct world *world)
{
    world->link->type->disconnect(world->link);
    for (int i = 0; i < 1000 && world->state != WORLD_IDLE; i++) {
        (void)world_poll(world);
        world->now_ms += WORLD_TIMEOUT_MS / 100;
    }
    WORLD_MUST(world->state == WORLD_IDLE);
    for (int i = 0; i < 3; i++) {
        WORLD_MUST(world_poll(world) == PIPIT_LINK_NOTHING);
    }
}

#endif
