// The autoencoder's loss and gradient, one block of batch rows at a time, everything of the block in L1:
//     h = W x (sparse)  ->  z = W^T h + b  ->  e = relu(z) - x, loss, dz  ->  dh = W dz  ->  dW += h dz^T
//     and, in columns, dW += dh x^T (sparse).
// Every sum runs over rows, hidden units and features in the same order whatever the block size, so that the
// result does not depend on it.
#include "cpu/kernels.h"
#include "cpu/simd.h"

#include <string.h>

// Rows of a block and feature vectors handled at once: block x wide accumulators stay in registers.
enum { BLOCK = VECTOR_REGISTERS >= 32 ? 8 : 4, WIDE = VECTOR_REGISTERS >= 32 ? 2 : 1 };
_Static_assert((int)BLOCK <= (int)TS_MAX_BLOCK, "scratch holds a block");

// h[r] = sum of the row's active columns of W; x[r] = the row, dense.
static void load_rows(const ts_autoencoder_work *work, const ts_sparse_rows *batch, int first, int rows) {
    int hidden_stride = work->hidden_stride;
    for (int r = 0; r < rows; r++) {
        float *h = work->h + r * hidden_stride, *x = work->x + r * work->stride;
        for (int k = 0; k < hidden_stride; k += LANES) {
            vec sum = vzero();
            for (int e = batch->begin[first + r]; e < batch->end[first + r]; e++) {
                vec column = vload(work->w_transposed + (size_t)batch->active[e] * (size_t)hidden_stride + k);
                sum = batch->value ? vfma(vset(batch->value[e]), column, sum) : vadd(sum, column);
            }
            vstore(h + k, sum);
        }
        for (int e = batch->begin[first + r]; e < batch->end[first + r]; e++)
            x[batch->active[e]] = batch->value ? batch->value[e] : 1;
    }
}

// z, loss and dz of `rows` rows for `wide` vectors of features from f on; db.
INLINE void forward(const ts_autoencoder_work *work, int rows, int wide, int f, const float *weight, vec *loss) {
    size_t stride = (size_t)work->stride;
    const float *b = work->parameters + (size_t)work->hidden * stride + f;
    vec z[BLOCK][WIDE];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            z[r][v] = vload(b + v * LANES);
    const float *w = work->parameters + f;
    for (int k = 0; k < work->hidden; k++, w += stride) {
        vec w_now[WIDE];
        for (int v = 0; v < wide; v++)
            w_now[v] = vload(w + v * LANES);
        for (int r = 0; r < rows; r++) {
            vec h = vset(work->h[r * work->hidden_stride + k]);
            for (int v = 0; v < wide; v++)
                z[r][v] = vfma(h, w_now[v], z[r][v]);
        }
    }
    float *db = work->gradient + (size_t)work->hidden * stride + f;
    for (int v = 0; v < wide; v++) {
        vec scale = vload(work->scale + f + v * LANES), sum = vload(db + v * LANES);
        for (int r = 0; r < rows; r++) {
            size_t at = (size_t)r * stride + (size_t)(f + v * LANES);
            vec error = vsub(vwhere_positive(z[r][v], z[r][v]), vload(work->x + at));
            vec scaled = vmul(scale, error);
            loss[r] = vfma(scaled, error, loss[r]);
            vec dz = vwhere_positive(z[r][v], vmul(vset(2 * weight[r]), scaled));
            vstore(work->dz + at, dz);
            sum = vadd(sum, dz);
        }
        vstore(db + v * LANES, sum);
    }
}

// dh = W dz, by columns of W.
INLINE void hidden_gradient(const ts_autoencoder_work *work, int rows) {
    for (int k = 0; k < work->hidden_stride; k += LANES) {
        vec sum[BLOCK];
        for (int r = 0; r < rows; r++)
            sum[r] = vzero();
        const float *column = work->w_transposed + k;
        for (int f = 0; f < work->features; f++, column += work->hidden_stride) {
            vec w = vload(column);
            for (int r = 0; r < rows; r++)
                sum[r] = vfma(vset(work->dz[r * work->stride + f]), w, sum[r]);
        }
        for (int r = 0; r < rows; r++)
            vstore(work->dh + r * work->hidden_stride + k, sum[r]);
    }
}

// dW += h dz^T for `wide` vectors of features from f on.
INLINE void weight_gradient(const ts_autoencoder_work *work, int rows, int wide, int f) {
    vec dz[BLOCK][WIDE];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            dz[r][v] = vload(work->dz + r * work->stride + f + v * LANES);
    float *dw = work->gradient + f;
    for (int k = 0; k < work->hidden; k++, dw += work->stride) {
        vec sum[WIDE];
        for (int v = 0; v < wide; v++)
            sum[v] = vload(dw + v * LANES);
        for (int r = 0; r < rows; r++) {
            vec h = vset(work->h[r * work->hidden_stride + k]);
            for (int v = 0; v < wide; v++)
                sum[v] = vfma(h, dz[r][v], sum[v]);
        }
        for (int v = 0; v < wide; v++)
            vstore(dw + v * LANES, sum[v]);
    }
}

