// safetensors: length of the header (uint64, little-endian), the header (JSON: to each name a dtype, a shape and where
// its data lie), the data. As in its reference implementation, data neither overlap nor leave gaps.
#define _POSIX_C_SOURCE 200809L
#include "weights/tensor_file.h"

#include "base/memory.h"
#include "sweep/nearest.h"
#include "sweep/sweep.h"
#include "sweep/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct dtype {
    const char *name;
    int bytes;
    double (*read)(const unsigned char *at); // NULL: not read
} dtype;

// --- Numbers ---

static uint64_t bits_at(const unsigned char *at, int bytes) {
    uint64_t bits = 0;
    for (int i = bytes - 1; i >= 0; i--)
        bits = bits << 8 | at[i];
    return bits;
}

static double single(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static double read_f64(const unsigned char *at) {
    double value;
    memcpy(&value, at, sizeof value);
    return value;
}

static double read_f32(const unsigned char *at) {
    return single((uint32_t)bits_at(at, 4));
}

static double read_bf16(const unsigned char *at) { // the upper half of a float32
    return single((uint32_t)bits_at(at, 2) << 16);
}

// 1 bit of sign, 5 of exponent (offset 15), 10 of mantissa.
static double read_f16(const unsigned char *at) {
    uint32_t bits = (uint32_t)bits_at(at, 2), exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double value;
    if (exponent == 0)
        value = (double)mantissa * 0x1p-24;
    else if (exponent == 31)
        value = single(0x7f800000u | mantissa << 13);
    else
        value = single((exponent + 112) << 23 | mantissa << 13);
    return bits >> 15 ? -value : value;
}

static double read_i64(const unsigned char *at) {
    return (double)(int64_t)bits_at(at, 8);
}

static double read_u64(const unsigned char *at) {
    return (double)bits_at(at, 8);
}

static double read_i32(const unsigned char *at) {
    return (double)(int32_t)(uint32_t)bits_at(at, 4);
}

static double read_u32(const unsigned char *at) {
    return (double)bits_at(at, 4);
}

static double read_i16(const unsigned char *at) {
    return (double)(int16_t)(uint16_t)bits_at(at, 2);
}

static double read_u16(const unsigned char *at) {
    return (double)bits_at(at, 2);
}

static double read_i8(const unsigned char *at) {
    return (double)(int8_t)*at;
}

static double read_u8(const unsigned char *at) {
    return (double)*at;
}

static const dtype DTYPES[] = {
    {"F32", 4, read_f32}, {"F16", 2, read_f16}, {"BF16", 2, read_bf16}, {"F64", 8, read_f64},
    {"I64", 8, read_i64}, {"U64", 8, read_u64}, {"I32", 4, read_i32},   {"U32", 4, read_u32},
    {"I16", 2, read_i16}, {"U16", 2, read_u16}, {"I8", 1, read_i8},     {"U8", 1, read_u8},
    {"BOOL", 1, read_u8}, {"F8_E4M3", 1, NULL}, {"F8_E5M2", 1, NULL},   {0},
};

static const dtype *find_dtype(const char *name) {
    for (const dtype *one = DTYPES; one->name; one++)
        if (strcmp(one->name, name) == 0)
            return one;
    return NULL;
}

// --- Header ---

typedef struct extent {
    uint64_t begin, end;
    const char *name;
} extent;

static int compare(const void *left, const void *right) {
    const extent *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

static ts_status damaged(const ts_tensor_file *file, const char *name, const char *what) {
    char shown[TS_SHOWN_BYTES];
    return ts_fail(TS_ERROR_USER, "'%s' is not an intact safetensors file: '%s' %s", file->path, ts_shown(name, shown),
                   what);
}

// A list of at most `most` whole numbers; -1: it is none.
static int whole_numbers(const ts_yaml_node *list, int64_t *out, int most) {
    int count = 0;
    if (!list || list->kind != TS_YAML_SEQUENCE || list->count > most)
        return -1;
    for (const ts_yaml_node *node = list->child; node; node = node->next) {
        if (node->kind != TS_YAML_SCALAR || node->quoted || !*node->text || strlen(node->text) > 18 ||
            strspn(node->text, "0123456789") != strlen(node->text))
            return -1;
        out[count++] = strtoll(node->text, NULL, 10);
    }
    return count;
}

static ts_status add_tensor(ts_tensor_file *file, const ts_yaml_node *node, uint64_t data, uint64_t end,
                            extent *place) {
    int64_t size[TS_TENSOR_RANK], offset[2];
    ts_status status = TS_OK;
    const ts_yaml_node *type = ts_yaml_get(node, "dtype");
    int rank = whole_numbers(ts_yaml_get(node, "shape"), size, TS_TENSOR_RANK);
    if (!type || type->kind != TS_YAML_SCALAR || rank < 0 ||
        whole_numbers(ts_yaml_get(node, "data_offsets"), offset, 2) != 2)
        return damaged(file, node->key, "has no dtype, shape and data_offsets");
    const dtype *known = find_dtype(type->text);
    ts_file_tensor *tensor = ts_tensor_file_add(file, node->key, &status);
    if (!tensor)
        return status;
    char shown[TS_SHOWN_BYTES];
    snprintf(tensor->type, sizeof tensor->type, "%s", ts_shown(type->text, shown));
    if (!known || !known->read)
        tensor->kind = TS_TENSOR_OTHER;
    else
        tensor->kind = strchr(known->name, 'F') ? TS_TENSOR_REAL : TS_TENSOR_WHOLE;
    tensor->offset = data + (uint64_t)offset[0];
    if (!ts_file_tensor_shape(tensor, rank, size))
        return damaged(file, node->key, "has a shape beyond all bounds");
    if (offset[0] > offset[1] || (uint64_t)offset[1] > end - data)
        return damaged(file, node->key, "lies outside the file (is it cut off?)");
    if (known && offset[1] - offset[0] != tensor->count * known->bytes)
        return damaged(file, node->key, "takes another number of bytes than its shape needs");
    *place = (extent){(uint64_t)offset[0], (uint64_t)offset[1], tensor->name};
    return TS_OK;
}

// Data follow each other, up to the end of the file.
static ts_status check_places(const ts_tensor_file *file, extent *places, int count, uint64_t bytes) {
    uint64_t at = 0;
    qsort(places, (size_t)count, sizeof *places, compare);
    for (int i = 0; i < count; i++) {
        if (places[i].begin != at)
            return damaged(file, places[i].name,
                           places[i].begin < at ? "overlaps another tensor" : "comes after a gap");
        at = places[i].end;
    }
    if (at == bytes)
        return TS_OK;
    return ts_fail(TS_ERROR_USER,
                   "'%s' is not an intact safetensors file: %llu bytes of data, and its header says %llu", file->path,
                   (unsigned long long)bytes, (unsigned long long)at);
}

static ts_status add_tensors(ts_tensor_file *file, const ts_yaml_node *root, uint64_t data, uint64_t end) {
    int count = 0;
    if (!root || root->kind != TS_YAML_MAPPING)
        return ts_fail(TS_ERROR_USER, "'%s' is not a safetensors file: its header is no JSON object", file->path);
    extent *places = ts_alloc_zero((size_t)root->count + 1, sizeof *places, "places of tensors");
    ts_status status = places ? TS_OK : TS_ERROR_MEMORY;
    for (const ts_yaml_node *node = root->child; node && status == TS_OK; node = node->next)
        if (strcmp(node->key, "__metadata__") != 0)
            status = add_tensor(file, node, data, end, &places[count++]);
    if (status == TS_OK)
        status = check_places(file, places, count, end - data);
    ts_free(places);
    return status;
}

static bool is_surrogate(const char *at, const char *digits) {
    return strncmp(at, "\\u", 2) == 0 && strchr("dD", at[2]) && at[2] && strchr(digits, at[3]) && at[3] &&
           strspn(at + 2, "0123456789abcdefABCDEF") >= 4;
}

static unsigned long escaped(const char *at) {
    char digits[5] = {at[2], at[3], at[4], at[5]};
    return strtoul(digits, NULL, 16);
}

// JSON writes characters beyond 16 bits as two escapes, which YAML, as which it is read, does not know: they become the
// one that YAML has, in place.
static void join_surrogates(char *header) {
    for (char *at = header; (at = strchr(at, '\\')); at += 2) {
        if (!at[1])
            return;
        if (!is_surrogate(at, "89abAB") || !is_surrogate(at + 6, "cdefCDEF"))
            continue;
        unsigned long point = 0x10000 + ((escaped(at) & 1023) << 10 | (escaped(at + 6) & 1023));
        char joined[24];
        snprintf(joined, sizeof joined, "\\U%08lX", point);
        memcpy(at, joined, 10);
        memmove(at + 10, at + 12, strlen(at + 12) + 1);
    }
}

static ts_status parse_header(ts_tensor_file *file, char *header, uint64_t data, uint64_t end) {
    ts_yaml *yaml = NULL;
    int line;
    join_surrogates(header);
    ts_status status = ts_yaml_parse(header, strlen(header), &yaml, &line);
    if (status == TS_ERROR_USER) {
        char reason[256];
        snprintf(reason, sizeof reason, "%s", ts_message());
        return ts_fail(status, "'%s' is not an intact safetensors file: in its header, a JSON object: %s", file->path,
                       reason);
    }
    if (status == TS_OK)
        status = add_tensors(file, ts_yaml_root(yaml), data, end);
    ts_yaml_free(yaml);
    return status;
}

static ts_status list(ts_tensor_file *file) {
    unsigned char start[8];
    if (fseeko(file->stream, 0, SEEK_END) != 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read '%s'", file->path);
    uint64_t end = (uint64_t)ftello(file->stream);
    rewind(file->stream);
    bool there = fread(start, 1, sizeof start, file->stream) == sizeof start;
    uint64_t length = there ? bits_at(start, sizeof start) : 0;
    if (!there || length > end - sizeof start || length > TS_SWEEP_MAX_BYTES)
        return ts_fail(TS_ERROR_USER, "'%s' is not an intact safetensors file: its header would take %llu bytes",
                       file->path, (unsigned long long)length);
    char *header = ts_alloc_zero((size_t)length + 1, 1, "a safetensors header");
    if (!header)
        return TS_ERROR_MEMORY;
    ts_status status = TS_OK;
    if (fread(header, 1, (size_t)length, file->stream) != (size_t)length)
        status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read '%s'", file->path);
    else if (strlen(header) != (size_t)length)
        status = ts_fail(TS_ERROR_USER, "'%s' is not an intact safetensors file: there are NUL bytes in its header",
                         file->path);
    if (status == TS_OK)
        status = parse_header(file, header, sizeof start + length, end);
    ts_free(header);
    return status;
}

// --- Data ---

static ts_status read_tensor(ts_tensor_file *file, const ts_file_tensor *tensor, double *out) {
    enum { PIECE = 4096 };
    unsigned char piece[PIECE * 8];
    const dtype *type = find_dtype(tensor->type);
    if (fseeko(file->stream, (off_t)tensor->offset, SEEK_SET) != 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read '%s'", file->path);
    for (int64_t done = 0; done < tensor->count;) {
        int64_t left = tensor->count - done, count = left < PIECE ? left : PIECE;
        if (fread(piece, (size_t)type->bytes, (size_t)count, file->stream) != (size_t)count)
            return ts_fail(TS_ERROR_FATAL, "cannot read '%s': it has become shorter, or its disk is broken",
                           file->path);
        for (int64_t i = 0; i < count; i++)
            out[done + i] = type->read(piece + i * type->bytes);
        done += count;
    }
    return TS_OK;
}

static void close_file(ts_tensor_file *file) {
    (void)file; // the stream is all there is
}

const ts_tensor_reader ts_tensor_safetensors = {.list = list, .read = read_tensor, .close = close_file};
