// A configuration that anybody may have typed: it is read and compiled, or every fault has a place
// in the file.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "fuzz.h"

const uint32_t fuzz_count = 5000;

static const struct option_spec source_table[] = {
    {"url", OPTION_TEXT, true, NULL, 0, 0, NULL, "Where the broker is."},
    {"password", OPTION_SECRET, false, NULL, 0, 0, NULL, "What it knows."},
    {"priority", OPTION_INT, false, "0", 0, 9, NULL, "Higher is read first."},
    {NULL},
};

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const texts[] = {
        "hub: {id: plant-7, store: hub.db, store_limit: 2 GB}\n"
        "sources:\n  plant:\n    mqtt: {url: \"mqtt://h\", password: \"${env:HOME}\"}\n    topics: "
        "[\"a/#\", \"b/+\"]\n"
        "devices:\n  legacy: {from: \"a/+\", device: \"topic_part(2)\", sequence: n}\n"
        "targets:\n  bus: {mqtt: {url: \"mqtt://h:1\"}, attempts: 3, backoff_min: 5 ms}\n  log: "
        "{file: {path: x}}\n"
        "rules:\n  hot:\n    sql: |\n      SELECT device, n\n      FROM \"a/+\" WHERE n > 1\n    "
        "key: device\n"
        "    to:\n      - bus: {topic: \"out/{device}\", qos: 1}\n      - log: {}\n",
        "hub: {id: h, store: s}\nsources: {s: {mqtt: {url: u}, topics: [a]}}\n",
        "hub: {id: h, store: s}\nsources: {s: {mqtt: {url: u}, topics: [a]}}\nformats:\n"
        "  m: {from: \"m/+\", protobuf: {descriptors: /dev/null, message: a.B}}\n"
        "  t: {from: \"t/#\", json: {}, closed: true, fields: {level: number, unit: \"text?\"}}\n"
        "  g: {from: g, cbor: {}}\n  x: {from: x, text: {}}\n  n: {from: n, number: }\n",
        "hub: {id: h, store: s}\nsources: {s: {mqtt: {url: u}, topics: [a]}}\ntargets: {b: {mqtt: "
        "{url: \"mqtt://h\"}}, w: {http: {url: \"http://h\"}}}\nrules: {r: {sql: 'SELECT 1 FROM "
        "\"a\"'}}\nworkflows:\n  v: {start: {rule: r, key: k}, steps: {x: {run: {workflow: w, "
        "with: "
        "{n: 1}}}}}\n  w:\n    start: {from: \"a/+\", where: x, key: k, running: queue}\n    "
        "variables: {n: n, m: }\n    within: 1 d\n    steps:\n      - a: {call: {to: w, method: "
        "PUT, "
        "path: \"/i/{n}\", fields: {n: n}}, within: 1 s, retry: {attempts: 2, errors: [timeout]}, "
        "take: {t: body.x}, undo: {u: {emit: {topic: x, payload: text, text: \"{n}\"}}}}\n",
        "hub: {id: h, store: s}\nsources: {s: {mqtt: {url: u}, topics: [a]}}\ntargets: {b: {mqtt: "
        "{url: \"mqtt://h\"}}}\nworkflows:\n  w:\n    steps:\n      - a: {if: n, then: {b: {sleep: "
        "1 s}}, else: [{c: {goto: a}}]}\n      - d: {switch: n, cases: {x: {e: {until: n}}}}\n     "
        " "
        "- f: {parallel: {p: {g: {set: {n: 1}}}}, wait: any}\n      - h: {for_each: n, as: i, "
        "steps: "
        "{j: {command: {device: n, name: x}}}, on_error: {k: {fail: x}}}\n      - l: {await: "
        "{from: a, "
        "key: k, keep: 1 h}}\n      - m: {end: {r: n}}\n",
        "? [a]\n: {b: c}\n--- |\n x\n...\n&a *a !t 'q' \"\\x41\\u00e9\" # c\n",
    };
    size_t count = sizeof(texts) / sizeof(texts[0]);
    size_t len = index < count ? strlen(texts[index]) : 0;
    memcpy(out, index < count ? texts[index] : "", len < size ? len : size);
    return len;
}

static void on_fault(void *context, const struct error *fault)
{
    (void)context;
    assert(fault->text[0] != '\0' && strlen(fault->text) < sizeof(fault->text));
}

static enum err source_is_fine(const char *hub_id, const char *name, const struct options *options,
                               struct error *e)
{
    (void)hub_id, (void)name, (void)options, (void)e;
    return ERR_OK;
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static char path[64];
    if (path[0] == '\0') {
        snprintf(path, sizeof(path), "/tmp/pipit-fuzz-XXXXXX");
        int fd = mkstemp(path);
        assert(fd >= 0);
        close(fd);
    }
    FILE *file = fopen(path, "wb");
    assert(file != NULL && fwrite(ptr, 1, len, file) == len && fclose(file) == 0);
    struct config *config = NULL;
    struct error e = {0};
    enum err rc = config_load(&config, path, source_table, on_fault, NULL, &e);
    assert((rc == ERR_OK) == (config != NULL));
    assert(rc == ERR_OK || e.text[0] != '\0');
    if (rc == ERR_OK && config_check(config, source_is_fine, on_fault, NULL, &e) == ERR_OK) {
        assert(config_warn(config, on_fault, NULL, &e) == ERR_OK);
    }
    config_destroy(config);
    unlink(path);
}
