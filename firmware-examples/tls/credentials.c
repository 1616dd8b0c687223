#include "credentials.h"

#include <string.h>

#define MAGIC "pipit-1"

_Static_assert(sizeof(struct credentials) == CREDENTIALS_BYTES, "one page");

extern const uint8_t __flash[], __flash_size[]; // The linker's: address and size.

const struct credentials *credentials_find(void)
{
    const struct credentials *page =
        (const struct credentials *)((uintptr_t)__flash + (uintptr_t)__flash_size -
                                     CREDENTIALS_BYTES);
    if (memcmp(page->magic, MAGIC, sizeof(MAGIC)) != 0 || page->key_bytes > sizeof(page->key) ||
        page->ca_bytes > sizeof(page->ca) || (page->key_bytes == 0) == (page->ca_bytes == 0) ||
        page->identity[sizeof(page->identity) - 1] != '\0' ||
        page->host[sizeof(page->host) - 1] != '\0') {
        return NULL;
    }
    return page;
}
