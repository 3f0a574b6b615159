// A ring that grows.
#include "run/requests.h"

#include "base/memory.h"

ts_status ts_requests_reserve(ts_requests *requests, int64_t capacity) {
    ts_request *ring = ts_alloc((size_t)capacity * sizeof *ring, "the coordinator");
    if (!ring)
        return TS_ERROR_MEMORY;
    for (int64_t i = 0; i < requests->count; i++)
        ring[i] = requests->item[(requests->first + i) % requests->capacity];
    ts_free(requests->item);
    *requests = (ts_requests){ring, 0, requests->count, capacity};
    return TS_OK;
}

ts_status ts_requests_push(ts_requests *requests, ts_request item) {
    // Ranks with more slots than rank 0 ask more often than was planned for.
    bool full = requests->count == requests->capacity;
    ts_status status = full ? ts_requests_reserve(requests, 2 * requests->capacity + 16) : TS_OK;
    if (status == TS_OK)
        requests->item[(requests->first + requests->count++) % requests->capacity] = item;
    return status;
}

bool ts_requests_pop(ts_requests *requests, ts_request *item) {
    if (requests->count == 0)
        return false;
    *item = requests->item[requests->first];
    requests->first = (requests->first + 1) % requests->capacity;
    requests->count--;
    return true;
}

void ts_requests_close(ts_requests *requests) {
    ts_free(requests->item);
    *requests = (ts_requests){0};
}
