// Table models on the CUDA backend against the reference: gradients, steps, many instances at once, states, accuracy
// at any loss, divergence of one of several. On the emulator, or on a GPU.
#define _POSIX_C_SOURCE 200809L
#include "backend/cuda.h"
#include "backend/reference_table.h"
#include "cuda/table.h"
#include "model/model.h"
#include "model/transformer.h"
#include "support_adam.h"
#include "support_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TRANSFORMER "task: group\nmodel: transformer\nsteps: 200\n"

// Shapes that do and don't divide tiles, slabs and warps; each form of the kernels; one block of pairs and several.
static const struct {
    const char *sweep;
    int steps;
} CASES[] = {
    // The smallest of each model.
    {"task: group\ngroup: C5\nembed: 4\nhidden: 6\nsteps: 200\n", 20},
    {TRANSFORMER "group: S3\nd_model: 7\nheads: 1\nd_head: 3\nd_mlp: 6\ntrain_fraction: 0.8\n", 20},
    // Fused, by width of the hidden layer and of the outputs.
    {"task: group\ngroup: S4\nembed: 19\nhidden: 33\nsteps: 200\ntrain_fraction: 0.95\nweight_decay: 0.3\n",
     2},
    {"task: group\ngroup: D35\nembed: 16\nhidden: 62\nsteps: 200\ntrain_fraction: 0.02\nlr: 1e-2\n", 3},
    {"task: group\ngroup: C3xS3\nembed: 32\nhidden: 70\nsteps: 200\ntrain_fraction: 0.3\nschedule: cosine\n",
     3},
    {"task: group\ngroup: D64\nembed: 65\nhidden: 128\nsteps: 200\ntrain_fraction: 0.005\n", 2},
    // Not fused, by rows of logits and parts of the pairs.
    {"task: group\ngroup: D9\nembed: 19\nhidden: 131\nsteps: 200\ntrain_fraction: 0.4\n", 3},
    {"task: group\ngroup: C131\nembed: 8\nhidden: 10\nsteps: 200\ntrain_fraction: 0.125\n", 2},
    {"task: group\ngroup: C257\nembed: 4\nhidden: 6\nsteps: 200\ntrain_fraction: 0.001\n", 2},
    // Transformers. Read out at once, by groups of warps that share a token's pairs; tiles of pairs, parts of heads.
    {TRANSFORMER "group: C7\nd_model: 19\nheads: 3\nd_head: 5\nd_mlp: 131\ntrain_fraction: 0.95\nlr: 1e-2\n",
     20},
    {TRANSFORMER "group: S3\nd_model: 33\nheads: 5\nd_head: 9\nd_mlp: 41\ntrain_fraction: 0.9\n", 20},
    {TRANSFORMER "group: C5\nd_model: 6\nheads: 2\nd_head: 7\nd_mlp: 520\ntrain_fraction: 0.5\n", 3},
    // By way of the residual stream; several parts of pairs.
    {TRANSFORMER "group: C13\nd_model: 6\nheads: 2\nd_head: 4\nd_mlp: 9\ntrain_fraction: 0.2\n", 20},
    {TRANSFORMER "group: C37\nd_model: 6\nheads: 1\nd_head: 3\nd_mlp: 7\ntrain_fraction: 0.8\n", 1},
};
enum { N_CASES = sizeof CASES / sizeof *CASES };

// What races shows in one step, and the thread sanitizer is slow.
static int64_t at_most(int64_t steps) {
#ifdef __SANITIZE_THREAD__
    return steps < 1 ? steps : 1;
#else
    return steps;
#endif
}

static const ts_engine *cuda_engine(const support_instance *f) {
    const ts_backend *backend = ts_backend_find("cuda");
    if (backend->probe() != TS_OK) {
        print_message("no GPU: %s\n", ts_message());
        skip();
    }
    return ts_backend_engine(backend, f->params.schema->model->name);
}

static double distance(const float *a, const float *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += pow((double)a[i] - b[i], 2);
    return sqrt(sum);
}

