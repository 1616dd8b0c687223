#include "check.h"

#define EVENTS    6u
#define PUTS_MAX  100000u
#define BODY_MAX  48u
#define MARK      0x1122334455667788u
#define STARTS    3u
#define FULL_BODY 32u

// The n-th event's body: another length and other bytes for each, at an odd address.
static struct pipit_bytes body_of(uint8_t *memory, uint32_t n)
{
    struct check_stream stream = {.state = n * 2654435761u + 1u};
    struct pipit_bytes body = {memory + 1 + n % 3, 1 + (size_t)(n * 7 % BODY_MAX)};
    for (size_t i = 0; i < body.len; i++) {
        memory[1 + n % 3 + i] = check_stream_next(&stream);
    }
    return body;
}

// ---- calls, with what each must leave behind ---------------------------------------------------

static bool rc_is(struct check_run *run, enum pipit_err rc, enum pipit_err want, const char *call)
{
    if (rc == want) {
        return true;
    }
    (void)check_fail(run, call);
    check_add(run, " gives ");
    check_add_number(run, (uint32_t) - (int32_t)rc);
    check_add(run, " (negated) instead of ");
    check_add_number(run, (uint32_t) - (int32_t)want);
    return false;
}

static bool count_is(struct check_run *run, uint32_t value, uint32_t want, const char *name)
{
    if (value == want) {
        return true;
    }
    (void)check_fail(run, name);
    check_add(run, " is ");
    check_add_number(run, value);
    check_add(run, " instead of ");
    check_add_number(run, want);
    return false;
}

static bool is_ready(struct check_run *run)
{
    const struct pipit_conformance_options *options = run->options;
    if (options->spool_open == NULL || options->spool_close == NULL) {
        return check_leave_out(run, "there is no spool");
    }
    if (!run->is_clock_right) {
        return check_leave_out(run, "the clock has to be right first");
    }
    if (run->spool == NULL) {
        run->spool = options->spool_open(options->context);
    }
    if (run->spool == NULL) {
        return check_fail(run, "spool_open gives none");
    }
    return true;
}

static void spool_close(struct check_run *run)
{
    if (run->spool != NULL) {
        run->options->spool_close(run->options->context);
        run->spool = NULL;
    }
}

// Releases all there is.
static bool spool_empty(struct check_run *run)
{
    struct pipit_spool *spool = run->spool;
    for (unsigned i = 0; i < 64 && spool->count > 0; i++) { // One boot after the other.
        enum pipit_err rc = spool->type->release(spool, spool->tail_boot, 0, UINT64_MAX / 2);
        if (!rc_is(run, rc, PIPIT_OK, "release")) {
            return false;
        }
    }
    return count_is(run, spool->count, 0, "count, after all was released,");
}

// A spool that syncs later hands events out only then.
static bool spool_settle(struct check_run *run)
{
    struct pipit_spool *spool = run->spool;
    uint32_t begin_ms = check_now(run);
    while (spool->read_count + spool->unread_count < spool->count) {
        if (spool->type->tick == NULL || check_now(run) - begin_ms > check_timeout(run)) {
            return count_is(run, spool->read_count + spool->unread_count, spool->count,
                            "read_count + unread_count");
        }
        if (!rc_is(run, spool->type->tick(spool, check_now(run)), PIPIT_OK, "tick")) {
            return false;
        }
        check_idle(run);
    }
    return true;
}

static bool spool_put(struct check_run *run, uint32_t n, const uint64_t *mark)
{
    struct pipit_spool *spool = run->spool;
    uint64_t sequence = spool->next_sequence;
    uint32_t count = spool->count;
    struct pipit_bytes body = body_of(run->options->memory, n);
    if (!rc_is(run, spool->type->put(spool, body, mark), PIPIT_OK, "put")) {
        return false;
    }
    if (spool->next_sequence != sequence + 1) {
        return check_fail(run, "put does not count next_sequence up by one");
    }
    return count_is(run, spool->count, count + 1, "count, after put,");
}

static bool spool_put_many(struct check_run *run, uint32_t events)
{
    for (uint32_t n = 0; n < events; n++) {
        if (!spool_put(run, n, NULL)) {
            return false;
        }
    }
    return spool_settle(run);
}

// Event `n` and the identity it must have.
struct expected {
    uint32_t n;
    uint32_t boot;
    uint64_t sequence;
    bool is_last; // Of its boot.
};

