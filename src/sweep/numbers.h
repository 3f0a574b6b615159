// Values that are more than one number: a scalar, list or rule for every feature (TS_NUMBERS), the steps
// at which a run is measured (TS_STEPS), when it stops early (TS_STOP), from when on pairs count as known
// (TS_THRESHOLDS). A part of value.h, for its use only.
#pragma once

#include "sweep/value_reader.h"

// As ts_value_read, one value each.
ts_status ts_numbers_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const ts_numbers **out);
ts_status ts_steps_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const ts_numbers **out);
ts_status ts_stop_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const ts_numbers **out);
ts_status ts_thresholds_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                             const ts_numbers **out);
const ts_numbers *ts_numbers_scalar(ts_arena *arena, double value); // NULL: out of memory
