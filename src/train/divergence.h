// What of an instance is no longer finite: how the trainer finds it, whatever the engine has noticed, and how it is
// said.
#pragma once

#include "backend/backend.h"

struct ts_measure_listing; // measure/measure.h

// Any of them together; 0: everything is finite.
enum { TS_DIVERGED_LOSS = 1, TS_DIVERGED_WEIGHTS = 2, TS_DIVERGED_MOMENTS = 4 };

// Looks through one instance's state. Fails as ts_engine.get_state, or for memory.
ts_status ts_divergence_of_state(const ts_engine *engine, const void *training, int instance, const ts_params *params,
                                 int *diverged);

// Of what ts_measure_weights wrote: a training loss has to be a number, another loss may be unknown (NaN), and none
// beyond the range of float32, in which kernels would call it infinite.
int ts_divergence_of_losses(const struct ts_measure_listing *listing, const double *measures);

// "diverged: the weights and the optimiser's moments are not finite at step 7"; step: after so many updates.
void ts_divergence_say(int diverged, int64_t step, char *text, size_t bytes);
