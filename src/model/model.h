// Models: the networks. A model is a table of keys, a parameter layout, initial weights, an operation count
// and a table of measures; how it is trained is a backend's business. models.c lists them all.
#pragma once

#include "base/pause.h"
#include "param/key.h"
#include "task/task.h"

#include <stdint.h>

struct ts_data;
struct ts_optimiser;

enum { TS_MAX_DIMENSIONS = 4, TS_MAX_TENSORS = 16, TS_MEASURE_DIMENSIONS = 2 };

// One trainable tensor. Row-major; tensors lie one after the other in the order of the table.
typedef struct ts_tensor {
    const char *name;                         // dataset under weights/
    int rank;                                 // number of dimensions
    int64_t size[TS_MAX_DIMENSIONS];          // e.g. {hidden, features}
    const char *dimension[TS_MAX_DIMENSIONS]; // e.g. {"hidden", "feature"}
    int64_t offset;                           // in floats, from the start of the instance's parameters
} ts_tensor;

typedef struct ts_parameter_layout {
    int count;
    ts_tensor tensor[TS_MAX_TENSORS];
    int64_t total; // floats
} ts_parameter_layout;

// A measure: one row of a model's table.
typedef struct ts_measure {
    const char *name;
    const char
        *dimension[TS_MEASURE_DIMENSIONS]; // NULL: none; a scalar has none, {"feature"}: one value each
    const char *needs; // it is there only where dimension(needs) is not 0; NULL: where its own dimensions are
    bool curve;        // kept at every checkpoint, [row, step(, dimension)]
    bool final;        // its last value is kept: a column at the root; with a dimension, [row, dimension]
    bool loss;         // stored in float64 in curves (others: float32)
    const char *help;  // long_name
    const char *units; // NULL: none
} ts_measure;

// What a tensor is called in files of weights, exported or made elsewhere.
typedef struct ts_published_name {
    const char *name, *published;
} ts_published_name;

typedef struct ts_model {
    const char *name;
    const char *help;
    ts_kind learns;                       // every task of this kind
    const ts_key *keys;                   // its own; its optimisers bring theirs
    const struct ts_optimiser *optimiser; // that usually trains it
    const ts_published_name
        *published; // of tensors; NULL name ends the table; NULL: all have their own names

    const char *(*check)(const ts_params *params, char *message, size_t bytes); // as ts_task.check

    void (*layout)(const ts_params *params, ts_parameter_layout *layout);
    void (*initialise)(const ts_params *params, float *parameters);

    // Length of a measure's or tensor's named dimension, e.g. "feature". 0: this case has no such measures.
    int64_t (*dimension)(const ts_params *params, const struct ts_data *data, const char *name);

    // What stands at an index of a dimension, e.g. an irrep's name; NULL (or no such function): the index itself.
    // Of "<dimension>_alias": the name it has elsewhere, "" for none.
    const char *(*label)(const struct ts_data *data, const char *dimension, int64_t index);

    // Useful floating-point operations of one training step (expected, where it depends on the batch drawn).
    double (*step_operations)(const ts_params *params, const struct ts_data *data);

    // Operations of one measure(), about; NULL: next to none.
    double (*measure_operations)(const ts_params *params, const struct ts_data *data);

    // Bytes that a unit takes beside its instances, about: batches, scratch.
    double (*unit_bytes)(const ts_params *params, const struct ts_data *data);

    const ts_measure *measures; // NULL name ends the table
    const char *headline;       // the final measure that reports show

    // All measures of `parameters` after `step` updates, in double precision. `out`: the table's measures one
    // after the other (scalars one double, others dimension() doubles). `last`: the final-only ones too, else
    // they are NaN. TS_STOPPED: *pause (may be NULL) says so, and `out` is of no use.
    ts_status (*measure)(const ts_params *params, const struct ts_data *data, const float *parameters,
                         int64_t step, bool last, const atomic_int *pause, double *out);

    // Measures that follow from the whole curve (the step at which one first passed a threshold, ...), entered
    // into `final`, the last checkpoint's measures. Called for every checkpoint in order, the last included,
    // once all are measured; then once with `measures` NULL. NULL function: there are none.
    void (*conclude)(const ts_params *params, const struct ts_data *data, int64_t step,
                     const double *measures, double *final);
} ts_model;

extern const ts_model *const ts_models[]; // NULL-terminated
const ts_model *ts_model_find(const char *name);
const char *ts_model_published(const ts_model *model, const char *tensor); // the tensor's published name

bool ts_model_learns(const ts_model *model, const ts_task *task);
const ts_model *ts_model_usual(const ts_task *task); // that learns it by default; NULL: none does

// The schema of a task learned by a model: common keys, the task's (NULL: neither), the model's, those of the optimisers
// that it can be trained with, its usual one first. TS_ERROR_FATAL: more than TS_MAX_KEYS.
ts_status ts_model_schema(const ts_task *task, const ts_model *model, ts_schema *schema);

// ts_model.measure, and nothing but NaN of weights that are not all finite.
ts_status ts_measure_weights(const ts_params *params, const struct ts_data *data, const float *parameters,
                             int64_t step, bool last, const atomic_int *pause, double *out);

// A derived quantity of the instance ("features", "parameters", ...), from its task or model; false: it has
// none.
bool ts_derive(const ts_params *params, const char *name, double *value);

// Names of the derived numbers that any task or model has, the `index`th; some come more than once. NULL: no more.
const char *ts_derived_name(int index);
bool ts_is_derived(const char *name);

// Doubles that measure() writes, and where measure `index` starts among them.
int64_t ts_measures_total(const ts_params *params, const struct ts_data *data);
int64_t ts_measure_offset(const ts_params *params, const struct ts_data *data, int index);
int64_t ts_measure_length(const ts_params *params, const struct ts_data *data, int index); // 1 for scalars
