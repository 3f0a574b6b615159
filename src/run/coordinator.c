// Queues of what waits and of who asks; how large a unit may be. What several ranks may share is teams.c's, once so
// few of it are left that this matters.
#define _GNU_SOURCE // qsort_r
#include "run/coordinator.h"

#include "base/memory.h"
#include "run/requests.h"
#include "run/team_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A unit takes this share of a slot's part of what is left: 1/4 bounds the wait at the end to about a quarter
// of the last round while a round still halves what is left.
static const double SHARE = 0.25;
// Units below this many seconds cost more in messages and commits than they train.
static const double SHORTEST = 0.05;
enum { MOST_ROWS = 4096 };

typedef struct case_state {
    ts_coordinator_case given;
    double predicted; // as given, per instance
    double seconds;   // measured so far
    int64_t measured; // instances behind `seconds`
} case_state;

typedef struct rank_state {
    bool lost;
    int unserved;    // ahead requests not answered with a unit yet
    int dropped;     // of those: no longer in the queue; the rank will say when it is urgent
    int made_urgent; // entries of the ahead queue that are void, having become urgent
    double last;     // seconds of the unit it was given last
} rank_state;

// Instances that wait, and their predicted seconds before calibration.
typedef struct amount {
    int64_t rows;
    double seconds;
} amount;

struct ts_coordinator {
    ts_coordinator_setup setup;
    case_state *cases;
    ts_unit *range; // pending row ranges, longest instances first
    int64_t n_ranges, range_now;
    ts_unit *ready; // whole units: saved ones and halves; a stack
    int64_t n_ready, ready_capacity;
    ts_requests urgent, ahead;
    rank_state *ranks;       // (setup.ranks)
    ts_teams *teams;         // NULL: nothing can be shared
    int64_t shared_now;      // ranges before this one have given teams all they have
    bool few;                // all that can be shared is with the teams
    amount ordinary, teamed; // the latter for teams
    int64_t units_out;
    ts_status status;                            // of requests that were not asked for by a call which could say so
    double measured_predicted, measured_seconds; // over finished units: their prediction, and the truth
    int64_t looked;
    bool closed;
};

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

// Whether ranks may share instances of the unit's case.
static bool is_shared(const ts_coordinator *c, const ts_unit *unit) {
    return c->teams && c->cases[unit->case_index].given.parts > 1;
}

static void add(const ts_coordinator *c, amount *to, const ts_unit *unit, double left, int sign) {
    to->rows += sign * unit->rows;
    to->seconds += sign * left * (double)unit->rows * c->cases[unit->case_index].predicted;
}

// Where teams have a fixed size, nothing that can be shared is given to anybody else. Whole: a unit that stays as it
// is; one of several instances is not shared.
static void add_waiting(ts_coordinator *c, const ts_unit *unit, bool whole, int sign) {
    bool shared = is_shared(c, unit) && !(whole && unit->rows > 1);
    add(c, shared && c->teams->fixed ? &c->teamed : &c->ordinary, unit, 1, sign);
    if (shared)
        c->teams->unseen += sign * unit->rows;
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
    add_waiting(c, unit, true, 1);
    return TS_OK;
}

// Instances that ranks can share, if they are to.
static int64_t count_shared(const ts_coordinator_setup *setup) {
    int64_t rows = 0;
    if (setup->ranks == 1 || setup->ranks_per_instance == 1)
        return 0;
    for (int64_t i = 0; i < setup->n_pending; i++)
        rows += setup->cases_of[setup->pending[i].case_index].parts > 1 ? setup->pending[i].rows : 0;
    for (int64_t i = 0; i < setup->n_saved; i++)
        rows += setup->saved[i].rows == 1 && setup->cases_of[setup->saved[i].case_index].parts > 1;
    return rows;
}

static ts_status open_teams(ts_coordinator *c, const ts_coordinator_setup *setup) {
    int64_t shared = count_shared(setup);
    if (shared == 0)
        return TS_OK;
    c->teams = ts_alloc_zero(1, sizeof *c->teams, "the coordinator");
    ts_status status = c->teams ? ts_teams_open(c->teams, setup, shared) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        c->teams->unseen = 0; // counted again as they come
    return status;
}

