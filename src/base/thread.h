// Threads with a stack of their own size: what the process was given (ulimit -s) may be a few pages.
#pragma once

#include "base/status.h"

#include <pthread.h>

// As pthread_create. TS_ERROR_FATAL with a message: there is no room for one more.
ts_status ts_thread_start(pthread_t *thread, void *(*work)(void *argument), void *argument);

// What `program` returns, with a stack as large as a thread's: the process's own where it has one or may have it, else
// a thread's, in which MPI and all else then believe to be the main one.
int ts_thread_main(int (*program)(int argc, char **argv), int argc, char **argv);
