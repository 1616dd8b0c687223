// drawing_parts.h - a drawing between drawing.c, which makes it of a definition, and
// drawing_print.c, which writes it in a language.
//
// Threads:   one.
//
// Ownership: texts are the definition's or in the arena of drawing.c.
//
// Failure:   none.
#ifndef PIPIT_CLI_DRAWING_PARTS_H
#define PIPIT_CLI_DRAWING_PARTS_H

#include <stdint.h>
#include <stdio.h>

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
