// The CRC of the bytes between the datasets that training fills in.
#define _POSIX_C_SOURCE 200809L
#include "results/frame.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// The superblock (version 2) has a checksum of its own, which HDF5 verifies, and a mark while the file is open.
enum { SUPERBLOCK_BYTES = 48, PIECE_BYTES = 1 << 20 };

static const char *const PATH = "/sweep/frame_checksum";
static const ts_h5_form FORM = {.type = TS_H5_UINT32};

// Bytes that are not of the frame.
typedef struct extent {
    uint64_t offset, bytes;
} extent;

typedef struct extents {
    extent *of; // (count); owned
    int64_t count, capacity;
} extents;

static int compare(const void *left, const void *right) {
    const extent *a = left, *b = right;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static void add(ts_h5 *h5, extents *all, hid_t dataset) {
    if (h5->status != TS_OK || dataset < 0)
        return;
    if (all->count == all->capacity) {
        int64_t capacity = all->capacity ? 2 * all->capacity : 256;
        extent *grown = ts_realloc(all->of, (size_t)capacity * sizeof *grown, "places of datasets");
        if (!grown) {
            h5->status = TS_ERROR_MEMORY;
            return;
        }
        all->of = grown;
        all->capacity = capacity;
    }
    all->of[all->count++] = (extent){H5Dget_offset(dataset), H5Dget_storage_size(dataset)};
}

// What training fills in, and the checksum itself, in the order in which they lie.
static void collect(ts_rows *rows, hid_t checksum, extents *all) {
    ts_h5 *h5 = rows->h5;
    add(h5, all, checksum);
    add(h5, all, rows->status);
    add(h5, all, rows->checksum);
    add(h5, all, rows->steps_done);
    add(h5, all, rows->stacked);
    for (int i = 0; i < rows->measures.count; i++)
        add(h5, all, rows->measure[i]);
    for (int c = 0; c < ts_sweep_cases(rows->sweep) && h5->status == TS_OK; c++) {
        ts_rows_open_case(rows, c);
        for (int f = 0; f < rows->layouts[c]->count; f++)
            add(h5, all, rows->field[f]);
    }
    if (h5->status == TS_OK)
        qsort(all->of, (size_t)all->count, sizeof *all->of, compare);
}

// Continues *crc over the bytes from `begin` to `end`. False with errno set if they cannot be read.
static bool add_bytes(int fd, uint64_t begin, uint64_t end, char *piece, uint32_t *crc) {
    while (begin < end) {
        size_t wanted = end - begin < PIECE_BYTES ? (size_t)(end - begin) : PIECE_BYTES;
        ssize_t got = ts_file_read_at(fd, piece, wanted, (int64_t)begin);
        if (got == 0)
            errno = EIO; // shorter than it was
        if (got <= 0)
            return false;
        *crc = ts_crc32(*crc, piece, (size_t)got);
        begin += (uint64_t)got;
    }
    return true;
}

static bool add_frame(int fd, const extents *results, char *piece, uint32_t *crc) {
    struct stat file;
    if (fstat(fd, &file) != 0)
        return false;
    uint64_t at = SUPERBLOCK_BYTES, size = (uint64_t)file.st_size;
    for (int64_t i = 0; i < results->count; i++) {
        const extent *next = &results->of[i];
        if (next->offset > at && !add_bytes(fd, at, next->offset, piece, crc))
            return false;
        if (next->offset + next->bytes > at)
            at = next->offset + next->bytes;
    }
    return add_bytes(fd, at, size, piece, crc);
}

static uint32_t checksum_of(ts_rows *rows, hid_t checksum, int fd) {
    extents results = {0};
    uint32_t crc = 0;
    char *piece = ts_alloc(PIECE_BYTES, "a piece of the results file");
    collect(rows, checksum, &results);
    if (!piece)
        rows->h5->status = TS_ERROR_MEMORY;
    if (rows->h5->status == TS_OK && !add_frame(fd, &results, piece, &crc))
        rows->h5->status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read '%s'", rows->h5->path);
    ts_free(piece);
    ts_free(results.of);
    return crc;
}

void ts_frame_make(ts_h5 *h5, hid_t sweep_group) {
    hid_t dataset = ts_h5_create_dataset(h5, sweep_group, "frame_checksum", &FORM);
    ts_h5_put_text(h5, dataset, "long_name", "CRC-32 of all bytes of the file but results and this one");
    ts_h5_close(h5, dataset);
}

ts_status ts_frame_seal(const char *path, const ts_sweep *sweep, const ts_record_layout *const *layouts) {
    int fd = ts_file_open(path, O_RDONLY);
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open '%s'", path);
    ts_h5 h5;
    ts_rows rows;
    ts_h5_open(&h5, path, true);
    ts_rows_begin(&rows, &h5, sweep, layouts, false);
    hid_t dataset = ts_rows_open_dataset(&h5, PATH, &FORM);
    uint32_t crc = checksum_of(&rows, dataset, fd);
    ts_h5_write(&h5, dataset, &FORM, 0, 1, &crc);
    ts_h5_close(&h5, dataset);
    ts_rows_end(&rows);
    ts_status status = ts_h5_end(&h5);
    close(fd);
    return status;
}

void ts_frame_check(ts_rows *rows, int fd) {
    ts_h5 *h5 = rows->h5;
    hid_t dataset = ts_rows_open_dataset(h5, PATH, &FORM);
    uint32_t found = 0, now = checksum_of(rows, dataset, fd);
    ts_h5_read(h5, dataset, &FORM, 0, 1, &found);
    if (h5->status == TS_OK && found != now)
        h5->status =
            ts_fail(TS_ERROR_FATAL,
                    "'%s' is damaged outside its results (CRC-32 of its frame: %08x when it was made, %08x now); "
                    "nothing in it "
                    "has been changed: move it away and start again (--reuse takes over the results it holds)",
                    h5->path, found, now);
    ts_h5_close(h5, dataset);
}
