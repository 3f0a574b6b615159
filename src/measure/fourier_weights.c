// The last checkpoint's weights in Fourier components: what each neuron reads of the embeddings (W_neur), and what it
// writes to the outputs (W_logit), also of the neurons of each frequency together.
#include "base/product.h"
#include "measure/clusters.h"
#include "measure/fourier.h"

#include <math.h>

// Of tokens and outputs: of one circle all, of two (a dihedral group's) rotations and reflections.
enum { ROTATIONS, REFLECTIONS, HALVES };

// All matrices are components x neurons.
typedef struct weights {
    bool wanted; // matrices
    const ts_network *network;
    const ts_planes *planes;
    int n, circles, hidden, heads;
    double *functions;          // (n, n), fourier.h's
    double *at;                 // (n, n): at tokens or outputs
    double *rows;               // (n, hidden): unembedding of a half's outputs
    double *read;               // (circles * n, heads * hidden)
    double *embed[2][HALVES];   // (n, hidden) of the left, of the right embedding
    double *head_embed[HALVES]; // (heads, n, hidden)
    double *unembed[HALVES];    // (n, hidden)
    double *cluster[HALVES];    // (n/2, n): norms of `unembed` over a frequency's neurons
    double *norm;               // (n) of unembed[ROTATIONS], over all neurons
    ts_slab slab;
} weights;

static ts_status reserve(weights *m) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden, heads = (size_t)m->heads, circles = (size_t)m->circles;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "weights in Fourier components") != TS_OK)
            return TS_ERROR_MEMORY;
        m->functions = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->at = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->rows = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->norm = ts_slab_take(&m->slab, n, sizeof(double));
        m->read = ts_slab_take(&m->slab, circles * n * heads * hidden, sizeof(double));
        for (size_t half = 0; half < circles; half++) {
            for (int side = 0; side < 2; side++)
                m->embed[side][half] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
            m->head_embed[half] = ts_slab_take(&m->slab, heads * n * hidden, sizeof(double));
            m->unembed[half] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
            m->cluster[half] = ts_slab_take_zero(&m->slab, n / 2 * n, sizeof(double));
        }
    }
    ts_fourier_functions(m->n, m->functions);
    return TS_OK;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    weights *m = state;
    const ts_clusters *clusters = ts_measuring_state(measuring, &ts_family_clusters, chart);
    m->wanted = measuring->last;
    m->network = measuring->network;
    m->planes = &clusters->planes;
    m->n = measuring->data->symmetry->circle;
    m->circles = measuring->data->symmetry->circles;
    m->hidden = measuring->network->hidden;
    m->heads = m->wanted ? measuring->network->heads : 0;
    ts_status status = reserve(m);
    if (status == TS_OK && m->heads > 0 && m->network->read)
        status = m->network->read(m->network->weights, m->read);
    return status;
}

static void fill(double *out, size_t count, double value) {
    for (size_t i = 0; i < count; i++)
        out[i] = value;
}

// Tokens of a side and a half.
static void measure_embedding(weights *m, int side, int half) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden, first = (size_t)half * n;
    const double *rows = side == 0 ? m->network->e_x : m->network->e_y;
    ts_fourier_at(m->n, m->functions, m->circles > 1 ? NULL : side == 0 ? m->planes->x : m->planes->y, m->at);
    if (m->network->embeds_neurons)
        ts_product(m->n, m->hidden, m->n, m->at, m->n, rows + first * hidden, m->hidden, m->embed[side][half],
                   m->hidden);
    else
        fill(m->embed[side][half], n * hidden, NAN); // nothing says how it reaches the neurons
    if (!m->network->read)
        fill(m->head_embed[half], (size_t)m->heads * n * hidden, NAN);
    for (size_t head = 0; side == 0 && m->network->read && head < (size_t)m->heads; head++)
        ts_product(m->n, m->hidden, m->n, m->at, m->n, m->read + (first * (size_t)m->heads + head) * hidden,
                   m->heads * m->hidden, m->head_embed[half] + head * n * hidden, m->hidden);
}

static void measure_unembedding(weights *m, int half) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden, outputs = (size_t)m->circles * n;
    for (size_t c = 0; c < n; c++)
        for (size_t k = 0; k < hidden; k++)
            m->rows[c * hidden + k] = m->network->u[k * outputs + (size_t)half * n + c];
    ts_fourier_basis(m->n, m->functions, m->at);
    ts_product(m->n, m->hidden, m->n, m->at, m->n, m->rows, m->hidden, m->unembed[half], m->hidden);
    for (size_t f = 0; f < n && half == ROTATIONS; f++)
        m->norm[f] = sqrt(ts_energy(m->unembed[half] + f * hidden, hidden));
}

static void measure_clusters(weights *m, int half) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    for (size_t k = 0; k < hidden; k++)
        for (size_t f = 0; f < n && m->planes->frequency[k] >= 1; f++) {
            double own = m->unembed[half][f * hidden + k];
            m->cluster[half][((size_t)m->planes->frequency[k] - 1) * n + f] += own * own;
        }
    for (size_t i = 0; i < n / 2 * n; i++)
        m->cluster[half][i] = sqrt(m->cluster[half][i]);
}

