#include <stdlib.h>
#include <string.h>

#include "config/parts.h"
#include "core/topic.h"

static void topic_check(struct builder *builder, const struct node *item, const char *topic,
                        const char *what)
{
    const char *problem = topic_filter_problem(bytes_from_text(topic));
    if (strncmp(topic, "$share/", 7) == 0) {
        reader_problem(&builder->reader, item->at,
                       "%s: '%.80s': write the filter alone and set shared_group in mqtt", what,
                       topic);
    } else if (problem != NULL) {
        reader_problem(&builder->reader, item->at, "%s: topic filter '%.80s' %s", what, topic,
                       problem);
    }
}

static bool is_known(const char *const *topics, uint32_t count, const char *topic)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(topics[i], topic) == 0) {
            return true;
        }
    }
    return false;
}

static const char *const *topics_build(struct builder *builder, const struct node *source,
                                       const char *what)
{
    const struct node *list = node_get(source, "topics");
    struct reader *reader = &builder->reader;
    if (list == NULL || list->kind != NODE_LIST || list->count == 0) {
        reader_problem(reader, list == NULL ? source->at : list->at,
                       "%s: 'topics' must be a list of topic filters, such as [\"pipit/v1/#\"]",
                       what);
        return NULL;
    }
    const char *topics_what = arena_print(reader->arena, "%s: topics", what);
    const char **topics = arena_alloc(reader->arena, (list->count + 1) * sizeof(topics[0]));
    if (topics == NULL || topics_what == NULL) {
        return NULL;
    }
    uint32_t count = 0;
    for (const struct node *item = list->first; item != NULL; item = item->next) {
        const char *topic = reader_text(reader, item, topics_what);
        if (topic == NULL) {
            continue;
        }
        topic_check(builder, item, topic, what);
        if (is_known(topics, count, topic)) {
            reader_problem(reader, item->at, "%s: '%.80s' is already in the list", topics_what,
                           topic);
        }
        topics[count++] = topic;
    }
    return topics;
}

static void source_build(struct builder *builder, const struct node *node,
                         struct config_source *out_source)
{
    static const char *const keys[] = {"mqtt", "topics", NULL};
    struct reader *reader = &builder->reader;
    const char *what = arena_print(reader->arena, "source %s", node->key->text);
    const char *mqtt_what = arena_print(reader->arena, "source %s: mqtt", node->key->text);
    struct options *options = options_make(builder, builder->source_table);
    out_source->name = node->key->text;
    out_source->options = options;
    if (what == NULL || mqtt_what == NULL || options == NULL) {
        return;
    }
    reader_name(reader, node->key, "source");
    struct shape shape = {.what = what, .others = keys};
    reader_options(reader, node, &shape);
    if (node_is_empty(node)) {
        reader_problem(reader, node->key->at,
                       "%s: 'mqtt' and 'topics' are missing; write for instance {mqtt: {url: "
                       "\"mqtt://127.0.0.1:1883\"}, topics: [\"pipit/v1/#\"]}",
                       what);
    }
    if (node->kind != NODE_MAPPING) {
        return;
    }
    if (!reader_is_misspelt(node, &shape, "topics")) {
        out_source->topics = topics_build(builder, node, what);
    }
    const struct node *mqtt = node_get(node, "mqtt");
    if (mqtt == NULL && reader_is_misspelt(node, &shape, "mqtt")) {
        return;
    }
    if (mqtt == NULL) {
        reader_problem(reader, node->at,
                       "%s: 'mqtt' is missing; write for instance mqtt: {url: "
                       "\"mqtt://127.0.0.1:1883\"}",
                       what);
        return;
    }
    struct shape mqtt_shape = {.what = mqtt_what, .options = {options, NULL}};
    reader_options(reader, mqtt, &mqtt_shape);
    faults_refuse(builder, mqtt, options, mqtt_what);
}

void sources_build(struct builder *builder)
{
    struct config *config = &builder->file->config;
    const struct node *section = section_find(builder, "sources");
    if (section == NULL) {
        const struct node *written = node_get(document_root(builder->file->document), "sources");
        if (written == NULL || written->kind == NODE_MAPPING || node_is_empty(written)) {
            reader_problem(&builder->reader,
                           written == NULL ? (struct position){1, 1} : written->key->at,
                           "the section 'sources' is missing or empty; at least one source is "
                           "needed");
        }
        return;
    }
    struct config_source *sources =
        arena_alloc(builder->file->arena, section->count * sizeof(sources[0]));
    if (sources == NULL) {
        return;
    }
    config->sources = sources;
    for (const struct node *node = section->first; node != NULL; node = node->next) {
        source_build(builder, node, &sources[config->source_count++]);
    }
}
