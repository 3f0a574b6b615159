// A network with given weights, as its measures see it; and what the models of table tasks share: keys, the split of
// pairs, initial weights. How a network is trained does not belong here.
#pragma once

#include "base/memory.h"
#include "model/model.h"
#include "network/graph.h"
#include "network/pass.h"
#include "task/data.h"

// Rows of a table model's keys. The help of one that is retired says why, and what to do. TS_NETWORK_KEYS: all of them
// have these; the loss is the definition's own matter no more (ts_model_define). TS_ACTIVATION_KEY: of models whose
// hidden layer has what ts_network_activation says. TS_INIT_KEYS: of those whose initial weights ts_network_initialise
// draws, with ts_network_inits, or a list of the model's own that may begin with its macro's names.
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
    {"init_seed", TS_INTEGER, "-1", -1, 0x1p53, NULL, TS_DRAWS,                                               \
     "Seed of the initial weights; -1: the instance's seed"},                                                \
    {"precision", TS_NAME, "float32", 0, 0, ts_network_precisions, TS_LATER | TS_SHAPES,                     \
     "Of products on the way back from the loss: float32, or tf32x3 (cuda alone: on tensor cores, each factor in " \
     "two TF32 parts). The way forward, on whose logits small losses depend, is in float32"},                \
    {"loss", TS_NAME, "cross_entropy", 0, 0, ts_network_losses, TS_LATER | TS_SHAPES | TS_DEFINES,           \
     "What is made small, a mean over the training pairs: cross_entropy, mse (squared distance to the one-hot label), " \
     "or stablemax (cross-entropy with s(z) = z + 1, or 1 / (1 - z) for z < 0, in place of exp)"}
#define TS_ACTIVATION_KEY                                                                                    \
    {"activation", TS_NAME, "relu", 0, 0, ts_network_activations, TS_LATER | TS_SHAPES | TS_DEFINES,         \
     "Of the hidden layer: relu, square, cube, abs, gelu (with the exact error function), tanh, identity"}
#define TS_INIT_KEYS(choices)                                                                                \
    {"init", TS_NAME, "published", 0, 0, choices, TS_LATER | TS_SHAPES | TS_DRAWS,                           \
     "Initial weights: published (normal, as the model says), normal (variance 1 / fan_in), kaiming (uniform, of "  \
     "variance 2 / fan_in), or one of a model's own; biases are 0"},                                         \
    {"init_scale", TS_REAL, "1", 0, 1e6, NULL, TS_LATER | TS_SHAPES | TS_DRAWS, "Factor of the initial weights"}
#define TS_INIT_NAMES "published", "normal", "kaiming"
// clang-format on

extern const char *const ts_network_losses[];      // ts_loss by name
extern const char *const ts_network_precisions[];  // float32, tf32x3
extern const char *const ts_network_activations[]; // those of ts_network_activation
extern const char *const ts_network_inits[];       // TS_INIT_NAMES

// What these keys say; of a model without them their default.
ts_loss ts_network_loss(const ts_params *params);
bool ts_network_tf32x3(const ts_params *params);
ts_activation ts_network_activation(const ts_params *params);
ts_activation ts_network_activation_by(const ts_params *params, const char *key); // of another key with these choices
bool ts_network_starts(const ts_params *params, const char *init);                // whether `init` is this

// As ts_engine.can, of engines with kernels of whole steps of one network: whether all keys that make it another one
// (TS_DEFINES) have their default.
const char *ts_network_fused_can(const ts_params *params);

int ts_network_order(const ts_params *params);   // n of the task's table
int ts_network_classes(const ts_params *params); // n_out
int ts_network_outputs(const ts_params *params); // of a network of a table: its classes, and what the model has beyond

int64_t ts_network_train(const ts_params *params, const ts_table *table);    // how many pairs an instance is trained on
double ts_network_rows(const ts_params *params, const struct ts_data *data); // of a step: pairs; samples, as expected

// The instance's pairs: pairs (n * n), the first *train of them to train on, ascending, the rest of table->pairs to
// test.
void ts_network_pairs(const ts_params *params, const ts_table *table, int *pairs, int64_t *train);

