// Autoencoders on the CPU that are too small to fill vectors: up to TS_VECTOR_LANES instances of a training at once,
// one in each lane (kernels/cpu/lanes.c), with the bits that each has alone. For inputs that can be listed, and Adam.
// Not: instances that are by themselves, which the caller trains.
#pragma once

#include "backend/cpu_training.h"
#include "model/autoencoder.h"
#include "task/feature_data.h"

typedef struct ts_cpu_lanes {
    ts_cpu_training *training;
    bool used; // else the rest means nothing, and nothing is to be called but what says so
    ts_lanes_work work;
    ts_tree_draw tree; // depth 0: batches are drawn one after the other
    uint64_t key0[TS_VECTOR_LANES], key1[TS_VECTOR_LANES];
    const ts_feature_data *data;
    int64_t samples;         // of a step; 0: exact
    ts_feature_batch *batch; // to draw in; not its own
    const float *scales;     // (count, TS_PAD(features)) importance / features, of the training
    const uint64_t *seeds;   // (count)
    // What the kernels' work points to, to be written.
    int *with_begin, *with;
    float *x, *weight, *state, *scale;
    bool *partly;
    bool *able; // (count): instances that the kernels train
    float loss[TS_VECTOR_LANES];
    // Of the lanes that are being trained; instance -1: it has stopped, or there is none.
    int packed;
    int instance[TS_VECTOR_LANES];
    int as[TS_VECTOR_LANES]; // the first lane with the same learning rates
    int alive;
    ts_adam adam[TS_VECTOR_LANES];
    ts_lanes_rates rates;
} ts_cpu_lanes;

// Whether instances of such a shape gain by it.
bool ts_cpu_lanes_fit(ts_autoencoder_shape shape, const ts_feature_data *data);

// Whether they do, and there are enough of them; sets `used`.
void ts_cpu_lanes_begin(ts_cpu_lanes *lanes, ts_cpu_training *training, ts_autoencoder_shape shape);
void ts_cpu_lanes_take(ts_cpu_lanes *lanes, ts_slab *slab); // what it needs, in both passes, if used or not
void ts_cpu_lanes_fill(ts_cpu_lanes *lanes, ts_feature_batch *batch, const float *scales, const uint64_t *seeds);

// As ts_engine.train.
ts_status ts_cpu_lanes_train(ts_cpu_lanes *lanes, int64_t from, int64_t to, int64_t *reached);
