// Instances are told apart by their parameters without `steps`, `checkpoints` and `save`.
#include "run/fewer_steps.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/optimiser.h"
#include "param/checkpoints.h"
#include "results/origin.h"
#include "results/rows.h"

#include <stdlib.h>
#include <string.h>

// An instance of a file that is done.
typedef struct old_instance {
    uint8_t like[TS_SHA256_BYTES]; // of the parameters that count
    int64_t instance, steps, ended;
} old_instance;

typedef enum verdict { GOES_ON, NO_STATE, SCHEDULE, CHECKPOINTS, VERDICTS } verdict;

typedef struct search {
    const ts_sweep *sweep;
    ts_sweep *then; // the file's
    old_instance *old;
    int64_t count;
    int64_t same;               // instances that are the same, steps and all
    int64_t fewer[VERDICTS];    // instances of the sweep, by verdict
    int64_t first[VERDICTS][2]; // the first of them, and its like
    int case_now, case_then;    // of the last pair of cases whose checkpoints were compared
    int64_t astray;             // the first step of theirs that the file lacks; -1: none
} search;

// --- The file's instances ---

static ts_status like_of(const ts_sweep *sweep, int64_t instance, uint8_t like[TS_SHA256_BYTES]) {
    static const char *const FREE[] = {"steps", "checkpoints", "save"};
    ts_params params;
    ts_sweep_params(sweep, instance, &params);
    for (size_t i = 0; i < sizeof FREE / sizeof *FREE; i++)
        params.value[ts_schema_find(params.schema, FREE[i])] = (ts_value){.type = TS_INTEGER};
    return ts_params_identity(&params, like);
}

static int64_t steps_of(const ts_sweep *sweep, int64_t instance) {
    ts_params params;
    ts_sweep_params(sweep, instance, &params);
    return ts_params_integer(&params, "steps");
}

static int by_like(const void *left, const void *right) {
    const old_instance *a = left, *b = right;
    int order = memcmp(a->like, b->like, sizeof a->like);
    return order ? order : (a->steps < b->steps) - (a->steps > b->steps);
}

// Those that are done, by likeness, the most steps first.
static ts_status list_old(search *s, ts_reader *reader) {
    const uint8_t *status;
    int64_t instances = ts_reader_instances(reader);
    double *ended = ts_alloc((size_t)instances * sizeof *ended, "instances of a results file");
    s->old = ts_alloc((size_t)instances * sizeof *s->old, "instances of a results file");
    ts_status read = ended && s->old ? ts_reader_status(reader, &status) : TS_ERROR_MEMORY;
    if (read == TS_OK)
        read = ts_reader_column(reader, "steps_done", ended);
    for (int64_t i = 0; i < instances && read == TS_OK; i++) {
        old_instance *old = &s->old[s->count];
        if (status[i] != TS_ROW_DONE)
            continue;
        *old = (old_instance){.instance = i, .steps = steps_of(s->then, i), .ended = (int64_t)ended[i]};
        read = like_of(s->then, i, old->like);
        s->count++;
    }
    if (read == TS_OK && s->count > 0)
        qsort(s->old, (size_t)s->count, sizeof *s->old, by_like);
    ts_free(ended);
    return read;
}

static int64_t steps_of_case(const ts_sweep *sweep, int case_index) {
    ts_params params;
    ts_case_params(sweep, case_index, 0, &params);
    return ts_params_integer(&params, "steps");
}

// Whether there are cases of both of which the sweep's have more steps: most often there are none, and that is all.
static bool any_fewer(const search *s) {
    int64_t least = INT64_MAX, most = 0;
    for (int c = 0; c < ts_sweep_cases(s->then); c++)
        least = steps_of_case(s->then, c) < least ? steps_of_case(s->then, c) : least;
    for (int c = 0; c < ts_sweep_cases(s->sweep); c++)
        most = steps_of_case(s->sweep, c) > most ? steps_of_case(s->sweep, c) : most;
    return least < most;
}

// --- Whether they can go on ---

// The first step before the end of the one at which the other is measured, or measured in full, and it is not. -1:
// there is none.
static ts_status compare_checkpoints(const ts_params *then, const ts_params *now, int64_t *astray) {
    const ts_params *of[2] = {then, now};
    int64_t count[2], *step[2], t = 0, end = ts_params_integer(then, "steps");
    int64_t every = ts_params_integer(now, "measures_every"); // the same of both
    *astray = -1;
    for (int i = 0; i < 2; i++) {
        const ts_numbers *value = ts_params_numbers(of[i], "checkpoints");
        int64_t steps = ts_params_integer(of[i], "steps");
        count[i] = ts_checkpoints(value, steps, NULL, 0);
        step[i] = ts_alloc((size_t)count[i] * sizeof **step, "checkpoints");
        count[i] = step[i] ? ts_checkpoints(value, steps, step[i], count[i]) : 0;
    }
    for (int64_t k = 0; k < count[1] && step[1][k] < end && *astray < 0; k++) {
        while (t < count[0] && step[0][t] < step[1][k])
            t++;
        bool full = k % every == 0;
        if (t == count[0] || step[0][t] != step[1][k] || (full && t % every != 0))
            *astray = step[1][k];
    }
    ts_status status = step[0] && step[1] ? TS_OK : TS_ERROR_MEMORY;
    ts_free(step[0]);
    ts_free(step[1]);
    return status;
}

