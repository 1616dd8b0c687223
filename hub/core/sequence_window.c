#include "core/sequence_window.h"

#define WORDS (SEQUENCE_WINDOW_BITS / 64)

void sequence_window_init(struct sequence_window *window, uint64_t first)
{
    *window = (struct sequence_window){.first = first};
}

uint64_t sequence_window_highest(const struct sequence_window *window)
{
    for (int word = WORDS - 1; word >= 0; word--) {
        if (window->bits[word] != 0) {
            int bit = 63 - __builtin_clzll(window->bits[word]);
            return window->upto + 1 + (uint64_t)(word * 64 + bit);
        }
    }
    return window->upto;
}

// upto moves on by count; the bits that fall out are given up.
static void slide(struct sequence_window *window, uint64_t count)
{
    window->upto += count;
    uint64_t words = count / 64, shift = count % 64;
    for (uint64_t i = 0; i < WORDS; i++) {
        uint64_t from = i + words;
        uint64_t low = from < WORDS ? window->bits[from] : 0;
        uint64_t high = from + 1 < WORDS ? window->bits[from + 1] : 0;
        window->bits[i] = shift == 0 ? low : (low >> shift) | (high << (64 - shift));
    }
}

// Past what was seen without a gap.
static void settle(struct sequence_window *window)
{
    uint64_t run = 0;
    while (run < SEQUENCE_WINDOW_BITS) {
        uint64_t word = ~window->bits[run / 64];
        uint64_t count = word == 0 ? 64 : (uint64_t)__builtin_ctzll(word);
        run += count;
        if (count < 64) {
            break;
        }
    }
    if (run > 0) {
        slide(window, run);
    }
}

static void count_missing(struct sequence_window *window, uint64_t sequence)
{
    uint64_t highest = sequence_window_highest(window);
    if (window->first == 0) {
        window->first = sequence;
        highest = sequence - 1;
    }
    if (sequence < window->first) { // Before the first one that we knew of.
        window->missing += window->first - sequence - 1;
        window->first = sequence;
    } else if (sequence > highest) {
        window->missing += sequence - (highest < window->first ? window->first - 1 : highest) - 1;
    } else {
        window->missing--;
    }
}

bool sequence_window_add(struct sequence_window *window, uint64_t sequence)
{
    if (sequence <= window->upto) {
        return false;
    }
    uint64_t offset = sequence - window->upto - 1;
    if (offset < SEQUENCE_WINDOW_BITS && (window->bits[offset / 64] >> (offset % 64) & 1) != 0) {
        return false;
    }
    count_missing(window, sequence);
    if (offset >= SEQUENCE_WINDOW_BITS) {
        slide(window, offset - SEQUENCE_WINDOW_BITS + 1);
        offset = SEQUENCE_WINDOW_BITS - 1;
    }
    window->bits[offset / 64] |= UINT64_C(1) << (offset % 64);
    settle(window);
    return true;
}

size_t sequence_window_bitmap(const struct sequence_window *window,
                              uint8_t out_bytes[SEQUENCE_WINDOW_BITS / 8])
{
    size_t len = 0;
    for (size_t i = 0; i < SEQUENCE_WINDOW_BITS / 8; i++) {
        out_bytes[i] = (uint8_t)(window->bits[i / 8] >> (i % 8 * 8));
        len = out_bytes[i] != 0 ? i + 1 : len;
    }
    return len;
}

void sequence_window_set_bitmap(struct sequence_window *window, struct bytes bytes)
{
    memset(window->bits, 0, sizeof(window->bits));
    for (size_t i = 0; i < bytes.len && i < SEQUENCE_WINDOW_BITS / 8; i++) {
        window->bits[i / 8] |= (uint64_t)bytes.ptr[i] << (i % 8 * 8);
    }
}
