#include "sim_history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sim_violation(struct sim_history *history, const char *format, ...)
{
    history->violations++;
    if (history->violations > 10) {
        return;
    }
    va_list args;
    va_start(args, format);
    printf("  violated at %" PRId64 " ms: ", history->now_ms);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

void sim_note(const struct sim_history *history, const char *format, ...)
{
    if (!history->is_verbose) {
        return;
    }
    va_list args;
    va_start(args, format);
    printf("%10" PRId64 " ", history->now_ms);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

struct sim_event *sim_history_accept(struct sim_history *history, uint32_t device, uint32_t boot,
                                     uint64_t sequence, uint32_t value)
{
    if (history->count == SIM_EVENTS_MAX) {
        return NULL;
    }
    struct sim_event *event = &history->events[history->count++];
    *event =
        (struct sim_event){.device = device, .boot = boot, .sequence = sequence, .value = value};
    return event;
}

struct sim_event *sim_history_find(struct sim_history *history, uint32_t device, uint32_t boot,
                                   uint64_t sequence)
{
    for (uint32_t i = history->count; i > 0; i--) {
        struct sim_event *event = &history->events[i - 1];
        if (event->device == device && event->boot == boot && event->sequence == sequence) {
            return event;
        }
    }
    return NULL;
}

void sim_history_committed(struct sim_history *history, struct sim_event *event)
{
    event->is_committed = true;
    sim_note(history, "stored d%u/%u/%" PRIu64, event->device, event->boot, event->sequence);
}

struct sim_event *sim_history_of_key(struct sim_history *history, const char *key)
{
    uint32_t device, boot;
    uint64_t sequence;
    const char *slash = strchr(key, '/');
    if (slash == NULL || sscanf(slash + 1, "d%u/%u/%" SCNu64, &device, &boot, &sequence) != 3) {
        return NULL;
    }
    return sim_history_find(history, device, boot, sequence);
}

enum flow {
    FLOW_ALL,     // Everything.
    FLOW_SOME,    // Some of it,
    FLOW_ELSE,    // and what that rule does not want.
    FLOW_DOUBLED, // A rule behind a rule.
    FLOW_ALARM,   // Of a higher class.
    FLOW_PACED,   // Not so many at a time, none lost.
    FLOW_SAMPLED, // Every second one; the others are dropped.
};

// What follows the event's id in the keys of each flow.
static const char *const key_ends[SIM_FLOWS] = {
    ":all:1", ":some:1", ":some/else:1", ":some:2:doubled:1", ":alarm:1", ":paced:1", ":sampled:1"};
static const char *const flow_rules[SIM_FLOWS] = {"all",   "some",  "some/else", "doubled",
                                                  "alarm", "paced", "sampled"};

uint32_t sim_flow_of(const char *rule)
{
    uint32_t flow = strcmp(rule, "plain") == 0 ? FLOW_ALL : 0;
    while (flow < SIM_FLOWS && strcmp(rule, "plain") != 0 && strcmp(rule, flow_rules[flow]) != 0) {
        flow++;
    }
    return flow;
}

bool sim_is_expected(const struct sim_event *event, uint32_t flow)
{
    bool is_ours = event->device != SIM_PLAIN;
    switch ((enum flow)flow) {
    case FLOW_ALL:
        return true;
    case FLOW_SOME:
        return is_ours && event->value % 3 == 0;
    case FLOW_ELSE:
        return is_ours && event->value % 3 != 0;
    case FLOW_DOUBLED:
        return is_ours && event->value % 6 == 0;
    case FLOW_ALARM:
        return is_ours && event->value % 10 == 0;
    case FLOW_PACED:
        return is_ours && event->value % 7 == 0;
    case FLOW_SAMPLED:
        return is_ours;
    }
    return false;
}

static void check_order(struct sim_history *history, uint32_t flow, const struct sim_event *event)
{
    uint64_t id = event->at[flow].first_id;
    uint64_t *last_id = &history->last_first_id[flow][event->device];
    if (id <= *last_id) {
        sim_violation(history,
                      "order at flow %u: row %" PRIu64 " (d%u/%u/%" PRIu64 ") after row %" PRIu64,
                      flow, id, event->device, event->boot, event->sequence, *last_id);
    }
    *last_id = id;
    uint32_t index = (uint32_t)(event - history->events) + 1;
    uint32_t *last = &history->last_event[flow][event->device];
    if (history->is_calm && index <= *last) {
        sim_violation(history, "order at flow %u: d%u/%u/%" PRIu64 " came late on a calm network",
                      flow, event->device, event->boot, event->sequence);
    }
    *last = index;
}

void sim_history_received(struct sim_history *history, const struct delivery *delivery)
{
    const char *key = delivery->idempotency_key;
    uint32_t flow = sim_flow_of(delivery->rule);
    if (flow == SIM_FLOWS) {
        sim_violation(history, "a delivery of the unknown rule %s", delivery->rule);
        return;
    }
    struct sim_event *event = sim_history_of_key(history, key);
    if (event == NULL) {
        sim_violation(history, "flow %u got the unknown key %s", flow, key);
        return;
    }
    sim_note(history, "flow %u got %s", flow, key);
    if (!sim_is_expected(event, flow)) {
        sim_violation(history, "flow %u got %s, which no rule sends there", flow, key);
    }
    if (event->at[flow].is_settled_synced) {
        sim_violation(history, "flow %u got %s again after its verdict was stored", flow, key);
    }
    if (event->at[flow].received++ == 0) {
        event->at[flow].first_id = delivery->id;
        snprintf(event->at[flow].key, SIM_KEY_MAX, "%s", key);
        check_order(history, flow, event);
    } else if (strcmp(event->at[flow].key, key) != 0) {
        sim_violation(history, "flow %u got one event as %s and as %s", flow, event->at[flow].key,
                      key);
    }
}

void sim_history_settled(struct sim_history *history, uint32_t flow, const char *key,
                         enum verdict verdict)
{
    struct sim_event *event = flow == SIM_FLOWS ? NULL : sim_history_of_key(history, key);
    if (event == NULL) {
        return; // Said when it was received, or of a window.
    }
    event->at[flow].is_settled |= verdict == VERDICT_DONE;
    event->at[flow].is_rejected |= verdict == VERDICT_REJECT;
}

void sim_history_synced(struct sim_history *history)
{
    for (uint32_t i = 0; i < history->count; i++) {
        for (uint32_t flow = 0; flow < SIM_FLOWS; flow++) {
            history->events[i].at[flow].is_settled_synced |= history->events[i].at[flow].is_settled;
        }
    }
}

void sim_history_power_cut(struct sim_history *history)
{
    for (uint32_t i = 0; i < history->count; i++) {
        for (uint32_t flow = 0; flow < SIM_FLOWS; flow++) {
            history->events[i].at[flow].is_settled = history->events[i].at[flow].is_settled_synced;
        }
    }
}

void sim_check_books(struct sim_history *history, const struct books *books)
{
    if (books->received != books->routed + books->filtered + books->duplicate + books->rejected) {
        sim_violation(history, "books: received %" PRIu64 " is not the sum of what became of it",
                      books->received);
    }
    if (books->enqueued != books->delivered + books->waiting + books->dead + books->dropped) {
        sim_violation(history, "books: enqueued %" PRIu64 " is not the sum of what became of it",
                      books->enqueued);
    }
}

static void event_key_part(const struct sim_event *event, uint32_t flow, char *out, size_t size)
{
    snprintf(out, size, "d%u/%u/%" PRIu64 "%s", event->device, event->boot, event->sequence,
             event->device == SIM_PLAIN ? ":plain:1" : key_ends[flow]);
}

// A commit that the hub did not live to hear of may have stored what the broker lost later.
static void find_survivors(struct sim_history *history,
                           bool (*is_dead)(void *context, const char *key), void *context)
{
    for (uint32_t i = 0; i < history->count; i++) {
        struct sim_event *event = &history->events[i];
        char part[SIM_KEY_MAX];
        event_key_part(event, FLOW_ALL, part, sizeof(part));
        if (event->is_lost_by_broker && (event->at[0].received > 0 || is_dead(context, part))) {
            event->is_lost_by_broker = false;
        }
    }
}

static void check_event(struct sim_history *history, const struct sim_event *event,
                        bool (*is_dead)(void *context, const char *key), void *context)
{
    for (uint32_t flow = 0; flow < SIM_FLOWS; flow++) {
        if (!sim_is_expected(event, flow) || event->at[flow].received > 0 || flow == FLOW_SAMPLED) {
            continue;
        }
        char name[SIM_KEY_MAX];
        event_key_part(event, flow, name, sizeof(name));
        if (!is_dead(context, name)) {
            sim_violation(
                history, "d%u/%u/%" PRIu64 " never reached flow %u (%s%s%s)", event->device,
                event->boot, event->sequence, flow, event->is_claimed ? "receipted " : "",
                event->is_confirmed ? "confirmed " : "", event->is_committed ? "stored" : "");
        }
    }
}

// Whether one of the same boot is stored among first..end.
static bool is_neighbour_stored(const struct sim_history *history, const struct sim_event *lost,
                                uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        const struct sim_event *other = &history->events[i];
        if (other->device == lost->device && other->boot == lost->boot &&
            !other->is_lost_by_broker) {
            return true;
        }
    }
    return false;
}

// A sequence is missing when a later one of its boot is stored and it is not; for a plain device,
// which may count from anywhere, when an earlier one is stored, too.
static uint64_t count_missing(const struct sim_history *history)
{
    uint64_t missing = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_event *lost = &history->events[i];
        missing += lost->is_lost_by_broker &&
                   is_neighbour_stored(history, lost, i + 1, history->count) &&
                   (lost->device != SIM_PLAIN || is_neighbour_stored(history, lost, 0, i));
    }
    return missing;
}

