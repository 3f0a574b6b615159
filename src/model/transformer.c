// The model `transformer`: keys, layout, initial weights, definition.
#include "model/transformer.h"

#include "model/model.h"
#include "model/network.h"
#include "model/optimiser.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const CONTEXTS[] = {"equals", "none", NULL};
static const char *const OUTPUTS[] = {"classes", NULL};

static const ts_key KEYS[] = {
    {"d_model", TS_INTEGER, "128", 1, 4096, NULL, true, "Width of the residual stream"},
    {"heads", TS_INTEGER, "4", 1, 256, NULL, true, "Attention heads"},
    {"d_head", TS_INTEGER, "32", 1, 4096, NULL, true, "Width of a head"},
    {"d_mlp", TS_INTEGER, "512", 1, 16384, NULL, true, "Hidden width, neurons"},
    {"layers", TS_INTEGER, "1", 1, TS_MOST_LAYERS, NULL, TS_SHAPES | TS_LATER | TS_DEFINES,
     "Layers of attention and a hidden layer; measures are of the last one"},
    {"context", TS_NAME, "equals", 0, 0, CONTEXTS, TS_SHAPES | TS_LATER | TS_DEFINES,
     "What stands behind a and b: a token \"=\", at which the network is read, or none, and it is read at b"},
    {"mask", TS_BOOL, "true", 0, 0, NULL, TS_SHAPES | TS_LATER,
     "Whether a position attends only to itself and those before it; of one layer that is the same network"},
    {"attention_rate", TS_REAL, "1", 0, 1, NULL, TS_SHAPES | TS_LATER | TS_DEFINES,
     "Weights of attention are r softmax(scores / sqrt(d_head)) + (1 - r): at 0 every position counts 1"},
    {"bias", TS_BOOL, "false", 0, 0, NULL, TS_SHAPES | TS_LATER | TS_DEFINES,
     "Biases b_in and b_out of the hidden layer"},
    {"layer_norm", TS_BOOL, "false", 0, 0, NULL, TS_SHAPES | TS_LATER | TS_DEFINES,
     "Layer norm before attention, before the hidden layer and at the end"},
    {"separate_vocabulary", TS_BOOL, "false", 0, 0, NULL, TS_SHAPES | TS_LATER | TS_DEFINES,
     "Whether a and b have embeddings of their own: W_E has those of a, of b, of \"=\""},
    {"outputs", TS_INTEGER, "0", 0, 16384, OUTPUTS, TS_SHAPES | TS_LATER | TS_DEFINES,
     "Logits, not fewer than there are classes; those beyond count in the softmax alone"},
    TS_ACTIVATION_KEY,
    TS_INIT_KEYS(ts_network_inits),
    TS_NETWORK_KEYS,
    {0},
};

ts_transformer_shape ts_transformer_shape_of(const ts_params *params) {
    int classes = ts_network_classes(params), outputs = (int)ts_params_integer(params, "outputs");
    return (ts_transformer_shape){
        .n = ts_network_order(params),
        .classes = classes,
        .n_out = outputs > 0 ? outputs : classes,
        .model = (int)ts_params_integer(params, "d_model"),
        .heads = (int)ts_params_integer(params, "heads"),
        .head = (int)ts_params_integer(params, "d_head"),
        .neurons = (int)ts_params_integer(params, "d_mlp"),
        .layers = (int)ts_params_integer(params, "layers"),
        .positions = strcmp(ts_params_name(params, "context"), "none") == 0 ? 2 : 3,
        .separate = ts_params_bool(params, "separate_vocabulary"),
        .mask = ts_params_bool(params, "mask"),
        .bias = ts_params_bool(params, "bias"),
        .norm = ts_params_bool(params, "layer_norm"),
        .activation = ts_network_activation(params),
        .rate = ts_params_real(params, "attention_rate"),
    };
}

// --- Tensors ---

// By layer: names where there is one layer, and in the layers of several; as TransformerLens has them.
#define OF_LAYERS(ENTRY)                                                                                               \
    ENTRY(TS_LAYER_Q, "W_Q", "attn.W_Q")                                                                               \
    ENTRY(TS_LAYER_K, "W_K", "attn.W_K")                                                                               \
    ENTRY(TS_LAYER_V, "W_V", "attn.W_V")                                                                               \
    ENTRY(TS_LAYER_O, "W_O", "attn.W_O")                                                                               \
    ENTRY(TS_LAYER_IN, "W_in", "mlp.W_in")                                                                             \
    ENTRY(TS_LAYER_OUT, "W_out", "mlp.W_out")                                                                          \
    ENTRY(TS_LAYER_B_IN, "b_in", "mlp.b_in")                                                                           \
    ENTRY(TS_LAYER_B_OUT, "b_out", "mlp.b_out")                                                                        \
    ENTRY(TS_LAYER_GAIN_1, "ln1_w", "ln1.w")                                                                           \
    ENTRY(TS_LAYER_SHIFT_1, "ln1_b", "ln1.b")                                                                          \
    ENTRY(TS_LAYER_GAIN_2, "ln2_w", "ln2.w")                                                                           \
    ENTRY(TS_LAYER_SHIFT_2, "ln2_b", "ln2.b")
