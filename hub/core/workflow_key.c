#include "core/workflow_key.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/workflow_parts.h"

#define SHOWN_MAX 120 // Bytes of an expression or of a name.

// The text on one line, as far as it is shown: no letter is cut in two.
static void show(const char *text, char out_text[SHOWN_MAX + 4])
{
    size_t len = strlen(text);
    bool is_cut = len > SHOWN_MAX;
    len = is_cut ? SHOWN_MAX : len;
    while (is_cut && len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        out_text[i] = (uint8_t)text[i] < ' ' ? ' ' : text[i];
    }
    snprintf(out_text + len, 4, "%s", is_cut ? "..." : "");
}

static bool is_null(struct event *event, const char *field)
{
    struct event_value value;
    bool is_prefixed = strncasecmp(field, "fields.", 7) == 0;
    event_field(event, field + (is_prefixed ? 7 : 0), &value);
    return value.kind == VALUE_NULL;
}

// The first field of the key's expression that the event does not have; NULL: it has them all.
static const char *lacking_field(const struct key_source *source)
{
    struct query_field field;
    for (uint32_t i = 0; workflow_query_field(source->query, i, &field); i++) {
        if (field.part == 0 && is_null(source->event, field.name)) {
            return field.name;
        }
    }
    return NULL;
}

// Why it is NULL, as far as that can be told: an expression may make NULL of anything.
static void explain_null(const struct key_source *source, char *out_text, size_t size)
{
    const char *key = workflow_query_text(source->query, 0), *field = lacking_field(source);
    char shown[SHOWN_MAX + 4];
    out_text[0] = '\0';
    if (field != NULL && event_fields_json(source->event) == NULL) {
        snprintf(out_text, size, "; the payload is no JSON object and has no fields");
    } else if (field != NULL) {
        show(field, shown);
        snprintf(out_text, size, "; the event has no field \"%s\", or it is null", shown);
    } else if (event_column_find(key) != EVENT_COLUMN_COUNT && !is_null(source->event, key)) {
        snprintf(out_text, size, "; the payload's field of that name is written \"fields.%s\"",
                 event_column_name(event_column_find(key)));
    }
}

enum err workflow_key_of_event(const struct key_source *source, const struct event_value *value,
                               const char **out_text, struct error *e)
{
    char key[SHOWN_MAX + 4], why[SHOWN_MAX + 80] = "";
    struct error what = {.text = ""};
    enum err rc = workflow_key_text(value, source->memory, out_text, &what);
    if (rc != ERR_INVALID) {
        return rc == ERR_OK ? ERR_OK : error_set(e, rc, "%s", what.text);
    }
    show(workflow_query_text(source->query, 0), key);
    if (value->kind == VALUE_NULL) {
        explain_null(source, why, sizeof(why));
    }
    return error_set(e, ERR_INVALID, "the key %.200s (key: %s)%s", what.text, key, why);
}
