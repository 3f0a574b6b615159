// HDF5 files of tensors from elsewhere: every dataset, in groups too. The library follows links to other files, reads
// data from files that the file names, loads programs that undo its filters, and allocates what a chunk says it holds;
// so all that is looked at before anything is opened or read.
#include "weights/tensor_file.h"

#include "base/memory.h"
#include "base/text.h"
#include "hdf5/hdf5.h"
#include "sweep/nearest.h"

#include <zlib.h>

enum {
    DEPTH = 16,            // groups within groups
    OBJECTS = 100000,      // links looked at
    PATH_BYTES = 4096,     // of a name with its groups'
    SPARE_BYTES = 1 << 24, // that a chunk may hold beyond its tensor
};

// --- Listing ---

typedef struct listing {
    ts_tensor_file *file;
    ts_text path; // of the group at hand, each name with '/' before it
    int depth, objects;
    ts_status status;
} listing;

static void refuse(listing *at, const char *name, const char *what) {
    char shown[TS_SHOWN_BYTES];
    at->status = ts_fail(TS_ERROR_USER, "'%s': '%s' %s", at->file->path, ts_shown(name, shown), what);
}

static const char *class_name(H5T_class_t class) {
    static const char *const NAMES[H5T_NCLASSES] = {
        [H5T_STRING] = "text",
        [H5T_BITFIELD] = "bits",
        [H5T_OPAQUE] = "opaque",
        [H5T_COMPOUND] = "compound (complex numbers?)",
        [H5T_REFERENCE] = "references",
        [H5T_ENUM] = "enumerated (truth values?)",
        [H5T_VLEN] = "lists of any length",
        [H5T_ARRAY] = "arrays",
    };
    return class >= 0 && class < H5T_NCLASSES && NAMES[class] ? NAMES[class] : "of an unknown type";
}

static void note_type(ts_file_tensor *tensor, hid_t type) {
    H5T_class_t class = H5Tget_class(type);
    size_t bytes = H5Tget_size(type);
    bool numbers = (class == H5T_FLOAT || class == H5T_INTEGER) && bytes >= 1 && bytes <= 16;
    if (numbers)
        tensor->kind = class == H5T_FLOAT ? TS_TENSOR_REAL : TS_TENSOR_WHOLE;
    else
        tensor->kind = class == H5T_STRING ? TS_TENSOR_TEXT : TS_TENSOR_OTHER;
    if (numbers)
        snprintf(tensor->type, sizeof tensor->type, "%s%zu", class == H5T_FLOAT ? "float" : "int", 8 * bytes);
    else
        snprintf(tensor->type, sizeof tensor->type, "%s", class_name(class));
}

static void note_shape(ts_file_tensor *tensor, hid_t space) {
    hsize_t extent[H5S_MAX_RANK];
    int64_t size[H5S_MAX_RANK];
    if (H5Sget_simple_extent_type(space) == H5S_NULL) {
        tensor->kind = TS_TENSOR_OTHER;
        snprintf(tensor->type, sizeof tensor->type, "without data");
        return;
    }
    int rank = H5Sget_simple_extent_dims(space, extent, NULL);
    for (int d = 0; d < rank; d++)
        size[d] = extent[d] <= INT64_MAX ? (int64_t)extent[d] : -1;
    if (rank < 0 || !ts_file_tensor_shape(tensor, rank, size)) {
        tensor->kind = TS_TENSOR_OTHER;
        snprintf(tensor->type, sizeof tensor->type, "of a shape beyond all bounds");
        tensor->count = INT64_MAX;
    }
}

// Data that are not in the file, as the creation properties tell; the extent of a virtual dataset must not even be
// asked for, since that opens the others.
static const char *elsewhere(hid_t plan) {
    if (H5Pget_layout(plan) == H5D_VIRTUAL)
        return "is a virtual dataset, whose data are in other datasets or files: only what is in the file "
               "itself is read; write a copy of the data";
    if (H5Pget_external_count(plan) > 0)
        return "keeps its data in another file: only what is in the file itself is read; write a copy of the "
               "data";
    return NULL;
}

static void add_dataset(listing *at, hid_t dataset) {
    hid_t plan = H5Dget_create_plist(dataset), type = -1, space = -1;
    const char *where = plan >= 0 ? elsewhere(plan) : "cannot be read (is it damaged?)";
    if (!where) {
        type = H5Dget_type(dataset);
        space = H5Dget_space(dataset);
        if (type < 0 || space < 0)
            where = "cannot be read (is it damaged?)";
    }
    if (where) {
        refuse(at, ts_text_get(&at->path) + 1, where);
    } else {
        ts_file_tensor *tensor = ts_tensor_file_add(at->file, ts_text_get(&at->path) + 1, &at->status);
        if (tensor) {
            note_type(tensor, type);
            note_shape(tensor, space);
        }
    }
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (plan >= 0)
        H5Pclose(plan);
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *context);

