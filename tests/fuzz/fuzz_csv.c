// A CSV file that anybody may have saved: it is a table whose rows have the columns of the first
// line and whose key is there once, or the fault has its line.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "config/table_csv.h"
#include "core/event_value.h"
#include "fuzz.h"

const uint32_t fuzz_count = 100000;

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const texts[] = {
        "id,site,top\nd1,\"Hall, north\",30.5\nd2,\"a \"\"b\"\"\r\nc\",-1e3\n",
        "\xEF\xBB\xBFid;n\r\n1;\r\n2;\"\"\r\n",
        "id\n007\n9223372036854775807\n9223372036854775808\n1.0\n\xC3\xBC\n",
        "id,id\n",
        "\"",
        ",,,\n,,,\n",
    };
    const uint32_t count = sizeof(texts) / sizeof(texts[0]);
    size_t len = index < count ? strlen(texts[index]) : 0;
    memcpy(out, index < count ? texts[index] : "", len < size ? len : size);
    return len;
}

static void check_data(const struct table_data *data, uint32_t rows_max)
{
    assert(data->column_count > 0 && data->row_count <= rows_max);
    for (uint32_t i = 0; i < data->column_count; i++) {
        assert(data->columns[i][0] != '\0');
    }
    for (size_t i = 0; i < data->row_count * data->column_count; i++) {
        const struct event_value *value = &data->values[i];
        assert(value->kind == VALUE_NULL || value->kind == VALUE_INTEGER ||
               value->kind == VALUE_REAL || value->kind == VALUE_TEXT);
        if (value->kind == VALUE_TEXT) {
            assert(utf8_is_valid(value->bytes) && value->bytes.ptr[value->bytes.len] == '\0');
        }
    }
}

static void check_key(const struct table_data *data)
{
    for (uint64_t i = 0; i < data->row_count && i < 50; i++) {
        const struct event_value *key = &data->values[i * data->column_count];
        assert(key->kind != VALUE_NULL);
        for (uint64_t j = 0; j < i; j++) {
            const struct event_value *other = &data->values[j * data->column_count];
            assert(key->kind != VALUE_TEXT || other->kind != VALUE_TEXT ||
                   !bytes_equal(key->bytes, other->bytes));
        }
    }
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static const char delimiters[] = ",;\t|";
    for (size_t i = 0; i < 4; i++) {
        const struct table_csv_options options = {
            .delimiter = delimiters[i],
            .key = i == 0 ? "id" : NULL,
            .text = i == 1 ? " n, site" : NULL,
            .rows_max = 40,
        };
        struct table_csv *csv = NULL;
        struct error e = {0};
        enum err rc = table_csv_parse(&csv, bytes_of(ptr, len), &options, &e);
        assert((rc == ERR_OK) == (csv != NULL));
        if (rc != ERR_OK) {
            assert(rc == ERR_CONFIG && strtoul(e.text, NULL, 10) > 0);
            continue;
        }
        check_data(table_csv_data(csv), options.rows_max);
        if (options.key != NULL && strcmp(table_csv_data(csv)->columns[0], "id") == 0) {
            check_key(table_csv_data(csv));
        }
        table_csv_destroy(csv);
    }
}
