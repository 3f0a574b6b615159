// A file of weights as a sweep names it, and which of its instances is that of a point: the one that is the same in
// every parameter in which the file's instances differ.
#pragma once

#include "sweep/source.h"
#include "sweep/value_reader.h"

// An instance, by the text of these parameters.
typedef struct ts_initial_row {
    uint64_t hash;          // of the text; 0: the place is free
    bool several;           // instances have that text
    int64_t instance;       // of the file; of one known by notes: its place among them
    struct ts_found *found; // weights of it that are in use (initial.c)
} ts_initial_row;

typedef struct ts_initial_file {
    const char *path;     // as written
    const char *full;     // from the current directory
    bool opened, refused; // refused: a fault is reported
    bool noted;           // it is known by notes alone
    void *handle;
    int64_t instances; // of a results file; -1: it has weights alone
    // Instances by text, once one has been looked for.
    bool listed;
    int keys;
    const char **key;    // (keys) in which they differ
    ts_initial_row *row; // (slots), a power of two; owned
    size_t slots;
    struct ts_initial_file *next;
} ts_initial_file;

// What a sweep begins with.
typedef struct ts_initials {
    const ts_weights_access *access; // NULL: all is known by notes
    const ts_noted_weights *noted;
    int n_noted;
    ts_status (*recall)(void *context, const char *name, const ts_noted_weights **noted, int *n_noted);
    void *context;
    const char *const *name; // of the sweep, once it is read
    ts_initial_file *file;
    struct ts_found *first, *last; // weights that were found (initial.c)
    int64_t count;
    size_t bytes; // of their numbers
    int axes;     // values that instances were matched with
} ts_initials;

// The file of that path, entered if it is new; NULL: memory ran out.
ts_initial_file *ts_initial_file_of(ts_value_reader *reader, const char *path);

// Opens the file unless it is open. TS_ERROR_USER: reported, now or before.
ts_status ts_initial_file_open(ts_value_reader *reader, ts_initial_file *file, int line);
void ts_initial_file_close(ts_initials *initials, ts_initial_file *file);

// The row that a point is matched with, at a step as written, and the text that tells it. TS_ERROR_USER: reported;
// there is none, or there are several.
ts_status ts_initial_file_match(ts_value_reader *reader, ts_initial_file *file, const ts_params *params, int64_t step,
                                int line, ts_initial_row **row, ts_text *matched);
