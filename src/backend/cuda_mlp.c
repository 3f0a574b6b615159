// The multilayer perceptron on a GPU: K instances at once, all of them in every kernel of a step. left = W_x W[:e] and
// right = W_y W[e:]; the pairs, fused where W_U fits on the chip (kernels/cuda/mlp.h), else one product after the
// other; sums over each token's pairs; dW_x, dW_y and dW; AdamW. How sums are cut follows from the shape alone, never
// from K, so that packing changes no bits.
#include "backend/cuda_training.h"
#include "cuda/mlp.h"
#include "model/mlp.h"
#include "model/network.h"
#include "task/data.h"

enum { W_X, W_Y, W, W_U };
enum { PART_PAIRS = 2048 }; // pairs summed at once into dW_U, where the pairs are not fused

typedef struct training {
    ts_cuda_training base; // first
    ts_mlp_shape shape;
    int embed_stride, hidden_stride, out_stride;
    bool fused;
    int blocks, parts; // of the pairs: verdicts on losses, partial sums of dW_U
    float *embedded;   // (instances, 2, n, hidden_stride): left, right
    float *dembedded;  // likewise
    float *hidden;     // (instances, pairs, hidden_stride): hidden layer and then, or only, its gradient
    float *logits;     // (instances, pairs, out_stride): logits, then their gradient; not if fused
    float *gradient;   // (instances, offset of W_U)
    float *dw_u;       // (instances, parts, hidden, out_stride)
    int *bad;          // (instances, blocks)
} training;

static ts_status set_shape(void *handle) {
    training *t = handle;
    const ts_cuda_training *base = &t->base;
    t->shape = ts_mlp_shape_of(&base->spec.params[0]);
    t->embed_stride = base->layout.tensor[W_X].stride;
    t->hidden_stride = base->layout.tensor[W].stride;
    t->out_stride = base->layout.tensor[W_U].stride;
    t->fused = !ts_network_tf32x3(&base->spec.params[0]) &&
               ts_mlp_fused_shared(t->shape.hidden, t->shape.n_out) <= ts_cuda_properties_of()->block_shared;
    t->blocks = t->fused ? ts_mlp_fused_blocks(base->pairs.count) : ts_cuda_cross_entropy_blocks(base->pairs.count);
    t->parts = t->fused ? t->blocks : (base->pairs.count - 1) / PART_PAIRS + 1;
    return TS_OK;
}

static void take(void *handle) {
    training *t = handle;
    ts_cuda_training *base = &t->base;
    ts_cuda_slab *slab = &base->device;
    size_t count = (size_t)base->instances, pairs = count * (size_t)base->pairs.count, out = (size_t)t->out_stride;
    size_t embedded = count * 2 * (size_t)base->pairs.tokens * (size_t)t->hidden_stride;
    t->embedded = ts_cuda_slab_take(slab, embedded, sizeof(float));
    t->dembedded = ts_cuda_slab_take(slab, embedded, sizeof(float));
    t->hidden = ts_cuda_slab_take(slab, pairs * (size_t)t->hidden_stride, sizeof(float));
    t->logits = ts_cuda_slab_take(slab, t->fused ? 0 : pairs * out, sizeof(float));
    t->gradient = ts_cuda_slab_take(slab, count * (size_t)base->layout.tensor[W_U].offset, sizeof(float));
    t->dw_u = ts_cuda_slab_take(slab, count * (size_t)(t->parts * t->shape.hidden) * out, sizeof(float));
    t->bad = ts_cuda_slab_take(slab, count * (size_t)t->blocks, sizeof(int));
}

// --- A step ---

// left and right: (n, hidden) of each instance and side.
static ts_operand of_embedded(const training *t, const float *first) {
    int64_t side = (int64_t)t->base.pairs.tokens * t->hidden_stride;
    return (ts_operand){first, 2 * side, side, t->hidden_stride};
}

// W_x and W_y, or the halves of W.
static ts_operand of_sides(const training *t, int tensor) {
    ts_operand sides = ts_cuda_training_weights(&t->base, tensor);
    sides.part_step = tensor == W ? (int64_t)t->shape.embed * t->hidden_stride
                                  : t->base.layout.tensor[W_Y].offset - t->base.layout.tensor[W_X].offset;
    return sides;
}

static ts_operand gradient_of_sides(const training *t, int tensor) {
    ts_operand sides = of_sides(t, tensor);
    sides.first = t->gradient + t->base.layout.tensor[tensor].offset;
    sides.instance_step = t->base.layout.tensor[W_U].offset;
    return sides;
}

static void embed(training *t) {
    ts_cuda_training_multiply(&t->base, (ts_product_work){TS_PRODUCT_PLAIN, t->base.pairs.tokens, t->shape.hidden,
                                                          t->shape.embed, .parts = 2, .a = of_sides(t, W_X),
                                                          .b = of_sides(t, W), .c = of_embedded(t, t->embedded)});
}