#define NAMES_OF(which, name, published) [which] = {name, name "_0", name "_1", name "_2", name "_3"},
#define PUBLISHED_OF(which, name, published)                                                                           \
    {name, "blocks.0." published}, {name "_0", "blocks.0." published}, {name "_1", "blocks.1." published},             \
        {name "_2", "blocks.2." published}, {name "_3", "blocks.3." published},

static const char *const NAMES[TS_LAYER_TENSORS][1 + TS_MOST_LAYERS] = {OF_LAYERS(NAMES_OF)};

static const ts_published_name PUBLISHED[] = {
    {"W_E", "embed.W_E"},         {"W_pos", "pos_embed.W_pos"}, {"W_U", "unembed.W_U"},
    {"ln_final_w", "ln_final.w"}, {"ln_final_b", "ln_final.b"}, OF_LAYERS(PUBLISHED_OF){0},
};

enum { DRAWN = TS_LAYER_OUT + 1, BIASES = 2, NORMS = 4 }; // tensors of a layer

int ts_transformer_unembedding(const ts_transformer_shape *s) {
    return TS_W_Q + s->layers * DRAWN;
}

// Those that are drawn come first, so that the rest changes no draw.
int ts_transformer_tensor(const ts_transformer_shape *s, ts_layer_tensor which, int layer) {
    int rest = ts_transformer_unembedding(s) + 1, norms = rest + (s->bias ? s->layers * BIASES : 0);
    if (which < TS_LAYER_B_IN)
        return TS_W_Q + layer * DRAWN + (int)which;
    if (which < TS_LAYER_GAIN_1)
        return rest + layer * BIASES + (int)which - TS_LAYER_B_IN;
    return norms + (s->norm ? layer * NORMS : 0) + (int)which - TS_LAYER_GAIN_1;
}

int ts_transformer_last_norm(const ts_transformer_shape *s) {
    return ts_transformer_tensor(s, TS_LAYER_GAIN_1, s->layers);
}

static ts_tensor tensor_of_layer(const ts_transformer_shape *s, ts_layer_tensor which) {
    switch (which) {
    case TS_LAYER_Q:
    case TS_LAYER_K:
    case TS_LAYER_V:
        return (ts_tensor){NULL, 3, {s->heads, s->model, s->head}, {"head", "model", "head_width"}, .fan_in = s->model};
    case TS_LAYER_O:
        return (ts_tensor){
            NULL, 3, {s->heads, s->head, s->model}, {"head", "head_width", "model"}, .fan_in = s->heads * s->head};
    case TS_LAYER_IN:
        return (ts_tensor){NULL, 2, {s->model, s->neurons}, {"model", "neuron"}, .fan_in = s->model};
    case TS_LAYER_OUT:
        return (ts_tensor){NULL, 2, {s->neurons, s->model}, {"neuron", "model"}, .fan_in = s->neurons};
    case TS_LAYER_B_IN:
        return (ts_tensor){NULL, 1, {s->neurons}, {"neuron"}, .kind = TS_BIAS};
    case TS_LAYER_GAIN_1:
    case TS_LAYER_GAIN_2:
        return (ts_tensor){NULL, 1, {s->model}, {"model"}, .kind = TS_GAIN};
    default:
        return (ts_tensor){NULL, 1, {s->model}, {"model"}, .kind = TS_BIAS};
    }
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    int inputs = (s.separate ? 2 * s.n : s.n) + s.positions - 2;
    int unembedding = ts_transformer_unembedding(&s), norm = ts_transformer_last_norm(&s);
    *out = (ts_parameter_layout){.count = s.norm ? norm + 2 : norm};
    out->tensor[TS_W_E] = (ts_tensor){"W_E", 2, {inputs, s.model}, {"input", "model"}, .fan_in = s.model};
    out->tensor[TS_W_POS] = (ts_tensor){"W_pos", 2, {s.positions, s.model}, {"position", "model"}, .fan_in = s.model};
    out->tensor[unembedding] = (ts_tensor){"W_U", 2, {s.model, s.n_out}, {"model", "output"}, .fan_in = s.model};
    int end = s.norm ? TS_LAYER_TENSORS : TS_LAYER_GAIN_1;
    for (int l = 0; l < s.layers; l++)
        for (int which = 0; which < end; which++) {
            if (!s.bias && (which == TS_LAYER_B_IN || which == TS_LAYER_B_OUT))
                continue;
            ts_tensor *tensor = &out->tensor[ts_transformer_tensor(&s, (ts_layer_tensor)which, l)];
            *tensor = tensor_of_layer(&s, (ts_layer_tensor)which);
            tensor->name = NAMES[which][s.layers > 1 ? 1 + l : 0];
        }
    if (s.norm) {
        out->tensor[norm] = (ts_tensor){"ln_final_w", 1, {s.model}, {"model"}, .kind = TS_GAIN};
        out->tensor[norm + 1] = (ts_tensor){"ln_final_b", 1, {s.model}, {"model"}, .kind = TS_BIAS};
    }
    ts_layout_place(out);
}

