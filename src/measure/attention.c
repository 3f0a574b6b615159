// Where the last position of a transformer looks.
#include "measure/family.h"

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    (void)chart;
    *(const ts_network **)state = measuring->network;
    return TS_OK;
}

static double attention(const void *state, int index) {
    return (*(const ts_network *const *)state)->attention[index];
}

static const ts_measure ROWS[] = {
    {"attention", "attention of the last position, mean over all pairs", {"head", "source"}, .each = attention},
    {0},
};

const ts_family ts_family_attention = {
    .title = "Attention of a transformer",
    .source = "The model: `transformer`",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .state_bytes = sizeof(const ts_network *),
    .begin = begin,
};
