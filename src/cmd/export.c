// `toysweep export`: one instance's weights in a file of their own.
#define _POSIX_C_SOURCE 200809L
#include "base/log.h"
#include "base/memory.h"
#include "cmd/command.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "results/format.h"
#include "results/reader.h"
#include "results/records.h"
#include "results/stored_weights.h"
#include "run/choose.h"
#include "run/run.h"
#include "sweep/yaml.h"
#include "weights/weights.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const ts_option OPTIONS[] = {
    {"instance", 0, "I",
     "Which instance: its index in the file's root columns; or best: of those that are done, the one with "
     "the lowest "
     "final loss (test loss of tables), the first of equals."},
    {"where", 0, "EXPRESSION",
     "The instance for which this holds, as in a sweep's `where`: 'seed == 3 and depth == 4'. It must be "
     "one, or with "
     "--instance best any number."},
    {"step", 0, "N",
     "The weights that the instance had after N updates: a checkpoint of a sweep with `save: checkpoints`. Default: "
     "those of its end."},
    {"format", 0, "FORMAT", "safetensors or h5. Default: safetensors."},
    {"output", 'o', "FILE", "Default: the sweep's name, the instance and the format, in the working directory."},
    {0},
};

static const char *value_of(const ts_yaml_node *resolved, const char *key) {
    const ts_yaml_node *node = ts_yaml_get(resolved, key);
    return node && node->text ? node->text : "";
}

// The keys of the instance with these parameters. False: its task, model or optimizer is none of this program.
static bool find_schema(const ts_yaml_node *resolved, ts_schema *schema) {
    const ts_model *model = ts_model_find(value_of(resolved, "model"));
    const char *name = value_of(resolved, "optimizer");
    const ts_optimiser *optimiser = model && !*name ? model->optimiser : NULL;
    const ts_task *task = NULL;
    for (int t = 0; ts_tasks[t] && !task; t++)
        if (strcmp(ts_tasks[t]->name, value_of(resolved, "task")) == 0)
            task = ts_tasks[t];
    for (int o = 0; ts_optimisers[o] && !optimiser; o++)
        if (strcmp(ts_optimisers[o]->name, name) == 0)
            optimiser = ts_optimisers[o];
    return task && model && optimiser && ts_model_schema(task, model, optimiser, schema) == TS_OK;
}

static void add_missing(const ts_yaml_node *resolved, const ts_schema *schema, ts_text *out) {
    for (int i = 0; i < schema->count; i++) {
        const ts_key *key = schema->key[i];
        int by = ts_schema_switch(schema, key);
        if (ts_yaml_get(resolved, key->name) ||
            (by >= 0 && strcmp(value_of(resolved, schema->key[by]->name), "true") != 0))
            continue;
        if (key == ts_optimizer_keys)
            ts_json_string(out, key->name, schema->optimiser->name);
        else if (key->traits & TS_LATER)
            ts_key_default_json(key, out);
    }
}

// All parameters of an instance: resolved ones have no key that came later where it has its default, nor the model's
// usual optimizer, but whoever reads the file elsewhere does not know the defaults. What counts only with a switch that
// is off is not there.
static ts_status complete(const char *json, ts_text *out) {
    ts_yaml *yaml = NULL;
    ts_schema schema;
    int line;
    ts_status status = ts_yaml_parse(json, strlen(json), &yaml, &line);
    const ts_yaml_node *resolved = status == TS_OK ? ts_yaml_root(yaml) : NULL;
    if (resolved && resolved->kind == TS_YAML_MAPPING && resolved->count > 0 && find_schema(resolved, &schema)) {
        ts_text_append(out, json, strlen(json) - 1);
        out->comma = true;
        add_missing(resolved, &schema, out);
        ts_json_close(out, '}');
    } else if (status != TS_ERROR_MEMORY) {
        ts_text_add(out, json); // of another version
    }
    ts_yaml_free(yaml);
    return status == TS_ERROR_MEMORY ? status : ts_text_status(out);
}

// Tensors under their published names, by the model that `metadata`, a JSON object, names.
static void publish(const char *metadata, ts_stored_weights *weights) {
    char name[sizeof weights->tensor->name] = "";
    const char *at = strstr(metadata, "\"model\":\"");
    if (at)
        sscanf(at, "\"model\":\"%63[^\"]", name);
    const ts_model *model = ts_model_find(name);
    for (int i = 0; model && i < weights->count; i++) {
        snprintf(name, sizeof name, "%s", ts_model_published(model, weights->tensor[i].name));
        memcpy(weights->tensor[i].name, name, sizeof name);
    }
}

// What is wanted: the instance, by its number, or (-1) by what it is and how well it did; its weights after how many
// updates (TS_STORED_END); where to.
typedef struct wish {
    long long instance;
    const char *where;
    bool best;
    long long step;
    bool hdf5;
    char path[PATH_MAX];
} wish;

