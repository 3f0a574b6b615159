// Shell quoting, and the lines that begin with "next:".
#include "run/next.h"

#include "base/log.h"
#include "base/program.h"
#include "base/terminal.h"

#include <stdbool.h>
#include <string.h>

// Is there anything in it that is spelt out when it is printed?
static bool has_unseen(const char *argument) {
    uint32_t code;
    for (size_t length; *argument; argument += length)
        if ((length = ts_utf8_character(argument, &code)) == 0 || !ts_terminal_shows(code))
            return true;
    return false;
}

// Plain, 'quoted', or $'with escapes', which ts_print makes.
void ts_next_word(ts_text *text, const char *argument) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,+-@%";
    ts_text_add(text, " ");
    if (*argument && strspn(argument, plain) == strlen(argument)) {
        ts_text_add(text, argument);
        return;
    }
    bool escaped = has_unseen(argument);
    ts_text_add(text, escaped ? "$'" : "'");
    for (const char *p = argument; *p; p++) {
        if (escaped && (*p == '\'' || *p == '\\'))
            ts_text_add(text, "\\");
        ts_text_add(text, *p == '\'' && !escaped ? "'\\''" : (char[]){*p, 0});
    }
    ts_text_add(text, "'");
}

void ts_next_path(ts_text *text, const char *path) {
    ts_text safe = {0};
    ts_text_add(&safe, *path == '-' ? "./" : "");
    ts_text_add(&safe, path);
    text->failed |= ts_text_status(&safe) != TS_OK;
    ts_next_word(text, ts_text_get(&safe));
    ts_text_free(&safe);
}

void ts_next_command(ts_text *line, const char *name) {
    char program[TS_COMMAND_BYTES];
    ts_program_command(program);
    ts_next_word(line, program);
    ts_text_addf(line, " %s", name);
}

void ts_next_print(ts_text *line) {
    if (ts_text_status(line) == TS_OK)
        ts_print_line(ts_text_get(line));
    ts_text_free(line);
}

void ts_next_look(const char *path) {
    ts_text line = {0};
    char plotter[TS_COMMAND_BYTES];
    ts_text_add(&line, "next:");
    ts_next_command(&line, "status");
    ts_next_path(&line, path);
    if (ts_program_plotter(plotter)) {
        ts_text_add(&line, "   or  ");
        ts_next_word(&line, plotter);
        ts_next_path(&line, path);
    }
    ts_next_print(&line);
}

// "toysweep run SWEEP -o PATH ...", with overrides, threads and ranks per instance. backend NULL: left out.
static void add_run(ts_text *line, const ts_run_options *options, const char *path, const char *backend) {
    ts_next_command(line, "run");
    ts_next_path(line, options->sweep);
    ts_text_add(line, " -o");
    ts_next_path(line, path);
    for (int i = 0; i < options->n_overrides; i++) {
        ts_text_add(line, " --set");
        ts_next_word(line, options->overrides[i]);
    }
    if (backend) {
        ts_text_add(line, " --backend");
        ts_next_word(line, backend);
    }
    if (options->threads)
        ts_text_addf(line, " --threads %d", options->threads);
    if (options->ranks_per_instance)
        ts_text_addf(line, " --ranks-per-instance %d", options->ranks_per_instance);
}

void ts_next_continue(const ts_run_options *options, const char *path) {
    ts_text line = {0};
    ts_text_add(&line, "next:");
    add_run(&line, options, path, NULL);
    ts_text_add(&line, "   (goes on from here)");
    ts_next_print(&line);
}

void ts_next_take_over(const ts_run_options *options, const char *output, const char *backend, const char *old,
                       ts_text *line) {
    add_run(line, options, output, backend);
    ts_text_add(line, " --reuse");
    ts_next_path(line, old);
    for (int i = 0; i < options->n_reuse; i++) {
        ts_text_add(line, " --reuse");
        ts_next_path(line, options->reuse[i]);
    }
}
