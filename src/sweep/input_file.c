// Reading a file once for all values that name it, its digest, and what its numbers look like.
#include "sweep/input_file.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/integer_rows.h"
#include "base/memory.h"
#include "sweep/nearest.h"
#include "sweep/source.h"

#include <string.h>

// A file that the reader has read.
struct ts_file_read {
    ts_file file;
    struct ts_file_read *next;
};

static const ts_file *find(const ts_value_reader *reader, const char *path) {
    for (const struct ts_file_read *read = reader->files; read; read = read->next)
        if (strcmp(read->file.path, path) == 0)
            return &read->file;
    return NULL;
}

static size_t bytes_so_far(const ts_value_reader *reader) {
    size_t bytes = 0;
    for (const struct ts_file_read *read = reader->files; read; read = read->next)
        bytes += read->file.bytes;
    return bytes;
}

// Enters the file among those read.
static ts_status keep(ts_value_reader *reader, const char *path, const char *bytes, size_t size, const ts_file **file) {
    struct ts_file_read *read = ts_arena_take(reader->arena, 1, sizeof *read);
    char *content = ts_arena_take(reader->arena, size + 1, 1);
    const char *name = ts_arena_copy(reader->arena, path, strlen(path));
    if (!read || !content || !name)
        return TS_ERROR_MEMORY;
    memcpy(content, bytes, size);
    read->file = (ts_file){.path = name,
                           .name = "", // until all files are known
                           .content = content,
                           .bytes = size,
                           .rows = ts_integer_rows_look(bytes, size, 0).rows,
                           .digest = "sha256:"};
    uint8_t digest[TS_SHA256_BYTES];
    ts_sha256(bytes, size, digest);
    ts_sha256_text(digest, read->file.digest + strlen(read->file.digest));
    read->next = reader->files;
    reader->files = read;
    *file = &read->file;
    return TS_OK;
}

// From the file system, relative to the sweep file.
static ts_status read_path(const ts_value_reader *reader, const char *written, char **bytes, size_t *size) {
    const char *base = written[0] != '/' && reader->sweep_file ? reader->sweep_file : "";
    ts_text path = {0};
    ts_text_append(&path, base, (size_t)(ts_path_name(base) - base));
    ts_text_add(&path, written);
    ts_status status = ts_text_status(&path);
    if (status == TS_OK)
        status = ts_file_read(ts_text_get(&path), TS_INPUT_FILE_MAX_BYTES, bytes, size);
    ts_text_free(&path);
    return status;
}

static ts_status take_given(const ts_value_reader *reader, const char *written, char **bytes, size_t *size) {
    for (int i = 0; i < reader->n_given; i++) {
        const ts_sweep_file *file = &reader->given[i];
        if (strcmp(file->path, written) != 0)
            continue;
        *size = file->bytes;
        *bytes = ts_alloc(file->bytes + 1, "a file that the sweep names");
        if (*bytes)
            memcpy(*bytes, file->content, file->bytes);
        return *bytes ? TS_OK : TS_ERROR_MEMORY;
    }
    return ts_fail(TS_ERROR_USER, "'%s' is not among the files given", written);
}

static ts_status load(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const ts_file **file) {
    char *bytes = NULL;
    size_t size;
    int line = ts_value_line(reader, node);
    ts_status status =
        reader->given ? take_given(reader, node->text, &bytes, &size) : read_path(reader, node->text, &bytes, &size);
    if (status == TS_ERROR_USER || status == TS_ERROR_FATAL)
        status = ts_faults_add(reader->faults, line, key->name,
                               "%s; give a readable file, its path relative to the sweep file", ts_message());
    else if (status == TS_OK && memchr(bytes, 0, size)) // results files keep it as a text
        status = ts_faults_add(reader->faults, line, key->name, "%s is not a text file: it has NUL bytes", node->text);
    else if (status == TS_OK && bytes_so_far(reader) + size > TS_INPUT_FILES_MAX_BYTES)
        status = ts_faults_add(reader->faults, line, key->name,
                               "the files of this sweep are larger than %d MiB together; split the sweep",
                               TS_INPUT_FILES_MAX_BYTES >> 20);
    else if (status == TS_OK)
        status = keep(reader, node->text, bytes, size, file);
    ts_free(bytes);
    return status;
}

ts_status ts_input_file_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                             const ts_file **file) {
    char shown[TS_SHOWN_BYTES];
    *file = &ts_no_file;
    if (node->kind != TS_YAML_SCALAR)
        return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name, "must be the path of a file");
    if (!node->text[0]) {
        if (node->quoted && key->fallback)
            return TS_OK; // "" for none
        return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                             "has no value; give the path of a file%s", key->fallback ? ", or \"\"" : "");
    }
    for (const char *c = node->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                                 "'%s' is no path: it has control characters", ts_shown(node->text, shown));
    const ts_file *known = find(reader, node->text);
    if (!known)
        return load(reader, key, node, file);
    *file = known;
    return TS_OK;
}

// Hexadecimal digits of the file's digest that tell it from others of its name, at least four; 0: there are none.
static int digits_needed(const ts_value_reader *reader, const ts_file *file, const char *name) {
    static const int ALGORITHM = sizeof "sha256:" - 1;
    int needed = 0;
    for (const struct ts_file_read *read = reader->files; read; read = read->next) {
        char other[TS_SHOWN_BYTES];
        int same = ALGORITHM;
        while (read->file.digest[same] && read->file.digest[same] == file->digest[same])
            same++;
        if (file->digest[same] && strcmp(ts_shown(ts_path_name(read->file.path), other), name) == 0)
            needed = same + 1 - ALGORITHM > needed ? same + 1 - ALGORITHM : needed;
    }
    return needed && needed < 4 ? 4 : needed;
}

static const char *name_of(const ts_value_reader *reader, const ts_file *file) {
    char shown[TS_SHOWN_BYTES];
    ts_text name = {0};
    int digits = digits_needed(reader, file, ts_shown(ts_path_name(file->path), shown));
    ts_text_add(&name, shown);
    if (digits)
        ts_text_addf(&name, "@%.*s", digits, strchr(file->digest, ':') + 1);
    const char *kept = ts_arena_copy(reader->arena, ts_text_get(&name), name.length);
    ts_text_free(&name);
    return kept;
}

ts_status ts_input_files_list(const ts_value_reader *reader, const ts_file ***files, int *count) {
    *count = 0;
    for (const struct ts_file_read *read = reader->files; read; read = read->next)
        ++*count;
    *files = ts_arena_take(reader->arena, (size_t)*count, sizeof **files);
    if (!*files)
        return TS_ERROR_MEMORY;
    int i = *count; // the newest comes first
    for (struct ts_file_read *read = reader->files; read; read = read->next) {
        (*files)[--i] = &read->file;
        if (!(read->file.name = name_of(reader, &read->file)))
            return TS_ERROR_MEMORY;
    }
    return TS_OK;
}
