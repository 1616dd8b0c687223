#include "core/topic.h"

#include "base/utf8.h"

static bool is_level(struct bytes level, char wildcard)
{
    return level.len == 1 && level.ptr[0] == (uint8_t)wildcard;
}

static bool has_byte(struct bytes text, char byte)
{
    return text.len > 0 && memchr(text.ptr, byte, text.len) != NULL;
}

bool topic_next_level(struct bytes *rest, struct bytes *out_level)
{
    if (rest->ptr == NULL) {
        return false;
    }
    const uint8_t *slash = rest->len == 0 ? NULL : memchr(rest->ptr, '/', rest->len);
    if (slash == NULL) {
        *out_level = *rest;
        *rest = bytes_of(NULL, 0);
        return true;
    }
    size_t len = (size_t)(slash - rest->ptr);
    *out_level = bytes_of(rest->ptr, len);
    *rest = bytes_of(slash + 1, rest->len - len - 1);
    return true;
}

// What brokers refuse in a topic even though it is UTF-8 [MQTT-1.5.4].
static bool is_refused(uint32_t code_point)
{
    bool is_control = code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F);
    bool is_no_character =
        (code_point >= 0xFDD0 && code_point <= 0xFDEF) || (code_point & 0xFFFE) == 0xFFFE;
    return is_control || is_no_character;
}

static const char *text_problem(struct bytes text)
{
    if (text.len == 0) {
        return "is empty";
    }
    if (text.len > TOPIC_BYTES_MAX) {
        return "is longer than 65535 bytes";
    }
    for (size_t at = 0; at < text.len;) {
        if (text.ptr[at] >= 0x20 && text.ptr[at] < 0x7F) { // As nearly all of a topic is.
            at++;
            continue;
        }
        uint32_t code_point;
        size_t len = utf8_decode(bytes_of(text.ptr + at, text.len - at), &code_point);
        if (len == 0) {
            return "is not valid UTF-8";
        }
        if (is_refused(code_point)) {
            return code_point == 0 ? "holds a NUL character" : "holds a control character";
        }
        at += len;
    }
    return NULL;
}

const char *topic_problem(struct bytes topic)
{
    const char *problem = text_problem(topic);
    if (problem != NULL) {
        return problem;
    }
    if (has_byte(topic, '+')) {
        return "holds the wildcard +";
    }
    return has_byte(topic, '#') ? "holds the wildcard #" : NULL;
}

bool topic_is_valid(struct bytes topic)
{
    return topic_problem(topic) == NULL;
}

const char *topic_filter_problem(struct bytes filter)
{
    const char *problem = text_problem(filter);
    struct bytes rest = filter, level;
    while (problem == NULL && topic_next_level(&rest, &level)) {
        if (has_byte(level, '+') && !is_level(level, '+')) {
            problem = "has a + that does not stand alone between slashes";
        } else if (has_byte(level, '#') && !is_level(level, '#')) {
            problem = "has a # that does not stand alone after a slash";
        } else if (is_level(level, '#') && rest.ptr != NULL) {
            problem = "has a # that is not its last level";
        }
    }
    return problem;
}

bool topic_filter_matches(struct bytes filter, struct bytes topic)
{
    if (topic.len > 0 && topic.ptr[0] == '$' && filter.len > 0 &&
        (filter.ptr[0] == '+' || filter.ptr[0] == '#')) {
        return false;
    }
    struct bytes want, have;
    while (topic_next_level(&filter, &want)) {
        if (is_level(want, '#')) {
            return true;
        }
        if (!topic_next_level(&topic, &have)) {
            return false;
        }
        if (!is_level(want, '+') && !bytes_equal(want, have)) {
            return false;
        }
    }
    return topic.ptr == NULL;
}

static bool starts_with_wildcard(struct bytes filter)
{
    return filter.len > 0 && (filter.ptr[0] == '+' || filter.ptr[0] == '#');
}

static bool starts_with_dollar(struct bytes filter)
{
    return filter.len > 0 && filter.ptr[0] == '$';
}

