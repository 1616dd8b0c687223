// byte_pipe.h - a transport in memory: a broker's bytes at any split, the client's as written.
// Threads:   none.
// Ownership: everything is in the struct; `watch` sees each byte that the client writes.
// Failure:   asserts that the client keeps to the transport's contract.
#ifndef BYTE_PIPE_H
#define BYTE_PIPE_H

#include <assert.h>
#include <string.h>

#include "pipit/client.h"

#define PIPE_BYTES 65536u
#define PIPE_ANY   SIZE_MAX

struct byte_pipe {
    struct pipit_transport base;
    struct pipit_transport_type type;
    uint8_t in[PIPE_BYTES]; // From the broker.
    size_t in_at, in_end;
    size_t read_max;     // Bytes given by one read.
    size_t write_max;    // Bytes taken by one write.
    size_t write_room;   // Bytes taken until a test gives more.
    int32_t read_error;  // Given once the bytes are gone; 0: none.
    int32_t write_error; // Given by the next write; 0: none.
    unsigned open_busy;  // So many times an opening is still under way.
    enum pipit_err open_rc;
    unsigned open_count, close_count, read_count;
    bool is_open;
    void (*watch)(void *context, const uint8_t *ptr, size_t len);
    void *context;
};

static inline struct byte_pipe *pipe_of(struct pipit_transport *transport)
{
    return (struct byte_pipe *)(void *)transport;
}

static inline size_t pipe_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline int32_t pipe_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    struct byte_pipe *pipe = pipe_of(transport);
    assert(pipe->is_open && len > 0);
    if (pipe->write_error != 0) {
        return pipe->write_error;
    }
    size_t count = pipe_least(len, pipe_least(pipe->write_max, pipe->write_room));
    if (pipe->write_room != PIPE_ANY) {
        pipe->write_room -= count;
    }
    if (count > 0 && pipe->watch != NULL) {
        pipe->watch(pipe->context, ptr, count);
    }
    return (int32_t)count;
}

static inline int32_t pipe_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    struct byte_pipe *pipe = pipe_of(transport);
    assert(pipe->is_open && size > 0);
    pipe->read_count++;
    size_t count = pipe_least(pipe->in_end - pipe->in_at, pipe_least(size, pipe->read_max));
    if (count == 0) {
        return pipe->in_at == pipe->in_end ? pipe->read_error : 0;
    }
    memcpy(ptr, pipe->in + pipe->in_at, count);
    pipe->in_at += count;
    return (int32_t)count;
}

static inline enum pipit_err pipe_open(struct pipit_transport *transport, uint32_t now_ms)
{
    struct byte_pipe *pipe = pipe_of(transport);
    (void)now_ms;
    assert(!pipe->is_open);
    pipe->open_count++;
    if (pipe->open_busy > 0) {
        pipe->open_busy--;
        return PIPIT_ERR_BUSY;
    }
    pipe->is_open = pipe->open_rc == PIPIT_OK;
    return pipe->open_rc;
}

static inline void pipe_close(struct pipit_transport *transport)
{
    struct byte_pipe *pipe = pipe_of(transport);
    pipe->close_count++;
    pipe->is_open = false;
    pipe->in_at = pipe->in_end = 0;
}

static inline void pipe_init(struct byte_pipe *pipe)
{
    memset(pipe, 0, sizeof(*pipe));
    pipe->type = (struct pipit_transport_type){pipe_write, pipe_read, pipe_open, pipe_close};
    pipe->base.type = &pipe->type;
    pipe->read_max = pipe->write_max = pipe->write_room = PIPE_ANY;
}

// A wire that is always there.
static inline void pipe_init_wire(struct byte_pipe *pipe)
{
    pipe_init(pipe);
    pipe->type.open = NULL;
    pipe->type.close = NULL;
    pipe->is_open = true;
}

static inline void pipe_put(struct byte_pipe *pipe, const uint8_t *ptr, size_t len)
{
    if (pipe->in_at == pipe->in_end) {
        pipe->in_at = pipe->in_end = 0;
    }
    assert(len <= sizeof(pipe->in) - pipe->in_end);
    memcpy(pipe->in + pipe->in_end, ptr, len);
    pipe->in_end += len;
}

#endif
