// A row of each tensor of a case's weights, and of that the part of one checkpoint.
#include "results/stored_weights.h"

#include "base/memory.h"
#include "base/text.h"
#include "results/format.h"
#include "results/rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TENSOR_RANK = 4, LIST_BYTES = 3000 };

typedef struct search {
    ts_h5 h5;
    ts_reader *reader;
    int64_t instance, row;
    const char *label;   // of its case
    int64_t steps_done;  // by the instance
    bool by_checkpoint;  // the file keeps weights of each
    int64_t checkpoints; // of its case
    int64_t *step;       // (checkpoints)
    bool *known;         // (checkpoints) whether there are weights of it
    int64_t checkpoint;  // whose weights are wanted; -1: there is none of that step
    ts_stored_weights *out;
} search;

static void fail_as_damaged(search *s, const char *name) {
    if (s->h5.status == TS_OK)
        s->h5.status = ts_format_damaged(s->h5.path, name);
}

// --- Where they are ---

// A column's value for the instance.
static ts_status value_of(search *s, const char *name, double *value) {
    double *column = ts_alloc((size_t)ts_reader_instances(s->reader) * sizeof *column, "a column");
    ts_status status = column ? ts_reader_column(s->reader, name, column) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        *value = column[s->instance];
    ts_free(column);
    return status;
}

static int64_t row_of(const ts_reader_case *one, int64_t instance) {
    int64_t low = 0, high = one->rows;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (one->instance[middle] < instance)
            low = middle + 1;
        else
            high = middle;
    }
    return low < one->rows && one->instance[low] == instance ? low : -1;
}

static ts_status find_row(search *s) {
    double number = 0, steps = 0;
    char *resolved = NULL;
    ts_status status = value_of(s, "case", &number);
    if (status == TS_OK)
        status = value_of(s, "steps_done", &steps);
    if (status == TS_OK)
        status = ts_reader_resolved(s->reader, s->instance, &resolved);
    if (status != TS_OK)
        return status;
    s->by_checkpoint = strstr(resolved, "\"save\":\"checkpoints\"");
    ts_free(resolved);
    if (!(number >= 0 && number < ts_reader_cases(s->reader)))
        return ts_format_damaged(s->h5.path, "case");
    const ts_reader_case *one = ts_reader_case_at(s->reader, (int)number);
    s->label = one->label;
    s->steps_done = (int64_t)steps;
    s->row = row_of(one, s->instance);
    return s->row < 0 ? ts_format_damaged(s->h5.path, "case") : TS_OK;
}

static ts_status refuse_status(const search *s, ts_row_status row, int64_t step) {
    const char *why = row == TS_ROW_PENDING  ? " yet: it is pending"
                      : row != TS_ROW_FAILED ? ": its status is damaged"
                      : !s->by_checkpoint    ? ": it failed"
                      : step < 0             ? " of its end: it failed; --step gives those of a checkpoint before"
                                             : NULL;
    if (row == TS_ROW_DONE || !why)
        return TS_OK;
    return ts_fail(TS_ERROR_USER, "instance %lld of '%s' has no weights%s", (long long)s->instance, s->h5.path, why);
}

// Finds the instance's row, and refuses one that cannot have weights of that step.
static ts_status find_instance(search *s, int64_t step) {
    const uint8_t *all;
    if (s->instance < 0 || s->instance >= ts_reader_instances(s->reader))
        return ts_reader_refuse_instance(s->reader, s->instance);
    ts_status status = ts_reader_status(s->reader, &all);
    ts_row_status row = status == TS_OK ? (ts_row_status)all[s->instance] : TS_ROW_PENDING;
    if (status == TS_OK)
        status = find_row(s);
    return status == TS_OK ? refuse_status(s, row, step) : status;
}

