// The instances for which a `where` holds, and the best of them.
#include "run/choose.h"

#include "base/log.h"
#include "base/memory.h"
#include "model/model.h"
#include "results/origin.h"
#include "results/rows.h"
#include "sweep/label.h"
#include "sweep/where.h"

#include <math.h>
#include <string.h>

enum { MOST_KEYS = 512, LISTED = 10 };

typedef struct choice {
    ts_reader *reader;
    ts_sweep *sweep;
    ts_where *where; // NULL: any instance
    int64_t matches, first;
    ts_text list; // the first of the matches, a line each
} choice;

// The keys that instances of the sweep have.
static int list_keys(const ts_sweep *sweep, const ts_key *keys[MOST_KEYS]) {
    int count = 0;
    for (int c = 0; c < ts_sweep_cases(sweep); c++) {
        const ts_schema *schema = ts_sweep_case(sweep, c)->schema;
        for (int i = 0; i < schema->count; i++) {
            int k = 0;
            while (k < count && keys[k] != schema->key[i])
                k++;
            if (k == count && count < MOST_KEYS)
                keys[count++] = schema->key[i];
        }
    }
    return count;
}

static ts_status compile(choice *c, const char *where) {
    const ts_key *keys[MOST_KEYS];
    if (!where)
        return TS_OK;
    ts_status status = ts_where_compile(where, keys, list_keys(c->sweep, keys), &c->where);
    return status == TS_ERROR_USER ? ts_fail(status, "--where: %s", ts_message()) : status;
}

static ts_status holds(const choice *c, int64_t instance, bool *out) {
    ts_params params;
    *out = true;
    if (!c->where)
        return TS_OK;
    ts_sweep_params(c->sweep, instance, &params);
    ts_status status = ts_where_run(c->where, &params, out);
    return status == TS_ERROR_USER ? ts_fail(status, "--where: %s", ts_message()) : status;
}

static void note_match(choice *c, int64_t instance) {
    ts_text label = {0};
    if (c->matches++ == 0)
        c->first = instance;
    if (c->matches > LISTED)
        return;
    ts_label_instance(c->sweep, instance, &label);
    ts_text_addf(&c->list, "%s%lld (%s)", c->list.length ? ", " : "", (long long)instance, ts_text_get(&label));
    c->list.failed = c->list.failed || label.failed;
    ts_text_free(&label);
}

static ts_status choose_only(choice *c, int64_t *instance) {
    ts_status status = TS_OK;
    for (int64_t i = 0; i < ts_sweep_instances(c->sweep) && status == TS_OK; i++) {
        bool match;
        status = holds(c, i, &match);
        if (status == TS_OK && match)
            note_match(c, i);
    }
    *instance = c->first;
    if (status == TS_OK)
        status = ts_text_status(&c->list);
    if (status != TS_OK || c->matches == 1)
        return status;
    if (c->matches == 0)
        return ts_fail(TS_ERROR_USER, "--where: it holds for none of the %lld instance%s",
                       (long long)ts_sweep_instances(c->sweep), ts_plural(ts_sweep_instances(c->sweep)));
    return ts_fail(TS_ERROR_USER,
                   "--where: it holds for %lld instances: %s%s; say more, or take one by --instance I, or best",
                   (long long)c->matches, ts_text_get(&c->list), c->matches > LISTED ? ", ..." : "");
}

// --- The best ---

static const ts_model *model_of(const choice *c, int64_t instance) {
    return ts_sweep_case(c->sweep, ts_sweep_case_of(c->sweep, instance))->schema->model;
}

// Of the instances for which the expression holds, all of which must have one measure. value: its column.
static ts_status find_best(choice *c, const uint8_t *status, const char **measure, double *value, int64_t *instance) {
    *measure = NULL;
    *instance = -1;
    for (int64_t i = 0; i < ts_sweep_instances(c->sweep); i++) {
        bool match = status[i] == TS_ROW_DONE;
        ts_status tested = match ? holds(c, i, &match) : TS_OK;
        if (tested != TS_OK)
            return tested;
        if (!match)
            continue;
        const char *own = model_of(c, i)->headline;
        if (*measure && strcmp(*measure, own) != 0)
            return ts_fail(TS_ERROR_USER,
                           "--instance best: there are instances with %s and some with %s, which do not compare; "
                           "choose by --where, such as 'model == %s'",
                           *measure, own, model_of(c, i)->name);
        if (!*measure) {
            tested = ts_reader_column(c->reader, own, value);
            if (tested != TS_OK)
                return tested;
        }
        *measure = own;
        if (!isnan(value[i]) && (*instance < 0 || value[i] < value[*instance]))
            *instance = i;
    }
    return TS_OK;
}

static ts_status choose_best(choice *c, int64_t *instance) {
    const uint8_t *row_status;
    const char *measure;
    double *value = ts_alloc((size_t)ts_reader_instances(c->reader) * sizeof *value, "a column");
    ts_text label = {0};
    ts_status status = value ? ts_reader_status(c->reader, &row_status) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = find_best(c, row_status, &measure, value, instance);
    if (status == TS_OK && *instance < 0)
        status = ts_fail(TS_ERROR_USER, "--instance best: no instance%s is done and has a %s",
                         c->where ? " for which --where holds" : "", measure ? measure : "loss");
    if (status == TS_OK) {
        ts_label_instance(c->sweep, *instance, &label);
        status = ts_text_status(&label);
    }
    if (status == TS_OK)
        ts_print("best: instance %lld (%s), %s %.4g", (long long)*instance, ts_text_get(&label), measure,
                 value[*instance]);
    ts_text_free(&label);
    ts_free(value);
    return status;
}

ts_status ts_choose_instance(ts_reader *reader, const char *where, bool best, int64_t *instance) {
    choice c = {.reader = reader};
    ts_status status = ts_origin_read(reader, &c.sweep);
    if (status == TS_OK)
        status = compile(&c, where);
    if (status == TS_OK)
        status = best ? choose_best(&c, instance) : choose_only(&c, instance);
    ts_text_free(&c.list);
    ts_where_free(c.where);
    ts_sweep_free(c.sweep);
    return status;
}
