// Plans are compared by when all would be over.
#define _GNU_SOURCE // qsort_r
#include "run/team_choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A team that is called back saves its state and another one reads it: seconds that nobody trains.
static const double RECALL_SECONDS = 10;
// It is worth that if it makes all end this much earlier, in seconds and as a share of what is left.
static const double LEAST_GAIN = 30, LEAST_SHARE = 0.02;
// Plans are compared over this share of what is left at least: after that, things have changed anyway.
static const double HORIZON = 0.25;

// --- What a plan is worth ---

static ts_team_job job_of(const ts_teams *teams, const ts_wide *wide) {
    return (ts_team_job){ts_teams_case(teams, wide), wide->left, wide->first, wide->ranks};
}

static double seconds_left(const ts_teams *teams, const ts_wide *wide) {
    return wide->left * ts_team_seconds(ts_teams_case(teams, wide), wide->ranks, ts_teams_threads(teams, wide));
}

// Of a job that is planned on ranks with so many idle threads; never, if it has to wait.
static double planned_seconds(const ts_team_job *job, const int *threads) {
    int least = job->ranks > 0 ? threads[job->first] : 0;
    for (int r = 1; r < job->ranks; r++)
        least = threads[job->first + r] < least ? threads[job->first + r] : least;
    return job->ranks > 0 ? job->left * ts_team_seconds(job->of, job->ranks, least) : INFINITY;
}

// Threads that train such units or are idle.
static double all_threads(const ts_teams *teams) {
    double sum = 0;
    for (int r = 0; r < teams->ranks; r++)
        sum += teams->rank[r].idle + teams->rank[r].units;
    return sum;
}

// When all would be over if the first `planned` units of `order` were trained as in `job`, on ranks with so many idle
// threads, the others as they are now, and everything without a loss from when the first of them ends (or a while from
// now): the ranks that are idle then are put to use.
static double all_over(const ts_teams *teams, int64_t planned, const int *threads) {
    double work = 0, first = INFINITY, last = 0, rest = 0, longest = 0, capacity = all_threads(teams);
    for (int pass = 0; pass < 2; pass++) {
        double horizon = fmax(first, HORIZON * work / capacity);
        for (int64_t i = 0; i < teams->count; i++) {
            const ts_wide *wide = teams->order[i];
            const ts_coordinator_case *of = ts_teams_case(teams, wide);
            double seconds = i < planned ? planned_seconds(&teams->job[i], threads) : seconds_left(teams, wide);
            if (pass == 0) {
                work += wide->left * of->cost;
                first = fmin(first, seconds);
                last = fmax(last, seconds);
            } else if (seconds > horizon) {
                double left = wide->left * (1 - horizon / seconds);
                rest += left * of->cost;
                longest = fmax(longest, left * ts_team_fastest(of, teams->ranks, teams->slots));
            }
        }
        if (pass == 1 && rest > 0)
            last = horizon + fmax(rest / capacity, longest);
    }
    return last;
}

// --- Beginning ---

// What waits, of that what was begun before, then the longest.
static int first_to_last(const void *a, const void *b, void *context) {
    const ts_teams *teams = context;
    const ts_wide *left = *(ts_wide *const *)a, *right = *(ts_wide *const *)b;
    bool waits_left = left->ranks == 0, waits_right = right->ranks == 0;
    if (waits_left != waits_right)
        return waits_left ? -1 : 1;
    if (waits_left && left->saved != right->saved)
        return left->saved ? -1 : 1;
    double cost_left = left->left * ts_teams_case(teams, left)->cost,
           cost_right = right->left * ts_teams_case(teams, right)->cost;
    if (cost_left != cost_right)
        return cost_left > cost_right ? -1 : 1;
    return left < right ? -1 : left > right; // in the order of cases and rows
}

static void sort(ts_teams *teams, int64_t n, int (*order)(const void *, const void *, void *)) {
    qsort_r(teams->order, (size_t)n, sizeof(ts_wide *), order, teams);
}

static void sort_all(ts_teams *teams, int (*order)(const void *, const void *, void *)) {
    for (int64_t i = 0; i < teams->count; i++)
        teams->order[i] = &teams->wide[i];
    sort(teams, teams->count, order);
}

// Fewer than ranks: some or all of them get several.
static bool are_few(const ts_teams *teams) {
    return teams->count + teams->unseen < teams->known;
}

