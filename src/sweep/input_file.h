// Files that a sweep names as values (TS_FILE): read whole while the sweep is read, each path once, so that
// nothing opens them later and a value is what its bytes are. Or taken from what the sweep's source gives.
#pragma once

#include "sweep/value_reader.h"

enum { TS_INPUT_FILE_MAX_BYTES = 4 << 20, TS_INPUT_FILES_MAX_BYTES = 64 << 20 }; // of one; of all of a sweep

// All files, in the order in which they were first named; (count) in the reader's arena. Gives them their names for
// people.
ts_status ts_input_files_list(const ts_value_reader *reader, const ts_file ***files, int *count);

// Reads `node` as the path of a file, relative to the sweep file. TS_ERROR_USER: reported.
ts_status ts_input_file_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                             const ts_file **file);
