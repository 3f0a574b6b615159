// Any network on a GPU, by its model's definition: rewritten (network/rewrite.h), then operation by operation for K
// instances at once (cuda_pass.h). Of a large one the pairs come in parts, whose sums are added up in a tree.
#include "backend/cuda_pass.h"
#include "backend/cuda_samples.h"
#include "backend/cuda_training.h"
#include "base/tree.h"
#include "cuda/tree.h"
#include "model/network.h"
#include "task/data.h"

typedef struct training {
    ts_cuda_training base; // first
    ts_graph graph;
    ts_cuda_pass pass;
    ts_samples_work samples; // of features
    int first, end;          // parts of the pairs that are made here
    int *bad;                // (end - first, instances, blocks): 1 where some loss is not finite
    int blocks;
    // Of several parts: whether a loss of any is not finite (instances); then a stack of sums, of subtrees of parts
    // that follow each other.
    float *piece; // (verdicts, (most, instances, pass.summed))
    int most;
} training;

// --- Shapes ---

static size_t verdicts(const training *t) {
    return TS_QUAD_PAD((size_t)t->base.instances);
}

static void share_parts(training *t) {
    const ts_team *team = t->base.spec.team;
    ts_subtree list[TS_MOST_SUBTREES];
    ts_tree_share(t->pass.parts, team ? team->rank : 0, team ? team->size : 1, &t->first, &t->end);
    ts_cuda_pairs_cut(&t->base.pairs, t->pass.parts, t->first, t->end);
    for (int part = t->first; part < t->end; part++) { // beside what is made before it
        int subtrees = ts_tree_subtrees(t->first, part, list) + 1;
        t->most = subtrees > t->most ? subtrees : t->most;
    }
    t->base.parts = t->pass.parts;
    t->base.summed = t->pass.summed;
}

static ts_status set_shape(void *handle) {
    training *t = handle;
    const ts_training_spec *spec = &t->base.spec;
    const ts_table *table = spec->data->table;
    if (!table)
        ts_cuda_samples_begin(&t->samples, spec);
    ts_status status = ts_model_define_training(&spec->params[0], spec->data, &t->graph);
    if (status == TS_OK)
        status = ts_cuda_pass_create(&t->graph, &t->base.layout, t->base.instances,
                                     table ? t->base.pairs.train : t->samples.batch, &t->pass);
    t->blocks = ts_cuda_cross_entropy_blocks(t->pass.pairs);
    t->end = 1;
    if (status == TS_OK && t->pass.parts > 1)
        share_parts(t);
    return status;
}

static void take(void *handle) {
    training *t = handle;
    ts_cuda_training *base = &t->base;
    size_t count = (size_t)base->instances, parts = (size_t)(t->end - t->first);
    ts_cuda_pass_take(&t->pass, &base->device);
    t->bad = ts_cuda_slab_take(&base->device, parts * count * (size_t)t->blocks, sizeof(int));
    if (t->pass.parts > 1) {
        int of_team = base->team ? ts_cuda_team_subtrees(base->team) : 0;
        size_t most = (size_t)(of_team > t->most ? of_team : t->most);
        t->piece = ts_cuda_slab_take(&base->device, verdicts(t) + most * count * (size_t)t->pass.summed, sizeof(float));
    }
    if (base->spec.data->table)
        return;
    ts_samples_work *samples = &t->samples;
    samples->x = ts_cuda_pass_rows(&t->pass, ts_graph_input_node(&t->graph));
    samples->output = ts_cuda_pass_rows(&t->pass, t->graph.output);
    ts_cuda_samples_take(samples, &base->spec, t->graph.penalised, &base->device);
    samples->begun = ts_cuda_training_begun(base);
    samples->taken = ts_cuda_training_taken(base);
    samples->stopped = ts_cuda_training_stopped(base);
    samples->bad = t->bad;
}