// The open rank with most idle slots. -1: none has any.
static int most_idle(const ts_teams *teams) {
    int best = -1;
    for (int r = 0; r < teams->ranks; r++)
        if (!teams->rank[r].closed && teams->rank[r].idle > 0 &&
            (best < 0 || teams->rank[r].idle >= teams->rank[best].idle))
            best = r;
    return best;
}

// As many units as ranks, or more: each to the rank with most idle slots, where others may train beside it.
static void begin_alone(ts_teams *teams) {
    int best = most_idle(teams);
    if (best < 0)
        return;
    sort_all(teams, first_to_last);
    for (int64_t i = 0, waiting = teams->waiting; i < waiting && best >= 0 && (i == 0 || !are_few(teams)); i++) {
        ts_teams_begin(teams, teams->order[i], best, 1, true);
        best = most_idle(teams);
    }
}

// Where teams have a fixed size, ranks are kept for them in groups.
static void begin_in_groups(ts_teams *teams) {
    sort_all(teams, first_to_last);
    for (int64_t i = 0, waiting = teams->waiting; i < waiting; i++) {
        int parts = ts_teams_case(teams, teams->order[i])->parts, ranks = parts < teams->fixed ? parts : teams->fixed;
        bool found = false;
        for (int group = 0; group + teams->fixed <= teams->ranks && !found; group += teams->fixed) {
            found = true;
            for (int r = group; r < group + ranks; r++)
                found = found && teams->rank[r].closed && teams->rank[r].units == 0 && teams->rank[r].idle > 0;
            if (found)
                ts_teams_begin(teams, teams->order[i], group, ranks, false);
        }
        if (!found)
            return;
    }
}

// Threads that ranks have for new teams, if the first units of `order` come back.
static void free_threads(ts_teams *teams, int64_t come_back) {
    for (int r = 0; r < teams->ranks; r++) {
        const ts_team_rank *of = &teams->rank[r];
        teams->threads[r] = of->closed && of->units == 0 ? 0 : of->idle;
        teams->taken[r] = of->units;
    }
    for (int64_t i = 0; i < come_back; i++)
        for (int r = teams->order[i]->first; r < teams->order[i]->first + teams->order[i]->ranks; r++) {
            teams->threads[r]++;
            teams->taken[r]--;
        }
    for (int r = 0; r < teams->ranks; r++)
        if (teams->taken[r] > 0)
            teams->threads[r] = 0;
}

// Plans the first n of `order` on ranks that have so many idle threads; returns when all would be over.
static double plan(ts_teams *teams, int64_t n, int least, const ts_team_rigid *rigid) {
    free_threads(teams, n);
    memcpy(teams->taken, teams->threads, (size_t)teams->ranks * sizeof *teams->taken);
    sort(teams, n, first_to_last);
    for (int64_t i = 0; i < n; i++)
        teams->job[i] = job_of(teams, teams->order[i]);
    ts_team_plan(teams->job, n, teams->taken, teams->ranks, least, rigid);
    return all_over(teams, n, teams->threads);
}

// The best plan for the first n, however many idle threads a rank needs to take part. *least: how many that are.
static double best_plan(ts_teams *teams, int64_t n, const ts_team_rigid *rigid, int *least) {
    double best = INFINITY;
    *least = 1;
    for (int threads = teams->slots; threads > 0; threads /= 2) {
        double over = plan(teams, n, threads, rigid);
        if (over < best) {
            best = over;
            *least = threads;
        }
    }
    return best;
}

// Ranks that train something else.
static int other_ranks(const ts_teams *teams) {
    int sum = 0;
    for (int r = 0; r < teams->ranks; r++)
        sum += !teams->rank[r].closed && teams->rank[r].idle + teams->rank[r].units < teams->rank[r].slots;
    return sum;
}

static void begin_teams(ts_teams *teams, double seconds, int64_t units) {
    const ts_team_rigid rigid = {seconds, units, other_ranks(teams)};
    int64_t waiting = teams->waiting;
    int least;
    sort_all(teams, first_to_last);
    best_plan(teams, waiting, &rigid, &least);
    plan(teams, waiting, least, &rigid);
    for (int64_t i = 0; i < waiting; i++) {
        const ts_team_job *job = &teams->job[i];
        // Threads that it cannot use are for others.
        if (job->ranks > 0)
            ts_teams_begin(teams, teams->order[i], job->first, job->ranks,
                           job->ranks == 1 && job->of->parts < teams->threads[job->first]);
    }
    teams->refused = 0;
}

