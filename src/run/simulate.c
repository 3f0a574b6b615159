// Events in virtual time, from a heap.
#include "run/simulate.h"

#include "base/memory.h"
#include "base/random.h"
#include "run/desk.h"

#include <math.h>
#include <stdlib.h>

typedef struct event {
    double time;
    int rank;
    ts_unit unit;
    double seconds;
} event;

// Earliest first; ties by rank, so that a simulation is reproducible.
typedef struct event_heap {
    event *item;
    int64_t count;
} event_heap;

typedef struct simulation {
    const ts_coordinator_setup *setup;
    const double *cost;
    double handout, spread, busy;
    ts_philox random;
    bool jitter;
    ts_coordinator *coordinator;
    event_heap heap;
    ts_desk *desk; // (setup->ranks)
    ts_status status;
    int64_t units, largest_unit, events;
} simulation;

static bool earlier(const event *a, const event *b) {
    return a->time != b->time ? a->time < b->time : a->rank < b->rank;
}

static void heap_push(event_heap *heap, event item) {
    int64_t at = heap->count++;
    while (at > 0 && earlier(&item, &heap->item[(at - 1) / 2])) {
        heap->item[at] = heap->item[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->item[at] = item;
}

static event heap_pop(event_heap *heap) {
    event first = heap->item[0], last = heap->item[--heap->count];
    int64_t at = 0;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && earlier(&heap->item[child + 1], &heap->item[child]))
            child++;
        if (!earlier(&heap->item[child], &last))
            break;
        heap->item[at] = heap->item[child];
        at = child;
    }
    heap->item[at] = last;
    return first;
}

static void start(simulation *s, int rank, const ts_unit *unit, double now, double delay) {
    double seconds = s->cost[unit->case_index] * (double)unit->rows;
    if (s->jitter) {
        uint32_t words[4];
        ts_philox_next(&s->random, words);
        seconds *= 1 + s->spread * (2 * (double)words[0] * 0x1p-32 - 1);
    }
    const ts_coordinator_case *of = &s->setup->cases_of[unit->case_index];
    int64_t bytes = of->unit_bytes + unit->rows * of->instance_bytes;
    s->largest_unit = bytes > s->largest_unit ? bytes : s->largest_unit;
    s->units++;
    s->busy += seconds;
    heap_push(&s->heap, (event){now + delay + seconds, rank, *unit, seconds});
}

static void ask(simulation *s, int rank) {
    for (ts_message_kind kind; s->status == TS_OK && ts_desk_ask(&s->desk[rank], &kind); s->events++)
        s->status = kind == TS_MSG_URGENT ? ts_coordinator_make_urgent(s->coordinator, rank)
                                          : ts_coordinator_request(s->coordinator, rank, kind == TS_MSG_REQUEST);
}

static void assign(simulation *s, double now) {
    int rank;
    ts_unit unit;
    for (; ts_coordinator_next(s->coordinator, &rank, &unit); s->events++) {
        s->status = ts_desk_receive(&s->desk[rank], &unit);
        if (s->status != TS_OK)
            return;
        if (ts_desk_start(&s->desk[rank], &unit))
            start(s, rank, &unit, now, s->handout);
        ask(s, rank);
    }
}

static void finish(simulation *s, const event *done) {
    ts_coordinator_done(s->coordinator, &done->unit, done->seconds);
    s->events++;
    ts_desk_finish(&s->desk[done->rank]);
    ts_unit unit;
    if (ts_desk_start(&s->desk[done->rank], &unit))
        start(s, done->rank, &unit, done->time, 0);
    ask(s, done->rank);
}

static ts_status open_desks(simulation *s) {
    ts_status status = TS_OK;
    s->desk = ts_alloc_zero((size_t)s->setup->ranks, sizeof *s->desk, "a simulation");
    for (int rank = 0; s->desk && status == TS_OK && rank < s->setup->ranks; rank++)
        status = ts_desk_open(&s->desk[rank], s->setup->slots);
    return s->desk ? status : TS_ERROR_MEMORY;
}

static void close_desks(simulation *s) {
    for (int rank = 0; s->desk && rank < s->setup->ranks; rank++)
        ts_desk_close(&s->desk[rank]);
    ts_free(s->desk);
}

