// All pairs of a table through a network on a device of its own, and what measures need of them there: rows, sums,
// losses. What a device makes of one network does not depend on any other that it has at hand. Which device, if any, is
// a backend's business (ts_backend.pairs); measures (src/measure) use it by this interface alone.
#pragma once

#include "base/random.h"
#include "model/network.h"

// Known of each pair, a number each. Of one that is not in the table (label -1) those of its label are NaN.
enum {
    TS_FACT_LOSS,       // by the definition, with outputs beyond the classes
    TS_FACT_CLASS_LOSS, // of the classes' logits alone
    TS_FACT_RIGHT,      // 1: the label's logit is the largest, the first of those that are equal
    TS_FACT_MEAN,       // of the classes' logits
    TS_FACT_ENERGY,     // sum of their squares less that mean
    TS_FACT_HIDDEN,     // sum of the squares of activations
    TS_FACT_LABEL,      // logit of the label
    TS_FACT_OTHER,      // the largest other one; -inf: there is none
    TS_PAIR_FACTS,
};

// Rows of numbers that every pair has.
typedef enum ts_pair_values {
    TS_PAIR_HIDDEN,    // (hidden) activations
    TS_PAIR_CENTRED,   // (n_out) logits of the classes less their mean
    TS_PAIR_ATTENTION, // (heads * sources)
} ts_pair_values;

// Which pairs: those of a table through a network.
typedef struct ts_pair_spec {
    const ts_network *network; // with a `pass`
    int n, n_out, outputs;     // of the table; n_out, and outputs beyond the classes
    const int *token;          // (n) that each element, and each class, stands for (ts_symmetry.token); NULL: itself
    const int *label;          // (n * n)
} ts_pair_spec;

// What is taken off logits, column by column: of a pair that stands for element g, column j takes off output c
//     sum over i from first[j] to first[j + 1] - 1 of left[g, order[i]] right[order[i], c]   (left != NULL),
//     value[j * numbers + index[g, c]]                                                       (else).
typedef struct ts_pair_corrections {
    int elements, columns;
    const double *left, *right; // (elements, terms), (terms, n_out)
    int terms;
    const int *first, *order; // (columns + 1), (first[columns])
    const double *value;      // (columns, numbers)
    const int *index;         // (elements, n_out); NULL: numbers in the order of elements and outputs
    size_t numbers;
} ts_pair_corrections;

// A network whose hidden layer is an activation of a sum of two tables (ts_network.additive), changed: h = keep
// activation(left_sign left[a] + right_sign right[b] + the network's shift + noise), logits are h U and its other
// shift.
typedef struct ts_pair_change {
    const double *left, *right; // (n, hidden)
    double left_sign, right_sign;
    ts_activation activation;
    const double *keep; // (hidden); NULL: 1
    // Normal noise on each pair's pre-activations: of this stream, whose lane is a for the pairs (a, ..), the numbers
    // of a row one after the other. Without: 0, 0.
    double mean, deviation;
    ts_philox noise;
} ts_pair_change;

// Of losses and of right answers.
enum { TS_CHANGED_LOSS, TS_CHANGED_RIGHT, TS_CHANGED_KINDS };

// Losses are added up by split: of pairs that are trained on, and of the others.
enum { TS_PAIR_TRAIN, TS_PAIR_TEST, TS_PAIR_SPLITS };

// All members are needed. What is opened is used by one thread at a time. Arrays are the host's; sums have one order,
// which the shapes give. Errors: TS_ERROR_MEMORY, or TS_ERROR_FATAL: the device is lost.
typedef struct ts_pair_device {
    // What is given outlives it. Free with close, also after a fault.
    ts_status (*open)(const ts_pair_spec *spec, void **own);
    void (*close)(void *own);

    // Rows of pairs (a, 0 .. n - 1) for `count` a from `first` on: h (count, n, hidden), logits (count, n, outputs),
    // and what comes through the hidden layer (count, n, n_out). NULL: not wanted.
    ts_status (*rows)(void *own, int first, int count, double *h, double *logits, double *hidden_logits);
    ts_status (*facts)(void *own, double *facts);     // (n * n, TS_PAIR_FACTS)
    ts_status (*squares)(void *own, double *squares); // (hidden): of each neuron over all pairs
    // Sums (segments, width) of values over the pairs of each segment. segment (n * n): -1: in none.
    ts_status (*sum)(void *own, ts_pair_values values, const int *segment, int segments, double *out);
    // Sums of centred logits, whose columns turn with the pair: out (segments, n), in which output c of a pair counts
    // at (turn[pair] - place[c]) mod n; place (n): a permutation. n_out = n.
    ts_status (*turned)(void *own, const int *segment, int segments, const int *turn, const int *place, double *out);
    // Sums out (columns, TS_PAIR_SPLITS) of losses of pairs' logits less the corrections of element[pair] (-1: the pair
    // does not count). hidden: of logits that come through the hidden layer. split (n * n): a TS_PAIR_* each.
    ts_status (*losses)(void *own, const ts_pair_corrections *corrections, const int *element, const uint8_t *split,
                        bool hidden, double *out);
    // Sums out (columns) of losses of logits that are what corrections would take off, times[g, label] of each.
    ts_status (*alone)(void *own, const ts_pair_corrections *corrections, const int *times, double *out);
    // Sums out (TS_PAIR_SPLITS, TS_CHANGED_KINDS) of a changed network, over the pairs that the table has.
    ts_status (*changed)(void *own, const ts_pair_change *change, const uint8_t *split, double *out);
    // Sum of the losses of pairs' logits z M[kind[pair]]; matrix (kinds, n_out, n_out).
    ts_status (*mapped)(void *own, int kinds, const int *kind, const double *matrix, double *out);
} ts_pair_device;