// dW += dh x^T into the columns; clears x.
static void scatter_rows(const ts_autoencoder_work *work, const ts_sparse_rows *batch, int first, int rows) {
    int hidden_stride = work->hidden_stride;
    for (int r = 0; r < rows; r++) {
        const float *dh = work->dh + r * hidden_stride;
        for (int e = batch->begin[first + r]; e < batch->end[first + r]; e++) {
            float *column = work->dw_transposed + (size_t)batch->active[e] * (size_t)hidden_stride;
            vec value = vset(batch->value ? batch->value[e] : 1);
            for (int k = 0; k < hidden_stride; k += LANES)
                vstore(column + k, vfma(value, vload(dh + k), vload(column + k)));
            work->x[r * work->stride + batch->active[e]] = 0;
        }
    }
}

// One block, `rows` known at compile time. Returns its loss.
INLINE double block(const ts_autoencoder_work *work, const ts_sparse_rows *batch, int first, int rows) {
    float weight[BLOCK];
    vec loss[BLOCK];
    for (int r = 0; r < rows; r++) {
        weight[r] = (float)batch->weight[first + r];
        loss[r] = vzero();
    }
    load_rows(work, batch, first, rows);
    int f = 0;
    for (; f + WIDE * LANES <= work->stride; f += WIDE * LANES)
        forward(work, rows, WIDE, f, weight, loss);
    if (f < work->stride)
        forward(work, rows, 1, f, weight, loss);
    hidden_gradient(work, rows);
    for (f = 0; f + WIDE * LANES <= work->stride; f += WIDE * LANES)
        weight_gradient(work, rows, WIDE, f);
    if (f < work->stride)
        weight_gradient(work, rows, 1, f);
    scatter_rows(work, batch, first, rows);
    double sum = 0;
    for (int r = 0; r < rows; r++)
        sum += batch->weight[first + r] * (double)vsum(loss[r]);
    return sum;
}

// The last, shorter block.
static double rest_block(const ts_autoencoder_work *work, const ts_sparse_rows *batch, int first, int rows) {
    switch (rows) {
    case 1:
        return block(work, batch, first, 1);
    case 2:
        return block(work, batch, first, 2);
    case 3:
        return block(work, batch, first, 3);
#if defined(TS_KERNELS_AVX512)
    case 4:
        return block(work, batch, first, 4);
    case 5:
        return block(work, batch, first, 5);
    case 6:
        return block(work, batch, first, 6);
    case 7:
        return block(work, batch, first, 7);
#endif
    default:
        return 0;
    }
}

// W (hidden, stride) -> its columns (stride, hidden_stride), by tiles of 16 x 16.
static void make_columns(const ts_autoencoder_work *work) {
    for (int k = 0; k < work->hidden; k += LANES) {
        for (int f = 0; f < work->stride; f += LANES) {
            vec tile[LANES];
            for (int i = 0; i < LANES; i++)
                tile[i] = k + i < work->hidden ? vload(work->parameters + (size_t)(k + i) * (size_t)work->stride + f)
                                               : vzero();
            vtranspose(tile);
            for (int i = 0; i < LANES; i++)
                vstore(work->w_transposed + (size_t)(f + i) * (size_t)work->hidden_stride + k, tile[i]);
        }
    }
}

// dW += what was gathered by columns.
static void add_columns(const ts_autoencoder_work *work) {
    for (int k = 0; k < work->hidden; k += LANES) {
        for (int f = 0; f < work->stride; f += LANES) {
            vec tile[LANES];
            for (int i = 0; i < LANES; i++)
                tile[i] = vload(work->dw_transposed + (size_t)(f + i) * (size_t)work->hidden_stride + k);
            vtranspose(tile);
            for (int i = 0; i < LANES && k + i < work->hidden; i++) {
                float *dw = work->gradient + (size_t)(k + i) * (size_t)work->stride + f;
                vstore(dw, vadd(vload(dw), tile[i]));
            }
        }
    }
}

double TS_FOR_SET(ts_autoencoder_gradient)(const ts_autoencoder_work *work, const ts_sparse_rows *batch) {
    size_t stride = (size_t)work->stride;
    memset(work->gradient, 0, (size_t)(work->hidden + 1) * stride * sizeof(float));
    memset(work->dw_transposed, 0, stride * (size_t)work->hidden_stride * sizeof(float));
    make_columns(work);

    double loss = 0;
    int first = 0;
    for (; first + BLOCK <= batch->rows; first += BLOCK)
        loss += block(work, batch, first, BLOCK);
    loss += rest_block(work, batch, first, batch->rows - first);

    add_columns(work);
    return loss;
}
