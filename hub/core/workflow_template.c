#include "core/workflow_template.h"

#include <ctype.h>
#include <stdlib.h>

#include "core/sql_words.h"

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a template");
}

static enum err refuse(struct error *e, size_t offset, const char *sentence)
{
    error_set(e, ERR_CONFIG, "%s", sentence);
    e->offset = (int32_t)offset;
    return ERR_CONFIG;
}

static enum err add_piece(struct workflow_template *template, struct bytes text, bool is_expression,
                          struct error *e)
{
    if (template->count == WORKFLOW_TEMPLATE_PIECES_MAX) {
        return refuse(e, 0, "the template has more than 100 pieces");
    }
    struct workflow_piece *pieces =
        reallocarray(template->pieces, template->count + 1, sizeof(*pieces));
    if (pieces == NULL) {
        return no_memory(e);
    }
    template->pieces = pieces;
    pieces[template->count++] = (struct workflow_piece){text, is_expression};
    template->expression_count += is_expression;
    return ERR_OK;
}

// The expression ends at the first brace that is no part of a text or a quoted name in it.
static bool find_end(struct bytes rest, struct bytes *out_expression)
{
    const uint8_t *begin = rest.ptr;
    for (;;) {
        struct sql_word word = sql_word_next(&rest);
        if (word.kind == SQL_END) {
            return false;
        }
        if (sql_word_is(&word, "}")) {
            *out_expression = bytes_of(begin, (size_t)(word.text.ptr - begin));
            return true;
        }
    }
}

static bool is_blank(struct bytes text)
{
    size_t at = 0;
    while (at < text.len && isspace(text.ptr[at])) {
        at++;
    }
    return at == text.len;
}

// *at stands on the opening brace, and then behind the closing one.
static enum err add_expression(struct workflow_template *template, const char *text,
                               const char **at, struct error *e)
{
    struct bytes expression;
    size_t offset = (size_t)(*at - text);
    if (!find_end(bytes_from_text(*at + 1), &expression)) {
        return refuse(e, offset,
                      "the template has a { without a } behind it; write {{ for the brace itself");
    }
    if (is_blank(expression)) {
        return refuse(e, offset, "there is no expression between { and }");
    }
    *at = (const char *)expression.ptr + expression.len + 1;
    return add_piece(template, expression, true, e);
}

static enum err parse(struct workflow_template *template, const char *text, struct error *e)
{
    enum err rc = ERR_OK;
    const char *at = text;
    while (rc == ERR_OK && *at != '\0') {
        size_t len = strcspn(at, "{}");
        char brace = at[len];
        bool is_doubled = brace != '\0' && at[len + 1] == brace;
        if (len + is_doubled > 0) {
            rc = add_piece(template, bytes_of(at, len + is_doubled), false, e);
        }
        at += len + 2 * (size_t)is_doubled;
        if (rc == ERR_OK && brace == '{' && !is_doubled) {
            rc = add_expression(template, text, &at, e);
        } else if (rc == ERR_OK && brace == '}' && !is_doubled) {
            rc = refuse(e, (size_t)(at - text),
                        "the template has a } without a {; write }} for the brace itself");
        }
    }
    return rc;
}

enum err workflow_template_parse(struct workflow_template *out_template, const char *text,
                                 struct error *e)
{
    struct workflow_template template = {.pieces = NULL};
    enum err rc = parse(&template, text, e);
    if (rc == ERR_OK) {
        *out_template = template;
    } else {
        workflow_template_deinit(&template);
    }
    return rc;
}

void workflow_template_deinit(struct workflow_template *template)
{
    free(template->pieces);
    *template = (struct workflow_template){.pieces = NULL};
}

// [RFC 3986 2.3]: letters, digits and these stay.
static bool is_unreserved(uint8_t c)
{
    return (c < 0x80 && isalnum(c)) || c == '-' || c == '.' || c == '_' || c == '~';
}

static enum err add_encoded(struct bytes text, struct text_writer *writer, struct error *e)
{
    static const char digits[] = "0123456789ABCDEF";
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < text.len; i++) {
        const char encoded[] = {'%', digits[text.ptr[i] >> 4], digits[text.ptr[i] & 15]};
        rc = is_unreserved(text.ptr[i])
                 ? text_writer_add(writer, bytes_of(text.ptr + i, 1), e)
                 : text_writer_add(writer, bytes_of(encoded, sizeof(encoded)), e);
    }
    return rc;
}

// What would make another address of it than the one that is written.
static const char *segment_problem(struct bytes text)
{
    if (text.len == 0) {
        return "is an empty text, which would leave a part of the address empty";
    }
    bool is_dots = text.ptr[0] == '.' && (text.len == 1 || (text.len == 2 && text.ptr[1] == '.'));
    return is_dots ? "is a dot or two, which would lead out of its place in the address" : NULL;
}

static enum err add_to_url(const struct event_value *value, struct text_writer *writer,
                           struct error *e)
{
    struct text_writer plain = {.text = NULL};
    enum err rc = text_writer_add_value(&plain, value, e);
    struct bytes text = bytes_of(plain.text, plain.len);
    const char *problem = rc == ERR_OK ? segment_problem(text) : NULL;
    if (problem != NULL) {
        rc = error_set(e, ERR_INVALID, "%s", problem);
    }
    rc = rc == ERR_OK ? add_encoded(text, writer, e) : rc;
    text_writer_deinit(&plain);
    return rc;
}

enum err workflow_template_add(const struct workflow_piece *piece, const struct event_value *value,
                               bool is_url, struct text_writer *writer, struct error *e)
{
    struct error why = {.offset = -1};
    enum err rc = value->kind == VALUE_NULL ? error_set(&why, ERR_INVALID, "is NULL")
                  : is_url                  ? add_to_url(value, writer, &why)
                                            : text_writer_add_value(writer, value, &why);
    return rc == ERR_OK
               ? ERR_OK
               : error_set(e, rc, "{%.*s} %s", (int)(piece->text.len < 100 ? piece->text.len : 100),
                           (const char *)piece->text.ptr, why.text);
}
