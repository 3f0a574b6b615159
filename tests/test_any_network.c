// Engines that train any network have the gradient of the reference, for random networks over all operations: as models
// of their own, that an engine meets as it does any other. Their kernels have the gradient of every loss.
//   test_any_network [BACKEND...]
#define _POSIX_C_SOURCE 200809L
#include "network/plan.h"
#include "support_engine.h"
#include "support_graph.h"
#ifdef TS_HAVE_CUDA
#include "backend/cuda.h"
#include "cuda/network.h"
#include "cuda/samples.h"
#endif

#include <math.h>

#if defined __SANITIZE_THREAD__ // is slow, and every operation comes soon
enum { NETWORKS = 30 };
#elif defined TS_EMULATE || defined __SANITIZE_ADDRESS__
enum { NETWORKS = 100 };
#else
enum { NETWORKS = 500 };
#endif
enum { INSTANCES = 3 };

// --- A model that is a random network ---

static ts_graph network;
static int parts = 1; // of its pairs, where there are as many

int __wrap_ts_plan_parts(const ts_plan *plan, int64_t pairs);
int __wrap_ts_plan_parts(const ts_plan *plan, int64_t pairs) {
    (void)plan;
    return parts <= pairs ? parts : 1;
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    (void)params;
    *out = network.layout;
}

// From -1 to 1, others for each instance.
static void initialise(const ts_params *params, float *parameters) {
    uint64_t random = (uint64_t)ts_params_integer(params, "seed") + 1;
    for (int64_t i = 0; i < network.layout.total; i++)
        parameters[i] = (float)support_real(&random);
}

static int define(const ts_params *params, ts_graph *graph) {
    int made[256];
    (void)params;
    assert_in_range(network.count, 1, 256);
    for (int i = 0; i < network.count; i++) {
        ts_node node = network.node[i];
        for (int j = 0; j < node.inputs; j++)
            node.input[j] = made[node.input[j]];
        made[i] = ts_graph_add(graph, node);
    }
    graph->loss = network.loss;
    return made[network.output];
}

typedef struct unit {
    support_instance f;
    ts_model model;
    ts_schema schema;
} unit;

// Instances of the network's shape, with an update whose first moment is the gradient.
static void open_unit(unit *u) {
    char text[512], task[256];
    int outputs = network.node[network.output].width;
    if (network.tokens)
        snprintf(task, sizeof task, "task: group\ngroup: C%d\nembed: 16\nhidden: 16\ntrain_fraction: 0.7\n", outputs);
    else
        snprintf(task, sizeof task, "task: independent\nfeatures: %d\nfeature_probability: 0.6\nbatch: 9\nhidden: 1\n",
                 outputs);
    snprintf(text, sizeof text, "%sbeta1: 0\nsteps: 20\nseed: 0..%d\n", task, INSTANCES - 1);
    support_open(&u->f, text);
    assert_int_equal(u->f.rows, INSTANCES);
    u->schema = *u->f.params.schema;
    u->model = *u->schema.model;
    u->model.name = "random";
    u->model.layout = layout;
    u->model.initialise = initialise;
    u->model.define = define;
    u->schema.model = &u->model;
    u->f.params.schema = &u->schema;
    for (int i = 0; i < INSTANCES; i++)
        u->f.all[i].schema = &u->schema;
}

// --- Gradients ---

typedef struct gradients {
    size_t parameters;
    bool finite;
    double *of; // (INSTANCES, parameters)
} gradients;

static void open_gradients(gradients *g) {
    g->parameters = (size_t)network.layout.total;
    g->of = ts_alloc_zero(INSTANCES * g->parameters, sizeof *g->of, "gradients");
    assert_non_null(g->of);
}

// At the initial weights, each times 1 + `off` or 1 - `off`.
static void find_gradients(const ts_engine *engine, const unit *u, double off, uint64_t random, gradients *g) {
    support_training t;
    int64_t reached[INSTANCES] = {0};
    support_create(engine, &u->f.unit, &t);
    double *values = ts_alloc(t.numbers * sizeof *values, "a state");
    for (int i = 0; i < INSTANCES; i++) {
        support_get(&t, i, values);
        for (size_t p = 0; p < g->parameters; p++)
            values[p] *= support_below(&random, 2) ? 1 + off : 1 - off;
        support_put(&t, i, values);
    }
    assert_int_equal(engine->train(t.handle, 0, 1, reached), TS_OK);
    g->finite = true;
    for (int i = 0; i < INSTANCES; i++) {
        g->finite = g->finite && reached[i] == 1;
        support_get(&t, i, values);
        memcpy(g->of + (size_t)i * g->parameters, values + g->parameters, g->parameters * sizeof *values);
    }
    support_destroy(&t);
    ts_free(values);
}

