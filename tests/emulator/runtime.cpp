// The CUDA runtime's calls. Work on a stream is put off until somebody waits for it, as on a real device: who reads
// a result too early, or changes what a queued copy still has to read, gets wrong numbers here too.
#include "emulator.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

using work = std::function<void()>;

struct CUgraph_st {
    std::vector<work> nodes;
};
struct CUgraphExec_st {
    std::vector<work> nodes;
};
struct CUstream_st {
    std::recursive_mutex mutex;
    std::vector<work> queue;
    CUgraph_st *capturing = nullptr;
    bool invalid = false; // what it captures
};
struct CUevent_st {
    cudaStream_t stream = nullptr;
};

namespace {

void drain_all();

struct block {
    size_t bytes;
    bool device;
};

std::recursive_mutex memory_mutex;
std::map<uintptr_t, block> memory; // by address
size_t device_bytes = 0;
std::mutex streams_mutex;
std::vector<cudaStream_t> streams;
CUstream_st null_stream;
thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

cudaError_t fail(cudaError_t error) {
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

size_t number_of(const char *variable, size_t otherwise) {
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, nullptr, 10) : otherwise;
}

// TOYSWEEP_EMULATE_LOST=N: after N calls that use the device it is lost: every later one fails, and what is queued is
// never done.
std::atomic<bool> is_lost = false;

bool lost() {
    static const size_t most = number_of("TOYSWEEP_EMULATE_LOST", SIZE_MAX);
    static std::atomic<size_t> calls = 0;
    if (++calls > most)
        is_lost = true;
    return is_lost;
}

size_t device_memory() {
    return number_of("TOYSWEEP_EMULATE_MEMORY", (size_t)8 << 30);
}

// The allocation that holds [address, address + bytes), if one does.
const block *find(const void *address, size_t bytes) {
    std::lock_guard lock(memory_mutex);
    uintptr_t at = reinterpret_cast<uintptr_t>(address);
    auto after = memory.upper_bound(at);
    if (after == memory.begin())
        return nullptr;
    auto found = std::prev(after);
    return at + bytes <= found->first + found->second.bytes ? &found->second : nullptr;
}

bool on_device(const void *address, size_t bytes) {
    const block *found = find(address, bytes);
    return found && found->device;
}

bool pinned(const void *address, size_t bytes) {
    const block *found = find(address, bytes);
    return found && !found->device;
}

cudaError_t allocate(void **out, size_t bytes, bool device) {
    std::lock_guard lock(memory_mutex);
    if (device && device_bytes + bytes > device_memory())
        return fail(cudaErrorMemoryAllocation);
    if (bytes == 0) {
        *out = nullptr;
        return cudaSuccess;
    }
    if (posix_memalign(out, 256, bytes) != 0)
        return fail(cudaErrorMemoryAllocation);
    memset(*out, 0xff, bytes);
    memory[reinterpret_cast<uintptr_t>(*out)] = {bytes, device};
    if (device)
        device_bytes += bytes;
    return cudaSuccess;
}

cudaError_t release(void *address, bool device) {
    if (!address)
        return cudaSuccess;
    drain_all();
    std::lock_guard lock(memory_mutex);
    auto found = memory.find(reinterpret_cast<uintptr_t>(address));
    if (found == memory.end() || found->second.device != device)
        emulator::stop("%p was freed but is not the start of an allocation of that kind", address);
    if (device)
        device_bytes -= found->second.bytes;
    memory.erase(found);
    free(address);
    return cudaSuccess;
}

void check_copy(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    if (bytes == 0 || kind == cudaMemcpyDefault)
        return;
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (to_device != on_device(to, bytes) || from_device != on_device(from, bytes))
        emulator::stop("a copy of %zu bytes from %p to %p is not of the kind it says (%d)", bytes, from, to, (int)kind);
}

// A whole slab may be set at once, with the gaps in it that src/backend/cuda_memory.c forbids to kernels.
__attribute__((no_sanitize("address"), optimize("no-tree-loop-distribute-patterns"))) void fill(void *device, int value,
                                                                                                size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        static_cast<char *>(device)[i] = (char)value;
}

CUstream_st *stream_of(cudaStream_t stream) {
    return stream ? stream : &null_stream;
}

// Most dynamic shared memory of a kernel's blocks.
std::mutex shared_mutex;
std::map<const void *, size_t> shared_asked_for;

size_t shared_of(const void *kernel) {
    std::lock_guard lock(shared_mutex);
    auto found = shared_asked_for.find(kernel);
    return found == shared_asked_for.end() ? 48 << 10 : found->second;
}

size_t most_shared() {
    return number_of("TOYSWEEP_EMULATE_SHARED", 227 << 10);
}

void drain(cudaStream_t given) {
    CUstream_st *stream = stream_of(given);
    std::lock_guard lock(stream->mutex);
    std::vector<work> queue;
    queue.swap(stream->queue);
    for (const work &each : queue)
        if (!is_lost)
            each();
}

// None is destroyed meanwhile.
void drain_all() {
    drain(nullptr);
    std::lock_guard lock(streams_mutex);
    for (cudaStream_t each : streams)
        drain(each);
}

} // namespace

