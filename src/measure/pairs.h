// All pairs of a table through a network, row by row: what is the same for all who go over them, and the rows that one
// of them has at hand. Only the exponentials of logits are kept, as far as memory allows: they are what measures go
// over several times.
#pragma once

#include "base/memory.h"
#include "base/pause.h"
#include "model/network.h"
#include "task/data.h"

// Rows of pairs whose exponentials are kept at least: about those of a part.
enum { TS_PAIRS_KEPT = 12 };

struct ts_device;

typedef struct ts_pairs {
    const ts_network *network;
    struct ts_device *device; // on which they go through it (measure/device.h); NULL: on the processor
    const ts_table *table;    // in the group's numbers (ts_symmetry.table), as the network is
    const atomic_int *pause;  // passes over the pairs end early if it says stop; NULL: nobody asks
    uint8_t *is_train;        // (n * n)
    int64_t train;            // training pairs
    size_t stride;            // ts_loss_stride(n_out)
    int outputs;              // of the network: n_out, and those beyond the classes
    bool keeps_logits;        // of all rows: two passes need them, and there is room
    ts_slab slab;
} ts_pairs;

// What is given outlives it; free with ts_pairs_free, also after a fault.
ts_status ts_pairs_create(const ts_params *params, const ts_data *data, const ts_network *network,
                          const atomic_int *pause, ts_pairs *pairs);
void ts_pairs_free(ts_pairs *pairs);

size_t ts_pairs_kept(const ts_pairs *pairs); // rows of which each thread keeps exponentials

// Those of one thread.
typedef struct ts_rows {
    const ts_pairs *pairs;
    void *weights;         // the network's, or a thread's beside it
    int row;               // whose h and logits are at hand; -1: none
    double *h;             // (n, hidden)
    double *outputs;       // (n, outputs) of the network
    double *spoiled;       // (outputs) of a pair
    double *logits;        // (n, n_out) of these, those of the classes: `outputs` itself if there are no others
    double *hidden_logits; // (n, n_out) what comes through the hidden layer; without a residual all of the logits
    int kept;              // rows of exponentials kept: all n, or some that follow each other
    int *row_of;           // (kept) which a it holds; -1: none yet
    double *all_logits;    // (n, n, n_out) if pairs keep them, of rows that were at hand:
    bool *has_logits;      // (n)
    double *e;             // (kept, n, stride) of logits
    double *hidden_e;      // (kept, n, stride) of hidden logits
    double *scratch;       // for whoever looks at the rows
    ts_slab slab;
} ts_rows;

// `scratch`: numbers. first: of the thread that has the network; else of one beside it. Free with ts_rows_free, also
// after a fault.
ts_status ts_rows_create(const ts_pairs *pairs, bool first, size_t scratch, ts_rows *rows);
void ts_rows_free(ts_rows *rows);
double ts_rows_bytes(int n, int n_out, int hidden, bool residual); // about, without scratch

// Of the pairs (a, 0 .. n - 1); valid until the next call of ts_rows_at.
typedef struct ts_pair_row {
    const double *h;      // (n, hidden)
    const double *logits; // (n, n_out)
    const double *hidden_logits;
} ts_pair_row;
ts_pair_row ts_rows_at(ts_rows *rows, int a);
const double *ts_rows_logits_at(ts_rows *rows, int a); // (n, n_out) alone

// Logits (count, n_out) of any pairs (a[i], b[i]), up to n of them, as they are; `logits` has room for (count,
// outputs). hidden_logits (count, n_out): NULL: not wanted.
void ts_rows_pairs(ts_rows *rows, int count, const int *a, const int *b, double *logits, double *hidden_logits);

// Exponentials (n, stride) of their logits, or of those that come through the hidden layer (ts_pairs_exponentials);
// losses change and restore them.
double *ts_rows_exponentials(ts_rows *rows, int a, bool hidden);
// Logits (n_out) of one of them, with these exponentials at hand: as they were kept, or, where they are the
// cross-entropy's, made again.
const double *ts_rows_logits(ts_rows *rows, int a, int b, bool hidden);

// Losses, by the network's definition: the cross-entropy as in losses.h, from exponentials, as it counts where it is
// tiny; another from the logits, which then stand in the exponentials' place, here and above. Rows are of n_out.
void ts_pairs_exponentials(const ts_pairs *pairs, const double *x, double sign, double *e); // as ts_exponentials
double ts_pairs_loss(const ts_pairs *pairs, double *z, int label); // as ts_pair_loss; z is spoiled
double ts_pairs_loss_of(const ts_pairs *pairs, double *e, const double *z, int label,
                        bool *right); // as ts_cross_entropy
// As ts_cross_entropies; of another loss all come out as NaN.
void ts_pairs_losses_of(const ts_pairs *pairs, double *e, const double *const *corrections, int count, int label,
                        double *losses);

// A pair's loss as the network is trained on it: with the outputs beyond the classes, which no other loss counts.
double ts_rows_whole_loss(ts_rows *rows, int a, int b, int label);
