// Where a block that trains an autoencoder keeps what, and how its threads share the work.
#include "cuda/kernels.h"

#include <stdbool.h>

enum { WARP = 32 };

static int padded(int n, int to) {
    return (n + to - 1) / to * to;
}

// Hidden units that a thread holds at once, in float4: all of them up to 16. Pads change no bit.
static int chunk_of(int hidden, ts_cuda_placement placement) {
    return hidden > 16 ? 8 : placement == TS_ALL_ON_CHIP ? padded(hidden, 4) / 4 : 4;
}

// Adds `count` floats to the layout.
static void place(size_t *total, size_t *at, size_t count) {
    *at = *total;
    *total += (count + 3) & ~(size_t)3;
}

// Offsets for a placement; returns the bytes of shared memory.
static size_t lay_out(ts_cuda_autoencoder_work *work, ts_cuda_placement placement) {
    ts_cuda_autoencoder_layout *l = &work->layout;
    const ts_cuda_features *data = &work->data;
    l->chunk = chunk_of(work->hidden, placement);
    l->hidden_stride = padded(work->hidden, 4 * l->chunk);
    size_t features = (size_t)work->features, tile = (size_t)l->tile, rows = (size_t)l->row_stride * tile;
    size_t like_w = (features * (size_t)(l->hidden_stride + 1) + 3) & ~(size_t)3, total = 0, chip_moments = 0;
    bool drawn = data->inputs > 0 && data->samples > 0, valued = data->inputs == 0 && !data->binary;
    size_t counters = drawn ? (size_t)l->draws * (size_t)l->nodes : 0;
    size_t list = drawn ? (size_t)l->draws * (size_t)l->most_rows : 0;
    place(&total, &l->w, like_w);
    place(placement == TS_MOMENTS_OFF_CHIP ? &chip_moments : &total, &l->moments, (TS_ADAM_PARTS - 1) * like_w);
    place(&total, &l->scale, features);
    place(&total, &l->h, tile * (size_t)l->hidden_stride);
    place(&total, &l->dh, (size_t)l->groups * tile * (size_t)l->hidden_stride);
    place(&total, &l->dz, rows > counters ? rows : counters);
    place(&total, &l->value, valued ? rows : 0);
    place(&total, &l->bits, tile * (size_t)data->words);
    place(&total, &l->partial, (size_t)l->row_groups * like_w);
    place(&total, &l->list_input, list);
    place(&total, &l->list_weight, list);
    place(&total, &l->list_rows, (size_t)l->draws);
    l->total = total;
    work->placement = placement;
    work->scratch_floats = placement == TS_ALL_ON_CHIP    ? 0
                           : placement == TS_ALL_OFF_CHIP ? total
                                                          : (TS_ADAM_PARTS - 1) * like_w;
    return placement == TS_ALL_OFF_CHIP ? 0 : total * sizeof(float);
}

static int larger(int a, int b) {
    return a > b ? a : b;
}

static int smaller(int a, int b) {
    return a < b ? a : b;
}

void ts_cuda_autoencoder_plan(ts_cuda_autoencoder_work *work, double expected_rows, ts_cuda_placement at_least,
                              size_t block_shared) {
    ts_cuda_autoencoder_layout *l = &work->layout;
    const ts_cuda_features *data = &work->data;
    const int most_warps = TS_AUTOENCODER_THREADS / WARP, words = data->words;
    // Rows of narrow inputs are handled more at once, so that a block has some warps.
    int tile = words > 1 ? 2 * WARP : 4 * WARP;
    l->tile = smaller(tile, padded(expected_rows < tile ? larger(1, (int)expected_rows) : tile, WARP));
    l->groups = smaller(words, smaller(4, most_warps / (l->tile / WARP)));
    l->row_groups = larger(1, l->tile / WARP * l->groups / words);
    l->row_stride = work->features | 1;
    l->most_rows = data->samples > 0 ? smaller(data->inputs, data->samples) : 0;
    l->nodes = data->depth > 0 ? (2 << data->depth) - 1 : data->inputs;
    // As many steps as have some 1000 counters together.
    l->draws = data->inputs > 0 && data->samples > 0 ? larger(1, smaller(4, 1024 / larger(1, l->nodes))) : 1;
    const ts_cuda_placement placements[] = {TS_ALL_ON_CHIP, TS_MOMENTS_OFF_CHIP, TS_ALL_OFF_CHIP};
    for (int i = 0; i < 3; i++)
        if (placements[i] >= at_least && lay_out(work, placements[i]) <= block_shared)
            return;
}

int ts_cuda_autoencoder_threads(const ts_cuda_autoencoder_work *work) {
    return work->layout.tile * work->layout.groups;
}

size_t ts_cuda_autoencoder_shared(const ts_cuda_autoencoder_work *work) {
    return work->placement == TS_ALL_OFF_CHIP ? 0 : work->layout.total * sizeof(float);
}
