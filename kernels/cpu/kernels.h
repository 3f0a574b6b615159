// CPU kernels: one list of functions per instruction set, all made from the same source (simd.h). Which one
// runs is decided at run time by src/backend/cpu.c. Kernels know shapes and pointers, nothing of sweeps or
// ranks.
#pragma once

#include "operations.h"
#include "optimiser.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Feature rows are padded to whole vectors: `stride` floats, pads zero.
enum { TS_VECTOR_LANES = 16, TS_MAX_BLOCK = 8 };
#define TS_PAD(n) (((n) + TS_VECTOR_LANES - 1) / TS_VECTOR_LANES * TS_VECTOR_LANES)

// One autoencoder: shapes, parameters and scratch, for ts_kernels.autoencoder_gradient.
typedef struct ts_autoencoder_work {
    int hidden, features;
    int stride;              // TS_PAD(features)
    int hidden_stride;       // TS_PAD(hidden)
    const float *parameters; // (hidden + 1, stride): rows of W, then b
    const float *scale;      // (stride) importance / features, pads 0
    float *gradient;         // (hidden + 1, stride): written
    // Scratch.
    float *w_transposed;  // (stride, hidden_stride): W transposed
    float *dw_transposed; // (stride, hidden_stride)
    float *h, *dh;        // (TS_MAX_BLOCK, hidden_stride)
    float *x;             // (TS_MAX_BLOCK, stride): zero on entry and on return
    float *dz;            // (TS_MAX_BLOCK, stride)
} ts_autoencoder_work;

// A batch in sparse rows: see ts_feature_batch.
typedef struct ts_sparse_rows {
    int rows;
    const int *begin, *end, *active;
    const float *value;
    const double *weight;
} ts_sparse_rows;

// Autoencoders of one shape, an instance in each lane, for ts_kernels.lanes_gradient: every number is TS_VECTOR_LANES
// of them, one of each instance, where `lanes` is said. Inputs are those that there can be, the same for all.
enum { TS_LANES_BLOCK = 16 };
typedef struct ts_lanes_work {
    int hidden, features, inputs;
    const int *begin, *active;    // (inputs + 1): active features of input r, as ts_support has them
    const int *with_begin, *with; // (features + 1): inputs that have the feature, ascending
    const float *x;               // (inputs, features): the inputs, dense
    const float *weight;          // (inputs, lanes) share of the lane's batch; 0: it is not in it
    const bool *partly;           // (inputs) it is missing in some lane that counts
    const float *state;           // (hidden + 1, features, lanes): rows of W, then b
    const float *scale;           // (features, lanes) importance / features
    float *gradient;              // as state: written
    // (lanes) the sum of all squares, unweighted: below TS_LANES_SOUND, all losses that the batch could have are
    // finite. Else (NaN, too) the lane's gradient may be wrong, and is to be made by autoencoder_gradient.
    float *loss;
    // Scratch.
    float *h;  // (TS_LANES_BLOCK, hidden, lanes)
    float *dz; // (TS_LANES_BLOCK, features, lanes)
    float *dh; // (inputs, hidden, lanes)
} ts_lanes_work;
#define TS_LANES_SOUND 1e30F

// A batch of a binary tree's paths for each lane, for ts_kernels.draw_trees; in the end weights for ts_lanes_work.
enum { TS_MOST_DEPTH = 5 };
typedef struct ts_tree_draw {
    int depth;
    bool stops;                  // samples end at any node, inputs are all nodes; else at leaves, and inputs are those
    int samples;                 // of a batch
    double share;                // 1 / samples
    int wanted;                  // so many lanes, and up to 3 more
    uint32_t step, stream;       // of random numbers (base/random.h)
    const uint64_t *key0, *key1; // (lanes) words of the lanes' keys
    float *weight;               // (inputs, lanes)
    bool *partly;                // (inputs) its weight is 0 in some lane
} ts_tree_draw;

// Constants of Adam's next step, of each lane; rate and root with a minus.
typedef struct ts_lanes_rates {
    float beta1[TS_VECTOR_LANES], take1[TS_VECTOR_LANES], beta2[TS_VECTOR_LANES], take2[TS_VECTOR_LANES];
    float minus_rate[TS_VECTOR_LANES], decay[TS_VECTOR_LANES];
    float minus_root[TS_VECTOR_LANES], inverse[TS_VECTOR_LANES];
} ts_lanes_rates;

