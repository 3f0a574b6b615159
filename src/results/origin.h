// What a results file holds of the sweep it was made for, in /sweep: its text, the --set texts and the files
// they name. Written when the file is made, and read back into the same sweep, without any other file. Not the
// columns of what varies (columns.h).
#pragma once

#include "hdf5/hdf5.h"
#include "results/reader.h"
#include "sweep/sweep.h"

// Makes the group /sweep, which the caller closes. Faults are noted in h5.
hid_t ts_origin_write(ts_h5 *h5, const ts_sweep *sweep);
int64_t ts_origin_bytes(const ts_sweep *sweep); // that this takes, about

// The texts of which the sweep of a results file is made. Close also after a fault. TS_ERROR_USER: the file is too old
// to hold them.
typedef struct ts_origin ts_origin;
ts_status ts_origin_open(ts_reader *reader, ts_origin **origin);
const ts_sweep_source *ts_origin_source(const ts_origin *origin); // lives as long as the origin
void ts_origin_close(ts_origin *origin);

// The sweep of a results file of any version. TS_ERROR_USER if this program does not read out of it the
// instances that the file has, or the file is too old to hold its sweep. Free with ts_sweep_free.
ts_status ts_origin_read(ts_reader *reader, ts_sweep **sweep);
