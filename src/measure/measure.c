// The list of families of measures, and the way of the data through them: a new family is one file and one line here.
#include "measure/measure.h"

#include "base/log.h"
#include "measure/choice.h"
#include "measure/dimension.h"
#include "measure/family.h"
#include "measure/renumbered.h"
#include "model/model.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const ts_family ts_family_learning, ts_family_group, ts_family_neurons, ts_family_basis, ts_family_group_losses,
    ts_family_clusters, ts_family_cyclic, ts_family_dihedral, ts_family_regions, ts_family_cyclic_spectrum,
    ts_family_dihedral_spectrum, ts_family_output_weights, ts_family_cyclic_weights, ts_family_dihedral_weights,
    ts_family_attention, ts_family_reconstruction, ts_family_geometry, ts_family_final_keys, ts_family_margin,
    ts_family_concentration, ts_family_clock, ts_family_symmetricity, ts_family_cosets, ts_family_interventions;

// A family stands below those whose states it uses.
static const ts_family *const FAMILIES[] = {
    &ts_family_learning,
    &ts_family_group,
    &ts_family_neurons,
    &ts_family_basis,
    &ts_family_group_losses,
    &ts_family_clusters,
    &ts_family_cyclic,
    &ts_family_dihedral,
    &ts_family_regions,
    &ts_family_cyclic_spectrum,
    &ts_family_dihedral_spectrum,
    &ts_family_output_weights,
    &ts_family_cyclic_weights,
    &ts_family_dihedral_weights,
    &ts_family_attention,
    &ts_family_reconstruction,
    &ts_family_geometry,
    &ts_family_final_keys,
    &ts_family_margin,
    &ts_family_concentration,
    &ts_family_clock,
    &ts_family_symmetricity,
    &ts_family_cosets,
    &ts_family_interventions,
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
    if (row->without && !ts_dimension_is_known(row->without))
        ts_measure_fault(row->name, "the dimension that it is without is not in the list of dimension.c");
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
    *out = (ts_listed_measure){&ENTRIES[index].measure, family->name, family->title, family->source, family->kind};
    return true;
}

bool ts_measures_of_kind(ts_kind kind, const char *name) {
    for (int i = 0; i < entries(); i++)
        if (ENTRIES[i].family->kind == kind && strcmp(ENTRIES[i].name, name) == 0)
            return true;
    return false;
}

bool ts_measure_is_matrix(const ts_measure *measure) {
    return measure->at_end && measure->dimension[1];
}

// --- The measures of a case ---

// Whether the family can be measured of a case.
static bool has_family(const ts_data *data, const ts_family *family, int chart) {
    bool of_kind = family->kind == TS_KIND_TABLE ? data->table != NULL : data->features != NULL;
    bool has_chart = !family->charts || (data->symmetry && chart < data->symmetry->charts);
    int circles = data->symmetry ? data->symmetry->circles : 0;
    bool has_circles = !family->most_circles || (circles >= family->least_circles && circles <= family->most_circles);
    return of_kind && has_chart && has_circles && (!family->has || family->has(data));
}

static bool keeps_matrix(const ts_params *params, double numbers) {
    return numbers <= TS_MEASURE_MOST && strcmp(ts_params_name(params, "save"), "none") != 0;
}

ts_measures ts_measures_of(const ts_params *params, const ts_data *data) {
    return (ts_measures){.params = params, .data = data};
}

