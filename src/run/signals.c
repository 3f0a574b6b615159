// The handler, and who it is set up for.
#define _XOPEN_SOURCE 700
#include "run/signals.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static volatile sig_atomic_t seen;

static void handle(int signal_number) {
    if (signal_number == SIGINT && seen == SIGINT) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
    seen = signal_number;
}

// `ulimit -t` sets both limits on processor time alike, and at the hard one the kernel kills without a warning.
static void leave_time_to_save(void) {
    enum { SECONDS = 10 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_CPU, &limit) != 0 || limit.rlim_max == RLIM_INFINITY || limit.rlim_cur < limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max > 2 * SECONDS ? limit.rlim_max - SECONDS : (limit.rlim_max + 1) / 2;
    setrlimit(RLIMIT_CPU, &limit);
}

void ts_signals_catch(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    // What batch systems warn with before they kill: TERM, USR2, USR1, and XCPU at a limit on processor time.
    static const int stops[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGUSR1, SIGXCPU};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        struct sigaction inherited;
        // What the parent ignores stays ignored: nohup, and background jobs of scripts.
        if (sigaction(stops[i], NULL, &inherited) != 0 || inherited.sa_handler != SIG_IGN)
            sigaction(stops[i], &action, NULL);
    }
    // A reader of our output that goes away shows as a failed write, not as our death.
    signal(SIGPIPE, SIG_IGN);
    leave_time_to_save();
}

void ts_signals_survive_limits(void) {
    signal(SIGXFSZ, SIG_IGN);
}

int ts_signals_seen(void) {
    return seen;
}
