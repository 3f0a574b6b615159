// Autoencoders of one small shape, an instance in each lane of all vectors: rows and columns that would fill a fraction
// of a vector cost nothing here, and inputs, which all lanes have in common, need no sparse rows. Every lane does what
// autoencoder.c does for its instance, each sum in the same order, so that both have the same bits. An input that is
// not in a lane's batch adds -0 there, which leaves a sum as it is, a zero's sign included.
#include "cpu/kernels.h"
#include "cpu/narrow.h"

// Rows and columns of sums that stay in registers; inputs handled at once.
enum { ROWS = 2, COLUMNS = 4, TALL = 4, FLAT = 2, BLOCK = TS_LANES_BLOCK };

// A matrix of vectors: element (i, j) at start + i row + j column.
typedef struct matrix {
    const float *start;
    size_t row, column;
} matrix;

// sum[i][j] += sum over t < depth of a(row + i, t) b(t, column + j), in order.
INLINE void add_products(matrix a, int row, int rows, matrix b, int column, int columns, int depth,
                         narrow sum[TALL][COLUMNS]) {
    const float *left = a.start + (size_t)row * a.row, *right = b.start + (size_t)column * b.column;
    for (int t = 0; t < depth; t++, left += a.column, right += b.row) {
        narrow factor[COLUMNS];
        for (int j = 0; j < columns; j++)
            factor[j] = nload(right + (size_t)j * b.column);
        for (int i = 0; i < rows; i++) {
            narrow by = nload(left + (size_t)i * a.row);
            for (int j = 0; j < columns; j++)
                sum[i][j] = nfma(by, factor[j], sum[i][j]);
        }
    }
}

// 1 in lanes that have the input, -1 in the others.
INLINE narrow sign_of(narrow weight) {
    return nsub(nwhere_positive(weight, nset(2)), nset(1));
}

// h = the sum of the active columns of W, for one input.
INLINE narrow load_row(const ts_lanes_work *work, int r, float *h, bool partly, narrow sound) {
    size_t stride = (size_t)work->features * NARROW_LANES;
    narrow weight = nload(work->weight + (size_t)r * NARROW_LANES);
    const float *w = work->state;
    for (int k = 0; k < work->hidden; k++, h += NARROW_LANES, w += stride) {
        narrow sum = nzero();
        for (int e = work->begin[r]; e < work->begin[r + 1]; e++)
            sum = nadd(sum, nload(w + (size_t)work->active[e] * NARROW_LANES));
        sound = nfma(sum, nzero(), sound);
        nstore(h, partly ? nwhere_positive(weight, sum) : sum);
    }
    return sound;
}

INLINE narrow load_rows(const ts_lanes_work *work, int first, int rows, narrow sound) {
    float *h = work->h;
    for (int r = first; r < first + rows; r++, h += (size_t)work->hidden * NARROW_LANES)
        sound = work->partly[r] ? load_row(work, r, h, true, sound) : load_row(work, r, h, false, sound);
    return sound;
}

// z, loss and dz of some inputs and features; db.
INLINE void forward_tile(const ts_lanes_work *work, int first, int row, int rows, int f, int columns, narrow *db,
                         narrow *loss) {
    size_t hidden = (size_t)work->hidden, features = (size_t)work->features;
    const float *b = work->state + (hidden * features + (size_t)f) * NARROW_LANES;
    narrow z[TALL][COLUMNS];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            z[i][j] = nload(b + j * NARROW_LANES);
    add_products((matrix){work->h, hidden * NARROW_LANES, NARROW_LANES}, row, rows,
                 (matrix){work->state, features * NARROW_LANES, NARROW_LANES}, f, columns, work->hidden, z);
    for (int i = 0; i < rows; i++) {
        int r = first + row + i;
        narrow weight = nload(work->weight + (size_t)r * NARROW_LANES), twice = nadd(weight, weight);
        for (int j = 0; j < columns; j++) {
            narrow x = nset(work->x[(size_t)r * features + (size_t)(f + j)]);
            narrow error = nsub(nwhere_positive(z[i][j], z[i][j]), x);
            narrow scaled = nmul(nload(work->scale + (size_t)(f + j) * NARROW_LANES), error);
            loss[j] = nfma(scaled, error, loss[j]);
            narrow dz = nwhere_positive(z[i][j], nmul(twice, scaled));
            if (work->partly[r])
                dz = nmul(nwhere_positive(weight, dz), sign_of(weight));
            nstore(work->dz + ((size_t)(row + i) * features + (size_t)(f + j)) * NARROW_LANES, dz);
            db[j] = nadd(db[j], dz);
        }
    }
}

