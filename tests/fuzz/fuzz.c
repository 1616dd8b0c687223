// fuzz.c - mutates seeds and gives them to the target. The inputs follow from --seed alone.
//   fuzz_<what> [--seed N] [--count N] [FILE...]
// With files it only replays them.
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEEDS_MAX     64
#define MUTATIONS_MAX 6

struct seed {
    uint8_t bytes[FUZZ_INPUT_MAX];
    size_t len;
};

static struct seed seeds[SEEDS_MAX];
static uint32_t seed_count;
static uint64_t state;

static uint64_t next(void) // splitmix64
{
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static size_t below(size_t limit)
{
    return limit == 0 ? 0 : (size_t)(next() % limit);
}

static void insert(struct seed *input, size_t at, const uint8_t *ptr, size_t len)
{
    if (input->len + len > sizeof(input->bytes)) {
        return;
    }
    memmove(input->bytes + at + len, input->bytes + at, input->len - at);
    memcpy(input->bytes + at, ptr, len);
    input->len += len;
}

static void cut(struct seed *input, size_t at, size_t len)
{
    memmove(input->bytes + at, input->bytes + at + len, input->len - at - len);
    input->len -= len;
}

static void mutate(struct seed *input)
{
    static const uint8_t loud[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, '"', '{', '[', '\\',
                                   '/',  '#',  '+',  ':',  '\n', ' ', '-', '9'};
    uint8_t some[16];
    size_t at = below(input->len + 1), left = input->len - at;
    const struct seed *other = &seeds[below(seed_count)];
    switch (next() % 7) {
    case 0: // A bit.
        if (left > 0) {
            input->bytes[at] = (uint8_t)(input->bytes[at] ^ 1 << next() % 8);
        }
        return;
    case 1: // A byte that means something.
        if (left > 0) {
            input->bytes[at] = loud[below(sizeof(loud))];
        }
        return;
    case 2:
        cut(input, at, below(left + 1));
        return;
    case 3: // Noise.
        for (size_t i = 0; i < sizeof(some); i++) {
            some[i] = (uint8_t)next();
        }
        insert(input, at, some, 1 + below(sizeof(some)));
        return;
    case 4: // Part of another seed.
        if (other->len > 0) {
            size_t from = below(other->len);
            insert(input, at, other->bytes + from, below(other->len - from + 1));
        }
        return;
    case 5: // The same again.
        if (left > 0) {
            struct seed copy = *input;
            insert(input, at, copy.bytes + at, 1 + below(left));
        }
        return;
    default: // A long varint, a large number.
        memset(some, 0xFF, sizeof(some));
        insert(input, at, some, 1 + below(10));
        return;
    }
}

static void run(uint32_t count)
{
    static struct seed input;
    for (uint32_t i = 0; i < seed_count; i++) {
        fuzz_one(seeds[i].bytes, seeds[i].len);
    }
    for (uint32_t i = 0; i < count; i++) {
        input = seeds[below(seed_count)];
        for (size_t left = 1 + below(MUTATIONS_MAX); left > 0; left--) {
            mutate(&input);
        }
        // A copy of the exact size, so that a sanitizer sees the first byte beyond it.
        uint8_t *exact = malloc(input.len + 1);
        if (exact != NULL) {
            memcpy(exact, input.bytes, input.len);
            uint8_t *shrunk = realloc(exact, input.len > 0 ? input.len : 1);
            exact = shrunk != NULL ? shrunk : exact;
            fuzz_one(exact, input.len);
        }
        free(exact);
    }
}

static int replay(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    fuzz_one(bytes, len);
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t count = fuzz_count;
    int at = 1, failed = 0;
    state = (uint64_t)time(NULL);
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--seed") == 0) {
            state = strtoull(argv[at + 1], NULL, 10);
        } else if (strcmp(argv[at], "--count") == 0) {
            count = (uint32_t)strtoul(argv[at + 1], NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--seed N] [--count N] [FILE...]\n", argv[0]);
            return 2;
        }
    }
    if (at < argc) {
        for (; at < argc; at++) {
            failed |= replay(argv[at]);
        }
        return failed;
    }
    while (seed_count < SEEDS_MAX &&
           (seeds[seed_count].len =
                fuzz_seed(seed_count, seeds[seed_count].bytes, FUZZ_INPUT_MAX)) > 0) {
        seed_count++;
    }
    printf("%s --seed %llu --count %u\n", argv[0], (unsigned long long)state, count);
    fflush(stdout);
    run(count);
    return 0;
}
