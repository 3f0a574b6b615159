// Tasks, models and optimisers that belong together, and which of them a sweep reaches. See spec.h.
#include "sweep/spec.h"

#include "model/optimiser.h"

#include <string.h>

static const char *const NAMES[] = {[TS_BY_TASK] = "task", [TS_BY_MODEL] = "model", [TS_BY_OPTIMIZER] = "optimizer"};

ts_pairing *ts_pairing_at(const ts_sweep *sweep, int task, int model, int optimiser) {
    return &sweep->pairing[(task * sweep->n_models + model) * sweep->n_optimisers + optimiser];
}

static uint64_t hash_name(const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return ts_hash_mix(hash);
}

const char *ts_spec_selected_name(const ts_schema *schema, const ts_key *key) {
    return strcmp(key->name, NAMES[TS_BY_TASK]) == 0        ? schema->task->name
           : strcmp(key->name, NAMES[TS_BY_MODEL]) == 0     ? schema->model->name
           : strcmp(key->name, NAMES[TS_BY_OPTIMIZER]) == 0 ? schema->optimiser->name
                                                            : NULL;
}

// Whether something in the sweep chooses an optimiser.
static bool chooses_optimiser(ts_spec *spec) {
    bool chooses = false;
    for (int e = 0; e < spec->sweep->n_entries; e++)
        chooses = chooses || ts_spec_effective(spec, &spec->sweep->entry[e], NAMES[TS_BY_OPTIMIZER]);
    return chooses;
}

// Whether a pairing of the sweep has had the key from the beginning.
static bool is_of_old(const ts_sweep *sweep, const char *key) {
    for (int s = 0; s < sweep->n_pairings; s++) {
        const ts_schema *schema = &sweep->pairing[s].schema;
        int position = sweep->pairing[s].reached ? ts_schema_find(schema, key) : -1;
        if (position >= 0 && !(schema->key[position]->traits & TS_LATER))
            return true;
    }
    return false;
}

// A key that came later, and that others of the sweep had before, meant those alone: such sweeps keep their meaning. A
// model's keys; an optimiser's where none was chosen.
static void leave_out_later(const ts_sweep *sweep, const ts_key *keys, ts_schema *schema) {
    for (const ts_key *key = keys; key->name; key++)
        if (key->traits & TS_LATER && is_of_old(sweep, key->name))
            ts_schema_leave_out(schema, ts_schema_find(schema, key->name));
}

static ts_status fill_values(ts_sweep *sweep, ts_pairing *pairing) {
    ts_status status = TS_OK;
    pairing->initial = ts_schema_find(&pairing->schema, TS_INIT_FROM);
    for (int i = 0; i < pairing->schema.count && status == TS_OK; i++) {
        const ts_key *key = pairing->schema.key[i];
        pairing->key_hash[i] = hash_name(key->name);
        pairing->value[i] = (ts_value){.type = key->type};
        if (key->type == TS_NAME || key->type == TS_WORDS)
            pairing->value[i].name = "";
        if (key->type == TS_FILE)
            pairing->value[i].file = &ts_no_file;
        if (key->type == TS_WEIGHTS)
            pairing->value[i].initial = &ts_no_initial;
        const char *name = ts_spec_selected_name(&pairing->schema, key);
        if (name)
            pairing->value[i].name = name;
        else if (key->fallback)
            status = ts_value_fallback(&sweep->arena, key, &pairing->value[i]);
    }
    return status;
}

static ts_status list_switched(ts_pairing *pairing) {
    const ts_schema *schema = &pairing->schema;
    for (int i = 0; i < schema->count; i++) {
        if (!(schema->key[i]->traits & TS_SWITCHED))
            continue;
        if (pairing->n_switched == TS_MAX_SWITCHED)
            return ts_fail(TS_ERROR_FATAL, "more than %d keys need a switch", TS_MAX_SWITCHED);
        int by = ts_schema_switch(schema, schema->key[i]);
        pairing->switched[pairing->n_switched++] = (ts_switched){i, by, pairing->value[i]};
    }
    return TS_OK;
}

