// Random elements of the commutant, whose eigenspaces are irreps; characters, rounded and checked.
#define _POSIX_C_SOURCE 200809L
#include "task/irreps.h"

#include "base/memory.h"
#include "base/random.h"
#include "task/classes.h"
#include "task/irrep_names.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// LAPACK: eigenvalues and eigenvectors of a symmetric matrix. The last two are the lengths of the texts,
// which Fortran compilers add.
extern void dsyevd_(const char *vectors, const char *triangle, const int *n, double *matrix, const int *leading,
                    double *values, double *work, const int *work_size, int *iwork, const int *iwork_size, int *info,
                    size_t, size_t);
extern void openblas_set_num_threads(int) __attribute__((weak));

static const double PI = 3.14159265358979323846;
static const uint64_t KEY = 0x1995; // of the random combination; any other would do
enum { TRIES = 16 };                // keys, until no two eigenvalues coincide by accident

typedef struct found { // one irrep
    int dimension;
    bool pair;
    double *character; // (classes)
    int classes;       // for the comparison
} found;

typedef struct solver {
    const ts_table *table;
    ts_classes classes;
    int by_period[TS_MAX_ORDER]; // (classes) in descending order of their elements' order
    int expected, count;
    double *matrix;     // (n, n) H, then its eigenvectors, one a row
    double *values;     // (n) eigenvalues
    double *random;     // (n) c_g
    double *work;       // of dsyevd
    double *cosine;     // (n)
    double *raw;        // (classes) character of an eigenspace
    double *characters; // (expected, classes)
    int *iwork;
    found *found; // (expected)
    int work_size, iwork_size;
    ts_slab slab;
} solver;

// --- Eigenspaces ---

// OpenBLAS starts a thread per core by itself, in every rank and beside our own threads.
static void use_one_thread(void) {
    if (openblas_set_num_threads)
        openblas_set_num_threads(1);
}

// OpenBLAS takes a buffer of 128 MiB for each thread that is in it, and asks for it forever if there is no memory. So
// it is only called where there is; the buffer is not touched here.
static ts_status check_room(void) {
    void *volatile room = malloc((size_t)160 << 20); // volatile: allocated although nothing is done with it
    free(room);
    return room ? TS_OK
                : ts_fail(TS_ERROR_MEMORY, "out of memory: 160 MiB for LAPACK, which finds a group's irreps; "
                                           "raise the limit (ulimit -v, --mem of Slurm)");
}

static void take_memory(solver *s) {
    size_t n = (size_t)s->table->n, classes = (size_t)s->classes.count, expected = (size_t)s->expected;
    s->work_size = (int)(1 + 6 * n + 2 * n * n);
    s->iwork_size = (int)(3 + 5 * n);
    s->matrix = ts_slab_take(&s->slab, n * n, sizeof *s->matrix);
    s->values = ts_slab_take(&s->slab, n, sizeof *s->values);
    s->random = ts_slab_take(&s->slab, n, sizeof *s->random);
    s->work = ts_slab_take(&s->slab, (size_t)s->work_size, sizeof *s->work);
    s->iwork = ts_slab_take(&s->slab, (size_t)s->iwork_size, sizeof *s->iwork);
    s->cosine = ts_slab_take(&s->slab, n, sizeof *s->cosine);
    s->raw = ts_slab_take(&s->slab, classes, sizeof *s->raw);
    s->characters = ts_slab_take(&s->slab, expected * classes, sizeof *s->characters);
    s->found = ts_slab_take(&s->slab, expected, sizeof *s->found);
}

// H = sum_g c_g (R_g + R_g^T), where R_g f(x) = f(x g): entry (x, y) is c_g + c_(g^-1) with g = x^-1 y.
static bool solve(solver *s, uint64_t key) {
    int n = s->table->n, info = 0;
    const int *inverse = s->classes.inverse;
    ts_philox at = ts_philox_at(key, TS_STREAM_WEIGHTS, 0, 0);
    ts_philox_normals(&at, s->random, n);
    for (int x = 0; x < n; x++)
        for (int y = 0; y < n; y++) {
            int g = s->table->result[inverse[x] * n + y];
            s->matrix[(size_t)x * n + y] = s->random[g] + s->random[inverse[g]];
        }
    dsyevd_("V", "L", &n, s->matrix, &n, s->values, s->work, &s->work_size, s->iwork, &s->iwork_size, &info, 1, 1);
    return info == 0;
}

