// Instants, numbers, digits, JSON differences and CBOR as cases write them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "trial/case_json.h"
#include "trial/case_parts.h"
#include "trial/explain.h"

static void instants_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text;
        bool is_good;
        int64_t want;
    } cases[] = {
        {"to the second", "2026-01-01T10:00:00Z", true, 1767261600000},
        {"with a fraction", "2026-01-01T10:00:00.25Z", true, 1767261600250},
        {"more digits than milliseconds", "2026-01-01T10:00:00.123456Z", true, 1767261600123},
        {"an offset is taken off", "2026-01-01T11:00:00+01:00", true, 1767261600000},
        {"also one behind", "2026-01-01T04:30:00-05:30", true, 1767261600000},
        {"milliseconds", "1767261600000", true, 1767261600000},
        {"before 1970", "-1000", true, -1000},
        {"without a zone it could be any", "2026-01-01T10:00:00", false, 0},
        {"a month too many", "2026-13-01T10:00:00Z", false, 0},
        {"an hour too many", "2026-01-01T24:00:00Z", false, 0},
        {"something behind it", "2026-01-01T10:00:00Zx", false, 0},
        {"no instant", "tomorrow", false, 0},
        {"nothing", "", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t got = 0;
        bool is_good = value_instant(cases[i].text, &got);
        if (is_good != cases[i].is_good || got != cases[i].want) {
            fail_msg("%s: %lld", cases[i].why, (long long)got);
        }
    }
}

static void plain_words_have_types(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text;
        enum node_style style;
        const char *want;
    } cases[] = {
        {"a whole number", "20", STYLE_PLAIN, "20"},
        {"a decimal one", "20.5", STYLE_PLAIN, "20.5"},
        {"with an exponent", "1e3", STYLE_PLAIN, "1000.0"},
        {"too large for an integer", "18446744073709551616", STYLE_PLAIN, "1.8446744073709552e19"},
        {"a leading zero makes it a text, as in JSON", "007", STYLE_PLAIN, "\"007\""},
        {"so does a plus", "+1", STYLE_PLAIN, "\"+1\""},
        {"and a dot without digits", "1.", STYLE_PLAIN, "\"1.\""},
        {"true", "true", STYLE_PLAIN, "true"},
        {"yes is a word", "yes", STYLE_PLAIN, "\"yes\""},
        {"nothing", "", STYLE_PLAIN, "null"},
        {"what is quoted is a text", "20", STYLE_DOUBLE_QUOTED, "\"20\""},
        {"the number of a series", "{n}", STYLE_DOUBLE_QUOTED, "7"},
        {"and within a text", "a{n}b{n}", STYLE_DOUBLE_QUOTED, "\"a7b7\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct node node = {
            .kind = NODE_TEXT, .style = cases[i].style, .text = cases[i].text};
        struct arena *arena = arena_create();
        json_t *json = value_of_node(&node, 7);
        const char *got = json_show(arena, json);
        if (strcmp(got, cases[i].want) != 0) {
            fail_msg("%s: %s", cases[i].why, got);
        }
        json_decref(json);
        arena_destroy(arena);
    }
}

static void the_first_difference_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *why, *expected, *got;
        bool is_subset;
        double tolerance;
        const char *want; // NULL: none.
    } cases[] = {
        {"the same", "{\"a\":1}", "{\"a\":1}", false, 0, NULL},
        {"the order of members does not matter", "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", false, 0,
         NULL},
        {"25 is 25.0", "{\"a\":25}", "{\"a\":25.0}", false, 0, NULL},
        {"but 1 is not \"1\"", "{\"a\":1}", "{\"a\":\"1\"}", false, 0, "a: expected 1, got \"1\""},
        {"nor true", "{\"a\":1}", "{\"a\":true}", false, 0, "a: expected 1, got true"},
        {"a value deeper down", "{\"a\":{\"b\":[1,2]}}", "{\"a\":{\"b\":[1,3]}}", false, 0,
         "a.b.1: expected 2, got 3"},
        {"a member that is not there", "{\"a\":1}", "{}", false, 0, "a: expected 1, got nothing"},
        {"one that is there only as null", "{\"a\":1}", "{\"a\":null}", false, 0,
         "a: expected 1, got null"},
        {"a member too many", "{}", "{\"a\":1}", false, 0, "a: expected nothing, got 1"},
        {"which does not matter for a subset", "{}", "{\"a\":1}", true, 0, NULL},
        {"not even deeper down", "{\"a\":{}}", "{\"a\":{\"b\":1}}", true, 0, NULL},
        {"but an element too many does", "[1]", "[1,2]", true, 0, "1: expected nothing, got 2"},
        {"near enough", "{\"a\":1.0}", "{\"a\":1.009}", false, 0.01, NULL},
        {"not near enough", "{\"a\":1.0}", "{\"a\":1.02}", false, 0.01,
         "a: expected 1.0, got 1.02"},
        {"integers that a double cannot tell apart", "[9007199254740993]", "[9007199254740992]",
         false, 0, "0: expected 9007199254740993, got 9007199254740992"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_create();
        const struct json_compare how = {cases[i].tolerance, cases[i].is_subset, arena};
        json_t *expected = json_loads(cases[i].expected, 0, NULL);
        json_t *got = json_loads(cases[i].got, 0, NULL);
        const char *difference = json_difference(&how, expected, got);
        bool is_same = difference == NULL || cases[i].want == NULL
                           ? difference == cases[i].want
                           : strcmp(difference, cases[i].want) == 0;
        if (!is_same) {
            fail_msg("%s: %s", cases[i].why, difference == NULL ? "none" : difference);
        }
        json_decref(expected);
        json_decref(got);
        arena_destroy(arena);
    }
}

