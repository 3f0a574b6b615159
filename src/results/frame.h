// The frame of a results file: every byte of it after the superblock that training does not write (metadata, texts,
// parameters, gaps).
// HDF5 checks only a part of those bytes, so their CRC-32 stands in the file, as /sweep/frame_checksum.
// Not for the results themselves: each row has a checksum of its own (format.h).
#pragma once

#include "results/rows.h"

// Serial. Makes the dataset in the group /sweep, and closes it.
void ts_frame_make(ts_h5 *h5, hid_t sweep_group);

// Serial. Sets the checksum of a file that is finished but for it.
ts_status ts_frame_seal(const char *path, const ts_sweep *sweep, const ts_record_layout *const *layouts);

// Notes a fault in rows->h5 if a byte of the frame is not what it was when the file was sealed. fd: a descriptor of the
// same file, for reading. Leaves the datasets of the last case open.
void ts_frame_check(ts_rows *rows, int fd);
