#include "model/mlp.h"

#include "base/memory.h"
#include "base/product.h"
#include "base/torch_random.h"
#include "model/group_measures.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "task/data.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"embed", TS_INTEGER, "256", 1, 4096, NULL, true, "Width of each of the two embeddings"},
    {"hidden", TS_INTEGER, "128", 1, 4096, NULL, true, "Hidden width"},
    {"lr", TS_REAL, "1e-3", 0, 1e30, NULL, false, "Learning rate of AdamW"},
    {"beta1", TS_REAL, "0.9", 0, 0.999999, NULL, false, "AdamW's decay of the gradient's mean"},
    {"beta2", TS_REAL, "0.98", 0, 0.9999999, NULL, false, "AdamW's decay of the squared gradient's mean"},
    {"weight_decay", TS_REAL, "1", 0, 1e6, NULL, false, "Decoupled weight decay, of all weights"},
    {"schedule", TS_NAME, "constant", 0, 0, ts_schedule_names, false,
     "Learning rate over time: constant, linear (1 - t/T) or cosine (cos(pi/2 t/(T-1)))"},
    {"init_seed", TS_INTEGER, "-1", -1, 0x1p53, NULL, false,
     "Seed of the initial weights; -1: the instance's seed"},
    {0},
};

enum {
    TRAIN_LOSS,
    TEST_LOSS,
    TRAIN_ACCURACY,
    TEST_ACCURACY,
    ALL_LOSS,
    WEIGHT_NORM2,
    LOGITS_EXPLAINED, // from here on: groups only
    TOTAL_EXCLUDED_LOSS,
    TOTAL_RESTRICTED_LOSS,
    TOTAL_LOGIT_EXCLUDED_LOSS,
    TOTAL_LOGIT_RESTRICTED_LOSS,
    EMBED_LEFT_EXPLAINED,
    EMBED_RIGHT_EXPLAINED,
    UNEMBED_EXPLAINED,
    HIDDEN_EXPLAINED,
    HIDDEN_PRODUCT_EXPLAINED,
    SCALARS,
    PER_IRREP = SCALARS, // TS_IRREP_MEASURES of them
};

#define PER_IRREP_MEASURE(name, loss, help)                                                                  \
    { name, "irrep", true, false, loss, help, (loss) ? "nat" : NULL }

