// Runs kernels on the processor, for tests only: every CUDA thread is a fiber; one block at a time; barriers and
// shuffles wait for all their threads and abort, naming file and line, if those never come. Shared memory starts
// as NaN. TOYSWEEP_EMULATE_ORDER=forward, backward or shuffled[:SEED] is the order of blocks, warps and lanes.
#pragma once

#include "cuda_runtime.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <tuple>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

namespace emulator {

struct place {
    uint3 thread, block;
    dim3 block_size, grid_size;
    void *shared;
};
// Of the CUDA thread that is running.
extern __thread place here __attribute__((tls_model("initial-exec")));

struct site {
    const char *file;
    int line;
};

// --- Host side ---

struct configuration {
    const char *kernel;
    const void *function;
    site at;
    dim3 grid, block;
    size_t shared_bytes;
};
// Queues the kernel on the stream (or adds it to the graph being captured).
cudaError_t start(const configuration &how, cudaStream_t stream, std::function<void()> thread);
// Queues anything else that a library does on a stream.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
// Waits for all streams, as a library may do by itself: it spoils what is being captured on any of them.
void synchronise_device();
// Runs all threads of all blocks.
void run(const configuration &how, const std::function<void()> &thread);
// Aborts unless `address` is in device memory (or NULL).
void check_device_pointer(const void *address, const configuration &how);
[[noreturn]] void stop(const char *format, ...) __attribute__((format(printf, 1, 2)));

template <typename T> void check_argument(const T &argument, const configuration &how) {
    if constexpr (std::is_pointer_v<T>)
        check_device_pointer(argument, how);
}

template <typename... Parameters, typename... Arguments>
cudaError_t launch(configuration how, cudaStream_t stream, void (*kernel)(Parameters...), Arguments... arguments) {
    std::tuple<Parameters...> copied(arguments...);
    std::apply([&](const auto &...each) { (check_argument(each, how), ...); }, copied);
    return start(how, stream, [kernel, copied] { std::apply(kernel, copied); });
}

// --- Device side ---

enum class vote { none, any, all, count };
// Waits for the block; the vote's result over all its threads.
int block_barrier(site at, vote how, bool mine);

enum class exchange { barrier, value, ballot };
// Waits for the lanes of `mask`: lane `from`'s bits, or the ballot of bits != 0.
uint64_t warp_exchange(site at, exchange how, unsigned mask, uint64_t bits, unsigned from);

template <typename T> T shuffle(site at, unsigned mask, T value, unsigned from) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = warp_exchange(at, exchange::value, mask, bits, from);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static inline unsigned lane() {
    const place &p = here;
    return (p.thread.x + p.block_size.x * (p.thread.y + p.block_size.y * p.thread.z)) % 32;
}

// Source lanes, as CUDA defines them for segments of `width` lanes.
static inline unsigned from_index(int index, int width) {
    return (lane() & ~(unsigned)(width - 1)) | ((unsigned)index & (unsigned)(width - 1));
}
static inline unsigned from_up(unsigned delta, int width) {
    unsigned in_segment = lane() & (unsigned)(width - 1);
    return in_segment < delta ? lane() : lane() - delta;
}
static inline unsigned from_down(unsigned delta, int width) {
    unsigned in_segment = lane() & (unsigned)(width - 1);
    return in_segment + delta >= (unsigned)width ? lane() : lane() + delta;
}
static inline unsigned from_xor(int mask, int width) {
    unsigned source = lane() ^ (unsigned)mask;
    return (source & ~(unsigned)(width - 1)) > (lane() & ~(unsigned)(width - 1)) ? lane() : source;
}

} // namespace emulator

