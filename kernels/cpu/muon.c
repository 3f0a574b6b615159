// Muon's step of one matrix in float32 (model/muon.h has the formulas). The orthogonal matrix is made of the one whose
// shorter side comes first, so that the products by its own transpose are small.
#include "cpu/kernels.h"
#include "cpu/product.h"
#include "cpu/transpose.h"

// Scratch: x and y hold either of the matrix and its transpose.
typedef struct parts {
    float *x, *y, *transposed; // (side, side') both padded
    float *a, *b;              // (TS_PAD(shorter), TS_PAD(shorter))
} parts;

static parts parts_of(const ts_muon_work *w) {
    size_t shorter = (size_t)TS_PAD(w->rows < w->columns ? w->rows : w->columns);
    size_t numbers = (size_t)TS_PAD(w->rows) * (size_t)TS_PAD(w->columns);
    parts p = {.x = w->scratch};
    p.y = p.x + numbers;
    p.transposed = p.y + numbers;
    p.a = p.transposed + numbers;
    p.b = p.a + shorter * shorter;
    return p;
}

// to = scale to + share from
static void blend(float *to, float scale, float share, const float *from, size_t count) {
    for (size_t i = 0; i < count; i += LANES)
        vstore(to + i, vfma(vset(share), vload(from + i), vmul(vset(scale), vload(to + i))));
}

// c (rows, stride) = a (rows, depth) b (depth, stride)
static void times(const float *a, int a_stride, const float *b, int stride, float *c, int rows, int depth) {
    multiply(c, stride, rows, stride, plain(a, a_stride), b, stride, depth, PRODUCT_SET);
}

// x (m, n) once nearer to orthogonal.
static void iterate(const ts_muon_work *w, const parts *p, int m, int n) {
    int m_stride = TS_PAD(m), n_stride = TS_PAD(n);
    size_t square = (size_t)m * (size_t)m_stride, numbers = (size_t)m * (size_t)n_stride;
    transpose(p->x, m, n_stride, n, p->transposed, m_stride);
    times(p->x, n_stride, p->transposed, m_stride, p->a, m, n);
    times(p->a, m_stride, p->a, m_stride, p->b, m, m);
    blend(p->b, w->quintic, w->cubic, p->a, square);
    times(p->b, m_stride, p->x, n_stride, p->y, m, m);
    blend(p->x, w->linear, 1, p->y, numbers);
}

// The momentum, and in y what is made orthogonal: (rows, stride). Its length is returned.
static double gather(const ts_muon_work *w, float *y) {
    int64_t count = (int64_t)w->rows * TS_PAD(w->columns);
    vec keep = vset(w->keep), take = vset(w->take);
    for (int64_t i = 0; i < count; i += LANES) {
        vec g = vload(w->gradient + i), m = vfma(take, g, vmul(keep, vload(w->mean + i)));
        vstore(w->mean + i, m);
        vstore(y + i, vfma(take, g, vmul(keep, m)));
    }
    return sqrt(TS_FOR_SET(ts_dot)(y, y, count));
}

bool TS_FOR_SET(ts_muon)(const ts_muon_work *w) {
    parts p = parts_of(w);
    int stride = TS_PAD(w->columns);
    size_t count = (size_t)w->rows * (size_t)stride;
    bool tall = w->rows > w->columns;
    float length = (float)(gather(w, p.y) + w->epsilon);
    // Nothing is left of a direction whose length is beyond float32. That is no step of 0: the weights are not finite.
    vec rate = vset(length < INFINITY ? -w->rate : NAN), sound = vzero();
    for (size_t i = 0; i < count; i += LANES)
        vstore((tall ? p.y : p.x) + i, vdiv(vload(p.y + i), vset(length)));
    if (tall)
        transpose(p.y, w->rows, stride, w->columns, p.x, TS_PAD(w->rows));
    for (int i = 0; i < w->iterations; i++)
        iterate(w, &p, tall ? w->columns : w->rows, tall ? w->rows : w->columns);
    if (tall)
        transpose(p.x, w->columns, TS_PAD(w->rows), w->rows, p.y, stride);
    for (size_t i = 0; i < count; i += LANES) {
        vec step = vmul(rate, vload((tall ? p.y : p.x) + i));
        vec moved = vfma(vset(w->decay), vload(w->parameter + i), step);
        sound = vfma(moved, vzero(), sound);
        vstore(w->parameter + i, moved);
    }
    return vall_zero(sound);
}
