// A network with given weights, as its measures see it; and what the models of table tasks share: keys, the split of
// pairs, initial weights. How a network is trained does not belong here.
#pragma once

#include "base/memory.h"
#include "model/model.h"
#include "network/graph.h"
#include "task/data.h"

// Rows of a table model's keys. The help of one that is retired says why, and what to do.
// clang-format off
#define TS_NETWORK_KEYS                                                                                      \
    {"stop", TS_STOP, "none", 0, 1e9, NULL, false,                                                           \
     "Early end: once the test loss has been below X at every checkpoint of N steps, {test_loss: X, for: N}"}, \
    {"ranks_per_instance", TS_INTEGER, "1", 1, 1024, NULL, TS_RETIRED | TS_SHAPES,                           \
     "results do not depend on the number of ranks any more; leave it out (run --ranks-per-instance R says how many " \
     "ranks train an instance together, if the run is not to decide)"},                                      \
    {"thresholds", TS_THRESHOLDS, "{memorised: 0.99, grokked: 0.99}", 0, 1, NULL, TS_LATER,                  \
     "Accuracies from which training pairs count as memorised and the others as generalised"},               \
    {"delay", TS_INTEGER, "1000", 0, 1e9, NULL, TS_LATER,                                                    \
     "Steps between the two from which generalising counts as grokking"},                                    \
    {"keys", TS_WORDS, "final", 0, 0, NULL, TS_LATER | TS_SHAPES,                                            \
     "Irreps or frequencies whose progress is followed through training: those found at the end (final), none, or a " \
     "list, as [17, 25] or [sign, standard]"},                                                               \
    {"init_seed", TS_INTEGER, "-1", -1, 0x1p53, NULL, false,                                                 \
     "Seed of the initial weights; -1: the instance's seed"}
// clang-format on

int ts_network_order(const ts_params *params); // n of the task's table

// How many of n * n pairs an instance is trained on.
int64_t ts_network_train(const ts_params *params, int n);
double ts_network_rows(const ts_params *params, const struct ts_data *data); // of a step: pairs; samples, as expected

// The instance's training pairs, ascending: pairs (n * n), the first *train of them to train on, the rest to
// test.
void ts_network_pairs(const ts_params *params, const ts_table *table, int *pairs, int64_t *train);

// Part of a model's check: PyTorch's streams need tensors of 16 numbers. NULL, or the name of the first
// tensor that is too small, with a sentence in `message`.
const char *ts_network_check(const ts_parameter_layout *layout, char *message, size_t bytes);

// Draws one tensor after the other from `init_seed`: normal with standard deviation deviation[i].
void ts_network_initialise(const ts_params *params, const ts_parameter_layout *layout, const float *deviation,
                           float *parameters);

// What the square of each feature's error counts in the loss, importance / features: in either precision, or both
// (features); NULL: not wanted.
void ts_network_scale(const ts_params *params, int features, double *wide, float *narrow);

enum { TS_SOURCES = 3 }; // what the last position attends to: a, b, itself

// A network with given weights, in double precision, as its measures see it. Parts for each kind of data (as of
// ts_data); the others are NULL or 0.
typedef struct ts_network {
    const double *all; // (parameters) every trainable weight
    int64_t parameters;
    int degree; // f(s w) = s^degree f(w) for all weights w and s > 0, f being its output; -1: it is not homogeneous
    int hidden; // width of the hidden layer
    void *weights;
    void (*free)(void *weights);
    // *own: to be given to the functions below instead of `weights`, on another thread at the same time; free before
    // the network, also after a fault. NULL: one thread at a time.
    ts_status (*beside)(const void *weights, void **own);

    // Of tables. E_x, E_y: left and right embedding; U: unembedding from the hidden layer.
    int embed;
    const double *e_x, *e_y; // (n, embed)
    bool embeds_neurons;     // these are what tokens give each neuron; else they reach the hidden layer by heads, ...
    const double *u;         // (hidden, n_out)
    // Hidden activations (n, hidden) and logits (n, n_out) of the pairs (a, 0 .. n - 1); and, unless NULL, what of
    // the logits comes through the hidden layer (n, n_out).
    void (*row)(const void *weights, int a, double *h, double *logits, double *hidden_logits);
    bool residual; // logits have another part too, past the hidden layer
    // Whether the hidden layer is activation(E_x[a] + E_y[b] + shift) and logits are its product with U, plus
    // output_shift; shifts (hidden), (n_out).
    bool additive;
    ts_activation activation;
    const double *shift, *output_shift;
    // Attention of the last position, of which the pairs (a, 0 .. n - 1) add their share of the mean over all pairs to
    // mean (heads, TS_SOURCES). NULL: the network has none.
    int heads;
    void (*attend)(const void *weights, int a, double *mean);
    // What each token's embedding gives the neurons by the values of each head, (n, heads * hidden); NULL: it has no
    // heads.
    ts_status (*read)(const void *weights, double *out);

    // Of features.
    int features;
    const double *directions; // (hidden, features): column i is how feature i lies in the hidden layer
    const double *tied_bias;  // (features): the output is relu(D^T D x + tied_bias), D = directions; NULL: it is not
    // Output (features) for the input that is value[i] (NULL: 1) at feature active[i], and 0 elsewhere.
    void (*reconstruct)(const void *weights, const int *active, const float *value, int count, double *x_hat);
} ts_network;

// The network with these weights (parameters); free with ts_network_close, also after a fault.
ts_status ts_network_open(const ts_params *params, const float *parameters, ts_network *network);
void ts_network_close(ts_network *network);
