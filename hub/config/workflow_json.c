#include "config/workflow_json.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    const char *path;
    const struct node *node;
    uint32_t shift;
    struct entry *next;
};

struct workflow_map {
    struct arena *arena;
    struct entry *entries; // Asked only when something is at fault: a list will do.
};

struct workflow_map *workflow_map_create(struct arena *arena)
{
    struct workflow_map *map = arena_alloc(arena, sizeof(*map));
    if (map != NULL) {
        map->arena = arena;
    }
    return map;
}

void workflow_map_add(struct workflow_map *map, const char *path, const struct node *node,
                      uint32_t shift)
{
    struct entry *entry = arena_alloc(map->arena, sizeof(*entry));
    if (entry != NULL && path != NULL) {
        *entry = (struct entry){path, node, shift, map->entries};
        map->entries = entry;
    }
}

// The pointer's entry, else that of its longest beginning of whole parts. *out_is_whole: it is the
// pointer's own.
static const struct entry *entry_find(const struct workflow_map *map, const char *path,
                                      bool *out_is_whole)
{
    const struct entry *best = NULL;
    size_t best_len = 0;
    for (const struct entry *entry = map->entries; entry != NULL; entry = entry->next) {
        size_t len = strlen(entry->path);
        bool is_around =
            strncmp(entry->path, path, len) == 0 && (path[len] == '\0' || path[len] == '/');
        if (is_around && (best == NULL || len > best_len)) {
            best = entry;
            best_len = len;
        }
    }
    *out_is_whole = best != NULL && path[best_len] == '\0';
    return best;
}

struct position workflow_map_locate(const struct workflow_map *map, const struct document *document,
                                    const char *path, int64_t offset)
{
    bool is_whole;
    const struct entry *entry = entry_find(map, path, &is_whole);
    if (entry == NULL) {
        return (struct position){1, 1};
    }
    const struct node *node = entry->node;
    if (node->kind != NODE_TEXT) {
        return node->key == NULL ? node->at : node->key->at;
    }
    // What was replaced by a variable of the environment has other lengths.
    if (!is_whole || offset < (int64_t)entry->shift || strstr(node->text, "${") != NULL) {
        return node->at;
    }
    size_t len = strlen(node->text), at = (size_t)offset - entry->shift;
    return document_locate(document, node, at < len ? at : len);
}

const char *workflow_path(struct arena *arena, const char *path, const char *name)
{
    char *out = path == NULL ? NULL : arena_alloc(arena, strlen(path) + 2 * strlen(name) + 2);
    if (out == NULL) {
        return NULL;
    }
    size_t at = strlen(path);
    memcpy(out, path, at);
    out[at++] = '/';
    for (; *name != '\0'; name++) {
        if (*name == '~' || *name == '/') {
            out[at++] = '~';
            out[at++] = *name == '~' ? '0' : '1';
        } else {
            out[at++] = *name;
        }
    }
    out[at] = '\0';
    return out;
}

const char *workflow_path_at(struct arena *arena, const char *path, uint32_t index)
{
    return path == NULL ? NULL : arena_print(arena, "%s/%u", path, index);
}

const char *workflow_json_text(struct arena *arena, const json_t *definition)
{
    char *text = json_dumps(definition, JSON_COMPACT);
    const char *copy = text == NULL ? NULL : arena_text(arena, text, strlen(text));
    free(text);
    return copy;
}

// Members that are a list of steps, and those whose members are.
static const char *const lists[] = {"then", "else", "default", "steps", "undo", "on_error"};
static const char *const mappings[] = {"cases", "branches"};

static void mapping_lists(struct arena *arena, const json_t *mapping, const char *name,
                          const char *path, workflow_list_fn *each, void *context)
{
    const char *key;
    json_t *list;
    json_object_foreach((json_t *)mapping, key, list)
    {
        const char *label = arena_print(arena, "%s/%s", name, key);
        if (label != NULL) {
            each(context, label, workflow_path(arena, path, key), list);
        }
    }
}

void workflow_json_lists(struct arena *arena, const json_t *step, const char *path,
                         workflow_list_fn *each, void *context)
{
    for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
        const json_t *mapping = json_object_get(step, mappings[i]);
        if (json_is_object(mapping)) {
            mapping_lists(arena, mapping, mappings[i], workflow_path(arena, path, mappings[i]),
                          each, context);
        }
    }
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const json_t *list = json_object_get(step, lists[i]);
        if (json_is_array(list)) {
            each(context, lists[i], workflow_path(arena, path, lists[i]), list);
        }
    }
}

struct walk {
    struct arena *arena;
    workflow_step_fn *each;
    void *context;
};

static void walk_list(void *context, const char *name, const char *path, const json_t *list)
{
    (void)name;
    const struct walk *walk = context;
    size_t index;
    json_t *step;
    json_array_foreach((json_t *)list, index, step)
    {
        const char *own = workflow_path_at(walk->arena, path, (uint32_t)index);
        if (own != NULL) {
            walk->each(walk->context, step, own);
            workflow_json_lists(walk->arena, step, own, walk_list, context);
        }
    }
}

void workflow_json_steps(struct arena *arena, const json_t *definition, workflow_step_fn *each,
                         void *context)
{
    struct walk walk = {arena, each, context};
    walk_list(&walk, "steps", "/steps", json_object_get(definition, "steps"));
}

const json_t *workflow_json_step(const json_t *within, const char *name)
{
    const json_t *found = NULL;
    const char *key, *own = json_string_value(json_object_get(within, "name"));
    json_t *member;
    size_t i;
    if (own != NULL && strcmp(own, name) == 0 && json_object_get(within, "do") != NULL) {
        return within;
    }
    json_object_foreach((json_t *)within, key, member)
    {
        found = found == NULL ? workflow_json_step(member, name) : found;
    }
    json_array_foreach((json_t *)within, i, member)
    {
        found = found == NULL ? workflow_json_step(member, name) : found;
    }
    return found;
}