// Character of the left regular representation on the eigenspace of vectors [begin, end). Its projector
// commutes with the left translations, so it is P[x, y] = p(x^-1 y), and tr(L_g P) = sum_x p(x^-1 g x): n
// times the mean of p over the class of g. One row of P is enough.
static void eigenspace_character(solver *s, int begin, int end) {
    int n = s->table->n;
    memset(s->raw, 0, (size_t)s->classes.count * sizeof *s->raw);
    for (int i = begin; i < end; i++) {
        const double *vector = s->matrix + (size_t)i * n;
        double at_identity = vector[s->table->identity];
        for (int g = 0; g < n; g++)
            s->raw[s->classes.of[g]] += at_identity * vector[g];
    }
    for (int c = 0; c < s->classes.count; c++)
        s->raw[c] *= (double)n / s->classes.size[c];
}

// --- Exact characters ---

// On the powers of an element of order o a real character is sum_k m_k cos(2 pi j k / o), and the m_k, the
// multiplicities of its eigenvalues, are whole numbers. Rounding them takes LAPACK's rounding out of the
// results; a space that is not invariant does not have them.

static void fill_cosines(double *cosine, int period) {
    for (int j = 0; j < period; j++) {
        int r = j <= period - j ? j : period - j;
        cosine[j] = 4 * r == period ? 0 : 6 * r == period ? 0.5 : 3 * r == period ? -0.5 : cos(2 * PI * r / period);
    }
}

static int next_angle(int angle, int step, int period) {
    angle += step;
    return angle < period ? angle : angle - period;
}

static double without_noise(double value) {
    return fabs(value - rint(value)) < 1e-9 ? rint(value) + 0.0 : value;
}

// m_k and m_(period - k) together, rounded; negative if that is no multiplicity.
static int multiplicity(const solver *s, const int power[], int period, int k) {
    double sum = 0;
    for (int j = 0, angle = 0; j < period; j++, angle = next_angle(angle, k, period))
        sum += s->raw[power[j]] * s->cosine[angle];
    sum /= period;
    double whole = rint(sum);
    if (fabs(sum - whole) > 1e-3 || whole < 0)
        return -1;
    return (2 * k % period ? 2 : 1) * (int)whole;
}

// The character on the powers of class c's first element, where it is not known yet.
static bool exact_on_powers(solver *s, int c, double *exact, bool known[]) {
    int power[TS_MAX_ORDER], period = s->classes.period[c], n = s->table->n;
    bool missing[TS_MAX_ORDER];
    if (period < 1)
        return false;
    for (int j = 0, g = s->table->identity; j < period;
         j++, g = s->table->result[g * n + s->classes.representative[c]]) {
        power[j] = s->classes.of[g];
        missing[j] = !known[power[j]];
    }
    for (int j = 0; j < period; j++)
        if (missing[j]) {
            known[power[j]] = true;
            exact[power[j]] = 0;
        }
    fill_cosines(s->cosine, period);
    // A class may hold several powers: only the first one of them adds.
    for (int j = 0; j < period; j++)
        for (int i = 0; i < j && missing[j]; i++)
            missing[j] = power[i] != power[j];
    for (int k = 0; 2 * k <= period; k++) {
        int times = multiplicity(s, power, period, k);
        if (times < 0)
            return false;
        for (int j = 0, angle = 0; j < period && times; j++, angle = next_angle(angle, k, period))
            if (missing[j])
                exact[power[j]] += times * s->cosine[angle];
    }
    return true;
}

