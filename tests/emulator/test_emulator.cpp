// The emulator itself: what it must let pass, and that what it is there for is caught, file and line named. A kernel
// that must fail runs in a process of its own.
#include "cuda/device.h"

#include <cublas_v2.h>

#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include <cmocka.h>
}

namespace {

enum { THREADS = 96 };

// --- Kernels that are right ---

__global__ void reverse(float *out, const float *in) {
    DYN_SHARED(float, shared);
    unsigned i = threadIdx.x, at = blockIdx.x * blockDim.x;
    shared[i] = in[at + i];
    __syncthreads();
    out[at + i] = shared[blockDim.x - 1 - i];
}

__global__ void votes(int *out) {
    unsigned i = threadIdx.x, warp = i / 32, lane = i % 32;
    int any = __syncthreads_or(i == 5), all = __syncthreads_and(i != 5), count = __syncthreads_count(i < 40);
    unsigned ballot = __ballot_sync(0xffffffffu, lane % 2);
    int from_3 = __shfl_sync(0xffffffffu, (int)i, 3), above = __shfl_down_sync(0xffffffffu, (int)i, 1);
    int below = __shfl_up_sync(0xffffffffu, (int)i, 1, 16), other = __shfl_xor_sync(0xffffffffu, (int)i, 16);
    float sum = (float)lane;
    for (int delta = 16; delta > 0; delta /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, delta);
    out[i] = any == 1 && all == 0 && count == 40 && ballot == 0xaaaaaaaau && from_3 == (int)(warp * 32 + 3) &&
             above == (int)(lane == 31 ? i : i + 1) && below == (int)(lane % 16 == 0 ? i : i - 1) &&
             other == (int)(i ^ 16) && sum == 496;
}

// Lanes of one half exchange among themselves.
__global__ void halves(int *out) {
    unsigned i = threadIdx.x, mask = i % 32 < 16 ? 0xffffu : 0xffff0000u;
    int value = 0;
    if (i % 32 < 16)
        value = __shfl_sync(0xffffu, (int)i, 2);
    else
        value = __shfl_sync(0xffff0000u, (int)i, 20);
    __syncwarp(mask);
    out[i] = value;
}

// --- Kernels that are wrong, each in the way its name says ---

__global__ void reads_unwritten_shared(float *out, const float *in) {
    DYN_SHARED(float, shared);
    shared[threadIdx.x] = in[threadIdx.x];
    out[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x]; // no barrier
}

__global__ void divergent_barrier(float *out, const float *in) {
    if (threadIdx.x < 40)
        __syncthreads();
    out[threadIdx.x] = in[threadIdx.x];
}

__global__ void two_barriers_for_one(float *out, const float *in) {
    if (threadIdx.x < 40)
        __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = in[threadIdx.x];
}

__global__ void divergent_shuffle(float *out, const float *in) {
    float value = in[threadIdx.x];
    if (threadIdx.x % 32 < 31)
        value = __shfl_xor_sync(0xffffffffu, value, 1);
    out[threadIdx.x] = value;
}

__global__ void shared_out_of_bounds(float *out, const float *in) {
    DYN_SHARED(float, shared);
    shared[threadIdx.x + 1] = in[threadIdx.x];
    out[threadIdx.x] = 0;
}

__global__ void global_out_of_bounds(float *out, const float *in) {
    out[threadIdx.x + (threadIdx.x == THREADS - 1)] = in[threadIdx.x];
}

__global__ void no_syncwarp(float *out, const float *in) {
    DYN_SHARED(float, shared);
    shared[threadIdx.x] = in[threadIdx.x];
    out[threadIdx.x] = shared[threadIdx.x ^ 1];
}

__global__ void adds_without_atomics(float *out, const float *in) {
    out[0] += in[threadIdx.x];
}

__global__ void blocks_share_a_cell(float *out, const float *in) {
    if (threadIdx.x == blockIdx.x)
        out[7] = in[threadIdx.x];
}

// --- Running them ---

struct arrays {
    float *in = nullptr, *out = nullptr;
    float host[2 * THREADS];
    arrays() {
        for (int i = 0; i < 2 * THREADS; i++)
            host[i] = (float)i;
        assert_int_equal(cudaMalloc(reinterpret_cast<void **>(&in), sizeof host), cudaSuccess);
        assert_int_equal(cudaMalloc(reinterpret_cast<void **>(&out), THREADS * sizeof(float)), cudaSuccess);
        cudaMemcpy(in, host, sizeof host, cudaMemcpyHostToDevice);
    }
    ~arrays() {
        cudaFree(in);
        cudaFree(out);
    }
};

using kernel_type = void(float *, const float *);

// What a process says that runs the kernel, and how it ends.
std::string complaint(kernel_type *kernel, int blocks, int *ended) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        arrays a;
        LAUNCH(kernel, (unsigned)blocks, THREADS, THREADS * sizeof(float), nullptr, a.out, a.in);
        float results[THREADS];
        cudaMemcpy(results, a.out, sizeof results, cudaMemcpyDeviceToHost);
        for (float each : results)
            if (std::isnan(each))
                _exit(9);
        exit(0);
    }
    close(ends[1]);
    std::string said;
    char part[4096];
    for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;)
        said.append(part, (size_t)n);
    close(ends[0]);
    assert_int_equal(waitpid(child, ended, 0), child);
    return said;
}