double ts_team_choice_longest(const ts_teams *teams) {
    double longest = 0;
    for (int64_t i = 0; i < teams->count; i++)
        if (teams->wide[i].ranks == 0)
            longest = fmax(longest, teams->wide[i].left * ts_teams_case(teams, &teams->wide[i])->cost);
    return teams->fixed || are_few(teams) ? INFINITY : longest;
}

ts_wide *ts_team_choice_next(ts_teams *teams, double seconds, int64_t units) {
    if (teams->fresh == 0 && (teams->waiting == 0 || teams->recalled > 0 || ts_teams_wait(teams)))
        return NULL;
    if (teams->fresh == 0 && teams->fixed)
        begin_in_groups(teams);
    else if (teams->fresh == 0 && are_few(teams))
        begin_teams(teams, seconds, units);
    else if (teams->fresh == 0)
        begin_alone(teams);
    for (int64_t i = 0; teams->fresh > 0 && i < teams->count; i++)
        if (teams->wide[i].fresh) {
            teams->wide[i].fresh = false;
            teams->fresh--;
            return &teams->wide[i];
        }
    return NULL;
}

// --- Calling back ---

static int latest_first(const void *a, const void *b, void *context) {
    const ts_wide *left = *(ts_wide *const *)a, *right = *(ts_wide *const *)b;
    double seconds_a = seconds_left(context, left), seconds_b = seconds_left(context, right);
    if (seconds_a != seconds_b)
        return seconds_a > seconds_b ? -1 : 1;
    return left < right ? -1 : left > right; // in the order of cases and rows
}

static int idle_threads(const ts_teams *teams) {
    int sum = 0;
    for (int r = 0; r < teams->ranks; r++)
        sum += teams->rank[r].units == 0 ? teams->rank[r].idle : 0;
    return sum;
}

static void call_back(ts_teams *teams, int64_t n, int least) {
    static const ts_team_rigid none;
    teams->ends = 0;
    sort_all(teams, latest_first); // plans have changed the order
    plan(teams, n, least, &none);
    for (int64_t i = 0; i < n; i++) {
        ts_wide *wide = teams->order[i];
        bool stays = wide->first == teams->job[i].first && wide->ranks == teams->job[i].ranks;
        wide->recall = !stays;
        teams->recalled += !stays;
    }
}

// Looks for the fewest of those that would end last whose ranks, with the idle ones, make all end earliest.
static void reconsider(ts_teams *teams) {
    static const ts_team_rigid none;
    sort_all(teams, latest_first);
    if (seconds_left(teams, teams->order[teams->count - 1]) < 2 * RECALL_SECONDS) {
        teams->refused = 0; // the end of that one changes everything
        return;
    }
    double now = all_over(teams, 0, teams->threads), best = now;
    int64_t called = 0;
    int needed = 1, least;
    for (int64_t n = 1, last = 0; last < teams->count; n *= 2) {
        last = n < teams->count ? n : teams->count;
        double over = best_plan(teams, last, &none, &least);
        if (over < best - LEAST_SHARE / 2 * now) {
            best = over;
            called = last;
            needed = least;
        }
    }
    if (called > 0 && now - best - RECALL_SECONDS >= fmax(LEAST_GAIN, LEAST_SHARE * now))
        call_back(teams, called, needed);
}

static bool worth_a_look(ts_teams *teams) {
    bool settled = teams->waiting == 0 && teams->recalled == 0 && teams->fresh == 0 && teams->awaited == 0;
    if (!teams->changed || !settled || teams->fixed || teams->count == 0 || teams->ends == 0)
        return false;
    teams->changed = false;
    int idle = idle_threads(teams);
    bool more = idle > (1 + LEAST_SHARE) * teams->refused && idle >= LEAST_SHARE * all_threads(teams);
    teams->refused = idle < teams->refused || more ? idle : teams->refused;
    return more && idle > 0;
}

ts_wide *ts_team_choice_recall(ts_teams *teams) {
    if (worth_a_look(teams))
        reconsider(teams);
    for (int64_t i = 0; teams->recalled > 0 && i < teams->count; i++)
        if (teams->wide[i].recall && !teams->wide[i].told) {
            teams->wide[i].told = true;
            return &teams->wide[i];
        }
    return NULL;
}
