// Fields laid out from a model's measures and tensors, and values put in their places.
#include "train/record.h"

#include "base/memory.h"
#include "measure/curves.h"
#include "measure/dimension.h"
#include "measure/measure.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "param/checkpoints.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Each measure has at most a column and a curve; a field has the dimensions of a tensor or a measure, and steps.
enum { STATE_FIELDS = 2 };
_Static_assert(2 * TS_MAX_MEASURES + (int)STATE_FIELDS + (int)TS_MAX_TENSORS <= (int)TS_MAX_FIELDS,
               "a record has all fields");
_Static_assert((int)TS_MEASURE_DIMENSION_NAMES <= (int)TS_MAX_NAMED, "every dimension can have names");
_Static_assert((int)TS_MAX_DIMENSIONS < (int)TS_FIELD_DIMENSIONS, "a tensor by steps is a field");
_Static_assert((int)TS_MEASURE_DIMENSIONS < (int)TS_FIELD_DIMENSIONS, "a measure by steps is a field");

static const uint32_t NAN32 = 0x7fc00000u;
static const uint64_t NAN64 = 0x7ff8000000000000u;

// Adds a field with its dimensions so far; fixes offset and bytes.
static void add_field(ts_record_layout *layout, ts_field field) {
    int64_t items = 1;
    for (int d = 0; d < field.rank; d++)
        items *= field.size[d];
    field.offset = layout->bytes;
    field.bytes = (size_t)items * (size_t)field.item_bytes;
    layout->bytes += (field.bytes + 7) & ~(size_t)7;
    layout->field[layout->count++] = field;
}

static void add_dimension(ts_field *field, const char *name, int64_t size) {
    field->dimension[field->rank] = name;
    field->size[field->rank] = size;
    field->rank++;
}

// A scalar's last value is a column at the root; what has a curve, or dimensions, is a dataset of the case.
static void add_measure(const ts_measures *m, bool root, ts_record_layout *layout) {
    const ts_measure *measure = m->measure;
    bool scalar = !measure->dimension[0];
    if (root ? !scalar : scalar && measure->at_end)
        return;
    ts_field field = {.name = measure->name,
                      .help = measure->help,
                      .units = measure->units,
                      .place = root ? TS_FIELD_ROOT : TS_FIELD_CASE,
                      .item_bytes = root || measure->loss ? 8 : 4,
                      .source = m->offset,
                      .hindsight = m->hindsight,
                      .always = m->always};
    if (!root && !measure->at_end)
        add_dimension(&field, "step", layout->checkpoints);
    for (int d = 0; d < TS_MEASURE_DIMENSIONS && measure->dimension[d]; d++)
        add_dimension(&field, measure->dimension[d], m->size[d]);
    add_field(layout, field);
}

static void add_measures(const ts_params *params, const ts_data *data, ts_record_layout *layout) {
    for (int root = 1; root >= 0; root--) {
        ts_measures m = ts_measures_of(params, data);
        while (ts_measures_next(&m))
            add_measure(&m, root, layout);
        layout->measures = m.offset;
    }
}

static bool saves(const ts_params *params, const char *what) {
    return strcmp(ts_params_name(params, "save"), what) == 0;
}

// Where measures are made in hindsight, those of every checkpoint will be made again, at a later end.
static void add_state(const ts_params *params, ts_record_layout *layout) {
    ts_field end = {.name = "end",
                    .help = "what training goes on from: the parameters, and what the optimiser keeps of each",
                    .place = TS_FIELD_STATE,
                    .item_bytes = 8};
    ts_field weights = {
        .name = "weights", .help = "parameters at each checkpoint", .place = TS_FIELD_STATE, .item_bytes = 4};
    if (!saves(params, "state"))
        return;
    add_dimension(&end, "part", ts_optimiser_parts(params));
    add_dimension(&end, "parameter", layout->parameters);
    add_field(layout, end);
    if (!layout->hindsight)
        return;
    add_dimension(&weights, "step", layout->checkpoints);
    add_dimension(&weights, "parameter", layout->parameters);
    add_field(layout, weights);
}

static void add_weights(const ts_params *params, ts_record_layout *layout) {
    ts_parameter_layout parameters;
    params->schema->model->layout(params, &parameters);
    for (int i = 0; i < parameters.count && !saves(params, "none"); i++) {
        const ts_tensor *tensor = &parameters.tensor[i];
        ts_field field = {.name = tensor->name, .place = TS_FIELD_WEIGHTS, .item_bytes = 4, .source = tensor->offset};
        if (saves(params, "checkpoints"))
            add_dimension(&field, "step", layout->checkpoints);
        for (int d = 0; d < tensor->rank; d++)
            add_dimension(&field, tensor->dimension[d], tensor->size[d]);
        add_field(layout, field);
    }
}