enum { MOST_HEADS = 32 }; // of several layers together: how the network is best computed is looked for in seconds

static const char *check(const ts_params *params, char *message, size_t bytes) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    if (s.n_out < s.classes) {
        snprintf(message, bytes, "%d are fewer than the table's %d classes; leave it out, or give at least as many",
                 s.n_out, s.classes);
        return "outputs";
    }
    if (s.layers > 1 && s.layers * s.heads > MOST_HEADS) {
        snprintf(message, bytes,
                 "%d in each of %d layers are more than the %d that networks of several layers can have", s.heads,
                 s.layers, MOST_HEADS);
        return "heads";
    }
    ts_parameter_layout tensors;
    layout(params, &tensors);
    const char *small = ts_network_check(&tensors, message, bytes);
    if (!small)
        return NULL;
    if (strncmp(small, "W_in", 4) == 0 || strncmp(small, "W_out", 5) == 0)
        return "d_mlp";
    return strchr("QKVO", small[2]) ? "d_head" : "d_model";
}

static void initialise(const ts_params *params, float *parameters) {
    ts_parameter_layout tensors;
    float deviation[TS_MAX_TENSORS];
    layout(params, &tensors);
    for (int i = 0; i < tensors.count; i++)
        deviation[i] = (float)(0.8 / sqrt((double)ts_params_integer(params, "d_model")));
    ts_network_initialise(params, &tensors, deviation, parameters);
}

static int64_t width(const ts_params *params, const char *name) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    return strcmp(name, "neuron") == 0   ? s.neurons
           : strcmp(name, "head") == 0   ? s.heads
           : strcmp(name, "source") == 0 ? s.positions
           : strcmp(name, "output") == 0 ? s.n_out
                                         : 0;
}

// --- Operations ---

bool ts_transformer_direct(const ts_transformer_shape *s, double pairs) {
    double mixed = 2.0 * s->heads, made = (double)s->heads * s->head; // per number of head_out
    double both =
        (double)s->neurons * s->model * s->n_out + (pairs * (mixed + s->neurons) + made * (s->n + s->model)) * s->n_out;
    double one_by_one = pairs * (mixed + s->neurons + s->n_out) * s->model + made * s->n * s->model;
    return both < one_by_one;
}

// Of the published network; of others what the definition comes to.
static bool is_published(const ts_transformer_shape *s) {
    return s->layers == 1 && s->positions == 3 && s->rate == 1 && !s->bias && !s->norm && !s->separate &&
           s->n_out == s->classes;
}

// Each product forwards has two of its size backwards. Per pair: rows of 2 heads mixed, the hidden layer read
// out; per step: head_out, W_out W_U.
static double step_operations(const ts_params *params, const ts_data *data) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    double all = data ? (double)data->table->pairs : (double)s.n * s.n; // all of them, without data
    double pairs = ts_params_real(params, "train_fraction") * all, rows = s.n + 3;
    double inner = (double)s.heads * s.head, read = s.neurons;
    if (!is_published(&s))
        return 0;
    bool direct = ts_transformer_direct(&s, pairs);
    double width = s.neurons + (direct ? s.n_out : s.model);
    double head_out = rows * s.model * inner + inner * s.model * width + rows * inner * width;
    double each = 2 * s.heads * width + read * (width - s.neurons) + (direct ? 0 : (double)s.model * s.n_out);
    double both = direct ? (double)s.neurons * s.model * s.n_out : 0;
    return 6 * (head_out + both + pairs * each);
}

// While it is measured: head_out, hidden layer and logits of a row of pairs, and which pairs are trained on.
static double unit_bytes(const ts_params *params, const ts_data *data) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    double widest = s.neurons + (s.n_out > s.model ? s.n_out : s.model);
    (void)data;
    if (!is_published(&s))
        return 0;
    double trained = 16.0 * s.n * s.heads * widest; // head_out and its gradient, float32
    double measured = 8.0 * (s.n * (s.heads + 2.0) + (double)s.heads * s.head + s.model) * widest;
    return 12.0 * s.n * s.n + (trained > measured ? trained : measured);
}

const ts_model ts_model_transformer = {
    .name = "transformer",
    .help = "attention over a, b and \"=\", and a hidden layer, read at the last token",
    .learns = TS_KIND_TABLE,
    .keys = KEYS,
    .optimiser = &ts_optimiser_adamw,
    .published = PUBLISHED,
    .check = check,
    .layout = layout,
    .initialise = initialise,
    .define = ts_transformer_define,
    .width = width,
    .step_operations = step_operations,
    .unit_bytes = unit_bytes,
    .headline = "test_loss",
    .otherwise = "train_loss",
};
