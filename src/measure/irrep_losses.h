// Losses without, and with nothing but, what an irrep gives to the logits (group_losses.c), of pairs that a device has.
#pragma once

#include "measure/corrections.h"
#include "measure/device.h"

// Sums over pairs, of each irrep and, but of `without`, of all key irreps together.
typedef struct ts_irrep_losses {
    double *without[TS_SIDES]; // (irreps) its functions of a, of b, of a b in H: over all pairs
    double *excluded;          // (irreps + 1) without those of a b: over the training pairs
    double *logit_excluded;    // (irreps + 1) without the logits' component along its cube: over the training pairs
    double *restricted;        // (irreps + 1) with nothing but its functions of a b in H: over all pairs
    int *first, *order;        // rooms: (irreps + 2), (2 n)
    int *element, *index;      // (n, n)
    double *split;             // (irreps + 1, TS_PAIR_SPLITS)
} ts_irrep_losses;

// Its arrays are taken from a slab; then, once the parts are finished and the corrections begun, filled in.
void ts_irrep_losses_reserve(const ts_group_parts *parts, ts_slab *slab, ts_irrep_losses *losses);
void ts_irrep_losses_measure(ts_device *device, const ts_group_parts *parts, const ts_corrections *corrections,
                             const ts_irrep_losses *losses);
