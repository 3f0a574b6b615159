// A search for the earliest common end, and segments of free ranks that teams are laid into.
#include "run/team_plan.h"

#include <math.h>

// What cannot be shared is to be over after this share of the time, so that it is not the tail where predictions are
// wrong; shared work, which can be shared anew at any moment, fills the rest.
static const double RIGID_SHARE = 0.25;

static int divide_up(int a, int b) {
    return (a + b - 1) / b;
}

// Threads of a rank that make parts.
static int threads_of(const ts_coordinator_case *of, int threads) {
    return of->ranks_only ? 1 : threads;
}

static int rounds_of(const ts_coordinator_case *of, int ranks, int threads) {
    return divide_up(divide_up(of->parts, ranks), threads_of(of, threads));
}

static int smaller(int a, int b) {
    return a < b ? a : b;
}

double ts_team_seconds(const ts_coordinator_case *of, int ranks, double threads) {
    if (of->parts <= 1)
        return of->cost;
    double parts = divide_up(of->parts, ranks); // of the rank that has most of them
    threads = of->ranks_only ? 1 : fmax(threads, 1);
    double rounds = fmax(ceil(parts / ceil(threads)), parts / threads);
    return of->cost * (1 - of->shared + of->shared * rounds / of->parts) + (ranks > 1 ? of->exchange : 0);
}

int ts_team_wider(const ts_coordinator_case *of, int ranks, int most, int threads) {
    double now = ts_team_seconds(of, ranks, threads);
    for (int rounds = rounds_of(of, ranks, threads) - 1; rounds > 0; rounds--) {
        int wider = divide_up(of->parts, rounds * threads_of(of, threads));
        if (wider > most)
            return 0;
        if (ts_team_seconds(of, wider, threads) < now) // a second rank brings the exchange with it
            return wider;
    }
    return 0;
}

// The fewest of up to `most` ranks with which it takes no longer than with as many as that.
static int narrowed(const ts_coordinator_case *of, int most, int threads) {
    int ranks = smaller(most, of->parts);
    ranks = divide_up(of->parts, rounds_of(of, ranks, threads) * threads_of(of, threads));
    return ts_team_seconds(of, ranks, threads) < ts_team_seconds(of, 1, threads) ? ranks : 1;
}

double ts_team_fastest(const ts_coordinator_case *of, int most, int threads) {
    return ts_team_seconds(of, narrowed(of, most, threads), threads);
}

// The fewest of up to `most` ranks with which a job takes no longer than `end`, or else those with which it is fastest.
static int ranks_within(const ts_team_job *job, double end, int most, int threads) {
    const ts_coordinator_case *of = job->of;
    if (job->left * ts_team_seconds(of, 1, threads) <= end)
        return 1;
    double round = of->cost * of->shared / of->parts;
    double rounds = (end / job->left - of->cost * (1 - of->shared) - of->exchange) / round;
    int ranks = rounds >= 1 ? divide_up(of->parts, (int)fmin(rounds, of->parts) * threads_of(of, threads)) : most;
    return narrowed(of, smaller(ranks, most), threads);
}

static int rigid_ranks(const ts_team_rigid *rigid, double end, int threads) {
    double needed = ceil(rigid->seconds / (RIGID_SHARE * end * threads));
    needed = fmin(needed, ceil((double)rigid->units / threads));
    return rigid->units > 0 && needed > rigid->ranks ? (int)needed - rigid->ranks : 0;
}

// Widths with which all end by then; returns the ranks it takes.
static int64_t set_widths(ts_team_job *job, int64_t n, double end, int most, int threads) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += job[i].ranks = ranks_within(&job[i], end, most, threads);
    return sum;
}