// One transformer on a table task (model/transformer.h), for ts_kernels.transformer_gradient. Rows of tensors end
// at a multiple of 16 floats, pads zero: d_model at model_stride, heads at heads_stride, d_head at head_stride,
// d_mlp at neurons_stride, n_out at out_stride. What is read out of the hidden layer are the logits (direct) or
// the residual stream. `rows` below: n tokens; positions 0 and 1, less the last token; the last token.
typedef struct ts_transformer_work {
    int n, n_out, model, heads, head, neurons;
    int model_stride, heads_stride, head_stride, neurons_stride, out_stride;
    bool direct;                               // W_out W_U is multiplied out
    int read_stride;                           // out_stride or model_stride
    int width;                                 // neurons_stride + read_stride
    int pairs;                                 // training pairs that are trained on here, at least 1
    const int *a, *b, *label;                  // (pairs)
    const float *w_e, *w_pos;                  // (n + 1, model_stride), (3, model_stride)
    const float *w_q, *w_k, *w_v;              // (heads, model, head_stride)
    const float *w_o;                          // (heads, head, model_stride)
    const float *w_in, *w_out, *w_u;           // (model, neurons_stride), (neurons, model_stride), (model, out_stride)
    float *dw_e, *dw_pos, *dw_q, *dw_k, *dw_v; // gradients, written
    float *dw_o, *dw_in, *dw_out, *dw_u;
    const float *valid; // (TS_VECTOR_LANES): 1 for the logits in the last vector of a row, 0 for its pads
    // Scratch; key_query, into, out and dattention are zero before the first call.
    float *x, *dx;                 // (rows, model_stride): embeddings
    float *q, *dq;                 // (heads, head_stride): the last token's queries
    float *key_query, *dkey_query; // (model, heads_stride): W_K q / sqrt(d_head)
    float *key_query_transposed;   // (heads_stride, model_stride)
    float *score, *dscore;         // (rows, heads_stride): x key_query
    float *value, *dvalue;         // (rows, heads, head_stride): x W_V
    float *w_v_transposed;         // (heads, head_stride, model_stride)
    float *into;                   // (model, width): W_in, and then W_U (direct) or the identity
    float *into_transposed;        // (width, model_stride)
    float *out, *dout;             // (heads, head_stride, width): W_O into
    float *out_transposed;         // (width, heads, head_stride)
    float *right, *dright;         // (rows, heads, width): value out; that of b, less the last token's
    float *left, *dleft;           // (n, heads, width): that of a
    float *constant, *dconstant;   // (width): what every pair has
    float *read, *dread;           // (neurons_stride, read_stride): W_out W_U (direct) or W_out
    float *read_transposed;        // (read_stride, neurons_stride)
    float *dread_transposed;       // (read_stride, neurons_stride)
    float *w_u_transposed;         // (out_stride, model_stride)
    float *attention, *dattention; // (TS_TRANSFORMER_TILE, 2, heads_stride): to a and b
    float *h;                      // (TS_TRANSFORMER_TILE, neurons_stride): hidden layer
    float *mixed;                  // (TS_TRANSFORMER_TILE, width): gradient of the hidden layer; what is read out
    float *logits;                 // (TS_TRANSFORMER_TILE, out_stride): logits, unless direct
} ts_transformer_work;

// Pairs handled at once, and tokens b that come before the next ones: pairs are in the order of (b /
// TS_TRANSFORMER_BLOCK, a, b), so that the tokens' rows in use stay in the cache and several pairs have one in common.
// (Another order takes longer, and sums run in it.)
enum { TS_TRANSFORMER_TILE = 192, TS_TRANSFORMER_BLOCK = 32 };

// Rows that an operation reads, and the gradient that it has of them. With its own row r goes row r of them, that of
// token a[r] or b[r], or the only one that there is. Two inputs may be rows of one table, gradients, too. Rows of
// inputs of sums and activations end where those of the operation do (`stride`).
typedef enum ts_rows_by { TS_BY_ROW, TS_BY_A, TS_BY_B, TS_THE_ONLY } ts_rows_by;

typedef struct ts_rows {
    const float *value;
    float *gradient; // NULL: not wanted
    ts_rows_by by;
    int width, stride;
    bool set; // the gradient is written, not added to: nothing has gone into it yet, and rows are all of it
} ts_rows;

