#include "cli/entry_walk.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/arguments.h"

enum entry_form entry_next(struct entry_walk *walk)
{
    if (walk->limit != 0 && walk->shown >= walk->limit) {
        walk->left_out++;
        return ENTRY_LEFT_OUT;
    }
    walk->shown++;
    return walk->is_json ? ENTRY_JSON : walk->is_full ? ENTRY_FULL : ENTRY_ROW;
}

void entry_count_json(const char *name, uint64_t count)
{
    json_t *json = json_pack("{s:I}", name, (json_int_t)count);
    json_dumpf(json, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(json);
}

int entry_fail(const struct entry_walk *walk, const struct error *e)
{
    fprintf(stderr, "pipit %s: %s\n", walk->command, e->text);
    return e->code == ERR_NOT_FOUND ? EXIT_STORE : exit_code_of(e->code); // No store yet.
}

int entry_none(const struct entry_walk *walk)
{
    fprintf(stderr, "pipit %s: %s\n", walk->command, walk->none);
    return EXIT_FAILED;
}

int entry_list(struct entry_walk *walk, entry_walk_fn *each, void *context)
{
    struct error e = {0};
    walk->table = table_create(walk->headings);
    enum err rc = each(context, &e);
    if (rc == ERR_OK && !walk->is_json && walk->shown > 0) {
        table_print(walk->table, stdout);
    }
    table_destroy(walk->table);
    if (rc != ERR_OK) {
        return entry_fail(walk, &e);
    }
    if (!walk->is_json && walk->shown == 0) {
        printf("%s\n", walk->empty);
    }
    if (walk->left_out > 0) {
        fprintf(stderr, "%" PRIu64 " more; --limit 0 lists all\n", walk->left_out);
    }
    return EXIT_OK;
}

int entry_show(struct entry_walk *walk, entry_walk_fn *each, void *context)
{
    struct error e = {0};
    walk->is_full = true;
    walk->limit = 0;
    if (each(context, &e) != ERR_OK) {
        return entry_fail(walk, &e);
    }
    return walk->shown > 0 ? EXIT_OK : entry_none(walk);
}
