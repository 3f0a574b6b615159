// Networks that are no model of the program, to be trained by its general engine: `quadratic` and `mlp2`.
#pragma once

#include "model/model.h"

#include <stdbool.h>

typedef struct bench_network {
    ts_model model;
    ts_schema schema;
} bench_network;

// Puts the network of that name in the place of an instance's model, which is `mlp`; `of` lives as long as the
// instance. False: there is none.
bool bench_take_network(const char *name, ts_params *params, bench_network *of);