static ts_status fill(ts_coordinator *c, const ts_coordinator_setup *setup) {
    c->cases = ts_alloc_zero((size_t)setup->cases, sizeof *c->cases, "the coordinator");
    c->range = ts_alloc((size_t)setup->n_pending * sizeof *c->range, "the coordinator");
    c->ranks = ts_alloc_zero((size_t)setup->ranks, sizeof *c->ranks, "the coordinator");
    int64_t requests = (int64_t)setup->ranks * (setup->slots + 2);
    if (!c->cases || !c->range || !c->ranks || ts_requests_reserve(&c->urgent, requests) != TS_OK ||
        ts_requests_reserve(&c->ahead, requests) != TS_OK || open_teams(c, setup) != TS_OK)
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
        add_waiting(c, &c->range[i], false, 1);
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
    ts_requests_close(&c->urgent);
    ts_requests_close(&c->ahead);
    ts_free(c->ranks);
    if (c->teams)
        ts_teams_close(c->teams);
    ts_free(c->teams);
    ts_free(c);
}

// --- Events ---

static ts_status push_urgent(ts_coordinator *c, int rank) {
    return ts_requests_push(&c->urgent, (ts_request){rank, c->teams ? c->teams->rank[rank].epoch : 0});
}

static ts_status ask(ts_coordinator *c, int rank) {
    if (c->teams)
        ts_teams_ask(c->teams, rank);
    bool closed = c->teams && c->teams->rank[rank].closed; // it counts later
    ts_status status = closed ? TS_OK : push_urgent(c, rank);
    return status == TS_OK ? c->status : status;
}

// Ranks that were closed ask once more for every idle slot.
static void open_ranks(ts_coordinator *c) {
    for (int rank; (rank = ts_teams_opened(c->teams)) >= 0;)
        for (int i = 0; i < c->teams->rank[rank].idle && c->status == TS_OK; i++)
            c->status = push_urgent(c, rank);
}

ts_status ts_coordinator_request(ts_coordinator *c, int rank, bool urgent) {
    if (urgent)
        return ask(c, rank);
    c->ranks[rank].unserved++;
    return ts_requests_push(&c->ahead, (ts_request){rank, 0});
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
    return ask(c, rank);
}

static void calibrate(ts_coordinator *c, const ts_unit *unit, double seconds) {
    case_state *state = &c->cases[unit->case_index];
    state->seconds += seconds;
    state->measured += unit->rows;
    c->measured_seconds += seconds;
    c->measured_predicted += (double)unit->rows * state->predicted;
}

static ts_wide *find_wide(const ts_coordinator *c, const ts_unit *unit) {
    return is_shared(c, unit) ? ts_teams_find(c->teams, unit) : NULL;
}

void ts_coordinator_done(ts_coordinator *c, const ts_unit *unit, double seconds) {
    ts_wide *wide = find_wide(c, unit);
    bool helped = c->cases[unit->case_index].given.parts > 1 && c->setup.slots > 1;
    double speed = wide ? ts_teams_speed(c->teams, wide) : !helped;
    if (speed > 0 && !(wide && wide->saved))
        calibrate(c, unit, seconds * speed);
    if (wide) {
        ts_teams_finish(c->teams, wide);
        open_ranks(c);
    } else if (c->teams) {
        c->teams->ends++;
    }
    c->units_out--;
}

void ts_coordinator_progress(ts_coordinator *c, const ts_unit *unit, double done) {
    ts_wide *wide = find_wide(c, unit);
    if (wide && wide->ranks > 0)
        wide->left = fmin(fmax(1 - done, 0), 1);
}

ts_status ts_coordinator_returned(ts_coordinator *c, const ts_unit *unit, double left) {
    ts_wide *wide = find_wide(c, unit);
    c->units_out--;
    if (!wide)
        return push_ready(c, unit);
    ts_teams_give_back(c->teams, wide, fmin(fmax(left, 0), 1));
    add(c, &c->teamed, unit, wide->left, 1);
    open_ranks(c);
    return c->status;
}

void ts_coordinator_wait_no_more(ts_coordinator *c) {
    if (c->teams)
        ts_teams_wait_no_more(c->teams);
}

bool ts_coordinator_split(ts_coordinator *c, const ts_unit *unit) {
    ts_wide *wide = find_wide(c, unit);
    if (wide) {
        ts_teams_finish(c->teams, wide);
        open_ranks(c);
    }
    c->units_out--;
    if (unit->rows < 2)
        return false;
    ts_unit first = *unit, second = *unit;
    first.rows = unit->rows / 2;
    second.first_row += first.rows;
    second.rows -= first.rows;
    bool kept = push_ready(c, &second) == TS_OK && push_ready(c, &first) == TS_OK;
    c->few = false; // perhaps halves can be shared, now
    if (c->teams)
        ts_teams_keep(c->teams);
    return kept;
}

