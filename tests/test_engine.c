// What every engine promises, tried on every backend that there is: gradients and steps of the right size, bits that
// depend on the instance alone, states, teams. A new engine has all of it by its line in src/backend/backends.c.
//   test_engine [BACKEND...]
#define _POSIX_C_SOURCE 200809L
#include "model/transformer.h"
#include "support_engine.h"

#define GROUP       "task: group\nsteps: 200\n"
#define EXPRESSION  "task: expression\nsteps: 200\ntrain_fraction: 0.6\n"
#define FEATURES    "task: independent\nfeatures: 9\nhidden: 5\nfeature_probability: {power: 0.5, base: 0.5}\nsteps: 200\n"
#define TRANSFORMER GROUP "model: transformer\n"

typedef struct shape {
    const char *sweep;
    int steps;     // as many as take no long on the emulator
    bool measured; // small enough for its loss to be measured often
} shape;

// Shapes that do and don't divide vectors, blocks, tiles, slabs and warps; every form of batch, importance, schedules;
// groups abelian and not; each form of the CUDA kernels, one block of pairs and several.
static const shape SHAPES[] = {
#ifdef TS_DOCUMENTED_SHAPE // of the model of docs/adding.md alone
#include TS_DOCUMENTED_SHAPE
#else
    {"task: tree\ndepth: 1\nhidden: 2\nsteps: 200\n", 20, true},
    {"task: tree\ndepth: 3\nhidden: 5\nsteps: 200\nlr: 1e-2\nschedule: cosine\n", 20, true},
    {"task: tree\ndepth: 3\nhidden: 1\nsteps: 200\nbatch: 3\n", 20, false},
    {"task: tree\ndepth: 6\nhidden: 10\nsteps: 200\nschedule: linear\n", 20, true},
    {"task: tree\ndepth: 4\nhidden: 17\nsteps: 200\nearly_stopping: false\nbatch: 100\n", 20, true},
    {"task: tree\ndepth: 6\nhidden: 13\nsteps: 200\nbatch: exact\nimportance: {base: 0.9}\n", 20, false},
    {"task: tree\ndepth: 2\nbranching: 4\nhidden: 3\nsteps: 200\nbatch: exact\nimportance: {base: 0.9}\n", 20, true},
    {"task: tree\ndepth: 3\nbranching: 3\nhidden: 8\nsteps: 200\nbatch: 301\n", 20, false},
    {"task: independent\nfeatures: 20\nhidden: 5\nsteps: 200\nbatch: 130\nfeature_probability: 0.2\n", 20, true},
    {"task: independent\nfeatures: 33\nhidden: 34\nsteps: 100\nbatch: 61\ncorrelated_pairs: 3\n"
     "anticorrelated_pairs: 4\nfeature_probability: {base: 0.85}\n",
     20, true},
    {"task: independent\nfeatures: 9\nhidden: 4\nsteps: 200\nbatch: 77\nbinary: true\n"
     "feature_probability: 0.1\ninit: xavier_per_instance\n",
     20, true},
    {"task: independent\nfeatures: 70\nhidden: 12\nsteps: 200\nbatch: 90\nbinary: true\n"
     "feature_probability: 0.1\n",
     20, false},
    // What kernels written for relu(W^T W x + b) do not train: the general engine does.
    {FEATURES "hidden_activation: relu\ntied: false\nbatch: 61\n", 20, true},
    {FEATURES "hidden_activation: square\nbias: false\nbatch: 33\n", 20, true},
    {FEATURES "hidden_activation: cube\ntied: false\nbatch: 20\n", 20, true},
    {FEATURES "hidden_activation: abs\ntarget: abs\nvalues: [-1, 1]\nbatch: 50\n", 20, true},
    {FEATURES "hidden_activation: gelu\nbatch: 30\nschedule: cosine_floor\nfloor: 0.5\nwarmup: 10\n", 20, true},
    {FEATURES "hidden_activation: tanh\ntied: false\nbias: false\nbatch: 30\n", 20, true},
    {FEATURES "tied: false\nbatch: 30\nbinary: true\nweight_decay: 0.1\n", 20, false},
    {FEATURES "bias: false\nbatch: exact\nbinary: true\n", 20, true},
    {FEATURES "l1: 0.1\nbatch: 50\nvalues: [0.5, 2]\n", 20, false},
    {FEATURES "l1: 0.1\nhidden_activation: relu\ntied: false\ntarget: abs\nbatch: exact\nbinary: true\n", 20, false},
    {FEATURES "samples: 100\nimportance: {power: 0.5}\n", 20, true},
    {FEATURES "optimizer: adamw\nweight_decay: -3\nbatch: 40\nlr: 0.05\n", 20, true}, // fused, too
    {FEATURES "optimizer: adamw\nweight_decay: -3\nbatch: 40\nlr: 0.05\ntied: false\n", 20, true},
    {"task: tree\ndepth: 3\nhidden: 5\nsteps: 200\nsamples: 40\n", 20, true},
    {"task: one_hot\nfeatures: 21\nhidden: 30\nsteps: 200\nbatch: exact\nbias: false\nl1: 0.01\n", 20, false},
    {"task: one_hot\nfeatures: 9\nhidden: 4\nsteps: 200\nbatch: 70\nfeature_probability: {power: 1}\n", 20, true},
    // Multilayer perceptrons.
    {GROUP "group: C5\nembed: 4\nhidden: 6\n", 20, true},
    {GROUP "group: C17\nembed: 8\nhidden: 1\n", 20, true},
    {GROUP "group: S3\nembed: 16\nhidden: 16\ntrain_fraction: 0.7\nlr: 1e-2\n", 20, true},
    {GROUP "group: D9\nembed: 19\nhidden: 33\ntrain_fraction: 0.6\nweight_decay: 0.3\n", 2, true},
    {GROUP "group: C3xS3\nembed: 32\nhidden: 48\ntrain_fraction: 0.9\nschedule: cosine\n", 2, true},
    // Fused on a GPU, by width of the hidden layer and of the outputs.
    {GROUP "group: S4\nembed: 19\nhidden: 33\ntrain_fraction: 0.95\nweight_decay: 0.3\n", 2, false},
    {GROUP "group: D35\nembed: 16\nhidden: 62\ntrain_fraction: 0.02\nlr: 1e-2\n", 3, false},
    {GROUP "group: C3xS3\nembed: 32\nhidden: 70\ntrain_fraction: 0.3\nschedule: cosine\n", 3, false},
    {GROUP "group: D64\nembed: 65\nhidden: 128\ntrain_fraction: 0.005\n", 2, false},
    // Not fused, by rows of logits and parts of the pairs.
    {GROUP "group: D9\nembed: 19\nhidden: 131\ntrain_fraction: 0.4\n", 3, false},
    {GROUP "group: C131\nembed: 8\nhidden: 10\ntrain_fraction: 0.125\n", 2, false},
    {GROUP "group: C257\nembed: 4\nhidden: 6\ntrain_fraction: 0.001\n", 2, false},
    // Other embeddings, biases, activations, losses and initial weights, which general engines train.
    {GROUP "group: C7\nembedding: one_hot\nactivation: square\nhidden: 17\nloss: mse\nbias: both\nlr: 1e-2\n", 20,
     true},
    {GROUP "group: S3\nembedding: shared\nactivation: gelu\nembed: 5\nhidden: 9\nloss: stablemax\nbias: hidden\n", 20,
     true},
    {GROUP "group: C5\nembedding: one_hot_separate\nactivation: cube\nhidden: 9\ninit: kaiming\nbias: output\n", 20,
     true},
    // Transformers. Read out at once, by groups of warps that share a token's pairs; tiles of pairs, parts of heads.
    {TRANSFORMER "group: C7\nd_model: 19\nheads: 3\nd_head: 5\nd_mlp: 131\ntrain_fraction: 0.95\nlr: 1e-2\n", 20, true},
    {TRANSFORMER "group: S3\nd_model: 33\nheads: 5\nd_head: 9\nd_mlp: 41\ntrain_fraction: 0.9\n", 20, true},
    {TRANSFORMER "group: C5\nd_model: 6\nheads: 2\nd_head: 7\nd_mlp: 520\ntrain_fraction: 0.5\n", 3, true},
    // By way of the residual stream; several parts of pairs.
    {TRANSFORMER "group: C13\nd_model: 6\nheads: 2\nd_head: 4\nd_mlp: 9\ntrain_fraction: 0.2\n", 20, true},
    {TRANSFORMER "group: C37\nd_model: 6\nheads: 1\nd_head: 3\nd_mlp: 7\ntrain_fraction: 0.8\n", 1, false},
    {TRANSFORMER "group: S3\nd_model: 7\nheads: 1\nd_head: 3\nd_mlp: 6\ntrain_fraction: 0.8\n", 20, true},
    {"task: power\np: 7\nm: 2\nn: 3\nd_model: 8\nheads: 1\nd_head: 4\nd_mlp: 6\nsteps: 200\n", 20, true},
    // Pairs that are not there; more results than tokens.
    {EXPRESSION "expression: a/b\np: 7\nmodel: mlp\nembed: 5\nhidden: 9\n", 20, true},
    {EXPRESSION "expression: a + b\nnonzero: true\np: 7\nmodel: mlp\nembed: 5\nhidden: 9\n", 20, true},
    {EXPRESSION "expression: a**2 + b\nnonzero: true\np: 17\nmodel: mlp\nembed: 5\nhidden: 33\n", 3, true},
    {EXPRESSION
     "expression: a + b\nnonzero: true\np: 7\nmodel: transformer\nd_model: 8\nheads: 2\nd_head: 4\nd_mlp: 6\n"
     "layer_norm: true\noutputs: 9\n",
     3, true},
    {EXPRESSION "expression: a/b\np: 6\nmodel: transformer\nd_model: 8\nheads: 1\nd_head: 4\nd_mlp: 6\n", 20, true},
    {EXPRESSION "expression: a + b\nnonzero: true\np: 7\nmodel: transformer\nd_model: 19\nheads: 3\nd_head: 5\n"
                "d_mlp: 131\n",
     20, true},
    {EXPRESSION "expression: a + b\nnonzero: true\np: 17\nmodel: transformer\nd_model: 6\nheads: 1\nd_head: 3\n"
                "d_mlp: 7\n",
     3, true},
    {"task: power\np: 11\nd_model: 32\nheads: 2\nd_head: 16\nd_mlp: 16\nsteps: 200\ntrain_fraction: 0.9\n"
     "lr: 1e-2\n",
     2, true},
    {TRANSFORMER "group: D9\nd_model: 19\nheads: 3\nd_head: 5\nd_mlp: 33\ntrain_fraction: 0.6\n"
                 "weight_decay: 0.3\n",
     2, true},
    // With products on tensor cores, which take long on the emulator.
    {GROUP "group: S3\nembed: 16\nhidden: 16\ntrain_fraction: 0.7\nlr: 1e-2\nprecision: tf32x3\n", 2, true},
    {TRANSFORMER "group: S3\nd_model: 19\nheads: 3\nd_head: 5\nd_mlp: 70\ntrain_fraction: 0.95\nprecision: tf32x3\n", 2,
     true},
    // Others, by the general engine.
    {TRANSFORMER "group: C5\nd_model: 9\nheads: 2\nd_head: 4\nd_mlp: 11\nlayers: 2\nbias: true\ninit_scale: 0.4\n", 20,
     true},
    {TRANSFORMER
     "group: C5\nd_model: 9\nheads: 1\nd_head: 4\nd_mlp: 11\nlayers: 3\nmask: false\ncontext: none\ninit_scale: 0.4\n",
     20, true},
    {TRANSFORMER "group: S3\nd_model: 9\nheads: 2\nd_head: 4\nd_mlp: 11\nlayer_norm: true\nbias: true\n", 20, true},
    {TRANSFORMER "group: S3\nd_model: 9\nheads: 2\nd_head: 4\nd_mlp: 11\nattention_rate: 0.4\n"
                 "separate_vocabulary: true\ncontext: none\noutputs: 9\n",
     20, true},
    {"task: power\np: 36\nm: 3\nn: 2\nd_model: 17\nheads: 5\nd_head: 7\nd_mlp: 40\nsteps: 200\n"
     "train_fraction: 0.5\nschedule: cosine\n",
     1, false},
#endif
};
#ifdef TS_DOCUMENTED_SHAPE
enum { DOCUMENTED = true };
#else
enum { DOCUMENTED = false };
#endif
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES };

#if defined __SANITIZE_THREAD__ // is slow, and what races shows in one step
enum { EMULATED = true, MOST_STEPS = 1, UNIT_STEPS = 4 };
#elif defined TS_EMULATE
enum { EMULATED = true, MOST_STEPS = 20, UNIT_STEPS = 8 };
#else
enum { EMULATED = false, MOST_STEPS = 20, UNIT_STEPS = 20 };
#endif

static int64_t steps_of(const shape *s) {
    return EMULATED && s->steps < MOST_STEPS ? s->steps : MOST_STEPS;
}

// Shape k, opened but once: tables and irreps of large groups take their time.
static support_instance opened[N_SHAPES];

static support_instance *shape_at(int k) {
    if (!opened[k].sweep)
        support_open(&opened[k], SHAPES[k].sweep);
    return &opened[k];
}

static void close_shapes(void) {
    for (int k = 0; k < N_SHAPES; k++)
        if (opened[k].sweep)
            support_close(&opened[k]);
}

static void on_every_shape(void **state,
                           void (*check)(const ts_engine *engine, const support_instance *f, const shape *s)) {
    for (int k = 0; k < N_SHAPES; k++) {
        const ts_engine *engine = support_tested_engine(state, &shape_at(k)->params);
        if (engine)
            check(engine, shape_at(k), &SHAPES[k]);
    }
}