static double distance(const gradients *one, const gradients *other, int instance) {
    double sum = 0;
    for (size_t p = 0, at = (size_t)instance * one->parameters; p < one->parameters; p++, at++)
        sum += pow(one->of[at] - (other ? other->of[at] : 0), 2);
    return sqrt(sum);
}

// What float32's rounding may change: of weights that are rounded otherwise, or kinks that these fall to the other side
// of; at the least some roundings of the gradient itself, and of what a layer norm of nearly equal numbers amplifies.
static double allowed(const unit *u, const gradients *exact, int instance) {
    enum { TURNS = 6 };
    double most = 0;
    gradients other;
    open_gradients(&other);
    for (int turn = 0; turn < TURNS; turn++) {
        find_gradients(support_reference(&u->f.params), u, 0x1p-22, (uint64_t)turn, &other);
        most = fmax(most, distance(exact, &other, instance));
    }
    ts_free(other.of);
    return 8 * most + 2e-5 * distance(exact, NULL, instance) + 1e-9;
}

// False: the numbers of the network are too large for float32.
static bool compare(const ts_engine *engine, const unit *u, int seed) {
    gradients exact, found;
    open_gradients(&exact);
    open_gradients(&found);
    find_gradients(support_reference(&u->f.params), u, 0, 0, &exact);
    bool tame = exact.finite;
    for (int i = 0; i < INSTANCES; i++)
        tame = tame && distance(&exact, NULL, i) < 1e6;
    if (tame) {
        find_gradients(engine, u, 0, 0, &found);
        for (int i = 0; i < INSTANCES; i++) {
            double error = distance(&exact, &found, i), size = distance(&exact, NULL, i);
            if (!(found.finite && (error <= 1e-6 * size || error <= allowed(u, &exact, i))))
                fail_msg("network %d, instance %d: error %g of a gradient of %g, allowed %g", seed, i, error, size,
                         allowed(u, &exact, i));
        }
    }
    ts_free(exact.of);
    ts_free(found.of);
    return tame;
}

// --- Neighbours of an instance that is done for ---

// A step of all instances, the first at weights beyond all bounds, or not; where the others are then.
static void step_beside(const ts_engine *engine, const unit *u, double spoil, double *values) {
    support_training t;
    int64_t reached[INSTANCES] = {0};
    support_create(engine, &u->f.unit, &t);
    support_get(&t, 0, values);
    for (size_t p = 0; p < (size_t)network.layout.total; p++)
        values[p] *= spoil;
    support_put(&t, 0, values);
    for (int64_t step = 0; step < 2; step++) // the second meets what the first has left
        assert_int_equal(engine->train(t.handle, step, step + 1, reached), TS_OK);
    for (int i = 1; i < INSTANCES; i++)
        support_get(&t, i, values + (size_t)(i - 1) * t.numbers);
    support_destroy(&t);
}

static void compare_beside(const ts_engine *engine, const unit *u, int seed) {
    support_training t;
    support_create(engine, &u->f.unit, &t);
    size_t numbers = INSTANCES * t.numbers;
    support_destroy(&t);
    double *clean = ts_alloc_zero(2 * numbers, sizeof *clean, "states"), *beside = clean + numbers;
    step_beside(engine, u, 1, clean);
    step_beside(engine, u, 1e30, beside);
    if (memcmp(clean, beside, (numbers - numbers / INSTANCES) * sizeof *clean) != 0)
        fail_msg("network %d: an instance with infinite numbers changes its neighbours", seed);
    ts_free(clean);
}

static void each_network(void **state, int networks, void (*test)(const ts_engine *, const unit *, int seed)) {
    for (int seed = 0; seed < networks; seed++) {
        unit u;
        assert_int_equal(support_random_graph((uint64_t)seed, &network), TS_OK);
        open_unit(&u);
        const ts_engine *engine = support_tested_engine(state, &u.f.params);
        if (engine)
            test(engine, &u, seed);
        support_close(&u.f);
        ts_graph_free(&network);
    }
}

static void test_neighbours_of_infinite_numbers(void **state) {
    each_network(state, 2 * NETWORKS, compare_beside);
}

