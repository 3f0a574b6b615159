// Who started this process and how many there are; messages over MPI, and a rank's to itself through a queue.
#define _POSIX_C_SOURCE 200809L
#include "base/comm.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Messages of a rank to itself: a ring that grows.
typedef struct own_message {
    size_t size;
    char bytes[TS_MESSAGE_MAX];
} own_message;

static own_message *own;
static size_t own_first, own_count, own_capacity;

static ts_status grow_own(void) {
    size_t capacity = own_capacity ? 2 * own_capacity : 64;
    own_message *grown = ts_alloc(capacity * sizeof *grown, "messages");
    if (!grown)
        return TS_ERROR_FATAL;
    for (size_t i = 0; i < own_count; i++)
        grown[i] = own[(own_first + i) % own_capacity];
    ts_free(own);
    own = grown;
    own_first = 0;
    own_capacity = capacity;
    return TS_OK;
}

static ts_status send_own(const void *bytes, size_t size) {
    if (own_count == own_capacity && grow_own() != TS_OK)
        return TS_ERROR_FATAL;
    own_message *message = &own[(own_first + own_count++) % own_capacity];
    message->size = size;
    memcpy(message->bytes, bytes, size);
    return TS_OK;
}

static bool poll_own(void *bytes, size_t *size) {
    if (own_count == 0)
        return false;
    const own_message *message = &own[own_first];
    memcpy(bytes, message->bytes, message->size);
    *size = message->size;
    own_first = (own_first + 1) % own_capacity;
    own_count--;
    return true;
}

static void free_own(void) {
    ts_free(own);
    own = NULL;
    own_first = own_count = own_capacity = 0;
}

// Room from the start, so that short memory shows before there is something to lose.
static ts_status reserve_own(void) {
    return own ? TS_OK : grow_own();
}

// What launchers tell the processes they start: how many there are, and which one this is.
typedef struct launcher {
    const char *size, *rank; // environment variables; NULL: it does not tell
    const char *name;
} launcher;

// The nearest to the program first: what lies around it (an mpirun within a job) may have left variables of its own.
static const launcher launchers[] = {
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "Open MPI's mpirun"},
    {"PMI_SIZE", "PMI_RANK", "an mpiexec of MPICH or Intel MPI, or srun --mpi=pmi2"},
    {"MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MVAPICH's mpirun"},
    {"MPI_LOCALNRANKS", "MPI_LOCALRANKID", "an mpiexec of MPICH"},
    {"JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_RANK", "jsrun"},
    {"FLUX_JOB_SIZE", "FLUX_TASK_RANK", "flux run"},
    {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"},
    {NULL, "PALS_RANKID", "PALS"},
    {NULL, "ALPS_APP_PE", "aprun"},
    {NULL, "PMIX_RANK", "a launcher with PMIx"},
    {NULL, "PMI_RANK", "a launcher with PMI"},
};
enum { LAUNCHERS = sizeof launchers / sizeof *launchers };

static int number_of(const char *variable) {
    const char *text = variable ? getenv(variable) : NULL;
    return text ? atoi(text) : 0;
}

// What the environment says before MPI starts, which may change it.
typedef struct started {
    const launcher *by; // NULL: nobody
    int size, rank;     // 0: not known
} started;

static started who_started(void) {
    for (int i = 0; i < LAUNCHERS; i++) {
        started s = {&launchers[i], number_of(launchers[i].size), number_of(launchers[i].rank)};
        if (s.size >= 1 || (!s.by->size && s.rank > 0))
            return s;
    }
    return (started){0};
}

// Several processes of a launcher whose MPI is not the program's would each believe to be alone, and fight over the
// results file. To be asked once MPI has started, if it has.
static ts_status refuse_singletons(const ts_comm *comm, started s) {
    if (comm->size > 1 || !s.by || s.size == 1)
        return TS_OK;
    if (s.size > 1 && s.rank > 0)
        return ts_fail(TS_ERROR_USER, "%s", ""); // the first process speaks for all
    char number[32] = "several";
    if (s.size > 1)
        snprintf(number, sizeof number, "%d", s.size);
#ifdef TOYSWEEP_MPI
    return ts_fail(TS_ERROR_USER,
                   "started by %s as %s separate processes instead of %s ranks of one MPI job: this program is built "
                   "with %.*s; use its own mpirun, or srun --mpi=pmix (srun --mpi=list shows what is there)",
                   s.by->name, number, number, (int)strcspn(ts_comm_library(), ","), ts_comm_library());
#else
    return ts_fail(TS_ERROR_USER,
                   "started by %s as %s processes, but this build has no MPI: start it without a launcher, or build "
                   "with TOYSWEEP_MPI=ON and use that MPI's mpirun or srun --mpi=pmix",
                   s.by->name, number);
#endif
}

