// Slices of steps between checkpoints; measures into records.
#include "train/trainer.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/tree.h"
#include "measure/measure.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "train/divergence.h"
#include "train/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// How long *pause may go unseen, in seconds.
static const double SLICE_SECONDS = 0.02;

static float *kept_at(const ts_trainer *t, int64_t place, int instance) {
    size_t at = (size_t)place * (size_t)t->spec.count + (size_t)instance;
    return t->kept + at * (size_t)t->spec.layout->parameters;
}

static ts_status create_slab(ts_trainer *t) {
    ts_parameter_layout parameters;
    t->model->layout(&t->spec.params[0], &parameters);
    size_t count = (size_t)t->spec.count;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "a unit's results") != TS_OK)
            return TS_ERROR_MEMORY;
        t->params = ts_slab_take(&t->slab, count, sizeof *t->params);
        t->reached = ts_slab_take(&t->slab, count, sizeof *t->reached);
        t->diverged = ts_slab_take(&t->slab, count, sizeof *t->diverged);
        t->records = ts_slab_take(&t->slab, count, t->spec.layout->bytes);
        t->measures = ts_slab_take(&t->slab, (size_t)t->spec.layout->measures, sizeof *t->measures);
        t->scratch = ts_slab_take(&t->slab, (size_t)t->spec.layout->measures, sizeof *t->scratch);
        t->final = ts_slab_take_zero(&t->slab, (size_t)t->spec.layout->measures, sizeof *t->final);
        t->parameters = ts_slab_take(&t->slab, (size_t)parameters.total, sizeof *t->parameters);
        t->kept = ts_slab_take(&t->slab, (size_t)t->spec.layout->kept * count, ts_trainer_kept_bytes(t));
        t->failure = ts_slab_take(&t->slab, count, sizeof *t->failure);
    }
    return TS_OK;
}

ts_status ts_trainer_create(const ts_trainer_spec *spec, ts_trainer **out) {
    ts_trainer *t = ts_alloc_zero(1, sizeof *t, "a trainer");
    ts_status status = t ? TS_OK : TS_ERROR_MEMORY;
    if (t) {
        t->spec = *spec;
        t->model = spec->params[0].schema->model;
        t->steps = ts_params_integer(&spec->params[0], "steps");
        t->slice = 1;
        status = create_slab(t);
    }
    status = ts_team_agree(spec->team, status); // an engine's ranks may have to meet when it is made
    if (status == TS_OK) {
        memcpy(t->params, spec->params, (size_t)spec->count * sizeof *t->params);
        t->spec.params = t->params;
        for (int i = 0; i < spec->count; i++) {
            t->reached[i] = t->diverged[i] = 0;
            ts_record_reset(spec->layout, ts_trainer_record_of(t, i));
        }
        ts_training_spec training = {t->params, spec->count, spec->data, spec->team, spec->crew};
        status = spec->engine->create(&training, &t->training);
    }
    if (status == TS_OK)
        *out = t;
    else
        ts_trainer_free(t);
    return status;
}

void ts_trainer_free(ts_trainer *t) {
    if (!t)
        return;
    if (t->training)
        t->spec.engine->destroy(t->training);
    ts_slab_free(&t->slab);
    ts_free(t);
}

// Whether the instance, measured up to the checkpoint at hand, may stop: its test loss was below the limit at
// every checkpoint of so many steps.
static bool stops(ts_trainer *t, int instance) {
    if (ts_schema_find(t->params[instance].schema, "stop") < 0)
        return false;
    const ts_numbers *rule = ts_params_numbers(&t->params[instance], "stop");
    ts_measures test_loss = ts_measures_listed(&t->params[instance], t->spec.data, t->spec.layout->listing);
    int64_t since = INT64_MAX;
    if (rule->form != TS_NUMBERS_BELOW || !ts_measures_find(&test_loss, "test_loss"))
        return false;
    for (int64_t k = t->checkpoint; k >= 0; k--) {
        double loss;
        ts_record_get_measure(t->spec.layout, k, ts_trainer_record_of(t, instance), test_loss.offset, 1, &loss);
        if (!(loss < rule->item[0]))
            break;
        since = t->spec.layout->step[k];
    }
    return since <= t->step && (double)(t->step - since) >= rule->item[1];
}

