// A queue of ranks that ask for a unit, first in, first out.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

// It counts as long as its rank has not begun something else with all its slots (ts_team_rank).
typedef struct ts_request {
    int rank, epoch;
} ts_request;

typedef struct ts_requests {
    ts_request *item; // ring of `capacity`
    int64_t first, count, capacity;
} ts_requests; // {0}: empty

ts_status ts_requests_reserve(ts_requests *requests, int64_t capacity);
ts_status ts_requests_push(ts_requests *requests, ts_request item);
bool ts_requests_pop(ts_requests *requests, ts_request *item); // false: there is none
void ts_requests_close(ts_requests *requests);
