// Sums of binary features in two sorted lists.
#include "measure/halves.h"

#include "base/memory.h"

enum { MOST_STATES = 1 << 15, MOST_GROUPS = 64, LISTS = 4 };

// A sum that a half may have.
typedef struct sum {
    double at, share; // share: its probability
} sum;

struct ts_halves {
    sum *half[2]; // (count) ascending
    int count[2];
    sum *spare[2];
    double *tail; // (count[1] + 1, 3) probability, and that times the sum and its square, of all sums from each on
    ts_slab slab;
};

// --- Which group goes into which half ---

static int smaller(const double count[2]) {
    return count[1] < count[0];
}

bool ts_halves_fit(const ts_independent *law) {
    if (!law->binary || law->groups > MOST_GROUPS)
        return false;
    for (int own = 0; own < law->groups; own++) {
        double count[2] = {1, 1};
        for (int g = 0; g < law->groups; g++)
            count[smaller(count)] *= g == own ? 1 : law->group[g].states;
        if (count[0] > MOST_STATES || count[1] > MOST_STATES)
            return false;
    }
    return true;
}

// --- Lists ---

ts_status ts_halves_create(ts_halves **out) {
    ts_halves *halves = ts_alloc_zero(1, sizeof *halves, "sums of features");
    if (!halves)
        return TS_ERROR_MEMORY;
    *out = halves; // the caller frees it, whatever happens
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&halves->slab, "sums of features") != TS_OK)
            return TS_ERROR_MEMORY;
        for (int i = 0; i < 2; i++) {
            halves->half[i] = ts_slab_take(&halves->slab, MOST_STATES, sizeof(sum));
            halves->spare[i] = ts_slab_take(&halves->slab, MOST_STATES, sizeof(sum));
        }
        halves->tail = ts_slab_take(&halves->slab, 3 * (MOST_STATES + 1), sizeof(double));
    }
    return TS_OK;
}

void ts_halves_free(ts_halves *halves) {
    if (!halves)
        return;
    ts_slab_free(&halves->slab);
    ts_free(halves);
}

// The sums of `left`, and those of `right` that are moved by `by`, each list's with `share` of the probability.
static int merge(const sum *left, int n_left, double left_share, const sum *right, int n_right, double by,
                 double right_share, sum *out) {
    int l = 0, r = 0, n = 0;
    while (l < n_left || r < n_right) {
        bool from_left = r == n_right || (l < n_left && left[l].at <= right[r].at + by);
        out[n++] = from_left ? (sum){left[l].at, left_share * left[l].share}
                             : (sum){right[r].at + by, right_share * right[r].share};
        l += from_left;
        r += !from_left;
    }
    return n;
}

static void add_group(ts_halves *halves, int which, const ts_feature_group *group, const double *weight) {
    const sum *list = halves->half[which];
    int count = halves->count[which], n;
    double off = 1 - group->on * (group->states - 1), first = weight[group->first];
    sum *made = halves->spare[0];
    if (group->states == 2)
        first += group->size == 2 ? weight[group->first + 1] : 0;
    n = merge(list, count, off, list, count, first, group->on, made);
    if (group->states == 3) {
        made = halves->spare[1];
        n = merge(halves->spare[0], n, 1, list, count, weight[group->first + 1], group->on, made);
    }
    halves->spare[made == halves->spare[1]] = halves->half[which];
    halves->half[which] = made;
    halves->count[which] = n;
}

static void list_sums(ts_halves *halves, const ts_output *output) {
    double count[2] = {1, 1};
    for (int i = 0; i < 2; i++) {
        halves->half[i][0] = (sum){0, 1};
        halves->count[i] = 1;
    }
    for (int g = 0; g < output->law->groups; g++) {
        const ts_feature_group *group = &output->law->group[g];
        if (g == output->own)
            continue;
        int which = smaller(count);
        count[which] *= group->states;
        add_group(halves, which, group, output->weight);
    }
    double *tail = halves->tail + 3 * (size_t)halves->count[1];
    tail[0] = tail[1] = tail[2] = 0;
    for (int i = halves->count[1] - 1; i >= 0; i--, tail -= 3) {
        const sum *s = &halves->half[1][i];
        tail[-3] = tail[0] + s->share;
        tail[-2] = tail[1] + s->share * s->at;
        tail[-1] = tail[2] + s->share * s->at * s->at;
    }
}

// --- Expectations ---

// Of (x - relu(t + both halves' sums))^2.
static double error_at(const ts_halves *halves, double t, double x) {
    int active = halves->count[1]; // sums of the second half from here on make the output positive
    double error = 0;
    for (int i = 0; i < halves->count[0]; i++) {
        const sum *s = &halves->half[0][i];
        while (active > 0 && t + s->at + halves->half[1][active - 1].at > 0)
            active--;
        const double *tail = halves->tail + 3 * (size_t)active;
        double left = x - t - s->at, silent = halves->tail[0] - tail[0];
        double of_active = left * left * tail[0] - 2 * left * tail[1] + tail[2];
        error += s->share * (x * x * silent + (of_active < 0 ? 0 : of_active));
    }
    return error;
}

double ts_halves_error(ts_halves *halves, const ts_output *output) {
    const ts_feature_group *own = &output->law->group[output->own];
    int partner = ts_output_partner(output);
    double bias = output->bias, with = bias + output->weight[output->feature];
    list_sums(halves, output);
    double off = (1 - own->on * (own->states - 1)) * error_at(halves, bias, 0);
    if (partner < 0)
        return off + own->on * error_at(halves, with, 1);
    if (own->states == 2)
        return off + own->on * error_at(halves, with + output->weight[partner], 1);
    return off + own->on * (error_at(halves, with, 1) + error_at(halves, bias + output->weight[partner], 0));
}
