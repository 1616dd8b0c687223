// Flash that holds anything: the spool opens or says why not, stays within its flash and memory,
// and what it hands out was put in, whole and in order. Every other input gets right checksums, so
// that what is behind them is met too; then anything may be handed out.
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "pipit/flash.h"

#define SECTOR 256u
#define COUNT  8u
#define SIZE   (SECTOR * COUNT)
#define STEP   16u

const uint32_t fuzz_count = 20000;

static uint8_t content[SIZE];

static enum pipit_err flash_read(struct pipit_flash *flash, uint32_t address, uint8_t *ptr,
                                 size_t len)
{
    (void)flash;
    assert(address <= SIZE && len <= SIZE - address);
    memcpy(ptr, content + address, len);
    return PIPIT_OK;
}

static enum pipit_err flash_program(struct pipit_flash *flash, uint32_t address, const uint8_t *ptr,
                                    size_t len)
{
    assert(address % flash->granule_bytes == 0 && len % flash->granule_bytes == 0 && len > 0);
    assert(address < SIZE && len <= SECTOR - address % SECTOR);
    for (size_t i = 0; i < len; i++) {
        content[address + i] &= ptr[i];
    }
    return PIPIT_OK;
}

static enum pipit_err flash_erase(struct pipit_flash *flash, uint32_t address)
{
    (void)flash;
    assert(address < SIZE && address % SECTOR == 0);
    memset(content + address, 0xFF, SECTOR);
    return PIPIT_OK;
}

static const struct pipit_flash_type flash_type = {
    .read = flash_read, .program = flash_program, .erase = flash_erase};
static struct pipit_flash flash = {&flash_type, SECTOR, COUNT, 4};

static enum pipit_err open_spool(struct pipit_flash_spool *spool, uint8_t *memory,
                                 size_t memory_bytes, enum pipit_policy policy)
{
    struct pipit_flash_spool_options options = {.flash = &flash,
                                                .policy = policy,
                                                .memory = memory,
                                                .memory_bytes = memory_bytes,
                                                .entropy = 7};
    return pipit_flash_spool_open(spool, &options);
}

static void body_make(char *text, uint32_t boot, uint64_t sequence)
{
    snprintf(text, 48, "event %u of start %u", (unsigned)sequence, (unsigned)boot);
}

static enum pipit_err put(struct pipit_flash_spool *spool)
{
    char body[48];
    uint64_t mark = spool->base.next_sequence;
    body_make(body, spool->base.boot, spool->base.next_sequence);
    struct pipit_bytes bytes = {(const uint8_t *)body, strlen(body)};
    return spool->base.type->put(&spool->base, bytes, mark % 2 == 0 ? &mark : NULL);
}

// Lives of different lengths: blank, full, released, started often. The first byte says which kind
// of input it is.
size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static uint8_t memory[64];
    struct pipit_flash_spool spool;
    if (index > 9 || size < SIZE + 1) {
        return 0;
    }
    memset(content, 0xFF, sizeof(content));
    for (uint32_t start = 0; start < index; start++) {
        assert(open_spool(&spool, memory, sizeof(memory), PIPIT_REFUSE) == PIPIT_OK);
        for (uint32_t n = 0; n < index * 2 && put(&spool) == PIPIT_OK; n++) {
        }
        if (start % 3 != 0) {
            (void)spool.base.type->release(&spool.base, spool.base.tail_boot,
                                           spool.base.tail_sequence, spool.base.tail_sequence + 4);
        }
    }
    out[0] = (uint8_t)index;
    memcpy(out + 1, content, SIZE);
    return SIZE + 1;
}

static uint32_t crc_of(uint32_t address, uint32_t len)
{
    uint32_t crc = ~address;
    for (uint32_t i = 0; i < len; i++) {
        crc ^= content[address + i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
        }
    }
    return crc;
}

static void crc_put(uint32_t address, uint32_t len)
{
    uint32_t crc = crc_of(address, len);
    memcpy(content + address + len, &crc, sizeof(crc));
}

// Wherever something is written, a head begins, and what its length calls a body is one.
static void checksums_mend(void)
{
    static const uint8_t blank[STEP] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    for (uint32_t at = 0; at < SIZE;) {
        uint32_t len = 0;
        if (memcmp(content + at, blank, STEP) != 0) {
            len = content[at] + ((content[at + 1] & 0x80) != 0 ? 8u : 0);
            crc_put(at, STEP - 4);
        }
        if (len > 0 && at + STEP + 4 + len + 4 <= SIZE) {
            crc_put(at + STEP + 4, len);
            at += (STEP + 4 + len + 4) / STEP * STEP;
        }
        at += STEP;
    }
}

static void check(const struct pipit_record *record)
{
    char body[48];
    body_make(body, record->boot, record->sequence);
    assert(record->body.len == strlen(body) &&
           memcmp(record->body.ptr, body, record->body.len) == 0);
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static uint8_t memory[64];
    struct pipit_flash_spool spool;
    struct pipit_record record;
    bool is_mended = len > 0 && ptr[0] % 2 == 1;
    enum pipit_policy policy = len > 0 && ptr[0] % 4 < 2 ? PIPIT_REFUSE : PIPIT_DROP_OLDEST;
    memset(content, 0xFF, sizeof(content));
    if (len > 1) {
        memcpy(content, ptr + 1, len - 1 < SIZE ? len - 1 : SIZE);
    }
    if (is_mended) {
        checksums_mend();
    }
    enum pipit_err rc = open_spool(&spool, memory, sizeof(memory), policy);
    if (rc != PIPIT_OK) {
        assert(rc == PIPIT_ERR_CORRUPT || rc == PIPIT_ERR_IO || rc == PIPIT_ERR_SIZE ||
               rc == PIPIT_ERR_FULL);
        assert(is_mended || rc != PIPIT_ERR_SIZE);
        return;
    }
    uint32_t count = spool.base.count, boot = spool.base.boot;
    for (uint32_t i = 0; i < count; i++) {
        rc = spool.base.type->peek(&spool.base, &record);
        assert(rc == PIPIT_OK || is_mended);
        if (rc != PIPIT_OK) {
            return;
        }
        if (!is_mended) {
            check(&record);
        }
        spool.base.type->advance(&spool.base);
    }
    rc = put(&spool);
    assert(is_mended || rc == PIPIT_OK || rc == PIPIT_ERR_FULL);
    (void)spool.base.type->release(&spool.base, spool.base.tail_boot, 0, UINT64_MAX);
    rc = open_spool(&spool, memory, sizeof(memory), PIPIT_DROP_OLDEST);
    assert(is_mended || (rc == PIPIT_OK && spool.base.boot == boot + 1));
}
