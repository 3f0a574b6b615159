// `toysweep run`: from arguments to the options of a run.
#include "run/run.h"

#include "base/text.h"
#include "cmd/command.h"

#include <string.h>

static const ts_option OPTIONS[] = {
    {"output", 'o', "FILE", "The results file. Default: the sweep's name + `.h5` in the working directory."},
    {"set", 0, "KEY=VALUE", "Sets a key over the sweep file; a list or range sweeps it. May be given repeatedly."},
    {"backend", 0, "NAME",
     "$BACKENDS. Default: auto, the best that runs here (or what an unfinished file was begun with)."},
    {"threads", 0, "N",
     "Units each rank trains at once, a thread each; threads without a unit help with large instances. Default: the "
     "cores the rank may use."},
    {"ranks-per-instance", 0, "R", TS_RANKS_PER_INSTANCE_HELP},
    {"time-limit", 0, "TIME", "Stop cleanly before so much time has passed, state saved, exit code 75; e.g. 1h50m."},
    {"checkpoint-interval", 0, "TIME", "How often unfinished units save their state. Default: 5m."},
    {"patience", 0, "TIME",
     "How long to wait for the work of a rank that has fallen silent: its host is cut off, or it was stopped. Then the "
     "others train what is left, and the run ends with 75. Default: 2m."},
    {"max-failures", 0, "N", "Stop when more than N instances of this run have failed (exit code 3)."},
    {"retry-failed", 0, NULL, "Train failed instances again."},
    {"reuse", 0, "OLD.h5",
     "Copy finished instances with the same identity from OLD instead of training them, and go on from where those "
     "ended that differ in having fewer steps alone, if OLD kept their state (save: state). May be given repeatedly; "
     "the first that has an instance gives it."},
    {"io", 0, "WAY",
     "How ranks write rows: mpio (HDF5's MPI driver), posix (each for itself) or auto. Default: auto, mpio where there "
     "are several ranks, but not on NFS, FUSE and their like."},
    {"progress", 0, "MODE", "auto, bar, log (a line at most every 30 s) or none. Default: auto, bar on a terminal."},
    {"print-names", 0, NULL,
     "Only print the sweep's name and the results file's path, links resolved, a line each. Writes nothing."},
    {0},
};

// *choice: which of the names it is, the first if the option is not given.
static ts_status parse_choice(const ts_arguments *arguments, const char *option, const char *const *names,
                              int *choice) {
    const char *text = ts_argument(&ts_cmd_run, arguments, option);
    ts_text list = {0};
    for (*choice = 0; text && names[*choice] && strcmp(text, names[*choice]) != 0; ++*choice)
        ts_text_addf(&list, "%s%s", *choice == 0 ? "" : names[*choice + 1] ? ", " : " or ", names[*choice]);
    ts_status status = TS_OK;
    if (text && !names[*choice])
        status = ts_fail(TS_ERROR_USER, "--%s %s: give %s", option, text, ts_text_get(&list));
    ts_text_free(&list);
    return status;
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    const ts_command *self = &ts_cmd_run;
    const char *backend = ts_argument(self, arguments, "backend");
    static const char *const PROGRESS[] = {"auto", "bar", "log", "none", NULL}; // by ts_progress_mode
    long long threads, max_failures;
    int progress, io;
    ts_run_options options = {
        .sweep = arguments->operand[0],
        .output = ts_argument(self, arguments, "output"),
        .overrides = arguments->set,
        .n_overrides = arguments->n_set,
        .backend = backend ? backend : "auto",
        .retry_failed = ts_argument(self, arguments, "retry-failed") != NULL,
        .reuse = arguments->reuse,
        .n_reuse = arguments->n_reuse,
        .names_only = ts_argument(self, arguments, "print-names") != NULL,
    };
    ts_status status = ts_argument_integer(self, arguments, "threads", 1, 4096, 0, &threads);
    if (status == TS_OK)
        status = ts_argument_ranks_per_instance(self, arguments, &options.ranks_per_instance);
    if (status == TS_OK)
        status = ts_argument_integer(self, arguments, "max-failures", 0, 10000000, -1, &max_failures);
    if (status == TS_OK)
        status = ts_argument_duration(self, arguments, "time-limit", 0, &options.time_limit);
    if (status == TS_OK)
        status = ts_argument_duration(self, arguments, "checkpoint-interval", 300, &options.checkpoint_interval);
    if (status == TS_OK)
        status = parse_choice(arguments, "progress", PROGRESS, &progress);
    if (status == TS_OK)
        status = parse_choice(arguments, "io", ts_io_names, &io);
    if (status == TS_OK)
        status = ts_io_check((ts_io_way)io, comm);
    if (status == TS_OK)
        status = ts_argument_duration(self, arguments, "patience", 120, &options.patience);
    if (status == TS_OK && options.patience < 1)
        status =
            ts_fail(TS_ERROR_USER, "--patience %s: give a second or more", ts_argument(self, arguments, "patience"));
    if (status != TS_OK)
        return ts_command_fail(comm, status);
    options.threads = (int)threads;
    options.max_failures = max_failures;
    options.progress = (ts_progress_mode)progress;
    options.io = (ts_io_way)io;
    return ts_run(comm, &options);
}

const ts_command ts_cmd_run = {
    .name = "run",
    .operands = "SWEEP.yaml",
    .n_operands = 1,
    .summary = "train everything the results file does not hold yet",
    .description = "Trains every instance of the sweep that the results file does not hold yet. Running the "
                   "same command again "
                   "continues; when all is done it says so and exits with 0.\n\nUnder mpirun or srun the "
                   "ranks share the work; "
                   "started alone it uses all cores. SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU "
                   "stop it cleanly: finished "
                   "instances are in the "
                   "file, unfinished ones go on from their saved state when it is run again, and the bits of "
                   "the results are "
                   "those of an uninterrupted run.",
    .options = OPTIONS,
    .run = run,
};
