// broken_port - the Linux port with one fault, chosen by FAULT in the environment: what a porter
// gets wrong. Linked with firmware-examples/porting/main.c by test_porting.py, which knows what
// must be found.
#include "../../firmware-examples/porting/port.h"

#include <pipit/posix.h>
#include <pipit/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct pipit_socket line;
static struct pipit_transport broken_line;
static struct pipit_file_spool spool;
static struct pipit_spool_type spool_type;
static const struct pipit_spool_type *real_spool;
static uint8_t record[256];
static uint32_t clock_offset_ms;
static uint32_t calls;   // Of the function at fault.
static uint8_t stale[8]; // Bytes of a former connection.
static size_t stale_len;
static int32_t owed = -1; // A byte held back.
static uint32_t first_boot;

const bool port_is_spool_kept = true;
const uint32_t port_window_bytes = 0;
const uint32_t port_timeout_ms = 600;

static bool is_fault(const char *name)
{
    const char *fault = getenv("FAULT");
    return fault != NULL && strcmp(fault, name) == 0;
}

// ---- clock and entropy -------------------------------------------------------------------------

uint32_t port_now_ms(void)
{
    uint32_t now_ms = pipit_now_ms() + clock_offset_ms;
    if (is_fault("clock stands still")) {
        return 7;
    }
    if (is_fault("clock goes back") && ++calls % 64 == 0) {
        return now_ms - 3;
    }
    if (is_fault("clock jumps") && ++calls % 500 == 0) {
        clock_offset_ms += 1000;
    }
    if (is_fault("clock of microseconds")) {
        return now_ms % (0xFFFFFFFFu / 1000u);
    }
    return is_fault("clock of 31 bits") ? now_ms & 0x7FFFFFFFu : now_ms;
}

bool port_clock_set(uint32_t now_ms)
{
    clock_offset_ms = now_ms - pipit_now_ms();
    return true;
}

uint32_t port_entropy(void)
{
    return is_fault("entropy is constant") ? 4 : pipit_entropy();
}

void port_idle(void)
{
    pipit_socket_wait(&line, 1);
}

void port_print(const char *text)
{
    (void)fputs(text, stdout);
}

_Noreturn void port_end(int status)
{
    exit(status);
}

// ---- line --------------------------------------------------------------------------------------

static int32_t send_on(const uint8_t *ptr, size_t len)
{
    return line.base.type->write(&line.base, ptr, len);
}

static int32_t write_changed(uint8_t from, uint8_t to, const uint8_t *ptr, size_t len)
{
    uint8_t copy[128];
    size_t count = len < sizeof(copy) ? len : sizeof(copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = ptr[i] == from ? to : ptr[i];
    }
    return send_on(copy, count);
}

// One byte and its neighbour change places.
static int32_t write_swapped(const uint8_t *ptr, size_t len)
{
    uint8_t copy[128];
    size_t count = len < sizeof(copy) ? len : sizeof(copy);
    memcpy(copy, ptr, count);
    if (count > 40) {
        copy[7] = ptr[8];
        copy[8] = ptr[7];
    }
    return send_on(copy, count);
}

static int32_t broken_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    calls++;
    if (is_fault("write loses a byte") && calls % 300 == 0 && len > 1) {
        return send_on(ptr + 1, len - 1) + 1;
    }
    if (is_fault("write doubles a byte") && calls % 300 == 0 && len > 0) {
        (void)send_on(ptr, 1);
    }
    if (is_fault("write changes the order")) {
        return write_swapped(ptr, len);
    }
    if (is_fault("line ends are translated")) {
        return write_changed('\r', '\n', ptr, len);
    }
    if (is_fault("write claims what it did not take")) {
        (void)send_on(ptr, len);
        return (int32_t)len;
    }
    if (is_fault("write takes more than there is")) {
        (void)send_on(ptr, len);
        return (int32_t)len + 1;
    }
    if (is_fault("write fails when it is full")) {
        int32_t count = send_on(ptr, len);
        return count == 0 && len > 0 ? (int32_t)PIPIT_ERR_UNREACHABLE : count;
    }
    if (is_fault("write of nothing fails") && len == 0) {
        return PIPIT_ERR_ARGUMENT;
    }
    if (is_fault("write throws away what does not fit") && len > 64) {
        return send_on(ptr, 64) < 0 ? -1 : (int32_t)len;
    }
    return send_on(ptr, len);
}

static int32_t receive(uint8_t *ptr, size_t size)
{
    return line.base.type->read(&line.base, ptr, size);
}

// The newest byte stays in the driver until another one comes: an interrupt that is a byte late.
static int32_t read_late(uint8_t *ptr, size_t size)
{
    uint8_t byte;
    if (size == 0 || receive(&byte, 1) != 1) {
        return 0;
    }
    int32_t before = owed;
    owed = byte;
    if (before < 0) {
        return 0;
    }
    *ptr = (uint8_t)before;
    return 1;
}

