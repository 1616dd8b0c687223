// workflow_graph.c - the flow of a definition: every step can be reached, and no circle of steps is
// without one that waits, for it would never end.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/workflow_compile_parts.h"

enum color { COLOR_NEW, COLOR_OPEN, COLOR_DONE };

struct graph {
    struct compiler *compiler;
    const struct workflow_step *steps;
    uint32_t count;
    bool *is_reached;
    enum color *colors;
    workflow_place *stack; // Of steps that are looked at: those reached, or the way to here.
    uint32_t depth;
};

typedef enum err edge_fn(struct graph *graph, workflow_place from, workflow_place to);

static enum err follow(struct graph *graph, workflow_place from, workflow_place to, edge_fn *each)
{
    return to < graph->count ? each(graph, from, to) : ERR_OK;
}

static bool is_choice(const struct workflow_step *step)
{
    return step->kind == STEP_IF || step->kind == STEP_SWITCH;
}

// Where the flow can go on from a step, without its undo. is_within: also into its branches.
static enum err follow_all(struct graph *graph, workflow_place from, bool is_within, edge_fn *each)
{
    const struct workflow_step *step = &graph->steps[from];
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && (is_within || is_choice(step)) && i < step->branch_count;
         i++) {
        rc = follow(graph, from, step->branches[i].first, each);
    }
    if (rc == ERR_OK && !is_choice(step)) {
        rc = follow(graph, from, step->next, each);
    }
    return rc == ERR_OK ? follow(graph, from, step->catch, each) : rc;
}

// ---- what can be reached ------------------------------------------------------------------------

static enum err reach(struct graph *graph, workflow_place from, workflow_place to)
{
    (void)from;
    if (!graph->is_reached[to]) {
        graph->is_reached[to] = true;
        graph->stack[graph->depth++] = to;
    }
    return ERR_OK;
}

static enum err check_reached(struct graph *graph)
{
    reach(graph, PLACE_NONE, 0);
    while (graph->depth > 0) {
        workflow_place at = graph->stack[--graph->depth];
        follow_all(graph, at, true, reach);
        follow(graph, at, graph->steps[at].undo, reach);
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        if (!graph->is_reached[i]) {
            error_set(graph->compiler->e, ERR_CONFIG,
                      "step \"%s\" can never be reached: what stands before it always leads "
                      "elsewhere",
                      graph->steps[i].name);
            return compile_fault(graph->compiler, graph->steps[i].path, NULL, NULL);
        }
    }
    return ERR_OK;
}

// ---- circles ------------------------------------------------------------------------------------

static bool is_in(const struct graph *graph, workflow_place step, workflow_place outer)
{
    while (step < graph->count && step != outer) {
        step = graph->steps[step].of;
    }
    return step == outer;
}

static bool is_fork(const struct workflow_step *step)
{
    return step->kind == STEP_PARALLEL || step->kind == STEP_FOR_EACH;
}

// Nothing is waited for by a run that says so, nor by a sleep of no time.
static bool is_waiting_alone(const struct graph *graph, workflow_place at)
{
    const json_t *text = graph->compiler->texts[at];
    enum step_kind kind = graph->steps[at].kind;
    return workflow_kinds[kind].is_waiting &&
           (kind != STEP_RUN || member_truth(text, "wait", true)) &&
           (kind != STEP_SLEEP || member_number(text, "for", 0) > 0);
}

// A parallel or for_each waits if a step within does.
static bool is_waiting(const struct graph *graph, workflow_place at)
{
    if (!is_fork(&graph->steps[at])) {
        return is_waiting_alone(graph, at);
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        const struct workflow_step *inner = &graph->steps[i];
        if (!inner->is_undo && !is_fork(inner) && inner->parent != PLACE_NONE &&
            is_in(graph, inner->parent, at) && is_waiting_alone(graph, i)) {
            return true;
        }
    }
    return false;
}

static enum err circle_fault(struct graph *graph, workflow_place to)
{
    char names[400] = "";
    uint32_t i = 0;
    while (graph->stack[i] != to) {
        i++;
    }
    for (; i < graph->depth; i++) {
        size_t len = strlen(names);
        snprintf(names + len, sizeof(names) - len, "%.60s, ", graph->steps[graph->stack[i]].name);
    }
    error_set(graph->compiler->e, ERR_CONFIG,
              "the steps %s%s go in a circle and none of them waits: put a sleep or an await into "
              "it",
              names, graph->steps[to].name);
    workflow_place last = graph->stack[graph->depth - 1];
    return compile_fault(graph->compiler, graph->steps[last].path, NULL, NULL);
}

// As deep as there are steps, WORKFLOW_STEPS_MAX at most.
static enum err walk(struct graph *graph, workflow_place from, workflow_place to)
{
    (void)from;
    if (graph->colors[to] == COLOR_OPEN) {
        return circle_fault(graph, to);
    }
    if (graph->colors[to] == COLOR_DONE || is_waiting(graph, to)) {
        return ERR_OK;
    }
    graph->colors[to] = COLOR_OPEN;
    graph->stack[graph->depth++] = to;
    enum err rc = follow_all(graph, to, false, walk);
    graph->depth--;
    graph->colors[to] = COLOR_DONE;
    return rc;
}

static enum err check_circles(struct graph *graph)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < graph->count; i++) {
        rc = walk(graph, PLACE_NONE, i);
    }
    return rc;
}

enum err compile_check_graph(struct compiler *compiler)
{
    uint32_t count = compiler->definition->step_count;
    struct graph graph = {.compiler = compiler,
                          .steps = compiler->definition->steps,
                          .count = count,
                          .is_reached = calloc(count, sizeof(graph.is_reached[0])),
                          .colors = calloc(count, sizeof(graph.colors[0])),
                          .stack = calloc(count, sizeof(graph.stack[0]))};
    bool has_all = graph.is_reached != NULL && graph.colors != NULL && graph.stack != NULL;
    enum err rc = has_all ? check_reached(&graph) : compile_no_memory(compiler);
    rc = rc == ERR_OK ? check_circles(&graph) : rc;
    free(graph.is_reached);
    free(graph.colors);
    free(graph.stack);
    return rc;
}
