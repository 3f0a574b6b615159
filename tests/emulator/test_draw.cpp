// Batches drawn by kernels/cuda/draw.h are those of the processor, count by count, bit by bit and value by value.
#include "cuda/draw.h"

#include <cmath>
#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <vector>

extern "C" {
#include "backend/cuda_features.h"
#include "sweep/sweep.h"
#include "task/data.h"

#include <cmocka.h>
}

namespace {

enum { STEPS = 5, FIRST_STEP = 3, THREADS = 96 };
constexpr uint64_t SEED = 77;

__global__ void counts_of(const ts_cuda_features data, int nodes, int *count) {
    draw_counts(data, SEED, FIRST_STEP, STEPS, nodes, count);
}

// A thread for each word of each sample of one step.
__global__ void words_of(const ts_cuda_features data, uint32_t step, uint32_t *bits, float *value) {
    for (int item = (int)threadIdx.x; item < data.samples * data.words; item += THREADS) {
        int sample = item / data.words, word = item % data.words, rank = 0;
        bits[item] = draw_word(data, SEED, step, (uint32_t)sample, word);
        for (int before = 0; before < word; before++)
            rank += __popc(draw_word(data, SEED, step, (uint32_t)sample, before));
        draw_word_values(data, SEED, step, (uint32_t)sample, rank, bits[item], value + item * 32);
    }
}

// The data of a sweep's task, on both sides.
struct fixture {
    ts_sweep *sweep = nullptr;
    ts_data *data = nullptr;
    ts_feature_batch batch = {};
    ts_cuda_slab slab = {};
    ts_cuda_features features;
    int64_t samples;

    explicit fixture(const char *text) {
        ts_sweep_source source = {};
        ts_params params;
        source.file = "test.yaml";
        source.text = text;
        source.bytes = strlen(text);
        if (ts_sweep_read(&source, &sweep) != TS_OK)
            fail_msg("%s", ts_sweep_errors());
        ts_case_params(sweep, 0, 0, &params);
        samples = ts_params_integer(&params, "batch");
        assert_int_equal(ts_data_create(&params, &data), TS_OK);
        assert_int_equal(ts_feature_batch_create(data->features, samples, &batch), TS_OK);
        ts_cuda_features_take(data->features, samples, &slab, &features);
        assert_int_equal(ts_cuda_slab_reserve(&slab, "a test"), TS_OK);
        ts_cuda_features_take(data->features, samples, &slab, &features);
        assert_int_equal(ts_cuda_features_upload(data->features, &features, nullptr), TS_OK);
    }
    ~fixture() {
        ts_cuda_slab_free(&slab);
        ts_feature_batch_free(&batch);
        ts_data_free(data);
        ts_sweep_free(sweep);
    }
    void draw(int step) {
        ts_feature_draw(data->features, SEED, TS_STREAM_BATCH, (uint32_t)(FIRST_STEP + step), samples, &batch);
    }
};

template <typename T> std::vector<T> fetched(T *device, size_t count) {
    std::vector<T> host(count);
    cudaMemcpy(host.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost);
    return host;
}

void check_counts(const char *text) {
    fixture f(text);
    const ts_support &support = f.data->features->support;
    int nodes = f.features.depth > 0 ? (2 << f.features.depth) - 1 : f.features.inputs, *count = nullptr;
    size_t all = (size_t)(STEPS * nodes);
    cudaMalloc(reinterpret_cast<void **>(&count), all * sizeof *count);
    LAUNCH(counts_of, 1, THREADS, 0, nullptr, f.features, nodes, count);
    std::vector<int> found = fetched(count, all);
    for (int step = 0; step < STEPS; step++) {
        f.draw(step);
        int row = 0;
        for (int i = 0; i < support.count; i++) {
            bool drawn = row < f.batch.rows && f.batch.begin[row] == support.begin[i] &&
                         f.batch.end[row] == support.begin[i + 1];
            long expected = drawn ? lround(f.batch.weight[row] * (double)f.samples) : 0;
            int here = found[(size_t)(step * nodes + first_input(f.features) + i)];
            if (here != expected)
                fail_msg("step %d, input %d: %d times, %ld on the processor, for: %s", step, i, here, expected, text);
            row += drawn;
        }
        assert_int_equal(row, f.batch.rows);
    }
    cudaFree(count);
}

void check_words(const char *text) {
    fixture f(text);
    size_t items = (size_t)f.features.samples * (size_t)f.features.words;
    uint32_t *bits = nullptr;
    float *value = nullptr;
    cudaMalloc(reinterpret_cast<void **>(&bits), items * sizeof *bits);
    cudaMalloc(reinterpret_cast<void **>(&value), items * 32 * sizeof *value);
    for (int step = 0; step < STEPS; step++) {
        LAUNCH(words_of, 1, THREADS, 0, nullptr, f.features, (uint32_t)(FIRST_STEP + step), bits, value);
        std::vector<uint32_t> found = fetched(bits, items);
        std::vector<float> values = fetched(value, items * 32);
        f.draw(step);
        assert_int_equal(f.batch.rows, f.samples);
        for (int row = 0; row < f.batch.rows; row++) {
            uint32_t *own = &found[(size_t)(row * f.features.words)];
            for (int e = f.batch.begin[row]; e < f.batch.end[row]; e++) {
                int feature = f.batch.active[e];
                if (!(own[feature / 32] >> feature % 32 & 1))
                    fail_msg("step %d, sample %d: feature %d is off, for: %s", step, row, feature, text);
                own[feature / 32] ^= 1u << feature % 32;
                if (f.batch.value)
                    assert_true(values[(size_t)(row * f.features.words * 32 + feature)] == f.batch.value[e]);
            }
            for (int word = 0; word < f.features.words; word++)
                assert_int_equal(own[word], 0); // nothing else is on
        }
    }
    cudaFree(bits);
    cudaFree(value);
}

void test_counts_are_the_processors(void **) {
    check_counts("task: tree\ndepth: 1\nhidden: 2\nsteps: 9\n");
    check_counts("task: tree\ndepth: 6\nhidden: 2\nsteps: 9\nbatch: 1000\n");
    check_counts("task: tree\ndepth: 4\nhidden: 2\nsteps: 9\nearly_stopping: false\nbatch: 301\n");
    check_counts("task: tree\ndepth: 3\nbranching: 3\nhidden: 2\nsteps: 9\nbatch: 301\n");
    check_counts("task: independent\nfeatures: 7\nhidden: 2\nsteps: 9\nbinary: true\nfeature_probability: "
                 "0.1\nbatch: 77\n");
}

void test_samples_are_the_processors(void **) {
    check_words("task: independent\nfeatures: 20\nhidden: 2\nsteps: 9\nbatch: 40\nfeature_probability: 0.2\n");
    check_words("task: independent\nfeatures: 70\nhidden: 2\nsteps: 9\nbatch: 40\nfeature_probability: 0.1\n"
                "correlated_pairs: 3\nanticorrelated_pairs: 4\n");
    check_words("task: independent\nfeatures: 70\nhidden: 2\nsteps: 9\nbatch: 40\nbinary: true\n"
                "feature_probability: 0.1\n");
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_the_processors),
        cmocka_unit_test(test_samples_are_the_processors),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
