// Ways a tensor may lie, tried against a shape.
#include "weights/tensor_form.h"

#include <stdio.h>
#include <string.h>

enum { FORMS = 4 };

static bool has_heads(const ts_tensor *tensor) {
    return tensor->rank == 3 && strcmp(tensor->dimension[0], "head") == 0;
}

// All ways: as in the model, transposed; with heads, both with heads and widths joined.
static int list_forms(const ts_tensor *tensor, ts_tensor_form forms[FORMS]) {
    int last = tensor->rank - 1;
    ts_tensor_form plain = {.axis = {0, 1, 2, 3}, .joined = -1}, transposed = plain;
    forms[0] = plain;
    if (tensor->rank < 2)
        return 1;
    transposed.transposed = true;
    transposed.axis[last] = last - 1;
    transposed.axis[last - 1] = last;
    forms[1] = transposed;
    if (!has_heads(tensor))
        return 2;
    int width = strcmp(tensor->dimension[1], "head_width") == 0 ? 1 : 2, other = 3 - width;
    forms[2] = (ts_tensor_form){.axis = {0, width, other}, .joined = 0, .transposed = width == 2};
    forms[3] = (ts_tensor_form){.axis = {other, 0, width}, .joined = 1, .transposed = width == 1};
    return FORMS;
}

static bool fits(const ts_tensor *tensor, const ts_tensor_form *form, int rank, const int64_t *size) {
    int at = 0;
    for (int i = 0; i < tensor->rank; i++, at++) {
        int64_t expected = tensor->size[form->axis[i]];
        if (i == form->joined)
            expected *= tensor->size[form->axis[++i]];
        if (at >= rank || size[at] != expected)
            return false;
    }
    return at == rank;
}

bool ts_tensor_form_find(const ts_tensor *tensor, int rank, const int64_t *size, ts_tensor_form *form) {
    ts_tensor_form forms[FORMS];
    int count = list_forms(tensor, forms), found = 0;
    for (int i = 0; i < count; i++)
        if (fits(tensor, &forms[i], rank, size) && found++ == 0)
            *form = forms[i];
    if (found > 0)
        form->either = found > 1;
    return found > 0;
}

static bool begins_with(const ts_tensor *tensor, const char *dimension) {
    return strcmp(tensor->dimension[0], dimension) == 0;
}

// Rows that are looked up lie in their own way, whatever products do.
static bool is_lookup(const ts_tensor *tensor) {
    return begins_with(tensor, "input") || begins_with(tensor, "token") || begins_with(tensor, "position");
}

static bool is_output(const ts_tensor *tensor) {
    return strcmp(tensor->dimension[tensor->rank - 1], "output") == 0;
}

// Some of the field's programs keep products transposed but not the unembedding, which therefore only tells when it is.
void ts_tensor_form_count(const ts_tensor *tensor, const ts_tensor_form *form, int *plain, int *transposed) {
    if (tensor->rank < 2 || form->either || is_lookup(tensor))
        return;
    *transposed += form->transposed;
    *plain += !form->transposed && !is_output(tensor);
}

// The form of that layout, where the shape allows both.
static void take_form(const ts_tensor *tensor, bool transposed, ts_tensor_form *form) {
    ts_tensor_form forms[FORMS];
    int count = list_forms(tensor, forms);
    for (int i = 0; i < count; i++)
        if ((forms[i].joined >= 0) == (form->joined >= 0) && forms[i].transposed == transposed) {
            *form = forms[i];
            form->either = true;
        }
}

void ts_tensor_form_transpose(const ts_tensor *tensor, ts_tensor_form *form) {
    if (form->either)
        take_form(tensor, true, form);
}

bool ts_tensor_form_choose(const ts_tensor *tensor, ts_tensor_form *form, int plain, int transposed) {
    bool follows = !is_lookup(tensor) && !is_output(tensor), wanted = transposed > 0 && plain == 0;
    if (!form->either)
        return true;
    if (form->joined >= 0 && (transposed > 0) == (plain > 0))
        return false;
    if (follows && form->transposed != wanted)
        take_form(tensor, wanted, form);
    return true;
}

bool ts_tensor_form_is_plain(const ts_tensor_form *form) {
    return !form->transposed && form->joined < 0;
}

void ts_tensor_form_apply(const ts_tensor *tensor, const ts_tensor_form *form, const double *values, double *out) {
    int64_t stride[TS_MAX_DIMENSIONS] = {0}, index[TS_MAX_DIMENSIONS] = {0}, step = 1, from = 0, count = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        stride[form->axis[i]] = step;
        step *= tensor->size[form->axis[i]];
        count *= tensor->size[i];
    }
    for (int64_t to = 0; to < count; to++) {
        out[to] = values[from];
        for (int d = tensor->rank - 1; d >= 0; d--) {
            from += stride[d];
            if (++index[d] < tensor->size[d])
                break;
            from -= index[d] * stride[d];
            index[d] = 0;
        }
    }
}

const char *ts_tensor_form_text(const ts_tensor *tensor, const ts_tensor_form *form, char *out, size_t bytes) {
    size_t at = 0;
    for (int i = 0; i < tensor->rank && at < bytes; i++) {
        const char *between = form && i == form->joined + 1 && form->joined >= 0 ? " x " : ", ";
        at += (size_t)snprintf(out + at, bytes - at, "%s%s", i ? between : "",
                               tensor->dimension[form ? form->axis[i] : i]);
    }
    return out;
}