bool ts_measures_next(ts_measures *m) {
    if (m->listing)
        return ts_measures_next_listed(m);
    m->offset += m->length;
    m->length = 0;
    while (m->length == 0 && m->next < entries()) {
        const entry *e = &ENTRIES[m->next++];
        if (!ts_family_is_chosen(m->params, e->family) || !has_family(m->data, e->family, e->chart))
            continue;
        m->measure = &e->measure;
        m->family = e->family;
        m->chart = e->chart;
        m->prefix = CHARTS[e->chart].prefix;
        m->hindsight = e->family->hindsight != NULL;
        m->always = ts_family_is_losses(e->family);
        m->length = 1;
        for (int d = 0; d < TS_MEASURE_DIMENSIONS; d++) {
            const char *dimension = e->measure.dimension[d];
            m->size[d] = dimension ? ts_dimension_length(m->params, m->data, dimension) : 1;
            m->length *= m->size[d];
        }
        if (e->measure.without && ts_dimension_length(m->params, m->data, e->measure.without) > 0)
            m->length = 0;
        if (e->measure.wanted && !e->measure.wanted(m->params))
            m->length = 0;
        if (ts_measure_is_matrix(&e->measure) && !keeps_matrix(m->params, (double)m->length))
            m->length = 0;
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
    double *total;                       // (numbers) what families add up over the pairs, one after the other
    size_t numbers;
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

bool ts_measuring_wants(const ts_measuring *measuring, double numbers) {
    return measuring->last && keeps_matrix(measuring->params, numbers);
}

static ts_sums *sums_of(const states *s, int f, int c) {
    return s->of[f][c] && FAMILIES[f]->sums ? (ts_sums *)(void *)((char *)s->of[f][c] + FAMILIES[f]->sums) : NULL;
}

// Whether measures of the family are wanted.
static bool wants_family(const ts_measuring *measuring, const ts_family *family) {
    bool now = measuring->final ? family->hindsight != NULL : !measuring->losses || ts_family_is_losses(family);
    return now && ts_family_is_chosen(measuring->params, family);
}

// Which families are gathered: with those that are wanted the ones whose states they ask for.
static void choose_families(const ts_measuring *measuring, bool gathered[N_FAMILIES]) {
    memset(gathered, 0, N_FAMILIES * sizeof *gathered);
    for (int f = N_FAMILIES - 1; f >= 0; f--) {
        if (!has_family(measuring->data, FAMILIES[f], 0))
            continue;
        gathered[f] = gathered[f] || wants_family(measuring, FAMILIES[f]);
        for (int i = 0; i < TS_FAMILY_NEEDS && FAMILIES[f]->needs[i] && !measuring->final; i++)
            if (gathered[f])
                gathered[index_of(FAMILIES[f]->needs[i])] = true;
    }
}

static ts_status begin_families(const ts_measuring *measuring, states *s) {
    ts_status status = TS_OK;
    bool gathered[N_FAMILIES];
    choose_families(measuring, gathered);
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < (FAMILIES[f]->charts ? TS_MAX_CHARTS : 1) && status == TS_OK; c++)
            if (gathered[f] && has_family(measuring->data, FAMILIES[f], c)) {
                s->of[f][c] = ts_alloc_zero(1, FAMILIES[f]->state_bytes, FAMILIES[f]->title);
                status = s->of[f][c] ? FAMILIES[f]->begin(measuring, c, s->of[f][c]) : TS_ERROR_MEMORY;
            }
    return status;
}

// Of what families add up, one after the other.
static ts_status reserve_sums(const ts_measuring *measuring, states *s) {
    size_t again = 0, scratch = 0;
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < TS_MAX_CHARTS; c++) {
            const ts_sums *sums = sums_of(s, f, c);
            s->numbers += sums ? sums->numbers : 0;
            again = sums && sums->again > again ? sums->again : again;
            scratch = sums && sums->scratch > scratch ? sums->scratch : scratch;
        }
    s->total = ts_alloc(s->numbers * sizeof *s->total, "sums over pairs");
    if (!s->total)
        return TS_ERROR_MEMORY;
    double *at = s->total;
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < TS_MAX_CHARTS; c++) {
            ts_sums *sums = sums_of(s, f, c);
            if (sums) {
                sums->total = at;
                at += sums->numbers;
            }
        }
    return ts_walk_reserve(measuring->walk, s->numbers > again ? s->numbers : again, scratch);
}

// Rows of pairs to every family.
static void add_rows(const void *context, ts_rows *rows, int first, int end, double *numbers) {
    const states *s = context;
    for (int a = first; a < end; a++)
        for (int f = 0; f < N_FAMILIES; f++)
            for (int c = 0; c < TS_MAX_CHARTS && !ts_must_stop(rows->pairs->pause); c++)
                if (s->of[f][c] && FAMILIES[f]->add && !(rows->pairs->device && FAMILIES[f]->gather))
                    FAMILIES[f]->add(s->of[f][c], rows, a, numbers + (sums_of(s, f, c)->total - s->total));
}

// What they leave to the device, if there is one.
static void gather(const ts_measuring *measuring, const states *s) {
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < TS_MAX_CHARTS && measuring->device && !ts_must_stop(measuring->pause); c++)
            if (s->of[f][c] && FAMILIES[f]->gather)
                FAMILIES[f]->gather(s->of[f][c], measuring->device);
}

