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
static void publish(const char *metadata, ts_reader_tensor *tensors, int count) {
    char name[sizeof tensors->name] = "";
    const char *at = strstr(metadata, "\"model\":\"");
    if (at)
        sscanf(at, "\"model\":\"%63[^\"]", name);
    const ts_model *model = ts_model_find(name);
    for (int i = 0; model && i < count; i++) {
        snprintf(name, sizeof name, "%s", ts_model_published(model, tensors[i].name));
        memcpy(tensors[i].name, name, sizeof name);
    }
}

static ts_status export_instance(const char *file, ts_reader *reader, int64_t instance, const char *path, bool hdf5) {
    ts_reader_tensor *tensors;
    int count = 0;
    char *resolved = NULL;
    ts_text metadata = {0};
    ts_status status = ts_reader_weights(reader, instance, &tensors, &count);
    if (status == TS_OK)
        status = ts_records_check(file, reader, instance);
    if (status == TS_OK)
        status = ts_reader_resolved(reader, instance, &resolved);
    if (status == TS_OK)
        status = complete(resolved, &metadata);
    if (status == TS_OK)
        publish(resolved, tensors, count);
    if (status == TS_OK && hdf5)
        status = ts_weights_write_hdf5(path, tensors, count, ts_text_get(&metadata));
    else if (status == TS_OK)
        status = ts_weights_write_safetensors(path, tensors, count, ts_text_get(&metadata));
    if (status == TS_OK)
        ts_print("%s: %d parameters of instance %lld", path, count, (long long)instance);
    ts_free(resolved);
    ts_text_free(&metadata);
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

// How the instance is named: by its number, or (-1) by what it is and how well it did.
typedef struct naming {
    long long number;
    const char *where;
    bool best;
} naming;

static ts_status parse_naming(const ts_arguments *arguments, naming *named) {
    const ts_command *self = &ts_cmd_export;
    const char *which = ts_argument(self, arguments, "instance");
    *named = (naming){-1, ts_argument(self, arguments, "where"), which && strcmp(which, "best") == 0};
    if (named->best || (named->where && !which))
        return TS_OK;
    if (named->where)
        return ts_fail(TS_ERROR_USER, "--where chooses the instance, or goes with --instance best");
    if (!which)
        return ts_fail(TS_ERROR_USER, "--instance is missing: which one? (its number, or best; or use --where)");
    return ts_argument_integer(self, arguments, "instance", 0, INT64_MAX, -1, &named->number);
}

static ts_status export(const ts_arguments *arguments) {
    const ts_command *self = &ts_cmd_export;
    const char *output = ts_argument(self, arguments, "output");
    char path[PATH_MAX];
    bool hdf5;
    naming named;
    ts_reader *reader;
    ts_status status = parse_format(ts_argument(self, arguments, "format"), &hdf5);
    if (status == TS_OK)
        status = parse_naming(arguments, &named);
    if (status == TS_OK)
        status = ts_reader_open(arguments->operand[0], &reader);
    if (status != TS_OK)
        return status;
    int64_t instance = named.number;
    if (instance < 0)
        status = ts_choose_instance(reader, named.where, named.best, &instance);
    if (status == TS_OK && output)
        snprintf(path, sizeof path, "%s", output);
    else if (status == TS_OK)
        snprintf(path, sizeof path, "%s-%lld.%s", ts_reader_attribute(reader, "name"), (long long)instance,
                 hdf5 ? "h5" : "safetensors");
    if (status == TS_OK)
        status = check_target(path);
    if (status == TS_OK)
        status = export_instance(arguments->operand[0], reader, instance, path, hdf5);
    ts_reader_close(reader);
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
    .description = "Writes the weights of one finished instance to a file of their own, under their PyTorch "
                   "state-dict names, with the instance's resolved parameters as metadata. The instance is named by "
                   "its index, by what it is (--where), or is the best one.",
    .options = OPTIONS,
    .run = run,
};
