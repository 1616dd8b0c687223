// workflow_circle.c - workflows that lead to each other: by running one, or by an event that starts
// one. The hub stops them after WORKFLOW_HOPS_MAX unless something is waited for on the way round.
// A circle without that which nothing can leave is a mistake.
#include <stdlib.h>
#include <string.h>

#include "config/workflow_check.h"
#include "config/workflow_json.h"
#include "core/rule_graph.h"
#include "core/topic.h"
#include "core/workflows.h"

struct edge {
    uint32_t to;
    bool is_certain; // Every instance goes it.
    bool is_waited;  // Each has waited before.
    bool is_outside; // By way of a broker, where nobody counts how often.
    const char *step, *path;
};

struct vertex {
    const json_t *definition;
    const char *from;
    bool has_where;
    struct edge *edges;
    uint32_t edge_count, edge_capacity;
    uint32_t mark; // Of the search under way.
    uint32_t via;  // The edge by which it was reached, of `before`.
    uint32_t before;
};

struct circles {
    struct reader *reader;
    const struct config_file *file;
    const struct wired *wired;
    struct vertex *vertices;
    uint8_t *seen; // Bits of the edges that there are, from each vertex to each.
    uint32_t count;
    uint32_t at;                // The workflow whose steps are walked.
    bool is_certain, is_waited; // So far in the list that is walked.
};

enum circle_kind {
    CIRCLE_AT_ONCE, // All instances go round, without a pause.
    CIRCLE_FOREVER, // All go round.
    CIRCLE_PERHAPS, // Some may, without a pause.
    CIRCLE_OUTSIDE, // By way of a broker, which the first edge is.
};

// Of edges that are alike the first will do.
static bool is_known(struct circles *circles, const struct edge *edge)
{
    uint8_t *seen = &circles->seen[(size_t)circles->at * circles->count + edge->to];
    uint8_t bit = (uint8_t)(1U << (edge->is_certain + 2 * edge->is_waited + 4 * edge->is_outside));
    bool is_known = (*seen & bit) != 0;
    *seen |= bit;
    return is_known;
}