#define TS_START(kernel, grid, block, shared_bytes, stream, ...)                                                       \
    emulator::launch(                                                                                                  \
        {#kernel, reinterpret_cast<const void *>(kernel), {__FILE__, __LINE__}, grid, block, shared_bytes}, stream,    \
        kernel, __VA_ARGS__)
#define DYN_SHARED(T, name) T *name = static_cast<T *>(emulator::here.shared)

#define threadIdx (emulator::here.thread)
#define blockIdx  (emulator::here.block)
#define blockDim  (emulator::here.block_size)
#define gridDim   (emulator::here.grid_size)
#define warpSize  32

#define EMULATOR_HERE                                                                                                  \
    emulator::site {                                                                                                   \
        __FILE__, __LINE__                                                                                             \
    }
#define __syncthreads()        ((void)emulator::block_barrier(EMULATOR_HERE, emulator::vote::none, false))
#define __syncthreads_or(x)    emulator::block_barrier(EMULATOR_HERE, emulator::vote::any, (x) != 0)
#define __syncthreads_and(x)   emulator::block_barrier(EMULATOR_HERE, emulator::vote::all, (x) != 0)
#define __syncthreads_count(x) emulator::block_barrier(EMULATOR_HERE, emulator::vote::count, (x) != 0)

// Lanes may be left out: all 32.
#define EMULATOR_ARGUMENT(mask, ...) mask
#define __syncwarp(...)                                                                                                \
    ((void)emulator::warp_exchange(EMULATOR_HERE, emulator::exchange::barrier,                                         \
                                   EMULATOR_ARGUMENT(__VA_OPT__(__VA_ARGS__, ) 0xffffffffu, 0), 0, 0))
#define EMULATOR_WIDTH(width, ...) width
#define __shfl_sync(mask, value, index, ...)                                                                           \
    emulator::shuffle(EMULATOR_HERE, mask, value,                                                                      \
                      emulator::from_index(index, EMULATOR_WIDTH(__VA_OPT__(__VA_ARGS__, ) 32, 0)))
#define __shfl_up_sync(mask, value, delta, ...)                                                                        \
    emulator::shuffle(EMULATOR_HERE, mask, value,                                                                      \
                      emulator::from_up(delta, EMULATOR_WIDTH(__VA_OPT__(__VA_ARGS__, ) 32, 0)))
#define __shfl_down_sync(mask, value, delta, ...)                                                                      \
    emulator::shuffle(EMULATOR_HERE, mask, value,                                                                      \
                      emulator::from_down(delta, EMULATOR_WIDTH(__VA_OPT__(__VA_ARGS__, ) 32, 0)))
#define __shfl_xor_sync(mask, value, bits, ...)                                                                        \
    emulator::shuffle(EMULATOR_HERE, mask, value,                                                                      \
                      emulator::from_xor(bits, EMULATOR_WIDTH(__VA_OPT__(__VA_ARGS__, ) 32, 0)))
#define __ballot_sync(mask, x)                                                                                         \
    ((unsigned)emulator::warp_exchange(EMULATOR_HERE, emulator::exchange::ballot, mask, (x) != 0, 0))
#define __any_sync(mask, x) (__ballot_sync(mask, x) != 0)
#define __all_sync(mask, x) (__ballot_sync(mask, x) == (mask))

// --- Arithmetic ---

static inline float __fmaf_rn(float a, float b, float c) {
    return std::fma(a, b, c);
}
static inline float __fadd_rn(float a, float b) {
    return a + b;
}

static inline float __fmul_rn(float a, float b) {
    return a * b;
}
static inline float __fdividef(float a, float b) {
    return a / b;
}
static inline float __frcp_rn(float a) {
    return 1 / a;
}
static inline float rsqrtf(float a) {
    return 1 / std::sqrt(a);
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((uint64_t)a * b >> 32);
}
static inline int __popc(unsigned a) {
    return __builtin_popcount(a);
}
static inline int __popcll(unsigned long long a) {
    return __builtin_popcountll(a);
}
static inline int __clz(int a) {
    return a ? __builtin_clz((unsigned)a) : 32;
}
static inline int __ffs(int a) {
    return __builtin_ffs(a);
}
static inline unsigned __brev(unsigned a) {
    unsigned out = 0;
    for (int bit = 0; bit < 32; bit++)
        out |= (a >> bit & 1) << (31 - bit);
    return out;
}
static inline int __float_as_int(float a) {
    int out;
    std::memcpy(&out, &a, sizeof out);
    return out;
}
static inline float __int_as_float(int a) {
    float out;
    std::memcpy(&out, &a, sizeof out);
    return out;
}
static inline unsigned __float_as_uint(float a) {
    return (unsigned)__float_as_int(a);
}
static inline float __uint_as_float(unsigned a) {
    return __int_as_float((int)a);
}
template <typename T> static inline T __ldg(const T *address) {
    return *address;
}
template <typename T> static inline T __ldcg(const T *address) {
    return *address;
}
template <typename T> static inline void __stcg(T *address, T value) {
    *address = value;
}
static inline int min(int a, int b) {
    return a < b ? a : b;
}
static inline int max(int a, int b) {
    return a > b ? a : b;
}
static inline unsigned min(unsigned a, unsigned b) {
    return a < b ? a : b;
}
static inline unsigned max(unsigned a, unsigned b) {
    return a > b ? a : b;
}
static inline long long min(long long a, long long b) {
    return a < b ? a : b;
}
static inline long long max(long long a, long long b) {
    return a > b ? a : b;
}
static inline double cospi(double a) {
    return std::cos(3.14159265358979323846 * a);
}
static inline double sinpi(double a) {
    return std::sin(3.14159265358979323846 * a);
}
using std::isfinite;
using std::isnan;

// Integers only: sums of floats would depend on the order.
static inline int atomicAdd(int *address, int value) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
static inline unsigned atomicAdd(unsigned *address, unsigned value) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
static inline unsigned atomicOr(unsigned *address, unsigned value) {
    return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}
static inline int atomicOr(int *address, int value) {
    return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}
static inline int atomicMax(int *address, int value) {
    int before = __atomic_load_n(address, __ATOMIC_RELAXED);
    while (before < value &&
           !__atomic_compare_exchange_n(address, &before, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return before;
}
static inline void __threadfence() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline void __threadfence_block() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

// --- Tensor cores ---

static inline float ts_tf32(float x) {
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7f800000) == 0x7f800000) // infinite, or no number
        return x;
    return __uint_as_float((bits + 0x1000) & ~0x1fffu);
}

// Products are exact. A sum has 24 bits, counted from the leading one of its largest term: what goes beyond is cut off
// each term, and off the result. Hardware keeps up to three bits more.
static inline float emulator_cut_sum(const double *term, int count) {
    int largest = INT_MIN, exponent;
    double sum = 0;
    for (int i = 0; i < count; i++) {
        if (!std::isfinite(term[i]))
            return (float)std::accumulate(term, term + count, 0.0);
        if (term[i] != 0) {
            std::frexp(term[i], &exponent);
            largest = std::max(largest, exponent);
        }
    }
    if (largest == INT_MIN)
        return 0;
    for (int i = 0; i < count; i++)
        sum += std::trunc(std::ldexp(term[i], 24 - largest));
    if (sum == 0)
        return 0;
    std::frexp(sum, &exponent);
    sum = exponent > 24 ? std::ldexp(std::trunc(std::ldexp(sum, 24 - exponent)), exponent - 24) : sum;
    return (float)std::ldexp(sum, largest - 24);
}

static inline void ts_tf32_multiply(float (&sum)[4], const float (&a)[4], const float (&b)[2]) {
    const auto cut = [](float x) { return __uint_as_float(__float_as_uint(x) & ~0x1fffu); }; // other bits are not read
    const float upper[2] = {cut(a[0]), cut(a[2])}, lower[2] = {cut(a[1]), cut(a[3])}, right[2] = {cut(b[0]), cut(b[1])};
    const auto pack = [](const float(&pair)[2]) {
        uint64_t bits;
        std::memcpy(&bits, pair, sizeof bits);
        return bits;
    };
    const int row = (int)emulator::lane() / 4, column = (int)emulator::lane() % 4 * 2;
    double term[4][9];
    for (int t = 0; t < 4; t++) {
        const uint64_t given[] = {__shfl_sync(0xffffffffu, pack(upper), 4 * row + t),
                                  __shfl_sync(0xffffffffu, pack(lower), 4 * row + t),
                                  __shfl_sync(0xffffffffu, pack(right), 4 * column + t),
                                  __shfl_sync(0xffffffffu, pack(right), 4 * (column + 1) + t)};
        float of[4][2];
        std::memcpy(of, given, sizeof of);
        for (int i = 0; i < 4; i++)
            for (int half = 0; half < 2; half++)
                term[i][4 * half + t] = (double)of[i / 2][half] * (double)of[2 + i % 2][half];
    }
    for (int i = 0; i < 4; i++) {
        term[i][8] = (double)sum[i];
        sum[i] = emulator_cut_sum(term[i], 9);
    }
}
