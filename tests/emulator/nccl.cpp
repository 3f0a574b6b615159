// NCCL between processes of one machine: a communicator is a piece of shared memory that is named by its unique id. A
// call is work on a stream, as cuBLAS's are.
#include "nccl.h"

#include "emulator.h"

#include <atomic>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

enum { MOST_RANKS = 16, MOST_SECONDS = 120 };
constexpr size_t SLOT_FLOATS = 1 << 16;

// Zero when it is made.
struct board {
    std::atomic<int> arrived, turn;
    int device[MOST_RANKS]; // 1 + the device of each rank
    float slot[MOST_RANKS][SLOT_FLOATS];
};

} // namespace

struct ncclComm {
    board *shared;
    int rank, ranks;

    // Aborts if some rank never comes.
    void meet() const {
        int turn = shared->turn;
        time_t start = time(nullptr);
        if (++shared->arrived == ranks) {
            shared->arrived = 0;
            ++shared->turn;
        }
        while (shared->turn == turn) {
            sched_yield();
            if (time(nullptr) - start > MOST_SECONDS)
                emulator::stop("NCCL: rank %d waits for others that never come", rank);
        }
    }

    void gather(const float *own, float *all, size_t count) const {
        for (size_t at = 0; at < count; at += SLOT_FLOATS) {
            size_t part = count - at < SLOT_FLOATS ? count - at : SLOT_FLOATS;
            memcpy(shared->slot[rank], own + at, part * sizeof *own);
            meet();
            for (int r = 0; r < ranks; r++)
                memcpy(all + (size_t)r * count + at, shared->slot[r], part * sizeof *all);
            meet();
        }
    }

    bool devices_differ() const {
        for (int i = 0; i < ranks; i++)
            for (int j = 0; j < i; j++)
                if (shared->device[i] == shared->device[j])
                    return false;
        return true;
    }
};

extern "C" {

ncclResult_t ncclGetVersion(int *version) {
    *version = NCCL_MAJOR * 10000;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
    return result == ncclSuccess ? "no error" : result == ncclInvalidUsage ? "invalid usage" : "an error";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    static std::atomic<int> number = 0;
    *id = {};
    snprintf(id->internal, sizeof id->internal, "/toysweep-nccl-%d-%d", (int)getpid(), ++number);
    return ncclSuccess;
}

// Collective, as the real one; so is its refusal of two ranks on one device.
ncclResult_t ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank) {
    if (ranks < 1 || ranks > MOST_RANKS || rank < 0 || rank >= ranks)
        return ncclInvalidArgument;
    int file = shm_open(id.internal, O_CREAT | O_RDWR, 0600), device = 0;
    if (file < 0 || ftruncate(file, sizeof(board)) != 0)
        return ncclSystemError;
    void *shared = mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared == MAP_FAILED)
        return ncclSystemError;
    *comm = new ncclComm{static_cast<board *>(shared), rank, ranks};
    cudaGetDevice(&device);
    (*comm)->shared->device[rank] = 1 + device;
    (*comm)->meet();
    if (rank == 0)
        shm_unlink(id.internal);
    if ((*comm)->devices_differ())
        return ncclSuccess;
    ncclCommDestroy(*comm);
    return ncclInvalidUsage;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    munmap(comm->shared, sizeof(board));
    delete comm;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    return ncclCommDestroy(comm);
}

ncclResult_t ncclAllGather(const void *own, void *all, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
    if (type != ncclFloat32)
        return ncclInvalidArgument;
    emulator::enqueue(stream, [=] { comm->gather(static_cast<const float *>(own), static_cast<float *>(all), count); });
    return ncclSuccess;
}

} // extern "C"