// Part of a model's check: PyTorch's streams need tensors of 16 numbers, biases and gains left out. NULL, or the name
// of the first tensor that is too small, with a sentence in `message`.
const char *ts_network_check(const ts_parameter_layout *layout, char *message, size_t bytes);

uint64_t ts_network_init_seed(const ts_params *params); // of initial weights

// Draws one tensor after the other from `init_seed`, by PyTorch's stream of it, as `init` says: `published`, and where
// a model lacks the key, normal with standard deviation deviation[i] (NULL: as `normal`); `normal`, with 1 /
// sqrt(fan_in); `kaiming`, uniform in +- sqrt(6 / fan_in); all times init_scale. Biases are 0, gains 1.
void ts_network_initialise(const ts_params *params, const ts_parameter_layout *layout, const float *deviation,
                           float *parameters);

// Of networks that learn features: samples of a step, 0 for every input by its probability, and the step at which they
// are drawn: the first one's stay where the training set is fixed (key `samples`).
int64_t ts_network_samples(const ts_params *params);
uint32_t ts_network_draw(const ts_params *params, int64_t step);

// Whether it is compared with the absolute value of its input, and not with the input.
bool ts_network_target_is_absolute(const ts_params *params);

// What each column behind x_hat (ts_graph.penalised) counts in the loss.
double ts_network_penalty(const ts_params *params);

// What the square of each feature's error counts in the loss, importance / features: in either precision, or both
// (features); NULL: not wanted.
void ts_network_scale(const ts_params *params, int features, double *wide, float *narrow);

// A network with given weights, in double precision, as its measures see it. Parts for each kind of data (as of
// ts_data); the others are NULL or 0.
typedef struct ts_network {
    const double *all; // (parameters) every trainable weight; NULL: they are not known
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
    // (hidden, n_out); NaN where the hidden layer does not reach the logits through a matrix, and the like below
    const double *u;
    int outputs; // n_out and those beyond the classes; 0: there are none
    // Hidden activations (n, hidden) and logits (n, outputs) of the pairs (a, 0 .. n - 1); and, unless NULL, what of
    // the classes' logits comes through the hidden layer (n, n_out).
    void (*row)(const void *weights, int a, double *h, double *logits, double *hidden_logits);
    // Logits of the same kinds of any pairs (a[i], b[i]), up to n of them.
    void (*pairs)(const void *weights, int count, const int *a, const int *b, double *logits, double *hidden_logits);
    bool residual;       // logits have another part too, past the hidden layer
    const ts_pass *pass; // its operations and tables, for who executes pairs in another way; NULL: they are not known
    // Whether the hidden layer is activation(E_x[a] + E_y[b] + shift) and logits are its product with U, plus
    // output_shift; shifts (hidden), (n_out).
    bool additive;
    ts_activation activation;
    const double *shift, *output_shift;
    // Its tables if the tokens' embeddings were swapped before what reads them, left and right (n, hidden), in place of
    // E_x and E_y; NULL: it is not additive, or does not say.
    ts_status (*cross)(const void *weights, double *left, double *right);
    // Loss of a pair's logits z (count), which are spoiled, by the definition. NULL: the cross-entropy.
    double (*loss)(int count, double *z, int label);
    // Attention of the last position, of which the pairs (a, 0 .. n - 1) add their share of the mean over all pairs to
    // mean (heads, sources): 1 / n^2, or share[b] (NULL: the same of all). NULL: the network has none.
    int heads, sources; // what a head of it reads: a, b, itself where that is "="
    void (*attend)(const void *weights, int a, const double *share, double *mean);
    // What each left token's embedding gives the neurons by the values of each head, (n, heads * hidden); NULL: it has
    // no heads, or tokens reach the neurons in other ways, too.
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
ts_status ts_network_open_exact(const ts_params *params, const double *parameters, ts_network *network);
// One of a table whose pairs go through its `pass` elsewhere (model/pair_device.h): row, pairs and attend are not to be
// called. narrow or exact: the weights; the other is NULL.
ts_status ts_network_open_apart(const ts_params *params, const float *narrow, const double *exact, ts_network *network);
void ts_network_close(ts_network *network);
