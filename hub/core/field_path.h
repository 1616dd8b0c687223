// field_path.h - dotted paths to the fields of a payload: "location.lat", "items.0.name".
// Threads:   any.
// Ownership: everything is borrowed.
// Failure:   none; what is not there is NULL or false.
#ifndef PIPIT_CORE_FIELD_PATH_H
#define PIPIT_CORE_FIELD_PATH_H

#include "base/bytes.h"

struct json_t;

// Splits the first step off. The rest's ptr is NULL when nothing is left.
struct bytes field_path_step(struct bytes *rest);
// The step as the number of an item, from 0; false: it is none.
bool field_path_index(struct bytes step, uint32_t *out_index);
// Where a path leads in a tree of objects and arrays. A member whose name has dots in it is found
// by its whole name first.
struct json_t *field_path_find(struct json_t *tree, const char *path);

#endif