// The gradient at the initial weights: after a first step the first moment is (1 - beta1) of it.
static void test_gradients_agree_with_the_reference(void **state) {
    (void)state;
    for (int c = 0; c < N_CASES; c++) {
        support_instance f;
        support_open(&f, CASES[c].sweep);
        const ts_engine *engine = cuda_engine(&f);
        size_t count = (size_t)f.parameters;
        double *weights = ts_alloc(count * sizeof *weights, "w"),
               *exact = ts_alloc(count * sizeof *exact, "g");
        double loss, error = 0, norm = 0;
        float *saved = ts_alloc(3 * count * sizeof *saved, "a state");
        void *training;
        int64_t reached = 0;
        for (size_t p = 0; p < count; p++)
            weights[p] = f.initial[p];
        assert_int_equal(ts_reference_table_gradient(&f.spec, weights, &loss, exact), TS_OK);
        assert_int_equal(engine->create(&f.spec, &training), TS_OK);
        assert_int_equal(engine->train(training, 0, 1, &reached), TS_OK);
        assert_int_equal(engine->get_state(training, 0, saved), TS_OK);
        engine->destroy(training);
        for (size_t p = 0; p < count; p++) {
            error += pow(saved[count + p] / (float)(1 - 0.9) - exact[p], 2);
            norm += exact[p] * exact[p];
        }
        print_message("%d: gradient off by %.2g of %.3g\n", c, sqrt(error), sqrt(norm));
        if (!(sqrt(error) <= 1e-6 * sqrt(norm)))
            fail_msg("error %g of a gradient of %g for: %s", sqrt(error), sqrt(norm), CASES[c].sweep);
        ts_free(weights);
        ts_free(exact);
        ts_free(saved);
        support_close(&f);
    }
}

// A table instance of SUPPORT_ADAM_COUNT parameters on the device.
typedef struct adam_instance {
    ts_cuda_slab slab;
    float *state, *gradient;
    ts_adam_betas *betas;
    ts_adam_rates *rates;
    int *progress; // stopped, taken
    cudaStream_t stream;
} adam_instance;

static void update(const void *context, float *state, const float *gradient, ts_adam_betas betas,
                   ts_adam_rates rates) {
    enum { COUNT = SUPPORT_ADAM_COUNT };
    const adam_instance *i = context;
    const int progress[2] = {0, 1};
    const ts_adamw_work work = {.instances = 1,
                                .count = COUNT,
                                .state = i->state,
                                .gradient = i->gradient,
                                .whole = COUNT,
                                .betas = i->betas,
                                .rates = i->rates,
                                .stopped = i->progress,
                                .taken = i->progress + 1};
    assert_int_equal(ts_cuda_upload(i->state, state, 3 * COUNT * sizeof *state, i->stream), TS_OK);
    assert_int_equal(ts_cuda_upload(i->gradient, gradient, COUNT * sizeof *gradient, i->stream), TS_OK);
    assert_int_equal(ts_cuda_upload(i->betas, &betas, sizeof betas, i->stream), TS_OK);
    assert_int_equal(ts_cuda_upload(i->rates, &rates, sizeof rates, i->stream), TS_OK);
    assert_int_equal(ts_cuda_upload(i->progress, progress, sizeof progress, i->stream), TS_OK);
    assert_int_equal(ts_cuda_adamw(&work, i->stream), cudaSuccess);
    assert_int_equal(ts_cuda_download(state, i->state, 3 * COUNT * sizeof *state, i->stream), TS_OK);
    assert_int_equal(ts_cuda_wait(i->stream, "updating"), TS_OK);
}

static void test_updates_have_the_bits_of_pytorch(void **state) {
    (void)state;
    adam_instance i = {0};
    if (!support_engine(ts_backend_find("cuda"), "mlp"))
        skip();
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(pass == 1 ? ts_cuda_slab_reserve(&i.slab, "an instance") : TS_OK, TS_OK);
        i.state = ts_cuda_slab_take(&i.slab, 3 * SUPPORT_ADAM_COUNT, sizeof *i.state);
        i.gradient = ts_cuda_slab_take(&i.slab, SUPPORT_ADAM_COUNT, sizeof *i.gradient);
        i.betas = ts_cuda_slab_take(&i.slab, 1, sizeof *i.betas);
        i.rates = ts_cuda_slab_take(&i.slab, 1, sizeof *i.rates);
        i.progress = ts_cuda_slab_take(&i.slab, 2, sizeof *i.progress);
    }
    assert_int_equal(ts_cuda_stream(&i.stream), TS_OK);
    support_adam_has_the_bits_of_pytorch(update, &i);
    ts_cuda_stream_free(i.stream);
    ts_cuda_slab_free(&i.slab);
}