static const ts_measure MEASURES[] = {
    [TRAIN_LOSS] = {"train_loss", NULL, true, true, true, "mean cross-entropy on the training pairs", "nat"},
    [TEST_LOSS] = {"test_loss", NULL, true, true, true, "mean cross-entropy on the other pairs", "nat"},
    [TRAIN_ACCURACY] = {"train_accuracy", NULL, true, true, false, "share of training pairs that are right",
                        NULL},
    [TEST_ACCURACY] = {"test_accuracy", NULL, true, true, false, "share of the other pairs that are right",
                       NULL},
    [ALL_LOSS] = {"all_loss", NULL, true, true, true, "mean cross-entropy on all pairs", "nat"},
    [WEIGHT_NORM2] = {"weight_norm2", NULL, true, true, false, "sum of squares of all weights", NULL},
    [LOGITS_EXPLAINED] = {"logits_explained", NULL, true, true, false,
                          "sum of squared logit similarities over all irreps but the trivial one", NULL},
    [TOTAL_EXCLUDED_LOSS] = {"total_excluded_loss", NULL, true, true, true,
                             "training loss without the key irreps' functions of a b in the hidden layer",
                             "nat"},
    [TOTAL_RESTRICTED_LOSS] = {"total_restricted_loss", NULL, true, true, true,
                               "loss with only the key irreps' functions of a b in the hidden layer", "nat"},
    [TOTAL_LOGIT_EXCLUDED_LOSS] = {"total_logit_excluded_loss", NULL, true, true, true,
                                   "training loss without the logits' components along the key irreps",
                                   "nat"},
    [TOTAL_LOGIT_RESTRICTED_LOSS] = {"total_logit_restricted_loss", NULL, true, true, true,
                                     "loss with only the logits' components along the key irreps", "nat"},
    [EMBED_LEFT_EXPLAINED] = {"embed_left_explained", NULL, true, true, false,
                              "embed_left_fraction summed over the key irreps", NULL},
    [EMBED_RIGHT_EXPLAINED] = {"embed_right_explained", NULL, true, true, false,
                               "embed_right_fraction summed over the key irreps", NULL},
    [UNEMBED_EXPLAINED] = {"unembed_explained", NULL, true, true, false,
                           "unembed_fraction summed over the key irreps", NULL},
    [HIDDEN_EXPLAINED] = {"hidden_explained", NULL, true, true, false,
                          "all three hidden fractions summed over the key irreps", NULL},
    [HIDDEN_PRODUCT_EXPLAINED] = {"hidden_product_explained", NULL, true, true, false,
                                  "hidden_product_fraction summed over the key irreps", NULL},
    [PER_IRREP + TS_EMBED_LEFT_FRACTION] =
        PER_IRREP_MEASURE("embed_left_fraction", false, "|P_r E_x|^2 / |E_x|^2"),
    [PER_IRREP + TS_EMBED_RIGHT_FRACTION] =
        PER_IRREP_MEASURE("embed_right_fraction", false, "|P_r E_y|^2 / |E_y|^2"),
    [PER_IRREP + TS_UNEMBED_FRACTION] = PER_IRREP_MEASURE("unembed_fraction", false, "|P_r U^T|^2 / |U|^2"),
    [PER_IRREP + TS_HIDDEN_LEFT_FRACTION] =
        PER_IRREP_MEASURE("hidden_left_fraction", false, "share of |H0|^2 in functions of a in the irrep"),
    [PER_IRREP + TS_HIDDEN_RIGHT_FRACTION] =
        PER_IRREP_MEASURE("hidden_right_fraction", false, "share of |H0|^2 in functions of b in the irrep"),
    [PER_IRREP + TS_HIDDEN_PRODUCT_FRACTION] = PER_IRREP_MEASURE(
        "hidden_product_fraction", false, "share of |H0|^2 in functions of a b in the irrep"),
    [PER_IRREP + TS_LOGIT_SIMILARITY] =
        PER_IRREP_MEASURE("logit_similarity", false, "cosine between centred logits and chi_r(a b c^-1)"),
    [PER_IRREP + TS_EXCLUDED_LOSS] =
        PER_IRREP_MEASURE("excluded_loss", true, "training loss without the irrep's functions of a b in H"),
    [PER_IRREP + TS_RESTRICTED_LOSS] =
        PER_IRREP_MEASURE("restricted_loss", true, "loss with only the irrep's functions of a b in H"),
    [PER_IRREP + TS_LOGIT_EXCLUDED_LOSS] = PER_IRREP_MEASURE(
        "logit_excluded_loss", true, "training loss without the logits' component along chi_r"),
    [PER_IRREP + TS_LOGIT_RESTRICTED_LOSS] =
        PER_IRREP_MEASURE("logit_restricted_loss", true, "loss with only the logits' component along chi_r"),
    [PER_IRREP + TS_ABLATION_LEFT_LOSS] = PER_IRREP_MEASURE(
        "ablation_left_loss", true, "loss after removing the irrep's functions of a from H"),
    [PER_IRREP + TS_ABLATION_RIGHT_LOSS] = PER_IRREP_MEASURE(
        "ablation_right_loss", true, "loss after removing the irrep's functions of b from H"),
    [PER_IRREP + TS_ABLATION_PRODUCT_LOSS] = PER_IRREP_MEASURE(
        "ablation_product_loss", true, "loss after removing the irrep's functions of a b from H"),
    {0},
};

static int64_t order_of(const ts_params *params) {
    double order = 0;
    params->schema->task->derive(params, "order", &order);
    return (int64_t)order;
}

ts_mlp_shape ts_mlp_shape_of(const ts_params *params) {
    int n = (int)order_of(params);
    return (ts_mlp_shape){
        .n = n,
        .n_out = n,
        .embed = (int)ts_params_integer(params, "embed"),
        .hidden = (int)ts_params_integer(params, "hidden"),
    };
}

static int64_t own_seed(const ts_params *params, const char *name) {
    int64_t seed = ts_params_integer(params, name);
    return seed < 0 ? ts_params_integer(params, "seed") : seed;
}