namespace emulator {

void synchronise_device() {
    {
        std::lock_guard lock(streams_mutex);
        for (cudaStream_t each : streams) {
            std::lock_guard of_stream(each->mutex);
            each->invalid = each->capturing != nullptr;
        }
    }
    drain_all();
}

cudaError_t enqueue(cudaStream_t given, work what) {
    CUstream_st *stream = stream_of(given);
    std::lock_guard lock(stream->mutex);
    if (stream->capturing)
        stream->capturing->nodes.push_back(std::move(what));
    else
        stream->queue.push_back(std::move(what));
    return cudaSuccess;
}

cudaError_t start(const configuration &how, cudaStream_t stream, work thread) {
    dim3 b = how.block, g = how.grid;
    if (how.shared_bytes > shared_of(how.function))
        return fail(cudaErrorInvalidValue);
    if (b.x * b.y * b.z == 0 || b.x * b.y * b.z > 1024 || g.x == 0 || g.y == 0 || g.z == 0 || g.y > 65535 ||
        g.z > 65535)
        return fail(cudaErrorInvalidConfiguration);
    return enqueue(stream, [how, thread = std::move(thread)] { run(how, thread); });
}

void check_device_pointer(const void *address, const configuration &how) {
    if (address && !on_device(address, 1))
        stop("%s:%d: kernel %s was given %p, which is not device memory", how.at.file, how.at.line, how.kernel,
             address);
}

} // namespace emulator

extern "C" {

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "cudaSuccess";
    case cudaErrorMemoryAllocation:
        return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice:
        return "cudaErrorNoDevice";
    case cudaErrorLaunchFailure:
        return "cudaErrorLaunchFailure";
    default:
        return "another error";
    }
}

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorLaunchFailure:
        return "unspecified launch failure";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    default:
        return "another error";
    }
}

cudaError_t cudaGetLastError(void) {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void) {
    return last_error;
}

// As without a driver, *count is not written if there is none.
cudaError_t cudaGetDeviceCount(int *count) {
    int devices = (int)number_of("TOYSWEEP_EMULATE_DEVICES", 1);
    if (devices == 0)
        return fail(cudaErrorNoDevice);
    *count = devices;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || device < 0 || device >= count)
        return fail(cudaErrorInvalidDevice);
    current_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
    *device = current_device;
    return cudaSuccess;
}

cudaError_t cudaSetDeviceFlags(unsigned flags) {
    (void)flags;
    return cudaSuccess;
}

// An H100's, on a small scale in what only costs time.
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || device < 0 || device >= count)
        return fail(cudaErrorInvalidDevice);
    *properties = {};
    strcpy(properties->name, "emulator");
    properties->uuid.bytes[0] = (char)device;
    properties->totalGlobalMem = device_memory();
    properties->sharedMemPerBlockOptin = most_shared();
    properties->sharedMemPerMultiprocessor = 228 << 10;
    properties->reservedSharedMemPerBlock = 1 << 10;
    properties->multiProcessorCount = 4;
    properties->major = 9;
    properties->minor = 0;
    properties->regsPerMultiprocessor = 65536;
    properties->maxThreadsPerMultiProcessor = 2048;
    properties->maxBlocksPerMultiProcessor = 32;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    (void)attribute, (void)device;
    *value = (int)most_shared();
    return cudaSuccess;
}

