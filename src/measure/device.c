// What families take of the pairs from a device.
#include "measure/device.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

// Rows that are brought to the host at a time, in bytes.
static const double ROWS_BYTES = 16e6;

struct ts_device {
    const ts_pair_device *calls;
    ts_pair_spec spec;
    void *own;
    ts_status status;
    int *each;      // (n * n)
    uint8_t *split; // (n * n)
    double *facts;  // (n * n, TS_PAIR_FACTS)
    bool has_facts;
    int room, first, rows; // rows of pairs that there is room for; that are at hand
    double *h, *outputs, *hidden_logits;
    ts_slab slab, row_slab; // the latter once rows are asked for
};

static size_t pairs_of(const ts_device *d) {
    return (size_t)d->spec.n * (size_t)d->spec.n;
}

ts_status ts_device_open(const ts_pair_device *calls, const ts_pair_spec *spec, const uint8_t *is_train,
                         ts_device **out) {
    ts_device *d = *out = ts_alloc_zero(1, sizeof *d, "pairs on a device");
    if (!d)
        return TS_ERROR_MEMORY;
    *d = (ts_device){.calls = calls, .spec = *spec};
    size_t count = pairs_of(d);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&d->slab, "pairs on a device") != TS_OK)
            return TS_ERROR_MEMORY;
        d->each = ts_slab_take(&d->slab, count, sizeof *d->each);
        d->split = ts_slab_take(&d->slab, count, sizeof *d->split);
        d->facts = ts_slab_take(&d->slab, count * TS_PAIR_FACTS, sizeof *d->facts);
    }
    for (size_t i = 0; i < count; i++)
        d->split[i] = is_train[i] ? TS_PAIR_TRAIN : TS_PAIR_TEST;
    return calls->open(&d->spec, &d->own);
}

void ts_device_close(ts_device *d) {
    if (!d)
        return;
    if (d->own)
        d->calls->close(d->own);
    ts_slab_free(&d->row_slab);
    ts_slab_free(&d->slab);
    ts_free(d);
}

ts_status ts_device_status(const ts_device *d) {
    return d->status;
}

static void forget(double *numbers, size_t count) {
    for (size_t i = 0; i < count; i++)
        numbers[i] = NAN;
}

// --- Rows ---

static ts_status reserve_rows(ts_device *d) {
    const ts_pair_spec *s = &d->spec;
    size_t n = (size_t)s->n, hidden = (size_t)s->network->hidden, outputs = (size_t)s->outputs;
    size_t residual = s->network->residual ? (size_t)s->n_out : 0;
    double bytes = (double)(n * (hidden + outputs + residual) * sizeof(double)), room = floor(ROWS_BYTES / bytes);
    d->room = room < 1 ? 1 : room > (double)n ? (int)n : (int)room;
    size_t numbers = (size_t)d->room * n;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&d->row_slab, "rows of pairs from a device") != TS_OK)
            return TS_ERROR_MEMORY;
        d->h = ts_slab_take(&d->row_slab, numbers * hidden, sizeof(double));
        d->outputs = ts_slab_take(&d->row_slab, numbers * outputs, sizeof(double));
        d->hidden_logits = ts_slab_take(&d->row_slab, numbers * residual, sizeof(double));
    }
    return TS_OK;
}

// Brings row `a`, and those behind it, to the host.
static void bring_rows(ts_device *d, int a) {
    if (d->status == TS_OK && d->room == 0)
        d->status = reserve_rows(d);
    if (d->status != TS_OK)
        return;
    int left = d->spec.n - a;
    d->first = a;
    d->rows = left < d->room ? left : d->room;
    d->status =
        d->calls->rows(d->own, a, d->rows, d->h, d->outputs, d->spec.network->residual ? d->hidden_logits : NULL);
}

static void take_row(const ts_device *d, size_t row, const double *from, size_t width, double *out) {
    size_t numbers = (size_t)d->spec.n * width;
    if (!out)
        return;
    if (d->status == TS_OK)
        memcpy(out, from + row * numbers, numbers * sizeof *out);
    else
        forget(out, numbers);
}

void ts_device_row(ts_device *d, int a, double *h, double *outputs, double *hidden_logits) {
    if (a < d->first || a >= d->first + d->rows)
        bring_rows(d, a);
    size_t row = (size_t)(a - d->first);
    take_row(d, row, d->h, (size_t)d->spec.network->hidden, h);
    take_row(d, row, d->outputs, (size_t)d->spec.outputs, outputs);
    take_row(d, row, d->hidden_logits, (size_t)d->spec.n_out, hidden_logits);
}

// --- Pair by pair ---

const double *ts_device_facts(ts_device *d) {
    if (d->has_facts)
        return d->facts;
    if (d->status == TS_OK)
        d->status = d->calls->facts(d->own, d->facts);
    if (d->status != TS_OK)
        forget(d->facts, pairs_of(d) * TS_PAIR_FACTS);
    d->has_facts = true;
    return d->facts;
}

const int *ts_device_each(ts_device *d, int (*number_of)(const void *context, int a, int b), const void *context) {
    int n = d->spec.n;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            d->each[(size_t)a * (size_t)n + (size_t)b] = number_of(context, a, b);
    return d->each;
}

// --- Sums ---

static bool begins(const ts_device *d, double *out, size_t count) {
    memset(out, 0, count * sizeof *out);
    return d->status == TS_OK;
}

static size_t width_of(const ts_device *d, ts_pair_values values) {
    const ts_network *network = d->spec.network;
    return values == TS_PAIR_HIDDEN    ? (size_t)network->hidden
           : values == TS_PAIR_CENTRED ? (size_t)d->spec.n_out
                                       : (size_t)network->heads * (size_t)network->sources;
}

void ts_device_squares(ts_device *d, double *out) {
    if (begins(d, out, (size_t)d->spec.network->hidden))
        d->status = d->calls->squares(d->own, out);
}

void ts_device_sum(ts_device *d, ts_pair_values values, const int *segment, int segments, double *out) {
    if (begins(d, out, (size_t)segments * width_of(d, values)))
        d->status = d->calls->sum(d->own, values, segment, segments, out);
}

void ts_device_turned(ts_device *d, const int *segment, int segments, const int *turn, const int *place, double *out) {
    if (begins(d, out, (size_t)segments * (size_t)d->spec.n))
        d->status = d->calls->turned(d->own, segment, segments, turn, place, out);
}

void ts_device_losses(ts_device *d, const ts_pair_corrections *corrections, const int *element, bool hidden,
                      double *out) {
    if (begins(d, out, (size_t)corrections->columns * TS_PAIR_SPLITS))
        d->status = d->calls->losses(d->own, corrections, element, d->split, hidden, out);
}

void ts_device_alone(ts_device *d, const ts_pair_corrections *corrections, const int *times, double *out) {
    if (begins(d, out, (size_t)corrections->columns))
        d->status = d->calls->alone(d->own, corrections, times, out);
}

void ts_device_changed(ts_device *d, const ts_pair_change *change, double *out) {
    if (begins(d, out, TS_PAIR_SPLITS * TS_CHANGED_KINDS))
        d->status = d->calls->changed(d->own, change, d->split, out);
}

double ts_device_mapped(ts_device *d, int kinds, const int *kind, const double *matrix) {
    double sum;
    if (begins(d, &sum, 1))
        d->status = d->calls->mapped(d->own, kinds, kind, matrix, &sum);
    return sum;
}
