// case_value.h - what stands in a case file as values: JSON, instants, hex digits, numbered texts.
//
// Threads:   any.
//
// Ownership: texts and bytes live in the arena given; a json_t is the caller's.
//
// Failure:   NULL or false; the caller says where in the file.
#ifndef PIPIT_TRIAL_CASE_VALUE_H
#define PIPIT_TRIAL_CASE_VALUE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "config/document.h"

struct json_t;

// The number of a repeated event, from 1, that {n} stands for; 0: {n} stays as it is.
typedef uint32_t case_number;

// A new JSON value: plain words are null, true, false and numbers, what is quoted is a text. A text
// that is "{n}" alone becomes the number.
struct json_t *value_of_node(const struct node *node, case_number n);

const char *value_numbered(struct arena *arena, const char *text, case_number n);

// "2026-01-01T10:00:00Z", with a fraction or an offset (+01:00) too, or milliseconds since 1970.
bool value_instant(const char *text, int64_t *out_ms);

// Pairs of digits; spaces between them are passed over.
bool value_hex(struct arena *arena, const char *text, struct bytes *out_bytes);

// A whole or decimal number in the way of JSON.
bool value_number(const char *text, double *out_number);

#endif
