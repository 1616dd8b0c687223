// A file of cases that anybody may have typed: each fault has its place, or the cases run and give
// a verdict. Time that passes by accident may be long: what a case may ask for is bounded.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "fuzz.h"
#include "intake/source.h"
#include "trial/case_run.h"

const uint32_t fuzz_count = 1000;

#define EVENTS_RUN_MAX 500 // A case of more is only read.

static const char hub[] =
    "hub: {id: h, store: s}\nsources: {s: {mqtt: {url: \"mqtt://h\"}, topics: [\"#\"]}}\n"
    "targets: {bus: {mqtt: {url: \"mqtt://h\"}}, shop: {http: {url: \"http://h\"}}}\n"
    "rules:\n  all: {sql: 'SELECT n, topic FROM \"t/#\"', to: [{bus: {topic: x}}]}\n"
    "  mean: {sql: 'SELECT avg(n) AS mean FROM \"t/#\"', window: {tumbling: 1 h, by: arrival},\n"
    "    to: [{bus: {topic: mean}}]}\n"
    "workflows:\n  w:\n    start: {from: w/#, key: n}\n    variables: {n: n, m: \"NULL\"}\n"
    "    steps:\n"
    "      - ask: {call: {to: shop, path: /a}, within: 1 min, retry: {attempts: 3},\n"
    "          take: {m: body.m}, undo: [{un: {call: {to: shop, path: /b}}}]}\n"
    "      - do: {command: {to: bus, device: \"'g/d'\", name: go}, within: 1 min}\n"
    "      - wait: {await: {from: x/#, key: n, keep: 1 h}, within: 1 h}\n";

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const texts[] = {
        "cases:\n  one:\n    at: 2026-01-01T10:00:00Z\n    order: any\n    events:\n"
        "      - {topic: \"t/{n}\", count: 3, every: 1 min, json: {n: \"{n}\", x: [1, null]}}\n"
        "      - {after: 1 h}\n    expect:\n"
        "      - bus: {topic: x, json: {n: 1, topic: t/1}, tolerance: 0.5, count: 2}\n"
        "      - bus: {contains: {mean: 2.0}, at: 5, qos: 1, retain: false, properties: {a: b}}\n",
        "cases:\n  two:\n    events:\n"
        "      - {topic: t/a, hex: 7b7d, content_type: a, properties: {a: b}, at: 17}\n"
        "      - {topic: t/a, cbor: {n: -1.5}, qos: 0, retain: true}\n"
        "      - pipit: {device: a/b, type: t, boot: 2, time: none, fields: {n: 1, b: true}}\n"
        "    rejected: [{topic: t/a, reason: x}]\n    books: {late: 1, routed: 2}\n"
        "  three:\n    rule: all\n    events: [{topic: t/a, text: '{\"n\":1}'}]\n"
        "    expect: nothing\n",
        "cases:\n  four:\n    events:\n      - {topic: w/a, json: {n: 1}}\n"
        "      - {online: g/d}\n      - {after: 2 h, offline: g/d}\n      - {cancel: w/1}\n"
        "    answers:\n      - shop: {topic: POST /a, status: 503, times: 1, after: 5 s}\n"
        "      - shop: {verdict: never, reason: r, times: 1}\n"
        "      - shop: {json: {m: 2}, content_type: application/json}\n"
        "    replies:\n      - g/+: {command: go, status: 1, message: m, fields: {a: 1}, after: 1 "
        "s}\n"
        "      - g/d: {never: true}\n"
        "    instances:\n      - w/1: {state: failed, error: timeout, reason: r, number: 1,\n"
        "          variables: {m: 2}, steps: [ask, do: refused], waiting: [wait], after: 1 s}\n"
        "  five:\n    events: [{topic: w/a, json: {n: 2}}, {retry: w/2}, {abandon: w/2}]\n"
        "    instances: nothing\n",
    };
    size_t count = sizeof(texts) / sizeof(texts[0]);
    size_t len = index < count ? strlen(texts[index]) : 0;
    memcpy(out, index < count ? texts[index] : "", len < size ? len : size);
    return len;
}

static void on_fault(void *context, const struct error *fault)
{
    (void)context;
    assert(strstr(fault->text, ":") != NULL && strlen(fault->text) < sizeof(fault->text));
}

static void write_file(const char *path, const void *ptr, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert(file != NULL && fwrite(ptr, 1, len, file) == len && fclose(file) == 0);
}

static void make_file(char path[64])
{
    snprintf(path, 64, "/tmp/pipit-fuzz-XXXXXX");
    int fd = mkstemp(path);
    assert(fd >= 0);
    close(fd);
}

static struct config *load_hub(void)
{
    char path[64];
    struct config *config = NULL;
    make_file(path);
    write_file(path, hub, sizeof(hub) - 1);
    assert(config_load(&config, path, source_options, NULL, NULL, NULL) == ERR_OK);
    unlink(path);
    return config;
}

static void run(const struct config *config, const struct case_file *file)
{
    for (uint32_t i = 0; i < file->case_count; i++) {
        struct case_result result;
        struct error e = {0};
        if (file->cases[i].event_count > EVENTS_RUN_MAX) {
            continue;
        }
        enum err rc = case_run(config, &file->cases[i], &result, &e);
        assert(rc == ERR_OK);
        for (uint32_t j = 0; j < result.fault_count && j < CASE_FAULTS_MAX; j++) {
            assert(result.faults[j].sentence != NULL && result.faults[j].at.line > 0);
        }
        case_result_deinit(&result);
    }
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static struct config *config;
    static char path[64];
    if (config == NULL) {
        config = load_hub();
    }
    make_file(path);
    write_file(path, ptr, len);
    struct case_file *file = NULL;
    if (case_file_load(&file, path, config, on_fault, NULL, NULL) == ERR_OK) {
        run(config, file);
    }
    case_file_destroy(file);
    unlink(path);
}
