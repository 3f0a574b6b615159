#include "backend/reference.h"

#include <string.h>

double *ts_reference_weights(const ts_reference_state *reference, int instance) {
    return reference->state + (size_t)instance * 3 * (size_t)reference->parameters;
}

size_t ts_reference_state_bytes(const void *training) {
    return 3 * (size_t)((const ts_reference_state *)training)->parameters * sizeof(double);
}

ts_status ts_reference_get_state(const void *training, int instance, void *state) {
    memcpy(state, ts_reference_weights(training, instance), ts_reference_state_bytes(training));
    return TS_OK;
}

ts_status ts_reference_set_state(void *training, int instance, const void *state) {
    memcpy(ts_reference_weights(training, instance), state, ts_reference_state_bytes(training));
    return TS_OK;
}

ts_status ts_reference_get_parameters(const void *training, int instance, float *parameters) {
    const ts_reference_state *reference = training;
    for (int64_t p = 0; p < reference->parameters; p++)
        parameters[p] = (float)ts_reference_weights(reference, instance)[p];
    return TS_OK;
}
