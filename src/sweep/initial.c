// Where weights are, for the first point that has them; what they are.
#include "sweep/initial.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"
#include "model/model.h"
#include "sweep/initial_file.h"
#include "sweep/initial_values.h"
#include "sweep/nearest.h"

#include <stdio.h>
#include <string.h>

static ts_found *found_of(const ts_initial *value) {
    return (ts_found *)(uintptr_t)value;
}

ts_status ts_initials_begin(ts_value_reader *reader, const ts_sweep_source *source, const char *const *name) {
    reader->initials = ts_arena_take(reader->arena, 1, sizeof *reader->initials);
    if (!reader->initials)
        return TS_ERROR_MEMORY;
    *reader->initials = (ts_initials){.access = source->weights,
                                      .noted = source->noted,
                                      .n_noted = source->n_noted,
                                      .recall = source->recall,
                                      .context = source->context,
                                      .name = name};
    return TS_OK;
}

bool ts_initial_is_open(const ts_initial *value) {
    return value->path[0] && !value->digest[0];
}

static uint64_t shape_of(const ts_params *params, ts_parameter_layout *layout) {
    const ts_model *model = params->schema->model;
    model->layout(params, layout);
    uint64_t hash = ts_value_hash(&(ts_value){.type = TS_NAME, .name = model->name});
    for (int t = 0; t < layout->count; t++) {
        hash = ts_hash_mix(hash ^ ts_value_hash(&(ts_value){.type = TS_NAME, .name = layout->tensor[t].name}));
        for (int d = 0; d < layout->tensor[t].rank; d++)
            hash = ts_hash_mix(hash + (uint64_t)layout->tensor[t].size[d]);
    }
    return hash;
}

static ts_status refuse(ts_value_reader *reader, int line, const char *cure) {
    return ts_faults_add(reader->faults, line, TS_INIT_FROM, "%s; %s", ts_message(), cure);
}

static void digest_of(const void *bytes, size_t size, char out[72]) {
    uint8_t digest[TS_SHA256_BYTES];
    strcpy(out, "sha256:");
    ts_sha256(bytes, size, digest);
    ts_sha256_text(digest, out + strlen(out));
}

// Keeps the numbers, in float32 if that holds them exactly, and their digest.
static ts_status keep(ts_value_reader *reader, ts_found *found, const double *values, int64_t count) {
    bool exact = true;
    for (int64_t i = 0; i < count; i++)
        exact = exact && (double)(float)values[i] == values[i];
    size_t size = (size_t)count * (exact ? sizeof(float) : sizeof(double));
    void *kept = ts_arena_take(reader->arena, size, 1);
    if (!kept)
        return TS_ERROR_MEMORY;
    for (int64_t i = 0; exact && i < count; i++)
        ((float *)kept)[i] = (float)values[i];
    if (!exact)
        memcpy(kept, values, size);
    reader->initials->bytes += size;
    found->value.count = count;
    found->value.narrow = exact ? kept : NULL;
    found->value.wide = exact ? NULL : kept;
    digest_of(kept, size, found->value.digest);
    return TS_OK;
}

// Numbers of an instance; -1: of a file of weights.
static ts_status read_numbers(ts_value_reader *reader, ts_found *found, int64_t instance, const ts_params *params,
                              int line) {
    ts_initials *initials = reader->initials;
    ts_parameter_layout layout;
    found->shape = shape_of(params, &layout);
    if (initials->bytes + (size_t)layout.total * sizeof(float) > TS_INITIAL_MAX_BYTES)
        return ts_faults_add(reader->faults, line, TS_INIT_FROM,
                             "the weights that this sweep begins with take more than %d MiB together; split the sweep",
                             TS_INITIAL_MAX_BYTES >> 20);
    double *values = ts_alloc((size_t)layout.total * sizeof *values, "weights to begin with");
    if (!values)
        return TS_ERROR_MEMORY;
    int64_t step = found->value.step;
    ts_status status =
        initials->access->read(found->file->handle, instance, &step, params->schema->model, &layout, values);
    if (status == TS_OK)
        status = keep(reader, found, values, layout.total);
    else if (status == TS_ERROR_USER || status == TS_ERROR_FATAL)
        status = refuse(reader, line, "give weights of this model and these sizes");
    ts_free(values);
    found->value.found_instance = instance;
    found->value.found_step = instance < 0 ? -1 : step;
    return status;
}

