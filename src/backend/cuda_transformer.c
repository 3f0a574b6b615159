// The transformer on a GPU: K instances at once, all of them in every kernel of a step. The algebra is the CPU's
// (kernels/cpu/transformer.c): rows made for each token, which a pair mixes; here those of a and of b are made from
// embeddings that hold their positions. How sums are cut follows from the shape alone, never from K, so that packing
// changes no bits. In one file, some 500 lines, since each step of the algebra forwards is read with its way back.
#include "backend/cuda_training.h"
#include "cuda/transformer.h"
#include "model/network.h"
#include "model/transformer.h"
#include "task/data.h"

#include <math.h>

enum { PART_PAIRS = 1024 }; // pairs summed at once into a gradient of weights

// Scratch of each instance, with n tokens, P pairs, d = model, k = head, m = neurons, r the rest (kernels/cuda/
// transformer.h), `rows` = 2 n + 1: left, right, the last token. Columns are padded, and so is each head's k or width.
enum {
    X,            // (rows + heads k, d): embeddings, and then W_O
    INTO,         // (d, width): W_in, and then W_U or the identity
    Q,            // (heads, k): the last token's queries
    KEY_QUERY,    // (heads, d): W_K q
    SCORE,        // (2 n, heads): x key_query
    VALUE,        // (rows, heads k): x W_V
    OUT,          // (1 + heads k, width): the last token and W_O, into
    HEAD_OUT,     // (rows, heads width): value out
    READ,         // (m, r): W_out W_U, if direct
    ROWS,         // (P, width): hidden layer and rest, then their gradient
    LOGITS,       // (P, n_out): unless they are the rest
    ATTENTION,    // (2 P, heads): of a, of b
    PAIRS_DSCORE, // (2 P, heads)
    PARTIAL_READ, // (parts m, r)
    PARTIAL_W_U,  // (parts d, n_out), unless direct
    DREAD,        // (m, r), if direct
    SUMS,         // (n, width): of ROWS by their a
    DHEAD_OUT,    // as HEAD_OUT, and so on
    DSCORE,       //
    DVALUE,       //
    DOUT,         //
    DKEY_QUERY,   //
    DQ,           //
    PARTIAL_X,    // ((heads + 1) rows, d): through each head's values, through scores
    DX,           // (rows, d)
    DLAST,        // (heads + 1, d): what the last token has through each query, and past attention
    GRADIENT,     // (1, all parameters)
    N_SCRATCH
};

typedef struct scratch {
    float *at;
    int rows, stride;
} scratch;

typedef struct training {
    ts_cuda_training base; // first
    ts_transformer_sizes size;
    int head_stride, out_stride;
    int rows, inner; // 2 n + 1, heads k
    int parts;       // of the pairs: partial sums of gradients
    int blocks;      // of the pairs: verdicts on losses
    int *bad;        // (instances, blocks)
    scratch scratch[N_SCRATCH];
} training;

static void set_sizes(training *t) {
    const ts_cuda_training *base = &t->base;
    ts_transformer_shape s = ts_transformer_shape_of(&base->spec.params[0]);
    bool direct = ts_transformer_direct(&s, base->pairs.count);
    t->head_stride = base->layout.tensor[TS_W_Q].stride;
    t->out_stride = base->layout.tensor[TS_W_U].stride;
    t->rows = 2 * s.n + 1;
    t->inner = s.heads * s.head;
    t->parts = (base->pairs.count - 1) / PART_PAIRS + 1;
    t->blocks = ts_cuda_cross_entropy_blocks(base->pairs.count);
    t->size = (ts_transformer_sizes){
        .instances = base->instances,
        .tokens = s.n,
        .pairs = base->pairs.count,
        .model = s.model,
        .heads = s.heads,
        .head = s.head,
        .neurons = s.neurons,
        .rest = direct ? s.n_out : s.model,
        .model_stride = base->layout.tensor[TS_W_E].stride,
        .heads_stride = TS_QUAD_PAD(s.heads),
        .neurons_stride = base->layout.tensor[TS_W_IN].stride,
        .rest_stride = base->layout.tensor[direct ? TS_W_U : TS_W_E].stride,
        .direct = direct,
    };
    t->size.width = t->size.neurons_stride + t->size.rest_stride;
}