// The case's checkpoints, and which of them is at `step`.
static void find_checkpoint(search *s, int64_t step) {
    ts_text path = {0};
    ts_h5_form form = {0};
    ts_text_addf(&path, "/cases/%s/step", s->label);
    if (ts_text_status(&path) != TS_OK)
        s->h5.status = TS_ERROR_MEMORY;
    hid_t dataset = ts_h5_open_dataset(&s->h5, s->h5.file, ts_text_get(&path));
    if (dataset >= 0 && !(ts_h5_form_of(dataset, &form) && form.rank == 1 && form.type == TS_H5_INT64))
        fail_as_damaged(s, ts_text_get(&path));
    if (s->h5.status == TS_OK) {
        s->checkpoints = (int64_t)form.size[0];
        s->step = ts_alloc((size_t)s->checkpoints * sizeof *s->step, "checkpoints");
        s->known = ts_alloc_zero((size_t)s->checkpoints, sizeof *s->known, "checkpoints");
        if (!s->step || !s->known)
            s->h5.status = TS_ERROR_MEMORY;
        ts_h5_read(&s->h5, dataset, &form, 0, s->checkpoints, s->step);
    }
    for (int64_t k = 0; k < s->checkpoints && s->h5.status == TS_OK; k++)
        s->checkpoint = s->step[k] == step ? k : s->checkpoint;
    ts_h5_close(&s->h5, dataset);
    ts_text_free(&path);
}

// --- Reading ---

// Notes of which checkpoints the tensor has a number.
static void note_known(search *s, const float *all, size_t items) {
    for (int64_t k = 0; k < s->checkpoints; k++)
        for (size_t i = 0; i < items && !s->known[k]; i++)
            s->known[k] = !isnan(all[(size_t)k * items + i]);
}

static void keep_tensor(search *s, const char *name, const ts_h5_form *form, int lead, const float *all) {
    ts_stored_tensor tensor = {.rank = form->rank - lead};
    size_t items = 1;
    strcpy(tensor.name, name);
    for (int i = 0; i < tensor.rank; i++) {
        tensor.size[i] = (int64_t)form->size[i + lead];
        items *= (size_t)form->size[i + lead];
    }
    if (s->by_checkpoint)
        note_known(s, all, items);
    if (s->by_checkpoint && s->checkpoint < 0)
        return;
    tensor.data = ts_alloc(items * sizeof *tensor.data, "an instance's weights");
    if (!tensor.data) {
        s->h5.status = TS_ERROR_MEMORY;
        return;
    }
    memcpy(tensor.data, all + (s->by_checkpoint ? (size_t)s->checkpoint * items : 0), items * sizeof *tensor.data);
    s->out->tensor[s->out->count++] = tensor;
}

// A dataset is [row, ...], of weights kept at every checkpoint [row, step, ...].
static void read_tensor(search *s, hid_t dataset, const char *name) {
    ts_h5_form form;
    int lead = s->by_checkpoint ? 2 : 1;
    if (dataset < 0)
        return;
    if (!ts_h5_form_of(dataset, &form) || form.type != TS_H5_FLOAT32 || form.rank < lead ||
        form.rank - lead > TENSOR_RANK || s->row >= (int64_t)form.size[0] ||
        (s->by_checkpoint && s->checkpoints != (int64_t)form.size[1]) || strlen(name) >= sizeof s->out->tensor->name ||
        s->out->count == TS_STORED_TENSORS) {
        fail_as_damaged(s, name);
        return;
    }
    float *all = ts_alloc((size_t)ts_h5_row_bytes(&form), "an instance's weights");
    if (!all) {
        s->h5.status = TS_ERROR_MEMORY;
        return;
    }
    ts_h5_read(&s->h5, dataset, &form, s->row, 1, all);
    if (s->h5.status == TS_OK)
        keep_tensor(s, name, &form, lead, all);
    ts_free(all);
}

static herr_t visit_tensor(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    search *s = context;
    (void)info;
    hid_t dataset = ts_h5_open_dataset(&s->h5, group, name);
    read_tensor(s, dataset, name);
    ts_h5_close(&s->h5, dataset);
    return s->h5.status == TS_OK ? 0 : -1;
}