// The record at the read position must be this one; moves past it.
static bool spool_take_record(struct check_run *run, const struct expected *want)
{
    struct pipit_spool *spool = run->spool;
    struct pipit_record record;
    if (!rc_is(run, spool->type->peek(spool, &record), PIPIT_OK, "peek")) {
        return false;
    }
    struct pipit_bytes body = body_of(run->options->memory, want->n);
    if (record.boot != want->boot || record.sequence != want->sequence) {
        (void)count_is(run, (uint32_t)record.sequence, (uint32_t)want->sequence,
                       "peek: the sequence");
        check_add(run, record.boot != want->boot ? ", or the boot is another" : "");
        return false;
    }
    if (record.body.len != body.len || memcmp(record.body.ptr, body.ptr, body.len) != 0) {
        return check_fail(run, "peek gives other bytes than were put");
    }
    if (record.is_last != want->is_last) {
        return check_fail(run, "peek: is_last is wrong");
    }
    spool->type->advance(spool);
    return true;
}

// Event `n` of this start.
static bool spool_take(struct check_run *run, uint32_t n, uint64_t sequence)
{
    struct expected want = {n, run->spool->boot, sequence, run->spool->unread_count == 1};
    return spool_take_record(run, &want);
}

// Events first to last, in order, and then no more.
static bool spool_take_all(struct check_run *run, uint32_t first, uint32_t last, uint64_t sequence)
{
    struct pipit_record record;
    for (uint32_t n = first; n <= last; n++) {
        if (!spool_take(run, n, sequence + n)) {
            return false;
        }
    }
    return rc_is(run, run->spool->type->peek(run->spool, &record), PIPIT_ERR_EMPTY,
                 "peek, behind the last,");
}

// ---- checks ------------------------------------------------------------------------------------

static bool spool_opens(struct check_run *run)
{
    struct pipit_record record;
    if (!is_ready(run)) {
        return false;
    }
    return count_is(run, run->spool->count, 0, "count, of a new spool,") &&
           rc_is(run, run->spool->type->peek(run->spool, &record), PIPIT_ERR_EMPTY, "peek");
}

static bool spool_keeps_order(struct check_run *run)
{
    if (!is_ready(run) || !spool_empty(run)) {
        return false;
    }
    uint64_t sequence = run->spool->next_sequence;
    if (!spool_put_many(run, EVENTS) || !spool_take_all(run, 0, EVENTS - 1, sequence)) {
        return false;
    }
    return count_is(run, run->spool->read_count, EVENTS, "read_count") &&
           count_is(run, run->spool->unread_count, 0, "unread_count");
}

static bool spool_rewinds(struct check_run *run)
{
    if (!is_ready(run) || !spool_empty(run)) {
        return false;
    }
    uint64_t sequence = run->spool->next_sequence;
    if (!spool_put_many(run, EVENTS) || !spool_take(run, 0, sequence) ||
        !spool_take(run, 1, sequence + 1)) {
        return false;
    }
    run->spool->type->rewind(run->spool);
    return count_is(run, run->spool->read_count, 0, "read_count, after rewind,") &&
           count_is(run, run->spool->unread_count, EVENTS, "unread_count, after rewind,") &&
           spool_take_all(run, 0, EVENTS - 1, sequence);
}

static bool spool_release(struct check_run *run, uint32_t boot, uint64_t first, uint64_t last,
                          uint32_t count)
{
    return rc_is(run, run->spool->type->release(run->spool, boot, first, last), PIPIT_OK,
                 "release") &&
           count_is(run, run->spool->count, count, "count, after release,");
}

static bool spool_releases(struct check_run *run)
{
    if (!is_ready(run) || !spool_empty(run)) {
        return false;
    }
    struct pipit_spool *spool = run->spool;
    uint64_t s = spool->next_sequence;
    if (!spool_put_many(run, EVENTS) ||
        !spool_release(run, spool->boot, s + 2, s + 3, EVENTS - 2) ||
        !spool_release(run, spool->boot + 1, 0, s + EVENTS, EVENTS - 2) || // Another start's.
        !spool_release(run, spool->boot, s + 2, s + 2, EVENTS - 2)) {      // Again.
        return false;
    }
    if (!spool_take(run, 0, s) || !spool_take(run, 1, s + 1) || !spool_take(run, 4, s + 4)) {
        check_add(run, " (after a release from the middle)");
        return false;
    }
    if (!spool_release(run, spool->boot, 0, s + 1, EVENTS - 4)) {
        return false;
    }
    if (spool->tail_sequence != s + 4 || spool->tail_boot != spool->boot) {
        return check_fail(run, "tail_sequence is not that of the oldest event that waits");
    }
    return spool_take_all(run, 5, 5, s) && spool_release(run, spool->boot, 0, s + 100, 0);
}