// What was noted of weights as they are written, or of the one that was matched with.
static ts_status take_note(ts_value_reader *reader, ts_found *found, int64_t number, const ts_params *params,
                           int line) {
    const ts_initials *initials = reader->initials;
    ts_parameter_layout layout;
    for (int i = 0; i < initials->n_noted && number < 0; i++) {
        const ts_noted_weights *note = &initials->noted[i];
        if (!note->matched && strcmp(note->path, found->value.path) == 0 && note->instance == found->value.instance &&
            note->step == found->value.step)
            number = i;
    }
    if (number < 0)
        return ts_faults_add(reader->faults, line, TS_INIT_FROM, "weights of '%s' are missing, and are not noted",
                             found->value.path);
    const ts_noted_weights *note = &initials->noted[number];
    snprintf(found->value.digest, sizeof found->value.digest, "%s", note->digest);
    found->value.found_instance = note->found_instance;
    found->value.found_step = note->found_step;
    found->shape = shape_of(params, &layout);
    found->value.count = layout.total;
    if (!note->narrow && !note->wide)
        return TS_OK;
    size_t size = (size_t)layout.total * (note->wide ? sizeof(double) : sizeof(float));
    void *kept = ts_arena_take(reader->arena, size, 1);
    if (!kept)
        return TS_ERROR_MEMORY;
    memcpy(kept, note->wide ? (const void *)note->wide : note->narrow, size);
    found->value.narrow = note->wide ? NULL : kept;
    found->value.wide = note->wide ? kept : NULL;
    return TS_OK;
}

static bool is_noted_alone(const ts_value_reader *reader, const ts_found *found) {
    const ts_initials *initials = reader->initials;
    for (int i = 0; i < initials->n_noted; i++)
        if (!initials->noted[i].matched && strcmp(initials->noted[i].path, found->value.path) == 0 &&
            initials->noted[i].instance == found->value.instance && initials->noted[i].step == found->value.step)
            return true;
    return false;
}

// Whether the point's other keys have to tell which instance is meant.
static bool must_match(const ts_value_reader *reader, const ts_found *written) {
    if (written->value.instance >= 0)
        return false;
    return written->file->noted ? !is_noted_alone(reader, written) : written->file->instances > 1;
}

static ts_status check_written(ts_value_reader *reader, const ts_found *written, int line) {
    const ts_initial_file *file = written->file;
    if (file->noted || file->instances >= 0)
        return TS_OK;
    const char *what = written->value.instance >= 0 ? "instance" : written->value.step >= 0 ? "step" : NULL;
    if (!what)
        return TS_OK;
    return ts_faults_add(reader->faults, line, TS_INIT_FROM,
                         "'%s' is a file of weights, of which there is one set: leave '%s' out, or give a results file",
                         file->full, what);
}

static ts_found *make_match(ts_value_reader *reader, ts_found *written, const char *matched) {
    char axis[32];
    if (!written->value.axis) {
        int length = snprintf(axis, sizeof axis, "matched %d", reader->initials->axes++);
        written->value.axis = ts_arena_copy(reader->arena, axis, (size_t)length);
    }
    ts_found *made = ts_arena_take(reader->arena, 1, sizeof *made);
    const char *kept = ts_arena_copy(reader->arena, matched, strlen(matched));
    if (!made || !kept || !written->value.axis)
        return NULL;
    *made = *written;
    made->value.matched = kept;
    made->next = NULL;
    return made;
}

// The weights that the point is matched with: those of a row, at the step that is written.
static ts_status match(ts_value_reader *reader, ts_found *written, const ts_params *params, int line, ts_found **out,
                       int64_t *instance) {
    ts_initial_row *row;
    ts_text matched = {0};
    ts_status status = ts_initial_file_match(reader, written->file, params, written->value.step, line, &row, &matched);
    *out = status == TS_OK ? row->found : NULL;
    while (*out && (*out)->value.written != &written->value)
        *out = (*out)->beside;
    if (status == TS_OK && !*out) {
        *out = make_match(reader, written, ts_text_get(&matched));
        status = *out ? TS_OK : TS_ERROR_MEMORY;
    }
    if (status == TS_OK && !(*out)->value.digest[0]) {
        (*out)->beside = row->found;
        row->found = *out;
    }
    *instance = status == TS_OK ? row->instance : -1;
    ts_text_free(&matched);
    return status;
}

