// Everything between rank 0 and the workers, played through in virtual time over thousands of random seeds: any
// costs, slow, late and dying ranks, messages that take their time, stops, restarts with another layout. What MPI
// promises holds (messages of a pair arrive once and in order), nothing else does.
// TOYSWEEP_SEEDS sets how many seeds.
#include "run/coordinator.h"
#include "run/desk.h"
#include "support.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { CASES = 40, ROWS = 60, RANKS = 24, SLOTS = 512, EVENTS = 1 << 16 };

// One thing to happen: a message arrives, or a slot is finished.
typedef struct event {
    double time;
    int64_t number; // breaks ties, in the order of making
    int to;         // rank; LEADER
    int from;
    int kind; // ts_message_kind; or one of these
    ts_unit unit;
} event;
enum { LEADER = -1, SLOT_FINISHED = 100, WAKE, DEATH, STOP_SIGNAL };

typedef struct worker {
    double speed, late; // truth over prediction; seconds until it looks at messages, at most
    ts_desk desk;
    int training;
    ts_unit trains[SLOTS];
    double last_up, last_down; // when the last message of each direction arrives
    bool awake, over;
    int64_t fits; // rows
    bool scarce;  // a single row may find no memory
} worker;

typedef struct world {
    uint64_t seed;
    ts_philox random;
    int cases, ranks, slots;
    ts_coordinator_case given[CASES];
    double truth[CASES];
    int64_t rows[CASES];
    int committed[CASES][ROWS]; // times
    ts_unit saved[CASES * ROWS];
    int64_t n_saved;
    ts_coordinator *coordinator;
    worker worker[RANKS];
    event heap[EVENTS];
    int64_t n_events, made;
    double now;
    bool stopping, finishing, dead;
    int stopped;
    int64_t messages, runs, deaths, stops, splits, alone, urgent; // counted over all seeds
    int most_queued;                                              // units that waited for slots of one rank
} world;

static double uniform(world *w) {
    uint32_t words[4];
    ts_philox_next(&w->random, words);
    return words[0] * 0x1p-32;
}

static int below(world *w, int n) {
    return (int)(uniform(w) * n);
}

#define broken(w, ...)                                                                                                 \
    do {                                                                                                               \
        print_error("seed %llu: ", (unsigned long long)(w)->seed);                                                     \
        fail_msg(__VA_ARGS__);                                                                                         \
    } while (0)

// --- Events in virtual time ---

static bool earlier(const event *a, const event *b) {
    return a->time != b->time ? a->time < b->time : a->number < b->number;
}

