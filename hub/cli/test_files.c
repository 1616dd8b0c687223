#include "cli/test_files.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *join(const char *folder, const char *name)
{
    size_t len = strlen(folder);
    const char *slash = len > 0 && folder[len - 1] != '/' ? "/" : "";
    size_t size = len + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) {
        snprintf(path, size, "%s%s%s", folder, slash, name);
    }
    return path;
}

// "a/b/c.yaml" -> "a/b/", "c.yaml" -> "".
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strndup(path, slash == NULL ? 0 : (size_t)(slash + 1 - path));
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory");
}

// Takes cases.
static enum err add(struct test_files *files, const char *config, char *cases, struct error *e)
{
    char *folder = cases == NULL ? NULL : folder_of(cases);
    char *beside = folder == NULL   ? NULL
                   : config != NULL ? strdup(config)
                                    : join(folder, "hub.yaml");
    struct test_file *more = reallocarray(files->files, files->count + 1, sizeof(files->files[0]));
    free(folder);
    files->files = more == NULL ? files->files : more;
    if (cases == NULL || beside == NULL || more == NULL) {
        free(cases);
        free(beside);
        return no_memory(e);
    }
    files->files[files->count++] = (struct test_file){beside, cases};
    if (files->count > TEST_FILES_MAX) {
        return error_set(e, ERR_FULL, "more than %d files of cases", TEST_FILES_MAX);
    }
    return ERR_OK;
}

static int is_cases(const struct dirent *entry)
{
    return strcmp(entry->d_name, "cases.yaml") == 0 ||
           fnmatch("*.cases.yaml", entry->d_name, FNM_PERIOD) == 0;
}

static enum err add_folder(struct test_files *files, const char *config, const char *folder,
                           struct error *e)
{
    struct dirent **entries = NULL;
    int count = scandir(folder[0] == '\0' ? "." : folder, &entries, is_cases, alphasort);
    if (count < 0) {
        return error_set(e, ERR_NOT_FOUND, "%s: %s", folder, strerror(errno));
    }
    enum err rc = ERR_OK;
    if (count == 0) {
        rc = error_set(e, ERR_NOT_FOUND,
                       "%s: holds no cases; they are in cases.yaml or "
                       "<name>.cases.yaml",
                       folder[0] == '\0' ? "." : folder);
    }
    for (int i = 0; i < count; i++) {
        rc = rc == ERR_OK ? add(files, config, join(folder, entries[i]->d_name), e) : rc;
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static enum err add_word(struct test_files *files, const char *config, const char *word,
                         struct error *e)
{
    struct stat status;
    if (stat(word, &status) != 0) {
        return error_set(e, ERR_NOT_FOUND, "%s: %s", word, strerror(errno));
    }
    return S_ISDIR(status.st_mode) ? add_folder(files, config, word, e)
                                   : add(files, config, strdup(word), e);
}

enum err test_files_find(struct test_files *out_files, const char *config, char **words, int count,
                         struct error *e)
{
    struct test_files files = {0};
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < count; i++) {
        rc = add_word(&files, config, words[i], e);
    }
    if (count == 0) {
        char *folder = folder_of(config == NULL ? "" : config);
        rc = folder == NULL ? no_memory(e) : add_folder(&files, config, folder, e);
        free(folder);
    }
    if (rc == ERR_OK) {
        *out_files = files;
    } else {
        test_files_free(&files);
    }
    return rc;
}

void test_files_free(struct test_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->files[i].config);
        free(files->files[i].cases);
    }
    free(files->files);
    *files = (struct test_files){0};
}
