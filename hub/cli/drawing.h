// drawing.h - a workflow's definition as a graph in Graphviz's or Mermaid's language.
//
// Threads:   one.
//
// Ownership: the definition is borrowed for the call.
//
// Failure:   false: out of memory.
#ifndef PIPIT_CLI_DRAWING_H
#define PIPIT_CLI_DRAWING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum drawing_language { DRAWING_DOT, DRAWING_MERMAID };

// The definition is one that has been checked: see core/workflow_definition.h.
bool drawing_print(const json_t *definition, enum drawing_language language, FILE *out);

// ---- between drawing.c and drawing_print.c ------------------------------------------------------

#define DRAWING_NONE UINT32_MAX

enum drawing_line { LINE_SOLID, LINE_DASHED, LINE_DOTTED };
enum drawing_shape { SHAPE_BOX, SHAPE_DIAMOND, SHAPE_ROUND };

struct drawing_node {
    const char *name, *text; // Its step's, or what it starts by; a second line, NULL: none.
    const char *kind;        // NULL: where instances begin or end.
    enum drawing_shape shape;
    uint32_t cluster;
};

struct drawing_edge {
    uint32_t from, to;
    const char *label; // NULL: none.
    enum drawing_line line;
};

// Branches.
struct drawing_cluster {
    const char *label;
    uint32_t parent;
};

struct drawing {
    const char *name;
    struct drawing_node *nodes;
    struct drawing_edge *edges;
    struct drawing_cluster *clusters;
    uint32_t node_count, edge_count, cluster_count;
};

void drawing_print_dot(const struct drawing *drawing, FILE *out);
void drawing_print_mermaid(const struct drawing *drawing, FILE *out);

#endif
