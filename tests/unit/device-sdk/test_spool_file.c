// File spool: killed, or without power, at every single write, sync and rename; and what it
// refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipit/posix.h"

#define PUTS       130
#define BODY_MAX   2000
#define FILE_MAX   400000
#define WRITES_MAX 1000
#define KILLED     9

static char path[64];
static uint8_t memory[4096];
static struct pipit_file_spool file;

// ---- the disk: what the spool's writes and syncs come down to ----------------------------------
// These stand in for libc's in the whole program; without a plan they only pass on.

enum cut { CUT_NONE = 0, CUT_KILL, CUT_POWER };

static struct {
    enum cut cut;
    unsigned at; // The operation that is the last.
    unsigned count;
    bool is_sync_a_lie; // Syncs are answered, and do nothing.
    int sync_errno;     // Every sync fails with this.
    int write_errno;
    uint32_t random;
} plan;

static struct disk {
    ino_t inode;
    size_t durable_len;
    uint8_t durable[FILE_MAX];
    unsigned writes_count;
    struct {
        size_t at, len;
        uint8_t data[BODY_MAX + 100];
    } writes[WRITES_MAX];
} disks[2];
static unsigned current;
static bool is_rename_unsynced;

static uint32_t chance(uint32_t below)
{
    plan.random = plan.random * 1664525u + 1013904223u;
    return (plan.random >> 8) % below;
}

static struct disk *disk_of(int fd)
{
    struct stat status;
    if (plan.cut != CUT_POWER || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return NULL;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (disks[i].inode == status.st_ino) {
            return &disks[i];
        }
    }
    struct disk *disk = &disks[disks[current].inode == 0 ? current : 1 - current];
    disk->inode = status.st_ino;
    disk->durable_len = 0;
    disk->writes_count = 0;
    return disk;
}

// The power goes: of the writes since the last sync any may be on the disk, whole or in part.
static _Noreturn void power_cut(void)
{
    struct disk *disk = &disks[is_rename_unsynced && chance(2) == 0 ? 1 - current : current];
    for (unsigned i = 0; i < disk->writes_count; i++) {
        size_t end = disk->writes[i].at + disk->writes[i].len;
        if (chance(2) == 0) {
            size_t len =
                chance(3) == 0 ? chance((uint32_t)disk->writes[i].len + 1) : disk->writes[i].len;
            if (end > disk->durable_len) {
                memset(disk->durable + disk->durable_len, 0, end - disk->durable_len);
                disk->durable_len = end;
            }
            memcpy(disk->durable + disk->writes[i].at, disk->writes[i].data, len);
        }
    }
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    long written = syscall(SYS_pwrite64, fd, disk->durable, disk->durable_len, 0);
    _exit(written == (long)disk->durable_len ? KILLED : 1);
}

static bool is_last_operation(void)
{
    return plan.cut != CUT_NONE && ++plan.count == plan.at;
}

static _Noreturn void end_here(void)
{
    if (plan.cut == CUT_POWER) {
        power_cut();
    }
    _exit(KILLED);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (plan.write_errno != 0) {
        errno = plan.write_errno;
        return -1;
    }
    bool is_last = is_last_operation();
    struct disk *disk = disk_of(fd);
    if (disk != NULL && disk->writes_count < WRITES_MAX) {
        disk->writes[disk->writes_count].at = (size_t)at;
        disk->writes[disk->writes_count].len = len;
        memcpy(disk->writes[disk->writes_count].data, data, len);
        disk->writes_count++;
    }
    if (is_last) { // A kill comes in the middle of the write.
        (void)syscall(SYS_pwrite64, fd, data, chance((uint32_t)len + 1), at);
        end_here();
    }
    return syscall(SYS_pwrite64, fd, data, len, at);
}

static int sync_any(int fd)
{
    struct stat status;
    if (plan.sync_errno != 0) {
        errno = plan.sync_errno;
        return -1;
    }
    if (is_last_operation()) {
        end_here();
    }
    struct disk *disk = disk_of(fd);
    if (plan.is_sync_a_lie) {
        return 0;
    }
    if (disk != NULL) {
        disk->durable_len = (size_t)pread(fd, disk->durable, FILE_MAX, 0);
        disk->writes_count = 0;
    } else if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        is_rename_unsynced = false;
    }
    return 0;
}

int fdatasync(int fd)
{
    return sync_any(fd);
}

int fsync(int fd)
{
    return sync_any(fd);
}

