// Statistics of each point over its seeds.
#include "run/report.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/sheet.h"
#include "measure/measure.h"
#include "model/model.h"
#include "results/rows.h"
#include "run/next.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COLUMNS = 16 };

// A column of the file.
typedef struct column {
    const char *name;
    double *value; // (instances); NULL: the file has none
} column;

struct ts_report {
    ts_reader *reader;
    const ts_grid *grid;
    const uint8_t *status; // (instances) the reader's, who must not be asked for it again
    column column[MOST_COLUMNS];
    int columns;
    double *sorted; // (instances)
};

// --- Columns ---

// Whether the sweep, if it is known, has instances with that measure.
static bool is_of_sweep(const ts_report *report, const char *name) {
    const ts_sweep *sweep = report->grid ? report->grid->sweep : NULL;
    for (int i = 0; sweep && i < ts_sweep_cases(sweep); i++)
        if (ts_measures_of_kind(ts_sweep_case(sweep, i)->schema->task->kind, name))
            return true;
    return false;
}

// Whether the file must have it: one by this version has all that its sweep has, others what they had then.
static bool is_wanted(const ts_report *report, const char *name, bool new) {
    bool current = strcmp(ts_reader_attribute(report->reader, "version"), TOYSWEEP_VERSION) == 0;
    return (current || !new) && is_of_sweep(report, name);
}

// new: there are files by earlier versions that do not have it.
static ts_status read_column(ts_report *report, const char *name, bool new) {
    for (int i = 0; i < report->columns; i++)
        if (strcmp(report->column[i].name, name) == 0)
            return TS_OK;
    if (report->columns == MOST_COLUMNS)
        return ts_fail(TS_ERROR_FATAL, "more than %d measures to report", MOST_COLUMNS);
    column *made = &report->column[report->columns++];
    *made = (column){name, ts_alloc((size_t)ts_reader_instances(report->reader) * sizeof(double), name)};
    ts_status status = made->value ? ts_reader_column(report->reader, name, made->value) : TS_ERROR_MEMORY;
    if (status != TS_ERROR_USER)
        return status;
    if (is_wanted(report, name, new))
        return ts_fail_again(TS_ERROR_FATAL, ts_message());
    ts_free(made->value); // no such measure in this file
    made->value = NULL;
    return TS_OK;
}

static const double *find_column(const ts_report *report, const char *name) {
    for (int i = 0; i < report->columns; i++)
        if (strcmp(report->column[i].name, name) == 0)
            return report->column[i].value;
    return NULL;
}

ts_status ts_report_open(ts_reader *reader, const ts_grid *grid, ts_report **out) {
    ts_report *report = ts_alloc_zero(1, sizeof *report, "a report");
    if (!report)
        return TS_ERROR_MEMORY;
    report->reader = reader;
    report->grid = grid;
    report->sorted = ts_alloc((size_t)ts_reader_instances(reader) * sizeof(double), "a report");
    ts_status status = report->sorted ? ts_reader_status(reader, &report->status) : TS_ERROR_MEMORY;
    for (int m = 0; ts_models[m] && status == TS_OK; m++)
        for (int k = 0; ts_model_measure(ts_models[m], k) && status == TS_OK; k++)
            status = read_column(report, ts_model_measure(ts_models[m], k),
                                 ts_model_measure(ts_models[m], k) != ts_models[m]->headline);
    if (status == TS_OK)
        status = read_column(report, "final_loss_error", true);
    if (status == TS_OK)
        status = read_column(report, "test_accuracy", false);
    if (status == TS_OK)
        status = read_column(report, "grokked_step", false);
    if (status == TS_OK)
        *out = report;
    else
        ts_report_close(report);
    return status;
}

void ts_report_close(ts_report *report) {
    if (!report)
        return;
    for (int i = 0; i < report->columns; i++)
        ts_free(report->column[i].value);
    ts_free(report->sorted);
    ts_free(report);
}

void ts_report_count(const ts_report *report, int64_t *done, int64_t *failed) {
    *done = *failed = 0;
    for (int64_t i = 0; i < ts_reader_instances(report->reader); i++) {
        *done += report->status[i] == TS_ROW_DONE;
        *failed += report->status[i] == TS_ROW_FAILED;
    }
}

// --- Summaries ---

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

