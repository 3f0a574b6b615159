// The list of families of measures, and the way of the data through them: a new family is one file and one line here.
#include "measure/measure.h"

#include "base/log.h"
#include "measure/dimension.h"
#include "measure/family.h"
#include "model/model.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const ts_family ts_family_learning, ts_family_group, ts_family_group_losses, ts_family_clusters,
    ts_family_cyclic, ts_family_dihedral, ts_family_regions, ts_family_attention, ts_family_reconstruction,
    ts_family_geometry;

// A family stands below those whose states it uses.
static const ts_family *const FAMILIES[] = {
    &ts_family_learning, &ts_family_group,   &ts_family_group_losses, &ts_family_clusters,       &ts_family_cyclic,
    &ts_family_dihedral, &ts_family_regions, &ts_family_attention,    &ts_family_reconstruction, &ts_family_geometry,
};
enum { N_FAMILIES = sizeof FAMILIES / sizeof *FAMILIES };

// What names and helps get of the chart that a family looks through.
static const struct {
    const char *prefix, *in;
} CHARTS[TS_MAX_CHARTS] = {{"", ""}, {"value_", ", with a^m and b^n mod p for a and b"}};

// --- The list of all measures ---

typedef struct entry {
    ts_measure measure; // with its own name and help
    const ts_family *family;
    int chart;
    char name[TS_MEASURE_NAME_BYTES], help[224];
} entry;

static entry ENTRIES[TS_MAX_MEASURES];
static int n_entries;

void ts_measure_fault(const char *name, const char *what) {
    ts_fail(TS_ERROR_FATAL, "measure '%s': %s; a fault of the program", name, what);
    ts_error_message();
    abort();
}

static bool fits(int length, size_t bytes) {
    return length >= 0 && (size_t)length < bytes;
}

static void check_row(const ts_measure *row) {
    bool scalar = !row->dimension[0];
    if (!!row->value + !!row->each + (row->at > 0) + !!row->follows != 1)
        ts_measure_fault(row->name, "has not one formula");
    if (scalar ? row->each != NULL : row->value != NULL)
        ts_measure_fault(row->name, "its formula is not of its dimensions");
    for (int d = 0; d < TS_MEASURE_DIMENSIONS && row->dimension[d]; d++)
        if (!ts_dimension_is_known(row->dimension[d]))
            ts_measure_fault(row->name, "its dimension is not in the list of dimension.c");
}

// Every measure of a family through one chart. What is wrong with one is found by the first call of any test.
static void enter_rows(const ts_family *family, int chart) {
    for (const ts_measure *row = family->rows; row->name; row++) {
        check_row(row);
        entry *e = &ENTRIES[n_entries % TS_MAX_MEASURES];
        *e = (entry){.measure = *row, .family = family, .chart = chart};
        bool fit = n_entries < TS_MAX_MEASURES &&
                   fits(snprintf(e->name, sizeof e->name, "%s%s%s", CHARTS[chart].prefix,
                                 family->prefix ? family->prefix : "", row->name),
                        sizeof e->name) &&
                   fits(snprintf(e->help, sizeof e->help, "%s%s", row->help, CHARTS[chart].in), sizeof e->help);
        if (!fit)
            ts_measure_fault(row->name, "more measures, or longer texts, than there is room for");
        for (int i = 0; i < n_entries; i++)
            if (ENTRIES[i].family->kind == family->kind && strcmp(ENTRIES[i].name, e->name) == 0)
                ts_measure_fault(e->name, "stands in the list twice");
        n_entries++;
        e->measure.name = e->name;
        e->measure.help = e->help;
    }
}

static void enter_families(void) {
    for (int f = 0; f < N_FAMILIES; f++)
        for (int chart = 0; chart < (FAMILIES[f]->charts ? TS_MAX_CHARTS : 1); chart++)
            enter_rows(FAMILIES[f], chart);
}

static int entries(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, enter_families);
    return n_entries;
}

