// Losses of one row.
#include "network/loss.h"

#include <math.h>

// Exponents are of differences to the largest logit: exact where they matter, however far the label is behind.
static double cross_entropy(int count, double *z, int label) {
    double largest = z[label], others = 0;
    for (int j = 0; j < count; j++)
        largest = fmax(largest, z[j]);
    double behind = largest - z[label];
    for (int j = 0; j < count; j++) {
        z[j] = exp(z[j] - largest);
        others += j == label ? 0 : z[j];
    }
    double total = z[label] + others;
    double loss = behind > 0 ? behind + log(total) : log1p(others / z[label]);
    for (int j = 0; j < count; j++)
        z[j] = j == label ? -others / total : z[j] / total;
    return loss;
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
    double at_label = 0, growth = 0, others = 0;
    for (int j = 0; j < count; j++) {
        double s = z[j] >= 0 ? z[j] + 1 : 1 / (1 - z[j]);
        if (j == label) {
            at_label = s;
            growth = z[j] >= 0 ? 1 / s : s; // s' / s
        } else {
            others += s;
        }
        z[j] = z[j] >= 0 ? 1 : s * s; // s'
    }
    for (int j = 0; j < count; j++)
        z[j] /= at_label + others;
    z[label] = -growth * (others / (at_label + others));
    return isfinite(at_label) ? log1p(others / at_label) : NAN;
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