bool ts_record_is_full(const ts_record_layout *layout, int64_t checkpoint) {
    return checkpoint % layout->every == 0;
}

// How many checkpoints before the last are measured in full.
static int64_t earlier_full(const ts_record_layout *layout) {
    return (layout->checkpoints - 1 + layout->every - 1) / layout->every;
}

int64_t ts_record_full(const ts_record_layout *layout) {
    return earlier_full(layout) + 1;
}

static void plan_hindsight(const ts_params *params, const ts_data *data, ts_record_layout *layout) {
    ts_parameter_layout parameters;
    params->schema->model->layout(params, &parameters);
    int64_t most = TS_KEPT_BYTES / (parameters.total * (int64_t)sizeof(float));
    int64_t earlier = earlier_full(layout);
    layout->parameters = parameters.total;
    layout->hindsight = ts_measures_hindsight(params, data);
    layout->saved = saves(params, "checkpoints") || saves(params, "state");
    layout->kept = !layout->hindsight || layout->saved ? 0 : earlier < most ? earlier : most;
}

int64_t ts_record_kept(const ts_record_layout *layout, int64_t place) {
    if (place >= layout->kept)
        return -1;
    int64_t latest = earlier_full(layout) - 1;
    return layout->every * (layout->kept > 1 ? place * latest / (layout->kept - 1) : latest);
}

int64_t ts_record_kept_before(const ts_record_layout *layout, int64_t checkpoint) {
    int64_t latest = earlier_full(layout) - 1; // of the last place, and steps between places, times `gaps`
    int64_t before = (checkpoint + layout->every - 1) / layout->every; // that are measured in full
    int64_t gaps = layout->kept - 1, place = before > latest ? layout->kept : 0;
    if (gaps > 0 && before <= latest)
        place = (before * gaps + latest - 1) / latest;
    return place;
}

// Labels of a dimension's indices; NULL for memory.
static char (*labels_of(const ts_data *data, const char *dimension, int64_t count,
                        const char *(*label)(const ts_data *, const char *, int64_t)))[TS_LABEL_BYTES] {
    char(*labels)[TS_LABEL_BYTES] = ts_alloc_zero((size_t)count, sizeof *labels, "a dimension's names");
    for (int64_t i = 0; i < count && labels; i++) {
        const char *own = label(data, dimension, i);
        snprintf(labels[i], sizeof labels[i], "%s", own ? own : "");
    }
    return labels;
}

static bool any_alias(const ts_data *data, const char *dimension, int64_t count) {
    bool any = false;
    for (int64_t i = 0; i < count; i++) {
        const char *alias = ts_dimension_alias(data, dimension, i);
        any = any || (alias && alias[0]);
    }
    return any;
}

// Names of a dimension, unless they are known.
static ts_status add_name(const ts_data *data, const char *dimension, int64_t count, ts_record_layout *layout) {
    for (int i = 0; i < layout->n_named; i++)
        if (strcmp(layout->named[i].dimension, dimension) == 0)
            return TS_OK;
    ts_named_dimension *named = &layout->named[layout->n_named++];
    *named = (ts_named_dimension){.dimension = dimension, .count = count};
    named->name = labels_of(data, dimension, count, ts_dimension_label);
    if (!named->name)
        return TS_ERROR_MEMORY;
    if (any_alias(data, dimension, count)) {
        named->alias = labels_of(data, dimension, count, ts_dimension_alias);
        if (!named->alias)
            return TS_ERROR_MEMORY;
    }
    return TS_OK;
}

// Names of the fields' dimensions that have some.
static ts_status add_names(const ts_data *data, ts_record_layout *layout) {
    ts_status status = TS_OK;
    for (int f = 0; f < layout->count; f++)
        for (int d = 0; d < layout->field[f].rank && status == TS_OK; d++)
            if (ts_dimension_label(data, layout->field[f].dimension[d], 0))
                status = add_name(data, layout->field[f].dimension[d], layout->field[f].size[d], layout);
    return status;
}

static ts_status fill(const ts_params *params, const ts_data *data, ts_record_layout *layout) {
    const ts_numbers *checkpoints = ts_params_numbers(params, "checkpoints");
    int64_t steps = ts_params_integer(params, "steps");
    layout->checkpoints = ts_checkpoints(checkpoints, steps, NULL, 0);
    layout->every = ts_params_integer(params, "measures_every");
    layout->field = ts_alloc(TS_MAX_FIELDS * sizeof *layout->field, "a record's layout");
    layout->step = ts_alloc((size_t)layout->checkpoints * sizeof *layout->step, "checkpoints");
    if (!layout->field || !layout->step)
        return TS_ERROR_MEMORY;
    ts_checkpoints(checkpoints, steps, layout->step, layout->checkpoints);
    add_measures(params, data, layout);
    plan_hindsight(params, data, layout);
    add_state(params, layout);
    add_weights(params, layout);
    // There may be many cases: keep only what is used.
    ts_field *kept = ts_realloc(layout->field, (size_t)layout->count * sizeof *kept, "a record's layout");
    layout->field = kept ? kept : layout->field;
    ts_status status = kept ? add_names(data, layout) : TS_ERROR_MEMORY;
    return status == TS_OK ? ts_measures_make_listing(params, data, &layout->listing) : status;
}