static float *floats(int64_t count) {
    return ts_alloc_zero((size_t)count, sizeof(float), "numbers");
}

static double *doubles(size_t count) {
    return ts_alloc_zero(count, sizeof(double), "numbers");
}

// --- One step ---

// The gradient at `weights` of the update after the third: of zero moments it leaves (1 - beta1) times that in the
// first.
static void gradient_at(const ts_engine *engine, const support_instance *f, const float *weights, double *gradient) {
    size_t n = (size_t)f->parameters;
    support_training t;
    support_create(engine, &f->spec, &t);
    double *values = doubles(t.numbers);
    for (size_t p = 0; p < n; p++)
        values[p] = weights[p];
    support_put(&t, 0, values);
    support_advance(&t, 3, 4);
    support_get(&t, 0, values);
    for (size_t p = 0; p < n; p++)
        gradient[p] = values[n + p] / (1 - ts_params_real(&f->params, "beta1"));
    support_destroy(&t);
    ts_free(values);
}

// Central differences of the measured loss, at some 12 places of every tensor (small models: at every parameter). No
// tensor may have zeros alone.
static void compare_with_differences(const support_instance *f, float *weights, const double *gradient,
                                     const char *sweep) {
    double loss = support_measure_of(&f->params, f->data, weights, 3, "train_loss");
    for (int i = 0; i < f->layout.count; i++) {
        int64_t from = f->layout.tensor[i].offset;
        int64_t to = i + 1 < f->layout.count ? f->layout.tensor[i + 1].offset : f->parameters;
        double largest = 0;
        for (int64_t p = from; p < to; p += f->parameters <= 300 ? 1 : 1 + (to - from) / 12) {
            float kept = weights[p], above = kept + 1e-6F, below = kept - 1e-6F;
            weights[p] = above;
            double expected = support_measure_of(&f->params, f->data, weights, 3, "train_loss");
            weights[p] = below;
            expected -= support_measure_of(&f->params, f->data, weights, 3, "train_loss");
            expected /= (double)above - below;
            weights[p] = kept;
            if (!(fabs(gradient[p] - expected) <= 1e-4 * fabs(expected) + 5e-9 * loss)) // of rounding
                fail_msg("%d of %s: gradient %g, differences %g for: %s", (int)(p - from), f->layout.tensor[i].name,
                         gradient[p], expected, sweep);
            largest = fmax(largest, fabs(expected));
        }
        if (!(largest > 1e-6 * loss))
            fail_msg("all differences of %s are below %g for: %s", f->layout.tensor[i].name, largest, sweep);
    }
}

