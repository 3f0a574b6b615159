// The ways in which one parameter lies in files: in the model's order of dimensions, transposed (for x W^T instead of x
// W), or with its heads and their widths in one dimension. Where a shape allows two, the file's other tensors decide.
#pragma once

#include "model/model.h"

// `axis`: dimensions of the model's tensor in the file's order. `joined`: the first of two that are one in the file;
// -1: none are.
typedef struct ts_tensor_form {
    int axis[TS_MAX_DIMENSIONS];
    int joined;
    bool transposed;
    bool either; // the shape is that of the other way too
} ts_tensor_form;

// By the shape in the file; false: it fits no way.
bool ts_tensor_form_find(const ts_tensor *tensor, int rank, const int64_t *size, ts_tensor_form *form);

// Adds to the numbers of tensors that lie as in the model, and transposed, if the form is certain and says something of
// the others.
void ts_tensor_form_count(const ts_tensor *tensor, const ts_tensor_form *form, int *plain, int *transposed);

// Decides what the shape left open; false: there is nothing to go by.
bool ts_tensor_form_choose(const ts_tensor *tensor, ts_tensor_form *form, int plain, int transposed);

// Of a file that keeps products transposed: that way, where the shape left it open.
void ts_tensor_form_transpose(const ts_tensor *tensor, ts_tensor_form *form);

// Is the file's shape the model's?
bool ts_tensor_form_is_plain(const ts_tensor_form *form);

// From the file's order (values) into the model's.
void ts_tensor_form_apply(const ts_tensor *tensor, const ts_tensor_form *form, const double *values, double *out);

// The dimensions by name: "head, model, head_width". form NULL: the model's.
const char *ts_tensor_form_text(const ts_tensor *tensor, const ts_tensor_form *form, char *out, size_t bytes);
