// Settings become typed values for every task, model and optimiser that the sweep reaches. See spec.h.
#include "sweep/spec.h"

#include "model/optimiser.h"

#include <stdio.h>
#include <string.h>

ts_status ts_spec_read_setting(ts_spec *spec, const ts_setting *setting, const ts_key *key, ts_value_list **out) {
    *out = ts_arena_take(&spec->sweep->arena, 1, sizeof **out);
    if (!*out)
        return TS_ERROR_MEMORY;
    bool many = setting->place == TS_SETTING_GRID || setting->place == TS_SETTING_ZIP;
    spec->reader.set = setting->line == TS_LINE_SET;
    return ts_value_read(&spec->reader, key, setting->node, many, *out);
}

// The setting that counts in an entry: its own, else the shared one.
ts_setting *ts_spec_effective(ts_spec *spec, ts_entry *entry, const char *key) {
    ts_setting *own = ts_setting_find(entry->setting, entry->count, key);
    return own ? own : ts_setting_find(spec->setting, spec->n_settings, key);
}

// Whether a fault that is reported already may be why the key is not there.
bool ts_spec_is_hidden(const ts_spec *spec, const ts_entry *entry, const char *key) {
    bool hidden = spec->malformed || entry->malformed;
    for (const ts_expected *one = spec->expected; one; one = one->next)
        hidden = hidden || strcmp(one->key, key) == 0;
    return hidden;
}

// --- Settings that select no pairing ---

// Whether every point's pairing is known, and some point has any: only then is it known what applies.
static bool knows_pairings(ts_spec *spec) {
    const ts_sweep *sweep = spec->sweep;
    bool any = false;
    for (int s = 0; s < sweep->n_pairings; s++)
        any = any || sweep->pairing[s].reached;
    return any && !spec->malformed && !spec->unknown_pairings;
}

// What a setting is of: an entry of cases, an exclusion, or the whole sweep.
typedef struct owner {
    ts_entry *entry;
    const ts_exclusion *exclusion;
} owner;

// Whether what selects the pairing is among what the exclusion names.
static bool may_exclude(const ts_spec *spec, const ts_exclusion *exclusion, const ts_pairing *pairing) {
    for (int i = 0; i < exclusion->count; i++) {
        const ts_match *match = &exclusion->match[i];
        const ts_key *key = ts_spec_selecting_key(spec, match->key);
        ts_value name = {.type = TS_NAME, .name = key ? ts_spec_selected_name(&pairing->schema, key) : NULL};
        if (key && match->derived && !ts_value_list_has(match->derived, &name))
            return false;
    }
    return true;
}

// Whether the entry has points with that pairing, as far as that is known.
static bool may_reach(ts_spec *spec, ts_entry *entry, const ts_pairing *pairing) {
    return !ts_entry_knows_selectors(spec, entry) || ts_entry_reaches(spec, entry, pairing);
}

// Whether the setting counts for the pairing: for another one its value may have no meaning. (Keys of two models may
// have one name and other values.)
static bool counts_for(ts_spec *spec, const ts_setting *setting, owner of, const ts_pairing *pairing) {
    if (of.exclusion)
        return may_exclude(spec, of.exclusion, pairing);
    if (of.entry)
        return may_reach(spec, of.entry, pairing);
    bool counts = false;
    for (int e = 0; e < spec->sweep->n_entries && !counts; e++) {
        ts_entry *entry = &spec->sweep->entry[e];
        const ts_setting *own = ts_setting_find(entry->setting, entry->count, setting->key);
        counts = (!own || own->implied) && may_reach(spec, entry, pairing);
    }
    return counts;
}

// Where two lists describe a key alike, its values need not be read twice.
static bool same_definition(const ts_key *a, const ts_key *b) {
    return a == b ||
           (a->type == b->type && a->minimum == b->minimum && a->maximum == b->maximum && a->choices == b->choices);
}

