// A measure as it stands in its family's list.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct ts_curves; // measure/curves.h
struct ts_params; // param/key.h

enum { TS_MEASURE_DIMENSIONS = 3 };

typedef struct ts_measure {
    const char *name;
    const char *help;                             // long_name
    const char *dimension[TS_MEASURE_DIMENSIONS]; // NULL: none; {"feature"}: a number for each (dimension.h)
    const char *without;                          // cases that have this dimension have it not; NULL: none
    const char *units;                            // NULL: none
    bool loss;                                    // kept in float64 (others: float32)
    // Of the last checkpoint alone. Others have a curve, [row, step(, dimension)], and scalars also a column at the
    // root with their last value.
    bool at_end;
    // Whether an instance has it, by keys that shape its case. NULL: every one.
    bool (*wanted)(const struct ts_params *params);
    // The formula, of what the family has gathered: one of these.
    double (*value)(const void *family);           // a scalar
    double (*each)(const void *family, int index); // one number along its dimensions
    // Or where the family's state has it, once finished: offsetof a double, or with dimensions a pointer to as many.
    size_t at; // no state begins with one
    // From the curves of other measures, once the last checkpoint is measured.
    void (*follows)(const struct ts_curves *curves, double *out);
} ts_measure;
