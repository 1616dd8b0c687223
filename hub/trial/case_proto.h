// case_proto.h - messages of the descriptor sets that a configuration names, as JSON and back.
//
// Threads:   any.
//
// Ownership: bytes live in the arena given; a json_t is the caller's.
//
// Failure:   ERR_CONFIG: no descriptor set of the configuration has the message. ERR_INVALID: it
// does not fit.
#ifndef PIPIT_TRIAL_CASE_PROTO_H
#define PIPIT_TRIAL_CASE_PROTO_H

#include "base/arena.h"
#include "config/config.h"

struct json_t;

enum err case_proto_pack(const struct config *config, const char *message,
                         const struct json_t *fields, struct arena *arena, struct bytes *out_bytes,
                         struct error *e);
enum err case_proto_read(const struct config *config, const char *message, struct bytes bytes,
                         struct json_t **out_fields, struct error *e);

#endif
