// Names matched, shapes fitted, numbers checked; nothing is guessed without a warning.
#include "weights/weights_reader.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "model/model.h"
#include "sweep/nearest.h"
#include "weights/tensor_file.h"
#include "weights/tensor_form.h"

#include <math.h>
#include <string.h>

enum { PREFIX_BYTES = 256, LISTED = 20, SPARE_NUMBERS = 1 << 20 };

typedef struct weights {
    ts_tensor_file *file;
    const ts_model *model;
    const ts_parameter_layout *layout;
    char prefix[PREFIX_BYTES];           // of all names, with its '.'
    int found[TS_MAX_TENSORS];           // which of the file's tensors it is; -1: none
    ts_tensor_form form[TS_MAX_TENSORS]; // how it lies in the file
} weights;

// --- Names ---

static bool is_separator(char c) {
    return c == '.' || c == '/';
}

// Groups of a file and parts of a name are the same.
static bool same_name(const char *a, const char *b) {
    for (; *a && *b; a++, b++)
        if (*a != *b && !(is_separator(*a) && is_separator(*b)))
            return false;
    return *a == *b;
}

// The file's tensor of that name after the prefix; -1: none.
static int find(const weights *w, const char *prefix, const char *name) {
    char whole[PREFIX_BYTES + 64];
    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    for (int i = 0; i < w->file->count; i++)
        if (same_name(w->file->tensor[i].name, whole))
            return i;
    return -1;
}

// How many of the model's tensors are there after the prefix, under any of their names.
static int find_all(const weights *w, const char *prefix, int *found) {
    int count = 0;
    for (int t = 0; t < w->layout->count; t++) {
        const char *name = w->layout->tensor[t].name;
        const char *in_file;
        found[t] = -1;
        for (int k = 0; found[t] < 0 && (in_file = ts_model_file_name(w->model, name, k)); k++)
            found[t] = find(w, prefix, in_file);
        count += found[t] >= 0;
    }
    return count;
}

// What stands before `name` at the end of `whole`; false: it does not end so.
static bool prefix_of(const char *whole, const char *name, char prefix[PREFIX_BYTES]) {
    size_t length = strlen(whole), end = strlen(name);
    if (end > length || length - end >= PREFIX_BYTES || !same_name(whole + length - end, name) ||
        (length > end && !is_separator(whole[length - end - 1])))
        return false;
    memcpy(prefix, whole, length - end);
    prefix[length - end] = 0;
    return true;
}

// Keeps the prefix after which the most are found; two after which all are, are one too many.
static ts_status try_prefix(weights *w, const char *prefix, int *most) {
    int found[TS_MAX_TENSORS];
    char shown[2][TS_SHOWN_BYTES];
    if (strcmp(prefix, w->prefix) == 0)
        return TS_OK;
    int count = find_all(w, prefix, found);
    if (count == w->layout->count && *most == count)
        return ts_fail(TS_ERROR_USER,
                       "'%s' has the model's tensors more than once, after '%s' and after '%s': which are "
                       "meant? Write a file with one of them",
                       w->file->path, ts_shown(w->prefix, shown[0]), ts_shown(prefix, shown[1]));
    if (count > *most) {
        *most = count;
        snprintf(w->prefix, sizeof w->prefix, "%s", prefix);
        memcpy(w->found, found, sizeof found);
    }
    return TS_OK;
}

static ts_status match_names(weights *w) {
    enum { TRIED = 100 };
    const char *name;
    int most = find_all(w, "", w->found), tried = 0;
    ts_status status = TS_OK;
    bool all = most == w->layout->count; // under plain names: then others are others
    for (int i = 0; i < w->file->count && tried < TRIED && !all; i++)
        for (int k = 0; (name = ts_model_file_name(w->model, w->layout->tensor[0].name, k)); k++) {
            char prefix[PREFIX_BYTES];
            if (prefix_of(w->file->tensor[i].name, name, prefix) && ++tried &&
                (status = try_prefix(w, prefix, &most)) != TS_OK)
                return status;
        }
    return TS_OK;
}

// --- What is wrong, in words ---

