// workflow_retry.c - when an attempt is made again.
#include "core/workflow_move.h"

// splitmix64: the same attempt waits equally long however often the batch is run, others do not
// come all at once.
static uint64_t mix(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

// Doubles with each attempt; half of it is chance, by what names the attempt outside.
static int64_t backoff_ms(const struct visit *visit)
{
    const struct workflow_retry *retry = &visit->step->retry;
    const struct workflow_token *token = visit->token;
    int64_t wait_ms = retry->backoff_ms;
    for (uint32_t i = 1; i < token->attempt && wait_ms < retry->backoff_max_ms; i++) {
        wait_ms = wait_ms > INT64_MAX / 2 ? INT64_MAX : 2 * wait_ms;
    }
    wait_ms = wait_ms < retry->backoff_max_ms ? wait_ms : retry->backoff_max_ms;
    uint64_t name = mix((uint64_t)visit->instance->id) ^ (uint64_t)visit->instance->started_ms;
    uint64_t chance = mix(mix(name ^ token->execution) ^ token->attempt);
    int64_t half_ms = wait_ms / 2;
    return wait_ms - half_ms + (int64_t)(chance % ((uint64_t)half_ms + 1));
}

int64_t workflow_retry_at(const struct visit *visit, const struct move *move)
{
    const struct workflow_retry *retry = &visit->step->retry;
    if (visit->token->attempt >= retry->attempts_max || (retry->errors & 1u << move->error) == 0) {
        return 0;
    }
    int64_t wait_ms = backoff_ms(visit), asked_ms = move->retry_after_ms;
    asked_ms = asked_ms < OUTBOX_WAIT_MAX_MS ? asked_ms : OUTBOX_WAIT_MAX_MS;
    wait_ms = wait_ms > asked_ms ? wait_ms : asked_ms;
    int64_t since_ms = visit->workflows->now_ms - visit->token->arrived_ms;
    if (retry->within_ms != 0 && since_ms + wait_ms > retry->within_ms) {
        return 0;
    }
    return visit->workflows->now_ms + (wait_ms < 1 ? 1 : wait_ms);
}