static void set_scratch(training *t) {
    const ts_transformer_sizes *s = &t->size;
    int heads = s->heads, d = s->model_stride, width = s->width, rows = t->rows, out = 1 + t->inner;
    const int sizes[N_SCRATCH][2] = {
        [X] = {rows + t->inner, d},
        [INTO] = {s->model, width},
        [Q] = {heads, t->head_stride},
        [KEY_QUERY] = {heads, d},
        [SCORE] = {2 * s->tokens, s->heads_stride},
        [VALUE] = {rows, heads * t->head_stride},
        [OUT] = {out, width},
        [HEAD_OUT] = {rows, heads * width},
        [READ] = {s->direct ? s->neurons : 0, s->rest_stride},
        [ROWS] = {s->pairs, width},
        [LOGITS] = {s->direct ? 0 : s->pairs, t->out_stride},
        [ATTENTION] = {2 * s->pairs, s->heads_stride},
        [PAIRS_DSCORE] = {2 * s->pairs, s->heads_stride},
        [PARTIAL_READ] = {t->parts * s->neurons, s->rest_stride},
        [PARTIAL_W_U] = {s->direct ? 0 : t->parts * s->model, t->out_stride},
        [DREAD] = {s->direct ? s->neurons : 0, s->rest_stride},
        [SUMS] = {s->tokens, width},
        [DHEAD_OUT] = {rows, heads * width},
        [DSCORE] = {2 * s->tokens, s->heads_stride},
        [DVALUE] = {rows, heads * t->head_stride},
        [DOUT] = {out, width},
        [DKEY_QUERY] = {heads, d},
        [DQ] = {heads, t->head_stride},
        [PARTIAL_X] = {(heads + 1) * rows, d},
        [DX] = {rows, d},
        [DLAST] = {heads + 1, d},
        [GRADIENT] = {1, (int)t->base.layout.padded},
    };
    for (int i = 0; i < N_SCRATCH; i++)
        t->scratch[i] = (scratch){NULL, sizes[i][0], sizes[i][1]};
}

static ts_status set_shape(void *handle) {
    set_sizes(handle);
    set_scratch(handle);
    return TS_OK;
}

static void take(void *handle) {
    training *t = handle;
    ts_cuda_slab *slab = &t->base.device;
    size_t count = (size_t)t->base.instances;
    t->bad = ts_cuda_slab_take(slab, count * (size_t)t->blocks, sizeof(int));
    for (int i = 0; i < N_SCRATCH; i++) {
        scratch *s = &t->scratch[i];
        s->at = ts_cuda_slab_take(slab, count * (size_t)s->rows * (size_t)s->stride, sizeof(float));
    }
}

// --- Operands ---

static ts_operand of(const training *t, int name) {
    const scratch *array = &t->scratch[name];
    return (ts_operand){array->at, (int64_t)array->rows * array->stride, 0, array->stride};
}

static ts_operand weights(const training *t, int tensor) {
    return ts_cuda_training_weights(&t->base, tensor);
}

static ts_operand gradient(const training *t, int tensor) {
    ts_operand all = of(t, GRADIENT);
    all.first += t->base.layout.tensor[tensor].offset;
    all.stride = t->base.layout.tensor[tensor].stride;
    return all;
}

// From row `row` and column `column` on.
static ts_operand from(ts_operand of, int64_t row, int64_t column) {
    of.first += row * of.stride + column;
    return of;
}

// Parts that lie side by side, or below each other.
static ts_operand beside(ts_operand of, int columns) {
    of.part_step = columns;
    return of;
}

static ts_operand below(ts_operand of, int64_t rows) {
    of.part_step = rows * of.stride;
    return of;
}

static void multiply(training *t, ts_product_work work) {
    ts_cuda_training_multiply(&t->base, work);
}

static void add_rows(training *t, int parts, int rows, int columns, ts_operand a, ts_operand c) {
    const ts_sum_work work = {t->base.instances, parts, rows, columns, a, c, ts_cuda_training_stopped(&t->base)};
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_sum(&work, t->base.stream);
}

// --- Forwards ---

static void make_inputs(training *t) {
    const ts_transformer_inputs_work work = {
        .size = t->size,
        .w_e = weights(t, TS_W_E),
        .w_pos = weights(t, TS_W_POS),
        .w_o = weights(t, TS_W_O),
        .w_in = weights(t, TS_W_IN),
        .w_u = weights(t, TS_W_U),
        .x = t->scratch[X].at,
        .into = t->scratch[INTO].at,
        .stopped = ts_cuda_training_stopped(&t->base),
    };
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_transformer_inputs(&work, t->base.stream);
}