static void compare_with_reference(const support_instance *f, const float *weights, const double *gradient,
                                   double relative, const char *sweep) {
    double *expected = doubles((size_t)f->parameters), error = 0, size = 0;
    gradient_at(support_reference(&f->params), f, weights, expected);
    for (int64_t p = 0; p < f->parameters; p++) {
        error += pow(gradient[p] - expected[p], 2);
        size += pow(expected[p], 2);
    }
    if (!(sqrt(error) <= relative * sqrt(size)))
        fail_msg("error %g of a gradient of %g for: %s", sqrt(error), sqrt(size), sweep);
    ts_free(expected);
}

static void check_gradient(const ts_engine *engine, const support_instance *f, const shape *s) {
    bool reference = engine == support_reference(&f->params);
    if (reference && !s->measured)
        return;
    float *weights = floats(f->parameters);
    double *gradient = doubles((size_t)f->parameters);
    // Larger than initially, so that attention is not nearly even; biases off zero, so that units are on and off.
    for (int64_t p = 0; p < f->parameters; p++)
        weights[p] = (float)(2 * f->initial[p] + 0.05 * sin((double)p));
    gradient_at(engine, f, weights, gradient);
    if (reference)
        compare_with_differences(f, weights, gradient, s->sweep);
    else
        compare_with_reference(f, weights, gradient, 5e-6, s->sweep);
    ts_free(weights);
    ts_free(gradient);
}

