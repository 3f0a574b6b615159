// A network's pairs on the GPU, as measures ask for them (model/pair_device.h): what cuda_measure.c, which makes rows
// and sums, and cuda_measure_losses.c share.
#pragma once

#include "backend/cuda_forward.h"
#include "model/pair_device.h"

// Pairs of a network. Rows are those of all pairs, kept, where they fit; else of the pairs made last.
typedef struct ts_cuda_measured {
    ts_pair_spec spec;
    ts_cuda_forward forward;
    ts_cuda_workspace *workspace;
    int pairs, batch; // n * n; that go through the network at a time
    bool keeps;
    int attended;                                           // numbers of a pair's attention
    double *h, *logits, *hidden_logits, *attention, *facts; // (rows, hidden), (rows, outputs), (rows, n_out), ...
    int *label;                                             // (n * n)
    // What a call needs beside is carved from here.
    char *arena;
    size_t arena_bytes, arena_used;
    size_t chunk_bytes; // of it for what losses need pair by pair, and as much for tables
    // On the host.
    int *begin, *row, *number; // (pairs + 2), (pairs), (pairs)
    int *list[3];              // (pairs + 8 n)
    double *out;               // (out_numbers)
    size_t out_numbers;
    ts_slab slab;
} ts_cuda_measured;

// Rows for pairs `pair` (count, on the device; NULL: first ..), at most a batch; where all are kept they are written
// behind `first` others.
ts_status ts_cuda_measured_make(ts_cuda_measured *measured, const int *pair, int first, int count);

// Memory of a call, zero bytes of it used at the beginning; NULL after a fault, with a message.
void ts_cuda_measured_begin(ts_cuda_measured *measured);
void *ts_cuda_measured_take(ts_cuda_measured *measured, size_t count, size_t size);
// The same with these contents.
void *ts_cuda_measured_put(ts_cuda_measured *measured, const void *from, size_t count, size_t size);

// Adds sums of rows (work: kind, width, wide, values, and what goes with the kind) to out (segments, width): of row i
// to segment[i], -1: to none. Waits for them.
ts_status ts_cuda_measured_sum(ts_cuda_measured *measured, ts_measure_sum work, const int *segment, int rows,
                               int segments, double *out);

extern const ts_pair_device ts_cuda_pair_device;

// For tests: what is kept of all pairs, what goes through the network at a time, and what losses need take at most so
// many bytes each; 0: what they take usually.
void ts_cuda_measured_limit(double bytes);

// As in ts_pair_device.
ts_status ts_cuda_measured_losses(void *own, const ts_pair_corrections *corrections, const int *element,
                                  const uint8_t *split, bool hidden, double *out);
ts_status ts_cuda_measured_alone(void *own, const ts_pair_corrections *corrections, const int *times, double *out);
ts_status ts_cuda_measured_changed(void *own, const ts_pair_change *change, const uint8_t *split, double *out);
ts_status ts_cuda_measured_mapped(void *own, int kinds, const int *kind, const double *matrix, double *out);
