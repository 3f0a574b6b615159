// What kernels promise by themselves, below their engines: updates with PyTorch's bits that say whether all is finite,
// exponentials, losses, products, sums by tokens.
//   test_kernels [BACKEND...]
#define _POSIX_C_SOURCE 200809L
#include "backend/adam_constants.h"
#include "base/torch_random.h"
#include "support_engine.h"
#ifdef TS_HAVE_CUDA
#include "backend/cuda.h"
#include "cuda/update.h"
#endif

// --- Adam ---

// As PyTorch 1.13 left 32 numbers drawn by torch.randn (seed 5, divided by 16) after 20 updates, with gradients drawn
// after them and scaled by 1, 1e-4, 1e-8, 1e-12 in turns.
enum { COUNT = 32, STEPS = 20 };

static const struct {
    const char *name;
    double beta2, weight_decay;
    uint32_t expected[COUNT];
} ADAM[] = {
    {"AdamW",
     0.98,
     1,
     {
         0x3dee6d37, 0x3d055ed8, 0xbde59bb8, 0xbdd55d7e, 0x3dfdc27d, 0xbc6a41f7, 0xbc495c06, 0xbdb13f95,
         0x3ce71a19, 0xbb242a6e, 0xbdb19a42, 0xbd2c6e97, 0x3d88fc70, 0xbced2a90, 0xbd03cee6, 0xbd247253,
         0x3e28852c, 0x3d98109e, 0xbcbc4e68, 0xbd87cb9e, 0xbc1984d1, 0xbd2995fb, 0x3c8623ec, 0xbaabab5b,
         0xbca31fd2, 0x3d37b409, 0xbc26f3d3, 0xbdebcc2d, 0x3dafb8a3, 0x3cc8942c, 0x3bfc14c2, 0x3dcd0b35,
     }},
    {"Adam",
     0.999,
     0,
     {
         0x3df3455f, 0x3d0806ee, 0xbde9bcfb, 0xbdd9b07a, 0x3e0159e0, 0xbc703868, 0xbc4cece7, 0xbdb4bf76,
         0x3cebb175, 0xbb26272b, 0xbdb515d8, 0xbd30046f, 0x3d8b8aa9, 0xbcf2018a, 0xbd06c52e, 0xbd289c68,
         0x3e2bfd0d, 0x3d9b3340, 0xbcc05e44, 0xbd8a05fd, 0xbc1b2723, 0xbd2cb595, 0x3c8828a2, 0xbac67e0d,
         0xbca8a6fc, 0x3d3bac82, 0xbc27f037, 0xbdf0a5a9, 0x3db35772, 0x3ccdc419, 0x3c02e8fc, 0x3dd17a60,
     }},
};

// One step of state (3, COUNT).
typedef void update(const void *context, float *state, const float *gradient, ts_adam_betas betas, ts_adam_rates rates);

static void compare_with_pytorch(update one, const void *context) {
    static const float scale[] = {1, 1e-4F, 1e-8F, 1e-12F};
    for (size_t k = 0; k < sizeof ADAM / sizeof *ADAM; k++) {
        double beta1 = 0.9, beta2 = ADAM[k].beta2;
        ts_adam adam = {.schedule = {.lr = 1e-3, .steps = STEPS},
                        .beta1 = beta1,
                        .beta2 = beta2,
                        .weight_decay = ADAM[k].weight_decay,
                        .power1 = 1,
                        .power2 = 1};
        const ts_adam_betas betas = {(float)beta1, (float)(1 - beta1), (float)beta2, (float)(1 - beta2)};
        float state[3 * COUNT] = {0}, gradient[COUNT];
        ts_torch_random random;
        ts_torch_seed(&random, 5);
        ts_torch_normal(&random, COUNT, 1.0F / 16, state);
        for (int step = 0; step < STEPS; step++) {
            ts_torch_normal(&random, COUNT, scale[step % 4], gradient);
            one(context, state, gradient, betas, ts_adam_next_rates(&adam));
        }
        for (int i = 0; i < COUNT; i++) {
            uint32_t bits;
            memcpy(&bits, &state[i], sizeof bits);
            if (bits != ADAM[k].expected[i])
                fail_msg("%s, weight %d: %08x, PyTorch has %08x", ADAM[k].name, i, (unsigned)bits,
                         (unsigned)ADAM[k].expected[i]);
        }
    }
}

