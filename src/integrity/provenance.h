// Whose is a results file? Whether its rows are what they were is check.h's.
#pragma once

#include "hdf5/hdf5.h"
#include "sweep/sweep.h"

// TS_ERROR_FATAL, with what differs: `file`, open, was not made by this version of the program, from this sweep, with
// this backend.
ts_status ts_provenance_check(const char *path, hid_t file, const ts_sweep *sweep, const char *backend);
