// Training on a GPU: microseconds for a step of one instance, with as many at once as a unit has, in both precisions;
// and our products of small matrices, in float32 and 3xTF32, beside cuBLAS's, in turns (why there are our own:
// docs/cuda.md).
//     build/release/tests/bench/bench_cuda [small] [MODEL | products]
// small: only to see that it works. With a name only that part, for a profiler.
#define _POSIX_C_SOURCE 200809L
#include "backend/cuda.h"
#include "backend/cuda_libraries.h"
#include "base/memory.h"
#include "bench.h"
#include "cuda/step.h"
#include "model/network.h"

#include <math.h>
#include <stdbool.h>

enum { ROUNDS = 7 };

// --- Training ---

static const char *const SHAPES[][2] = {
    // As they are, and small.
    {"task: tree\ndepth: 6\nhidden: 10\n", "task: tree\ndepth: 2\nhidden: 3\n"},
    {"task: group\ngroup: S5\nmodel: mlp\n", "task: group\ngroup: S3\nembed: 8\nhidden: 8\n"},
    {"task: group\ngroup: S5\nmodel: mlp\nprecision: tf32x3\n",
     "task: group\ngroup: S3\nembed: 8\nhidden: 8\nprecision: tf32x3\n"},
    {"task: power\nm: 8\nn: 9\ntrain_fraction: 0.3\n", "task: power\np: 5\nd_model: 8\nd_head: 4\nd_mlp: 8\n"},
    {"task: power\nm: 8\nn: 9\ntrain_fraction: 0.3\nprecision: tf32x3\n",
     "task: power\np: 5\nd_model: 8\nd_head: 4\nd_mlp: 8\nprecision: tf32x3\n"},
};

static void time_training(const char *text, bool small, const char *only) {
    double seconds[ROUNDS];
    bench_instance f;
    void *training;
    bench_open(text, &f);
    const ts_model *model = f.params.schema->model;
    if (only && strcmp(only, model->name) != 0) {
        bench_close(&f);
        return;
    }
    const ts_engine *engine = ts_backend_engine(ts_backend_find("cuda"), &f.params, NULL);
    int count = small ? 2 : (int)engine->fill(&f.params, f.data), steps = small ? 2 : 256;
    ts_params *all = ts_alloc((size_t)count * sizeof *all, "parameters");
    int64_t *reached = ts_alloc_zero((size_t)count, sizeof *reached, "steps");
    if (!all || !reached)
        check(TS_ERROR_MEMORY);
    for (int i = 0; i < count; i++)
        all[i] = f.params;
    ts_training_spec spec = {.params = all, .count = count, .data = f.data};
    check(engine->create(&spec, &training));
    for (int round = -1; round < ROUNDS; round++) { // the first one is not counted
        double start = ts_clock();
        check(engine->train(training, reached[0], reached[0] + steps, reached));
        if (round >= 0)
            seconds[round] = (ts_clock() - start) / steps / count;
    }
    double each = bench_median(seconds, ROUNDS);
    bool tf32x3 = f.data->table && ts_network_tf32x3(&f.params);
    printf("%-12s %-8s %6d instances %10.3f us  %8.0f GFLOP/s\n", model->name, tf32x3 ? "tf32x3" : "float32", count,
           each * 1e6, bench_operations(&f.params, f.data) / each / 1e9);
    engine->destroy(training);
    ts_free(all);
    ts_free(reached);
    bench_close(&f);
}

// --- Products ---

typedef enum product_of { CUBLAS, FLOAT32, TF32X3, LIBRARIES } product_of;

typedef struct product_bench {
    ts_product_work work;
    cublasHandle_t cublas;
    cudaStream_t stream;
} product_bench;

static void multiply(product_bench *bench, product_of by) {
    ts_product_work *w = &bench->work;
    const float one = 1, zero = 0;
    w->tf32x3 = by == TF32X3;
    if (by != CUBLAS) // rows are ours, columns cuBLAS's: it makes the transpose
        check(ts_cuda_check(ts_cuda_product(w, bench->stream), "a product"));
    else
        check(ts_cublas_check(ts_cublas_functions()->sgemm_strided_batched(
                                  bench->cublas, CUBLAS_OP_N, CUBLAS_OP_N, w->columns, w->rows, w->depth, &one,
                                  w->b.first, w->b.stride, w->b.instance_step, w->a.first, w->a.stride,
                                  w->a.instance_step, &zero, (float *)w->c.first, w->c.stride, w->c.instance_step,
                                  w->instances),
                              "a product"));
}

static ts_operand matrix(ts_cuda_slab *slab, int instances, int rows, int columns) {
    int stride = TS_QUAD_PAD(columns);
    int64_t step = (int64_t)rows * stride;
    return (ts_operand){ts_cuda_slab_take(slab, (size_t)(instances * step), sizeof(float)), step, 0, stride};
}

static void upload_noise(const ts_operand *of, int instances, cudaStream_t stream) {
    size_t count = (size_t)(instances * of->instance_step);
    float *noise = ts_alloc(count * sizeof *noise, "numbers");
    for (size_t i = 0; i < count; i++)
        noise[i] = (float)((i * 2654435761U & 0xffff) / 65536.0 - 0.5);
    check(ts_cuda_upload((void *)of->first, noise, count * sizeof *noise, stream));
    check(ts_cuda_wait(stream, "copying"));
    ts_free(noise);
}

