// Row by row of pairs: pre-activations are sums of two rows.
#include "measure/changed.h"

#include "base/product.h"
#include "measure/device.h"
#include "measure/losses.h"

#include <math.h>
#include <string.h>

enum { LOSS, RIGHT, KINDS, EACH = KINDS * TS_SPLIT_ALL }; // sums of a change: of training and of other pairs

size_t ts_changes_sums(int count) {
    return (size_t)count * EACH;
}

size_t ts_changes_scratch(int n, int hidden, int n_out) {
    return (size_t)n * ((size_t)hidden + (size_t)n_out) + ts_loss_stride(n_out);
}

// What is added to the pre-activations of the pairs (a, ..), h (n, hidden).
static void make_noise(const ts_change *change, int a, double *h, size_t count) {
    ts_philox at = change->noise;
    at.counter[1] += (uint32_t)a;
    if (change->deviation != 0)
        ts_philox_normals(&at, h, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        h[i] = change->deviation != 0 ? change->mean + change->deviation * h[i] : 0;
}

// Activations of the pairs (a, ..), h (n, hidden), and logits (n, n_out).
static void make_row(const ts_pairs *pairs, const ts_change *change, int a, double *h, double *logits) {
    const ts_network *network = pairs->network;
    size_t n = (size_t)pairs->table->n, hidden = (size_t)network->hidden, n_out = (size_t)pairs->table->n_out;
    const double *left = change->left + (size_t)a * hidden;
    make_noise(change, a, h, n * hidden);
    for (size_t b = 0; b < n; b++)
        for (size_t k = 0; k < hidden; k++) {
            double sum = change->left_sign * left[k] + change->right_sign * change->right[b * hidden + k];
            double own = ts_activation_value(change->activation, sum + network->shift[k] + h[b * hidden + k]);
            h[b * hidden + k] = change->keep ? change->keep[k] * own : own;
        }
    ts_product((int)n, (int)n_out, (int)hidden, h, (int)hidden, network->u, (int)n_out, logits, (int)n_out);
    for (size_t b = 0; b < n; b++)
        ts_add(logits + b * n_out, network->output_shift, (int)n_out);
}

static void add_row(const ts_pairs *pairs, const ts_change *change, int a, double *scratch, double *sums) {
    int n = pairs->table->n, hidden = pairs->network->hidden, n_out = pairs->table->n_out;
    double *h = scratch, *logits = h + (size_t)n * (size_t)hidden, *e = logits + (size_t)n * (size_t)n_out;
    make_row(pairs, change, a, h, logits);
    for (int b = 0; b < n; b++) {
        int pair = a * n + b, split = pairs->is_train[pair] ? TS_SPLIT_TRAIN : TS_SPLIT_TEST;
        const double *z = logits + (size_t)b * (size_t)n_out;
        bool right;
        if (pairs->table->result[pair] < 0) // there is no such pair
            continue;
        ts_pairs_exponentials(pairs, z, 1, e);
        sums[split * KINDS + LOSS] += ts_pairs_loss_of(pairs, e, z, pairs->table->result[pair], &right);
        sums[split * KINDS + RIGHT] += right;
    }
}

static void add_rows(const void *context, ts_rows *rows, int first, int end, double *sums) {
    const ts_changes *changes = context;
    for (int a = first; a < end; a++)
        for (int i = 0; i < changes->count && !ts_must_stop(rows->pairs->pause); i++)
            add_row(changes->pairs, &changes->change[i], a, rows->scratch, sums + (size_t)i * EACH);
}

// The same from a device.
static void gather(const ts_changes *changes, double *sums) {
    for (int i = 0; i < changes->count && !ts_must_stop(changes->pairs->pause); i++) {
        double own[TS_PAIR_SPLITS * TS_CHANGED_KINDS], *to = sums + (size_t)i * EACH;
        ts_device_changed(changes->pairs->device, &changes->change[i], own);
        for (int kind = 0; kind < KINDS; kind++) {
            int from = kind == LOSS ? TS_CHANGED_LOSS : TS_CHANGED_RIGHT;
            to[TS_SPLIT_TRAIN * KINDS + kind] = own[TS_PAIR_TRAIN * TS_CHANGED_KINDS + from];
            to[TS_SPLIT_TEST * KINDS + kind] = own[TS_PAIR_TEST * TS_CHANGED_KINDS + from];
        }
    }
}

static void count_pairs(const ts_pairs *pairs, double count[TS_SPLITS]) {
    count[TS_SPLIT_ALL] = 0;
    for (int i = 0; i < pairs->table->n * pairs->table->n; i++)
        count[TS_SPLIT_ALL] += pairs->table->result[i] >= 0;
    count[TS_SPLIT_TRAIN] = (double)pairs->train;
    count[TS_SPLIT_TEST] = count[TS_SPLIT_ALL] - count[TS_SPLIT_TRAIN];
}

void ts_changes_measure(ts_walk *walk, const ts_changes *changes, double *sums, double *const *loss,
                        double *const *accuracy) {
    double count[TS_SPLITS];
    count_pairs(changes->pairs, count);
    if (changes->pairs->device)
        gather(changes, sums);
    else
        ts_walk_add_up(walk, &(ts_walk_sum){ts_changes_sums(changes->count), add_rows, changes}, sums);
    for (int i = 0; i < changes->count; i++)
        for (int split = 0; split < TS_SPLITS; split++) {
            const double *own = sums + (size_t)i * EACH;
            double of[KINDS] = {0};
            for (int part = 0; part < TS_SPLIT_ALL; part++)
                for (int kind = 0; kind < KINDS && (split == TS_SPLIT_ALL || split == part); kind++)
                    of[kind] += own[part * KINDS + kind];
            loss[split][i] = count[split] > 0 ? of[LOSS] / count[split] : NAN;
            accuracy[split][i] = count[split] > 0 ? of[RIGHT] / count[split] : NAN;
        }
}
