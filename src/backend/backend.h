// Backends: how models are trained. A backend works at the level of a model - it creates K instances, trains
// them, hands out weights - so that it may fuse whole steps. An engine trains one model, or any by its definition: one
// file, and one line in backends.c. `reference` is the oracle: plain double-precision loops.
#pragma once

#include "base/status.h"
#include "param/key.h"

#include <stdint.h>

struct ts_data;
struct ts_pair_device;

// Ranks that train one instance together, each the parts of a step's sums that are its own. All of them make the same
// calls with the same arguments; all calls are collective over the team. An error: a rank is lost, and nothing that the
// team does can go on.
typedef struct ts_team {
    int rank, size; // not more than the parts of a step
    // Ranks have made the parts of a sum (base/tree.h) that are theirs by ts_tree_share. sums (subtrees, count): of the
    // subtrees that these parts are made of, in order; the first becomes the total, with the same bits on all ranks.
    // *all: `mine` is true on every rank.
    ts_status (*add_floats)(void *context, int parts, float *sums, int64_t count, bool mine, bool *all);
    ts_status (*add_doubles)(void *context, int parts, double *sums, int64_t count);
    // values (count) become the largest of the team's.
    ts_status (*largest)(void *context, int64_t *values, int count);
    void *context;
} ts_team;

// Collective over the team (NULL: there is none): the worst of all ranks' statuses, so that none goes on, and waits for
// one that cannot.
ts_status ts_team_agree(const ts_team *team, ts_status mine);

// Instances of one case to train together. The pointers must stay valid as long as the training.
typedef struct ts_training_spec {
    const ts_params *params; // (count)
    int count;
    const struct ts_data *data; // of the case; read-only, shared by all its trainings
    const ts_team *team;        // NULL: this rank trains them alone
    struct ts_crew *crew;       // threads that help in a step of many parts (base/crew.h); NULL: none
} ts_training_spec;

// Names and helps of engines, for `info` and whoever asks which one trains a case.
#define TS_FUSED        "fused"
#define TS_FUSED_HELP   "whole steps, in kernels written for one model"
#define TS_GENERAL      "general"
#define TS_GENERAL_HELP "operation by operation, as a model is defined"

// All members are needed but those that say what NULL means.
typedef struct ts_engine {
    const char *name;  // in plain words; those of one backend for one model each may share it
    const char *help;  // half a sentence
    const char *model; // NULL: any, by its definition (ts_model.define)
    bool wide;         // ranks may share the parts of its steps (ts_model_costs)
    bool shares;       // threads may
    bool tf32x3;       // it trains instances with that precision (reference: with its own)
    int most_parts;    // that it makes of a step; 0: as many as there can be

    // Whether it trains instances with such parameters: NULL, or why not, as half a sentence. NULL function: all.
    const char *(*can)(const ts_params *params);

    // New trainings start from the model's initial weights, at step 0. TS_ERROR_MEMORY: a smaller one may
    // fit.
    ts_status (*create)(const ts_training_spec *spec, void **training);
    void (*destroy)(void *training);

    // Everything a later process needs to go on with the same bits, for one instance: (parts, parameters) numbers
    // in the model's layout (ts_optimiser_parts) - weights, what the optimiser keeps - all float32 or all float64.
    // TS_ERROR_FATAL: the device is lost, and what was asked for was not written.
    size_t (*state_bytes)(const void *training);
    ts_status (*get_state)(const void *training, int instance, void *state);
    ts_status (*set_state)(void *training, int instance, const void *state);

    // The instance's parameters in the model's layout. Fails as get_state.
    ts_status (*get_parameters)(const void *training, int instance, float *parameters);

    // Takes every instance with reached[i] == from on to step `to`. reached (count) is updated: `to`, or, of an
    // instance that stops for good, how many updates left weights and moments finite: the loss at that step is not
    // finite, and the state is that step's; or the next update is the first after which a weight (as float32) or a
    // moment is not, and the state is what it left. Which of the two, the state tells. Looked at in every step, so
    // that how training is cut into calls changes nothing. No allocation but of helping threads, no output.
    ts_status (*train)(void *training, int64_t from, int64_t to, int64_t *reached);

    // Instances like this one that have to train at once to keep the device busy; valid once the backend's probe was
    // TS_OK. The units of a rank's slots hold at least that many together while there are enough. NULL: 1.
    int64_t (*fill)(const ts_params *params, const struct ts_data *data);

    // Instances like this one of which a training takes so many at once, for little more than a few of them. Units hold
    // multiples of that while there are enough for all slots. NULL: 1.
    int (*together)(const ts_params *params, const struct ts_data *data);
} ts_engine;

// All members are needed but those that say what NULL means.
typedef struct ts_backend {
    const char *name;
    const char *help;
    // TS_OK if it can run here; else a message why not.
    ts_status (*probe)(void);
    const char *(*device)(void);     // what it runs on, for `info`
    const ts_engine *const *engines; // NULL-terminated

    // Where the pairs of its networks go when they are measured (model/pair_device.h). NULL: on the processor.
    const struct ts_pair_device *pairs;

    // Lines for `info` about devices and libraries, from index 0; NULL ends them. No function (NULL): none.
    const char *(*detail)(int index);
    // Says, before the probe, which of the node's ranks this one is. NULL: it does not matter.
    void (*place)(int node_rank, int node_size);
} ts_backend;

extern const ts_backend *const ts_backends[]; // best first, NULL-terminated
void ts_backends_place(int node_rank, int node_size);
const ts_backend *ts_backend_find(const char *name);

// Why an engine does not train instances with such parameters, as half a sentence; NULL: it does.
const char *ts_engine_refuses(const ts_engine *engine, const ts_params *params);

// The first of its engines that trains instances with such parameters; *why (may be NULL), half a sentence: why not the
// backend's first kind of engine, NULL if it is of that. NULL: there is none, and *why says why.
const ts_engine *ts_backend_engine(const ts_backend *backend, const ts_params *params, const char **why);

// The backend of that name. TS_ERROR_USER if it is unknown or cannot run here.
ts_status ts_backend_named(const char *name, const ts_backend **backend);

// "auto, cuda, cpu or reference": what may be asked for. Valid as long as the process.
const char *ts_backend_names(void);
