// The definition of the model `transformer`: positions, layers, and what measures look at.
#include "model/transformer.h"

#include <math.h>

typedef struct definition {
    ts_graph *g;
    ts_transformer_shape shape;
} definition;

static int of_layer(const definition *d, ts_layer_tensor which, int layer) {
    return ts_graph_parameter(d->g, ts_transformer_tensor(&d->shape, which, layer));
}

// Rows of a tensor that has heads: those of one.
static int of_head(const definition *d, ts_layer_tensor which, int layer, int head) {
    int rows = which == TS_LAYER_O ? d->shape.head : d->shape.model;
    return ts_graph_parameter_rows(d->g, ts_transformer_tensor(&d->shape, which, layer), head * rows, rows);
}

// With the gain at place `gain` of the layout, and the bias behind it.
static int normalised(const definition *d, int x, int gain) {
    return d->shape.norm
               ? ts_graph_normalise(d->g, x, ts_graph_parameter(d->g, gain), ts_graph_parameter(d->g, gain + 1))
               : x;
}

static int with_bias(const definition *d, int x, ts_layer_tensor bias, int layer) {
    return d->shape.bias ? ts_graph_sum(d->g, x, of_layer(d, bias, layer)) : x;
}

// Embeddings of tokens as left, right ones, and streams x (positions) before the first layer.
static void embed(const definition *d, int tokens[2], int *x) {
    const ts_transformer_shape *s = &d->shape;
    ts_graph *g = d->g;
    int equals = s->separate ? 2 * s->n : s->n;
    tokens[0] = s->separate ? ts_graph_parameter_rows(g, TS_W_E, 0, s->n) : ts_graph_parameter(g, TS_W_E);
    tokens[1] = s->separate ? ts_graph_parameter_rows(g, TS_W_E, s->n, s->n) : tokens[0];
    x[0] = ts_graph_lookup(g, TS_LEFT, tokens[0]);
    x[1] = ts_graph_lookup(g, TS_RIGHT, tokens[1]);
    if (s->positions > 2)
        x[2] = ts_graph_parameter_rows(g, TS_W_E, equals, 1);
    for (int j = 0; j < s->positions; j++)
        x[j] = ts_graph_sum(g, x[j], ts_graph_parameter_rows(g, TS_W_POS, j, 1));
}

// What a head adds to the stream of the last of some positions, y (sources) being what it reads of them, or of position
// `at`. *weights: (pairs, sources); with one source none, as its weight is 1.
static int attend(const definition *d, int layer, const int *y, int sources, int at, int head, int *weights) {
    ts_graph *g = d->g;
    int score[TS_MOST_POSITIONS], value[TS_MOST_POSITIONS];
    double scale = 1 / sqrt((double)d->shape.head);
    int q = sources > 1 ? ts_graph_product(g, y[at], of_head(d, TS_LAYER_Q, layer, head)) : -1;
    for (int j = 0; j < sources; j++) {
        if (sources > 1)
            score[j] = ts_graph_score(g, scale, q, ts_graph_product(g, y[j], of_head(d, TS_LAYER_K, layer, head)));
        value[j] = ts_graph_product(g, y[j], of_head(d, TS_LAYER_V, layer, head));
    }
    *weights = sources > 1 ? ts_graph_attend(g, d->shape.rate, sources, score) : -1;
    int mixed = sources > 1 ? ts_graph_mix(g, *weights, sources, value) : value[0];
    return ts_graph_product(g, mixed, of_head(d, TS_LAYER_O, layer, head));
}

// The stream of position `at` behind a layer's attention; y: the streams x as attention reads them. *weights: of all
// heads, (pairs, heads * sources).
static int attend_all(const definition *d, int layer, const int *x, const int *y, int at, int *weights) {
    int sources = d->shape.mask ? at + 1 : d->shape.positions, stream = x[at];
    for (int h = 0; h < d->shape.heads; h++) {
        int own;
        stream = ts_graph_sum(d->g, stream, attend(d, layer, y, sources, at, h, &own));
        *weights = h == 0 || own < 0 ? own : ts_graph_concatenate(d->g, *weights, own);
    }
    return stream;
}

