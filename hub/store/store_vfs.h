// store_vfs.h - an SQLite VFS over another one that gives SQL the core's time and no real chance.
//
// Threads:   one.
//
// Ownership: store_vfs_create registers it with SQLite under a name of its own; destroy takes it
// out again, after the last file that was opened through it has been closed.
//
// Failure:   ERR_NOT_FOUND: there is no base VFS of that name.
#ifndef PIPIT_STORE_STORE_VFS_H
#define PIPIT_STORE_STORE_VFS_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/error.h"

struct store_vfs;

enum err store_vfs_create(struct store_vfs **out_vfs, const char *base_name, struct error *e);
void store_vfs_destroy(struct store_vfs *vfs); // NULL is fine.

const char *store_vfs_name(const struct store_vfs *vfs);
sqlite3_vfs *store_vfs_base(const struct store_vfs *vfs);

// Until the first call, 'now' is the base's.
void store_vfs_set_now(struct store_vfs *vfs, int64_t now_ms);

#endif
