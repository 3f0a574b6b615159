// Values that are more than one number: a scalar, list or rule for every feature (TS_NUMBERS), the steps
// at which a run is measured (TS_STEPS), and when it stops early (TS_STOP). A part of value.h, for its use only.
#pragma once

#include "sweep/value.h"

// As ts_value_read, one value each.
ts_status ts_numbers_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                          const ts_numbers **out);
ts_status ts_steps_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                        const ts_numbers **out);
ts_status ts_stop_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                       const ts_numbers **out);
const ts_numbers *ts_numbers_scalar(ts_arena *arena, double value); // NULL: out of memory

// The line that errors about the node name.
int ts_value_line(const ts_value_reader *reader, const ts_yaml_node *node);

// Reports that the node `is`, as in "is not a number"; a node without text is said to have no value.
ts_status ts_value_refuse(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                          const char *is);

// A plain number, whole if asked for: integers are within 2^53, so that a double has them all.
ts_status ts_value_number(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, bool whole,
                          double *out);

// Checks a number against the key's minimum and maximum.
ts_status ts_value_in_range(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                            double number);
