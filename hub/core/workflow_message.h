// workflow_message.h - what a step sends, made of an instance's variables: address, payload,
// properties.
// Threads:   core thread.
// Ownership: what is made lives in the memory of the input.
// Failure:   ERR_INVALID with what is wrong: the step fails. Of the store's kind else.
#ifndef PIPIT_CORE_WORKFLOW_MESSAGE_H
#define PIPIT_CORE_WORKFLOW_MESSAGE_H

#include "core/workflow_definition.h"

#define WORKFLOW_PAYLOAD_BYTES_MAX 1000000 // Of one message; the rows of the store hold them all.

struct workflow_made {
    struct bytes topic, payload;
    struct bytes properties;  // As in struct delivery.
    const char *content_type; // "" when none.
    const char *device;       // Of a command: "<group>/<device>"; else NULL.
};

// Of emit and call. An MQTT topic (not message->is_url) is checked: no wildcards, no empty levels.
enum err workflow_message_make(const struct workflow_step *step, const struct query_input *input,
                               struct workflow_made *out_made, struct error *e);

// Of command: id names it, expires_ms 0: it does not expire.
enum err workflow_command_make(const struct workflow_step *step, const struct query_input *input,
                               const char *id, int64_t expires_ms, struct workflow_made *out_made,
                               struct error *e);
// The device alone, "<group>/<device>".
enum err workflow_command_device(const struct workflow_step *step, const struct query_input *input,
                                 const char **out_device, struct error *e);

#endif
