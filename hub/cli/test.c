#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/arguments.h"
#include "cli/terminal.h"
#include "cli/test_files.h"
#include "cli/test_report.h"
#include "config/config.h"
#include "intake/source.h"
#include "trial/trial.h"

int test_command(int argc, char **argv);

static const struct option_spec test_options[] = {
    {"config", OPTION_PATH, false, NULL, 0, 0, NULL,
     "The configuration; -c is short for it. Without it the hub.yaml beside the cases."},
    {"only", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only cases with this in their name."},
    {"junit", OPTION_PATH, false, NULL, 0, 0, NULL,
     "Write the results as JUnit XML into this file, too."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL, "One JSON object with all results."},
    {NULL},
};

static const struct usage usage = {
    .name = "test",
    .synopsis = "[-c hub.yaml] [FILE|FOLDER]... [--only NAME] [--junit FILE] [--json]",
    .about =
        "Runs the cases that are kept beside a configuration, in cases.yaml and *.cases.yaml:\n"
        "events in, expected outputs, and the time between them, which takes none: a window of\n"
        "an hour is tested in milliseconds. No broker is needed and no store is touched; each\n"
        "case starts with an empty one.\n"
        "\n"
        "Workflows run with the same clock. What is outside of the hub stands in the case:\n"
        "  answers:   what targets answer to calls, in which order, how late, or never\n"
        "  replies:   what devices reply to commands\n"
        "  instances: how each one is at the end: state, variables, steps, where it waits\n"
        "Without a word about it a target takes what it gets and a device does what it is told,\n"
        "at once; where a step takes something of the answer the case has to say what it is.\n"
        "Events `online`, `offline`, `cancel` and `retry` stand for devices and operators.\n"
        "Every option: `pipit check --reference`.\n",
    .options = test_options,
    .more = "Examples:\n"
            "  pipit test\n"
            "  pipit test -c hub.yaml --only 'late' --junit results.xml\n"
            "  pipit test docs/examples/*\n\n"
            "Exit codes: 0 all passed, 1 some failed, 2 usage, 3 there are faults in a file.\n",
};

static void report_fault(void *context, const struct error *fault)
{
    ++*(uint32_t *)context;
    fprintf(stderr, "%s%s%s\n", terminal_colour(stderr, COLOUR_RED), fault->text,
            terminal_colour(stderr, COLOUR_NONE));
}

// Does all compile? What does not is told with its position. False after that.
static bool compiles(const struct config *config)
{
    struct trial *trial = NULL;
    struct error e = {0};
    uint32_t faults = 0;
    const struct trial_options options = {
        .config = config, .now_ms = CASE_START_MS, .has_workflows = true};
    enum err rc = trial_create(&trial, &options, &e);
    trial_destroy(trial);
    if (rc == ERR_CONFIG) {
        config_check(config, source_check, report_fault, &faults, NULL);
    }
    if (rc != ERR_OK && faults == 0) {
        report_fault(&faults, &e);
    }
    return rc == ERR_OK;
}

struct test_run {
    const char *only; // NULL: all.
    struct test_report *report;
    struct config *config; // The one loaded last.
};

// The same one as for the file before, or another. NULL after its faults have been told.
static const struct config *config_for(struct test_run *run, const char *path)
{
    uint32_t faults = 0;
    struct error e = {0};
    if (run->config != NULL && strcmp(run->config->path, path) == 0) {
        return run->config;
    }
    config_destroy(run->config);
    run->config = NULL;
    if (config_load(&run->config, path, source_options, report_fault, &faults, &e) != ERR_OK) {
        if (faults == 0) {
            report_fault(&faults, &e);
        }
        return NULL;
    }
    return compiles(run->config) ? run->config : NULL;
}

static int run_cases(struct test_run *run, const struct config *config,
                     const struct case_file *file)
{
    test_report_file(run->report, file->path);
    for (uint32_t i = 0; i < file->case_count; i++) {
        struct error e = {0};
        struct case_result result;
        int64_t start_us = clock_monotonic_us();
        if (run->only != NULL && strstr(file->cases[i].name, run->only) == NULL) {
            continue;
        }
        enum err rc = case_run(config, &file->cases[i], &result, &e);
        if (rc == ERR_OK) {
            test_report_case(run->report, &result, clock_monotonic_us() - start_us);
        } else {
            fprintf(stderr, "%s: %s: %s\n", file->path, file->cases[i].name, e.text);
        }
        case_result_deinit(&result);
        if (rc != ERR_OK) {
            return exit_code_of(rc);
        }
    }
    return EXIT_OK;
}

static int run_file(struct test_run *run, const struct test_file *test)
{
    struct case_file *file = NULL;
    struct error e = {0};
    uint32_t faults = 0;
    const struct config *config = config_for(run, test->config);
    if (config == NULL) {
        return EXIT_CONFIGURATION;
    }
    if (case_file_load(&file, test->cases, config, report_fault, &faults, &e) != ERR_OK) {
        if (faults == 0) {
            report_fault(&faults, &e);
        }
        return EXIT_CONFIGURATION;
    }
    int code = run_cases(run, config, file);
    case_file_destroy(file);
    return code;
}

// Faults in files first, for they hide cases.
static int conclude(const struct test_run *run, const char *junit, int code)
{
    struct error e = {0};
    test_report_end(run->report);
    if (junit != NULL && test_report_junit(run->report, junit, &e) != ERR_OK) {
        fprintf(stderr, "pipit test: %s\n", e.text);
        code = code == EXIT_OK ? EXIT_FAILED : code;
    }
    if (code == EXIT_OK && test_report_passed(run->report) + test_report_failed(run->report) == 0) {
        fprintf(stderr, "pipit test: no case has '%s' in its name\n",
                run->only == NULL ? "" : run->only);
        return EXIT_FAILED;
    }
    return code == EXIT_OK && test_report_failed(run->report) > 0 ? EXIT_FAILED : code;
}

static int test(const struct arguments *arguments)
{
    struct error e = {0};
    struct test_files files = {0};
    const struct options *options = arguments->options;
    if (test_files_find(&files, option_text(options, "config"), arguments->words,
                        arguments->word_count, &e) != ERR_OK) {
        fprintf(stderr, "pipit test: %s\n", e.text);
        return EXIT_FAILED;
    }
    struct test_run run = {.only = option_text(options, "only"),
                           .report = test_report_create(option_bool(options, "json"))};
    int code = run.report == NULL ? EXIT_FAILED : EXIT_OK;
    for (size_t i = 0; run.report != NULL && i < files.count; i++) {
        int of_file = run_file(&run, &files.files[i]);
        code = of_file == EXIT_OK ? code : of_file;
    }
    code = run.report == NULL ? code : conclude(&run, option_text(options, "junit"), code);
    test_report_destroy(run.report);
    config_destroy(run.config);
    test_files_free(&files);
    return code;
}

int test_command(int argc, char **argv)
{
    struct arguments arguments;
    int code = arguments_init(&arguments, &usage, argc, argv);
    if (code != -1) {
        return code;
    }
    code = test(&arguments);
    arguments_deinit(&arguments);
    return code;
}
