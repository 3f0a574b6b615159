// Lines are appended with one write each, and read back one by one.
#define _POSIX_C_SOURCE 200809L
#include "run/runlog.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct ts_runlog {
    int fd;    // -1: cannot be written
    bool torn; // the last line has no end: it must not swallow the next one
    bool warned;
    char *path;
    ts_text line;
};

static void warn_once(ts_runlog *log, int error) {
    if (!log->warned) {
        ts_fail_errno(TS_ERROR_FATAL, error, "the run log '%s' cannot be written (results are not affected)",
                      log->path);
        ts_warn("%s", ts_message());
    }
    log->warned = true;
}

// By a run that was killed, or whose disk was full.
static bool ends_torn(int fd) {
    off_t size = lseek(fd, 0, SEEK_END);
    char last;
    return size > 0 && ts_file_read_at(fd, &last, 1, size - 1) == 1 && last != '\n';
}

ts_status ts_runlog_open(const char *path, ts_runlog **log) {
    ts_runlog *made = ts_alloc_zero(1, sizeof *made, "the run log");
    *log = NULL;
    if (!made)
        return TS_ERROR_MEMORY;
    made->path = ts_copy_text(path);
    if (!made->path) {
        ts_free(made);
        return TS_ERROR_MEMORY;
    }
    made->fd = ts_file_open(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK); // a pipe must not stop the run
    if (made->fd < 0)
        warn_once(made, errno);
    else
        made->torn = ends_torn(made->fd);
    *log = made;
    return TS_OK;
}

void ts_runlog_close(ts_runlog *log) {
    if (!log)
        return;
    int error = log->fd >= 0 ? ts_file_close(log->fd) : 0;
    if (error)
        warn_once(log, error);
    ts_text_free(&log->line);
    ts_free(log->path);
    ts_free(log);
}

ts_text *ts_runlog_begin(ts_runlog *log, const char *event) {
    char now[32];
    ts_text_free(&log->line); // also forgets an earlier fault
    ts_json_open(&log->line, NULL, '{');
    ts_json_string(&log->line, "event", event);
    ts_json_string(&log->line, "time", ts_clock_utc(now));
    return &log->line;
}

void ts_runlog_end(ts_runlog *log) {
    ts_json_close(&log->line, '}');
    ts_text_add(&log->line, "\n");
    if (ts_text_status(&log->line) != TS_OK) {
        warn_once(log, ENOMEM);
        return;
    }
    if (log->fd < 0)
        return;
    int error = log->torn ? ts_file_write_all(log->fd, "\n", 1) : 0;
    if (error == 0)
        error = ts_file_write_all(log->fd, ts_text_get(&log->line), log->line.length);
    if (error)
        warn_once(log, error);
    log->torn = error != 0; // perhaps; an empty line does no harm
}

// A line that is no whole object is passed over; TS_ERROR_MEMORY is the only fault.
static ts_status visit_line(char *line, size_t length, void (*visit)(const ts_yaml_node *line, void *context),
                            void *context) {
    if (length < 3 || line[0] != '{' || line[length - 1] != '\n' || line[length - 2] != '}')
        return TS_OK;
    ts_yaml *yaml = NULL;
    int number;
    ts_status status = ts_yaml_parse(line, length - 1, &yaml, &number);
    if (status != TS_OK)
        return status == TS_ERROR_MEMORY ? status : TS_OK;
    const ts_yaml_node *root = ts_yaml_root(yaml);
    if (root && root->kind == TS_YAML_MAPPING)
        visit(root, context);
    ts_yaml_free(yaml);
    return TS_OK;
}

ts_status ts_runlog_read(const char *path, void (*visit)(const ts_yaml_node *line, void *context), void *context) {
    int fd;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return TS_OK;
    ts_status opened = ts_file_open_input(path, TS_ERROR_FATAL, &fd);
    if (opened != TS_OK)
        return ts_fail(opened, "cannot read the run log: %s", ts_message());
    FILE *file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return ts_fail(TS_ERROR_MEMORY, "out of memory: the run log");
    }
    char *line = NULL;
    size_t capacity = 0;
    ts_status status = TS_OK;
    errno = 0;
    for (ssize_t length; status == TS_OK && (length = getline(&line, &capacity, file)) > 0;)
        status = visit_line(line, (size_t)length, visit, context);
    int error = ferror(file) ? errno : 0;
    free(line);
    fclose(file);
    if (error)
        return ts_fail_errno(TS_ERROR_FATAL, error, "cannot read the run log '%s'", path);
    return status;
}