static bool exact_character(solver *s, double *exact) {
    bool known[TS_MAX_ORDER] = {false};
    for (int i = 0; i < s->classes.count; i++)
        if (!known[s->by_period[i]] && !exact_on_powers(s, s->by_period[i], exact, known))
            return false;
    for (int c = 0; c < s->classes.count; c++)
        exact[c] = without_noise(exact[c]);
    return true;
}

static void sort_by_period(solver *s) {
    int at = 0;
    for (int period = s->table->n; period > 0; period--)
        for (int c = 0; c < s->classes.count; c++)
            if (s->classes.period[c] == period)
                s->by_period[at++] = c;
}

// --- Irreps ---

static double inner_product(const ts_classes *classes, const double *a, const double *b) {
    double sum = 0;
    for (int c = 0; c < classes->count; c++)
        sum += classes->size[c] * a[c] * b[c];
    return sum / classes->order;
}

// Mean of chi(g^2), Frobenius and Schur: 1 for an irrep of real type, 0 for a pair, -1 for a quaternionic
// irrep (-2 for the real irrep, which holds it twice).
static double indicator(const solver *s, const double *character) {
    double sum = 0;
    for (int c = 0; c < s->classes.count; c++) {
        int g = s->classes.representative[c];
        sum += s->classes.size[c] * character[s->classes.of[s->table->result[g * s->table->n + g]]];
    }
    return sum / s->table->n;
}

// Which of the three kinds of real irrep a character belongs to; false: none, so two of them share an
// eigenvalue.
static bool classify(const solver *s, found *f) {
    double norm = inner_product(&s->classes, f->character, f->character), real = indicator(s, f->character);
    double degree = f->character[s->classes.of[s->table->identity]];
    int kind = (int)lround(norm);
    if (fabs(norm - kind) > 1e-8 || fabs(real - (kind == 1 ? 1 : kind == 2 ? 0 : -2)) > 1e-8)
        return false;
    if (kind != 1 && kind != 2 && kind != 4)
        return false;
    f->pair = kind == 2;
    f->dimension = (int)lround(kind == 1 ? degree : degree / 2);
    for (int c = 0; c < s->classes.count && kind == 4; c++)
        f->character[c] /= 2;
    return true;
}

static bool is_new(const solver *s, const double *character) {
    for (int i = 0; i < s->count; i++) {
        int c = 0;
        while (c < s->classes.count && fabs(character[c] - s->found[i].character[c]) < 1e-6)
            c++;
        if (c == s->classes.count)
            return false;
    }
    return true;
}

// Adds the irrep of an eigenspace unless it is there; false: it is not irreducible.
static bool add_eigenspace(solver *s, int begin, int end, double *character) {
    found f = {.character = character, .classes = s->classes.count};
    eigenspace_character(s, begin, end);
    if (!exact_character(s, character) || !classify(s, &f))
        return false;
    if (!is_new(s, character))
        return true;
    if (s->count == s->expected)
        return false;
    f.character = s->characters + (size_t)s->count * (size_t)s->classes.count;
    memcpy(f.character, character, (size_t)s->classes.count * sizeof *character);
    s->found[s->count++] = f;
    return true;
}

static bool orthogonal_and_complete(const solver *s) {
    int squares = 0;
    for (int i = 0; i < s->count; i++) {
        const found *a = &s->found[i];
        squares += (a->pair ? 2 : 1) * a->dimension * a->dimension;
        for (int j = 0; j <= i; j++) {
            double product = inner_product(&s->classes, a->character, s->found[j].character);
            if (fabs(product - (i != j ? 0 : a->pair ? 2 : 1)) > 1e-8)
                return false;
        }
    }
    return s->count == s->expected && squares == s->table->n;
}

// One try: false if eigenvalues coincided by accident (or LAPACK failed), to be tried with another key.
static bool find_irreps(solver *s, uint64_t key) {
    double character[TS_MAX_ORDER];
    int n = s->table->n;
    s->count = 0;
    if (!solve(s, key))
        return false;
    double same = 1e-9 * (fabs(s->values[0]) + fabs(s->values[n - 1]));
    for (int begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && s->values[end] - s->values[end - 1] < same;)
            end++;
        if (!add_eigenspace(s, begin, end, character))
            return false;
    }
    return orthogonal_and_complete(s);
}

