// The same network in fewer operations: what does not depend on a pair is taken out of the pairs, products by weights
// are made of tables and of weights before they meet pairs, and whatever comes twice is made once.
//
// Rules are applied to the whole graph until none does anything; they know nothing of buffers. Those that do not always
// pay are chosen, for each tensor that multiplies, by the multiply-adds of a step, which follow from the shape alone.
// So every instance of a shape runs the same operations on every machine, and its bits depend on nothing else.
#pragma once

#include "network/graph.h"

// Bits follow from the choice and the rules: whoever changes them raises the program's version, which every state and
// results file has, and neither is continued by another.

// to: a graph of its own; free with ts_graph_free, also after a fault. pairs: that an instance is trained on.
ts_status ts_graph_rewrite(const ts_graph *from, double pairs, ts_graph *to);

// Multiply-adds of the way forwards through a graph; one of a mixture counts as three, as it goes through memory.
double ts_graph_cost(const ts_graph *graph, double pairs);
