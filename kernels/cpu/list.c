// The functions of one instruction set.
#include "cpu/kernels.h"

#define TS_TEXT_(a) #a
#define TS_TEXT(a)  TS_TEXT_(a)

const ts_kernels TS_FOR_SET(ts_kernels) = {
    .name = TS_TEXT(TS_KERNELS),
    .autoencoder_gradient = TS_FOR_SET(ts_autoencoder_gradient),
    .mlp_gradient = TS_FOR_SET(ts_mlp_gradient),
    .transformer_gradient = TS_FOR_SET(ts_transformer_gradient),
    .exponential = TS_FOR_SET(ts_exponential),
    .adam = TS_FOR_SET(ts_adam),
    .peak = TS_FOR_SET(ts_peak),
};
