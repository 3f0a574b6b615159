// A network as a list of operations on rows: what is computed, once and for all that trains or measures it. A model
// writes the list (ts_model.define); how it is executed - in double precision, in vectors, on a GPU, in which order and
// with which buffers - does not belong here.
//
// A node is a matrix of `width` columns. Its domain says what it has a row for: a bit mask that is the union of its
// inputs', so that whatever depends on one token alone is made once a token and not once a pair.
#pragma once

#include "base/status.h"
#include "network/layout.h"
#include "operations.h"

#include <stdbool.h>

enum {
    TS_CONSTANT = 0,     // nothing: made once a step, from weights alone
    TS_LEFT = 1,         // each token a
    TS_RIGHT = 2,        // each token b
    TS_PAIR = 3,         // each pair of a batch
    TS_SAMPLE = TS_PAIR, // each sample of a batch, where a network learns features
};

// What measures ask of a network beside its output.
typedef enum ts_role {
    TS_HIDDEN,        // activations of the hidden layer, of pairs
    TS_HIDDEN_OUTPUT, // what of the output comes through the hidden layer; none: all of it
    TS_ATTENTION,     // weights of the last position's attention, (pairs, heads * sources)
    TS_EMBED_LEFT,    // (tokens or more, embed)
    TS_EMBED_RIGHT,   // the same
    TS_UNEMBED,       // (hidden, outputs)
    TS_READ,          // (tokens or more, heads * hidden): what a token's embedding gives neurons through each head
    TS_CROSSED_LEFT,  // (tokens or more, embed): what the right token's embedding gives where the left one's is read,
    TS_CROSSED_RIGHT, // and the other way round; both or none
    TS_DIRECTIONS,    // (hidden, features): column i is how feature i lies in the hidden layer
    TS_TIED_BIAS,     // (1, features): the output is relu(x D^T D + this), D being the directions; none: it is not
    TS_ROLES,
} ts_role;

typedef struct ts_node {
    ts_operation operation;
    int domain;
    int rows;  // of a constant; 1 else
    int width; // columns
    int inputs, input[TS_MOST_INPUTS];
    int tensor, first; // TS_PARAMETER: which, and its first row; TS_SLICE: the first column
    bool transposed;   // TS_PRODUCT
    ts_activation activation;
    double scale; // TS_SUM, TS_SCORE; TS_ATTEND: rate
} ts_node;

typedef struct ts_graph {
    ts_parameter_layout layout;
    int tokens; // rows of left and right nodes
    int count, room;
    ts_node *node;      // in an order in which inputs come first; owned
    int output;         // what the loss is taken of: logits, or x_hat and what is penalised
    int penalised;      // columns of that, the last, each of which counts in the loss by itself (ts_network_penalty)
    ts_loss loss;       // of pairs; TS_CROSS_ENTROPY unless a definition says another. Of samples: of their squares
    int role[TS_ROLES]; // nodes that are needed, too; -1: none
    ts_status status;   // of adding nodes so far
    int *slot;          // (slots) nodes by their hash, -1: none; owned
    int slots;          // a power of 2, or 0
} ts_graph;

// A graph of nothing.
void ts_graph_begin(ts_graph *graph, const ts_parameter_layout *layout, int tokens);
void ts_graph_restart(ts_graph *graph, const ts_parameter_layout *layout, int tokens); // again, in the same memory
void ts_graph_free(ts_graph *graph);

// A graph of the same nodes; free with ts_graph_free, also after a fault.
ts_status ts_graph_copy(const ts_graph *from, ts_graph *to);
void ts_graph_set_role(ts_graph *graph, ts_role role, int node);
void ts_graph_forget_roles(ts_graph *graph); // only the output is needed

// TS_ERROR_MEMORY: there was no room for a node. TS_ERROR_FATAL: shapes did not fit, and the message says where.
ts_status ts_graph_finish(ts_graph *graph, int output);

// Each adds a node, unless there is the same one already, and returns its number. After a fault they do nothing, and
// ts_graph_finish says what it was.
int ts_graph_parameter(ts_graph *graph, int tensor); // all of its rows
int ts_graph_parameter_rows(ts_graph *graph, int tensor, int first, int rows);
int ts_graph_input(ts_graph *graph, int width);
int ts_graph_lookup(ts_graph *graph, int domain, int matrix); // TS_LEFT or TS_RIGHT, of a constant
int ts_graph_product(ts_graph *graph, int x, int matrix);     // matrix: a constant
int ts_graph_product_transposed(ts_graph *graph, int x, int matrix);
int ts_graph_sum(ts_graph *graph, int x, int y);
int ts_graph_scaled_sum(ts_graph *graph, int x, double scale, int y);
int ts_graph_concatenate(ts_graph *graph, int x, int y);
int ts_graph_slice(ts_graph *graph, int x, int first, int width);
int ts_graph_activation(ts_graph *graph, ts_activation activation, int x);
int ts_graph_scale(ts_graph *graph, int x, int factor);
int ts_graph_normalise(ts_graph *graph, int x, int gain, int bias);
int ts_graph_score(ts_graph *graph, double scale, int q, int k);
int ts_graph_attend(ts_graph *graph, double rate, int sources, const int *score);
int ts_graph_mix(ts_graph *graph, int weights, int sources, const int *value); // of the first `sources` weights
int ts_graph_add(ts_graph *graph, ts_node node); // one that has been checked: of another graph, with its inputs here

// uses (count): by how many inputs of nodes that are needed, and as output or in a role, each node is.
void ts_graph_count_uses(const ts_graph *graph, int *uses);

bool ts_node_same(const ts_node *x, const ts_node *y);
int ts_graph_input_node(const ts_graph *graph); // that of samples; -1: a network of pairs has none
int ts_graph_rows(const ts_graph *graph, const ts_node *node, int batch); // of a node, in a batch of so many

// f(x) and its slope, in double precision. relu'(0) = |.|'(0) = 0; NaN stays NaN.
double ts_activation_value(ts_activation activation, double x);
double ts_activation_slope(ts_activation activation, double x);
