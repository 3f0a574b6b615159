// A record: everything one trained instance leaves in the results file, as one block of bytes
// (little-endian), and the layout that says which field lies where. The trainer fills records, unit states
// carry them, results/rows.h writes them. The same for all rows of a case.
#pragma once

#include "param/key.h"

#include <stdbool.h>
#include <stdint.h>

enum { TS_MAX_FIELDS = 1200, TS_FIELD_DIMENSIONS = 6, TS_MAX_NAMED = 16, TS_LABEL_BYTES = 80 };

typedef enum ts_field_place {
    TS_FIELD_ROOT,    // a column at the root, one float64 per instance
    TS_FIELD_CASE,    // a dataset of the case's group, [row, ...]
    TS_FIELD_STATE,   // a dataset of the case's state/ group, [row, ...]: what a run with more steps goes on from
    TS_FIELD_WEIGHTS, // a dataset of the case's weights/ group, [row, ...]
    TS_FIELD_PLACES,
} ts_field_place;

// One dataset. `size` and `dimension` leave out the leading row (or instance) dimension.
typedef struct ts_field {
    const char *name;
    const char *help;  // long_name; NULL: none
    const char *units; // NULL: none
    ts_field_place place;
    int item_bytes; // 4: float32, 8: float64
    int rank;       // 0 for TS_FIELD_ROOT
    int64_t size[TS_FIELD_DIMENSIONS];
    const char *dimension[TS_FIELD_DIMENSIONS]; // "step", "feature", "hidden", ...
    size_t offset;                              // from the start of the record
    size_t bytes;
    int64_t source; // where its numbers start in what ts_measure_weights writes, or in the instance's parameters
    bool hindsight; // one of ts_measure_hindsight
    bool always;    // at every checkpoint, also at those that are not measured in full
} ts_field;

// A dimension whose indices have names (irreps, frequencies, ...).
typedef struct ts_named_dimension {
    const char *dimension;
    int64_t count;
    char (*name)[TS_LABEL_BYTES];  // (count); owned
    char (*alias)[TS_LABEL_BYTES]; // (count) names they have elsewhere, "" for none; NULL: none has; owned
} ts_named_dimension;

struct ts_data;

typedef struct ts_record_layout {
    int64_t checkpoints;
    int64_t *step; // (checkpoints) steps at which the instance is measured; owned
    int count;
    ts_field *field; // (count); owned
    size_t bytes;    // of one record, a multiple of 8
    ts_named_dimension named[TS_MAX_NAMED];
    int n_named;
    int64_t measures;                   // doubles that ts_measure_weights writes
    struct ts_measure_listing *listing; // the case's measures (measure/measure.h); owned
    // Whether checkpoints before the last one are measured once more, in hindsight, and whether the record has their
    // weights (in weights/ or state/). Where it has not, a trainer keeps those of `kept` checkpoints (ts_record_kept),
    // of `parameters` each.
    bool hindsight, saved;
    int64_t kept, parameters;
    int64_t every; // each of which number of checkpoints is measured in full
} ts_record_layout;

// Layout for instances with the shapes of `params`. Fields come in the order root, case, state, weights.
ts_status ts_record_layout_make(const ts_params *params, const struct ts_data *data, ts_record_layout **layout);
void ts_record_layout_free(ts_record_layout *layout);

// All of it NaN (the canonical quiet NaN of its type): nothing is known yet.
void ts_record_reset(const ts_record_layout *layout, void *record);

// Whether a checkpoint before the last is measured in full, or its losses alone are (key `measures_every`).
bool ts_record_is_full(const ts_record_layout *layout, int64_t checkpoint);
int64_t ts_record_full(const ts_record_layout *layout); // how many are, with the last

// Enters what was measured at checkpoint number `checkpoint`; of the instance's last one also what is kept of
// the end only (root columns, and measures without a step).
void ts_record_put_measures(const ts_record_layout *layout, int64_t checkpoint, bool last, const double *measures,
                            void *record);

// What was entered for a checkpoint of the measure whose numbers start at `source`; NaN: it has no curve.
void ts_record_get_measure(const ts_record_layout *layout, int64_t checkpoint, const void *record, int64_t source,
                           int64_t length, double *out);

// The checkpoint whose weights are the kept ones number `place`: of those measured in full all but the last if they fit
// into TS_KEPT_BYTES, else as many as do, evenly. -1: there are no more.
enum { TS_KEPT_BYTES = 256 << 20 };
int64_t ts_record_kept(const ts_record_layout *layout, int64_t place);
int64_t ts_record_kept_before(const ts_record_layout *layout, int64_t checkpoint); // places of those before it

// Fills in what was entered of the end only (measures without a step), for ts_measure_hindsight; enters what that says
// of an earlier checkpoint.
void ts_record_get_final(const ts_record_layout *layout, const void *record, double *measures);
void ts_record_put_hindsight(const ts_record_layout *layout, int64_t checkpoint, const double *measures, void *record);

// Ends an instance's record at its last checkpoint, whose `measures` (layout->measures) are completed by what
// follows from the curves (ts_measures_conclude), and entered. `scratch`: as long.
void ts_record_conclude(const ts_record_layout *layout, const ts_params *params, const struct ts_data *data,
                        int64_t checkpoint, double *measures, double *scratch, void *record);

// Numbers of an engine's state at the instance's end (ts_engine.get_state), of a sweep with `save: state`: parts by
// parameters, float64. NULL: the layout has none.
double *ts_record_state(const ts_record_layout *layout, void *record, int64_t *count);

// What the record of an instance that goes on at `step` begins with, into `record`, which is reset: curves, and weights
// of checkpoints, before that step, out of `ended`, the record of an instance that differs in steps and checkpoints
// alone and ended there. False: that has not been measured, or not in full, at all of those checkpoints.
bool ts_record_go_on(const ts_record_layout *layout, void *record, int64_t step, const ts_record_layout *of,
                     const void *ended);

// The weights entered for a checkpoint, of a layout that keeps weights. False: none were.
bool ts_record_get_weights(const ts_record_layout *layout, int64_t checkpoint, const void *record, float *parameters);

// Enters the weights, if the sweep's `save` asks for those of this checkpoint.
void ts_record_put_weights(const ts_record_layout *layout, int64_t checkpoint, bool last, const float *parameters,
                           void *record);
