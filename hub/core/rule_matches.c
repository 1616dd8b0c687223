#define _GNU_SOURCE // qsort_r
#include "core/rule_matches.h"

#include <assert.h>
#include <stdlib.h>

#include "core/topic_trie.h"

#define NONE       UINT32_MAX
#define PAIRS_KEPT 65536 // Room kept from batch to batch.

struct pair {
    uint32_t event, next;
};

struct list {
    uint32_t first, last, count;
    bool is_fed; // Its events may be out of order.
};

struct rule_matches {
    struct topic_trie *trie;
    struct pair *pairs;
    uint32_t pair_count, pair_capacity;
    uint32_t *events; // Scratch for one rule's events.
    uint32_t event_capacity;
    uint32_t *touched; // Rules that have events.
    uint32_t touched_count;
    uint32_t event;   // Being put.
    uint32_t nearest; // First rule that matches it, when only that one is wanted.
    bool is_short;    // Out of memory while putting.
    const uint32_t *position;
    uint32_t running;    // Whose turn it is, in rule_matches_each.
    bool is_feeding;     // rule_matches_feed is at work.
    bool is_unordered;   // touched has got new ones at its end.
    uint32_t fed_first;  // Fed events have consecutive numbers; this is the first one,
    uint32_t *fed_roots; // and these are their roots.
    uint32_t fed_count, fed_capacity;
    struct list lists[];
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for the events of rules");
}

enum err rule_matches_create(struct rule_matches **out_matches, uint32_t rule_count,
                             struct error *e)
{
    struct rule_matches *matches =
        calloc(1, sizeof(*matches) + rule_count * sizeof(matches->lists[0]));
    if (matches == NULL) {
        return no_memory(e);
    }
    for (uint32_t i = 0; i < rule_count; i++) {
        matches->lists[i] = (struct list){NONE, NONE, 0, false};
    }
    matches->running = NONE;
    matches->touched = calloc(rule_count + 1, sizeof(matches->touched[0]));
    enum err rc = matches->touched == NULL ? no_memory(e) : topic_trie_create(&matches->trie, e);
    if (rc == ERR_OK) {
        *out_matches = matches;
    } else {
        rule_matches_destroy(matches);
    }
    return rc;
}

void rule_matches_destroy(struct rule_matches *matches)
{
    if (matches != NULL) {
        topic_trie_destroy(matches->trie);
        free(matches->pairs);
        free(matches->events);
        free(matches->touched);
        free(matches->fed_roots);
        free(matches);
    }
}

enum err rule_matches_add(struct rule_matches *matches, const char *filter, uint32_t rule,
                          struct error *e)
{
    return topic_trie_add(matches->trie, bytes_from_text(filter), rule, e);
}

static bool reserve_pair(struct rule_matches *matches)
{
    if (matches->pair_count < matches->pair_capacity) {
        return true;
    }
    uint32_t capacity = matches->pair_capacity == 0 ? 256 : matches->pair_capacity * 2;
    struct pair *pairs = reallocarray(matches->pairs, capacity, sizeof(*pairs));
    if (pairs == NULL) {
        matches->is_short = true;
        return false;
    }
    matches->pairs = pairs;
    matches->pair_capacity = capacity;
    return true;
}

static uint32_t position_of(const struct rule_matches *matches, uint32_t rule)
{
    return matches->position == NULL ? rule : matches->position[rule];
}

static void put_pair(void *context, uint32_t rule)
{
    struct rule_matches *matches = context;
    if (!reserve_pair(matches)) {
        return;
    }
    struct list *list = &matches->lists[rule];
    uint32_t at = matches->pair_count++;
    matches->pairs[at] = (struct pair){matches->event, NONE};
    if (list->first == NONE) {
        list->first = at;
        matches->touched[matches->touched_count++] = rule;
    } else {
        matches->pairs[list->last].next = at;
    }
    list->last = at;
    list->count++;
    if (matches->is_feeding) {
        assert(matches->running == NONE ||
               position_of(matches, rule) > position_of(matches, matches->running));
        list->is_fed = matches->is_unordered = true;
    }
}

static void note_nearest(void *context, uint32_t rule)
{
    struct rule_matches *matches = context;
    matches->nearest = rule < matches->nearest ? rule : matches->nearest;
}

enum err rule_matches_put(struct rule_matches *matches, struct bytes topic, uint32_t event,
                          struct error *e)
{
    matches->event = event;
    topic_trie_match(matches->trie, topic, put_pair, matches);
    return matches->is_short ? no_memory(e) : ERR_OK;
}

enum err rule_matches_put_first(struct rule_matches *matches, struct bytes topic, uint32_t event,
                                struct error *e)
{
    matches->event = event;
    matches->nearest = NONE;
    topic_trie_match(matches->trie, topic, note_nearest, matches);
    if (matches->nearest != NONE) {
        put_pair(matches, matches->nearest);
    }
    return matches->is_short ? no_memory(e) : ERR_OK;
}

