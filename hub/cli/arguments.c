#include "cli/arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"

#define OPTIONS_MAX        64 // Rows in one command's table.
#define CHOICES_BESIDE_MAX 50 // Longer lists of choices stand behind the sentence.
#define USAGE_TEXT_MAX     2000

static void option_explain(const struct option_spec *row)
{
    static const char *const kinds[] = {"", "N", "SIZE", "DURATION", "TEXT", "TEXT", "PATH", ""};
    char left[64], allowed[160] = "";
    bool is_long = row->type == OPTION_ENUM && strlen(row->choices) > CHOICES_BESIDE_MAX;
    snprintf(left, sizeof(left), "--%s %s", row->name,
             is_long                    ? "WHICH"
             : row->type == OPTION_ENUM ? row->choices
                                        : kinds[row->type]);
    printf("  %-26s %s", left, row->sentence);
    if (is_long) {
        printf(" (%s)", row->choices);
    }
    if (row->type == OPTION_INT && (row->min != 0 || row->max != 0)) {
        option_allowed(row, allowed, sizeof(allowed));
        printf(" (%s)", allowed);
    }
    if (row->is_required) {
        printf(" (required)");
    } else if (row->default_text != NULL && row->type != OPTION_BOOL) {
        printf(" (default %s)", row->default_text);
    }
    printf("\n");
}

static void usage_print(const struct usage *usage)
{
    printf("Usage: pipit %s %s\n\n%s\n", usage->name, usage->synopsis, usage->about);
    for (const struct option_spec *row = usage->options; row->name != NULL; row++) {
        option_explain(row);
    }
    printf("  %-26s %s\n", "--help", "This text.");
    if (usage->more != NULL) {
        printf("\n%s", usage->more);
    }
}

int usage_fail(const struct usage *usage, const char *format, ...)
{
    char text[USAGE_TEXT_MAX];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    fprintf(stderr, "pipit %s: ", usage->name);
    terminal_put(stderr, text);
    fprintf(stderr, "\nTry: pipit %s --help\n", usage->name);
    return EXIT_USAGE;
}

static int option_unknown(const struct usage *usage, const char *name)
{
    const char *names[OPTIONS_MAX + 1] = {NULL};
    size_t count = 0;
    for (const struct option_spec *row = usage->options; row->name != NULL; row++) {
        if (count < OPTIONS_MAX) {
            names[count++] = row->name;
        }
    }
    const char *near = nearest_name(name, names);
    return near == NULL ? usage_fail(usage, "unknown option --%s", name)
                        : usage_fail(usage, "unknown option --%s; did you mean --%s?", name, near);
}

// Reads the option at argv[*at], and moves *at to the last word it used.
static int option_read(struct arguments *arguments, const struct usage *usage, int argc,
                       char **argv, int *at)
{
    char name[64];
    const char *text = strcmp(argv[*at], "-c") == 0 ? "config" : argv[*at] + 2;
    const char *value = strchr(text, '=');
    size_t len = value == NULL ? strlen(text) : (size_t)(value - text);
    snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name) - 1), text);
    const struct option_spec *row = option_find(usage->options, name);
    if (row == NULL) {
        return option_unknown(usage, name);
    }
    if (value != NULL) {
        value++;
    } else if (row->type == OPTION_BOOL) {
        value = "true";
    } else if (*at + 1 < argc) {
        value = argv[++*at];
    } else {
        return usage_fail(usage, "--%s needs a value", name);
    }
    struct error e = {0};
    if (options_set(arguments->options, name, value, &e) != ERR_OK) {
        return usage_fail(usage, "--%s", e.text); // It begins with the name.
    }
    return -1;
}

static int arguments_read(struct arguments *arguments, const struct usage *usage, int argc,
                          char **argv)
{
    bool is_open = true; // No -- seen yet.
    for (int i = 1; i < argc; i++) {
        if (is_open && strcmp(argv[i], "--") == 0) {
            is_open = false;
        } else if (is_open && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            usage_print(usage);
            return EXIT_OK;
        } else if (is_open && (strncmp(argv[i], "--", 2) == 0 || strcmp(argv[i], "-c") == 0)) {
            int rc = option_read(arguments, usage, argc, argv, &i);
            if (rc != -1) {
                return rc;
            }
        } else {
            arguments->words[arguments->word_count++] = argv[i];
        }
    }
    for (const struct option_spec *row = usage->options; row->name != NULL; row++) {
        if (row->is_required && !options_is_set(arguments->options, row->name)) {
            return usage_fail(usage, "--%s is required: %s", row->name, row->sentence);
        }
    }
    return -1;
}

int arguments_init(struct arguments *arguments, const struct usage *usage, int argc, char **argv)
{
    memset(arguments, 0, sizeof(*arguments));
    arguments->options = options_create(usage->options);
    arguments->words = calloc((size_t)argc + 1, sizeof(arguments->words[0]));
    int rc = EXIT_FAILED;
    if (arguments->options == NULL || arguments->words == NULL) {
        fprintf(stderr, "pipit %s: out of memory\n", usage->name);
    } else {
        rc = arguments_read(arguments, usage, argc, argv);
    }
    if (rc != -1) {
        arguments_deinit(arguments);
    }
    return rc;
}

void arguments_deinit(struct arguments *arguments)
{
    options_destroy(arguments->options);
    free(arguments->words);
    memset(arguments, 0, sizeof(*arguments));
}