// Appendix A of RFC 8949.
static void cbor_is_as_its_rfc_shows(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"[0]", "8100"},
        {"[23]", "8117"},
        {"[24]", "811818"},
        {"[1000]", "811903e8"},
        {"[1000000]", "811a000f4240"},
        {"[1000000000000]", "811b000000e8d4a51000"},
        {"[-1]", "8120"},
        {"[-1000]", "813903e7"},
        {"[1.1]", "81fb3ff199999999999a"},
        {"[100000.0]", "81fa47c35000"},
        {"[false,true,null]", "83f4f5f6"},
        {"[\"\"]", "8160"},
        {"[\"IETF\"]", "816449455446"},
        {"[\"\\u00fc\"]", "8162c3bc"},
        {"[]", "80"},
        {"{\"a\":1,\"b\":[2,3]}", "a26161016162820203"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_create();
        json_t *json = json_loads(cases[i].json, 0, NULL);
        struct bytes want;
        size_t len = 0;
        const uint8_t *got = case_cbor_encode(arena, json, &len);
        assert_true(value_hex(arena, cases[i].want, &want));
        if (!bytes_equal(want, bytes_of(got, len))) {
            fail_msg("%s is not %s", cases[i].json, cases[i].want);
        }
        json_decref(json);
        arena_destroy(arena);
    }
}

static void digits_come_in_pairs(void **state)
{
    (void)state;
    struct arena *arena = arena_create();
    struct bytes got;
    assert_true(value_hex(arena, "0a FF", &got));
    assert_true(bytes_equal(got, bytes_of("\x0a\xff", 2)));
    assert_true(value_hex(arena, "", &got));
    assert_int_equal(got.len, 0);
    assert_false(value_hex(arena, "0", &got));
    assert_false(value_hex(arena, "0g", &got));
    arena_destroy(arena);
}

static void a_topic_leaves_the_filter_somewhere(void **state)
{
    (void)state;
    static const struct {
        const char *filter, *topic, *want; // NULL: it matches.
    } cases[] = {
        {"a/+/c", "a/b/c", NULL},
        {"a/#", "a", NULL},
        {"a/+/c", "a/b/d", "level 3 is \"d\", the filter wants \"c\""},
        {"a/+", "a/b/c", "the topic has more levels than the filter"},
        {"a/+/c", "a/b", "the topic has fewer levels than the filter"},
        {"#", "$SYS/up", "a filter that begins with a wildcard leaves topics with $ alone"},
        {"a/", "a/b", "level 2 is \"b\", the filter wants \"\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[300] = "";
        bool is_other = explain_filter(bytes_from_text(cases[i].filter),
                                       bytes_from_text(cases[i].topic), why, sizeof(why));
        assert_int_equal(is_other, cases[i].want != NULL);
        assert_string_equal(why, cases[i].want == NULL ? "" : cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_are_read),
        cmocka_unit_test(plain_words_have_types),
        cmocka_unit_test(the_first_difference_is_named),
        cmocka_unit_test(cbor_is_as_its_rfc_shows),
        cmocka_unit_test(digits_come_in_pairs),
        cmocka_unit_test(a_topic_leaves_the_filter_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
