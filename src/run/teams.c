// A sorted list of units, and counters of ranks.
#include "run/teams.h"

#include "base/memory.h"

#include <string.h>

ts_status ts_teams_open(ts_teams *teams, const ts_coordinator_setup *setup, int64_t unseen) {
    *teams = (ts_teams){
        .ranks = setup->ranks,
        .slots = setup->slots,
        .fixed = setup->ranks_per_instance < setup->ranks ? setup->ranks_per_instance : setup->ranks,
        .awaited = setup->ranks,
        .unseen = unseen,
        .cases = ts_alloc((size_t)setup->cases * sizeof *teams->cases, "the coordinator"),
        .rank = ts_alloc_zero((size_t)setup->ranks, sizeof *teams->rank, "the coordinator"),
        .opened = ts_alloc((size_t)setup->ranks * sizeof *teams->opened, "the coordinator"),
        .threads = ts_alloc((size_t)setup->ranks * sizeof *teams->threads, "the coordinator"),
        .taken = ts_alloc((size_t)setup->ranks * sizeof *teams->taken, "the coordinator"),
    };
    if (!teams->cases || !teams->rank || !teams->opened || !teams->threads || !teams->taken)
        return TS_ERROR_MEMORY;
    memcpy(teams->cases, setup->cases_of, (size_t)setup->cases * sizeof *teams->cases);
    int64_t kept = teams->fixed ? unseen * teams->fixed : 0;
    for (int r = 0; r < teams->ranks; r++) {
        bool in_group = teams->fixed && r < setup->ranks / teams->fixed * teams->fixed;
        teams->rank[r] = (ts_team_rank){.slots = setup->slots, .awaited = true, .closed = in_group && r < kept};
    }
    return TS_OK;
}

void ts_teams_close(ts_teams *teams) {
    ts_free(teams->cases);
    ts_free(teams->rank);
    ts_free(teams->opened);
    ts_free(teams->threads);
    ts_free(teams->taken);
    ts_free(teams->wide);
    ts_free(teams->order);
    ts_free(teams->job);
}

// --- The list ---

static int compare(const ts_unit *a, const ts_unit *b) {
    if (a->case_index != b->case_index)
        return a->case_index < b->case_index ? -1 : 1;
    return a->first_row < b->first_row ? -1 : a->first_row > b->first_row;
}

