// The functions of one instruction set.
#include "cpu/kernels.h"
#include "cpu/narrow.h"

#define TS_TEXT_(a) #a
#define TS_TEXT(a)  TS_TEXT_(a)

const ts_kernels TS_FOR_SET(ts_kernels) = {
    .name = TS_TEXT(TS_KERNELS),
    .autoencoder_gradient = TS_FOR_SET(ts_autoencoder_gradient),
    .lanes = NARROW_LANES,
    .draw_trees = TS_FOR_SET(ts_draw_trees),
    .lanes_gradient = TS_FOR_SET(ts_lanes_gradient),
    .lanes_adam = TS_FOR_SET(ts_lanes_adam),
    .transformer_gradient = TS_FOR_SET(ts_transformer_gradient),
    .exponential = TS_FOR_SET(ts_exponential),
    .adam = TS_FOR_SET(ts_adam),
    .descent = TS_FOR_SET(ts_descent),
    .momentum = TS_FOR_SET(ts_momentum),
    .muon = TS_FOR_SET(ts_muon),
    .grokfast = TS_FOR_SET(ts_grokfast),
    .orthograd = TS_FOR_SET(ts_orthograd),
    .add_scaled = TS_FOR_SET(ts_add_scaled),
    .operate = TS_FOR_SET(ts_operate),
    .operate_back = TS_FOR_SET(ts_operate_back),
    .transpose = TS_FOR_SET(ts_transpose),
    .loss = TS_FOR_SET(ts_loss),
    .loss_of_squares = TS_FOR_SET(ts_loss_of_squares),
    .peak = TS_FOR_SET(ts_peak),
};
