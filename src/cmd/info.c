// `toysweep info`: what this build and this machine have.
#include "backend/backend.h"
#include "base/log.h"
#include "base/text.h"
#include "cmd/command.h"
#include "results/io.h"
#include "run/machine.h"
#include "run/run.h"

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

static const ts_option OPTIONS[] = {{0}};

// Devices and libraries of the backends that have any.
static void print_details(void) {
    bool any = false;
    for (int i = 0; ts_backends[i]; i++) {
        const char *line;
        for (int k = 0; ts_backends[i]->detail && (line = ts_backends[i]->detail(k)); k++, any = true)
            ts_print("%-9s %s", any ? "" : "GPUs", line);
    }
    if (!any)
        ts_print("GPUs      none: this build has no CUDA backend");
}

// Engines of the same name and help share a line, which lists their models.
static void print_engines(const ts_backend *backend) {
    const ts_engine *const *all = backend->engines;
    for (int i = 0; all[i]; i++) {
        ts_text line = {0};
        bool shown = false;
        for (int k = 0; k < i; k++)
            shown = shown || strcmp(all[k]->name, all[i]->name) == 0;
        if (shown)
            continue;
        ts_text_addf(&line, "engine    %-10s %s: %s (", backend->name, all[i]->name, all[i]->help);
        for (int k = i; all[k]; k++)
            if (strcmp(all[k]->name, all[i]->name) == 0)
                ts_text_addf(&line, "%s%s", k > i ? ", " : "", all[k]->model ? all[k]->model : "any model");
        ts_text_add(&line, ")");
        ts_print_line(ts_text_get(&line));
        ts_text_free(&line);
    }
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    (void)arguments;
    unsigned major, minor, release;
    ts_io io;
    ts_io_choose(TS_IO_AUTO, comm, ".", &io);
    if (comm->rank != 0)
        return TS_EXIT_DONE;
    H5get_libversion(&major, &minor, &release);
#ifdef H5_HAVE_PARALLEL
    const char *parallel = "parallel";
#else
    const char *parallel = "serial";
#endif
    ts_print("toysweep  %s", TOYSWEEP_VERSION);
    ts_print("commit    %s", *TOYSWEEP_COMMIT ? TOYSWEEP_COMMIT : "unknown");
    ts_print("build     %s", TOYSWEEP_BUILD);
    ts_print("MPI       %s", ts_comm_library());
    ts_print("HDF5      %u.%u.%u, %s", major, minor, release, parallel);
    ts_print("io        %s (%s; rows of a results file in this directory)", ts_io_names[io.way], io.reason);
    ts_print("layout    %d rank%s x %d thread%s", comm->size, ts_plural(comm->size), ts_machine_cores(comm),
             ts_plural(ts_machine_cores(comm)));
    for (int i = 0; ts_backends[i]; i++) {
        const ts_backend *backend = ts_backends[i];
        bool runs = backend->probe() == TS_OK;
        ts_print("backend   %-10s %s (%s)", backend->name, backend->help, runs ? backend->device() : ts_message());
        print_engines(backend);
    }
    print_details();
    return TS_EXIT_DONE;
}

const ts_command ts_cmd_info = {
    .name = "info",
    .operands = "",
    .n_operands = 0,
    .summary = "version, build, backends, GPUs, MPI and HDF5, ranks x threads",
    .description = "Prints version and commit, how it was built, the backends compiled in, whether they run here "
                   "and which engines they have, "
                   "GPUs seen, MPI and HDF5 versions, how a run would write its rows, and the layout of ranks and "
                   "threads a run would have.",
    .options = OPTIONS,
    .run = run,
};