static void update_on_cpu(const void *context, float *state, const float *gradient, ts_adam_betas betas,
                          ts_adam_rates rates) {
    const ts_kernels *kernels = context;
    kernels->adam(state, COUNT, gradient, COUNT, betas, rates);
}

TEST(test_cpu_updates_have_the_bits_of_pytorch) {
    if (strcmp(ts_cpu_kernels()->name, "portable") == 0)
        skip(); // without fused multiply-adds it need not
    compare_with_pytorch(update_on_cpu, ts_cpu_kernels());
}

TEST(test_a_cpu_update_says_whether_it_left_everything_finite) {
    enum { MANY = 2 * TS_VECTOR_LANES };
    static const float VALUES[] = {NAN, INFINITY, -INFINITY, 3e38F};
    const ts_adam_betas betas = {0.9F, 0.1F, 0.999F, 0.001F};
    const ts_adam_rates rates = {1e-3F, 1, 1, 1};
    const ts_kernels *kernels = ts_cpu_kernels();
    for (int at = 0; at < 4 * MANY; at++)
        for (size_t v = 0; v < 4; v++) {
            // Weights, both moments, the gradient; 3e38 is too large for the latter's square alone.
            float numbers[4 * MANY];
            for (int i = 0; i < 4 * MANY; i++)
                numbers[i] = 0.5F;
            numbers[at] = VALUES[v];
            bool sound = kernels->adam(numbers, MANY, numbers + 3 * MANY, MANY, betas, rates);
            if (sound != (v == 3 && at < 3 * MANY))
                fail_msg("%s: %g at %d: %d", kernels->name, (double)VALUES[v], at, sound);
        }
}

// --- Exponentials ---

TEST(test_exponential_is_within_2_ulp) {
    const ts_kernels *kernels = ts_cpu_kernels();
    double worst = 0;
    for (int i = 0; i < 2000000; i += TS_VECTOR_LANES) {
        float x[TS_VECTOR_LANES], found[TS_VECTOR_LANES];
        for (int j = 0; j < TS_VECTOR_LANES; j++)
            x[j] = -87.3f + (float)(i + j) * (175.67f / 2000000);
        kernels->exponential(x, found, TS_VECTOR_LANES);
        for (int j = 0; j < TS_VECTOR_LANES; j++) {
            double exact = exp((double)x[j]);
            double ulp = nextafterf((float)exact, INFINITY) - (double)(float)exact;
            worst = fmax(worst, fabs(found[j] - exact) / ulp);
        }
    }
    float ends[TS_VECTOR_LANES] = {-90, -1e30f, -INFINITY, 89, INFINITY, 0, 1}, found[TS_VECTOR_LANES];
    if (!(worst <= 2))
        fail_msg("%s: %g ulp", kernels->name, worst);
    kernels->exponential(ends, found, TS_VECTOR_LANES);
    for (int j = 0; j < 3; j++)
        assert_true(found[j] == 0);
    assert_true(isinf(found[3]) && isinf(found[4]));
    assert_true(found[5] == 1);
}

// --- Products ---

enum { MOST_ROWS = 13, MOST_WIDTH = 133, MOST_DEPTH = 9, MOST_STRIDE = TS_PAD(MOST_WIDTH) };

// sum + a b, as vectors have it.
static float multiply_add(float a, float b, float sum, bool fused) {
    float product = a * b;
    return fused ? fmaf(a, b, sum) : product + sum;
}

