// Global heap collections, read and checked by hand.
#define _POSIX_C_SOURCE 200809L
#include "hdf5/heap.h"

#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { START_BYTES = 1 << 16, COLLECTION_HEAD = 16, OBJECT_HEAD = 16 };
enum { USUAL_COLLECTION = 4096, LARGEST_COLLECTION = 1 << 28 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers lie in the file as in memory");

static uint64_t number(const unsigned char *bytes, size_t count) {
    uint64_t value = 0;
    memcpy(&value, bytes, count);
    return value;
}

// How many bytes there are up to the end of the file; 0, with *status set, if it cannot be read.
static size_t read_at(int fd, void *bytes, size_t size, uint64_t offset, ts_status *status) {
    ssize_t got = ts_file_read_at(fd, bytes, size, (int64_t)offset);
    if (got < 0)
        *status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read the results file");
    return got < 0 ? 0 : (size_t)got;
}

// The object at `at` of a collection (number, use count, reserved, size; 16 bytes each), or NULL if it does
// not lie within. *next: where the following one starts. Number 0 is the free space at the end.
static const unsigned char *object_at(const unsigned char *bytes, size_t size, size_t at, size_t *next) {
    if (at + OBJECT_HEAD > size)
        return NULL;
    uint64_t length = number(bytes + at + 8, 8);
    bool is_free = number(bytes + at, 2) == 0;
    if (length > size - at)
        return NULL;
    *next = at + (size_t)length + (is_free ? 0 : OBJECT_HEAD);
    *next = (*next + 7) & ~(size_t)7;
    return *next > at && *next <= size ? bytes + at : NULL;
}

static bool is_sound(const unsigned char *bytes, size_t size) {
    if (memcmp(bytes, "GCOL\1\0\0", 8) != 0 || number(bytes + 8, 8) != size)
        return false;
    size_t at = COLLECTION_HEAD;
    while (at + OBJECT_HEAD <= size)
        if (!object_at(bytes, size, at, &at))
            return false;
    return true;
}

static bool reserve(ts_heap *heap, size_t size) {
    if (size <= heap->capacity)
        return true;
    unsigned char *grown = ts_realloc(heap->bytes, size, "texts of the results file");
    if (!grown) {
        heap->status = TS_ERROR_MEMORY;
        return false;
    }
    heap->bytes = grown;
    heap->capacity = size;
    return true;
}

// Reads the collection at `address` and checks it. Most are of the size of a page, and read at once.
static bool load(ts_heap *heap, uint64_t address) {
    if (heap->address == address && heap->bytes)
        return true;
    heap->address = heap->next = 0;
    if (address == 0 || address > INT64_MAX || !reserve(heap, USUAL_COLLECTION))
        return false;
    size_t got = read_at(heap->fd, heap->bytes, USUAL_COLLECTION, address, &heap->status);
    if (got < COLLECTION_HEAD)
        return false;
    uint64_t size = number(heap->bytes + 8, 8);
    if (memcmp(heap->bytes, "GCOL", 4) != 0 || size < COLLECTION_HEAD || size > LARGEST_COLLECTION ||
        !reserve(heap, (size_t)size))
        return false;
    heap->size = (size_t)size;
    if (size > got)
        got += read_at(heap->fd, heap->bytes + got, heap->size - got, address + got, &heap->status);
    if (got < size || !is_sound(heap->bytes, heap->size))
        return false;
    heap->address = address;
    heap->next = COLLECTION_HEAD;
    return true;
}

// Where the object with that number is. Texts are mostly asked for in the order in which they lie: so the one behind
// the last is looked at first.
static const unsigned char *find(ts_heap *heap, uint64_t wanted) {
    size_t at = heap->next, next;
    const unsigned char *object = object_at(heap->bytes, heap->size, at, &next);
    if (!object || number(object, 2) != wanted)
        for (at = COLLECTION_HEAD; (object = object_at(heap->bytes, heap->size, at, &next)); at = next)
            if (number(object, 2) == wanted || number(object, 2) == 0)
                break;
    if (!object || number(object, 2) != wanted)
        return NULL;
    heap->next = next;
    return object;
}

const char *ts_heap_text(ts_heap *heap, const unsigned char reference[TS_HEAP_REFERENCE], size_t *length) {
    *length = (size_t)number(reference, 4);
    if (*length == 0)
        return "";
    uint64_t wanted = number(reference + 12, 4);
    if (!load(heap, number(reference + 4, 8)))
        return NULL;
    const unsigned char *object = wanted == 0 ? NULL : find(heap, wanted);
    return object && number(object + 8, 8) == *length ? (const char *)object + OBJECT_HEAD : NULL;
}

void ts_heap_free(ts_heap *heap) {
    ts_free(heap->bytes);
    heap->bytes = NULL;
    heap->capacity = 0;
}

ts_status ts_heap_start_is_sound(int fd, bool *sound) {
    unsigned char *start = ts_alloc(START_BYTES, "the start of the results file");
    if (!start)
        return TS_ERROR_MEMORY;
    ts_heap heap = {.fd = fd};
    ssize_t got = ts_file_read_at(fd, start, START_BYTES, 0);
    if (got < 0)
        heap.status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read the results file");
    *sound = true;
    for (ssize_t at = 8; *sound && at + COLLECTION_HEAD <= got; at += 8)
        if (memcmp(start + at, "GCOL", 4) == 0)
            *sound = load(&heap, (uint64_t)at);
    ts_heap_free(&heap);
    ts_free(start);
    return heap.status;
}
