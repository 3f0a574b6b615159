// A family of measures: what is gathered together in one pass, and the measures that are read off it. The way of the
// data: a network (model/network.h) is shown row of pairs by row of pairs, families add up, families finish, formulas
// are read off. For the files of this folder; others see measure.h.
#pragma once

#include "measure/device.h"
#include "measure/row.h"
#include "measure/walk.h"
#include "model/network.h"
#include "task/task.h"

enum { TS_FAMILY_NEEDS = 2 };

// As functions of what the hidden layer is taken apart: of a, of b, of a b.
enum { TS_OF_A, TS_OF_B, TS_OF_PRODUCT, TS_SIDES };

// One network that is being measured.
typedef struct ts_measuring {
    const ts_params *params;
    const ts_data *data;
    const ts_network *network;
    const ts_pairs *pairs; // all pairs of a table through it, and
    ts_walk *walk;         // the walk over them; NULL: the task has no table
    ts_device *device;     // on which they are; NULL: on the processor
    int64_t step;
    bool last;           // measures of the last checkpoint are wanted
    bool losses;         // those of TS_LOSSES alone are
    const double *final; // (ts_measures_total) of the last checkpoint, which is measured already; NULL: it is not
    const ts_measure_help *help; // NULL: nobody helps, or asks to stop
    const atomic_int *pause;     // its own: passes end early if it says stop; NULL: nobody asks
    void *const *states;         // of the families so far: ts_measuring_state
} ts_measuring;

// What a family adds up over the pairs. begin says how many numbers these are.
typedef struct ts_sums {
    size_t numbers; // of `add`
    size_t again;   // of sums that `finish` makes by further walks over the pairs, the most
    size_t scratch; // that a thread needs for one of these
    double *total;  // (numbers), for finish and later
} ts_sums;

// Name of the families whose measures every checkpoint has, whatever a sweep chooses: one for each kind of data.
#define TS_LOSSES "losses"

// All members are needed but those that say what NULL means.
typedef struct ts_family {
    const char *name;       // one word, by which the key `measures` chooses it
    const char *title;      // for people
    const char *source;     // heading of docs/workloads.md under which the formulas are
    ts_kind kind;           // of the data that it is about
    const ts_measure *rows; // NULL name ends the list
    const char *prefix;     // of all names; NULL: none
    bool charts;            // measured through each chart of the symmetry (task/symmetry.h) that a case has; else once
    // Whether an instance's earlier checkpoints are measured anew, by this family, once the last one is
    // (ts_measure_hindsight). NULL: never.
    bool (*hindsight)(const ts_params *params);
    // How many circles its measures need the symmetry to have; most 0: they need none. Those with a dimension of length
    // 0 a case has not.
    int least_circles, most_circles;
    bool (*has)(const ts_data *data); // whether they mean something for a case; NULL: for every one
    // Families whose states it asks for (ts_measuring_state), which stand above it: they are gathered where it is
    // chosen.
    const struct ts_family *needs[TS_FAMILY_NEEDS];
    // Operations through one chart, about; NULL: next to none.
    double (*operations)(const ts_params *params, const ts_data *data);

    // The state is what formulas get, zeroed before begin. `measuring`, and states of families listed before, outlive
    // it. It does not begin with its ts_sums or ts_slab.
    size_t state_bytes;
    ts_status (*begin)(const ts_measuring *measuring, int chart, void *state);
    // Adds the pairs (a, 0 ..) to sums (numbers): once for every a, in order within a part of the walk, which has sums
    // of its own; on any thread. NULL: does not look at pairs.
    void (*add)(const void *state, ts_rows *rows, int a, double *sums);
    size_t sums; // offsetof the state's ts_sums; 0: it adds nothing up
    // Where a device has the pairs: fills in the sums' total with what `add` would have added up. NULL: rows are
    // brought to `add`.
    void (*gather)(void *state, ts_device *device);
    void (*finish)(void *state); // after the last row; NULL: nothing to do
    size_t slab;                 // offsetof the state's ts_slab; 0: it has none
    void (*free)(void *state);   // what else the state owns, also after a begin that failed; NULL: nothing
} ts_family;

// Whether a matrix of the last checkpoint with so many numbers is to be made.
bool ts_measuring_wants(const ts_measuring *measuring, double numbers);

// Ends the program: a measure, a family or what it asks for is not as it must be.
_Noreturn void ts_measure_fault(const char *name, const char *what);

// State of a family that is listed before the caller's, of the same chart, begun (and, in finish, finished).
const void *ts_measuring_state(const ts_measuring *measuring, const ts_family *family, int chart);
