// Where dotted paths lead, in a tree as in what was read of a JSON text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/field_path.h"
#include "core/json_tape.h"

static const char text[] = "{\"a\": {\"b\": [10, 11, {\"c\": 12}], \"\": 13}, \"a.b\": 14,"
                           " \"list\": [15], \"x\": 16, \"\": {\"\": 17}}";

// want 0: nothing is there.
static const struct {
    const char *why, *path;
    int want;
} cases[] = {
    {"a member", "x", 16},
    {"its whole name comes first", "a.b", 14},
    {"then its parts", "a.b.1", 11},
    {"and so on", "a.b.2.c", 12},
    {"an item is a number", "list.0", 15},
    {"also one with zeroes before it", "list.000", 15},
    {"behind the last one is nothing", "list.1", 0},
    {"a word is no item", "list.first", 0},
    {"nor is a number with a sign", "list.-0", 0},
    {"nor nothing", "list.", 0},
    {"nor a number that is too long", "list.0000000000", 0},
    {"a name may be empty", "a.", 13},
    {"all of them may", ".", 17},
    {"nothing is within a number", "x.y", 0},
    {"nobody has that name", "y", 0},
    {"nor within", "y.x.a", 0},
};

static void paths_lead(void **state)
{
    (void)state;
    json_t *tree = json_loads(text, 0, NULL);
    struct event_memory memory;
    struct json_tape tape;
    event_memory_init(&memory);
    assert_non_null(tree);
    assert_int_equal(json_tape_read(&tape, bytes_from_text(text), &memory, NULL), ERR_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct event_value value = {.kind = VALUE_NULL};
        const json_t *found = field_path_find(tree, cases[i].path);
        const struct json_node *node = json_tape_find(&tape, cases[i].path);
        if (node != NULL) {
            json_node_value(node, &value);
        }
        if (json_integer_value(found) != cases[i].want || value.integer != cases[i].want ||
            (node == NULL) != (found == NULL)) {
            fail_msg("%s: %s", cases[i].why, cases[i].path);
        }
    }
    json_decref(tree);
    event_memory_deinit(&memory);
}

static void steps_are_split_off(void **state)
{
    (void)state;
    struct bytes rest = bytes_from_text("a..b");
    static const char *const steps[] = {"a", "", "b"};
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(rest.ptr);
        assert_true(bytes_equal(field_path_step(&rest), bytes_from_text(steps[i])));
    }
    assert_null(rest.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_lead),
        cmocka_unit_test(steps_are_split_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
