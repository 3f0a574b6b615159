// Where the last position of a transformer looks.
#include "measure/family.h"

typedef struct attention {
    const ts_network *network;
    const ts_table *table;
    double *share; // (n, n) of each pair in the mean; NULL: all pairs are there, and have the same
    ts_sums sums;  // (heads, sources)
    ts_slab slab;
} attention;

static ts_status share_pairs(attention *m) {
    size_t all = (size_t)m->table->n * (size_t)m->table->n;
    if ((size_t)m->table->pairs == all)
        return TS_OK;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "attention") != TS_OK)
            return TS_ERROR_MEMORY;
        m->share = ts_slab_take(&m->slab, all, sizeof(double));
    }
    for (size_t i = 0; i < all; i++)
        m->share[i] = m->table->result[i] == TS_UNDEFINED ? 0 : 1 / (double)m->table->pairs;
    return TS_OK;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    attention *m = state;
    (void)chart;
    m->network = measuring->network;
    m->table = measuring->pairs->table;
    m->sums.numbers = (size_t)m->network->heads * (size_t)m->network->sources;
    return m->network->attend ? share_pairs(m) : TS_OK;
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const attention *m = state;
    if (m->network->attend)
        m->network->attend(rows->weights, a, m->share ? m->share + (size_t)a * (size_t)m->table->n : NULL, sums);
}

static int share_of(const void *context, int a, int b) {
    const attention *m = context;
    return m->table->result[a * m->table->n + b] == TS_UNDEFINED ? -1 : 0;
}

static void gather(void *state, ts_device *device) {
    const attention *m = state;
    if (!m->network->attend)
        return;
    ts_device_sum(device, TS_PAIR_ATTENTION, ts_device_each(device, share_of, m), 1, m->sums.total);
    for (size_t i = 0; i < m->sums.numbers; i++)
        m->sums.total[i] /= (double)m->table->pairs;
}

static const ts_measure ROWS[] = {
    {"attention",
     "attention of the last layer at the last position, mean over all pairs",
     {"head", "source"},
     .at = offsetof(attention, sums.total)},
    {0},
};

const ts_family ts_family_attention = {
    .name = "attention",
    .title = "Attention of a transformer",
    .source = "The model: `transformer`",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .state_bytes = sizeof(attention),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(attention, sums),
    .slab = offsetof(attention, slab),
};
