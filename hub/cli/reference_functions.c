// reference_functions.c - the functions that SQL in a configuration may call.
#include <stdio.h>

#include "cli/reference.h"
#include "core/function_list.h"

static const struct {
    enum function_kind kind;
    const char *heading, *about;
} kinds[] = {
    {FUNCTION_EVENT, "SQL functions: the event at hand", "Of the event that a rule looks at."},
    {FUNCTION_MEMORY, "SQL functions: from event to event",
     "They remember in the store, by default per device (else per topic), what came before; in "
     "rules without a window."},
    {FUNCTION_AGGREGATE, "SQL functions: over rows",
     "Aggregates beside SQLite's own, for the rows of a window or a table."},
};

static void text_print(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|') {
            putchar('\\');
        }
        putchar(*text);
    }
}

static void kind_print(size_t kind)
{
    printf("\n### %s\n\n%s\n\n| function | what it gives | example |\n|---|---|---|\n",
           kinds[kind].heading, kinds[kind].about);
    for (size_t i = 0; i < function_count; i++) {
        const struct function_info *row = &function_list[i];
        if (row->kind == kinds[kind].kind) {
            printf("| `%s(", row->name);
            text_print(row->arguments);
            printf(")` | ");
            text_print(row->sentence);
            printf(" | `");
            text_print(row->example);
            printf("` |\n");
        }
    }
}

static void group_print(const struct function_group *group)
{
    printf("| %s | ", group->subject);
    for (size_t i = 0; group->names[i] != NULL; i++) {
        printf("%s`%s`", i == 0 ? "" : ", ", group->names[i]);
    }
    printf(" |\n");
}

void functions_print(void)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        kind_print(i);
    }
    printf("\n### SQL functions: SQLite's\n\nThey do what SQLite's documentation says; others may "
           "not be called.\n\n| about | functions |\n|---|---|\n");
    for (size_t i = 0; i < function_group_count; i++) {
        group_print(&function_groups[i]);
    }
}
