// A sweep from its source, pass by pass; and what sweep.h says of it afterwards.
#include "sweep/sweep.h"

#include "base/digest.h"
#include "base/memory.h"
#include "sweep/canonical.h"
#include "sweep/cursor.h"
#include "sweep/initial.h"
#include "sweep/input_file.h"

#include <string.h>

// Kept between calls for ts_sweep_errors; one text per thread.
static _Thread_local ts_text errors;

const char *ts_sweep_errors(void) {
    return ts_text_get(&errors);
}

static ts_status copy_source(ts_sweep *sweep, const ts_sweep_source *source) {
    sweep->text = ts_alloc(source->bytes + 1, "the sweep's text");
    sweep->overrides = ts_arena_take(&sweep->arena, (size_t)source->n_overrides, sizeof *sweep->overrides);
    if (!sweep->text || !sweep->overrides)
        return TS_ERROR_MEMORY;
    if (source->bytes)
        memcpy(sweep->text, source->text, source->bytes);
    sweep->text[source->bytes] = 0;
    for (int i = 0; i < source->n_overrides; i++) {
        const char *copy = ts_arena_copy(&sweep->arena, source->overrides[i], strlen(source->overrides[i]));
        if (!copy)
            return TS_ERROR_MEMORY;
        sweep->overrides[sweep->n_overrides++] = copy;
    }
    return TS_OK;
}

// The passes in order; each needs the one before to have found nothing wrong.
static ts_status read_sweep(ts_spec *spec, const ts_sweep_source *source) {
    ts_status (*const passes[])(ts_spec *) = {ts_spec_bind, ts_spec_expand, ts_spec_find_duplicates};
    ts_status status = copy_source(spec->sweep, source);
    if (status == TS_OK)
        status = ts_spec_read(spec, source);
    if (status == TS_OK && !spec->yaml)
        return TS_ERROR_USER; // nothing to look at
    for (int i = 0; i < 3 && status == TS_OK; i++)
        status = passes[i](spec);
    if (status == TS_OK)
        status = ts_input_files_list(&spec->reader, &spec->sweep->files, &spec->sweep->n_files);
    if (status == TS_OK)
        status = ts_initials_list(&spec->reader, &spec->sweep->initial, &spec->sweep->n_initial);
    if (status == TS_OK)
        status = ts_spec_group(spec); // names files
    if (status == TS_OK)
        status = ts_spec_check_keys(spec, source->trains);
    return status;
}

ts_status ts_sweep_read(const ts_sweep_source *source, ts_sweep **sweep) {
    *sweep = NULL;
    ts_text_clear(&errors);
    ts_spec *spec = ts_alloc_zero(1, sizeof *spec, "a sweep");
    ts_faults *faults = ts_alloc_zero(1, sizeof *faults, "a sweep's errors");
    ts_sweep *made = ts_alloc_zero(1, sizeof *made, "a sweep");
    ts_status status = TS_ERROR_MEMORY;
    if (spec && faults && made) {
        *faults = (ts_faults){.file = source->file ? source->file : "sweep"};
        spec->sweep = made;
        spec->faults = faults;
        status = read_sweep(spec, source);
        if ((status == TS_OK || status == TS_ERROR_USER) && faults->count > 0)
            status = ts_faults_finish(faults, &errors);
        ts_spec_free(spec);
        ts_faults_free(faults);
    }
    ts_free(spec);
    ts_free(faults);
    if (status == TS_OK)
        *sweep = made;
    else
        ts_sweep_free(made);
    return status;
}

void ts_sweep_free(ts_sweep *sweep) {
    if (!sweep)
        return;
    ts_free(sweep->text);
    ts_free(sweep->point);
    ts_free(sweep->matched);
    ts_free(sweep->case_of);
    ts_free(sweep->row);
    ts_free(sweep->cases);
    ts_arena_free(&sweep->arena);
    ts_free(sweep);
}

const char *ts_sweep_name(const ts_sweep *sweep) {
    return sweep->name;
}

const char *ts_sweep_text(const ts_sweep *sweep) {
    return sweep->text;
}

int ts_sweep_overrides(const ts_sweep *sweep, const char *const **overrides) {
    *overrides = sweep->overrides;
    return sweep->n_overrides;
}

int ts_sweep_files(const ts_sweep *sweep, const ts_file *const **files) {
    *files = sweep->files;
    return sweep->n_files;
}

int64_t ts_sweep_initial(const ts_sweep *sweep, const ts_initial *const **initial) {
    *initial = sweep->initial;
    return sweep->n_initial;
}

int64_t ts_sweep_instances(const ts_sweep *sweep) {
    return sweep->instances;
}

void ts_sweep_params(const ts_sweep *sweep, int64_t instance, ts_params *params) {
    ts_cursor cursor;
    ts_cursor_start(&cursor, sweep);
    ts_cursor_seek(&cursor, ts_sweep_point(sweep, instance));
    params->schema = cursor.params.schema;
    memcpy(params->value, cursor.params.value, (size_t)params->schema->count * sizeof params->value[0]);
}

int ts_sweep_varying(const ts_sweep *sweep, const ts_key *const **keys) {
    *keys = sweep->varying;
    return sweep->n_varying;
}

int ts_sweep_swept(const ts_sweep *sweep, const ts_key *const **keys) {
    *keys = sweep->swept;
    return sweep->n_swept;
}

int ts_sweep_cases(const ts_sweep *sweep) {
    return sweep->n_cases;
}

const ts_case *ts_sweep_case(const ts_sweep *sweep, int index) {
    return &sweep->cases[index];
}

int32_t ts_sweep_case_of(const ts_sweep *sweep, int64_t instance) {
    return sweep->case_of[instance];
}

void ts_case_params(const ts_sweep *sweep, int index, int64_t row, ts_params *params) {
    ts_sweep_params(sweep, sweep->cases[index].instance[row], params);
}

// --- Digest ---

ts_status ts_sweep_digest(const ts_sweep *sweep, uint8_t digest[32]) {
    ts_canonical *canonical;
    ts_status status = ts_canonical_open(sweep, &canonical);
    if (status != TS_OK)
        return status;
    ts_sha256_stream *stream = ts_canonical_begin_digest(sweep);
    for (int64_t i = 0; i < sweep->instances; i++) {
        uint8_t identity[TS_SHA256_BYTES];
        ts_canonical_seek(canonical, i);
        ts_canonical_identity(canonical, identity);
        ts_sha256_feed(stream, identity, sizeof identity);
    }
    ts_sha256_end(stream, digest);
    status = ts_canonical_status(canonical);
    ts_canonical_close(canonical);
    return status;
}