void ts_comm_abort(const ts_comm *comm, const char *format, ...) {
    char text[TS_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ts_error("%s", text);
#ifdef TOYSWEEP_MPI
    if (comm->mpi)
        MPI_Abort(MPI_COMM_WORLD, 1);
#endif
    (void)comm;
    exit(1);
}

// --- Without those that are lost ---

static bool parted;

void ts_comm_part(void) {
    parted = true;
}

bool ts_comm_parted(void) {
    return parted;
}

static _Atomic double waiting_since;

double ts_comm_waiting(void) {
    return atomic_load(&waiting_since);
}

#ifdef TOYSWEEP_MPI

// Does a call that is collective concern other ranks?
static bool is_shared(const ts_comm *comm) {
    return comm->mpi && !parted;
}

static void begin_waiting(void) {
    atomic_store(&waiting_since, ts_clock());
}

static void end_waiting(void) {
    atomic_store(&waiting_since, 0);
}

enum { TAG = 1 };

// Sends under way; their buffers must outlive them.
typedef struct pending_send {
    MPI_Request request;
    char bytes[TS_MESSAGE_MAX];
    struct pending_send *next;
} pending_send;
static pending_send *sends;

static void reap_sends(void) {
    for (pending_send **at = &sends; *at;) {
        int done = 0;
        MPI_Test(&(*at)->request, &done, MPI_STATUS_IGNORE);
        if (done) {
            pending_send *finished = *at;
            *at = finished->next;
            ts_free(finished);
        } else {
            at = &(*at)->next;
        }
    }
}

// Was this process started by a launcher that MPI can connect to?
static bool launched(void) {
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMIX_NAMESPACE", "PMI_RANK",
                                            "MPI_LOCALNRANKS",      NULL};
    for (int i = 0; variables[i]; i++)
        if (getenv(variables[i]))
            return true;
    return false;
}

// Of the two MPI-IOs that Open MPI has, its own makes files beside those it opens and takes a short write for a fault:
// that of other MPIs it shall be, whatever its version is called, unless the user has chosen.
static void use_romio(void) {
    setenv("OMPI_MCA_io", "^ompio", 0);
}

ts_status ts_comm_start(ts_comm *comm, int *argc, char ***argv) {
    *comm = (ts_comm){.size = 1, .node_size = 1};
    started by = who_started();
    ts_status status = reserve_own();
    if (status != TS_OK || !launched())
        return status == TS_OK ? refuse_singletons(comm, by) : status;
    use_romio();
    int provided = 0;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS || provided < MPI_THREAD_FUNNELED)
        return ts_fail(TS_ERROR_FATAL, "MPI does not start with MPI_THREAD_FUNNELED");
    comm->mpi = true;
    MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
    MPI_Comm node;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &comm->node_rank);
    MPI_Comm_size(node, &comm->node_size);
    MPI_Comm_free(&node);
    return refuse_singletons(comm, by);
}

void ts_comm_end(ts_comm *comm) {
    free_own();
    if (!comm->mpi)
        return;
    begin_waiting();
    while (sends)
        reap_sends();
    MPI_Finalize();
    end_waiting();
    comm->mpi = false;
}

// A launcher that cannot reach all its ranks, or hangs itself, may not end those that it should.
static const double ABORT_SECONDS = 15;

static void *end_anyway(void *code) {
    ts_sleep(ABORT_SECONDS);
    _exit(*(const int *)code);
}

// Until rank 0 has said how it went, and the launcher had its time. Signals end a sleep, not this.
static void wait_to_be_ended(const ts_comm *comm) {
    static const double END_SECONDS = 600;
    char bytes[TS_MESSAGE_MAX];
    size_t size;
    int from;
    double end = ts_clock() + END_SECONDS;
    while (ts_clock() < end) {
        if (ts_comm_poll(comm, &from, bytes, &size) && size == sizeof(char))
            end = ts_clock() + ABORT_SECONDS;
        ts_sleep(0.01);
    }
}

