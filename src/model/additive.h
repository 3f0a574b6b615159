// Whether a network is one activation of sums of what tokens give, read out linearly: as interventions on its tables
// need it.
#pragma once

#include "network/pass.h"

// Whether its hidden layer (TS_HIDDEN) is activation(E_x[a] + E_y[b] + shift), E_x and E_y being its embeddings, and
// its output the product of that with the unembedding, plus a shift; found in the operations, whose tables the pass has
// made. shift (hidden + outputs): both, if so; there is room for 2 hidden more behind them.
bool ts_network_is_additive(const ts_pass *pass, ts_activation *activation, double *shift);