static int ascending(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

void ts_mlp_pairs(const ts_params *params, const ts_table *table, int *pairs, int64_t *train) {
    ts_table_split(table, (uint64_t)own_seed(params, "split_seed"), ts_params_real(params, "train_fraction"),
                   pairs, train);
    // Sums then run over pairs in the order of the table, where neighbours share their left embedding.
    qsort(pairs, (size_t)*train, sizeof *pairs, ascending);
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    int64_t tokens = (int64_t)s.n * s.embed, weights = 2 * (int64_t)s.embed * s.hidden;
    *out = (ts_parameter_layout){
        .count = 4,
        .tensor = {{.name = "W_x", .rank = 2, .size = {s.n, s.embed}, .dimension = {"token", "embed"}},
                   {.name = "W_y",
                    .rank = 2,
                    .size = {s.n, s.embed},
                    .dimension = {"token", "embed"},
                    .offset = tokens},
                   {.name = "W",
                    .rank = 2,
                    .size = {2 * s.embed, s.hidden},
                    .dimension = {"both_embed", "hidden"},
                    .offset = 2 * tokens},
                   {.name = "W_U",
                    .rank = 2,
                    .size = {s.hidden, s.n_out},
                    .dimension = {"hidden", "output"},
                    .offset = 2 * tokens + weights}},
        .total = 2 * tokens + weights + (int64_t)s.hidden * s.n_out,
    };
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    for (int i = 0; i < tensors.count; i++) {
        const ts_tensor *tensor = &tensors.tensor[i];
        if (tensor->size[0] * tensor->size[1] < 16) {
            snprintf(message, bytes, "%s would have %lld numbers; PyTorch's streams need at least 16",
                     tensor->name, (long long)(tensor->size[0] * tensor->size[1]));
            return i < 2 ? "embed" : "hidden";
        }
    }
    return NULL;
}

static bool derive(const ts_params *params, const char *name, double *value) {
    if (strcmp(name, "parameters") != 0)
        return false;
    ts_parameter_layout parameters;
    layout(params, &parameters);
    *value = (double)parameters.total;
    return true;
}

static void initialise(const ts_params *params, float *parameters) {
    ts_parameter_layout tensors;
    ts_torch_random random;
    layout(params, &tensors);
    ts_torch_seed(&random, (uint64_t)own_seed(params, "init_seed"));
    for (int i = 0; i < tensors.count; i++) {
        const ts_tensor *tensor = &tensors.tensor[i];
        // Scaled by the square root of what feeds a unit: the embedding's own width, else the rows.
        double fan = (double)(i < 2 ? tensor->size[1] : tensor->size[0]);
        ts_torch_normal(&random, tensor->size[0] * tensor->size[1], (float)(1 / sqrt(fan)),
                        parameters + tensor->offset);
    }
}

static int64_t dimension(const ts_params *params, const ts_data *data, const char *name) {
    ts_parameter_layout tensors;
    if (strcmp(name, "irrep") == 0)
        return data->irreps ? data->irreps->count : 0;
    layout(params, &tensors);
    for (int i = 0; i < tensors.count; i++)
        for (int d = 0; d < tensors.tensor[i].rank; d++)
            if (strcmp(tensors.tensor[i].dimension[d], name) == 0)
                return tensors.tensor[i].size[d];
    return 0;
}

static const char *label(const ts_data *data, const char *name, int64_t index) {
    return strcmp(name, "irrep") == 0 && data->irreps ? data->irreps->irrep[index].name : NULL;
}

// Three products of pairs x hidden x n_out, and six of n x embed x hidden.
static double step_operations(const ts_params *params, const ts_data *data) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    double pairs = ts_params_real(params, "train_fraction") * s.n * s.n;
    (void)data;
    return 6.0 * pairs * s.hidden * s.n_out + 12.0 * s.n * s.embed * s.hidden;
}

// Hidden layer, logits and pairs while it is measured, and tables of tokens.
static double unit_bytes(const ts_params *params, const ts_data *data) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    (void)data;
    return (double)s.n * (8.0 * (3 * s.hidden + s.n_out) + 12.0 * s.n) + 16.0 * s.n * s.hidden;
}

// --- Measures ---

static const double KEPT_BYTES = 128e6;

