// The end of a run: the report, the last line of the log, the exit code.
#define _POSIX_C_SOURCE 200809L
#include "run/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "integrity/state.h"
#include "results/reader.h"
#include "run/next.h"
#include "run/report.h"

#include <stdio.h>

enum { POINTS_SHOWN = 60 }; // in the report

static int64_t left_of(const ts_session *r, const ts_run_end *end) {
    return ts_sweep_instances(r->sweep) - end->done - end->failed;
}

static void print_report(ts_session *r, const ts_run_end *end) {
    ts_reader *reader = NULL;
    ts_report *report = NULL;
    char elapsed[32];
    ts_status status = ts_reader_open(r->path, &reader);
    if (status == TS_OK)
        status = ts_report_open(reader, r->grid, &report);
    if (status == TS_OK)
        status = ts_report_print(report, r->path, end->seconds, POINTS_SHOWN);
    if (status != TS_OK)
        ts_warn("no report: %s", ts_message());
    ts_report_close(report);
    ts_reader_close(reader);
    int64_t left = left_of(r, end);
    putchar('\n');
    ts_print("%s: %lld done, %lld failed, %lld left, in %s", r->path, (long long)end->done, (long long)end->failed,
             (long long)left, ts_duration_text(ts_clock() - r->started, elapsed));
    if (end->fault == TS_OK && left == 0 && !end->lost[0])
        ts_next_look(r->path);
    else
        ts_next_continue(r->options, r->path);
}

static int exit_code(const ts_session *r, const ts_run_end *end) {
    int64_t left = left_of(r, end);
    if (end->fault != TS_OK)
        return TS_EXIT_OTHER;
    if (end->too_many_failed && left > 0)
        return TS_EXIT_FAILURES;
    if (left > 0 || end->lost[0])
        return TS_EXIT_STOPPED;
    return end->failed > 0 ? TS_EXIT_FAILURES : TS_EXIT_DONE;
}

// Rank 0, after the file is closed.
int ts_session_finish(ts_session *r) {
    ts_run_end end = ts_leader_end(r->leader);
    int code = exit_code(r, &end);
    ts_progress_end();
    if (r->pending == 0) {
        char copied[64] = "", failed[80] = "";
        if (r->reused)
            snprintf(copied, sizeof copied, " (%lld copied now)", (long long)r->reused);
        if (r->failed)
            snprintf(failed, sizeof failed, " (%lld failed; --retry-failed trains them again)", (long long)r->failed);
        ts_print("%s: nothing to do, all %lld instances are finished%s%s", r->path,
                 (long long)ts_sweep_instances(r->sweep), copied, failed);
    } else {
        ts_text *line = ts_runlog_begin(r->log, "end");
        ts_json_integer(line, "exit", code);
        ts_json_string(line, "reason", end.reason);
        if (end.lost[0])
            ts_json_string(line, "lost", end.lost);
        ts_json_integer(line, "done", end.done);
        ts_json_integer(line, "failed", end.failed);
        ts_json_real(line, "seconds", ts_clock() - r->started);
        ts_runlog_end(r->log);
        print_report(r, &end);
        if (code != TS_EXIT_DONE && (end.reason[0] || end.lost[0]))
            ts_error("stopped: %s%s%s%s%s", end.reason, end.reason[0] && end.lost[0] ? "; " : "", end.lost,
                     end.lost[0] ? " lost" : "", code == TS_EXIT_STOPPED ? "; run again to continue" : "");
        else if (code == TS_EXIT_FAILURES)
            ts_error("%lld instance%s failed; %s.log.jsonl says why", (long long)end.failed, ts_plural(end.failed),
                     r->path);
    }
    if (end.fault == TS_OK && left_of(r, &end) == 0)
        ts_state_remove_all(r->job->state_directory);
    return code;
}