static void list(ts_initials *initials, ts_found *found) {
    if (initials->last)
        initials->last->next = found;
    else
        initials->first = found;
    initials->last = found;
    initials->count++;
}

ts_status ts_initial_resolve(ts_value_reader *reader, const ts_params *params, int line, const ts_initial **out) {
    ts_found *written = found_of(ts_params_initial(params)->written), *found = written;
    int64_t instance = written->value.instance;
    *out = &written->value;
    if (written->refused)
        return TS_ERROR_USER;
    if (!written->file && !(written->file = ts_initial_file_of(reader, written->value.path)))
        return TS_ERROR_MEMORY;
    ts_status status = ts_initial_file_open(reader, written->file, line);
    if (status == TS_OK)
        status = check_written(reader, written, line);
    if (status == TS_OK && must_match(reader, written))
        status = match(reader, written, params, line, &found, &instance);
    else if (status == TS_OK && instance < 0 && !written->file->noted && written->file->instances >= 0)
        instance = 0; // the only one
    if (status == TS_OK && !found->value.digest[0]) {
        status = written->file->noted ? take_note(reader, found, found == written ? -1 : instance, params, line)
                                      : read_numbers(reader, found, instance, params, line);
        if (status == TS_OK)
            list(reader->initials, found);
    }
    written->refused = status != TS_OK;
    if (status == TS_OK)
        *out = &found->value;
    return status;
}

ts_status ts_initial_check(ts_value_reader *reader, const ts_params *params, int line) {
    ts_parameter_layout layout;
    const ts_initial *value = ts_params_initial(params);
    ts_found *found = found_of(value);
    if (!value->path[0] || !value->digest[0] || found->shape == shape_of(params, &layout) || found->file->noted)
        return TS_OK;
    double *values = ts_alloc((size_t)layout.total * sizeof *values, "weights to begin with");
    int64_t step = value->step;
    ts_status status = values ? reader->initials->access->read(found->file->handle, value->found_instance, &step,
                                                               params->schema->model, &layout, values)
                              : TS_ERROR_MEMORY;
    ts_free(values);
    if (status == TS_ERROR_MEMORY)
        return status;
    if (status == TS_OK)
        return ts_faults_add(
            reader->faults, line, TS_INIT_FROM,
            "'%s' has the shapes of two of the sweep's networks, one of which takes it transposed; give "
            "each its own value, in cases",
            found->file->full);
    return refuse(reader, line, "give each network of the sweep weights of its own, in cases");
}

// --- All of them ---

static const char *name_of(const ts_value_reader *reader, const ts_found *found) {
    const char *name = ts_path_name(found->value.path);
    char shown[TS_SHOWN_BYTES];
    for (const ts_initial_file *file = reader->initials->file; file; file = file->next)
        if (file != found->file && strcmp(ts_path_name(file->path), ts_path_name(found->value.path)) == 0)
            name = found->value.path;
    ts_text text = {0};
    ts_text_add(&text, ts_shown(name, shown));
    if (found->value.instance >= 0)
        ts_text_addf(&text, " #%lld", (long long)found->value.instance);
    if (found->value.step >= 0)
        ts_text_addf(&text, " @%lld", (long long)found->value.step);
    const char *kept = ts_arena_copy(reader->arena, ts_text_get(&text), text.length);
    ts_text_free(&text);
    return kept;
}

ts_status ts_initials_list(const ts_value_reader *reader, const ts_initial ***list, int64_t *count) {
    const ts_initials *initials = reader->initials;
    *count = 0;
    *list = ts_arena_take(reader->arena, (size_t)initials->count, sizeof **list);
    if (!*list)
        return TS_ERROR_MEMORY;
    for (ts_found *found = initials->first; found; found = found->next) {
        (*list)[(*count)++] = &found->value;
        if (!(found->value.name = name_of(reader, found)))
            return TS_ERROR_MEMORY;
    }
    return TS_OK;
}

void ts_initials_end(ts_value_reader *reader) {
    for (ts_initial_file *file = reader->initials ? reader->initials->file : NULL; file; file = file->next)
        ts_initial_file_close(reader->initials, file);
}