static void test_gradient_is_that_of_the_loss(void **state) {
    on_every_shape(state, check_gradient);
}

// Weights so large that the label's logit is 1e5 to 1e20 behind.
static void test_pairs_that_are_far_behind_have_their_gradient(void **state) {
    static const char *const SWEEPS[] = {
        GROUP "group: S3\nembed: 5\nhidden: 9\n",
        GROUP "group: S3\nembed: 5\nhidden: 130\n",
        TRANSFORMER "group: C5\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\n",
    };
    for (int k = 0; k < 3; k++)
        for (int e = k == 2 ? 1 : 2; e <= (k == 2 ? 3 : 6); e++) {
            support_instance f;
            support_open(&f, SWEEPS[k]);
            const ts_engine *engine = support_tested_engine(state, &f.params);
            double *gradient = doubles((size_t)f.parameters);
            for (int64_t p = 0; p < f.parameters; p++)
                f.initial[p] *= powf(10, (float)e);
            if (engine) {
                gradient_at(engine, &f, f.initial, gradient);
                compare_with_reference(&f, f.initial, gradient, 1e-4, SWEEPS[k]);
            }
            ts_free(gradient);
            support_close(&f);
        }
}

// --- Logits at any loss ---

// All pairs have the label 2. Weights with which the logits of a pair are row a mod ROWS of one tensor, whose gradient
// is then theirs, by the share of such a.
enum { P = 19, ROWS = 7, LABEL = 2 };

static float *at(const support_instance *f, float *weights, const char *tensor, int64_t row, int64_t column) {
    int i = 0;
    while (i < f->layout.count && strcmp(f->layout.tensor[i].name, tensor) != 0)
        i++;
    assert_true(i < f->layout.count);
    const ts_tensor *t = &f->layout.tensor[i];
    return weights + t->offset + row * t->size[t->rank - 1] + column;
}

static void mlp_of_rows(const support_instance *f, float *weights) {
    for (int a = 0; a < P; a++)
        *at(f, weights, "W_x", a, a % ROWS) = 1;
    for (int row = 0; row < ROWS; row++)
        *at(f, weights, "W", row, row) = 1;
}

// Coordinates of the residual stream: rows, positions, logits. The one head looks at a: other scores are 200 less.
static void transformer_of_rows(const support_instance *f, float *weights) {
    for (int a = 0; a < P; a++)
        *at(f, weights, "W_E", a, a % ROWS) = 1;
    for (int row = 0; row < ROWS; row++)
        *at(f, weights, "W_V", row, row) = *at(f, weights, "W_O", row, row) = 1;
    for (int position = 0; position < 3; position++)
        *at(f, weights, "W_pos", position, ROWS + position) = 1;
    *at(f, weights, "W_Q", ROWS + 2, 0) = 200 * sqrtf(ROWS);
    *at(f, weights, "W_K", ROWS, 0) = 1;
}

// Each row has a hidden unit, which writes it into the residual stream.
static void transformer_of_hidden_rows(const support_instance *f, float *weights) {
    transformer_of_rows(f, weights);
    for (int row = 0; row < ROWS; row++)
        *at(f, weights, "W_in", row, row) = 1;
    for (int j = 0; j < P; j++)
        *at(f, weights, "W_U", ROWS + 3 + j, j) = 1;
}

