// `toysweep merge`: the rows of several results files in one, as if one run had made it. Serial: rank 0's alone.
#pragma once

#include "integrity/reuse.h"

// Makes the results file `output`, which must not exist, of `sweep`, or, if that is NULL, of the sweep of which the
// files are the parts (whole.h); *made is that sweep, if it was found. What no file has is pending. counts (n_files):
// what each gave. TS_ERROR_USER: the files do not go together; nothing is written then.
ts_status ts_merged_file_make(const char *const *files, int n_files, const char *output, const ts_sweep *sweep,
                              ts_sweep **made, ts_reuse_counts *counts);
