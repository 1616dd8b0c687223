#include "connectors/http_status.h"

#include <ctype.h>
#include <string.h>

#define SPACES " \t\n,"

static bool is_status(int status)
{
    return status >= HTTP_STATUS_MIN && status <= HTTP_STATUS_MAX;
}

// Three characters: a status, or the class of it such as 5xx. Moves *at behind them.
static bool read_status(const char **at, int *out_first, int *out_last)
{
    const char *text = *at;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    bool is_class = strncmp(text + 1, "xx", 2) == 0;
    if (!is_class && (!isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[2]))) {
        return false;
    }
    int hundreds = 100 * (text[0] - '0');
    int rest = is_class ? 0 : 10 * (text[1] - '0') + text[2] - '0';
    *out_first = hundreds + rest;
    *out_last = hundreds + (is_class ? 99 : rest);
    *at = text + 3;
    return is_status(*out_first) && is_status(*out_last);
}

static bool read_range(const char **at, struct http_status_set *set)
{
    int first, last, end;
    if (!read_status(at, &first, &last)) {
        return false;
    }
    if (**at == '-') {
        (*at)++;
        if (!read_status(at, &end, &last) || end < first) {
            return false;
        }
    }
    for (int status = first; status <= last; status++) {
        set->has[status] = 1;
    }
    return **at == '\0' || strchr(SPACES, **at) != NULL;
}

enum err http_status_parse(const char *text, struct http_status_set *out_set, struct error *e)
{
    struct http_status_set set = {{0}};
    const char *at = text + strspn(text, SPACES);
    while (*at != '\0') {
        if (!read_range(&at, &set)) {
            return error_set(
                e, ERR_CONFIG,
                "'%.80s' is no list of statuses from %d to %d, such as 200-299, 404 or "
                "5xx",
                text, HTTP_STATUS_MIN, HTTP_STATUS_MAX);
        }
        at += strspn(at, SPACES);
    }
    *out_set = set;
    return ERR_OK;
}

bool http_status_has(const struct http_status_set *set, int64_t status)
{
    return status >= 0 && status <= HTTP_STATUS_MAX && set->has[status] != 0;
}
