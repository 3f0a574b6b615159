// Cores by the scheduling mask, memory by what is built in; ranks of a node share alike.
#define _GNU_SOURCE
#include "run/machine.h"

#include <sched.h>
#include <unistd.h>

int ts_machine_cores(const ts_comm *comm) {
    cpu_set_t mask;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int allowed = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : (int)online;
    int share = (int)(online / comm->node_size);
    int cores = allowed < share ? allowed : share;
    return cores < 1 ? 1 : cores;
}

int64_t ts_machine_slot_bytes(const ts_comm *comm, int slots) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    // Half of the node's memory, shared by its ranks' slots.
    return (int64_t)pages * size / 2 / ((int64_t)comm->node_size * slots);
}
