// worker_parts.h - the inside of a worker, for the files that share it: worker.c, and worker_desk.c
// for connectors that answer one by one.
//
// Threads:   as the fields say, with the mutex held where a name ends in _locked; worker_ring any.
//
// Ownership: as worker.h says.
//
// Failure:   none.
#ifndef PIPIT_DELIVERY_WORKER_PARTS_H
#define PIPIT_DELIVERY_WORKER_PARTS_H

#include <pthread.h>

#include "delivery/worker.h"
#include "delivery/worker_backoff.h"

// Of replies that nobody has collected: no more is sent meanwhile.
#define REPLY_BYTES_MAX (16 * 1024 * 1024)

// A verdict on its way to the hub thread.
struct finished {
    uint64_t id;
    enum verdict verdict;
    int64_t retry_after_ms;
    char *reason;        // Owned; NULL: none.
    struct reply *reply; // The same.
};

struct worker {
    struct worker_options given;
    uint32_t batch_max;
    int wake_fd; // Rung by the hub thread when the worker sleeps.
    int stop_fd; // Readable from worker_stop on.
    bool has_thread;
    pthread_t thread;

    pthread_mutex_t mutex; // Guards from here...
    const struct delivery **queue;
    uint32_t queue_count;
    uint32_t sending;
    struct finished *done; // 2 * batch_max: room keeps it from overflowing.
    uint32_t done_count;
    uint64_t reply_bytes; // Theirs.
    bool is_up, is_asleep, is_stopping;
    uint32_t isolate; // So many still have to pass one at a time.
    int64_t down_since_ms;
    char last_error[300]; // ...to here.

    // Hub thread only.
    struct finished *collected; // What the last collect has lent.
    uint32_t collected_count;

    // Worker thread only.
    void *state;
    struct connector_desk desk;
    const struct delivery **batch; // NULL: the place is free.
    struct answer *answers;
    uint32_t place_count; // Places in use, some of which may be free.
    struct worker_backoff backoff;
    int64_t open_at_ms;  // While down: the next try. Monotonic, like those below.
    int64_t tend_at_ms;  // While up.
    int64_t up_since_ms; // While up.
    int64_t logged_at_ms;
};

void worker_ring(int fd);
void worker_silence(int fd);

// The delivery's verdict is ready to be collected. Takes the answer's reply.
void worker_finish_locked(struct worker *worker, uint64_t id, struct answer *answer);
// count: that have failed with this one.
void worker_log_retry(const struct worker *worker, uint32_t place, uint32_t count);

// worker_desk.c: what the connector is given; its fd is still to be set.
void worker_desk_init(struct worker *worker);

#endif
