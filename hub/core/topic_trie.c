#include "core/topic_trie.h"

#include <stdlib.h>
#include <uthash.h>

#include "core/topic.h"

#define NONE UINT32_MAX

// A level's text, once for all filters that use it, so that edges have keys of a fixed size.
struct segment {
    uint32_t number, len;
    UT_hash_handle hh;
    char text[];
};

struct edge {
    struct {
        uint32_t parent, segment;
    } key;
    uint32_t child;
    const struct segment *segment;
    UT_hash_handle hh;
};

struct node {
    const struct edge *only; // Where there is one edge: most nodes need no hash.
    uint32_t edge_count;     // Without the one of "+".
    uint32_t plus;           // Child behind "+", NONE.
    uint32_t here;           // First id of filters that end here.
    uint32_t and_below;      // First id of filters that end here with "#".
};

struct listed_id {
    uint32_t id, next;
};

struct topic_trie {
    struct segment *segments;
    struct edge *edges;
    struct node *nodes; // Node 0 is the root.
    uint32_t node_count, node_capacity;
    struct listed_id *ids;
    uint32_t id_count, id_capacity;
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for topic filters");
}

static bool reserve(void **items, uint32_t count, uint32_t *capacity, size_t item_bytes)
{
    if (count < *capacity) {
        return true;
    }
    uint32_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    void *grown = reallocarray(*items, wanted, item_bytes);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *capacity = wanted;
    return true;
}

static uint32_t add_node(struct topic_trie *trie)
{
    if (!reserve((void **)&trie->nodes, trie->node_count, &trie->node_capacity,
                 sizeof(trie->nodes[0]))) {
        return NONE;
    }
    trie->nodes[trie->node_count] = (struct node){NULL, 0, NONE, NONE, NONE};
    return trie->node_count++;
}

enum err topic_trie_create(struct topic_trie **out_trie, struct error *e)
{
    struct topic_trie *trie = calloc(1, sizeof(*trie));
    if (trie == NULL || add_node(trie) == NONE) {
        free(trie);
        return no_memory(e);
    }
    *out_trie = trie;
    return ERR_OK;
}

void topic_trie_destroy(struct topic_trie *trie)
{
    if (trie == NULL) {
        return;
    }
    struct segment *segment, *next_segment;
    HASH_ITER(hh, trie->segments, segment, next_segment)
    {
        HASH_DEL(trie->segments, segment);
        free(segment);
    }
    struct edge *edge, *next_edge;
    HASH_ITER(hh, trie->edges, edge, next_edge)
    {
        HASH_DEL(trie->edges, edge);
        free(edge);
    }
    free(trie->nodes);
    free(trie->ids);
    free(trie);
}

static struct segment *find_segment(const struct topic_trie *trie, struct bytes level)
{
    struct segment *segment;
    HASH_FIND(hh, trie->segments, level.ptr, level.len, segment);
    return segment;
}

static struct segment *add_segment(struct topic_trie *trie, struct bytes level)
{
    struct segment *segment = find_segment(trie, level);
    if (segment != NULL) {
        return segment;
    }
    segment = calloc(1, sizeof(*segment) + level.len + 1);
    if (segment != NULL) {
        segment->number = HASH_COUNT(trie->segments);
        segment->len = (uint32_t)level.len;
        memcpy(segment->text, level.ptr, level.len);
        HASH_ADD_KEYPTR(hh, trie->segments, segment->text, level.len, segment);
    }
    return segment;
}

static struct edge *find_edge(const struct topic_trie *trie, uint32_t parent, uint32_t segment)
{
    struct edge *edge, wanted = {.key = {parent, segment}};
    HASH_FIND(hh, trie->edges, &wanted.key, sizeof(wanted.key), edge);
    return edge;
}

static uint32_t add_plus(struct topic_trie *trie, uint32_t parent)
{
    if (trie->nodes[parent].plus == NONE) {
        uint32_t child = add_node(trie); // May move the nodes.
        trie->nodes[parent].plus = child;
    }
    return trie->nodes[parent].plus;
}

