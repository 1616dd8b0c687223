// explain_print.h - an explanation for a person.
//
// Threads:   one.
//
// Ownership: nothing is kept.
//
// Failure:   none.
#ifndef PIPIT_CLI_EXPLAIN_PRINT_H
#define PIPIT_CLI_EXPLAIN_PRINT_H

struct json_t;

// As trial/explain.h describes it. was_rejected: why the message is in the quarantine, or NULL.
void explain_print(const struct json_t *explanation, const char *was_rejected);

#endif
