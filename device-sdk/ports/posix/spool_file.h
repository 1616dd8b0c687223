// spool_file.h - what the parts of the file spool share: opening, the spool's verbs, compaction.
//
// Threads:   those of the spool's device.
// Failure:   after a write or sync that failed the spool is sealed: nothing more is accepted, for
// what the disk holds is no longer known.
#ifndef PIPIT_PORTS_POSIX_SPOOL_FILE_H
#define PIPIT_PORTS_POSIX_SPOOL_FILE_H

#include "pipit/posix.h"
#include "spool_record.h"

__attribute__((format(printf, 2, 3))) void pipit_spool_error_set(struct pipit_file_spool *file,
                                                                 const char *format, ...);
// Seals, with errno in the text; returns PIPIT_ERR_IO.
enum pipit_err pipit_spool_seal(struct pipit_file_spool *file, const char *what);

// The first waiting event at or behind `at`. `file->end` when there is none.
uint32_t pipit_spool_waiting_from(const struct pipit_file_spool *file, uint32_t at,
                                  struct pipit_record_head *out_head);
void pipit_spool_tail_update(struct pipit_file_spool *file);
void pipit_spool_synced(struct pipit_file_spool *file); // All that was written is on the disk.

// The record of a start, HEAD_BYTES.
void pipit_spool_start_put(const struct pipit_file_spool *file, uint32_t boot, uint8_t *record);
bool pipit_directory_sync(const char *path); // Of the folder that path is in.
// Replaces the file by one without the released records; on failure the old one stays in use.
enum pipit_err pipit_spool_compact(struct pipit_file_spool *file);
enum pipit_err pipit_spool_compact_if_due(struct pipit_file_spool *file);

// Locks the file, reads it, begins a new boot. On failure the descriptor may be open.
enum pipit_err pipit_spool_recover(struct pipit_file_spool *file);

#endif
