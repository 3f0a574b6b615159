// Any network on a GPU, by its model's definition: rewritten (network/rewrite.h), then operation by operation for K
// instances at once (cuda_pass.h).
#include "backend/cuda_pass.h"
#include "backend/cuda_samples.h"
#include "backend/cuda_training.h"
#include "model/network.h"
#include "task/data.h"

typedef struct training {
    ts_cuda_training base; // first
    ts_graph graph;
    ts_cuda_pass pass;
    ts_samples_work samples; // of features
    int *bad;                // (instances, blocks): 1 where some loss is not finite
    int blocks;
} training;

static ts_status set_shape(void *handle) {
    training *t = handle;
    const ts_training_spec *spec = &t->base.spec;
    const ts_table *table = spec->data->table;
    if (!table)
        ts_cuda_samples_begin(&t->samples, spec);
    int rows = table ? t->base.pairs.count : t->samples.rows;
    t->blocks = ts_cuda_cross_entropy_blocks(rows);
    ts_status status = ts_model_define_training(&spec->params[0], spec->data, &t->graph);
    return status == TS_OK ? ts_cuda_pass_create(&t->graph, &t->base.layout, t->base.instances, rows, &t->pass)
                           : status;
}

static void take(void *handle) {
    training *t = handle;
    ts_cuda_training *base = &t->base;
    ts_cuda_pass_take(&t->pass, &base->device);
    t->bad = ts_cuda_slab_take(&base->device, (size_t)base->instances * (size_t)t->blocks, sizeof(int));
    if (base->spec.data->table)
        return;
    ts_samples_work *samples = &t->samples;
    samples->x = ts_cuda_pass_rows(&t->pass, ts_graph_input_node(&t->graph));
    samples->output = ts_cuda_pass_rows(&t->pass, t->graph.output);
    ts_cuda_samples_take(samples, &base->spec, samples->x.stride, &base->device);
    samples->begun = ts_cuda_training_begun(base);
    samples->taken = ts_cuda_training_taken(base);
    samples->stopped = ts_cuda_training_stopped(base);
    samples->bad = t->bad;
}

static ts_status initialise(void *handle) {
    training *t = handle;
    return t->base.spec.data->table
               ? TS_OK
               : ts_cuda_samples_upload(&t->samples, &t->base.spec, t->samples.x.stride, t->base.stream);
}

// --- A step ---

static void start(training *t, cudaError_t (*kernel)(const ts_samples_work *, cudaStream_t)) {
    if (t->base.error == cudaSuccess)
        t->base.error = kernel(&t->samples, t->base.stream);
}

static void draw_samples(training *t) {
    if (t->samples.nodes > 0)
        start(t, ts_cuda_samples_list);
    start(t, ts_cuda_samples_enter);
}

// Logits become the loss's gradient.
static void learn_pairs(training *t) {
    const ts_cuda_training *base = &t->base;
    const ts_cross_entropy_work work = {
        .instances = base->instances,
        .pairs = base->pairs.count,
        .n_out = base->pairs.n_out,
        .share = base->pairs.share,
        .logits = ts_cuda_pass_rows(&t->pass, t->graph.output),
        .label = base->pairs.label,
        .blocks = t->blocks,
        .bad = t->bad,
        .stopped = ts_cuda_training_stopped(base),
    };
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_loss(&work, t->graph.loss, base->stream);
}

static void queue_step(void *handle) {
    training *t = handle;
    ts_cuda_training *base = &t->base;
    bool table = base->spec.data->table != NULL;
    ts_operand weights = ts_cuda_training_weights(base, 0);
    const ts_cuda_batch batch = {base->state, weights.instance_step, table ? &base->pairs : NULL,
                                 ts_cuda_training_stopped(base)};
    const ts_cuda_gradient whole = {
        .whole = t->pass.cleared,
        .whole_count = base->layout.padded,
        .bad = t->bad,
        .blocks = t->blocks,
    };
    if (!table)
        draw_samples(t);
    if (base->error == cudaSuccess)
        base->error = ts_cuda_pass_forward(&t->pass, &batch, base->stream);
    if (table)
        learn_pairs(t);
    else
        start(t, ts_cuda_loss_of_squares);
    if (base->error == cudaSuccess)
        base->error = ts_cuda_pass_back(&t->pass, &batch, base->stream);
    ts_cuda_training_update(base, &whole);
}

static void end(void *handle) {
    training *t = handle;
    ts_cuda_pass_free(&t->pass);
    ts_graph_free(&t->graph);
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    static const ts_cuda_model MODEL = {.bytes = sizeof(training),
                                        .set_shape = set_shape,
                                        .take = take,
                                        .initialise = initialise,
                                        .queue = queue_step,
                                        .end = end};
    return ts_cuda_training_create(&MODEL, spec, handle);
}

// As of the transformer: rounds of tiles of the output, of 128 x 64 and three to a multiprocessor.
static int64_t fill(const ts_params *params, const struct ts_data *data) {
    const ts_training_spec one = {params, 1, data, NULL};
    ts_samples_work samples;
    if (!data->table)
        ts_cuda_samples_begin(&samples, &one);
    int64_t rows = data->table ? ts_network_train(params, data->table->n) : samples.rows;
    int columns = data->table ? data->table->n_out : data->features->features;
    return ts_cuda_fill((rows + 127) / 128 * ((columns + 63) / 64), 3, 20);
}

const ts_engine ts_cuda_network = {
    .name = TS_GENERAL,
    .help = TS_GENERAL_HELP,
    .wide = true,
    .can = ts_cuda_optimiser_can,
    .create = create,
    TS_CUDA_ENGINE_FUNCTIONS,
    .fill = fill,
};