static double train_loss(const support_instance *f, const float *weights) {
    size_t count = (size_t)f->parameters;
    double *wide = ts_alloc(count * sizeof *wide, "w"), *gradient = ts_alloc(count * sizeof *gradient, "g"),
           loss;
    for (size_t p = 0; p < count; p++)
        wide[p] = weights[p];
    assert_int_equal(ts_reference_table_gradient(&f->spec, wide, &loss, gradient), TS_OK);
    ts_free(wide);
    ts_free(gradient);
    return loss;
}

static void test_steps_follow_the_reference(void **state) {
    (void)state;
    for (int c = 0; c < N_CASES; c++) {
        support_instance f;
        support_open(&f, CASES[c].sweep);
        cuda_engine(&f);
        float *expected = ts_alloc((size_t)f.parameters * sizeof(float), "weights");
        float *found = ts_alloc((size_t)f.parameters * sizeof(float), "weights");
        support_train("reference", &f, at_most(CASES[c].steps), expected);
        support_train("cuda", &f, at_most(CASES[c].steps), found);
        double error = distance(found, expected, f.parameters),
               way = distance(f.initial, expected, f.parameters);
        print_message("steps: error %.2g of a way of %.3g, loss %.12g, %.12g\n", error, way,
                      train_loss(&f, expected), train_loss(&f, found));
        if (!(error <= 2e-4 * way))
            fail_msg("error %g of a way of %g for: %s", error, way, CASES[c].sweep);
        assert_close(train_loss(&f, found), train_loss(&f, expected), 2e-6, 0);
        ts_free(expected);
        ts_free(found);
        support_close(&f);
    }
}

enum { MANY = 7 };

// Trains instances of a case, all at once (or if `one` >= 0 that one alone), for `steps` steps.
static void train_together(const support_instance *f, const ts_params *params, int one, int64_t steps,
                           float *weights, int64_t *reached) {
    const ts_engine *engine = cuda_engine(f);
    int count = one < 0 ? MANY : 1;
    ts_training_spec spec = {.params = params + (one < 0 ? 0 : one), .count = count, .data = f->data};
    void *training;
    memset(reached, 0, (size_t)count * sizeof *reached);
    assert_int_equal(engine->create(&spec, &training), TS_OK);
    assert_int_equal(engine->train(training, 0, steps, reached), TS_OK);
    for (int i = 0; i < count; i++)
        assert_int_equal(engine->get_parameters(training, i, weights + i * f->parameters), TS_OK);
    engine->destroy(training);
}

static double way_of(const support_instance *f, const ts_params *params, const float *weights, int64_t steps,
                     double *error) {
    size_t bytes = (size_t)f->parameters * sizeof(float);
    support_instance one = *f;
    float *expected = ts_alloc(bytes, "weights"), *initial = ts_alloc(bytes, "weights");
    one.spec.params = params;
    support_train("reference", &one, steps, expected);
    params->schema->model->initialise(params, initial);
    *error = distance(weights, expected, f->parameters);
    double way = distance(initial, expected, f->parameters);
    ts_free(expected);
    ts_free(initial);
    return way;
}

// A form of the kernels each; few pairs, so that 20 steps take no time on the emulator.
static void test_seven_follow_the_reference_with_the_bits_of_one(void **state) {
    (void)state;
    static const char *const SWEEPS[] = {
        "task: group\ngroup: C5\nembed: 5\nhidden: 9\nsteps: 200\ntrain_fraction: 0.8\nseed: 0..6\n",
        "task: group\ngroup: S3\nembed: 5\nhidden: 66\nsteps: 200\ntrain_fraction: 0.7\nseed: 0..6\n",
        "task: group\ngroup: S3\nembed: 5\nhidden: 130\nsteps: 200\ntrain_fraction: 0.7\nseed: 0..6\n",
        TRANSFORMER
        "group: S3\nd_model: 9\nheads: 3\nd_head: 3\nd_mlp: 60\ntrain_fraction: 0.7\nseed: 0..6\n",
        TRANSFORMER "group: C13\nd_model: 6\nheads: 2\nd_head: 4\nd_mlp: 9\nseed: 0..6\n",
    };
    const int64_t steps = at_most(20);
    for (size_t s = 0; s < sizeof SWEEPS / sizeof *SWEEPS; s++) {
        support_instance f;
        ts_params params[MANY];
        int64_t reached[MANY];
        support_open(&f, SWEEPS[s]);
        size_t bytes = (size_t)f.parameters * sizeof(float);
        float *all = ts_alloc(MANY * bytes, "weights"), *alone = ts_alloc(bytes, "weights");
        for (int i = 0; i < MANY; i++)
            ts_case_params(f.sweep, 0, i, &params[i]);
        train_together(&f, params, -1, steps, all, reached);
        for (int i = 0; i < MANY; i++) {
            double error, way = way_of(&f, &params[i], all + i * f.parameters, steps, &error);
            if (!(error <= 2e-4 * way))
                fail_msg("instance %d: error %g of a way of %g for: %s", i, error, way, SWEEPS[s]);
        }
        train_together(&f, params, 3, steps, alone, reached);
        assert_memory_equal(all + 3 * f.parameters, alone, bytes);
        ts_free(all);
        ts_free(alone);
        support_close(&f);
    }
}

