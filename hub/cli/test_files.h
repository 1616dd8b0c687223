// test_files.h - which files of cases `pipit test` runs, and with which configuration.
//
// Threads:   one.
//
// Ownership: the list owns its paths.
//
// Failure:   a sentence for people.
#ifndef PIPIT_CLI_TEST_FILES_H
#define PIPIT_CLI_TEST_FILES_H

#include <stddef.h>

#include "base/error.h"

#define TEST_FILES_MAX 10000

struct test_file {
    char *config, *cases;
};

struct test_files {
    struct test_file *files; // In the order given; of a folder by name.
    size_t count;
};

// A word is a file of cases, or a folder that holds some (cases.yaml, *.cases.yaml). They run with
// the configuration given, else with the hub.yaml beside them. No words: the folder of the
// configuration. ERR_NOT_FOUND: there is nothing to run.
enum err test_files_find(struct test_files *out_files, const char *config, char **words, int count,
                         struct error *e);
void test_files_free(struct test_files *files);

#endif
