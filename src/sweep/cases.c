// Instances grouped into cases, the keys that vary, and the labels of cases. See sweep.h.
#include "sweep/cursor.h"

#include "base/memory.h"
#include "model/optimiser.h"
#include "sweep/label.h"

#include <string.h>

enum { MAX_LABEL = 200 };

// What one pass over the instances gathers.
typedef struct grouping {
    ts_spec *spec;
    ts_cursor cursor;
    ts_fingerprint fingerprint;
    const ts_pairing *pairing; // that `known` and `shaping` are of
    int known[TS_MAX_KEYS];    // index in spec->key of each position
    ts_key_set shaping;        // the keys that shape
    int32_t current;           // case of the last instance
    // Per key of spec->key: the first value seen, and whether another was.
    uint64_t first[TS_MAX_KNOWN];
    const ts_key *definition[TS_MAX_KNOWN]; // NULL: not seen
    bool varies[TS_MAX_KNOWN];
    bool later[TS_MAX_KNOWN]; // in every schema in which it was seen it is a key that came later
    // Cases by the hash of their shape. Few enough (65536) that 64 bits will not meet by chance.
    uint64_t *shape; // (capacity) per case; owned
    int64_t *rows;   // (capacity) per case; owned
    int64_t *lowest; // (capacity) first instance per case; owned
    int32_t *hashed; // (2 * TS_SWEEP_MAX_CASES) case + 1; owned
    int n_cases;
} grouping;

enum { HASH_SLOTS = 2 * TS_SWEEP_MAX_CASES };

static int known_index(const ts_spec *spec, const char *name) {
    for (int i = 0; i < spec->n_keys; i++)
        if (strcmp(spec->key[i]->name, name) == 0)
            return i;
    return 0;
}

static void enter_pairing(grouping *g, const ts_pairing *pairing) {
    g->pairing = pairing;
    g->shaping = (ts_key_set){0};
    for (int i = 0; i < pairing->schema.count; i++) {
        g->known[i] = known_index(g->spec, pairing->schema.key[i]->name);
        if (pairing->schema.key[i]->traits & TS_SHAPES)
            ts_key_set_add(&g->shaping, i);
    }
}

// Of two keys with one name that of which a column can hold the values of both.
static const ts_key *wider(const ts_key *a, const ts_key *b) {
    bool numbers = (a->type == TS_INTEGER || a->type == TS_REAL) && (b->type == TS_INTEGER || b->type == TS_REAL);
    bool takes = numbers ? b->type == TS_REAL : b->type == TS_NAME;
    return a->type != b->type && takes ? b : a;
}

static void note_values(grouping *g, const ts_key_set *changed) {
    for (int i = ts_key_set_next(changed, 0); i < g->pairing->schema.count; i = ts_key_set_next(changed, i + 1)) {
        if (!ts_params_counts(&g->cursor.params, i))
            continue;
        int k = g->known[i];
        uint64_t part = g->fingerprint.part[i];
        const ts_key *key = g->pairing->schema.key[i];
        if (!g->definition[k]) {
            g->first[k] = part;
            g->later[k] = true;
        }
        g->definition[k] = g->definition[k] ? wider(g->definition[k], key) : key;
        g->later[k] = g->later[k] && key->traits & TS_LATER;
        g->varies[k] = g->varies[k] || g->first[k] != part;
    }
}

static ts_status find_case(grouping *g, int64_t instance) {
    uint64_t shape = 0;
    for (int i = 0; i < g->pairing->schema.count; i++)
        if (ts_key_set_has(&g->shaping, i))
            shape += g->fingerprint.part[i];
    size_t at = ts_hash_mix(shape) % HASH_SLOTS;
    while (g->hashed[at] && g->shape[g->hashed[at] - 1] != shape)
        at = (at + 1) % HASH_SLOTS;
    if (!g->hashed[at]) {
        if (g->n_cases == TS_SWEEP_MAX_CASES)
            return ts_faults_add(g->spec->faults, 0, NULL,
                                 "more than %d cases (combinations of keys that change shapes); split the sweep",
                                 TS_SWEEP_MAX_CASES);
        g->shape[g->n_cases] = shape;
        g->lowest[g->n_cases] = instance;
        g->hashed[at] = ++g->n_cases;
    }
    g->current = g->hashed[at] - 1;
    return TS_OK;
}

