// posix.h - what a POSIX system adds to the device SDK: a file spool, a clock, entropy, a bell.
// Threads:   as in pipit.h; a bell may be rung from any thread.
// Ownership: memory is the caller's; the file spool holds one descriptor, a bell two.
// Failure:   enum pipit_err, and a text for people where a file is involved.
#ifndef PIPIT_POSIX_H
#define PIPIT_POSIX_H

#include "pipit.h"

#ifdef __cplusplus
extern "C" {
#endif

// A spool in one file: survives kill -9 and loss of power at any write. docs/DEVICE-SDK.md has the
// format. The file is at most twice limit_bytes plus 64 KB, and three times while it is compacted.
struct pipit_file_options {
    const char *path;     // Its directory exists. Borrowed for the spool's life.
    uint32_t limit_bytes; // Of waiting events, each with 32 bytes of bookkeeping: 1 KB to 1 GB.
    enum pipit_policy policy;
    // 0: each accepted event is synced before the call returns. Otherwise accepted events are
    // synced together this often, and sent only afterwards: a loss of power (not a kill) takes the
    // last ones.
    uint32_t sync_every_ms;
    uint8_t *memory; // One record: the largest event and 32 bytes.
    size_t memory_bytes;
    uint32_t entropy; // Random: a new file begins at pipit_boot_random(entropy).
};

#define PIPIT_FILE_ERROR_MAX 256

struct pipit_file_spool {
    struct pipit_spool base; // Hand &spool.base to pipit_config.
    bool was_damaged;    // At open: records in mid-file were unreadable; copy in <path>.damaged.
    uint32_t torn_bytes; // At open: bytes of a torn last write that were cut off.
    struct pipit_file_options options; // private from here
    int fd;
    bool is_sealed;
    bool is_dirty;
    uint32_t dirty_at_ms;
    uint32_t now_ms;
    uint32_t end;            // Bytes in the file.
    uint32_t tail;           // Offset of the oldest waiting record.
    uint32_t read;           // Offset of the read position.
    uint32_t peeked;         // Offset after the record that peek gave; 0: none.
    uint32_t synced;         // Offset up to which the file is synced.
    uint32_t unsynced_count; // Waiting records behind `synced`.
    char error[PIPIT_FILE_ERROR_MAX];
};

// Recovers, starts a new boot and syncs it. PIPIT_ERR_LOCKED: in use; PIPIT_ERR_CORRUPT: not a
// spool, untouched; PIPIT_ERR_IO; PIPIT_ERR_SIZE: a record in it is larger than `memory`.
// After an error the spool need not be closed.
enum pipit_err pipit_file_spool_open(struct pipit_file_spool *spool,
                                     const struct pipit_file_options *options);
// Syncs and closes; the result is that of the sync.
enum pipit_err pipit_file_spool_close(struct pipit_file_spool *spool);
// What went wrong last, for people: "spool /var/x: in use by another process". "" when nothing did.
const char *pipit_file_spool_error(const struct pipit_file_spool *spool);

// CLOCK_MONOTONIC in milliseconds, for pipit_poll.
uint32_t pipit_now_ms(void);
// CLOCK_REALTIME in milliseconds, fits pipit_config.clock_ms; `context` is not used.
uint64_t pipit_wall_ms(void *context);
// Random bits from the kernel.
uint32_t pipit_entropy(void);

// Lets a thread sleep until one of several links has news. Ringing is cheap while it is rung.
struct pipit_bell {
    int fds[2]; // fds[0] becomes readable when the bell rings; for programs with their own poll().
};

enum pipit_err pipit_bell_open(struct pipit_bell *bell);
void pipit_bell_close(struct pipit_bell *bell);
void pipit_bell_ring(struct pipit_bell *bell);
// Sleeps until the bell was rung since the last wait, or the time is over.
void pipit_bell_wait(struct pipit_bell *bell, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