void ts_comm_leave(const ts_comm *comm, int code) {
    static int kept;
    pthread_t thread;
    kept = code;
    if (comm->rank != 0)
        wait_to_be_ended(comm);
    for (int rank = 1; rank < comm->size && comm->rank == 0; rank++)
        ts_comm_send(comm, rank, &(char){0}, sizeof(char)); // to those that are lost it does no harm
    if (comm->rank == 0 && comm->mpi && ts_thread_start(&thread, end_anyway, &kept) == TS_OK)
        MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

// Until the request is done: what others are at may take long, and a rank that waits is not to take the processor from
// one that works, as MPI's own calls do.
static void wait_for(MPI_Request *request) {
    static const double SHORTEST = 1e-5, LONGEST = 2e-3;
    int done = 0;
    MPI_Test(request, &done, MPI_STATUS_IGNORE);
    for (double pause = SHORTEST; !done; pause = pause < LONGEST ? 2 * pause : LONGEST) {
        ts_sleep(pause);
        MPI_Test(request, &done, MPI_STATUS_IGNORE);
    }
}

static void broadcast(void *bytes, int size, int from) {
    MPI_Request request;
    MPI_Ibcast(bytes, size, MPI_BYTE, from, MPI_COMM_WORLD, &request);
    wait_for(&request);
}

ts_status ts_comm_agree(const ts_comm *comm, ts_status mine) {
    if (!is_shared(comm))
        return mine;
    begin_waiting();
    struct {
        int status, rank;
    } worst, own_status = {mine, comm->rank};
    MPI_Request request;
    MPI_Iallreduce(&own_status, &worst, 1, MPI_2INT, MPI_MAXLOC, MPI_COMM_WORLD, &request);
    wait_for(&request);
    char message[TS_MESSAGE_BYTES];
    if (worst.status != TS_OK) {
        snprintf(message, sizeof message, "%s", ts_message());
        broadcast(message, sizeof message, worst.rank);
    }
    end_waiting();
    if (worst.status == TS_OK)
        return TS_OK;
    return ts_fail_again((ts_status)worst.status, message);
}

void ts_comm_broadcast(const ts_comm *comm, void *bytes, size_t size) {
    if (!is_shared(comm))
        return;
    begin_waiting();
    for (size_t at = 0; at < size; at += 1 << 30) {
        size_t piece = size - at < 1 << 30 ? size - at : 1 << 30;
        broadcast((char *)bytes + at, (int)piece, 0);
    }
    end_waiting();
}

ts_status ts_comm_send(const ts_comm *comm, int to, const void *bytes, size_t size) {
    if (size > TS_MESSAGE_MAX)
        return ts_fail(TS_ERROR_FATAL, "a message of %zu bytes is too long", size);
    if (to == comm->rank)
        return send_own(bytes, size);
    reap_sends();
    pending_send *send = ts_alloc(sizeof *send, "a message");
    if (!send)
        return TS_ERROR_FATAL;
    memcpy(send->bytes, bytes, size);
    send->next = sends;
    sends = send;
    MPI_Isend(send->bytes, (int)size, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &send->request);
    return TS_OK;
}

bool ts_comm_poll(const ts_comm *comm, int *from, void *bytes, size_t *size) {
    *from = comm->rank;
    if (poll_own(bytes, size))
        return true;
    if (!comm->mpi)
        return false;
    reap_sends();
    int waiting = 0, length = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &waiting, &status);
    if (!waiting)
        return false;
    MPI_Get_count(&status, MPI_BYTE, &length);
    if (length > TS_MESSAGE_MAX)
        ts_comm_abort(comm, "rank %d got a message of %d bytes from rank %d, which no part of this program sends",
                      comm->rank, length, status.MPI_SOURCE);
    MPI_Recv(bytes, length, MPI_BYTE, status.MPI_SOURCE, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    *from = status.MPI_SOURCE;
    *size = (size_t)length;
    return true;
}

const char *ts_comm_library(void) {
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, "\n")] = 0;
    return text;
}

#else

ts_status ts_comm_start(ts_comm *comm, int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    *comm = (ts_comm){.size = 1, .node_size = 1};
    ts_status status = reserve_own();
    return status == TS_OK ? refuse_singletons(comm, who_started()) : status;
}

void ts_comm_end(ts_comm *comm) {
    (void)comm;
    free_own();
}

void ts_comm_leave(const ts_comm *comm, int code) {
    (void)comm;
    _exit(code);
}

ts_status ts_comm_agree(const ts_comm *comm, ts_status mine) {
    (void)comm;
    return mine;
}

void ts_comm_broadcast(const ts_comm *comm, void *bytes, size_t size) {
    (void)comm;
    (void)bytes;
    (void)size;
}

ts_status ts_comm_send(const ts_comm *comm, int to, const void *bytes, size_t size) {
    (void)comm;
    (void)to;
    if (size > TS_MESSAGE_MAX)
        return ts_fail(TS_ERROR_FATAL, "a message of %zu bytes is too long", size);
    return send_own(bytes, size);
}

bool ts_comm_poll(const ts_comm *comm, int *from, void *bytes, size_t *size) {
    *from = comm->rank;
    return poll_own(bytes, size);
}

const char *ts_comm_library(void) {
    return "none";
}

#endif
