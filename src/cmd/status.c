#define _POSIX_C_SOURCE 200809L
#include "base/log.h"
#include "base/memory.h"
#include "base/terminal.h"
#include "cmd/command.h"
#include "run/report.h"
#include "run/run.h"
#include "store/lock.h"
#include "store/reader.h"
#include "store/runlog.h"
#include "store/store.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ts_option OPTIONS[] = {
    {"json", 0, NULL, "One JSON object instead of a table."},
    {0},
};

// What the run log tells: units handed out and not finished, and the latest failures.
typedef struct log_summary {
    int64_t runs;
    int64_t running; // rows assigned by the last run and not finished
    int64_t failures;
    struct {
        int64_t instance;
        char reason[200];
    } last[8];
} log_summary;

static int64_t member_integer(const ts_yaml_node *line, const char *key) {
    const ts_yaml_node *node = ts_yaml_get(line, key);
    return node && node->text ? atoll(node->text) : 0;
}

static void visit(const ts_yaml_node *line, void *context) {
    log_summary *summary = context;
    const ts_yaml_node *event = ts_yaml_get(line, "event");
    if (!event || !event->text)
        return;
    if (strcmp(event->text, "start") == 0) {
        summary->runs++;
        summary->running = 0;
    } else if (strcmp(event->text, "assign") == 0) {
        summary->running += member_integer(line, "rows");
    } else if (strcmp(event->text, "unit") == 0) {
        summary->running -= member_integer(line, "rows");
    } else if (strcmp(event->text, "failure") == 0) {
        const ts_yaml_node *reason = ts_yaml_get(line, "reason");
        int at = (int)(summary->failures++ % 8);
        summary->last[at].instance = member_integer(line, "instance");
        ts_terminal_text(reason && reason->text ? reason->text : "", summary->last[at].reason,
                         sizeof summary->last[at].reason);
    }
}

typedef struct tally {
    int64_t done, failed, pending;
} tally;

static void best_and_mean(const ts_reader_case *of, const uint8_t *status, const double *column, double *best,
                          double *mean) {
    int64_t known = 0;
    double sum = 0;
    *best = NAN;
    for (int64_t r = 0; r < of->rows; r++) {
        double value = column[of->instance[r]];
        if (status[of->instance[r]] != TS_ROW_DONE || value != value)
            continue;
        *best = known++ && *best < value ? *best : value;
        sum += value;
    }
    *mean = known ? sum / (double)known : NAN;
}

static ts_status print_json(ts_reader *reader, const char *path, const uint8_t *row_status,
                            const double *column, const char *headline, tally t, bool running,
                            const log_summary *log) {
    ts_text out = {0};
    ts_json_open(&out, NULL, '{');
    ts_json_string(&out, "file", path);
    ts_json_string(&out, "name", ts_reader_attribute(reader, "name"));
    ts_json_string(&out, "version", ts_reader_attribute(reader, "version"));
    ts_json_string(&out, "backend", ts_reader_attribute(reader, "backend"));
    ts_json_bool(&out, "running", running);
    ts_json_integer(&out, "instances", ts_reader_instances(reader));
    ts_json_integer(&out, "done", t.done);
    ts_json_integer(&out, "failed", t.failed);
    ts_json_integer(&out, "pending", t.pending);
    ts_json_integer(&out, "training", running ? log->running : 0);
    ts_json_integer(&out, "runs", log->runs);
    ts_json_string(&out, "measure", headline);
    ts_json_open(&out, "cases", '[');
    for (int i = 0; i < ts_reader_cases(reader); i++) {
        const ts_reader_case *of = ts_reader_case_at(reader, i);
        int64_t done = 0, failed = 0;
        double best, mean;
        for (int64_t r = 0; r < of->rows; r++) {
            done += row_status[of->instance[r]] == TS_ROW_DONE;
            failed += row_status[of->instance[r]] == TS_ROW_FAILED;
        }
        best_and_mean(of, row_status, column, &best, &mean);
        ts_json_open(&out, NULL, '{');
        ts_json_string(&out, "case", of->label);
        ts_json_integer(&out, "instances", of->rows);
        ts_json_integer(&out, "done", done);
        ts_json_integer(&out, "failed", failed);
        ts_json_real(&out, "best", best);
        ts_json_real(&out, "mean", mean);
        ts_json_close(&out, '}');
    }
    ts_json_close(&out, ']');
    ts_json_close(&out, '}');
    ts_status status = ts_text_status(&out);
    if (status == TS_OK)
        puts(ts_text_get(&out));
    ts_text_free(&out);
    return status;
}