int rename(const char *from, const char *to)
{
    if (is_last_operation()) {
        end_here();
    }
    current = 1 - current;
    is_rename_unsynced = true;
    disks[1 - current].inode = disks[1 - current].inode != 0 ? disks[1 - current].inode : 1;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

// ---- the workload, in a child; what it was told stays in shared memory -------------------------

struct noted {
    uint32_t boot;
    uint64_t sequence;
    uint16_t size;
    bool is_released;
};

static struct ledger {
    unsigned accepted; // entries[0 .. accepted) were accepted, with the mark i + 1.
    unsigned synced;   // Of these, known to be on the disk.
    bool is_compacted;
    struct noted entries[PUTS + 1]; // The last may be under way.
} * ledger;

static struct pipit_file_options options_of(uint32_t sync_every_ms)
{
    return (struct pipit_file_options){.path = path,
                                       .limit_bytes = 60000,
                                       .sync_every_ms = sync_every_ms,
                                       .memory = memory,
                                       .memory_bytes = sizeof(memory),
                                       .entropy = 99};
}

static uint16_t body_size(unsigned index)
{
    return (uint16_t)(1 + index * 7919u % BODY_MAX);
}

static void put_one(unsigned index)
{
    uint8_t body[BODY_MAX];
    uint64_t mark = index + 1;
    uint16_t size = body_size(index);
    memset(body, (int)index, sizeof(body));
    ledger->entries[index] =
        (struct noted){.boot = file.base.boot, .sequence = file.base.next_sequence, .size = size};
    enum pipit_err rc = file.base.type->put(&file.base, (struct pipit_bytes){body, size}, &mark);
    if (rc != PIPIT_OK) {
        _exit(2);
    }
    ledger->accepted = index + 1;
}

static void hand_out_and_release(void)
{
    struct pipit_record record;
    while (file.base.type->peek(&file.base, &record) == PIPIT_OK) {
        for (unsigned i = 0; i < ledger->accepted; i++) {
            struct noted *noted = &ledger->entries[i];
            if (noted->boot == record.boot && noted->sequence == record.sequence) {
                noted->is_released = i % 5 != 0 || i + 20 < ledger->accepted;
                ledger->synced = i + 1 > ledger->synced ? i + 1 : ledger->synced;
                if (noted->is_released &&
                    file.base.type->release(&file.base, record.boot, record.sequence,
                                            record.sequence) != PIPIT_OK) {
                    _exit(3);
                }
            }
        }
        if (file.base.count > 0) {
            file.base.type->advance(&file.base);
        }
    }
    file.base.type->rewind(&file.base);
}

static _Noreturn void workload(uint32_t sync_every_ms)
{
    struct pipit_file_options options = options_of(sync_every_ms);
    if (pipit_file_spool_open(&file, &options) != PIPIT_OK) {
        _exit(4);
    }
    for (unsigned i = 0; i < PUTS; i++) {
        put_one(i);
        if (file.base.type->tick != NULL) {
            (void)file.base.type->tick(&file.base, i * 10);
        }
        if (i % 7 == 6) {
            hand_out_and_release();
        }
        ledger->is_compacted = ledger->is_compacted || is_rename_unsynced || current == 1;
    }
    _exit(0);
}

// Runs the workload up to its at-th operation. False when it ended before that.
static bool run_child(uint32_t sync_every_ms)
{
    int status = 0;
    (void)unlink(path);
    memset(ledger, 0, sizeof(*ledger));
    pid_t child = fork();
    if (child == 0) {
        workload(sync_every_ms);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED);
    return WEXITSTATUS(status) == KILLED;
}

// Opens what is left, and says whether the promises hold: NULL, or what is wrong.
static const char *verdict(unsigned must_have, bool is_exact)
{
    struct pipit_file_options options = options_of(0);
    struct pipit_record record;
    if (pipit_file_spool_open(&file, &options) != PIPIT_OK) {
        return "cannot be opened";
    }
    uint64_t mark = file.base.has_mark ? file.base.mark : 0;
    const char *wrong = NULL;
    unsigned next = 0;
    while (wrong == NULL && file.base.type->peek(&file.base, &record) == PIPIT_OK) {
        while (next <= ledger->accepted && (ledger->entries[next].boot != record.boot ||
                                            ledger->entries[next].sequence != record.sequence)) {
            if (next < mark && next < ledger->accepted && !ledger->entries[next].is_released) {
                wrong = "an accepted event is gone";
            }
            next++;
        }
        if (next > ledger->accepted || ledger->entries[next].size != record.body.len ||
            record.body.ptr[record.body.len - 1] != (uint8_t)next || next >= mark) {
            wrong = "an event that is not as accepted";
        }
        next++;
        file.base.type->advance(&file.base);
    }
    for (; wrong == NULL && next < mark && next < ledger->accepted; next++) {
        if (!ledger->entries[next].is_released) {
            wrong = "an accepted event is gone from the end";
        }
    }
    if (wrong == NULL && (mark < must_have || mark > ledger->accepted + 1u)) {
        wrong = "the mark is not that of the last accepted event";
    }
    if (wrong == NULL && is_exact && ledger->accepted > 0 &&
        file.base.boot <= ledger->entries[0].boot) {
        wrong = "the boot number did not grow";
    }
    (void)pipit_file_spool_close(&file);
    return wrong;
}

struct tally {
    unsigned runs, lost;
};

static struct tally cut_everywhere(enum cut cut, uint32_t sync_every_ms, bool is_sync_a_lie)
{
    struct tally tally = {0};
    bool was_cut = true;
    bool is_compacted = false;
    for (unsigned at = 1; was_cut; at++) {
        memset(disks, 0, sizeof(disks));
        current = 0;
        is_rename_unsynced = false;
        memset(&plan, 0, sizeof(plan));
        plan.cut = cut;
        plan.at = at;
        plan.is_sync_a_lie = is_sync_a_lie;
        plan.random = at;
        was_cut = run_child(sync_every_ms);
        memset(&plan, 0, sizeof(plan));
        is_compacted = is_compacted || ledger->is_compacted;
        // Without a sync each time, power takes the last ones; but nothing that was handed out.
        bool is_each = sync_every_ms == 0 || cut == CUT_KILL;
        const char *wrong =
            was_cut ? verdict(is_each ? ledger->accepted : ledger->synced, true) : NULL;
        tally.runs++;
        tally.lost += wrong != NULL ? 1 : 0;
        if (wrong != NULL && !is_sync_a_lie) {
            fail_msg("cut %d at operation %u: %s", (int)cut, at, wrong);
        }
    }
    assert_true(is_compacted);
    assert_true(tally.runs > 200);
    return tally;
}

static void test_kill_at_every_operation(void **state)
{
    (void)state;
    (void)cut_everywhere(CUT_KILL, 0, false);
    (void)cut_everywhere(CUT_KILL, 50, false);
}

static void test_power_at_every_operation(void **state)
{
    (void)state;
    (void)cut_everywhere(CUT_POWER, 0, false);
    (void)cut_everywhere(CUT_POWER, 50, false);
}

// The test above is worth something only if it fails when nothing is synced.
static void test_power_test_can_fail(void **state)
{
    (void)state;
    struct tally tally = cut_everywhere(CUT_POWER, 0, true);
    assert_true(tally.lost > tally.runs / 2);
}

// A file cut at every byte keeps each record that is whole, and opens for a new boot.
static void test_every_length(void **state)
{
    (void)state;
    static uint8_t content[2048];
    struct pipit_file_options options = options_of(0);
    uint32_t ends[8];
    (void)unlink(path);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    memset(ledger, 0, sizeof(*ledger));
    for (unsigned i = 0; i < 8; i++) {
        uint64_t mark = i + 1;
        uint8_t body[100] = {(uint8_t)i};
        assert_int_equal(file.base.type->put(&file.base, (struct pipit_bytes){body, 10 + i}, &mark),
                         PIPIT_OK);
        ends[i] = file.end;
    }
    uint32_t boot = file.base.boot;
    uint32_t size = file.end;
    assert_int_equal(pread(file.fd, content, sizeof(content), 0), (ssize_t)size);
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
    for (uint32_t len = 0; len <= size; len++) {
        int fd = open(path, O_WRONLY | O_TRUNC);
        assert_int_equal(syscall(SYS_pwrite64, fd, content, len, 0), len);
        (void)close(fd);
        uint32_t whole = 0;
        while (whole < 8 && ends[whole] <= len) {
            whole++;
        }
        assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
        assert_int_equal(file.base.count, whole);
        assert_int_equal(file.base.has_mark ? file.base.mark : 0, whole);
        assert_false(file.was_damaged);
        if (len >= 32) {
            assert_int_equal(file.base.boot, boot + 1);
        }
        assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
    }
}

static void write_file(const char *name, const void *data, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(syscall(SYS_pwrite64, fd, data, len, 0), (long)len);
    (void)close(fd);
}

static void test_not_a_spool(void **state)
{
    (void)state;
    static const char letter[] = "Dear Sir or Madam, this file is a letter and must stay one.";
    char after[sizeof(letter)] = {0};
    struct pipit_file_options options = options_of(0);
    write_file(path, letter, sizeof(letter));
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_ERR_CORRUPT);
    assert_non_null(strstr(pipit_file_spool_error(&file), "untouched"));
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, after, sizeof(after)), sizeof(letter));
    (void)close(fd);
    assert_string_equal(after, letter);
    options.path = "/nonexistent/spool";
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_ERR_IO);
}

