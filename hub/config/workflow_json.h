// workflow_json.h - what a workflow of the file becomes: the JSON of its definition, and where each
// part of that stands in the file.
//
// Threads:   one.
//
// Ownership: maps live in the arena; nodes are the document's.
//
// Failure:   without memory an entry is left out (arena_is_exhausted tells), and its faults are
// told where the step is.
#ifndef PIPIT_CONFIG_WORKFLOW_JSON_H
#define PIPIT_CONFIG_WORKFLOW_JSON_H

#include <jansson.h>

#include "base/arena.h"
#include "config/document.h"

struct workflow_map;

struct workflow_map *workflow_map_create(struct arena *arena);
// The part that the JSON pointer names is written at node; its text begins `shift` bytes into the
// part's.
void workflow_map_add(struct workflow_map *map, const char *path, const struct node *node,
                      uint32_t shift);
// Where byte `offset` of the part's text stands, -1: where it begins. Of a part that is not there
// the nearest one around it.
struct position workflow_map_locate(const struct workflow_map *map, const struct document *document,
                                    const char *path, int64_t offset);

// "<path>/<name>", escaped [RFC 6901 3]; in the arena, NULL without memory.
const char *workflow_path(struct arena *arena, const char *path, const char *name);
const char *workflow_path_at(struct arena *arena, const char *path, uint32_t index);

// The one text of a definition: members in the order in which they were put, nothing between them.
// In the arena.
const char *workflow_json_text(struct arena *arena, const json_t *definition);

// Every step of a definition, with those within others, in the order in which they are written.
typedef void workflow_step_fn(void *context, const json_t *step, const char *path);
void workflow_json_steps(struct arena *arena, const json_t *definition, workflow_step_fn *each,
                         void *context);

// The step of that name in a definition or a part of one, to any depth; NULL: there is none.
const json_t *workflow_json_step(const json_t *within, const char *name);

// The lists of steps in a step: name is "undo", "then", "cases/paid", ...; path its pointer.
typedef void workflow_list_fn(void *context, const char *name, const char *path,
                              const json_t *list);
void workflow_json_lists(struct arena *arena, const json_t *step, const char *path,
                         workflow_list_fn *each, void *context);

#endif
