#include "backend/backend.h"
#include "cmd/command.h"
#include "run/run.h"

#include <hdf5.h>
#include <stdio.h>

static const ts_option OPTIONS[] = {{0}};

// Devices and libraries of the backends that have any.
static void print_details(void) {
    bool any = false;
    for (int i = 0; ts_backends[i]; i++) {
        const char *line;
        for (int k = 0; ts_backends[i]->detail && (line = ts_backends[i]->detail(k)); k++, any = true)
            printf("%-9s %s\n", any ? "" : "GPUs", line);
    }
    if (!any)
        printf("GPUs      none: this build has no CUDA backend\n");
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    (void)arguments;
    unsigned major, minor, release;
    if (comm->rank != 0)
        return TS_EXIT_DONE;
    H5get_libversion(&major, &minor, &release);
#ifdef H5_HAVE_PARALLEL
    const char *parallel = "parallel";
#else
    const char *parallel = "serial";
#endif
    printf("toysweep  %s\n", TOYSWEEP_VERSION);
    printf("commit    %s\n", *TOYSWEEP_COMMIT ? TOYSWEEP_COMMIT : "unknown");
    printf("build     %s\n", TOYSWEEP_BUILD);
    printf("MPI       %s\n", ts_comm_library());
    printf("HDF5      %u.%u.%u, %s\n", major, minor, release, parallel);
    printf("layout    %d rank%s x %d thread%s\n", comm->size, comm->size == 1 ? "" : "s", ts_run_cores(comm),
           ts_run_cores(comm) == 1 ? "" : "s");
    for (int i = 0; ts_backends[i]; i++) {
        const ts_backend *backend = ts_backends[i];
        bool runs = backend->probe() == TS_OK;
        printf("backend   %-10s %s (%s)\n", backend->name, backend->help,
               runs ? backend->device() : ts_message());
    }
    print_details();
    return TS_EXIT_DONE;
}

const ts_command ts_cmd_info = {
    .name = "info",
    .operands = "",
    .n_operands = 0,
    .summary = "version, build, backends, GPUs, MPI and HDF5, ranks x threads",
    .description =
        "Prints version and commit, how it was built, the backends compiled in and whether they run here, "
        "GPUs seen, MPI and HDF5 versions, and the layout of ranks and threads a run would have.",
    .options = OPTIONS,
    .run = run,
};
