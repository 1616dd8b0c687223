#include "spool_record.h"

#include <errno.h>
#include <unistd.h>

#define KIND_HAS_MARK 0x80u

static uint32_t crc_add(uint32_t crc, const uint8_t *ptr, size_t len)
{
    // Reflected polynomial 0xEDB88320, four bits a step.
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
                                       0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
                                       0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    for (size_t i = 0; i < len; i++) {
        crc ^= ptr[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

static void put_le(uint8_t *ptr, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        ptr[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t get_le(const uint8_t *ptr, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = size; i-- > 0;) {
        value = value << 8 | ptr[i];
    }
    return value;
}

static uint32_t record_crc(const uint8_t *record, size_t body_len)
{
    uint32_t crc = crc_add(0xFFFFFFFFu, record, FLAG_AT);
    crc = crc_add(crc, record + FLAG_AT + 1, 28 - FLAG_AT - 1);
    return ~crc_add(crc, record + HEAD_BYTES, body_len);
}

void pipit_record_put(uint8_t *record, const struct pipit_record_head *head)
{
    record[0] = 'P';
    record[1] = 'S';
    record[FLAG_AT] = head->flag;
    record[3] = (uint8_t)(head->kind | (head->has_mark ? KIND_HAS_MARK : 0u));
    put_le(record + 4, head->len, 4);
    put_le(record + 8, head->boot, 4);
    put_le(record + 12, head->sequence, 8);
    put_le(record + 20, head->mark, 8);
    put_le(record + 28, record_crc(record, head->len), 4);
}

bool pipit_record_get(const uint8_t *record, struct pipit_record_head *head)
{
    head->flag = record[FLAG_AT];
    head->kind = (uint8_t)(record[3] & ~KIND_HAS_MARK);
    head->has_mark = (record[3] & KIND_HAS_MARK) != 0;
    head->len = (uint32_t)get_le(record + 4, 4);
    head->boot = (uint32_t)get_le(record + 8, 4);
    head->sequence = get_le(record + 12, 8);
    head->mark = get_le(record + 20, 8);
    head->crc = (uint32_t)get_le(record + 28, 4);
    return record[0] == 'P' && record[1] == 'S' &&
           (head->kind == KIND_START || head->kind == KIND_EVENT) && head->len <= LIMIT_MAX;
}

bool pipit_record_is_waiting(const struct pipit_record_head *head)
{
    return head->kind == KIND_EVENT && head->flag == FLAG_WAITING;
}

bool pipit_read_all(int fd, uint8_t *ptr, size_t len, uint32_t at)
{
    while (len > 0) {
        ssize_t got = pread(fd, ptr, len, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        ptr += got;
        len -= (size_t)got;
        at += (uint32_t)got;
    }
    return true;
}

bool pipit_write_all(int fd, const uint8_t *ptr, size_t len, uint32_t at)
{
    while (len > 0) {
        ssize_t written = pwrite(fd, ptr, len, (off_t)at);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            errno = written == 0 ? ENOSPC : errno;
            return false;
        }
        ptr += written;
        len -= (size_t)written;
        at += (uint32_t)written;
    }
    return true;
}

// CRC of a record whose body may be larger than our memory: read in pieces.
bool pipit_record_is_whole(int fd, uint32_t at, uint32_t size, struct pipit_record_head *out_head)
{
    uint8_t head_bytes[HEAD_BYTES];
    uint8_t piece[1024];
    if (size - at < HEAD_BYTES || !pipit_read_all(fd, head_bytes, HEAD_BYTES, at) ||
        !pipit_record_get(head_bytes, out_head) || out_head->len > size - at - HEAD_BYTES) {
        return false;
    }
    uint32_t crc = crc_add(0xFFFFFFFFu, head_bytes, FLAG_AT);
    crc = crc_add(crc, head_bytes + FLAG_AT + 1, 28 - FLAG_AT - 1);
    uint32_t from = at + HEAD_BYTES;
    for (uint32_t left = out_head->len; left > 0;) {
        uint32_t count = left < sizeof(piece) ? left : (uint32_t)sizeof(piece);
        if (!pipit_read_all(fd, piece, count, from)) {
            return false;
        }
        crc = crc_add(crc, piece, count);
        from += count;
        left -= count;
    }
    return ~crc == out_head->crc;
}
