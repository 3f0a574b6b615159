// The model `transformer`: keys, layout, initial weights, forward pass.
#include "model/transformer.h"

#include "base/memory.h"
#include "base/product.h"
#include "model/model.h"
#include "model/network.h"
#include "model/optimiser.h"
#include "network/graph.h"

#include <math.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"d_model", TS_INTEGER, "128", 1, 4096, NULL, true, "Width of the residual stream"},
    {"heads", TS_INTEGER, "4", 1, 256, NULL, true, "Attention heads"},
    {"d_head", TS_INTEGER, "32", 1, 4096, NULL, true, "Width of a head"},
    {"d_mlp", TS_INTEGER, "512", 1, 16384, NULL, true, "Hidden width, neurons"},
    TS_NETWORK_KEYS,
    {0},
};

ts_transformer_shape ts_transformer_shape_of(const ts_params *params) {
    int n = ts_network_order(params);
    return (ts_transformer_shape){
        .n = n,
        .n_out = n,
        .model = (int)ts_params_integer(params, "d_model"),
        .heads = (int)ts_params_integer(params, "heads"),
        .head = (int)ts_params_integer(params, "d_head"),
        .neurons = (int)ts_params_integer(params, "d_mlp"),
    };
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    *out = (ts_parameter_layout){
        .count = TS_TRANSFORMER_TENSORS,
        .tensor =
            {
                [TS_W_E] = {"W_E", 2, {s.n + 1, s.model}, {"input", "model"}, 0},
                [TS_W_POS] = {"W_pos", 2, {3, s.model}, {"position", "model"}, 0},
                [TS_W_Q] = {"W_Q", 3, {s.heads, s.model, s.head}, {"head", "model", "head_width"}, 0},
                [TS_W_K] = {"W_K", 3, {s.heads, s.model, s.head}, {"head", "model", "head_width"}, 0},
                [TS_W_V] = {"W_V", 3, {s.heads, s.model, s.head}, {"head", "model", "head_width"}, 0},
                [TS_W_O] = {"W_O", 3, {s.heads, s.head, s.model}, {"head", "head_width", "model"}, 0},
                [TS_W_IN] = {"W_in", 2, {s.model, s.neurons}, {"model", "neuron"}, 0},
                [TS_W_OUT] = {"W_out", 2, {s.neurons, s.model}, {"neuron", "model"}, 0},
                [TS_W_U] = {"W_U", 2, {s.model, s.n_out}, {"model", "output"}, 0},
            },
    };
    for (int i = 0; i < out->count; i++) {
        int64_t numbers = 1;
        for (int d = 0; d < out->tensor[i].rank; d++)
            numbers *= out->tensor[i].size[d];
        out->tensor[i].offset = out->total;
        out->total += numbers;
    }
}

// As TransformerLens has them.
static const ts_published_name PUBLISHED[] = {
    {"W_E", "embed.W_E"},          {"W_pos", "pos_embed.W_pos"},
    {"W_Q", "blocks.0.attn.W_Q"},  {"W_K", "blocks.0.attn.W_K"},
    {"W_V", "blocks.0.attn.W_V"},  {"W_O", "blocks.0.attn.W_O"},
    {"W_in", "blocks.0.mlp.W_in"}, {"W_out", "blocks.0.mlp.W_out"},
    {"W_U", "unembed.W_U"},        {0},
};

static const char *check(const ts_params *params, char *message, size_t bytes) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    const char *small = ts_network_check(&tensors, message, bytes);
    if (!small)
        return NULL;
    if (strcmp(small, "W_in") == 0 || strcmp(small, "W_out") == 0)
        return "d_mlp";
    return strchr("QKVO", small[2]) && !small[3] ? "d_head" : "d_model";
}

static void initialise(const ts_params *params, float *parameters) {
    ts_parameter_layout tensors;
    float deviation[TS_TRANSFORMER_TENSORS];
    layout(params, &tensors);
    for (int i = 0; i < tensors.count; i++)
        deviation[i] = (float)(0.8 / sqrt((double)ts_params_integer(params, "d_model")));
    ts_network_initialise(params, &tensors, deviation, parameters);
}