#define DIVERGING                                                                                            \
    "train_fraction: 0.7\nweight_decay: 0\nzip:\n  seed: 0..6\n"                                             \
    "  lr: [1e-3, 1e-3, 1e20, 1e-3, 1e30, 1e-3, 1e-3]\n"

static void test_a_diverging_instance_stops_alone(void **state) {
    (void)state;
    static const char *const SWEEPS[] = {
        "task: group\ngroup: S3\nembed: 5\nhidden: 6\nsteps: 400\n" DIVERGING,
        TRANSFORMER "group: C4\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 5\n" DIVERGING,
    };
    enum { STEPS = 7 };
    for (size_t s = 0; s < sizeof SWEEPS / sizeof *SWEEPS; s++) {
        support_instance f;
        ts_params params[MANY];
        int64_t reached[MANY], one;
        support_open(&f, SWEEPS[s]);
        float *all = ts_alloc(MANY * (size_t)f.parameters * sizeof *all, "weights");
        float *alone = ts_alloc((size_t)f.parameters * sizeof *alone, "weights");
        for (int i = 0; i < MANY; i++)
            ts_case_params(f.sweep, 0, i, &params[i]);
        train_together(&f, params, -1, STEPS, all, reached);
        for (int i = 0; i < MANY; i++)
            if (i == 2 || i == 4)
                assert_in_range(reached[i], 1, 5);
            else
                assert_int_equal(reached[i], STEPS);
        for (int i = 1; i < MANY; i += 3) {
            train_together(&f, params, i, STEPS, alone, &one);
            assert_int_equal(one, reached[i]);
            assert_memory_equal(all + i * f.parameters, alone, (size_t)f.parameters * sizeof(float));
        }
        ts_free(all);
        ts_free(alone);
        support_close(&f);
    }
}

static void test_a_saved_state_goes_on_with_the_same_bits(void **state) {
    (void)state;
    for (int c = 0; c < 3; c++) {
        support_instance f;
        support_open(&f, CASES[c].sweep);
        support_saved_state_goes_on("cuda", &f, 3, 7);
        support_close(&f);
    }
}

// States are float32 weights and moments in the model's layout, on every backend but the reference.
static void test_a_state_of_the_cpu_goes_on_here(void **state) {
    (void)state;
    for (int c = 0; c < N_CASES; c++) {
        support_instance f;
        support_open(&f, CASES[c].sweep);
        const ts_engine *cuda = cuda_engine(&f),
                        *cpu = ts_backend_engine(ts_backend_find("cpu"), cuda->model);
        void *here, *there;
        assert_int_equal(cpu->create(&f.spec, &there), TS_OK);
        assert_int_equal(cuda->create(&f.spec, &here), TS_OK);
        size_t bytes = cpu->state_bytes(there);
        assert_int_equal(cuda->state_bytes(here), bytes);
        float *sent = ts_alloc(bytes, "a state"), *back = ts_alloc(bytes, "a state");
        int64_t reached = 0;
        assert_int_equal(cpu->train(there, 0, 3, &reached), TS_OK);
        assert_int_equal(cpu->get_state(there, 0, sent), TS_OK);
        assert_int_equal(cuda->set_state(here, 0, sent), TS_OK);
        assert_int_equal(cuda->get_state(here, 0, back), TS_OK);
        assert_memory_equal(sent, back, bytes);
        cpu->destroy(there);
        cuda->destroy(here);
        ts_free(sent);
        ts_free(back);
        support_close(&f);
    }
}

