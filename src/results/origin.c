// Datasets of /sweep, written and read back.
#include "results/origin.h"

#include "base/digest.h"
#include "base/memory.h"
#include "sweep/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_METADATA = 512, DIGEST_DIGITS = TS_SHA256_HEX - 1, BETWEEN = 2 };

#define FILES   "sweep/files"
#define WEIGHTS "initial_weights"

// Numbers of weights to begin with, as they are noted.
static const char *const NOTED[] = {"instance", "step", "from_instance", "from_step"};
enum { NOTED_NUMBERS = 4, NOTED_METADATA = 256 };

// --- Writing ---

static void put_text(ts_h5 *h5, hid_t group, const char *name, const char *help, const char *text) {
    ts_h5_form form = {.type = TS_H5_TEXT};
    hid_t dataset = ts_h5_create_dataset(h5, group, name, &form);
    if (help)
        ts_h5_put_text(h5, dataset, "long_name", help);
    ts_h5_write(h5, dataset, &form, 0, 1, &text);
    ts_h5_close(h5, dataset);
}

static const char *digits(const ts_file *file) {
    return strchr(file->digest, ':') + 1;
}

// The files' contents, each once, under their digests.
static void put_files(ts_h5 *h5, hid_t group, const ts_file *const *files, int count) {
    hid_t place = ts_h5_create_group(h5, group, "files");
    for (int i = 0; i < count && h5->status == TS_OK; i++)
        if (!ts_h5_has(place, digits(files[i])))
            put_text(h5, place, digits(files[i]), NULL, files[i]->content);
    ts_h5_close(h5, place);
}

// What the sweep begins with, a JSON object a line: digest, path, instance and step as written, what told the instance,
// and which instance and step it was; what does not apply is not there.
static void list_weights(const ts_sweep *sweep, ts_text *out) {
    const ts_initial *const *initial;
    int64_t count = ts_sweep_initial(sweep, &initial);
    for (int64_t i = 0; i < count; i++) {
        const ts_initial *one = initial[i];
        ts_json_open(out, NULL, '{');
        ts_json_string(out, "weights", one->digest);
        ts_json_string(out, "file", one->path);
        const int64_t numbers[] = {one->instance, one->step, one->found_instance, one->found_step};
        for (int n = 0; n < NOTED_NUMBERS; n++)
            if (numbers[n] >= 0)
                ts_json_integer(out, NOTED[n], numbers[n]);
        if (one->matched) {
            ts_json_string(out, "matched", one->matched);
            ts_json_string(out, "column", one->axis);
        }
        ts_json_close(out, '}');
        ts_text_add(out, "\n");
        out->comma = false;
    }
}

static void put_weights(ts_h5 *h5, hid_t group, const ts_sweep *sweep) {
    const ts_initial *const *initial;
    if (ts_sweep_initial(sweep, &initial) == 0)
        return;
    ts_text list = {0};
    list_weights(sweep, &list);
    if (ts_text_status(&list) != TS_OK)
        h5->status = TS_ERROR_MEMORY;
    put_text(h5, group, WEIGHTS, "SHA-256 and origin of the weights that instances begin with, a JSON object a line",
             ts_text_get(&list));
    ts_text_free(&list);
}

hid_t ts_origin_write(ts_h5 *h5, const ts_sweep *sweep) {
    const char *const *overrides;
    const ts_file *const *files;
    int n_overrides = ts_sweep_overrides(sweep, &overrides), n_files = ts_sweep_files(sweep, &files);
    ts_text list = {0}, paths = {0};
    ts_json_open(&list, NULL, '[');
    for (int i = 0; i < n_overrides; i++)
        ts_json_string(&list, NULL, overrides[i]);
    ts_json_close(&list, ']');
    for (int i = 0; i < n_files; i++) // as sha256sum writes it; paths have no control characters
        ts_text_addf(&paths, "%s  %s\n", digits(files[i]), files[i]->path);
    if (ts_text_status(&list) != TS_OK || ts_text_status(&paths) != TS_OK)
        h5->status = TS_ERROR_MEMORY;
    hid_t group = ts_h5_create_group(h5, h5->file, "sweep");
    put_text(h5, group, "source", "the sweep file", ts_sweep_text(sweep));
    put_text(h5, group, "overrides", "what --set gave, a JSON list", ts_text_get(&list));
    put_text(h5, group, "paths", "SHA-256 and path, as written, of each file the sweep names", ts_text_get(&paths));
    put_files(h5, group, files, n_files);
    put_weights(h5, group, sweep);
    ts_text_free(&list);
    ts_text_free(&paths);
    return group;
}

