// Batches of instances that learn features, for the general engine on the CPU: drawn, entered into rows, and their
// loss. The autoencoder's own kernels read a batch as it is drawn. Not: what becomes of the rows.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels.h"
#include "network/graph.h"
#include "task/feature_data.h"

// Output's rows are `stride` floats apart: x_hat, then what is penalised; pads are 0.
typedef struct ts_cpu_samples {
    const ts_training_spec *spec;
    int features, width, stride;
    bool absolute; // x_hat is compared with |x|
    bool fixed;    // all steps have one batch
    float *scale;  // (count, stride): importance / features
    float *linear; // (count, stride): penalties; NULL: there are none
    float *target; // (rows, stride); NULL: x_hat is compared with x, in rows that lie as its own
    int instance;  // selected
    bool drawn;    // its batch, which is fixed
    ts_feature_batch batch;
} ts_cpu_samples;

// Shapes; what it needs, in both passes of the slab, for so many rows at once; what is there from the beginning. Free
// with ts_cpu_samples_free, also after a fault.
void ts_cpu_samples_begin(ts_cpu_samples *samples, const ts_training_spec *spec, const ts_graph *graph);
void ts_cpu_samples_take(ts_cpu_samples *samples, int rows, ts_slab *slab);
ts_status ts_cpu_samples_fill(ts_cpu_samples *samples);
void ts_cpu_samples_free(ts_cpu_samples *samples);

void ts_cpu_samples_select(ts_cpu_samples *samples, int instance);

// The batch of a step: samples->batch.
void ts_cpu_samples_draw(ts_cpu_samples *samples, int64_t step);

// Its rows from `first` on become x (rows, TS_PAD(features)).
void ts_cpu_samples_enter(const ts_cpu_samples *samples, int first, int rows, float *x);

// Their loss; z (rows, stride), the output of x, is replaced by the gradient.
double ts_cpu_samples_loss(const ts_cpu_samples *samples, const ts_kernels *kernels, int first, int rows,
                           const float *x, float *z);
