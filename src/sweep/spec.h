// What a sweep file says, once read: settings (a key with its values, and where it stood), axes (settings
// that vary together), entries of `cases`, and filters. Inside of the sweep, shared by its sources; users see
// sweep.h.
//
// A point is one combination of axis values, numbered with the entries of `cases` slowest, then each entry's
// own axes, then the shared axes, the last fastest. Instances are the points that the filters keep.
#pragma once

#include "model/model.h"
#include "sweep/sweep.h"
#include "sweep/value.h"
#include "sweep/where.h"
#include "task/task.h"

enum { TS_MAX_AXES = 256 };

// Where a key stood.
typedef enum ts_setting_place { TS_SETTING_TOP, TS_SETTING_GRID, TS_SETTING_ZIP, TS_SETTING_CASE } ts_setting_place;

// Values of a setting as one (task, model) types them.
typedef struct ts_typed {
    int position;              // of the key in that schema; -1: it does not apply
    const ts_value_list *list; // NULL: where the setting stands, no point has this pairing
} ts_typed;

typedef struct ts_setting {
    const char *key;
    const ts_yaml_node *node; // only while reading
    int line;                 // TS_LINE_SET: from --set
    ts_setting_place place;
    bool implied;              // the stacked_instances that `instances` brings; need not apply
    int64_t count;             // values; 0 until they are typed
    const ts_value_list *list; // as first typed
    ts_typed *typed;           // (pairings); NULL for task, model and optimizer, which select the pairing
} ts_setting;

typedef struct ts_axis {
    int64_t length;
    int count;
    ts_setting **setting; // (count); more than one: zip
    bool selects;         // holds task, model or optimizer, or a switch that other keys need
} ts_axis;

// The keys that select a pairing.
typedef enum ts_selecting { TS_BY_TASK, TS_BY_MODEL, TS_BY_OPTIMIZER, TS_SELECTORS } ts_selecting;

// The setting of such a key that counts in an entry.
typedef struct ts_selector {
    const ts_setting *setting; // NULL: not given
    int axis;                  // of the entry; -1: constant
} ts_selector;

// One entry of `cases`; without `cases`, one empty entry.
typedef struct ts_entry {
    int line;
    bool malformed; // what it holds is not known
    int count;
    ts_setting *setting; // (count)
    int n_axes;
    const ts_axis **axis; // (n_axes) its own, then the shared ones
    ts_selector selector[TS_SELECTORS];
    int64_t first, points; // numbers of its points
} ts_entry;

// A key that counts only where a switch is true, by positions, and what it is where the switch is not.
typedef struct ts_switched {
    int position, by;
    ts_value off;
} ts_switched;
enum { TS_MAX_SWITCHED = 16 };

// One task learned by one model that one optimiser trains.
typedef struct ts_pairing {
    bool reached; // some point may have it; else the rest is 0
    ts_schema schema;
    bool allowed;                   // the model learns the task
    ts_value value[TS_MAX_KEYS];    // defaults and shared constants
    uint64_t key_hash[TS_MAX_KEYS]; // of the keys' names
    int initial;                    // position of `init_from`
    int n_switched;
    ts_switched switched[TS_MAX_SWITCHED];
} ts_pairing;

// `exclude`: a key or derived quantity, and the values that match.
typedef struct ts_match {
    const char *key;
    const ts_yaml_node *node;
    int line;
    const ts_value_list *derived; // values, if it may be a derived quantity
    ts_typed *typed;              // (pairings), if it may be a key
} ts_match;

typedef struct ts_exclusion {
    int count;
    ts_match *match;
} ts_exclusion;

typedef struct ts_override {
    const char *key, *text;
    ts_yaml *yaml; // NULL for name and where, which are read as plain text
    bool used;
} ts_override;

struct ts_sweep {
    ts_arena arena;
    const char *name;
    char *text;             // owned
    const char **overrides; // in the arena
    int n_overrides;
    const ts_file **files; // in the arena
    int n_files;

    const ts_initial **initial; // in the arena
    int64_t n_initial;
    const ts_initial **matched; // (points) weights found by the point's other keys, else NULL; NULL: there are none;
                                // owned

    ts_axis *axis; // shared axes
    int n_axes;
    ts_entry *entry;
    int n_entries;
    bool has_cases;
    ts_pairing *pairing; // (tasks x models x optimisers)
    int n_tasks, n_models, n_optimisers, n_pairings;
    int64_t points;

