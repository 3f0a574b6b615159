// CUDA kernels of the model `transformer` (model/transformer.h), beside those of step.h: what its products start from,
// its pairs' attention forwards and backwards, and the embeddings' gradient at the end. The last token is constant:
// scores and what a head puts out are made for each token, those of a (left) and of b (right) less the last token's.
#pragma once

#include "step.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// d = model, k = head, m = neurons. Where the hidden layer is read out into logits at once (direct), `rest` is n_out
// wide, else d; `width` is m and the rest, each padded. There are 2 n + 1 rows: left, right, the last token.
typedef struct ts_transformer_sizes {
    int instances, tokens, pairs;
    int model, heads, head, neurons, rest;
    int model_stride, heads_stride, neurons_stride, rest_stride, width;
    bool direct;
} ts_transformer_sizes;

// x: embeddings of all rows, and then the rows of W_O, so that what the last token has past attention is made
// by the same products as what comes through W_O. into: W_in, and then W_U (direct) or the identity.
typedef struct ts_transformer_inputs_work {
    ts_transformer_sizes size;
    ts_operand w_e, w_pos, w_o, w_in, w_u;
    float *x;           // (instances, 2 n + 1 + heads k, model_stride)
    float *into;        // (instances, d, width)
    const int *stopped; // (instances)
} ts_transformer_inputs_work;
cudaError_t ts_cuda_transformer_inputs(const ts_transformer_inputs_work *work, cudaStream_t stream);

// A pair's attention: softmax over the scores of a, of b and of the last token, which are 0. Its row is what every pair
// has, and the rows of a and b with their weights: hidden layer, rest.
typedef struct ts_transformer_pairs_work {
    ts_transformer_sizes size;
    float scale;           // 1 / sqrt(k)
    const int *token;      // (instances, 2, pairs): a, b
    const float *score;    // (instances, 2 n, heads_stride): before scaling
    const float *head_out; // (instances, 2 n + 1, heads, width)
    const float *out;      // (instances, 1 + heads k, width): what the last token has past attention, and W_O into
    float *attention;      // (instances, 2, pairs, heads_stride): to a, to b
    float *rows;           // (instances, pairs, width): written by mix, then their gradient
    float *dscore;         // (instances, 2, pairs, heads_stride)
    const int *stopped;    // (instances)
} ts_transformer_pairs_work;
cudaError_t ts_cuda_transformer_mix(const ts_transformer_pairs_work *work, cudaStream_t stream);
cudaError_t ts_cuda_transformer_mix_back(const ts_transformer_pairs_work *work, cudaStream_t stream);

// dW_E and dW_pos[2] from the gradient of x; dW_pos[0] and dW_pos[1], its sums over tokens, are there.
typedef struct ts_transformer_embedding_work {
    ts_transformer_sizes size;
    const float *dx;    // (instances, 2 n + 1, model_stride)
    const float *dlast; // (instances, heads + 1, model_stride): what the last token has of other ways
    ts_operand dw_e;    // (n + 1, model_stride), written
    ts_operand dw_pos;  // (3, model_stride), the last row written
    const int *stopped; // (instances)
} ts_transformer_embedding_work;
cudaError_t ts_cuda_transformer_embedding(const ts_transformer_embedding_work *work, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
