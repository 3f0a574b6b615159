// SIGTERM, SIGINT, SIGHUP and SIGUSR2 ask for a clean stop: the handler only sets a flag. A second SIGINT within the
// run ends the process at once (nothing committed is lost).
#pragma once

void ts_signals_catch(void);
int ts_signals_seen(void); // the signal that asked for a stop; 0: none
