// What is a topic, what is a filter, and which match [MQTT-4.7].
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/topic.h"
#include "core/topic_trie.h"

static const struct {
    const char *why, *filter, *topic;
    bool want;
} matches[] = {
    {"the same", "a/b", "a/b", true},
    {"case matters", "a/b", "a/B", false},
    {"a prefix is not enough", "a", "a/b", false},
    {"a longer filter does not match", "a/b", "a", false},
    {"+ is one level", "a/+", "a/b", true},
    {"+ is one level only", "a/+", "a/b/c", false},
    {"+ is not nothing", "a/+", "a", false},
    {"+ may be an empty level", "a/+", "a/", true},
    {"+ stands anywhere", "+/b/+", "a/b/c", true},
    {"a leading slash is an empty level", "+/+", "/finance", true},
    {"a leading slash is not left out", "+", "/finance", false},
    {"# takes the rest", "a/#", "a/b/c", true},
    {"# includes the parent", "a/#", "a", true},
    {"# alone takes all", "#", "a/b", true},
    {"# below another", "a/#", "b", false},
    {"a longer name is another level", "a/#", "ab", false},
    {"+ then #", "+/#", "a", true},
    {"wildcards leave $ alone", "#", "$SYS/up", false},
    {"+ leaves $ alone", "+/up", "$SYS/up", false},
    {"$ is matched by its own name", "$SYS/#", "$SYS/up", true},
    {"$ further in is nothing special", "a/+", "a/$b", true},
};

static void filters_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
        bool is_match = topic_filter_matches(bytes_from_text(matches[i].filter),
                                             bytes_from_text(matches[i].topic));
        if (is_match != matches[i].want) {
            fail_msg("%s: %s on %s", matches[i].why, matches[i].filter, matches[i].topic);
        }
    }
}

static void note(void *context, uint32_t id)
{
    uint64_t *seen = context;
    seen[id]++;
}

// All filters of the table in one trie give what they give one by one.
static void the_trie_agrees(void **state)
{
    (void)state;
    enum { COUNT = sizeof(matches) / sizeof(matches[0]) };
    struct topic_trie *trie;
    struct error e;
    assert_int_equal(topic_trie_create(&trie, &e), ERR_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(topic_trie_add(trie, bytes_from_text(matches[i].filter), i, &e), ERR_OK);
    }
    for (size_t topic = 0; topic < COUNT; topic++) {
        uint64_t seen[COUNT] = {0};
        topic_trie_match(trie, bytes_from_text(matches[topic].topic), note, seen);
        for (size_t i = 0; i < COUNT; i++) {
            bool want = topic_filter_matches(bytes_from_text(matches[i].filter),
                                             bytes_from_text(matches[topic].topic));
            assert_int_equal(seen[i], want);
        }
    }
    topic_trie_destroy(trie);
}

static void the_trie_refuses_what_is_no_filter(void **state)
{
    (void)state;
    struct topic_trie *trie;
    struct error e;
    assert_int_equal(topic_trie_create(&trie, &e), ERR_OK);
    assert_int_equal(topic_trie_add(trie, bytes_from_text("a/#/b"), 1, &e), ERR_INVALID);
    assert_string_equal(e.text, "topic filter \"a/#/b\" has a # that is not its last level");
    topic_trie_destroy(trie);
}