static void end(ts_trainer *t, int i, int64_t steps, int diverged) {
    t->reached[i] = -1 - steps;
    t->diverged[i] = diverged;
}

// --- Ranks of a team, who do all of this together ---

// Whether to pause; over a team, as any rank says. The first rank's clock cuts the slices of all.
static ts_status look(ts_trainer *t, const atomic_int *pause, bool *paused) {
    const ts_team *team = t->spec.team;
    int64_t values[2] = {atomic_load(pause), team && team->rank == 0 ? t->slice : 0};
    ts_status status = TS_OK;
    if (team) {
        status = team->largest(team->context, values, 2);
        t->slice = values[1];
    }
    *paused = values[0] != TS_PAUSE_NONE;
    return status;
}

// Whose threads and ranks share what is measured.
static ts_measure_help help_of(const ts_trainer *t, const atomic_int *pause) {
    const ts_team *team = t->spec.team;
    ts_measure_help help = {
        .pause = pause, .crew = t->spec.crew, .listing = t->spec.layout->listing, .device = t->spec.device};
    if (team) {
        help.rank = team->rank;
        help.ranks = team->size;
        help.add_doubles = team->add_doubles;
        help.context = team->context;
    }
    return help;
}

// --- Measures ---

// On devices the first rank of a team measures: others may differ from its in rounding, and all must do the same.
static bool measures(const ts_trainer *t) {
    return !t->spec.device || !t->spec.team || t->spec.team->rank == 0;
}

// Whether all ranks could measure; the others get the first one's numbers.
static ts_status share_measures(ts_trainer *t, ts_status mine) {
    const ts_team *team = t->spec.team;
    ts_subtree list[TS_MOST_SUBTREES];
    int parts = 1, first, end;
    size_t count = (size_t)t->spec.layout->measures;
    if (!team || !t->spec.device)
        return ts_team_agree(team, mine);
    while (parts < team->size)
        parts *= 2;
    ts_tree_share(parts, team->rank, team->size, &first, &end);
    size_t subtrees = (size_t)ts_tree_subtrees(first, end, list);
    double *sums = ts_alloc_zero(subtrees > 1 ? subtrees * count : count, sizeof *sums, "measures of a team");
    ts_status status = ts_team_agree(team, mine != TS_OK || sums ? mine : TS_ERROR_MEMORY);
    if (status == TS_OK && team->rank == 0)
        memcpy(sums, t->measures, count * sizeof *sums);
    if (status == TS_OK)
        status = team->add_doubles(team->context, parts, sums, (int64_t)count);
    if (status == TS_OK)
        memcpy(t->measures, sums, count * sizeof *sums);
    ts_free(sums);
    return status;
}

static ts_status measure(ts_trainer *t, int i, bool last, const atomic_int *pause) {
    ts_measure_help help = help_of(t, pause);
    ts_measure_extent extent = ts_measure_extent_of(last, ts_record_is_full(t->spec.layout, t->checkpoint));
    ts_status status = TS_OK;
    if (measures(t))
        status = ts_measure_weights(&t->params[i], t->spec.data, t->parameters, t->step, extent, &help, t->measures);
    return share_measures(t, status);
}

// Measures an instance whose state is finite, and says what of state and losses is not. (Engines look at every step, so
// that no such state should be found; but one that forgets must not leave a finished row.)
static ts_status measure_finite(ts_trainer *t, int i, bool last, const atomic_int *pause, int *diverged) {
    ts_status status = ts_divergence_of_state(t->spec.engine, t->training, i, &t->params[i], diverged);
    if (status == TS_OK && !*diverged)
        status = t->spec.engine->get_parameters(t->training, i, t->parameters);
    status = ts_team_agree(t->spec.team, status);
    if (status != TS_OK || *diverged)
        return status;
    status = measure(t, i, last, pause);
    if (status == TS_OK)
        *diverged = ts_divergence_of_losses(t->spec.layout->listing, t->measures);
    return status;
}

// --- Hindsight: what depends on the last checkpoint, of those before it ---

// Where weights of the checkpoint are kept; -1: nowhere.
static int64_t place_of(const ts_trainer *t, int64_t checkpoint) {
    int64_t place = ts_record_kept_before(t->spec.layout, checkpoint);
    return ts_record_kept(t->spec.layout, place) == checkpoint ? place : -1;
}