// One operation of a network (operations.h) on so many rows. Rows end at multiples of 16 floats, pads are zero, and so
// are those of gradients.
typedef struct ts_row_operation {
    ts_operation operation;
    ts_activation activation; // TS_ACTIVATION; of two inputs: f(x + scale y)
    float scale;
    int first;       // TS_SLICE
    bool transposed; // TS_PRODUCT: x M^T, M being in[1]
    int inputs;
    ts_rows in[TS_MOST_INPUTS];
    const float *matrix_transposed; // TS_PRODUCT: (TS_PAD(columns of M), matrix_stride)
    int matrix_rows, matrix_stride; // TS_PRODUCT: rows of M, TS_PAD(them)
    float *turned;                  // TS_PRODUCT: (width, matrix_stride) M's gradient, transposed; NULL: as it is
    int depth_block;                // TS_PRODUCT: terms that are added up before they go to the sum; 0: all
    // TS_MIX: another one into the same rows, which is made just before each row; and an activation or a sum, which is
    // made of each just after. NULL: none.
    const struct ts_row_operation *before, *then;
    float *out, *dout;
    bool adds; // TS_PRODUCT, TS_MIX: to what is in `out` already
    int width, stride;
} ts_row_operation;

enum { TS_MOST_TOGETHER = 8 }; // mixtures

// One matrix that Muon steps, for ts_kernels.muon; model/muon.h has the formulas and their constants. Rows end at
// multiples of 16 floats, pads are zero.
typedef struct ts_muon_work {
    int rows, columns;
    const float *gradient;        // (rows, TS_PAD(columns))
    float *parameter, *mean;      // as gradient
    float *scratch;               // (TS_MUON_SCRATCH(rows, columns))
    float keep, take;             // momentum, 1 - momentum
    float rate, decay;            // with the matrix's factor; 1 - lr weight_decay
    float linear, cubic, quintic; // of an iteration
    int iterations;
    double epsilon;
} ts_muon_work;

#define TS_MUON_SCRATCH(rows, columns)                                                                                 \
    (3 * (size_t)TS_PAD(rows) * (size_t)TS_PAD(columns) +                                                              \
     2 * (size_t)TS_PAD((rows) < (columns) ? (rows) : (columns)) *                                                     \
         (size_t)TS_PAD((rows) < (columns) ? (rows) : (columns)))

typedef struct ts_kernels {
    const char *name;

    // One operation on rows 0 .. rows - 1, forwards and backwards. a, b (rows): tokens, NULL where inputs need none.
    void (*operate)(const ts_row_operation *op, int rows, const int *a, const int *b);
    void (*operate_back)(const ts_row_operation *op, int rows, const int *a, const int *b);

    // to[c][r] = from[r][c]: see cpu/transpose.h.
    void (*transpose)(const float *from, int rows, int row_stride, int columns, float *to, int to_stride);

    // Losses of rows of logits (rows, stride), replaced by their gradients times `share`. False if one is not finite.
    bool (*loss)(ts_loss loss, float *z, int rows, int stride, const float *valid, const int *label, float share);

    // sum of scale_i (z_i - x_i)^2 + linear_i z_i, times weight[r], of each row; z is replaced by the gradient. All
    // (rows, stride) but scale and linear (stride; NULL: 0), pads 0.
    double (*loss_of_squares)(float *z, const float *x, const float *scale, const float *linear, const double *weight,
                              int rows, int stride);

    // Loss of the batch, and its gradient.
    double (*autoencoder_gradient)(const ts_autoencoder_work *work, const ts_sparse_rows *batch);

    int lanes; // instances that the next three take at once: a multiple of 4, at most TS_VECTOR_LANES
    void (*draw_trees)(const ts_tree_draw *draw);

    // Gradients of autoencoders, one in each lane; and Adam's step of `count` numbers of each. state: (TS_ADAM_PARTS,
    // count, lanes). False: some parameter or moment is not finite now, in lanes where sound (lanes) is not 0.
    void (*lanes_gradient)(const ts_lanes_work *work);
    bool (*lanes_adam)(float *state, int64_t count, const float *gradient, const ts_lanes_rates *rates, float *sound);

    // Gradient of the mean cross-entropy over the training pairs. False if a loss is not finite.
    bool (*transformer_gradient)(const ts_transformer_work *work);

    // exp of each of `count` (a multiple of TS_VECTOR_LANES) numbers, to 2 ulp; below -87.3 the result is 0.
    void (*exponential)(const float *x, float *out, int64_t count);

    // Steps of optimisers, and what becomes of a gradient before them. Counts are multiples of TS_VECTOR_LANES; false:
    // some parameter or moment is not finite now.

    // state: (TS_ADAM_PARTS, apart), count of each: parameters, first and second moments.
    bool (*adam)(float *state, int64_t apart, const float *gradient, int64_t count, ts_adam_betas betas,
                 ts_adam_rates rates);
    bool (*descent)(float *parameter, const float *gradient, int64_t count, float rate); // sgd
    bool (*momentum)(float *parameter, float *velocity, const float *gradient, int64_t count, float keep, float rate);
    bool (*muon)(const ts_muon_work *work);

    // average = keep average + take gradient (first: gradient), gradient += lambda average.
    void (*grokfast)(float *gradient, float *average, int64_t count, bool first, float keep, float take, float lambda);
    // The gradient of a tensor without its part along the weights, as long as before.
    void (*orthograd)(float *gradient, const float *weights, int64_t count);
    void (*add_scaled)(float *to, float scale, const float *from, int64_t count); // to += scale from

    // Multiply-adds of independent chains in registers, `rounds` times; returns the operations done. For
    // finding the machine's peak; *sink keeps the result alive.
    double (*peak)(int64_t rounds, float *sink);
} ts_kernels;