typedef struct measured {
    ts_mlp_shape shape;
    double *weights;      // all tensors, as in layout
    double *left, *right; // (n, hidden)
    int kept;             // rows of pairs kept: all n, or the one at hand
    int *row_of;          // (kept) which a it holds; -1: none yet
    double *h;            // (kept, n, hidden)
    double *logits;       // (kept, n, n_out)
    int *pairs;           // (n * n)
    uint8_t *is_train;    // (n * n)
    int64_t train;
    ts_slab slab;
} measured;

static ts_status measured_create(const ts_params *params, const ts_table *table, const float *parameters,
                                 measured *m) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    ts_mlp_shape s = ts_mlp_shape_of(params);
    size_t n = (size_t)s.n, hidden = (size_t)s.hidden;
    // Measures of groups go over the pairs several times.
    size_t kept = (double)(n * n * (hidden + (size_t)s.n_out)) * sizeof(double) <= KEPT_BYTES ? n : 1;
    *m = (measured){.shape = s, .kept = (int)kept};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "an mlp's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        m->weights = ts_slab_take(&m->slab, (size_t)tensors.total, sizeof(double));
        m->left = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->right = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->row_of = ts_slab_take(&m->slab, kept, sizeof(int));
        m->h = ts_slab_take(&m->slab, kept * n * hidden, sizeof(double));
        m->logits = ts_slab_take(&m->slab, kept * n * (size_t)s.n_out, sizeof(double));
        m->pairs = ts_slab_take(&m->slab, n * n, sizeof(int));
        m->is_train = ts_slab_take(&m->slab, n * n, 1);
    }
    for (int64_t i = 0; i < tensors.total; i++)
        m->weights[i] = parameters[i];
    for (size_t i = 0; i < kept; i++)
        m->row_of[i] = -1;
    ts_mlp_pairs(params, table, m->pairs, &m->train);
    memset(m->is_train, 0, n * n);
    for (int64_t i = 0; i < m->train; i++)
        m->is_train[m->pairs[i]] = 1;
    const double *w = m->weights + tensors.tensor[2].offset;
    ts_product(s.n, s.hidden, s.embed, m->weights, s.embed, w, s.hidden, m->left, s.hidden);
    ts_product(s.n, s.hidden, s.embed, m->weights + tensors.tensor[1].offset, s.embed,
               w + (size_t)s.embed * hidden, s.hidden, m->right, s.hidden);
    return TS_OK;
}

// Hidden layer and logits of the pairs (a, 0 .. n - 1).
static void row_logits(const measured *m, int a, double *h_rows, double *logits) {
    ts_mlp_shape s = m->shape;
    const double *left = m->left + (size_t)a * (size_t)s.hidden;
    const double *w_u =
        m->weights + 2 * (size_t)s.n * (size_t)s.embed + 2 * (size_t)s.embed * (size_t)s.hidden;
    for (int b = 0; b < s.n; b++) {
        const double *right = m->right + (size_t)b * (size_t)s.hidden;
        double *h = h_rows + (size_t)b * (size_t)s.hidden;
        for (int k = 0; k < s.hidden; k++)
            h[k] = left[k] + right[k] > 0 ? left[k] + right[k] : 0;
    }
    ts_product(s.n, s.n_out, s.hidden, h_rows, s.hidden, w_u, s.n_out, logits, s.n_out);
}

// Cross-entropy log(1 + sum over j != y of exp(z_j - z_y)); *right: the label's logit is the largest.
static double pair_loss(const double *z, int count, int label, bool *right) {
    double largest = 0, others = 0;
    *right = true;
    for (int j = 0; j < count; j++) {
        double d = z[j] - z[label];
        largest = d > largest ? d : largest;
        // Of equal logits the first counts, as torch.argmax has it.
        *right = *right && !(d > 0 || (d == 0 && j < label));
    }
    for (int j = 0; j < count; j++)
        others += j == label ? 0 : exp(z[j] - z[label] - largest);
    return largest > 0 ? largest + log(exp(-largest) + others) : log1p(others);
}

static void view_row(void *context, int a, const double **h, const double **logits) {
    measured *m = context;
    size_t at = (size_t)(m->kept > 1 ? a : 0), n = (size_t)m->shape.n;
    double *own_h = m->h + at * n * (size_t)m->shape.hidden;
    double *own_logits = m->logits + at * n * (size_t)m->shape.n_out;
    if (m->row_of[at] != a)
        row_logits(m, a, own_h, own_logits);
    m->row_of[at] = a;
    *h = own_h;
    *logits = own_logits;
}

