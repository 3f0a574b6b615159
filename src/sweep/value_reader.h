// What reading any value needs: where it goes to, where its faults go, and how a node is refused. Values: value.h.
#pragma once

#include "param/key.h"
#include "sweep/arena.h"
#include "sweep/faults.h"
#include "sweep/number.h"
#include "sweep/yaml.h"

// Where values are read to, and where errors go.
typedef struct ts_value_reader {
    ts_arena *arena; // names and lists of the values
    ts_faults *faults;
    const char *sweep_file;            // paths are relative to it; NULL: to the current directory
    const struct ts_sweep_file *given; // files in place of the file system; NULL: there are none
    int n_given;
    struct ts_file_read *files;   // those read so far, in the arena
    struct ts_initials *initials; // weights named so far, and where they are found
    bool filtered;                // the sweep has filters, which may drop values
    bool set;                     // the value came from --set: errors name that, not a line
    bool in_list;                 // within a list that is one value
    // NULL, or whether the item of a list of values counts, by its number; what does not is not looked at.
    bool (*counts)(const void *context, int64_t item);
    const void *context;
    int64_t items_left; // values that lists may still hold, over the whole file
} ts_value_reader;

// The line that errors about the node name.
int ts_value_line(const ts_value_reader *reader, const ts_yaml_node *node);

// Reports that the node `is`, as in "is not a number"; a node without text is said to have no value.
ts_status ts_value_refuse(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char *is);

// A plain number, whole if asked for: integers are within 2^53, so that a double has them all.
ts_status ts_value_number(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, bool whole,
                          double *out);

// A range, of whole numbers if asked for, whose ends the key allows.
ts_status ts_value_range(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, bool whole,
                         ts_range *range);

// Checks a number against two bounds, or the key's own.
ts_status ts_value_between(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, double number,
                           double minimum, double maximum);
ts_status ts_value_in_range(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, double number);
