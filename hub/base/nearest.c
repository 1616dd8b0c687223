#include <ctype.h>
#include <string.h>

#include "base/option.h"

#define NAME_MAX_BYTES 64 // Longer names are not compared.

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

// Edits between a and b: insert, delete, replace, swap of neighbours (optimal string alignment).
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NAME_MAX_BYTES + 1];
    unsigned *older = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b_len; j++) {
        above[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned replace = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            row[j] = min3(replace, above[j] + 1, row[j - 1] + 1);
            bool is_swap = i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                           same_letter(a[i - 2], b[j - 1]);
            if (is_swap && older[j - 2] + 1 < row[j]) {
                row[j] = older[j - 2] + 1;
            }
        }
        unsigned *spare = older;
        older = above;
        above = row;
        row = spare;
    }
    return above[b_len];
}

bool name_is_among(const char *name, const char *const *names)
{
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

const char *nearest_name(const char *name, const char *const *candidates)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_BYTES) {
        return NULL;
    }
    const char *best = NULL;
    unsigned best_distance = (unsigned)(len < 3 ? 1 : 1 + len / 3) + 1; // Nothing this far is near.
    for (size_t i = 0; candidates[i] != NULL; i++) {
        size_t candidate_len = strlen(candidates[i]);
        if (candidate_len == 0 || candidate_len > NAME_MAX_BYTES) {
            continue;
        }
        unsigned d = distance(name, len, candidates[i], candidate_len);
        if (d < best_distance && d < candidate_len) {
            best_distance = d;
            best = candidates[i];
        }
    }
    return best;
}