// Which of the schema's task, model and optimizer has the key, and its name.
static const char *has_key(const ts_schema *of, const char *key, const char **name) {
    bool of_task = ts_key_listed(of->task->keys, key), of_model = ts_key_listed(of->model->keys, key);
    *name = of_task ? of->task->name : of_model ? of->model->name : of->optimiser->name;
    return of_task ? "task" : of_model ? "model" : "optimizer";
}

// Whether other pairings of the sweep describe the key in another way.
static bool is_ambiguous(const ts_spec *spec, const ts_key *key) {
    bool ambiguous = false;
    for (int s = 0; s < spec->sweep->n_pairings && !ambiguous; s++) {
        const ts_pairing *other = &spec->sweep->pairing[s];
        int position = other->reached ? ts_schema_find(&other->schema, key->name) : -1;
        ambiguous = position >= 0 && !same_definition(other->schema.key[position], key);
    }
    return ambiguous;
}

// What is read, and for which pairing.
typedef struct reading {
    const ts_spec *spec;
    const ts_pairing *pairing;
} reading;

// Whether an item of zip stands with what selects the pairing.
static bool is_of_pairing(const void *context, int64_t item) {
    const reading *r = context;
    for (int i = 0; i < r->spec->n_settings; i++) {
        const ts_setting *setting = &r->spec->setting[i];
        const ts_key *key = ts_spec_selecting_key(r->spec, setting->key);
        bool selects = key && setting->place == TS_SETTING_ZIP && setting->list && item < setting->list->count;
        if (selects &&
            strcmp(ts_value_list_at(setting->list, item).name, ts_spec_selected_name(&r->pairing->schema, key)) != 0)
            return false;
    }
    return true;
}

// Reads the setting as the pairing types it; for others its values may have no meaning.
static ts_status read_ambiguous(ts_spec *spec, const ts_setting *setting, const ts_pairing *pairing, const ts_key *key,
                                ts_value_list **list) {
    const reading of = {spec, pairing};
    const char *name, *what = has_key(&pairing->schema, key->name, &name);
    snprintf(spec->faults->of, sizeof spec->faults->of, "of %s '%s'", what, name);
    spec->reader.counts = setting->place == TS_SETTING_ZIP ? is_of_pairing : NULL;
    spec->reader.context = &of;
    ts_status status = ts_spec_read_setting(spec, setting, key, list);
    spec->reader.counts = NULL;
    spec->faults->of[0] = 0;
    return status;
}

