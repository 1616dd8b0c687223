// test_junit.h - results of cases as JUnit XML, as CI systems read it.
//
// Threads:   one.
//
// Ownership: nothing is kept.
//
// Failure:   shows on the file (ferror).
#ifndef PIPIT_CLI_TEST_JUNIT_H
#define PIPIT_CLI_TEST_JUNIT_H

#include <stdio.h>

struct json_t;

// files: a list of {"file": text, "cases": [{"name", "passed", "took_us", "faults": [{"line",
// "column", "what", "expected", "got"}]}]}.
void junit_write(FILE *file, const struct json_t *files);

#endif
