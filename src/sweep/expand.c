// All points, filtered and checked: what is left are the instances. See spec.h.
#include "sweep/cursor.h"

#include "base/memory.h"
#include "model/optimiser.h"
#include "param/checkpoints.h"
#include "sweep/initial.h"

#include <string.h>

static const int64_t MAX_CHECKPOINTS = 1000000;

// Hashes of what was checked already: many points differ in their seed only.
typedef struct hash_set {
    uint64_t *slot; // 0: free; owned
    size_t slots, count;
} hash_set;

static ts_status grow_set(hash_set *set) {
    hash_set grown = {.slots = set->slots ? 2 * set->slots : 1024, .count = set->count};
    grown.slot = ts_alloc_zero(grown.slots, sizeof *grown.slot, "the sweep's checks");
    if (!grown.slot)
        return TS_ERROR_MEMORY;
    for (size_t i = 0; i < set->slots; i++) {
        if (!set->slot[i])
            continue;
        size_t at = set->slot[i] & (grown.slots - 1);
        while (grown.slot[at])
            at = (at + 1) & (grown.slots - 1);
        grown.slot[at] = set->slot[i];
    }
    ts_free(set->slot);
    *set = grown;
    return TS_OK;
}

// *added: it was not there.
static ts_status add_hash(hash_set *set, uint64_t hash, bool *added) {
    hash = ts_hash_mix(hash);
    hash = hash ? hash : 1;
    if (2 * (set->count + 1) > set->slots && grow_set(set) != TS_OK)
        return TS_ERROR_MEMORY;
    size_t at = hash & (set->slots - 1);
    while (set->slot[at] && set->slot[at] != hash)
        at = (at + 1) & (set->slots - 1);
    *added = !set->slot[at];
    set->slot[at] = hash;
    set->count += *added;
    return TS_OK;
}

// The walk: what changed since the last point that was looked at, and the instances so far.
typedef struct walk {
    ts_spec *spec;
    ts_cursor cursor;
    ts_fingerprint fingerprint;
    ts_key_set pending; // those that changed since the fingerprint was updated
    hash_set checked;
    uint32_t *point; // (points) of the instances; NULL without filters
    int64_t instances;
} walk;

// --- Filters ---

static bool matches(const walk *w, const ts_match *match) {
    const ts_cursor *cursor = &w->cursor;
    if (match->typed) {
        const ts_typed *typed = &match->typed[cursor->pairing - w->spec->sweep->pairing];
        if (typed->position >= 0)
            return typed->list && ts_params_counts(&cursor->params, typed->position) &&
                   ts_value_list_has(typed->list, &cursor->params.value[typed->position]);
    }
    if (!match->derived)
        return false;
    if (match->derived->type == TS_NAME) // task, model or optimizer
        return ts_value_list_has(match->derived,
                                 &cursor->params.value[ts_schema_find(cursor->params.schema, match->key)]);
    ts_value value = {.type = TS_REAL};
    return ts_where_derive(&cursor->params, match->key, &value.real) && ts_value_list_has(match->derived, &value);
}

static bool is_excluded(const walk *w) {
    for (int x = 0; x < w->spec->n_exclude; x++) {
        const ts_exclusion *exclusion = &w->spec->exclude[x];
        int i = 0;
        while (i < exclusion->count && matches(w, &exclusion->match[i]))
            i++;
        if (i == exclusion->count)
            return true;
    }
    return false;
}

// --- Checks ---

// The line at which a key got its value; that of the task if it has its default.
static int line_of(const walk *w, const char *key) {
    const ts_entry *entry = w->cursor.entry;
    const ts_setting *setting = ts_setting_find(entry->setting, entry->count, key);
    if (!setting)
        setting = ts_setting_find(w->spec->setting, w->spec->n_settings, key);
    if (!setting)
        setting = entry->selector[TS_BY_TASK].setting;
    return setting ? setting->line : 0;
}

