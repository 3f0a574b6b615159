// A look at every number of a state, where the engine says that something is wrong.
#include "train/divergence.h"

#include "base/memory.h"
#include "measure/measure.h"
#include "model/model.h"
#include "model/optimiser.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// Of float32 or float64; `narrow`: float64 that has to be finite as float32, too.
static bool all_finite(const char *numbers, size_t count, size_t width, bool narrow) {
    for (size_t i = 0; i < count; i++) {
        double wide;
        float single;
        if (width == sizeof wide) {
            memcpy(&wide, numbers + i * width, width);
            single = (float)wide;
        } else {
            memcpy(&single, numbers + i * width, width);
            wide = single;
        }
        if (!(narrow ? isfinite(single) : isfinite(wide)))
            return false;
    }
    return true;
}

ts_status ts_divergence_of_state(const ts_engine *engine, const void *training, int instance, const ts_params *params,
                                 int *diverged) {
    ts_parameter_layout layout;
    params->schema->model->layout(params, &layout);
    size_t bytes = engine->state_bytes(training), count = (size_t)layout.total;
    size_t moments = ((size_t)ts_optimiser_parts(params) - 1) * count, width = bytes / (count + moments);
    char *state = ts_alloc(bytes, "an instance's state");
    ts_status status = state ? engine->get_state(training, instance, state) : TS_ERROR_MEMORY;
    *diverged = 0;
    if (status == TS_OK) {
        *diverged = (all_finite(state, count, width, true) ? 0 : TS_DIVERGED_WEIGHTS) |
                    (all_finite(state + count * width, moments, width, false) ? 0 : TS_DIVERGED_MOMENTS);
    }
    ts_free(state);
    return status;
}

int ts_divergence_of_losses(const ts_measure_listing *listing, const double *measures) {
    for (int i = 0; i < listing->count; i++) {
        const ts_measure *measure = listing->item[i].measure;
        double loss = measures[listing->item[i].offset];
        if (measure->loss && !measure->dimension[0] &&
            (fabs(loss) > FLT_MAX || (isnan(loss) && strcmp(measure->name, "train_loss") == 0)))
            return TS_DIVERGED_LOSS;
    }
    return 0;
}

void ts_divergence_say(int diverged, int64_t step, char *text, size_t bytes) {
    bool weights = diverged & TS_DIVERGED_WEIGHTS, moments = diverged & TS_DIVERGED_MOMENTS;
    const char *what = weights && moments ? "the weights and the optimiser's moments are"
                       : weights          ? "the weights are"
                       : moments          ? "the optimiser's moments are"
                                          : "the loss is";
    snprintf(text, bytes, "diverged: %s not finite at step %lld", what, (long long)step);
}