// Puts until it is full; the events before must stay as they are.
static bool spool_fill(struct check_run *run, uint32_t *out_count)
{
    struct pipit_spool *spool = run->spool;
    struct pipit_bytes body = {run->options->memory + 1, FULL_BODY};
    memset(run->options->memory, 'f', FULL_BODY + 1);
    for (uint32_t i = 0; i < PUTS_MAX; i++) {
        uint64_t sequence = spool->next_sequence;
        uint32_t count = spool->count;
        enum pipit_err rc = spool->type->put(spool, body, NULL);
        if (rc == PIPIT_OK && spool->count != count + 1) {
            (void)check_fail(run, "put, of an event more, leaves count at ");
            check_add_number(run, spool->count);
            return false;
        }
        if (rc != PIPIT_OK) {
            *out_count = i;
            return rc_is(run, rc, PIPIT_ERR_FULL, "put, into a full spool,") &&
                   (spool->next_sequence == sequence ||
                    check_fail(run, "put uses up a sequence number although it is full"));
        }
    }
    return check_leave_out(run, "it has room for more than 100,000 events");
}

static bool spool_says_full(struct check_run *run)
{
    uint32_t filled = 0;
    if (!is_ready(run) || !spool_empty(run)) {
        return false;
    }
    uint64_t sequence = run->spool->next_sequence;
    if (run->spool->policy != PIPIT_REFUSE) {
        return check_leave_out(run, "its policy is not PIPIT_REFUSE");
    }
    if (!spool_put_many(run, 2) || !spool_fill(run, &filled) || !spool_settle(run)) {
        return false;
    }
    if (!count_is(run, run->spool->count, filled + 2, "count, of the full spool,") ||
        !spool_take(run, 0, sequence) || !spool_take(run, 1, sequence + 1)) {
        return false;
    }
    return spool_empty(run) && spool_put(run, 0, NULL) && spool_empty(run);
}

static bool mark_is(struct check_run *run, uint64_t mark)
{
    bool is_kept = run->spool->has_mark && run->spool->mark == mark;
    return is_kept || check_fail(run, "the mark is not the one of the last event that had one");
}

static bool spool_keeps_mark(struct check_run *run)
{
    uint64_t mark = MARK;
    if (!is_ready(run) || !spool_empty(run)) {
        return false;
    }
    return spool_put(run, 0, &mark) && mark_is(run, MARK) && spool_put(run, 1, NULL) &&
           mark_is(run, MARK) && spool_empty(run) && mark_is(run, MARK);
}

// Each start has a boot number of its own: otherwise a hub takes new events for known ones.
static bool spool_starts_anew(struct check_run *run)
{
    uint32_t boots[STARTS];
    for (unsigned i = 0; i < STARTS; i++) {
        spool_close(run);
        if (!is_ready(run)) {
            return false;
        }
        boots[i] = run->spool->boot;
        for (unsigned k = 0; k < i; k++) {
            if (boots[i] == boots[k]) {
                return check_fail(run, "two starts have the same boot number");
            }
        }
        if (run->spool->next_sequence != 1) {
            return check_fail(run, "the first sequence of a start is not 1");
        }
        if (!spool_put(run, 9, NULL)) { // A start without events need not count.
            return false;
        }
    }
    return spool_empty(run);
}

static bool spool_survives(struct check_run *run)
{
    uint64_t mark = MARK + 1;
    if (!is_ready(run) || !spool_empty(run)) {
        return false;
    }
    if (!run->options->is_spool_kept) {
        return check_leave_out(run, "events are not kept over a close (is_spool_kept)");
    }
    uint32_t boot = run->spool->boot;
    uint64_t sequence = run->spool->next_sequence;
    if (!spool_put_many(run, 3) || !spool_put(run, 3, &mark) || !spool_settle(run) ||
        !spool_release(run, boot, sequence, sequence, 3)) {
        return false;
    }
    spool_close(run);
    if (!is_ready(run) || !count_is(run, run->spool->count, 3, "count, after it was reopened,") ||
        !mark_is(run, MARK + 1) || !spool_put(run, 4, NULL) || !spool_settle(run)) {
        return false;
    }
    for (uint32_t n = 1; n < 4; n++) {
        struct expected want = {n, boot, sequence + n, n == 3};
        if (!spool_take_record(run, &want)) {
            check_add(run, " (after it was reopened)");
            return false;
        }
    }
    return spool_take(run, 4, 1) && spool_release(run, boot, 0, UINT64_MAX / 2, 1) &&
           spool_empty(run);
}

static bool spool_closes(struct check_run *run)
{
    if (run->options->spool_open == NULL || run->options->spool_close == NULL) {
        return check_leave_out(run, "there is no spool");
    }
    spool_close(run);
    return true;
}

const struct check check_spool[] = {
    {"spool: opens empty", spool_opens},
    {"spool: keeps events in order, byte for byte", spool_keeps_order},
    {"spool: rewinds to the oldest", spool_rewinds},
    {"spool: releases what a receipt covers", spool_releases},
    {"spool: says when it is full", spool_says_full},
    {"spool: keeps the mark", spool_keeps_mark},
    {"spool: each start has its own boot number", spool_starts_anew},
    {"spool: events outlive a close", spool_survives},
    {"spool: closes", spool_closes},
    {NULL, NULL},
};
