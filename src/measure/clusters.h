// The clusters of neurons by frequency, for families that use the key frequencies.
#pragma once

#include "measure/family.h"
#include "measure/planes.h"

extern const ts_family ts_family_clusters;

// Its state.
typedef struct ts_clusters {
    ts_planes planes;
    ts_sums sums; // the planes'
} ts_clusters;
