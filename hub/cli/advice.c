#include "cli/advice.h"

#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"

#define PLAIN                                                                                      \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%" // For every shell.

// As a shell takes it for one word.
static void word_put(FILE *file, const char *word)
{
    char *quoted = malloc(4 * strlen(word) + 3), *to = quoted;
    if (quoted == NULL || (word[0] != '\0' && word[strspn(word, PLAIN)] == '\0')) {
        terminal_put(file, word);
        free(quoted);
        return;
    }
    *to++ = '\'';
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            memcpy(to, "'\\''", 4);
            to += 4;
        } else {
            *to++ = *word;
        }
    }
    *to++ = '\'';
    *to = '\0';
    terminal_put(file, quoted);
    free(quoted);
}

// How long the command is: "pipit workflow <verb>[ --abandon][ <number>]". 0: this is none.
static size_t command_len(const char *text)
{
    static const char head[] = "pipit workflow ", abandon[] = " --abandon";
    if (strncmp(text, head, sizeof(head) - 1) != 0) {
        return 0;
    }
    size_t len = sizeof(head) - 1;
    size_t verb = strspn(text + len, "abcdefghijklmnopqrstuvwxyz");
    len += verb;
    if (strncmp(text + len, abandon, sizeof(abandon) - 1) == 0) {
        len += sizeof(abandon) - 1;
    }
    size_t digits = text[len] == ' ' ? strspn(text + len + 1, "0123456789") : 0;
    return verb == 0 ? 0 : digits == 0 ? len : len + 1 + digits;
}

void advice_put(FILE *file, const char *text, const char *config_path)
{
    char *copy = strdup(text), *from = copy;
    for (char *at = copy; at != NULL && *at != '\0';) {
        size_t len = command_len(at);
        char after = at[len];
        if (len == 0) {
            at++;
            continue;
        }
        at[len] = '\0';
        terminal_put(file, from);
        fputs(" -c ", file);
        word_put(file, config_path);
        at[len] = after;
        from = at += len;
    }
    terminal_put(file, from == NULL ? "out of memory" : from);
    free(copy);
}