int64_t ts_origin_bytes(const ts_sweep *sweep) {
    const char *const *overrides;
    const ts_file *const *files;
    int n_overrides = ts_sweep_overrides(sweep, &overrides), n_files = ts_sweep_files(sweep, &files);
    int64_t bytes = 4 * TEXT_METADATA + (int64_t)strlen(ts_sweep_text(sweep));
    for (int i = 0; i < n_overrides; i++)
        bytes += (int64_t)strlen(overrides[i]);
    for (int i = 0; i < n_files; i++)
        bytes += TEXT_METADATA + (int64_t)(strlen(files[i]->path) + files[i]->bytes);
    const ts_initial *const *initial;
    int64_t n_initial = ts_sweep_initial(sweep, &initial);
    for (int64_t i = 0; i < n_initial; i++)
        bytes += NOTED_METADATA + (int64_t)strlen(initial[i]->path) +
                 (int64_t)(initial[i]->matched ? 2 * strlen(initial[i]->matched) : 0);
    return n_initial > 0 ? bytes + TEXT_METADATA : bytes;
}

// --- Reading ---

struct ts_origin {
    ts_reader *reader;
    char file[128]; // a sweep without a name is called by its file
    ts_sweep_source made;
    char *source, *list, *paths;
    ts_yaml *yaml; // of the list
    const char **overrides;
    int n_overrides;
    ts_sweep_file *files;
    char **content; // (n_files)
    int n_files;
    char *weights;           // owned, each of its lines a text of its own
    ts_noted_weights *noted; // (n_noted); their texts are in `lines`
    ts_yaml **lines;         // (n_noted)
    int n_noted;
};

void ts_origin_close(ts_origin *o) {
    if (!o)
        return;
    for (int i = 0; i < o->n_files && o->content; i++)
        ts_free(o->content[i]);
    for (int i = 0; i < o->n_noted; i++)
        ts_yaml_free(o->lines[i]);
    ts_free(o->lines);
    ts_free(o->noted);
    ts_free(o->weights);
    ts_free(o->content);
    ts_free(o->files);
    ts_free(o->overrides);
    ts_yaml_free(o->yaml);
    ts_free(o->paths);
    ts_free(o->list);
    ts_free(o->source);
    ts_free(o);
}

static ts_status damaged(const char *name) {
    return ts_fail(TS_ERROR_FATAL, "the results file is damaged: its '%s' is not as it was written", name);
}

static ts_status read_overrides(ts_origin *o) {
    int line;
    ts_status status = ts_reader_text(o->reader, "sweep/overrides", &o->list);
    if (status == TS_ERROR_USER)
        return ts_fail(status, "%s: it is of a version that did not keep its sweep's --set texts and files",
                       ts_message());
    if (status == TS_OK)
        status = ts_yaml_parse(o->list, strlen(o->list), &o->yaml, &line);
    const ts_yaml_node *root = status == TS_OK ? ts_yaml_root(o->yaml) : NULL;
    if (status == TS_ERROR_MEMORY || status == TS_ERROR_FATAL)
        return status;
    if (!root || root->kind != TS_YAML_SEQUENCE)
        return damaged("sweep/overrides");
    o->overrides = ts_alloc_zero((size_t)root->count, sizeof *o->overrides, "a sweep's overrides");
    if (!o->overrides)
        return TS_ERROR_MEMORY;
    for (const ts_yaml_node *node = root->child; node; node = node->next) {
        if (node->kind != TS_YAML_SCALAR)
            return damaged("sweep/overrides");
        o->overrides[o->n_overrides++] = node->text;
    }
    return TS_OK;
}