// Weights that give each pair of C5 a hidden unit of its own, 1 there and at most 0 elsewhere: the pair's logits are
// that unit's row of the tensor that reads it out, and their gradient is the row's, over the number of pairs.
enum { N = 5, PAIRS = N * N };

// 1/2 into a pair's unit from each of its tokens, -1/2 from all others: (2 n, hidden).
static void pick_units(int hidden, float *w) {
    for (int token = 0; token < N; token++)
        for (int pair = 0; pair < PAIRS; pair++) {
            w[token * hidden + pair] = token == pair / N ? 0.5f : -0.5f;
            w[(N + token) * hidden + pair] = token == pair % N ? 0.5f : -0.5f;
        }
}

static void mlp_unit_a_pair(int hidden, float *const w[]) {
    for (int i = 0; i < N; i++)
        w[0][i * N + i] = w[1][i * N + i] = 1;
    pick_units(hidden, w[2]);
}

// Coordinates of the residual stream: tokens a, tokens b, logits, positions. Head 0 looks at a only, head 1 at b only:
// other scores are 200 less. Logits are coordinates, so W_out reads the units out.
enum { D = 3 * N + 3, LOGIT_AT = 2 * N, POSITION_AT = 3 * N };

static void transformer_unit_a_pair(int hidden, float *const w[]) {
    for (int i = 0; i < N; i++) {
        w[TS_W_E][i * D + i] = 1;
        w[TS_W_U][(LOGIT_AT + i) * N + i] = 1;
    }
    for (int position = 0; position < 3; position++)
        w[TS_W_POS][position * D + POSITION_AT + position] = 1;
    for (int head = 0; head < 2; head++) {
        w[TS_W_Q][(head * D + POSITION_AT + 2) * N] = 200 * sqrtf(N);
        w[TS_W_K][(head * D + POSITION_AT + head) * N] = 1;
        for (int i = 0; i < N; i++)
            w[TS_W_V][(head * D + i) * N + i] = w[TS_W_O][(head * N + i) * D + head * N + i] = 1;
    }
    pick_units(hidden, w[TS_W_IN]);
}

// Logits of a pair with that loss, at various heights.
static void logits_with_loss(double loss, int pair, int label, float z[N]) {
    double others = 0;
    for (int j = 0; j < N; j++)
        z[j] = (float)(20 * (pair % 5 - 2) + 3 * sin(j * 1.7 + pair));
    for (int j = 0; j < N; j++)
        others += j == label ? 0 : exp((double)z[j]);
    z[label] = (float)(log(others) - log(expm1(loss)));
}

static double worst_error(const float *gradient, const float *z, int label) {
    double others = 0, worst = 0;
    for (int j = 0; j < N; j++)
        others += j == label ? 0 : exp((double)z[j] - z[label]);
    for (int j = 0; j < N; j++) {
        double exact = (j == label ? -others : exp((double)z[j] - z[label])) / (1 + others);
        worst = fmax(worst, fabs(gradient[j] / exact - 1));
    }
    return worst;
}