static bool is_over(const ts_measuring *measuring) {
    return measuring->walk ? ts_walk_status(measuring->walk) != TS_OK : ts_must_stop(measuring->pause);
}

static void finish_families(const ts_measuring *measuring, const states *s) {
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < TS_MAX_CHARTS && !is_over(measuring); c++)
            if (s->of[f][c] && FAMILIES[f]->finish)
                FAMILIES[f]->finish(s->of[f][c]);
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

// Of the case, listed if whoever measures has a listing.
static ts_measures measures_of(const ts_measuring *measuring) {
    return ts_measures_listed(measuring->params, measuring->data, measuring->help ? measuring->help->listing : NULL);
}

static void take_values(const ts_measuring *measuring, const states *s, double *out) {
    ts_measures m = measures_of(measuring);
    while (ts_measures_next(&m)) {
        const ts_measure *measure = m.measure;
        const void *state = s->of[index_of(m.family)][m.chart];
        if (!state || (measure->at_end && !measuring->last))
            continue;
        if (measure->value)
            out[m.offset] = measure->value(state);
        for (int64_t i = 0; i < m.length && measure->each; i++)
            out[m.offset + i] = measure->each(state, (int)i);
        if (measure->at)
            copy_stored(measure, state, m.length, out + m.offset);
    }
}

// After begin, with room for all, there is nothing that one rank of a team may fail in by itself.
static ts_status go(const ts_measuring *measuring, const states *s, double *out) {
    if (measuring->walk)
        ts_walk_add_up(measuring->walk, &(ts_walk_sum){s->numbers, add_rows, s}, s->total);
    gather(measuring, s);
    finish_families(measuring, s);
    ts_status status = measuring->walk ? ts_walk_status(measuring->walk) : TS_OK;
    if (status == TS_OK && measuring->device)
        status = ts_device_status(measuring->device);
    if (status == TS_OK && ts_must_stop(measuring->pause))
        status = TS_STOPPED;
    if (status == TS_OK)
        take_values(measuring, s, out);
    return status;
}

static void forget(const ts_measuring *measuring, double *out) {
    ts_measures m = measures_of(measuring);
    int64_t total = m.listing ? m.listing->total : ts_measures_total(measuring->params, measuring->data);
    for (int64_t i = 0; i < total; i++)
        out[i] = NAN;
}

// The pairs, on the device if one is asked for that can have them.
static ts_status open_pairs(ts_measuring *measuring, ts_pairs *pairs) {
    const ts_pair_device *calls = measuring->help ? measuring->help->device : NULL;
    const ts_symmetry *symmetry = measuring->data->symmetry;
    ts_status status = ts_pairs_create(measuring->params, measuring->data, measuring->network, measuring->pause, pairs);
    if (status == TS_OK && calls && measuring->network->pass)
        status = ts_device_open(calls,
                                &(ts_pair_spec){.network = measuring->network,
                                                .n = pairs->table->n,
                                                .n_out = pairs->table->n_out,
                                                .outputs = pairs->outputs,
                                                .token = symmetry ? symmetry->token : NULL,
                                                .label = pairs->table->result},
                                pairs->is_train, &measuring->device);
    pairs->device = measuring->device;
    return status;
}

// As `measuring` says, but for the pairs. opened: whether there is a network.
static ts_status measure(ts_measuring *measuring, ts_status opened, double *out) {
    const ts_symmetry *symmetry = measuring->data->symmetry;
    const ts_network *given = measuring->network;
    ts_renumbered renumbered = {0};
    ts_pairs pairs = {0};
    ts_walk *walk = NULL;
    states s = {0};
    const ts_table *table = measuring->data->table;
    ts_status status = opened;
    forget(measuring, out);
    measuring->pause = measuring->help ? measuring->help->pause : NULL;
    measuring->states = &s.of[0][0];
    if (status == TS_OK && symmetry && symmetry->table) {
        status = ts_renumbered_open(given, symmetry, &renumbered);
        measuring->network = &renumbered.network;
    }
    if (status == TS_OK && table)
        status = open_pairs(measuring, &pairs);
    if (status == TS_OK && table)
        status = ts_walk_create(&pairs, measuring->help, &walk);
    measuring->pairs = &pairs;
    measuring->walk = walk;
    if (status == TS_OK)
        status = begin_families(measuring, &s);
    if (status == TS_OK && walk)
        status = reserve_sums(measuring, &s);
    if (table)
        status = ts_walk_agree(measuring->help, table->n, status);
    if (status == TS_OK)
        status = go(measuring, &s, out);
    free_families(&s);
    ts_free(s.total);
    ts_walk_free(walk);
    ts_device_close(measuring->device);
    ts_pairs_free(&pairs);
    ts_renumbered_close(&renumbered);
    measuring->network = given;
    measuring->pairs = NULL;
    measuring->states = NULL;
    measuring->walk = NULL;
    measuring->device = NULL;
    return status;
}

