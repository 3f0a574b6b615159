// One output of a network relu(D^T D x + b), as a function of features in groups.
#pragma once

#include "task/feature_data.h"

// What one output computes: relu(bias + sum over features j of weight[j] x_j).
typedef struct ts_output {
    const ts_independent *law;
    int feature; // that it is to be equal to
    int own;     // number of that feature's group
    double bias;
    const double *weight; // (features)
} ts_output;

// The other feature of its pair; -1: it has none.
static inline int ts_output_partner(const ts_output *output) {
    const ts_feature_group *own = &output->law->group[output->own];
    return own->size == 1 ? -1 : own->first + (output->feature == own->first);
}
