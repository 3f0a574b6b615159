// Expectations over features with values uniform in [0, 1): those of relu(t + sum) and of its square, as functions of
// t, are polynomials between edges, which features make one after the other. For binary features: halves.h.
#pragma once

#include "measure/output.h"

typedef struct ts_pieces ts_pieces;

bool ts_pieces_fit(const ts_independent *law);
ts_status ts_pieces_create(ts_pieces **pieces);
void ts_pieces_free(ts_pieces *pieces);

// Expectation of (x_i - output)^2, i being the output's feature.
double ts_pieces_error(ts_pieces *pieces, const ts_output *output);