    int64_t instances;
    uint32_t *point;  // (instances) point of each instance; NULL: the same number; owned
    int32_t *case_of; // (instances); owned
    int64_t *row;     // (instances) the instances of each case, one case after the other; owned
    ts_case *cases;   // (n_cases); owned
    int n_cases;
    const ts_key **varying;
    int n_varying;
    const ts_key **swept;
    int n_swept;
};

// A key that a fault hides.
typedef struct ts_expected {
    const char *key;
    const struct ts_expected *next;
} ts_expected;

// What only reading needs.
typedef struct ts_spec {
    ts_sweep *sweep;
    ts_faults *faults;
    ts_value_reader reader;
    ts_yaml *yaml;
    ts_override *override;
    int n_overrides;
    ts_setting *setting; // settings outside of cases, in file order
    int n_settings, max_settings;
    ts_exclusion *exclude;
    int n_exclude;
    ts_where **where;
    int *where_line;
    int n_where;
    const ts_key *key[TS_MAX_KNOWN]; // every key of every task, model and optimiser
    int n_keys;
    // For errors that would only follow from others: keys that a fault hides, and whether faults hide any.
    const ts_expected *expected;
    bool malformed, unknown_pairings; // unknown_pairings: the task, model or optimizer of some entry is not known
    ts_key task_key, model_key;       // those of the common list, with the names there are
} ts_spec;

// spec.c: the file's structure into settings, entries and filters. Errors are reported; TS_ERROR_USER only if
// nothing can be made of the file.
ts_status ts_spec_read(ts_spec *spec, const ts_sweep_source *source);
void ts_spec_free(ts_spec *spec);

// special.c: the keys that are not parameters (NULL-terminated).
extern const char *const ts_spec_specials[];
bool ts_spec_is_special(const char *key);
ts_status ts_spec_read_name(ts_spec *spec, const char *file, const ts_yaml_node *node, int line);
ts_status ts_spec_read_where(ts_spec *spec, const ts_yaml_node *node, int line);
ts_status ts_spec_read_exclude(ts_spec *spec, const ts_yaml_node *node);

// pairings.c: the pairings, by numbers in the lists of tasks, models and optimisers; those that are reached, made.
ts_pairing *ts_pairing_at(const ts_sweep *sweep, int task, int model, int optimiser);
ts_status ts_spec_select_pairings(ts_spec *spec);
const ts_key *ts_spec_selecting_key(const ts_spec *spec, const char *name);    // NULL: it selects nothing
const char *ts_spec_selected_name(const ts_schema *schema, const ts_key *key); // what it selects of the schema; NULL
ts_status ts_spec_type_selector(ts_spec *spec, ts_setting *setting);           // reads the values of such a key
bool ts_entry_reaches(ts_spec *spec, ts_entry *entry, const ts_pairing *pairing);
bool ts_entry_knows_selectors(ts_spec *spec, ts_entry *entry); // else they are missing, or faults are reported

// bind.c: types every setting for every pairing that the sweep reaches.
ts_status ts_spec_bind(ts_spec *spec);
ts_status ts_spec_read_setting(ts_spec *spec, const ts_setting *setting, const ts_key *key, ts_value_list **out);
ts_setting *ts_spec_effective(ts_spec *spec, ts_entry *entry, const char *key); // what counts in an entry; NULL: none
bool ts_spec_is_hidden(const ts_spec *spec, const ts_entry *entry, const char *key); // by a fault that is reported

// axes.c: constants into the pairings, what varies into axes, and the points counted.
ts_status ts_spec_make_axes(ts_spec *spec);

// expand.c: walks all points, filters and checks them, and keeps the instances.
ts_status ts_spec_expand(ts_spec *spec);

// duplicates.c: reports two instances that are the same.
ts_status ts_spec_find_duplicates(ts_spec *spec);

// cases.c: groups instances into cases, and finds what varies.
ts_status ts_spec_group(ts_spec *spec);

// check_keys.c: whether the irreps that a case names are those of its table, and, where it is to be trained, it has no
// retired key.
ts_status ts_spec_check_keys(ts_spec *spec, bool trains);

ts_setting *ts_setting_find(ts_setting *setting, int count, const char *key); // NULL: it is not among them

const ts_key *ts_spec_key(const ts_spec *spec, const char *name); // NULL: no task or model has it
// Reports a key that no task or model has, with the nearest one (among the special and derived names too, if
// asked).
ts_status ts_spec_unknown(ts_spec *spec, int line, const char *key, bool special, bool derived);
ts_status ts_spec_given_twice(ts_spec *spec, const ts_setting *first, const ts_setting *second);
