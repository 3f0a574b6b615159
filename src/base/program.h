// How the program and its tools are called from here, for hints of what to type next.
#pragma once

#include <stdbool.h>

enum { TS_COMMAND_BYTES = 4096 }; // PATH_MAX

// The command that is this program: its name where PATH leads to it, else a path, from the working directory where it
// is below that. "toysweep" where the system does not say which file it is.
void ts_program_command(char command[TS_COMMAND_BYTES]);

// The same of the tool that draws results: toysweep-plot beside the program, or tools/plot.py of the source tree that
// it was built in. False: there is none.
bool ts_program_plotter(char command[TS_COMMAND_BYTES]);