// Where the unit is or would be.
static int64_t position(const ts_teams *teams, const ts_unit *unit) {
    int64_t low = 0, high = teams->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (compare(&teams->wide[middle].unit, unit) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static ts_status reserve(ts_teams *teams) {
    if (teams->count < teams->capacity)
        return TS_OK;
    size_t capacity = (size_t)teams->capacity * 2 + 16;
    ts_wide *wide = ts_realloc(teams->wide, capacity * sizeof *wide, "the coordinator");
    teams->wide = wide ? wide : teams->wide;
    ts_wide **order = ts_realloc(teams->order, capacity * sizeof(ts_wide *), "the coordinator");
    teams->order = order ? order : teams->order;
    ts_team_job *job = ts_realloc(teams->job, capacity * sizeof *job, "the coordinator");
    teams->job = job ? job : teams->job;
    if (!wide || !order || !job)
        return TS_ERROR_MEMORY;
    teams->capacity = (int64_t)capacity;
    return TS_OK;
}

ts_status ts_teams_add(ts_teams *teams, const ts_unit *unit, bool saved) {
    if (reserve(teams) != TS_OK)
        return TS_ERROR_MEMORY;
    int64_t at = position(teams, unit);
    memmove(&teams->wide[at + 1], &teams->wide[at], (size_t)(teams->count - at) * sizeof *teams->wide);
    teams->wide[at] = (ts_wide){.unit = *unit, .left = 1, .saved = saved};
    teams->count++;
    teams->waiting++;
    teams->changed = true;
    return TS_OK;
}

ts_wide *ts_teams_find(const ts_teams *teams, const ts_unit *unit) {
    int64_t at = position(teams, unit);
    bool here = at < teams->count && unit->rows == 1 && compare(&teams->wide[at].unit, unit) == 0;
    return here ? &teams->wide[at] : NULL;
}

// --- Ranks ---

static void set_awaited(ts_teams *teams, int rank, bool awaited) {
    teams->awaited += awaited - teams->rank[rank].awaited;
    teams->rank[rank].awaited = awaited;
}

void ts_teams_ask(ts_teams *teams, int rank) {
    ts_team_rank *of = &teams->rank[rank];
    teams->ends += !of->known;
    teams->known += !of->known;
    of->known = true;
    set_awaited(teams, rank, false);
    of->idle++;
    if (of->units == 0 && of->idle > of->slots)
        of->slots = of->idle;
    teams->changed = true;
}

bool ts_teams_serve(ts_teams *teams, int rank, int epoch) {
    ts_team_rank *of = &teams->rank[rank];
    if (of->closed || of->epoch != epoch)
        return false;
    if (of->served > 0) {
        of->served--;
        return false;
    }
    of->idle--;
    return true;
}

void ts_teams_wait_no_more(ts_teams *teams) {
    for (int r = 0; r < teams->ranks; r++)
        set_awaited(teams, r, false);
    teams->changed = true;
}

static void open_rank(ts_teams *teams, int rank) {
    teams->rank[rank].closed = false;
    teams->opened[teams->n_opened++] = rank;
}

int ts_teams_opened(ts_teams *teams) {
    return teams->n_opened > 0 ? teams->opened[--teams->n_opened] : -1;
}

// Ranks that are kept for teams of a fixed size: as many as there are instances for.
static int64_t kept_ranks(const ts_teams *teams) {
    if (teams->fixed == 0)
        return 0;
    int64_t teams_left = teams->count + teams->unseen, most = teams->ranks / teams->fixed;
    return (teams_left < most ? teams_left : most) * teams->fixed;
}

void ts_teams_keep(ts_teams *teams) {
    for (int64_t r = 0, kept = kept_ranks(teams); r < kept; r++) {
        ts_team_rank *of = &teams->rank[r];
        of->epoch += !of->closed;
        of->served = 0;
        of->closed = true;
    }
}

// Fewer instances are left than teams: their ranks get everything else.
static void open_kept(ts_teams *teams) {
    for (int64_t r = kept_ranks(teams), end = r + teams->fixed; r < end && r < teams->ranks; r++)
        if (teams->rank[r].closed && teams->rank[r].units == 0)
            open_rank(teams, (int)r);
}

static void set_ranks(ts_teams *teams, ts_wide *wide, int first, int ranks) {
    wide->first = first;
    wide->ranks = ranks;
    teams->waiting--;
    for (int r = first; r < first + ranks; r++)
        teams->rank[r].units++;
}

void ts_teams_give(ts_teams *teams, ts_wide *wide, int rank) {
    set_ranks(teams, wide, rank, 1);
}

void ts_teams_begin(ts_teams *teams, ts_wide *wide, int first, int ranks, bool alone) {
    set_ranks(teams, wide, first, ranks);
    for (int r = first; r < first + ranks; r++) {
        ts_team_rank *of = &teams->rank[r];
        of->before = of->idle--;
        of->closed = !alone;
        of->epoch += !alone;
        of->served = alone ? of->served + 1 : 0;
    }
    wide->fresh = true;
    teams->fresh++;
}

static void end(ts_teams *teams, ts_wide *wide) {
    int64_t kept = kept_ranks(teams);
    for (int r = wide->first; r < wide->first + wide->ranks; r++) {
        ts_team_rank *of = &teams->rank[r];
        of->units--;
        if (!of->closed)
            continue; // alone: no more is known of its requests than of others
        set_awaited(teams, r, of->idle < of->before);
        if (r >= kept)
            open_rank(teams, r);
    }
    teams->recalled -= wide->recall;
    wide->first = wide->ranks = 0;
    wide->recall = wide->told = false;
    teams->changed = true;
}

void ts_teams_give_back(ts_teams *teams, ts_wide *wide, double left) {
    end(teams, wide);
    wide->left = left;
    wide->saved = true;
    teams->waiting++;
}

void ts_teams_finish(ts_teams *teams, ts_wide *wide) {
    end(teams, wide);
    teams->fresh -= wide->fresh;
    teams->ends++;
    int64_t at = wide - teams->wide;
    teams->count--;
    memmove(wide, wide + 1, (size_t)(teams->count - at) * sizeof *wide);
    if (teams->fixed)
        open_kept(teams);
}

// What it trains alone or with others is gone, for this run.
void ts_teams_lose(ts_teams *teams, int rank) {
    ts_team_rank *of = &teams->rank[rank];
    for (int64_t i = teams->count - 1; i >= 0; i--) {
        ts_wide *wide = &teams->wide[i];
        if (wide->ranks > 0 && rank >= wide->first && rank < wide->first + wide->ranks)
            ts_teams_finish(teams, wide);
    }
    set_awaited(teams, rank, false);
    teams->known -= of->known;
    of->known = false;
    of->idle = of->slots = 0; // it asks no more
    teams->changed = true;
}

// --- What others need to know ---

const ts_coordinator_case *ts_teams_case(const ts_teams *teams, const ts_wide *wide) {
    return &teams->cases[wide->unit.case_index];
}

double ts_teams_threads(const ts_teams *teams, const ts_wide *wide) {
    const ts_team_rank *of = &teams->rank[wide->first];
    int least = of->slots;
    for (int r = 0; r < wide->ranks;
         r++) { // some may have asked for its slot already, though it is not known to be over
        int all = of[r].idle + of[r].units;
        least = all < least ? all : least;
    }
    return wide->ranks > 1 ? least : (double)least / of->units;
}

double ts_teams_speed(const ts_teams *teams, const ts_wide *wide) {
    const ts_coordinator_case *of = ts_teams_case(teams, wide);
    bool known = teams->slots == 1 || teams->rank[wide->first].closed;
    return known ? of->cost / ts_team_seconds(of, wide->ranks, ts_teams_threads(teams, wide)) : 0;
}

bool ts_teams_wait(const ts_teams *teams) {
    return teams->waiting > 0 && teams->awaited > 0 && teams->fixed == 0;
}
