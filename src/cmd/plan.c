// `toysweep plan`: cases are timed for some seconds, and a run is played through with what they take.
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/sheet.h"
#include "base/text.h"
#include "cmd/command.h"
#include "measure/measure.h"
#include "model/model.h"
#include "results/create.h"
#include "results/file_time.h"
#include "run/calibrate.h"
#include "run/job.h"
#include "run/load.h"
#include "run/machine.h"
#include "run/run.h"
#include "run/simulate.h"
#include "task/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const ts_option OPTIONS[] = {
    {"ranks", 0, "N", "Ranks to plan for. Default: 1."},
    {"threads", 0, "N", "Threads of each rank. Default: the cores this machine has for one rank."},
    {"ranks-per-instance", 0, "R", TS_RANKS_PER_INSTANCE_HELP},
    {"set", 0, "KEY=VALUE", "Sets a key over the sweep file, as for `run`. May be given repeatedly."},
    {"backend", 0, "NAME", "$BACKENDS. Default: auto."},
    {"json", 0, NULL, "One JSON object instead of a text, with everything the text says."},
    {0},
};

static const double HANDOUT_SECONDS = 0.0025;
enum { CASES_SHOWN = 60 };

typedef struct plan {
    const ts_sweep *sweep;
    ts_job *job;
    int ranks, threads, ranks_per_instance;
    int64_t slot_bytes;
    double *cost;             // (cases) seconds of one slot for one instance
    double *operations;       // (cases) of one instance
    int calibrated;           // cases that were timed
    ts_simulation_case *seen; // (cases) ranks that train an instance together
} plan;

static void count_operations(plan *p) {
    for (int i = 0; i < p->job->cases; i++) {
        p->operations[i] = p->job->operations[i] * p->job->steps[i];
    }
}

static ts_status simulate(plan *p, ts_simulation *result) {
    size_t cases = (size_t)p->job->cases;
    ts_coordinator_case *costs = ts_alloc_zero(cases, sizeof *costs, "a plan");
    ts_unit *pending = ts_alloc_zero(cases, sizeof *pending, "a plan");
    ts_status status = costs && pending ? TS_OK : TS_ERROR_MEMORY;
    for (int i = 0; status == TS_OK && i < p->job->cases; i++) {
        costs[i] = ts_job_case(p->job, i);
        costs[i].cost = p->cost[i];
        pending[i] = (ts_unit){i, 0, ts_sweep_case(p->sweep, i)->rows};
    }
    ts_coordinator_setup setup = {
        .ranks = p->ranks,
        .slots = p->threads,
        .slot_bytes = p->slot_bytes,
        .cases = p->job->cases,
        .cases_of = costs,
        .pending = pending,
        .n_pending = p->job->cases,
        .ranks_per_instance = p->ranks_per_instance,
    };
    if (status == TS_OK)
        status = ts_simulate(&setup, p->cost, HANDOUT_SECONDS, 0, 0, p->seen, result);
    ts_free(costs);
    ts_free(pending);
    return status;
}

static const char *bytes_text(double bytes, char out[32]) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return out;
}

// All that is printed of a plan but its cases.
typedef struct forecast {
    ts_simulation simulation;
    double operations, work; // of all instances; seconds of one thread
    double start, write;     // seconds to begin a run and make its file, and to write all of it
    double seconds, bound;   // with training
    int64_t file_bytes, datasets, unit_bytes, index_bytes;
} forecast;

// `begun`: what it took to come as far as a run does before it makes its file.
static void add_file(const plan *p, double begun, forecast *f) {
    ts_file_contents file = {.cases = p->job->cases,
                             .datasets = f->datasets,
                             .instances = ts_sweep_instances(p->sweep),
                             .bytes = f->file_bytes};
    double units = (double)f->simulation.units / (double)file.instances; // of an instance
    for (int i = 0; i < p->job->cases; i++)
        file.fields += units * (double)ts_sweep_case(p->sweep, i)->rows * p->job->layouts[i]->count;
    ts_results_time(&file, &f->start, &f->write);
    f->start += begun;
    f->seconds = f->start + f->simulation.makespan + f->write / p->ranks;
    f->bound = f->start + f->simulation.bound + f->write / p->ranks;
}

static ts_status make_forecast(plan *p, double begun, forecast *f) {
    const ts_record_layout *const *layouts = (const ts_record_layout *const *)p->job->layouts;
    *f = (forecast){.index_bytes = 20 * ts_sweep_instances(p->sweep)};
    ts_status status = simulate(p, &f->simulation);
    for (int i = 0; i < p->job->cases; i++) {
        f->operations += p->operations[i] * (double)ts_sweep_case(p->sweep, i)->rows;
        f->work += p->cost[i] * (double)ts_sweep_case(p->sweep, i)->rows;
    }
    f->file_bytes = ts_results_size(p->sweep, layouts, &f->datasets);
    f->unit_bytes = f->simulation.largest_unit * p->threads;
    add_file(p, begun, f);
    return status;
}