// What attention adds to the stream of the last of three positions; x: their streams.
static int attend(ts_graph *g, const ts_transformer_shape *s, const int x[TS_SOURCES], int head) {
    int score[TS_SOURCES], value[TS_SOURCES], rows = s->model, first = head * rows;
    int q = ts_graph_product(g, x[TS_SOURCES - 1], ts_graph_parameter_rows(g, TS_W_Q, first, rows));
    for (int j = 0; j < TS_SOURCES; j++) {
        int k = ts_graph_product(g, x[j], ts_graph_parameter_rows(g, TS_W_K, first, rows));
        score[j] = ts_graph_score(g, 1 / sqrt((double)s->head), q, k);
        value[j] = ts_graph_product(g, x[j], ts_graph_parameter_rows(g, TS_W_V, first, rows));
    }
    int mixed = ts_graph_mix(g, ts_graph_attend(g, 1, TS_SOURCES, score), TS_SOURCES, value);
    return ts_graph_product(g, mixed, ts_graph_parameter_rows(g, TS_W_O, head * s->head, s->head));
}

static int define(const ts_params *params, ts_graph *g) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    int tokens = ts_graph_parameter(g, TS_W_E), x[TS_SOURCES];
    x[0] = ts_graph_lookup(g, TS_LEFT, tokens);
    x[1] = ts_graph_lookup(g, TS_RIGHT, tokens);
    x[2] = ts_graph_parameter_rows(g, TS_W_E, s.n, 1); // "="
    for (int j = 0; j < TS_SOURCES; j++)
        x[j] = ts_graph_sum(g, x[j], ts_graph_parameter_rows(g, TS_W_POS, j, 1));
    int stream = x[TS_SOURCES - 1];
    for (int h = 0; h < s.heads; h++)
        stream = ts_graph_sum(g, stream, attend(g, &s, x, h));
    int hidden = ts_graph_activation(g, TS_RELU, ts_graph_product(g, stream, ts_graph_parameter(g, TS_W_IN)));
    stream = ts_graph_sum(g, stream, ts_graph_product(g, hidden, ts_graph_parameter(g, TS_W_OUT)));
    return ts_graph_product(g, stream, ts_graph_parameter(g, TS_W_U));
}

static int64_t width(const ts_params *params, const char *name) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    return strcmp(name, "neuron") == 0 ? s.neurons : strcmp(name, "head") == 0 ? s.heads : 0;
}

// --- Operations ---

bool ts_transformer_direct(const ts_transformer_shape *s, double pairs) {
    double mixed = 2.0 * s->heads, made = (double)s->heads * s->head; // per number of head_out
    double both =
        (double)s->neurons * s->model * s->n_out + (pairs * (mixed + s->neurons) + made * (s->n + s->model)) * s->n_out;
    double one_by_one = pairs * (mixed + s->neurons + s->n_out) * s->model + made * s->n * s->model;
    return both < one_by_one;
}

// Each product forwards has two of its size backwards. Per pair: rows of 2 heads mixed, the hidden layer read
// out; per step: head_out, W_out W_U.
static double step_operations(const ts_params *params, const ts_data *data) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    double pairs = ts_params_real(params, "train_fraction") * s.n * s.n, rows = s.n + 3;
    double inner = (double)s.heads * s.head, read = s.neurons;
    (void)data;
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
    double trained = 16.0 * s.n * s.heads * widest; // head_out and its gradient, float32
    double measured = 8.0 * (s.n * (s.heads + 2.0) + (double)s.heads * s.head + s.model) * widest;
    return 12.0 * s.n * s.n + (trained > measured ? trained : measured);
}

// --- Measures ---