static void make_scores(training *t) {
    const ts_transformer_sizes *size = &t->size;
    int d = size->model, k = size->head, heads = size->heads;
    ts_operand last = from(of(t, X), 2 * size->tokens, 0), q = below(of(t, Q), 1);
    multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, 1, k, d, .parts = heads, .a = last,
                                  .b = below(weights(t, TS_W_Q), d), .c = q});
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, 1, d, k, .parts = heads, .a = q,
                                  .b = below(weights(t, TS_W_K), d), .c = below(of(t, KEY_QUERY), 1)});
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, 2 * size->tokens, heads, d, .a = of(t, X),
                                  .b = of(t, KEY_QUERY), .c = of(t, SCORE)});
}

static void make_head_out(training *t) {
    int d = t->size.model, k = t->size.head, heads = t->size.heads, width = t->size.width;
    ts_operand last_and_w_o = from(of(t, X), 2 * t->size.tokens, 0);
    ts_operand value = beside(of(t, VALUE), t->head_stride), out = below(from(of(t, OUT), 1, 0), k);
    multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, t->rows, k, d, .parts = heads, .a = of(t, X),
                                  .b = below(weights(t, TS_W_V), d), .c = value});
    multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, 1 + t->inner, width, d, .a = last_and_w_o, .b = of(t, INTO),
                                  .c = of(t, OUT)});
    multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, t->rows, width, k, .parts = heads, .a = value, .b = out,
                                  .c = beside(of(t, HEAD_OUT), width)});
    if (t->size.direct)
        multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, t->size.neurons, t->size.rest, d, .a = weights(t, TS_W_OUT),
                                      .b = weights(t, TS_W_U), .c = of(t, READ)});
}

// What the hidden layer is read out by, and where what it is read into lies beside it.
static ts_operand read_of(const training *t) {
    return t->size.direct ? of(t, READ) : weights(t, TS_W_OUT);
}

static ts_operand rest_of(const training *t) {
    return from(of(t, ROWS), 0, t->size.neurons_stride);
}

static ts_operand logits_of(const training *t) {
    return t->size.direct ? rest_of(t) : of(t, LOGITS);
}

static ts_transformer_pairs_work pairs_work(const training *t) {
    return (ts_transformer_pairs_work){
        .size = t->size,
        .scale = 1 / sqrtf((float)t->size.head),
        .token = t->base.pairs.token,
        .score = t->scratch[SCORE].at,
        .head_out = t->scratch[HEAD_OUT].at,
        .out = t->scratch[OUT].at,
        .attention = t->scratch[ATTENTION].at,
        .rows = t->scratch[ROWS].at,
        .dscore = t->scratch[PAIRS_DSCORE].at,
        .stopped = ts_cuda_training_stopped(&t->base),
    };
}

static void mix(training *t) {
    const ts_transformer_pairs_work work = pairs_work(t);
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_transformer_mix(&work, t->base.stream);
}

static void make_logits(training *t) {
    const ts_transformer_sizes *size = &t->size;
    multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, size->pairs, size->rest, size->neurons, .a = of(t, ROWS),
                                  .b = read_of(t), .c = rest_of(t), .plus = rest_of(t).first});
    if (!size->direct)
        multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, size->pairs, t->base.pairs.n_out, size->model, .a = rest_of(t),
                                      .b = weights(t, TS_W_U), .c = logits_of(t)});
}

// --- Backwards ---

// to = sum over the pairs of A^T B, in parts that are added up: A (pairs, rows), B (pairs, columns).
static void add_pairs(training *t, int rows, int columns, ts_operand a, ts_operand b, int partial, ts_operand to) {
    int parts = t->parts, numbers = rows * t->scratch[partial].stride;
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, rows, columns, t->size.pairs, .parts = parts,
                                  .part_depth = PART_PAIRS, .a = below(a, PART_PAIRS), .b = below(b, PART_PAIRS),
                                  .c = below(of(t, partial), rows)});
    ts_operand sums = of(t, partial);
    sums.stride = numbers;
    add_rows(t, 1, parts, numbers, sums, to);
}

