// format_lack.c - the column that no payload can have, told from the entries alone: by arithmetic
// over their topic filters.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/option.h"
#include "core/format.h"
#include "core/topic.h"

// What a question is about.
struct asked {
    const struct formats *formats;
    struct bytes filter;
    const char *column;
    char *common; // Room for the filter in common with any entry's.
    const char *near;
};

static struct bytes filter_of(const struct format *format)
{
    return bytes_from_text(format_spec_of(format)->from);
}

// Is one of the two a path into the other, or both the same?
static bool leads_into(const char *path, const char *within)
{
    size_t len = strlen(path);
    return strncmp(path, within, len) == 0 && (within[len] == '\0' || within[len] == '.');
}

static bool may_hold(const struct field_spec *field, const char *column)
{
    bool is_open =
        field->type == FIELD_ANY || field->type == FIELD_OBJECT || field->type == FIELD_ARRAY;
    return strcmp(field->name, column) == 0 || leads_into(column, field->name) ||
           (is_open && leads_into(field->name, column));
}

static bool can_have(const struct format *format, const char *column)
{
    const struct format_type *type = format_type_of(format);
    const struct format_spec *spec = format_spec_of(format);
    if (!type->is_closed && !spec->is_closed) {
        return true;
    }
    if (type->has_field != NULL && type->has_field(format_state(format), column)) {
        return true;
    }
    for (uint32_t i = 0; type->has_field == NULL && i < spec->field_count; i++) {
        if (may_hold(&spec->fields[i], column)) {
            return true;
        }
    }
    return false;
}

static void note_nearest(struct asked *asked, const struct format *format)
{
    const struct format_type *type = format_type_of(format);
    const struct format_spec *spec = format_spec_of(format);
    if (asked->near == NULL && type->names != NULL) {
        asked->near = nearest_name(asked->column, type->names(format_state(format)));
    }
    for (uint32_t i = 0; asked->near == NULL && i < spec->field_count; i++) {
        const char *const one[] = {spec->fields[i].name, NULL};
        asked->near = nearest_name(asked->column, one);
    }
}

// Do earlier entries decide for all topics that this one and the filter have in common?
static bool is_decided_before(const struct asked *asked, uint32_t index, struct bytes common)
{
    for (uint32_t i = 0; i < index; i++) {
        if (topic_filter_covers(filter_of(formats_at(asked->formats, i)), common)) {
            return true;
        }
    }
    return false;
}

// Pipit's own topics have an envelope whose fields nobody has to declare.
static bool has_pipit_topics(const struct asked *asked)
{
    static const char *const own[] = {"pipit/v1/+/+/event/#", "pipit/v1/+/+/reply/#",
                                      "pipit/v1/+/+/status"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (topic_filter_common(asked->filter, bytes_from_text(own[i]), asked->common) > 0) {
            return true;
        }
    }
    return false;
}

static bool lack(struct asked *asked)
{
    const struct format *format;
    if (has_pipit_topics(asked)) {
        return false;
    }
    for (uint32_t i = 0; (format = formats_at(asked->formats, i)) != NULL; i++) {
        size_t len = topic_filter_common(asked->filter, filter_of(format), asked->common);
        if (len == 0 || is_decided_before(asked, i, bytes_of(asked->common, len))) {
            continue;
        }
        if (can_have(format, asked->column)) {
            return false;
        }
        note_nearest(asked, format);
        if (topic_filter_covers(filter_of(format), asked->filter)) {
            return true; // Nothing is left for others.
        }
    }
    return false; // Some topics have no entry, as far as one entry alone can tell.
}

bool formats_lack(const struct formats *formats, const char *filter, const char *column,
                  const char **out_nearest)
{
    bool is_field = strncasecmp(column, "fields.", 7) == 0;
    *out_nearest = NULL;
    if (!is_field && event_column_find(column) != EVENT_COLUMN_COUNT) {
        return false;
    }
    struct asked asked = {.formats = formats, .filter = bytes_from_text(filter)};
    asked.column = is_field ? column + 7 : column;
    size_t longest = 32; // Of Pipit's own.
    const struct format *format;
    for (uint32_t i = 0; (format = formats_at(formats, i)) != NULL; i++) {
        longest = filter_of(format).len > longest ? filter_of(format).len : longest;
    }
    asked.common = malloc(asked.filter.len + longest + 1);
    bool is_lacking = asked.common != NULL && lack(&asked);
    free(asked.common);
    *out_nearest = is_lacking ? asked.near : NULL;
    return is_lacking;
}
