// `toysweep status`: what a results file holds, while a run writes it too.
#define _POSIX_C_SOURCE 200809L
#include "base/log.h"
#include "base/memory.h"
#include "base/screen.h"
#include "base/sheet.h"
#include "base/terminal.h"
#include "cmd/command.h"
#include "cmd/watch.h"
#include "integrity/lock.h"
#include "results/origin.h"
#include "results/reader.h"
#include "run/live.h"
#include "run/report.h"
#include "run/run.h"
#include "run/runlog.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ts_option OPTIONS[] = {
    {"json", 0, NULL, "One JSON object instead of text."},
    {"output", 'o', "NOW.h5",
     "Instead: makes a results file, which must not exist, that holds the curves of unfinished instances too, up to "
     "their "
     "last saved state (see `run --checkpoint-interval`). They stay pending in it."},
    {"watch", 0, NULL,
     "Fills the terminal with a table that is drawn anew every 2 seconds while a run is writing: for each point how "
     "many "
     "instances are done, how well, and the loss curve of the best one, or of one in its last saved state. q leaves; "
     "when "
     "no run is writing any more it leaves by itself, and shows what `status` shows."},
    {0},
};

enum { LATEST = 8, MOST_SILENT = 64 };

// A rank of the last run that fell silent, and has not been heard since.
typedef struct silent_rank {
    int64_t rank;
    bool lost;     // it is not waited for any more
    char host[64]; // "": not known
    char time[32]; // when that was noticed
} silent_rank;

// What the run log tells: units handed out and not finished, silent ranks, and the latest failures.
typedef struct log_summary {
    int64_t runs;
    int64_t running; // rows assigned by the last run and not finished
    int silent;
    silent_rank silent_ranks[MOST_SILENT]; // (silent)
    int64_t failures;
    struct {
        int64_t instance;
        char reason[200];
    } last[LATEST];
} log_summary;

static int64_t member_integer(const ts_yaml_node *line, const char *key) {
    const ts_yaml_node *node = ts_yaml_get(line, key);
    return node && node->text ? atoll(node->text) : 0;
}

static void member_text(const ts_yaml_node *line, const char *key, char *out, size_t bytes) {
    const ts_yaml_node *node = ts_yaml_get(line, key);
    ts_terminal_text(node && node->text ? node->text : "", out, bytes);
}

static void note_silence(log_summary *summary, const ts_yaml_node *line, const char *event) {
    int64_t rank = member_integer(line, "rank");
    int at = 0;
    while (at < summary->silent && summary->silent_ranks[at].rank != rank)
        at++;
    silent_rank *one = &summary->silent_ranks[at];
    if (strcmp(event, "heard") == 0) {
        if (at < summary->silent)
            *one = summary->silent_ranks[--summary->silent];
    } else if (at < MOST_SILENT) {
        summary->silent += at == summary->silent;
        if (strcmp(event, "lost") == 0)
            summary->running -= member_integer(line, "rows");
        *one = (silent_rank){.rank = rank, .lost = strcmp(event, "lost") == 0};
        member_text(line, "host", one->host, sizeof one->host);
        member_text(line, "time", one->time, sizeof one->time);
    }
}

static void visit(const ts_yaml_node *line, void *context) {
    log_summary *summary = context;
    const ts_yaml_node *event = ts_yaml_get(line, "event");
    if (!event || !event->text)
        return;
    if (strcmp(event->text, "start") == 0) {
        summary->runs++;
        summary->running = 0;
        summary->silent = 0;
    } else if (strcmp(event->text, "assign") == 0) {
        summary->running += member_integer(line, "rows");
    } else if (strcmp(event->text, "unit") == 0 || strcmp(event->text, "returned") == 0 ||
               strcmp(event->text, "split") == 0) {
        summary->running -= member_integer(line, "rows");
    } else if (strcmp(event->text, "failure") == 0) {
        int at = (int)(summary->failures++ % LATEST);
        summary->last[at].instance = member_integer(line, "instance");
        member_text(line, "reason", summary->last[at].reason, sizeof summary->last[at].reason);
    } else if (strcmp(event->text, "silent") == 0 || strcmp(event->text, "heard") == 0 ||
               strcmp(event->text, "lost") == 0) {
        note_silence(summary, line, event->text);
    }
}

// All that is shown of a file.
typedef struct picture {
    const char *path;
    ts_reader *reader;
    ts_report *report;
    ts_engines engines; // count 0: not known
    int64_t done, failed, pending;
    bool running;
    log_summary log;
    ts_live_instance *live; // (n_live) unfinished instances whose states are saved
    int64_t n_live;
} picture;