static void report_pair(walk *w) {
    const ts_schema *schema = &w->cursor.pairing->schema;
    ts_text models = {0};
    for (int m = 0; ts_models[m]; m++)
        if (ts_model_learns(ts_models[m], schema->task))
            ts_text_addf(&models, "%s%s", models.length ? ", " : "", ts_models[m]->name);
    ts_faults_add(w->spec->faults, line_of(w, "model"), "model",
                  "task '%s' cannot be learned by model '%s'; its models: %s", schema->task->name, schema->model->name,
                  ts_text_get(&models));
    ts_text_free(&models);
}

// What has to fit into the steps of training. False: something does not, and that is reported.
static bool check_steps(walk *w) {
    const ts_params *params = &w->cursor.params;
    ts_faults *faults = w->spec->faults;
    const ts_numbers *checkpoints = ts_params_numbers(params, "checkpoints");
    long long steps = ts_params_integer(params, "steps"), warmup = ts_params_integer(params, "warmup");
    bool many = checkpoints->form == TS_NUMBERS_EVERY && ts_checkpoints(checkpoints, steps, NULL, 0) > MAX_CHECKPOINTS;
    if (many)
        ts_faults_add(faults, line_of(w, "checkpoints"), "checkpoints",
                      "every %.15g of %lld steps are more than %lld checkpoints", checkpoints->item[0], steps,
                      (long long)MAX_CHECKPOINTS);
    if (warmup > steps)
        ts_faults_add(
            faults, line_of(w, "warmup"), "warmup",
            "%lld steps are more than the %lld of training, and the learning rate would never get to lr; give "
            "at most %lld, or raise 'steps'",
            warmup, steps, steps);
    return !many && warmup <= steps;
}

// False: something is wrong with the optimiser's keys, and reported.
static bool check_optimiser(walk *w) {
    const ts_params *params = &w->cursor.params;
    char message[1024];
    ts_parameter_layout tensors;
    params->schema->model->layout(params, &tensors);
    const char *key = ts_optimiser_check(params, &tensors, message, sizeof message);
    if (key)
        ts_faults_add(w->spec->faults, line_of(w, key), key, "%s", message);
    return !key;
}

// False: something is wrong with it, and reported.
static bool check_point(walk *w) {
    const ts_params *params = &w->cursor.params;
    char message[1024] = "";
    ts_faults *faults = w->spec->faults;
    const char *key = params->schema->task->check ? params->schema->task->check(params, message, sizeof message) : NULL;
    if (key)
        ts_faults_add(faults, line_of(w, key), key, "%s", message);
    message[0] = 0;
    // A model's check may rely on what the task's found in order.
    if (!key && params->schema->model->check)
        key = params->schema->model->check(params, message, sizeof message);
    if (key && message[0])
        ts_faults_add(faults, line_of(w, key), key, "%s", message);
    return check_steps(w) && check_optimiser(w) && !key;
}

// Keys that say how weights are drawn, of a point whose weights are given. False: reported.
static bool check_draws(walk *w) {
    const ts_params *params = &w->cursor.params;
    bool fine = true;
    for (int i = 0; i < params->schema->count && ts_params_initial(params)->path[0]; i++) {
        const ts_key *key = params->schema->key[i];
        if (!(key->traits & TS_DRAWS) || ts_params_is_default(params, i))
            continue;
        fine = false;
        ts_faults_add(w->spec->faults, line_of(w, key->name), key->name,
                      "has no meaning beside " TS_INIT_FROM
                      ", which gives the weights: leave it out, or put it into the "
                      "cases without " TS_INIT_FROM);
    }
    return fine;
}