bool ts_measures_list(int index, ts_listed_measure *out) {
    if (index >= entries())
        return false;
    const ts_family *family = ENTRIES[index].family;
    *out = (ts_listed_measure){&ENTRIES[index].measure, family->title, family->source, family->kind};
    return true;
}

bool ts_measures_of_kind(ts_kind kind, const char *name) {
    for (int i = 0; i < entries(); i++)
        if (ENTRIES[i].family->kind == kind && strcmp(ENTRIES[i].name, name) == 0)
            return true;
    return false;
}

// --- The measures of a case ---

static bool has_family(const ts_data *data, const ts_family *family, int chart) {
    bool of_kind = family->kind == TS_KIND_TABLE ? data->table != NULL : data->features != NULL;
    bool has_chart = !family->charts || (data->symmetry && chart < data->symmetry->charts);
    int circles = data->symmetry ? data->symmetry->circles : 0;
    bool has_circles = !family->most_circles || (circles >= family->least_circles && circles <= family->most_circles);
    return of_kind && has_chart && has_circles;
}

ts_measures ts_measures_of(const ts_params *params, const ts_data *data) {
    return (ts_measures){.params = params, .data = data};
}

bool ts_measures_next(ts_measures *m) {
    m->offset += m->length;
    m->length = 0;
    while (m->length == 0 && m->next < entries()) {
        const entry *e = &ENTRIES[m->next++];
        if (!has_family(m->data, e->family, e->chart))
            continue;
        m->measure = &e->measure;
        m->family = e->family;
        m->chart = e->chart;
        m->prefix = CHARTS[e->chart].prefix;
        m->length = 1;
        for (int d = 0; d < TS_MEASURE_DIMENSIONS; d++) {
            const char *dimension = e->measure.dimension[d];
            m->size[d] = dimension ? ts_dimension_length(m->params, m->data, dimension) : 1;
            m->length *= m->size[d];
        }
    }
    return m->length > 0;
}

bool ts_measures_find(ts_measures *m, const char *name) {
    while (ts_measures_next(m))
        if (strcmp(m->measure->name, name) == 0)
            return true;
    return false;
}

int64_t ts_measures_total(const ts_params *params, const ts_data *data) {
    ts_measures m = ts_measures_of(params, data);
    while (ts_measures_next(&m)) {
    }
    return m.offset;
}

// --- Measuring ---

typedef struct states {
    void *of[N_FAMILIES][TS_MAX_CHARTS]; // NULL: not begun
} states;

static int index_of(const ts_family *family) {
    int f = 0;
    while (f < N_FAMILIES && FAMILIES[f] != family)
        f++;
    if (f == N_FAMILIES)
        ts_measure_fault(family->title, "its family is not in the list");
    return f;
}

const void *ts_measuring_state(const ts_measuring *measuring, const ts_family *family, int chart) {
    const void *state = measuring->states[index_of(family) * TS_MAX_CHARTS + chart];
    if (!state)
        ts_measure_fault(family->title, "its state is asked for by a family that does not stand below it");
    return state;
}

static ts_status begin_families(const ts_measuring *measuring, states *s) {
    ts_status status = TS_OK;
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < (FAMILIES[f]->charts ? TS_MAX_CHARTS : 1) && status == TS_OK; c++)
            if (has_family(measuring->data, FAMILIES[f], c)) {
                s->of[f][c] = ts_alloc_zero(1, FAMILIES[f]->state_bytes, FAMILIES[f]->title);
                status = s->of[f][c] ? FAMILIES[f]->begin(measuring, c, s->of[f][c]) : TS_ERROR_MEMORY;
            }
    return status;
}

// One row of pairs to every family; row -1: there are no more.
static void show(const states *s, int row, const atomic_int *pause) {
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < TS_MAX_CHARTS && !ts_must_stop(pause); c++) {
            if (s->of[f][c] && row >= 0 && FAMILIES[f]->add)
                FAMILIES[f]->add(s->of[f][c], row);
            if (s->of[f][c] && row < 0 && FAMILIES[f]->finish)
                FAMILIES[f]->finish(s->of[f][c]);
        }
}

