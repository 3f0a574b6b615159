// Typed settings become constants and axes, and points are counted. See spec.h.
#include "sweep/spec.h"

#include <string.h>

static bool varies(const ts_setting *setting) {
    return setting->place == TS_SETTING_ZIP || setting->count > 1;
}

static bool is_switch(const ts_sweep *sweep, const ts_setting *setting) {
    for (int s = 0; s < sweep->n_pairings; s++)
        for (int i = 0; i < sweep->pairing[s].n_switched; i++)
            if (setting->typed[s].position == sweep->pairing[s].switched[i].by)
                return true;
    return false;
}

static bool selects(const ts_sweep *sweep, const ts_setting *setting) {
    return setting->typed ? is_switch(sweep, setting) : setting->list != NULL;
}

// Lists of zip advance together, so they must be equally long.
static void check_zip(ts_spec *spec) {
    const ts_setting *first = NULL;
    for (int i = 0; i < spec->n_settings; i++) {
        const ts_setting *setting = &spec->setting[i];
        if (setting->place != TS_SETTING_ZIP || !setting->list)
            continue;
        if (!first)
            first = setting;
        else if (setting->count != first->count)
            ts_faults_add(spec->faults, setting->line, setting->key,
                          "has %lld values in zip, but '%s' has %lld; they must be equally many",
                          (long long)setting->count, first->key, (long long)first->count);
    }
}

// Shared constants into the pairings.
static void set_constants(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    for (int i = 0; i < spec->n_settings; i++) {
        const ts_setting *setting = &spec->setting[i];
        if (varies(setting) || !setting->typed)
            continue;
        for (int s = 0; s < sweep->n_pairings; s++)
            if (setting->typed[s].list)
                sweep->pairing[s].value[setting->typed[s].position] = ts_value_list_at(setting->typed[s].list, 0);
    }
}

static ts_status fill_axis(ts_sweep *sweep, ts_axis *axis, ts_setting *setting, int most) {
    if (!axis->setting)
        axis->setting = ts_arena_take(&sweep->arena, (size_t)most, sizeof *axis->setting);
    if (!axis->setting)
        return TS_ERROR_MEMORY;
    axis->setting[axis->count++] = setting;
    axis->length = setting->count;
    axis->selects = axis->selects || selects(sweep, setting);
    return TS_OK;
}

static ts_status make_shared_axes(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    ts_axis *zip = NULL;
    sweep->axis = ts_arena_take(&sweep->arena, (size_t)spec->n_settings, sizeof *sweep->axis);
    if (!sweep->axis)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < spec->n_settings; i++) {
        ts_setting *setting = &spec->setting[i];
        bool zipped = setting->place == TS_SETTING_ZIP;
        if (!varies(setting) || !setting->list)
            continue;
        ts_axis *axis = zipped && zip ? zip : &sweep->axis[sweep->n_axes++];
        if (zipped)
            zip = axis;
        ts_status status = fill_axis(sweep, axis, setting, zipped ? spec->n_settings : 1);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

// An entry's own `instances` replaces the axis of the shared one.
static bool is_replaced(const ts_entry *entry, const ts_axis *axis) {
    return axis->count == 1 && ts_setting_find(entry->setting, entry->count, axis->setting[0]->key);
}

static ts_status make_entry_axes(ts_sweep *sweep, ts_entry *entry) {
    entry->axis = ts_arena_take(&sweep->arena, (size_t)(entry->count + sweep->n_axes), sizeof *entry->axis);
    ts_axis *own = ts_arena_take(&sweep->arena, (size_t)entry->count, sizeof *own);
    if (!entry->axis || !own)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < entry->count; i++) {
        if (!varies(&entry->setting[i]))
            continue;
        ts_status status = fill_axis(sweep, own, &entry->setting[i], 1);
        if (status != TS_OK)
            return status;
        entry->axis[entry->n_axes++] = own++;
    }
    for (int a = 0; a < sweep->n_axes; a++)
        if (!is_replaced(entry, &sweep->axis[a]))
            entry->axis[entry->n_axes++] = &sweep->axis[a];
    if (entry->n_axes > TS_MAX_AXES)
        return ts_fail(TS_ERROR_FATAL, "more than %d varying keys", TS_MAX_AXES);
    return TS_OK;
}

static ts_selector find_selector(const ts_spec *spec, const ts_entry *entry, const char *key) {
    for (int a = 0; a < entry->n_axes; a++)
        for (int i = 0; i < entry->axis[a]->count; i++)
            if (strcmp(entry->axis[a]->setting[i]->key, key) == 0)
                return (ts_selector){entry->axis[a]->setting[i], a};
    const ts_setting *own = ts_setting_find(entry->setting, entry->count, key);
    return (ts_selector){own ? own : ts_setting_find(spec->setting, spec->n_settings, key), -1};
}

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
static const int MAX_POINTS = 2000; // so that a fuzzer meets syntax, not sizes
#else
static const int MAX_POINTS = TS_SWEEP_MAX_INSTANCES;
#endif

// Points of the sweep, before anything is expanded.
static ts_status count_points(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    double total = 0; // as a double, so that no product overflows; exact as far as it matters
    for (int e = 0; e < sweep->n_entries; e++) {
        ts_entry *entry = &sweep->entry[e];
        double points = 1;
        for (int a = 0; a < entry->n_axes; a++)
            points *= (double)entry->axis[a]->length;
        entry->first = (int64_t)(total < 1e18 ? total : 1e18);
        entry->points = (int64_t)(points < 1e18 ? points : 1e18);
        total += points;
    }
    sweep->points = (int64_t)(total < 1e18 ? total : 1e18);
    if (total <= MAX_POINTS)
        return TS_OK;
    return ts_faults_add(spec->faults, 0, NULL, "the sweep has %.15g instances; at most %d are allowed", total,
                         TS_SWEEP_MAX_INSTANCES);
}

ts_status ts_spec_make_axes(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    check_zip(spec);
    if (spec->faults->count > 0)
        return TS_ERROR_USER;
    set_constants(spec);
    ts_status status = make_shared_axes(spec);
    for (int e = 0; e < sweep->n_entries && status == TS_OK; e++) {
        ts_entry *entry = &sweep->entry[e];
        status = make_entry_axes(sweep, entry);
        entry->selector[TS_BY_TASK] = find_selector(spec, entry, "task");
        entry->selector[TS_BY_MODEL] = find_selector(spec, entry, "model");
        entry->selector[TS_BY_OPTIMIZER] = find_selector(spec, entry, "optimizer");
    }
    if (status == TS_OK)
        status = count_points(spec);
    return status;
}
