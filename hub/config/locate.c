#include "config/locate.h"

#include <stdlib.h>
#include <string.h>

// Folding and indentation change white space only. So the n-th visible byte of the value is the
// n-th visible byte of what was written, once quotes and escapes are read as YAML reads them.

struct cursor {
    const char *file;
    size_t len, offset;
    struct position at;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool at_end(const struct cursor *cursor)
{
    return cursor->offset >= cursor->len;
}

static char peek(const struct cursor *cursor, size_t ahead)
{
    return cursor->offset + ahead < cursor->len ? cursor->file[cursor->offset + ahead] : '\0';
}

// One byte on; a character is counted at its first byte, "\r\n" is one line.
static void advance(struct cursor *cursor)
{
    char c = peek(cursor, 0), next = peek(cursor, 1);
    cursor->offset++;
    if (c == '\n' || (c == '\r' && next != '\n')) {
        cursor->at.line++;
        cursor->at.column = 1;
    } else if (((unsigned char)next & 0xC0) != 0x80) {
        cursor->at.column++;
    }
}

static void advance_by(struct cursor *cursor, size_t count)
{
    while (count > 0 && !at_end(cursor)) {
        advance(cursor);
        count--;
    }
}

static size_t byte_of_index(const char *file, size_t len, size_t index)
{
    size_t offset = 0;
    while (offset < len && index > 0) {
        offset++;
        while (offset < len && ((unsigned char)file[offset] & 0xC0) == 0x80) {
            offset++;
        }
        index--;
    }
    return offset;
}

static size_t utf8_len(unsigned long code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

// What an escape at the cursor stands for: how many bytes were written and how many are visible.
struct escape {
    size_t written, visible;
};

static struct escape escape_read(const struct cursor *cursor)
{
    char kind = peek(cursor, 1);
    size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits > 0) {
        char hex[9] = {0};
        for (size_t i = 0; i < digits; i++) {
            hex[i] = peek(cursor, 2 + i);
        }
        unsigned long code = strtoul(hex, NULL, 16);
        bool is_blank = code == ' ' || code == '\t' || code == '\n' || code == '\r';
        return (struct escape){2 + digits, is_blank ? 0 : utf8_len(code)};
    }
    switch (kind) {
    case 'n':
    case 't':
    case 'r':
    case ' ':
    case '\t':
    case '\n': // A line that goes on in the next.
    case '\r':
        return (struct escape){2, 0};
    case 'N': // U+0085
    case '_': // U+00A0
        return (struct escape){2, 2};
    case 'L': // U+2028
    case 'P': // U+2029
        return (struct escape){2, 3};
    default:
        return (struct escape){2, 1};
    }
}

// The next piece of what was written.
static struct escape piece_read(const struct cursor *cursor, enum node_style style)
{
    char c = peek(cursor, 0);
    if (style == STYLE_DOUBLE_QUOTED && c == '\\') {
        return escape_read(cursor);
    }
    if (style == STYLE_SINGLE_QUOTED && c == '\'') {
        return (struct escape){2, 1};
    }
    return (struct escape){1, is_space(c) ? 0 : 1};
}

static void skip_opening(struct cursor *cursor, enum node_style style)
{
    if (style == STYLE_SINGLE_QUOTED || style == STYLE_DOUBLE_QUOTED) {
        advance(cursor);
    }
    if (style == STYLE_LITERAL || style == STYLE_FOLDED) { // "|2- # why" and the end of that line.
        while (!at_end(cursor) && peek(cursor, 0) != '\n') {
            advance(cursor);
        }
        advance_by(cursor, 1);
    }
}

struct position locate(const char *file, size_t len, const struct node *node, size_t offset)
{
    struct cursor cursor = {file, len, byte_of_index(file, len, node->index), node->at};
    size_t value_len = strlen(node->text), visible = 0;
    bool is_behind = true; // Nothing visible follows the offset.
    for (size_t i = 0; i < value_len; i++) {
        visible += i < offset && !is_space(node->text[i]);
        is_behind = is_behind && (i < offset || is_space(node->text[i]));
    }
    skip_opening(&cursor, node->style);
    while (!at_end(&cursor)) {
        struct escape piece = piece_read(&cursor, node->style);
        if (visible < piece.visible || (visible == 0 && is_behind)) {
            break;
        }
        visible -= piece.visible;
        advance_by(&cursor, piece.written);
    }
    return cursor.at;
}

struct position locate_byte(const char *file, size_t len, size_t offset)
{
    struct cursor cursor = {file, len, 0, {1, 1}};
    advance_by(&cursor, offset);
    return cursor.at;
}
