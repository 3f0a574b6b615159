// Helpers sleep until somebody offers work and there are fewer units than threads.
#define _XOPEN_SOURCE 700
#include "base/crew.h"

#include "base/memory.h"
#include "base/thread.h"

#include <signal.h>
#include <stdatomic.h>

// Work on offer; it lies on the stack of the thread that leads it.
typedef struct offer {
    const ts_crew_work *work;
    int helping;
    struct offer *next;
} offer;

struct ts_crew {
    int threads;
    pthread_t *helper; // (threads - 1), of which so many have started
    int started;
    pthread_mutex_t mutex; // guards what follows; the counts may be read without
    pthread_cond_t wake, left;
    atomic_int units, helping;
    offer *offers;
    bool quit;
};

bool ts_crew_may_help(const ts_crew *crew) {
    return atomic_load(&crew->units) + atomic_load(&crew->helping) <= crew->threads;
}

static offer *find_offer(const ts_crew *crew) {
    offer *found = NULL;
    if (atomic_load(&crew->units) + atomic_load(&crew->helping) >= crew->threads)
        return NULL;
    for (offer *o = crew->offers; o; o = o->next)
        if ((!found || o->helping < found->helping) && o->work->is_left(o->work->context))
            found = o;
    return found;
}

static void *helper_main(void *argument) {
    ts_crew *crew = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_mutex_lock(&crew->mutex);
    while (!crew->quit) {
        offer *o = find_offer(crew);
        if (!o) {
            pthread_cond_wait(&crew->wake, &crew->mutex);
            continue;
        }
        o->helping++;
        atomic_fetch_add(&crew->helping, 1);
        pthread_mutex_unlock(&crew->mutex);
        o->work->help(o->work->context);
        pthread_mutex_lock(&crew->mutex);
        atomic_fetch_sub(&crew->helping, 1);
        if (--o->helping == 0)
            pthread_cond_broadcast(&crew->left);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

ts_status ts_crew_create(int threads, ts_crew **out) {
    ts_crew *crew = ts_alloc_zero(1, sizeof *crew, "helping threads");
    if (!crew)
        return TS_ERROR_MEMORY;
    crew->threads = threads;
    crew->helper = ts_alloc_zero((size_t)threads, sizeof *crew->helper, "helping threads");
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->wake, NULL);
    pthread_cond_init(&crew->left, NULL);
    ts_status status = crew->helper ? TS_OK : TS_ERROR_MEMORY;
    while (status == TS_OK && crew->started < threads - 1 &&
           ts_thread_start(&crew->helper[crew->started], helper_main, crew) == TS_OK)
        crew->started++;
    if (status == TS_OK)
        *out = crew;
    else
        ts_crew_free(crew);
    return status;
}

void ts_crew_free(ts_crew *crew) {
    if (!crew)
        return;
    pthread_mutex_lock(&crew->mutex);
    crew->quit = true;
    pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->mutex);
    for (int i = 0; i < crew->started; i++)
        pthread_join(crew->helper[i], NULL);
    pthread_cond_destroy(&crew->wake);
    pthread_cond_destroy(&crew->left);
    pthread_mutex_destroy(&crew->mutex);
    ts_free(crew->helper);
    ts_free(crew);
}

void ts_crew_begin_unit(ts_crew *crew) {
    atomic_fetch_add(&crew->units, 1);
}

void ts_crew_end_unit(ts_crew *crew) {
    pthread_mutex_lock(&crew->mutex);
    atomic_fetch_sub(&crew->units, 1);
    pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->mutex);
}

void ts_crew_share(ts_crew *crew, const ts_crew_work *work, void (*lead)(void *context)) {
    offer mine = {.work = work};
    pthread_mutex_lock(&crew->mutex);
    mine.next = crew->offers;
    crew->offers = &mine;
    pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->mutex);
    lead(work->context);
    pthread_mutex_lock(&crew->mutex);
    offer **at = &crew->offers;
    while (*at != &mine)
        at = &(*at)->next;
    *at = mine.next;
    while (mine.helping > 0)
        pthread_cond_wait(&crew->left, &crew->mutex);
    pthread_mutex_unlock(&crew->mutex);
}
