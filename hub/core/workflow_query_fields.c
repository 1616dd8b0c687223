// workflow_query_fields.c - the payload fields that expressions over an event name, and where.
#include <strings.h>

#include "core/sql_words.h"
#include "core/workflow_query_parts.h"

// Where the text names the field, and not the variable of that name; -1: nowhere.
static ptrdiff_t find_field(const char *text, const char *field)
{
    struct bytes rest = bytes_from_text(text);
    struct sql_word before = {.kind = SQL_END}, earlier = {.kind = SQL_END};
    for (struct sql_word word = sql_word_next(&rest); word.kind != SQL_END;
         word = sql_word_next(&rest)) {
        char name[600];
        bool is_variable = sql_word_is(&before, ".") && sql_word_is(&earlier, "my");
        if (!is_variable && sql_word_name(&word, name, sizeof(name)) &&
            strcasecmp(name, field) == 0) {
            return (const char *)word.text.ptr - text;
        }
        earlier = before;
        before = word;
    }
    return -1;
}

static bool find_part(const struct workflow_query *query, struct query_field *field)
{
    for (uint32_t i = 0; i <= query->expression_count; i++) {
        const char *text = i < query->expression_count ? query->expressions[i].text : query->where;
        field->offset = text == NULL ? -1 : find_field(text, field->name);
        if (field->offset >= 0) {
            field->part = i;
            return true;
        }
    }
    return false;
}

bool workflow_query_field(const struct workflow_query *query, uint32_t index,
                          struct query_field *out_field)
{
    const struct rule_statement *statement = query->statement;
    bool is_of_event = query->over == QUERY_EVENT && statement != NULL;
    for (uint32_t i = 0; is_of_event && i < statement->field_count; i++) {
        struct query_field field = {.name = statement->fields[i]};
        if (find_part(query, &field) && index-- == 0) { // Others are there for the frame's sake.
            *out_field = field;
            return true;
        }
    }
    return false;
}
