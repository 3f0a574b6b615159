// SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU ask for a clean stop: the handler only sets a flag. A second
// SIGINT within the run ends the process at once (nothing committed is lost). Caught before MPI starts: a library that
// wants USR1 for itself (MPICH does) finds the handler there, and calls it after its own.
#pragma once

void ts_signals_catch(void);

// For every command: a file size limit shows as a failed write, not as our death.
void ts_signals_survive_limits(void);

int ts_signals_seen(void); // the signal that asked for a stop; 0: none
