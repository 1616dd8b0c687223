#include <string.h>

#include "config/parts.h"
#include "core/topic.h"

#define HISTORY_TOPICS_MAX 64

const struct option_spec history_options[] = {
    {"keep", OPTION_DURATION, false, "7 d", 0, INT64_C(3650) * 86400000, NULL,
     "How long events stay in the history. Without a section `history`, and with 0, none are "
     "kept."},
    {"limit", OPTION_SIZE, false, "256 MB", 64 * 1024, INT64_C(1) << 44, NULL,
     "Most bytes of events in the history; the oldest make room. It is part of `store_limit`, and "
     "gives way before the hub would stop taking messages."},
    {NULL},
};

static const char *topic_read(struct builder *builder, const struct node *item)
{
    struct reader *reader = &builder->reader;
    const char *topic = reader_text(reader, item, "history: topics");
    const char *problem = topic == NULL ? NULL : topic_filter_problem(bytes_from_text(topic));
    if (problem != NULL) {
        reader_problem(reader, item->at, "history: topics: topic filter '%.80s' %s", topic,
                       problem);
    }
    return topic;
}

static const char *const *topics_build(struct builder *builder, const struct node *section)
{
    struct reader *reader = &builder->reader;
    const struct node *list = node_get(section, "topics");
    if (list == NULL) {
        return NULL;
    }
    if (list->kind != NODE_LIST || list->count == 0 || list->count > HISTORY_TOPICS_MAX) {
        reader_problem(reader, list->at,
                       "history: 'topics' must be a list of 1 to %d topic filters, such as "
                       "[\"plant/#\"]; without it everything that is let in is kept",
                       HISTORY_TOPICS_MAX);
        return NULL;
    }
    const char **topics = arena_alloc(reader->arena, (list->count + 1) * sizeof(topics[0]));
    uint32_t count = 0;
    for (const struct node *item = list->first; topics != NULL && item != NULL; item = item->next) {
        const char *topic = topic_read(builder, item);
        if (topic != NULL) {
            topics[count++] = topic;
        }
    }
    return topics;
}

void history_build(struct builder *builder)
{
    static const char *const keys[] = {"topics", NULL};
    struct history_spec *history = &builder->file->config.core.history;
    const struct node *section = section_find(builder, "history");
    struct options *options = section == NULL ? NULL : options_make(builder, history_options);
    if (options == NULL) {
        return;
    }
    struct shape shape = {.what = "history", .options = {options, NULL}, .others = keys};
    reader_options(&builder->reader, section, &shape);
    *history = (struct history_spec){
        .keep_ms = option_int(options, "keep"),
        .limit_bytes = (uint64_t)option_int(options, "limit"),
        .topics = topics_build(builder, section),
    };
    options_destroy(options);
}
