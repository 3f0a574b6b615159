// A point's number into digits, one an axis; only what changed is set again.
#include "sweep/cursor.h"

#include "model/optimiser.h"

#include <string.h>

void ts_cursor_start(ts_cursor *cursor, const ts_sweep *sweep) {
    cursor->sweep = sweep;
    cursor->entry = NULL;
    cursor->pairing = NULL;
    cursor->params.schema = NULL;
}

static const ts_entry *entry_of(const ts_sweep *sweep, int64_t point) {
    int low = 0, high = sweep->n_entries - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (sweep->entry[middle].first <= point)
            low = middle;
        else
            high = middle - 1;
    }
    return &sweep->entry[low];
}

// "": by default.
static const char *selected(const ts_cursor *cursor, ts_selecting by) {
    const ts_selector *selector = &cursor->entry->selector[by];
    if (!selector->setting)
        return "";
    return ts_value_list_at(selector->setting->list, selector->axis < 0 ? 0 : cursor->digit[selector->axis]).name;
}

static const ts_pairing *select_pairing(const ts_cursor *cursor) {
    const ts_sweep *sweep = cursor->sweep;
    const char *task = selected(cursor, TS_BY_TASK), *model = selected(cursor, TS_BY_MODEL),
               *optimiser = selected(cursor, TS_BY_OPTIMIZER);
    int t = 0, m = 0, o = 0;
    while (t < sweep->n_tasks - 1 && strcmp(ts_tasks[t]->name, task) != 0)
        t++;
    if (!model[0])
        model = ts_model_usual(ts_tasks[t])->name;
    while (m < sweep->n_models - 1 && strcmp(ts_models[m]->name, model) != 0)
        m++;
    if (!optimiser[0])
        optimiser = ts_models[m]->optimiser->name;
    while (o < sweep->n_optimisers - 1 && strcmp(ts_optimisers[o]->name, optimiser) != 0)
        o++;
    return ts_pairing_at(sweep, t, m, o);
}

static void apply(ts_cursor *cursor, const ts_setting *setting, int64_t index) {
    if (!setting->typed)
        return; // task, model, optimizer
    const ts_typed *typed = &setting->typed[cursor->pairing - cursor->sweep->pairing];
    if (typed->position < 0)
        return;
    cursor->params.value[typed->position] = ts_value_list_at(typed->list, index);
    ts_key_set_add(&cursor->changed, typed->position);
}

static void apply_axis(ts_cursor *cursor, int axis) {
    const ts_axis *a = cursor->entry->axis[axis];
    for (int i = 0; i < a->count; i++)
        apply(cursor, a->setting[i], cursor->digit[axis]);
}

// What counts only where a switch is true is, elsewhere, what it is by default, so that instances do not differ in it.
static void switch_off(ts_cursor *cursor) {
    const ts_pairing *pairing = cursor->pairing;
    for (int i = 0; i < pairing->n_switched; i++)
        if (!cursor->params.value[pairing->switched[i].by].flag)
            cursor->params.value[pairing->switched[i].position] = pairing->switched[i].off;
}

// Of weights that are found by what the point's other keys are, those that were.
static void match_initial(ts_cursor *cursor) {
    int at = cursor->pairing->initial;
    const ts_initial *const *matched = cursor->sweep->matched;
    if (!matched || at < 0)
        return;
    ts_value *value = &cursor->params.value[at];
    const ts_initial *now = matched[cursor->point] ? matched[cursor->point] : value->initial->written;
    if (now != value->initial)
        ts_key_set_add(&cursor->changed, at);
    value->initial = now;
}

static void decode_all(ts_cursor *cursor) {
    const ts_entry *entry = cursor->entry;
    cursor->pairing = select_pairing(cursor);
    cursor->params.schema = &cursor->pairing->schema;
    memcpy(cursor->params.value, cursor->pairing->value,
           (size_t)cursor->pairing->schema.count * sizeof cursor->params.value[0]);
    for (int i = 0; i < entry->count; i++)
        if (entry->setting[i].count == 1)
            apply(cursor, &entry->setting[i], 0);
    for (int a = 0; a < entry->n_axes; a++)
        apply_axis(cursor, a);
    switch_off(cursor);
    ts_key_set_fill(&cursor->changed);
}

