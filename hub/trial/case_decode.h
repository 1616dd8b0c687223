// case_decode.h - a delivery's payload read back as JSON, so that it can be compared.
//
// Threads:   any.
//
// Ownership: the value is new and the caller's.
//
// Failure:   ERR_INVALID with what is wrong with the payload.
#ifndef PIPIT_TRIAL_CASE_DECODE_H
#define PIPIT_TRIAL_CASE_DECODE_H

#include "trial/case_file.h"

// Of the kinds that are compared as JSON. A Pipit event is {"type": ..., "time": ..., "fields":
// {...}}; of a command the fields are all.
enum err case_decode(const struct config *config, const struct case_expect *expect,
                     struct bytes payload, struct json_t **out_json, struct error *e);

// Does the topic name a command to a device?
bool case_is_command(struct bytes topic);

#endif
