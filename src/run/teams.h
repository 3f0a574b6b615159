// Units of one instance that several ranks can train together: which wait, who trains which, and which ranks are idle.
// A pure state machine, the coordinator's (coordinator.h); what to do with them is team_choice.h's.
#pragma once

#include "run/coordinator_setup.h"
#include "run/team_plan.h"

typedef struct ts_wide {
    ts_unit unit;
    double left;      // share of its work
    int first, ranks; // that train it; no ranks: it waits
    bool saved;       // trained in part before: it goes first, and its seconds say nothing of the whole
    bool fresh;       // it has ranks, which do not know yet
    bool recall;      // it is to come back ...
    bool told;        // ... and its ranks know
} ts_wide;

typedef struct ts_team_rank {
    int slots;    // as planned, or as many as it has asked for at once
    int idle;     // slots that ask for a unit
    int units;    // it trains of those here, alone or with others
    int before;   // slots that asked when its last team began
    int epoch;    // requests of earlier ones are void
    int served;   // requests of this one, the oldest, that are answered
    bool closed;  // it gets nothing else: it is in a team, or kept for one
    bool known;   // it has asked before
    bool awaited; // it will ask soon: it never has, or its team has just ended
} ts_team_rank;

typedef struct ts_teams {
    int ranks, slots;
    int fixed;                  // each team has so many ranks; 0: as many as is best
    ts_coordinator_case *cases; // costs as now known
    ts_wide *wide;              // (count), by case and row
    int64_t count, capacity;
    int64_t waiting, fresh, recalled; // of them
    int64_t unseen;                   // instances like them that wait elsewhere; the owner's to count
    ts_team_rank *rank;               // (ranks)
    int known, awaited;               // ranks that have asked; that will ask soon
    int *opened, n_opened;            // ranks whose requests count again
    bool changed;                     // since it was last found out what to call back
    int64_t ends;                     // units, of any kind, that were over since something was called back; the owner
                                      // counts others than these: without one nothing is, so that this has an end
    int refused;                      // threads that were idle when calling back was not worth it
    ts_wide **order;                  // (capacity) scratch
    ts_team_job *job;                 // (capacity) scratch
    int *threads, *taken;             // (ranks) scratch
} ts_teams;

// For cases as in `setup`, some of which can be shared: `unseen` instances of them.
ts_status ts_teams_open(ts_teams *teams, const ts_coordinator_setup *setup, int64_t unseen);
void ts_teams_close(ts_teams *teams);

// The unit waits.
ts_status ts_teams_add(ts_teams *teams, const ts_unit *unit, bool saved);
ts_wide *ts_teams_find(const ts_teams *teams, const ts_unit *unit); // NULL: it is not here

// There are more unseen ones than before: ranks are kept for teams of a fixed size.
void ts_teams_keep(ts_teams *teams);

// A rank is lost: it joins no team any more, and is not waited for.
void ts_teams_lose(ts_teams *teams, int rank);

// A rank has an idle slot.
void ts_teams_ask(ts_teams *teams, int rank);
// A request of an epoch of the rank is to be answered with something else: false if it is void.
bool ts_teams_serve(ts_teams *teams, int rank, int epoch);
// No rank is waited for that should have asked by now.
void ts_teams_wait_no_more(ts_teams *teams);
// A rank whose requests count again, all `idle` of them; -1: there is none.
int ts_teams_opened(ts_teams *teams);

// A rank trains it beside whatever else it has, in a slot that asked or will.
void ts_teams_give(ts_teams *teams, ts_wide *wide, int rank);
// It is trained no more, and waits, or is over and gone.
void ts_teams_give_back(ts_teams *teams, ts_wide *wide, double left);
void ts_teams_finish(ts_teams *teams, ts_wide *wide);

// Each of these ranks trains it in one slot that asked; the next ts_team_choice_next says so. Alone: the rank may train
// other units beside it, and its other requests count.
void ts_teams_begin(ts_teams *teams, ts_wide *wide, int first, int ranks, bool alone);

// While some wait, it is better to let ranks that will soon ask do so before anything is given away.
bool ts_teams_wait(const ts_teams *teams);

const ts_coordinator_case *ts_teams_case(const ts_teams *teams, const ts_wide *wide);
// Threads that train it on each of its ranks.
double ts_teams_threads(const ts_teams *teams, const ts_wide *wide);
// How many times faster than one thread it is trained; 0: nobody knows, since others may help.
double ts_teams_speed(const ts_teams *teams, const ts_wide *wide);