static bool keeps_state(const ts_params *params) {
    return strcmp(ts_params_name(params, "save"), "state") == 0;
}

static ts_status judge(search *s, int64_t instance, int64_t old, verdict *out) {
    ts_params now, then;
    ts_status status = TS_OK;
    ts_sweep_params(s->sweep, instance, &now);
    ts_sweep_params(s->then, old, &then);
    int case_now = ts_sweep_case_of(s->sweep, instance), case_then = ts_sweep_case_of(s->then, old);
    if (case_now != s->case_now || case_then != s->case_then)
        status = compare_checkpoints(&then, &now, &s->astray);
    s->case_now = case_now;
    s->case_then = case_then;
    bool by_steps = ts_params_numbers(&now, "checkpoints")->form == TS_NUMBERS_LOG;
    *out = !keeps_state(&now) || !keeps_state(&then) ? NO_STATE
           : ts_schedule_needs_steps(&now)           ? SCHEDULE
           : by_steps || s->astray >= 0              ? CHECKPOINTS
                                                     : GOES_ON;
    return status;
}

static ts_status is_same(const search *s, int64_t instance, int64_t old, bool *same) {
    uint8_t now[TS_SHA256_BYTES], then[TS_SHA256_BYTES];
    ts_params params;
    ts_sweep_params(s->sweep, instance, &params);
    ts_status status = ts_params_identity(&params, now);
    ts_sweep_params(s->then, old, &params);
    if (status == TS_OK)
        status = ts_params_identity(&params, then);
    *same = status == TS_OK && memcmp(now, then, sizeof now) == 0;
    return status;
}

