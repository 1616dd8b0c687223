// case_parts.h - the parts of a case file, each read by a file of its own: case_event.c,
// case_payload.c, case_expect.c, case_answer.c, case_instance.c.
//
// Threads:   one.
//
// Ownership: everything built lives in the file's arena; JSON values are in its list.
//
// Failure:   faults go to the reader; what could not be built is left out.
#ifndef PIPIT_TRIAL_CASE_PARTS_H
#define PIPIT_TRIAL_CASE_PARTS_H

#include "config/reader.h"
#include "trial/case_file.h"
#include "trial/case_value.h"

struct case_builder {
    struct reader reader;
    const struct config *config;
    struct json_t *sequences; // Of the case: the last of each device and boot.
    struct json_t *kept;      // An array of every JSON value that an expectation holds.
    bool is_out_of_memory;
};

// As options_create; NULL is remembered and the load fails.
struct options *case_options_make(struct case_builder *builder, const struct option_spec *table);
void *case_alloc(struct case_builder *builder, size_t count, size_t size_bytes);
// A text option as it lives on; NULL when it is not set.
const char *case_text(struct case_builder *builder, const struct options *options,
                      const char *name);
// An instant in an option; false after a reported problem, or when it is not set.
bool case_instant(struct case_builder *builder, const struct node *node,
                  const struct options *options, const char *name, int64_t *out_ms);
// A mapping of texts as name, value, ..., NULL; *out_count pairs.
const char *const *case_pairs(struct case_builder *builder, const struct node *node,
                              const char *what, case_number n, uint32_t *out_count);
// Of several keys the one that is there; more than one is a fault. NULL-terminated; NULL: none.
const struct node *case_one_of(struct case_builder *builder, const struct node *node,
                               const char *what, const char *const *keys);

// case_event.c
void case_events_build(struct case_builder *builder, const struct node *list,
                       struct case_spec *spec);

// "<workflow>/<key>" of a configured workflow; false after a reported problem.
bool case_instance_name(struct case_builder *builder, struct position at, const char *text,
                        const char **out_workflow, const char **out_key);
// A JSON value as it lives on; NULL: out of memory, which is remembered.
struct json_t *case_keep_json(struct case_builder *builder, struct json_t *take_json);
// The target of that name; false after a reported problem.
bool case_target(struct case_builder *builder, const char *what, const struct node *key,
                 uint32_t *out_target);

// case_answer.c
void case_answers_build(struct case_builder *builder, const struct node *answers,
                        const struct node *replies, struct case_spec *spec);

// case_instance.c
void case_instances_build(struct case_builder *builder, const struct node *node,
                          struct case_spec *spec);

// case_payload.c: what an event's payload is made of. False after a reported problem.
bool case_payload_make(struct case_builder *builder, const struct node *event, case_number n,
                       int64_t now_ms, struct message *message);
// Which keys of an event make a payload; NULL-terminated.
extern const char *const case_payload_keys[];
// Fields of Pipit's own messages, which borrow names and texts from the JSON object.
struct case_fields {
    void *fields; // An array of Pipit__V1__Field *.
    size_t count;
};
bool case_fields_make(struct case_builder *builder, const struct node *node,
                      const struct json_t *json, struct case_fields *out_fields);

// case_device.c: a device's status, and a reply without its id. False after a reported problem.
bool case_online_make(struct case_builder *builder, const struct node *node, case_number n,
                      struct message *message);
bool case_offline_make(struct case_builder *builder, const struct node *node, case_number n,
                       struct message *message);
bool case_reply_make(struct case_builder *builder, const struct node *fields, int32_t status,
                     const char *text, struct bytes *out_payload);

// case_expect.c
void case_expects_build(struct case_builder *builder, const struct node *node,
                        struct case_spec *spec);
void case_rejected_build(struct case_builder *builder, const struct node *node,
                         struct case_spec *spec);
void case_books_build(struct case_builder *builder, const struct node *node,
                      struct case_spec *spec);

// case_cbor.c: a JSON value as CBOR [RFC 8949], preferred serialization; NULL without memory.
const uint8_t *case_cbor_encode(struct arena *arena, const struct json_t *json, size_t *out_len);

#endif