static void add_listed(ts_text *list, int number, const char *name, int rank, const int64_t *size) {
    char shown[TS_SHOWN_BYTES], shape[TS_SHAPE_BYTES];
    if (number < LISTED)
        ts_text_addf(list, "%s%s (%s)", number ? ", " : "", ts_shown(name, shown), ts_shape_text(rank, size, shape));
    else if (number == LISTED)
        ts_text_add(list, ", ...");
}

static ts_status refuse_missing(const weights *w, int missing) {
    ts_text wanted = {0}, there = {0};
    char shown[TS_SHOWN_BYTES];
    const char *own = w->layout->tensor[missing].name, *published = ts_model_published(w->model, own);
    for (int t = 0; t < w->layout->count; t++) {
        const ts_tensor *tensor = &w->layout->tensor[t];
        add_listed(&wanted, t, ts_model_published(w->model, tensor->name), tensor->rank, tensor->size);
    }
    for (int i = 0; i < w->file->count; i++) {
        const ts_file_tensor *tensor = &w->file->tensor[i];
        add_listed(&there, i, tensor->name, tensor->rank, tensor->size);
    }
    ts_status status = ts_text_status(&wanted) == TS_OK ? ts_text_status(&there) : TS_ERROR_MEMORY;
    if (status == TS_OK && own == published)
        status =
            ts_fail(TS_ERROR_USER, "'%s' has no '%s%s'; looked for: %s; there are: %s", w->file->path,
                    ts_shown(w->prefix, shown), own, ts_text_get(&wanted), there.length ? ts_text_get(&there) : "none");
    else if (status == TS_OK)
        status = ts_fail(TS_ERROR_USER, "'%s' has no '%s%s' (or '%s'); looked for: %s; there are: %s", w->file->path,
                         ts_shown(w->prefix, shown), published, own, ts_text_get(&wanted),
                         there.length ? ts_text_get(&there) : "none");
    ts_text_free(&wanted);
    ts_text_free(&there);
    return status;
}

static ts_status refuse_shape(const weights *w, const ts_tensor *tensor, const ts_file_tensor *there) {
    char shown[TS_SHOWN_BYTES], has[TS_SHAPE_BYTES], wanted[TS_SHAPE_BYTES], names[128];
    return ts_fail(TS_ERROR_USER, "'%s': '%s' is %s, not the shape that the sweep gives it, %s [%s]%s", w->file->path,
                   ts_shown(there->name, shown), ts_shape_text(there->rank, there->size, has),
                   ts_shape_text(tensor->rank, tensor->size, wanted),
                   ts_tensor_form_text(tensor, NULL, names, sizeof names),
                   tensor->rank > 1 ? ", nor that transposed" : "");
}

// --- Shapes and layouts ---

// Has the file's tensor another name than the model's own or published one?
static bool has_alias(const weights *w, int t) {
    const char *name, *own = w->layout->tensor[t].name;
    for (int k = 2; (name = ts_model_file_name(w->model, own, k)); k++)
        if (find(w, w->prefix, name) == w->found[t])
            return true;
    return false;
}

static ts_status match_shapes(weights *w) {
    int transposed = 0, plain = 0; // of those whose shape tells which it is
    for (int t = 0; t < w->layout->count; t++) {
        if (w->found[t] < 0)
            continue;
        const ts_tensor *tensor = &w->layout->tensor[t];
        const ts_file_tensor *there = &w->file->tensor[w->found[t]];
        char shown[TS_SHOWN_BYTES];
        if (there->kind != TS_TENSOR_REAL && there->kind != TS_TENSOR_WHOLE)
            return ts_fail(TS_ERROR_USER, "'%s': '%s' cannot be read as numbers: it is %s", w->file->path,
                           ts_shown(there->name, shown), there->type);
        if (!ts_tensor_form_find(tensor, there->rank, there->size, &w->form[t]))
            return refuse_shape(w, tensor, there);
        if (has_alias(w, t))
            ts_tensor_form_transpose(tensor, &w->form[t]);
        ts_tensor_form_count(tensor, &w->form[t], &plain, &transposed);
    }
    for (int t = 0; t < w->layout->count; t++) {
        if (w->found[t] < 0)
            return refuse_missing(w, t);
        char shown[TS_SHOWN_BYTES];
        if (!ts_tensor_form_choose(&w->layout->tensor[t], &w->form[t], plain, transposed))
            return ts_fail(TS_ERROR_USER,
                           "'%s': '%s' may lie in two ways, and nothing in the file tells which; write it "
                           "with a dimension for the heads",
                           w->file->path, ts_shown(w->file->tensor[w->found[t]].name, shown));
    }
    return TS_OK;
}

