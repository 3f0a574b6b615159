// Sums over a team: each rank adds up one slice of everybody's subtrees and sends its total to all.
#include "base/team.h"

#include "base/memory.h"
#include "base/tree.h"

#include <string.h>

struct ts_comm_team {
    ts_team_exchange exchange;
    void *context;
    int number, rank, first, size; // rank: within the team
    bool broken;                   // an exchange was: MPI may still write there
    bool failed; // something was, and the others do not know: no call of this rank may be taken for another one
    ts_transfer *transfer; // (size)
    // Of the parts of sums made last.
    int parts;
    int *subtrees_of;      // (size) how many each rank has
    int subtrees;          // of all
    ts_addition *addition; // (subtrees - 1)
    char **piece;          // (subtrees) where their slices are
    // For what leaves and what arrives; both grow.
    char *out, *in;
    size_t out_bytes, in_bytes;
};

ts_status ts_comm_team_create(ts_team_exchange exchange, void *context, int number, int rank, int first, int size,
                              ts_comm_team **out) {
    ts_comm_team *team = ts_alloc_zero(1, sizeof *team, "a team of ranks");
    if (!team)
        return TS_ERROR_MEMORY;
    *team = (ts_comm_team){
        .exchange = exchange, .context = context, .number = number, .rank = rank - first, .first = first, .size = size};
    team->transfer = ts_alloc_zero((size_t)size, sizeof *team->transfer, "a team of ranks");
    team->subtrees_of = ts_alloc_zero((size_t)size, sizeof *team->subtrees_of, "a team of ranks");
    if (!team->transfer || !team->subtrees_of) {
        ts_comm_team_free(team);
        return TS_ERROR_MEMORY;
    }
    *out = team;
    return TS_OK;
}

void ts_comm_team_free(ts_comm_team *team) {
    if (!team)
        return;
    if (!team->broken) {
        ts_free(team->out);
        ts_free(team->in);
    }
    ts_free(team->transfer);
    ts_free(team->subtrees_of);
    ts_free(team->addition);
    ts_free(team->piece);
    ts_free(team);
}

static ts_status reserve(char **buffer, size_t *have, size_t bytes) {
    if (*have >= bytes)
        return TS_OK;
    ts_free(*buffer);
    *buffer = ts_alloc(bytes, "sums over a team");
    *have = *buffer ? bytes : 0;
    return *buffer ? TS_OK : TS_ERROR_FATAL;
}

// What goes to and comes from rank r of the team stands in team->transfer[r].
static ts_status exchange(ts_comm_team *team) {
    ts_transfer mine = team->transfer[team->rank];
    memcpy(mine.in, mine.out, mine.in_bytes);
    team->transfer[team->rank].in_bytes = team->transfer[team->rank].out_bytes = 0;
    for (int r = 0; r < team->size; r++)
        team->transfer[r].rank = team->first + r;
    ts_status status = team->exchange(team->context, team->number, team->transfer, team->size);
    team->broken = team->broken || status != TS_OK;
    return status;
}

// --- Sums ---

// Which subtrees the ranks have, and how they are added up.
static ts_status set_parts(ts_comm_team *team, int parts) {
    if (team->parts == parts)
        return TS_OK;
    ts_subtree list[TS_MOST_SUBTREES];
    int first, end;
    team->subtrees = 0;
    for (int r = 0; r < team->size; r++) {
        ts_tree_share(parts, r, team->size, &first, &end);
        team->subtrees_of[r] = ts_tree_subtrees(first, end, list);
        team->subtrees += team->subtrees_of[r];
    }
    ts_subtree *all = ts_alloc((size_t)team->subtrees * sizeof *all, "a team of ranks");
    ts_free(team->addition);
    ts_free(team->piece);
    team->addition = ts_alloc((size_t)team->subtrees * sizeof *team->addition, "a team of ranks");
    team->piece = ts_alloc((size_t)team->subtrees * sizeof *team->piece, "a team of ranks");
    if (!all || !team->addition || !team->piece) {
        ts_free(all);
        return TS_ERROR_FATAL;
    }
    for (int r = 0, at = 0; r < team->size; at += team->subtrees_of[r++]) {
        ts_tree_share(parts, r, team->size, &first, &end);
        int count = ts_tree_subtrees(first, end, list);
        memcpy(all + at, list, (size_t)count * sizeof *list);
    }
    ts_tree_additions(all, team->subtrees, team->addition);
    ts_free(all);
    team->parts = parts;
    return TS_OK;
}

static int64_t slice_begin(const ts_comm_team *team, int64_t count, int slice) {
    return count * slice / team->size;
}

static size_t slice_numbers(const ts_comm_team *team, int64_t count, int slice) {
    return (size_t)(slice_begin(team, count, slice + 1) - slice_begin(team, count, slice));
}

// Numbers of a sum: float or double.
typedef struct kind {
    size_t bytes;
    void (*add)(void *to, const void *from, size_t count);
} kind;

static void add_floats(void *to, const void *from, size_t count) {
    float *sum = to;
    const float *other = from;
    for (size_t i = 0; i < count; i++)
        sum[i] = sum[i] + other[i];
}

static void add_doubles(void *to, const void *from, size_t count) {
    double *sum = to;
    const double *other = from;
    for (size_t i = 0; i < count; i++)
        sum[i] = sum[i] + other[i];
}

