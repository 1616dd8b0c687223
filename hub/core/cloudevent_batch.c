#include "core/cloudevent_batch.h"

#include "core/cloudevent.h"
#include "core/json_tape.h"

bool cloudevent_is_batch(const struct formats *formats, const struct message *message)
{
    // What most messages are is told without looking for an entry.
    if (cloudevent_mode(message, true) != CLOUDEVENT_BATCH) {
        return false;
    }
    const struct format *entry = formats_of_topic(formats, message->topic);
    if (entry == NULL) {
        return cloudevent_mode(message, false) == CLOUDEVENT_BATCH;
    }
    return format_type_of(entry) == &format_cloudevents;
}

static struct bytes whole_of(const struct json_tape *tape, uint32_t index)
{
    const struct json_node *node = &tape->nodes[index];
    return bytes_of(node->text_len == 0 ? "" : node->text, node->text_len);
}

static enum err count_items(const struct json_tape *tape, uint32_t *out_count, struct error *e)
{
    uint32_t count = 0;
    if (tape->nodes[0].kind != JSON_KIND_ARRAY) {
        return error_set(e, ERR_INVALID, "the batch of CloudEvents is not a JSON array");
    }
    for (uint32_t i = 1; i < tape->nodes[0].next; i = tape->nodes[i].next) {
        count++;
    }
    *out_count = count;
    return count <= CLOUDEVENT_BATCH_MAX
               ? ERR_OK
               : error_set(e, ERR_INVALID, "the batch has more than %d CloudEvents",
                           CLOUDEVENT_BATCH_MAX);
}

enum err cloudevent_split(const struct message *batch, struct event_memory *memory,
                          struct message **out_messages, uint32_t *out_count, struct error *e)
{
    struct json_tape tape;
    uint32_t count = 0, made = 0;
    enum err rc = json_tape_read(&tape, batch->payload, memory, e);
    rc = rc == ERR_OK ? count_items(&tape, &count, e) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    struct message *messages = event_memory_take(memory, (count + 1U) * sizeof(messages[0]));
    if (messages == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a batch of CloudEvents");
    }
    for (uint32_t i = 1; i < tape.nodes[0].next; i = tape.nodes[i].next) {
        messages[made] = *batch;
        messages[made].payload = whole_of(&tape, i);
        messages[made++].content_type = bytes_from_text("application/cloudevents+json");
    }
    *out_messages = messages;
    *out_count = count;
    return ERR_OK;
}