static ts_status fill_reached(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    ts_status status = TS_OK;
    for (int t = 0; t < sweep->n_tasks; t++)
        for (int m = 0; m < sweep->n_models; m++)
            for (int o = 0; o < sweep->n_optimisers && status == TS_OK; o++) {
                ts_pairing *pairing = ts_pairing_at(sweep, t, m, o);
                if (pairing->reached)
                    status = ts_model_schema(ts_tasks[t], ts_models[m], ts_optimisers[o], &pairing->schema);
                pairing->allowed = pairing->reached && ts_model_learns(ts_models[m], ts_tasks[t]);
            }
    bool chooses = chooses_optimiser(spec);
    for (int s = 0; s < sweep->n_pairings && status == TS_OK; s++) {
        ts_pairing *pairing = &sweep->pairing[s];
        if (!pairing->reached)
            continue;
        leave_out_later(sweep, pairing->schema.model->keys, &pairing->schema);
        if (!chooses)
            leave_out_later(sweep, pairing->schema.optimiser->keys, &pairing->schema);
        status = fill_values(sweep, pairing);
        if (status == TS_OK)
            status = list_switched(pairing);
    }
    return status;
}

// --- What is reached ---

const ts_key *ts_spec_selecting_key(const ts_spec *spec, const char *name) {
    return strcmp(name, NAMES[TS_BY_TASK]) == 0        ? &spec->task_key
           : strcmp(name, NAMES[TS_BY_MODEL]) == 0     ? &spec->model_key
           : strcmp(name, NAMES[TS_BY_OPTIMIZER]) == 0 ? ts_optimizer_keys
                                                       : NULL;
}

ts_status ts_spec_type_selector(ts_spec *spec, ts_setting *setting) {
    const ts_key *key = ts_spec_selecting_key(spec, setting->key);
    ts_value_list *list;
    if (!key)
        return TS_OK;
    ts_status status = ts_spec_read_setting(spec, setting, key, &list);
    if (status != TS_OK)
        return status;
    setting->list = list;
    setting->count = list->count;
    return TS_OK;
}

bool ts_entry_knows_selectors(ts_spec *spec, ts_entry *entry) {
    bool known = true;
    for (int by = 0; by < TS_SELECTORS; by++) {
        const ts_setting *setting = ts_spec_effective(spec, entry, NAMES[by]);
        known = known && (setting ? setting->list != NULL : by != TS_BY_TASK);
    }
    return known;
}

// Whether the name is among those that an entry selects by such a key, or, where it does not, is the `usual` one.
static bool may_select(ts_spec *spec, ts_entry *entry, ts_selecting by, const char *name, const char *usual) {
    const ts_setting *setting = ts_spec_effective(spec, entry, NAMES[by]);
    ts_value wanted = {.type = TS_NAME, .name = name};
    return setting ? setting->list && ts_value_list_has(setting->list, &wanted) : usual && strcmp(name, usual) == 0;
}

bool ts_entry_reaches(ts_spec *spec, ts_entry *entry, const ts_pairing *pairing) {
    const ts_schema *of = &pairing->schema;
    return may_select(spec, entry, TS_BY_TASK, of->task->name, NULL) &&
           may_select(spec, entry, TS_BY_MODEL, of->model->name, ts_model_usual(of->task)->name) &&
           may_select(spec, entry, TS_BY_OPTIMIZER, of->optimiser->name, of->model->optimiser->name);
}

