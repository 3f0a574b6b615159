// Instances sorted into points by hash, seeds left out.
#include "sweep/grid.h"

#include "base/memory.h"
#include "sweep/cursor.h"
#include "sweep/label.h"

// A walk over the instances, which numbers points in the order in which they are met.
typedef struct walk {
    ts_grid *grid;
    ts_cursor cursor;
    ts_fingerprint fingerprint;
    const ts_pairing *pairing; // that `swept` is of
    ts_key_set swept;          // the swept keys
    // Points by the hash of their values: enough bits not to meet by chance.
    uint64_t *hash;  // (capacity)
    int32_t *hashed; // (2 * capacity) point + 1; 0: free
    size_t capacity;
} walk;

static ts_key_set swept_keys(const ts_sweep *sweep, const ts_schema *schema) {
    const ts_key *const *keys;
    ts_key_set swept = {0};
    int count = ts_sweep_swept(sweep, &keys);
    for (int k = 0; k < count; k++)
        ts_key_set_add_name(&swept, schema, keys[k]->name);
    return swept;
}

static size_t place_of(const walk *w, uint64_t hash) {
    size_t pairings = 2 * w->capacity, at = hash % pairings;
    while (w->hashed[at] && w->hash[w->hashed[at] - 1] != hash)
        at = (at + 1) % pairings;
    return at;
}

static ts_status grow(walk *w) {
    size_t points = (size_t)w->grid->points;
    ts_free(w->hashed);
    w->capacity = w->capacity ? 2 * w->capacity : 1024;
    w->hashed = ts_alloc_zero(2 * w->capacity, sizeof *w->hashed, "points of the grid");
    uint64_t *hash = ts_realloc(w->hash, w->capacity * sizeof *hash, "points of the grid");
    w->hash = hash ? hash : w->hash;
    if (!w->hashed || !hash)
        return TS_ERROR_MEMORY;
    for (size_t p = 0; p < points; p++)
        w->hashed[place_of(w, w->hash[p])] = (int32_t)p + 1;
    return TS_OK;
}

static ts_status find_point(walk *w, int32_t *point) {
    uint64_t hash = (uint64_t)(w->pairing - w->grid->sweep->pairing) + 1;
    for (int i = 0; i < w->pairing->schema.count; i++)
        if (ts_key_set_has(&w->swept, i))
            hash += w->fingerprint.part[i];
    hash = ts_hash_mix(hash);
    if ((size_t)w->grid->points == w->capacity && grow(w) != TS_OK)
        return TS_ERROR_MEMORY;
    size_t at = place_of(w, hash);
    if (!w->hashed[at]) {
        w->hash[w->grid->points] = hash;
        w->hashed[at] = (int32_t)++w->grid->points;
    }
    *point = w->hashed[at] - 1;
    return TS_OK;
}

static ts_status find_points(walk *w) {
    const ts_sweep *sweep = w->grid->sweep;
    int32_t point = 0;
    ts_cursor_start(&w->cursor, sweep);
    for (int64_t i = 0; i < ts_sweep_instances(sweep); i++) {
        ts_cursor_seek(&w->cursor, ts_sweep_point(sweep, i));
        ts_fingerprint_update(&w->fingerprint, &w->cursor, &w->cursor.changed);
        bool entered = w->pairing != w->cursor.pairing;
        w->pairing = w->cursor.pairing;
        if (entered)
            w->swept = swept_keys(sweep, w->cursor.params.schema);
        if ((entered || ts_key_set_meets(&w->cursor.changed, &w->swept)) && find_point(w, &point) != TS_OK)
            return TS_ERROR_MEMORY;
        w->grid->point_of[i] = point;
    }
    return TS_OK;
}

// The instances of each point, one point after the other.
static ts_status list_instances(ts_grid *grid) {
    int64_t instances = ts_sweep_instances(grid->sweep);
    grid->first = ts_alloc_zero((size_t)grid->points + 2, sizeof *grid->first, "points of the grid");
    if (!grid->first)
        return TS_ERROR_MEMORY;
    int64_t *next = grid->first + 1; // becomes `first` itself, once every instance has moved it on
    for (int64_t i = 0; i < instances; i++)
        next[grid->point_of[i] + 1]++;
    for (int64_t p = 0; p < grid->points; p++)
        next[p + 1] += next[p];
    for (int64_t i = 0; i < instances; i++)
        grid->instance[next[grid->point_of[i]]++] = i;
    return TS_OK;
}

ts_status ts_grid_make(const ts_sweep *sweep, ts_grid **grid) {
    size_t instances = (size_t)ts_sweep_instances(sweep);
    walk *w = ts_alloc_zero(1, sizeof *w, "points of the grid");
    ts_grid *made = ts_alloc_zero(1, sizeof *made, "points of the grid");
    ts_status status = TS_ERROR_MEMORY;
    if (w && made) {
        w->grid = made;
        made->sweep = sweep;
        made->point_of = ts_alloc(instances * sizeof *made->point_of, "points of the grid");
        made->instance = ts_alloc(instances * sizeof *made->instance, "points of the grid");
        if (made->point_of && made->instance)
            status = find_points(w);
        if (status == TS_OK)
            status = list_instances(made);
        ts_free(w->hash);
        ts_free(w->hashed);
    }
    ts_free(w);
    if (status == TS_OK)
        *grid = made;
    else
        ts_grid_free(made);
    return status;
}

void ts_grid_free(ts_grid *grid) {
    if (!grid)
        return;
    ts_free(grid->first);
    ts_free(grid->instance);
    ts_free(grid->point_of);
    ts_free(grid);
}

void ts_grid_label(const ts_grid *grid, int64_t point, ts_text *out) {
    ts_params params;
    ts_sweep_params(grid->sweep, grid->instance[grid->first[point]], &params);
    ts_key_set swept = swept_keys(grid->sweep, params.schema);
    if (!ts_label_write_title(&params, &swept, out))
        ts_text_addf(out, " (%lld)", (long long)point);
}