// What the table of a case is; false if it has none, or one that is analysed in another group.
static bool table_verdict(const plan *p, int index, char verdict[128]) {
    const ts_data *data = p->job->data[index];
    const ts_table *table = data->table;
    if (!table || (!table->group && data->symmetry))
        return false;
    ts_table_verdict(table, verdict);
    return true;
}

static ts_status print_cases(const plan *p) {
    static const ts_sheet_column COLUMNS[] = {{.heading = "case", .left = true},
                                              {.heading = "instances"},
                                              {.heading = "operations"},
                                              {.heading = "each"},
                                              {.heading = "together"}};
    int shown = p->job->cases < CASES_SHOWN ? p->job->cases : CASES_SHOWN;
    ts_sheet sheet;
    ts_sheet_begin(&sheet, COLUMNS, 5);
    for (int i = 0; i < shown; i++) {
        const ts_case *of = ts_sweep_case(p->sweep, i);
        char time[32];
        ts_sheet_add(&sheet, of->title);
        ts_sheet_addf(&sheet, "%lld", (long long)of->rows);
        ts_sheet_addf(&sheet, "%.3g", p->operations[i]);
        ts_sheet_add(&sheet, ts_duration_text(p->cost[i], time));
        ts_sheet_add(&sheet, ts_duration_text(p->cost[i] * (double)of->rows, time));
    }
    ts_status status = ts_sheet_end(&sheet);
    if (p->job->cases > shown)
        ts_print("... and %d more cases; --json has all", p->job->cases - shown);
    return status;
}

// What the tables to be learned are.
static void print_tables(const plan *p) {
    int shown = 0;
    for (int i = 0; i < p->job->cases && shown < CASES_SHOWN; i++) {
        char verdict[128];
        if (!table_verdict(p, i, verdict))
            continue;
        if (shown++ == 0)
            putchar('\n');
        ts_print("%s: %s", ts_sweep_case(p->sweep, i)->title, verdict);
    }
}

// Instances that more than one rank trains.
static void print_widths(const plan *p, const forecast *f) {
    int64_t shared = 0;
    int least = 0, first = 0, most = 0;
    for (int i = 0; i < p->job->cases; i++) {
        const ts_simulation_case *seen = &p->seen[i];
        if (seen->most == 1)
            continue;
        shared += ts_sweep_case(p->sweep, i)->rows;
        least = least == 0 || seen->first < least ? seen->first : least;
        first = seen->first > first ? seen->first : first;
        most = seen->most > most ? seen->most : most;
    }
    if (shared == 0)
        return;
    char range[32];
    snprintf(range, sizeof range, least < first ? "%d to %d" : "%d", least, first);
    ts_print("ranks together   %lld instance%s on %s rank%s each at first, up to %d later (shared anew %lld time%s)",
             (long long)shared, ts_plural(shared), range, ts_plural(first), most, (long long)f->simulation.recalls,
             ts_plural(f->simulation.recalls));
}

static ts_status print_plan(const plan *p, const forecast *f) {
    ts_status status = print_cases(p);
    print_tables(p);
    char size[32], unit_memory[32], index_memory[32], total[32], file[32], makespan[32], bound[32];
    putchar('\n');
    ts_print("%lld instance%s in %d case%s, %lld work unit%s on %d rank%s x %d thread%s, backend %s",
             (long long)ts_sweep_instances(p->sweep), ts_plural(ts_sweep_instances(p->sweep)), p->job->cases,
             ts_plural(p->job->cases), (long long)f->simulation.units, ts_plural(f->simulation.units), p->ranks,
             ts_plural(p->ranks), p->threads, ts_plural(p->threads), p->job->backend->name);
    ts_engines_print(&p->job->uses, "engine           ");
    ts_print("operations       %.3g", f->operations);
    ts_print("memory per rank  about %s for units, %s for the list of instances",
             bytes_text((double)f->unit_bytes, unit_memory), bytes_text((double)f->index_bytes, index_memory));
    ts_print("results file     %s", bytes_text((double)f->file_bytes, size));
    ts_print(
        "predicted time   %s (training and measures take one thread %s, the file %s; %d of %d case%s timed on this "
        "machine)",
        ts_duration_text(f->seconds, makespan), ts_duration_text(f->work, total),
        ts_duration_text(f->start + f->write, file), p->calibrated, p->job->cases, ts_plural(p->job->cases));
    print_widths(p, f);
    ts_print("balance          %.1f%% busy; no schedule takes less than %s", 100 * f->simulation.busy,
             ts_duration_text(f->bound, bound));
    return status;
}