ts_status ts_record_layout_make(const ts_params *params, const ts_data *data, ts_record_layout **out) {
    ts_record_layout *layout = ts_alloc_zero(1, sizeof *layout, "a record's layout");
    if (!layout)
        return TS_ERROR_MEMORY;
    ts_status status = fill(params, data, layout);
    if (status == TS_OK)
        *out = layout;
    else
        ts_record_layout_free(layout);
    return status;
}

void ts_record_layout_free(ts_record_layout *layout) {
    if (!layout)
        return;
    for (int i = 0; i < layout->n_named; i++) {
        ts_free(layout->named[i].name);
        ts_free(layout->named[i].alias);
    }
    ts_free(layout->listing);
    ts_free(layout->step);
    ts_free(layout->field);
    ts_free(layout);
}

void ts_record_reset(const ts_record_layout *layout, void *record) {
    memset(record, 0, layout->bytes);
    for (int i = 0; i < layout->count; i++) {
        const ts_field *field = &layout->field[i];
        char *at = (char *)record + field->offset;
        const void *nan = field->item_bytes == 8 ? (const void *)&NAN64 : (const void *)&NAN32;
        for (size_t b = 0; b < field->bytes; b += (size_t)field->item_bytes)
            memcpy(at + b, nan, (size_t)field->item_bytes);
    }
}

// One number, NaNs in their canonical form.
static void put(char *at, int item_bytes, double value) {
    if (item_bytes == 8) {
        memcpy(at, value == value ? (const void *)&value : (const void *)&NAN64, 8);
    } else {
        float narrow = (float)value;
        memcpy(at, narrow == narrow ? (const void *)&narrow : (const void *)&NAN32, 4);
    }
}

static double get(const char *at, int item_bytes) {
    double wide;
    float narrow;
    if (item_bytes == 8) {
        memcpy(&wide, at, 8);
        return wide;
    }
    memcpy(&narrow, at, 4);
    return narrow;
}

static bool is_measure(const ts_field *field) {
    return field->place == TS_FIELD_ROOT || field->place == TS_FIELD_CASE;
}

static bool has_steps(const ts_field *field) {
    return field->rank > 0 && strcmp(field->dimension[0], "step") == 0;
}

// Bytes of a field at one checkpoint, and where they start in the record.
static size_t part_of(const ts_record_layout *layout, const ts_field *field, int64_t checkpoint, size_t *at) {
    size_t bytes = has_steps(field) ? field->bytes / (size_t)layout->checkpoints : field->bytes;
    *at = field->offset + (has_steps(field) ? (size_t)checkpoint * bytes : 0);
    return bytes;
}

static void put_field(const ts_record_layout *layout, const ts_field *field, int64_t checkpoint, const double *measures,
                      void *record) {
    size_t at, bytes = part_of(layout, field, checkpoint, &at), item = (size_t)field->item_bytes;
    for (size_t k = 0; k < bytes / item; k++)
        put((char *)record + at + k * item, field->item_bytes, measures[(size_t)field->source + k]);
}

void ts_record_put_measures(const ts_record_layout *layout, int64_t checkpoint, bool last, const double *measures,
                            void *record) {
    for (int i = 0; i < layout->count; i++) {
        const ts_field *field = &layout->field[i];
        if (is_measure(field) && (has_steps(field) || last))
            put_field(layout, field, checkpoint, measures, record);
    }
}

void ts_record_get_measure(const ts_record_layout *layout, int64_t checkpoint, const void *record, int64_t source,
                           int64_t length, double *out) {
    for (int64_t k = 0; k < length; k++)
        out[k] = NAN;
    for (int i = 0; i < layout->count; i++) {
        const ts_field *field = &layout->field[i];
        if (field->place != TS_FIELD_CASE || !has_steps(field) || field->source != source)
            continue;
        size_t at, bytes = part_of(layout, field, checkpoint, &at), item = (size_t)field->item_bytes;
        for (size_t k = 0; k < bytes / item; k++)
            out[k] = get((const char *)record + at + k * item, field->item_bytes);
    }
}

