// The measures of a case, kept, and names of families.
#include "base/memory.h"
#include "measure/measure.h"

#include <string.h>

ts_status ts_measures_make_listing(const ts_params *params, const ts_data *data, ts_measure_listing **listing) {
    ts_measures m = ts_measures_of(params, data);
    size_t count = 0;
    while (ts_measures_next(&m))
        count++;
    ts_measure_listing *made = ts_alloc_zero(1, sizeof *made + count * sizeof *made->item, "a case's measures");
    if (!made)
        return TS_ERROR_MEMORY;
    made->total = m.offset;
    m = ts_measures_of(params, data);
    while (ts_measures_next(&m)) {
        made->item[made->count] = m;
        made->item[made->count].params = NULL;
        made->item[made->count++].data = NULL;
    }
    *listing = made;
    return TS_OK;
}

ts_measures ts_measures_listed(const ts_params *params, const ts_data *data, const ts_measure_listing *listing) {
    return (ts_measures){.params = params, .data = data, .listing = listing};
}

bool ts_measures_next_listed(ts_measures *m) {
    ts_measures own = *m;
    if (own.next == own.listing->count) {
        m->offset = own.listing->total;
        m->length = 0;
        return false;
    }
    *m = own.listing->item[own.next];
    m->params = own.params;
    m->data = own.data;
    m->listing = own.listing;
    m->next = own.next + 1;
    return true;
}

const char *ts_measures_family(int index, unsigned *kinds) {
    ts_listed_measure one, other;
    for (int i = 0; ts_measures_list(i, &one); i++) {
        bool first = true;
        for (int k = 0; k < i && first; k++)
            first = ts_measures_list(k, &other) && strcmp(other.family, one.family) != 0;
        if (!first || index-- > 0)
            continue;
        *kinds = 0;
        for (int k = i; ts_measures_list(k, &other); k++)
            *kinds |= strcmp(other.family, one.family) == 0 ? 1u << other.kind : 0;
        return one.family;
    }
    return NULL;
}