static void what_is_valid(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct bytes text;
        bool is_topic, is_filter;
    } cases[] = {
#define TEXT(text) {(const uint8_t *)(text), sizeof(text) - 1}
        {"a plain one", TEXT("a/b"), true, true},
        {"empty", TEXT(""), false, false},
        {"one slash is two empty levels", TEXT("/"), true, true},
        {"+ alone", TEXT("a/+/b"), false, true},
        {"+ with company", TEXT("a/b+"), false, false},
        {"# at the end", TEXT("a/#"), false, true},
        {"# in the middle", TEXT("#/a"), false, false},
        {"# with company", TEXT("a/b#"), false, false},
        {"NUL", TEXT("a\0b"), false, false},
        {"a control character", TEXT("a\nb"), false, false},
        {"a control character of two bytes", TEXT("a\xC2\x85"), false, false},
        {"a surrogate", TEXT("\xED\xA0\x80"), false, false},
        {"an overlong slash", TEXT("a\xC0\xAF"), false, false},
        {"cut short", TEXT("a\xE2\x82"), false, false},
        {"other scripts", TEXT("Gerät/温度"), true, true},
        {"a character that is none", TEXT("\xEF\xBF\xBF"), false, false},
#undef TEXT
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (topic_is_valid(cases[i].text) != cases[i].is_topic ||
            (topic_filter_problem(cases[i].text) == NULL) != cases[i].is_filter) {
            fail_msg("%s", cases[i].why);
        }
    }
    static uint8_t longest[TOPIC_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(topic_is_valid(bytes_of(longest, TOPIC_BYTES_MAX)));
    assert_false(topic_is_valid(bytes_of(longest, TOPIC_BYTES_MAX + 1)));
}

static void parts_are_counted_from_one(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        uint32_t n;
        const char *want;
    } cases[] = {{"a/b", 1, "a"}, {"a/b", 2, "b"}, {"a/b", 3, NULL}, {"a/b", 0, NULL},
                 {"/b", 1, ""},   {"a/", 2, ""},   {"a", 1, "a"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes part;
        bool is_found = topic_part(bytes_from_text(cases[i].topic), cases[i].n, &part);
        assert_int_equal(is_found, cases[i].want != NULL);
        assert_true(!is_found || bytes_equal(part, bytes_from_text(cases[i].want)));
    }
}

// Random filters and topics over a small alphabet: the trie against the matcher.
static void the_trie_agrees_on_anything(void **state)
{
    (void)state;
    enum { FILTERS = 60, TOPICS = 400 };
    static const char *const levels[] = {"a", "b", "", "$c", "+"};
    char filters[FILTERS][64], topic[64];
    struct topic_trie *trie;
    struct error e;
    uint32_t seed = 12345;
    assert_int_equal(topic_trie_create(&trie, &e), ERR_OK);
    for (uint32_t i = 0; i < FILTERS + TOPICS; i++) {
        char *text = i < FILTERS ? filters[i] : topic;
        size_t len = 0;
        uint32_t count = (seed = seed * 1103515245 + 12345) >> 16 & 3;
        for (uint32_t level = 0; level <= count; level++) {
            seed = seed * 1103515245 + 12345;
            const char *name = levels[(seed >> 16) % (i < FILTERS ? 5 : 4)];
            len += (size_t)snprintf(text + len, 64 - len, "%s%s", level > 0 ? "/" : "", name);
        }
        if (i < FILTERS && (seed >> 20 & 3) == 0) {
            snprintf(text + len, 64 - len, "/#");
        }
        if (i < FILTERS) {
            bool is_valid = topic_filter_problem(bytes_from_text(text)) == NULL;
            enum err want = is_valid ? ERR_OK : ERR_INVALID;
            assert_int_equal(topic_trie_add(trie, bytes_from_text(text), i, &e), want);
            continue;
        }
        uint64_t seen[FILTERS] = {0};
        topic_trie_match(trie, bytes_from_text(topic), note, seen);
        for (uint32_t filter = 0; topic[0] != '\0' && filter < FILTERS; filter++) {
            struct bytes pattern = bytes_from_text(filters[filter]);
            bool want = topic_filter_problem(pattern) == NULL &&
                        topic_filter_matches(pattern, bytes_from_text(topic));
            if (seen[filter] != want) {
                fail_msg("%s on %s", filters[filter], topic);
            }
        }
    }
    topic_trie_destroy(trie);
}

// All topics of up to four levels of these, to hold the arithmetic to what matches.
static uint32_t list_topics(char topics[][16])
{
    static const char *const levels[] = {"a", "b", "", "$s"};
    uint32_t count = 0;
    for (uint32_t depth = 1; depth <= 3; depth++) {
        for (uint32_t pick = 0; pick < 64; pick++) {
            if (pick >> (2 * depth) == 0) {
                char *topic = topics[count++];
                topic[0] = '\0';
                for (uint32_t i = 0; i < depth; i++) {
                    strcat(topic, i == 0 ? "" : "/");
                    strcat(topic, levels[pick >> (2 * i) & 3]);
                }
            }
        }
    }
    return count;
}

