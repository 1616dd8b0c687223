#include "cli/test_report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"
#include "cli/test_junit.h"

// Everything is kept as JSON: {"passed": ..., "failed": ..., "files": [{"file": ..., "cases":
// [...]}]}.
struct test_report {
    bool is_json;
    uint32_t passed, failed;
    json_t *files, *cases; // cases: of the file that is under way.
    char *path;
};

struct test_report *test_report_create(bool is_json)
{
    struct test_report *report = calloc(1, sizeof(*report));
    if (report != NULL) {
        report->is_json = is_json;
        report->files = json_array();
    }
    return report;
}

void test_report_destroy(struct test_report *report)
{
    if (report != NULL) {
        json_decref(report->files);
        free(report->path);
        free(report);
    }
}

void test_report_file(struct test_report *report, const char *path)
{
    json_t *file = json_pack("{s:s, s:[]}", "file", path, "cases");
    report->cases = json_object_get(file, "cases");
    json_array_append_new(report->files, file);
    free(report->path);
    report->path = strdup(path);
    if (!report->is_json) {
        printf("%s%s%s\n", terminal_colour(stdout, COLOUR_BOLD), path,
               terminal_colour(stdout, COLOUR_NONE));
    }
}

static json_t *fault_json(const struct case_fault *fault)
{
    json_t *json = json_pack("{s:I, s:I, s:s}", "line", (json_int_t)fault->at.line, "column",
                             (json_int_t)fault->at.column, "what", fault->sentence);
    if (json != NULL && fault->expected != NULL) {
        json_object_set_new(json, "expected", json_string(fault->expected));
    }
    if (json != NULL && fault->got != NULL) {
        json_object_set_new(json, "got", json_string(fault->got));
    }
    return json;
}

static uint32_t shown_faults(const struct case_result *result)
{
    return result->fault_count < CASE_FAULTS_MAX ? result->fault_count : CASE_FAULTS_MAX;
}

static void keep(struct test_report *report, const struct case_result *result, int64_t took_us)
{
    json_t *json = json_pack("{s:s, s:b, s:I, s:I, s:I, s:[]}", "name", result->spec->name,
                             "passed", result->fault_count == 0, "took_us", (json_int_t)took_us,
                             "events", (json_int_t)result->events, "deliveries",
                             (json_int_t)result->deliveries, "faults");
    for (uint32_t i = 0; i < shown_faults(result); i++) {
        json_array_append_new(json_object_get(json, "faults"), fault_json(&result->faults[i]));
    }
    json_array_append_new(report->cases, json);
}

// Columns, not bytes, so that the mark stands under its letter.
static size_t columns_before_difference(const char *expected, const char *got)
{
    size_t columns = 0;
    for (size_t i = 0; expected[i] != '\0' && expected[i] == got[i]; i++) {
        columns += ((unsigned char)expected[i] & 0xC0) != 0x80;
    }
    return columns;
}

static void fault_print(const struct test_report *report, const struct case_fault *fault)
{
    const char *plain = terminal_colour(stdout, COLOUR_NONE);
    printf("        %s:%" PRIu32 ":%" PRIu32 ": %s\n", report->path, fault->at.line,
           fault->at.column, fault->sentence);
    if (fault->expected != NULL) {
        printf("          expected  %s%s%s\n", terminal_colour(stdout, COLOUR_GREEN),
               fault->expected, plain);
    }
    if (fault->got != NULL) {
        printf("          got       %s%s%s\n", terminal_colour(stdout, COLOUR_RED), fault->got,
               plain);
    }
    if (fault->expected != NULL && fault->got != NULL && strcmp(fault->expected, fault->got) != 0) {
        printf("                    %*s^\n",
               (int)columns_before_difference(fault->expected, fault->got), "");
    }
}

void test_report_case(struct test_report *report, const struct case_result *result, int64_t took_us)
{
    bool is_passed = result->fault_count == 0;
    report->passed += is_passed;
    report->failed += !is_passed;
    keep(report, result, took_us);
    if (report->is_json) {
        return;
    }
    printf("  %s%s%s  %s\n", terminal_colour(stdout, is_passed ? COLOUR_GREEN : COLOUR_RED),
           is_passed ? "ok  " : "FAIL", terminal_colour(stdout, COLOUR_NONE), result->spec->name);
    for (uint32_t i = 0; i < shown_faults(result); i++) {
        fault_print(report, &result->faults[i]);
    }
    if (result->fault_count > CASE_FAULTS_MAX) {
        printf("        and %" PRIu32 " more\n", result->fault_count - CASE_FAULTS_MAX);
    }
}

void test_report_end(struct test_report *report)
{
    if (report->is_json) {
        json_t *json = json_pack("{s:I, s:I, s:O}", "passed", (json_int_t)report->passed, "failed",
                                 (json_int_t)report->failed, "files", report->files);
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
        return;
    }
    printf("%s%" PRIu32 " passed, %" PRIu32 " failed%s\n",
           terminal_colour(stdout, report->failed == 0 ? COLOUR_GREEN : COLOUR_RED), report->passed,
           report->failed, terminal_colour(stdout, COLOUR_NONE));
}

uint32_t test_report_passed(const struct test_report *report)
{
    return report->passed;
}

uint32_t test_report_failed(const struct test_report *report)
{
    return report->failed;
}

enum err test_report_junit(const struct test_report *report, const char *path, struct error *e)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (file == NULL) {
        return error_set(e, ERR_IO, "%s: %s", path, strerror(errno));
    }
    junit_write(file, report->files);
    bool is_bad = ferror(file) != 0;
    is_bad = (file == stdout ? fflush(file) : fclose(file)) != 0 || is_bad;
    return is_bad ? error_set(e, ERR_IO, "%s: %s", path, strerror(errno)) : ERR_OK;
}