static void list_group(listing *at, hid_t group) {
    hsize_t position = 0;
    if (at->depth == DEPTH) {
        refuse(at, ts_text_get(&at->path) + 1, "is too deep: groups within groups, or a group within itself");
        return;
    }
    at->depth++;
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, &position, visit, at) < 0 && at->status == TS_OK)
        refuse(at, at->path.length ? ts_text_get(&at->path) + 1 : "/", "cannot be read (is it damaged?)");
    at->depth--;
}

static void list_object(listing *at, hid_t group, const char *name) {
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    switch (object >= 0 ? H5Iget_type(object) : H5I_BADID) {
    case H5I_GROUP:
        list_group(at, object);
        break;
    case H5I_DATASET:
        add_dataset(at, object);
        break;
    case H5I_DATATYPE:
        break;
    default:
        refuse(at, ts_text_get(&at->path) + 1, "cannot be opened (is it damaged?)");
    }
    if (object >= 0)
        H5Oclose(object);
}

// Only links to what is in the file itself; soft links are names of names, and may go round in circles.
static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    listing *at = context;
    size_t length = at->path.length;
    ts_text_addf(&at->path, "/%s", name);
    if (ts_text_status(&at->path) != TS_OK)
        at->status = TS_ERROR_MEMORY;
    else if (++at->objects > OBJECTS)
        refuse(at, name, "is one name too many");
    else if (at->path.length > PATH_BYTES)
        refuse(at, ts_text_get(&at->path) + 1, "has a name that is too long, with its groups'");
    else if (info->type == H5L_TYPE_HARD)
        list_object(at, group, name);
    else
        refuse(at, ts_text_get(&at->path) + 1,
               info->type == H5L_TYPE_EXTERNAL
                   ? "is a link to another file: only what is in the file itself is read; write a copy of the "
                     "data"
                   : "is a soft link, which is not followed; write a copy of the data");
    if (at->path.bytes) {
        at->path.length = length;
        at->path.bytes[length] = 0;
    }
    return at->status == TS_OK ? 0 : -1;
}

static ts_status list(ts_tensor_file *file) {
    ts_h5_start();
    file->hdf5 = H5Fopen(file->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file->hdf5 < 0)
        return ts_fail(TS_ERROR_USER, "cannot open '%s' as an HDF5 file: is it cut off or damaged?", file->path);
    listing at = {.file = file};
    list_group(&at, (hid_t)file->hdf5);
    ts_text_free(&at.path);
    return at.status;
}

// --- Reading ---

typedef struct reading {
    const ts_tensor_file *file;
    const ts_file_tensor *tensor;
    hid_t dataset, plan;
    hsize_t file_bytes;
} reading;

static ts_status refuse_data(const reading *r, const char *what) {
    char shown[TS_SHOWN_BYTES];
    return ts_fail(TS_ERROR_USER, "'%s': '%s' %s", r->file->path, ts_shown(r->tensor->name, shown), what);
}

// In the order in which they are applied when a chunk is written.
typedef struct filters {
    int count;
    H5Z_filter_t id[H5Z_MAX_NFILTERS];
} filters;

// Others than the three that every HDF5 has, and that hold what they say, are refused: the library would look for a
// program that knows them.
static ts_status check_filters(const reading *r, filters *found) {
    int deflates = 0;
    found->count = H5Pget_nfilters(r->plan);
    for (int i = 0; i < found->count && i < H5Z_MAX_NFILTERS; i++) {
        unsigned flags, config, values[16];
        size_t n_values = 16;
        char name[64] = "", shown[TS_SHOWN_BYTES], text[256];
        H5Z_filter_t filter =
            H5Pget_filter2(r->plan, (unsigned)i, &flags, &n_values, values, sizeof name, name, &config);
        found->id[i] = filter;
        deflates += filter == H5Z_FILTER_DEFLATE;
        if (filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_FLETCHER32)
            continue;
        name[sizeof name - 1] = 0;
        snprintf(text, sizeof text,
                 "is compressed by filter %d (%s), which is not read; write it with gzip, or plain "
                 "(h5repack -f GZIP=4 OLD NEW)",
                 (int)filter, *name ? ts_shown(name, shown) : "unknown");
        return refuse_data(r, text);
    }
    return deflates <= 1 ? TS_OK : refuse_data(r, "is compressed more than once, which is not read");
}

// Does it become just so many bytes? The library would take as much memory as there is to come, and would not notice if
// it were less.
static bool inflates_to(unsigned char *stored, size_t bytes, size_t expected) {
    unsigned char piece[1 << 14];
    size_t made = 0;
    z_stream stream = {.next_in = stored, .avail_in = (unsigned)bytes};
    int result = inflateInit(&stream);
    while (result == Z_OK && made <= expected) {
        stream.next_out = piece;
        stream.avail_out = sizeof piece;
        result = inflate(&stream, Z_SYNC_FLUSH);
        made += sizeof piece - stream.avail_out;
    }
    inflateEnd(&stream);
    return result == Z_STREAM_END && made == expected;
}

