// A network in double precision: forwards through its operations, and backwards to the gradient of its weights. Plain
// loops, in the order of the list and of the rows: what every other way of executing a network is compared with.
#pragma once

#include "base/memory.h"
#include "network/graph.h"

// The numbers of one network on their way. Of each node (rows, width), rows of pairs and samples a batch at a time.
typedef struct ts_pass {
    const ts_graph *graph;
    int batch;
    const double **value; // (nodes)
    double **made;        // (nodes) where it is written; NULL: the value lies elsewhere
    double **gradient;    // (nodes) of the loss by the value; NULL: not wanted
    double **panels;  // (nodes) of pairs' products: their matrix, as base/product.h reads it; NULL: it is read as it is
    int *uses;        // (nodes) 0: not needed
    const int *a, *b; // (batch) tokens of the pairs at hand
    ts_slab slab;
} ts_pass;

// For batches of up to `batch` pairs or samples. backwards: gradients are wanted, too. The graph must outlive the pass.
ts_status ts_pass_create(const ts_graph *graph, int batch, bool backwards, ts_pass *pass);
// For another thread: it goes forwards through batches of its own with the tables and parameters of `tables`, which
// must outlive it.
ts_status ts_pass_beside(const ts_pass *tables, ts_pass *pass);
void ts_pass_free(ts_pass *pass); // also after a fault, or of a zeroed one

// Forwards. First all that does not depend on the pairs: parameters in the layout; they must stay until the next
// such call. Then batch by batch; a, b (count): tokens, NULL for samples, whose input the caller has written before
// into made[] of the TS_INPUT node.
void ts_pass_tables(ts_pass *pass, const double *parameters);
void ts_pass_batch(ts_pass *pass, int count, const int *a, const int *b);

// Backwards. `gradient` (parameters): zeroed, then added to. Begin after ts_pass_tables; then, after each
// ts_pass_batch, the caller writes the output's gradient into gradient[] of the output node and goes back through the
// batch; in the end through the tables. Sums run in the order of rows: no bit depends on how they are cut into batches.
void ts_pass_begin_back(ts_pass *pass, double *gradient);
void ts_pass_batch_back(ts_pass *pass, int count);
void ts_pass_tables_back(ts_pass *pass);
