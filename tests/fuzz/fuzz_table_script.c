// A script for a table that anybody may have written: it makes its table within its bounds, or it
// is refused. It makes no file, and reaches none.
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/table_script.h"
#include "fuzz.h"

#define ROWS_MAX 1000

const uint32_t fuzz_count = 5000;

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const texts[] = {
        "CREATE TABLE t(a TEXT PRIMARY KEY, b REAL) WITHOUT ROWID;\nINSERT INTO t VALUES('x', "
        "1.5), ('y', "
        "x'00');\n",
        "BEGIN; CREATE TABLE t AS SELECT value AS v, key AS k FROM json_each('[1,2,3]'); COMMIT;",
        "CREATE TABLE t(a, b); CREATE INDEX i ON t(a); INSERT INTO t WITH RECURSIVE c(i) AS "
        "(SELECT 1 UNION "
        "ALL SELECT i + 1 FROM c LIMIT 9) SELECT i, printf('%d', i) FROM c; -- end",
        "ATTACH 'fuzz_escape.db' AS x; VACUUM INTO 'fuzz_escape.db'; PRAGMA journal_mode=WAL; DROP "
        "TABLE t; "
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT load_extension('x'), "
        "writefile('fuzz_escape.db', 1); "
        "END; CREATE VIRTUAL TABLE t USING fts5(x); SELECT readfile('/etc/passwd'); DETACH x; "
        "SAVEPOINT s;",
    };
    const uint32_t count = sizeof(texts) / sizeof(texts[0]);
    size_t len = index < count ? strlen(texts[index]) : 0;
    memcpy(out, index < count ? texts[index] : "", len < size ? len : size);
    return len;
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    char *sql = strndup((const char *)ptr, len);
    struct table_script *script = NULL;
    struct error e = {.offset = -1};
    const struct table_script_options options = {"t", sql, 1 << 18, ROWS_MAX};
    enum err rc = table_script_run(&script, &options, &e);
    assert((rc == ERR_OK) == (script != NULL));
    if (rc == ERR_OK) {
        const struct table_data *data = table_script_data(script);
        assert(data->column_count > 0 && data->row_count <= ROWS_MAX);
    } else {
        assert(rc == ERR_CONFIG && e.text[0] != '\0' && e.offset <= (int32_t)strlen(sql));
    }
    assert(access("fuzz_escape.db", F_OK) != 0);
    table_script_destroy(script);
    free(sql);
}