bool topic_filters_overlap(struct bytes a, struct bytes b)
{
    if ((starts_with_wildcard(a) && starts_with_dollar(b)) ||
        (starts_with_wildcard(b) && starts_with_dollar(a))) {
        return false;
    }
    struct bytes level_a, level_b;
    for (;;) {
        bool has_a = topic_next_level(&a, &level_a), has_b = topic_next_level(&b, &level_b);
        if ((has_a && is_level(level_a, '#')) || (has_b && is_level(level_b, '#'))) {
            return true; // "x/#" matches "x", too.
        }
        if (!has_a || !has_b) {
            return has_a == has_b;
        }
        if (!is_level(level_a, '+') && !is_level(level_b, '+') && !bytes_equal(level_a, level_b)) {
            return false;
        }
    }
}

static bool is_wild(struct bytes filter)
{
    return filter.len > 0 && (filter.ptr[0] == '+' || filter.ptr[0] == '#');
}

// Topics that begin with $ are not for filters that begin with a wildcard [MQTT-4.7.2-1].
static bool is_apart(struct bytes filter, struct bytes wild)
{
    return filter.len > 0 && filter.ptr[0] == '$' && is_wild(wild);
}

// "+/#" is every topic, and so "#".
static struct bytes plain(struct bytes filter)
{
    return bytes_equal(filter, bytes_from_text("+/#")) ? bytes_of("#", 1) : filter;
}

bool topic_filter_covers(struct bytes wide, struct bytes narrow)
{
    wide = plain(wide);
    narrow = plain(narrow);
    if (is_apart(narrow, wide)) {
        return false;
    }
    struct bytes want, have;
    while (topic_next_level(&wide, &want)) {
        if (is_level(want, '#')) {
            return true;
        }
        if (!topic_next_level(&narrow, &have) || is_level(have, '#')) {
            return false;
        }
        if (!is_level(want, '+') && !bytes_equal(want, have)) {
            return false;
        }
    }
    return narrow.ptr == NULL;
}

struct joined {
    char *text;
    size_t len;
    uint32_t levels;
};

static void add_level(struct joined *joined, struct bytes level)
{
    if (joined->levels++ > 0) {
        joined->text[joined->len++] = '/';
    }
    if (level.len > 0) {
        memcpy(joined->text + joined->len, level.ptr, level.len);
    }
    joined->len += level.len;
}

// Where a filter is while its levels are walked.
struct walk {
    struct bytes rest, level;
    bool is_over;
};

static void walk_on(struct walk *walk)
{
    walk->is_over = !topic_next_level(&walk->rest, &walk->level);
}

static bool is_open(const struct walk *walk)
{
    return !walk->is_over && is_level(walk->level, '#');
}

static void add_rest(struct joined *joined, struct walk *walk)
{
    while (!walk->is_over) {
        add_level(joined, walk->level);
        walk_on(walk);
    }
}

size_t topic_filter_common(struct bytes a, struct bytes b, char *out_filter)
{
    struct joined joined = {.text = out_filter};
    struct walk left = {.rest = a}, right = {.rest = b};
    walk_on(&left);
    walk_on(&right);
    bool is_none = is_apart(a, b) || is_apart(b, a);
    while (!is_none && !left.is_over && !right.is_over && !is_open(&left) && !is_open(&right)) {
        bool is_left_wild = is_level(left.level, '+'), is_right_wild = is_level(right.level, '+');
        is_none = !is_left_wild && !is_right_wild && !bytes_equal(left.level, right.level);
        add_level(&joined, is_left_wild ? right.level : left.level);
        walk_on(&left);
        walk_on(&right);
    }
    if (is_open(&left)) {
        add_rest(&joined, &right);
    } else if (is_open(&right)) {
        add_rest(&joined, &left);
    } else {
        is_none = is_none || !left.is_over || !right.is_over;
    }
    return is_none ? 0 : joined.len;
}

bool topic_part(struct bytes topic, uint32_t n, struct bytes *out_part)
{
    struct bytes level;
    while (n > 0 && topic_next_level(&topic, &level)) {
        if (--n == 0) {
            *out_part = level;
            return true;
        }
    }
    return false;
}
