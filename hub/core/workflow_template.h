// workflow_template.h - text with {expression} in it, taken apart: the expressions go into a query,
// their values into the text.
//
// Threads:   core thread.
//
// Ownership: the text is borrowed as long as the template lives.
//
// Failure:   ERR_CONFIG with e->offset into the text; rendering: ERR_INVALID, the value cannot
// stand there.
#ifndef PIPIT_CORE_WORKFLOW_TEMPLATE_H
#define PIPIT_CORE_WORKFLOW_TEMPLATE_H

#include "core/render_template.h"

#define WORKFLOW_TEMPLATE_PIECES_MAX 100 // Expressions and the texts between them.

struct workflow_piece {
    struct bytes text; // A text as it stands, or an expression without its braces.
    bool is_expression;
};

struct workflow_template {
    struct workflow_piece *pieces;
    uint32_t count, expression_count;
};

// "{{" and "}}" are the braces themselves. A brace within a text in SQL is one of that text.
enum err workflow_template_parse(struct workflow_template *out_template, const char *text,
                                 struct error *e);
void workflow_template_deinit(struct workflow_template *template); // All zero is fine.

// Adds the value of the piece's expression. is_url: percent-encoded, and it has to leave the
// segment that it stands in as one.
enum err workflow_template_add(const struct workflow_piece *piece, const struct event_value *value,
                               bool is_url, struct text_writer *writer, struct error *e);

#endif
