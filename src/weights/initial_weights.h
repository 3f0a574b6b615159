// Files of weights that sweeps begin with (`init_from`): of any program's weights, or results files.
#pragma once

#include "sweep/source.h"

extern const ts_weights_access ts_initial_weights;
