// Values that are a word or a list of words (TS_WORDS), such as the names of irreps. A part of value.h, for its use
// only.
#pragma once

#include "sweep/value_reader.h"

// One value: its words in order, a line each.
ts_status ts_words_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char **out);
