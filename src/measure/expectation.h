// The expected loss of a network relu(D^T D x + b) with target x over features that are independent of each other but
// for pairs, where it can be computed: exact but for rounding. Where inputs can be listed, or must be drawn:
// reconstruction.c.
#pragma once

#include "base/pause.h"
#include "model/network.h"

typedef struct ts_expectation ts_expectation;

// *out NULL: it is not known; network and features are not such, or the features are too many: more than 8 with values,
// or more with the value 1 than ts_halves takes, some 30; or values do not begin at 0. Both must outlive it.
ts_status ts_expectation_create(const ts_network *network, const ts_feature_data *data, ts_expectation **out);
void ts_expectation_free(ts_expectation *expectation);

// importance (features). Of no use if *pause says stop. What an output adds is exact to some 1e-16 of the squares that
// it is the difference of.
double ts_expectation_loss(ts_expectation *expectation, const double *importance, const atomic_int *pause);