void must_fail(kernel_type *kernel, int blocks, const char *because) {
    int ended = 0;
    std::string said = complaint(kernel, blocks, &ended);
    if (ended == 0)
        fail_msg("it was not caught; said: %s", said.c_str());
    if (because && said.find(because) == std::string::npos)
        fail_msg("expected '%s' in: %s", because, said.c_str());
}

void in_every_order(void (*check)()) {
    for (const char *order : {"forward", "backward", "shuffled", "shuffled:7"}) {
        setenv("TOYSWEEP_EMULATE_ORDER", order, 1);
        check();
    }
    unsetenv("TOYSWEEP_EMULATE_ORDER");
}

void test_blocks_barriers_and_shared_memory(void **) {
    in_every_order([] {
        arrays a;
        float results[2 * THREADS], *out = nullptr;
        cudaMalloc(reinterpret_cast<void **>(&out), sizeof results);
        LAUNCH(reverse, 2, THREADS, THREADS * sizeof(float), nullptr, out, a.in);
        cudaMemcpy(results, out, sizeof results, cudaMemcpyDeviceToHost);
        for (int i = 0; i < 2 * THREADS; i++)
            assert_true(results[i] == a.host[i / THREADS * THREADS + THREADS - 1 - i % THREADS]);
        cudaFree(out);
    });
}

void test_votes_and_shuffles(void **) {
    in_every_order([] {
        int results[THREADS], *out = nullptr;
        cudaMalloc(reinterpret_cast<void **>(&out), sizeof results);
        LAUNCH(votes, 1, THREADS, 0, nullptr, out);
        cudaMemcpy(results, out, sizeof results, cudaMemcpyDeviceToHost);
        for (int each : results)
            assert_int_equal(each, 1);
        LAUNCH(halves, 1, THREADS, 0, nullptr, out);
        cudaMemcpy(results, out, sizeof results, cudaMemcpyDeviceToHost);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(results[i], i / 32 * 32 + (i % 32 < 16 ? 2 : 20));
        cudaFree(out);
    });
}

void test_faults_are_caught(void **) {
    must_fail(reads_unwritten_shared, 1, nullptr);
    must_fail(divergent_barrier, 1, "waits for its block at " __FILE__);
    must_fail(two_barriers_for_one, 1, "waits for its block at " __FILE__);
    must_fail(divergent_shuffle, 1, "waits for its warp at " __FILE__);
#ifdef __SANITIZE_ADDRESS__
    must_fail(shared_out_of_bounds, 1, "heap-buffer-overflow");
    must_fail(global_out_of_bounds, 1, "heap-buffer-overflow");
#endif
#ifdef __SANITIZE_THREAD__
    must_fail(no_syncwarp, 1, "data race");
    must_fail(adds_without_atomics, 1, "data race");
    must_fail(blocks_share_a_cell, 2, "data race");
#endif
    must_fail(no_syncwarp, 1, nullptr);
}

