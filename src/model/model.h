// Models: the networks. A model is a list of keys, a parameter layout, initial weights and a definition, by which it is
// measured and trained; how is a backend's business. models.c lists them all: a new one is one file and one word there.
#pragma once

#include "network/layout.h"
#include "param/key.h"
#include "task/task.h"

#include <stdint.h>

struct ts_data;
struct ts_graph;
struct ts_optimiser;

// What a tensor is called in files of weights, exported or made elsewhere.
typedef struct ts_published_name {
    const char *name, *published;
} ts_published_name;

// All members are needed but those that say what NULL means.
typedef struct ts_model {
    const char *name;
    const char *help;
    ts_kind learns;                       // every task of this kind
    const ts_key *keys;                   // its own, NULL name ends the list; optimisers bring theirs
    const struct ts_optimiser *optimiser; // that usually trains it
    const ts_published_name *published;   // of tensors; NULL name ends the list; NULL: all have their own names
    // Other names, of files that keep products transposed (as torch.nn.Linear); of no tensor (""): not looked at. NULL:
    // there are none.
    const ts_published_name *aliases;

    // As ts_task.check; NULL: what the task's found in order is.
    const char *(*check)(const ts_params *params, char *message, size_t bytes);

    void (*layout)(const ts_params *params, ts_parameter_layout *layout);
    void (*initialise)(const ts_params *params, float *parameters);

    // Adds its operations to a graph of this layout, says which play a role in measures, and returns the output: logits
    // of pairs, x_hat of samples.
    int (*define)(const ts_params *params, struct ts_graph *graph);

    // A width that measures have a dimension of: "neuron", "head", "source" (what a head reads), "feature"; "output":
    // logits of a table, if there are more than classes. 0: it has none.
    int64_t (*width)(const ts_params *params, const char *name);

    // Useful floating-point operations of one training step less its update (expected, where it depends on the batch
    // drawn). NULL, or 0: what the definition comes to.
    double (*step_operations)(const ts_params *params, const struct ts_data *data);

    // Bytes that a unit takes beside its instances, about: batches, scratch. NULL, or where operations are
    // what the definition comes to: so is this.
    double (*unit_bytes)(const ts_params *params, const struct ts_data *data);

    const char *headline; // the final measure that reports show, known of every instance that is done (but: otherwise)
    // What they show in its place where it is known, the best first; NULL ends the list. NULL: there is nothing better.
    const char *const *better;
    // What they show where the headline is known of nothing, as the test loss is where all pairs are trained on. NULL:
    // there is no such case.
    const char *otherwise;
} ts_model;

extern const ts_model *const ts_models[]; // NULL-terminated
const ts_model *ts_model_find(const char *name);
const char *ts_model_published(const ts_model *model, const char *tensor); // the tensor's published name

// The k-th name, k = 0, 1, ..., that the tensor may have in a file: published, its own, others. NULL: no more.
const char *ts_model_file_name(const ts_model *model, const char *tensor, int k);

// Weights that an instance begins with (parameters), in float32 or as exactly as they are known: those of `init_from`,
// rounded to the nearest, else those that its model draws. NaN where the former are not at hand (ts_initial).
void ts_model_initialise(const ts_params *params, float *parameters);
void ts_model_initialise_exactly(const ts_params *params, double *parameters, float *scratch);

// The network of an instance, as its model defines it; free with ts_graph_free, also after a fault.
ts_status ts_model_define(const ts_params *params, struct ts_graph *graph);

// The same as it is trained: its output alone, rewritten (network/rewrite.h) for the pairs or samples of a step, on how
// many ranks ever they are.
ts_status ts_model_define_training(const ts_params *params, const struct ts_data *data, struct ts_graph *graph);

// Whether the nodes in roles are what measures take them for. TS_ERROR_FATAL: no, and the message says which is not.
ts_status ts_model_check_roles(const ts_params *params, const struct ts_graph *graph);

// What training an instance costs: as the model says, or as its definition comes to, and its optimiser. Fails as
// ts_model_define.
typedef struct ts_model_costs {
    double step_operations, unit_bytes; // as in ts_model, with those of an update
    int parts;                          // of a step, that threads and ranks may share (ts_plan_parts)
} ts_model_costs;
ts_status ts_model_cost(const ts_params *params, const struct ts_data *data, ts_model_costs *costs);

// Whether an instance is so large that its sums over pairs may be in parts (ts_plan_parts). Of models that say their
// operations themselves.
bool ts_model_is_large(const ts_params *params);

// The final measures by which instances are judged: each by the first, k = 0, 1, ..., that is known of it. NULL: there
// are no more.
const char *ts_model_measure(const ts_model *model, int k);

bool ts_model_learns(const ts_model *model, const ts_task *task);
const ts_model *ts_model_usual(const ts_task *task); // that learns it by default; NULL: none does

// The schema of a task learned by a model that an optimiser trains: common keys, the task's, the model's, the choice
// of the optimiser and its own. TS_ERROR_FATAL: more than TS_MAX_KEYS.
ts_status ts_model_schema(const ts_task *task, const ts_model *model, const struct ts_optimiser *optimiser,
                          ts_schema *schema);

// A derived quantity of the instance ("features", "parameters", ...), from its task or model; false: it has
// none.
bool ts_derive(const ts_params *params, const char *name, double *value);

// Names of the derived numbers that any task or model has, the `index`th; some come more than once. NULL: no more.
const char *ts_derived_name(int index);
bool ts_is_derived(const char *name);