static const kind FLOATS = {sizeof(float), add_floats}, DOUBLES = {sizeof(double), add_doubles};

// Each rank gets its slice of my subtrees, and the verdict, as a number before it.
static ts_status scatter(ts_comm_team *team, const kind *of, const char *sums, int64_t count, bool mine) {
    size_t own = slice_numbers(team, count, team->rank), n = (size_t)team->subtrees_of[team->rank];
    size_t out = (size_t)team->size + n * (size_t)count, in = (size_t)team->size + (size_t)team->subtrees * own;
    ts_status status = reserve(&team->out, &team->out_bytes, out * of->bytes);
    if (status == TS_OK)
        status = reserve(&team->in, &team->in_bytes, in * of->bytes);
    if (status != TS_OK)
        return status;
    char *to = team->out, *from = team->in;
    for (int r = 0; r < team->size; r++) {
        size_t bytes = slice_numbers(team, count, r) * of->bytes;
        ts_transfer *t = &team->transfer[r];
        *t = (ts_transfer){.out = to, .in = from};
        memset(to, mine, of->bytes);
        to += of->bytes;
        for (size_t i = 0; i < n; i++, to += bytes)
            memcpy(to, sums + (i * (size_t)count + (size_t)slice_begin(team, count, r)) * of->bytes, bytes);
        from += (1 + (size_t)team->subtrees_of[r] * own) * of->bytes;
        t->out_bytes = (size_t)(to - (const char *)t->out);
        t->in_bytes = (size_t)(from - (char *)t->in);
    }
    return exchange(team);
}

// The total of my slice, in the place of subtree 0.
static void add_up(ts_comm_team *team, const kind *of, size_t own, bool *all) {
    char *at = team->in;
    *all = true;
    for (int r = 0, k = 0; r < team->size; r++) {
        *all = *all && *at;
        at += of->bytes;
        for (int i = 0; i < team->subtrees_of[r]; i++, at += own * of->bytes)
            team->piece[k++] = at;
    }
    for (int i = 0; i < team->subtrees - 1; i++)
        of->add(team->piece[team->addition[i].to], team->piece[team->addition[i].from], own);
}

static ts_status gather(ts_comm_team *team, const kind *of, char *sums, int64_t count) {
    ts_status status = reserve(&team->out, &team->out_bytes, (size_t)count * of->bytes);
    if (status != TS_OK)
        return status;
    for (int r = 0; r < team->size; r++)
        team->transfer[r] = (ts_transfer){
            .out = team->piece[0],
            .out_bytes = slice_numbers(team, count, team->rank) * of->bytes,
            .in = team->out + (size_t)slice_begin(team, count, r) * of->bytes,
            .in_bytes = slice_numbers(team, count, r) * of->bytes,
        };
    status = exchange(team);
    if (status == TS_OK)
        memcpy(sums, team->out, (size_t)count * of->bytes);
    return status;
}

static ts_status check(const ts_comm_team *team) {
    return team->failed ? ts_fail(TS_ERROR_FATAL, "this rank has left its team") : TS_OK;
}

// What is returned of a call.
static ts_status leave_if(ts_comm_team *team, ts_status status) {
    team->failed = team->failed || status != TS_OK;
    return status;
}

static ts_status add_all(ts_comm_team *team, const kind *of, int parts, void *sums, int64_t count, bool mine,
                         bool *all) {
    ts_status status = check(team);
    if (status == TS_OK)
        status = set_parts(team, parts);
    if (status == TS_OK)
        status = scatter(team, of, sums, count, mine);
    if (status != TS_OK)
        return status;
    add_up(team, of, slice_numbers(team, count, team->rank), all);
    return gather(team, of, sums, count);
}

static ts_status add(ts_comm_team *team, const kind *of, int parts, void *sums, int64_t count, bool mine, bool *all) {
    return leave_if(team, add_all(team, of, parts, sums, count, mine, all));
}

ts_status ts_comm_team_add_floats(void *team, int parts, float *sums, int64_t count, bool mine, bool *all) {
    return add(team, &FLOATS, parts, sums, count, mine, all);
}

ts_status ts_comm_team_add_doubles(void *team, int parts, double *sums, int64_t count) {
    bool all;
    return add(team, &DOUBLES, parts, sums, count, true, &all);
}

static ts_status largest(ts_comm_team *team, int64_t *values, int count) {
    size_t bytes = (size_t)count * sizeof *values;
    ts_status status = check(team);
    if (status == TS_OK)
        status = reserve(&team->out, &team->out_bytes, bytes);
    if (status == TS_OK)
        status = reserve(&team->in, &team->in_bytes, (size_t)team->size * bytes);
    if (status != TS_OK)
        return status;
    memcpy(team->out, values, bytes);
    for (int r = 0; r < team->size; r++)
        team->transfer[r] =
            (ts_transfer){.out = team->out, .out_bytes = bytes, .in = team->in + (size_t)r * bytes, .in_bytes = bytes};
    status = exchange(team);
    for (int r = 0; r < team->size && status == TS_OK; r++)
        for (int i = 0; i < count; i++) {
            int64_t other;
            memcpy(&other, team->in + (size_t)r * bytes + (size_t)i * sizeof other, sizeof other);
            values[i] = other > values[i] ? other : values[i];
        }
    return status;
}

ts_status ts_comm_team_largest(void *team, int64_t *values, int count) {
    return leave_if(team, largest(team, values, count));
}