static void test_locked(void **state)
{
    (void)state;
    static struct pipit_file_spool other;
    struct pipit_file_options options = options_of(0);
    (void)unlink(path);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    assert_int_equal(pipit_file_spool_open(&other, &options), PIPIT_ERR_LOCKED);
    assert_non_null(strstr(pipit_file_spool_error(&other), "another process"));
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
    assert_int_equal(pipit_file_spool_open(&other, &options), PIPIT_OK);
    assert_int_equal(pipit_file_spool_close(&other), PIPIT_OK);
}

static void test_damage_in_the_middle(void **state)
{
    (void)state;
    char copy[80];
    uint8_t body[50] = {1};
    struct pipit_file_options options = options_of(0);
    struct stat status;
    (void)snprintf(copy, sizeof(copy), "%s.damaged", path);
    (void)unlink(path);
    (void)unlink(copy);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            file.base.type->put(&file.base, (struct pipit_bytes){body, sizeof(body)}, NULL),
            PIPIT_OK);
    }
    uint32_t size = file.end;
    assert_int_equal(syscall(SYS_pwrite64, file.fd, "x", 1, 32 + 82 + 40), 1);
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    assert_true(file.was_damaged);
    assert_int_equal(file.base.count, 1);
    assert_int_equal(stat(copy, &status), 0);
    assert_int_equal(status.st_size, size);
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
    (void)unlink(copy);
}

