// explain.h - why each rule did or did not fire on a message: the filter, how the payload was read,
// the condition term by term, what came out; and which workflows it would start or go on with.
//
// Threads:   one at a time.
//
// Ownership: the explanation is the caller's.
//
// Failure:   ERR_CONFIG: the configuration does not compile; ERR_NOT_FOUND: there is no such rule.
#ifndef PIPIT_TRIAL_EXPLAIN_H
#define PIPIT_TRIAL_EXPLAIN_H

#include "config/config.h"
#include "core/core.h"

#define EXPLAIN_TERMS_MAX 32 // Of a condition.

struct json_t;
struct store_view;

struct explain_options {
    const struct config *config;
    const struct message *message;
    const char *rule; // NULL: all.
    int64_t now_ms;
    struct store_view *births; // As in struct trial_options.
};

// {"topic": text,
//  "read": {"format": text, "fields": {...}, "id", "device", "group", "type", "time", "boot",
//           "sequence", "problem": text},
//  "rules": [{"rule": text, "filter": text, "matches": bool, "why": text,
//             "terms": [{"sql": text, "value": bool or null, "columns": {...}}],
//             "missing": [{"column": text, "nearest": text}],
//             "window": text, "rows": n, "failure": text, "notes": [text],
//             "deliveries": [{"rule", "target", "topic", "key", "payload", "at"}]}],
//  "workflows": [{"workflow": text,
//                 "starts": {"filter": text, "matches": bool, "key": value, "why": text},
//                 "awaits": [{"step": text, and as in starts}]}]}
// Members that say nothing are left out.
enum err explain(const struct explain_options *options, struct json_t **out_explanation,
                 struct error *e);

// Where a topic leaves a filter: "level 3 is \"status\", the filter wants \"event\""; false: it
// matches.
bool explain_filter(struct bytes filter, struct bytes topic, char *out_why, size_t size);

#endif
