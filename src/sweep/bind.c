// Settings become typed values for every task and model that the sweep reaches. See spec.h.
#include "sweep/spec.h"

#include "model/optimiser.h"

#include <string.h>

static ts_pairing *pairing_at(ts_sweep *sweep, int task, int model) {
    return &sweep->pairing[task * sweep->n_models + model];
}

// --- Pairings ---

static uint64_t hash_name(const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return ts_hash_mix(hash);
}

static ts_status fill_pairing(ts_sweep *sweep, int task, int model) {
    ts_pairing *pairing = pairing_at(sweep, task, model);
    ts_status status = ts_model_schema(ts_tasks[task], ts_models[model], &pairing->schema);
    pairing->allowed = ts_model_learns(ts_models[model], ts_tasks[task]);
    for (int i = 0; i < pairing->schema.count && status == TS_OK; i++) {
        const ts_key *key = pairing->schema.key[i];
        pairing->key_hash[i] = hash_name(key->name);
        pairing->value[i] = (ts_value){.type = key->type};
        if (key->type == TS_NAME)
            pairing->value[i].name = "";
        if (key->type == TS_FILE)
            pairing->value[i].file = &ts_no_file;
        if (strcmp(key->name, "task") == 0)
            pairing->value[i].name = ts_tasks[task]->name;
        else if (strcmp(key->name, "model") == 0)
            pairing->value[i].name = ts_models[model]->name;
        else if (key == ts_optimizer_keys)
            pairing->value[i].name = ts_models[model]->optimiser->name;
        else if (key->fallback)
            status = ts_value_fallback(&sweep->arena, key, &pairing->value[i]);
    }
    return status;
}

static ts_status make_pairings(ts_sweep *sweep) {
    sweep->n_pairings = sweep->n_tasks * sweep->n_models;
    sweep->pairing = ts_arena_take(&sweep->arena, (size_t)sweep->n_pairings, sizeof *sweep->pairing);
    if (!sweep->pairing)
        return TS_ERROR_MEMORY;
    for (int t = 0; t < sweep->n_tasks; t++)
        for (int m = 0; m < sweep->n_models; m++) {
            ts_status status = fill_pairing(sweep, t, m);
            if (status != TS_OK)
                return status;
        }
    return TS_OK;
}

// --- Task and model ---

static const ts_key *selecting_key(const ts_spec *spec, const char *name) {
    return strcmp(name, "task") == 0 ? &spec->task_key : strcmp(name, "model") == 0 ? &spec->model_key : NULL;
}

static ts_status read_setting(ts_spec *spec, const ts_setting *setting, const ts_key *key, ts_value_list **out) {
    *out = ts_arena_take(&spec->sweep->arena, 1, sizeof **out);
    if (!*out)
        return TS_ERROR_MEMORY;
    bool many = setting->place == TS_SETTING_GRID || setting->place == TS_SETTING_ZIP;
    spec->reader.set = setting->line == TS_LINE_SET;
    return ts_value_read(&spec->reader, key, setting->node, many, *out);
}

static ts_status type_selector(ts_spec *spec, ts_setting *setting) {
    const ts_key *key = selecting_key(spec, setting->key);
    ts_value_list *list;
    if (!key)
        return TS_OK;
    ts_status status = read_setting(spec, setting, key, &list);
    if (status != TS_OK)
        return status;
    setting->list = list;
    setting->count = list->count;
    return TS_OK;
}

// The setting that counts in an entry: its own, else the shared one.
static ts_setting *effective(ts_spec *spec, ts_entry *entry, const char *key) {
    ts_setting *own = ts_setting_find(entry->setting, entry->count, key);
    return own ? own : ts_setting_find(spec->setting, spec->n_settings, key);
}

static bool knows_selectors(ts_spec *spec, ts_entry *entry) {
    const ts_setting *task = effective(spec, entry, "task"), *model = effective(spec, entry, "model");
    return task && task->list && (!model || model->list);
}

static void reach(ts_sweep *sweep, const char *task, const char *model) {
    for (int t = 0; t < sweep->n_tasks; t++) {
        if (strcmp(ts_tasks[t]->name, task) != 0)
            continue;
        const ts_model *wanted = model[0] ? ts_model_find(model) : ts_model_usual(ts_tasks[t]);
        for (int m = 0; m < sweep->n_models; m++)
            if (ts_models[m] == wanted)
                pairing_at(sweep, t, m)->reached = true;
    }
}