static void finish(void *state) {
    weights *m = state;
    for (int half = 0; half < m->circles; half++) {
        measure_unembedding(m, half);
        for (int side = 0; side < 2 && m->wanted; side++)
            measure_embedding(m, side, half);
        if (m->wanted)
            measure_clusters(m, half);
    }
}

#define EMBED      "the neuron's Fourier components of what it reads of the "
#define HEAD_EMBED "the neuron's Fourier components of what it reads of the embedding through the head's values"
#define UNEMBED    "the neuron's Fourier components of what it writes to the outputs"

// What of outputs is the same through every chart.
static const ts_measure OUTPUT_ROWS[] = {
    {"unembed_fourier_norm",
     "norm of the unembedding's Fourier components over outputs",
     {"component"},
     .at = offsetof(weights, norm)},
    {"unembed_fourier",
     UNEMBED " (W_logit)",
     {"component", "neuron"},
     .at_end = true,
     .at = offsetof(weights, unembed[ROTATIONS])},
    {0},
};

static const ts_measure CYCLIC_ROWS[] = {
    {"embed_fourier",
     EMBED "left embedding (W_neur)",
     {"component", "neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(weights, embed[0][ROTATIONS])},
    {"embed_right_fourier",
     EMBED "right embedding",
     {"component", "neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(weights, embed[1][ROTATIONS])},
    {"head_embed_fourier",
     HEAD_EMBED " (W_neur)",
     {"head", "component", "neuron"},
     .at_end = true,
     .at = offsetof(weights, head_embed[ROTATIONS])},
    {"cluster_unembed_norm",
     "norm of unembed_fourier over the neurons with this neuron_frequency",
     {"frequency", "component"},
     .at_end = true,
     .at = offsetof(weights, cluster[ROTATIONS])},
    {0},
};

static const ts_measure DIHEDRAL_ROWS[] = {
    {"embed_rotation_fourier",
     EMBED "left embedding's rotations (W_neur)",
     {"component", "neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(weights, embed[0][ROTATIONS])},
    {"embed_reflection_fourier",
     EMBED "left embedding's reflections",
     {"component", "neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(weights, embed[0][REFLECTIONS])},
    {"embed_right_rotation_fourier",
     EMBED "right embedding's rotations",
     {"component", "neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(weights, embed[1][ROTATIONS])},
    {"embed_right_reflection_fourier",
     EMBED "right embedding's reflections",
     {"component", "neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(weights, embed[1][REFLECTIONS])},
    {"head_embed_rotation_fourier",
     HEAD_EMBED ", of rotations (W_neur)",
     {"head", "component", "neuron"},
     .at_end = true,
     .at = offsetof(weights, head_embed[ROTATIONS])},
    {"head_embed_reflection_fourier",
     HEAD_EMBED ", of reflections",
     {"head", "component", "neuron"},
     .at_end = true,
     .at = offsetof(weights, head_embed[REFLECTIONS])},
    {"unembed_rotation_fourier",
     UNEMBED " that are rotations (W_logit)",
     {"component", "neuron"},
     .at_end = true,
     .at = offsetof(weights, unembed[ROTATIONS])},
    {"unembed_reflection_fourier",
     UNEMBED " that are reflections",
     {"component", "neuron"},
     .at_end = true,
     .at = offsetof(weights, unembed[REFLECTIONS])},
    {"cluster_unembed_rotation_norm",
     "norm of unembed_rotation_fourier over the neurons with this neuron_frequency",
     {"frequency", "component"},
     .at_end = true,
     .at = offsetof(weights, cluster[ROTATIONS])},
    {"cluster_unembed_reflection_norm",
     "norm of unembed_reflection_fourier over the neurons with this neuron_frequency",
     {"frequency", "component"},
     .at_end = true,
     .at = offsetof(weights, cluster[REFLECTIONS])},
    {0},
};

#define FAMILY(name_, rows_, charts_, circles_, title_)                                                                \
    {                                                                                                                  \
        .name = name_, .title = title_, .source = "2-D Fourier components and weights", .kind = TS_KIND_TABLE,         \
        .rows = rows_, .charts = charts_, .least_circles = circles_, .most_circles = circles_,                         \
        .state_bytes = sizeof(weights), .slab = offsetof(weights, slab), .begin = begin, .finish = finish,             \
        .needs = {&ts_family_clusters},                                                                                \
    }

const ts_family ts_family_output_weights = FAMILY("output_weights", OUTPUT_ROWS, false, 1,
                                                  "Unembedding of cyclic tables in Fourier "
                                                  "components");
const ts_family ts_family_cyclic_weights =
    FAMILY("cyclic_weights", CYCLIC_ROWS, true, 1, "Weights of cyclic tables in Fourier components");
const ts_family ts_family_dihedral_weights = FAMILY("dihedral_weights", DIHEDRAL_ROWS, false, 2,
                                                    "Weights of dihedral tables in Fourier "
                                                    "components");
