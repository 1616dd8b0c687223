// workflow_print.h - parts of an instance's JSON (workflow_look.h) in words.
//
// Threads:   one.
//
// Ownership: what is borrowed from the JSON lives as long; out_text is returned.
//
// Failure:   none: "" for what is not there.
#ifndef PIPIT_CLI_WORKFLOW_PRINT_H
#define PIPIT_CLI_WORKFLOW_PRINT_H

#include <jansson.h>
#include <stdint.h>

#include "cli/terminal.h"

#define PRINT_TEXT_MAX 256

const char *print_text(const json_t *json, const char *name);
long long print_number(const json_t *json, const char *name);

// Of json_dumps: compact, the fewest digits that name its numbers.
size_t print_flags(const json_t *json);
// Writes it as one line of that, with all controls as \uXXXX so that they do not steer a terminal.
void print_json_line(FILE *file, const json_t *json);
void print_json_indented(FILE *file, const json_t *json);

enum colour print_state_colour(const char *state);
// "reserve", "reserve, paid", "waves x3, cool x10".
const char *print_steps(const json_t *instance, char out_text[PRINT_TEXT_MAX]);
// How long it has been at the step where it is longest, or has ended.
const char *print_since(const json_t *instance, int64_t now_ms, char out_text[PRINT_TEXT_MAX]);
// "in 3 min 2 s", "2 s late".
const char *print_due(const json_t *json, int64_t now_ms, char out_text[PRINT_TEXT_MAX]);
// Behind a step, in which branch it was: " [left/2 \"b\"]"; "" where it was in none.
const char *print_branch(const json_t *entry, char out_text[PRINT_TEXT_MAX]);
// Whether it is of an older version; why it is parked, is undone or has failed.
const char *print_note(const json_t *instance, char out_text[PRINT_TEXT_MAX]);

#endif