void ts_record_get_final(const ts_record_layout *layout, const void *record, double *measures) {
    for (int i = 0; i < layout->count; i++) {
        const ts_field *field = &layout->field[i];
        size_t item = (size_t)field->item_bytes;
        for (size_t k = 0; field->place == TS_FIELD_CASE && !has_steps(field) && k < field->bytes / item; k++)
            measures[(size_t)field->source + k] =
                get((const char *)record + field->offset + k * item, field->item_bytes);
    }
}

void ts_record_put_hindsight(const ts_record_layout *layout, int64_t checkpoint, const double *measures, void *record) {
    for (int i = 0; i < layout->count; i++)
        if (layout->field[i].hindsight && has_steps(&layout->field[i]))
            put_field(layout, &layout->field[i], checkpoint, measures, record);
}

typedef struct curves_of {
    const ts_record_layout *layout;
    const void *record;
} curves_of;

static void read_curve(const ts_curves *curves, int64_t offset, int64_t length, int64_t checkpoint, double *out) {
    const curves_of *of = curves->context;
    ts_record_get_measure(of->layout, checkpoint, of->record, offset, length, out);
}

void ts_record_conclude(const ts_record_layout *layout, const ts_params *params, const ts_data *data,
                        int64_t checkpoint, double *measures, double *scratch, void *record) {
    const curves_of of = {layout, record};
    ts_curves curves = {.params = params,
                        .data = data,
                        .count = checkpoint + 1,
                        .step = layout->step,
                        .every = layout->every,
                        .read = read_curve,
                        .context = &of,
                        .last = measures,
                        .scratch = scratch,
                        .listing = layout->listing};
    ts_measures_conclude(&curves);
    ts_record_put_measures(layout, checkpoint, true, measures, record);
}

void ts_record_put_weights(const ts_record_layout *layout, int64_t checkpoint, bool last, const float *parameters,
                           void *record) {
    for (int i = 0; i < layout->count; i++) {
        const ts_field *field = &layout->field[i];
        size_t at, bytes = part_of(layout, field, checkpoint, &at);
        if (is_measure(field) || !(has_steps(field) || (last && field->place == TS_FIELD_WEIGHTS)))
            continue;
        memcpy((char *)record + at, parameters + field->source, bytes);
    }
}

// Those in state/ are of all checkpoints; where there are none, those in weights/ are.
static const ts_field *all_weights(const ts_record_layout *layout) {
    for (int i = 0; i < layout->count; i++)
        if (layout->field[i].place == TS_FIELD_STATE && has_steps(&layout->field[i]))
            return &layout->field[i];
    return NULL;
}

bool ts_record_get_weights(const ts_record_layout *layout, int64_t checkpoint, const void *record, float *parameters) {
    bool known = false;
    const ts_field *all = all_weights(layout);
    for (int i = 0; i < layout->count; i++) {
        const ts_field *field = &layout->field[i];
        size_t at, bytes = part_of(layout, field, checkpoint, &at);
        if (all ? field != all : field->place != TS_FIELD_WEIGHTS)
            continue;
        memcpy(parameters + field->source, (const char *)record + at, bytes);
        for (size_t b = 0; b < bytes && !known; b += sizeof NAN32)
            known = memcmp((const char *)record + at + b, &NAN32, sizeof NAN32) != 0;
    }
    return known;
}

double *ts_record_state(const ts_record_layout *layout, void *record, int64_t *count) {
    *count = 0;
    for (int i = 0; i < layout->count; i++) {
        const ts_field *field = &layout->field[i];
        if (field->place != TS_FIELD_STATE || has_steps(field))
            continue;
        *count = (int64_t)(field->bytes / sizeof(double));
        return (double *)((char *)record + field->offset);
    }
    return NULL;
}

// Number of the checkpoint at that step; -1: there is none.
static int64_t checkpoint_at(const ts_record_layout *layout, int64_t step) {
    for (int64_t k = 0; k < layout->checkpoints; k++)
        if (layout->step[k] == step)
            return k;
    return -1;
}

bool ts_record_go_on(const ts_record_layout *layout, void *record, int64_t step, const ts_record_layout *of,
                     const void *ended) {
    bool all = layout->count == of->count;
    ts_record_reset(layout, record);
    for (int64_t k = 0; all && k < layout->checkpoints && layout->step[k] < step; k++) {
        int64_t then = checkpoint_at(of, layout->step[k]);
        all = then >= 0 && (!ts_record_is_full(layout, k) || ts_record_is_full(of, then));
        for (int i = 0; i < layout->count && all; i++) {
            const ts_field *field = &layout->field[i];
            size_t to, from, bytes = part_of(layout, field, k, &to);
            bool measured = field->always || !is_measure(field) || ts_record_is_full(layout, k);
            if (measured && has_steps(field) && !field->hindsight && part_of(of, &of->field[i], then, &from) == bytes)
                memcpy((char *)record + to, (const char *)ended + from, bytes);
        }
    }
    return all;
}
