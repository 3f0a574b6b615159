// Events in virtual time, from a heap.
#include "run/simulate.h"

#include "base/memory.h"
#include "base/random.h"
#include "run/desk.h"
#include "run/team_plan.h"

#include <math.h>
#include <stdlib.h>

// Until those who were called back have saved what they had, and until others have read it.
static const double SAVE_SECONDS = 5, READ_SECONDS = 2;

// The end of a unit, or of saving it.
typedef struct event {
    double time;
    int rank, ranks; // that train it
    ts_unit unit;
    double begun;              // when
    double all;                // seconds of one slot for the whole unit
    double left, since, speed; // of them, and how many go by in a second, since when; while slots help: more than one
    bool returns;              // it is called back
} event;

// Earliest first; ties by rank, so that a simulation is reproducible.
typedef struct event_heap {
    event *item;
    int64_t count;
} event_heap;

// A unit that was called back: the share of its work that is left.
typedef struct rest {
    ts_unit unit;
    double left;
} rest;

typedef struct simulation {
    const ts_coordinator_setup *setup;
    const double *cost;
    double handout, spread, busy;
    ts_philox random;
    bool jitter;
    ts_coordinator *coordinator;
    event_heap heap;
    ts_desk *desk; // (setup->ranks)
    int *shared;   // (setup->ranks) units that train there and that idle slots help
    rest *rest;    // (rests)
    int64_t rests;
    ts_simulation_case *seen; // (setup->cases) or NULL
    ts_status status;
    int64_t units, largest_unit, events, recalls;
    bool any_shared; // some case has parts
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

// Lets an item sink from where it is.
static void heap_sink(event_heap *heap, int64_t at, event last) {
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
}

static event heap_pop(event_heap *heap) {
    event first = heap->item[0];
    if (--heap->count > 0)
        heap_sink(heap, 0, heap->item[heap->count]);
    return first;
}

static const ts_coordinator_case *case_of(const simulation *s, const ts_unit *unit) {
    return &s->setup->cases_of[unit->case_index];
}

// How much faster it goes on a slot and those that help it, of each of its ranks.
static double speed_of(const simulation *s, const event *e) {
    double threads = INFINITY;
    for (int r = e->rank; r < e->rank + e->ranks; r++)
        threads = fmin(threads, 1 + (double)s->desk[r].idle / s->shared[r]);
    const ts_coordinator_case *of = case_of(s, &e->unit);
    return of->cost / ts_team_seconds(of, e->ranks, threads);
}

static bool is_shared(const simulation *s, const event *e) {
    return case_of(s, &e->unit)->parts > 1 && !e->returns;
}

static bool on_any(const event *e, int first, int ranks) {
    return e->rank < first + ranks && first < e->rank + e->ranks;
}

static void heapify(event_heap *heap) {
    for (int64_t i = heap->count / 2 - 1; i >= 0; i--)
        heap_sink(heap, i, heap->item[i]);
}

// Ranks have more or fewer idle slots than before; they help their units alike.
static void share_slots(simulation *s, int first, int ranks, double now) {
    bool any = false;
    for (int r = first; r < first + ranks; r++)
        any = any || s->shared[r] > 0;
    for (int64_t i = 0; any && i < s->heap.count; i++) {
        event *e = &s->heap.item[i];
        if (!on_any(e, first, ranks) || !is_shared(s, e))
            continue;
        double begun = fmax(now, e->since);
        e->left -= (begun - e->since) * e->speed;
        e->since = begun;
        e->speed = speed_of(s, e);
        e->time = begun + e->left / e->speed;
    }
    if (any)
        heapify(&s->heap);
}

// Seconds of one slot for all of a unit.
static double draw_seconds(simulation *s, const ts_unit *unit) {
    double seconds = s->cost[unit->case_index] * (double)unit->rows;
    if (s->jitter) {
        uint32_t words[4];
        ts_philox_next(&s->random, words);
        seconds *= 1 + s->spread * (2 * (double)words[0] * 0x1p-32 - 1);
    }
    return seconds;
}

static bool is_unit(const ts_unit *a, const ts_unit *b) {
    return a->case_index == b->case_index && a->first_row == b->first_row && a->rows == b->rows;
}

// What is left of a unit that was called back earlier; 1: it was not.
static double take_rest(simulation *s, const ts_unit *unit) {
    for (int64_t i = 0; i < s->rests; i++)
        if (is_unit(&s->rest[i].unit, unit)) {
            double left = s->rest[i].left;
            s->rest[i] = s->rest[--s->rests];
            return left;
        }
    return 1;
}

static void note_unit(simulation *s, const ts_unit *unit, int ranks) {
    const ts_coordinator_case *of = case_of(s, unit);
    int64_t bytes = of->unit_bytes + unit->rows * of->instance_bytes;
    s->largest_unit = bytes > s->largest_unit ? bytes : s->largest_unit;
    if (!s->seen)
        return;
    ts_simulation_case *seen = &s->seen[unit->case_index];
    seen->first = seen->first > 0 ? seen->first : ranks;
    seen->most = ranks > seen->most ? ranks : seen->most;
}

static void start(simulation *s, int rank, int ranks, const ts_unit *unit, double now, double delay) {
    double left = take_rest(s, unit), all = draw_seconds(s, unit);
    s->units += left == 1;
    delay += left < 1 ? READ_SECONDS : 0;
    note_unit(s, unit, ranks);
    s->busy += left * all;
    event e = {.rank = rank, .ranks = ranks, .unit = *unit, .begun = now, .all = all, .left = left * all};
    e.since = now + delay;
    e.speed = 1;
    e.time = e.since + e.left;
    heap_push(&s->heap, e);
    for (int r = rank; r < rank + ranks; r++)
        s->shared[r] += is_shared(s, &e);
    share_slots(s, rank, ranks, now);
}

static void ask(simulation *s, int rank) {
    for (ts_message_kind kind; s->status == TS_OK && ts_desk_ask(&s->desk[rank], &kind); s->events++)
        s->status = kind == TS_MSG_URGENT ? ts_coordinator_make_urgent(s->coordinator, rank)
                                          : ts_coordinator_request(s->coordinator, rank, kind == TS_MSG_REQUEST);
}

// How far units are that others could join.
static void report(simulation *s, double now) {
    if (!s->any_shared)
        return;
    for (int64_t i = 0; i < s->heap.count; i++) {
        const event *e = &s->heap.item[i];
        if (is_shared(s, e)) {
            double left = e->left - fmax(now - e->since, 0) * e->speed;
            ts_coordinator_progress(s->coordinator, &e->unit, 1 - left / e->all);
        }
    }
}

static void give(simulation *s, const ts_assignment *given, double now) {
    ts_unit unit;
    bool starts = true;
    for (int r = given->rank; s->status == TS_OK && r < given->rank + given->ranks; r++) {
        s->status = ts_desk_receive(&s->desk[r], &given->unit);
        starts = s->status == TS_OK && ts_desk_start(&s->desk[r], &unit) && starts;
    }
    if (s->status != TS_OK)
        return;
    if (starts)
        start(s, given->rank, given->ranks, &given->unit, now, s->handout);
    else if (given->ranks > 1)
        s->status = ts_fail(TS_ERROR_FATAL, "the coordinator made a team of ranks without idle slots");
    for (int r = given->rank; r < given->rank + given->ranks; r++)
        ask(s, r);
}

static void note_rest(simulation *s, const ts_unit *unit, double left) {
    s->rest[s->rests++] = (rest){*unit, left};
    s->recalls++;
    s->status = ts_coordinator_returned(s->coordinator, unit, left);
}

static void call_back(simulation *s, const ts_assignment *given, double now) {
    int64_t at = 0;
    while (at < s->heap.count && !is_unit(&s->heap.item[at].unit, &given->unit))
        at++;
    if (at == s->heap.count) { // it waits for a slot
        ts_desk_drop(&s->desk[given->rank], &given->unit);
        ask(s, given->rank);
        note_rest(s, &given->unit, take_rest(s, &given->unit));
        return;
    }
    event *e = &s->heap.item[at];
    e->left = fmax(e->left - fmax(now - e->since, 0) * e->speed, 0);
    e->returns = true;
    e->time = now + SAVE_SECONDS;
    s->busy -= e->left;
    for (int r = e->rank; r < e->rank + e->ranks; r++)
        s->shared[r]--;
    heapify(&s->heap);
}

static void assign(simulation *s, double now) {
    ts_assignment given;
    report(s, now);
    for (; s->status == TS_OK && ts_coordinator_next(s->coordinator, &given); s->events++)
        give(s, &given, now);
    for (; s->status == TS_OK && ts_coordinator_recall(s->coordinator, &given); s->events++)
        call_back(s, &given, now);
}

static void finish(simulation *s, const event *done) {
    s->events++;
    if (done->returns) {
        note_rest(s, &done->unit, done->left / done->all);
    } else {
        // Of one slot where nobody helps, whatever it has waited for: so that costs are learned as they are.
        double seconds = case_of(s, &done->unit)->parts > 1 ? done->time - done->begun : done->all;
        ts_coordinator_done(s->coordinator, &done->unit, seconds);
    }
    for (int r = done->rank; r < done->rank + done->ranks; r++) {
        ts_unit unit;
        ts_desk_finish(&s->desk[r]);
        if (!done->returns)
            s->shared[r] -= is_shared(s, done);
        if (ts_desk_start(&s->desk[r], &unit))
            start(s, r, 1, &unit, done->time, 0);
        else
            share_slots(s, r, 1, done->time);
        ask(s, r);
    }
}

static ts_status open_desks(simulation *s) {
    ts_status status = TS_OK;
    s->desk = ts_alloc_zero((size_t)s->setup->ranks, sizeof *s->desk, "a simulation");
    s->shared = ts_alloc_zero((size_t)s->setup->ranks, sizeof *s->shared, "a simulation");
    s->rest = ts_alloc((size_t)s->setup->ranks * ((size_t)s->setup->slots + 1) * sizeof *s->rest, "a simulation");
    for (int rank = 0; s->desk && status == TS_OK && rank < s->setup->ranks; rank++)
        status = ts_desk_open(&s->desk[rank], s->setup->slots);
    return s->desk && s->shared && s->rest ? status : TS_ERROR_MEMORY;
}

static void close_desks(simulation *s) {
    for (int rank = 0; s->desk && rank < s->setup->ranks; rank++)
        ts_desk_close(&s->desk[rank]);
    ts_free(s->desk);
    ts_free(s->shared);
    ts_free(s->rest);
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
    int64_t n = setup->n_pending + setup->n_saved, slots = (int64_t)setup->ranks * setup->slots, count = 0, items = 0;
    equals *item = ts_alloc((size_t)n * sizeof *item, "a simulation");
    if (!item)
        return TS_ERROR_MEMORY;
    double work = 0, longest = 0; // of those that slots share
    for (int64_t i = 0; i < n; i++) {
        const ts_unit *unit = i < setup->n_pending ? &setup->pending[i] : &setup->saved[i - setup->n_pending];
        double rows = (double)unit->rows, each = cost[unit->case_index];
        const ts_coordinator_case *of = &setup->cases_of[unit->case_index];
        work += each * rows;
        if (of->parts > 1)
            longest = fmax(longest, each / of->cost * ts_team_fastest(of, setup->ranks, setup->slots));
        else
            item[items++] = i < setup->n_pending ? (equals){each, unit->rows} : (equals){each * rows, 1};
    }
    for (int64_t i = 0; i < items; i++)
        count += item[i].count;
    qsort(item, (size_t)items, sizeof *item, costliest_first);
    *bound = fmax(longest, work / (double)slots);
    if (count > 0)
        *bound = fmax(*bound, pigeonhole_bound(item, count, slots));
    ts_free(item);
    return TS_OK;
}

ts_status ts_simulate(const ts_coordinator_setup *setup, const double *cost, double handout, uint64_t seed,
                      double spread, ts_simulation_case *seen, ts_simulation *result) {
    simulation s = {
        .setup = setup, .cost = cost, .handout = handout, .spread = spread, .jitter = seed != 0, .seen = seen};
    for (int i = 0; i < setup->cases; i++)
        s.any_shared = s.any_shared || setup->cases_of[i].parts > 1;
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
        result->recalls = s.recalls;
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