// A sync that failed is not tried again: nothing is accepted until the spool is reopened.
static void test_sync_fails(void **state)
{
    (void)state;
    uint8_t body[10] = {1};
    struct pipit_bytes bytes = {body, sizeof(body)};
    struct pipit_file_options options = options_of(0);
    (void)unlink(path);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    assert_int_equal(file.base.type->put(&file.base, bytes, NULL), PIPIT_OK);
    plan.sync_errno = EIO;
    assert_int_equal(file.base.type->put(&file.base, bytes, NULL), PIPIT_ERR_IO);
    plan.sync_errno = 0;
    assert_int_equal(file.base.type->put(&file.base, bytes, NULL), PIPIT_ERR_IO);
    assert_int_equal(file.base.count, 1);
    (void)pipit_file_spool_close(&file);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    assert_int_equal(file.base.type->put(&file.base, bytes, NULL), PIPIT_OK);
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
}

// A full disk is an answer like a full spool, and over when there is room again.
static void test_disk_full(void **state)
{
    (void)state;
    uint8_t body[10] = {1};
    struct pipit_bytes bytes = {body, sizeof(body)};
    struct pipit_file_options options = options_of(0);
    (void)unlink(path);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    plan.write_errno = ENOSPC;
    assert_int_equal(file.base.type->put(&file.base, bytes, NULL), PIPIT_ERR_FULL);
    plan.write_errno = 0;
    assert_int_equal(file.base.type->put(&file.base, bytes, NULL), PIPIT_OK);
    assert_int_equal(file.base.next_sequence, 2);
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
}

static void test_event_larger_than_memory(void **state)
{
    (void)state;
    static uint8_t body[2000];
    struct pipit_file_options options = options_of(0);
    (void)unlink(path);
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    assert_int_equal(
        file.base.type->put(&file.base, (struct pipit_bytes){body, sizeof(body)}, NULL), PIPIT_OK);
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
    options.memory_bytes = 1000;
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_ERR_SIZE);
    assert_non_null(strstr(pipit_file_spool_error(&file), "2000 bytes"));
    options.memory_bytes = sizeof(memory); // And nothing of it was harmed.
    assert_int_equal(pipit_file_spool_open(&file, &options), PIPIT_OK);
    assert_int_equal(file.base.count, 1);
    assert_int_equal(pipit_file_spool_close(&file), PIPIT_OK);
}

static int make_path(void **state)
{
    (void)state;
    char directory[] = "/tmp/pipit-spool-XXXXXX";
    ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mkdtemp(directory) == NULL || ledger == MAP_FAILED) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/spool", directory);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    char leftover[80];
    (void)unlink(path);
    (void)snprintf(leftover, sizeof(leftover), "%s.new", path);
    (void)unlink(leftover);
    *strrchr(path, '/') = '\0';
    return rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_at_every_operation),
        cmocka_unit_test(test_power_at_every_operation),
        cmocka_unit_test(test_power_test_can_fail),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_not_a_spool),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_damage_in_the_middle),
        cmocka_unit_test(test_sync_fails),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_event_larger_than_memory),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
