// The frame of a results file: every byte of it after the superblock that training does not write (metadata, texts,
// parameters, gaps).
// HDF5 checks only a part of those bytes, so their CRC-32 stands in the file, as /sweep/frame_checksum.
// Not for the results themselves: each row has a checksum of its own (format.h).
#pragma once

#include "results/rows.h"

// Where datasets lie whose bytes are not of the frame: what training fills in. To open each of thousands of cases takes
// seconds, so they are noted as they are made, or opened for something else.
typedef struct ts_frame_gaps {
    struct ts_frame_gap *of; // (count); owned
    int64_t count, capacity;
} ts_frame_gaps;
void ts_frame_gaps_free(ts_frame_gaps *gaps);

void ts_frame_note(ts_h5 *h5, hid_t dataset, ts_frame_gaps *gaps); // -1: nothing to note
void ts_frame_note_root(const ts_rows *rows, ts_frame_gaps *gaps); // what is open of the root,
void ts_frame_note_case(const ts_rows *rows, ts_frame_gaps *gaps); // and of a case

// Serial. Makes the dataset in the group /sweep, and closes it.
void ts_frame_make(ts_h5 *h5, hid_t sweep_group);

// Serial. Sets the checksum of a file that is finished but for it. gaps: all but the checksum.
ts_status ts_frame_seal(const char *path, ts_frame_gaps *gaps);

// Notes a fault in h5 if a byte of the frame is not what it was when the file was sealed. fd: a descriptor of the same
// file, for reading. gaps: likewise.
void ts_frame_check(ts_h5 *h5, ts_frame_gaps *gaps, int fd);
