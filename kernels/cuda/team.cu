// A rank's own gradient in one piece, and the sum of the team's. Both stream through memory once.
// gate: 128-bit global loads
#include "device.h"

#include "quad.cuh"
#include "team.h"

namespace {

constexpr int THREADS = 256;

// Grid: blocks of THREADS quads; the last quad of the piece is the verdict.
__global__ void __launch_bounds__(THREADS) team_collect(const ts_team_work w) {
    int at = ((int)blockIdx.x * THREADS + (int)threadIdx.x) * TS_QUAD;
    if (w.stopped[0] || at > w.count)
        return;
    if (at < w.count) {
        quad_at(w.own + at) =
            gradient_quad(w.whole, w.whole_count, w.partial, w.parts, (size_t)(w.count - w.whole_count), at);
        return;
    }
    int bad = 0;
    for (int i = 0; i < w.blocks; i++)
        bad |= w.bad[i];
    quad_at(w.own + at) = make_float4(bad ? 1 : 0, 0, 0, 0);
}

__global__ void __launch_bounds__(THREADS) team_add(const ts_team_work w) {
    int at = ((int)blockIdx.x * THREADS + (int)threadIdx.x) * TS_QUAD;
    if (w.stopped[0] || at > w.count)
        return;
    double x = 0, y = 0, z = 0, last = 0;
    for (int rank = 0; rank < w.ranks; rank++) {
        float4 one = quad_at(w.pieces + (size_t)rank * (size_t)(w.count + TS_QUAD) + at);
        x += (double)one.x;
        y += (double)one.y;
        z += (double)one.z;
        last += (double)one.w;
    }
    if (at < w.count)
        quad_at(w.sum + at) = make_float4((float)x, (float)y, (float)z, (float)last);
    else
        w.sum_bad[0] = x > 0;
}

dim3 blocks_of(const ts_team_work &work) {
    return dim3((unsigned)(work.count / TS_QUAD + 1 + THREADS - 1) / THREADS);
}

} // namespace

cudaError_t ts_cuda_team_collect(const ts_team_work *work, cudaStream_t stream) {
    return LAUNCH(team_collect, blocks_of(*work), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_team_add(const ts_team_work *work, cudaStream_t stream) {
    return LAUNCH(team_add, blocks_of(*work), dim3(THREADS), 0, stream, *work);
}
