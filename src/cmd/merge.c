// `toysweep merge`: the arguments, and what is said of each file.
#include "base/log.h"
#include "base/memory.h"
#include "cmd/command.h"
#include "run/load.h"
#include "run/merged_file.h"
#include "run/next.h"
#include "run/run.h"

#include <stdio.h>

static const ts_option OPTIONS[] = {
    {"output", 'o', "FILE", "The results file to make, which must not exist. Required."},
    {"sweep", 0, "SWEEP.yaml",
     "The whole sweep, where the files do not tell it by themselves, or are not all of it: what none of them "
     "has is "
     "left to be trained."},
    {"set", 0, "KEY=VALUE", "Sets a key over --sweep's file, as for `run`. May be given repeatedly."},
    {0},
};

// "A.h5: 15 done, 1 failed; 2 that another has too".
static void print_file(const char *path, const ts_reuse_counts *c) {
    ts_text line = {0};
    ts_text_addf(&line, "%s: %lld done, %lld failed", path, (long long)c->done, (long long)c->failed);
    if (c->same)
        ts_text_addf(&line, "; %lld that a file before it has too", (long long)c->same);
    if (c->damaged)
        ts_text_addf(&line, "; %lld damaged, left out", (long long)c->damaged);
    if (c->elsewhere)
        ts_text_addf(&line, "; %lld of no instance of the sweep, left out", (long long)c->elsewhere);
    ts_print_line(ts_text_get(&line));
    ts_text_free(&line);
}

static void print_result(const ts_arguments *arguments, const char *output, const ts_sweep *sweep,
                         const ts_reuse_counts *counts) {
    const char *file = ts_argument(&ts_cmd_merge, arguments, "sweep");
    ts_run_options run = {.sweep = file, .overrides = arguments->set, .n_overrides = arguments->n_set};
    int64_t done = 0, failed = 0, instances = ts_sweep_instances(sweep);
    char name[128];
    for (int i = 0; i < arguments->n_operands; i++) {
        print_file(arguments->operand[i], &counts[i]);
        done += counts[i].done;
        failed += counts[i].failed - counts[i].mended;
    }
    ts_print("%s: %lld instance%s, %lld done, %lld failed, %lld left", output, (long long)instances,
             ts_plural(instances), (long long)done, (long long)failed, (long long)(instances - done - failed));
    if (!file) {
        snprintf(name, sizeof name, "%s.yaml", ts_sweep_name(sweep));
        run.sweep = name;
        run.n_overrides = ts_sweep_overrides(sweep, &run.overrides);
    }
    if (done + failed == instances)
        ts_next_look(output);
    else
        ts_next_continue(&run, output);
}

static ts_status merge(const ts_comm *comm, const ts_arguments *arguments) {
    const char *file = ts_argument(&ts_cmd_merge, arguments, "sweep"),
               *output = ts_argument(&ts_cmd_merge, arguments, "output");
    ts_sweep *given = NULL, *found = NULL;
    if (!output || !*output)
        return ts_fail(TS_ERROR_USER, "-o is missing: which file is to be made?");
    if (!file && arguments->n_set > 0)
        return ts_fail(TS_ERROR_USER, "--set goes with --sweep; the files know what they were made with");
    if (file) {
        ts_status status = ts_load_sweep(comm, file, arguments->set, arguments->n_set, &given);
        if (status != TS_OK)
            return status;
    }
    ts_reuse_counts *counts = ts_alloc_zero((size_t)arguments->n_operands, sizeof *counts, "files");
    ts_status status = counts ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK && comm->rank == 0)
        status = ts_merged_file_make(arguments->operand, arguments->n_operands, output, given, &found, counts);
    if (status == TS_OK && comm->rank == 0)
        print_result(arguments, output, given ? given : found, counts);
    ts_free(counts);
    ts_sweep_free(given);
    ts_sweep_free(found);
    return status;
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    ts_status status = merge(comm, arguments);
    return status == TS_OK ? TS_EXIT_DONE : ts_command_fail(comm, status);
}

const ts_command ts_cmd_merge = {
    .name = "merge",
    .operands = "FILE.h5...",
    .n_operands = 1,
    .more_operands = true,
    .summary = "results files that are parts of one sweep become one",
    .description = "Puts the rows of results files together that are parts of one sweep: made from one sweep "
                   "file with other "
                   "values of some keys by --set (seed=0..4 and seed=5..9, say), or other `where`s. The file "
                   "is the very one that "
                   "one run of the whole makes, and a run can continue it.\n\nThe files must be of this "
                   "version and of one "
                   "backend. They are only read; rows whose checksum is wrong are left out. What is done in "
                   "one and failed in "
                   "another is done. Nothing is made if two have different results for one instance, or if "
                   "the files are not all "
                   "of a sweep and --sweep does not name it.",
    .options = OPTIONS,
    .run = run,
};