static void warn_of_layout(const weights *w, int t, bool any_turned) {
    const ts_tensor *tensor = &w->layout->tensor[t];
    const ts_file_tensor *there = &w->file->tensor[w->found[t]];
    const ts_tensor_form *form = &w->form[t];
    char shown[TS_SHOWN_BYTES], has[TS_SHAPE_BYTES], as[128], ours[128];
    if (!ts_tensor_form_is_plain(form))
        ts_warn("%s: '%s' (%s) is taken as [%s], and transposed to [%s]", w->file->path, ts_shown(there->name, shown),
                ts_shape_text(there->rank, there->size, has), ts_tensor_form_text(tensor, form, as, sizeof as),
                ts_tensor_form_text(tensor, NULL, ours, sizeof ours));
    else if (any_turned && form->either)
        ts_warn("%s: '%s' (%s) is taken as [%s]: its shape does not tell", w->file->path, ts_shown(there->name, shown),
                ts_shape_text(there->rank, there->size, has), ts_tensor_form_text(tensor, NULL, ours, sizeof ours));
}

static void warn_of_layouts(const weights *w) {
    bool any_turned = false;
    for (int t = 0; t < w->layout->count; t++)
        any_turned = any_turned || !ts_tensor_form_is_plain(&w->form[t]);
    for (int t = 0; t < w->layout->count; t++)
        warn_of_layout(w, t, any_turned);
}

// --- Tensors that the model lacks ---

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), bytes = strlen(end);
    return length >= bytes && strcmp(text + length - bytes, end) == 0;
}

static const char *last_part(const char *name) {
    const char *last = name;
    for (; *name; name++)
        last = is_separator(*name) ? name + 1 : last;
    return last;
}

// What state dicts hold beside parameters: masks, what stands in their places, counts of steps, texts.
static bool is_no_parameter(const ts_file_tensor *tensor) {
    const char *name = last_part(tensor->name);
    return tensor->kind == TS_TENSOR_TEXT || tensor->count == 0 ||
           (tensor->kind == TS_TENSOR_WHOLE && tensor->rank == 0) || ends_with(name, "mask") ||
           strcmp(name, "IGNORE") == 0;
}

// Under a name that the model says is of none.
static bool is_of_no_tensor(const weights *w, int index) {
    const char *name;
    for (int k = 2; (name = ts_model_file_name(w->model, "", k)); k++)
        if (find(w, w->prefix, name) == index)
            return true;
    return false;
}

static bool is_wanted(const weights *w, int index) {
    for (int t = 0; t < w->layout->count; t++)
        if (w->found[t] == index)
            return true;
    return false;
}

// *fault: why it may be part of a network; NULL: it is all zero.
static ts_status look_for_zeros(weights *w, const ts_file_tensor *tensor, int64_t *left, const char **fault) {
    *fault = tensor->kind == TS_TENSOR_OTHER ? "cannot be read as numbers"
             : tensor->count > *left         ? "are too large to be looked through"
                                             : NULL;
    if (*fault)
        return TS_OK;
    *left -= tensor->count;
    double *values = ts_alloc((size_t)tensor->count * sizeof *values, "a tensor that the model lacks");
    if (!values)
        return TS_ERROR_MEMORY;
    ts_status status = ts_tensor_file_read(w->file, tensor, values);
    for (int64_t i = 0; !*fault && status == TS_OK && i < tensor->count; i++)
        *fault = values[i] == 0 ? NULL : "are not all zero";
    ts_free(values);
    return status;
}