static ts_status export_weights(const char *file, ts_reader *reader, const wish *w, ts_stored_weights *weights) {
    char *resolved = NULL;
    ts_text metadata = {0};
    ts_status status = ts_stored_weights_read(file, reader, w->instance, w->step, weights);
    if (status == TS_OK)
        status = ts_records_check(file, reader, w->instance);
    if (status == TS_OK)
        status = ts_reader_resolved(reader, w->instance, &resolved);
    if (status == TS_OK)
        status = complete(resolved, &metadata);
    if (status == TS_OK)
        publish(resolved, weights);
    if (status == TS_OK)
        status =
            (w->hdf5 ? ts_weights_write_hdf5 : ts_weights_write_safetensors)(w->path, weights, ts_text_get(&metadata));
    if (status == TS_OK && w->step == TS_STORED_END)
        ts_print("%s: %d parameters of instance %lld", w->path, weights->count, w->instance);
    else if (status == TS_OK)
        ts_print("%s: %d parameters of instance %lld at step %lld", w->path, weights->count, w->instance, w->step);
    ts_free(resolved);
    ts_text_free(&metadata);
    return status;
}

static ts_status export_instance(const char *file, ts_reader *reader, const wish *w) {
    ts_stored_weights *weights = ts_alloc_zero(1, sizeof *weights, "an instance's weights");
    if (!weights)
        return TS_ERROR_MEMORY;
    ts_status status = export_weights(file, reader, w, weights);
    ts_stored_weights_free(weights);
    ts_free(weights);
    return status;
}

// Results must not be lost to a slip of the fingers.
static ts_status check_target(const char *path) {
    char backend[32];
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || ts_format_backend(path, backend) != TS_OK || !*backend)
        return TS_OK;
    return ts_fail(TS_ERROR_USER, "'%s' is a results file; choose another file with -o", path);
}

// The format that was asked for; TS_ERROR_USER: there is none of that name.
static ts_status parse_format(const char *format, bool *hdf5) {
    *hdf5 = format && strcmp(format, "h5") == 0;
    if (!format || *hdf5 || strcmp(format, "safetensors") == 0)
        return TS_OK;
    return ts_fail(TS_ERROR_USER, "--format %s: give safetensors or h5", format);
}

static ts_status parse_naming(const ts_arguments *arguments, wish *w) {
    const ts_command *self = &ts_cmd_export;
    const char *which = ts_argument(self, arguments, "instance");
    w->where = ts_argument(self, arguments, "where");
    w->best = which && strcmp(which, "best") == 0;
    w->instance = -1;
    if (w->best || (w->where && !which))
        return TS_OK;
    if (w->where)
        return ts_fail(TS_ERROR_USER, "--where chooses the instance, or goes with --instance best");
    if (!which)
        return ts_fail(TS_ERROR_USER, "--instance is missing: which one? (its number, or best; or use --where)");
    return ts_argument_integer(self, arguments, "instance", 0, INT64_MAX, -1, &w->instance);
}

// Exports of several steps have names of their own.
static void name_output(const char *output, const char *sweep, wish *w) {
    const char *suffix = w->hdf5 ? "h5" : "safetensors";
    if (output)
        snprintf(w->path, sizeof w->path, "%s", output);
    else if (w->step == TS_STORED_END)
        snprintf(w->path, sizeof w->path, "%s-%lld.%s", sweep, w->instance, suffix);
    else
        snprintf(w->path, sizeof w->path, "%s-%lld-step-%lld.%s", sweep, w->instance, w->step, suffix);
}

static ts_status export_from(const char *file, const char *output, wish *w) {
    ts_reader *reader;
    ts_status status = ts_reader_open(file, &reader);
    if (status != TS_OK)
        return status;
    int64_t instance = w->instance;
    if (instance < 0)
        status = ts_choose_instance(reader, w->where, w->best, &instance);
    w->instance = instance;
    if (status == TS_OK) {
        name_output(output, ts_reader_attribute(reader, "name"), w);
        status = check_target(w->path);
    }
    if (status == TS_OK)
        status = export_instance(file, reader, w);
    ts_reader_close(reader);
    return status;
}

static ts_status export(const ts_arguments *arguments) {
    const ts_command *self = &ts_cmd_export;
    wish w;
    ts_status status = parse_format(ts_argument(self, arguments, "format"), &w.hdf5);
    if (status == TS_OK)
        status = parse_naming(arguments, &w);
    if (status == TS_OK)
        status = ts_argument_integer(self, arguments, "step", 0, INT64_MAX, TS_STORED_END, &w.step);
    if (status == TS_OK)
        status = export_from(arguments->operand[0], ts_argument(self, arguments, "output"), &w);
    return status;
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    if (comm->rank != 0)
        return TS_EXIT_DONE;
    ts_status status = export(arguments);
    return status == TS_OK ? TS_EXIT_DONE : ts_command_fail(comm, status);
}

const ts_command ts_cmd_export = {
    .name = "export",
    .operands = "FILE.h5",
    .n_operands = 1,
    .summary = "one instance's weights as safetensors or HDF5",
    .description = "Writes the weights of one instance, of its end or of a checkpoint (--step), to a file of their "
                   "own, under their PyTorch state-dict names, with the instance's resolved parameters and the step as "
                   "metadata. The instance is named by its index, by what it is (--where), or is the best one.",
    .options = OPTIONS,
    .run = run,
};
