// Subgroups are joins of cyclic ones: from the trivial subgroup on, each that is found is joined with every cyclic one
// that it does not hold, until nothing new comes.
#include "task/subgroups.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 64, GENERATORS = 10 };

_Static_assert(TS_MAX_ORDER <= 1 << GENERATORS, "generators of the largest group");

// Subgroups found so far, as sets of elements, and a table of them by their hashes.
typedef struct search {
    const ts_table *table;
    int n, words; // of a set
    int most, count;
    uint64_t *set;  // (most, words)
    int *order;     // (most)
    int *generator; // (most, GENERATORS), and how many: each at least doubles the order
    int *generators;
    int *slot, slots; // -1: none; a power of 2
    uint64_t *done;   // (words) elements whose join with the subgroup at hand is known
    uint64_t *made;   // (words) a join, and
    int *member;      // (n) its elements, in the order in which they came
    int members;
} search;

static bool has(const uint64_t *set, int element) {
    return set[element / BITS] >> (element % BITS) & 1;
}

static void put(uint64_t *set, int element) {
    set[element / BITS] |= (uint64_t)1 << (element % BITS);
}

static int product(const ts_table *table, int a, int b) {
    return table->result[(size_t)a * (size_t)table->n + (size_t)b];
}

static void add_member(search *s, int element) {
    put(s->made, element);
    s->member[s->members++] = element;
}

// `made` becomes the join of a subgroup, of which `generator` (count) are generators, and an element: with g also h g
// is in it for all h of the subgroup, and with such a coset the one of g times any generator.
static void join(search *s, const uint64_t *subgroup, int order, const int *generator, int count, int element) {
    memset(s->made, 0, (size_t)s->words * sizeof *s->made);
    s->members = 0;
    for (int g = 0; s->members < order; g++)
        if (has(subgroup, g))
            add_member(s, g);
    for (int first = 0; first < s->members; first += order)
        for (int by = 0; by <= count; by++) {
            int next = product(s->table, s->member[first], by < count ? generator[by] : element);
            bool is_new = !has(s->made, next);
            for (int h = 0; is_new && h < order; h++)
                add_member(s, product(s->table, s->member[h], next));
        }
}

static uint64_t hash_of(const search *s, const uint64_t *set) {
    uint64_t hash = 14695981039346656037u;
    for (int w = 0; w < s->words; w++) {
        hash = (hash ^ set[w]) * 1099511628211u;
        hash ^= hash >> 29;
    }
    return hash;
}

// Adds `made`, the join of subgroup `from` (-1: none) and an element, to the list, unless it is there. False: there is
// no room.
static bool enter(search *s, int from, int element) {
    size_t bytes = (size_t)s->words * sizeof *s->set;
    int at = (int)(hash_of(s, s->made) & (uint64_t)(s->slots - 1));
    for (; s->slot[at] >= 0; at = (at + 1) & (s->slots - 1))
        if (memcmp(s->set + (size_t)s->slot[at] * (size_t)s->words, s->made, bytes) == 0)
            return true;
    if (s->count == s->most)
        return false;
    s->slot[at] = s->count;
    s->order[s->count] = s->members;
    int *own = s->generator + (size_t)s->count * GENERATORS, count = from < 0 ? 0 : s->generators[from];
    if (from >= 0) {
        memcpy(own, s->generator + (size_t)from * GENERATORS, (size_t)count * sizeof *own);
        own[count++] = element;
    }
    s->generators[s->count] = count;
    memcpy(s->set + (size_t)s->count++ * (size_t)s->words, s->made, bytes);
    return true;
}

static bool is_prime(int number) {
    for (int d = 2; d * d <= number; d++)
        if (number % d == 0)
            return false;
    return number > 1;
}

// Joins a subgroup with every element. Where a join has it at a prime index, nothing lies between: all elements of the
// join have that one.
static bool extend(search *s, int index) {
    const uint64_t *own = s->set + (size_t)index * (size_t)s->words;
    int order = s->order[index];
    bool room = true;
    memcpy(s->done, own, (size_t)s->words * sizeof *s->done);
    for (int g = 0; g < s->n && room; g++) {
        if (has(s->done, g))
            continue;
        join(s, own, order, s->generator + (size_t)index * GENERATORS, s->generators[index], g);
        room = enter(s, index, g);
        put(s->done, g);
        for (int w = 0; w < s->words && is_prime(s->members / order); w++)
            s->done[w] |= s->made[w];
    }
    return room;
}

static ts_status reserve(const ts_table *table, int64_t most, search *s, ts_slab *slab) {
    *s = (search){.table = table, .n = table->n, .words = (table->n + BITS - 1) / BITS, .slots = 2};
    s->most = (int)(most / table->n);
    while (s->slots < 2 * s->most)
        s->slots *= 2;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(slab, "a group's subgroups") != TS_OK)
            return TS_ERROR_MEMORY;
        s->set = ts_slab_take(slab, (size_t)s->most * (size_t)s->words, sizeof *s->set);
        s->order = ts_slab_take(slab, (size_t)s->most, sizeof *s->order);
        s->generator = ts_slab_take(slab, (size_t)s->most * GENERATORS, sizeof *s->generator);
        s->generators = ts_slab_take(slab, (size_t)s->most, sizeof *s->generators);
        s->slot = ts_slab_take(slab, (size_t)s->slots, sizeof *s->slot);
        s->done = ts_slab_take(slab, (size_t)s->words, sizeof *s->done);
        s->made = ts_slab_take(slab, (size_t)s->words, sizeof *s->made);
        s->member = ts_slab_take(slab, (size_t)s->n, sizeof *s->member);
    }
    for (int i = 0; i < s->slots; i++)
        s->slot[i] = -1;
    return TS_OK;
}