void sim_check_end(struct sim_history *history, const struct books *books, uint64_t others,
                   bool (*is_dead)(void *context, const char *key), void *context)
{
    uint64_t stored = 0, expected = 0, derived = 0, sampled[SIM_DEVICES] = {0};
    find_survivors(history, is_dead, context);
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_event *event = &history->events[i];
        if (event->is_lost_by_broker) {
            continue;
        }
        stored++;
        for (uint32_t flow = 0; flow < SIM_FLOWS; flow++) {
            expected += sim_is_expected(event, flow);
        }
        derived += sim_is_expected(event, FLOW_SOME);
        sampled[event->device] += sim_is_expected(event, FLOW_SAMPLED);
        check_event(history, event, is_dead, context);
    }
    if (books->received - books->duplicate - books->rejected != stored) {
        sim_violation(history, "books: %" PRIu64 " events changed state, %" PRIu64 " were sent",
                      books->received - books->duplicate - books->rejected, stored);
    }
    expected += others;
    if (books->enqueued != expected) {
        sim_violation(history, "books: %" PRIu64 " deliveries enqueued, %" PRIu64 " were due",
                      books->enqueued, expected);
    }
    if (books->derived != derived) {
        sim_violation(history, "books: %" PRIu64 " derived events, %" PRIu64 " were due",
                      books->derived, derived);
    }
    uint64_t dropped = 0;
    for (uint32_t device = 0; device < SIM_DEVICES; device++) {
        dropped += sampled[device] / 2;
    }
    if (books->dropped - books->answered != dropped) {
        sim_violation(history, "books: %" PRIu64 " dropped, the sample leaves out %" PRIu64,
                      books->dropped - books->answered, dropped);
    }
    if (books->missing != count_missing(history)) {
        sim_violation(history, "books: %" PRIu64 " missing, %" PRIu64 " are", books->missing,
                      count_missing(history));
    }
}
