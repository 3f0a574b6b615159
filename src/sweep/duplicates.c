// Instances that are the same: equal in every parameter, so equal in identity. See spec.h.
#include "sweep/cursor.h"

#include "base/memory.h"

typedef struct instance_set {
    uint64_t *hash;    // (instances)
    uint32_t *slot;    // instance + 1; 0: free
    size_t slots;      // a power of two
    ts_cursor *cursor; // of the instance that another is compared with
    const ts_sweep *sweep;
} instance_set;

static bool is_same(instance_set *set, const ts_cursor *a, int64_t other) {
    ts_cursor *b = set->cursor;
    ts_cursor_seek(b, ts_sweep_point(set->sweep, other));
    if (a->pairing != b->pairing)
        return false;
    for (int i = 0; i < a->pairing->schema.count; i++)
        if (!ts_value_equal(&a->params.value[i], &b->params.value[i]))
            return false;
    return true;
}

// The earlier instance that equals the cursor's, or -1 and it is entered.
static int64_t find_or_add(instance_set *set, const ts_cursor *cursor, int64_t instance, uint64_t hash) {
    size_t at = ts_hash_mix(hash) & (set->slots - 1);
    set->hash[instance] = hash;
    for (; set->slot[at]; at = (at + 1) & (set->slots - 1)) {
        int64_t other = set->slot[at] - 1;
        if (set->hash[other] == hash && is_same(set, cursor, other))
            return other;
    }
    set->slot[at] = (uint32_t)(instance + 1);
    return -1;
}

// Keys that vary, and that the instance has not: "; they have no 'hidden': ...".
static void add_missing(const ts_cursor *cursor, ts_text *out) {
    const ts_entry *entry = cursor->entry;
    int count = 0;
    for (int a = 0; a < entry->n_axes; a++)
        for (int i = 0; i < entry->axis[a]->count; i++) {
            const ts_setting *setting = entry->axis[a]->setting[i];
            if (setting->typed && setting->typed[cursor->pairing - cursor->sweep->pairing].position < 0)
                ts_text_addf(out, "%s'%s'", count++ ? " or " : "; they have no ", setting->key);
        }
    if (count > 0)
        ts_text_add(out, ": give that in an entry of cases, with the task, model or optimizer that has it");
}

static void report_pair(ts_spec *spec, instance_set *set, const ts_cursor *cursor, int64_t first, int64_t second,
                        int64_t more) {
    ts_text a = {0}, b = {0}, others = {0}; // `others`: what else there is to say
    ts_cursor_seek(set->cursor, ts_sweep_point(set->sweep, first));
    ts_cursor_describe(set->cursor, &a);
    ts_cursor_seek(set->cursor, ts_sweep_point(set->sweep, second));
    ts_cursor_describe(set->cursor, &b);
    add_missing(set->cursor, &others);
    if (more > 0)
        ts_text_addf(&others, " (and %lld more such pairs)", (long long)more);
    ts_faults_add(spec->faults, cursor->entry->line, NULL,
                  "instances %lld and %lld are the same: '%s' and '%s' do not differ in any parameter of their task, "
                  "model and optimizer%s",
                  (long long)first, (long long)second, ts_text_get(&a), ts_text_get(&b), ts_text_get(&others));
    ts_text_free(&a);
    ts_text_free(&b);
    ts_text_free(&others);
}

static ts_status search(ts_spec *spec, instance_set *set, ts_cursor *cursor) {
    ts_fingerprint fingerprint = {.of_identities = true};
    int64_t first = -1, second = -1, found = 0;
    for (int64_t i = 0; i < spec->sweep->instances; i++) {
        ts_cursor_seek(cursor, ts_sweep_point(spec->sweep, i));
        ts_fingerprint_update(&fingerprint, cursor, &cursor->changed);
        int64_t other = find_or_add(set, cursor, i, fingerprint.all);
        if (other >= 0 && found++ == 0) {
            first = other;
            second = i;
        }
    }
    if (!found)
        return TS_OK;
    ts_cursor_seek(cursor, ts_sweep_point(spec->sweep, second));
    report_pair(spec, set, cursor, first, second, found - 1);
    return TS_ERROR_USER;
}

ts_status ts_spec_find_duplicates(ts_spec *spec) {
    const ts_sweep *sweep = spec->sweep;
    ts_cursor cursor, other;
    ts_cursor_start(&cursor, sweep);
    ts_cursor_start(&other, sweep);
    instance_set set = {.slots = 64, .cursor = &other, .sweep = sweep};
    while (set.slots < 2 * (size_t)sweep->instances)
        set.slots *= 2;
    set.hash = ts_alloc((size_t)sweep->instances * sizeof *set.hash, "the sweep's hashes");
    set.slot = ts_alloc_zero(set.slots, sizeof *set.slot, "the sweep's hashes");
    ts_status status = set.hash && set.slot ? search(spec, &set, &cursor) : TS_ERROR_MEMORY;
    ts_free(set.hash);
    ts_free(set.slot);
    return status;
}
