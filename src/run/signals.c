#define _XOPEN_SOURCE 700
#include "run/signals.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t seen;

static void handle(int signal_number) {
    if (signal_number == SIGINT && seen == SIGINT) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
    seen = signal_number;
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
}

void ts_signals_survive_limits(void) {
    signal(SIGXFSZ, SIG_IGN);
}

int ts_signals_seen(void) {
    return seen;
}
