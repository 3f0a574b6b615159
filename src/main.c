// toysweep: commands, in the order of their use. Each is a file under cmd/.
#include "backend/backend.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "cmd/command.h"
#include "hdf5/hdf5.h"
#include "run/run.h"
#include "run/signals.h"
#include "sweep/nearest.h"
#include "sweep/sweep.h"

#include <stdio.h>
#include <string.h>

const ts_command *const ts_commands[] = {
    &ts_cmd_run, &ts_cmd_plan, &ts_cmd_status, &ts_cmd_measure, &ts_cmd_export, &ts_cmd_merge, &ts_cmd_info, NULL,
};

static const ts_command *find_command(const char *name) {
    for (int i = 0; ts_commands[i]; i++)
        if (strcmp(ts_commands[i]->name, name) == 0)
            return ts_commands[i];
    return NULL;
}

static int check_output(int code) {
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == TS_EXIT_DONE) {
        ts_error("standard output could not be written");
        return TS_EXIT_OTHER;
    }
    return code;
}

// The command that a word was meant to be: one that other programs call so, or one spelt nearly so. NULL: none.
static const char *nearest_command(const char *word) {
    static const char *const SYNONYMS[][2] = {
        {"train", "run"},        {"start", "run"},      {"resume", "run"},        {"continue", "run"},
        {"sweep", "run"},        {"dry-run", "plan"},   {"check", "plan"},        {"validate", "plan"},
        {"show", "status"},      {"list", "status"},    {"progress", "status"},   {"eval", "measure"},
        {"evaluate", "measure"}, {"extract", "export"}, {"version", "info"},      {"join", "merge"},
        {"combine", "merge"},    {"concat", "merge"},   {"concatenate", "merge"},
    };
    const char *names[16];
    int n = 0;
    for (size_t i = 0; i < sizeof SYNONYMS / sizeof *SYNONYMS; i++)
        if (strcmp(word, SYNONYMS[i][0]) == 0)
            return SYNONYMS[i][1];
    for (; ts_commands[n] && n < 14; n++)
        names[n] = ts_commands[n]->name;
    names[n++] = "help";
    names[n] = NULL;
    return ts_nearest(word, names);
}

static int unknown_command(const char *name) {
    char shown[TS_SHOWN_BYTES];
    const char *near = nearest_command(name), *end = strrchr(name, '.');
    ts_shown(name, shown);
    if (end && (strcmp(end, ".yaml") == 0 || strcmp(end, ".yml") == 0))
        ts_error("'%s' is no command; did you mean toysweep run %s?", shown, shown);
    else if (near)
        ts_error("unknown command '%s'; did you mean '%s'? toysweep --help lists them", shown, near);
    else
        ts_error("unknown command '%s'; toysweep --help lists them", shown);
    return TS_EXIT_USAGE;
}

static bool is_help(const char *word) {
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int unknown_topic(const char *name) {
    char shown[TS_SHOWN_BYTES], text[TS_MEANT_BYTES] = "";
    const char *near = nearest_command(name);
    ts_meant meant = ts_sweep_meant(name);
    if (!*ts_meant_text(&meant, text) && near)
        snprintf(text, sizeof text, "did you mean '%s'?", near);
    ts_error("nothing is called '%s'; %s%stoysweep help lists the commands, help keys and help measures the rest",
             ts_shown(name, shown), text, *text ? " " : "");
    return TS_EXIT_USAGE;
}

// Of a command, "keys", "measures", "man", or a name. False: it is unknown.
static bool help_on(const char *topic) {
    const ts_command *command = find_command(topic);
    if (is_help(topic))
        ts_help_program(stdout);
    else if (strcmp(topic, "keys") == 0)
        ts_help_keys(stdout);
    else if (strcmp(topic, "measures") == 0)
        ts_help_measures(stdout);
    else if (strcmp(topic, "man") == 0)
        ts_help_man(stdout);
    else if (command)
        ts_help_command(stdout, command);
    else
        return ts_help_name(stdout, topic);
    return true;
}

// `toysweep help [TOPIC]...`
static int help(int argc, char **argv) {
    if (argc == 2)
        ts_help_program(stdout);
    for (int i = 2; i < argc; i++) {
        fputs(i > 2 ? "\n" : "", stdout);
        if (!help_on(argv[i]))
            return unknown_topic(argv[i]);
    }
    return check_output(TS_EXIT_DONE);
}

static int run_command(const ts_comm *comm, const ts_command *command, int argc, char **argv) {
    ts_arguments arguments;
    int wants_help;
    ts_status status = ts_arguments_parse(command, argc - 1, argv + 1, &arguments, &wants_help);
    if (status != TS_OK)
        return ts_command_fail(comm, status);
    if (wants_help) {
        if (comm->rank == 0)
            ts_help_command(stdout, command);
        return TS_EXIT_DONE;
    }
    return command->run(comm, &arguments);
}

static int program(int argc, char **argv) {
    if (argc < 2) {
        ts_help_program(stderr);
        return TS_EXIT_USAGE;
    }
    if (is_help(argv[1]))
        return help(argc, argv);
    if (strcmp(argv[1], "--version") == 0) {
        puts("toysweep " TOYSWEEP_VERSION);
        return check_output(TS_EXIT_DONE);
    }
    const ts_command *command = find_command(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    // Before MPI starts, which takes a while: a warning may come at any time, and must not end the rank.
    if (command == &ts_cmd_run)
        ts_signals_catch();
    ts_signals_survive_limits();
    ts_alloc_fail_from_environment();
    ts_h5_start();
    ts_comm comm;
    ts_status status = ts_comm_start(&comm, &argc, &argv);
    if (status != TS_OK) {
        if (*ts_message())
            ts_error_message();
        return ts_exit_code(status);
    }
    ts_backends_place(comm.node_rank, comm.node_size);
    int code = check_output(run_command(&comm, command, argc, argv));
    bool speaks = comm.rank == 0;
    if (ts_comm_parted())
        ts_comm_leave(&comm, speaks ? code : TS_EXIT_STOPPED);
    ts_comm_end(&comm);
    // One non-zero exit is enough for the launcher, and less noise than all of them.
    return speaks ? code : TS_EXIT_DONE;
}

int main(int argc, char **argv) {
    return ts_thread_main(program, argc, argv);
}