// The measure by which an instance of the model (NULL: not known) is judged, with its value; NAN: nothing is known of
// it.
static double judge(const ts_report *report, const ts_model *model, int64_t instance, const char **measure) {
    for (int m = 0; ts_models[m]; m++)
        for (int k = 0; (!model || ts_models[m] == model) && ts_model_measure(ts_models[m], k); k++) {
            const double *values = find_column(report, ts_model_measure(ts_models[m], k));
            if (values && !isnan(values[instance])) {
                *measure = ts_model_measure(ts_models[m], k);
                return values[instance];
            }
        }
    return NAN;
}

// How finished instances are judged, in ascending order, into report->sorted; how many of them are.
static int64_t sort_judged(const ts_report *report, const ts_model *model, const int64_t *instance, int64_t count,
                           const char **measure) {
    int64_t known = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = report->status[instance[i]] == TS_ROW_DONE ? judge(report, model, instance[i], measure) : NAN;
        if (!isnan(value))
            report->sorted[known++] = value;
    }
    qsort(report->sorted, (size_t)known, sizeof(double), ascending);
    return known;
}

// What finished instances have of a column, in ascending order, into report->sorted; how many.
static int64_t sort_known(const ts_report *report, const double *values, const int64_t *instance, int64_t count) {
    int64_t known = 0;
    for (int64_t i = 0; i < count && values; i++)
        if (report->status[instance[i]] == TS_ROW_DONE && !isnan(values[instance[i]]))
            report->sorted[known++] = values[instance[i]];
    qsort(report->sorted, (size_t)known, sizeof(double), ascending);
    return known;
}

static double median_of(const double *sorted, int64_t count) {
    return count > 0 ? sorted[(count - 1) / 2] / 2 + sorted[count / 2] / 2 : NAN;
}

// The measure of instances of which none is done and the model is not known: the first headline that the file has.
static const char *any_headline(const ts_report *report) {
    for (int m = 0; ts_models[m]; m++)
        if (find_column(report, ts_models[m]->headline))
            return ts_models[m]->headline;
    return "train_loss";
}

// Of an instance, and all of its case or point: a model shapes, so that they have no two. NULL: not known.
static const ts_model *model_of(const ts_report *report, int64_t instance) {
    const ts_sweep *sweep = report->grid ? report->grid->sweep : NULL;
    return sweep ? ts_sweep_case(sweep, ts_sweep_case_of(sweep, instance))->schema->model : NULL;
}

static ts_summary summarise(const ts_report *report, const int64_t *instance, int64_t count) {
    const double *sorted = report->sorted, *grokked = find_column(report, "grokked_step");
    const ts_model *model = model_of(report, instance[0]);
    ts_summary s = {.instances = count,
                    .measure = model ? model->headline : any_headline(report),
                    .mean = NAN,
                    .error = NAN,
                    .table = grokked && (!model || ts_measures_of_kind(model->learns, "grokked_step"))};
    for (int64_t i = 0; i < count; i++) {
        bool done = report->status[instance[i]] == TS_ROW_DONE;
        s.done += done;
        s.failed += report->status[instance[i]] == TS_ROW_FAILED;
        s.grokked += done && s.table && !isnan(grokked[instance[i]]);
    }
    if (strcmp(ts_reader_attribute(report->reader, "backend"), TS_BACKEND_ELSEWHERE) == 0)
        s.grokked = -1;
    int64_t known = sort_judged(report, model, instance, count, &s.measure);
    s.best = known ? sorted[0] : NAN;
    s.median = median_of(sorted, known);
    s.worst = known ? sorted[known - 1] : NAN;
    for (int64_t i = 0; i < known; i++)
        s.mean = (i ? s.mean : 0) + sorted[i] / (double)known;
    if (strcmp(s.measure, "estimated_loss") == 0) {
        int64_t errors = sort_known(report, find_column(report, "final_loss_error"), instance, count);
        s.error = errors ? report->sorted[errors - 1] : NAN;
    }
    known = s.table ? sort_known(report, find_column(report, "test_accuracy"), instance, count) : 0;
    s.accuracy = median_of(sorted, known);
    if (s.done > 0 && known == 0)
        s.grokked = -1; // there were no pairs to be tested on
    return s;
}

// --- Lines: points of the grid, or cases where it is not known ---

int64_t ts_report_lines(const ts_report *report) {
    return report->grid ? report->grid->points : ts_reader_cases(report->reader);
}

