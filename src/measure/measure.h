// Measures: what is computed of a network's weights at a checkpoint, in double precision. One measure is one row of
// its family's list and one formula (family.h; measure.c lists the families). How a network is trained, and where
// the numbers are kept, is the business of others.
#pragma once

#include "base/status.h"
#include "measure/help.h"
#include "measure/row.h"
#include "param/key.h"
#include "task/data.h"
#include "task/task.h"

#include <stdint.h>

struct ts_family;
struct ts_network;

// TS_MEASURE_MOST: numbers of a matrix. A case has none that would be larger, and where no weights are saved none at
// all.
enum { TS_MAX_MEASURES = 512, TS_MEASURE_NAME_BYTES = 64, TS_MEASURE_MOST = 1 << 18 };

// Every measure there is, the `index`th; false: there are no more. Those of a family follow each other.
typedef struct ts_listed_measure {
    const ts_measure *measure;
    const char *family, *title; // name and title of its family
    const char *source;         // heading of docs/workloads.md with the formulas
    ts_kind kind;
} ts_listed_measure;
bool ts_measures_list(int index, ts_listed_measure *out);

// Names of families, as the key `measures` chooses them, each once, in the list's order: the `index`th. *kinds: bits 1
// << ts_kind of the kinds of data that it is about. NULL: there are no more.
const char *ts_measures_family(int index, unsigned *kinds);

// Whether it is one: of the last checkpoint alone, with two dimensions and more.
bool ts_measure_is_matrix(const ts_measure *measure);

// Whether a case of that kind may have a measure of that name.
bool ts_measures_of_kind(ts_kind kind, const char *name);

// The measures of a case that its sweep chooses (key `measures`) one after the other, as their numbers lie in what
// ts_measure_weights writes:
//     ts_measures m = ts_measures_of(params, data);
//     while (ts_measures_next(&m))
//         ... m.measure, at m.offset ...
// Afterwards m.offset is the sum of all lengths.
typedef struct ts_measures {
    const ts_params *params;
    const ts_data *data;
    const ts_measure *measure;           // its names are with the prefix of its family, and always valid
    int64_t offset, length;              // in doubles; length: 1 for scalars
    int64_t size[TS_MEASURE_DIMENSIONS]; // 1 where it has no such dimension
    const struct ts_family *family;
    int chart;          // of the symmetry, through which the family looks
    const char *prefix; // that it gives to names
    bool hindsight;     // its family is measured by ts_measure_hindsight too
    bool always;        // every checkpoint has it: its family is that of losses
    int next;
    const struct ts_measure_listing *listing; // NULL: they are found as they are asked for
} ts_measures;
ts_measures ts_measures_of(const ts_params *params, const ts_data *data);

// All of them, the same for all instances of a case, so that they need not be found anew for each. Made of params and
// data, to which it refers no more. Free with ts_free.
typedef struct ts_measure_listing {
    int64_t total; // ts_measures_total
    int count;
    ts_measures item[]; // (count) without what they are of
} ts_measure_listing;
ts_status ts_measures_make_listing(const ts_params *params, const ts_data *data, ts_measure_listing **listing);

// As ts_measures_of, of a case whose listing this is; NULL: it has none.
ts_measures ts_measures_listed(const ts_params *params, const ts_data *data, const ts_measure_listing *listing);
bool ts_measures_next_listed(ts_measures *measures); // ts_measures_next, which calls it, of one of these

bool ts_measures_next(ts_measures *measures);

// Moves on to the case's measure of that name. False: it has none.
bool ts_measures_find(ts_measures *measures, const char *name);

// Doubles that ts_measure_weights writes.
int64_t ts_measures_total(const ts_params *params, const ts_data *data);

// Memory that one such call takes, about, in bytes, beside the network: what families keep; the rows and the sums of
// one thread, which makes parts in order and so needs log2(parts) + 1 sums at once. Each thread that helps takes rows
// and sums of its own, less than this; all sums together are no more than there are parts.
double ts_measure_bytes(const ts_params *params, const ts_data *data);

// What is wanted of a checkpoint: everything but what the last one has; that, too; losses alone, as between the
// checkpoints that the key `measures_every` measures in full.
typedef enum ts_measure_extent { TS_MEASURE_BEFORE_LAST, TS_MEASURE_LAST, TS_MEASURE_LOSSES } ts_measure_extent;
static inline ts_measure_extent ts_measure_extent_of(bool last, bool full) {
    return last ? TS_MEASURE_LAST : full ? TS_MEASURE_BEFORE_LAST : TS_MEASURE_LOSSES;
}

// All measures of `parameters`, in the layout of the case's model, after `step` updates. `out`: (ts_measures_total).
// What is not wanted is NaN, as are those that follow from curves. All are NaN if a weight is not finite. help: NULL:
// nobody helps, or asks to stop. TS_STOPPED: `out` is of no use.
ts_status ts_measure_weights(const ts_params *params, const ts_data *data, const float *parameters, int64_t step,
                             ts_measure_extent extent, const ts_measure_help *help, double *out);

// The same of weights that float32 does not hold: other programs' (weights/weights_reader.h).
ts_status ts_measure_exact(const ts_params *params, const ts_data *data, const double *parameters, int64_t step,
                           ts_measure_extent extent, const ts_measure_help *help, double *out);

// Those that depend on what was found at the last checkpoint (`final`, its measures), of the weights of an earlier one;
// all others are NaN. Otherwise as ts_measure_weights.
ts_status ts_measure_hindsight(const ts_params *params, const ts_data *data, const float *parameters,
                               const double *final, const ts_measure_help *help, double *out);

// Whether an instance has any that are to be measured so.
bool ts_measures_hindsight(const ts_params *params, const ts_data *data);

// The same as ts_measure_weights of a network that is at hand (model/network.h), all of whose weights are finite.
ts_status ts_measure_network(const ts_params *params, const ts_data *data, const struct ts_network *network,
                             int64_t step, ts_measure_extent extent, const ts_measure_help *help, double *out);

// Operations of one such call, about.
double ts_measure_operations(const ts_params *params, const ts_data *data, ts_measure_extent extent);
