#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum err_action action;
    const char *text;
} table[] = {
#define ERR_ROW(name, action, text) {#name, ERR_ACTION_##action, text},
    ERR_TABLE(ERR_ROW)
#undef ERR_ROW
};

const char *err_name(enum err code)
{
    return (unsigned)code < ERR_COUNT ? table[code].text : "unknown error";
}

enum err_action err_action(enum err code)
{
    return (unsigned)code < ERR_COUNT ? table[code].action : ERR_ACTION_STOP;
}

enum err error_set(struct error *e, enum err code, const char *format, ...)
{
    if (e != NULL) {
        va_list args;
        va_start(args, format);
        e->code = code;
        e->offset = -1;
        vsnprintf(e->text, sizeof(e->text), format, args);
        va_end(args);
    }
    return code;
}

enum err error_wrap(struct error *e, const char *format, ...)
{
    if (e == NULL) {
        return ERR_INTERNAL;
    }
    char inner[sizeof(e->text)];
    memcpy(inner, e->text, sizeof(inner));
    va_list args;
    va_start(args, format);
    int used = vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    size_t at = used < 0 ? 0 : (size_t)used;
    if (at + 3 < sizeof(e->text)) {
        memcpy(e->text + at, ": ", 2);
        size_t room = sizeof(e->text) - at - 3;
        size_t len = strnlen(inner, room);
        memcpy(e->text + at + 2, inner, len);
        e->text[at + 2 + len] = '\0';
    }
    return e->code;
}
