// Whose is a results file? Whether its rows are what they were is check.h's.
#pragma once

#include "base/digest.h"
#include "hdf5/hdf5.h"
#include "results/reader.h"
#include "sweep/sweep.h"

// TS_ERROR_FATAL, with what differs: `file`, open, was not made by this version of the program, with this backend, from
// a sweep of this name.
ts_status ts_provenance_check(const char *path, hid_t file, const ts_sweep *sweep, const char *backend);

// The same of the sweep's instances. digest: ts_sweep_digest of it.
ts_status ts_provenance_check_sweep(const char *path, hid_t file, const ts_sweep *sweep,
                                    const uint8_t digest[TS_SHA256_BYTES]);

// How an instance of a file differs from the one of the sweep that is most like it (of the first thousand): the first
// of the parameters, as "steps: 400 then, 500 now". False: it cannot be told.
bool ts_provenance_nearest(ts_reader *reader, int64_t instance, const ts_sweep *sweep, char *out, size_t bytes);
