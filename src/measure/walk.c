// Parts of a walk: who makes them, and the tree that adds up their sums.
#include "measure/walk.h"

#include "base/crew.h"
#include "base/tree.h"

#include <pthread.h>
#include <string.h>

// A thread that is walking or has done so.
typedef struct walker {
    ts_rows rows;
    struct walker *next;
} walker;

struct ts_walk {
    const ts_pairs *pairs;
    const ts_measure_help *help;          // NULL: nobody
    int parts, first, end;                // of all; those of this rank
    bool joins;                           // its sums are added to those of other ranks
    ts_subtree subtree[TS_MOST_SUBTREES]; // of its parts
    int subtrees;
    size_t numbers, scratch; // most of a sum, with one that says stop; of a thread
    ts_status status;

    // What is being shared: a sum (parts first .. end - 1), or what is independent (0 .. end - 1).
    const ts_walk_sum *sum; // NULL: it is `make`
    void (*make)(void *context, ts_rows *rows, int i);
    void *context;
    atomic_int next; // that nobody has taken
    int until;       // their end

    walker *own; // of the thread whose walk it is

    pthread_mutex_t mutex; // guards what follows
    walker *idle;          // of others
    double *sums;          // (parts of this rank, numbers): of the part in work, or of the subtree that begins with one
    int *free, frees; // (parts of this rank) of them that nobody uses, the latest last: as few as can be are touched
    struct {
        int size, at;
    } * made;       // (parts) subtrees that wait for the one beside them, by first part; size 0: none
    double *joined; // (subtrees, numbers) of this rank, next to each other
    ts_slab slab;
};

static bool has_team(const ts_measure_help *help, int parts) {
    return help && !help->device && help->add_doubles && help->ranks > 1 && parts > 1;
}

ts_status ts_walk_create(const ts_pairs *pairs, const ts_measure_help *help, ts_walk **out) {
    ts_walk *w = *out = ts_alloc_zero(1, sizeof *w, "a walk over pairs");
    if (!w)
        return TS_ERROR_MEMORY;
    *w = (ts_walk){.pairs = pairs, .help = help, .parts = ts_measure_parts(pairs->table->n)};
    w->joins = has_team(help, w->parts);
    ts_tree_share(w->parts, w->joins ? help->rank : 0, w->joins ? help->ranks : 1, &w->first, &w->end);
    w->subtrees = ts_tree_subtrees(w->first, w->end, w->subtree);
    pthread_mutex_init(&w->mutex, NULL);
    return TS_OK;
}

static void free_walker(walker *own) {
    if (own)
        ts_rows_free(&own->rows);
    ts_free(own);
}

void ts_walk_free(ts_walk *w) {
    if (!w)
        return;
    for (walker *own = w->idle, *next; own; own = next) {
        next = own->next;
        free_walker(own);
    }
    free_walker(w->own);
    pthread_mutex_destroy(&w->mutex);
    ts_slab_free(&w->slab);
    ts_free(w);
}

// NULL: there is no memory.
static walker *new_walker(const ts_walk *w, bool first) {
    walker *own = ts_alloc_zero(1, sizeof *own, "a walk over pairs");
    if (own && ts_rows_create(w->pairs, first, w->scratch, &own->rows) == TS_OK)
        return own;
    free_walker(own);
    return NULL;
}

ts_status ts_walk_reserve(ts_walk *w, size_t numbers, size_t scratch) {
    size_t own = (size_t)(w->end - w->first);
    w->numbers = numbers + 1;
    w->scratch = scratch;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&w->slab, "sums over pairs") != TS_OK)
            return TS_ERROR_MEMORY;
        w->sums = ts_slab_take(&w->slab, own * w->numbers, sizeof *w->sums);
        w->free = ts_slab_take(&w->slab, own, sizeof *w->free);
        w->made = ts_slab_take_zero(&w->slab, (size_t)w->parts, sizeof *w->made);
        size_t joined = w->subtrees > 1 ? (size_t)w->subtrees : 1; // a rank without parts gets the total, too
        w->joined = ts_slab_take(&w->slab, w->joins ? joined * w->numbers : 0, sizeof *w->joined);
    }
    for (w->frees = 0; w->frees < (int)own; w->frees++)
        w->free[w->frees] = w->frees;
    w->own = new_walker(w, true);
    return w->own ? TS_OK : TS_ERROR_MEMORY;
}

// --- Sums of parts ---

static double *sums_at(const ts_walk *w, int at) {
    return w->sums + (size_t)at * w->numbers;
}

// The subtree beside one, if it is there: it waits no longer. Returns where its sums are; -1: it is not made yet, or
// not this rank's.
static int take_beside(ts_walk *w, ts_subtree own) {
    int beside = own.first % (2 * own.size) == 0 ? own.first + own.size : own.first - own.size;
    if (beside < w->first || beside >= w->end || w->made[beside].size != own.size)
        return -1;
    w->made[beside].size = 0;
    return w->made[beside].at;
}

// Whoever makes the second half of a subtree adds both up, where the first lies.
static void join_parts(ts_walk *w, int part, int at) {
    ts_subtree own = {part, 1};
    pthread_mutex_lock(&w->mutex);
    for (int beside = take_beside(w, own); beside >= 0; beside = take_beside(w, own)) {
        bool is_left = own.first % (2 * own.size) == 0;
        int left = is_left ? at : beside, right = is_left ? beside : at;
        pthread_mutex_unlock(&w->mutex);
        double *sum = sums_at(w, left);
        const double *more = sums_at(w, right);
        for (size_t i = 0; i < w->sum->numbers; i++)
            sum[i] += more[i];
        pthread_mutex_lock(&w->mutex);
        w->free[w->frees++] = right;
        own = (ts_subtree){is_left ? own.first : own.first - own.size, 2 * own.size};
        at = left;
    }
    w->made[own.first].size = own.size;
    w->made[own.first].at = at;
    pthread_mutex_unlock(&w->mutex);
}