// Is a chunk's data `bytes` once the filters are undone, but those that were skipped when it was written?
static bool holds(const filters *found, uint32_t skipped, unsigned char *raw, size_t stored, size_t bytes) {
    enum { SUM_BYTES = 4 };
    bool deflated = false;
    for (int i = 0; i < found->count && !deflated; i++) {
        bool used = !(skipped >> i & 1);
        deflated = used && found->id[i] == H5Z_FILTER_DEFLATE;
        bytes += used && found->id[i] == H5Z_FILTER_FLETCHER32 ? SUM_BYTES : 0;
    }
    return deflated ? inflates_to(raw, stored, bytes) : stored == bytes;
}

static ts_status check_chunk(const reading *r, const hsize_t *offset, size_t bytes, const filters *found) {
    static const char *const WRONG = "has a chunk that does not hold what it should (is it damaged?)";
    hsize_t stored = 0;
    uint32_t skipped = 0; // filters
    if (H5Dget_chunk_storage_size(r->dataset, offset, &stored) < 0 || stored > r->file_bytes || stored > UINT32_MAX)
        return refuse_data(r, WRONG);
    if (stored == 0) // never written: its numbers are the fill value
        return TS_OK;
    unsigned char *raw = ts_alloc((size_t)stored, "a chunk of weights");
    if (!raw)
        return TS_ERROR_MEMORY;
    bool fine = H5Dread_chunk(r->dataset, H5P_DEFAULT, offset, &skipped, raw) >= 0 &&
                holds(found, skipped, raw, (size_t)stored, bytes);
    ts_free(raw);
    return fine ? TS_OK : refuse_data(r, WRONG);
}

// The chunk after the one at `offset`, row by row; false: it was the last.
static bool next_chunk(const ts_file_tensor *tensor, const hsize_t *chunk, hsize_t *offset) {
    for (int d = tensor->rank - 1; d >= 0; d--) {
        offset[d] += chunk[d];
        if (offset[d] < (hsize_t)tensor->size[d])
            return true;
        offset[d] = 0;
    }
    return false;
}

static ts_status check_chunks(const reading *r, size_t item) {
    hsize_t chunk[H5S_MAX_RANK] = {0}, offset[H5S_MAX_RANK] = {0};
    int rank = H5Pget_chunk(r->plan, H5S_MAX_RANK, chunk);
    filters found = {0};
    double bytes = (double)item;
    for (int d = 0; d < rank; d++)
        bytes *= (double)chunk[d];
    if (rank != r->tensor->rank || bytes > (double)r->tensor->count * (double)item + SPARE_BYTES)
        return refuse_data(r, "is kept in chunks much larger than itself; write it again, plain or in smaller "
                              "chunks");
    ts_status status = check_filters(r, &found);
    if (r->tensor->count == 0 || status != TS_OK)
        return status;
    do
        status = check_chunk(r, offset, (size_t)bytes, &found);
    while (status == TS_OK && next_chunk(r->tensor, chunk, offset));
    return status;
}

static ts_status check_storage(const reading *r, hid_t type) {
    size_t item = H5Tget_size(type);
    hsize_t stored = H5Dget_storage_size(r->dataset); // 0: never written, all fill value
    switch (H5Pget_layout(r->plan)) {
    case H5D_CHUNKED:
        return check_chunks(r, item);
    case H5D_CONTIGUOUS:
    case H5D_COMPACT:
        if (stored == 0 || (stored == (hsize_t)r->tensor->count * item && stored <= r->file_bytes))
            return TS_OK;
        return refuse_data(r, "does not have the bytes in the file that its shape needs (is it damaged?)");
    default:
        return refuse_data(r, "is kept in a way that is not read");
    }
}

static ts_status read_dataset(reading *r, double *out) {
    hid_t type = H5Dget_type(r->dataset);
    r->plan = H5Dget_create_plist(r->dataset);
    ts_status status = type >= 0 && r->plan >= 0 && H5Fget_filesize((hid_t)r->file->hdf5, &r->file_bytes) >= 0
                           ? check_storage(r, type)
                           : refuse_data(r, "cannot be read (is it damaged?)");
    if (status == TS_OK && H5Dread(r->dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        status = refuse_data(r, "cannot be read as numbers (is it damaged?)");
    if (type >= 0)
        H5Tclose(type);
    if (r->plan >= 0)
        H5Pclose(r->plan);
    return status;
}

// With no memory for chunks that stay.
static ts_status read_tensor(ts_tensor_file *file, const ts_file_tensor *tensor, double *out) {
    reading r = {.file = file, .tensor = tensor, .plan = -1};
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    if (access < 0 || H5Pset_chunk_cache(access, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, 0, 1) < 0 ||
        (r.dataset = H5Dopen2((hid_t)file->hdf5, tensor->name, access)) < 0) {
        if (access >= 0)
            H5Pclose(access);
        return refuse_data(&r, "cannot be opened (is it damaged?)");
    }
    ts_status status = read_dataset(&r, out);
    H5Dclose(r.dataset);
    H5Pclose(access);
    return status;
}

static void close_file(ts_tensor_file *file) {
    if (file->hdf5 >= 0)
        H5Fclose((hid_t)file->hdf5);
}

const ts_tensor_reader ts_tensor_hdf5 = {.list = list, .read = read_tensor, .close = close_file};
