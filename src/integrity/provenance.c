// The attributes of a results file against the run that wants to go on with it; what differs is named.
#include "integrity/provenance.h"

#include "base/memory.h"
#include "results/format.h"
#include "sweep/yaml.h"

#include <stdio.h>
#include <string.h>

static ts_status check_program(const char *path, hid_t file) {
    char *program = NULL, *version = NULL;
    int32_t format = 0;
    ts_status status = ts_h5_get_text(file, "program", &program);
    if (status == TS_OK)
        status = ts_h5_get_text(file, "version", &version);
    if (status != TS_OK)
        ; // reported
    else if (!program || strcmp(program, TS_PROGRAM) != 0 || !ts_h5_get_int32(file, "format", &format) || !version)
        status = ts_fail(TS_ERROR_FATAL,
                         "'%s' is an HDF5 file, but not a results file of toysweep; choose another "
                         "file with -o",
                         path);
    else if (strcmp(version, TOYSWEEP_VERSION) != 0)
        status = ts_fail(TS_ERROR_FATAL,
                         "'%s' was made by toysweep %s, this is toysweep %s, whose results may "
                         "differ; continue with that version or choose another file with -o",
                         path, version, TOYSWEEP_VERSION);
    else if (format != TS_FORMAT)
        status = ts_fail(TS_ERROR_FATAL,
                         "'%s' has format %d, this program (toysweep %s) writes format %d; choose "
                         "another file with -o",
                         path, (int)format, TOYSWEEP_VERSION, TS_FORMAT);
    ts_free(program);
    ts_free(version);
    return status;
}

static ts_status check_backend(const char *path, hid_t file, const char *backend) {
    char *found = NULL;
    ts_status status = ts_h5_get_text(file, "backend", &found);
    if (status != TS_OK)
        return status;
    if (!found)
        status = ts_fail(TS_ERROR_FATAL, "'%s' is damaged: it does not name its backend", path);
    else if (strcmp(found, TS_BACKEND_ELSEWHERE) == 0)
        status = ts_fail(TS_ERROR_FATAL, "'%s' holds weights that were trained elsewhere; choose another file with -o",
                         path);
    else if (strcmp(found, backend) != 0)
        status = ts_fail(TS_ERROR_FATAL,
                         "'%s' was begun with backend '%s', not '%s', whose results differ in the "
                         "last bits; continue with --backend %s or choose another file with -o",
                         path, found, backend, found);
    ts_free(found);
    return status;
}

static const char *text_of(const ts_yaml_node *node) {
    return !node ? "not there" : node->text ? node->text : "a list";
}

static void count_one(const char *key, const char *then, const char *now, int *differences, char *out, size_t bytes) {
    if (strcmp(then, now) != 0 && (*differences)++ == 0)
        snprintf(out, bytes, "%s: %s then, %s now", key, then, now);
}

// In how many parameters two instances differ; the first as "steps: 400 then, 500 now".
static int count_differences(const char *then, const char *now, char *out, size_t bytes) {
    ts_yaml *old = NULL, *new = NULL;
    int line, differences = 0;
    if (ts_yaml_parse(then, strlen(then), &old, &line) == TS_OK &&
        ts_yaml_parse(now, strlen(now), &new, &line) == TS_OK && ts_yaml_root(old) && ts_yaml_root(new)) {
        for (const ts_yaml_node *node = ts_yaml_root(new)->child; node; node = node->next)
            count_one(node->key, text_of(ts_yaml_get(ts_yaml_root(old), node->key)), text_of(node), &differences, out,
                      bytes);
        for (const ts_yaml_node *node = ts_yaml_root(old)->child; node; node = node->next)
            if (!ts_yaml_get(ts_yaml_root(new), node->key))
                count_one(node->key, text_of(node), text_of(NULL), &differences, out, bytes);
    }
    ts_yaml_free(old);
    ts_yaml_free(new);
    return differences;
}

enum { LOOKED_AT = 1000 }; // instances of a sweep

// As count_differences, of an instance of the sweep now.
static int differences_from(const char *then, const ts_sweep *sweep, int64_t instance, char *out, size_t bytes) {
    ts_text now = {0};
    ts_params params;
    ts_sweep_params(sweep, instance, &params);
    ts_params_json(&params, &now);
    int differences = count_differences(then, ts_text_get(&now), out, bytes);
    ts_text_free(&now);
    return differences;
}