static const struct {
    const char *keys;
    void (*weights)(const support_instance *f, float *weights);
    const char *tensor;
    int column; // where logits begin in its rows
} NETWORKS[] = {
    {"model: mlp\nembed: 7\nhidden: 19\n", mlp_of_rows, "W_U", 0},
    {"model: mlp\nembed: 7\nhidden: 130\n", mlp_of_rows, "W_U", 0},                    // not fused on a GPU
    {"d_model: 10\nheads: 1\nd_head: 7\nd_mlp: 130\n", transformer_of_rows, "W_U", 0}, // by the residual stream
    {"d_model: 64\nheads: 1\nd_head: 7\nd_mlp: 16\n", transformer_of_rows, "W_U", 0},
    {"d_model: 29\nheads: 1\nd_head: 7\nd_mlp: 16\n", transformer_of_hidden_rows, "W_out", ROWS + 3},
    {"precision: tf32x3\nmodel: mlp\nembed: 7\nhidden: 19\n", mlp_of_rows, "W_U", 0},
    {"precision: tf32x3\nd_model: 64\nheads: 1\nd_head: 7\nd_mlp: 16\n", transformer_of_rows, "W_U", 0},
};
enum { N_NETWORKS = sizeof NETWORKS / sizeof *NETWORKS };

// Logits with that loss, and their gradient.
static void logits_of_loss(double loss, double height, float *z, double *gradient) {
    double others = 0;
    for (int j = 0; j < P; j++)
        z[j] = (float)(height + 3 * sin(j * 1.7));
    for (int j = 0; j < P; j++)
        others += j == LABEL ? 0 : exp((double)z[j]);
    z[LABEL] = (float)(log(others) - log(expm1(loss))); // log(1 + others / exp(z)) = loss
    others = 0;
    for (int j = 0; j < P; j++)
        others += j == LABEL ? 0 : exp((double)z[j] - z[LABEL]);
    for (int j = 0; j < P; j++)
        gradient[j] = (j == LABEL ? -others : exp((double)z[j] - z[LABEL])) / (1 + others);
}

static double worst_of_network(const ts_engine *engine, const support_instance *f, int network, int turn) {
    static const double LOSSES[ROWS] = {100, 10, 1, 1e-3, 1e-6, 1e-9, 1e-12};
    const char *tensor = NETWORKS[network].tensor;
    double exact[ROWS][P], worst = 0, *gradient = doubles((size_t)f->parameters);
    float *weights = floats(f->parameters);
    NETWORKS[network].weights(f, weights);
    for (int row = 0; row < ROWS; row++)
        logits_of_loss(LOSSES[row], 20 * ((row + turn) % 5 - 2), at(f, weights, tensor, row, NETWORKS[network].column),
                       exact[row]);
    gradient_at(engine, f, weights, gradient);
    for (int row = 0; row < ROWS; row++) {
        const double *found = gradient + (at(f, weights, tensor, row, NETWORKS[network].column) - weights);
        double share = (P - row + ROWS - 1) / ROWS / (double)P;
        for (int j = 0; j < P; j++)
            worst = fmax(worst, fabs(found[j] / share / exact[row][j] - 1));
    }
    ts_free(gradient);
    ts_free(weights);
    return worst;
}

static void open_network(int network, support_instance *f) {
    char sweep[256];
    snprintf(sweep, sizeof sweep, "task: power\np: %d\nm: 0\nn: 0\ntrain_fraction: 1\nbeta1: 0\n%s", P,
             NETWORKS[network].keys);
    support_open(f, sweep);
}

static void test_logit_gradients_are_accurate_at_any_loss(void **state) {
    for (int k = 0; k < N_NETWORKS; k++) {
        support_instance f;
        open_network(k, &f);
        const ts_engine *engine = support_tested_engine(state, &f.params);
        for (int turn = 0; engine && turn < (EMULATED ? 1 : 5); turn++) {
            double worst = worst_of_network(engine, &f, k, turn);
            if (!(worst <= 1e-6))
                fail_msg("relative error of a logit's gradient %g for: %s", worst, NETWORKS[k].keys);
        }
        support_close(&f);
    }
}

static void count_direct(const support_instance *f, int *direct, int *count) {
    if (strcmp(f->params.schema->model->name, "transformer") != 0)
        return;
    ts_transformer_shape s = ts_transformer_shape_of(&f->params);
    *count += 1;
    *direct += ts_transformer_direct(&s, ts_params_real(&f->params, "train_fraction") * s.n * s.n);
}

