// store_look.h - what is in a file before anything is written to it.
// Threads:   one.
// Ownership: borrows path and VFS for the call.
// Failure:   ERR_CORRUPT, ERR_VERSION: not ours to write to, and nothing was written.
#ifndef PIPIT_STORE_STORE_LOOK_H
#define PIPIT_STORE_STORE_LOOK_H

#include <stdbool.h>

#include "store/store.h"
#include "store/store_vfs.h"

// Larger files get no quick_check when they are opened: it reads all of the file, which is 0.2 s
// for this size on a slow flash card, and a minute for a gigabyte. In those the header and the
// schema are read; a damaged page further on is found, and seals the store, when it is read.
#define STORE_CHECKED_BYTES_MAX (64 * 1024 * 1024)

// *out_is_new: there is no file, or an empty one, or one whose making was cut short. is_deep:
// with a quick_check, see above.
enum err store_look(const char *path, const struct store_vfs *vfs, bool is_deep, bool *out_is_new,
                    struct error *e);

// Writes the write-ahead log again, with the bytes that it has, and syncs it. After a failed sync
// the operating system holds pages that it takes for written though they never reached the disk: a
// second sync would say yes to a lie. Written again they are dirty, and the sync is a true one.
enum err store_rewrite_log(const char *path, const struct store_vfs *vfs, struct error *e);

#endif