INLINE narrow forward_columns(const ts_lanes_work *work, int first, int rows, int f, int columns, narrow sum) {
    float *at = work->gradient + ((size_t)work->hidden * (size_t)work->features + (size_t)f) * NARROW_LANES;
    narrow db[COLUMNS], loss[COLUMNS];
    for (int j = 0; j < columns; j++) {
        db[j] = first > 0 ? nload(at + j * NARROW_LANES) : nzero();
        loss[j] = nzero();
    }
    int row = 0;
    for (; row + ROWS <= rows; row += ROWS)
        forward_tile(work, first, row, ROWS, f, columns, db, loss);
    if (row < rows)
        forward_tile(work, first, row, 1, f, columns, db, loss);
    for (int j = 0; j < columns; j++) {
        nstore(at + j * NARROW_LANES, db[j]);
        sum = nadd(sum, loss[j]);
    }
    return sum;
}

// dh = W dz
INLINE void hidden_tile(const ts_lanes_work *work, int first, int row, int rows, int k, int columns) {
    size_t hidden = (size_t)work->hidden, stride = (size_t)work->features * NARROW_LANES;
    narrow sum[TALL][COLUMNS];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            sum[i][j] = nzero();
    add_products((matrix){work->dz, stride, NARROW_LANES}, row, rows, (matrix){work->state, NARROW_LANES, stride}, k,
                 columns, work->features, sum);
    for (int i = 0; i < rows; i++) {
        int r = first + row + i;
        for (int j = 0; j < columns; j++) {
            narrow dh = sum[i][j];
            if (work->partly[r])
                dh = nmul(dh, sign_of(nload(work->weight + (size_t)r * NARROW_LANES)));
            nstore(work->dh + ((size_t)r * hidden + (size_t)(k + j)) * NARROW_LANES, dh);
        }
    }
}

INLINE void hidden_rows(const ts_lanes_work *work, int first, int row, int rows) {
    int k = 0;
    for (; k + FLAT <= work->hidden; k += FLAT)
        hidden_tile(work, first, row, rows, k, FLAT);
    if (k < work->hidden)
        hidden_tile(work, first, row, rows, k, 1);
}

INLINE void hidden_gradient(const ts_lanes_work *work, int first, int rows) {
    int row = 0;
    for (; row + TALL <= rows; row += TALL)
        hidden_rows(work, first, row, TALL);
    switch (rows - row) {
    case 3:
        hidden_rows(work, first, row, 3);
        break;
    case 2:
        hidden_rows(work, first, row, 2);
        break;
    case 1:
        hidden_rows(work, first, row, 1);
        break;
    default:
        break;
    }
}

// dW += h dz^T
INLINE void weight_tile(const ts_lanes_work *work, int first, int rows, int k, int hidden, int f, int columns) {
    size_t stride = (size_t)work->features * NARROW_LANES;
    float *dw = work->gradient + (size_t)k * stride + (size_t)f * NARROW_LANES;
    narrow sum[TALL][COLUMNS];
    for (int i = 0; i < hidden; i++)
        for (int j = 0; j < columns; j++)
            sum[i][j] = first > 0 ? nload(dw + (size_t)i * stride + j * NARROW_LANES) : nzero();
    add_products((matrix){work->h, NARROW_LANES, (size_t)work->hidden * NARROW_LANES}, k, hidden,
                 (matrix){work->dz, stride, NARROW_LANES}, f, columns, rows, sum);
    for (int i = 0; i < hidden; i++)
        for (int j = 0; j < columns; j++)
            nstore(dw + (size_t)i * stride + j * NARROW_LANES, sum[i][j]);
}

INLINE void weight_rows(const ts_lanes_work *work, int first, int rows, int k, int hidden) {
    int f = 0;
    for (; f + COLUMNS <= work->features; f += COLUMNS)
        weight_tile(work, first, rows, k, hidden, f, COLUMNS);
    switch (work->features - f) {
    case 3:
        weight_tile(work, first, rows, k, hidden, f, 3);
        break;
    case 2:
        weight_tile(work, first, rows, k, hidden, f, 2);
        break;
    case 1:
        weight_tile(work, first, rows, k, hidden, f, 1);
        break;
    default:
        break;
    }
}

