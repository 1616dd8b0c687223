#define _GNU_SOURCE // timegm, strptime.
#include "cli/moment.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/option.h"

static bool parse_ago(const char *text, int64_t now_ms, int64_t *out_ms)
{
    static const struct option_spec table[] = {
        {"ago", OPTION_DURATION, false, "0", 0, 0, NULL, "How long ago."},
        {NULL},
    };
    const char *end = strstr(text, " ago");
    if (end == NULL || end[4] != '\0' || end == text || end - text > 40) {
        return false;
    }
    char amount[48];
    memcpy(amount, text, (size_t)(end - text));
    amount[end - text] = '\0';
    struct options *options = options_create(table);
    bool is_fine = options != NULL && options_set(options, "ago", amount, NULL) == ERR_OK;
    *out_ms = is_fine ? now_ms - option_int(options, "ago") : 0;
    options_destroy(options);
    return is_fine;
}

// ".5", ".125"; further digits are passed over.
static const char *take_fraction(const char *text, int64_t *out_ms)
{
    int64_t unit = 100;
    *out_ms = 0;
    if (*text != '.' && *text != ',') {
        return text;
    }
    for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10) {
        *out_ms += (*text - '0') * unit;
    }
    return text;
}

// "Z", "+02:00", "-0530"; nothing: local time.
static bool take_zone(const char *text, bool *out_is_local, int64_t *out_offset_s)
{
    *out_is_local = *text == '\0';
    *out_offset_s = 0;
    if (*text == '\0' || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        return true;
    }
    struct tm zone = {0};
    bool has_sign = *text == '+' || *text == '-';
    const char *end =
        has_sign ? strptime(text + 1, strchr(text, ':') ? "%H:%M" : "%H%M", &zone) : NULL;
    *out_offset_s = (*text == '-' ? -1 : 1) * (zone.tm_hour * 3600 + zone.tm_min * 60);
    return end != NULL && *end == '\0';
}

static bool parse_iso(const char *text, int64_t *out_ms)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                        "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm when = {.tm_isdst = -1};
        int64_t ms, offset_s;
        bool is_local;
        const char *end = strptime(text, forms[i], &when);
        if (end == NULL || !take_zone(take_fraction(end, &ms), &is_local, &offset_s)) {
            continue;
        }
        int64_t seconds = is_local ? (int64_t)mktime(&when) : (int64_t)timegm(&when) - offset_s;
        *out_ms = seconds * 1000 + ms;
        return true;
    }
    return false;
}

bool moment_parse(const char *text, int64_t now_ms, int64_t *out_ms)
{
    if (strcmp(text, "now") == 0) {
        *out_ms = now_ms;
        return true;
    }
    return parse_ago(text, now_ms, out_ms) || parse_iso(text, out_ms);
}