// --- The list ---

typedef struct listed {
    const uint64_t *set;
    int order, words;
} listed;

// Of two sets the one with the first element that only one of them has comes first.
static int compare(const void *a, const void *b) {
    const listed *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    for (int w = 0; w < x->words; w++) {
        uint64_t different = x->set[w] ^ y->set[w];
        if (different)
            return x->set[w] & different & (~different + 1) ? -1 : 1;
    }
    return 0;
}

// The first elements that generate it: each that those before it do not.
static void name(search *s, const listed *one, int number, char *out) {
    uint64_t *own = s->done; // generated so far
    int generator[GENERATORS], count = 0, order = 1,
                               at = snprintf(out, TS_SUBGROUP_BYTES, "%d.%d <", one->order, number);
    memset(own, 0, (size_t)s->words * sizeof *own);
    put(own, s->table->identity);
    for (int g = 0; g < s->n && order < one->order; g++) {
        if (!has(one->set, g) || has(own, g))
            continue;
        at += snprintf(out + at, TS_SUBGROUP_BYTES - (size_t)at, "%s%d", order > 1 ? "," : "", g);
        join(s, own, order, generator, count, g);
        generator[count++] = g;
        order = s->members;
        memcpy(own, s->made, (size_t)s->words * sizeof *own);
    }
    snprintf(out + at, TS_SUBGROUP_BYTES - (size_t)at, ">");
}

static void fill(search *s, const listed *list, ts_subgroups *out) {
    size_t at = 0;
    for (int i = 0, number = 1; i < s->count; i++, number++) {
        number = i > 0 && list[i].order == list[i - 1].order ? number : 1;
        out->order[i] = list[i].order;
        out->first[i] = at;
        for (int g = 0; g < s->n; g++)
            if (has(list[i].set, g))
                out->element[at++] = g;
        name(s, &list[i], number, out->name[i]);
    }
}

static ts_status copy(search *s, ts_subgroups **subgroups) {
    size_t count = (size_t)s->count, elements = 0;
    ts_subgroups *out = ts_alloc_zero(1, sizeof *out, "a group's subgroups");
    listed *list = ts_alloc(count * sizeof *list, "a group's subgroups");
    for (int i = 0; list && i < s->count; i++) {
        list[i] = (listed){s->set + (size_t)i * (size_t)s->words, s->order[i], s->words};
        elements += (size_t)s->order[i];
    }
    if (out && list) {
        *out = (ts_subgroups){.n = s->n, .count = s->count};
        out->order = ts_alloc(count * sizeof *out->order, "a group's subgroups");
        out->first = ts_alloc(count * sizeof *out->first, "a group's subgroups");
        out->element = ts_alloc(elements * sizeof *out->element, "a group's subgroups");
        out->name = ts_alloc(count * sizeof *out->name, "a group's subgroups");
    }
    bool whole = out && out->order && out->first && out->element && out->name;
    if (whole) {
        qsort(list, count, sizeof *list, compare);
        fill(s, list, out);
        *subgroups = out;
    } else {
        ts_subgroups_free(out);
    }
    ts_free(list);
    return whole ? TS_OK : TS_ERROR_MEMORY;
}

ts_status ts_subgroups_create(const ts_table *table, int64_t most, ts_subgroups **subgroups) {
    search s;
    ts_slab slab = {0};
    ts_status status = reserve(table, most, &s, &slab);
    bool all = status == TS_OK;
    if (all) {
        memset(s.done, 0, (size_t)s.words * sizeof *s.done);
        put(s.done, table->identity);
        join(&s, s.done, 1, NULL, 0, table->identity);
        all = enter(&s, -1, 0);
        for (int i = 0; all && i < s.count; i++)
            all = extend(&s, i);
    }
    *subgroups = NULL;
    if (all)
        status = copy(&s, subgroups);
    ts_slab_free(&slab);
    return status;
}

void ts_subgroups_free(ts_subgroups *subgroups) {
    if (!subgroups)
        return;
    ts_free(subgroups->order);
    ts_free(subgroups->first);
    ts_free(subgroups->element);
    ts_free(subgroups->name);
    ts_free(subgroups);
}

int ts_subgroup_cosets(const ts_table *table, const ts_subgroups *subgroups, int index, bool left, int *coset) {
    const int *member = subgroups->element + subgroups->first[index];
    int count = 0;
    for (int g = 0; g < table->n; g++)
        coset[g] = -1;
    for (int g = 0; g < table->n; g++) {
        if (coset[g] >= 0)
            continue;
        for (int i = 0; i < subgroups->order[index]; i++)
            coset[left ? product(table, g, member[i]) : product(table, member[i], g)] = count;
        count++;
    }
    return count;
}