// From the hidden layer to logits through W_out W_U or one after the other: both are among the shapes, and among the
// networks of above.
TEST(test_transformers_are_read_out_both_ways) {
    int direct[2] = {0}, count[2] = {0};
    for (int k = 0; k < N_SHAPES; k++)
        count_direct(shape_at(k), &direct[0], &count[0]);
    for (int k = 0; k < N_NETWORKS; k++) {
        support_instance f;
        open_network(k, &f);
        count_direct(&f, &direct[1], &count[1]);
        support_close(&f);
    }
    for (int k = DOCUMENTED; k < 2; k++)
        if (direct[k] == 0 || direct[k] == count[k])
            fail_msg("%d of %d are read out directly", direct[k], count[k]);
}

// --- Many steps ---

static void check_steps(const ts_engine *engine, const support_instance *f, const shape *s) {
    if (engine == support_reference(&f->params))
        return;
    float *found = floats(f->parameters);
    float *expected = floats(f->parameters);
    int64_t steps = steps_of(s);
    support_train(engine, &f->params, f->data, steps, found);
    support_train(support_reference(&f->params), &f->params, f->data, steps, expected);
    double error, way = support_way(&f->params, found, expected, f->parameters, &error);
    if (!(error <= 2e-4 * way))
        fail_msg("error %g of a way of %g for: %s", error, way, s->sweep);
    if (s->measured) {
        double loss = support_measure_of(&f->params, f->data, found, steps, "train_loss"),
               exact = support_measure_of(&f->params, f->data, expected, steps, "train_loss");
        if (!(fabs(loss - exact) <= 2e-6 * exact))
            fail_msg("loss %.9g, that of the reference %.9g for: %s", loss, exact, s->sweep);
    }
    ts_free(found);
    ts_free(expected);
}

static void test_steps_follow_the_reference(void **state) {
    on_every_shape(state, check_steps);
}

static void compare_settings(const ts_engine *engine, const support_instance *f, const shape *s,
                             const support_setting *one, const support_setting *other) {
    size_t bytes = (size_t)f->parameters * sizeof(float);
    int64_t steps = EMULATED ? steps_of(s) : 100;
    float *expected = floats(f->parameters), *found = floats(f->parameters);
    if (support_set(one)) {
        support_train(engine, &f->params, f->data, steps, expected);
        if (support_set(other)) {
            support_train(engine, &f->params, f->data, steps, found);
            if (memcmp(found, expected, bytes) != 0)
                fail_msg("%s and %s have different bits for: %s", one->name, other->name, s->sweep);
        }
    }
    support_set(NULL);
    ts_free(expected);
    ts_free(found);
}

static void test_settings_have_the_same_bits(void **state) {
    const support_tested *tested = *state;
    const support_setting *settings = SUPPORT_SETTINGS;
    for (int k = 0; k < N_SHAPES; k++) {
        const support_instance *f = shape_at(k);
        const ts_engine *engine = support_tested_engine(state, &f->params);
        for (int s = 1; engine && s < SUPPORT_SETTINGS_COUNT; s++)
            if (support_concerns(&settings[s], tested->backend, &f->params) &&
                support_concerns(&settings[s - 1], tested->backend, &f->params) &&
                settings[s].bits == settings[s - 1].bits)
                compare_settings(engine, f, &SHAPES[k], &settings[s - 1], &settings[s]);
    }
}

int main(int argc, char **argv) {
    // Those first that come to every kernel soon: tests/emulator/mutate.py waits for one that fails.
    static const support_promise PROMISES[] = {
        {"gradient_is_that_of_the_loss", test_gradient_is_that_of_the_loss, SUPPORT_ALL, NULL},
        {"pairs_that_are_far_behind_have_their_gradient", test_pairs_that_are_far_behind_have_their_gradient,
         SUPPORT_ALL, NULL},
        {"logit_gradients_are_accurate_at_any_loss", test_logit_gradients_are_accurate_at_any_loss, SUPPORT_ALL, NULL},
        {"transformers_are_read_out_both_ways", test_transformers_are_read_out_both_ways, SUPPORT_BACKEND, NULL},
        {"steps_follow_the_reference", test_steps_follow_the_reference, SUPPORT_ALL, NULL},
        {"settings_have_the_same_bits", test_settings_have_the_same_bits, SUPPORT_ENGINES_TOO, NULL},
    };
    int failed = SUPPORT_RUN(PROMISES, argc, argv);
    close_shapes();
    return failed;
}
