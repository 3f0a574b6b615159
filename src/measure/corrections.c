// What irreps give to the logits of pairs that stand for an element.
#include "measure/corrections.h"

#include "base/product.h"
#include "base/sets.h"
#include "measure/losses.h"

#include <string.h>

// Factors that are kept for all elements, in bytes.
static const double KEPT_BYTES = 256e6;

int ts_corrections_columns(int irreps) {
    return (irreps + 1 + TS_PANEL - 1) / TS_PANEL * TS_PANEL;
}

bool ts_corrections_fit(int n, int columns) {
    return 2.0 * n * n * columns * sizeof(double) <= KEPT_BYTES;
}

void ts_corrections_reserve(const ts_group_parts *parts, ts_slab *slab, ts_corrections *m) {
    *m = (ts_corrections){.parts = parts, .n = parts->n, .irreps = parts->count};
    m->columns = ts_corrections_columns(m->irreps);
    m->function = ts_slab_take(slab, ((size_t)m->irreps + 1) * (size_t)m->n, sizeof(double));
    m->factor = ts_slab_take(slab, (size_t)m->columns * (size_t)m->n, sizeof(double));
}

static bool is_key(const ts_corrections *m, int r) {
    return ts_group_is_key(r, m->parts->similarity[r]);
}

// Chi is a function of a b c^-1, so that its factors are those of n elements, in another order for each a b.
void ts_corrections_begin(ts_corrections *m, double *row) {
    size_t n = (size_t)m->n, columns = (size_t)m->columns;
    double *total = m->function + (size_t)m->irreps * n;
    memset(total, 0, n * sizeof *total);
    for (int r = 0; r < m->irreps; r++) {
        const double *chi = m->parts->symmetry->irreps->irrep[r].character;
        double *own = m->function + (size_t)r * n;
        for (size_t h = 0; h < n; h++)
            own[h] = chi[h] * m->parts->fit[r];
        if (is_key(m, r))
            ts_add(total, own, m->n);
    }
    for (size_t i = 0; i < n * columns; i++)
        m->factor[i] = 1;
    for (size_t r = 0; r <= (size_t)m->irreps; r++) {
        ts_exponentials(m->function + r * n, -1, m->n, row);
        for (size_t h = 0; h < n; h++)
            m->factor[h * columns + r] = row[h];
    }
}

static size_t quotient(const ts_corrections *m, int element, int c) {
    return (size_t)m->parts->group->result[element * m->n + m->parts->symmetry->inverse[c]];
}

TS_FOR_EACH_SET static void add_irrep(const ts_corrections *m, int side, int element, int r, double *out) {
    const ts_group_parts *parts = m->parts;
    const double *function = parts->columns[side] + (size_t)element * (size_t)m->n;
    for (int i = parts->symmetry->first[r]; i < parts->symmetry->first[r + 1]; i++) {
        const double *through = parts->through[side] + (size_t)i * (size_t)m->n;
        for (int c = 0; c < m->n; c++)
            out[c] += function[i] * through[c];
    }
}

void ts_corrections_of(const ts_corrections *m, int kind, int element, int column, double *out) {
    memset(out, 0, (size_t)m->n * sizeof *out);
    for (int c = 0; c < m->n && kind == TS_ALONG_CUBE; c++)
        out[c] = m->function[(size_t)column * (size_t)m->n + quotient(m, element, c)];
    for (int r = 0; r < m->irreps && kind != TS_ALONG_CUBE; r++)
        if (column == r || (column == m->irreps && kind == TS_OF_PRODUCT && is_key(m, r)))
            add_irrep(m, kind, element, r, out);
}

void ts_corrections_all(const ts_corrections *m, int kind, int element, double *out) {
    size_t n = (size_t)m->n;
    double *total = out + (size_t)m->irreps * n;
    if (kind == TS_ALONG_CUBE) {
        for (int r = 0; r <= m->irreps; r++)
            ts_corrections_of(m, kind, element, r, out + (size_t)r * n);
        return;
    }
    memset(out, 0, ((size_t)m->irreps + 1) * n * sizeof *out);
    for (int r = 0; r < m->irreps; r++) {
        add_irrep(m, kind, element, r, out + (size_t)r * n);
        if (kind == TS_OF_PRODUCT && is_key(m, r))
            ts_add(total, out + (size_t)r * n, m->n);
    }
}

static void take_cube_factors(const ts_corrections *m, int element, double *factors) {
    size_t n = (size_t)m->n, columns = (size_t)m->columns;
    for (size_t c = 0; c < n; c++) {
        const double *own = m->factor + quotient(m, element, (int)c) * columns;
        for (size_t p = 0; p < columns / TS_PANEL; p++)
            memcpy(factors + (p * n + c) * TS_PANEL, own + p * TS_PANEL, TS_PANEL * sizeof *factors);
    }
}

void ts_corrections_factors(const ts_corrections *m, int kind, int element, double *all, double *row, double *factors) {
    size_t n = (size_t)m->n, r = 0;
    if (kind == TS_ALONG_CUBE) {
        take_cube_factors(m, element, factors);
        return;
    }
    ts_corrections_all(m, kind, element, all);
    for (; r < (size_t)m->columns; r++) {
        double *own = factors + r / TS_PANEL * n * TS_PANEL + r % TS_PANEL;
        if (r <= (size_t)m->irreps)
            ts_exponentials(all + r * n, -1, m->n, row);
        for (size_t c = 0; c < n; c++)
            own[c * TS_PANEL] = r <= (size_t)m->irreps ? row[c] : 1;
    }
}