// A copy reads what is on the host when the stream gets there.
void test_streams_run_when_they_are_waited_for(void **) {
    float *pinned = nullptr, *device = nullptr, back = 0;
    cudaStream_t stream = nullptr;
    cudaMallocHost(reinterpret_cast<void **>(&pinned), sizeof(float));
    cudaMalloc(reinterpret_cast<void **>(&device), sizeof(float));
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    *pinned = 1;
    cudaMemcpyAsync(device, pinned, sizeof(float), cudaMemcpyHostToDevice, stream);
    *pinned = 2;
    cudaStreamSynchronize(stream);
    cudaMemcpy(&back, device, sizeof back, cudaMemcpyDeviceToHost);
    assert_true(back == 2);
    cudaStreamDestroy(stream);
    cudaFree(device);
    cudaFreeHost(pinned);
}

__global__ void add_one(float *at) {
    if (threadIdx.x == 0)
        at[0] += 1;
}

void test_graphs_run_what_was_captured(void **) {
    float *device = nullptr, back = 0;
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    cudaMalloc(reinterpret_cast<void **>(&device), sizeof(float));
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMemsetAsync(device, 0, sizeof(float), stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    LAUNCH(add_one, 1, 32, 0, stream, device);
    LAUNCH(add_one, 1, 32, 0, stream, device);
    assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    for (int i = 0; i < 3; i++)
        cudaGraphLaunch(executable, stream);
    cudaStreamSynchronize(stream);
    cudaMemcpy(&back, device, sizeof back, cudaMemcpyDeviceToHost);
    assert_true(back == 6);
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
    cudaFree(device);
}

// Whoever waits for the whole device, or for a stream that captures, spoils what is captured.
void test_captures_are_spoilt_by_who_waits_for_them(void **) {
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cublasHandle_t cublas = nullptr;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    for (int how = 0; how < 3; how++) {
        cublasCreate(&cublas);
        assert_int_equal(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
        if (how == 0)
            cudaDeviceSynchronize();
        else if (how == 1)
            assert_int_equal(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
        if (how == 2)
            cublasDestroy(cublas);
        assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
        if (how != 2)
            cublasDestroy(cublas);
    }
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
}

void test_shared_memory_has_to_be_asked_for(void **) {
    float *device = nullptr;
    cudaMalloc(reinterpret_cast<void **>(&device), sizeof(float));
    assert_int_equal(TS_START(add_one, 1, 32, TS_SHARED_WITHOUT_ASKING + 1, nullptr, device), cudaErrorInvalidValue);
    assert_int_equal(LAUNCH(add_one, 1, 32, TS_SHARED_H100 + 1, nullptr, device), cudaErrorInvalidValue);
    cudaGetLastError();
    assert_int_equal(LAUNCH(add_one, 1, 32, TS_SHARED_WITHOUT_ASKING + 1, nullptr, device), cudaSuccess);
    assert_int_equal(LAUNCH(add_one, 1, 32, TS_SHARED_H100, nullptr, device), cudaSuccess);
    cudaDeviceSynchronize();
    cudaFree(device);
}

void test_host_memory_is_not_device_memory(void **) {
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        static float host[4];
        freopen("/dev/null", "w", stderr);
        LAUNCH(add_one, 1, 32, 0, nullptr, host);
        _exit(0);
    }
    int ended = 0;
    waitpid(child, &ended, 0);
    assert_true(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGABRT);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_barriers_and_shared_memory),
        cmocka_unit_test(test_votes_and_shuffles),
        cmocka_unit_test(test_faults_are_caught),
        cmocka_unit_test(test_streams_run_when_they_are_waited_for),
        cmocka_unit_test(test_graphs_run_what_was_captured),
        cmocka_unit_test(test_captures_are_spoilt_by_who_waits_for_them),
        cmocka_unit_test(test_shared_memory_has_to_be_asked_for),
        cmocka_unit_test(test_host_memory_is_not_device_memory),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