// The same of weights, narrow or exact; the other is NULL.
static ts_status open_and_measure(ts_measuring *measuring, const float *narrow, const double *exact, double *out) {
    ts_parameter_layout tensors;
    ts_network network = {0};
    bool finite = true;
    measuring->params->schema->model->layout(measuring->params, &tensors);
    for (int64_t i = 0; i < tensors.total; i++)
        finite = finite && isfinite(exact ? exact[i] : narrow[i]);
    if (!finite) {
        forget(measuring, out);
        return TS_OK;
    }
    bool apart = measuring->help && measuring->help->device && measuring->data->table;
    ts_status status = apart   ? ts_network_open_apart(measuring->params, narrow, exact, &network)
                       : exact ? ts_network_open_exact(measuring->params, exact, &network)
                               : ts_network_open(measuring->params, narrow, &network);
    measuring->network = &network;
    status = measure(measuring, status, out);
    ts_network_close(&network);
    measuring->network = NULL;
    return status;
}

static ts_measuring measuring_of(const ts_params *params, const ts_data *data, int64_t step, ts_measure_extent extent,
                                 const ts_measure_help *help) {
    return (ts_measuring){.params = params,
                          .data = data,
                          .step = step,
                          .last = extent == TS_MEASURE_LAST,
                          .losses = extent == TS_MEASURE_LOSSES,
                          .help = help};
}

ts_status ts_measure_network(const ts_params *params, const ts_data *data, const ts_network *network, int64_t step,
                             ts_measure_extent extent, const ts_measure_help *help, double *out) {
    ts_measuring measuring = measuring_of(params, data, step, extent, help);
    measuring.network = network;
    return measure(&measuring, TS_OK, out);
}

ts_status ts_measure_weights(const ts_params *params, const ts_data *data, const float *parameters, int64_t step,
                             ts_measure_extent extent, const ts_measure_help *help, double *out) {
    ts_measuring measuring = measuring_of(params, data, step, extent, help);
    return open_and_measure(&measuring, parameters, NULL, out);
}

ts_status ts_measure_exact(const ts_params *params, const ts_data *data, const double *parameters, int64_t step,
                           ts_measure_extent extent, const ts_measure_help *help, double *out) {
    ts_measuring measuring = measuring_of(params, data, step, extent, help);
    return open_and_measure(&measuring, NULL, parameters, out);
}

ts_status ts_measure_hindsight(const ts_params *params, const ts_data *data, const float *parameters,
                               const double *final, const ts_measure_help *help, double *out) {
    ts_measuring measuring = {.params = params, .data = data, .final = final, .help = help};
    return open_and_measure(&measuring, parameters, NULL, out);
}

bool ts_measures_hindsight(const ts_params *params, const ts_data *data) {
    bool any = false;
    for (int f = 0; f < N_FAMILIES; f++)
        any = any || (FAMILIES[f]->hindsight && ts_family_is_chosen(params, FAMILIES[f]) &&
                      has_family(data, FAMILIES[f], 0) && FAMILIES[f]->hindsight(params));
    return any;
}

double ts_measure_operations(const ts_params *params, const ts_data *data, ts_measure_extent extent) {
    double operations = 0;
    bool gathered[N_FAMILIES];
    ts_measuring measuring = measuring_of(params, data, 0, extent, NULL);
    choose_families(&measuring, gathered);
    for (int f = 0; f < N_FAMILIES; f++)
        for (int c = 0; c < (FAMILIES[f]->charts ? TS_MAX_CHARTS : 1); c++)
            if (gathered[f] && has_family(data, FAMILIES[f], c) && FAMILIES[f]->operations)
                operations += FAMILIES[f]->operations(params, data);
    return operations;
}