// The network in double precision, factored: since the last token is always the same, a token's attention
// scores and what each head reads from it depend on the token alone, and a pair mixes their rows.
typedef struct forward {
    ts_transformer_shape shape;
    bool direct;
    int width;           // of a head_out: the hidden layer, and then logits or the residual stream
    const double *w_in;  // (d, m)
    const double *w_out; // (m, d)
    const double *w_u;   // (d, n_out)
    double *weights;     // all tensors, as in layout
    double *x;           // (n + 3, d): embeddings; positions 0 and 1 less the last token; the last token
    double *score;       // (n + 3, heads): x u, u being what the last token's query looks for
    double *query;       // (k): scratch, of one head
    double *key_query;   // (d, heads): u
    double *value;       // (n + 3, heads, k): x W_V
    double *read;        // (d, width): W_in, and then W_U or the identity
    double *out;         // (heads, k, width): W_O read
    double *head_out;    // (n + 3, heads, width): value out
    double *constant;    // (width): what every pair has
    double *u;           // (m, n_out): W_out W_U
    double *stream;      // (n, d): scratch, of a row of pairs
    double *attention;   // (heads, 3)
    ts_slab slab;
} forward;

static ts_status forward_create(const ts_params *params, const float *parameters, forward *m) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    ts_transformer_shape s = ts_transformer_shape_of(params);
    *m = (forward){.shape = s, .direct = ts_transformer_direct(&s, (double)s.n * s.n)};
    m->width = s.neurons + (m->direct ? s.n_out : s.model);
    size_t rows = (size_t)s.n + 3, d = (size_t)s.model, inner = (size_t)s.heads * (size_t)s.head;
    size_t width = (size_t)m->width;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a transformer's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        m->weights = ts_slab_take(&m->slab, (size_t)tensors.total, sizeof(double));
        m->x = ts_slab_take(&m->slab, rows * d, sizeof(double));
        m->score = ts_slab_take(&m->slab, rows * (size_t)s.heads, sizeof(double));
        m->query = ts_slab_take(&m->slab, (size_t)s.head, sizeof(double));
        m->key_query = ts_slab_take(&m->slab, d * (size_t)s.heads, sizeof(double));
        m->value = ts_slab_take(&m->slab, rows * inner, sizeof(double));
        m->read = ts_slab_take(&m->slab, d * width, sizeof(double));
        m->out = ts_slab_take(&m->slab, inner * width, sizeof(double));
        m->head_out = ts_slab_take(&m->slab, rows * (size_t)s.heads * width, sizeof(double));
        m->constant = ts_slab_take(&m->slab, width, sizeof(double));
        m->u = ts_slab_take(&m->slab, (size_t)s.neurons * (size_t)s.n_out, sizeof(double));
        m->stream = ts_slab_take(&m->slab, (size_t)s.n * d, sizeof(double));
        m->attention = ts_slab_take(&m->slab, (size_t)s.heads * 3, sizeof(double));
    }
    for (int64_t i = 0; i < tensors.total; i++)
        m->weights[i] = parameters[i];
    m->w_in = m->weights + tensors.tensor[TS_W_IN].offset;
    m->w_out = m->weights + tensors.tensor[TS_W_OUT].offset;
    m->w_u = m->weights + tensors.tensor[TS_W_U].offset;
    return TS_OK;
}

static void make_inputs(forward *m, const double *w_e, const double *w_pos) {
    int n = m->shape.n, d = m->shape.model;
    double *last = m->x + (size_t)(n + 2) * (size_t)d;
    memcpy(m->x, w_e, (size_t)n * (size_t)d * sizeof(double));
    for (int i = 0; i < d; i++) {
        last[i] = w_e[(size_t)n * (size_t)d + (size_t)i] + w_pos[2 * d + i];
        for (int j = 0; j < 2; j++)
            m->x[(size_t)(n + j) * (size_t)d + (size_t)i] = w_pos[j * d + i] - last[i];
    }
}

