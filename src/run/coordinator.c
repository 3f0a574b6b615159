// Queues of what waits and of who asks; how large a unit may be.
#define _GNU_SOURCE // qsort_r
#include "run/coordinator.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A unit takes this share of a slot's part of what is left: 1/4 bounds the wait at the end to about a quarter
// of the last round while a round still halves what is left.
static const double SHARE = 0.25;
// Units below this many seconds cost more in messages and commits than they train.
static const double SHORTEST = 0.05;
enum { MOST_ROWS = 4096 };

// First in, first out queue of ranks.
typedef struct rank_queue {
    int *rank; // ring of `capacity`
    int64_t first, count, capacity;
} rank_queue;

typedef struct case_state {
    ts_coordinator_case given;
    double predicted; // as given, per instance
    double seconds;   // measured so far
    int64_t measured; // instances behind `seconds`
    int64_t waiting;  // rows
} case_state;

typedef struct rank_state {
    int unserved;    // ahead requests not answered with a unit yet
    int dropped;     // of those: no longer in the queue; the rank will say when it is urgent
    int made_urgent; // entries of the ahead queue that are void, having become urgent
    double last;     // seconds of the unit it was given last
} rank_state;

struct ts_coordinator {
    ts_coordinator_setup setup;
    case_state *cases;
    ts_unit *range; // pending row ranges, longest instances first
    int64_t n_ranges, range_now;
    ts_unit *ready; // whole units: saved ones and halves; a stack
    int64_t n_ready, ready_capacity;
    rank_queue urgent, ahead;
    rank_state *ranks; // (setup.ranks)
    int64_t rows_waiting, units_out;
    double waiting;                              // predicted seconds of everything waiting, before calibration
    double measured_predicted, measured_seconds; // over finished units: their prediction, and the truth
    int64_t looked;
    bool closed;
};

// --- Queues ---

static ts_status queue_reserve(rank_queue *queue, int64_t capacity) {
    int *ring = ts_alloc((size_t)capacity * sizeof *ring, "the coordinator");
    if (!ring)
        return TS_ERROR_MEMORY;
    for (int64_t i = 0; i < queue->count; i++)
        ring[i] = queue->rank[(queue->first + i) % queue->capacity];
    ts_free(queue->rank);
    *queue = (rank_queue){ring, 0, queue->count, capacity};
    return TS_OK;
}

static ts_status queue_push(rank_queue *queue, int rank) {
    // Ranks with more slots than rank 0 ask more often than was planned for.
    ts_status status = queue->count == queue->capacity ? queue_reserve(queue, 2 * queue->capacity) : TS_OK;
    if (status == TS_OK)
        queue->rank[(queue->first + queue->count++) % queue->capacity] = rank;
    return status;
}

