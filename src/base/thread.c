// Threads with 8 MiB of stack, the program's first one too.
#define _XOPEN_SOURCE 700
#include "base/thread.h"

#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

static const size_t STACK_BYTES = 8 << 20;

ts_status ts_thread_start(pthread_t *thread, void *(*work)(void *argument), void *argument) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error == 0) {
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        error = pthread_create(thread, &attributes, work, argument);
        pthread_attr_destroy(&attributes);
    }
    if (error == 0)
        return TS_OK;
    return ts_fail(TS_ERROR_FATAL,
                   "cannot start a thread: %s; raise the limit on processes and threads (ulimit -u) or on "
                   "memory (ulimit "
                   "-v, the job's own) or use fewer --threads, then run the same command again",
                   strerror(error));
}

typedef struct call {
    int (*program)(int argc, char **argv);
    int argc, result;
    char **argv;
} call;

static void *make_call(void *argument) {
    call *c = argument;
    c->result = c->program(c->argc, c->argv);
    return NULL;
}

// The kernel lets the main thread's stack grow up to the limit as it is now.
static bool main_stack_is_large(void) {
    struct rlimit stack;
    if (getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_cur >= STACK_BYTES)
        return true;
    if (stack.rlim_max < STACK_BYTES)
        return false;
    stack.rlim_cur = STACK_BYTES;
    return setrlimit(RLIMIT_STACK, &stack) == 0;
}

int ts_thread_main(int (*program)(int argc, char **argv), int argc, char **argv) {
    call c = {program, argc, 0, argv};
    pthread_t thread;
    if (main_stack_is_large() || ts_thread_start(&thread, make_call, &c) != TS_OK)
        return program(argc, argv);
    pthread_join(thread, NULL);
    return c.result;
}
