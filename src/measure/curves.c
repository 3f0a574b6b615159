// The formulas of measures that follow from curves, and what they see of the curves.
#include "measure/curves.h"

#include "measure/family.h"
#include "measure/measure.h"

#include <math.h>
#include <stdio.h>

static ts_measures find_curve(const ts_curves *curves, const char *name) {
    char full[TS_MEASURE_NAME_BYTES];
    snprintf(full, sizeof full, "%s%s", curves->prefix, name);
    ts_measures m = ts_measures_listed(curves->params, curves->data, curves->listing);
    if (!ts_measures_find(&m, full))
        ts_measure_fault(full, "a formula asks for a measure that the case has not");
    return m;
}

// How many checkpoints the measure at hand follows from, and which they are.
static int64_t count_of(const ts_curves *curves) {
    return curves->full && curves->count > 0 ? (curves->count - 2 + curves->every) / curves->every + 1 : curves->count;
}

static int64_t place_of(const ts_curves *curves, int64_t checkpoint) {
    if (!curves->full)
        return checkpoint;
    return checkpoint < count_of(curves) - 1 ? checkpoint * curves->every : curves->count - 1;
}

int64_t ts_curve_step(const ts_curves *curves, int64_t checkpoint) {
    return curves->step[place_of(curves, checkpoint)];
}

const double *ts_curve_at(const ts_curves *curves, const char *name, int64_t checkpoint) {
    ts_measures m = find_curve(curves, name);
    curves->read(curves, m.offset, m.length, place_of(curves, checkpoint), curves->scratch);
    return curves->scratch;
}

double *ts_curve_last(const ts_curves *curves, const char *name) {
    return curves->last + find_curve(curves, name).offset;
}

int64_t ts_curve_length(const ts_curves *curves, const char *name) {
    return find_curve(curves, name).length;
}

int64_t ts_curve_count(const ts_curves *curves, const char *name) {
    int64_t length = ts_curve_length(curves, name), count = count_of(curves);
    for (int64_t k = 0; k < count - 1; k++) {
        const double *values = ts_curve_at(curves, name, k);
        for (int64_t i = 0; i < length; i++)
            if (!isnan(values[i]))
                return count;
    }
    return count > 1 ? 0 : count;
}

void ts_measures_conclude(ts_curves *curves) {
    ts_measures m = ts_measures_listed(curves->params, curves->data, curves->listing);
    int64_t total = m.listing ? m.listing->total : ts_measures_total(curves->params, curves->data);
    for (int64_t i = 0; i < total; i++)
        curves->measured = curves->measured || !isnan(curves->last[i]);
    while (ts_measures_next(&m)) {
        curves->prefix = m.prefix;
        curves->full = curves->every > 1 && !m.always;
        if (m.measure->follows)
            m.measure->follows(curves, curves->last + m.offset);
    }
}
