// The dedupe window against a model that remembers everything.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/sequence_window.h"

#define END 0

static void rows(void **state)
{
    static const struct {
        const char *why;
        uint64_t first, sequences[8];
        const char *fresh; // n: new, d: duplicate.
        uint64_t upto, missing;
    } cases[] = {
        {"in order", 1, {1, 2, 3, END}, "nnn", 3, 0},
        {"the same again", 1, {1, 1, END}, "nd", 1, 0},
        {"a gap is missing", 1, {1, 4, END}, "nn", 1, 2},
        {"until it arrives", 1, {1, 4, 3, 2, END}, "nnnn", 4, 0},
        {"beyond the gap again", 1, {1, 4, 4, END}, "nnd", 1, 2},
        {"the first was lost", 1, {2, END}, "n", 0, 1},
        {"the last of the window", 1, {256, END}, "n", 0, 255},
        {"one further slides it", 1, {257, END}, "n", 1, 256},
        {"what slid out is too old", 1, {257, 1, END}, "nd", 1, 256},
        {"what is still in it is not", 1, {257, 2, END}, "nn", 2, 255},
        {"a jump far beyond", 1, {1, 1000000, END}, "nn", 999744, 999998},
        {"a device that counts from anywhere", 0, {5000, 5001, END}, "nn", 4745, 0},
        {"and its one before comes late", 0, {5000, 4998, 4999, END}, "nnn", 4744, 0},
        {"the greatest number there is",
         1,
         {UINT64_MAX, UINT64_MAX, END},
         "nd",
         UINT64_MAX - 256,
         UINT64_MAX - 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sequence_window window;
        sequence_window_init(&window, cases[i].first);
        for (size_t n = 0; cases[i].sequences[n] != END; n++) {
            bool is_new = sequence_window_add(&window, cases[i].sequences[n]);
            if (is_new != (cases[i].fresh[n] == 'n')) {
                fail_msg("%s: number %zu", cases[i].why, n);
            }
        }
        if (window.upto != cases[i].upto || window.missing != cases[i].missing) {
            fail_msg("%s: upto %llu, missing %llu", cases[i].why, (unsigned long long)window.upto,
                     (unsigned long long)window.missing);
        }
    }
}

#define MODEL_MAX 4000

// Whatever comes within the window: new exactly when it was not there, missing exactly the holes.
static void agrees_with_a_model(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        srand(seed);
        bool seen[MODEL_MAX] = {false};
        uint64_t highest = 0, count = 0;
        struct sequence_window window;
        sequence_window_init(&window, 1);
        for (int step = 0; step < 1500 && highest < MODEL_MAX - 300; step++) {
            uint64_t sequence = highest + (uint64_t)(rand() % 40);
            uint64_t back = (uint64_t)(rand() % 250);
            sequence = sequence > back ? sequence - back : 1;
            bool is_old = sequence <= window.upto;
            bool is_new = sequence_window_add(&window, sequence);
            if (is_new == seen[sequence] && !(is_old && !is_new)) {
                fail_msg("seed %u: sequence %llu", seed, (unsigned long long)sequence);
            }
            count += is_new;
            seen[sequence] |= is_new;
            highest = sequence > highest ? sequence : highest;
            assert_int_equal(sequence_window_highest(&window), highest);
            assert_int_equal(window.missing, highest - count);
        }
    }
}

static void bitmap_survives_the_store(void **state)
{
    (void)state;
    struct sequence_window window, back;
    uint8_t bytes[SEQUENCE_WINDOW_BITS / 8];
    sequence_window_init(&window, 1);
    assert_int_equal(sequence_window_bitmap(&window, bytes), 0);
    sequence_window_add(&window, 3);
    sequence_window_add(&window, 200);
    size_t len = sequence_window_bitmap(&window, bytes);
    assert_int_equal(len, 25);
    assert_int_equal(bytes[0], 1 << 2);
    sequence_window_init(&back, 1);
    sequence_window_set_bitmap(&back, bytes_of(bytes, len));
    assert_memory_equal(back.bits, window.bits, sizeof(window.bits));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(bitmap_survives_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
