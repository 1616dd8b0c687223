// config_support.h - a folder with a configuration in it, loaded, and its faults as one text.
#ifndef TESTS_UNIT_HUB_CONFIG_SUPPORT_H
#define TESTS_UNIT_HUB_CONFIG_SUPPORT_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

static const struct option_spec test_source_options[] = {
    {"url", OPTION_TEXT, true, NULL, 0, 0, NULL, "Where the broker is."},
    {"ca", OPTION_PATH, false, NULL, 0, 0, NULL, "Certificates to trust."},
    {"username", OPTION_TEXT, false, NULL, 0, 0, NULL, "Who the hub is."},
    {"password", OPTION_SECRET, false, NULL, 0, 0, NULL, "What it knows."},
    {"priority", OPTION_INT, false, "0", 0, 9, NULL, "Higher is read first."},
    {"ack_before_commit", OPTION_BOOL, false, "false", 0, 0, NULL, "Test only."},
    {NULL},
};

struct folder {
    char path[64];      // Of the folder, with its final slash.
    char config[80];    // Of hub.yaml in it.
    char faults[20000]; // "line:column: text", a line each.
    unsigned fault_count;
};

static inline void folder_write(struct folder *folder, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof(path), "%s%s", folder->path, name);
    FILE *file = fopen(path, "wb");
    assert(file != NULL);
    fputs(text, file);
    assert(fclose(file) == 0);
}

static inline void folder_create(struct folder *folder)
{
    memset(folder, 0, sizeof(*folder));
    snprintf(folder->path, sizeof(folder->path), "/tmp/pipit-config-XXXXXX");
    assert(mkdtemp(folder->path) != NULL);
    strcat(folder->path, "/");
    snprintf(folder->config, sizeof(folder->config), "%shub.yaml", folder->path);
}

static inline void folder_destroy(struct folder *folder)
{
    static const char *const names[] = {"hub.yaml", "other.yaml", "secret", "ca.pem"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[160];
        snprintf(path, sizeof(path), "%s%s", folder->path, names[i]);
        unlink(path);
    }
    rmdir(folder->path);
}

// The path before the position is the same in all and left out.
static inline void folder_collect(void *context, const struct error *error)
{
    struct folder *folder = context;
    const char *text = error->text;
    size_t len = strlen(folder->config);
    text += strncmp(text, folder->config, len) == 0 ? len + 1 : 0;
    size_t at = strlen(folder->faults);
    snprintf(folder->faults + at, sizeof(folder->faults) - at, "%s%s", at == 0 ? "" : "\n", text);
    folder->fault_count++;
}

// NULL when it was refused; then folder->faults says why.
static inline struct config *folder_load(struct folder *folder, const char *yaml)
{
    folder_write(folder, "hub.yaml", yaml);
    folder->faults[0] = '\0';
    folder->fault_count = 0;
    struct config *config = NULL;
    struct error e = {0};
    enum err rc =
        config_load(&config, folder->config, test_source_options, folder_collect, folder, &e);
    assert((rc == ERR_OK) == (config != NULL));
    assert((rc == ERR_OK) == (folder->fault_count == 0));
    return config;
}

#define GOOD_HUB     "hub: {id: h, store: h.db}\n"
#define GOOD_SOURCES "sources: {s: {mqtt: {url: u}, topics: [\"a/#\"]}}\n"
#define GOOD_TARGETS "targets: {bus: {mqtt: {url: \"mqtt://127.0.0.1:1\"}}}\n"
#define GOOD_TOP     GOOD_HUB GOOD_SOURCES GOOD_TARGETS // Three lines.

#endif