static ts_status gather(grouping *g) {
    ts_sweep *sweep = g->spec->sweep;
    for (int64_t i = 0; i < sweep->instances; i++) {
        ts_cursor_seek(&g->cursor, ts_sweep_point(sweep, i));
        const ts_key_set *changed = &g->cursor.changed;
        ts_fingerprint_update(&g->fingerprint, &g->cursor, changed);
        if (g->pairing != g->cursor.pairing)
            enter_pairing(g, g->cursor.pairing);
        note_values(g, changed);
        if (ts_key_set_meets(changed, &g->shaping)) {
            ts_status status = find_case(g, i);
            if (status != TS_OK)
                return status;
        }
        sweep->case_of[i] = g->current;
        g->rows[g->current]++;
    }
    return TS_OK;
}

// --- What varies ---

static void add_varying(grouping *g, const char *name) {
    ts_sweep *sweep = g->spec->sweep;
    int k = known_index(g->spec, name);
    if (!g->varies[k] || strcmp(name, "seed") == 0)
        return;
    for (int i = 0; i < sweep->n_varying; i++)
        if (strcmp(sweep->varying[i]->name, name) == 0)
            return;
    sweep->varying[sweep->n_varying++] = g->definition[k];
}

static bool is_written(const ts_setting *setting, int count, const char *key) {
    for (int i = 0; i < count; i++)
        if (!setting[i].implied && strcmp(setting[i].key, key) == 0)
            return true;
    return false;
}

static bool is_given(const ts_spec *spec, const char *key) {
    bool written = is_written(spec->setting, spec->n_settings, key);
    for (int e = 0; e < spec->sweep->n_entries && !written; e++)
        written = is_written(spec->sweep->entry[e].setting, spec->sweep->entry[e].count, key);
    return written;
}

// Is the key one that the sweep sweeps, apart from seeds? Defaults that differ between tasks and models, and what
// `instances` brings, follow from others.
static bool is_swept(const ts_spec *spec, const char *key) {
    static const char *const SEEDS[] = {"seed", "init_seed", "split_seed"};
    for (int i = 0; i < 3; i++)
        if (strcmp(key, SEEDS[i]) == 0)
            return false;
    return is_given(spec, key);
}

static ts_status list_swept(grouping *g) {
    ts_sweep *sweep = g->spec->sweep;
    sweep->swept = ts_arena_take(&sweep->arena, (size_t)sweep->n_varying, sizeof *sweep->swept);
    if (!sweep->swept)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < sweep->n_varying; i++)
        if (is_swept(g->spec, sweep->varying[i]->name))
            sweep->swept[sweep->n_swept++] = sweep->varying[i];
    return TS_OK;
}

static ts_status list_varying(grouping *g) {
    ts_sweep *sweep = g->spec->sweep;
    sweep->varying = ts_arena_take(&sweep->arena, (size_t)g->spec->n_keys, sizeof *sweep->varying);
    if (!sweep->varying)
        return TS_ERROR_MEMORY;
    for (int e = 0; e < sweep->n_entries; e++)
        for (int i = 0; i < sweep->entry[e].count; i++)
            if (sweep->entry[e].setting[i].count == 1)
                add_varying(g, sweep->entry[e].setting[i].key);
    for (int e = 0; e < sweep->n_entries; e++)
        for (int i = 0; i < sweep->entry[e].count; i++)
            add_varying(g, sweep->entry[e].setting[i].key);
    for (int a = 0; a < sweep->n_axes; a++)
        for (int i = 0; i < sweep->axis[a].count; i++)
            add_varying(g, sweep->axis[a].setting[i]->key);
    // What varies without being written: the default model, defaults that differ between models. (Which optimiser is a
    // model's usual one is no news, nor what keys that came later leave as it was.)
    if (!is_given(g->spec, ts_optimizer_keys->name))
        g->varies[known_index(g->spec, ts_optimizer_keys->name)] = false;
    for (int k = 0; k < g->spec->n_keys; k++) {
        if (g->later[k] && !is_given(g->spec, g->spec->key[k]->name))
            g->varies[k] = false;
        add_varying(g, g->spec->key[k]->name);
    }
    return list_swept(g);
}

// --- Labels ---

// The keys that shape a case and vary.
static ts_key_set shown_keys(const grouping *g, const ts_schema *schema) {
    ts_key_set shown = {0};
    for (int i = 0; i < schema->count; i++)
        if (schema->key[i]->traits & TS_SHAPES && g->varies[known_index(g->spec, schema->key[i]->name)])
            ts_key_set_add(&shown, i);
    return shown;
}

static uint64_t hash_label(const char *label) {
    ts_value value = {.type = TS_NAME, .name = label};
    return ts_value_hash(&value);
}