// Lists of names may repeat; only the first of a kind matters here.
static bool is_first(const ts_value_list *list, int64_t i) {
    for (int64_t k = 0; k < i && k < 64; k++)
        if (list->item[k].name == list->item[i].name)
            return false;
    return true;
}

static void reach_from(ts_spec *spec, ts_entry *entry) {
    const ts_setting *task = effective(spec, entry, "task"), *model = effective(spec, entry, "model");
    if (!knows_selectors(spec, entry)) { // missing, or reported
        spec->unknown_pairings = true;
        return;
    }
    bool together = model && task->place == TS_SETTING_ZIP && model->place == TS_SETTING_ZIP;
    for (int64_t t = 0; t < task->count; t++) {
        const char *name = task->list->item[t].name;
        if (!model)
            reach(spec->sweep, name, "");
        else if (together && t < model->count)
            reach(spec->sweep, name, model->list->item[t].name);
        if (!model || together || !is_first(task->list, t))
            continue;
        for (int64_t m = 0; m < model->count; m++)
            if (is_first(model->list, m))
                reach(spec->sweep, name, model->list->item[m].name);
    }
}

// Whether a fault that is reported already may be why the key is not there.
static bool is_hidden(const ts_spec *spec, const ts_entry *entry, const char *key) {
    bool hidden = spec->malformed || entry->malformed;
    for (const ts_expected *one = spec->expected; one; one = one->next)
        hidden = hidden || strcmp(one->key, key) == 0;
    return hidden;
}

static ts_status select_pairings(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    ts_status status = TS_OK;
    for (int i = 0; i < spec->n_settings && status != TS_ERROR_MEMORY; i++)
        status = type_selector(spec, &spec->setting[i]);
    for (int e = 0; e < sweep->n_entries; e++)
        for (int i = 0; i < sweep->entry[e].count && status != TS_ERROR_MEMORY; i++)
            status = type_selector(spec, &sweep->entry[e].setting[i]);
    if (status == TS_ERROR_MEMORY)
        return status;
    for (int e = 0; e < sweep->n_entries; e++) {
        ts_entry *entry = &sweep->entry[e];
        reach_from(spec, entry);
        if (effective(spec, entry, "task"))
            continue;
        if (is_hidden(spec, entry, "task"))
            continue;
        ts_text names = {0};
        for (int t = 0; t < sweep->n_tasks; t++)
            ts_text_addf(&names, "%s%s", t ? ", " : "", ts_tasks[t]->name);
        ts_faults_add(spec->faults, entry->line ? entry->line : 1, "task", "is missing; one of %s",
                      ts_text_get(&names));
        ts_text_free(&names);
    }
    return TS_OK;
}

// --- Other settings ---

// Whether every point's task and model are known, and some point has any: only then is it known what applies.
static bool knows_pairings(ts_spec *spec) {
    const ts_sweep *sweep = spec->sweep;
    bool any = false;
    for (int s = 0; s < sweep->n_pairings; s++)
        any = any || sweep->pairing[s].reached;
    return any && !spec->malformed && !spec->unknown_pairings;
}

// Where two lists describe a key alike, its values need not be read twice.
static bool same_definition(const ts_key *a, const ts_key *b) {
    return a == b ||
           (a->type == b->type && a->minimum == b->minimum && a->maximum == b->maximum && a->choices == b->choices);
}

// Reads the setting as pairing `s` types it, or shares what an earlier pairing read.
static ts_status type_for_pairing(ts_spec *spec, ts_setting *setting, int s) {
    const ts_pairing *pairing = spec->sweep->pairing;
    ts_typed *typed = setting->typed;
    const ts_key *key = pairing[s].schema.key[typed[s].position];
    for (int e = 0; e < s; e++)
        if (typed[e].list && same_definition(pairing[e].schema.key[typed[e].position], key)) {
            typed[s].list = typed[e].list;
            return TS_OK;
        }
    ts_value_list *list;
    ts_status status = read_setting(spec, setting, key, &list);
    if (status != TS_OK)
        return status;
    typed[s].list = list;
    if (setting->list && setting->list->count != list->count)
        return ts_faults_add(spec->faults, setting->line, setting->key,
                             "means one value for some tasks and several for others; use cases");
    setting->list = list;
    setting->count = list->count;
    return TS_OK;
}

