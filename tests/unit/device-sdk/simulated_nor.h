// simulated_nor.h - NOR flash in memory that keeps to the rules, and loses its power when told to.
// Threads:   one.
// Ownership: everything is in the struct.
// Failure:   `violation` says which rule of flash.h was broken. After a cut every call fails until
//            the power is back.
#ifndef PIPIT_TESTS_SIMULATED_NOR_H
#define PIPIT_TESTS_SIMULATED_NOR_H

#include <stdlib.h>

#include "pipit/flash.h"

#define NOR_BYTES   65536u
#define NOR_SECTORS 64u

enum nor_granule {
    NOR_CLEAN = 0,
    NOR_PROGRAMMED,
    NOR_CUT,     // Programming was cut: only the same bytes may follow, if it reads blank.
    NOR_UNKNOWN, // An erase was cut: nothing may follow but an erase.
};

struct nor {
    struct pipit_flash base;
    uint8_t bytes[NOR_BYTES];
    uint8_t wanted[NOR_BYTES]; // What a cut program would have written.
    uint8_t granules[NOR_BYTES];
    uint32_t erases[NOR_SECTORS];
    const char *violation;
    uint32_t operations; // Programs and erases.
    uint32_t cut_at;     // The power goes in the middle of this one; 0: never.
    bool is_off;
    uint32_t fail_at;   // This one fails, and has done part of its work; 0: none.
    uint32_t reads;     //
    uint32_t fail_read; // This read fails.
    bool is_cached;     // Not a rule-abiding chip: a program is answered before it is done.
    bool is_worn;       // A program answers well and leaves a bit behind.
    uint32_t random;
    struct {
        uint32_t address, len;
        uint8_t bytes[1024];
    } cache;
};

static inline uint32_t nor_chance(struct nor *nor, uint32_t below)
{
    nor->random = nor->random * 1664525u + 1013904223u;
    return (nor->random >> 8) % below;
}

static inline void nor_break(struct nor *nor, const char *rule)
{
    nor->violation = nor->violation == NULL ? rule : nor->violation;
}

// The first n operations of a chip that fails or loses power leave anything behind.
static inline bool nor_is_cut(struct nor *nor)
{
    nor->operations++;
    if (nor->operations == nor->cut_at) {
        nor->is_off = true;
    }
    return nor->is_off || nor->operations == nor->fail_at;
}

static inline uint8_t nor_some_bits(struct nor *nor, uint32_t percent)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < 8; i++) {
        bits |= (nor_chance(nor, 100) < percent ? 1u : 0) << i;
    }
    return (uint8_t)bits;
}

static inline enum pipit_err nor_read(struct pipit_flash *flash, uint32_t address, uint8_t *ptr,
                                      size_t len)
{
    struct nor *nor = (struct nor *)(void *)flash;
    uint32_t size = flash->sector_bytes * flash->sector_count;
    if (nor->is_off || ++nor->reads == nor->fail_read) {
        return PIPIT_ERR_IO;
    }
    if (address > size || len > size - address) {
        nor_break(nor, "read outside");
        return PIPIT_ERR_IO;
    }
    memcpy(ptr, nor->bytes + address, len);
    for (uint32_t i = 0; i < nor->cache.len; i++) {
        uint32_t at = nor->cache.address + i;
        if (at >= address && at < address + len) {
            ptr[at - address] &= nor->cache.bytes[i];
        }
    }
    return PIPIT_OK;
}

// What of a program that is cut gets done: nothing, all, the front, or any bits.
static inline void nor_tear(struct nor *nor, uint32_t address, const uint8_t *ptr, uint32_t len)
{
    uint32_t how = nor_chance(nor, 5), front = nor_chance(nor, len + 1);
    uint32_t percent = nor_chance(nor, 101);
    for (uint32_t i = 0; i < len; i++) {
        uint8_t mask = how == 0   ? 0xFF
                       : how == 1 ? 0
                       : how == 2 ? (i < front ? 0 : 0xFF)
                                  : nor_some_bits(nor, percent);
        nor->bytes[address + i] &= (uint8_t)(ptr[i] | mask);
    }
}

static inline void nor_granule_check(struct nor *nor, uint32_t at, const uint8_t *ptr)
{
    uint32_t size = nor->base.granule_bytes;
    uint8_t state = nor->granules[at];
    bool is_blank = true;
    for (uint32_t i = 0; i < size; i++) {
        is_blank = is_blank && nor->bytes[at + i] == 0xFF;
    }
    if (state == NOR_PROGRAMMED) {
        nor_break(nor, "a granule is programmed twice");
    } else if (state == NOR_UNKNOWN) {
        nor_break(nor, "programmed after an erase that was cut");
    } else if (state == NOR_CUT && (!is_blank || memcmp(nor->wanted + at, ptr, size) != 0)) {
        nor_break(nor, "a cut granule is programmed again with other bytes");
    }
}

