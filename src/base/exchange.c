// A list of what threads wait for. Each entry lies on its thread's stack.
#define _POSIX_C_SOURCE 200809L
#include "base/exchange.h"

#include "base/memory.h"

#include <limits.h>
#include <pthread.h>
#include <time.h>

enum { TAG = 16, TAGS = 16384 }; // MPI has 32767 at least; exchanges that could meet have numbers nearer than that

typedef enum state { ASKED, UNDER_WAY, DONE, BROKEN } state;

typedef struct entry {
    int number, count;
    const ts_transfer *transfer;
    state state;
    void *requests; // (2 count) MPI_Request, while it is under way
    struct entry *next;
} entry;

struct ts_exchanges {
    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t asked, settled;
    entry *entries;
    int *broken; // (broken_count) numbers
    int broken_count;
};

ts_status ts_exchanges_create(ts_exchanges **out) {
    ts_exchanges *e = ts_alloc_zero(1, sizeof *e, "exchanges with other ranks");
    if (!e)
        return TS_ERROR_MEMORY;
    pthread_mutex_init(&e->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->asked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&e->settled, NULL);
    *out = e;
    return TS_OK;
}

void ts_exchanges_free(ts_exchanges *e) {
    if (!e)
        return;
    pthread_cond_destroy(&e->asked);
    pthread_cond_destroy(&e->settled);
    pthread_mutex_destroy(&e->mutex);
    ts_free(e->broken);
    ts_free(e);
}

static bool is_broken(const ts_exchanges *e, int number) {
    for (int i = 0; i < e->broken_count; i++)
        if (e->broken[i] == number)
            return true;
    return false;
}

static void remove_entry(ts_exchanges *e, const entry *which) {
    entry **at = &e->entries;
    while (*at != which)
        at = &(*at)->next;
    *at = which->next;
}

ts_status ts_exchange(ts_exchanges *e, int number, const ts_transfer *transfers, int count) {
    entry mine = {.number = number, .count = count, .transfer = transfers};
    for (int i = 0; i < count; i++)
        if (transfers[i].out_bytes > INT_MAX || transfers[i].in_bytes > INT_MAX)
            return ts_fail(TS_ERROR_FATAL, "ranks exchange more than 2 GiB at once");
    pthread_mutex_lock(&e->mutex);
    if (is_broken(e, number))
        mine.state = BROKEN;
    mine.next = e->entries;
    e->entries = &mine;
    pthread_cond_signal(&e->asked);
    while (mine.state == ASKED || mine.state == UNDER_WAY)
        pthread_cond_wait(&e->settled, &e->mutex);
    remove_entry(e, &mine);
    pthread_mutex_unlock(&e->mutex);
    return mine.state == DONE ? TS_OK : ts_fail(TS_ERROR_FATAL, "another rank that trains the same instance is lost");
}

#ifdef TOYSWEEP_MPI

static void begin(entry *it) {
    int tag = TAG + it->number % TAGS;
    MPI_Request *request = ts_alloc(2 * (size_t)it->count * sizeof *request, "an exchange");
    if (!request)
        return; // tried again
    for (int i = 0; i < it->count; i++) {
        const ts_transfer *t = &it->transfer[i];
        request[2 * i] = request[2 * i + 1] = MPI_REQUEST_NULL;
        if (t->in_bytes)
            MPI_Irecv(t->in, (int)t->in_bytes, MPI_BYTE, t->rank, tag, MPI_COMM_WORLD, &request[2 * i]);
        if (t->out_bytes)
            MPI_Isend(t->out, (int)t->out_bytes, MPI_BYTE, t->rank, tag, MPI_COMM_WORLD, &request[2 * i + 1]);
    }
    it->requests = request;
    it->state = UNDER_WAY;
}

static bool is_complete(entry *it) {
    int done = 0;
    MPI_Testall(2 * it->count, it->requests, &done, MPI_STATUSES_IGNORE);
    return done;
}

// MPI may go on writing there.
static void abandon(entry *it) {
    MPI_Request *request = it->requests;
    for (int i = 0; i < 2 * it->count; i++)
        if (request[i] != MPI_REQUEST_NULL) {
            if (i % 2 == 0)
                MPI_Cancel(&request[i]);
            MPI_Request_free(&request[i]);
        }
    ts_free(request);
}

bool ts_exchanges_carry(ts_exchanges *e) {
    bool under_way = false, settled = false;
    pthread_mutex_lock(&e->mutex);
    for (entry *it = e->entries; it; it = it->next) {
        if (it->state == ASKED)
            begin(it);
        if (it->state == UNDER_WAY && is_complete(it)) {
            ts_free(it->requests);
            it->state = DONE;
            settled = true;
        }
        under_way = under_way || it->state == UNDER_WAY;
    }
    if (settled)
        pthread_cond_broadcast(&e->settled);
    pthread_mutex_unlock(&e->mutex);
    return under_way || settled;
}

#else

static void abandon(entry *it) {
    (void)it;
}

bool ts_exchanges_carry(ts_exchanges *e) {
    (void)e;
    return false;
}

#endif

static bool is_asked(const ts_exchanges *e) {
    for (const entry *it = e->entries; it; it = it->next)
        if (it->state == ASKED)
            return true;
    return false;
}

void ts_exchanges_sleep(ts_exchanges *e, double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(seconds * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&e->mutex);
    if (!is_asked(e))
        pthread_cond_timedwait(&e->asked, &e->mutex, &until);
    pthread_mutex_unlock(&e->mutex);
}

void ts_exchanges_break(ts_exchanges *e, int number) {
    pthread_mutex_lock(&e->mutex);
    int *grown = ts_realloc(e->broken, (size_t)(e->broken_count + 1) * sizeof *grown, "exchanges with other ranks");
    if (grown) {
        e->broken = grown;
        e->broken[e->broken_count++] = number;
    }
    for (entry *it = e->entries; it; it = it->next) {
        if (it->number != number || it->state == DONE)
            continue;
        if (it->state == UNDER_WAY)
            abandon(it);
        it->state = BROKEN;
    }
    pthread_cond_broadcast(&e->settled);
    pthread_mutex_unlock(&e->mutex);
}