static void edge_add(struct circles *circles, struct edge edge)
{
    struct vertex *vertex = &circles->vertices[circles->at];
    if (is_known(circles, &edge)) {
        return;
    }
    if (vertex->edge_count == vertex->edge_capacity) {
        uint32_t capacity = vertex->edge_capacity == 0 ? 8 : 2 * vertex->edge_capacity;
        struct edge *edges = arena_alloc(circles->reader->arena, capacity * sizeof(edges[0]));
        if (edges == NULL) {
            return;
        }
        if (vertex->edge_count > 0) {
            memcpy(edges, vertex->edges, vertex->edge_count * sizeof(edges[0]));
        }
        vertex->edges = edges;
        vertex->edge_capacity = capacity;
    }
    vertex->edges[vertex->edge_count++] = edge;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static void edges_of_run(struct circles *circles, const json_t *step, const char *path)
{
    const char *name = text_of(step, "workflow");
    for (uint32_t i = 0; i < circles->count; i++) {
        if (strcmp(circles->file->config.core.workflows[i].name, name) == 0) {
            edge_add(circles, (struct edge){i, circles->is_certain, circles->is_waited, false,
                                            text_of(step, "name"), path});
        }
    }
}

struct emission {
    struct circles *circles;
    const json_t *step;
    const char *path;
    bool is_outside;
};

// The template as a filter: a level with an expression is any.
static const char *pattern_of(struct arena *arena, const char *topic)
{
    char *pattern = arena_alloc(arena, strlen(topic) + 2);
    size_t len = 0, level = 0; // level: where it begins.
    uint32_t depth = 0;
    for (; pattern != NULL && *topic != '\0'; topic++) {
        depth += *topic == '{';
        if (*topic == '{') {
            pattern[level] = '+';
            len = level + 1;
        } else if (depth == 0 && (*topic == '/' || pattern[level] != '+')) {
            pattern[len++] = *topic;
            level = *topic == '/' ? len : level;
        }
        depth -= *topic == '}' && depth > 0;
    }
    return pattern;
}

// By way of the hub itself a topic that may be right counts, for a fault is told of sure ones
// alone; by way of a broker it has to be right whatever the values.
static bool starts(const char *topic, const char *pattern, const char *from)
{
    return from != NULL && rule_graph_may_feed(topic, from) &&
           (pattern == NULL ||
            topic_filter_covers(bytes_from_text(from), bytes_from_text(pattern)));
}

// Only an event of the workflow's own whose topic is written out is sure to start another.
static void edges_of_topic(void *context, const char *topic, bool is_direct)
{
    const struct emission *emission = context;
    struct circles *circles = emission->circles;
    const char *pattern = emission->is_outside ? pattern_of(circles->reader->arena, topic) : NULL;
    for (uint32_t i = 0; i < circles->count; i++) {
        const struct vertex *to = &circles->vertices[i];
        if (starts(topic, pattern, to->from)) {
            bool is_sure =
                circles->is_certain && is_direct && !to->has_where && strchr(topic, '{') == NULL;
            edge_add(circles, (struct edge){i, is_sure, circles->is_waited, emission->is_outside,
                                            text_of(emission->step, "name"), emission->path});
        }
    }
}

// Does a source get what is published to this target on the topic?
static bool comes_back(const struct config *config, const char *target, const char *topic)
{
    const char *url = NULL;
    for (uint32_t i = 0; i < config->target_count; i++) {
        const struct config_target *one = &config->targets[i];
        bool is_it = strcmp(one->name, target) == 0 && one->type != NULL &&
                     strcmp(one->type->name, "mqtt") == 0;
        url = is_it ? option_text(one->options, "url") : url;
    }
    for (uint32_t i = 0; url != NULL && i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        bool is_same = strcmp(option_text(source->options, "url"), url) == 0;
        for (uint32_t j = 0; is_same && source->topics[j] != NULL; j++) {
            if (rule_graph_may_feed(topic, source->topics[j])) {
                return true;
            }
        }
    }
    return false;
}

static void edges_of_emit(struct circles *circles, const json_t *step, const char *path)
{
    const char *to = text_of(step, "to"), *topic = text_of(step, "topic");
    struct emission emission = {circles, step, path, strcmp(to, TARGET_RULES) != 0};
    if (!emission.is_outside || comes_back(&circles->file->config, to, topic)) {
        wired_follow(circles->wired, circles->reader->arena, topic, edges_of_topic, &emission);
    }
}

// From there on an instance may have gone another way.
static bool may_leave(const char *kind, const json_t *step)
{
    static const char *const kinds[] = {"if", "switch", "end", "fail", "goto", "await", NULL};
    return name_is_among(kind, kinds) || json_object_get(step, "on_error") != NULL;
}

// What brings an instance on is from outside then, and no chain of workflows.
static bool is_waiting(const char *kind)
{
    static const char *const kinds[] = {"sleep", "until", "await", "call", "command", NULL};
    return name_is_among(kind, kinds);
}

static void walk_list(void *context, const char *name, const char *path, const json_t *list);

static void walk_step(struct circles *circles, const json_t *step, const char *path)
{
    const char *kind = text_of(step, "do");
    bool was_certain = circles->is_certain, was_waited = circles->is_waited;
    if (strcmp(kind, "run") == 0) {
        edges_of_run(circles, step, path);
    } else if (strcmp(kind, "emit") == 0) {
        edges_of_emit(circles, step, path);
    }
    workflow_json_lists(circles->reader->arena, step, path, walk_list, circles);
    circles->is_certain = was_certain && !may_leave(kind, step);
    circles->is_waited = was_waited || is_waiting(kind);
}

static void walk_list(void *context, const char *name, const char *path, const json_t *list)
{
    struct circles *circles = context;
    bool was_certain = circles->is_certain, was_waited = circles->is_waited;
    // Branches of a parallel are all gone; lists within other steps are for some instances only.
    circles->is_certain = was_certain && (strcmp(name, "") == 0 ||
                                          strncmp(name, "branches/", strlen("branches/")) == 0);
    size_t index;
    json_t *step;
    json_array_foreach((json_t *)list, index, step)
    {
        const char *own = workflow_path_at(circles->reader->arena, path, (uint32_t)index);
        if (own != NULL) {
            walk_step(circles, step, own);
        }
    }
    circles->is_certain = was_certain;
    circles->is_waited = was_waited;
}

static bool vertices_build(struct circles *circles)
{
    const struct core_spec *core = &circles->file->config.core;
    circles->count = core->workflow_count;
    circles->vertices =
        arena_alloc(circles->reader->arena, circles->count * sizeof(circles->vertices[0]));
    circles->seen = arena_alloc(circles->reader->arena, (size_t)circles->count * circles->count);
    if (circles->seen == NULL) {
        circles->vertices = NULL;
    }
    for (uint32_t i = 0; circles->vertices != NULL && i < circles->count; i++) {
        struct vertex *vertex = &circles->vertices[i];
        vertex->definition = circles->wired->definitions[i];
        const json_t *start = json_object_get(vertex->definition, "start");
        vertex->from = json_string_value(json_object_get(start, "from"));
        vertex->has_where = json_object_get(start, "where") != NULL;
    }
    for (uint32_t i = 0; circles->vertices != NULL && i < circles->count; i++) {
        circles->at = i;
        circles->is_certain = true;
        circles->is_waited = false;
        walk_list(circles, "", "/steps", json_object_get(circles->vertices[i].definition, "steps"));
    }
    return circles->vertices != NULL;
}

static bool is_part_of(const struct edge *edge, enum circle_kind kind, bool is_first)
{
    if (kind == CIRCLE_OUTSIDE) {
        return edge->is_outside || !is_first;
    }
    bool is_at_once = kind == CIRCLE_FOREVER || !edge->is_waited;
    return !edge->is_outside && is_at_once && (kind == CIRCLE_PERHAPS || edge->is_certain);
}

// Breadth first from `start` back to it; false: there is no way. The last edge is in *out_last.
static bool circle_find(struct circles *circles, uint32_t start, enum circle_kind kind,
                        uint32_t *out_from, uint32_t *out_edge)
{
    uint32_t *queue = arena_alloc(circles->reader->arena, circles->count * sizeof(queue[0]));
    uint32_t first = 0, end = 0;
    if (queue == NULL) {
        return false;
    }
    queue[end++] = start;
    circles->vertices[start].mark = start + 1;
    while (first < end) {
        uint32_t at = queue[first++];
        struct vertex *vertex = &circles->vertices[at];
        for (uint32_t i = 0; i < vertex->edge_count; i++) {
            uint32_t to = vertex->edges[i].to;
            if (!is_part_of(&vertex->edges[i], kind, at == start)) {
                continue;
            }
            if (to == start) {
                *out_from = at;
                *out_edge = i;
                return true;
            }
            if (circles->vertices[to].mark != start + 1) {
                circles->vertices[to].mark = start + 1;
                circles->vertices[to].before = at;
                circles->vertices[to].via = i;
                queue[end++] = to;
            }
        }
    }
    return false;
}

// "order (step again) -> ship (step next) -> order", written from the end.
static const char *circle_text(struct circles *circles, uint32_t start, uint32_t from,
                               uint32_t edge)
{
    const struct workflow_spec *workflows = circles->file->config.core.workflows;
    struct arena *arena = circles->reader->arena;
    const char *text = workflows[start].name;
    for (;;) {
        const char *step = circles->vertices[from].edges[edge].step;
        text = text == NULL
                   ? NULL
                   : arena_print(arena, "%s (step %s) -> %s", workflows[from].name, step, text);
        if (from == start) {
            return text == NULL ? "" : text;
        }
        edge = circles->vertices[from].via;
        from = circles->vertices[from].before;
    }
}

// The first edge of the way: it is of `start`.
static const struct edge *first_edge(const struct circles *circles, uint32_t start, uint32_t from,
                                     uint32_t edge)
{
    while (from != start) {
        edge = circles->vertices[from].via;
        from = circles->vertices[from].before;
    }
    return &circles->vertices[start].edges[edge];
}

// Told once, where its first workflow in the file leads on.
static bool is_first_of(const struct circles *circles, uint32_t start, uint32_t from)
{
    while (from != start) {
        if (from < start) {
            return false;
        }
        from = circles->vertices[from].before;
    }
    return true;
}

static bool circle_tell(struct circles *circles, uint32_t start, enum circle_kind kind)
{
    uint32_t from = 0, edge = 0;
    for (uint32_t i = 0; i < circles->count; i++) {
        circles->vertices[i].mark = 0;
    }
    if (!circle_find(circles, start, kind, &from, &edge)) {
        return false;
    }
    const struct config_file *file = circles->file;
    const char *name = file->config.core.workflows[start].name;
    const char *way = circle_text(circles, start, from, edge);
    struct position at = workflow_map_locate(file->workflow_maps[start], file->document,
                                             first_edge(circles, start, from, edge)->path, -1);
    if (kind != CIRCLE_OUTSIDE && !is_first_of(circles, start, from)) {
        return true; // Told already.
    }
    if (kind == CIRCLE_AT_ONCE) {
        reader_problem(circles->reader, at,
                       "workflow %s starts itself, whatever happens: %s; to repeat steps use "
                       "`goto`, to end it put the step into an `if`",
                       name, way);
    } else if (kind == CIRCLE_FOREVER) {
        reader_problem(circles->reader, at,
                       "warning: workflow %s starts itself again and again: %s; `goto` repeats "
                       "steps in one instance",
                       name, way);
    } else if (kind == CIRCLE_OUTSIDE) {
        reader_problem(circles->reader, at,
                       "warning: workflow %s may start itself by way of the broker: %s; nothing "
                       "stops it there",
                       name, way);
    } else {
        reader_problem(circles->reader, at,
                       "warning: workflow %s may start itself: %s; after %d times without a pause "
                       "the hub stops it",
                       name, way, WORKFLOW_HOPS_MAX);
    }
    return true;
}

void workflow_circles_tell(struct reader *reader, const struct config_file *file,
                           const struct wired *wired, bool is_check)
{
    struct circles circles = {.reader = reader, .file = file, .wired = wired};
    if (vertices_build(&circles)) {
        for (uint32_t i = 0; i < circles.count; i++) {
            if (is_check) {
                circle_tell(&circles, i, CIRCLE_AT_ONCE);
            } else if (!circle_tell(&circles, i, CIRCLE_FOREVER) &&
                       !circle_tell(&circles, i, CIRCLE_PERHAPS)) {
                circle_tell(&circles, i, CIRCLE_OUTSIDE);
            }
        }
    }
}
