// Keys: one row per parameter a sweep file may set. Tasks and models bring their own lists (ts_task.keys,
// ts_model.keys); the keys every instance has (task, model, seed, steps, ...) stand in key.c.
// Values are typed and resolved: what a range, list or default stood for is already known.
#pragma once

#include "base/status.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ts_key_type {
    TS_INTEGER,
    TS_REAL,
    TS_BOOL,
    TS_NAME,       // one of `choices`, or any word if there are none
    TS_NUMBERS,    // a real, a list of reals, {base: B[, branching: b]} or {power: a[, base: B]} (see ts_numbers)
    TS_STEPS,      // checkpoints: {log: N}, {every: N}, or a list of steps
    TS_STOP,       // when to stop early: none, or {test_loss: X[, for: N]}
    TS_THRESHOLDS, // accuracies from which pairs count as known, {memorised: X, grokked: Y}
    TS_WORDS,      // a word or whole number, or a list of them, each once (see ts_words_next)
    TS_FILE,       // contents of a file, named by a path relative to the sweep file; "" for none
    TS_WEIGHTS,    // weights from a file, named likewise, or {file: FILE[, instance: I][, step: S]}; "" for none
} ts_key_type;

// Value of TS_NUMBERS, TS_STEPS, TS_STOP and TS_THRESHOLDS.
typedef enum ts_numbers_form {
    TS_NUMBERS_SCALAR,    // item[0] for every index
    TS_NUMBERS_LIST,      // item[i]
    TS_NUMBERS_GEOMETRIC, // {base: item[0]}: item[0]^i; with branching item[1]: item[0]^(level of node i +
                          // 1), the nodes of a complete tree numbered level by level, the root left out,
                          // first level 1
    TS_NUMBERS_POWER,     // {power: item[0], base: item[1]}: item[1] (i + 1)^(-item[0])
    TS_NUMBERS_LOG,       // {log: item[0]}
    TS_NUMBERS_EVERY,     // {every: item[0]}
    TS_NUMBERS_NEVER,     // none
    TS_NUMBERS_BELOW,     // {test_loss: item[0], for: item[1]}
    TS_NUMBERS_KNOWN,     // {memorised: item[0], grokked: item[1]}
} ts_numbers_form;

typedef struct ts_numbers {
    ts_numbers_form form;
    int count;
    double item[]; // (count)
} ts_numbers;

// Value of TS_FILE: the file as it was when the sweep was read. It counts by content: two paths to equal
// bytes are one value, and the path is in no identity.
typedef struct ts_file {
    const char *path;    // as written; "": no file
    const char *name;    // for people, of one line: the path's last part, and digits of the digest if another file that
                         // the sweep names has the same
    const char *content; // (bytes), and a NUL
    size_t bytes;
    int64_t rows;    // of numbers in it (base/integer_rows.h)
    char digest[72]; // "sha256:" and 64 hexadecimal digits, as it stands in JSON; "": no file
} ts_file;

extern const ts_file ts_no_file;

// Value of TS_WEIGHTS: the numbers that training begins with. They count by themselves: where they lie, and in what
// kind of file, is in no identity.
typedef struct ts_initial {
    const char *path;       // as written; "": none
    int64_t instance, step; // as written, of a results file; -1: not given
    const char *name;       // for people, of one line: "base.h5 #3 @1000"
    // SHA-256 as in ts_file of the model's tensors one after the other, row-major, as float32, little-endian; as
    // float64 if float32 does not hold them exactly. "": none, or not read yet.
    char digest[72];
    int64_t found_instance, found_step; // where they lay in a results file; -1: they are from a file of weights
    const struct ts_initial *written;   // the value that stands in the sweep; itself, unless an instance was matched
    const char *matched;                // JSON object of what told the instance that was matched; else NULL
    const char *axis;                   // what all that are matched with one value are called in columns; else NULL
    int64_t count;                      // numbers
    const float *narrow;                // (count) in the model's layout; one of the two. Both NULL: not at hand, as of
    const double *wide;                 // a sweep that was read from its results file
} ts_initial;

extern const ts_initial ts_no_initial;

typedef struct ts_value {
    ts_key_type type;
    union {
        int64_t integer;
        double real;
        bool flag;
        const char *name;          // of names and words; lives as long as the sweep (or is static)
        const ts_numbers *numbers; // likewise
        const ts_file *file;       // likewise; never NULL
        const ts_initial *initial; // likewise
    };
} ts_value;

// What is special about a key.
enum {
    TS_SHAPES = 1,   // instances that differ in it belong to different cases
    TS_LATER = 2,    // came when there were results without it: its default is in no canonical form. Of TS_NUMBERS only
                     // where that is a number or a short list; not of other lists
    TS_RETIRED = 8,  // only files of earlier versions have another value than the default; runs refuse it
    TS_DEFINES = 16, // a value that is not its default makes another network, for which no fused engine has kernels
    TS_DRAWS = 32,   // says how initial weights are drawn: has no meaning beside `init_from`
    TS_SWITCHED = 4, // counts only where the TS_BOOL key is true that it is named after: `grokfast` of `grokfast_alpha`
};

