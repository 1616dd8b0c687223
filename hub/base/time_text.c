#include "base/time_text.h"

#include <stdio.h>

#define DAY_MS       86400000
#define EPOCH_DAY    719468 // Days from March 1st of the year 0 to 1970-01-01.
#define DAYS_400     146097 // Of 400 years.
#define OFFSET_MAX_M (23 * 60 + 59)

// The day of the (proleptic Gregorian) calendar: years begin in March, so that the leap day is the
// last one.
static int64_t day_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * DAYS_400 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAY;
}

static int64_t days_in(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

// The next digits and what stands behind them; end '\0': nothing needs to.
static bool take_number(struct bytes *rest, size_t digits, char end, int64_t *out_number)
{
    size_t len = digits + (end == '\0' ? 0 : 1);
    int64_t number = 0;
    if (rest->len < len || (end != '\0' && rest->ptr[digits] != (uint8_t)end)) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9') {
            return false;
        }
        number = number * 10 + (rest->ptr[i] - '0');
    }
    *rest = bytes_of(rest->ptr + len, rest->len - len);
    *out_number = number;
    return true;
}

static bool take_fraction(struct bytes *rest, int64_t *out_ms)
{
    int64_t scale = 100;
    size_t digits = 0;
    *out_ms = 0;
    if (rest->len == 0 || rest->ptr[0] != '.') {
        return true;
    }
    *rest = bytes_of(rest->ptr + 1, rest->len - 1);
    while (rest->len > 0 && rest->ptr[0] >= '0' && rest->ptr[0] <= '9') {
        *out_ms += (rest->ptr[0] - '0') * scale;
        scale /= 10;
        digits++;
        *rest = bytes_of(rest->ptr + 1, rest->len - 1);
    }
    return digits > 0;
}

static bool take_offset(struct bytes *rest, int64_t *out_minutes)
{
    int64_t hours, minutes;
    if (rest->len == 1 && (rest->ptr[0] | 0x20) == 'z') {
        *out_minutes = 0;
        return true;
    }
    if (rest->len != 6 || (rest->ptr[0] != '+' && rest->ptr[0] != '-')) {
        return false;
    }
    bool is_west = rest->ptr[0] == '-';
    *rest = bytes_of(rest->ptr + 1, 5);
    if (!take_number(rest, 2, ':', &hours) || !take_number(rest, 2, '\0', &minutes) ||
        minutes > 59 || hours * 60 + minutes > OFFSET_MAX_M) {
        return false;
    }
    *out_minutes = (is_west ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

static bool take_day(struct bytes *rest, int64_t *out_day)
{
    int64_t year, month, day;
    if (!take_number(rest, 4, '-', &year) || !take_number(rest, 2, '-', &month) ||
        !take_number(rest, 2, '\0', &day) || month < 1 || month > 12 || day < 1 ||
        day > days_in(year, month)) {
        return false;
    }
    *out_day = day_of(year, month, day);
    return true;
}

bool time_text_read(struct bytes text, int64_t *out_ms)
{
    int64_t day, hour, minute, second, fraction, offset;
    if (!take_day(&text, &day) || text.len == 0 ||
        ((text.ptr[0] | 0x20) != 't' && text.ptr[0] != ' ')) {
        return false;
    }
    text = bytes_of(text.ptr + 1, text.len - 1);
    if (!take_number(&text, 2, ':', &hour) || !take_number(&text, 2, ':', &minute) ||
        !take_number(&text, 2, '\0', &second) || !take_fraction(&text, &fraction) ||
        !take_offset(&text, &offset)) {
        return false;
    }
    if (hour > 23 || minute > 59 || second > 60) { // 60: a leap second.
        return false;
    }
    *out_ms = day * DAY_MS + ((hour * 60 + minute - offset) * 60 + second) * 1000 + fraction;
    return true;
}

void time_text_write(int64_t ms, char out_text[TIME_TEXT_BYTES])
{
    ms = ms < 0 ? 0 : ms > TIME_TEXT_MAX_MS ? TIME_TEXT_MAX_MS : ms;
    int64_t day = ms / DAY_MS + EPOCH_DAY;
    int64_t era = day / DAYS_400, of_era = day % DAYS_400;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    int64_t of_month = of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    year += era * 400 + (month <= 2);
    int64_t of_day = ms % DAY_MS;
    // All of them are within their digits; the rest says so to the compiler.
    snprintf(out_text, TIME_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)year % 10000, (unsigned)month % 100, (unsigned)of_month % 100,
             (unsigned)(of_day / 3600000) % 100, (unsigned)(of_day / 60000) % 60,
             (unsigned)(of_day / 1000) % 60, (unsigned)of_day % 1000);
}

#define UNIT_COUNT 5

static const struct {
    const char *name;
    int64_t ms;
} units[UNIT_COUNT] = {{"d", DAY_MS}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};

int64_t duration_unit_ms(struct bytes name)
{
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (bytes_equal(name, bytes_from_text(units[i].name))) {
            return units[i].ms;
        }
    }
    return 0;
}

char *duration_text_write(int64_t ms, char out_text[DURATION_TEXT_BYTES])
{
    size_t i = 0;
    while (ms % units[i].ms != 0) {
        i++;
    }
    snprintf(out_text, DURATION_TEXT_BYTES, "%lld %s", (long long)(ms / units[i].ms),
             units[i].name);
    return out_text;
}
