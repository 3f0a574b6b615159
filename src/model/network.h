// What the models of table tasks share: keys, the split of pairs, the network as its measures see it, and the
// list of measures. A model with an embedding into, and an unembedding from, a hidden layer fits in here; how
// it is trained does not.
#pragma once

#include "base/memory.h"
#include "model/model.h"
#include "task/data.h"

// Rows of a table model's keys.
// clang-format off
#define TS_NETWORK_KEYS                                                                                      \
    {"stop", TS_STOP, "none", 0, 1e9, NULL, false,                                                           \
     "Early end: once the test loss has been below X at every checkpoint of N steps, {test_loss: X, for: N}"}, \
    {"ranks_per_instance", TS_INTEGER, "1", 1, 1024, NULL, true,                                             \
     "Ranks that train one instance together, each on a part of its training pairs"},                        \
    {"init_seed", TS_INTEGER, "-1", -1, 0x1p53, NULL, false,                                                 \
     "Seed of the initial weights; -1: the instance's seed"}
// clang-format on

int ts_network_order(const ts_params *params); // n of the task's table

// The instance's training pairs, ascending: pairs (n * n), the first *train of them to train on, the rest to
// test.
void ts_network_pairs(const ts_params *params, const ts_table *table, int *pairs, int64_t *train);

// Part of a model's check: PyTorch's streams need tensors of 16 numbers. NULL, or the name of the first
// tensor that is too small, with a sentence in `message`.
const char *ts_network_check(const ts_parameter_layout *layout, char *message, size_t bytes);

// Draws one tensor after the other from `init_seed`: normal with standard deviation deviation[i].
void ts_network_initialise(const ts_params *params, const ts_parameter_layout *layout, const float *deviation,
                           float *parameters);

// Rows of pairs whose exponentials are kept at least.
enum { TS_PAIRS_KEPT = 8 };

enum { TS_SOURCES = 3 }; // what the last position attends to: a, b, itself

// A network with given weights, in double precision. E_x, E_y: left and right embedding; U: unembedding from
// the hidden layer.
typedef struct ts_network {
    int hidden, embed;
    const double *e_x, *e_y; // (n, embed)
    const double *u;         // (hidden, n_out)
    const double *all;       // (parameters) every trainable weight
    int64_t parameters;
    // Hidden activations (n, hidden) and logits (n, n_out) of the pairs (a, 0 .. n - 1); and, unless NULL, what of
    // the logits comes through the hidden layer (n, n_out).
    void (*row)(const void *weights, int a, double *h, double *logits, double *hidden_logits);
    bool residual; // logits have another part too, past the hidden layer
    const void *weights;
    // Attention of the last position, mean over pairs; NULL: the network has none.
    int heads;
    const double *attention; // (heads, TS_SOURCES)
} ts_network;

// All pairs through a network, row by row. Only the exponentials of logits are kept, as far as memory allows:
// they are what measures go over several times.
typedef struct ts_pairs {
    const ts_network *network;
    const ts_table *table;
    const atomic_int *pause; // passes over the pairs end early if it says stop; NULL: nobody asks
    uint8_t *is_train;       // (n * n)
    int64_t train;           // training pairs
    int row;                 // whose h and logits are at hand; -1: none
    double *h;               // (n, hidden)
    double *logits;          // (n, n_out)
    double *
        hidden_logits; // (n, n_out) what comes through the hidden layer; all of the logits without a residual
    int kept;          // rows of exponentials kept: all n, or some that follow each other
    int *row_of;       // (kept) which a it holds; -1: none yet
    double *e;         // (kept, n, stride) of logits
    double *hidden_e;  // (kept, n, stride) of hidden logits
    size_t stride;     // ts_loss_stride(n_out)
    ts_slab slab;
} ts_pairs;

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

// A table model's ts_model.measures, dimension, label, measure and conclude.
extern const ts_measure ts_network_measures[];
int64_t ts_network_dimension(const ts_parameter_layout *layout, int hidden, int heads, const ts_data *data,
                             const char *name);
const char *ts_network_label(const ts_data *data, const char *dimension, int64_t index);
double ts_network_measure_operations(const ts_data *data, int hidden); // of a network so wide, about
ts_status ts_network_measure(const ts_params *params, const ts_data *data, const ts_network *network,
                             bool last, const atomic_int *pause, double *out);
void ts_network_conclude(const ts_params *params, const ts_data *data, int64_t step, const double *at,
                         double *final);
