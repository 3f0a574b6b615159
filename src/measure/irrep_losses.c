// Losses by irreps on a device.
#include "measure/irrep_losses.h"

#include <string.h>

void ts_irrep_losses_reserve(const ts_group_parts *parts, ts_slab *slab, ts_irrep_losses *l) {
    size_t n = (size_t)parts->n, irreps = (size_t)parts->count;
    for (int side = 0; side < TS_SIDES; side++)
        l->without[side] = ts_slab_take(slab, irreps, sizeof(double));
    l->excluded = ts_slab_take(slab, irreps + 1, sizeof(double));
    l->logit_excluded = ts_slab_take(slab, irreps + 1, sizeof(double));
    l->restricted = ts_slab_take(slab, irreps + 1, sizeof(double));
    l->first = ts_slab_take(slab, irreps + 2, sizeof(int));
    l->order = ts_slab_take(slab, 2 * n, sizeof(int));
    l->element = ts_slab_take(slab, n * n, sizeof(int));
    l->index = ts_slab_take(slab, n * n, sizeof(int));
    l->split = ts_slab_take(slab, (irreps + 1) * TS_PAIR_SPLITS, sizeof(double));
}

// Which functions of a side each column takes: an irrep's, and, of a b, those of all key irreps.
static ts_pair_corrections corrections_of(const ts_group_parts *parts, const ts_irrep_losses *l, int side) {
    const int *first = parts->symmetry->first;
    int irreps = parts->count, count = 0;
    for (int r = 0; r <= irreps; r++) {
        l->first[r] = count;
        for (int s = 0; s < irreps; s++)
            for (int i = first[s]; i < first[s + 1]; i++)
                if (r == s || (r == irreps && ts_group_is_key(s, parts->similarity[s])))
                    l->order[count++] = i;
    }
    l->first[irreps + 1] = count;
    return (ts_pair_corrections){.elements = parts->n,
                                 .columns = side == TS_OF_PRODUCT ? irreps + 1 : irreps,
                                 .left = parts->columns[side],
                                 .right = parts->through[side],
                                 .terms = parts->n,
                                 .first = l->first,
                                 .order = l->order};
}

// Elements of a side; training: of training pairs alone.
static void take_elements(const ts_group_parts *parts, int side, bool training, int *element) {
    for (int a = 0; a < parts->n; a++)
        for (int b = 0; b < parts->n; b++, element++)
            *element = training && !parts->pairs->is_train[a * parts->n + b] ? -1 : ts_group_element(parts, side, a, b);
}

static void take_split(const ts_irrep_losses *l, int columns, bool all, double *out) {
    for (int j = 0; j < columns; j++)
        out[j] = l->split[j * TS_PAIR_SPLITS + TS_PAIR_TRAIN] + (all ? l->split[j * TS_PAIR_SPLITS + TS_PAIR_TEST] : 0);
}

static void measure_side(ts_device *device, const ts_group_parts *parts, const ts_irrep_losses *l, int side) {
    ts_pair_corrections corrections = corrections_of(parts, l, side);
    bool residual = parts->network->residual;
    take_elements(parts, side, false, l->element);
    ts_device_losses(device, &corrections, l->element, false, l->split);
    take_split(l, parts->count, true, l->without[side]);
    if (side != TS_OF_PRODUCT)
        return;
    if (residual) {
        take_elements(parts, side, true, l->element);
        ts_device_losses(device, &corrections, l->element, true, l->split);
    }
    take_split(l, corrections.columns, false, l->excluded);
    ts_device_alone(device, &corrections, parts->label_count, l->restricted);
}

// Along cubes, which depend on a b c^-1.
static void measure_cubes(ts_device *device, const ts_corrections *c, const ts_irrep_losses *l) {
    const ts_group_parts *parts = c->parts;
    int n = parts->n;
    for (int g = 0; g < n; g++)
        for (int out = 0; out < n; out++)
            l->index[g * n + out] = parts->group->result[g * n + parts->symmetry->inverse[out]];
    take_elements(parts, TS_OF_PRODUCT, true, l->element);
    ts_device_losses(
        device,
        &(ts_pair_corrections){
            .elements = n, .columns = c->irreps + 1, .value = c->function, .index = l->index, .numbers = (size_t)n},
        l->element, false, l->split);
    take_split(l, c->irreps + 1, false, l->logit_excluded);
}

void ts_irrep_losses_measure(ts_device *device, const ts_group_parts *parts, const ts_corrections *corrections,
                             const ts_irrep_losses *losses) {
    for (int side = 0; side < TS_SIDES; side++)
        measure_side(device, parts, losses, side);
    measure_cubes(device, corrections, losses);
}