// Sums over `depth` in order, `block` terms after the other ones; of pads 0.
static float expected_product(const ts_row_operation *op, int r, int column, bool fused, float before) {
    const ts_rows *x = &op->in[0], *m = &op->in[1];
    float all = op->adds ? before : 0;
    for (int first = 0; first < op->matrix_rows; first += op->depth_block) {
        float sum = first == 0 ? all : 0;
        for (int k = first; k < op->matrix_rows && k < first + op->depth_block; k++)
            sum = multiply_add(x->value[r * x->stride + k], m->value[k * m->stride + column], sum, fused);
        all = first == 0 ? sum : all + sum;
    }
    return column < op->width ? all : 0;
}

static void compare_product(const ts_kernels *kernels, int rows, int width, int depth, bool adds, int depth_block) {
    static float x[MOST_ROWS * TS_VECTOR_LANES], m[MOST_DEPTH * MOST_STRIDE], out[MOST_ROWS * MOST_STRIDE];
    int stride = TS_PAD(width);
    bool fused = strcmp(kernels->name, "portable") != 0;
    ts_row_operation op = {
        .operation = TS_PRODUCT,
        .inputs = 2,
        .in = {{.value = x, .width = depth, .stride = TS_VECTOR_LANES}, {.value = m, .width = width, .stride = stride}},
        .matrix_rows = depth,
        .depth_block = depth_block,
        .out = out,
        .adds = adds,
        .width = width,
        .stride = stride};
    for (int i = 0; i < rows * TS_VECTOR_LANES; i++)
        x[i] = sinf((float)i);
    for (int i = 0; i < depth * stride; i++)
        m[i] = i % stride < width ? cosf((float)(3 * i)) : 0;
    for (int i = 0; i < rows * stride; i++)
        out[i] = !adds ? NAN : i % stride < width ? sinf((float)(7 * i)) : 0; // NaN must not come through
    kernels->operate(&op, rows, NULL, NULL);
    for (int i = 0; i < rows * stride; i++) {
        float before = sinf((float)(7 * i));
        float expected = expected_product(&op, i / stride, i % stride, fused, before);
        if (fused ? out[i] != expected : !(fabsf(out[i] - expected) <= 1e-5F))
            fail_msg("%s: %d rows of %d, depth %d, adds %d, blocks of %d: %.9g at %d, not %.9g", kernels->name, rows,
                     width, depth, adds, depth_block, (double)out[i], i, (double)expected);
    }
}

TEST(test_products_are_sums_in_order_whatever_their_shape) {
    for (int width = 1; width <= MOST_WIDTH; width++)
        for (int rows = 1; rows <= MOST_ROWS; rows++)
            for (int adds = 0; adds < 2; adds++) {
                compare_product(ts_cpu_kernels(), rows, width, MOST_DEPTH, adds, MOST_DEPTH);
                compare_product(ts_cpu_kernels(), rows, width, MOST_DEPTH, adds, 4);
            }
}

// --- Sums by tokens ---

enum { TOKENS = 5, STRIDE = 6 * TS_VECTOR_LANES, TABLE = TOKENS * STRIDE };

