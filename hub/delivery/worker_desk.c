// worker_desk.c - a worker's desk, for connectors that answer each delivery on its own: one answer
// ahead of the others, another delivery in the place that is free then.
#include <assert.h>
#include <string.h>

#include "delivery/worker_parts.h"

// One answer ahead of the others.
static void desk_answered(void *context, uint32_t place)
{
    struct worker *worker = context;
    assert(place < worker->place_count && worker->batch[place] != NULL);
    enum verdict verdict = worker->answers[place].verdict;
    if (verdict == VERDICT_RETRY) {
        worker_log_retry(worker, place, 1);
    } else if (verdict == VERDICT_DONE) {
        worker_backoff_reset(&worker->backoff);
    }
    pthread_mutex_lock(&worker->mutex);
    bool must_ring = worker->done_count == 0;
    worker_finish_locked(worker, worker->batch[place]->id, &worker->answers[place]);
    worker->isolate -= verdict != VERDICT_NOT_SENT && worker->isolate > 0;
    worker->sending--;
    pthread_mutex_unlock(&worker->mutex);
    worker->batch[place] = NULL;
    if (must_ring) {
        worker_ring(worker->given.bell_fd);
    }
}

// UINT32_MAX: there is none.
static uint32_t free_place(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->place_count; i++) {
        if (worker->batch[i] == NULL) {
            return i;
        }
    }
    return worker->place_count < worker->batch_max ? worker->place_count++ : UINT32_MAX;
}

static bool desk_more(void *context, uint32_t *out_place)
{
    struct worker *worker = context;
    uint32_t place = free_place(worker);
    worker_silence(worker->wake_fd);
    pthread_mutex_lock(&worker->mutex);
    bool is_there = worker->queue_count > 0 && !worker->is_stopping && place != UINT32_MAX &&
                    worker->reply_bytes < REPLY_BYTES_MAX;
    if (is_there) {
        worker->batch[place] = worker->queue[0];
        worker->queue_count--;
        memmove(worker->queue, worker->queue + 1, worker->queue_count * sizeof(worker->queue[0]));
        worker->sending++;
    }
    worker->is_asleep = !is_there;
    pthread_mutex_unlock(&worker->mutex);
    if (is_there) {
        worker->answers[place] = (struct answer){.verdict = VERDICT_NOT_SENT};
        *out_place = place;
    } else if (place != UINT32_MAX) {
        worker->batch[place] = NULL;
    }
    return is_there;
}

void worker_desk_init(struct worker *worker)
{
    worker->desk = (struct connector_desk){worker, desk_answered, desk_more, -1};
}
