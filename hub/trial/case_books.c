// case_books.c - what a case may say about the books.
#include <stddef.h>

#include "trial/case_parts.h"

static const struct {
    const char *name;
    size_t offset;
} members[] = {
#define MEMBER(name)                                                                               \
    {                                                                                              \
#name, offsetof(struct books, name)                                                        \
    }
    MEMBER(received), MEMBER(routed),  MEMBER(filtered), MEMBER(duplicate),
    MEMBER(rejected), MEMBER(missing), MEMBER(derived),  MEMBER(late),
    MEMBER(enqueued), MEMBER(dropped), MEMBER(waiting),
#undef MEMBER
};

_Static_assert(sizeof(members) / sizeof(members[0]) == CASE_BOOK_COUNT, "names and members");

const char *case_book_name(size_t index)
{
    return members[index].name;
}

bool case_book_read(const struct books *books, const char *name, uint64_t *out_value)
{
    for (size_t i = 0; i < CASE_BOOK_COUNT; i++) {
        if (strcmp(members[i].name, name) == 0) {
            *out_value = *(const uint64_t *)((const char *)books + members[i].offset);
            return true;
        }
    }
    return false;
}
