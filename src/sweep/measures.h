// The key `measures`: whether what it names are families of measures, and of data that the sweep has.
#pragma once

#include "sweep/value_reader.h"

// As ts_value_read of the value `words`, of any key of TS_WORDS.
ts_status ts_measures_check(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char *words);

// Reports a family, of a point's `measures` on that line, that no case can have: present has bits 1 << ts_kind of the
// sweep's kinds of data.
ts_status ts_measures_check_kinds(ts_faults *faults, int line, const ts_params *params, unsigned present);
