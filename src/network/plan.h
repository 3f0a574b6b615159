// How the operations of a network are executed with few passes over memory: which of them are made together, which
// share the rows they write, and which way back writes a gradient where the others add. For executors that go through
// the graph operation by operation; network/pass.h does without.
#pragma once

#include "network/graph.h"

typedef struct ts_step {
    bool skip;        // nothing is left to do: its terms write its rows, or another operation makes it, too
    int inputs;       // of the operation,
    const int *input; // as in ts_node; of an activation that makes the sum before it: that sum's
    double scale;
    int home;                    // node in whose rows and gradient this one lies: itself, or a sum that it is a term of
    bool adds;                   // to what an earlier term has written there
    int before, then;            // of a mixture: another into the same rows, and what is made of them next; -1: none
    bool transposed;             // a matrix that products need transposed, too
    bool shares[TS_MOST_INPUTS]; // input i lies in the same rows as this node: no gradient has to go there
    bool clear;                  // its gradient has to be 0 before the way back, as all that reach it add
    bool gathers;                // and it is a sum over pairs
    bool in_place; // of pairs: its gradient can lie where its value does, as nothing else needs that by then
    bool single;   // its gradient comes from one input of one operation
    bool sets[TS_MOST_INPUTS]; // of input i the gradient is written, not added to
} ts_step;

typedef struct ts_plan {
    const ts_graph *graph;
    ts_step *step; // (graph->count); owned
} ts_plan;

// The graph must outlive the plan. Free with ts_plan_free, also after a fault. together: up to so many mixtures into
// the same rows, and their activation, are made row by row together; 0: each operation by itself.
ts_status ts_plan_make(const ts_graph *graph, int together, ts_plan *plan);
void ts_plan_free(ts_plan *plan);

// Sums over the pairs of a step are made in parts, each of some pairs, which are added up in a binary tree
// (base/tree.h). Their number follows from the network and its pairs alone. Below TS_ONE_PART multiply-adds a step it
// is one: groups of some 120 elements and fewer, with the widths that models have by default.
#define TS_ONE_PART 4294967296.0
int ts_plan_parts(const ts_plan *plan, int64_t pairs);
double ts_plan_sums(const ts_plan *plan); // how many numbers those sums are
