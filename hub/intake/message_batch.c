#include "intake/message_batch.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES        (64 * 1024)
#define KEPT_CHUNKS        16   // Spare chunks that stay for the next batch: 1 MB.
#define KEPT_MESSAGES      4096 // Room for messages that stays.
#define FIRST_MESSAGES     64
#define MESSAGE_COST_BYTES (sizeof(struct message))

struct batch_chunk {
    struct batch_chunk *next;
    size_t used, size;
    _Alignas(max_align_t) uint8_t bytes[];
};

void message_batch_init(struct message_batch *batch)
{
    *batch = (struct message_batch){0};
}

static void free_chunks(struct batch_chunk *chunk)
{
    while (chunk != NULL) {
        struct batch_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void message_batch_deinit(struct message_batch *batch)
{
    free_chunks(batch->chunks);
    free_chunks(batch->spare);
    free(batch->messages);
    *batch = (struct message_batch){0};
}

static struct batch_chunk *take_chunk(struct message_batch *batch, size_t size)
{
    struct batch_chunk *chunk = batch->spare;
    if (chunk != NULL && size <= chunk->size) {
        batch->spare = chunk->next;
        chunk->used = 0;
    } else {
        size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        chunk = malloc(sizeof(*chunk) + room);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->used = 0;
        chunk->size = room;
    }
    chunk->next = batch->chunks;
    batch->chunks = chunk;
    return chunk;
}

static void *take_bytes(struct message_batch *batch, size_t size)
{
    size = (size + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
    struct batch_chunk *chunk = batch->chunks;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        chunk = take_chunk(batch, size);
    }
    if (chunk == NULL) {
        return NULL;
    }
    void *piece = chunk->bytes + chunk->used;
    chunk->used += size;
    return piece;
}

static uint8_t *put(uint8_t *at, struct bytes *bytes)
{
    if (bytes->len > 0) {
        memcpy(at, bytes->ptr, bytes->len);
    }
    bytes->ptr = at;
    return at + bytes->len;
}

static size_t size_of(const struct message *message)
{
    size_t size = message->topic.len + message->payload.len + message->content_type.len +
                  message->property_count * sizeof(struct user_property);
    for (uint32_t i = 0; i < message->property_count; i++) {
        size += message->properties[i].name.len + message->properties[i].value.len;
    }
    return size;
}

static bool grow(struct message_batch *batch)
{
    uint32_t capacity = batch->capacity == 0 ? FIRST_MESSAGES : batch->capacity * 2;
    struct message *messages = realloc(batch->messages, capacity * sizeof(messages[0]));
    if (messages == NULL) {
        return false;
    }
    batch->messages = messages;
    batch->capacity = capacity;
    return true;
}

bool message_batch_add(struct message_batch *batch, const struct message *message)
{
    if (batch->count == batch->capacity && !grow(batch)) {
        return false;
    }
    size_t size = size_of(message);
    uint8_t *at = take_bytes(batch, size);
    if (at == NULL) {
        return false;
    }
    struct message copy = *message;
    copy.properties = NULL;
    if (copy.property_count > 0) { // First, for their alignment.
        struct user_property *properties = (struct user_property *)(void *)at;
        at += copy.property_count * sizeof(properties[0]);
        for (uint32_t i = 0; i < copy.property_count; i++) {
            properties[i] = message->properties[i];
            at = put(at, &properties[i].name);
            at = put(at, &properties[i].value);
        }
        copy.properties = properties;
    }
    at = put(at, &copy.topic);
    at = put(at, &copy.content_type);
    put(at, &copy.payload);
    batch->messages[batch->count++] = copy;
    batch->bytes += size + MESSAGE_COST_BYTES;
    return true;
}

// Ordinary chunks up to KEPT_CHUNKS stay; the rest goes back to the system.
static void keep_spare(struct message_batch *batch)
{
    uint32_t kept = 0;
    for (struct batch_chunk *chunk = batch->spare; chunk != NULL; chunk = chunk->next) {
        kept++;
    }
    while (batch->chunks != NULL) {
        struct batch_chunk *chunk = batch->chunks;
        batch->chunks = chunk->next;
        if (chunk->size == CHUNK_BYTES && kept < KEPT_CHUNKS) {
            chunk->next = batch->spare;
            batch->spare = chunk;
            kept++;
        } else {
            free(chunk);
        }
    }
}

void message_batch_reset(struct message_batch *batch)
{
    keep_spare(batch);
    batch->count = 0;
    batch->given = 0;
    batch->bytes = 0;
    if (batch->capacity > KEPT_MESSAGES) {
        free(batch->messages);
        batch->messages = NULL;
        batch->capacity = 0;
    }
}