static void push(world *w, event item) {
    int64_t at = w->n_events++;
    if (at == EVENTS)
        broken(w, "more than %d events wait", EVENTS);
    item.number = w->made++;
    for (; at > 0 && earlier(&item, &w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = item;
}

static event pop(world *w) {
    event first = w->heap[0], last = w->heap[--w->n_events];
    int64_t at = 0;
    for (int64_t child; (child = 2 * at + 1) < w->n_events; at = child) {
        if (child + 1 < w->n_events && earlier(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!earlier(&w->heap[child], &last))
            break;
        w->heap[at] = w->heap[child];
    }
    w->heap[at] = last;
    return first;
}

// Messages of a pair keep their order; apart from that, one may take a second and the next a microsecond.
static void send(world *w, int from, int to, int kind, const ts_unit *unit) {
    worker *peer = &w->worker[from == LEADER ? to : from];
    double *last = from == LEADER ? &peer->last_down : &peer->last_up;
    double delay = below(w, 20) ? 1e-3 * uniform(w) : uniform(w);
    *last = fmax(*last, w->now + delay + (from == LEADER ? peer->late * uniform(w) : 0));
    push(w, (event){.time = *last, .to = to, .from = from, .kind = kind, .unit = unit ? *unit : (ts_unit){0}});
    w->messages++;
}

// --- A worker, as run/worker.c: what a tick does is here done after each event, or a little later ---

static void commit(world *w, int rank, const ts_unit *unit) {
    for (int64_t row = unit->first_row; row < unit->first_row + unit->rows; row++)
        if (unit->case_index < 0 || unit->case_index >= w->cases || row < 0 || row >= w->rows[unit->case_index] ||
            ++w->committed[unit->case_index][row] != 1)
            broken(w, "rank %d commits case %d row %lld, which is there already or does not exist", rank,
                   unit->case_index, (long long)row);
    send(w, rank, LEADER, TS_MSG_DONE, unit);
}

static void start_next(world *w, int rank) {
    worker *self = &w->worker[rank];
    for (ts_unit unit; ts_desk_start(&self->desk, &unit);) {
        self->trains[self->training++] = unit;
        if (self->desk.is_alone && self->training > 1)
            broken(w, "rank %d trains %d units, one of which is to be alone", rank, self->training);
        double seconds = w->truth[unit.case_index] * (double)unit.rows * self->speed;
        push(w, (event){.time = w->now + seconds, .to = rank, .kind = SLOT_FINISHED, .unit = unit});
    }
}

static void tick(world *w, int rank) {
    start_next(w, rank);
    for (ts_message_kind kind; ts_desk_ask(&w->worker[rank].desk, &kind);) {
        w->urgent += kind == TS_MSG_URGENT;
        send(w, rank, LEADER, kind, NULL);
    }
}

static bool is_unit(const ts_unit *a, const ts_unit *b) {
    return a->case_index == b->case_index && a->first_row == b->first_row && a->rows == b->rows;
}

static void slot_finished(world *w, int rank, const ts_unit *unit) {
    worker *self = &w->worker[rank];
    int at = 0;
    while (at < self->training && !is_unit(&self->trains[at], unit))
        at++;
    if (at == self->training)
        return; // it was saved at a stop meanwhile
    self->trains[at] = self->trains[--self->training];
    bool is_short = unit->rows == 1 && self->scarce && below(w, 2), again = false;
    if (is_short)
        again = ts_desk_try_alone(&self->desk, unit);
    else
        ts_desk_finish(&self->desk);
    start_next(w, rank);
    w->alone += again;
    if (again)
        return;
    if (unit->rows > 1 && unit->rows > self->fits)
        send(w, rank, LEADER, TS_MSG_SPLIT, unit);
    else
        commit(w, rank, unit);
}

static void save_all(world *w, int rank) {
    worker *self = &w->worker[rank];
    ts_desk_stop(&self->desk);
    for (; self->training > 0; ts_desk_finish(&self->desk))
        w->saved[w->n_saved++] = self->trains[--self->training];
}

static void worker_event(world *w, const event *e) {
    worker *self = &w->worker[e->to];
    if (self->over)
        broken(w, "rank %d gets a message after FINISH", e->to);
    switch (e->kind) {
    case WAKE:
        self->awake = true;
        break;
    case SLOT_FINISHED:
        slot_finished(w, e->to, &e->unit);
        break;
    case TS_MSG_ASSIGN:
        if (ts_desk_receive(&self->desk, &e->unit) != TS_OK)
            broken(w, "rank %d: %s", e->to, ts_message());
        if (self->desk.queued > w->most_queued)
            w->most_queued = self->desk.queued;
        break;
    case TS_MSG_STOP:
        save_all(w, e->to);
        break;
    case TS_MSG_FINISH:
        if (self->training || self->desk.queued > 0)
            broken(w, "FINISH while rank %d trains", e->to);
        self->over = true;
        return;
    default:
        broken(w, "rank %d gets a message of kind %d", e->to, e->kind);
    }
    if (!self->awake)
        return;
    if (e->kind == WAKE || below(w, 4)) {
        tick(w, e->to);
    } else { // busy with something else: messages pile up
        self->awake = false;
        push(w, (event){.time = w->now + (below(w, 4) ? 1e-3 : 1) * uniform(w), .to = e->to, .kind = WAKE});
    }
}

// --- The leader, as run/leader.c ---

static void send_all(world *w, int kind) {
    for (int rank = 0; rank < w->ranks; rank++)
        send(w, LEADER, rank, kind, NULL);
}

static void leader_event(world *w, const event *e) {
    double speed = e->from >= 0 ? w->worker[e->from].speed : 1;
    switch (e->kind) {
    case TS_MSG_REQUEST:
    case TS_MSG_AHEAD:
        assert_int_equal(ts_coordinator_request(w->coordinator, e->from, e->kind == TS_MSG_REQUEST), TS_OK);
        break;
    case TS_MSG_URGENT:
        assert_int_equal(ts_coordinator_make_urgent(w->coordinator, e->from), TS_OK);
        break;
    case TS_MSG_DONE:
        ts_coordinator_done(w->coordinator, &e->unit, w->truth[e->unit.case_index] * (double)e->unit.rows * speed);
        break;
    case TS_MSG_SPLIT:
        w->splits++;
        if (!ts_coordinator_split(w->coordinator, &e->unit))
            broken(w, "a unit of %lld rows cannot be split", (long long)e->unit.rows);
        break;
    case TS_MSG_STOPPED:
        w->stopped++;
        break;
    case STOP_SIGNAL:
        if (w->stopping || w->finishing)
            break;
        w->stopping = true;
        ts_coordinator_close(w->coordinator);
        send_all(w, TS_MSG_STOP);
        break;
    default:
        broken(w, "the leader gets a message of kind %d", e->kind);
    }
    if (w->finishing)
        return;
    if (w->stopping ? w->stopped == w->ranks : ts_coordinator_finished(w->coordinator)) {
        w->finishing = true;
        send_all(w, TS_MSG_FINISH);
        return;
    }
    for (ts_assignment given; ts_coordinator_next(w->coordinator, &given);)
        send(w, LEADER, given.rank, TS_MSG_ASSIGN, &given.unit);
}

// --- Runs ---

// What of a dying run is on disk: the commits, and states of some of what was training.
static void die(world *w) {
    w->dead = true;
    w->deaths++;
    for (int rank = 0; rank < w->ranks; rank++)
        for (int i = 0; i < w->worker[rank].training; i++)
            if (below(w, 2))
                w->saved[w->n_saved++] = w->worker[rank].trains[i];
}

// Pending rows outside saved units, and the saved units that still fit, as run/schedule.c.
static int64_t list_pending(world *w, ts_unit *pending) {
    static bool taken[CASES][ROWS];
    memset(taken, 0, sizeof taken);
    int64_t kept = 0, n = 0;
    for (int64_t i = 0; i < w->n_saved; i++) {
        ts_unit unit = w->saved[i];
        bool fits = true;
        for (int64_t row = unit.first_row; row < unit.first_row + unit.rows; row++)
            fits = fits && !w->committed[unit.case_index][row] && !taken[unit.case_index][row];
        for (int64_t row = unit.first_row; fits && row < unit.first_row + unit.rows; row++)
            taken[unit.case_index][row] = true;
        if (fits)
            w->saved[kept++] = unit;
    }
    w->n_saved = kept;
    for (int c = 0; c < w->cases; c++)
        for (int64_t row = 0; row < w->rows[c]; row++)
            if (!w->committed[c][row] && !taken[c][row]) {
                if (n > 0 && pending[n - 1].case_index == c && pending[n - 1].first_row + pending[n - 1].rows == row)
                    pending[n - 1].rows++;
                else
                    pending[n++] = (ts_unit){c, row, 1};
            }
    return n;
}

static void start_run(world *w, bool last) {
    static ts_unit pending[CASES * ROWS];
    w->ranks = 1 + below(w, below(w, 3) ? 6 : RANKS);
    w->slots = 1 + below(w, below(w, 16) ? 3 : SLOTS);
    w->stopping = w->finishing = w->dead = false;
    w->stopped = 0;
    w->n_events = 0;
    ts_coordinator_setup setup = {
        .ranks = w->ranks,
        .slots = w->slots,
        .slot_bytes = 1000 * (1 + (int64_t)below(w, 100)),
        .cases = w->cases,
        .cases_of = w->given,
        .pending = pending,
        .n_pending = list_pending(w, pending),
        .saved = w->saved,
        .n_saved = w->n_saved,
    };
    assert_int_equal(ts_coordinator_create(&setup, &w->coordinator), TS_OK);
    w->n_saved = 0;
    double work = ts_coordinator_waiting(w->coordinator) / (w->ranks * w->slots);
    for (int rank = 0; rank < w->ranks; rank++) {
        w->worker[rank] = (worker){
            .speed = below(w, 4) ? 1 : 1 + 19 * uniform(w),
            .late = below(w, 8) ? 0 : uniform(w),
            .last_up = w->now,
            .last_down = w->now,
            .fits = below(w, 3) ? INT64_MAX : 1 + below(w, 8),
            .scarce = below(w, 4) == 0,
        };
        assert_int_equal(ts_desk_open(&w->worker[rank].desk, w->slots), TS_OK);
        push(w, (event){.time = w->now + (below(w, 8) ? 0 : work * uniform(w)), .to = rank, .kind = WAKE});
    }
    if (!last && below(w, 2))
        push(w, (event){.time = w->now + 2 * work * uniform(w), .to = LEADER, .kind = DEATH});
    if (!last && below(w, 2))
        push(w, (event){.time = w->now + 2 * work * uniform(w), .to = LEADER, .from = LEADER, .kind = STOP_SIGNAL});
    // Nothing to do: then there are no events of the leader that would say so.
    if (ts_coordinator_finished(w->coordinator)) {
        w->finishing = true;
        send_all(w, TS_MSG_FINISH);
    }
}

static void play_run(world *w) {
    for (int64_t guard = 0; w->n_events > 0 && !w->dead; guard++) {
        event e = pop(w);
        w->now = e.time;
        if (guard > 1000000)
            broken(w, "no end");
        if (e.kind == DEATH) {
            if (!w->finishing)
                die(w);
        } else if (e.to == LEADER)
            leader_event(w, &e);
        else if (e.kind < SLOT_FINISHED || !w->worker[e.to].over)
            worker_event(w, &e);
    }
    for (int rank = 0; !w->dead && rank < w->ranks; rank++)
        if (!w->worker[rank].over)
            broken(w, "rank %d of %d waits forever", rank, w->ranks);
    for (int rank = 0; rank < w->ranks; rank++)
        ts_desk_close(&w->worker[rank].desk);
    ts_coordinator_free(w->coordinator);
    w->runs++;
}

static void make_sweep(world *w, uint64_t seed) {
    w->seed = seed;
    w->random = ts_philox_at(seed, TS_STREAM_BATCH, 0, 0);
    w->now = 0;
    w->n_saved = 0;
    w->cases = 1 + below(w, below(w, 4) ? 8 : CASES);
    memset(w->committed, 0, sizeof w->committed);
    for (int c = 0; c < w->cases; c++) {
        double cost = pow(10, 4 * uniform(w) - 3);
        w->given[c] = (ts_coordinator_case){
            .cost = below(w, 50) ? cost : 0,
            .instance_bytes = below(w, 2) ? 1000 : 0,
            .unit_bytes = below(w, 2000),
            .fill = 1 + below(w, 4),
            .most_rows = below(w, 2) ? 1 + below(w, 40) : 0,
        };
        w->truth[c] = cost * pow(4, 2 * uniform(w) - 1);
        w->rows[c] = 1 + below(w, ROWS);
    }
}

static int64_t seeds(int64_t otherwise) {
    const char *text = getenv("TOYSWEEP_SEEDS");
    return text ? atoll(text) : otherwise;
}

TEST(test_every_instance_is_trained_exactly_once_whatever_happens) {
    world *w = ts_alloc_zero(1, sizeof *w, "a world");
    int64_t n = seeds(10000);
    for (int64_t seed = 1; seed <= n; seed++) {
        make_sweep(w, (uint64_t)seed);
        bool done = false;
        for (int run = 0; !done; run++) {
            start_run(w, run >= 6);
            play_run(w);
            done = true;
            for (int c = 0; c < w->cases; c++)
                for (int64_t row = 0; row < w->rows[c]; row++)
                    done = done && w->committed[c][row];
            if (!done && run >= 6)
                broken(w, "a run without a fault leaves instances untrained");
        }
    }
    printf("%lld seeds: %lld runs, %lld deaths, %lld splits, %lld tried alone, %lld messages (%lld urgent), up to %d "
           "units waiting on a rank; each instance once\n",
           (long long)n, (long long)w->runs, (long long)w->deaths, (long long)w->splits, (long long)w->alone,
           (long long)w->messages, (long long)w->urgent, w->most_queued);
    assert_true(w->deaths > n / 10 && w->splits > n / 10 && w->alone > n / 10 && w->urgent > n / 10 &&
                w->most_queued > 64);
    ts_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_instance_is_trained_exactly_once_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