// score = x u with u = W_K q / sqrt(k), q = x_2 W_Q.
static void make_scores(forward *m, const double *w_q, const double *w_k) {
    ts_transformer_shape s = m->shape;
    size_t d = (size_t)s.model, k = (size_t)s.head;
    const double *last = m->x + ((size_t)s.n + 2) * d;
    double scale = 1 / sqrt((double)s.head);
    for (int h = 0; h < s.heads; h++) {
        ts_product(1, s.head, s.model, last, s.model, w_q + (size_t)h * d * k, s.head, m->query, s.head);
        for (size_t i = 0; i < d; i++) {
            double *key_query = &m->key_query[i * (size_t)s.heads + (size_t)h];
            *key_query = 0;
            for (size_t j = 0; j < k; j++)
                *key_query += scale * m->query[j] * w_k[((size_t)h * d + i) * k + j];
        }
    }
    ts_product(s.n + 3, s.heads, s.model, m->x, s.model, m->key_query, s.heads, m->score, s.heads);
}

static void make_head_outputs(forward *m, const double *w_v, const double *w_o) {
    ts_transformer_shape s = m->shape;
    int rows = s.n + 3, inner = s.heads * s.head, width = m->width;
    for (int i = 0; i < s.model; i++) {
        double *read = m->read + (size_t)i * (size_t)width;
        memcpy(read, m->w_in + (size_t)i * (size_t)s.neurons, (size_t)s.neurons * sizeof *read);
        for (int j = s.neurons; j < width; j++)
            read[j] = m->direct ? m->w_u[i * s.n_out + j - s.neurons] : j - s.neurons == i;
    }
    ts_product(inner, width, s.model, w_o, s.model, m->read, width, m->out, width);
    for (int h = 0; h < s.heads; h++) {
        ts_product(rows, s.head, s.model, m->x, s.model, w_v + (size_t)h * (size_t)(s.model * s.head), s.head,
                   m->value + h * s.head, inner);
        ts_product(rows, width, s.head, m->value + h * s.head, inner,
                   m->out + (size_t)h * (size_t)s.head * (size_t)width, width, m->head_out + (size_t)h * (size_t)width,
                   s.heads * width);
    }
    // What the last token reads of itself, as if it attended to nothing else.
    const double *itself = m->head_out + (size_t)(s.n + 2) * (size_t)s.heads * (size_t)width;
    ts_product(1, width, s.model, m->x + (size_t)(s.n + 2) * (size_t)s.model, s.model, m->read, width, m->constant,
               width);
    for (int h = 0; h < s.heads; h++)
        for (int j = 0; j < width; j++)
            m->constant[j] += itself[(size_t)h * (size_t)width + (size_t)j];
}

// Attention of head h to a and b; the rest is to the last token itself.
static void attention_of(const forward *m, int a, int b, int h, double weight[2]) {
    ts_transformer_shape s = m->shape;
    double to_a = m->score[a * s.heads + h] + m->score[s.n * s.heads + h];
    double to_b = m->score[b * s.heads + h] + m->score[(s.n + 1) * s.heads + h];
    double largest = fmax(0, fmax(to_a, to_b));
    double e_a = exp(to_a - largest), e_b = exp(to_b - largest), sum = e_a + e_b + exp(-largest);
    weight[0] = e_a / sum;
    weight[1] = e_b / sum;
}

static void average_attention(forward *m) {
    ts_transformer_shape s = m->shape;
    double pairs = (double)s.n * s.n, weight[2];
    for (int h = 0; h < s.heads; h++) {
        double sum[2] = {0};
        for (int a = 0; a < s.n; a++)
            for (int b = 0; b < s.n; b++) {
                attention_of(m, a, b, h, weight);
                sum[0] += weight[0];
                sum[1] += weight[1];
            }
        m->attention[3 * h] = sum[0] / pairs;
        m->attention[3 * h + 1] = sum[1] / pairs;
        m->attention[3 * h + 2] = 1 - (sum[0] + sum[1]) / pairs;
    }
}