// Looks through the first instances for one that has changed.
static void compare_instances(const char *path, const ts_sweep *sweep, char *out, size_t bytes) {
    ts_reader *reader = NULL;
    bool differs = false;
    if (ts_reader_open(path, &reader) != TS_OK)
        return;
    for (int64_t i = 0; i < ts_sweep_instances(sweep) && i < LOOKED_AT && !differs; i++) {
        char *then = NULL;
        differs = ts_reader_resolved(reader, i, &then) != TS_OK || differences_from(then, sweep, i, out, bytes) > 0;
        ts_free(then);
    }
    ts_reader_close(reader);
}

bool ts_provenance_nearest(ts_reader *reader, int64_t instance, const ts_sweep *sweep, char *out, size_t bytes) {
    char *then = NULL, found[TS_MESSAGE_BYTES];
    int least = 0;
    if (ts_reader_resolved(reader, instance, &then) != TS_OK)
        return false;
    for (int64_t i = 0; i < ts_sweep_instances(sweep) && i < LOOKED_AT; i++) {
        int differences = differences_from(then, sweep, i, found, sizeof found);
        if (differences == 0 || (least > 0 && differences >= least))
            continue;
        least = differences;
        snprintf(out, bytes, "%s", found);
    }
    ts_free(then);
    return least > 0;
}

// Of a file with another sweep's digest under the same name: what has changed.
static void compare_sweeps(const char *path, hid_t file, const ts_sweep *sweep, char *out, size_t bytes) {
    ts_h5_form form;
    hid_t identity = ts_h5_try_dataset(file, "identity");
    snprintf(out, bytes, "its instances differ");
    if (identity >= 0 && ts_h5_form_of(identity, &form) && form.rank == 1 &&
        (int64_t)form.size[0] != ts_sweep_instances(sweep))
        snprintf(out, bytes, "it had %lld instances then, and has %lld now", (long long)form.size[0],
                 (long long)ts_sweep_instances(sweep));
    else
        compare_instances(path, sweep, out, bytes);
    if (identity >= 0)
        H5Dclose(identity);
}

static ts_status check_name(const char *path, hid_t file, const ts_sweep *sweep) {
    char *name = NULL;
    ts_status status = ts_h5_get_text(file, "name", &name);
    if (status != TS_OK)
        return status;
    if (!name)
        status = ts_fail(TS_ERROR_FATAL, "'%s' is damaged: it does not name its sweep", path);
    else if (strcmp(name, ts_sweep_name(sweep)) != 0)
        status = ts_fail(TS_ERROR_FATAL, "'%s' was made by the sweep '%s', not by '%s'; choose another file with -o",
                         path, name, ts_sweep_name(sweep));
    ts_free(name);
    return status;
}

ts_status ts_provenance_check(const char *path, hid_t file, const ts_sweep *sweep, const char *backend) {
    ts_status status = check_program(path, file);
    if (status == TS_OK)
        status = check_name(path, file, sweep);
    return status == TS_OK ? check_backend(path, file, backend) : status;
}

ts_status ts_provenance_check_sweep(const char *path, hid_t file, const ts_sweep *sweep,
                                    const uint8_t digest[TS_SHA256_BYTES]) {
    char expected[TS_SHA256_HEX], difference[128], *found = NULL;
    ts_status status = ts_h5_get_text(file, "sweep_sha256", &found);
    ts_sha256_text(digest, expected);
    if (status != TS_OK)
        return status;
    if (!found) {
        status = ts_fail(TS_ERROR_FATAL, "'%s' is damaged: it does not say what its sweep's instances are", path);
    } else if (strcmp(found, expected) != 0) {
        compare_sweeps(path, file, sweep, difference, sizeof difference);
        status = ts_fail(TS_ERROR_FATAL,
                         "the sweep '%s' has changed since '%s' was made (%s; sweep_sha256 %.12s... "
                         "then, %.12s... now); undo the change or choose another file with -o",
                         ts_sweep_name(sweep), path, difference, found, expected);
    }
    ts_free(found);
    return status;
}