// The like of an instance to go on from, if it can, or else the one with the most steps. NULL: it has none with fewer,
// or is there itself.
static ts_status find_like(search *s, int64_t instance, const old_instance **out, verdict *best) {
    old_instance key = {.steps = INT64_MAX};
    int64_t low = 0, high = s->count, steps = steps_of(s->sweep, instance);
    ts_status status = like_of(s->sweep, instance, key.like);
    *out = NULL;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (by_like(&s->old[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; status == TS_OK && low < s->count && memcmp(s->old[low].like, key.like, sizeof key.like) == 0; low++) {
        const old_instance *old = &s->old[low];
        bool same = false;
        verdict found;
        if (old->steps == steps)
            status = is_same(s, instance, old->instance, &same);
        if (same) {
            s->same++;
            *out = NULL;
            return TS_OK;
        }
        if (status != TS_OK || old->steps >= steps || (*out && *best == GOES_ON))
            continue;
        status = judge(s, instance, old->instance, &found);
        if (!*out || found == GOES_ON) {
            *out = old;
            *best = found;
        }
    }
    return status;
}

// --- The list ---

// Keeps, of two files, the one with more steps.
static ts_status add(ts_fewer_list *list, int64_t *at, const ts_fewer_steps *one, int64_t before) {
    while (*at < before && list->item[*at].instance < one->instance)
        ++*at;
    if (*at < before && list->item[*at].instance == one->instance) {
        if (list->item[*at].step < one->step)
            list->item[*at] = *one;
        return TS_OK;
    }
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity * 2 + 64;
        ts_fewer_steps *grown = ts_realloc(list->item, (size_t)capacity * sizeof *grown, "instances to go on with");
        if (!grown)
            return TS_ERROR_MEMORY;
        list->item = grown;
        list->capacity = capacity;
    }
    list->item[list->count++] = *one;
    return TS_OK;
}

static int by_instance(const void *left, const void *right) {
    const ts_fewer_steps *a = left, *b = right;
    return (a->instance > b->instance) - (a->instance < b->instance);
}

static ts_status look_through(search *s, int file, ts_fewer_list *list) {
    int64_t before = list->count, at = 0;
    ts_status status = TS_OK;
    for (int64_t i = 0; i < ts_sweep_instances(s->sweep) && status == TS_OK; i++) {
        const old_instance *old;
        verdict found;
        status = find_like(s, i, &old, &found);
        if (status != TS_OK || !old)
            continue;
        if (s->fewer[found]++ == 0) {
            s->first[found][0] = i;
            s->first[found][1] = old->instance;
        }
        if (found == GOES_ON)
            status = add(list, &at, &(ts_fewer_steps){i, file, old->instance, old->ended}, before);
    }
    if (status == TS_OK && list->count > 0)
        qsort(list->item, (size_t)list->count, sizeof *list->item, by_instance);
    return status;
}

// --- What is said ---

// Why instances with states cannot go on, and the cure, without the name of the option.
static void explain(const search *s, const char *file, verdict why, ts_text *out) {
    ts_params now, then;
    ts_sweep_params(s->sweep, s->first[why][0], &now);
    ts_sweep_params(s->then, s->first[why][1], &then);
    int64_t more = ts_params_integer(&now, "steps"), fewer = ts_params_integer(&then, "steps"), astray;
    const ts_numbers *checkpoints = ts_params_numbers(&now, "checkpoints");
    bool parts = ts_params_integer(&now, "measures_every") > 1;
    ts_text value = {0};
    ts_value_text(&now.value[ts_schema_find(now.schema, "checkpoints")], &value);
    ts_text_addf(out,
                 "'%s' has the state of %lld instance%s (of instance %lld at step %lld, now of %lld), which cannot "
                 "go on: ",
                 file, (long long)s->fewer[why], ts_plural(s->fewer[why]), (long long)s->first[why][0],
                 (long long)fewer, (long long)more);
    if (why == SCHEDULE)
        ts_text_addf(out,
                     "with 'schedule: %s' the learning rate of every step depends on 'steps'; only with 'schedule: "
                     "constant', in both sweeps, can there be more of them afterwards",
                     ts_params_name(&now, "schedule"));
    else if (checkpoints->form == TS_NUMBERS_LOG)
        ts_text_addf(out,
                     "the steps of 'checkpoints: %s' depend on 'steps'; give a list, of those before step %lld some "
                     "that the file has, or 'checkpoints: {every: N}' in both sweeps",
                     ts_text_get(&value), (long long)fewer);
    else if (compare_checkpoints(&then, &now, &astray) == TS_OK)
        ts_text_addf(out,
                     "it was not measured%s at step %lld, as 'checkpoints: %s' has it; give of those before step %lld "
                     "only some that the file has%s",
                     parts ? " in full" : "", (long long)astray, ts_text_get(&value), (long long)fewer,
                     parts ? " in full, or all of them" : "");
    ts_text_free(&value);
}

static ts_status report(const search *s, const char *file) {
    ts_status status = TS_OK;
    for (verdict why = SCHEDULE; why < VERDICTS && status == TS_OK; why++) {
        ts_text reason = {0};
        if (s->fewer[why] == 0)
            continue;
        explain(s, file, why, &reason);
        if (ts_text_status(&reason) != TS_OK)
            status = TS_ERROR_MEMORY;
        else if (s->same == 0)
            status =
                ts_fail(TS_ERROR_USER, "--reuse: %s; or leave out '--reuse %s', and they are trained from the start",
                        ts_text_get(&reason), file);
        else
            ts_warn("--reuse: %s; they are trained from the start", ts_text_get(&reason));
        ts_text_free(&reason);
    }
    if (status == TS_OK && s->fewer[NO_STATE] > 0)
        ts_warn(
            "--reuse: '%s' has %lld instance%s with fewer steps, but only with 'save: state' in both sweeps can they "
            "go on from there: they are trained from the start",
            file, (long long)s->fewer[NO_STATE], ts_plural(s->fewer[NO_STATE]));
    return status;
}

// --- Public ---

static ts_status find_in(const ts_sweep *sweep, const char *file, int number, bool quiet, ts_fewer_list *list) {
    search s = {.sweep = sweep, .case_now = -1};
    ts_reader *reader;
    ts_status status = ts_reader_open(file, &reader);
    if (status != TS_OK)
        return status;
    // A file whose sweep cannot be read may be damaged; its rows are taken all the same.
    bool readable = ts_origin_read(reader, &s.then) == TS_OK;
    if (readable && any_fewer(&s)) {
        status = list_old(&s, reader);
        if (status == TS_OK)
            status = look_through(&s, number, list);
        if (status == TS_OK && !quiet)
            status = report(&s, file);
    }
    ts_reader_close(reader);
    ts_free(s.old);
    if (s.fewer[GOES_ON] > 0)
        list->sweep[number] = s.then;
    else
        ts_sweep_free(s.then);
    return status;
}

static ts_status find(const ts_sweep *sweep, const char *const *files, int n_files, bool quiet, ts_fewer_list *list) {
    *list = (ts_fewer_list){.files = n_files};
    list->sweep = ts_alloc_zero((size_t)n_files, sizeof *list->sweep, "results files");
    ts_status status = list->sweep ? TS_OK : TS_ERROR_MEMORY;
    for (int i = 0; i < n_files && status == TS_OK; i++)
        status = find_in(sweep, files[i], i, quiet, list);
    return status;
}

ts_status ts_fewer_steps_find(const ts_sweep *sweep, const char *const *files, int n_files, ts_fewer_list *list) {
    return find(sweep, files, n_files, false, list);
}

int64_t ts_fewer_steps_count(const ts_sweep *sweep, const char *file) {
    ts_fewer_list list;
    ts_status status = find(sweep, &file, 1, true, &list);
    int64_t count = status == TS_OK ? list.count : 0;
    ts_fewer_steps_free(&list);
    return count;
}

void ts_fewer_steps_free(ts_fewer_list *list) {
    for (int i = 0; i < list->files && list->sweep; i++)
        ts_sweep_free(list->sweep[i]);
    ts_free(list->sweep);
    ts_free(list->item);
    *list = (ts_fewer_list){0};
}