static bool queue_pop(rank_queue *queue, int *rank) {
    if (queue->count == 0)
        return false;
    *rank = queue->rank[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    return true;
}

// --- Making ---

static int longest_first(const void *a, const void *b, void *cases) {
    const ts_coordinator_case *of = cases;
    const ts_unit *left = a, *right = b;
    double cost_left = of[left->case_index].cost, cost_right = of[right->case_index].cost;
    if (cost_left != cost_right)
        return cost_left > cost_right ? -1 : 1;
    if (left->case_index != right->case_index)
        return left->case_index < right->case_index ? -1 : 1;
    return left->first_row < right->first_row ? -1 : left->first_row > right->first_row;
}

static void add_waiting(ts_coordinator *c, const ts_unit *unit, int sign) {
    case_state *state = &c->cases[unit->case_index];
    state->waiting += sign * unit->rows;
    c->rows_waiting += sign * unit->rows;
    c->waiting += sign * (double)unit->rows * state->predicted;
}

static ts_status push_ready(ts_coordinator *c, const ts_unit *unit) {
    if (c->n_ready == c->ready_capacity) {
        int64_t capacity = c->ready_capacity * 2 + 16;
        ts_unit *grown = ts_realloc(c->ready, (size_t)capacity * sizeof *grown, "the coordinator");
        if (!grown)
            return TS_ERROR_MEMORY;
        c->ready = grown;
        c->ready_capacity = capacity;
    }
    c->ready[c->n_ready++] = *unit;
    add_waiting(c, unit, 1);
    return TS_OK;
}

static ts_status fill(ts_coordinator *c, const ts_coordinator_setup *setup) {
    c->cases = ts_alloc_zero((size_t)setup->cases, sizeof *c->cases, "the coordinator");
    c->range = ts_alloc((size_t)setup->n_pending * sizeof *c->range, "the coordinator");
    c->ranks = ts_alloc_zero((size_t)setup->ranks, sizeof *c->ranks, "the coordinator");
    int64_t requests = (int64_t)setup->ranks * (setup->slots + 2);
    if (!c->cases || !c->range || !c->ranks || queue_reserve(&c->urgent, requests) != TS_OK ||
        queue_reserve(&c->ahead, requests) != TS_OK)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < setup->cases; i++) {
        c->cases[i].given = setup->cases_of[i];
        c->cases[i].predicted = setup->cases_of[i].cost;
    }
    if (setup->n_pending)
        memcpy(c->range, setup->pending, (size_t)setup->n_pending * sizeof *c->range);
    c->n_ranges = setup->n_pending;
    qsort_r(c->range, (size_t)c->n_ranges, sizeof *c->range, longest_first, (void *)setup->cases_of);
    for (int64_t i = 0; i < c->n_ranges; i++)
        add_waiting(c, &c->range[i], 1);
    for (int64_t i = 0; i < setup->n_saved; i++)
        if (push_ready(c, &setup->saved[i]) != TS_OK)
            return TS_ERROR_MEMORY;
    return TS_OK;
}

ts_status ts_coordinator_create(const ts_coordinator_setup *setup, ts_coordinator **out) {
    ts_coordinator *c = ts_alloc_zero(1, sizeof *c, "the coordinator");
    if (!c)
        return TS_ERROR_MEMORY;
    c->setup = *setup;
    ts_status status = fill(c, setup);
    if (status == TS_OK)
        *out = c;
    else
        ts_coordinator_free(c);
    return status;
}

void ts_coordinator_free(ts_coordinator *c) {
    if (!c)
        return;
    ts_free(c->cases);
    ts_free(c->range);
    ts_free(c->ready);
    ts_free(c->urgent.rank);
    ts_free(c->ahead.rank);
    ts_free(c->ranks);
    ts_free(c);
}

// --- Events ---

ts_status ts_coordinator_request(ts_coordinator *c, int rank, bool urgent) {
    if (!urgent)
        c->ranks[rank].unserved++;
    return queue_push(urgent ? &c->urgent : &c->ahead, rank);
}

ts_status ts_coordinator_make_urgent(ts_coordinator *c, int rank) {
    rank_state *state = &c->ranks[rank];
    if (state->unserved == 0)
        return TS_OK; // served meanwhile: the unit is under way
    state->unserved--;
    if (state->dropped > 0)
        state->dropped--;
    else
        state->made_urgent++;
    return queue_push(&c->urgent, rank);
}

void ts_coordinator_done(ts_coordinator *c, const ts_unit *unit, double seconds) {
    case_state *state = &c->cases[unit->case_index];
    state->seconds += seconds;
    state->measured += unit->rows;
    c->measured_seconds += seconds;
    c->measured_predicted += (double)unit->rows * state->predicted;
    c->units_out--;
}

bool ts_coordinator_split(ts_coordinator *c, const ts_unit *unit) {
    c->units_out--;
    if (unit->rows < 2)
        return false;
    ts_unit first = *unit, second = *unit;
    first.rows = unit->rows / 2;
    second.first_row += first.rows;
    second.rows -= first.rows;
    return push_ready(c, &second) == TS_OK && push_ready(c, &first) == TS_OK;
}

void ts_coordinator_close(ts_coordinator *c) {
    c->closed = true;
}

// --- Assignments ---

