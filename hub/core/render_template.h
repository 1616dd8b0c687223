// render_template.h - text with {column} in it: parsed once, filled for each row.
// Threads:   core thread.
// Ownership: the template is copied; what it renders is in the writer until the next text.
// Failure:   ERR_CONFIG at parsing, ERR_INVALID at rendering.
#ifndef PIPIT_CORE_RENDER_TEMPLATE_H
#define PIPIT_CORE_RENDER_TEMPLATE_H

#include "core/event_value.h"
#include "core/render.h"

// Where a name in a template leads: a column of the result, else a column of the event, else a
// payload field written as fields.<name>.
struct column_ref {
    enum { REF_RESULT, REF_EVENT, REF_FIELD } kind;
    int index;        // Of REF_RESULT; enum event_column of REF_EVENT.
    const char *path; // Of REF_FIELD.
};

// The name's length is name.len; ERR_CONFIG names what is near. Borrows name for REF_FIELD.
enum err column_ref_find(struct column_ref *out_ref, const char *name, sqlite3_stmt *compiled,
                         struct error *e);
void column_ref_value(const struct column_ref *ref, const struct render_row *row,
                      struct event_value *out_value);

#define PAYLOAD_BYTES_MAX 16000000 // Of a rendered payload: a row of the store must hold it.

// A text that grows, kept from row to row.
struct text_writer {
    char *text;
    size_t len, capacity;
};
void text_writer_deinit(struct text_writer *writer);
// ERR_INVALID: it would be longer than a payload can be.
enum err text_writer_add(struct text_writer *writer, struct bytes text, struct error *e);
// NULL adds nothing; a blob is ERR_INVALID ("is a blob").
enum err text_writer_add_value(struct text_writer *writer, const struct event_value *value,
                               struct error *e);

// A copy of the text in memory, and a zero byte behind it.
enum err text_writer_keep(const struct text_writer *writer, struct event_memory *memory,
                          struct bytes *out_text, struct error *e);

struct template;

// "{column}"; "{{" and "}}" stand for the braces themselves.
enum err template_create(struct template **out_template, const char *text, sqlite3_stmt *compiled,
                         struct error *e);
void template_destroy(struct template *template); // NULL is fine.

// What the text is to be.
enum template_use {
    TEMPLATE_TEXT,
    TEMPLATE_TOPIC, // A value that is NULL or empty is ERR_INVALID: it would leave an empty level.
    TEMPLATE_ADDRESS, // The same, and values are percent-encoded [RFC 3986 2.3].
};

// Appends to the writer.
enum err template_render(const struct template *template, const struct render_row *row,
                         enum template_use use, struct text_writer *writer, struct error *e);

#endif
