// case_file.h - a file of cases: events in, expected outputs, and the time between them.
//
// Threads:   immutable after case_file_load.
//
// Ownership: the file owns everything reachable from it.
//
// Failure:   ERR_CONFIG, every fault with file:line:column; ERR_NOT_FOUND, ERR_IO.
#ifndef PIPIT_TRIAL_CASE_FILE_H
#define PIPIT_TRIAL_CASE_FILE_H

#include "config/config.h"
#include "config/document.h"
#include "core/core.h"

#define CASE_FILE_SIZE_MAX (4 * 1024 * 1024)
#define CASE_EVENTS_MAX    100000        // Of one case, repeated ones counted.
#define CASE_START_MS      1767225600000 // 2026-01-01T00:00:00Z, where nothing else is said.

enum case_event_kind {
    CASE_TIME,    // Only the clock moves.
    CASE_MESSAGE, // Something comes in.
    CASE_CANCEL,  // An operator cancels an instance,
    CASE_ABANDON, // without undoing what it has done,
    CASE_RETRY,   // or lets a parked one go on.
};

struct case_event {
    struct position at;
    int64_t at_ms;
    enum case_event_kind kind;
    struct message message;
    const char *workflow, *key; // Of an operator's: which instance.
};

// What a target answers to what it gets, or a device replies to a command.
struct case_answer {
    struct position at;
    bool is_reply;
    uint32_t target;        // Of an answer.
    const char *topic;      // Filter of topics, of replies that of "<group>/<device>".
    const char *command;    // Of a reply: filter of names of commands.
    uint32_t times;         // So often at most; then the next that fits.
    int64_t after_ms;       // Since it was asked.
    bool is_never;          // Nothing comes back.
    bool has_status;        // Else it is what the verdict says.
    int32_t status;         // Of HTTP, or the device's.
    enum verdict verdict;   // Of an answer.
    int64_t retry_after_ms; // Of an answer: it asks not to be tried again before.
    const char *reason;     // May be NULL.
    const char *content_type;
    struct bytes payload; // Body of an answer; the whole message of a reply, but for its id.
};

// How an instance is at the end of the case.
struct case_instance {
    struct position at;
    const char *workflow, *key;
    uint32_t number;            // Of those with the key, the oldest 1; 0: the newest.
    const char *state;          // This and what follows: NULL where nothing is expected.
    const char *error, *reason; // reason: a part of it.
    struct json_t *variables, *result;
    struct json_t *steps;   // Array of those that have ended, in order: "name", {"name": "error"}.
    struct json_t *waiting; // Array of names of those in which it is.
    int64_t ended_ms;       // INT64_MIN: whenever.
    double tolerance;
};

enum case_payload {
    CASE_PAYLOAD_ANY,      // Is not looked at.
    CASE_PAYLOAD_JSON,     // The same value; the order of members does not matter.
    CASE_PAYLOAD_CONTAINS, // At least these members.
    CASE_PAYLOAD_BYTES,    // text, hex.
    CASE_PAYLOAD_CBOR,     // As JSON.
    CASE_PAYLOAD_PIPIT,    // type and fields, as far as they are named.
    CASE_PAYLOAD_COMMAND,  // Fields of a command, as far as they are named.
    CASE_PAYLOAD_PROTOBUF, // A configured message: its fields as JSON, as far as they are named.
};

struct case_expect {
    struct position at;
    uint32_t target;
    enum case_payload kind;
    struct json_t *json;  // Of kinds that are compared as JSON.
    const char *protobuf; // Full name of the message.
    struct bytes bytes;
    bool is_text;      // bytes are shown as text.
    double tolerance;  // Two numbers so near are the same.
    const char *topic; // This and what follows: NULL or -1 where nothing is expected.
    const char *key, *content_type, *rule;
    int qos, is_retained;
    const char *const *properties; // Name, value, ..., NULL.
    int64_t at_ms;                 // INT64_MIN: at any time.
};

struct case_rejected {
    struct position at;
    const char *topic;  // NULL: any.
    const char *reason; // A part of it; NULL: any.
};

#define CASE_BOOK_COUNT 11 // Members of the books that a case may look at.

struct case_book {
    struct position at;
    const char *name; // "late"
    uint64_t value;
};

struct case_spec {
    const char *name;
    struct position at;
    int64_t start_ms;
    const char *rule; // Only this one; NULL: all.
    const struct case_event *events;
    uint32_t event_count;
    bool has_expect; // Else what goes out is not looked at.
    bool is_any_order;
    const struct case_expect *expects;
    uint32_t expect_count;
    const struct case_rejected *rejected;
    uint32_t rejected_count;
    const struct case_book *books;
    uint32_t book_count;
    const struct case_answer *answers; // In this order the first that fits.
    uint32_t answer_count;
    bool has_instances;
    const struct case_instance *instances; // Where has_instances none: there is no instance.
    uint32_t instance_count;
};

struct case_file {
    const char *path;
    const struct case_spec *cases;
    uint32_t case_count;
};

const char *case_book_name(size_t index); // Below CASE_BOOK_COUNT.
bool case_book_read(const struct books *books, const char *name, uint64_t *out_value);

extern const struct option_spec case_options[];          // at, rule, order.
extern const struct option_spec case_event_options[];    // topic, after, text, ...
extern const struct option_spec case_pipit_options[];    // device, type, ...
extern const struct option_spec case_expect_options[];   // topic, key, text, ...
extern const struct option_spec case_answer_options[];   // topic, status, verdict, ...
extern const struct option_spec case_reply_options[];    // command, status, ...
extern const struct option_spec case_instance_options[]; // state, error, ...

// The configuration gives the names of targets and rules; each may be NULL.
enum err case_file_load(struct case_file **out_file, const char *path, const struct config *config,
                        config_report_fn *each, void *context, struct error *e);
void case_file_destroy(struct case_file *file); // NULL is fine.

#endif