// Whether an earlier case has this label; enters it otherwise. The hashes are those of the shapes, used anew.
static bool is_taken(grouping *g, const char *label, int index) {
    size_t at = hash_label(label) % HASH_SLOTS;
    for (; g->hashed[at]; at = (at + 1) % HASH_SLOTS)
        if (strcmp(g->spec->sweep->cases[g->hashed[at] - 1].label, label) == 0)
            return true;
    g->hashed[at] = index + 1;
    return false;
}

static ts_status label_cases(grouping *g) {
    ts_sweep *sweep = g->spec->sweep;
    ts_text label = {0}, title = {0}, learned = {0};
    ts_cursor cursor;
    ts_cursor_start(&cursor, sweep);
    memset(g->hashed, 0, HASH_SLOTS * sizeof *g->hashed);
    ts_status status = TS_OK;
    for (int c = 0; c < sweep->n_cases && status == TS_OK; c++) {
        ts_cursor_seek(&cursor, ts_sweep_point(sweep, g->lowest[c]));
        sweep->cases[c].schema = (ts_schema *)cursor.params.schema;
        ts_key_set shown = shown_keys(g, cursor.params.schema);
        ts_label_write(&cursor.params, &shown, &label);
        if (label.length > MAX_LABEL || is_taken(g, ts_text_get(&label), c)) {
            ts_text_clear(&label);
            ts_text_addf(&label, "case-%d", c);
        }
        sweep->cases[c].label = ts_arena_copy(&sweep->arena, ts_text_get(&label), label.length);
        ts_label_write_title(&cursor.params, &shown, &title);
        if (title.length > MAX_LABEL)
            ts_text_clear(&title);
        sweep->cases[c].title =
            title.length ? ts_arena_copy(&sweep->arena, ts_text_get(&title), title.length) : sweep->cases[c].label;
        ts_label_write_learned(&cursor.params, c, &learned);
        sweep->cases[c].learned = ts_arena_copy(&sweep->arena, ts_text_get(&learned), learned.length);
        bool made = sweep->cases[c].label && sweep->cases[c].title && sweep->cases[c].learned;
        status = made && !learned.failed ? ts_text_status(&label) : TS_ERROR_MEMORY;
    }
    ts_text_free(&label);
    ts_text_free(&title);
    ts_text_free(&learned);
    return status;
}

// --- Rows ---

static ts_status list_rows(grouping *g) {
    ts_sweep *sweep = g->spec->sweep;
    sweep->cases = ts_alloc_zero((size_t)g->n_cases, sizeof *sweep->cases, "the sweep's cases");
    sweep->row = ts_alloc((size_t)sweep->instances * sizeof *sweep->row, "the sweep's cases");
    if (!sweep->cases || !sweep->row)
        return TS_ERROR_MEMORY;
    sweep->n_cases = g->n_cases;
    int64_t begin = 0;
    for (int c = 0; c < g->n_cases; c++) {
        sweep->cases[c].rows = g->rows[c];
        sweep->cases[c].instance = sweep->row + begin;
        begin += g->rows[c];
        g->rows[c] = begin - g->rows[c]; // where the next row goes
    }
    for (int64_t i = 0; i < sweep->instances; i++)
        sweep->row[g->rows[sweep->case_of[i]]++] = i;
    return TS_OK;
}

ts_status ts_spec_group(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    size_t most = (size_t)(sweep->instances < TS_SWEEP_MAX_CASES ? sweep->instances : TS_SWEEP_MAX_CASES);
    grouping *g = ts_alloc_zero(1, sizeof *g, "the sweep's cases");
    if (!g)
        return TS_ERROR_MEMORY;
    g->spec = spec;
    ts_cursor_start(&g->cursor, sweep);
    g->shape = ts_alloc_zero(most, sizeof *g->shape, "the sweep's cases");
    g->rows = ts_alloc_zero(most, sizeof *g->rows, "the sweep's cases");
    g->lowest = ts_alloc_zero(most, sizeof *g->lowest, "the sweep's cases");
    g->hashed = ts_alloc_zero(HASH_SLOTS, sizeof *g->hashed, "the sweep's cases");
    sweep->case_of = ts_alloc((size_t)sweep->instances * sizeof *sweep->case_of, "the sweep's instances");
    ts_status status = g->shape && g->rows && g->lowest && g->hashed && sweep->case_of ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = gather(g);
    if (status == TS_OK)
        status = list_rows(g);
    if (status == TS_OK)
        status = list_varying(g);
    if (status == TS_OK)
        status = label_cases(g);
    ts_free(g->shape);
    ts_free(g->rows);
    ts_free(g->lowest);
    ts_free(g->hashed);
    ts_free(g);
    return status;
}