// Reads a setting of which it is not known to what task and model it belongs, for its faults alone: where every list
// describes the key alike.
static ts_status check_setting(ts_spec *spec, const ts_setting *setting) {
    const ts_key *key = ts_spec_key(spec, setting->key);
    for (int i = 0; i < spec->n_keys; i++)
        if (strcmp(spec->key[i]->name, key->name) == 0 && !same_definition(spec->key[i], key))
            return TS_OK;
    ts_value_list *list;
    return read_setting(spec, setting, key, &list);
}

static bool has_key(const ts_key *keys, const char *name) {
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return true;
    return false;
}

static void add_owner(ts_text *owners, const char *what, const char *name) {
    ts_text_addf(owners, "%s%s '%s'", owners->length ? ", " : "", what, name);
}

// A key that no task or model of the sweep has, with those that have it.
static ts_status report_useless(ts_spec *spec, const ts_setting *setting) {
    ts_text owners = {0};
    for (int t = 0; ts_tasks[t]; t++)
        if (has_key(ts_tasks[t]->keys, setting->key))
            add_owner(&owners, "task", ts_tasks[t]->name);
    for (int m = 0; ts_models[m]; m++) {
        ts_schema schema;
        ts_model_schema(NULL, ts_models[m], &schema);
        if (ts_schema_find(&schema, setting->key) >= 0)
            add_owner(&owners, "model", ts_models[m]->name);
    }
    ts_status status =
        ts_faults_add(spec->faults, setting->line, setting->key,
                      "does not apply to any task or model of this sweep; it is a key of %s", ts_text_get(&owners));
    ts_text_free(&owners);
    return status;
}

static ts_status type_setting(ts_spec *spec, ts_setting *setting) {
    ts_sweep *sweep = spec->sweep;
    if (selecting_key(spec, setting->key))
        return TS_OK;
    setting->typed = ts_arena_take(&sweep->arena, (size_t)sweep->n_pairings, sizeof *setting->typed);
    if (!setting->typed)
        return TS_ERROR_MEMORY;
    bool applies = false; // in a pair of task and model that cannot be, too: the pair is what is reported
    ts_status worst = TS_OK;
    for (int s = 0; s < sweep->n_pairings; s++) {
        const ts_pairing *pairing = &sweep->pairing[s];
        setting->typed[s].position = pairing->reached ? ts_schema_find(&pairing->schema, setting->key) : -1;
        if (setting->typed[s].position < 0)
            continue;
        applies = true;
        ts_status status = worst == TS_OK ? type_for_pairing(spec, setting, s) : TS_OK;
        worst = status != TS_OK ? status : worst;
    }
    if (!applies && spec->unknown_pairings)
        return check_setting(spec, setting);
    if (worst == TS_OK && !applies && !setting->implied && knows_pairings(spec))
        return report_useless(spec, setting);
    return worst;
}

// --- exclude ---

static ts_status type_match(ts_spec *spec, ts_match *match) {
    static const ts_key ANY_NUMBER = {.type = TS_REAL, .minimum = -1e308, .maximum = 1e308};
    bool key = ts_spec_key(spec, match->key), derived = ts_is_derived(match->key);
    if (!key && !derived)
        return ts_spec_unknown(spec, match->line, match->key, false, true);
    // Read as a setting of the grid would be: a list holds alternatives.
    ts_setting setting = {.key = match->key, .node = match->node, .line = match->line, .place = TS_SETTING_GRID};
    ts_status status = TS_OK;
    if (selecting_key(spec, match->key)) {
        status = type_selector(spec, &setting);
        match->derived = setting.list; // compared with the pairing's own name
        return status;
    }
    setting.implied = derived;
    if (key)
        status = type_setting(spec, &setting);
    match->typed = setting.typed;
    if (!derived || status != TS_OK)
        return status;
    ts_key number = ANY_NUMBER;
    number.name = match->key;
    ts_value_list *list;
    status = read_setting(spec, &setting, &number, &list);
    match->derived = list;
    return status;
}

static ts_status type_all(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    ts_status status = TS_OK;
    for (int i = 0; i < spec->n_settings && status != TS_ERROR_MEMORY; i++)
        status = type_setting(spec, &spec->setting[i]);
    for (int e = 0; e < sweep->n_entries; e++)
        for (int i = 0; i < sweep->entry[e].count && status != TS_ERROR_MEMORY; i++)
            status = type_setting(spec, &sweep->entry[e].setting[i]);
    for (int x = 0; x < spec->n_exclude; x++)
        for (int i = 0; i < spec->exclude[x].count && status != TS_ERROR_MEMORY; i++)
            status = type_match(spec, &spec->exclude[x].match[i]);
    return status == TS_ERROR_MEMORY || status == TS_ERROR_FATAL ? status : TS_OK;
}