// out (n, columns) += what columns `first` on of head_out give the pairs (a, 0 .. n - 1).
static void mix_row(const forward *m, int a, int first, int columns, double *out) {
    ts_transformer_shape s = m->shape;
    size_t width = (size_t)m->width, row = (size_t)s.heads * width;
    const double *rows = m->head_out + first, *position = rows + (size_t)s.n * row;
    for (int b = 0; b < s.n; b++) {
        double *z = out + (size_t)b * (size_t)columns;
        for (int j = 0; j < columns; j++)
            z[j] += m->constant[first + j];
        for (int h = 0; h < s.heads; h++) {
            const double *left = rows + (size_t)a * row + (size_t)h * width;
            const double *right = rows + (size_t)b * row + (size_t)h * width;
            const double *at = position + (size_t)h * width;
            double weight[2];
            attention_of(m, a, b, h, weight);
            for (int j = 0; j < columns; j++)
                z[j] += weight[0] * (left[j] + at[j]) + weight[1] * (right[j] + at[row + (size_t)j]);
        }
    }
}

// Hidden layer and logits of the pairs (a, 0 .. n - 1).
static void row(const void *weights, int a, double *hidden, double *logits, double *hidden_logits) {
    const forward *m = weights;
    ts_transformer_shape s = m->shape;
    size_t count = (size_t)s.n * (size_t)s.neurons;
    memset(hidden, 0, count * sizeof *hidden);
    mix_row(m, a, 0, s.neurons, hidden);
    for (size_t i = 0; i < count; i++)
        hidden[i] = hidden[i] <= 0 ? 0 : hidden[i];
    if (m->direct) {
        ts_product(s.n, s.n_out, s.neurons, hidden, s.neurons, m->u, s.n_out, logits, s.n_out);
        if (hidden_logits)
            memcpy(hidden_logits, logits, (size_t)s.n * (size_t)s.n_out * sizeof *logits);
        mix_row(m, a, s.neurons, s.n_out, logits);
        return;
    }
    ts_product(s.n, s.model, s.neurons, hidden, s.neurons, m->w_out, s.model, m->stream, s.model);
    if (hidden_logits)
        ts_product(s.n, s.n_out, s.model, m->stream, s.model, m->w_u, s.n_out, hidden_logits, s.n_out);
    mix_row(m, a, s.neurons, s.model, m->stream);
    ts_product(s.n, s.n_out, s.model, m->stream, s.model, m->w_u, s.n_out, logits, s.n_out);
}

static void free_weights(void *context) {
    ts_slab_free(&((forward *)context)->slab);
    ts_free(context);
}

static ts_status open(const ts_params *params, const float *parameters, ts_network *network) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    forward *m = ts_alloc_zero(1, sizeof *m, "a transformer's measures");
    *network = (ts_network){.weights = m, .free = free_weights, .row = row, .residual = true};
    ts_status status = m ? forward_create(params, parameters, m) : TS_ERROR_MEMORY;
    if (status != TS_OK)
        return status;
    ts_transformer_shape s = m->shape;
    const double *w_e = m->weights + tensors.tensor[TS_W_E].offset;
    make_inputs(m, w_e, m->weights + tensors.tensor[TS_W_POS].offset);
    make_scores(m, m->weights + tensors.tensor[TS_W_Q].offset, m->weights + tensors.tensor[TS_W_K].offset);
    make_head_outputs(m, m->weights + tensors.tensor[TS_W_V].offset, m->weights + tensors.tensor[TS_W_O].offset);
    average_attention(m);
    ts_product(s.neurons, s.n_out, s.model, m->w_out, s.model, m->w_u, s.n_out, m->u, s.n_out);
    network->all = m->weights;
    network->parameters = tensors.total;
    network->hidden = s.neurons;
    network->embed = s.model;
    network->e_x = network->e_y = w_e;
    network->u = m->u;
    network->heads = s.heads;
    network->attention = m->attention;
    return TS_OK;
}

const ts_model ts_model_transformer = {
    .name = "transformer",
    .help = "one layer of attention over a, b and \"=\", and one hidden layer, read at the last token",
    .learns = TS_KIND_TABLE,
    .keys = KEYS,
    .optimiser = &ts_optimiser_adamw,
    .published = PUBLISHED,
    .check = check,
    .layout = layout,
    .initialise = initialise,
    .define = define,
    .width = width,
    .step_operations = step_operations,
    .unit_bytes = unit_bytes,
    .headline = "test_loss",
    .open = open,
};