INLINE narrow forward(const ts_lanes_work *work, int first, int rows, narrow loss) {
    int f = 0;
    for (; f + COLUMNS <= work->features; f += COLUMNS)
        loss = forward_columns(work, first, rows, f, COLUMNS, loss);
    switch (work->features - f) {
    case 3:
        loss = forward_columns(work, first, rows, f, 3, loss);
        break;
    case 2:
        loss = forward_columns(work, first, rows, f, 2, loss);
        break;
    case 1:
        loss = forward_columns(work, first, rows, f, 1, loss);
        break;
    default:
        break;
    }
    return loss;
}

// Returns `loss`, the sum of squares, with that of these inputs.
INLINE narrow add_block(const ts_lanes_work *work, int first, int rows, narrow loss) {
    int k = 0;
    loss = forward(work, first, rows, load_rows(work, first, rows, loss));
    hidden_gradient(work, first, rows);
    for (; k + ROWS <= work->hidden; k += ROWS)
        weight_rows(work, first, rows, k, ROWS);
    if (k < work->hidden)
        weight_rows(work, first, rows, k, 1);
    return loss;
}

// dW += dh x^T of one feature and some hidden units, over the inputs that have it.
INLINE void add_inputs(const ts_lanes_work *work, int f, int k, int units) {
    size_t hidden = (size_t)work->hidden, stride = (size_t)work->features * NARROW_LANES;
    float *dw = work->gradient + (size_t)k * stride + (size_t)f * NARROW_LANES;
    narrow sum[COLUMNS];
    for (int i = 0; i < units; i++)
        sum[i] = nzero();
    for (int e = work->with_begin[f]; e < work->with_begin[f + 1]; e++) {
        const float *dh = work->dh + ((size_t)work->with[e] * hidden + (size_t)k) * NARROW_LANES;
        for (int i = 0; i < units; i++)
            sum[i] = nadd(sum[i], nload(dh + i * NARROW_LANES));
    }
    for (int i = 0; i < units; i++)
        nstore(dw + (size_t)i * stride, nadd(nload(dw + (size_t)i * stride), sum[i]));
}

INLINE void add_feature(const ts_lanes_work *work, int f) {
    int k = 0;
    for (; k + COLUMNS <= work->hidden; k += COLUMNS)
        add_inputs(work, f, k, COLUMNS);
    switch (work->hidden - k) {
    case 3:
        add_inputs(work, f, k, 3);
        break;
    case 2:
        add_inputs(work, f, k, 2);
        break;
    case 1:
        add_inputs(work, f, k, 1);
        break;
    default:
        break;
    }
}

void TS_FOR_SET(ts_lanes_gradient)(const ts_lanes_work *work) {
    const ts_lanes_work own = *work; // which nothing that is written can lie in
    narrow loss = nzero();
    for (int first = 0; first < own.inputs; first += BLOCK)
        loss = add_block(&own, first, own.inputs - first < BLOCK ? own.inputs - first : BLOCK, loss);
    for (int f = 0; f < own.features; f++)
        add_feature(&own, f);
    nstore(own.loss, loss);
}

// As adam.c.
bool TS_FOR_SET(ts_lanes_adam)(float *state, int64_t count, const float *gradient, const ts_lanes_rates *rates,
                               float *sound) {
    float *first = state + count * NARROW_LANES, *second = first + count * NARROW_LANES;
    narrow epsilon = nset(TS_ADAM_EPSILON), bad = nzero();
    for (int64_t i = 0; i < count * NARROW_LANES; i += NARROW_LANES) {
        narrow g = nload(gradient + i), inverse = nload(rates->inverse);
        narrow m = nfma(nload(rates->take1), g, nmul(nload(rates->beta1), nload(first + i)));
        narrow v = nfma(nmul(nload(rates->take2), g), g, nmul(nload(rates->beta2), nload(second + i)));
        nstore(first + i, m);
        nstore(second + i, v);
        narrow deviation = nsqrt(v), quotient = nmul(deviation, inverse);
        quotient = nfma(nfma(nload(rates->minus_root), quotient, deviation), inverse, quotient);
        narrow step = ndiv(nmul(nload(rates->minus_rate), m), nadd(quotient, epsilon));
        narrow parameter = nadd(nmul(nload(state + i), nload(rates->decay)), step);
        bad = nfma(parameter, nzero(), bad);
        nstore(state + i, parameter);
    }
    nstore(sound, bad);
    return nall_zero(bad);
}
