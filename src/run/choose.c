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

// The measures by which instances of a model are judged (ts_model_measure), as columns of the file.
enum { MOST_MEASURES = 4 };
typedef struct judged {
    const ts_model *model;
    double *column[MOST_MEASURES]; // (instances); NULL: the file has none
} judged;

static ts_status read_judged(ts_reader *reader, const ts_model *model, judged *out) {
    bool current = strcmp(ts_reader_attribute(reader, "version"), TOYSWEEP_VERSION) == 0;
    ts_status status = TS_OK;
    *out = (judged){.model = model};
    for (int k = 0; k < MOST_MEASURES && ts_model_measure(model, k) && status == TS_OK; k++) {
        out->column[k] = ts_alloc((size_t)ts_reader_instances(reader) * sizeof(double), "a column");
        status =
            out->column[k] ? ts_reader_column(reader, ts_model_measure(model, k), out->column[k]) : TS_ERROR_MEMORY;
        if (status == TS_ERROR_USER && !current && ts_model_measure(model, k) != model->headline) {
            ts_free(out->column[k]);
            out->column[k] = NULL;
            status = TS_OK;
        }
    }
    return status;
}

static void free_judged(judged *of) {
    for (int k = 0; k < MOST_MEASURES; k++)
        ts_free(of->column[k]);
}

// NAN: nothing is known of it.
static double judge(const judged *of, int64_t instance, const char **measure) {
    for (int k = 0; k < MOST_MEASURES && ts_model_measure(of->model, k); k++)
        if (of->column[k] && !isnan(of->column[k][instance])) {
            *measure = ts_model_measure(of->model, k);
            return of->column[k][instance];
        }
    return NAN;
}

typedef struct winner {
    const ts_model *model; // the first of those done; NULL: none is
    int64_t instance;      // -1: nothing is known of any
    const char *measure;
    double value;
    judged of;
} winner;

static bool is_otherwise(const ts_model *model, const char *measure) {
    return model->otherwise && strcmp(model->otherwise, measure) == 0;
}

// Of the instances for which the expression holds, all of which must have one headline measure.
static ts_status find_best(choice *c, const uint8_t *status, winner *b) {
    for (int64_t i = 0; i < ts_sweep_instances(c->sweep); i++) {
        bool match = status[i] == TS_ROW_DONE;
        ts_status tested = match ? holds(c, i, &match) : TS_OK;
        if (tested != TS_OK)
            return tested;
        if (!match)
            continue;
        const ts_model *own = model_of(c, i);
        if (b->model && strcmp(b->model->headline, own->headline) != 0)
            return ts_fail(TS_ERROR_USER,
                           "--instance best: there are instances with %s and some with %s, which do not compare; "
                           "choose by --where, such as 'model == %s'",
                           b->model->headline, own->headline, own->name);
        if (!b->model) {
            tested = read_judged(c->reader, own, &b->of);
            if (tested != TS_OK)
                return tested;
        }
        b->model = b->model ? b->model : own;
        const char *measure = NULL;
        double value = judge(&b->of, i, &measure);
        if (measure && b->measure && is_otherwise(own, measure) != is_otherwise(own, b->measure))
            return ts_fail(
                TS_ERROR_USER,
                "--instance best: some instances have test pairs, and a %s, and some have none, which do not "
                "compare; choose by --where, such as 'train_fraction < 1'",
                own->headline);
        if (!isnan(value) && (b->instance < 0 || value < b->value)) {
            b->instance = i;
            b->measure = measure;
            b->value = value;
        }
    }
    return TS_OK;
}

static ts_status choose_best(choice *c, int64_t *instance) {
    const uint8_t *row_status;
    winner b = {.instance = -1};
    ts_text label = {0};
    ts_status status = ts_reader_status(c->reader, &row_status);
    if (status == TS_OK)
        status = find_best(c, row_status, &b);
    if (status == TS_OK && b.instance < 0)
        status = ts_fail(TS_ERROR_USER, "--instance best: no instance%s is done and has a %s",
                         c->where ? " for which --where holds" : "", b.model ? b.model->headline : "loss");
    if (status == TS_OK) {
        ts_label_instance(c->sweep, b.instance, &label);
        status = ts_text_status(&label);
    }
    if (status == TS_OK)
        ts_print("best: instance %lld (%s), %s %.4g", (long long)b.instance, ts_text_get(&label), b.measure, b.value);
    *instance = b.instance;
    ts_text_free(&label);
    free_judged(&b.of);
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