static void free_families(const states *s) {
    for (int f = N_FAMILIES - 1; f >= 0; f--)
        for (int c = 0; c < TS_MAX_CHARTS; c++)
            if (s->of[f][c]) {
                if (FAMILIES[f]->free)
                    FAMILIES[f]->free(s->of[f][c]);
                if (FAMILIES[f]->slab)
                    ts_slab_free((ts_slab *)(void *)((char *)s->of[f][c] + FAMILIES[f]->slab));
                ts_free(s->of[f][c]);
            }
}

// What lies in the state.
static void copy_stored(const ts_measure *measure, const void *state, int64_t length, double *out) {
    const void *at = (const char *)state + measure->at;
    memcpy(out, measure->dimension[0] ? *(const double *const *)at : at, (size_t)length * sizeof *out);
}

static void take_values(const ts_measuring *measuring, const states *s, double *out) {
    ts_measures m = ts_measures_of(measuring->params, measuring->data);
    while (ts_measures_next(&m)) {
        const ts_measure *measure = m.measure;
        const void *state = s->of[index_of(m.family)][m.chart];
        if (measure->at_end && !measuring->last)
            continue;
        if (measure->value)
            out[m.offset] = measure->value(state);
        for (int64_t i = 0; i < m.length && measure->each; i++)
            out[m.offset + i] = measure->each(state, (int)i);
        if (measure->at)
            copy_stored(measure, state, m.length, out + m.offset);
    }
}

static ts_status measure_network(ts_measuring *measuring, double *out) {
    states s = {0};
    measuring->states = &s.of[0][0];
    ts_status status = begin_families(measuring, &s);
    for (int a = 0; measuring->pairs && a < measuring->data->table->n && status == TS_OK; a++)
        show(&s, a, measuring->pause);
    if (status == TS_OK)
        show(&s, -1, measuring->pause);
    if (status == TS_OK && ts_must_stop(measuring->pause))
        status = TS_STOPPED;
    if (status == TS_OK)
        take_values(measuring, &s, out);
    free_families(&s);
    measuring->states = NULL;
    return status;
}

ts_status ts_measure_network(const ts_params *params, const ts_data *data, const ts_network *network, int64_t step,
                             bool last, const atomic_int *pause, double *out) {
    ts_pairs pairs = {0};
    ts_measuring measuring = {
        .params = params, .data = data, .network = network, .step = step, .last = last, .pause = pause};
    ts_status status = TS_OK;
    for (int64_t i = ts_measures_total(params, data) - 1; i >= 0; i--)
        out[i] = NAN;
    if (data->table) {
        status = ts_pairs_create(params, data, network, pause, &pairs);
        measuring.pairs = &pairs;
    }
    if (status == TS_OK)
        status = measure_network(&measuring, out);
    ts_pairs_free(&pairs);
    return status;
}

ts_status ts_measure_weights(const ts_params *params, const ts_data *data, const float *parameters, int64_t step,
                             bool last, const atomic_int *pause, double *out) {
    const ts_model *model = params->schema->model;
    ts_parameter_layout tensors;
    ts_network network = {0};
    bool finite = true;
    model->layout(params, &tensors);
    for (int64_t i = 0; i < tensors.total; i++)
        finite = finite && isfinite(parameters[i]);
    if (!finite) {
        for (int64_t i = ts_measures_total(params, data) - 1; i >= 0; i--)
            out[i] = NAN;
        return TS_OK;
    }
    ts_status status = ts_network_open(params, parameters, &network);
    if (status == TS_OK)
        status = ts_measure_network(params, data, &network, step, last, pause, out);
    ts_network_close(&network);
    return status;
}

double ts_measure_operations(const ts_params *params, const ts_data *data) {
    double operations = 0;
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < (FAMILIES[f]->charts ? TS_MAX_CHARTS : 1); c++)
            if (has_family(data, FAMILIES[f], c) && FAMILIES[f]->operations)
                operations += FAMILIES[f]->operations(params, data);
    return operations;
}
