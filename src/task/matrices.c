// Matrices in the order of their entries; those of a projective group by the first of their multiples.
#include "task/matrices.h"

double ts_matrices_order(int q, bool special, bool projective) {
    double order = ((double)q * q - 1) * q; // of SL(2,q)
    double scalars = special ? (q > 2 ? 2 : 1) : q - 1;
    return order * (special ? 1 : q - 1) / (projective ? scalars : 1);
}

static int code_of(int q, const unsigned char entry[4]) {
    return ((entry[0] * q + entry[1]) * q + entry[2]) * q + entry[3];
}

static void entries_of(int q, int code, unsigned char entry[4]) {
    for (int i = 3; i >= 0; i--, code /= q)
        entry[i] = (unsigned char)(code % q);
}

static int determinant(int q, const unsigned char entry[4]) {
    return (entry[0] * entry[3] + (q - 1) * entry[1] * entry[2]) % q;
}

// The matrix that stands for this one: the first of its multiples that are the same element.
static int representative(const ts_matrices *matrices, const unsigned char entry[4]) {
    int q = matrices->q, first = code_of(q, entry);
    for (int scalar = 2; scalar < q && matrices->projective; scalar++) {
        unsigned char multiple[4];
        if (matrices->special && scalar * scalar % q != 1)
            continue;
        for (int i = 0; i < 4; i++)
            multiple[i] = (unsigned char)(scalar * entry[i] % q);
        int code = code_of(q, multiple);
        first = code < first ? code : first;
    }
    return first;
}

void ts_matrices_list(int q, bool special, bool projective, ts_matrices *out) {
    *out = (ts_matrices){.q = q, .special = special, .projective = projective};
    for (int code = 0; code < q * q * q * q; code++) {
        unsigned char entry[4];
        entries_of(q, code, entry);
        int d = determinant(q, entry);
        bool has = (special ? d == 1 : d != 0) && representative(out, entry) == code;
        out->position[code] = (short)(has ? out->count : -1);
        for (int i = 0; i < 4 && has; i++)
            out->entry[out->count][i] = entry[i];
        out->count += has;
    }
}

int ts_matrices_product(const ts_matrices *matrices, int x, int y) {
    const unsigned char *left = matrices->entry[x], *right = matrices->entry[y];
    unsigned char made[4];
    for (int i = 0; i < 4; i++)
        made[i] = (unsigned char)((left[i & 2] * right[i & 1] + left[(i & 2) + 1] * right[(i & 1) + 2]) % matrices->q);
    return matrices->position[representative(matrices, made)];
}