static int64_t shown_failures(const picture *p) {
    return p->failed == 0 ? 0 : p->log.failures < LATEST ? p->log.failures : LATEST;
}

// A run that is over waits for nobody, but may have lost some.
static bool is_silent(const picture *p, const silent_rank *one) {
    return p->running || one->lost;
}

static void silent_json(const picture *p, ts_text *out) {
    ts_json_open(out, "silent_ranks", '[');
    for (int i = 0; i < p->log.silent; i++) {
        const silent_rank *one = &p->log.silent_ranks[i];
        if (!is_silent(p, one))
            continue;
        ts_json_open(out, NULL, '{');
        ts_json_integer(out, "rank", one->rank);
        ts_json_string(out, "host", one->host);
        ts_json_bool(out, "lost", one->lost);
        ts_json_string(out, "time", one->time);
        ts_json_close(out, '}');
    }
    ts_json_close(out, ']');
}

static void print_silent(const picture *p) {
    for (int i = 0; i < p->log.silent; i++) {
        const silent_rank *one = &p->log.silent_ranks[i];
        if (is_silent(p, one))
            ts_print("rank %lld%s%s%s %s, as was noticed at %s", (long long)one->rank, *one->host ? " (" : "",
                     one->host, *one->host ? ")" : "", one->lost ? "was lost" : "is silent", one->time);
    }
}

static ts_status print_json(const picture *p) {
    ts_text out = {0};
    ts_json_open(&out, NULL, '{');
    ts_json_string(&out, "file", p->path);
    ts_json_string(&out, "name", ts_reader_attribute(p->reader, "name"));
    ts_json_string(&out, "version", ts_reader_attribute(p->reader, "version"));
    ts_json_string(&out, "backend", ts_reader_attribute(p->reader, "backend"));
    if (p->engines.count > 0)
        ts_engines_json(&p->engines, &out);
    ts_json_bool(&out, "running", p->running);
    ts_json_integer(&out, "instances", ts_reader_instances(p->reader));
    ts_json_integer(&out, "done", p->done);
    ts_json_integer(&out, "failed", p->failed);
    ts_json_integer(&out, "pending", p->pending);
    ts_json_integer(&out, "training", p->running ? p->log.running : 0);
    ts_json_integer(&out, "runs", p->log.runs);
    silent_json(p, &out);
    ts_report_json(p->report, p->engines.count ? &p->engines : NULL, &out);
    ts_json_open(&out, "unfinished", '[');
    for (int64_t i = 0; i < p->n_live; i++) {
        ts_json_open(&out, NULL, '{');
        ts_json_integer(&out, "instance", p->live[i].instance);
        ts_json_integer(&out, "step", p->live[i].latest.steps_done);
        ts_json_integer(&out, "steps", p->live[i].steps);
        for (int l = 0; l < TS_LATEST_LOSSES; l++)
            if (isfinite(p->live[i].latest.loss[l]))
                ts_json_real(&out, ts_latest_loss[l], p->live[i].latest.loss[l]);
        ts_json_close(&out, '}');
    }
    ts_json_close(&out, ']');
    ts_json_open(&out, "failures", '[');
    for (int64_t i = p->log.failures - shown_failures(p); i < p->log.failures; i++) {
        ts_json_open(&out, NULL, '{');
        ts_json_integer(&out, "instance", p->log.last[i % LATEST].instance);
        ts_json_string(&out, "reason", p->log.last[i % LATEST].reason);
        ts_json_close(&out, '}');
    }
    ts_json_close(&out, ']');
    ts_json_close(&out, '}');
    return ts_json_print(&out);
}

static bool any_has(const picture *p, int loss) {
    for (int64_t i = 0; i < p->n_live; i++)
        if (isfinite(p->live[i].latest.loss[loss]))
            return true;
    return false;
}