// Reads the weights that the point begins with, unless they are known. TS_ERROR_USER: something is reported.
static ts_status find_initial(walk *w) {
    ts_sweep *sweep = w->spec->sweep;
    ts_cursor *cursor = &w->cursor;
    const ts_initial *found;
    if (!ts_initial_is_open(cursor->params.value[cursor->pairing->initial].initial))
        return TS_OK;
    if (!check_point(w))
        return TS_ERROR_USER;
    ts_status status = ts_initial_resolve(&w->spec->reader, &cursor->params, line_of(w, TS_INIT_FROM), &found);
    if (status != TS_OK)
        return status;
    if (found->written != found && !sweep->matched) {
        sweep->matched = ts_alloc_zero((size_t)sweep->points, sizeof *sweep->matched, "the sweep's weights");
        if (!sweep->matched)
            return TS_ERROR_MEMORY;
    }
    if (found->written != found)
        sweep->matched[cursor->point] = found;
    cursor->params.value[cursor->pairing->initial].initial = found;
    ts_key_set_add(&w->pending, cursor->pairing->initial);
    return TS_OK;
}

// What made the expression fail may be a fault of the point (no such group has an order): that is said first.
static void report_where(walk *w, int i) {
    ts_spec *spec = w->spec;
    ts_text message = {0};
    ts_text_add(&message, ts_message());
    if (!w->cursor.pairing->allowed || check_point(w))
        ts_faults_add(spec->faults, spec->where_line[i], "where", "%s", ts_text_get(&message));
    ts_text_free(&message);
}

static bool passes_where(walk *w) {
    ts_spec *spec = w->spec;
    for (int i = 0; i < spec->n_where; i++) {
        bool holds;
        if (ts_where_run(spec->where[i], &w->cursor.params, &holds) != TS_OK) {
            report_where(w, i);
            return false;
        }
        if (!holds)
            return false;
    }
    return true;
}

// --- The walk ---

static ts_status take_point(walk *w, int64_t point) {
    ts_cursor_seek(&w->cursor, point);
    ts_key_set_add_all(&w->pending, &w->cursor.changed);
    if (is_excluded(w) || !passes_where(w))
        return TS_OK;
    if (w->point)
        w->point[w->instances] = (uint32_t)point;
    w->instances++;
    if (!w->cursor.pairing->allowed) {
        report_pair(w);
        return TS_OK;
    }
    ts_status status = find_initial(w);
    if (status != TS_OK)
        return status == TS_ERROR_USER ? TS_OK : status;
    bool added;
    ts_fingerprint_update(&w->fingerprint, &w->cursor, &w->pending);
    w->pending = (ts_key_set){0};
    status = add_hash(&w->checked, w->fingerprint.no_seed, &added);
    if (status != TS_OK || !added || !check_point(w) || !check_draws(w))
        return status;
    status = ts_initial_check(&w->spec->reader, &w->cursor.params, line_of(w, TS_INIT_FROM));
    return status == TS_ERROR_USER ? TS_OK : status;
}

static ts_status keep_instances(walk *w) {
    ts_sweep *sweep = w->spec->sweep;
    sweep->instances = w->instances;
    if (w->spec->faults->count > 0)
        return TS_ERROR_USER;
    if (w->instances == 0)
        return ts_faults_add(w->spec->faults, 0, NULL, "where and exclude drop all %lld points; nothing is left",
                             (long long)sweep->points);
    if (!w->point || w->instances == sweep->points)
        return TS_OK;
    sweep->point = ts_alloc((size_t)w->instances * sizeof *sweep->point, "the sweep's instances");
    if (!sweep->point)
        return TS_ERROR_MEMORY;
    memcpy(sweep->point, w->point, (size_t)w->instances * sizeof *sweep->point);
    return TS_OK;
}

ts_status ts_spec_expand(ts_spec *spec) {
    walk w = {.spec = spec, .fingerprint.of_identities = true};
    ts_status status = TS_OK;
    ts_cursor_start(&w.cursor, spec->sweep);
    if (spec->n_where || spec->n_exclude) {
        w.point = ts_alloc((size_t)spec->sweep->points * sizeof *w.point, "the sweep's points");
        status = w.point ? TS_OK : TS_ERROR_MEMORY;
    }
    for (int64_t p = 0; p < spec->sweep->points && status == TS_OK; p++)
        status = take_point(&w, p);
    if (status == TS_OK)
        status = keep_instances(&w);
    ts_free(w.point);
    ts_free(w.checked.slot);
    return status;
}