static void make_part(ts_walk *w, walker *own, int part) {
    int n = w->pairs->table->n, first = (int)((int64_t)n * part / w->parts);
    int end = (int)((int64_t)n * (part + 1) / w->parts);
    pthread_mutex_lock(&w->mutex);
    int at = w->free[--w->frees];
    pthread_mutex_unlock(&w->mutex);
    double *sums = sums_at(w, at);
    memset(sums, 0, w->sum->numbers * sizeof *sums);
    w->sum->add(w->sum->context, &own->rows, first, end, sums);
    join_parts(w, part, at);
}

// --- Threads ---

static walker *take_walker(ts_walk *w) {
    pthread_mutex_lock(&w->mutex);
    walker *own = w->idle;
    if (own)
        w->idle = own->next;
    pthread_mutex_unlock(&w->mutex);
    return own ? own : new_walker(w, false);
}

static void put_walker(ts_walk *w, walker *own) {
    pthread_mutex_lock(&w->mutex);
    own->next = w->idle;
    w->idle = own;
    pthread_mutex_unlock(&w->mutex);
}

static bool take_one(ts_walk *w, walker *own) {
    int i = atomic_fetch_add(&w->next, 1);
    if (i >= w->until)
        return false;
    if (w->sum)
        make_part(w, own, i);
    else
        w->make(w->context, &own->rows, i);
    return true;
}

static bool is_one_left(void *context) {
    ts_walk *w = context;
    return atomic_load(&w->next) < w->until;
}

// Without memory for its rows the others do what it would have done.
static void help(void *context) {
    ts_walk *w = context;
    walker *own = take_walker(w);
    while (own && take_one(w, own) && ts_crew_may_help(w->help->crew))
        ;
    if (own)
        put_walker(w, own);
}

static void lead(void *context) {
    ts_walk *w = context;
    while (take_one(w, w->own))
        ;
}

static void share(ts_walk *w, int first, int end) {
    atomic_store(&w->next, first);
    w->until = end;
    if (w->help && w->help->crew && !w->pairs->device && w->parts > 1 && w->pairs->network->beside)
        ts_crew_share(w->help->crew, &(ts_crew_work){help, is_one_left, w}, lead);
    else
        lead(w);
}

void ts_walk_each(ts_walk *w, int count, void (*make)(void *context, ts_rows *rows, int i), void *context) {
    if (w->status != TS_OK)
        return;
    w->sum = NULL;
    w->make = make;
    w->context = context;
    share(w, 0, count);
}

// --- Ranks ---

// The sums of this rank's parts, `stride` numbers apart.
static void take_subtrees(ts_walk *w, size_t numbers, double *to, size_t stride) {
    for (int s = 0; s < w->subtrees; s++) {
        int first = w->subtree[s].first, at = w->made[first].at;
        memcpy(to + (size_t)s * stride, sums_at(w, at), numbers * sizeof *to);
        w->made[first].size = 0;
        w->free[w->frees++] = at;
    }
}

static ts_status join_ranks(ts_walk *w, size_t numbers, double *total) {
    take_subtrees(w, numbers, w->joined, numbers + 1);
    for (int s = 0; s < w->subtrees; s++)
        w->joined[(size_t)s * (numbers + 1) + numbers] = s == 0 && ts_must_stop(w->pairs->pause);
    ts_status status = w->help->add_doubles(w->help->context, w->parts, w->joined, (int64_t)numbers + 1);
    memcpy(total, w->joined, numbers * sizeof *total);
    return status == TS_OK && w->joined[numbers] > 0 ? TS_STOPPED : status;
}

void ts_walk_add_up(ts_walk *w, const ts_walk_sum *sum, double *total) {
    if (w->status != TS_OK)
        return;
    if (sum->numbers >= w->numbers) {
        w->status = ts_fail(TS_ERROR_FATAL, "a sum over pairs has more numbers than were reserved; a fault of the "
                                            "program");
        return;
    }
    w->sum = sum;
    share(w, w->first, w->end);
    if (w->joins) {
        w->status = join_ranks(w, sum->numbers, total);
    } else {
        take_subtrees(w, sum->numbers, total, 0);
        w->status = ts_must_stop(w->pairs->pause) ? TS_STOPPED : TS_OK;
    }
}

ts_status ts_walk_status(const ts_walk *walk) {
    return walk->status;
}

ts_status ts_walk_agree(const ts_measure_help *help, int n, ts_status mine) {
    if (!has_team(help, ts_measure_parts(n)))
        return mine;
    double cannot[TS_MOST_SUBTREES] = {mine != TS_OK}; // of its subtrees, of which every rank has some
    int parts = 1;
    while (parts < help->ranks)
        parts *= 2;
    ts_status status = help->add_doubles(help->context, parts, cannot, 1);
    if (mine != TS_OK || status != TS_OK)
        return mine != TS_OK ? mine : status;
    return cannot[0] > 0 ? ts_fail(TS_ERROR_MEMORY, "another rank could not measure") : TS_OK;
}
