// Commands for people to type next, made so that they can be: this program as it is called from here, every word quoted
// as a shell needs it, whatever the names are.
#pragma once

#include "base/text.h"
#include "run/options.h"

// Each adds a blank and: a word; a path, which must not look like an option; this program and one of its commands.
void ts_next_word(ts_text *line, const char *word);
void ts_next_path(ts_text *line, const char *path);
void ts_next_command(ts_text *line, const char *name);

// Prints the line on standard output, and frees it.
void ts_next_print(ts_text *line);

// "next: ...": what to look at when all is done, and how to go on (of the options: sweep, overrides, threads and
// ranks per instance).
void ts_next_look(const char *path);
void ts_next_continue(const ts_run_options *options, const char *path);

// Adds the command that takes over from `old` and options->reuse what is the same, into another file. backend NULL:
// left out.
void ts_next_take_over(const ts_run_options *options, const char *output, const char *backend, const char *old,
                       ts_text *line);
