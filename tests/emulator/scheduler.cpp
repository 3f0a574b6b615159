// One block at a time; warp after warp runs until all its threads wait for the block or are done. That gives warps
// the largest lead over each other that barriers allow, so that a missing one shows.
#include "emulator.h"
#include "fiber.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>

namespace emulator {

__thread place here __attribute__((tls_model("initial-exec"))) = {};

namespace {

enum class state { ready, at_block, at_warp, done };

// Two variables take turns, so that nobody acquires what others did after this barrier.
struct rendezvous {
    int turn = 0;
    char variable[2];
};

// Lanes that wait for each other; one for every mask a warp uses.
struct lanes {
    unsigned mask = 0;
    int waiting = 0;
    rendezvous order;
};

struct worker; // a CUDA thread

// No vector: what fibers allocate and free the thread sanitizer takes for a race between them.
struct warp {
    enum { MOST_MASKS = 64 };
    lanes group[MOST_MASKS];
    int groups = 0;
};

struct worker {
    fiber stack;
    state now = state::done;
    place where;
    site at;        // where it waits
    vote how_block; // what for
    bool mine;
    exchange how_warp;
    unsigned mask, from;
    uint64_t bits, result;
    int block_result;
};

// Everything of one thread of the operating system.
struct machine {
    fiber home;
    std::vector<std::unique_ptr<worker>> workers;
    std::vector<warp> warps;
    int threads = 0; // of the block
    rendezvous block;
    char begin, end;
    worker *running = nullptr;
    const std::function<void()> *thread = nullptr;
    const configuration *how = nullptr;

    machine() { fiber_of_thread(&home); }
    ~machine() {
        for (auto &each : workers)
            fiber_destroy(&each->stack);
    }
};

thread_local std::unique_ptr<machine> own;

machine &self() {
    if (!own)
        own = std::make_unique<machine>();
    return *own;
}

// --- Order ---

struct order {
    enum { forward, backward, shuffled } kind = forward;
    uint64_t random = 0;

    order() {
        const char *text = getenv("TOYSWEEP_EMULATE_ORDER");
        if (!text || !*text || strcmp(text, "forward") == 0)
            return;
        if (strcmp(text, "backward") == 0)
            kind = backward;
        else if (strncmp(text, "shuffled", 8) == 0) {
            kind = shuffled;
            random = text[8] == ':' ? strtoull(text + 9, nullptr, 10) : 1;
        } else
            stop("TOYSWEEP_EMULATE_ORDER=%s: it is forward, backward or shuffled[:SEED]", text);
    }

