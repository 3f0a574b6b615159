// Discrete logarithms of a cyclic group.
#include "task/circle.h"

#include "base/memory.h"

// Places of the powers of `generator`, of which the identity is that of 0. False: it does not generate all.
static bool take_powers(const ts_table *table, int generator, int *place) {
    int power = table->identity;
    for (int k = 0; k < table->n; k++) {
        place[power] = k;
        power = table->result[(size_t)power * (size_t)table->n + (size_t)generator];
        if (power == table->identity)
            return k == table->n - 1;
    }
    return false;
}

static bool find_places(const ts_table *table, bool numbered, int *place) {
    for (int t = 0; t < table->n; t++)
        place[t] = t;
    if (numbered)
        return true;
    for (int generator = 0; table->group && table->abelian && generator < table->n; generator++)
        if (take_powers(table, generator, place))
            return true;
    return false;
}

ts_status ts_circle_places(const ts_table *table, bool numbered, int **place) {
    *place = ts_alloc((size_t)table->n * sizeof **place, "places on a circle");
    if (!*place)
        return TS_ERROR_MEMORY;
    if (!find_places(table, numbered, *place)) {
        ts_free(*place);
        *place = NULL;
    }
    return TS_OK;
}