// x[a] + scale y[b] with its gradient, y being `second` numbers behind x.
static void compare_sum_by_tokens(const ts_kernels *kernels, int second) {
    enum { ROWS = 9 };
    // With themselves and the row before, too.
    static const int a[ROWS] = {0, 0, 0, 1, 1, 2, 4, 4, 4}, b[ROWS] = {0, 1, 3, 1, 1, 3, 3, 4, 0};
    static float value[2 * TABLE], gradient[2 * TABLE], expected[2 * TABLE], out[ROWS * STRIDE], dout[ROWS * STRIDE];
    ts_row_operation op = {.operation = TS_SUM,
                           .activation = TS_IDENTITY,
                           .scale = -0.3F,
                           .inputs = 2,
                           .out = out,
                           .dout = dout,
                           .width = STRIDE,
                           .stride = STRIDE};
    for (int i = 0; i < 2 * TABLE; i++) {
        value[i] = sinf((float)i);
        gradient[i] = expected[i] = cosf((float)i);
    }
    for (int i = 0; i < ROWS * STRIDE; i++)
        dout[i] = cosf((float)(5 * i));
    op.in[0] = (ts_rows){.value = value, .gradient = gradient, .by = TS_BY_A, .width = STRIDE, .stride = STRIDE};
    op.in[1] = op.in[0];
    op.in[1].by = TS_BY_B;
    op.in[1].value += second;
    op.in[1].gradient += second;
    kernels->operate(&op, ROWS, a, b);
    kernels->operate_back(&op, ROWS, a, b);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < STRIDE; i++) {
            float x = value[a[r] * STRIDE + i], y = value[second + b[r] * STRIDE + i], d = dout[r * STRIDE + i];
            assert_close(out[r * STRIDE + i], x + op.scale * y, 1e-6, 1e-6);
            expected[a[r] * STRIDE + i] += d;
            expected[second + b[r] * STRIDE + i] += op.scale * d;
        }
    for (int i = 0; i < 2 * TABLE; i++)
        assert_close(gradient[i], expected[i], 1e-6, 1e-6);
}

TEST(test_sums_by_tokens_give_back_to_one_table_or_two) {
    compare_sum_by_tokens(ts_cpu_kernels(), 0);
    compare_sum_by_tokens(ts_cpu_kernels(), STRIDE); // rows of one, shifted
    compare_sum_by_tokens(ts_cpu_kernels(), TABLE);
}

#ifdef TS_HAVE_CUDA

// --- On a GPU ---

// A table instance of COUNT parameters on the device.
typedef struct adam_instance {
    ts_cuda_slab slab;
    float *state, *gradient;
    ts_update_constants *constants;
    ts_update_rates *rates;
    int *progress; // stopped, taken
    cudaStream_t stream;
} adam_instance;

static void update_on_gpu(const void *context, float *state, const float *gradient, ts_adam_betas betas,
                          ts_adam_rates rates) {
    const adam_instance *i = context;
    const int progress[2] = {0, 1};
    const ts_update_constants constants = {.betas = betas};
    const ts_update_rates all_rates = {.adam = rates};
    const ts_update_work work = {.instances = 1,
                                 .count = COUNT,
                                 .padded = COUNT,
                                 .state_parts = TS_ADAM_PARTS,
                                 .state = i->state,
                                 .gradient = i->gradient,
                                 .whole = COUNT,
                                 .constants = i->constants,
                                 .rates = i->rates,
                                 .stopped = i->progress,
                                 .taken = i->progress + 1};
    assert_int_equal(ts_cuda_upload(i->state, state, 3 * COUNT * sizeof *state, i->stream), TS_OK);
    assert_int_equal(ts_cuda_upload(i->gradient, gradient, COUNT * sizeof *gradient, i->stream), TS_OK);
    assert_int_equal(ts_cuda_upload(i->constants, &constants, sizeof constants, i->stream), TS_OK);
    assert_int_equal(ts_cuda_upload(i->rates, &all_rates, sizeof all_rates, i->stream), TS_OK);
    assert_int_equal(ts_cuda_upload(i->progress, progress, sizeof progress, i->stream), TS_OK);
    assert_int_equal(ts_cuda_adamw(&work, i->stream), cudaSuccess);
    assert_int_equal(ts_cuda_download(state, i->state, 3 * COUNT * sizeof *state, i->stream), TS_OK);
    assert_int_equal(ts_cuda_wait(i->stream, "updating"), TS_OK);
}

