// sim_vfs.h - a disk in memory that keeps what was synced apart from what was only written.
// A power cut keeps everything synced and a random part of the rest, torn at any byte.
// Threads:   one.
// Ownership: sim_vfs_create registers the VFS with SQLite under the name "pipit-sim".
#ifndef PIPIT_SIM_VFS_H
#define PIPIT_SIM_VFS_H

#include <stdint.h>

#include "sim_random.h"

#define SIM_VFS_NAME "pipit-sim"

void sim_vfs_create(struct sim_random *random);

// The disk fails from the n-th write, truncate, sync or delete on (1: the next); 0 takes that back.
void sim_vfs_cut_after(uint64_t operations);
int sim_vfs_is_cut(void);

// The n-th sync from now fails once, and what it covered never becomes durable though it can still
// be read: the page cache of a failed fsync. 0 takes that back.
void sim_vfs_fail_sync_after(uint64_t syncs);

// Power comes back: unsynced writes are kept, dropped or torn by chance. No file may be open.
void sim_vfs_power_cycle(void);

// The process died but the machine did not: everything written is still there.
void sim_vfs_process_restart(void);

#endif
