#include "config/expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

struct expansion {
    struct reader *reader;
    const struct node *node;
    const char *what;
    FILE *out;
    bool is_failed;
};

// The problem stands where the "${" does.
static void expansion_problem(struct expansion *expansion, const char *at, const char *text)
{
    size_t offset = (size_t)(at - expansion->node->text);
    expansion->is_failed = true;
    reader_problem(expansion->reader,
                   document_locate(expansion->reader->document, expansion->node, offset), "%s: %s",
                   expansion->what, text);
}

static void env_expand(struct expansion *expansion, const char *at, const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        char text[200];
        snprintf(text, sizeof(text), "the environment has no variable %.80s", name);
        expansion_problem(expansion, at, text);
        return;
    }
    fputs(value, expansion->out);
}

static void file_expand(struct expansion *expansion, const char *at, const char *name)
{
    const char *path = reader_path(expansion->reader, name);
    char *text = NULL;
    size_t len = 0;
    struct error e = {0};
    if (path == NULL) {
        expansion->is_failed = true;
        return;
    }
    if (file_read(path, OPTION_TEXT_MAX, &text, &len, &e) != ERR_OK) {
        expansion_problem(expansion, at, e.text);
        return;
    }
    size_t end = len;
    if (end > 0 && text[end - 1] == '\n') {
        end--;
    }
    if (end > 0 && end < len && text[end - 1] == '\r') {
        end--;
    }
    if (memchr(text, '\0', end) != NULL) {
        char why[300];
        snprintf(why, sizeof(why), "%.200s: holds a NUL byte, which no text may", path);
        expansion_problem(expansion, at, why);
    } else {
        fwrite(text, 1, end, expansion->out);
    }
    explicit_bzero(text, len);
    free(text);
}

// At "${"; gives what follows the "}".
static const char *one_expand(struct expansion *expansion, const char *at)
{
    const char *close = strchr(at, '}');
    const char *colon = strchr(at, ':');
    if (close == NULL || colon == NULL || colon > close) {
        expansion_problem(expansion, at,
                          "'${' must be ${env:NAME} or ${file:PATH}; for a plain '${' write '$${'");
        return at + strlen(at);
    }
    const char *end = close + 1;
    char *kind = arena_text(expansion->reader->arena, at + 2, (size_t)(colon - at - 2));
    char *name = arena_text(expansion->reader->arena, colon + 1, (size_t)(close - colon - 1));
    if (kind == NULL || name == NULL) {
        expansion->is_failed = true;
    } else if (strcmp(kind, "env") == 0) {
        env_expand(expansion, at, name);
    } else if (strcmp(kind, "file") == 0) {
        file_expand(expansion, at, name);
    } else {
        expansion_problem(expansion, at,
                          "'${' must be ${env:NAME} or ${file:PATH}; for a plain '${' write '$${'");
    }
    return end;
}

static void text_write(struct expansion *expansion)
{
    const char *at = expansion->node->text;
    while (*at != '\0') {
        if (strncmp(at, "$${", 3) == 0) {
            fputs("${", expansion->out);
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            at = one_expand(expansion, at);
        } else {
            fputc(*at++, expansion->out);
        }
    }
}

const char *text_expand(struct reader *reader, const struct node *node, const char *what)
{
    if (strstr(node->text, "${") == NULL) {
        return node->text;
    }
    char *buffer = NULL;
    size_t len = 0;
    struct expansion expansion = {reader, node, what, open_memstream(&buffer, &len), false};
    if (expansion.out == NULL) {
        expansion_problem(&expansion, node->text, "out of memory");
        return NULL;
    }
    text_write(&expansion);
    const char *text = NULL;
    if (fclose(expansion.out) == 0 && !expansion.is_failed) {
        text = arena_text(reader->arena, buffer, len);
    }
    if (buffer != NULL) {
        explicit_bzero(buffer, len);
    }
    free(buffer);
    return text;
}
