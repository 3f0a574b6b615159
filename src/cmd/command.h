// Commands: what main.c lists. A command is a row there with its options and texts; --help and the man page
// are printed from it, and arguments are parsed by it, so that the three cannot disagree.
#pragma once

#include "base/comm.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdio.h>

enum { TS_MAX_OPTIONS = 16, TS_MAX_REPEATS = 256 };

typedef struct ts_option {
    const char *name;     // without the dashes
    char letter;          // 0: no short form
    const char *argument; // NULL: a flag; else its name in the help, e.g. "FILE"
    const char *help;     // sentences; may name the default; "$BACKENDS" stands for the names of all backends
} ts_option;

// What was given. Option i of the command's options: value[i] is NULL if absent, "" for a flag, else the last
// argument.
typedef struct ts_arguments {
    const char *value[TS_MAX_OPTIONS];
    // Every --set and --reuse, in order.
    int n_set, n_reuse;
    const char *set[TS_MAX_REPEATS], *reuse[TS_MAX_REPEATS];
    int n_operands;
    const char *const *operand; // (n_operands) of argv
} ts_arguments;

typedef struct ts_command {
    const char *name;
    const char *operands;     // for the usage line, e.g. "SWEEP.yaml"
    int n_operands;           // how many are needed
    bool more_operands;       // ... at least
    const char *summary;      // one line
    const char *description;  // paragraphs, "\n\n" between them
    const ts_option *options; // NULL name ends the list; "help" is understood everywhere
    int (*run)(const ts_comm *comm, const ts_arguments *arguments); // collective; returns the exit code
} ts_command;

extern const ts_command ts_cmd_run, ts_cmd_plan, ts_cmd_status, ts_cmd_measure, ts_cmd_export, ts_cmd_merge;
extern const ts_command ts_cmd_info;
extern const ts_command *const ts_commands[]; // NULL-terminated

// TS_ERROR_USER with a message for anything wrong. *help: --help was among them.
ts_status ts_arguments_parse(const ts_command *command, int argc, char **argv, ts_arguments *arguments, int *help);

// The option's argument, NULL if absent. The name must be in the command's options.
const char *ts_argument(const ts_command *command, const ts_arguments *arguments, const char *name);

// Option `name` as an integer / a duration in seconds; `absent` if it was not given.
ts_status ts_argument_integer(const ts_command *command, const ts_arguments *arguments, const char *name,
                              long long minimum, long long maximum, long long absent, long long *value);

// --ranks-per-instance: auto (0), or how many.
#define TS_RANKS_PER_INSTANCE_HELP                                                                                     \
    "How many ranks train an instance together that is large enough to be shared: auto, as the run goes on, or R. "    \
    "Its "                                                                                                             \
    "results do not depend on it. Default: auto."
ts_status ts_argument_ranks_per_instance(const ts_command *command, const ts_arguments *arguments, int *ranks);

ts_status ts_argument_duration(const ts_command *command, const ts_arguments *arguments, const char *name,
                               double absent, double *seconds);

// Prints ts_message() as rank 0's error; returns the exit code.
int ts_command_fail(const ts_comm *comm, ts_status status);

void ts_help_program(FILE *out);
void ts_help_command(FILE *out, const ts_command *command);
void ts_help_keys(FILE *out); // the parameters of every task and model
void ts_help_measures(FILE *out);
// What is called so: keys, measures, or all of a task, model, optimizer or family of measures. False: nothing is.
bool ts_help_name(FILE *out, const char *name);
void ts_help_man(FILE *out); // all of it, as a manual page
