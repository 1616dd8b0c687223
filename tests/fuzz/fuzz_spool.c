// A spool file that a disk or a person has damaged: it opens or says why not, and what it hands out
// was put in, whole and in order.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "pipit/posix.h"

const uint32_t fuzz_count = 3000;

static char folder[] = "/tmp/pipit-fuzz-XXXXXX";
static char path[80], damaged[96], fresh[96];

static void clean(void)
{
    unlink(path);
    unlink(damaged);
    unlink(fresh);
    rmdir(folder);
}

static void prepare(void)
{
    if (path[0] == '\0') {
        assert(mkdtemp(folder) != NULL);
        atexit(clean);
        snprintf(path, sizeof(path), "%s/spool", folder);
        snprintf(damaged, sizeof(damaged), "%s.damaged", path);
        snprintf(fresh, sizeof(fresh), "%s.new", path);
    }
    unlink(path);
    unlink(damaged);
    unlink(fresh);
}

static enum pipit_err open_spool(struct pipit_file_spool *spool, uint8_t *memory,
                                 size_t memory_bytes)
{
    struct pipit_file_options options = {.path = path,
                                         .limit_bytes = 4096,
                                         .memory = memory,
                                         .memory_bytes = memory_bytes,
                                         .sync_every_ms = 60000};
    return pipit_file_spool_open(spool, &options);
}

static void body_make(char *text, unsigned n)
{
    snprintf(text, 32, "reading number %u", n);
}

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static uint8_t memory[256];
    struct pipit_file_spool spool;
    char body[32];
    if (index > 3) {
        return 0;
    }
    prepare();
    assert(open_spool(&spool, memory, sizeof(memory)) == PIPIT_OK);
    for (unsigned n = 1; n <= index * 3; n++) {
        body_make(body, n);
        struct pipit_bytes bytes = {(const uint8_t *)body, strlen(body)};
        assert(spool.base.type->put(&spool.base, bytes, NULL) == PIPIT_OK);
    }
    assert(pipit_file_spool_close(&spool) == PIPIT_OK);
    FILE *file = fopen(path, "rb");
    assert(file != NULL);
    size_t len = fread(out, 1, size, file);
    fclose(file);
    return len;
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static uint8_t memory[256];
    struct pipit_file_spool spool;
    struct pipit_record record;
    char body[32];
    prepare();
    FILE *file = fopen(path, "wb");
    assert(file != NULL && fwrite(ptr, 1, len, file) == len && fclose(file) == 0);
    if (open_spool(&spool, memory, sizeof(memory)) != PIPIT_OK) {
        assert(pipit_file_spool_error(&spool)[0] != '\0');
        return;
    }
    uint32_t count = spool.base.count;
    for (uint32_t i = 0; i < count; i++) {
        assert(spool.base.type->peek(&spool.base, &record) == PIPIT_OK);
        body_make(body, (unsigned)record.sequence);
        assert(record.body.len == strlen(body) &&
               memcmp(record.body.ptr, body, record.body.len) == 0);
        spool.base.type->advance(&spool.base);
    }
    assert(spool.base.type->peek(&spool.base, &record) == PIPIT_ERR_EMPTY);
    struct pipit_bytes bytes = {(const uint8_t *)"x", 1};
    assert(spool.base.type->put(&spool.base, bytes, NULL) == PIPIT_OK);
    assert(pipit_file_spool_close(&spool) == PIPIT_OK);
}
