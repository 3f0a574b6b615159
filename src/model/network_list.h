// Where a table model's measures stand in ts_network_measures, by the modules that make them. For network.c and
// the list itself: others find measures by name.
#pragma once

#include "model/dihedral_measures.h"
#include "model/fourier_measures.h"
#include "model/group_measures.h"
#include "model/network.h"

enum {
    TS_NET_TRAIN_LOSS,
    TS_NET_TEST_LOSS,
    TS_NET_TRAIN_ACCURACY,
    TS_NET_TEST_ACCURACY,
    TS_NET_ALL_LOSS,
    TS_NET_WEIGHT_NORM2,
    TS_NET_GROKKED_STEP,
    TS_NET_GROUP_SCALARS,                                           // of chart 0
    TS_NET_VALUE_SCALARS = TS_NET_GROUP_SCALARS + TS_GROUP_SCALARS, // of chart 1
    TS_NET_GROUP_CURVES = TS_NET_VALUE_SCALARS + TS_GROUP_SCALARS,  // per irrep, of chart 0
    TS_NET_VALUE_CURVES = TS_NET_GROUP_CURVES + TS_GROUP_CURVES,    // of chart 1
    TS_NET_KEY_IRREP = TS_NET_VALUE_CURVES + TS_GROUP_CURVES,       // at the end, of chart 0
    TS_NET_IRREP_STEP,
    TS_NET_IRREP_ORDER,
    TS_NET_NEURON_IRREP,
    TS_NET_NEURON_IRREP_FRACTION,
    TS_NET_VALUE_KEY_IRREP, // of chart 1
    TS_NET_VALUE_IRREP_STEP,
    TS_NET_VALUE_IRREP_ORDER,
    TS_NET_VALUE_NEURON_IRREP,
    TS_NET_VALUE_NEURON_IRREP_FRACTION,
    TS_NET_FOURIER,                                              // of chart 0
    TS_NET_VALUE_FOURIER = TS_NET_FOURIER + TS_FOURIER_MEASURES, // of chart 1
    TS_NET_DIHEDRAL = TS_NET_VALUE_FOURIER + TS_FOURIER_MEASURES,
    TS_NET_CLUSTERS = TS_NET_DIHEDRAL + TS_DIHEDRAL_MEASURES, // frequency, its share, keys; of chart 0
    TS_NET_VALUE_CLUSTERS = TS_NET_CLUSTERS + 3,              // of chart 1
    TS_NET_ATTENTION = TS_NET_VALUE_CLUSTERS + 3,
    TS_NET_MEASURES,
};

bool ts_network_has_chart(const ts_data *data, int chart);
