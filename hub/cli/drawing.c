#include "cli/drawing.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/time_text.h"
#include "cli/drawing_parts.h"
#include "core/spec.h"

struct draft {
    struct drawing drawing;
    struct arena *arena;
    uint32_t node_capacity, edge_capacity, cluster_capacity;
    bool is_failed;
    uint32_t end; // The node where instances are complete.
};

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

// Room for one more; NULL without memory.
static void *grow(struct draft *draft, void *items, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    uint32_t more = *capacity == 0 ? 32 : 2 * *capacity;
    void *grown = reallocarray(items, more, size);
    draft->is_failed |= grown == NULL;
    *capacity = grown == NULL ? *capacity : more;
    return grown;
}

static uint32_t node_add(struct draft *draft, struct drawing_node node)
{
    struct drawing *drawing = &draft->drawing;
    struct drawing_node *nodes =
        grow(draft, drawing->nodes, drawing->node_count, &draft->node_capacity, sizeof(node));
    if (nodes == NULL) {
        return DRAWING_NONE;
    }
    drawing->nodes = nodes;
    nodes[drawing->node_count] = node;
    return drawing->node_count++;
}

static void edge_add(struct draft *draft, struct drawing_edge edge)
{
    struct drawing *drawing = &draft->drawing;
    if (edge.to == DRAWING_NONE || edge.from == DRAWING_NONE) {
        return;
    }
    struct drawing_edge *edges =
        grow(draft, drawing->edges, drawing->edge_count, &draft->edge_capacity, sizeof(edge));
    if (edges != NULL) {
        drawing->edges = edges;
        edges[drawing->edge_count++] = edge;
    }
}

static uint32_t cluster_add(struct draft *draft, const char *label, uint32_t parent)
{
    struct drawing *drawing = &draft->drawing;
    struct drawing_cluster *clusters = grow(draft, drawing->clusters, drawing->cluster_count,
                                            &draft->cluster_capacity, sizeof(clusters[0]));
    if (clusters == NULL) {
        return parent;
    }
    drawing->clusters = clusters;
    clusters[drawing->cluster_count] = (struct drawing_cluster){label, parent};
    return drawing->cluster_count++;
}

// ---- labels -------------------------------------------------------------------------------------

// Of the member that says most about a step of its kind.
static const char *step_text(struct arena *arena, const json_t *step)
{
    static const char *const members[] = {"when", "on", "at", "in", "reason", "from", "workflow"};
    const json_t *sleep = json_object_get(step, "for");
    const char *to = text_of(step, "to"), *command = text_of(step, "command");
    if (json_is_integer(sleep)) {
        char duration[DURATION_TEXT_BYTES];
        duration_text_write(json_integer_value(sleep), duration);
        return arena_print(arena, "%s", duration);
    }
    if (command != NULL) {
        return arena_print(arena, "%s to %s", command, text_of(step, "device"));
    }
    if (to != NULL) {
        const char *topic = text_of(step, "topic");
        return arena_print(arena, "%s%s%s", to, topic == NULL ? "" : ": ", topic ? topic : "");
    }
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (text_of(step, members[i]) != NULL) {
            return text_of(step, members[i]);
        }
    }
    return NULL;
}

static enum drawing_shape shape_of(const char *kind)
{
    if (strcmp(kind, "if") == 0 || strcmp(kind, "switch") == 0) {
        return SHAPE_DIAMOND;
    }
    return strcmp(kind, "end") == 0 || strcmp(kind, "fail") == 0 ? SHAPE_ROUND : SHAPE_BOX;
}

// ---- nodes: all steps, so that edges may lead ahead ---------------------------------------------

static void nodes_of_list(struct draft *draft, const json_t *list, uint32_t cluster);

// Branches are clusters; the other lists stand where their step does.
static void nodes_of_lists(struct draft *draft, const json_t *step, uint32_t cluster)
{
    static const char *const lists[] = {"then", "else", "default", "undo", "on_error"};
    const char *name;
    json_t *list;
    json_object_foreach(json_object_get(step, "branches"), name, list)
    {
        nodes_of_list(draft, list, cluster_add(draft, name, cluster));
    }
    json_object_foreach(json_object_get(step, "cases"), name, list)
    {
        nodes_of_list(draft, list, cluster);
    }
    const json_t *each = json_object_get(step, "steps");
    if (each != NULL) {
        const char *label = arena_print(draft->arena, "for each %s", text_of(step, "as"));
        nodes_of_list(draft, each, cluster_add(draft, label == NULL ? "" : label, cluster));
    }
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        nodes_of_list(draft, json_object_get(step, lists[i]), cluster);
    }
}

static void nodes_of_list(struct draft *draft, const json_t *list, uint32_t cluster)
{
    size_t index;
    json_t *step;
    json_array_foreach((json_t *)list, index, step)
    {
        const char *kind = text_of(step, "do");
        node_add(draft, (struct drawing_node){text_of(step, "name"), step_text(draft->arena, step),
                                              kind, shape_of(kind), cluster});
        nodes_of_lists(draft, step, cluster);
    }
}

static uint32_t node_find(const struct draft *draft, const char *name)
{
    for (uint32_t i = 0; i < draft->drawing.node_count; i++) {
        const struct drawing_node *node = &draft->drawing.nodes[i];
        if (node->kind != NULL && strcmp(node->name, name) == 0) {
            return i;
        }
    }
    return DRAWING_NONE;
}

