// The gradient of a pair's cross-entropy, from its logits, accurate at any loss.
#pragma once

#include "cpu/simd.h"

#include <stdbool.h>

// z becomes exp(z - target - shift), 0 where `valid` (of the last vector) is; returns the sum of all but the label's.
// All of it is at most exp(31).
INLINE vec exponentials(float *z, int vectors, vec valid, int label, vec target, vec shift, bool shifted) {
    vec sum = vzero();
    for (int v = 0; v < vectors; v++) {
        // z - target - shift exactly, as a sum of float32 numbers (Knuth); exp needs what rounding left out.
        vec a = vload(z + v * LANES), d = vsub(a, target), b = vsub(d, a);
        vec error = vsub(vsub(a, vsub(d, b)), vadd(target, b)), x = d;
        if (shifted) {
            x = vsub(d, shift);
            vec c = vsub(x, d);
            error = vadd(error, vsub(vsub(d, vsub(x, c)), vadd(shift, c)));
        }
        vec e = vexp_below(x, error);
        if (v == vectors - 1)
            e = vmul(e, valid);
        vstore(z + v * LANES, e);
        sum = vadd(sum, vother_lanes(e, label - v * LANES));
    }
    return sum;
}

// Replaces one row of logits (`vectors` vectors, the last with zeros where `valid` (LANES) is 0) by its gradient
// times `share`. Accurate at any loss: with E_j = exp(z_j - z_y - m) and S the sum over j != y, the gradient is
// E_j / (E_y + S), and -S / (E_y + S) at y, never p - 1. m is 0 unless the label is far behind; where it is so far
// behind that rounding z_j - z_y matters, the largest z takes the place of z_y + m. False if the loss is not finite.
static inline bool cross_entropy(float *z, int vectors, const float *valid_lanes, int label, float share) {
    float at_label = z[label];
    vec target = vset(at_label), largest = vset(-INFINITY), valid = vload(valid_lanes);
    // Pads take the label's logit for now: it neither raises the maximum nor overflows.
    float *last = z + (vectors - 1) * LANES;
    vstore(last, vadd(vwhere_positive(valid, vload(last)), vwhere_positive(vsub(vset(0.5f), valid), target)));
    for (int v = 0; v < vectors; v++)
        largest = vmax(largest, vload(z + v * LANES));
    float most = vlargest(largest), ahead = most - at_label;
    bool far_behind = ahead > 0x1p22f;
    if (far_behind)
        target = vset(most);
    vec sum = ahead > 30 && !far_behind ? exponentials(z, vectors, valid, label, target, vset(ahead), true)
                                        : exponentials(z, vectors, valid, label, target, vzero(), false);
    float own = z[label], others = vsum(sum), scale = share / (own + others);
    vec factor = vset(scale);
    for (int v = 0; v < vectors; v++)
        vstore(z + v * LANES, vmul(factor, vload(z + v * LANES)));
    z[label] = -others * scale;
    return others < INFINITY && ahead < INFINITY; // false for NaN, too
}