// The gradient of ROWS in its own place, and of what they are read out by.
static void rows_gradient(training *t) {
    const ts_transformer_sizes *size = &t->size;
    int out = t->base.pairs.n_out;
    if (!size->direct) {
        add_pairs(t, size->model, out, rest_of(t), logits_of(t), PARTIAL_W_U, gradient(t, TS_W_U));
        multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, size->pairs, size->rest, out, .a = logits_of(t),
                                      .b = weights(t, TS_W_U), .c = rest_of(t)});
    }
    add_pairs(t, size->neurons, size->rest, of(t, ROWS), rest_of(t), PARTIAL_READ,
              size->direct ? of(t, DREAD) : gradient(t, TS_W_OUT));
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, size->pairs, size->neurons, size->rest, .a = rest_of(t),
                                  .b = read_of(t), .c = of(t, ROWS), .mask = of(t, ROWS).first});
}

// Sums over the pairs of each token: DHEAD_OUT's rows of a and b, DSCORE.
static void sum_pairs(training *t) {
    const ts_cuda_training *base = &t->base;
    const ts_transformer_sizes *size = &t->size;
    const ts_transformer_pairs_work pairs = pairs_work(t);
    ts_segment_work head_out = {
        .instances = base->instances,
        .tokens = size->tokens,
        .pairs = size->pairs,
        .columns = size->width,
        .heads = size->heads,
        .rows = of(t, ROWS),
        .weights = below(of(t, ATTENTION), size->pairs),
        .out = below(of(t, DHEAD_OUT), size->tokens),
        .begin = base->pairs.begin,
        .order = base->pairs.order,
        .plain = t->scratch[SUMS].at,
        .stopped = ts_cuda_training_stopped(base),
    };
    ts_segment_work scores = head_out;
    scores.columns = size->heads_stride;
    scores.heads = 1;
    scores.rows = below(of(t, PAIRS_DSCORE), size->pairs);
    scores.weights.first = NULL;
    scores.out = below(of(t, DSCORE), size->tokens);
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_transformer_mix_back(&pairs, base->stream);
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_segments(&head_out, base->stream);
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_segments(&scores, base->stream);
}

// What every pair has: past attention, and through each head's reading of the last token.
static void sum_constant(training *t) {
    const ts_transformer_sizes *size = &t->size;
    ts_operand itself = from(of(t, DHEAD_OUT), 2 * size->tokens, 0);
    add_rows(t, 1, size->tokens, size->width, of(t, SUMS), of(t, DOUT));
    add_rows(t, size->heads, 1, size->width, of(t, DOUT), beside(itself, size->width));
}

// value out: dvalue, dW_O, and what dW_in and (direct) dW_U have of it; dW_V, dx.
static void values_gradient(training *t) {
    int d = t->size.model, k = t->size.head, heads = t->size.heads, width = t->size.width;
    ts_operand last_and_w_o = from(of(t, X), 2 * t->size.tokens, 0), w_v = below(weights(t, TS_W_V), d);
    ts_operand value = beside(of(t, VALUE), t->head_stride), dvalue = beside(of(t, DVALUE), t->head_stride);
    ts_operand out = below(from(of(t, OUT), 1, 0), k), dout = from(of(t, DOUT), 1, 0);
    ts_operand dhead_out = beside(of(t, DHEAD_OUT), width);
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, t->rows, k, width, .parts = heads, .a = dhead_out, .b = out,
                                  .c = dvalue});
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, k, width, t->rows, .parts = heads, .a = value,
                                  .b = dhead_out, .c = below(dout, k)});
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, t->inner, d, width, .a = dout, .b = of(t, INTO),
                                  .c = gradient(t, TS_W_O)});
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, 1, d, width, .a = of(t, DOUT), .b = of(t, INTO),
                                  .c = from(of(t, DLAST), heads, 0)});
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, d, t->size.neurons, 1 + t->inner, .a = last_and_w_o,
                                  .b = of(t, DOUT), .c = gradient(t, TS_W_IN)});
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, d, k, t->rows, .parts = heads, .a = of(t, X), .b = dvalue,
                                  .c = below(gradient(t, TS_W_V), d)});
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, t->rows, d, k, .parts = heads, .a = dvalue, .b = w_v,
                                  .c = below(of(t, PARTIAL_X), t->rows)});
}

// W_out W_U, and W_U after attention.
static void read_gradient(training *t) {
    const ts_transformer_sizes *size = &t->size;
    int d = size->model, out = t->base.pairs.n_out;
    ts_operand last_and_w_o = from(of(t, X), 2 * size->tokens, 0), dw_u = gradient(t, TS_W_U);
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, size->neurons, d, out, .a = of(t, DREAD),
                                  .b = weights(t, TS_W_U), .c = gradient(t, TS_W_OUT)});
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, d, out, 1 + t->inner, .a = last_and_w_o,
                                  .b = from(of(t, DOUT), 0, size->neurons_stride), .c = dw_u});
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, d, out, size->neurons, .a = weights(t, TS_W_OUT),
                                  .b = of(t, DREAD), .c = dw_u, .plus = dw_u.first});
}