// Truth over prediction so far.
static double calibration(const ts_coordinator *c) {
    return c->measured_predicted > 0 && c->measured_seconds > 0 ? c->measured_seconds / c->measured_predicted : 1;
}

// Seconds of one slot for one instance, as now known.
static double instance_cost(const ts_coordinator *c, int case_index) {
    const case_state *state = &c->cases[case_index];
    return state->measured ? state->seconds / (double)state->measured : state->predicted * calibration(c);
}

double ts_coordinator_waiting(const ts_coordinator *c) {
    return c->rows_waiting > 0 ? c->waiting * calibration(c) : 0;
}

// Rows of the next unit cut from `range`.
static int64_t unit_rows(const ts_coordinator *c, const ts_unit *range) {
    const ts_coordinator_case *given = &c->cases[range->case_index].given;
    double cost = instance_cost(c, range->case_index);
    double slots = (double)c->setup.ranks * c->setup.slots;
    double seconds = fmax(SHARE * ts_coordinator_waiting(c) / slots, SHORTEST);
    double rows = cost > 0 ? seconds / cost : MOST_ROWS;
    // Units of all slots fill a GPU together, and each has a processor to measure; none takes what others could have.
    double filling = fmin(ceil((double)given->fill / c->setup.slots), ceil((double)c->rows_waiting / slots));
    rows = fmin(fmax(rows, filling), MOST_ROWS);
    if (given->instance_bytes > 0)
        rows = fmin(rows, (double)(c->setup.slot_bytes - given->unit_bytes) / (double)given->instance_bytes);
    int64_t whole = rows < 1 ? 1 : (int64_t)rows;
    return whole < range->rows ? whole : range->rows;
}

static bool take_unit(ts_coordinator *c, ts_unit *unit) {
    if (c->n_ready > 0) {
        *unit = c->ready[--c->n_ready];
        return true;
    }
    for (; c->range_now < c->n_ranges && c->range[c->range_now].rows == 0; c->range_now++)
        c->looked++;
    if (c->range_now == c->n_ranges)
        return false;
    ts_unit *range = &c->range[c->range_now];
    *unit = *range;
    unit->rows = unit_rows(c, range);
    range->first_row += unit->rows;
    range->rows -= unit->rows;
    return true;
}

// An ahead request is worth serving while every slot can still expect a unit after it...
static bool plenty(const ts_coordinator *c) {
    int64_t slots = (int64_t)c->setup.ranks * c->setup.slots;
    return c->rows_waiting > 2 * slots;
}

// ... and the others have not trained all that waits before the rank comes to it.
static bool comes_in_time(const ts_coordinator *c, int rank) {
    double slots = (double)c->setup.ranks * c->setup.slots;
    return ts_coordinator_waiting(c) / slots >= c->ranks[rank].last;
}

static bool take_rank(ts_coordinator *c, int *rank) {
    if (queue_pop(&c->urgent, rank))
        return true;
    while (plenty(c) && queue_pop(&c->ahead, rank)) {
        rank_state *state = &c->ranks[*rank];
        c->looked++;
        if (state->made_urgent > 0) {
            state->made_urgent--;
        } else if (comes_in_time(c, *rank)) {
            state->unserved--;
            return true;
        } else {
            state->dropped++; // what waits only gets less
        }
    }
    return false;
}

bool ts_coordinator_next(ts_coordinator *c, int *rank, ts_unit *unit) {
    c->looked++;
    if (c->closed || c->rows_waiting == 0 || !take_rank(c, rank))
        return false;
    take_unit(c, unit);
    add_waiting(c, unit, -1);
    c->ranks[*rank].last = (double)unit->rows * instance_cost(c, unit->case_index);
    c->units_out++;
    return true;
}

bool ts_coordinator_finished(const ts_coordinator *c) {
    return c->units_out == 0 && (c->closed || c->rows_waiting == 0);
}

int64_t ts_coordinator_units_out(const ts_coordinator *c) {
    return c->units_out;
}

int64_t ts_coordinator_looked(const ts_coordinator *c) {
    return c->looked;
}