typedef struct ts_key {
    const char *name;
    ts_key_type type;
    const char *fallback;    // default as it would be written in a sweep file; NULL: must be given
    double minimum, maximum; // of every number in it, inclusive. TS_NAME: which choices may be written as false and as
                             // true, too, so that the key means the same as one of TS_BOOL; equal: none
    const char *const *choices; // NULL-terminated. TS_NAME: the names allowed. TS_INTEGER: words that may be written
                                // in place of a number, choices[i] for i ("batch: exact" is batch 0); else NULL
    unsigned traits;            // of those below; `true` is TS_SHAPES, `false` is none
    const char *help;           // one line, for --help and the man page
} ts_key;

#define TS_INIT_FROM "init_from" // the key of TS_WEIGHTS

// Keys of every instance: task, model, seed, steps, checkpoints, save, ... (NULL name ends the list).
extern const ts_key ts_common_keys[];

// The keys that apply to one (task, model, optimiser): common, then the task's, the model's, the optimiser's. Made by
// ts_model_schema (model/model.h).
enum { TS_MAX_KEYS = 128 };
struct ts_task;
struct ts_model;
struct ts_optimiser;
typedef struct ts_schema {
    const struct ts_task *task;
    const struct ts_model *model;
    const struct ts_optimiser *optimiser;
    int count;
    const ts_key *key[TS_MAX_KEYS];
    // Positions + 1 by the hash of keys' names, 0: free; of the first `indexed` keys (ts_schema_index).
    uint16_t slot[2 * TS_MAX_KEYS];
    int indexed;
    int named;                         // keys of the canonical form: all but `optimizer` where it says the usual one
    uint8_t alphabetical[TS_MAX_KEYS]; // (named) positions by key name
} ts_schema;

bool ts_key_listed(const ts_key *keys, const char *name); // in a list that a NULL name ends
int ts_key_choice(const ts_key *key, const char *word);   // the word's place among the key's; -1: it is none of them

int ts_schema_find(const ts_schema *schema, const char *name); // -1: not there

// Makes names be found at once, of all keys that are there now; the search for one takes less than 20 ns then, so that
// whatever an instance is asked for may be asked by name.
void ts_schema_index(ts_schema *schema);

// Without the key at that position.
void ts_schema_leave_out(ts_schema *schema, int position);

// The switch that a key needs, by its position in a schema that has both. -1: none.
int ts_schema_switch(const ts_schema *schema, const ts_key *key);

// The same by names: whether `name` is that of the switch that the key needs.
bool ts_key_needs(const ts_key *key, const char *name);

// Resolved parameters of one instance. Strings and lists belong to the sweep.
typedef struct ts_params {
    const ts_schema *schema;
    ts_value value[TS_MAX_KEYS]; // in the schema's order
} ts_params;

// By name; the key must exist with that type (anything else is a programming error and aborts).
int64_t ts_params_integer(const ts_params *params, const char *name);
double ts_params_real(const ts_params *params, const char *name);
double ts_params_real_or(const ts_params *params, const char *name, double otherwise); // where there is no such key
bool ts_params_bool(const ts_params *params, const char *name);
const char *ts_params_name(const ts_params *params, const char *name);
const ts_numbers *ts_params_numbers(const ts_params *params, const char *name);
const ts_file *ts_params_file(const ts_params *params, const char *name);
const ts_initial *ts_params_initial(const ts_params *params); // of `init_from`; ts_no_initial, too, without that key

// Value of TS_WORDS: its words in order, whole numbers before names, a line each. Moves *at on to the word behind
// it, copied into `word`; starts with *at the value's name. False: there are no more.
enum { TS_WORD_BYTES = 64 };
bool ts_words_next(const char **at, char word[TS_WORD_BYTES]);
bool ts_words_are(const ts_params *params, const char *name, const char *word); // just that one word
const char *ts_params_words(const ts_params *params, const char *name);

// Element i of a TS_NUMBERS value (for a list, i < count).
double ts_numbers_at(const ts_numbers *numbers, int64_t i);

// False: the key at that position needs a switch that is not true, and has its default.
bool ts_params_counts(const ts_params *params, int position);

// Whether the canonical form has the key at that position: one that came later only where it is not its default.
bool ts_params_names(const ts_params *params, int position);

bool ts_params_is_default(const ts_params *params, int position);

// Of a key of TS_NAME: whether some of its choices may be written as false and true; and whether `name` is one of
// those, and which.
bool ts_key_takes_flags(const ts_key *key);
bool ts_key_flag(const ts_key *key, const char *name, bool *flag);

// Of a key of TS_THRESHOLDS, whose default is written in full: the default of the `i`th.
double ts_key_threshold(const ts_key *key, int i);

// A key that came later, as it is by default, for an object as ts_params_json writes it.
void ts_key_default_json(const ts_key *key, ts_text *out);

// One JSON object, keys in alphabetical order: the canonical form. Its SHA-256 is the instance's identity
// (TS_ERROR_MEMORY: it is not known).
void ts_params_json(const ts_params *params, ts_text *out);
ts_status ts_params_identity(const ts_params *params, uint8_t digest[32]);

// A value as it would be written in a sweep file, e.g. `true`, `0.001`, `{log: 100}`.
void ts_value_text(const ts_value *value, ts_text *out);
// Numbers of every feature for people, e.g. `0.9^level (2 children a node)`; not of steps and stops.
void ts_numbers_text(const ts_numbers *numbers, ts_text *out);
// A value as that of a JSON member (key NULL: element).
void ts_value_json(const ts_value *value, const char *key, ts_text *out);