static inline void nor_flush(struct nor *nor)
{
    for (uint32_t i = 0; i < nor->cache.len; i++) {
        nor->bytes[nor->cache.address + i] &= nor->cache.bytes[i];
    }
    nor->cache.len = 0;
}

static inline enum pipit_err nor_program(struct pipit_flash *flash, uint32_t address,
                                         const uint8_t *ptr, size_t len)
{
    struct nor *nor = (struct nor *)(void *)flash;
    uint32_t granule = flash->granule_bytes, size = flash->sector_bytes;
    if (nor->is_off) {
        return PIPIT_ERR_IO;
    }
    if (len == 0 || len % granule != 0 || address % granule != 0 ||
        address >= size * flash->sector_count || address / size != (address + len - 1) / size) {
        nor_break(nor, "program of no whole granules in one sector");
        return PIPIT_ERR_IO;
    }
    bool is_cut = nor_is_cut(nor);
    for (uint32_t i = 0; i < len; i += granule) {
        if (!nor->is_cached) {
            nor_granule_check(nor, address + i, ptr + i);
        }
        nor->granules[address + i] = is_cut ? NOR_CUT : NOR_PROGRAMMED;
        memcpy(nor->wanted + address + i, ptr + i, granule);
    }
    if (is_cut) {
        nor->cache.len = 0;
        nor_tear(nor, address, ptr, (uint32_t)len);
        return PIPIT_ERR_IO;
    }
    nor_flush(nor);
    if (nor->is_cached && len <= sizeof(nor->cache.bytes)) {
        nor->cache.address = address;
        nor->cache.len = (uint32_t)len;
        memcpy(nor->cache.bytes, ptr, len);
        return PIPIT_OK;
    }
    for (uint32_t i = 0; i < len; i++) {
        nor->bytes[address + i] &= ptr[i];
    }
    if (nor->is_worn) {
        nor->bytes[address] ^= (uint8_t)(ptr[0] == 0xFF ? 1 : ~ptr[0] & -~ptr[0]);
    }
    return PIPIT_OK;
}

// What an erase that is cut leaves: the old, the new, a part of it, any bits of it, or noise.
static inline void nor_tear_sector(struct nor *nor, uint32_t base)
{
    uint32_t size = nor->base.sector_bytes, how = nor_chance(nor, 6);
    uint32_t middle = nor_chance(nor, size + 1), percent = nor_chance(nor, 101);
    for (uint32_t i = 0; i < size; i++) {
        uint8_t *byte = &nor->bytes[base + i];
        *byte = how == 0   ? *byte
                : how == 1 ? 0xFF
                : how == 2 ? (uint8_t)(*byte | (i < middle ? 0xFF : 0))
                : how == 3 ? (uint8_t)(*byte | (i < middle ? 0 : 0xFF))
                : how == 4 ? (uint8_t)(*byte | nor_some_bits(nor, percent))
                           : (uint8_t)nor_chance(nor, 256);
    }
}

static inline enum pipit_err nor_erase(struct pipit_flash *flash, uint32_t address)
{
    struct nor *nor = (struct nor *)(void *)flash;
    uint32_t size = flash->sector_bytes;
    if (nor->is_off) {
        return PIPIT_ERR_IO;
    }
    if (address % size != 0 || address >= size * flash->sector_count) {
        nor_break(nor, "erase of no sector");
        return PIPIT_ERR_IO;
    }
    bool is_cut = nor_is_cut(nor);
    memset(nor->granules + address, is_cut ? NOR_UNKNOWN : NOR_CLEAN, size);
    nor->erases[address / size]++;
    if (is_cut) {
        nor->cache.len = 0;
        nor_tear_sector(nor, address);
        return PIPIT_ERR_IO;
    }
    nor_flush(nor);
    memset(nor->bytes + address, 0xFF, size);
    return PIPIT_OK;
}

static inline void nor_power_on(struct nor *nor)
{
    nor->is_off = false;
    nor->cache.len = 0;
    nor->operations = nor->cut_at = nor->fail_at = 0;
    nor->reads = nor->fail_read = 0;
}

static inline void nor_init(struct nor *nor, uint32_t sector_bytes, uint32_t sector_count,
                            uint32_t granule_bytes, uint32_t seed)
{
    static const struct pipit_flash_type type = {
        .read = nor_read, .program = nor_program, .erase = nor_erase};
    memset(nor, 0, sizeof(*nor));
    memset(nor->bytes, 0xFF, sizeof(nor->bytes));
    nor->base = (struct pipit_flash){&type, sector_bytes, sector_count, granule_bytes};
    nor->random = seed * 2654435761u + 1;
    if (sector_bytes * sector_count > NOR_BYTES || sector_count > NOR_SECTORS) {
        abort();
    }
}

#endif
