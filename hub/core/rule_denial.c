#include "core/rule_denial.h"

#include <stdlib.h>

struct rule_denial {
    const struct rule_statement *statement;
    uint32_t place;
    bool is_window, is_all;
};

void rule_denials_deinit(struct rule_denials *denials)
{
    free(denials->list);
    *denials = (struct rule_denials){.list = NULL};
}

static bool make_room(struct rule_denials *denials)
{
    if (denials->count < denials->capacity) {
        return true;
    }
    uint32_t capacity = denials->capacity == 0 ? 16 : 2 * denials->capacity;
    struct rule_denial *list = reallocarray(denials->list, capacity, sizeof(list[0]));
    if (list == NULL) {
        return false;
    }
    denials->list = list;
    denials->capacity = capacity;
    return true;
}

bool rule_denials_add(struct rule_denials *denials, const struct rule_statement *statement,
                      uint32_t place, bool is_window)
{
    uint32_t mine = 1;
    for (uint32_t i = 0; i < denials->count; i++) {
        mine += denials->list[i].statement == statement;
    }
    if (!make_room(denials)) {
        return false;
    }
    denials->list[denials->count++] =
        (struct rule_denial){statement, place, is_window, mine >= RULE_DENIALS_MAX};
    denials->has_new = true;
    return true;
}

bool rule_is_denied(const struct rule_denials *denials, const struct rule_statement *statement,
                    uint32_t place, bool is_window)
{
    for (uint32_t i = 0; i < denials->count; i++) {
        const struct rule_denial *denial = &denials->list[i];
        bool is_there = denial->place == place && denial->is_window == is_window;
        if (denial->statement == statement && (denial->is_all || is_there)) {
            return true;
        }
    }
    return false;
}