// The file of one line of `paths`, whose content must have the digest it goes by.
static ts_status read_file(ts_origin *o, const char *digest, const char *path) {
    uint8_t bytes[TS_SHA256_BYTES];
    char name[sizeof FILES "/" + DIGEST_DIGITS], found[TS_SHA256_HEX], *content;
    snprintf(name, sizeof name, "%s/%s", FILES, digest);
    ts_status status = ts_reader_text(o->reader, name, &content);
    if (status == TS_ERROR_USER)
        return damaged(name);
    if (status != TS_OK)
        return status;
    o->content[o->n_files] = content;
    o->files[o->n_files++] = (ts_sweep_file){path, content, strlen(content)};
    ts_sha256(content, strlen(content), bytes);
    ts_sha256_text(bytes, found);
    return strcmp(found, digest) == 0 ? TS_OK : damaged(name);
}

static ts_status read_files(ts_origin *o) {
    ts_status status = ts_reader_text(o->reader, "sweep/paths", &o->paths);
    if (status != TS_OK)
        return status;
    size_t lines = 1; // so that there is a list, though an empty one
    for (const char *c = o->paths; *c; c++)
        lines += *c == '\n';
    o->files = ts_alloc_zero(lines, sizeof *o->files, "a sweep's files");
    o->content = ts_alloc_zero(lines, sizeof *o->content, "a sweep's files");
    if (!o->files || !o->content)
        return TS_ERROR_MEMORY;
    for (char *line = o->paths, *end; *line && status == TS_OK; line = end + 1) {
        end = strchr(line, '\n');
        if (!end || end - line <= DIGEST_DIGITS + BETWEEN)
            return damaged("sweep/paths");
        *end = line[DIGEST_DIGITS] = 0;
        status = read_file(o, line, line + DIGEST_DIGITS + BETWEEN);
    }
    return status;
}

static const char *text_of(const ts_yaml_node *root, const char *name) {
    const ts_yaml_node *node = ts_yaml_get(root, name);
    return node && node->kind == TS_YAML_SCALAR ? node->text : NULL;
}

static int64_t number_of(const ts_yaml_node *root, const char *name) {
    const char *text = text_of(root, name);
    return text ? strtoll(text, NULL, 10) : -1;
}

static ts_status read_note(ts_origin *o, const char *line) {
    int at;
    ts_yaml *yaml = NULL;
    ts_status status = ts_yaml_parse(line, strlen(line), &yaml, &at);
    if (status == TS_ERROR_MEMORY)
        return status;
    const ts_yaml_node *root = status == TS_OK ? ts_yaml_root(yaml) : NULL;
    bool sound = root && root->kind == TS_YAML_MAPPING && text_of(root, "weights") && text_of(root, "file");
    if (!sound) {
        ts_yaml_free(yaml);
        return damaged("sweep/" WEIGHTS);
    }
    o->lines[o->n_noted] = yaml;
    o->noted[o->n_noted++] = (ts_noted_weights){.path = text_of(root, "file"),
                                                .instance = number_of(root, NOTED[0]),
                                                .step = number_of(root, NOTED[1]),
                                                .matched = text_of(root, "matched"),
                                                .found_instance = number_of(root, NOTED[2]),
                                                .found_step = number_of(root, NOTED[3]),
                                                .digest = text_of(root, "weights")};
    return TS_OK;
}