static const int64_t *instances_of(const ts_report *report, int64_t line, int64_t *count) {
    const ts_grid *grid = report->grid;
    if (grid) {
        *count = grid->first[line + 1] - grid->first[line];
        return grid->instance + grid->first[line];
    }
    *count = ts_reader_case_at(report->reader, (int)line)->rows;
    return ts_reader_case_at(report->reader, (int)line)->instance;
}

ts_summary ts_report_summary(const ts_report *report, int64_t line) {
    int64_t count;
    const int64_t *instance = instances_of(report, line, &count);
    return summarise(report, instance, count);
}

int64_t ts_report_best(const ts_report *report, int64_t line) {
    int64_t count, best = -1;
    const int64_t *instance = instances_of(report, line, &count);
    const ts_model *model = model_of(report, instance[0]);
    const char *measure;
    double least = INFINITY;
    for (int64_t i = 0; i < count; i++) {
        double value = report->status[instance[i]] == TS_ROW_DONE ? judge(report, model, instance[i], &measure) : NAN;
        if (value < least) {
            least = value;
            best = instance[i];
        }
    }
    return best;
}

void ts_report_label(const ts_report *report, int64_t line, ts_text *label) {
    ts_text_clear(label);
    if (report->grid)
        ts_grid_label(report->grid, line, label);
    else
        ts_text_add(label, ts_reader_case_at(report->reader, (int)line)->label);
}

// --- The sheet ---

enum { LABEL, DONE, BEST, MEDIAN, MEAN, WORST, ACCURACY, GROKKED, TIME, NOTE, COLUMNS };

// What the lines that are shown have in common.
typedef struct extent {
    bool tables;         // some learn a table
    const char *measure; // of all of which one is known; NULL: they have different ones
} extent;

static extent look_at(const ts_report *report, int64_t shown) {
    extent all = {0};
    bool any = false; // some line has numbers
    for (int64_t line = 0; line < shown; line++) {
        ts_summary s = ts_report_summary(report, line);
        all.tables = all.tables || s.table;
        if (line == 0 || (!any && !isnan(s.best)))
            all.measure = s.measure;
        else if (all.measure && strcmp(all.measure, s.measure) != 0 && (!any || !isnan(s.best)))
            all.measure = NULL;
        any = any || !isnan(s.best);
    }
    return all;
}

static void add_number(ts_sheet *sheet, double value) {
    if (isnan(value))
        ts_sheet_add(sheet, "-");
    else
        ts_sheet_addf(sheet, "%.4g", value);
}

static void add_line(const ts_report *report, int64_t line, const extent *all, const double *seconds, ts_sheet *sheet,
                     ts_text *label) {
    ts_summary s = ts_report_summary(report, line);
    char failed[48] = "", time[32] = "", error[32] = "";
    ts_report_label(report, line, label);
    ts_sheet_add(sheet, ts_text_get(label));
    ts_sheet_addf(sheet, "%lld/%lld", (long long)s.done, (long long)s.instances);
    add_number(sheet, s.best);
    add_number(sheet, s.median);
    add_number(sheet, s.mean);
    add_number(sheet, s.worst);
    if (all->tables) {
        add_number(sheet, s.accuracy);
        if (s.table && s.grokked >= 0)
            ts_sheet_addf(sheet, "%lld/%lld", (long long)s.grokked, (long long)s.done);
        else
            ts_sheet_add(sheet, "-");
    }
    if (seconds && seconds[line] > 0)
        ts_duration_text(seconds[line], time);
    if (seconds)
        ts_sheet_add(sheet, time);
    if (s.failed)
        snprintf(failed, sizeof failed, "%lld failed", (long long)s.failed);
    if (!isnan(s.error))
        snprintf(error, sizeof error, "%s+-%.1e", all->measure ? "" : " ", s.error);
    bool before = !all->measure || error[0];
    ts_sheet_addf(sheet, "%s%s%s%s", all->measure ? "" : s.measure, error, before && s.failed ? ", " : "", failed);
}

static void print_rest(const char *path, int64_t lines) {
    ts_text line = {0};
    ts_text_addf(&line, "... and %lld more; all of them:", (long long)lines);
    ts_next_command(&line, "status");
    ts_next_path(&line, path);
    ts_next_print(&line);
}