// Where unfinished instances are, as far as their states tell.
static ts_status print_live(const picture *p) {
    static const ts_sheet_column COLUMNS[] = {{"unfinished instance", true, 0}, {"step", false, 0}, {"of", false, 0}};
    ts_sheet_column column[3 + TS_LATEST_LOSSES];
    bool shown[TS_LATEST_LOSSES];
    int columns = 3;
    ts_sheet sheet;
    if (p->n_live == 0)
        return TS_OK;
    memcpy(column, COLUMNS, sizeof COLUMNS);
    for (int l = 0; l < TS_LATEST_LOSSES; l++)
        if ((shown[l] = any_has(p, l)))
            column[columns++] = (ts_sheet_column){ts_latest_loss[l], false, 1};
    putchar('\n');
    ts_sheet_begin(&sheet, column, columns);
    for (int64_t i = 0; i < p->n_live && i < LATEST; i++) {
        const ts_live_instance *one = &p->live[i];
        ts_sheet_addf(&sheet, "%lld", (long long)one->instance);
        ts_sheet_addf(&sheet, "%lld", (long long)one->latest.steps_done);
        ts_sheet_addf(&sheet, "%lld", (long long)one->steps);
        for (int l = 0; l < TS_LATEST_LOSSES; l++)
            if (shown[l])
                ts_sheet_addf(&sheet, isfinite(one->latest.loss[l]) ? "%.4g" : "-", one->latest.loss[l]);
    }
    ts_status status = ts_sheet_end(&sheet);
    if (status == TS_OK && p->n_live > LATEST)
        ts_print("and %lld more (--json lists them)", (long long)(p->n_live - LATEST));
    return status;
}

static ts_status print_table(const picture *p) {
    ts_print("%s: sweep '%s', toysweep %s, backend %s, %s", p->path, ts_reader_attribute(p->reader, "name"),
             ts_reader_attribute(p->reader, "version"), ts_reader_attribute(p->reader, "backend"),
             p->running ? "a run is writing" : "no run is writing");
    ts_print("%lld instance%s: %lld done, %lld training, %lld failed, %lld pending",
             (long long)ts_reader_instances(p->reader), ts_plural(ts_reader_instances(p->reader)), (long long)p->done,
             (long long)(p->running ? p->log.running : 0), (long long)p->failed,
             (long long)(p->pending - (p->running ? p->log.running : 0)));
    print_silent(p);
    ts_engines_print(&p->engines, "engine ");
    putchar('\n');
    ts_status status = ts_report_print(p->report, p->path, NULL, INT64_MAX);
    if (status == TS_OK)
        status = print_live(p);
    int64_t shown = shown_failures(p);
    if (shown > 0) {
        putchar('\n');
        ts_print("latest failures:");
    }
    for (int64_t i = p->log.failures - shown; i < p->log.failures; i++)
        ts_print("  instance %lld: %s", (long long)p->log.last[i % LATEST].instance, p->log.last[i % LATEST].reason);
    return status;
}

// What the log beside the file tells.
static ts_status read_log(const char *path, log_summary *log) {
    char beside[PATH_MAX];
    snprintf(beside, sizeof beside, "%s.log.jsonl", path);
    ts_status status = ts_runlog_read(beside, visit, log);
    if (status == TS_ERROR_MEMORY)
        return status;
    if (status != TS_OK)
        ts_warn("%s", ts_message());
    return TS_OK;
}

// What trains the cases follows from the sweep, if it is this version that trains them, on a backend of this build.
static ts_status find_engines(const ts_sweep *sweep, picture *p) {
    const ts_backend *backend = ts_backend_find(ts_reader_attribute(p->reader, "backend"));
    if (!sweep || !backend || strcmp(ts_reader_attribute(p->reader, "version"), TOYSWEEP_VERSION) != 0)
        return TS_OK;
    ts_status status = ts_engines_find(sweep, backend, &p->engines);
    if (status != TS_ERROR_USER)
        return status;
    ts_engines_free(&p->engines); // a build with other engines wrote it
    return TS_OK;
}

static ts_status show(ts_reader *reader, const ts_sweep *sweep, const ts_grid *grid, const char *path, bool json) {
    char lock[PATH_MAX];
    picture p = {.path = path, .reader = reader};
    snprintf(lock, sizeof lock, "%s.lock", path);
    p.running = ts_lock_is_held(lock);
    ts_status status = read_log(path, &p.log);
    if (status == TS_OK)
        status = find_engines(sweep, &p);
    if (status == TS_OK && sweep)
        status = ts_live_list(path, reader, sweep, &p.live, &p.n_live);
    if (status == TS_OK)
        status = ts_report_open(reader, grid, &p.report);
    if (status == TS_OK)
        ts_report_count(p.report, &p.done, &p.failed);
    p.pending = ts_reader_instances(reader) - p.done - p.failed; // a corrupt status is none
    if (p.log.running > p.pending)
        p.log.running = p.pending;
    if (status == TS_OK)
        status = json ? print_json(&p) : print_table(&p);
    ts_report_close(p.report);
    ts_engines_free(&p.engines);
    ts_free(p.live);
    return status;
}

