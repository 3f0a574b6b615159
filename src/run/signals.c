#define _POSIX_C_SOURCE 200809L
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
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
}

int ts_signals_seen(void) {
    return seen;
}