void ts_coordinator_lost(ts_coordinator *c, int rank, int64_t units) {
    c->ranks[rank].lost = true;
    c->units_out -= units;
    if (c->teams)
        ts_teams_lose(c->teams, rank);
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
    return c->ordinary.rows + c->teamed.rows > 0 ? (c->ordinary.seconds + c->teamed.seconds) * calibration(c) : 0;
}

static double ordinary_seconds(const ts_coordinator *c) {
    return c->ordinary.rows > 0 ? c->ordinary.seconds * calibration(c) : 0;
}

// Rows of the next unit cut from `range`.
static int64_t unit_rows(const ts_coordinator *c, const ts_unit *range) {
    const ts_coordinator_case *given = &c->cases[range->case_index].given;
    double cost = instance_cost(c, range->case_index);
    double slots = (double)c->setup.ranks * c->setup.slots;
    double seconds = fmax(SHARE * ordinary_seconds(c) / slots, SHORTEST);
    double rows = cost > 0 ? seconds / cost : MOST_ROWS;
    // Units of all slots fill a GPU together, and each has a processor to measure; none takes what others could have.
    // What a slot trains at once it gets at once, unless that is more than each has left.
    double together = fmax(given->together, 1), left = ordinary_seconds(c) / slots;
    double lanes = cost > 0 ? fmin(together, left / cost) : together;
    double fill = fmax(ceil((double)given->fill / c->setup.slots), lanes);
    double filling = fmin(fill, ceil((double)c->ordinary.rows / slots));
    rows = fmin(fmax(given->most_rows > 0 ? fmin(rows, (double)given->most_rows) : rows, filling), MOST_ROWS);
    if (given->instance_bytes > 0)
        rows = fmin(rows, (double)(c->setup.slot_bytes - given->unit_bytes) / (double)given->instance_bytes);
    if (rows >= together)
        rows = floor(rows / together) * together;
    int64_t whole = rows < 1 ? 1 : (int64_t)rows;
    return whole < range->rows ? whole : range->rows;
}

// The range that is cut from next, longest instances first; NULL: none.
static ts_unit *next_range(ts_coordinator *c) {
    for (; c->range_now < c->n_ranges; c->range_now++, c->looked++) {
        ts_unit *range = &c->range[c->range_now];
        if (range->rows > 0 && !(is_shared(c, range) && c->teams->fixed))
            return range;
    }
    return NULL;
}

static bool take_unit(ts_coordinator *c, ts_unit *unit) {
    if (c->n_ready > 0) {
        *unit = c->ready[--c->n_ready];
        add_waiting(c, unit, true, -1);
        return true;
    }
    ts_unit *range = next_range(c);
    if (!range)
        return false;
    *unit = *range;
    unit->rows = unit_rows(c, range);
    range->first_row += unit->rows;
    range->rows -= unit->rows;
    add_waiting(c, unit, false, -1);
    return true;
}

// An ahead request is worth serving while every slot can still expect a unit after it...
static bool plenty(const ts_coordinator *c) {
    int64_t slots = (int64_t)c->setup.ranks * c->setup.slots;
    return c->ordinary.rows > 2 * slots;
}

// ... and the others have not trained all that waits before the rank comes to it.
static bool comes_in_time(const ts_coordinator *c, int rank) {
    double slots = (double)c->setup.ranks * c->setup.slots;
    return ordinary_seconds(c) / slots >= c->ranks[rank].last;
}

static bool take_urgent(ts_coordinator *c, int *rank) {
    for (ts_request item; ts_requests_pop(&c->urgent, &item);) {
        *rank = item.rank;
        if (!c->ranks[item.rank].lost && (!c->teams || ts_teams_serve(c->teams, item.rank, item.epoch)))
            return true;
        c->looked++;
    }
    return false;
}

static bool take_rank(ts_coordinator *c, int *rank) {
    if (take_urgent(c, rank))
        return true;
    for (ts_request item; plenty(c) && ts_requests_pop(&c->ahead, &item);) {
        *rank = item.rank;
        rank_state *state = &c->ranks[*rank];
        c->looked++;
        if (state->lost)
            continue;
        if (state->made_urgent > 0) {
            state->made_urgent--;
        } else if (comes_in_time(c, *rank) && !(c->teams && c->teams->rank[*rank].closed)) {
            state->unserved--;
            return true;
        } else {
            state->dropped++; // what waits only gets less
        }
    }
    return false;
}

// --- What ranks share ---

static ts_status share_one(ts_coordinator *c, ts_unit *from, bool saved) {
    ts_unit unit = {from->case_index, from->first_row++, 1};
    from->rows--;
    add_waiting(c, &unit, false, -1);
    add(c, &c->teamed, &unit, 1, 1);
    return ts_teams_add(c->teams, &unit, saved);
}