// Threads launch a kernel with different sizes at the same time, so that a limit other than the most would be a race.
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value) {
    (void)attribute;
    if ((size_t)value != most_shared())
        emulator::stop("a kernel is allowed %d bytes of shared memory, not all that a block can have", value);
    std::lock_guard lock(shared_mutex);
    shared_asked_for[kernel] = (size_t)value;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void) {
    emulator::synchronise_device();
    return cudaSuccess;
}

// --- Memory ---

cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    std::lock_guard lock(memory_mutex);
    *total = device_memory();
    *free = *total > device_bytes ? *total - device_bytes : 0;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **device, size_t bytes) {
    return allocate(device, bytes, true);
}

cudaError_t cudaFree(void *device) {
    return release(device, true);
}

cudaError_t cudaMallocHost(void **host, size_t bytes) {
    return allocate(host, bytes, false);
}

cudaError_t cudaFreeHost(void *host) {
    return release(host, false);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
    drain(nullptr);
    return error;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    if (lost())
        return fail(cudaErrorLaunchFailure);
    if (width == 0 || height == 0)
        return cudaSuccess;
    size_t to_bytes = (height - 1) * to_pitch + width, from_bytes = (height - 1) * from_pitch + width;
    check_copy(to, from, to_bytes < from_bytes ? to_bytes : from_bytes, kind);
    auto copy = [=] {
        for (size_t row = 0; row < height; row++)
            memcpy(static_cast<char *>(to) + row * to_pitch, static_cast<const char *>(from) + row * from_pitch, width);
    };
    // What is not pinned is written before the call returns; that it is read by then nobody promises.
    cudaError_t error = emulator::enqueue(stream, copy);
    if (kind == cudaMemcpyDeviceToHost && !pinned(to, to_bytes))
        drain(stream);
    return error;
}

cudaError_t cudaMemset(void *device, int value, size_t bytes) {
    return cudaMemsetAsync(device, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void *device, int value, size_t bytes, cudaStream_t stream) {
    if (bytes > 0 && !on_device(device, bytes))
        emulator::stop("memset of %zu bytes at %p, which is not device memory", bytes, device);
    return emulator::enqueue(stream, [=] { fill(device, value, bytes); });
}

// --- Streams and events ---

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    (void)flags;
    *stream = new CUstream_st;
    std::lock_guard lock(streams_mutex);
    streams.push_back(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    drain(stream);
    std::lock_guard lock(streams_mutex);
    streams.erase(std::find(streams.begin(), streams.end(), stream));
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (lost())
        return fail(cudaErrorLaunchFailure);
    if (stream_of(stream)->capturing) {
        stream->invalid = true;
        return fail(cudaErrorStreamCaptureUnsupported);
    }
    drain(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    (void)flags;
    cudaStream_t other = event->stream;
    return other == stream ? cudaSuccess : emulator::enqueue(stream, [other] { drain(other); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    (void)flags;
    *event = new CUevent_st;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    event->stream = stream;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    drain(event->stream);
    return cudaSuccess;
}

// --- Graphs ---

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    (void)mode;
    if (!stream)
        return fail(cudaErrorIllegalState);
    std::lock_guard lock(stream->mutex);
    if (stream->capturing)
        return fail(cudaErrorIllegalState);
    stream->capturing = new CUgraph_st;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    if (!stream->capturing)
        return fail(cudaErrorIllegalState);
    std::lock_guard lock(stream->mutex);
    *graph = stream->capturing;
    stream->capturing = nullptr;
    if (!std::exchange(stream->invalid, false))
        return cudaSuccess;
    delete *graph;
    *graph = nullptr;
    return fail(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags) {
    (void)flags;
    *executable = new CUgraphExec_st{graph->nodes};
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    if (lost())
        return fail(cudaErrorLaunchFailure);
    std::vector<work> nodes = executable->nodes;
    return emulator::enqueue(stream, [nodes = std::move(nodes)] {
        for (const work &each : nodes)
            each();
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

} // extern "C"
