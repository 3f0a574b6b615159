// Losses of one row.
#include "network/loss.h"

#include <math.h>

static double cross_entropy(int count, double *z, int label) {
    double target = z[label], largest = 0, others = 0;
    for (int j = 0; j < count; j++)
        largest = fmax(largest, z[j] - target);
    for (int j = 0; j < count; j++) {
        z[j] = exp(z[j] - target - largest);
        others += j == label ? 0 : z[j];
    }
    double total = exp(-largest) + others;
    for (int j = 0; j < count; j++)
        z[j] = j == label ? -others / total : z[j] / total;
    return largest > 0 ? largest + log(total) : log1p(others);
}

static double mse(int count, double *z, int label) {
    double loss = 0;
    for (int j = 0; j < count; j++) {
        double error = j == label ? z[j] - 1 : z[j];
        loss += error * error;
        z[j] = 2 * error;
    }
    return loss;
}

static double stablemax(int count, double *z, int label) {
    double others = 0, at_label = 0, label_slope = 0;
    for (int j = 0; j < count; j++) {
        double s = z[j] >= 0 ? z[j] + 1 : 1 / (1 - z[j]), slope = z[j] >= 0 ? 1 : s * s;
        if (j == label) {
            at_label = s;
            label_slope = slope;
        } else {
            others += s;
        }
        z[j] = slope;
    }
    double total = at_label + others;
    for (int j = 0; j < count; j++)
        z[j] /= total;
    z[label] = -label_slope * others / (total * at_label);
    return log1p(others / at_label);
}

double ts_loss_of(ts_loss loss, int count, double *z, int label) {
    return loss == TS_MSE         ? mse(count, z, label)
           : loss == TS_STABLEMAX ? stablemax(count, z, label)
                                  : cross_entropy(count, z, label);
}

double ts_loss_of_squares(int count, double *z, const double *target, const double *scale) {
    double loss = 0;
    for (int i = 0; i < count; i++) {
        double error = z[i] - target[i];
        loss += scale[i] * error * error;
        z[i] = 2 * scale[i] * error;
    }
    return loss;
}