// The first step of a list; `next` where there is none.
static uint32_t first_of(const struct draft *draft, const json_t *list, uint32_t next)
{
    const json_t *step = json_array_get(list, 0);
    return step == NULL ? next : node_find(draft, text_of(step, "name"));
}

// ---- edges --------------------------------------------------------------------------------------

static void edges_of_list(struct draft *draft, const json_t *list, uint32_t next);

// From a step into the list, and on from there.
static void list_edges(struct draft *draft, struct drawing_edge edge, const json_t *list,
                       uint32_t next)
{
    edge.to = first_of(draft, list, next);
    edge_add(draft, edge);
    edges_of_list(draft, list, next);
}

static void branch_edges(struct draft *draft, const json_t *step, uint32_t from, uint32_t next)
{
    const char *name;
    json_t *list;
    json_object_foreach(json_object_get(step, "branches"), name, list)
    {
        list_edges(draft, (struct drawing_edge){.from = from}, list, next);
    }
    const json_t *each = json_object_get(step, "steps");
    if (each != NULL) {
        list_edges(draft, (struct drawing_edge){.from = from, .label = "each"}, each, next);
    }
    json_object_foreach(json_object_get(step, "cases"), name, list)
    {
        list_edges(draft, (struct drawing_edge){.from = from, .label = name}, list, next);
    }
}

// Where the flow goes behind the step, by its kind.
static void flow_edges(struct draft *draft, const json_t *step, uint32_t from, uint32_t next)
{
    const char *kind = text_of(step, "do");
    struct drawing_edge edge = {.from = from};
    branch_edges(draft, step, from, next);
    if (strcmp(kind, "if") == 0) {
        edge.label = "then";
        list_edges(draft, edge, json_object_get(step, "then"), next);
        edge.label = "else";
        list_edges(draft, edge, json_object_get(step, "else"), next);
    } else if (strcmp(kind, "switch") == 0) {
        edge.label = "default";
        list_edges(draft, edge, json_object_get(step, "default"), next);
    } else if (strcmp(kind, "goto") == 0) {
        edge.to = node_find(draft, text_of(step, "step"));
        edge_add(draft, edge);
    } else if (strcmp(kind, "end") != 0 && strcmp(kind, "fail") != 0 &&
               strcmp(kind, "parallel") != 0 && strcmp(kind, "for_each") != 0) {
        edge.to = next;
        edge_add(draft, edge);
    }
}

static void edges_of_list(struct draft *draft, const json_t *list, uint32_t next)
{
    size_t index;
    json_t *step;
    json_array_foreach((json_t *)list, index, step)
    {
        const json_t *after = json_array_get(list, index + 1);
        const json_t *undo = json_object_get(step, "undo");
        const json_t *on_error = json_object_get(step, "on_error");
        uint32_t from = node_find(draft, text_of(step, "name"));
        uint32_t to = after == NULL ? next : node_find(draft, text_of(after, "name"));
        flow_edges(draft, step, from, to);
        if (on_error != NULL) {
            list_edges(draft, (struct drawing_edge){from, 0, "error", LINE_DASHED}, on_error, to);
        }
        if (undo != NULL) {
            list_edges(draft, (struct drawing_edge){from, 0, "undo", LINE_DOTTED}, undo,
                       DRAWING_NONE);
        }
    }
}

static const char *start_text(struct arena *arena, const json_t *definition)
{
    const char *from = text_of(json_object_get(definition, "start"), "from");
    if (from == NULL) {
        return "run by others";
    }
    bool is_rule = strncmp(from, RULE_TOPIC, strlen(RULE_TOPIC)) == 0;
    return is_rule ? arena_print(arena, "rule %s", from + strlen(RULE_TOPIC)) : from;
}

static void draft_fill(struct draft *draft, const json_t *definition)
{
    const json_t *steps = json_object_get(definition, "steps");
    draft->drawing.name = text_of(definition, "name");
    uint32_t start = node_add(draft, (struct drawing_node){start_text(draft->arena, definition),
                                                           NULL, NULL, SHAPE_ROUND, DRAWING_NONE});
    draft->end =
        node_add(draft, (struct drawing_node){"completed", NULL, NULL, SHAPE_ROUND, DRAWING_NONE});
    nodes_of_list(draft, steps, DRAWING_NONE);
    if (!draft->is_failed) {
        list_edges(draft, (struct drawing_edge){.from = start}, steps, draft->end);
    }
}

// A workflow whose flows all end in steps of their own has no use for it.
static bool is_reached(const struct drawing *drawing, uint32_t node)
{
    for (uint32_t i = 0; i < drawing->edge_count; i++) {
        if (drawing->edges[i].to == node) {
            return true;
        }
    }
    return false;
}

bool drawing_print(const json_t *definition, enum drawing_language language, FILE *out)
{
    struct draft draft = {.arena = arena_create()};
    bool is_good = draft.arena != NULL;
    if (is_good) {
        draft_fill(&draft, definition);
        is_good = !draft.is_failed && !arena_is_exhausted(draft.arena);
    }
    if (is_good && !is_reached(&draft.drawing, draft.end)) {
        draft.drawing.nodes[draft.end].name = NULL; // Left out.
    }
    if (is_good && language == DRAWING_DOT) {
        drawing_print_dot(&draft.drawing, out);
    } else if (is_good) {
        drawing_print_mermaid(&draft.drawing, out);
    }
    free(draft.drawing.nodes);
    free(draft.drawing.edges);
    free(draft.drawing.clusters);
    arena_destroy(draft.arena);
    return is_good;
}
