// A file that all ranks have open and write into at places of their own, on one file system or over a network. Every
// rank opens, writes and closes for itself, so no fault of one can keep another waiting. Not for reading, and not for
// anything that changes the file's size.
#pragma once

#include "base/comm.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ts_shared_file ts_shared_file;

// Collective, and all ranks get the same status. The file must be there.
ts_status ts_shared_file_open(const char *path, const ts_comm *comm, ts_shared_file **file);

// Independent.
void ts_shared_file_close(ts_shared_file *file); // NULL is fine
ts_status ts_shared_file_write(ts_shared_file *file, int64_t offset, const void *bytes, size_t size);
// Items of `size` bytes each, item i at offset + row[i] * size, rows ascending.
ts_status ts_shared_file_write_items(ts_shared_file *file, int64_t offset, size_t size, const int64_t *row,
                                     int64_t count, const void *items);
ts_status ts_shared_file_sync(ts_shared_file *file);       // fdatasync
int ts_shared_file_descriptor(const ts_shared_file *file); // stays the file's
bool ts_shared_file_in_place(const ts_shared_file *file);  // is it still the one at its path?
