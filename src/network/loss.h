// What a network is trained to make small, and its gradient by the output, row by row in double precision.
#pragma once

#include "operations.h"

// Loss of one pair with given label; z (count): its output, replaced by the gradient. Accurate at any loss: the
// gradient at the label is never formed as p - 1.
double ts_loss_of(ts_loss loss, int count, double *z, int label);

// sum_i scale_i (z_i - target_i)^2; z (count) is replaced by the gradient.
double ts_loss_of_squares(int count, double *z, const double *target, const double *scale);