static int32_t broken_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    (void)transport;
    if (stale_len > 0 && size >= stale_len) {
        int32_t count = (int32_t)stale_len;
        memcpy(ptr, stale, stale_len);
        stale_len = 0;
        return count;
    }
    if (is_fault("read keeps the newest byte")) {
        return read_late(ptr, size);
    }
    if (is_fault("read of nothing is an error") && size > 0) {
        int32_t count = receive(ptr, size);
        return count == 0 ? (int32_t)PIPIT_ERR_EMPTY : count;
    }
    if (is_fault("read blocks") && size > 0) {
        int32_t count = receive(ptr, size);
        for (int i = 0; count == 0 && i < 300; i++) {
            (void)usleep(1000);
            count = receive(ptr, size);
        }
        return count;
    }
    if (is_fault("read writes whole words")) {
        int32_t count = receive(ptr, size);
        for (int32_t i = count; count > 0 && i % 4 != 0; i++) {
            ptr[i] = 0;
        }
        return count;
    }
    if (is_fault("read rounds the address")) {
        uint8_t *even = ptr - ((uintptr_t)ptr & 3u);
        int32_t count = receive(even, size);
        return count;
    }
    if (is_fault("7 data bits")) {
        int32_t count = receive(ptr, size);
        for (int32_t i = 0; i < count; i++) {
            ptr[i] &= 0x7F;
        }
        return count;
    }
    if (is_fault("XON and XOFF are swallowed")) {
        uint8_t byte = 0;
        int32_t count = size > 0 ? receive(&byte, 1) : 0;
        if (count <= 0 || byte == 0x11 || byte == 0x13) {
            return count < 0 ? count : 0;
        }
        *ptr = byte;
        return 1;
    }
    if (is_fault("hang-up is not told")) {
        int32_t count = receive(ptr, size);
        return count < 0 ? 0 : count;
    }
    return receive(ptr, size);
}

static enum pipit_err broken_open(struct pipit_transport *transport, uint32_t now_ms)
{
    (void)transport;
    if (is_fault("open never ends")) {
        return PIPIT_ERR_BUSY;
    }
    if (is_fault("open fails")) {
        return PIPIT_ERR_UNREACHABLE;
    }
    if (is_fault("open blocks")) {
        (void)usleep(200000);
    }
    return line.base.type->open(&line.base, now_ms);
}

static void broken_close(struct pipit_transport *transport)
{
    (void)transport;
    if (is_fault("close keeps what waits") && line.is_open) {
        (void)usleep(20000); // So that something waits.
        int32_t count = receive(stale, sizeof(stale));
        stale_len = count > 0 ? (size_t)count : 0;
    }
    if (!is_fault("close does not close")) {
        line.base.type->close(&line.base);
    }
}

static const struct pipit_transport_type broken_type = {
    .write = broken_write, .read = broken_read, .open = broken_open, .close = broken_close};

struct pipit_transport *port_transport(void)
{
    return &broken_line;
}

void port_init(void)
{
    pipit_socket_init(&line, "127.0.0.1", getenv("PORT"));
    broken_line.type = &broken_type;
}

// ---- spool -------------------------------------------------------------------------------------

static enum pipit_err broken_put(struct pipit_spool *base, struct pipit_bytes body,
                                 const uint64_t *mark)
{
    if (is_fault("put forgets the mark")) {
        mark = NULL;
    }
    if (is_fault("put takes words only")) {
        body.ptr -= (uintptr_t)body.ptr & 3u;
    }
    enum pipit_err rc = real_spool->put(base, body, mark);
    if (rc == PIPIT_ERR_FULL && is_fault("put drops in silence when full")) {
        return PIPIT_OK;
    }
    if (rc == PIPIT_ERR_FULL && is_fault("put counts although it is full")) {
        base->next_sequence++;
    }
    return rc == PIPIT_ERR_FULL && is_fault("put gives another error when full") ? PIPIT_ERR_IO
                                                                                 : rc;
}

static enum pipit_err broken_peek(struct pipit_spool *base, struct pipit_record *out_record)
{
    enum pipit_err rc = real_spool->peek(base, out_record);
    if (rc == PIPIT_OK && is_fault("peek cuts the body") && out_record->body.len > 30) {
        out_record->body.len--;
    }
    if (rc == PIPIT_OK && is_fault("peek always says last")) {
        out_record->is_last = true;
    }
    return rc;
}

static void broken_advance(struct pipit_spool *base)
{
    if (!is_fault("advance stays")) {
        real_spool->advance(base);
    }
}

static void broken_rewind(struct pipit_spool *base)
{
    if (!is_fault("rewind stays")) {
        real_spool->rewind(base);
    }
}

static enum pipit_err broken_release(struct pipit_spool *base, uint32_t boot, uint64_t first,
                                     uint64_t last)
{
    if (is_fault("release takes one more")) {
        last++;
    }
    if (is_fault("release takes what is before, too")) {
        first = 0;
    }
    if (is_fault("release forgets the boot")) {
        boot = base->tail_boot;
    }
    return real_spool->release(base, boot, first, last);
}

struct pipit_spool *port_spool_open(void)
{
    struct pipit_file_options options = {.path = getenv("SPOOL"),
                                         .limit_bytes = 4096,
                                         .memory = record,
                                         .memory_bytes = sizeof(record),
                                         .entropy = pipit_entropy()};
    if (is_fault("spool cannot be opened")) {
        return NULL;
    }
    if (is_fault("spool forgets at close")) {
        (void)unlink(options.path);
    }
    if (pipit_file_spool_open(&spool, &options) != PIPIT_OK) {
        return NULL;
    }
    real_spool = spool.base.type;
    spool_type = (struct pipit_spool_type){.put = broken_put,
                                           .peek = broken_peek,
                                           .advance = broken_advance,
                                           .rewind = broken_rewind,
                                           .release = broken_release,
                                           .tick = real_spool->tick};
    spool.base.type = &spool_type;
    first_boot = first_boot == 0 ? spool.base.boot : first_boot;
    if (is_fault("every start has the same boot")) {
        spool.base.boot = first_boot;
    }
    return &spool.base;
}

void port_spool_close(void)
{
    (void)pipit_file_spool_close(&spool);
}