// A results file of what there is by now.
static ts_status write_now(ts_reader *reader, const ts_sweep *sweep, const char *path, const char *output) {
    int64_t count;
    ts_status status = sweep ? ts_live_file(path, reader, sweep, output, &count) : TS_ERROR_USER;
    if (!sweep)
        return ts_fail(TS_ERROR_USER, "'%s' is of another version of toysweep, whose sweep this one cannot make", path);
    if (status == TS_OK)
        ts_print("%s: %lld unfinished instance%s with curves", output, (long long)count, ts_plural(count));
    return status;
}

// The grid of the sweep that the file holds. *damage: what is wrong with a sweep that this version wrote and cannot
// make again. Then, and of another version's that it cannot make, cases are shown in its place.
static ts_status read_grid(ts_reader *reader, const char *path, ts_sweep **sweep, ts_grid **grid, ts_text *damage) {
    ts_status status = ts_origin_read(reader, sweep);
    if (status == TS_OK)
        return ts_grid_make(*sweep, grid);
    if (status == TS_ERROR_MEMORY)
        return status;
    if (strcmp(ts_reader_attribute(reader, "version"), TOYSWEEP_VERSION) == 0)
        ts_text_addf(damage, "'%s': %s", path, ts_message());
    else
        ts_warn("'%s': %s; shown by case", path, ts_message());
    return ts_text_status(damage);
}

// What was asked for.
typedef struct status_wish {
    const char *path;
    bool json, watch;
    const char *output; // NULL: none
} status_wish;

static ts_status show_file(const status_wish *wish) {
    const char *path = wish->path;
    ts_reader *reader;
    ts_sweep *sweep = NULL;
    ts_grid *grid = NULL;
    ts_text damage = {0};
    ts_status status = ts_reader_open(path, &reader);
    if (status != TS_OK)
        return status;
    bool wanted = !wish->output;
    status = read_grid(reader, path, &sweep, &grid, &damage);
    if (status == TS_OK && wish->watch)
        status = ts_watch(path, reader, sweep, grid, &wanted);
    if (status == TS_OK && wanted)
        status = show(reader, sweep, grid, path, wish->json);
    else if (status == TS_OK && wish->output && damage.length == 0)
        status = write_now(reader, sweep, path, wish->output);
    if (status == TS_OK && damage.length > 0)
        status = ts_fail_again(TS_ERROR_FATAL, ts_text_get(&damage));
    ts_text_free(&damage);
    ts_grid_free(grid);
    ts_sweep_free(sweep);
    ts_reader_close(reader);
    return status;
}

static ts_status check_wish(const status_wish *wish) {
    const char *first = wish->watch ? "--watch" : "--output";
    if (wish->json + wish->watch + (wish->output != NULL) > 1)
        return ts_fail(TS_ERROR_USER, "%s does not go with %s; give one of them", first,
                       wish->json ? "--json" : "--output");
    return wish->watch ? ts_screen_check() : TS_OK;
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    if (comm->rank != 0)
        return TS_EXIT_DONE;
    const status_wish wish = {
        .path = arguments->operand[0],
        .json = ts_argument(&ts_cmd_status, arguments, "json") != NULL,
        .watch = ts_argument(&ts_cmd_status, arguments, "watch") != NULL,
        .output = ts_argument(&ts_cmd_status, arguments, "output"),
    };
    ts_status status = check_wish(&wish);
    if (status == TS_OK)
        status = show_file(&wish);
    return status == TS_OK ? TS_EXIT_DONE : ts_command_fail(comm, status);
}

const ts_command ts_cmd_status = {
    .name = "status",
    .operands = "FILE.h5",
    .n_operands = 1,
    .summary = "what is done, training, failed and pending, and how well, by what was swept",
    .description =
        "Shows what is done, training, failed and pending in a results file, and for each point of the "
        "sweep's grid (instances that differ in their seeds only) best, median, mean and worst of the loss; "
        "of tables also the median test accuracy, and how many have generalised; of unfinished instances the "
        "step and the losses in their last saved state. Names ranks of the last run that are silent or were lost. Says "
        "which engine trains the cases, and why not a "
        "faster one. Needs nothing but the file and the states beside it, and works while a run is writing "
        "and on what a killed run left.",
    .options = OPTIONS,
    .run = run,
};