ts_status ts_report_print(const ts_report *report, const char *path, const double *seconds, int64_t most) {
    static const ts_sheet_column HEADINGS[COLUMNS] = {
        [LABEL] = {.left = true},
        [DONE] = {.heading = "done"},
        [BEST] = {.heading = "best"},
        [MEDIAN] = {.heading = "median"},
        [MEAN] = {.heading = "mean", .spare = 1},
        [WORST] = {.heading = "worst", .spare = 2},
        [ACCURACY] = {.heading = "accuracy"},
        [GROKKED] = {.heading = "grokked"},
        [TIME] = {.heading = "time", .spare = 3},
        [NOTE] = {.left = true},
    };
    int64_t lines = ts_report_lines(report), shown = lines < most ? lines : most;
    const extent all = look_at(report, shown);
    ts_sheet_column chosen[COLUMNS];
    ts_sheet sheet;
    char note[64];
    int columns = 0;
    for (int c = 0; c < COLUMNS; c++)
        if ((c != TIME || seconds) && ((c != ACCURACY && c != GROKKED) || all.tables))
            chosen[columns++] = HEADINGS[c];
    snprintf(note, sizeof note, "(%s)", all.measure ? all.measure : "loss");
    chosen[0].heading = report->grid ? "point" : "case";
    chosen[columns - 1].heading = note;
    ts_text label = {0};
    ts_sheet_begin(&sheet, chosen, columns);
    for (int64_t line = 0; line < shown; line++)
        add_line(report, line, &all, seconds, &sheet, &label);
    ts_status status = ts_text_status(&label);
    ts_text_free(&label);
    ts_status printed = ts_sheet_end(&sheet);
    if (lines > shown)
        print_rest(path, lines - shown);
    return status == TS_OK ? printed : status;
}

// --- JSON ---

static void put_summary(const ts_summary *s, ts_text *out) {
    ts_json_integer(out, "instances", s->instances);
    ts_json_integer(out, "done", s->done);
    ts_json_integer(out, "failed", s->failed);
    ts_json_string(out, "measure", s->measure);
    if (!isnan(s->error))
        ts_json_real(out, "error", s->error);
    ts_json_real(out, "best", s->best);
    ts_json_real(out, "median", s->median);
    ts_json_real(out, "mean", s->mean);
    ts_json_real(out, "worst", s->worst);
    if (!s->table)
        return;
    ts_json_real(out, "accuracy", s->accuracy);
    if (s->grokked >= 0)
        ts_json_integer(out, "grokked", s->grokked);
    else
        ts_json_real(out, "grokked", NAN);
}

// The values of what is swept, as in resolved parameters.
static void put_keys(const ts_grid *grid, int64_t point, ts_text *out) {
    const ts_key *const *keys;
    int count = ts_sweep_swept(grid->sweep, &keys);
    ts_params params;
    ts_sweep_params(grid->sweep, grid->instance[grid->first[point]], &params);
    ts_json_open(out, "keys", '{');
    for (int k = 0; k < count; k++) {
        int position = ts_schema_find(params.schema, keys[k]->name);
        if (position >= 0)
            ts_value_json(&params.value[position], keys[k]->name, out);
    }
    ts_json_close(out, '}');
}

static void put_points(const ts_report *report, ts_text *out) {
    ts_text label = {0};
    ts_json_open(out, "points", '[');
    for (int64_t line = 0; line < ts_report_lines(report); line++) {
        ts_summary s = ts_report_summary(report, line);
        ts_report_label(report, line, &label);
        ts_json_open(out, NULL, '{');
        ts_json_string(out, "point", ts_text_get(&label));
        put_keys(report->grid, line, out);
        put_summary(&s, out);
        ts_json_close(out, '}');
    }
    ts_json_close(out, ']');
    out->failed = out->failed || label.failed;
    ts_text_free(&label);
}

void ts_report_json(const ts_report *report, const ts_engines *engines, ts_text *out) {
    if (report->grid)
        put_points(report, out);
    ts_json_open(out, "cases", '[');
    for (int i = 0; i < ts_reader_cases(report->reader); i++) {
        const ts_reader_case *of = ts_reader_case_at(report->reader, i);
        ts_summary s = summarise(report, of->instance, of->rows);
        ts_json_open(out, NULL, '{');
        ts_json_string(out, "case", of->label);
        if (engines)
            ts_engines_json_case(engines, i, out);
        put_summary(&s, out);
        ts_json_close(out, '}');
    }
    ts_json_close(out, ']');
}