// Files of sweeps that begin with no weights have no such list.
static ts_status read_notes(ts_origin *o) {
    ts_status status = ts_reader_text(o->reader, "sweep/" WEIGHTS, &o->weights);
    if (status != TS_OK)
        return status == TS_ERROR_USER ? TS_OK : status;
    size_t lines = 1;
    for (const char *c = o->weights; *c; c++)
        lines += *c == '\n';
    o->noted = ts_alloc_zero(lines, sizeof *o->noted, "a sweep's weights");
    o->lines = ts_alloc_zero(lines, sizeof(ts_yaml *), "a sweep's weights");
    if (!o->noted || !o->lines)
        return TS_ERROR_MEMORY;
    for (char *line = o->weights, *end; *line && status == TS_OK; line = end + 1) {
        if (!(end = strchr(line, '\n')))
            return damaged("sweep/" WEIGHTS);
        *end = 0;
        status = read_note(o, line);
    }
    return status;
}

static ts_status read_all(ts_origin *o) {
    ts_status status = ts_reader_text(o->reader, "sweep/source", &o->source);
    if (status == TS_OK)
        status = read_overrides(o);
    if (status == TS_OK)
        status = read_files(o);
    if (status == TS_OK)
        status = read_notes(o);
    if (status != TS_OK)
        return status;
    snprintf(o->file, sizeof o->file, "%s.yaml", ts_reader_attribute(o->reader, "name"));
    o->made = (ts_sweep_source){.file = o->file,
                                .text = o->source,
                                .bytes = strlen(o->source),
                                .overrides = o->overrides,
                                .n_overrides = o->n_overrides,
                                .files = o->files,
                                .n_files = o->n_files,
                                .noted = o->noted,
                                .n_noted = o->n_noted};
    return TS_OK;
}

ts_status ts_origin_open(ts_reader *reader, ts_origin **origin) {
    *origin = ts_alloc_zero(1, sizeof **origin, "a sweep's texts");
    if (!*origin)
        return TS_ERROR_MEMORY;
    (*origin)->reader = reader;
    return read_all(*origin);
}

const ts_sweep_source *ts_origin_source(const ts_origin *origin) {
    return &origin->made;
}

static ts_status make_sweep(const ts_origin *o, ts_sweep **sweep) {
    ts_status status = ts_sweep_read(&o->made, sweep);
    const char *version = ts_reader_attribute(o->reader, "version");
    if (status == TS_ERROR_USER) {
        char first[512];
        snprintf(first, sizeof first, "%s", ts_message());
        if (strcmp(version, TOYSWEEP_VERSION) == 0)
            return ts_fail(status, "the sweep in it is damaged: %s", first);
        return ts_fail(status, "toysweep %s, which made the file, read its sweep otherwise than toysweep %s does: %s",
                       version, TOYSWEEP_VERSION, first);
    }
    if (status != TS_OK)
        return status;
    uint8_t digest[TS_SHA256_BYTES];
    char now[TS_SHA256_HEX];
    const char *then = ts_reader_attribute(o->reader, "sweep_sha256");
    status = ts_sweep_digest(*sweep, digest);
    ts_sha256_text(digest, now);
    if (status == TS_OK && strcmp(then, now) == 0)
        return TS_OK;
    ts_sweep_free(*sweep);
    *sweep = NULL;
    if (status != TS_OK)
        return status;
    if (strcmp(version, TOYSWEEP_VERSION) == 0)
        return ts_fail(TS_ERROR_USER,
                       "the sweep in it is damaged: it does not make the file's instances (sweep_sha256 %.12s... is "
                       "noted, %.12s... is its own)",
                       then, now);
    return ts_fail(TS_ERROR_USER,
                   "toysweep %s, which made the file, and toysweep %s make different instances of its sweep "
                   "(sweep_sha256 %.12s... then, %.12s... now); use that version",
                   version, TOYSWEEP_VERSION, then, now);
}

ts_status ts_origin_read(ts_reader *reader, ts_sweep **sweep) {
    ts_origin *origin;
    *sweep = NULL;
    ts_status status = ts_origin_open(reader, &origin);
    if (status == TS_OK)
        status = make_sweep(origin, sweep);
    ts_origin_close(origin);
    return status;
}
