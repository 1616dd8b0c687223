#include "core/notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void notes_deinit(struct notes *notes)
{
    for (uint32_t i = 0; i < notes->count; i++) {
        free(notes->texts[i]);
    }
    free(notes->texts);
    *notes = (struct notes){0};
}

void notes_add(struct notes *notes, const char *format, ...)
{
    char text[NOTE_BYTES_MAX + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (notes->texts == NULL) {
        notes->texts = calloc(NOTES_MAX, sizeof(notes->texts[0]));
    }
    char *copy = notes->texts == NULL || notes->count == NOTES_MAX ? NULL : strdup(text);
    if (copy == NULL) {
        notes->left_out++;
    } else {
        notes->texts[notes->count++] = copy;
    }
}
