// Where the last position of a transformer looks.
#include "measure/family.h"

typedef struct attention {
    const ts_network *network;
    ts_sums sums; // (heads, sources)
} attention;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    attention *m = state;
    (void)chart;
    m->network = measuring->network;
    m->sums.numbers = (size_t)m->network->heads * (size_t)m->network->sources;
    return TS_OK;
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const attention *m = state;
    if (m->network->attend)
        m->network->attend(rows->weights, a, sums);
}

static const ts_measure ROWS[] = {
    {"attention",
     "attention of the last position, mean over all pairs",
     {"head", "source"},
     .at = offsetof(attention, sums.total)},
    {0},
};

const ts_family ts_family_attention = {
    .title = "Attention of a transformer",
    .source = "The model: `transformer`",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .state_bytes = sizeof(attention),
    .begin = begin,
    .add = add,
    .sums = offsetof(attention, sums),
};
