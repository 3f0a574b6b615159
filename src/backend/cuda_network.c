// Any network that learns a table on a GPU, by its model's definition: rewritten (network/rewrite.h), then operation by
// operation for K instances at once (cuda_pass.h).
#include "backend/cuda_pass.h"
#include "backend/cuda_training.h"
#include "model/network.h"
#include "task/data.h"

typedef struct training {
    ts_cuda_training base; // first
    ts_graph graph;
    ts_cuda_pass pass;
} training;

static const char *can(const ts_params *params) {
    return params->schema->model->learns == TS_KIND_TABLE ? ts_adam_can(params)
                                                          : "its kernels for any network learn tables only";
}

// Rewriting goes by all pairs of an instance, also where this rank has a part of them: the same on all ranks.
static ts_status set_shape(void *handle) {
    training *t = handle;
    const ts_training_spec *spec = &t->base.spec;
    double pairs = (double)ts_network_train(&spec->params[0], spec->data->table->n);
    ts_status status = ts_model_define_training(&spec->params[0], pairs, &t->graph);
    return status == TS_OK ? ts_cuda_pass_create(&t->graph, &t->base.layout, t->base.instances, t->base.pairs, &t->pass)
                           : status;
}

static void take(void *handle) {
    training *t = handle;
    ts_cuda_pass_take(&t->pass, &t->base.device);
}

static void queue_step(void *handle) {
    training *t = handle;
    ts_cuda_training *base = &t->base;
    ts_operand weights = ts_cuda_training_weights(base, 0);
    const ts_cuda_pairs pairs = {
        .loss = t->graph.loss,
        .share = base->share,
        .weights = base->state,
        .weights_step = weights.instance_step,
        .token = base->token,
        .label = base->label,
        .order = base->order,
        .begin = base->begin,
        .stopped = ts_cuda_training_stopped(base),
    };
    const ts_cuda_gradient whole = {
        .whole = t->pass.cleared,
        .whole_count = base->layout.padded,
        .bad = t->pass.bad,
        .blocks = t->pass.blocks,
    };
    if (base->error == cudaSuccess)
        base->error = ts_cuda_pass_queue(&t->pass, &pairs, base->stream);
    ts_cuda_training_update(base, &whole);
}

static void end(void *handle) {
    training *t = handle;
    ts_cuda_pass_free(&t->pass);
    ts_graph_free(&t->graph);
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    static const ts_cuda_model MODEL = {sizeof(training), set_shape, take, queue_step, end};
    return ts_cuda_training_create(&MODEL, spec, handle);
}

// As of the transformer: rounds of tiles of the logits, of 128 x 64 and three to a multiprocessor.
static int64_t fill(const ts_params *params, const struct ts_data *data) {
    int64_t tiles = (ts_network_train(params, data->table->n) + 127) / 128 * ((data->table->n_out + 63) / 64);
    return ts_cuda_fill(tiles, 3, 20);
}

const ts_engine ts_cuda_network = {
    .name = TS_GENERAL,
    .help = TS_GENERAL_HELP ", of tables",
    .wide = true,
    .can = can,
    .create = create,
    TS_CUDA_ENGINE_FUNCTIONS,
    .fill = fill,
};
