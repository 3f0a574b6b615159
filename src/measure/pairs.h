// All pairs of a table through a network, row by row. Only the exponentials of logits are kept, as far as memory
// allows: they are what measures go over several times.
#pragma once

#include "base/memory.h"
#include "base/pause.h"
#include "model/network.h"
#include "task/data.h"

// Rows of pairs whose exponentials are kept at least.
enum { TS_PAIRS_KEPT = 8 };

typedef struct ts_pairs {
    const ts_network *network;
    const ts_table *table;
    const atomic_int *pause; // passes over the pairs end early if it says stop; NULL: nobody asks
    uint8_t *is_train;       // (n * n)
    int64_t train;           // training pairs
    int row;                 // whose h and logits are at hand; -1: none
    double *h;               // (n, hidden)
    double *logits;          // (n, n_out)
    double *hidden_logits;   // (n, n_out) what comes through the hidden layer; without a residual all of the logits
    int kept;                // rows of exponentials kept: all n, or some that follow each other
    int *row_of;             // (kept) which a it holds; -1: none yet
    double *e;               // (kept, n, stride) of logits
    double *hidden_e;        // (kept, n, stride) of hidden logits
    size_t stride;           // ts_loss_stride(n_out)
    ts_slab slab;
} ts_pairs;

// What is given outlives it; free with ts_pairs_free, also after a fault.
ts_status ts_pairs_create(const ts_params *params, const ts_data *data, const ts_network *network,
                          const atomic_int *pause, ts_pairs *pairs);
void ts_pairs_free(ts_pairs *pairs);

// Of the pairs (a, 0 .. n - 1); valid until the next call of ts_pairs_row.
typedef struct ts_pair_row {
    const double *h;      // (n, hidden)
    const double *logits; // (n, n_out)
    const double *hidden_logits;
} ts_pair_row;
ts_pair_row ts_pairs_row(ts_pairs *pairs, int a);

// Exponentials (n, stride) of their logits, or of those that come through the hidden layer (ts_exponentials);
// losses change and restore them.
double *ts_pairs_exponentials(ts_pairs *pairs, int a, bool hidden);
