// `toysweep run`, from options to exit code.
#pragma once

#include "base/comm.h"
#include "run/options.h"

#include <stdint.h>

// Collective. Prints its own errors.
int ts_run(const ts_comm *comm, const ts_run_options *options);

// The exit code that goes with a fault.
int ts_exit_code(ts_status status);