// --- What must be given ---

// Whether a point of the entry may have this task and model.
static bool entry_reaches(ts_spec *spec, ts_entry *entry, const ts_pairing *pairing) {
    const ts_setting *task = effective(spec, entry, "task"), *model = effective(spec, entry, "model");
    ts_value wanted = {.type = TS_NAME, .name = pairing->schema.task->name};
    if (!task || !task->list || !ts_value_list_has(task->list, &wanted))
        return false;
    if (!model)
        return pairing->schema.model == ts_model_usual(pairing->schema.task);
    wanted.name = pairing->schema.model->name;
    return model->list && (ts_value_list_has(model->list, &wanted) || !model->list->item[0].name[0]);
}

static void find_missing(ts_spec *spec, ts_entry *entry) {
    for (int s = 0; s < spec->sweep->n_pairings; s++) {
        const ts_pairing *pairing = &spec->sweep->pairing[s];
        if (!pairing->reached || !pairing->allowed || !entry_reaches(spec, entry, pairing))
            continue;
        for (int i = 0; i < pairing->schema.count; i++) {
            const ts_key *key = pairing->schema.key[i];
            if (key->fallback || effective(spec, entry, key->name) || is_hidden(spec, entry, key->name))
                continue;
            const ts_setting *task = effective(spec, entry, "task");
            bool of_model = ts_schema_find(&pairing->schema, key->name) >= 0;
            for (const ts_key *k = pairing->schema.task->keys; k->name; k++)
                of_model = of_model && k != key;
            ts_faults_add(spec->faults, entry->line ? entry->line : task->line, key->name,
                          "is missing: %s '%s' needs it", of_model ? "model" : "task",
                          of_model ? pairing->schema.model->name : pairing->schema.task->name);
        }
    }
}

// What a case sets itself must apply to it; a setting that applies nowhere has been reported by then.
static void find_useless(ts_spec *spec, ts_entry *entry) {
    const ts_sweep *sweep = spec->sweep;
    if (!knows_selectors(spec, entry))
        return;
    for (int i = 0; i < entry->count; i++) {
        const ts_setting *own = &entry->setting[i];
        bool here = false, elsewhere = false;
        for (int s = 0; own->typed && s < sweep->n_pairings; s++) {
            if (own->typed[s].position < 0)
                continue;
            here = here || entry_reaches(spec, entry, &sweep->pairing[s]);
            elsewhere = true;
        }
        if (elsewhere && !here && !own->implied)
            ts_faults_add(spec->faults, own->line, own->key, "does not apply to any task or model of its case");
    }
}

// A case may replace a constant of the top level; anything else given twice is an error.
static void find_conflicts(ts_spec *spec, const ts_entry *entry) {
    for (int i = 0; i < entry->count; i++) {
        ts_setting *own = &entry->setting[i];
        const ts_setting *shared = ts_setting_find(spec->setting, spec->n_settings, own->key);
        if (!shared || shared->implied)
            continue;
        if (own->implied) { // what is written counts before what `instances` implies
            for (int s = 0; own->typed && s < spec->sweep->n_pairings; s++)
                own->typed[s].position = -1;
            continue;
        }
        bool own_n = own->node->key && strcmp(own->node->key, "instances") == 0;
        bool shared_n = shared->node->key && strcmp(shared->node->key, "instances") == 0;
        if (own_n && shared_n)
            continue; // the case's count replaces the other
        if (shared->place == TS_SETTING_TOP && shared->count <= 1 && !own_n && !shared_n)
            continue;
        ts_spec_given_twice(spec, shared, own);
    }
}

ts_status ts_spec_bind(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    ts_status status = make_pairings(sweep);
    if (status == TS_OK)
        status = select_pairings(spec);
    if (status == TS_OK)
        status = type_all(spec);
    if (status != TS_OK)
        return status;
    for (int e = 0; e < sweep->n_entries; e++) {
        find_missing(spec, &sweep->entry[e]);
        find_useless(spec, &sweep->entry[e]);
        find_conflicts(spec, &sweep->entry[e]);
    }
    return ts_spec_make_axes(spec);
}