static void read_streams(const definition *d, int layer, const int *x, int *y) {
    int gain = ts_transformer_tensor(&d->shape, TS_LAYER_GAIN_1, layer);
    for (int j = 0; j < d->shape.positions; j++)
        y[j] = normalised(d, x[j], gain);
}

static int hidden_layer(const definition *d, int layer, int stream) {
    int read = normalised(d, stream, ts_transformer_tensor(&d->shape, TS_LAYER_GAIN_2, layer));
    int z = with_bias(d, ts_graph_product(d->g, read, of_layer(d, TS_LAYER_IN, layer)), TS_LAYER_B_IN, layer);
    return ts_graph_activation(d->g, d->shape.activation, z);
}

// Takes all positions through a layer that is not the last.
static void pass_layer(const definition *d, int layer, int *x) {
    int y[TS_MOST_POSITIONS], stream[TS_MOST_POSITIONS], weights;
    read_streams(d, layer, x, y);
    for (int j = 0; j < d->shape.positions; j++)
        stream[j] = attend_all(d, layer, x, y, j, &weights);
    for (int j = 0; j < d->shape.positions; j++) {
        int written = ts_graph_product(d->g, hidden_layer(d, layer, stream[j]), of_layer(d, TS_LAYER_OUT, layer));
        x[j] = with_bias(d, ts_graph_sum(d->g, stream[j], written), TS_LAYER_B_OUT, layer);
    }
}

// Columns of the classes.
static int of_classes(const definition *d, int outputs) {
    return d->shape.n_out > d->shape.classes ? ts_graph_slice(d->g, outputs, 0, d->shape.classes) : outputs;
}

// Of all tokens, by the values of each head: W_E W_V W_O W_in.
static int read_tokens(const definition *d, int tokens) {
    int all = -1;
    for (int h = 0; h < d->shape.heads; h++) {
        int value = ts_graph_product(d->g, tokens, of_head(d, TS_LAYER_V, 0, h));
        int written = ts_graph_product(d->g, value, of_head(d, TS_LAYER_O, 0, h));
        int own = ts_graph_product(d->g, written, of_layer(d, TS_LAYER_IN, 0));
        all = h == 0 ? own : ts_graph_concatenate(d->g, all, own);
    }
    return all;
}

int ts_transformer_define(const ts_params *params, ts_graph *g) {
    const definition d = {g, ts_transformer_shape_of(params)};
    int last = d.shape.layers - 1, tokens[2], x[TS_MOST_POSITIONS], y[TS_MOST_POSITIONS], weights;
    embed(&d, tokens, x);
    for (int l = 0; l < last; l++)
        pass_layer(&d, l, x);
    read_streams(&d, last, x, y);
    int stream = attend_all(&d, last, x, y, d.shape.positions - 1, &weights);
    int w_out = of_layer(&d, TS_LAYER_OUT, last), w_u = ts_graph_parameter(g, ts_transformer_unembedding(&d.shape));
    int hidden = hidden_layer(&d, last, stream), written = ts_graph_product(g, hidden, w_out);
    ts_graph_set_role(g, TS_EMBED_LEFT, tokens[0]);
    ts_graph_set_role(g, TS_EMBED_RIGHT, tokens[1]);
    ts_graph_set_role(g, TS_ATTENTION, weights);
    ts_graph_set_role(g, TS_HIDDEN, hidden);
    if (!d.shape.norm) { // else what the hidden layer writes reaches no logit by itself
        ts_graph_set_role(g, TS_HIDDEN_OUTPUT, of_classes(&d, ts_graph_product(g, written, w_u)));
        ts_graph_set_role(g, TS_UNEMBED, of_classes(&d, ts_graph_product(g, w_out, w_u)));
    }
    int end = with_bias(&d, ts_graph_sum(g, stream, written), TS_LAYER_B_OUT, last);
    int output = ts_graph_product(g, normalised(&d, end, ts_transformer_last_norm(&d.shape)), w_u);
    if (d.shape.layers == 1 && !d.shape.norm) // else tokens reach neurons by more ways than through values
        ts_graph_set_role(g, TS_READ, read_tokens(&d, tokens[0]));
    return output;
}