static double play(simulation *s) {
    double now = 0;
    for (int rank = 0; rank < s->setup->ranks; rank++)
        ask(s, rank);
    assign(s, 0);
    while (s->status == TS_OK && s->heap.count > 0) {
        event done = heap_pop(&s->heap);
        now = done.time;
        finish(s, &done);
        assign(s, now);
    }
    return now;
}

// --- What no schedule can beat ---

// Things that are trained whole and take equally long.
typedef struct equals {
    double cost; // of one, seconds
    int64_t count;
} equals;

static int costliest_first(const void *a, const void *b) {
    double left = ((const equals *)a)->cost, right = ((const equals *)b)->cost;
    return left > right ? -1 : left < right;
}

// Sums of the costliest first, asked for in ascending order.
typedef struct prefix {
    const equals *at;
    int64_t before; // things before `at`
    double sum;     // of them
} prefix;

static double sum_of_first(prefix *p, int64_t n) {
    for (; p->before + p->at->count < n; p->at++) {
        p->before += p->at->count;
        p->sum += p->at->cost * (double)p->at->count;
    }
    return p->sum + p->at->cost * (double)(n - p->before);
}

// Of the k slots + 1 costliest instances, some slot trains k + 1: at least the k + 1 cheapest of them.
static double pigeonhole_bound(const equals *sorted, int64_t count, int64_t slots) {
    double bound = 0;
    prefix all = {sorted, 0, 0}, dearer = {sorted, 0, 0};
    for (int64_t k = 0; k <= (count - 1) / slots; k++)
        bound = fmax(bound, sum_of_first(&all, k * slots + 1) - sum_of_first(&dearer, k * slots - k));
    return bound;
}

static ts_status lower_bound(const ts_coordinator_setup *setup, const double *cost, double *bound) {
    int64_t n = setup->n_pending + setup->n_saved, slots = (int64_t)setup->ranks * setup->slots, count = 0;
    equals *item = ts_alloc((size_t)n * sizeof *item, "a simulation");
    if (!item)
        return TS_ERROR_MEMORY;
    double work = 0;
    for (int64_t i = 0; i < n; i++) {
        const ts_unit *unit = i < setup->n_pending ? &setup->pending[i] : &setup->saved[i - setup->n_pending];
        double rows = (double)unit->rows, each = cost[unit->case_index];
        item[i] = i < setup->n_pending ? (equals){each, unit->rows} : (equals){each * rows, 1};
        work += each * rows;
        count += item[i].count;
    }
    qsort(item, (size_t)n, sizeof *item, costliest_first);
    *bound = count > 0 ? fmax(work / (double)slots, pigeonhole_bound(item, count, slots)) : 0;
    ts_free(item);
    return TS_OK;
}

ts_status ts_simulate(const ts_coordinator_setup *setup, const double *cost, double handout, uint64_t seed,
                      double spread, ts_simulation *result) {
    simulation s = {.setup = setup, .cost = cost, .handout = handout, .spread = spread, .jitter = seed != 0};
    s.random = ts_philox_at(seed, TS_STREAM_BATCH, 0, 0);
    s.heap.item = ts_alloc((size_t)setup->ranks * (size_t)setup->slots * sizeof *s.heap.item, "a simulation");
    ts_status status = s.heap.item ? open_desks(&s) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_coordinator_create(setup, &s.coordinator);
    if (status == TS_OK)
        status = lower_bound(setup, cost, &result->bound);
    if (status == TS_OK) {
        result->makespan = play(&s);
        result->units = s.units;
        result->largest_unit = s.largest_unit;
        result->events = s.events;
        result->looked = ts_coordinator_looked(s.coordinator);
        double room = result->makespan * (double)setup->ranks * setup->slots;
        result->busy = room > 0 ? s.busy / room : 1;
        status = s.status;
        if (status == TS_OK && !ts_coordinator_finished(s.coordinator))
            status = ts_fail(TS_ERROR_FATAL, "the coordinator left work undone");
    }
    ts_coordinator_free(s.coordinator);
    close_desks(&s);
    ts_free(s.heap.item);
    return status;
}
