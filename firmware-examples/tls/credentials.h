// credentials.h - what a device proves itself and knows its broker by: the last 4 KB of its flash,
// written once when it is provisioned (provision.py), apart from the program.
// Threads:   any.
// Ownership: flash; nothing is copied.
// Failure:   NULL when the page was not written, or is damaged.
#ifndef CREDENTIALS_H
#define CREDENTIALS_H

#include <stddef.h>
#include <stdint.h>

#define CREDENTIALS_BYTES 4096u

// Either a key or a CA; what is not used is zero. Numbers are little endian, texts end with NUL.
struct credentials {
    char magic[8]; // "pipit-1"
    uint16_t key_bytes;
    uint16_t ca_bytes;
    char identity[64]; // Of the key.
    char host[64];     // The name that the broker's certificate must be for.
    uint8_t key[32];
    uint8_t ca[CREDENTIALS_BYTES - 172]; // DER.
};

const struct credentials *credentials_find(void);

#endif