static ts_status check_others(weights *w) {
    int64_t left = w->layout->total + SPARE_NUMBERS; // a bound on what is read for nothing
    ts_text list = {0};
    ts_status status = TS_OK;
    const char *first = NULL; // what is wrong, and all that it is wrong with
    int refused = 0;
    for (int i = 0; i < w->file->count && status == TS_OK; i++) {
        const ts_file_tensor *tensor = &w->file->tensor[i];
        const char *fault;
        if (is_wanted(w, i) || is_no_parameter(tensor) || is_of_no_tensor(w, i))
            continue;
        status = look_for_zeros(w, tensor, &left, &fault);
        if (status != TS_OK || !fault)
            continue;
        first = first ? first : fault;
        if (strcmp(first, fault) == 0)
            add_listed(&list, refused++, tensor->name, tensor->rank, tensor->size);
    }
    if (status == TS_OK)
        status = ts_text_status(&list);
    if (status == TS_OK && refused > 0)
        status = ts_fail(TS_ERROR_USER,
                         "'%s' has tensors that the model %s does not have and that %s: %s; the "
                         "network would not be the one that they belong to",
                         w->file->path, w->model->name, first, ts_text_get(&list));
    ts_text_free(&list);
    return status;
}

// --- Numbers ---

// "[1, 0, 3]", of a number's place in the file.
static void write_index(const ts_file_tensor *tensor, int64_t at, char *out, size_t bytes) {
    int64_t index[TS_TENSOR_RANK];
    for (int d = tensor->rank - 1; d >= 0; d--) {
        index[d] = at % tensor->size[d];
        at /= tensor->size[d];
    }
    size_t length = (size_t)snprintf(out, bytes, "[");
    for (int d = 0; d < tensor->rank && length < bytes; d++)
        length += (size_t)snprintf(out + length, bytes - length, d ? ", %lld" : "%lld", (long long)index[d]);
    if (length < bytes)
        snprintf(out + length, bytes - length, "]");
}

static ts_status check_numbers(const weights *w, const ts_file_tensor *tensor, const double *values) {
    for (int64_t i = 0; i < tensor->count; i++) {
        char shown[TS_SHOWN_BYTES], index[96];
        if (isfinite(values[i]) && isfinite((float)values[i]))
            continue;
        write_index(tensor, i, index, sizeof index);
        if (isfinite(values[i]))
            return ts_fail(TS_ERROR_USER, "'%s': '%s' has %g at %s, counted from 0: more than float32 holds",
                           w->file->path, ts_shown(tensor->name, shown), values[i], index);
        return ts_fail(TS_ERROR_USER, "'%s': '%s' has %s at %s, counted from 0: weights must be finite", w->file->path,
                       ts_shown(tensor->name, shown), isnan(values[i]) ? "NaN" : "infinity", index);
    }
    return TS_OK;
}

static ts_status read_tensor(weights *w, int t, double *out) {
    const ts_file_tensor *there = &w->file->tensor[w->found[t]];
    double *values = ts_alloc((size_t)there->count * sizeof *values, "weights");
    if (!values)
        return TS_ERROR_MEMORY;
    ts_status status = ts_tensor_file_read(w->file, there, values);
    if (status == TS_OK)
        status = check_numbers(w, there, values);
    if (status == TS_OK)
        ts_tensor_form_apply(&w->layout->tensor[t], &w->form[t], values, out);
    ts_free(values);
    return status;
}

ts_status ts_weights_take(ts_tensor_file *file, const ts_model *model, const ts_parameter_layout *layout,
                          double *parameters) {
    weights w = {.file = file, .model = model, .layout = layout};
    ts_status status = match_names(&w);
    if (status == TS_OK)
        status = match_shapes(&w);
    if (status == TS_OK)
        status = check_others(&w);
    for (int t = 0; t < layout->count && status == TS_OK; t++)
        status = read_tensor(&w, t, parameters + layout->tensor[t].offset);
    if (status == TS_OK)
        warn_of_layouts(&w);
    return status;
}

ts_status ts_weights_read(const char *path, const ts_model *model, const ts_parameter_layout *layout,
                          double *parameters) {
    ts_tensor_file file;
    ts_status status = ts_tensor_file_open(path, &file);
    if (status == TS_OK)
        status = ts_weights_take(&file, model, layout, parameters);
    ts_tensor_file_close(&file);
    return status;
}
