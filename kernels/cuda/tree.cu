// Sums of parts, and what was found in any of them. Both stream through memory once.
#include "device.h"

#include "quad.cuh"
#include "tree.h"

namespace {

constexpr int THREADS = 256, WARP = 32;

// Grid: blocks of THREADS quads, instances.
__global__ void __launch_bounds__(THREADS) tree_add(const ts_tree_work w) {
    int at = ((int)blockIdx.x * THREADS + (int)threadIdx.x) * TS_QUAD, instance = (int)blockIdx.y;
    if (w.stopped[instance] || at >= w.count)
        return;
    float *to = w.to + instance * w.to_step + at;
    quad_at(to) = quad_at(to) + quad_at(w.from + instance * w.from_step + at);
}

// Grid: instances. A warp each.
__global__ void __launch_bounds__(WARP) any_flag(const ts_any_work w) {
    int instance = (int)blockIdx.x, found = 0;
    if (w.stopped[instance])
        return;
#pragma unroll 4
    for (int i = (int)threadIdx.x; i < w.sets * w.count; i += WARP)
        found |= w.flag[i / w.count * w.set_step + instance * w.count + i % w.count];
    unsigned which = __ballot_sync(0xffffffffu, found != 0);
    if (threadIdx.x == 0)
        w.any[instance] = which != 0;
}

} // namespace

cudaError_t ts_cuda_tree_add(const ts_tree_work *work, cudaStream_t stream) {
    int quads = work->count / TS_QUAD;
    dim3 grid((unsigned)(quads - 1) / THREADS + 1, (unsigned)work->instances), block(THREADS);
    return LAUNCH(tree_add, grid, block, 0, stream, *work);
}

cudaError_t ts_cuda_any(const ts_any_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)work->instances), block(WARP);
    return LAUNCH(any_flag, grid, block, 0, stream, *work);
}
