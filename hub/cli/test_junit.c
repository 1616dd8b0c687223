#include "cli/test_junit.h"

#include <jansson.h>

// Characters that XML 1.0 cannot hold are replaced, the others that need it are written as
// references.
static void put_escaped(FILE *file, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        switch (c) {
        case '&':
            fputs("&amp;", file);
            break;
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        case '\n':
        case '\t':
            fprintf(file, "&#%d;", c);
            break;
        default:
            if (c < ' ') {
                fputs("\xEF\xBF\xBD", file); // U+FFFD
            } else if (c == 0xEF && (unsigned char)at[1] == 0xBF && (unsigned char)at[2] >= 0xBE) {
                fputs("\xEF\xBF\xBD", file); // U+FFFE, U+FFFF
                at += 2;
            } else {
                fputc(c, file);
            }
            break;
        }
    }
}

static const char *text_of(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));
    return text == NULL ? "" : text;
}

static double seconds_of(const json_t *one)
{
    return (double)json_integer_value(json_object_get(one, "took_us")) / 1e6;
}

static void put_fault(FILE *file, const char *path, const json_t *fault)
{
    fputs("      <failure message=\"", file);
    put_escaped(file, text_of(fault, "what"));
    fputs("\">", file);
    put_escaped(file, path);
    fprintf(file, ":%lld:%lld: ", (long long)json_integer_value(json_object_get(fault, "line")),
            (long long)json_integer_value(json_object_get(fault, "column")));
    put_escaped(file, text_of(fault, "what"));
    if (json_object_get(fault, "expected") != NULL) {
        fputs("\nexpected  ", file);
        put_escaped(file, text_of(fault, "expected"));
    }
    if (json_object_get(fault, "got") != NULL) {
        fputs("\ngot       ", file);
        put_escaped(file, text_of(fault, "got"));
    }
    fputs("</failure>\n", file);
}

static void put_case(FILE *file, const char *path, const json_t *one)
{
    size_t i;
    json_t *fault, *faults = json_object_get(one, "faults");
    fputs("    <testcase classname=\"", file);
    put_escaped(file, path);
    fputs("\" name=\"", file);
    put_escaped(file, text_of(one, "name"));
    fprintf(file, "\" time=\"%.6f\"", seconds_of(one));
    if (json_array_size(faults) == 0) {
        fputs("/>\n", file);
        return;
    }
    fputs(">\n", file);
    json_array_foreach(faults, i, fault)
    {
        put_fault(file, path, fault);
    }
    fputs("    </testcase>\n", file);
}

static void put_file(FILE *file, const json_t *one)
{
    size_t i, failures = 0;
    json_t *cases = json_object_get(one, "cases"), *member;
    double seconds = 0;
    json_array_foreach(cases, i, member)
    {
        failures += !json_is_true(json_object_get(member, "passed"));
        seconds += seconds_of(member);
    }
    fputs("  <testsuite name=\"", file);
    put_escaped(file, text_of(one, "file"));
    fprintf(file, "\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" time=\"%.6f\">\n",
            json_array_size(cases), failures, seconds);
    json_array_foreach(cases, i, member)
    {
        put_case(file, text_of(one, "file"), member);
    }
    fputs("  </testsuite>\n", file);
}

void junit_write(FILE *file, const struct json_t *files)
{
    size_t i;
    json_t *one;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"pipit\">\n", file);
    json_array_foreach(files, i, one)
    {
        put_file(file, one);
    }
    fputs("</testsuites>\n", file);
}
