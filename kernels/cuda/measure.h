// CUDA kernels of measures (src/backend/cuda_measure.c): pairs through a network in double precision, sums over them,
// losses. All matrices are row-major, rows as wide as said, without pads. Every sum has one order, which the shapes
// give.
#pragma once

#include "operations.h"

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Which pairs a batch is of: pair[i], or first + i where `pair` is NULL; pair a * n + b is of tokens token[a], token[b]
// (NULL: a, b).
typedef struct ts_measure_pairs {
    int count, n;
    const int *pair, *token; // (count), (n)
    int64_t first;
} ts_measure_pairs;

// One operation of a network but the product: rows (count, width). Input i is (.., wide[i]); its row that goes with a
// pair is that of its left or right token, the batch's, or the only one.
typedef enum ts_measure_rows {
    TS_ROW_ONLY,
    TS_ROW_LEFT,
    TS_ROW_RIGHT,
    TS_ROW_OWN,
} ts_measure_rows;
typedef struct ts_measure_operation {
    ts_measure_pairs pairs;
    ts_operation operation;
    ts_activation activation;
    double scale;
    int width, inputs, first;
    const double *in[TS_MOST_INPUTS];
    int wide[TS_MOST_INPUTS];
    ts_measure_rows rows[TS_MOST_INPUTS];
    double *out;
} ts_measure_operation;
cudaError_t ts_cuda_measure_operation(const ts_measure_operation *work, cudaStream_t stream);

// C = A B (transposed: A B^T), of `count` products: A (rows, depth) and C (rows, columns) of the next begin `rows` rows
// behind, or at row begin[g] - begin[0], with as many as there are up to begin[g + 1] (at most `rows`); its B b_step
// numbers behind.
typedef struct ts_measure_product {
    int count, rows, columns, depth;
    bool transposed;
    const int *begin; // (count + 1) on the device; NULL: all have `rows`
    const double *a, *b;
    double *c;
    int64_t b_step;
} ts_measure_product;
cudaError_t ts_cuda_measure_product(const ts_measure_product *work, cudaStream_t stream);

// out (count, columns): columns of rows row[i] (NULL: i) of `from` (.., wide), of which the first `classes` are in the
// order of `token` (NULL: as they are). from: NULL: NaN.
typedef struct ts_measure_columns {
    int64_t count;
    int wide, columns, classes;
    const int *row, *token; // (count), (classes)
    const double *from;
    double *out;
} ts_measure_columns;
cudaError_t ts_cuda_measure_columns(const ts_measure_columns *work, cudaStream_t stream);

// What is known of each pair (model/pair_device.h): facts (count, TS_MEASURE_FACTS).
enum { TS_MEASURE_FACTS = 8 };
typedef struct ts_measure_facts {
    ts_measure_pairs pairs;
    ts_loss loss;
    int hidden, n_out, outputs;
    const double *h, *logits; // (count, hidden), (count, outputs)
    const int *label;         // (n * n)
    double *facts;
} ts_measure_facts;
cudaError_t ts_cuda_measure_facts(const ts_measure_facts *work, cudaStream_t stream);

// out (segments, width): sums over rows row[i] of `values`, i from begin[s] to begin[s + 1] - 1: of the numbers as they
// are, of their squares, or less number `mean` of the row's facts.
typedef enum ts_measure_kind {
    TS_SUM_PLAIN,
    TS_SUM_SQUARES,
    TS_SUM_CENTRED,
    TS_SUM_TURNED, // out[t]: of column at[(turn[row] - t) mod width], centred
} ts_measure_kind;
typedef struct ts_measure_sum {
    ts_measure_kind kind;
    int segments, width, wide; // wide: of rows of values
    const int *begin, *row;    // (segments + 1), (begin[segments])
    const double *values, *facts;
    int mean;
    const int *turn, *at; // (rows), (width)
    double *out;
} ts_measure_sum;
cudaError_t ts_cuda_measure_sum(const ts_measure_sum *work, cudaStream_t stream);

// What is taken off the logits of pairs that stand for elements first .. first + elements - 1 (ts_pair_corrections):
// table (elements, columns, n_out), and factor (elements, n_out, columns), exponentials of its negatives, up to a
// constant of each column.
typedef struct ts_measure_corrections {
    int first, elements, columns, n_out, terms;
    const double *left, *right;
    const int *begin, *order; // (columns + 1), (begin[columns])
    const double *value;
    const int *index;
    int64_t numbers;
    double *table, *factor; // factor: NULL: not wanted
} ts_measure_corrections;
cudaError_t ts_cuda_measure_corrections(const ts_measure_corrections *work, cudaStream_t stream);

// Losses (count, columns), in place of `sums`, of the logits of pairs less the table of their elements, or of the table
// alone. With exponentials, of the cross-entropy, what is large enough comes from sums over c of e f; the rest, and all
// other losses, from logits.
typedef struct ts_measure_losses {
    int count, columns, n_out, wide; // wide: of rows of logits
    ts_loss loss;
    const int *row;      // (count) of logits; NULL: i
    const int *element;  // (count) that they stand for, from that of the table's first on
    const int *label;    // (count)
    const double *times; // (count) factors; NULL: 1
    const double *logits, *table, *factor;
    const double *own; // (count) exponential of the label; NULL: there are none
    double *losses;    // (count, columns): in, with exponentials: sums
} ts_measure_losses;
cudaError_t ts_cuda_measure_losses(const ts_measure_losses *work, cudaStream_t stream);

// e (count, n_out): exponentials of logits less the largest, 0 in place of the label's, which is own (count).
typedef struct ts_measure_exponentials {
    int count, n_out, wide;
    const int *row, *label; // (count)
    const double *logits;
    double *e, *own;
} ts_measure_exponentials;
cudaError_t ts_cuda_measure_exponentials(const ts_measure_exponentials *work, cudaStream_t stream);

// Activations h (count, hidden) of pairs of a changed network (ts_pair_change), and its logits' shift added to them.
typedef struct ts_measure_change {
    ts_measure_pairs pairs; // of the table's own numbers
    ts_activation activation;
    int hidden, n_out;
    double left_sign, right_sign, mean, deviation;
    const double *left, *right, *shift, *keep; // (n, hidden), (n, hidden), (hidden), (hidden) or NULL
    uint64_t seed;
    uint32_t counter[4];        // of the noise's stream
    double *h, *logits;         // (count, hidden), (count, n_out)
    const double *output_shift; // (n_out)
} ts_measure_change;
cudaError_t ts_cuda_measure_change(const ts_measure_change *work, cudaStream_t stream);
cudaError_t ts_cuda_measure_shift(const ts_measure_change *work, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