static void read_tensors(search *s, bool at_end) {
    ts_text path = {0};
    ts_text_addf(&path, "/cases/%s/weights", s->label);
    if (ts_text_status(&path) != TS_OK)
        s->h5.status = TS_ERROR_MEMORY;
    else if (s->h5.status == TS_OK && !ts_h5_has(s->h5.file, ts_text_get(&path)))
        s->h5.status = ts_fail(TS_ERROR_USER, "'%s' keeps no weights; run the sweep again with `save: %s`", s->h5.path,
                               at_end ? "final" : "checkpoints");
    hsize_t position = 0;
    hid_t group = ts_h5_open_group(&s->h5, s->h5.file, ts_text_get(&path));
    if (group >= 0 && H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, &position, visit_tensor, s) < 0)
        ts_h5_fault(&s->h5, "read", ts_text_get(&path));
    ts_h5_close(&s->h5, group);
    ts_text_free(&path);
}

// --- Steps that are not there ---

// The steps whose weights there are; of a long list the first ones and the last.
static int64_t list_steps(const search *s, ts_text *list) {
    int64_t count = 0, last = -1;
    bool cut = false;
    for (int64_t k = 0; k < s->checkpoints; k++) {
        if (!s->known[k])
            continue;
        cut = cut || list->length > LIST_BYTES;
        last = s->step[k];
        if (!cut)
            ts_text_addf(list, "%s%lld", count > 0 ? ", " : "", (long long)last);
        count++;
    }
    if (cut)
        ts_text_addf(list, ", ..., %lld (%lld steps)", (long long)last, (long long)count);
    return count;
}

static ts_status refuse_step(const search *s, int64_t step) {
    ts_text list = {0};
    if (!s->by_checkpoint)
        return ts_fail(TS_ERROR_USER,
                       "instance %lld of '%s' has no weights of step %lld, only those of its last step, %lld; run the "
                       "sweep again with `save: checkpoints`",
                       (long long)s->instance, s->h5.path, (long long)step, (long long)s->steps_done);
    int64_t count = list_steps(s, &list);
    ts_status status = ts_text_status(&list);
    if (status == TS_OK)
        status = ts_fail(TS_ERROR_USER, "instance %lld of '%s' has no weights of step %lld; there are those of %s%s%s",
                         (long long)s->instance, s->h5.path, (long long)step, count > 0 ? "step" : "no step",
                         count > 1 ? "s "
                         : count   ? " "
                                   : "",
                         ts_text_get(&list));
    ts_text_free(&list);
    return status;
}

static ts_status read_found(search *s, int64_t step) {
    bool at_end = step == TS_STORED_END;
    int64_t wanted = at_end ? s->steps_done : step;
    if (s->by_checkpoint)
        find_checkpoint(s, wanted);
    if (at_end && s->by_checkpoint && s->checkpoint < 0)
        fail_as_damaged(s, "steps_done");
    read_tensors(s, at_end);
    s->out->step = wanted;
    if (s->h5.status != TS_OK || at_end)
        return s->h5.status;
    bool there = s->by_checkpoint ? s->checkpoint >= 0 && s->known[s->checkpoint] : wanted == s->steps_done;
    return there ? TS_OK : refuse_step(s, step);
}

ts_status ts_stored_weights_read(const char *path, ts_reader *reader, int64_t instance, int64_t step,
                                 ts_stored_weights *weights) {
    search s = {.reader = reader, .instance = instance, .checkpoint = -1, .out = weights};
    *weights = (ts_stored_weights){.step = step};
    ts_h5_open(&s.h5, path, false);
    ts_status status = s.h5.status;
    if (status == TS_OK)
        status = find_instance(&s, step);
    if (status == TS_OK)
        status = read_found(&s, step);
    ts_h5_end(&s.h5);
    ts_free(s.step);
    ts_free(s.known);
    return status;
}

void ts_stored_weights_free(ts_stored_weights *weights) {
    for (int i = 0; i < weights->count; i++)
        ts_free(weights->tensor[i].data);
    weights->count = 0;
}