static void arithmetic_agrees_with_matching(void **state)
{
    (void)state;
    static const char *const filters[] = {
        "#",   "+",     "+/#",   "+/+",   "+/+/#", "a",     "a/#",  "a/+", "+/a",
        "a/b", "+/b",   "a/+/#", "+/a/#", "b/#",   "$s/#",  "$s/+", "$s",  "$s/a",
        "/+",  "+/+/b", "a/b/#", "/",     "a/+/b", "a/b/+", "+/",   "//#", "+/$s",
    };
    char topics[100][16];
    uint32_t topic_count = list_topics(topics), met = 0, covered = 0;
    size_t count = sizeof(filters) / sizeof(filters[0]);
    for (size_t i = 0; i < count * count; i++) {
        struct bytes a = bytes_from_text(filters[i / count]),
                     b = bytes_from_text(filters[i % count]);
        char common[40];
        size_t len = topic_filter_common(a, b, common);
        bool covers = topic_filter_covers(a, b), is_met = false, is_covered = true;
        for (uint32_t j = 0; j < topic_count; j++) {
            struct bytes topic = bytes_from_text(topics[j]);
            if (topic.len == 0) {
                continue;
            }
            bool in_a = topic_filter_matches(a, topic), in_b = topic_filter_matches(b, topic);
            bool in_common = len > 0 && topic_filter_matches(bytes_of(common, len), topic);
            is_met |= in_a && in_b;
            is_covered &= in_a || !in_b;
            if (in_common != (in_a && in_b)) {
                fail_msg("\"%s\" and \"%s\" have \"%.*s\" in common, wrong for \"%s\"",
                         filters[i / count], filters[i % count], (int)len, common, topics[j]);
            }
        }
        if (is_met != (len > 0) || is_covered != covers) {
            fail_msg("\"%s\" covers \"%s\": %d", filters[i / count], filters[i % count], covers);
        }
        met += is_met;
        covered += covers;
    }
    assert_true(met > 100 && covered > 60);
}

static void filters_overlap_when_a_topic_matches_both(void **state)
{
    (void)state;
    static const struct {
        const char *why, *a, *b;
        bool want;
    } cases[] = {
        {"the same", "a/b", "a/b", true},
        {"another level", "a/b", "a/c", false},
        {"one is longer", "a/b", "a/b/c", false},
        {"+ is one level", "a/+", "a/b", true},
        {"+ is no two levels", "a/+", "a/b/c", false},
        {"each has a wildcard where the other has none", "+/b", "a/+", true},
        {"they cross and differ elsewhere", "+/b/c", "a/+/d", false},
        {"# is everything below", "a/#", "a/b/c", true},
        {"# includes its parent", "a/#", "a", true},
        {"# of another branch", "a/#", "b/#", false},
        {"# alone", "#", "a/b", true},
        {"# beside +", "+/#", "a", true},
        {"an empty level is a level", "a/+", "a/", true},
        {"wildcards leave $ alone", "#", "$SYS/up", false},
        {"$ below the first level is nothing special", "a/+", "a/$x", true},
        {"two of $", "$SYS/+", "$SYS/#", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes a = bytes_from_text(cases[i].a), b = bytes_from_text(cases[i].b);
        if (topic_filters_overlap(a, b) != cases[i].want ||
            topic_filters_overlap(b, a) != cases[i].want) {
            fail_msg("%s: %s and %s", cases[i].why, cases[i].a, cases[i].b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_match),
        cmocka_unit_test(the_trie_agrees),
        cmocka_unit_test(the_trie_refuses_what_is_no_filter),
        cmocka_unit_test(what_is_valid),
        cmocka_unit_test(parts_are_counted_from_one),
        cmocka_unit_test(the_trie_agrees_on_anything),
        cmocka_unit_test(arithmetic_agrees_with_matching),
        cmocka_unit_test(filters_overlap_when_a_topic_matches_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