static void try_networks(void **state, int networks) {
    int tried = 0, left_out = 0;
    for (int seed = 0; seed < networks; seed++) {
        unit u;
        if (support_random_graph((uint64_t)seed, &network) != TS_OK)
            fail_msg("network %d: %s", seed, ts_message());
        network.loss = (ts_loss)(seed % TS_LOSSES);
        open_unit(&u);
        const ts_engine *engine = support_tested_engine(state, &u.f.params);
        if (engine && compare(engine, &u, seed))
            tried++;
        else if (engine)
            left_out++;
        support_close(&u.f);
        ts_graph_free(&network);
    }
    print_message("%d networks, %d more whose numbers are too large\n", tried, left_out);
    assert_true(tried >= networks / 2 && left_out <= tried / 10);
}

static void test_random_networks(void **state) {
    try_networks(state, NETWORKS);
}

// All that pairs add to, whatever else does, and neighbours of an instance that has stopped.
static void test_parts(void **state) {
    parts = 4;
    try_networks(state, NETWORKS / 2);
    each_network(state, NETWORKS / 4, compare_beside);
    parts = 1;
}

// --- Losses ---

// Rows of logits (ROWS, width), `stride` apart, pads 0.
enum { ROWS = 37, WIDEST = 1024 };
typedef struct logits {
    int width, stride;
    float share, *z; // (ROWS, stride): replaced by gradients
    int label[ROWS];
} logits;

// False: a loss is not finite.
typedef bool differentiate(ts_loss loss, logits *l);

static void open_logits(int width, int multiple, double size, uint64_t random, logits *l) {
    *l = (logits){.width = width, .stride = (width + multiple - 1) / multiple * multiple, .share = 1.0F / 37};
    l->z = ts_alloc_zero((size_t)ROWS * (size_t)l->stride, sizeof *l->z, "logits");
    for (int r = 0; r < ROWS; r++) {
        l->label[r] = support_below(&random, width);
        for (int j = 0; j < width; j++)
            l->z[r * l->stride + j] = (float)(size * support_real(&random));
    }
}

static void compare_losses(differentiate *of, int multiple, ts_loss loss, int width, double size) {
    logits l;
    double exact[WIDEST];
    open_logits(width, multiple, size, (uint64_t)width, &l);
    float *given = ts_alloc((size_t)ROWS * (size_t)l.stride * sizeof *given, "logits");
    memcpy(given, l.z, (size_t)ROWS * (size_t)l.stride * sizeof *given);
    assert_true(of(loss, &l));
    for (int r = 0; r < ROWS; r++) {
        for (int j = 0; j < width; j++)
            exact[j] = given[r * l.stride + j];
        ts_loss_of(loss, width, exact, l.label[r]);
        for (int j = 0; j < l.stride; j++) {
            double expected = j < width ? l.share * exact[j] : 0, found = l.z[r * l.stride + j];
            if (!(fabs(found - expected) <= 3e-6 * fabs(expected) + 1e-30))
                fail_msg("loss %d, row %d, number %d of %d: %.9g, expected %.9g", (int)loss, r, j, width, found,
                         expected);
        }
    }
    ts_free(given);
    ts_free(l.z);
}

static void check_losses(differentiate *of, int multiple) {
    static const int WIDTHS[] = {2, 5, 16, 33, 130, 300, WIDEST};
    static const float ENDS[] = {NAN, INFINITY, -INFINITY};
    for (int loss = 0; loss < TS_LOSSES; loss++)
        for (size_t w = 0; w < sizeof WIDTHS / sizeof *WIDTHS; w++) {
            compare_losses(of, multiple, (ts_loss)loss, WIDTHS[w], 3);
            compare_losses(of, multiple, (ts_loss)loss, WIDTHS[w], 60);
        }
    for (int loss = 0; loss < TS_LOSSES; loss++)
        for (int r = 0; r < ROWS; r += 9)
            for (size_t e = 0; e < sizeof ENDS / sizeof *ENDS; e++) { // of the label, at which every loss ends
                logits l;
                open_logits(9, multiple, 3, 1, &l);
                l.z[r * l.stride + l.label[r]] = ENDS[e];
                if (of((ts_loss)loss, &l))
                    fail_msg("loss %d of a logit %g in row %d is taken for finite", loss, (double)ENDS[e], r);
                ts_free(l.z);
            }
}

static bool differentiate_on_cpu(ts_loss loss, logits *l) {
    float valid[TS_VECTOR_LANES];
    for (int j = 0; j < TS_VECTOR_LANES; j++)
        valid[j] = l->stride - TS_VECTOR_LANES + j < l->width ? 1 : 0;
    return ts_cpu_kernels()->loss(loss, l->z, ROWS, l->stride, valid, l->label, l->share);
}