static ts_status print_table(ts_reader *reader, const char *path, tally t, bool running,
                             const log_summary *log) {
    ts_print("%s: sweep '%s', toysweep %s, backend %s, %s", path, ts_reader_attribute(reader, "name"),
             ts_reader_attribute(reader, "version"), ts_reader_attribute(reader, "backend"),
             running ? "a run is writing" : "no run is writing");
    ts_print("%lld instances: %lld done, %lld training, %lld failed, %lld pending",
             (long long)ts_reader_instances(reader), (long long)t.done,
             (long long)(running ? log->running : 0), (long long)t.failed,
             (long long)(t.pending - (running ? log->running : 0)));
    putchar('\n');
    ts_status status = ts_report_cases(reader, NULL, 1000);
    int64_t shown = t.failed > 0 ? (log->failures < 8 ? log->failures : 8) : 0;
    if (shown > 0) {
        putchar('\n');
        ts_print("latest failures:");
    }
    for (int64_t i = log->failures - shown; i < log->failures; i++)
        ts_print("  instance %lld: %s", (long long)log->last[i % 8].instance, log->last[i % 8].reason);
    return status;
}

static ts_status show(ts_reader *reader, const char *path, bool json) {
    char beside[PATH_MAX];
    const uint8_t *row_status;
    log_summary log = {0};
    tally t = {0};
    ts_status status = ts_reader_status(reader, &row_status);
    if (status != TS_OK)
        return status;
    for (int64_t i = 0; i < ts_reader_instances(reader); i++) {
        t.done += row_status[i] == TS_ROW_DONE;
        t.failed += row_status[i] == TS_ROW_FAILED;
    }
    t.pending = ts_reader_instances(reader) - t.done - t.failed; // a corrupt status is none
    snprintf(beside, sizeof beside, "%s.lock", path);
    bool running = ts_lock_is_held(beside);
    snprintf(beside, sizeof beside, "%s.log.jsonl", path);
    status = ts_runlog_read(beside, visit, &log);
    if (status == TS_ERROR_MEMORY)
        return status;
    if (status != TS_OK)
        ts_warn("%s", ts_message());
    if (log.running > t.pending)
        log.running = t.pending;
    if (!json)
        return print_table(reader, path, t, running, &log);
    const char *headline;
    double *column = ts_alloc((size_t)ts_reader_instances(reader) * sizeof *column, "a column");
    status = column ? ts_report_headline(reader, &headline) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_reader_column(reader, headline, column);
    if (status == TS_OK)
        status = print_json(reader, path, row_status, column, headline, t, running, &log);
    ts_free(column);
    return status;
}

static int run(const ts_comm *comm, const ts_arguments *arguments) {
    if (comm->rank != 0)
        return TS_EXIT_DONE;
    ts_reader *reader;
    const char *path = arguments->operand[0];
    ts_status status = ts_reader_open(path, &reader);
    if (status != TS_OK)
        return ts_command_fail(comm, status);
    status = show(reader, path, ts_argument(&ts_cmd_status, arguments, "json") != NULL);
    ts_reader_close(reader);
    return status == TS_OK ? TS_EXIT_DONE : ts_command_fail(comm, status);
}

const ts_command ts_cmd_status = {
    .name = "status",
    .operands = "FILE.h5",
    .n_operands = 1,
    .summary = "what is done, training, failed and pending; per case best and mean",
    .description =
        "Shows what is done, training, failed and pending in a results file, and per case best, median, "
        "mean and worst. Works while a run is writing, and on a file left by a killed run.",
    .options = OPTIONS,
    .run = run,
};
