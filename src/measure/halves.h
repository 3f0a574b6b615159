// Expectations over binary features: what half of them adds to an output is a list of numbers, each with its
// probability, and lists of two halves, sorted, stand for all inputs. For features with values: pieces.h.
#pragma once

#include "measure/output.h"

typedef struct ts_halves ts_halves;

// Whether each half of them, whichever group is left out, has at most 2^15 states.
bool ts_halves_fit(const ts_independent *law);
ts_status ts_halves_create(ts_halves **halves); // to be freed after a fault, too
void ts_halves_free(ts_halves *halves);

// Expectation of (x_i - output)^2, i being the output's feature.
double ts_halves_error(ts_halves *halves, const ts_output *output);