    void arrange(std::vector<int> &items, int count) {
        items.resize((size_t)count);
        for (int i = 0; i < count; i++)
            items[(size_t)i] = kind == backward ? count - 1 - i : i;
        if (kind != shuffled)
            return;
        for (int i = count - 1; i > 0; i--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            std::swap(items[(size_t)i], items[(size_t)((random >> 33) % (uint64_t)(i + 1))]);
        }
    }
};

// --- Threads ---

void wait(machine &m, worker *mine, state how, site at) {
    mine->now = how;
    mine->at = at;
    fiber_switch(&mine->stack, &m.home);
}

[[noreturn]] void worker_main() {
    fiber_entered();
    machine &m = self();
    for (;;) {
        worker *mine = m.running;
        order_acquire(&m.begin);
        (*m.thread)();
        order_release(&m.end);
        wait(m, mine, state::done, {"", 0});
    }
}

int lane_of(const machine &m, const worker *which) {
    const dim3 &size = m.how->block;
    const uint3 &at = which->where.thread;
    return (int)((at.x + size.x * (at.y + size.y * at.z)) % 32);
}

int warp_of(const machine &m, const worker *which) {
    const dim3 &size = m.how->block;
    const uint3 &at = which->where.thread;
    return (int)((at.x + size.x * (at.y + size.y * at.z)) / 32);
}

void resume(machine &m, worker *next) {
    m.running = next;
    here = next->where;
    fiber_switch(&m.home, &next->stack);
}

[[noreturn]] void report_divergence(const machine &m, const char *what) {
    fprintf(stderr, "emulator: %s, kernel %s started at %s:%d\n", what, m.how->kernel, m.how->at.file, m.how->at.line);
    for (int i = 0; i < m.threads; i++) {
        const worker *each = m.workers[(size_t)i].get();
        const uint3 &at = each->where.thread;
        static const char *const names[] = {"runs", "waits for its block", "waits for its warp", "has ended"};
        fprintf(stderr, "  thread (%u, %u, %u) %s", at.x, at.y, at.z, names[(int)each->now]);
        if (each->now != state::done)
            fprintf(stderr, " at %s:%d", each->at.file, each->at.line);
        fputc('\n', stderr);
    }
    abort();
}

bool same(site a, site b) {
    return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

// --- Barriers ---

// TOYSWEEP_EMULATE_WITHOUT=FILE:LINE takes the barrier in that line away, to see whether a test notices
// (tests/emulator/mutate.py).
bool left_out(site at) {
    static const char *const without = getenv("TOYSWEEP_EMULATE_WITHOUT");
    if (!without)
        return false;
    const char *name = strrchr(at.file, '/'), *colon = strrchr(without, ':');
    name = name ? name + 1 : at.file;
    return colon && atoi(colon + 1) == at.line && strlen(name) == (size_t)(colon - without) &&
           strncmp(name, without, strlen(name)) == 0;
}

// TOYSWEEP_EMULATE_BARRIERS=FILE: the process writes there, when it ends, which barriers it came to.
struct visited {
    std::mutex mutex;
    std::set<std::pair<std::string, int>> sites;
    const char *const path = getenv("TOYSWEEP_EMULATE_BARRIERS");

    void note(site at) {
        std::lock_guard lock(mutex);
        const char *name = strrchr(at.file, '/');
        sites.emplace(name ? name + 1 : at.file, at.line);
    }
    ~visited() {
        FILE *file = path ? fopen(path, "w") : nullptr;
        for (const auto &[name, line] : sites)
            if (file)
                fprintf(file, "%s:%d\n", name.c_str(), line);
        if (file)
            fclose(file);
    }
};

void note_visit(site at) {
    static visited all;
    if (all.path)
        all.note(at);
}

// If all threads of the block wait at the same barrier they go on.
bool open_block(machine &m) {
    const worker *first = m.workers[0].get();
    int votes = 0;
    for (int i = 0; i < m.threads; i++) {
        const worker *each = m.workers[(size_t)i].get();
        if (each->now != state::at_block || !same(each->at, first->at))
            return false;
        votes += each->mine;
    }
    m.block.turn ^= 1;
    for (int i = 0; i < m.threads; i++) {
        worker *each = m.workers[(size_t)i].get();
        each->block_result = each->how_block == vote::any   ? votes > 0
                             : each->how_block == vote::all ? votes == m.threads
                                                            : votes;
        each->now = state::ready;
    }
    return true;
}

lanes &group_of(warp &of, unsigned mask) {
    for (int i = 0; i < of.groups; i++)
        if (of.group[i].mask == mask)
            return of.group[i];
    if (of.groups == warp::MOST_MASKS)
        stop("a warp uses more than %d masks", (int)warp::MOST_MASKS);
    of.group[of.groups].mask = mask;
    return of.group[of.groups++];
}

// If all lanes of the mask wait for the same exchange they get what they asked for and go on.
void open_warp(machine &m, worker *last) {
    size_t first = (size_t)warp_of(m, last) * 32;
    lanes &group = group_of(m.warps[first / 32], last->mask);
    if (++group.waiting < __builtin_popcount(last->mask))
        return;
    unsigned ballot = 0;
    for (unsigned i = 0; i < 32; i++) {
        if (!(last->mask >> i & 1))
            continue;
        const worker *each = m.workers[first + i].get();
        if (each->now != state::at_warp || each->mask != last->mask || !same(each->at, last->at))
            return;
        ballot |= (unsigned)(each->bits != 0) << i;
    }
    for (unsigned i = 0; i < 32; i++) {
        if (!(last->mask >> i & 1))
            continue;
        worker *each = m.workers[first + i].get();
        if (each->how_warp == exchange::ballot)
            each->result = ballot;
        else if (each->how_warp == exchange::value) {
            if (!(last->mask >> each->from & 1))
                stop("%s:%d: lane %u reads lane %u, which is not in the mask %08x", each->at.file, each->at.line, i,
                     each->from, last->mask);
            each->result = m.workers[first + each->from]->bits;
        }
        each->now = state::ready;
    }
    group.waiting = 0;
    group.order.turn ^= 1;
}

// Runs the warp until none of its threads can go on by itself.
void run_warp(machine &m, int which, const std::vector<int> &lane_order) {
    for (bool moved = true; moved;) {
        moved = false;
        for (int lane : lane_order) {
            int index = which * 32 + lane;
            if (index >= m.threads || m.workers[(size_t)index]->now != state::ready)
                continue;
            resume(m, m.workers[(size_t)index].get());
            moved = true;
        }
    }
}

bool all_done(const machine &m) {
    return std::all_of(m.workers.begin(), m.workers.begin() + m.threads,
                       [](const auto &each) { return each->now == state::done; });
}

void run_block(machine &m, order &of, uint3 block, void *shared) {
    const dim3 &size = m.how->block;
    int i = 0;
    for (unsigned z = 0; z < size.z; z++)
        for (unsigned y = 0; y < size.y; y++)
            for (unsigned x = 0; x < size.x; x++, i++) {
                m.workers[(size_t)i]->where = {{x, y, z}, block, size, m.how->grid, shared};
                m.workers[(size_t)i]->now = state::ready;
            }
    order_release(&m.begin);
    std::vector<int> warp_order, lane_order;
    for (;;) {
        of.arrange(warp_order, (m.threads + 31) / 32);
        for (int each : warp_order) {
            of.arrange(lane_order, 32);
            run_warp(m, each, lane_order);
        }
        if (all_done(m))
            return;
        if (!open_block(m))
            report_divergence(m, "threads wait for others that never come");
    }
}

// --- Shared memory: NaN, and to the thread sanitizer new, at the start of every block ---

struct shared_memory {
    char *base = nullptr;
    size_t bytes;
    explicit shared_memory(size_t asked) : bytes(asked) {
        // Less than asked for, to see whether accesses out of bounds are noticed.
        const char *less = getenv("TOYSWEEP_EMULATE_LESS_SHARED");
        bytes -= less ? std::min(bytes, (size_t)atoi(less)) : 0;
#ifdef EMULATOR_THREAD_SANITIZER
        base = static_cast<char *>(mmap(nullptr, size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (base == MAP_FAILED)
            abort();
#else
        if (bytes > 0 && posix_memalign(reinterpret_cast<void **>(&base), 128, bytes) != 0)
            abort();
#endif
    }
    ~shared_memory() {
#ifdef EMULATOR_THREAD_SANITIZER
        munmap(base, size());
#else
        free(base);
#endif
    }
    shared_memory(const shared_memory &) = delete;
    shared_memory &operator=(const shared_memory &) = delete;
    size_t size() const {
        return (bytes + 4095) / 4096 * 4096 + 4096;
    }
    void refresh() {
#ifdef EMULATOR_THREAD_SANITIZER
        if (mmap(base, size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            abort();
#endif
        if (bytes > 0)
            memset(base, 0xff, bytes);
    }
};

void prepare(machine &m, const configuration &how) {
    m.how = &how;
    m.threads = (int)(how.block.x * how.block.y * how.block.z);
    while ((int)m.workers.size() < m.threads) {
        m.workers.push_back(std::make_unique<worker>());
        fiber_create(&m.workers.back()->stack, worker_main);
    }
    m.warps.resize(std::max(m.warps.size(), (size_t)(m.threads + 31) / 32));
}

} // namespace

void stop(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("emulator: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

int block_barrier(site at, vote how, bool mine) {
    machine &m = self();
    worker *me = m.running;
    note_visit(at);
    if (left_out(at))
        return mine;
    me->how_block = how;
    me->mine = mine;
    char *variable = &m.block.variable[m.block.turn];
    order_release(variable);
    wait(m, me, state::at_block, at);
    order_acquire(variable);
    return me->block_result;
}

uint64_t warp_exchange(site at, exchange how, unsigned mask, uint64_t bits, unsigned from) {
    machine &m = self();
    worker *me = m.running;
    if (how == exchange::barrier)
        note_visit(at);
    if (how == exchange::barrier && left_out(at))
        return 0;
    int lane = lane_of(m, me), lanes_here = std::min(32, m.threads - warp_of(m, me) * 32);
    if (!(mask >> lane & 1))
        stop("%s:%d: lane %d is not in the mask %08x", at.file, at.line, lane, mask);
    if (lanes_here < 32 && mask >> lanes_here)
        stop("%s:%d: the mask %08x has lanes that the block of %d threads has not", at.file, at.line, mask, m.threads);
    me->how_warp = how;
    me->mask = mask;
    me->bits = bits;
    me->from = from;
    me->now = state::at_warp;
    me->at = at;
    // Only barriers order memory.
    char *variable = nullptr;
    if (how == exchange::barrier) {
        rendezvous &order = group_of(m.warps[(size_t)warp_of(m, me)], mask).order;
        variable = &order.variable[order.turn];
        order_release(variable);
    }
    open_warp(m, me);
    fiber_switch(&me->stack, &m.home);
    if (variable)
        order_acquire(variable);
    return me->result;
}

void run(const configuration &how, const std::function<void()> &thread) {
    machine &m = self();
    order of;
    prepare(m, how);
    m.thread = &thread;
    shared_memory shared(how.shared_bytes);
    std::vector<int> blocks;
    of.arrange(blocks, (int)(how.grid.x * how.grid.y * how.grid.z));
    for (int i : blocks) {
        unsigned index = (unsigned)i;
        shared.refresh();
        run_block(m, of, {index % how.grid.x, index / how.grid.x % how.grid.y, index / how.grid.x / how.grid.y},
                  shared.base);
    }
    order_acquire(&m.end);
}

} // namespace emulator