static void put_case(const plan *p, int index, ts_text *out) {
    const ts_case *of = ts_sweep_case(p->sweep, index);
    char verdict[128];
    ts_json_open(out, NULL, '{');
    ts_json_string(out, "case", of->label);
    ts_json_string(out, "title", of->title);
    ts_json_integer(out, "instances", of->rows);
    ts_json_real(out, "operations", p->operations[index]);
    ts_json_real(out, "seconds_each", p->cost[index]);
    ts_json_real(out, "seconds_together", p->cost[index] * (double)of->rows);
    ts_json_integer(out, "ranks_first", p->seen[index].first);
    ts_json_integer(out, "ranks_most", p->seen[index].most);
    ts_engines_json_case(&p->job->uses, index, out);
    if (table_verdict(p, index, verdict))
        ts_json_string(out, "table", verdict);
    ts_json_close(out, '}');
}

static ts_status print_json(const plan *p, const forecast *f) {
    ts_text out = {0};
    ts_json_open(&out, NULL, '{');
    ts_json_string(&out, "name", ts_sweep_name(p->sweep));
    ts_json_string(&out, "backend", p->job->backend->name);
    ts_engines_json(&p->job->uses, &out);
    ts_json_integer(&out, "ranks", p->ranks);
    ts_json_integer(&out, "threads", p->threads);
    ts_json_integer(&out, "instances", ts_sweep_instances(p->sweep));
    ts_json_integer(&out, "units", f->simulation.units);
    ts_json_real(&out, "operations", f->operations);
    ts_json_integer(&out, "unit_bytes", f->unit_bytes);
    ts_json_integer(&out, "index_bytes", f->index_bytes);
    ts_json_integer(&out, "file_bytes", f->file_bytes);
    ts_json_real(&out, "seconds", f->seconds);
    ts_json_real(&out, "work_seconds", f->work);
    ts_json_real(&out, "file_seconds", f->start + f->write);
    ts_json_real(&out, "bound_seconds", f->bound);
    ts_json_real(&out, "busy", f->simulation.busy);
    ts_json_integer(&out, "recalls", f->simulation.recalls);
    ts_json_integer(&out, "cases_timed", p->calibrated);
    ts_json_open(&out, "cases", '[');
    for (int i = 0; i < p->job->cases; i++)
        put_case(p, i, &out);
    ts_json_close(&out, ']');
    ts_json_close(&out, '}');
    return ts_json_print(&out);
}

static ts_status make_plan(plan *p, bool json) {
    forecast f;
    double begun = ts_clock_process();
    size_t cases = (size_t)p->job->cases;
    p->cost = ts_alloc_zero(cases, sizeof *p->cost, "a plan");
    p->operations = ts_alloc_zero(cases, sizeof *p->operations, "a plan");
    p->seen = ts_alloc_zero(cases, sizeof *p->seen, "a plan");
    ts_status status = TS_ERROR_MEMORY;
    if (p->cost && p->operations && p->seen) {
        count_operations(p);
        status = ts_calibrate(p->job, p->cost, &p->calibrated);
    }
    if (status == TS_OK)
        status = make_forecast(p, begun, &f);
    if (status == TS_OK)
        status = json ? print_json(p, &f) : print_plan(p, &f);
    ts_free(p->cost);
    ts_free(p->operations);
    ts_free(p->seen);
    return status;
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    const ts_command *self = &ts_cmd_plan;
    const char *name = ts_argument(self, arguments, "backend");
    const ts_backend *backend;
    long long ranks, threads;
    ts_sweep *sweep = NULL;
    plan p = {0};
    ts_status status = ts_argument_integer(self, arguments, "ranks", 1, 1000000, comm->size, &ranks);
    if (status == TS_OK)
        status = ts_argument_integer(self, arguments, "threads", 1, 4096, ts_machine_cores(comm), &threads);
    if (status == TS_OK)
        status = ts_argument_ranks_per_instance(self, arguments, &p.ranks_per_instance);
    if (status == TS_OK)
        status = ts_load_sweep(comm, arguments->operand[0], arguments->set, arguments->n_set, &sweep);
    if (status == TS_OK)
        status = ts_job_backend(sweep, name ? name : "auto", &backend);
    if (status == TS_OK && comm->rank == 0) {
        p.sweep = sweep;
        p.ranks = (int)ranks;
        p.threads = (int)threads;
        p.slot_bytes = ts_machine_slot_bytes(comm, p.threads);
        status = ts_job_create(sweep, backend, "", &p.job);
        if (status == TS_OK)
            status = make_plan(&p, ts_argument(self, arguments, "json") != NULL);
    }
    ts_job_free(p.job);
    ts_sweep_free(sweep);
    return status == TS_OK ? TS_EXIT_DONE : ts_command_fail(comm, status);
}

const ts_command ts_cmd_plan = {
    .name = "plan",
    .operands = "SWEEP.yaml",
    .n_operands = 1,
    .summary = "dry run: cases, work units, memory, file size, predicted time",
    .description =
        "Dry run: cases, instances, work units, which engine trains them and why not a faster one, operations, memory "
        "per rank, size of the results file and, after some seconds of calibration on this machine, predicted time "
        "on N ranks, with the schedule's balance. Cases are timed in processor time, so that other programs do not "
        "mislead, each model at least once, with measures and what the file takes. Writes nothing.",
    .options = OPTIONS,
    .run = run,
};