// Everything about irreps, where the table is a group.
static ts_status measure_group(measured *m, const ts_data *data, double *out) {
    ts_mlp_shape s = m->shape;
    ts_group_view view = {
        .table = data->table,
        .irreps = data->irreps,
        .hidden = s.hidden,
        .e_x = m->left,
        .e_y = m->right,
        .u = m->weights + 2 * (size_t)s.n * (size_t)s.embed + 2 * (size_t)s.embed * (size_t)s.hidden,
        .is_train = m->is_train,
        .row = view_row,
        .context = m,
    };
    double *per_irrep[TS_IRREP_MEASURES];
    ts_group_totals totals;
    for (int i = 0; i < TS_IRREP_MEASURES; i++)
        per_irrep[i] = out + SCALARS + (size_t)i * (size_t)data->irreps->count;
    ts_status status = ts_group_measures(&view, per_irrep, &totals);
    if (status != TS_OK)
        return status;
    out[LOGITS_EXPLAINED] = totals.logits_explained;
    out[TOTAL_EXCLUDED_LOSS] = totals.excluded_loss;
    out[TOTAL_RESTRICTED_LOSS] = totals.restricted_loss;
    out[TOTAL_LOGIT_EXCLUDED_LOSS] = totals.logit_excluded_loss;
    out[TOTAL_LOGIT_RESTRICTED_LOSS] = totals.logit_restricted_loss;
    out[EMBED_LEFT_EXPLAINED] = totals.embed_left_explained;
    out[EMBED_RIGHT_EXPLAINED] = totals.embed_right_explained;
    out[UNEMBED_EXPLAINED] = totals.unembed_explained;
    out[HIDDEN_EXPLAINED] = totals.hidden_explained;
    out[HIDDEN_PRODUCT_EXPLAINED] = totals.hidden_product_explained;
    return TS_OK;
}

static ts_status measure(const ts_params *params, const ts_data *data, const float *parameters, int64_t step,
                         bool last, double *out) {
    const ts_table *table = data->table;
    double loss[2] = {0}, right[2] = {0};
    measured m;
    (void)step;
    (void)last;
    ts_status status = measured_create(params, table, parameters, &m);
    if (status != TS_OK)
        return status;
    int n = m.shape.n;
    for (int a = 0; a < n; a++) {
        const double *h, *logits;
        view_row(&m, a, &h, &logits);
        for (int b = 0; b < n; b++) {
            bool hit;
            int pair = a * n + b, part = m.is_train[pair] ? 0 : 1;
            loss[part] += pair_loss(logits + (size_t)b * (size_t)m.shape.n_out, m.shape.n_out,
                                    table->result[pair], &hit);
            right[part] += hit;
        }
    }
    double all = (double)n * n, train = (double)m.train, test = all - train;
    out[TRAIN_LOSS] = loss[0] / train;
    out[TEST_LOSS] = loss[1] / test;
    out[TRAIN_ACCURACY] = right[0] / train;
    out[TEST_ACCURACY] = right[1] / test;
    out[ALL_LOSS] = (loss[0] + loss[1]) / all;
    ts_parameter_layout tensors;
    layout(params, &tensors);
    out[WEIGHT_NORM2] = 0;
    for (int64_t i = 0; i < tensors.total; i++)
        out[WEIGHT_NORM2] += m.weights[i] * m.weights[i];
    for (int i = LOGITS_EXPLAINED; i < SCALARS; i++)
        out[i] = NAN;
    if (data->irreps)
        status = measure_group(&m, data, out);
    ts_slab_free(&m.slab);
    return status;
}

const ts_model ts_model_mlp = {
    .name = "mlp",
    .help = "relu([W_x[a], W_y[b]] W) W_U, the two-embedding network that learns a table",
    .keys = KEYS,
    .check = check,
    .derive = derive,
    .layout = layout,
    .initialise = initialise,
    .dimension = dimension,
    .label = label,
    .step_operations = step_operations,
    .unit_bytes = unit_bytes,
    .measures = MEASURES,
    .headline = "test_loss",
    .measure = measure,
};
