// test_report.h - what `pipit test` says: lines for people, JUnit's XML, JSON.
//
// Threads:   one.
//
// Ownership: the report copies what it is given.
//
// Failure:   test_report_junit tells it on standard error.
#ifndef PIPIT_CLI_TEST_REPORT_H
#define PIPIT_CLI_TEST_REPORT_H

#include "trial/case_run.h"

struct test_report;

struct test_report *test_report_create(bool is_json); // NULL without memory.
void test_report_destroy(struct test_report *report); // NULL is fine.

// The cases that follow are of this file.
void test_report_file(struct test_report *report, const char *path);
void test_report_case(struct test_report *report, const struct case_result *result,
                      int64_t took_us);
// The last line, or all of the JSON.
void test_report_end(struct test_report *report);

uint32_t test_report_passed(const struct test_report *report);
uint32_t test_report_failed(const struct test_report *report);

// All of it as JUnit XML into a file; "-": standard output.
enum err test_report_junit(const struct test_report *report, const char *path, struct error *e);

#endif
