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
#include <stdio.h>

enum drawing_language { DRAWING_DOT, DRAWING_MERMAID };

// The definition is one that has been checked: see core/workflow_definition.h.
bool drawing_print(const json_t *definition, enum drawing_language language, FILE *out);

#endif