void ts_cursor_seek(ts_cursor *cursor, int64_t point) {
    const ts_entry *entry = cursor->entry;
    bool all = false;
    cursor->point = point;
    if (!entry || point < entry->first || point >= entry->first + entry->points) {
        cursor->entry = entry = entry_of(cursor->sweep, point);
        all = true;
    }
    bool moved[TS_MAX_AXES];
    uint32_t local = (uint32_t)(point - entry->first);
    for (int a = entry->n_axes - 1; a >= 0; a--) {
        uint32_t length = (uint32_t)entry->axis[a]->length, digit = local % length;
        local /= length;
        moved[a] = all || digit != cursor->digit[a];
        cursor->digit[a] = digit;
        all = all || (moved[a] && entry->axis[a]->selects);
    }
    if (all) {
        decode_all(cursor);
        match_initial(cursor);
        return;
    }
    cursor->changed = (ts_key_set){0};
    for (int a = 0; a < entry->n_axes; a++)
        if (moved[a])
            apply_axis(cursor, a);
    switch_off(cursor);
    match_initial(cursor);
}

static void describe(const ts_setting *setting, int64_t index, ts_text *out) {
    if (!setting->list || setting->implied)
        return;
    ts_value value = ts_value_list_at(setting->list, index);
    ts_text_addf(out, "%s%s=", out->length ? ", " : "", setting->key);
    ts_value_text(&value, out);
}

void ts_cursor_describe(const ts_cursor *cursor, ts_text *out) {
    const ts_entry *entry = cursor->entry;
    for (int i = 0; i < entry->count; i++)
        if (entry->setting[i].count == 1)
            describe(&entry->setting[i], 0, out);
    for (int a = 0; a < entry->n_axes; a++)
        for (int i = 0; i < entry->axis[a]->count; i++)
            describe(entry->axis[a]->setting[i], cursor->digit[a], out);
    if (!out->length)
        ts_text_add(out, "no key given");
    if (cursor->sweep->has_cases)
        ts_text_addf(out, " (case on line %d)", entry->line);
}

int64_t ts_sweep_point(const ts_sweep *sweep, int64_t instance) {
    return sweep->point ? sweep->point[instance] : instance;
}

// What instances are matched with is one value of an axis, though each begins with weights of its own.
static uint64_t hash_value(const ts_value *value, bool of_identities) {
    if (value->type != TS_WEIGHTS || of_identities || !value->initial->axis)
        return ts_value_hash(value);
    return ts_value_hash(&(ts_value){.type = TS_NAME, .name = value->initial->axis});
}

// A sum over keys, so that one changed value costs one subtraction and one addition.
static void update_part(ts_fingerprint *fingerprint, const ts_cursor *cursor, int i) {
    uint64_t value = hash_value(&cursor->params.value[i], fingerprint->of_identities);
    uint64_t part = ts_hash_mix(cursor->pairing->key_hash[i] ^ value);
    fingerprint->all += part - fingerprint->part[i];
    if (i != fingerprint->seed)
        fingerprint->no_seed += part - fingerprint->part[i];
    fingerprint->part[i] = part;
}

void ts_fingerprint_update(ts_fingerprint *fingerprint, const ts_cursor *cursor, const ts_key_set *changed) {
    const ts_pairing *pairing = cursor->pairing;
    bool anew = fingerprint->pairing != pairing;
    int count = pairing->schema.count;
    if (anew)
        *fingerprint = (ts_fingerprint){.of_identities = fingerprint->of_identities,
                                        .seed = ts_schema_find(&pairing->schema, "seed"),
                                        .pairing = pairing};
    for (int i = anew ? 0 : ts_key_set_next(changed, 0); i < count; i = anew ? i + 1 : ts_key_set_next(changed, i + 1))
        update_part(fingerprint, cursor, i);
}