static ts_status initialise(void *handle) {
    training *t = handle;
    return t->base.spec.data->table
               ? TS_OK
               : ts_cuda_samples_upload(&t->samples, &t->base.spec, t->graph.penalised, t->base.stream);
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
static void differentiate(training *t, const ts_cuda_pairs *pairs, int *bad) {
    const ts_cross_entropy_work work = {
        .instances = t->base.instances,
        .pairs = pairs->count,
        .n_out = pairs->n_out,
        .share = pairs->share,
        .logits = ts_cuda_pass_rows(&t->pass, t->graph.output),
        .label = pairs->label,
        .blocks = t->blocks,
        .bad = bad,
        .stopped = ts_cuda_training_stopped(&t->base),
    };
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_loss(&work, t->graph.loss, t->base.stream);
}

static void forward(training *t, const ts_cuda_batch *batch, ts_cuda_pass_of of) {
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_pass_forward(&t->pass, batch, of, t->base.stream);
}

static void back(training *t, const ts_cuda_batch *batch, ts_cuda_pass_of of) {
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_pass_back(&t->pass, batch, of, t->base.stream);
}

static void learn_at_once(training *t, const ts_cuda_batch *batch) {
    if (!batch->pairs)
        draw_samples(t);
    forward(t, batch, TS_OF_ALL);
    if (batch->pairs)
        differentiate(t, batch->pairs, t->bad);
    else
        start(t, ts_cuda_loss_of_squares);
    back(t, batch, TS_OF_ALL);
}

// --- Several parts ---

static float *sums_at(const training *t, int place) {
    return t->piece + verdicts(t) + (size_t)place * (size_t)t->base.instances * (size_t)t->pass.summed;
}

static void learn_part(training *t, ts_cuda_batch batch, int part, float *sums) {
    const ts_cuda_pairs pairs = ts_cuda_pairs_part(&t->base.pairs, t->base.instances, part);
    batch.pairs = &pairs;
    batch.sums = sums;
    forward(t, &batch, TS_OF_PAIRS);
    differentiate(t, &pairs, t->bad + (size_t)(part - t->first) * (size_t)t->base.instances * (size_t)t->blocks);
    back(t, &batch, TS_OF_PAIRS);
}

static void add_sums(training *t, float *to, const float *from) {
    const ts_tree_work work = {
        .instances = t->base.instances,
        .count = (int)t->pass.summed,
        .to = to,
        .from = from,
        .to_step = t->pass.summed,
        .from_step = t->pass.summed,
        .stopped = ts_cuda_training_stopped(&t->base),
    };
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_tree_add(&work, t->base.stream);
}

static void find_verdicts(training *t) {
    const ts_any_work work = {
        .instances = t->base.instances,
        .sets = t->end - t->first,
        .count = t->blocks,
        .flag = t->bad,
        .set_step = (int64_t)t->base.instances * t->blocks,
        .any = (int *)(void *)t->piece,
        .stopped = ts_cuda_training_stopped(&t->base),
    };
    if (t->base.error == cudaSuccess)
        t->base.error = ts_cuda_any(&work, t->base.stream);
}

// Each part's sums join what they complete on their left, so that few are kept; a team's ranks then share theirs.
static void learn_parts(training *t, ts_cuda_batch *batch) {
    ts_subtree list[TS_MOST_SUBTREES];
    int made = 0;
    forward(t, batch, TS_OF_TABLES);
    for (int part = t->first; part < t->end; part++) {
        learn_part(t, *batch, part, sums_at(t, made++));
        for (int left = ts_tree_subtrees(t->first, part + 1, list); made > left; made--)
            add_sums(t, sums_at(t, made - 2), sums_at(t, made - 1));
    }
    find_verdicts(t);
    batch->sums = sums_at(t, 0);
    if (t->base.team && t->base.error == cudaSuccess)
        t->base.error = ts_cuda_team_queue(t->base.team, t->piece, batch->stopped, t->base.stream, &batch->sums);
    back(t, batch, TS_OF_TABLES);
}

static void queue_step(void *handle) {
    training *t = handle;
    ts_cuda_training *base = &t->base;
    ts_operand weights = ts_cuda_training_weights(base, 0);
    ts_cuda_batch batch = {.weights = base->state,
                           .weights_step = weights.instance_step,
                           .pairs = base->spec.data->table ? &base->pairs : NULL,
                           .stopped = ts_cuda_training_stopped(base),
                           .tf32x3 = ts_network_tf32x3(&base->spec.params[0])};
    bool several = t->pass.parts > 1;
    if (several)
        learn_parts(t, &batch);
    else
        learn_at_once(t, &batch);
    const ts_cuda_gradient whole = {
        .whole = t->pass.cleared,
        .whole_count = base->layout.padded,
        .bad = several ? (int *)(void *)t->piece : t->bad,
        .blocks = several ? 1 : t->blocks,
    };
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

// As of the transformer: rounds of tiles of the output, of 128 x 64 and three to a multiprocessor. Each part of a large
// instance is enough for a GPU.
static int64_t fill(const ts_params *params, const struct ts_data *data) {
    const ts_training_spec one = {.params = params, .count = 1, .data = data};
    ts_samples_work samples;
    if (!data->table)
        ts_cuda_samples_begin(&samples, &one);
    int64_t rows = data->table ? ts_network_train(params, data->table) : samples.batch;
    int columns = data->table ? ts_network_outputs(params) : data->features->features;
    return ts_cuda_fill((rows + 127) / 128 * ((columns + 63) / 64), 3, 20);
}

const ts_engine ts_cuda_network = {
    .name = TS_GENERAL,
    .help = TS_GENERAL_HELP,
    .wide = true,
    .most_parts = TS_CUDA_MOST_PARTS,
    .tf32x3 = true,
    .can = ts_cuda_optimiser_can,
    .create = create,
    TS_CUDA_ENGINE_FUNCTIONS,
    .fill = fill,
};
