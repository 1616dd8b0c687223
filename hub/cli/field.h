// field.h - one typed value between command line, SDK, protobuf, JSON and the reader's eye.
// Threads:   any.
// Ownership: fields borrow; field_parse may change its argument and lets the field point into it.
// Failure:   ERR_INVALID with a sentence that names the field.
#ifndef PIPIT_CLI_FIELD_H
#define PIPIT_CLI_FIELD_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"
#include "pipit/pipit.h"
#include "pipit/v1/pipit.pb-c.h"

// "temp=27.1" (the type is seen from the value) or "temp:float=27". Types: bool, int, uint, float,
// double, text, data (hex digits).
enum err field_parse(char *argument, struct pipit_field *out_field, struct error *e);

// The value as its looks say: true and false, whole numbers, numbers, else text.
void field_infer(char *text, struct pipit_field *field);

// False for a field without a value.
bool field_from_proto(const Pipit__V1__Field *proto, struct pipit_field *out_field);
void field_to_proto(const struct pipit_field *field, Pipit__V1__Field *out_proto);

// A new reference; data becomes {"hex": "..."}; NaN and infinities become null.
json_t *field_to_json(const struct pipit_field *field);
// All of them as one object.
json_t *fields_to_json(const struct pipit_field *fields, size_t count);

// "temp=27.1"; text in quotes when it holds blanks; controls as '?'; long values are cut.
void field_print(FILE *file, const struct pipit_field *field);
// Bytes for a reader's eye: as text when they are text, else the number of bytes.
void bytes_print(FILE *file, struct pipit_bytes bytes, size_t len_max);

#endif