// "": the usual one.
static void reach(ts_sweep *sweep, const char *const name[TS_SELECTORS]) {
    for (int t = 0; t < sweep->n_tasks; t++) {
        if (strcmp(ts_tasks[t]->name, name[TS_BY_TASK]) != 0)
            continue;
        const ts_model *model = *name[TS_BY_MODEL] ? ts_model_find(name[TS_BY_MODEL]) : ts_model_usual(ts_tasks[t]);
        const char *optimiser = *name[TS_BY_OPTIMIZER] ? name[TS_BY_OPTIMIZER] : model->optimiser->name;
        for (int m = 0; m < sweep->n_models; m++)
            for (int o = 0; o < sweep->n_optimisers; o++)
                if (ts_models[m] == model && strcmp(ts_optimisers[o]->name, optimiser) == 0)
                    ts_pairing_at(sweep, t, m, o)->reached = true;
    }
}

// Lists of names may repeat; only the first of a kind matters here.
static bool is_first(const ts_value_list *list, int64_t i) {
    for (int64_t k = 0; k < i && k < 64; k++)
        if (list->item[k].name == list->item[i].name)
            return false;
    return true;
}

// Every combination that points may have of the selectors from `by` on; those in zip advance together.
static void reach_each(ts_spec *spec, const ts_setting *const setting[TS_SELECTORS], int by, int64_t zipped,
                       const char *name[TS_SELECTORS]) {
    if (by == TS_SELECTORS) {
        reach(spec->sweep, name);
        return;
    }
    const ts_setting *one = setting[by];
    name[by] = "";
    if (!one)
        reach_each(spec, setting, by + 1, zipped, name);
    bool zip = one && one->place == TS_SETTING_ZIP;
    int64_t first = zip && zipped >= 0 ? zipped : 0, end = one ? one->count : 0;
    if (zip && zipped >= 0 && end > zipped + 1)
        end = zipped + 1;
    for (int64_t i = first; i < end; i++) {
        if (!zip && !is_first(one->list, i))
            continue;
        name[by] = one->list->item[i].name;
        reach_each(spec, setting, by + 1, zip ? i : zipped, name);
    }
}

static void reach_from(ts_spec *spec, ts_entry *entry) {
    const ts_setting *setting[TS_SELECTORS];
    const char *name[TS_SELECTORS];
    if (!ts_entry_knows_selectors(spec, entry)) { // missing, or reported
        spec->unknown_pairings = true;
        return;
    }
    for (int by = 0; by < TS_SELECTORS; by++)
        setting[by] = ts_spec_effective(spec, entry, NAMES[by]);
    reach_each(spec, setting, 0, -1, name);
}

static void report_missing_task(ts_spec *spec, const ts_entry *entry) {
    ts_text names = {0};
    for (int t = 0; ts_tasks[t]; t++)
        ts_text_addf(&names, "%s%s", t ? ", " : "", ts_tasks[t]->name);
    ts_faults_add(spec->faults, entry->line ? entry->line : 1, "task", "is missing; one of %s", ts_text_get(&names));
    ts_text_free(&names);
}

ts_status ts_spec_select_pairings(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    ts_status status = TS_OK;
    sweep->n_pairings = sweep->n_tasks * sweep->n_models * sweep->n_optimisers;
    sweep->pairing = ts_arena_take(&sweep->arena, (size_t)sweep->n_pairings, sizeof *sweep->pairing);
    if (!sweep->pairing)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < spec->n_settings && status != TS_ERROR_MEMORY; i++)
        status = ts_spec_type_selector(spec, &spec->setting[i]);
    for (int e = 0; e < sweep->n_entries; e++)
        for (int i = 0; i < sweep->entry[e].count && status != TS_ERROR_MEMORY; i++)
            status = ts_spec_type_selector(spec, &sweep->entry[e].setting[i]);
    if (status == TS_ERROR_MEMORY)
        return status;
    for (int e = 0; e < sweep->n_entries; e++) {
        ts_entry *entry = &sweep->entry[e];
        reach_from(spec, entry);
        if (!ts_spec_effective(spec, entry, "task") && !ts_spec_is_hidden(spec, entry, "task"))
            report_missing_task(spec, entry);
    }
    return fill_reached(spec);
}