TEST(test_cpu_losses_have_their_gradients) {
    check_losses(differentiate_on_cpu, TS_VECTOR_LANES);
}

#ifdef TS_HAVE_CUDA

static bool differentiate_on_gpu(ts_loss loss, logits *l) {
    ts_cuda_slab slab = {0};
    cudaStream_t stream;
    int blocks = ts_cuda_cross_entropy_blocks(ROWS), verdict[2] = {0, 0}, zero = 0, *label = NULL, *bad = NULL,
        *stopped = NULL;
    float *z = NULL;
    size_t bytes = (size_t)ROWS * (size_t)l->stride * sizeof *z;
    assert_int_equal(blocks, sizeof verdict / sizeof *verdict);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(pass == 1 ? ts_cuda_slab_reserve(&slab, "logits") : TS_OK, TS_OK);
        z = ts_cuda_slab_take(&slab, bytes, 1);
        label = ts_cuda_slab_take(&slab, ROWS, sizeof *label);
        bad = ts_cuda_slab_take(&slab, (size_t)blocks, sizeof *bad);
        stopped = ts_cuda_slab_take(&slab, 1, sizeof *stopped);
    }
    const ts_cross_entropy_work work = {.instances = 1,
                                        .pairs = ROWS,
                                        .n_out = l->width,
                                        .share = l->share,
                                        .logits = {z, 0, 0, l->stride},
                                        .label = label,
                                        .blocks = blocks,
                                        .bad = bad,
                                        .stopped = stopped};
    assert_int_equal(ts_cuda_stream(&stream), TS_OK);
    assert_int_equal(ts_cuda_upload(z, l->z, bytes, stream), TS_OK);
    assert_int_equal(ts_cuda_upload(label, l->label, sizeof l->label, stream), TS_OK);
    assert_int_equal(ts_cuda_upload(stopped, &zero, sizeof zero, stream), TS_OK);
    assert_int_equal(ts_cuda_loss(&work, loss, stream), cudaSuccess);
    assert_int_equal(ts_cuda_download(l->z, z, bytes, stream), TS_OK);
    assert_int_equal(ts_cuda_download(verdict, bad, sizeof verdict, stream), TS_OK);
    assert_int_equal(ts_cuda_wait(stream, "losses"), TS_OK);
    ts_cuda_stream_free(stream);
    ts_cuda_slab_free(&slab);
    return !verdict[0] && !verdict[1];
}

TEST(test_cuda_losses_have_their_gradients) {
    check_losses(differentiate_on_gpu, TS_QUAD);
}

// Inputs x and outputs z (ROWS, stride) of a batch, with a scale (stride) and weights; the gradient takes z's place.
// False: a loss is not finite.
static bool square_on_gpu(int width, int stride, const float *x, const float *scale, const float *weight, float *z) {
    ts_cuda_slab slab = {0};
    cudaStream_t stream;
    int blocks = ts_cuda_cross_entropy_blocks(ROWS), verdict[2] = {0, 0}, zero = 0, *stopped = NULL;
    size_t rows = (size_t)ROWS * (size_t)stride * sizeof *z;
    ts_samples_work work = {.instances = 1, .batch = ROWS, .blocks = blocks};
    float *given = NULL, *output = NULL, *share = NULL;
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(pass == 1 ? ts_cuda_slab_reserve(&slab, "outputs") : TS_OK, TS_OK);
        given = ts_cuda_slab_take(&slab, rows, 1);
        output = ts_cuda_slab_take(&slab, rows, 1);
        share = ts_cuda_slab_take(&slab, ROWS, sizeof *share);
        work.scale = ts_cuda_slab_take(&slab, (size_t)stride, sizeof *scale);
        work.bad = ts_cuda_slab_take(&slab, (size_t)blocks, sizeof *work.bad);
        stopped = ts_cuda_slab_take(&slab, 1, sizeof *stopped);
    }
    work.data = (ts_cuda_features){.features = width, .inputs = ROWS, .probability = share};
    work.x = (ts_operand){given, 0, 0, stride};
    work.output = (ts_operand){output, 0, 0, stride};
    work.stopped = stopped;
    assert_int_equal(ts_cuda_stream(&stream), TS_OK);
    assert_int_equal(ts_cuda_upload(given, x, rows, stream), TS_OK);
    assert_int_equal(ts_cuda_upload(output, z, rows, stream), TS_OK);
    assert_int_equal(ts_cuda_upload(share, weight, ROWS * sizeof *weight, stream), TS_OK);
    assert_int_equal(ts_cuda_upload(work.scale, scale, (size_t)stride * sizeof *scale, stream), TS_OK);
    assert_int_equal(ts_cuda_upload(stopped, &zero, sizeof zero, stream), TS_OK);
    assert_int_equal(ts_cuda_loss_of_squares(&work, stream), cudaSuccess);
    assert_int_equal(ts_cuda_download(z, output, rows, stream), TS_OK);
    assert_int_equal(ts_cuda_download(verdict, work.bad, (size_t)blocks * sizeof *verdict, stream), TS_OK);
    assert_int_equal(ts_cuda_wait(stream, "losses"), TS_OK);
    ts_cuda_stream_free(stream);
    ts_cuda_slab_free(&slab);
    return !verdict[0] && !verdict[1];
}