static double time_product(product_bench *bench, product_of by, int times) {
    double start = ts_clock();
    for (int i = 0; i < times; i++)
        multiply(bench, by);
    check(ts_cuda_wait(bench->stream, "products"));
    return (ts_clock() - start) / times;
}

// The largest difference from cuBLAS's in the first instance.
static double difference(product_bench *bench, product_of by) {
    const ts_operand *c = &bench->work.c;
    size_t bytes = (size_t)c->instance_step * sizeof(float);
    float *result[2];
    double largest = 0;
    for (int which = 0; which < 2; which++) {
        result[which] = ts_alloc(bytes, "a product");
        multiply(bench, which ? by : CUBLAS);
        check(ts_cuda_download(result[which], c->first, bytes, bench->stream));
        check(ts_cuda_wait(bench->stream, "copying"));
    }
    for (int row = 0; row < bench->work.rows; row++)
        for (int i = row * c->stride; i < row * c->stride + bench->work.columns; i++)
            largest = fmax(largest, fabs((double)result[0][i] - result[1][i]));
    ts_free(result[0]);
    ts_free(result[1]);
    return largest;
}

static void compare_product(product_bench *bench, int instances, int rows, int columns, int depth, int times) {
    ts_cuda_slab slab = {0};
    double seconds[LIBRARIES][ROUNDS];
    ts_product_work *w = &bench->work;
    int *stopped = NULL;
    *w = (ts_product_work){.rows = rows, .columns = columns, .depth = depth, .instances = instances, .parts = 1};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            check(ts_cuda_slab_reserve(&slab, "products"));
        w->a = matrix(&slab, instances, rows, depth);
        w->b = matrix(&slab, instances, depth, columns);
        w->c = matrix(&slab, instances, rows, columns);
        stopped = ts_cuda_slab_take(&slab, (size_t)instances, sizeof *stopped);
    }
    w->stopped = stopped;
    check(ts_cuda_zero(stopped, (size_t)instances * sizeof *stopped, bench->stream));
    upload_noise(&w->a, instances, bench->stream);
    upload_noise(&w->b, instances, bench->stream);
    double largest[] = {0, difference(bench, FLOAT32), difference(bench, TF32X3)}; // and warm
    for (int round = 0; round < ROUNDS; round++)
        for (product_of by = 0; by < LIBRARIES; by++)
            seconds[by][round] = time_product(bench, by, times);
    double operations = 2.0 * instances * rows * columns * depth / 1e9, speed[LIBRARIES];
    for (product_of by = 0; by < LIBRARIES; by++)
        speed[by] = operations / bench_median(seconds[by], ROUNDS);
    printf("%5d x (%6d, %4d) (%4d, %4d) %8.0f %8.0f %8.0f GFLOP/s, differ by %.1g, %.1g\n", instances, rows, depth,
           depth, columns, speed[FLOAT32], speed[TF32X3], speed[CUBLAS], largest[FLOAT32], largest[TF32X3]);
    ts_cuda_slab_free(&slab);
}

static void compare_products(bool small) {
    static const int PRODUCTS[][4] = {
        // instances, rows, columns, depth: embeddings and logits on S5, tables and logits of (a^m + b^n) mod 113,
        // logits of a wide instance on S6
        {64, 120, 128, 256}, {64, 5760, 120, 128}, {64, 227, 628, 32}, {64, 3830, 113, 512}, {1, 60000, 720, 128},
    };
    product_bench bench;
    const ts_cublas *cublas = ts_cublas_functions();
    check(ts_cublas_load());
    check(ts_cublas_check(cublas->create(&bench.cublas), "starting cuBLAS"));
    check(ts_cuda_stream(&bench.stream));
    check(ts_cublas_check(cublas->set_stream(bench.cublas, bench.stream), "cuBLAS"));
    check(ts_cublas_check(cublas->set_math_mode(bench.cublas, CUBLAS_PEDANTIC_MATH), "cuBLAS"));
    printf("\nproducts: ours in float32, in 3xTF32, cuBLAS %s in float32; how ours differ from it\n",
           ts_cublas_version());
    for (size_t i = 0; i < sizeof PRODUCTS / sizeof *PRODUCTS; i++) {
        const int *p = PRODUCTS[i];
        if (small)
            compare_product(&bench, 2, p[1] % 50 + 1, p[2] % 70 + 1, p[3] % 40 + 1, 1);
        else
            compare_product(&bench, p[0], p[1], p[2], p[3], 20);
    }
    cublas->destroy(bench.cublas);
    ts_cuda_stream_free(bench.stream);
}

int main(int argc, char **argv) {
    bool small = argc > 1 && strcmp(argv[1], "small") == 0;
    const char *only = argc > 1 + small ? argv[1 + small] : NULL;
    check(ts_cuda_enter());
    printf("%s; medians of %d rounds\n\na step of one instance, trained with others:\n", ts_cuda_device(), ROUNDS);
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++)
        time_training(SHAPES[i][small], small, only);
    if (!only || strcmp(only, "products") == 0)
        compare_products(small);
    return 0;
}
