// Where the last position of a transformer looks.
#include "measure/family.h"

static ts_status begin(const ts_measuring *measuring, int chart, void **state) {
    const ts_network **own = *state = ts_alloc(sizeof *own, "attention");
    (void)chart;
    if (!own)
        return TS_ERROR_MEMORY;
    *own = measuring->network;
    return TS_OK;
}

static double attention(const void *state, int index) {
    return (*(const ts_network *const *)state)->attention[index];
}

static const ts_measure ROWS[] = {
    {.name = "attention",
     .dimension = {"head", "source"},
     .help = "attention of the last position, mean over all pairs",
     .each = attention},
    {0},
};

const ts_family ts_family_attention = {
    .title = "Attention of a transformer",
    .source = "The model: `transformer`",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .begin = begin,
    .free = ts_free,
};
