// Gradients of single logits by the rows that a network looks up for its tokens, by reverse mode on its definition, in
// double precision.
#pragma once

#include "param/key.h"

typedef struct ts_token_gradients ts_token_gradients;

// Of a table model's network with weights (parameters), which must outlive it; for up to `most` pairs at once. *width:
// of the rows; 0: a and b do not look up one row of a tensor each, equally wide, and there are no gradients. Free with
// ts_token_gradients_free, also after a fault.
ts_status ts_token_gradients_create(const ts_params *params, const double *weights, int most, int *width,
                                    ts_token_gradients **gradients);
void ts_token_gradients_free(ts_token_gradients *gradients);

// Gradients of logit c[i] of each pair (a[i], b[i]) by the row of a and by that of b. No two of the pairs share an a or
// a b. left, right (n, width): row a[i] of the first, b[i] of the second, others 0; valid until the next call.
void ts_token_gradients_take(ts_token_gradients *gradients, int count, const int *a, const int *b, const int *c,
                             const double **left, const double **right);
