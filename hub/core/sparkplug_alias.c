#include "core/sparkplug_alias.h"

#include <stdlib.h>
#include <string.h>

// Of two with one alias the first name comes first, whatever order they came in.
static int compare_aliases(const void *left, const void *right)
{
    const struct sparkplug_alias *a = left, *b = right;
    if (a->has_alias != b->has_alias) {
        return a->has_alias ? -1 : 1;
    }
    if (a->has_alias && a->alias != b->alias) {
        return a->alias < b->alias ? -1 : 1;
    }
    return strcmp(a->name, b->name);
}

static int compare_names(const void *left, const void *right)
{
    const struct sparkplug_alias *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static void copy_texts(struct sparkplug_aliases *aliases)
{
    char *at = aliases->texts;
    for (uint32_t i = 0; i < aliases->count; i++) {
        size_t size = strlen(aliases->items[i].name) + 1;
        memcpy(at, aliases->items[i].name, size);
        aliases->items[i].name = at;
        at += size;
    }
}

static void sort(struct sparkplug_aliases *aliases)
{
    qsort(aliases->items, aliases->count, sizeof(aliases->items[0]), compare_aliases);
    for (uint32_t i = 0; i < aliases->count; i++) {
        aliases->by_name[i] = &aliases->items[i];
        aliases->alias_count += aliases->items[i].has_alias;
    }
    qsort(aliases->by_name, aliases->count, sizeof(aliases->by_name[0]), compare_names);
}

enum err sparkplug_aliases_build(struct sparkplug_aliases *out_aliases,
                                 const struct sparkplug_alias *items, uint32_t count,
                                 struct error *e)
{
    struct sparkplug_aliases aliases = {.count = count};
    size_t text_bytes = 1;
    for (uint32_t i = 0; i < count; i++) {
        text_bytes += strlen(items[i].name) + 1;
    }
    aliases.items = calloc(count + 1, sizeof(aliases.items[0]));
    aliases.by_name = calloc(count + 1, sizeof(aliases.by_name[0]));
    aliases.texts = malloc(text_bytes);
    if (aliases.items == NULL || aliases.by_name == NULL || aliases.texts == NULL) {
        sparkplug_aliases_deinit(&aliases);
        return error_set(e, ERR_NO_MEMORY, "out of memory for a birth's metrics");
    }
    if (count > 0) {
        memcpy(aliases.items, items, count * sizeof(items[0]));
    }
    copy_texts(&aliases);
    sort(&aliases);
    *out_aliases = aliases;
    return ERR_OK;
}

void sparkplug_aliases_deinit(struct sparkplug_aliases *aliases)
{
    free(aliases->items);
    free(aliases->by_name);
    free(aliases->texts);
    *aliases = (struct sparkplug_aliases){0};
}

const struct sparkplug_alias *sparkplug_alias_find(const struct sparkplug_aliases *aliases,
                                                   uint64_t alias)
{
    uint32_t low = 0, high = aliases->alias_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (aliases->items[middle].alias < alias) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_there = low < aliases->alias_count && aliases->items[low].alias == alias;
    return is_there ? &aliases->items[low] : NULL;
}

const struct sparkplug_alias *sparkplug_alias_by_name(const struct sparkplug_aliases *aliases,
                                                      const char *name)
{
    const struct sparkplug_alias wanted = {.name = name}, *key = &wanted;
    const struct sparkplug_alias **found =
        aliases->count == 0 ? NULL
                            : bsearch(&key, aliases->by_name, aliases->count,
                                      sizeof(aliases->by_name[0]), compare_names);
    return found == NULL ? NULL : *found;
}
