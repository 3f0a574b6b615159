// Whether a network is homogeneous in its weights: f(s w) = s^degree f(w) for all s > 0.
#pragma once

#include "network/graph.h"

// *degree: of the output, by its definition; -1: it is not homogeneous, as far as its operations tell.
ts_status ts_graph_degree(const ts_graph *graph, int *degree);