static void keep_weights(ts_trainer *t, int instance) {
    int64_t place = place_of(t, t->checkpoint);
    if (place >= 0)
        memcpy(kept_at(t, place, instance), t->parameters, ts_trainer_kept_bytes(t));
}

// Of the checkpoint; NULL: they are not known.
static const float *weights_of(ts_trainer *t, int instance, int64_t checkpoint) {
    const ts_record_layout *layout = t->spec.layout;
    if (layout->saved)
        return ts_record_get_weights(layout, checkpoint, ts_trainer_record_of(t, instance), t->parameters)
                   ? t->parameters
                   : NULL;
    int64_t place = place_of(t, checkpoint);
    return place >= 0 ? kept_at(t, place, instance) : NULL;
}

// Looks at all checkpoints before the one at hand, the instance's last. TS_STOPPED: only up to t->reviewed.
static ts_status review(ts_trainer *t, int i, const atomic_int *pause) {
    const ts_record_layout *layout = t->spec.layout;
    ts_measure_help help = help_of(t, pause);
    bool paused;
    ts_record_get_final(layout, ts_trainer_record_of(t, i), t->final);
    for (; layout->hindsight && t->reviewed <= t->checkpoint; t->reviewed++) {
        ts_status status = look(t, pause, &paused);
        if (status != TS_OK || paused)
            return status != TS_OK ? status : TS_STOPPED;
        bool full = ts_record_is_full(layout, t->reviewed - 1);
        const float *weights = full ? weights_of(t, i, t->reviewed - 1) : NULL;
        if (!weights)
            continue;
        if (measures(t))
            status = ts_measure_hindsight(&t->params[i], t->spec.data, weights, t->final, &help, t->measures);
        status = share_measures(t, status);
        if (status != TS_OK)
            return status;
        ts_record_put_hindsight(layout, t->reviewed - 1, t->measures, ts_trainer_record_of(t, i));
    }
    return TS_OK;
}

// --- A checkpoint ---

static ts_status measure_instance(ts_trainer *t, int i, const atomic_int *pause) {
    const ts_record_layout *layout = t->spec.layout;
    bool last = t->checkpoint == layout->checkpoints - 1;
    int diverged = 0;
    ts_status status = measure_finite(t, i, last, pause, &diverged);
    if (status != TS_OK)
        return status;
    if (diverged & ~TS_DIVERGED_LOSS) { // by the last update: there is nothing to measure
        end(t, i, t->step > 0 ? t->step - 1 : 0, diverged);
        return TS_OK;
    }
    last = last && !diverged; // its curve so far is kept
    ts_record_put_measures(layout, t->checkpoint, last, t->measures, ts_trainer_record_of(t, i));
    if (diverged) {
        end(t, i, t->step, diverged);
    } else if (!last && stops(t, i)) {
        last = true;
        status = measure(t, i, last, pause);
        if (status != TS_OK)
            return status;
        end(t, i, t->step, 0);
    }
    ts_record_put_weights(layout, t->checkpoint, last, t->parameters, ts_trainer_record_of(t, i));
    keep_weights(t, i);
    if (last) {
        status = ts_team_agree(t->spec.team, ts_trainer_keep_state(t, i));
        if (status != TS_OK)
            return status;
        ts_record_conclude(layout, &t->params[i], t->spec.data, t->checkpoint, t->measures, t->scratch,
                           ts_trainer_record_of(t, i));
        t->reviewed = 1;
    }
    return TS_OK;
}

// Measures what is to be measured of an instance at the checkpoint, or goes on with it.
static ts_status visit(ts_trainer *t, int i, const atomic_int *pause) {
    ts_status status = TS_OK;
    if (t->reviewed == 0 && t->reached[i] == t->step)
        status = measure_instance(t, i, pause);
    return status == TS_OK && t->reviewed > 0 ? review(t, i, pause) : status;
}

