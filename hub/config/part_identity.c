#include "config/parts.h"
#include "core/topic.h"

const struct option_spec identity_options[] = {
    {"from", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "Topic filter of the messages that this identity is for, such as `legacy/+/telemetry`."},
    {"device", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "SQL expression over one event that names the device: `topic_part(2)`, `serial`."},
    {"sequence", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression giving a whole number that grows by one with each event of the device. "
     "Without it duplicates are not recognised."},
    {"boot", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression giving a whole number that changes when the sequence starts again. Without it "
     "0."},
    {"time", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "SQL expression giving the device's time: milliseconds since 1970, or ISO 8601 text."},
    {NULL},
};

static const char *copy(struct builder *builder, const struct options *options, const char *name)
{
    const char *text = option_text(options, name);
    return text == NULL ? NULL : arena_print(builder->file->arena, "%s", text);
}

static void identity_build(struct builder *builder, const struct node *node,
                           struct identity_spec *out_identity)
{
    struct reader *reader = &builder->reader;
    const char *what = arena_print(reader->arena, "device identity %s", node->key->text);
    struct options *options = options_make(builder, identity_options);
    if (what == NULL || options == NULL) {
        options_destroy(options);
        return;
    }
    reader_name(reader, node->key, "device identity");
    struct shape shape = {.what = what, .options = {options, NULL}, .is_verbatim = true};
    reader_options(reader, node, &shape);
    *out_identity = (struct identity_spec){
        .name = node->key->text,
        .from = copy(builder, options, "from"),
        .device = copy(builder, options, "device"),
        .sequence = copy(builder, options, "sequence"),
        .boot = copy(builder, options, "boot"),
        .time = copy(builder, options, "time"),
    };
    options_destroy(options);
    const char *from = out_identity->from;
    const char *problem = from == NULL ? NULL : topic_filter_problem(bytes_from_text(from));
    if (problem != NULL) {
        reader_problem(reader, node_get(node, "from")->at, "%s: from: topic filter '%.80s' %s",
                       what, from, problem);
    }
}

void identities_build(struct builder *builder)
{
    struct core_spec *core = &builder->file->config.core;
    const struct node *section = section_find(builder, "devices");
    struct identity_spec *identities =
        section == NULL ? NULL
                        : arena_alloc(builder->file->arena, section->count * sizeof(identities[0]));
    if (identities == NULL) {
        return;
    }
    core->identities = identities;
    for (const struct node *node = section->first; node != NULL; node = node->next) {
        identity_build(builder, node, &identities[core->identity_count++]);
    }
}