// In whichever row a loss is not finite (-1: in none), it is noticed.
static void compare_squares(int width, int infinite) {
    enum { MOST = 160 };
    int stride = TS_QUAD_PAD(width);
    uint64_t random = (uint64_t)width;
    float x[ROWS * MOST] = {0}, z[ROWS * MOST] = {0}, scale[MOST] = {0}, weight[ROWS];
    double expected[ROWS][MOST], of_x[MOST], share[MOST];
    assert_in_range(stride, 1, MOST);
    for (int f = 0; f < width; f++)
        scale[f] = (float)(1 + support_real(&random));
    for (int row = 0; row < ROWS; row++) {
        weight[row] = (float)(1 + support_real(&random)) / ROWS;
        for (int f = 0; f < width; f++) {
            x[row * stride + f] = (float)support_real(&random);
            z[row * stride + f] = row == infinite && f == width / 2 ? INFINITY : (float)support_real(&random);
            of_x[f] = (double)x[row * stride + f];
            expected[row][f] = (double)z[row * stride + f];
            share[f] = (double)weight[row] * (double)scale[f];
        }
        ts_loss_of_squares(width, expected[row], of_x, share);
    }
    if (square_on_gpu(width, stride, x, scale, weight, z) != (infinite < 0))
        fail_msg("%d outputs: a loss of row %d that is not finite is %s", width, infinite,
                 infinite < 0 ? "found" : "not noticed");
    for (int i = 0; infinite < 0 && i < ROWS * stride; i++) {
        double found = (double)z[i], exact = i % stride < width ? expected[i / stride][i % stride] : 0;
        if (!(fabs(found - exact) <= 1e-6 * fabs(exact) + 1e-9))
            fail_msg("%d outputs, number %d: %.9g, expected %.9g", width, i, found, exact);
    }
}

TEST(test_cuda_squares_have_their_gradients) {
    static const int WIDTHS[] = {1, 4, 31, 130, 157};
    for (size_t w = 0; w < sizeof WIDTHS / sizeof *WIDTHS; w++)
        for (int infinite = -1; infinite < ROWS; infinite += infinite < 0 ? 1 : 4)
            compare_squares(WIDTHS[w], infinite);
}

#endif

int main(int argc, char **argv) {
    static const support_promise PROMISES[] = {
        {"random_networks_have_the_gradient_of_the_reference", test_random_networks, SUPPORT_SETTINGS_TOO, "cpu"},
        {"infinite_numbers_stay_with_their_instance", test_neighbours_of_infinite_numbers, SUPPORT_SETTINGS_TOO, "cpu"},
        {"random_networks_in_parts_have_the_gradient_of_the_reference", test_parts, SUPPORT_SETTINGS_TOO, "cpu"},
        {"losses_have_their_gradients", test_cpu_losses_have_their_gradients, SUPPORT_SETTINGS_TOO, "cpu"},
#ifdef TS_HAVE_CUDA
        {"random_networks_have_the_gradient_of_the_reference", test_random_networks, SUPPORT_BACKEND, "cuda"},
        {"infinite_numbers_stay_with_their_instance", test_neighbours_of_infinite_numbers, SUPPORT_BACKEND, "cuda"},
        {"random_networks_in_parts_have_the_gradient_of_the_reference", test_parts, SUPPORT_BACKEND, "cuda"},
        {"losses_have_their_gradients", test_cuda_losses_have_their_gradients, SUPPORT_BACKEND, "cuda"},
        {"squares_have_their_gradients", test_cuda_squares_have_their_gradients, SUPPORT_BACKEND, "cuda"},
#endif
    };
    return SUPPORT_RUN(PROMISES, argc, argv);
}
