// Tasks: what is learned. A task is one file with a list of keys, checks, and a function that makes its
// data; tasks.c lists them all. Formulas: docs/workloads.md.
#pragma once

#include "param/key.h"

#include <stdint.h>

struct ts_data; // task/data.h

// Kinds of data. A model learns every task of its kind.
typedef enum ts_kind { TS_KIND_FEATURES, TS_KIND_TABLE } ts_kind;
const char *ts_kind_name(ts_kind kind); // one word: "features", "table"

// A quantity that follows from a point's keys.
typedef struct ts_quantity {
    const char *name;
    const char *help; // NULL: it is a key of the task, too
    bool column;      // of the results file
    // One of the two: a whole number, which `where` and `exclude` may use (NaN: this point has none), or a name.
    double (*number)(const ts_params *params);
    const char *(*word)(const ts_params *params);
} ts_quantity;

// All members are needed but those that say what NULL means.
typedef struct ts_task {
    const char *name;
    const char *help;
    ts_kind kind;
    const char *usual_model;    // the default; NULL: the first in the list of models that learns the kind
    const ts_key *keys;         // NULL name ends the list
    const ts_quantity *derived; // NULL name ends the list

    // Checks a value of one of the task's keys by itself, before any filter; `kept`: no filter can drop it, so that
    // also what only a point must not have is a fault. False: what is wrong, and the cure, is in `message`. NULL: its
    // type says all.
    bool (*check_value)(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes);

    // The one text that stands for all names that mean the same as `name` of a key, whose value has been found in
    // order, in `out` (TS_SPELLING_BYTES). NULL: each name means something else.
    void (*spell)(const ts_key *key, const char *name, char *out);

    // Checks what no single key's range can. NULL if fine; else the offending key's name, with a sentence
    // (what is wrong and the cure) in `message`. No function (NULL): any values go together.
    const char *(*check)(const ts_params *params, char *message, size_t bytes);

    // What is learned, in a few words, as "S5" or "binary tree of depth 3": of two points that differ in their data,
    // two texts. Adds to `out`.
    void (*label)(const ts_params *params, ts_text *out);

    // Fills its part of the data of the case `params` belongs to (see ts_data_create). It looks at no keys but the
    // task's own that shape a case, and not at those of the split (split.h): cases that agree in the others share what
    // is made. `features` is there, zeroed, for a task of that kind. After a fault the caller frees what was made.
    ts_status (*create)(const ts_params *params, struct ts_data *data);
} ts_task;

extern const ts_task *const ts_tasks[]; // NULL-terminated

// The text by which a name is known, of a key whose task may spell it (`out`, TS_SPELLING_BYTES, or `name` itself).
enum { TS_SPELLING_BYTES = 257 };
const char *ts_task_spell(const ts_key *key, const char *name, char *out);

// As the check_value of the task whose key it is; true for any other key.
bool ts_task_check_value(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes);

// The task's derived quantity of that name; NULL: it has none.
const ts_quantity *ts_task_quantity(const ts_task *task, const char *name);

// Its number for a point; false: there is none.
bool ts_task_derive(const ts_params *params, const char *name, double *value);

// The derived quantity "features"; 0 if there is none.
int64_t ts_task_features(const ts_params *params);
