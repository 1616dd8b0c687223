// flash.h - NOR flash: a small interface to the chip, and a spool that keeps its events there.
// Threads:   as pipit.h.
// Ownership: the caller gives all memory; flash, driver and memory outlive the spool.
// Failure:   enum pipit_err. After PIPIT_ERR_IO nothing more is accepted until the spool is opened
//            again; what was accepted is still handed out as far as it can be read.
#ifndef PIPIT_FLASH_H
#define PIPIT_FLASH_H

#include "pipit.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- flash: what a driver does ------------------------------------------------------------------

struct pipit_flash;

// Addresses count from the start of the region that the spool may use: 0 up to sector_bytes *
// sector_count. Every call waits until the chip is done. An error is PIPIT_ERR_IO.
struct pipit_flash_type {
    // Any address and length. What a power cut has left half programmed or half erased reads as
    // anything, and that is no error: a driver of flash with error correction gives zeros for a
    // word that cannot be corrected. Where blank words trap when they are read it gives 0xFF.
    enum pipit_err (*read)(struct pipit_flash *flash, uint32_t address, uint8_t *ptr, size_t len);
    // Address and length are multiples of granule_bytes, within one sector; the driver splits at
    // the pages of its chip. `ptr` is aligned as the spool's memory is.
    enum pipit_err (*program)(struct pipit_flash *flash, uint32_t address, const uint8_t *ptr,
                              size_t len);
    // The sector that begins at `address`: then every byte of it reads 0xFF.
    enum pipit_err (*erase)(struct pipit_flash *flash, uint32_t address);
};

// The smallest the chip can do. No granule is programmed twice between two erases, although many
// chips could clear further bits: those with error correction (STM32L4, G4, H7, U5, many others)
// cannot. The one exception: a granule whose programming was cut by the power and which still reads
// blank may be programmed again, with the same bytes.
struct pipit_flash {
    const struct pipit_flash_type *type;
    uint32_t sector_bytes;  // Erased at once: a multiple of 32, at least 256.
    uint32_t sector_count;  // At least 3, or 2 with PIPIT_DROP_OLDEST. All of them 2 GB at most.
    uint32_t granule_bytes; // Programmed at once: 1, 2, 4, 8, 16 or 32. Pages are the driver's.
};

// ---- spool: a log over all sectors --------------------------------------------------------------

// Survives loss of power at any program or erase, also in the middle of one. Of what was released
// only the events of a release that was cut may come back. An accepted event costs 20 bytes and a
// granule, 8 more with a mark, rounded up to a multiple of 16 (or of a larger granule); a start
// costs twice that multiple. Room comes back a sector at a time, when all its events are released.
// PIPIT_REFUSE keeps two sectors free of events, so that a full flash can be started any number of
// times. PIPIT_DROP_OLDEST uses all, and gives up the events of the oldest sector at once.
// A call that begins a sector takes the time of an erase.
struct pipit_flash_spool_options {
    struct pipit_flash *flash;
    enum pipit_policy policy;
    uint8_t *memory; // One record; aligned as the driver's program needs it.
    size_t memory_bytes;
    uint32_t entropy; // Random: a blank flash begins at pipit_boot_random(entropy).
};

// The memory for events of up to `event_bytes`; granule_bytes is a constant here.
#define PIPIT_FLASH_MEMORY(event_bytes, granule_bytes)                                             \
    (((event_bytes) + 24u + (granule_bytes)-1u) / (granule_bytes) * (granule_bytes))

#define PIPIT_FLASH_RECORD_MAX 32767u // Bytes of one event; it must fit into a sector, too.

// A place in the log.
struct pipit_flash_place {
    uint32_t at;      // Address.
    uint32_t stop;    // Address behind its sector.
    uint32_t counter; // Of its sector: 1, 2, 3 ... in the order in which they were begun.
};

struct pipit_flash_spool {
    struct pipit_spool base;   // Hand &spool.base to pipit_config.
    uint32_t failed;           // Reads, programs and erases that failed; the first seals the spool.
    struct pipit_flash *flash; // private from here, but for `damaged`
    uint8_t *memory;
    uint32_t step;  // Records begin at multiples of it.
    uint32_t first; // Offset of the first event or start in a sector.
    struct pipit_flash_place end;
    struct pipit_flash_place tail; // At or before the oldest waiting record.
    uint32_t free_count;           // Sectors that hold nothing.
    struct pipit_flash_place read;
    size_t memory_bytes; // In whole granules.
    uint32_t damaged;    // At open: records found that are not whole. A cut leaves one behind.
};

// Finds what waits, and starts a new boot: its number is in the flash before this returns, greater
// by one than the last, and never given twice. Flash that is blank (0xFF) is taken into use, which
// reads all of it once.
// PIPIT_ERR_CORRUPT: it holds something else, or a spool of another version or geometry; untouched.
// PIPIT_ERR_SIZE: an event in it is larger than `memory`. PIPIT_ERR_FULL: it was filled under
// PIPIT_DROP_OLDEST and has no sector left to start in; open it so. PIPIT_ERR_ARGUMENT, _IO.
// There is no close: what was accepted is in the flash.
enum pipit_err pipit_flash_spool_open(struct pipit_flash_spool *spool,
                                      const struct pipit_flash_spool_options *options);

// Erases all sectors, whatever they hold: for flash that does not come blank, or held something
// else. Cut by the power, the next open says PIPIT_ERR_CORRUPT (format again), or finds part of the
// former events and goes on with the former boot numbers, or finds it formatted.
enum pipit_err pipit_flash_spool_format(struct pipit_flash *flash);

#ifdef __cplusplus
}
#endif

#endif
