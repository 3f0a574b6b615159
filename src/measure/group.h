// What a network holds in the functions of a group, irrep by irrep, for the families that measure it.
#pragma once

#include "measure/family.h"

extern const ts_family ts_family_group;

// Its state. Functions of a, of b and of a b: elements of the group count by the pairs they stand for. Coefficients are
// those of all irreps' functions (ts_symmetry_basis).
typedef struct ts_group_parts {
    const ts_pairs *pairs;
    const ts_network *network;
    const ts_symmetry *symmetry;
    const ts_table *group;
    const ts_chart *chart;
    int n, hidden, count;     // order of the group, width, irreps
    double *weight[TS_SIDES]; // (n) pairs of each element
    int *label_count;         // (n, n): pairs of each product with that label
    // Added up over the pairs.
    ts_sums sums;
    double *sum[TS_SIDES];            // (n, hidden) H over the pairs of each element
    double *all_mean;                 // (hidden)
    double *by_product;               // (n, n): centred logits summed over the pairs of each product
    double hidden_energy;             // of H0
    double logit_energy;              // of logits centred over c
    double centre_sum, centre_energy; // of logits' means over c: their sum, the sum of their squares
    // Made of these.
    double *functions;                // (n, n) of a side, orthonormal
    double *columns[TS_SIDES];        // (n, n) transposed
    double *part[TS_SIDES];           // (n, hidden) coefficients of H
    double *part0[TS_SIDES];          // (n, hidden) coefficients of H0
    double *through[TS_SIDES];        // (n, n) coefficients of H taken through U
    double *embedding;                // (n, embed) E over the tokens of each element
    double *embed_part[2];            // (n, embed) coefficients of E_x, E_y
    double embed_energy[2], u_energy; // of E_x, E_y, U
    double *u_rows, *u_part;          // (n, hidden) U transposed, and its coefficients
    double *neuron_energy;            // (hidden) of an irrep
    double *neuron_all;               // (hidden)
    // Measures: of neurons, (hidden); of irreps, (irreps); over the key irreps.
    double *neuron_irrep, *neuron_irrep_fraction;
    // Of the logits with each irrep's chi cube chi(a b c^-1): cosines, centred over c, as they are and less their mean,
    // and the coefficient.
    double *similarity, *raw_similarity, *less_mean_similarity, *fit;
    double *embed_fraction[2], *unembed_fraction, *hidden_fraction[TS_SIDES];
    double embed_explained[2], unembed_explained, hidden_explained, hidden_product_explained;
    ts_slab slab;
} ts_group_parts;

// Element that a pair stands for, by side.
int ts_group_element(const ts_group_parts *parts, int side, int a, int b);

// Energy (hidden) of each neuron in an irrep: that of its embeddings, or, where it has none of its own, of its means
// over b and over a, the mean over all pairs left out.
void ts_group_neuron_energy(const ts_group_parts *parts, int irrep, double *energy);

// Below this energy in all irreps a neuron is off.
extern const double ts_group_off_energy;

// Product of logits with an irrep's chi cube over all pairs and c, from logits summed over the pairs of each product
// (n, n); and the cube's squared norm.
double ts_group_along_cube(const ts_symmetry *symmetry, const double *by_product, int r);
double ts_group_cube_norm(const ts_symmetry *symmetry, int r);

// Whether the logits are so similar to an irrep's chi cube that it is a key irrep.
bool ts_group_is_key(int irrep, double similarity);
