// Measures that follow from the curves of others: the step at which one first passed a threshold, ...
#pragma once

#include "param/key.h"
#include "task/data.h"

#include <stdint.h>

// What measures that follow from curves are made of.
typedef struct ts_curves {
    const ts_params *params;
    const ts_data *data;
    bool measured;       // false: the last one's weights were not finite, so that nothing is known of it
    int64_t count;       // checkpoints up to the last one; 0: only the last one's measures are known
    const int64_t *step; // (count) updates at each
    // Each of which number was measured in full, from the first, and the last; 0: all. What a family other than that of
    // losses follows from are those alone: they are numbered on, and the functions below are by these numbers.
    int64_t every;
    bool full; // set for such a family
    // Fills in the `length` numbers of the measure at `offset`, at a checkpoint.
    void (*read)(const struct ts_curves *curves, int64_t offset, int64_t length, int64_t checkpoint, double *out);
    const void *context; // of `read`
    double *last;        // (ts_measures_total) the last checkpoint's, to which those that follow are added
    double *scratch;     // (ts_measures_total)
    const struct ts_measure_listing *listing; // of the case; NULL: its measures are found
    const char *prefix;                       // that the chart of the measure at hand gives to names
} ts_curves;

// Adds those that follow from curves to curves->last.
void ts_measures_conclude(ts_curves *curves);

// For their formulas: the measure's numbers at a checkpoint, valid until the next call; at the last one; how many
// there are. `name`: without that prefix.
const double *ts_curve_at(const ts_curves *curves, const char *name, int64_t checkpoint);
double *ts_curve_last(const ts_curves *curves, const char *name);
int64_t ts_curve_length(const ts_curves *curves, const char *name);

// Checkpoints at which the measure's curve can be read; 0 if nothing of it is known before the last one, as in a file
// of a version that did not have it. What happened first cannot be said then.
int64_t ts_curve_count(const ts_curves *curves, const char *name);

// Updates at a checkpoint.
int64_t ts_curve_step(const ts_curves *curves, int64_t checkpoint);