// The earliest common end that `free` ranks can make, widths set; returns the ranks that are left over.
static int64_t search_widths(ts_team_job *job, int64_t n, int free, int threads, const ts_team_rigid *rigid) {
    double low = 0, high = 0;
    for (int64_t i = 0; i < n; i++)
        high = fmax(high, job[i].left * ts_team_seconds(job[i].of, 1, threads));
    for (int step = 0; step < 40; step++) {
        double end = (low + high) / 2;
        int kept = smaller(rigid_ranks(rigid, end, threads), free - (int)n);
        *(set_widths(job, n, end, free, threads) + kept <= free ? &high : &low) = end;
    }
    int kept = smaller(rigid_ranks(rigid, high, threads), free - (int)n);
    return free - kept - set_widths(job, n, high, free, threads);
}

// Ranks left over, to the longest that they make faster; returns those that are left over still.
static int64_t widen(ts_team_job *job, int64_t n, int64_t over, int free, int threads) {
    for (bool any = true; any && over > 0;) {
        any = false;
        for (int64_t i = 0; i < n; i++) {
            int wider = ts_team_wider(job[i].of, job[i].ranks, free, threads);
            if (wider == 0 || wider - job[i].ranks > over)
                continue;
            over -= wider - job[i].ranks;
            job[i].ranks = wider;
            any = true;
        }
    }
    return over;
}

// The first of the shortest run of free ranks that is long enough, or else of the longest; its length.
static int find_run(const int *threads, int ranks, int least, int wanted, int *first) {
    int best = 0;
    for (int begin = 0, end; begin < ranks; begin = end + 1) {
        for (end = begin; end < ranks && threads[end] >= least; end++)
            ;
        int length = end - begin;
        bool better = best < wanted ? length > best : length >= wanted && length < best;
        if (better) {
            best = length;
            *first = begin;
        }
    }
    return best;
}

static void occupy(const ts_team_job *job, int *threads) {
    for (int i = 0; i < job->ranks; i++)
        threads[job->first + i] = 0;
}

// Returns the ranks for which there was no room.
static int place(ts_team_job *job, int *threads, int ranks, int least) {
    int wanted = job->ranks, length = find_run(threads, ranks, least, wanted, &job->first);
    if (length < wanted)
        job->ranks = length > 0 ? narrowed(job->of, length, least) : 0;
    occupy(job, threads);
    return wanted - job->ranks;
}

// Wide ones find room first. Returns the ranks for which there was none.
static int64_t place_all(ts_team_job *job, int64_t n, int *threads, int ranks, int least) {
    int64_t lost = 0;
    int next = 0;
    for (int64_t i = 0; i < n; i++)
        next = job[i].ranks > next ? job[i].ranks : next;
    for (int wide = next; wide > 0; wide = next) {
        next = 0;
        for (int64_t i = 0; i < n; i++)
            if (job[i].first < 0 && job[i].ranks == wide)
                lost += place(&job[i], threads, ranks, least);
            else if (job[i].first < 0 && job[i].ranks > next)
                next = job[i].ranks;
    }
    return lost;
}

// Gives a job up to so many of the free ranks behind it; returns how many.
static int extend(ts_team_job *job, int64_t over, int *threads, int ranks, int least) {
    int end = job->first + job->ranks, before = job->ranks;
    for (; over > 0 && end < ranks && threads[end] >= least; end++)
        over--;
    for (int wider; (wider = ts_team_wider(job->of, job->ranks, end - job->first, least)) > 0;)
        job->ranks = wider;
    occupy(job, threads);
    return job->ranks - before;
}

void ts_team_plan(ts_team_job *job, int64_t n, int *threads, int ranks, int least, const ts_team_rigid *rigid) {
    int free = 0;
    for (int r = 0; r < ranks; r++)
        free += threads[r] >= least;
    for (int64_t i = 0; i < n; i++) {
        job[i].first = -1;
        job[i].ranks = 0;
    }
    n = n < free ? n : free;
    if (n == 0)
        return;
    int64_t over = widen(job, n, search_widths(job, n, free, least, rigid), free, least);
    over += place_all(job, n, threads, ranks, least);
    for (int64_t i = 0; i < n && over > 0; i++)
        if (job[i].ranks > 0)
            over -= extend(&job[i], over, threads, ranks, least);
}
