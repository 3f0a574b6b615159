// Neurons clustered by frequency: of each neuron's activations, as a function of where a and b stand on a
// circle, the share that the 2-D Fourier terms of one frequency hold. Elements of a dihedral group stand on
// two circles, its rotations and its reflections, which makes four planes of pairs, each taken by itself.
#pragma once

#include "base/memory.h"

typedef struct ts_planes {
    int n, circles;      // places round a circle; 1 or 2 circles
    int hidden, count;   // neurons; frequencies 1 .. n/2
    const int *x, *y;    // (circles * n) place of each a, b; of the second circle n and above
    double *functions;   // (n, n), fourier.h's
    double *transformed; // (4, n, hidden) sums over a plane, by functions of their places
    double *sum;         // (planes, hidden): of activations
    double *explained;   // (count, hidden) energy in a frequency
    // Clusters, once they are made.
    // And `explained` as shares of each neuron's variation; NaN: the neuron does not vary.
    double *frequency; // (hidden) with the largest share; -1: the neuron does not vary
    double *fraction;  // (hidden) that share; NaN: the neuron does not vary
    double *key;       // (n/2) 1: owns a neuron with a share over 0.85; else 0
    ts_slab slab;
} ts_planes;

// Also after a fault, its slab is the caller's to free.
ts_status ts_planes_create(int n, int circles, const int *x, const int *y, int hidden, ts_planes *planes);

size_t ts_planes_sums(const ts_planes *planes); // numbers that are added up over the rows of pairs

// Activations (circles * n, hidden) of the pairs (a, 0 ..); once for every a.
void ts_planes_add(const ts_planes *planes, int a, const double *h, double *sums);

// The same elsewhere: the sums' first numbers are those of squares (hidden); then, for each table, activations are
// added up by a pair's place in it, -1: in none, (n, hidden). NULL: there are no more tables.
typedef struct ts_planes_of {
    const ts_planes *planes;
    int table;
} ts_planes_of;
int ts_planes_place(const void *of, int a, int b); // a ts_planes_of
double *ts_planes_table(const ts_planes *planes, int table, double *sums);

// From the sums over all rows: fills in frequency, fraction, key, and shares.
void ts_planes_cluster(ts_planes *planes, double *sums);