static void test_logit_gradients_are_accurate_at_any_loss(void **state) {
    (void)state;
    static const double losses[] = {30, 1, 1e-3, 1e-6, 1e-9, 1e-12};
    enum { LOSSES = sizeof losses / sizeof *losses };
    static const struct {
        const char *keys;
        int hidden;
        void (*unit_a_pair)(int hidden, float *const tensors[]);
        int read, first, columns; // tensor that reads the units out, where the logits begin in its rows
    } NETWORKS[] = {
        {"embed: 5\nhidden: 25", PAIRS, mlp_unit_a_pair, 3, 0, N}, // fused
        {"embed: 5\nhidden: 129", 129, mlp_unit_a_pair, 3, 0, N},  // not
        {"model: transformer\nd_model: 18\nheads: 2\nd_head: 5\nd_mlp: 25", PAIRS, transformer_unit_a_pair,
         TS_W_OUT, LOGIT_AT, D},
    };
    for (size_t s = 0; s < sizeof NETWORKS / sizeof *NETWORKS; s++) {
        support_instance f;
        char sweep[128];
        ts_parameter_layout layout;
        float *tensors[TS_MAX_TENSORS], z[PAIRS][N];
        int columns = NETWORKS[s].columns;
        snprintf(sweep, sizeof sweep, "task: group\ngroup: C5\n%s\nsteps: 9\ntrain_fraction: 1\n",
                 NETWORKS[s].keys);
        support_open(&f, sweep);
        f.params.schema->model->layout(&f.params, &layout);
        const ts_engine *engine = cuda_engine(&f);
        float *saved = ts_alloc(3 * (size_t)f.parameters * sizeof *saved, "a state");
        memset(saved, 0, 3 * (size_t)f.parameters * sizeof *saved);
        for (int i = 0; i < layout.count; i++)
            tensors[i] = saved + layout.tensor[i].offset;
        float *read = tensors[NETWORKS[s].read] + NETWORKS[s].first;
        void *training;
        int64_t reached = 0;
        double worst = 0;
        NETWORKS[s].unit_a_pair(NETWORKS[s].hidden, tensors);
        for (int pair = 0; pair < PAIRS; pair++) {
            logits_with_loss(losses[pair % LOSSES], pair, f.data->table->result[pair], z[pair]);
            memcpy(read + pair * columns, z[pair], sizeof z[pair]);
        }
        assert_int_equal(engine->create(&f.spec, &training), TS_OK);
        assert_int_equal(engine->set_state(training, 0, saved), TS_OK);
        assert_int_equal(engine->train(training, 0, 1, &reached), TS_OK);
        assert_int_equal(engine->get_state(training, 0, saved), TS_OK);
        engine->destroy(training);
        for (int pair = 0; pair < PAIRS; pair++) {
            float gradient[N];
            for (int j = 0; j < N; j++)
                gradient[j] = (float)(read[f.parameters + pair * columns + j] / (1 - 0.9) * PAIRS);
            worst = fmax(worst, worst_error(gradient, z[pair], f.data->table->result[pair]));
        }
        print_message("%s, hidden %d: worst relative error of a logit's gradient %.2g\n", engine->model,
                      NETWORKS[s].hidden, worst);
        assert_true(worst <= 1e-6);
        ts_free(saved);
        support_close(&f);
    }
}

// The warp whose pair it is has to tell all others.
static void test_one_pair_without_a_finite_loss_stops_the_instance(void **state) {
    (void)state;
    static const int widths[] = {PAIRS, 129}, pairs[] = {0, 6, 13}; // of several warps, in both forms
    for (int s = 0; s < 2; s++) {
        support_instance f;
        char sweep[128];
        snprintf(sweep, sizeof sweep,
                 "task: group\ngroup: C5\nembed: 5\nhidden: %d\nsteps: 9\ntrain_fraction: 1\n", widths[s]);
        support_open(&f, sweep);
        const ts_engine *engine = cuda_engine(&f);
        float *saved = ts_alloc(3 * (size_t)f.parameters * sizeof *saved, "a state");
        float *w = saved + 2 * N * N, *w_u = saved + f.parameters - widths[s] * N;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            void *training;
            int64_t reached = 0;
            int pair = pairs[i], other = (f.data->table->result[pair] + 1) % N;
            memset(saved, 0, 3 * (size_t)f.parameters * sizeof *saved);
            mlp_unit_a_pair(widths[s], (float *[]){saved, saved + N * N, w});
            for (int token = 0; token < 2 * N; token++)
                w[token * widths[s] + pair] *= 4;
            w_u[pair * N + other] = 2e38f; // times a hidden unit of 4
            assert_int_equal(engine->create(&f.spec, &training), TS_OK);
            assert_int_equal(engine->set_state(training, 0, saved), TS_OK);
            assert_int_equal(engine->train(training, 0, 1, &reached), TS_OK);
            engine->destroy(training);
            if (reached != 0)
                fail_msg("hidden %d, pair %d: went on to step %d", widths[s], pair, (int)reached);
        }
        ts_free(saved);
        support_close(&f);
    }
}

int main(void) {
    // The fast ones first: tests/emulator/mutate.py waits for one that fails.
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_updates_have_the_bits_of_pytorch),
        cmocka_unit_test(test_one_pair_without_a_finite_loss_stops_the_instance),
        cmocka_unit_test(test_gradients_agree_with_the_reference),
        cmocka_unit_test(test_steps_follow_the_reference),
        cmocka_unit_test(test_seven_follow_the_reference_with_the_bits_of_one),
        cmocka_unit_test(test_a_diverging_instance_stops_alone),
        cmocka_unit_test(test_a_saved_state_goes_on_with_the_same_bits),
        cmocka_unit_test(test_a_state_of_the_cpu_goes_on_here),
        cmocka_unit_test(test_logit_gradients_are_accurate_at_any_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