TEST(test_cuda_updates_have_the_bits_of_pytorch) {
    adam_instance i = {0};
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(pass == 1 ? ts_cuda_slab_reserve(&i.slab, "an instance") : TS_OK, TS_OK);
        i.state = ts_cuda_slab_take(&i.slab, 3 * COUNT, sizeof *i.state);
        i.gradient = ts_cuda_slab_take(&i.slab, COUNT, sizeof *i.gradient);
        i.constants = ts_cuda_slab_take(&i.slab, 1, sizeof *i.constants);
        i.rates = ts_cuda_slab_take(&i.slab, 1, sizeof *i.rates);
        i.progress = ts_cuda_slab_take(&i.slab, 2, sizeof *i.progress);
    }
    assert_int_equal(ts_cuda_stream(&i.stream), TS_OK);
    compare_with_pytorch(update_on_gpu, &i);
    ts_cuda_stream_free(i.stream);
    ts_cuda_slab_free(&i.slab);
}

// The losses that a step of seven instances saw, of which nothing else tells but that they are finite.
static void test_cuda_losses_are_those_of_the_batches(void **state) {
    static const char *const SWEEPS[] = {
        "task: tree\ndepth: 6\nhidden: 10\nsteps: 200\nschedule: linear\ninstances: 7\n",
        "task: tree\ndepth: 6\nhidden: 13\nsteps: 200\nbatch: exact\nimportance: {base: 0.9}\ninstances: 7\n",
        "task: tree\ndepth: 3\nbranching: 3\nhidden: 8\nsteps: 200\nbatch: 301\ninstances: 7\n",
        "task: independent\nfeatures: 33\nhidden: 34\nsteps: 100\nbatch: 61\ncorrelated_pairs: 3\n"
        "anticorrelated_pairs: 4\nfeature_probability: {base: 0.85}\ninstances: 7\n",
        "task: independent\nfeatures: 70\nhidden: 12\nsteps: 200\nbatch: 90\nbinary: true\n"
        "feature_probability: 0.1\ninstances: 7\n",
    };
    for (size_t s = 0; s < sizeof SWEEPS / sizeof *SWEEPS; s++) {
        support_instance f;
        support_training t;
        support_open(&f, SWEEPS[s]);
        support_create(support_tested_engine(state, &f.params), &f.unit, &t);
        double *values = ts_alloc_zero(t.numbers, sizeof *values, "a state");
        for (int64_t p = 0; p < f.parameters; p++)
            values[p] = f.initial[p] = (float)(f.initial[p] * 3 + 0.05 * sin((double)p));
        for (int i = 0; i < f.rows; i++)
            support_put(&t, i, values);
        support_advance(&t, 3, 4);
        for (int i = 0; i < f.rows; i++)
            assert_close(ts_cuda_autoencoder_loss(t.handle, i),
                         support_measure_of(&f.all[i], f.data, f.initial, 3, "train_loss"), 2e-6, 0);
        support_destroy(&t);
        ts_free(values);
        support_close(&f);
    }
}

#endif

int main(int argc, char **argv) {
    static const support_promise PROMISES[] = {
        {"updates_have_the_bits_of_pytorch", test_cpu_updates_have_the_bits_of_pytorch, SUPPORT_SETTINGS_TOO, "cpu"},
        {"an_update_says_whether_it_left_everything_finite", test_a_cpu_update_says_whether_it_left_everything_finite,
         SUPPORT_SETTINGS_TOO, "cpu"},
        {"exponential_is_within_2_ulp", test_exponential_is_within_2_ulp, SUPPORT_SETTINGS_TOO, "cpu"},
        {"products_are_sums_in_order_whatever_their_shape", test_products_are_sums_in_order_whatever_their_shape,
         SUPPORT_SETTINGS_TOO, "cpu"},
        {"sums_by_tokens_give_back_to_one_table_or_two", test_sums_by_tokens_give_back_to_one_table_or_two,
         SUPPORT_SETTINGS_TOO, "cpu"},
#ifdef TS_HAVE_CUDA
        {"updates_have_the_bits_of_pytorch", test_cuda_updates_have_the_bits_of_pytorch, SUPPORT_BACKEND, "cuda"},
        {"losses_are_those_of_the_batches", test_cuda_losses_are_those_of_the_batches, SUPPORT_SETTINGS_TOO, "cuda"},
#endif
    };
    return SUPPORT_RUN(PROMISES, argc, argv);
}
