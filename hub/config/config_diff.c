#include "config/config_diff.h"

#include <string.h>

#include "config/parts.h"

struct diff {
    config_change_fn *each;
    void *context;
};

static bool texts_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

// In order, comments and quoting aside. As deep as a document: DOCUMENT_DEPTH_MAX.
static bool nodes_equal(const struct node *a, const struct node *b)
{
    if (a == NULL || b == NULL || a->kind != b->kind || a->count != b->count ||
        !texts_equal(a->text, b->text)) {
        return a == b;
    }
    const struct node *left = a->first, *right = b->first;
    for (; left != NULL && right != NULL; left = left->next, right = right->next) {
        if (!texts_equal(left->key == NULL ? NULL : left->key->text,
                         right->key == NULL ? NULL : right->key->text) ||
            !nodes_equal(left, right)) {
            return false;
        }
    }
    return left == NULL && right == NULL;
}

static const struct node *first_of(const struct node *node)
{
    return node == NULL || node->kind != NODE_MAPPING ? NULL : node->first;
}

static void diff_section(const struct diff *diff, const char *section, const struct node *before,
                         const struct node *after)
{
    for (const struct node *node = first_of(after); node != NULL; node = node->next) {
        const struct node *old = before == NULL ? NULL : node_get(before, node->key->text);
        if (old == NULL) {
            diff->each(diff->context, section, node->key->text, "added");
        } else if (!nodes_equal(old, node)) {
            diff->each(diff->context, section, node->key->text, "changed");
        }
    }
    for (const struct node *node = first_of(before); node != NULL; node = node->next) {
        if (after == NULL || node_get(after, node->key->text) == NULL) {
            diff->each(diff->context, section, node->key->text, "removed");
        }
    }
}

static const struct node *root_of(const struct config *config)
{
    return document_root(((const struct config_file *)config)->document); // Its first member.
}

void config_diff(const struct config *before, const struct config *after, config_change_fn *each,
                 void *context)
{
    const struct diff diff = {each, context};
    const struct node *old = root_of(before), *new = root_of(after);
    for (const struct node *section = first_of(new); section != NULL; section = section->next) {
        diff_section(&diff, section->key->text, node_get(old, section->key->text), section);
    }
    for (const struct node *section = first_of(old); section != NULL; section = section->next) {
        if (node_get(new, section->key->text) == NULL) {
            diff_section(&diff, section->key->text, section, NULL);
        }
    }
}
