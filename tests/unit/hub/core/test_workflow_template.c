// Templates of workflows: which parts of a text are expressions, and how values stand in it.
#include <stdlib.h>

#include "core/workflow_template.h"
#include "event_support.h"

// "text[expression]text", or the sentence of the error and its offset in <>.
static void print(const char *text, char *out_text, size_t size)
{
    struct workflow_template template = {.pieces = NULL};
    struct error e = {.offset = -1};
    size_t len = 0;
    out_text[0] = '\0';
    if (workflow_template_parse(&template, text, &e) != ERR_OK) {
        snprintf(out_text, size, "<%d %s>", e.offset, e.text);
        return;
    }
    uint32_t expressions = 0;
    for (uint32_t i = 0; i < template.count; i++) {
        const struct workflow_piece *piece = &template.pieces[i];
        len +=
            (size_t)snprintf(out_text + len, size - len, piece->is_expression ? "[%.*s]" : "%.*s",
                             (int)piece->text.len, (const char *)piece->text.ptr);
        expressions += piece->is_expression;
    }
    assert_int_equal(expressions, template.expression_count);
    workflow_template_deinit(&template);
}

static void texts_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text, *want;
    } cases[] = {
        {"nothing", "", ""},
        {"a text alone", "a b", "a b"},
        {"an expression alone", "{a + 1}", "[a + 1]"},
        {"one behind the other", "{a}{b}c{d}", "[a][b]c[d]"},
        {"doubled braces are braces", "{{a}}", "{a}"},
        {"also around an expression", "{{{a}}}", "{[a]}"},
        {"a brace in a text of SQL", "{'}' || a}", "['}' || a]"},
        {"a brace in a quoted name", "{\"a}b\"}", "[\"a}b\"]"},
        {"a quote that is doubled", "{'it''s }'}", "['it''s }']"},
        {"a brace in a comment", "{a /* } */}", "[a /* } */]"},
        {"JSON", "{json_extract('{\"a\":{}}', '$.a')}", "[json_extract('{\"a\":{}}', '$.a')]"},
        {"an open brace", "a {b",
         "<2 the template has a { without a } behind it; write {{ for the brace itself>"},
        {"a text that swallows the end", "{'a}",
         "<0 the template has a { without a } behind it; write {{ for the brace itself>"},
        {"a brace that closes nothing", "ab } c",
         "<3 the template has a } without a {; write }} for the brace itself>"},
        {"nothing between them", "a{}", "<1 there is no expression between { and }>"},
        {"a blank between them", "{ \t}", "<0 there is no expression between { and }>"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char have[500];
        print(cases[i].text, have, sizeof(have));
        if (strcmp(have, cases[i].want) != 0) {
            fail_msg("%s: %s\nwant %s\nhave %s", cases[i].why, cases[i].text, cases[i].want, have);
        }
    }
}

static void there_is_a_bound(void **state)
{
    (void)state;
    char text[WORKFLOW_TEMPLATE_PIECES_MAX * 3 + 10] = "", have[2000];
    for (int i = 0; i < WORKFLOW_TEMPLATE_PIECES_MAX; i++) {
        strcat(text, "{a}");
    }
    print(text, have, sizeof(have));
    assert_int_equal(strlen(have), 3 * WORKFLOW_TEMPLATE_PIECES_MAX);
    strcat(text, "b");
    print(text, have, sizeof(have));
    assert_non_null(strstr(have, "more than 100 pieces"));
}

#define TEXT(literal)                                                                              \
    {                                                                                              \
        .kind = VALUE_TEXT, .bytes = {(const uint8_t *)(literal), sizeof(literal) - 1 }            \
    }

static void values_stand_in_texts_and_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct event_value value;
        const char *text, *address;
    } cases[] = {
        {"a whole number", {.kind = VALUE_INTEGER, .integer = -5}, "-5", "-5"},
        {"a real, the shortest", {.kind = VALUE_REAL, .real = 0.1}, "0.1", "0.1"},
        {"a large one", {.kind = VALUE_REAL, .real = 1e300}, "1e+300", "1e%2B300"},
        {"a boolean", {.kind = VALUE_BOOLEAN, .integer = 1}, "true", "true"},
        {"NULL", {.kind = VALUE_NULL}, "<{x} is NULL>", "<{x} is NULL>"},
        {"letters, digits and - . _ ~ stay", TEXT("aZ09-._~"), "aZ09-._~", "aZ09-._~"},
        {"what parts an address", TEXT("a/b?c#d&e=f%"), "a/b?c#d&e=f%", "a%2Fb%3Fc%23d%26e%3Df%25"},
        {"a blank and what begins a line", TEXT(" \r\n"), " \r\n", "%20%0D%0A"},
        {"beyond ASCII, byte by byte", TEXT("\xc3\xa4"), "\xc3\xa4", "%C3%A4"},
        {"nothing", TEXT(""), "",
         "<{x} is an empty text, which would leave a part of the address empty>"},
        {"a dot", TEXT("."), ".",
         "<{x} is a dot or two, which would lead out of its place in the address>"},
        {"two", TEXT(".."), "..",
         "<{x} is a dot or two, which would lead out of its place in the address>"},
        {"three lead nowhere", TEXT("..."), "...", "..."},
        {"a blob",
         {.kind = VALUE_BLOB},
         "<{x} is a blob, not a text; use hex(...) for it>",
         "<{x} is a blob, not a text; use hex(...) for it>"},
    };
    const struct workflow_piece piece = {bytes_from_text("x"), true};
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        bool is_url = i % 2 == 1;
        const char *want = is_url ? cases[i / 2].address : cases[i / 2].text;
        char have[700];
        struct text_writer writer = {.text = NULL};
        struct error e;
        if (workflow_template_add(&piece, &cases[i / 2].value, is_url, &writer, &e) == ERR_OK) {
            snprintf(have, sizeof(have), "%.*s", (int)writer.len,
                     writer.text == NULL ? "" : writer.text);
        } else {
            assert_int_equal(e.code, ERR_INVALID);
            snprintf(have, sizeof(have), "<%s>", e.text);
        }
        text_writer_deinit(&writer);
        if (strcmp(have, want) != 0) {
            fail_msg("%s\nwant %s\nhave %s", cases[i / 2].why, want, have);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_taken_apart),
        cmocka_unit_test(there_is_a_bound),
        cmocka_unit_test(values_stand_in_texts_and_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
