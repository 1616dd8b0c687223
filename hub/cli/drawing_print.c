// drawing_print.c - a drawing in the two languages.
#include <stdbool.h>
#include <string.h>

#include "cli/drawing_parts.h"

#define LABEL_CHARACTERS_MAX 48 // Of a line; more is cut.

// The text with what has a meaning in the language written as it must be there; control characters
// are spaces. escape gives NULL for a character that stands for itself.
static void text_print(const char *text, const char *(*escape)(char c), FILE *out)
{
    uint32_t count = 0;
    for (; *text != '\0'; text++) {
        bool is_first_byte = ((unsigned char)*text & 0xC0) != 0x80;
        if (is_first_byte && count++ == LABEL_CHARACTERS_MAX) {
            fputs("...", out);
            return;
        }
        const char *escaped = escape(*text);
        if (escaped != NULL) {
            fputs(escaped, out);
        } else {
            fputc((unsigned char)*text < 0x20 || *text == 0x7F ? ' ' : *text, out);
        }
    }
}

static void indent(uint32_t depth, FILE *out)
{
    fprintf(out, "%*s", (int)(2 * depth), "");
}

typedef void node_fn(const struct drawing *drawing, uint32_t index, uint32_t depth, FILE *out);
typedef void cluster_fn(const struct drawing *drawing, uint32_t index, uint32_t depth, FILE *out);

struct language {
    node_fn *node;
    cluster_fn *open, *close;
};

static void members_print(const struct drawing *drawing, const struct language *language,
                          uint32_t cluster, uint32_t depth, FILE *out)
{
    for (uint32_t i = 0; i < drawing->node_count; i++) {
        if (drawing->nodes[i].cluster == cluster && drawing->nodes[i].name != NULL) {
            language->node(drawing, i, depth, out);
        }
    }
    for (uint32_t i = 0; i < drawing->cluster_count; i++) {
        if (drawing->clusters[i].parent == cluster) {
            language->open(drawing, i, depth, out);
            members_print(drawing, language, i, depth + 1, out);
            language->close(drawing, i, depth, out);
        }
    }
}

// ---- Graphviz -----------------------------------------------------------------------------------

static const char *dot_escape(char c)
{
    return c == '"' ? "\\\"" : c == '\\' ? "\\\\" : NULL;
}

static void dot_node(const struct drawing *drawing, uint32_t index, uint32_t depth, FILE *out)
{
    static const char *const shapes[] = {"box", "diamond", "ellipse"};
    const struct drawing_node *node = &drawing->nodes[index];
    indent(depth, out);
    fprintf(out, "s%u [label=\"", index);
    text_print(node->name, dot_escape, out);
    if (node->kind != NULL) {
        fprintf(out, "\\n%s%s", node->kind, node->text == NULL ? "" : " ");
        text_print(node->text == NULL ? "" : node->text, dot_escape, out);
    }
    fprintf(out, "\", shape=%s];\n", shapes[node->shape]);
}

static void dot_open(const struct drawing *drawing, uint32_t index, uint32_t depth, FILE *out)
{
    indent(depth, out);
    fprintf(out, "subgraph cluster_%u {\n", index);
    indent(depth + 1, out);
    fputs("label=\"", out);
    text_print(drawing->clusters[index].label, dot_escape, out);
    fputs("\"; color=gray;\n", out);
}

static void dot_close(const struct drawing *drawing, uint32_t index, uint32_t depth, FILE *out)
{
    (void)drawing, (void)index;
    indent(depth, out);
    fputs("}\n", out);
}

void drawing_print_dot(const struct drawing *drawing, FILE *out)
{
    static const char *const styles[] = {"solid", "dashed", "dotted"};
    static const struct language language = {dot_node, dot_open, dot_close};
    fputs("digraph \"", out);
    text_print(drawing->name, dot_escape, out);
    fputs("\" {\n  graph [fontname=\"sans-serif\"];\n  node [fontname=\"sans-serif\", "
          "style=rounded];\n"
          "  edge [fontname=\"sans-serif\"];\n",
          out);
    members_print(drawing, &language, DRAWING_NONE, 1, out);
    for (uint32_t i = 0; i < drawing->edge_count; i++) {
        const struct drawing_edge *edge = &drawing->edges[i];
        fprintf(out, "  s%u -> s%u [style=%s", edge->from, edge->to, styles[edge->line]);
        if (edge->label != NULL) {
            fputs(", label=\"", out);
            text_print(edge->label, dot_escape, out);
            fputs("\"", out);
        }
        fputs("];\n", out);
    }
    fputs("}\n", out);
}

// ---- Mermaid ------------------------------------------------------------------------------------

// Entities by their number, which it takes for any character.
static const char *mermaid_escape(char c)
{
    switch (c) {
    case '"':
        return "#34;";
    case '#':
        return "#35;";
    case '<':
        return "#60;";
    case '>':
        return "#62;";
    case '&':
        return "#38;";
    case '`':
        return "#96;";
    case '\\':
        return "#92;";
    default:
        return NULL;
    }
}

static void mermaid_node(const struct drawing *drawing, uint32_t index, uint32_t depth, FILE *out)
{
    static const char *const open[] = {"[", "{", "(["}, *const close[] = {"]", "}", "])"};
    const struct drawing_node *node = &drawing->nodes[index];
    indent(depth, out);
    fprintf(out, "s%u%s\"", index, open[node->shape]);
    text_print(node->name, mermaid_escape, out);
    if (node->kind != NULL) {
        fprintf(out, "<br/>%s%s", node->kind, node->text == NULL ? "" : " ");
        text_print(node->text == NULL ? "" : node->text, mermaid_escape, out);
    }
    fprintf(out, "\"%s\n", close[node->shape]);
}

static void mermaid_open(const struct drawing *drawing, uint32_t index, uint32_t depth, FILE *out)
{
    indent(depth, out);
    fprintf(out, "subgraph c%u[\"", index);
    text_print(drawing->clusters[index].label, mermaid_escape, out);
    fputs("\"]\n", out);
}

static void mermaid_close(const struct drawing *drawing, uint32_t index, uint32_t depth, FILE *out)
{
    (void)drawing, (void)index;
    indent(depth, out);
    fputs("end\n", out);
}

void drawing_print_mermaid(const struct drawing *drawing, FILE *out)
{
    static const struct language language = {mermaid_node, mermaid_open, mermaid_close};
    static const char *const arrows[] = {"-->", "-.->", "-.->"};
    fputs("flowchart TD\n", out);
    members_print(drawing, &language, DRAWING_NONE, 1, out);
    for (uint32_t i = 0; i < drawing->edge_count; i++) {
        const struct drawing_edge *edge = &drawing->edges[i];
        fprintf(out, "  s%u %s", edge->from, arrows[edge->line]);
        if (edge->label != NULL) {
            fputs("|\"", out);
            text_print(edge->label, mermaid_escape, out);
            fputs("\"|", out);
        }
        fprintf(out, " s%u\n", edge->to);
    }
    for (uint32_t i = 0; i < drawing->edge_count; i++) { // It has one kind of broken line only.
        if (drawing->edges[i].line == LINE_DOTTED) {
            fprintf(out, "  linkStyle %u stroke-dasharray:2 6\n", i);
        }
    }
}
