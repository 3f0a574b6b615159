// CUDA kernels of any network (operations.h), beside those of step.h: an operation on all its rows of all instances,
// forwards, and backwards to what each row adds to the gradient of one input; sums of such rows over the pairs of a
// token or over all; losses. Which operations there are and where rows lie is the backend's matter
// (src/backend/cuda_pass.h).
#pragma once

#include "operations.h"
#include "step.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// Which row of an input goes with row r of an operation: r, that of the pair's left or right token, the only one.
typedef enum ts_cuda_which { TS_ROW_SAME, TS_ROW_OF_LEFT, TS_ROW_OF_RIGHT, TS_ROW_ONLY } ts_cuda_which;

typedef struct ts_cuda_rows {
    ts_operand of;
    ts_cuda_which which;
    int width; // columns without pads
} ts_cuda_rows;

// An operation but for products, which are step.h's. Sums are activations of the identity: f(x + scale y).
typedef struct ts_row_work {
    ts_operation operation;
    ts_activation activation;
    int instances, rows, width;
    float scale; // TS_SUM and TS_ACTIVATION of two inputs, TS_SCORE; TS_ATTEND: rate
    int first;   // TS_SLICE: the first column
    int inputs;
    ts_cuda_rows in[TS_MOST_INPUTS];
    ts_operand out;     // forwards, written
    bool adds;          // TS_MIX: to what is in `out` already
    const int *token;   // (instances, 2, rows): tokens of pairs
    const int *stopped; // (instances)
    // Backwards: times `factor`, what the gradient dout (rows, width) of each row gives to a row of an input, with
    // pads.
    int input;
    float factor;
    ts_operand dout, to; // to: written, or added to
    bool sets;
} ts_row_work;
cudaError_t ts_cuda_rows_forward(const ts_row_work *work, cudaStream_t stream);
cudaError_t ts_cuda_rows_back(const ts_row_work *work, cudaStream_t stream);

// Sums of rows, times `scale`: of those of each list, in its order, or of each stretch of so many. The order of a sum
// depends on its length alone.
typedef struct ts_row_sum_work {
    int instances, rows;
    int columns;              // a multiple of TS_QUAD
    ts_operand of;            // (rows, columns)
    ts_operand weights;       // first: NULL, or the number that each row is multiplied by
    const int *begin, *order; // of the first instance: where lists begin in `order`, rows; NULL: stretches
    int64_t begin_step;       // from an instance's `begin` to the next one's; of `order` it is 2 rows
    int sums, stretch;        // how many sums; rows of each, but for the last
    float scale;
    ts_operand out; // (sums, columns), written or added to
    bool adds;
    const int *stopped; // (instances)
} ts_row_sum_work;
cudaError_t ts_cuda_row_sums(const ts_row_sum_work *work, cudaStream_t stream);

// As ts_cuda_cross_entropy, which is taken for that one, of any loss.
cudaError_t ts_cuda_loss(const ts_cross_entropy_work *work, ts_loss loss, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