static ts_status share_ready(ts_coordinator *c) {
    ts_status status = TS_OK;
    int64_t kept = 0;
    for (int64_t i = 0; i < c->n_ready; i++) {
        if (status == TS_OK && c->ready[i].rows == 1 && is_shared(c, &c->ready[i]))
            status = share_one(c, &c->ready[i], true);
        else
            c->ready[kept++] = c->ready[i];
    }
    c->n_ready = kept;
    return status;
}

// From ranges, until so many wait.
static ts_status share_ranges(ts_coordinator *c, int64_t most) {
    ts_status status = TS_OK;
    for (; c->shared_now < c->n_ranges; c->shared_now++)
        while (is_shared(c, &c->range[c->shared_now]) && c->range[c->shared_now].rows > 0 && status == TS_OK) {
            if (c->teams->waiting >= most)
                return TS_OK;
            status = share_one(c, &c->range[c->shared_now], false);
        }
    return status;
}

// Hands what can be shared to the teams, once that is no more than there are slots: until then, every slot trains one
// of its own, which loses nothing.
static ts_status share(ts_coordinator *c) {
    ts_teams *teams = c->teams;
    int64_t slots = (int64_t)c->setup.ranks * c->setup.slots;
    for (int i = 0; i < c->setup.cases; i++)
        if (c->cases[i].given.parts > 1)
            teams->cases[i].cost = instance_cost(c, i);
    ts_status status = TS_OK;
    if (!c->few && (teams->fixed || teams->count + teams->unseen <= slots)) {
        c->few = true;
        status = share_ready(c);
    }
    if (status == TS_OK && c->few)
        status = share_ranges(c, teams->fixed ? c->setup.ranks : INT64_MAX);
    return status;
}

// Of what is given to ranks alone, longest first.
static bool others_first(ts_coordinator *c) {
    double longest = ts_team_choice_longest(c->teams);
    const ts_unit *range = c->n_ready == 0 ? next_range(c) : NULL;
    return range && c->urgent.count > 0 && instance_cost(c, range->case_index) > longest;
}

static bool next_shared(ts_coordinator *c, ts_assignment *out) {
    c->status = share(c);
    if (c->status != TS_OK || others_first(c))
        return false;
    const ts_wide *wide = ts_team_choice_next(c->teams, ordinary_seconds(c), c->ordinary.rows);
    open_ranks(c);
    if (!wide)
        return false;
    *out = (ts_assignment){wide->unit, wide->first, wide->ranks};
    add(c, &c->teamed, &wide->unit, wide->left, -1);
    return true;
}

// A unit that others may share later is remembered.
static void remember(ts_coordinator *c, const ts_assignment *given) {
    if (given->unit.rows != 1 || !is_shared(c, &given->unit) || ts_teams_add(c->teams, &given->unit, false) != TS_OK)
        return;
    ts_teams_give(c->teams, ts_teams_find(c->teams, &given->unit), given->rank);
}

static bool next_ordinary(ts_coordinator *c, ts_assignment *out) {
    out->ranks = 1;
    if (c->ordinary.rows == 0 || (c->teams && ts_teams_wait(c->teams)) || !take_rank(c, &out->rank))
        return false;
    if (!take_unit(c, &out->unit))
        return false;
    remember(c, out);
    return true;
}

bool ts_coordinator_next(ts_coordinator *c, ts_assignment *out) {
    c->looked++;
    if (c->closed || c->status != TS_OK || c->ordinary.rows + c->teamed.rows == 0)
        return false;
    if (!(c->teams && next_shared(c, out)) && !next_ordinary(c, out))
        return false;
    c->ranks[out->rank].last = (double)out->unit.rows * instance_cost(c, out->unit.case_index);
    c->units_out++;
    return true;
}

bool ts_coordinator_recall(ts_coordinator *c, ts_assignment *out) {
    if (!c->teams || c->closed || c->ordinary.rows > 0)
        return false;
    const ts_wide *wide = ts_team_choice_recall(c->teams);
    if (wide)
        *out = (ts_assignment){wide->unit, wide->first, wide->ranks};
    return wide != NULL;
}

ts_status ts_coordinator_status(const ts_coordinator *c) {
    return c->status;
}

bool ts_coordinator_finished(const ts_coordinator *c) {
    return c->units_out == 0 && (c->closed || c->ordinary.rows + c->teamed.rows == 0);
}

int64_t ts_coordinator_units_out(const ts_coordinator *c) {
    return c->units_out;
}

int64_t ts_coordinator_looked(const ts_coordinator *c) {
    return c->looked;
}
