#include "trial/trial_held.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "trial/trial.h"

#define PLACES (2 * TRIAL_HELD_MAX) // So that they are moved to the front seldom.

struct held_answer {
    int64_t at_ms;
    struct input input;
    struct reply reply;  // Of a settlement that has one.
    struct arena *arena; // Its texts.
};

struct trial_held {
    struct held_answer *answers; // PLACES of them, by time.
    uint32_t first, count;       // From first on.
};

struct trial_held *trial_held_create(void)
{
    struct trial_held *held = calloc(1, sizeof(*held));
    if (held != NULL) {
        held->answers = calloc(PLACES, sizeof(held->answers[0]));
    }
    if (held != NULL && held->answers == NULL) {
        trial_held_destroy(held);
        held = NULL;
    }
    return held;
}

void trial_held_destroy(struct trial_held *held)
{
    if (held == NULL) {
        return;
    }
    while (held->count > 0) {
        trial_held_drop(held);
    }
    free(held->answers);
    free(held);
}

static struct bytes copy_bytes(struct arena *arena, struct bytes bytes)
{
    const char *copy = arena_text(arena, bytes.len == 0 ? "" : (const char *)bytes.ptr, bytes.len);
    return bytes_of(copy, copy == NULL ? 0 : bytes.len);
}

static const char *copy_text(struct arena *arena, const char *text)
{
    return text == NULL ? NULL : (const char *)copy_bytes(arena, bytes_from_text(text)).ptr;
}

// Its place by time, the others moved.
static enum err add(struct trial_held *held, int64_t at_ms, struct held_answer **out_answer,
                    struct error *e)
{
    if (held->count == TRIAL_HELD_MAX) {
        return error_set(e, ERR_FULL, "more than %d answers are on their way", TRIAL_HELD_MAX);
    }
    struct arena *arena = arena_create();
    if (arena == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the trial");
    }
    if (held->first > 0 && held->first + held->count == PLACES) {
        memmove(held->answers, &held->answers[held->first], held->count * sizeof(held->answers[0]));
        held->first = 0;
    }
    uint32_t place = held->first + held->count++;
    while (place > held->first && held->answers[place - 1].at_ms > at_ms) {
        held->answers[place] = held->answers[place - 1];
        place--;
    }
    held->answers[place] = (struct held_answer){.at_ms = at_ms, .arena = arena};
    *out_answer = &held->answers[place];
    return ERR_OK;
}

static enum err finish(const struct held_answer *answer, struct error *e)
{
    return arena_is_exhausted(answer->arena)
               ? error_set(e, ERR_NO_MEMORY, "out of memory for the trial")
               : ERR_OK;
}

enum err trial_held_add_settlement(struct trial_held *held, int64_t at_ms,
                                   const struct settlement *settlement, struct error *e)
{
    struct held_answer *answer = NULL;
    enum err rc = add(held, at_ms, &answer, e);
    if (rc != ERR_OK) {
        return rc;
    }
    answer->input.kind = INPUT_SETTLEMENT;
    answer->input.settlement = *settlement;
    answer->input.settlement.reason = copy_text(answer->arena, settlement->reason);
    if (settlement->reply != NULL) {
        answer->reply = *settlement->reply;
        answer->reply.body = copy_bytes(answer->arena, settlement->reply->body);
        answer->reply.content_type = copy_text(answer->arena, settlement->reply->content_type);
    }
    return finish(answer, e);
}

enum err trial_held_add_message(struct trial_held *held, int64_t at_ms,
                                const struct message *message, struct error *e)
{
    struct held_answer *answer = NULL;
    enum err rc = add(held, at_ms, &answer, e);
    if (rc != ERR_OK) {
        return rc;
    }
    answer->input.kind = INPUT_MESSAGE;
    answer->input.message = *message;
    answer->input.message.topic = copy_bytes(answer->arena, message->topic);
    answer->input.message.payload = copy_bytes(answer->arena, message->payload);
    answer->input.message.content_type = copy_bytes(answer->arena, message->content_type);
    answer->input.message.properties = NULL;
    answer->input.message.property_count = 0;
    return finish(answer, e);
}

int64_t trial_held_next_ms(const struct trial_held *held)
{
    return held->count == 0 ? INT64_MAX : held->answers[held->first].at_ms;
}

uint32_t trial_held_due(const struct trial_held *held, int64_t now_ms)
{
    uint32_t count = 0;
    while (count < held->count && held->answers[held->first + count].at_ms <= now_ms) {
        count++;
    }
    return count;
}

void trial_held_first(const struct trial_held *held, struct input *out_input)
{
    const struct held_answer *answer = &held->answers[held->first];
    *out_input = answer->input;
    if (answer->input.kind == INPUT_SETTLEMENT && answer->input.settlement.reply != NULL) {
        out_input->settlement.reply = &answer->reply;
    }
}

void trial_held_drop(struct trial_held *held)
{
    arena_destroy(held->answers[held->first].arena);
    held->first = held->count == 1 ? 0 : held->first + 1;
    held->count--;
}