#ifdef TS_HAVE_AVX512
extern const ts_kernels ts_kernels_avx512;
#endif
#ifdef TS_HAVE_AVX2
extern const ts_kernels ts_kernels_avx2;
#endif
extern const ts_kernels ts_kernels_portable;

// Names of the functions, and of the list, of the instruction set being compiled.
#ifdef TS_KERNELS
#define TS_JOIN_(a, b)   a##_##b
#define TS_JOIN(a, b)    TS_JOIN_(a, b)
#define TS_FOR_SET(name) TS_JOIN(name, TS_KERNELS)
double TS_FOR_SET(ts_autoencoder_gradient)(const ts_autoencoder_work *work, const ts_sparse_rows *batch);
void TS_FOR_SET(ts_draw_trees)(const ts_tree_draw *draw);
void TS_FOR_SET(ts_lanes_gradient)(const ts_lanes_work *work);
bool TS_FOR_SET(ts_lanes_adam)(float *state, int64_t count, const float *gradient, const ts_lanes_rates *rates,
                               float *sound);
bool TS_FOR_SET(ts_adam)(float *state, int64_t apart, const float *gradient, int64_t count, ts_adam_betas betas,
                         ts_adam_rates rates);
bool TS_FOR_SET(ts_descent)(float *parameter, const float *gradient, int64_t count, float rate);
bool TS_FOR_SET(ts_momentum)(float *parameter, float *velocity, const float *gradient, int64_t count, float keep,
                             float rate);
bool TS_FOR_SET(ts_muon)(const ts_muon_work *work);
void TS_FOR_SET(ts_grokfast)(float *gradient, float *average, int64_t count, bool first, float keep, float take,
                             float lambda);
void TS_FOR_SET(ts_orthograd)(float *gradient, const float *weights, int64_t count);
void TS_FOR_SET(ts_add_scaled)(float *to, float scale, const float *from, int64_t count);
double TS_FOR_SET(ts_dot)(const float *a, const float *b, int64_t count); // in double precision
bool TS_FOR_SET(ts_transformer_gradient)(const ts_transformer_work *work);
void TS_FOR_SET(ts_exponential)(const float *x, float *out, int64_t count);
void TS_FOR_SET(ts_operate)(const ts_row_operation *op, int rows, const int *a, const int *b);
void TS_FOR_SET(ts_operate_back)(const ts_row_operation *op, int rows, const int *a, const int *b);
void TS_FOR_SET(ts_transpose)(const float *from, int rows, int row_stride, int columns, float *to, int to_stride);
bool TS_FOR_SET(ts_loss)(ts_loss loss, float *z, int rows, int stride, const float *valid, const int *label,
                         float share);
double TS_FOR_SET(ts_loss_of_squares)(float *z, const float *x, const float *scale, const float *linear,
                                      const double *weight, int rows, int stride);
double TS_FOR_SET(ts_peak)(int64_t rounds, float *sink);
#endif
