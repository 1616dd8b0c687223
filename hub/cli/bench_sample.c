#include "cli/bench_sample.h"

#include <stdlib.h>

#include "base/file.h"

static uint32_t count_lines(const char *text, size_t len)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < len && lines < BENCH_MESSAGES_MAX; i++) {
        lines += text[i] == '\n';
    }
    return lines;
}

static enum err take_line(struct bench_sample *sample, struct bytes line, const char *topic,
                          const char *where, uint32_t number, struct error *e)
{
    struct message message = {.topic = bytes_from_text(topic), .payload = line, .qos = 1};
    if (topic == NULL) {
        const uint8_t *blank = memchr(line.ptr, ' ', line.len);
        if (blank == NULL || blank == line.ptr) {
            return error_set(e, ERR_INVALID,
                             "%s:%u: a line is a topic, a blank and a payload; where lines are "
                             "payloads, --topic says the topic",
                             where, number);
        }
        size_t len = (size_t)(blank - line.ptr);
        message.topic = bytes_of(line.ptr, len);
        message.payload = bytes_of(blank + 1, line.len - len - 1);
    }
    sample->messages[sample->count++] = message;
    return ERR_OK;
}

static enum err split(struct bench_sample *sample, size_t len, const char *path, const char *topic,
                      struct error *e)
{
    enum err rc = ERR_OK;
    const uint8_t *at = (const uint8_t *)sample->text, *end = at + len;
    for (uint32_t number = 1; rc == ERR_OK && at < end && sample->count < BENCH_MESSAGES_MAX;
         number++) {
        const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end == NULL ? end : line_end;
        size_t line_len = (size_t)(line_end - at);
        line_len -= line_len > 0 && at[line_len - 1] == '\r';
        if (line_len > 0) {
            rc = take_line(sample, bytes_of(at, line_len), topic, path, number, e);
        }
        at = line_end + 1;
    }
    return rc == ERR_OK && sample->count == 0
               ? error_set(e, ERR_INVALID, "%s: holds no messages", path)
               : rc;
}

enum err bench_sample_read(struct bench_sample *out_sample, const char *path, const char *topic,
                           struct error *e)
{
    struct bench_sample sample = {0};
    size_t len = 0;
    enum err rc = file_read(path, BENCH_SAMPLE_MAX, &sample.text, &len, e);
    if (rc != ERR_OK) {
        return rc;
    }
    sample.messages = calloc(count_lines(sample.text, len), sizeof(sample.messages[0]));
    rc = sample.messages == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for the sample")
                                 : split(&sample, len, path, topic, e);
    if (rc == ERR_OK) {
        *out_sample = sample;
    } else {
        bench_sample_free(&sample);
    }
    return rc;
}

void bench_sample_free(struct bench_sample *sample)
{
    free(sample->messages);
    free(sample->text);
    *sample = (struct bench_sample){0};
}