static ts_mlp_pairs_work pairs_work(const training *t) {
    const ts_cuda_training *base = &t->base;
    ts_operand w_u = ts_cuda_training_weights(base, W_U);
    return (ts_mlp_pairs_work){
        .instances = base->instances,
        .tokens = base->pairs.tokens,
        .pairs = base->pairs.count,
        .hidden = t->shape.hidden,
        .n_out = t->shape.n_out,
        .hidden_stride = t->hidden_stride,
        .out_stride = t->out_stride,
        .share = base->pairs.share,
        .embedded = t->embedded,
        .w_u = w_u.first,
        .w_u_step = w_u.instance_step,
        .token = base->pairs.token,
        .label = base->pairs.label,
        .hidden_rows = t->hidden,
        .blocks = t->blocks,
        .dw_u = t->dw_u,
        .bad = t->bad,
        .stopped = ts_cuda_training_stopped(base),
        .block_shared = ts_cuda_properties_of()->block_shared,
    };
}

// The pairs where they are not fused, as they do not fit or their products are for tensor cores: hidden layer, logits,
// their gradient, dW_U in parts, the hidden layer's gradient in its own place.
static void unfused(training *t) {
    ts_cuda_training *base = &t->base;
    const ts_mlp_pairs_work work = pairs_work(t);
    int h = t->shape.hidden, out = t->shape.n_out, pairs = base->pairs.count;
    int64_t part = (int64_t)h * t->out_stride;
    ts_operand hidden = {t->hidden, (int64_t)pairs * t->hidden_stride, 0, t->hidden_stride}, hidden_parts = hidden;
    ts_operand logits = {t->logits, (int64_t)pairs * t->out_stride, 0, t->out_stride}, logits_parts = logits;
    ts_operand w_u = ts_cuda_training_weights(base, W_U), dw_u = {t->dw_u, t->parts * part, part, t->out_stride};
    hidden_parts.part_step = (int64_t)PART_PAIRS * t->hidden_stride;
    logits_parts.part_step = (int64_t)PART_PAIRS * t->out_stride;
    if (base->error == cudaSuccess)
        base->error = ts_cuda_mlp_hidden(&work, base->stream);
    ts_cuda_training_multiply(base,
                              (ts_product_work){TS_PRODUCT_PLAIN, pairs, out, h, .a = hidden, .b = w_u, .c = logits});
    ts_cuda_training_cross_entropy(base, logits, t->blocks, t->bad);
    ts_cuda_training_multiply(base, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, h, out, pairs, .parts = t->parts,
                                                      .part_depth = PART_PAIRS, .a = hidden_parts, .b = logits_parts,
                                                      .c = dw_u});
    ts_cuda_training_multiply(base, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, pairs, h, out, .a = logits, .b = w_u,
                                                      .c = hidden, .mask = t->hidden});
}

// dleft and dright, then dW_x and dW_y, then dW.
static void embed_gradient(training *t) {
    ts_cuda_training *base = &t->base;
    ts_operand dembedded = of_embedded(t, t->dembedded);
    const ts_segment_work segments = {
        .instances = base->instances,
        .tokens = base->pairs.tokens,
        .pairs = base->pairs.count,
        .columns = t->hidden_stride,
        .heads = 1,
        .rows = {t->hidden, (int64_t)base->pairs.count * t->hidden_stride, 0, t->hidden_stride},
        .out = dembedded,
        .begin = base->pairs.begin,
        .order = base->pairs.order,
        .stopped = ts_cuda_training_stopped(base),
    };
    if (base->error == cudaSuccess)
        base->error = ts_cuda_segments(&segments, base->stream);
    ts_cuda_training_multiply(base, (ts_product_work){TS_PRODUCT_B_TRANSPOSED, base->pairs.tokens, t->shape.embed,
                                                      t->shape.hidden, .parts = 2, .a = dembedded, .b = of_sides(t, W),
                                                      .c = gradient_of_sides(t, W_X)});
    ts_cuda_training_multiply(base, (ts_product_work){TS_PRODUCT_A_TRANSPOSED, t->shape.embed, t->shape.hidden,
                                                      base->pairs.tokens, .parts = 2, .a = of_sides(t, W_X),
                                                      .b = dembedded, .c = gradient_of_sides(t, W)});
}

static void queue_step(void *handle) {
    training *t = handle;
    const ts_cuda_gradient gradient = {
        .whole = t->gradient,
        .partial = t->dw_u,
        .whole_count = t->base.layout.tensor[W_U].offset,
        .parts = t->parts,
        .bad = t->bad,
        .blocks = t->blocks,
    };
    const ts_mlp_pairs_work pairs = pairs_work(t);
    embed(t);
    if (!t->fused)
        unfused(t);
    else if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_mlp_fused(&pairs, t->base.stream);
    embed_gradient(t);
    ts_cuda_training_update(&t->base, &gradient);
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    static const ts_cuda_model MODEL = {
        .bytes = sizeof(training), .set_shape = set_shape, .take = take, .queue = queue_step};
    return ts_cuda_training_create(&MODEL, spec, handle);
}

// Twelve rounds of the pairs' blocks, one to a multiprocessor, and none of a thirteenth: what the last one leaves empty
// then costs little, and so does starting the kernels of a step.
static int64_t fill(const ts_params *params, const struct ts_data *data) {
    return ts_cuda_fill(ts_mlp_fused_blocks((int)ts_network_train(params, data->table)), 1, 12);
}

const ts_engine ts_cuda_mlp = {
    .name = TS_FUSED,
    .help = TS_FUSED_HELP,
    .model = "mlp",
    .tf32x3 = true,
    .can = ts_cuda_fused_can,
    .create = create,
    TS_CUDA_ENGINE_FUNCTIONS,
    .fill = fill,
};