// Reads the setting as pairing `s` types it, or shares what an earlier pairing read.
static ts_status type_for_pairing(ts_spec *spec, ts_setting *setting, int s) {
    const ts_pairing *pairing = spec->sweep->pairing;
    ts_typed *typed = setting->typed;
    const ts_key *key = pairing[s].schema.key[typed[s].position];
    bool ambiguous = is_ambiguous(spec, key), shares = !ambiguous || setting->place != TS_SETTING_ZIP;
    for (int e = 0; e < s && shares; e++)
        if (typed[e].list && same_definition(pairing[e].schema.key[typed[e].position], key)) {
            typed[s].list = typed[e].list;
            return TS_OK;
        }
    ts_value_list *list;
    ts_status status = ambiguous ? read_ambiguous(spec, setting, &pairing[s], key, &list)
                                 : ts_spec_read_setting(spec, setting, key, &list);
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

// Reads a setting of which it is not known to what pairings it belongs, for its faults alone: where every list
// describes the key alike.
static ts_status check_setting(ts_spec *spec, const ts_setting *setting) {
    const ts_key *key = ts_spec_key(spec, setting->key);
    for (int i = 0; i < spec->n_keys; i++)
        if (strcmp(spec->key[i]->name, key->name) == 0 && !same_definition(spec->key[i], key))
            return TS_OK;
    ts_value_list *list;
    return ts_spec_read_setting(spec, setting, key, &list);
}

static void add_owner(ts_text *owners, const char *what, const char *name) {
    ts_text_addf(owners, "%s%s '%s'", owners->length ? ", " : "", what, name);
}

// Does this optimiser train some of what the entry (NULL: the sweep) has?
static bool is_chosen(ts_spec *spec, ts_entry *entry, int optimiser) {
    const ts_sweep *sweep = spec->sweep;
    bool chosen = false;
    for (int s = optimiser; s < sweep->n_pairings; s += sweep->n_optimisers)
        chosen = chosen || (sweep->pairing[s].reached && (!entry || ts_entry_reaches(spec, entry, &sweep->pairing[s])));
    return chosen;
}

// "adam and adamw": those that have the key; or, without one, "adam or sgd": those that are chosen.
static void list_optimisers(ts_spec *spec, ts_entry *entry, const char *key, ts_text *out) {
    const char *joint = key ? " and " : " or ";
    int last = -1;
    for (int o = 0; o < spec->sweep->n_optimisers; o++)
        if (key ? ts_key_listed(ts_optimisers[o]->keys, key) : is_chosen(spec, entry, o)) {
            if (last >= 0)
                ts_text_addf(out, "%s%s", out->length ? ", " : "", ts_optimisers[last]->name);
            last = o;
        }
    if (last >= 0)
        ts_text_addf(out, "%s%s", out->length ? joint : "", ts_optimisers[last]->name);
}

// An optimiser of the entry (NULL: the sweep) that has the key, and that the sweep does not choose (pairings.c). NULL:
// there is none.
static const ts_optimiser *unchosen_owner(ts_spec *spec, ts_entry *entry, const char *key) {
    for (int o = 0; o < spec->sweep->n_optimisers; o++)
        if (is_chosen(spec, entry, o) && ts_key_listed(ts_optimisers[o]->keys, key))
            return ts_optimisers[o];
    return NULL;
}

// A key that no task, model or optimiser of the sweep, or of an entry of cases, has, with those that have it.
static ts_status report_useless(ts_spec *spec, const ts_setting *setting, ts_entry *entry) {
    ts_text owners = {0}, optimisers = {0}, chosen = {0};
    for (int t = 0; ts_tasks[t]; t++)
        if (ts_key_listed(ts_tasks[t]->keys, setting->key))
            add_owner(&owners, "task", ts_tasks[t]->name);
    for (int m = 0; ts_models[m]; m++)
        if (ts_key_listed(ts_models[m]->keys, setting->key))
            add_owner(&owners, "model", ts_models[m]->name);
    list_optimisers(spec, entry, setting->key, &optimisers);
    list_optimisers(spec, entry, NULL, &chosen);
    const ts_optimiser *unchosen = unchosen_owner(spec, entry, setting->key);
    ts_status status;
    if (unchosen)
        status = ts_faults_add(spec->faults, setting->line, setting->key,
                               "counts for %s, in a sweep where others have it too, only where it is chosen: add "
                               "'optimizer: %s'",
                               unchosen->name, unchosen->name);
    else if (!owners.length)
        status = ts_faults_add(spec->faults, setting->line, setting->key,
                               "is a key of %s; with optimizer: %s it has no meaning: leave it out",
                               ts_text_get(&optimisers), ts_text_get(&chosen));
    else if (entry)
        status =
            ts_faults_add(spec->faults, setting->line, setting->key, "does not apply to any task or model of its case");
    else
        status =
            ts_faults_add(spec->faults, setting->line, setting->key,
                          "does not apply to any task or model of this sweep; it is a key of %s", ts_text_get(&owners));
    ts_text_free(&owners);
    ts_text_free(&optimisers);
    ts_text_free(&chosen);
    return status;
}

// Types the values of an exclusion for the pairings that have such values; in others they are equal to none. *any:
// there is such a pairing.
static ts_status type_comparable(ts_spec *spec, ts_setting *setting, owner of, bool *any) {
    ts_faults *faults = spec->faults, unread = {.file = faults->file};
    ts_status status = TS_OK;
    *any = false;
    spec->faults = spec->reader.faults = &unread;
    for (int s = 0; s < spec->sweep->n_pairings && (status == TS_OK || status == TS_ERROR_USER); s++) {
        if (setting->typed[s].position < 0 || !counts_for(spec, setting, of, &spec->sweep->pairing[s]))
            continue;
        status = type_for_pairing(spec, setting, s);
        *any = *any || status == TS_OK;
    }
    spec->faults = spec->reader.faults = faults;
    ts_faults_free(&unread);
    return status == TS_ERROR_USER ? TS_OK : status;
}

static ts_status type_setting(ts_spec *spec, ts_setting *setting, owner of) {
    ts_sweep *sweep = spec->sweep;
    if (ts_spec_selecting_key(spec, setting->key))
        return TS_OK;
    setting->typed = ts_arena_take(&sweep->arena, (size_t)sweep->n_pairings, sizeof *setting->typed);
    if (!setting->typed)
        return TS_ERROR_MEMORY;
    bool applies = false; // in a pair of task and model that cannot be, too: the pair is what is reported
    bool counts = false;
    for (int s = 0; s < sweep->n_pairings; s++) {
        const ts_pairing *pairing = &sweep->pairing[s];
        setting->typed[s].position = pairing->reached ? ts_schema_find(&pairing->schema, setting->key) : -1;
        applies = applies || setting->typed[s].position >= 0;
        counts = counts || (setting->typed[s].position >= 0 && counts_for(spec, setting, of, pairing));
    }
    bool typed = false;
    ts_status worst = of.exclusion ? type_comparable(spec, setting, of, &typed) : TS_OK;
    for (int s = 0; s < sweep->n_pairings && worst == TS_OK && !typed; s++)
        if (setting->typed[s].position >= 0 &&
            (!counts || counts_for(spec, setting, of, &sweep->pairing[s]))) // else it is read for its faults
            worst = type_for_pairing(spec, setting, s);
    if (!applies && spec->unknown_pairings)
        return check_setting(spec, setting);
    if (worst == TS_OK && !applies && !setting->implied && knows_pairings(spec))
        return report_useless(spec, setting, NULL);
    return worst;
}

// --- exclude ---

static ts_status type_match(ts_spec *spec, const ts_exclusion *exclusion, ts_match *match) {
    static const ts_key ANY_NUMBER = {.type = TS_REAL, .minimum = -1e308, .maximum = 1e308};
    bool key = ts_spec_key(spec, match->key), derived = ts_is_derived(match->key);
    if (!key && !derived)
        return ts_spec_unknown(spec, match->line, match->key, false, true);
    // Read as a setting of the grid would be: a list holds alternatives.
    ts_setting setting = {.key = match->key, .node = match->node, .line = match->line, .place = TS_SETTING_GRID};
    ts_status status = TS_OK;
    if (ts_spec_selecting_key(spec, match->key)) {
        status = ts_spec_type_selector(spec, &setting);
        match->derived = setting.list; // compared with the pairing's own name
        return status;
    }
    setting.implied = derived;
    if (key)
        status = type_setting(spec, &setting, (owner){.exclusion = exclusion});
    match->typed = setting.typed;
    if (!derived || status != TS_OK)
        return status;
    ts_key number = ANY_NUMBER;
    number.name = match->key;
    ts_value_list *list;
    status = ts_spec_read_setting(spec, &setting, &number, &list);
    match->derived = list;
    return status;
}

static ts_status type_all(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    ts_status status = TS_OK;
    for (int i = 0; i < spec->n_settings && status != TS_ERROR_MEMORY; i++)
        status = type_setting(spec, &spec->setting[i], (owner){0});
    for (int e = 0; e < sweep->n_entries; e++)
        for (int i = 0; i < sweep->entry[e].count && status != TS_ERROR_MEMORY; i++)
            status = type_setting(spec, &sweep->entry[e].setting[i], (owner){.entry = &sweep->entry[e]});
    for (int selectors = 1; selectors >= 0; selectors--) // which say what the others are of
        for (int x = 0; x < spec->n_exclude; x++)
            for (int i = 0; i < spec->exclude[x].count && status != TS_ERROR_MEMORY; i++)
                if (selectors == (ts_spec_selecting_key(spec, spec->exclude[x].match[i].key) != NULL))
                    status = type_match(spec, &spec->exclude[x], &spec->exclude[x].match[i]);
    return status == TS_ERROR_MEMORY || status == TS_ERROR_FATAL ? status : TS_OK;
}

// --- What must be given ---

static void find_missing(ts_spec *spec, ts_entry *entry) {
    for (int s = 0; s < spec->sweep->n_pairings; s++) {
        const ts_pairing *pairing = &spec->sweep->pairing[s];
        if (!pairing->reached || !pairing->allowed || !ts_entry_reaches(spec, entry, pairing))
            continue;
        for (int i = 0; i < pairing->schema.count; i++) {
            const ts_key *key = pairing->schema.key[i];
            if (key->fallback || ts_spec_effective(spec, entry, key->name) || ts_spec_is_hidden(spec, entry, key->name))
                continue;
            const ts_setting *task = ts_spec_effective(spec, entry, "task");
            const char *name, *what = has_key(&pairing->schema, key->name, &name);
            ts_faults_add(spec->faults, entry->line ? entry->line : task->line, key->name,
                          "is missing: %s '%s' needs it", what, name);
        }
    }
}

// What a case sets itself must apply to it; a setting that applies nowhere has been reported by then.
static void find_useless(ts_spec *spec, ts_entry *entry) {
    const ts_sweep *sweep = spec->sweep;
    if (!ts_entry_knows_selectors(spec, entry))
        return;
    for (int i = 0; i < entry->count; i++) {
        const ts_setting *own = &entry->setting[i];
        bool here = false, elsewhere = false;
        for (int s = 0; own->typed && s < sweep->n_pairings; s++) {
            if (own->typed[s].position < 0)
                continue;
            here = here || ts_entry_reaches(spec, entry, &sweep->pairing[s]);
            elsewhere = true;
        }
        if (elsewhere && !here && !own->implied)
            report_useless(spec, own, entry);
    }
}

// Whether the entry has instances in which the switch is true; or it is not known.
static bool may_be_on(ts_spec *spec, ts_entry *entry, const char *by) {
    static const ts_value ON = {.type = TS_BOOL, .flag = true};
    const ts_setting *setting = ts_spec_effective(spec, entry, by);
    if (!setting)
        return ts_spec_is_hidden(spec, entry, by);
    return !setting->list || ts_value_list_has(setting->list, &ON);
}

// The name of the switch that the key needs in each list that has it; NULL: it needs none.
static const char *switch_of(const ts_spec *spec, const char *name) {
    const ts_key *key = ts_spec_key(spec, name);
    for (int i = 0; i < spec->n_keys; i++)
        if (ts_key_needs(key, spec->key[i]->name))
            return spec->key[i]->name;
    return NULL;
}

// Settings that need a switch which no instance that they are of has.
static void find_switched_off(ts_spec *spec, const ts_setting *setting, int count, ts_entry *entry) {
    for (int i = 0; i < count; i++) {
        const char *by = switch_of(spec, setting[i].key);
        bool on = !by || !setting[i].list || (entry && may_be_on(spec, entry, by));
        for (int e = 0; e < spec->sweep->n_entries && !entry; e++)
            on = on || may_be_on(spec, &spec->sweep->entry[e], by);
        if (!on)
            ts_faults_add(spec->faults, setting[i].line, setting[i].key,
                          "has no meaning without %s: add '%s: true', or leave it out", by, by);
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
    ts_status status = ts_spec_select_pairings(spec);
    if (status == TS_OK)
        status = type_all(spec);
    if (status != TS_OK)
        return status;
    find_switched_off(spec, spec->setting, spec->n_settings, NULL);
    for (int e = 0; e < sweep->n_entries; e++) {
        find_switched_off(spec, sweep->entry[e].setting, sweep->entry[e].count, &sweep->entry[e]);
        find_missing(spec, &sweep->entry[e]);
        find_useless(spec, &sweep->entry[e]);
        find_conflicts(spec, &sweep->entry[e]);
    }
    return ts_spec_make_axes(spec);
}