// --- The set ---

// By dimension, those of real type before pairs, then by character, the greater first: so the trivial one is
// the first, and freq_1, freq_2, ... stay in that order.
static int compare_found(const void *left, const void *right) {
    const found *a = left, *b = right;
    if (a->dimension != b->dimension)
        return a->dimension - b->dimension;
    if (a->pair != b->pair)
        return a->pair ? 1 : -1;
    for (int c = 0; c < a->classes; c++)
        if (fabs(a->character[c] - b->character[c]) > 1e-9)
            return a->character[c] > b->character[c] ? -1 : 1;
    return 0;
}

static ts_status make_set(solver *s, ts_irreps **out) {
    size_t n = (size_t)s->table->n, count = (size_t)s->count;
    ts_irreps *set = ts_alloc_zero(1, sizeof *set, "irreps");
    if (!set)
        return TS_ERROR_MEMORY;
    *set = (ts_irreps){.order = s->table->n, .count = s->count};
    set->irrep = ts_alloc_zero(count, sizeof *set->irrep, "irreps");
    set->characters = set->irrep ? ts_alloc_zero(count * n, sizeof *set->characters, "characters") : NULL;
    if (!set->characters) {
        ts_irreps_free(set);
        return TS_ERROR_MEMORY;
    }
    qsort(s->found, count, sizeof *s->found, compare_found);
    for (size_t i = 0; i < count; i++) {
        set->irrep[i] = (ts_irrep){
            .dimension = s->found[i].dimension, .pair = s->found[i].pair, .character = set->characters + i * n};
        for (size_t g = 0; g < n; g++)
            set->irrep[i].character[g] = s->found[i].character[s->classes.of[g]];
    }
    *out = set;
    return TS_OK;
}

static ts_status find_and_name(solver *s, ts_irreps **out) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_one_thread);
    ts_status room = check_room();
    if (room != TS_OK)
        return room;
    bool complete = false;
    for (uint64_t i = 0; i < TRIES && !complete; i++)
        complete = find_irreps(s, KEY + i);
    if (!complete)
        return ts_fail(TS_ERROR_UNIT,
                       "no irreps found for the table of order %d: its characters are not orthogonal after %d tries",
                       s->table->n, TRIES);
    ts_irreps *set = NULL;
    ts_status status = make_set(s, &set);
    if (status == TS_OK)
        status = ts_irrep_names(s->table, &s->classes, set);
    if (status == TS_OK)
        *out = set;
    else
        ts_irreps_free(set);
    return status;
}

ts_status ts_irreps_create(const ts_table *table, ts_irreps **irreps) {
    *irreps = NULL;
    if (!table->group || table->n > TS_MAX_ORDER)
        return ts_fail(TS_ERROR_UNIT, "irreps need the table of a group of order at most %d; this one, of order %d, %s",
                       TS_MAX_ORDER, table->n, table->group ? "is larger" : "is no group");
    solver *s = ts_alloc_zero(1, sizeof *s, "irreps");
    if (!s)
        return TS_ERROR_MEMORY;
    s->table = table;
    ts_classes_find(table, &s->classes);
    s->expected = ts_irreps_count(table);
    sort_by_period(s);
    take_memory(s);
    ts_status status = ts_slab_reserve(&s->slab, "irreps");
    if (status == TS_OK) {
        take_memory(s);
        status = find_and_name(s, irreps);
    }
    ts_slab_free(&s->slab);
    ts_free(s);
    return status;
}

void ts_irreps_free(ts_irreps *irreps) {
    if (!irreps)
        return;
    ts_free(irreps->characters);
    ts_free(irreps->irrep);
    ts_free(irreps);
}

int ts_irreps_count(const ts_table *table) {
    ts_classes classes;
    int count = 0;
    if (!table->group || table->n > TS_MAX_ORDER)
        return 0;
    ts_classes_find(table, &classes);
    for (int c = 0; c < classes.count; c++)
        count += c <= ts_classes_inverse(&classes, c);
    return count;
}