struct wanted {
    struct rule_matches *matches;
    rule_wanted_fn *is_wanted;
    const void *context;
};

static void put_if_wanted(void *context, uint32_t rule)
{
    struct wanted *wanted = context;
    if (wanted->is_wanted(wanted->context, rule)) {
        put_pair(wanted->matches, rule);
    }
}

enum err rule_matches_put_wanted(struct rule_matches *matches, struct bytes topic, uint32_t event,
                                 rule_wanted_fn *is_wanted, const void *context, struct error *e)
{
    struct wanted wanted = {matches, is_wanted, context};
    matches->event = event;
    topic_trie_match(matches->trie, topic, put_if_wanted, &wanted);
    return matches->is_short ? no_memory(e) : ERR_OK;
}

void rule_matches_set_order(struct rule_matches *matches, const uint32_t *position)
{
    matches->position = position;
}

uint32_t rule_matches_root(const struct rule_matches *matches, uint32_t event)
{
    bool is_fed = event >= matches->fed_first && event - matches->fed_first < matches->fed_count;
    return is_fed ? matches->fed_roots[event - matches->fed_first] : event;
}

static enum err note_root(struct rule_matches *matches, uint32_t event, uint32_t root,
                          struct error *e)
{
    if (matches->fed_count == 0) {
        matches->fed_first = event;
    }
    assert(event == matches->fed_first + matches->fed_count);
    if (matches->fed_count == matches->fed_capacity) {
        uint32_t capacity = matches->fed_capacity == 0 ? 64 : 2 * matches->fed_capacity;
        uint32_t *roots = reallocarray(matches->fed_roots, capacity, sizeof(*roots));
        if (roots == NULL) {
            return no_memory(e);
        }
        matches->fed_roots = roots;
        matches->fed_capacity = capacity;
    }
    matches->fed_roots[matches->fed_count++] = root;
    return ERR_OK;
}

enum err rule_matches_feed(struct rule_matches *matches, struct bytes topic, uint32_t event,
                           uint32_t root, struct error *e)
{
    enum err rc = note_root(matches, event, root, e);
    if (rc != ERR_OK) {
        return rc;
    }
    matches->event = event;
    matches->is_feeding = true;
    topic_trie_match(matches->trie, topic, put_pair, matches);
    matches->is_feeding = false;
    return matches->is_short ? no_memory(e) : ERR_OK;
}

static int compare(uint32_t left, uint32_t right)
{
    return (left > right) - (left < right);
}

static int by_position(const void *a, const void *b, void *context)
{
    const struct rule_matches *matches = context;
    return compare(position_of(matches, *(const uint32_t *)a),
                   position_of(matches, *(const uint32_t *)b));
}

// What came of an event follows it, in the order in which it came.
static int by_root(const void *a, const void *b, void *context)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    int order = compare(rule_matches_root(context, left), rule_matches_root(context, right));
    return order != 0 ? order : compare(left, right);
}

static enum err collect(struct rule_matches *matches, const struct list *list, struct error *e)
{
    if (list->count > matches->event_capacity) {
        uint32_t *events = reallocarray(matches->events, list->count, sizeof(*events));
        if (events == NULL) {
            return no_memory(e);
        }
        matches->events = events;
        matches->event_capacity = list->count;
    }
    uint32_t count = 0;
    for (uint32_t at = list->first; at != NONE; at = matches->pairs[at].next) {
        matches->events[count++] = matches->pairs[at].event;
    }
    if (list->is_fed) {
        qsort_r(matches->events, count, sizeof(matches->events[0]), by_root, matches);
    }
    return ERR_OK;
}

enum err rule_matches_each(struct rule_matches *matches, rule_matches_fn *run, void *context,
                           struct error *e)
{
    enum err rc = ERR_OK;
    matches->is_unordered = true;
    for (uint32_t i = 0; rc == ERR_OK && i < matches->touched_count; i++) {
        if (matches->is_unordered) {
            qsort_r(matches->touched + i, matches->touched_count - i, sizeof(matches->touched[0]),
                    by_position, matches);
            matches->is_unordered = false;
        }
        uint32_t rule = matches->touched[i];
        matches->running = rule;
        rc = collect(matches, &matches->lists[rule], e);
        if (rc == ERR_OK) {
            rc = run(context, rule, matches->events, matches->lists[rule].count, e);
        }
    }
    matches->running = NONE;
    return rc;
}

void rule_matches_clear(struct rule_matches *matches)
{
    for (uint32_t i = 0; i < matches->touched_count; i++) {
        matches->lists[matches->touched[i]] = (struct list){NONE, NONE, 0, false};
    }
    matches->touched_count = 0;
    matches->fed_count = 0;
    matches->pair_count = 0;
    matches->is_short = false;
    if (matches->pair_capacity > PAIRS_KEPT) {
        free(matches->pairs);
        matches->pairs = NULL;
        matches->pair_capacity = 0;
    }
}