// The child of parent behind a level, made when it is not there; NONE without memory.
static uint32_t add_child(struct topic_trie *trie, uint32_t parent, struct bytes level)
{
    if (level.len == 1 && level.ptr[0] == '+') {
        return add_plus(trie, parent);
    }
    struct segment *segment = add_segment(trie, level);
    if (segment == NULL) {
        return NONE;
    }
    struct edge *edge = find_edge(trie, parent, segment->number);
    if (edge != NULL) {
        return edge->child;
    }
    edge = calloc(1, sizeof(*edge));
    uint32_t child = edge == NULL ? NONE : add_node(trie);
    if (child == NONE) {
        free(edge);
        return NONE;
    }
    edge->key.parent = parent;
    edge->key.segment = segment->number;
    edge->child = child;
    edge->segment = segment;
    HASH_ADD(hh, trie->edges, key, sizeof(edge->key), edge);
    struct node *node = &trie->nodes[parent];
    node->only = ++node->edge_count == 1 ? edge : NULL;
    return child;
}

enum err topic_trie_add(struct topic_trie *trie, struct bytes filter, uint32_t id, struct error *e)
{
    const char *problem = topic_filter_problem(filter);
    if (problem != NULL) {
        return error_set(e, ERR_INVALID, "topic filter \"%.*s\" %s", (int)filter.len,
                         (const char *)filter.ptr, problem);
    }
    uint32_t at = 0;
    bool is_open = false; // Ends in "#".
    struct bytes level;
    while (at != NONE && topic_next_level(&filter, &level)) {
        is_open = level.len == 1 && level.ptr[0] == '#';
        at = is_open ? at : add_child(trie, at, level);
    }
    if (at == NONE ||
        !reserve((void **)&trie->ids, trie->id_count, &trie->id_capacity, sizeof(trie->ids[0]))) {
        return no_memory(e);
    }
    uint32_t *list = is_open ? &trie->nodes[at].and_below : &trie->nodes[at].here;
    trie->ids[trie->id_count] = (struct listed_id){id, *list};
    *list = trie->id_count++;
    return ERR_OK;
}

struct match {
    const struct topic_trie *trie;
    topic_trie_fn *each;
    void *context;
};

static void report(const struct match *match, uint32_t list)
{
    for (uint32_t i = list; i != NONE; i = match->trie->ids[i].next) {
        match->each(match->context, match->trie->ids[i].id);
    }
}

static const struct edge *edge_behind(const struct topic_trie *trie, uint32_t at,
                                      struct bytes level)
{
    const struct node *node = &trie->nodes[at];
    if (node->edge_count == 0) {
        return NULL;
    }
    if (node->only != NULL) {
        const struct segment *text = node->only->segment;
        bool is_it = text->len == level.len && memcmp(text->text, level.ptr, level.len) == 0;
        return is_it ? node->only : NULL;
    }
    const struct segment *segment = find_segment(trie, level);
    return segment == NULL ? NULL : find_edge(trie, at, segment->number);
}

// Depth is bounded by the filters' levels, for only their nodes are walked.
static void walk(const struct match *match, uint32_t at, struct bytes rest, bool wildcards_match)
{
    const struct node *node = &match->trie->nodes[at];
    if (wildcards_match) {
        report(match, node->and_below);
    }
    struct bytes level;
    if (!topic_next_level(&rest, &level)) {
        report(match, node->here);
        return;
    }
    if (wildcards_match && node->plus != NONE) {
        walk(match, node->plus, rest, true);
    }
    const struct edge *edge = edge_behind(match->trie, at, level);
    if (edge != NULL) {
        walk(match, edge->child, rest, true);
    }
}

void topic_trie_match(const struct topic_trie *trie, struct bytes topic, topic_trie_fn *each,
                      void *context)
{
    if (topic.len == 0) {
        return;
    }
    struct match match = {trie, each, context};
    walk(&match, 0, topic, topic.ptr[0] != '$'); // [MQTT-4.7.2-1]
}