// Measures every instance that is still alive at the checkpoint the unit has reached. TS_STOPPED: only `measured` of
// them, and the checkpoint is still the next one.
static ts_status measure_all(ts_trainer *t, const atomic_int *pause) {
    int64_t place = place_of(t, t->checkpoint);
    if (!ts_trainer_is_begun(t->measured, t->reviewed) && place >= 0) // what instances that have ended leave there
        memset(kept_at(t, place, 0), 0, (size_t)t->spec.count * ts_trainer_kept_bytes(t));
    for (; t->measured < t->spec.count; t->measured++) {
        int i = (int)t->measured;
        ts_status status = visit(t, i, pause); // the same on all ranks of a team
        if (status != TS_OK)
            return status;
        t->reviewed = 0;
    }
    t->measured = 0;
    t->checkpoint++;
    return TS_OK;
}

// Whether an instance is still to be trained, measured or looked at in hindsight.
static bool any_left(const ts_trainer *t) {
    if (t->reviewed > 0)
        return true;
    for (int i = 0; i < t->spec.count; i++)
        if (t->reached[i] == t->step)
            return true;
    return false;
}

// Instances that the engine has stopped on the way from step `from` to t->step end, with what is not finite: a state
// that is belongs to a loss that is not.
static ts_status end_stopped(ts_trainer *t) {
    for (int i = 0; i < t->spec.count; i++) {
        int diverged = 0;
        if (t->reached[i] < 0 || t->reached[i] == t->step)
            continue;
        ts_status status = ts_team_agree(
            t->spec.team, ts_divergence_of_state(t->spec.engine, t->training, i, &t->params[i], &diverged));
        if (status != TS_OK)
            return status;
        end(t, i, t->reached[i], diverged ? diverged : TS_DIVERGED_LOSS);
    }
    return TS_OK;
}

// One slice, at most up to the next checkpoint.
static ts_status train_slice(ts_trainer *t) {
    int64_t target = t->spec.layout->step[t->checkpoint];
    int64_t to = target - t->step > t->slice ? t->step + t->slice : target;
    double start = ts_clock();
    ts_status status = t->spec.engine->train(t->training, t->step, to, t->reached);
    double seconds = ts_clock() - start;
    if (seconds > SLICE_SECONDS && t->slice > 1)
        t->slice /= 2;
    else if (seconds < SLICE_SECONDS / 2 && to - t->step == t->slice)
        t->slice *= 2;
    t->step = to;
    return status == TS_OK ? end_stopped(t) : status;
}

ts_status ts_trainer_advance(ts_trainer *t, const atomic_int *pause, bool *finished) {
    const ts_record_layout *layout = t->spec.layout;
    ts_status status = TS_OK;
    bool paused;
    *finished = false;
    while (status == TS_OK) {
        if (t->checkpoint == layout->checkpoints || !any_left(t)) {
            *finished = true;
            return TS_OK;
        }
        status = look(t, pause, &paused);
        if (status != TS_OK || paused)
            return status;
        if (t->step == layout->step[t->checkpoint])
            status = measure_all(t, pause);
        else
            status = train_slice(t);
        atomic_store(&t->progress, (double)t->step / (double)t->steps);
    }
    return status == TS_STOPPED ? TS_OK : status;
}

double ts_trainer_progress(const ts_trainer *t) {
    return atomic_load(&t->progress);
}

ts_trained ts_trainer_result(const ts_trainer *t, int instance) {
    int64_t reached = t->reached[instance];
    ts_trained result = {.steps_done = ts_trainer_steps_of(reached), .record = ts_trainer_record_of(t, instance)};
    int diverged = (int)t->diverged[instance];
    if (diverged) {
        ts_divergence_say(diverged, result.steps_done + (diverged == TS_DIVERGED_LOSS ? 0 : 1), t->failure[instance],
                          sizeof t->failure[instance]);
        result.failure = t->failure[instance];
    }
    return result;
}

int64_t ts_trainer_bytes(const ts_params *params, const ts_record_layout *layout) {
    ts_parameter_layout parameters;
    params->schema->model->layout(params, &parameters);
    // Weights, moments and a gradient in double precision at most, the record, kept weights, the parameters' struct.
    int64_t numbers = (1 + ts_optimiser_parts(params)) * parameters.total;
    return (int64_t)sizeof(ts_params) + (int64_t)layout->bytes + numbers * (int64_t)sizeof(double) +
           layout->kept * parameters.total * (int64_t)sizeof(float);
}