// score = x W_K q, q = last W_Q: dW_K, dW_Q, dx.
static void scores_gradient(training *t) {
    const ts_transformer_sizes *size = &t->size;
    int d = size->model, k = size->head, heads = size->heads, rows = 2 * size->tokens;
    ts_operand last = from(of(t, X), rows, 0), q = below(of(t, Q), 1), dq = below(of(t, DQ), 1);
    ts_operand dkey_query = below(of(t, DKEY_QUERY), 1);
    multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, rows, d, heads, .a = of(t, DSCORE), .b = of(t, KEY_QUERY),
                                  .c = from(of(t, PARTIAL_X), (int64_t)heads * t->rows, 0)});
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, heads, d, rows, .a = of(t, DSCORE), .b = of(t, X),
                                  .c = of(t, DKEY_QUERY)});
    multiply(t, (ts_product_work){TS_PRODUCT_PLAIN, 1, k, d, .parts = heads, .a = dkey_query,
                                  .b = below(weights(t, TS_W_K), d), .c = dq});
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, d, k, 1, .parts = heads, .a = dkey_query, .b = q,
                                  .c = below(gradient(t, TS_W_K), d)});
    multiply(t, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, d, k, 1, .parts = heads, .a = last, .b = dq,
                                  .c = below(gradient(t, TS_W_Q), d)});
    multiply(t, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, 1, d, k, .parts = heads, .a = dq,
                                  .b = below(weights(t, TS_W_Q), d), .c = below(of(t, DLAST), 1)});
}

static void embedding_gradient(training *t) {
    int n = t->size.tokens, stride = t->size.model_stride, numbers = t->rows * stride;
    ts_operand partial = of(t, PARTIAL_X);
    partial.stride = numbers;
    add_rows(t, 1, t->size.heads + 1, numbers, partial, of(t, DX));
    add_rows(t, 2, n, stride, below(of(t, DX), n), below(gradient(t, TS_W_POS), 1));
    const ts_transformer_embedding_work work = {
        .size = t->size,
        .dx = t->scratch[DX].at,
        .dlast = t->scratch[DLAST].at,
        .dw_e = gradient(t, TS_W_E),
        .dw_pos = gradient(t, TS_W_POS),
        .stopped = ts_cuda_training_stopped(&t->base),
    };
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_transformer_embedding(&work, t->base.stream);
}

static void queue_step(void *handle) {
    training *t = handle;
    make_inputs(t);
    make_scores(t);
    make_head_out(t);
    mix(t);
    make_logits(t);
    ts_cuda_training_cross_entropy(&t->base, logits_of(t), t->blocks, t->bad);
    rows_gradient(t);
    sum_pairs(t);
    sum_constant(t);
    values_gradient(t);
    if (t->size.direct)
        read_gradient(t);
    scores_gradient(t);
    embedding_gradient(t);
    const ts_cuda_gradient whole = {
        .whole = t->scratch[GRADIENT].at,
        .whole_count = t->base.layout.padded,
        .bad = t->bad,
        .blocks = t->blocks,
    };
    ts_cuda_training_update(&t->base, &whole);
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    static const ts_cuda_model MODEL = {
        .bytes = sizeof(training), .set_shape = set_shape, .take = take, .queue = queue_step};
    return ts_cuda_training_create(&MODEL, spec, handle);
}

// Twenty rounds of tiles of the logits, of 128 x 64 and three to a multiprocessor (kernels/cuda/product.cu), and none
// of another: the many small products of a step fill the GPU only then.
static int64_t fill(const ts_params *params, const struct ts_data *data) {
    double pairs = (double)ts_network_train(params, data->table);
    int64_t tiles = ((int64_t)pairs + 127) / 128 * ((data->table->n_out + 63) / 64);
    return ts_cuda_fill(tiles, 3, 20);
}

const ts_engine ts_cuda_transformer = {
    .name = TS_FUSED,
    .help = TS_FUSED_HELP,
    .model = "transformer",
    .tf32x3 = true,
    .can = ts_cuda_fused_can,
    .create = create,
    TS_CUDA_ENGINE_FUNCTIONS,
    .fill = fill,
};
