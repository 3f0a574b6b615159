// --help and the manual page, from the lists of commands, tasks, models and backends.
#include "backend/backend.h"
#include "cmd/command.h"
#include "measure/measure.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "task/task.h"

#include <stdbool.h>
#include <string.h>

static const char *const PURPOSE =
    "toysweep trains thousands of small models at once over MPI, from one YAML sweep into one HDF5 file.";

static const struct {
    const char *code, *meaning;
} EXIT_CODES[] = {
    {"0", "all done"},
    {"2", "bad usage or sweep file; nothing was written"},
    {"3", "finished, but some instances failed (listed in FILE.log.jsonl)"},
    {"75", "stopped early: run again to continue"},
    {"1", "anything else"},
};

static const struct {
    const char *name, *meaning;
} VARIABLES[] = {
    {"TOYSWEEP_KERNELS", "avx512, avx2 or portable: the CPU kernels to use instead of the best this processor has"},
    {"TOYSWEEP_END_FILE", "a file to which `run` writes its exit code when everything is saved, before MPI ends: for "
                          "launchers that cannot reach all hosts"},
};

static const struct {
    const char *name, *meaning;
} FILES[] = {
    {"FILE.h5", "the results; readable at any moment"},
    {"FILE.h5.log.jsonl", "what differs from run to run: hosts, times, failures' reasons; one JSON object a line"},
    {"FILE.h5.state/", "states of unfinished units; gone when all is done"},
    {"FILE.h5.lock", "held while a run writes"},
};

// What a sweep file has beside parameters: heading and text.
static const char *const STRUCTURE[][2] = {
    {"name: word", "Names the results file, NAME.h5; by default that is the sweep file's own name"},
    {"instances: integer, default 1", "N: short for `seed: 0..N-1`, with `stacked_instances: N`"},
    {"grid: mapping", "Keys with several values, in every combination; keys at the top level may have several, too"},
    {"zip: mapping", "Keys with equally many values, which advance together"},
    {"cases: list of mappings",
     "Parts of the sweep, each crossed with what is outside: keys of its own, with one value or "
     "several, and others for constants outside"},
    {"where: condition or list", "Keeps the points for which it holds: hidden <= features and not task == tree"},
    {"exclude: list of mappings", "Leaves out the points that match all keys of one of them: {depth: 6, hidden: 2..4}"},
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

// Words of `text` in lines of at most 96 columns, indented; "\n\n" starts a paragraph.
static void wrap(FILE *out, int indent, const char *text) {
    int column = 0;
    for (const char *p = text; *p;) {
        if (p[0] == '\n') {
            fputs(p[1] == '\n' ? "\n\n" : "\n", out);
            p += p[1] == '\n' ? 2 : 1;
            column = 0;
            continue;
        }
        int length = (int)strcspn(p, " \n");
        if (column > 0 && column + 1 + length > 96) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%*s%.*s", column ? 1 : indent, "", length, p);
        column += length + (column ? 1 : indent);
        p += length;
        while (*p == ' ')
            p++;
    }
    fputc('\n', out);
}

static void option_name(const ts_option *option, char *out, size_t bytes) {
    char letter[8] = "";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(out, bytes, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
}

static void option_help(const ts_option *option, char *out, size_t bytes) {
    static const char PLACE[] = "$BACKENDS";
    const char *place = strstr(option->help, PLACE);
    int before = place ? (int)(place - option->help) : 0;
    snprintf(out, bytes, "%.*s%s%s", before, option->help, place ? ts_backend_names() : "",
             place ? place + strlen(PLACE) : option->help);
}

void ts_help_program(FILE *out) {
    wrap(out, 0, PURPOSE);
    fputs("\nUsage: toysweep COMMAND [OPTION]...\n       mpirun -n RANKS toysweep run SWEEP.yaml\n"
          "       toysweep-mpirun -n RANKS toysweep run SWEEP.yaml   (see its --help)\n\nCommands:\n",
          out);
    for (int i = 0; ts_commands[i]; i++)
        fprintf(out, "  %-8s %s\n", ts_commands[i]->name, ts_commands[i]->summary);
    fputs("  help     `toysweep help COMMAND`; `toysweep help keys`: the parameters of tasks and models;\n"
          "           `toysweep help measures`: what is measured; `toysweep help NAME`: one of these, as\n"
          "           `toysweep help hidden`\n"
          "\nExit codes:\n",
          out);
    for (size_t i = 0; i < COUNT(EXIT_CODES); i++)
        fprintf(out, "  %-3s %s\n", EXIT_CODES[i].code, EXIT_CODES[i].meaning);
    fputs("\n`toysweep COMMAND --help` tells more; so does `man toysweep`.\n", out);
}

void ts_help_command(FILE *out, const ts_command *command) {
    fprintf(out, "Usage: toysweep %s%s%s [OPTION]...\n\n", command->name, *command->operands ? " " : "",
            command->operands);
    wrap(out, 0, command->description);
    fputs("\nOptions:\n", out);
    for (const ts_option *option = command->options; option->name; option++) {
        char name[64], help[1024];
        option_name(option, name, sizeof name);
        option_help(option, help, sizeof help);
        fprintf(out, "  %s\n", name);
        wrap(out, 6, help);
    }
    fputs("  -h, --help\n      Print this text.\n", out);
}

static const char *type_name(const ts_key *key) {
    static const char *const names[] = {
        [TS_INTEGER] = "integer",
        [TS_REAL] = "number",
        [TS_BOOL] = "true or false",
        [TS_NAME] = "name",
        [TS_NUMBERS] = "number, list or {base: B}",
        [TS_STEPS] = "{log: N}, {every: N} or list",
        [TS_STOP] = "none or {test_loss: X, for: N}",
        [TS_THRESHOLDS] = "{memorised: X, grokked: Y}",
        [TS_WORDS] = "word or list",
        [TS_FILE] = "file",
        [TS_WEIGHTS] = "weights",
    };
    return names[key->type];
}

// What keys and measures are written on: a terminal, the manual page, or what is said of one name.
typedef struct help_page help_page;
struct help_page {
    FILE *out;
    void (*section)(help_page *page, const char *title, const char *text);
    void (*entry)(help_page *page, const char *heading, const char *text);
    // Of one name:
    const char *name;
    char title[512]; // of the section that is looked through; "": it is printed
    bool whole;      // all of the section
    bool found;
};

static void one_key(help_page *page, const ts_key *key) {
    char heading[256], choices[128] = "";
    for (int i = 0; key->choices && key->choices[i]; i++) {
        strncat(choices, i ? " | " : "", sizeof choices - strlen(choices) - 1);
        strncat(choices, key->choices[i], sizeof choices - strlen(choices) - 1);
    }
    const char *kind = key->type == TS_NAME && *choices ? choices : type_name(key);
    bool given = key->fallback && *key->fallback;
    snprintf(heading, sizeof heading, "%s: %s%s%s%s%s", key->name, kind, given ? ", default " : "",
             given ? key->fallback : "", key->fallback ? "" : ", required", key->traits & TS_SHAPES ? ", shape" : "");
    page->entry(page, heading, key->help);
}

static void each_key(help_page *page, const ts_key *keys) {
    for (; keys->name; keys++)
        if (!(keys->traits & TS_RETIRED))
            one_key(page, keys);
}

static void keys_tables(help_page *page) {
    page->section(page, "The sweep", "");
    for (size_t i = 0; i < COUNT(STRUCTURE); i++)
        page->entry(page, STRUCTURE[i][0], STRUCTURE[i][1]);
    page->section(page, "Every instance", "");
    each_key(page, ts_common_keys);
    for (int i = 0; ts_tasks[i]; i++) {
        const ts_task *task = ts_tasks[i];
        char title[64], text[400];
        snprintf(title, sizeof title, "Task %s", task->name);
        snprintf(text, sizeof text, "%s; kind %s, default model %s", task->help, ts_kind_name(task->kind),
                 ts_model_usual(task)->name);
        page->section(page, title, text);
        each_key(page, task->keys);
        for (const ts_quantity *one = task->derived; one->name; one++) {
            if (!one->help)
                continue;
            snprintf(title, sizeof title, "%s: derived", one->name);
            page->entry(page, title, one->help);
        }
    }
    for (int i = 0; ts_models[i]; i++) {
        char title[64], text[400];
        snprintf(title, sizeof title, "Model %s", ts_models[i]->name);
        snprintf(text, sizeof text, "%s; learns kind %s, default optimizer %s", ts_models[i]->help,
                 ts_kind_name(ts_models[i]->learns), ts_models[i]->optimiser->name);
        page->section(page, title, text);
        each_key(page, ts_models[i]->keys);
    }
    page->section(page, "Every optimizer", "");
    each_key(page, ts_optimizer_keys);
    each_key(page, ts_step_keys);
    for (int i = 0; ts_optimisers[i]; i++) {
        char title[64];
        snprintf(title, sizeof title, "Optimizer %s", ts_optimisers[i]->name);
        page->section(page, title, "");
        each_key(page, ts_optimisers[i]->keys);
    }
}

static void entry_plain(help_page *page, const char *heading, const char *text) {
    fprintf(page->out, "  %s\n", heading);
    wrap(page->out, 6, text);
}

static void section_plain(help_page *page, const char *title, const char *text) {
    char line[sizeof page->title];
    snprintf(line, sizeof line, "%s%s%s", title, *text ? ": " : "", text);
    fputc('\n', page->out);
    wrap(page->out, 0, line);
}

void ts_help_keys(FILE *out) {
    wrap(out, 0,
         "Keys of a sweep file. Each may be a constant, a range a..b or a..b..step, {linspace: [a, b, n]} or "
         "{logspace: "
         "[a, b, n]}, or vary in `grid`, `zip` or `cases`. Instances that differ in a shape are in different "
         "cases: "
         "groups of the results file. A model learns every task of its kind. What is derived may stand in "
         "`where` and "
         "`exclude`, if it is a number.");
    keys_tables(&(help_page){.out = out, .section = section_plain, .entry = entry_plain});
}

// How a measure is kept: "train_loss: float64, row x step; last value: column at the root".
static void measure_heading(const ts_measure *measure, char *out, size_t bytes) {
    bool scalar = !measure->dimension[0];
    char dimensions[96] = "";
    for (int d = 0; d < TS_MEASURE_DIMENSIONS && measure->dimension[d]; d++) {
        strncat(dimensions, " x ", sizeof dimensions - strlen(dimensions) - 1);
        strncat(dimensions, measure->dimension[d], sizeof dimensions - strlen(dimensions) - 1);
    }
    const char *units = measure->units ? measure->units : "";
    if (scalar && measure->at_end)
        snprintf(out, bytes, "%s: float64, column at the root%s%s", measure->name, *units ? ", " : "", units);
    else
        snprintf(out, bytes, "%s: %s, row%s%s%s%s%s", measure->name, measure->loss ? "float64" : "float32",
                 measure->at_end ? "" : " x step", dimensions, *units ? ", " : "", units,
                 scalar ? "; its last value, column at the root" : "");
}

static void measures_tables(help_page *page) {
    ts_listed_measure one;
    const char *title = NULL;
    for (int i = 0; ts_measures_list(i, &one); i++) {
        char text[160], heading[160];
        if (one.title != title) {
            snprintf(text, sizeof text, "kind %s; formulas: docs/workloads.md, \"%s\"", ts_kind_name(one.kind),
                     one.source);
            snprintf(heading, sizeof heading, "Family %s: %s", one.family, one.title);
            page->section(page, heading, text);
        }
        title = one.title;
        measure_heading(one.measure, text, sizeof text);
        page->entry(page, text, one.measure->help);
    }
}

void ts_help_measures(FILE *out) {
    wrap(out, 0,
         "Measures: what the results file holds of each instance beside its weights, by families, of which the keys "
         "`measures` and `measures_every` choose (losses are always there). A case has those of its kind of data, as "
         "far as they mean something for it: those of irreps where the table is a group "
         "or sums of "
         "powers, value_... for sums of powers, those of frequencies for cyclic and dihedral tables, of "
         "heads for "
         "transformers. `step`: at every checkpoint; without it, of the last one. What has two dimensions and more "
         "without "
         "it is a matrix; cases have none that would be larger than 2^18 numbers, and with `save: none` none at all.");
    measures_tables(&(help_page){.out = out, .section = section_plain, .entry = entry_plain});
}

// --- One name ---

static bool begins_with_name(const char *text, const char *name) {
    size_t length = strlen(name);
    return strncmp(text, name, length) == 0 && (text[length] == ':' || text[length] == 0);
}

static void say_title(help_page *page) {
    if (page->title[0]) {
        fputs(page->found ? "\n" : "", page->out);
        wrap(page->out, 0, page->title);
    }
    page->title[0] = 0;
    page->found = true;
}

// "Task tree", "Family irreps: ...": it is the section of the second word.
static void section_of_name(help_page *page, const char *title, const char *text) {
    const char *second = strchr(title, ' ');
    snprintf(page->title, sizeof page->title, "%s%s%s", title, *text ? ": " : "", text);
    page->whole = second && begins_with_name(second + 1, page->name);
    if (page->whole)
        say_title(page);
}

static void entry_of_name(help_page *page, const char *heading, const char *text) {
    if (!page->whole && !begins_with_name(heading, page->name))
        return;
    say_title(page);
    entry_plain(page, heading, text);
}

bool ts_help_name(FILE *out, const char *name) {
    help_page page = {.out = out, .section = section_of_name, .entry = entry_of_name, .name = name};
    keys_tables(&page);
    measures_tables(&page);
    return page.found;
}

// --- Manual page ---

static void roff(FILE *out, const char *text) {
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            fputs("\\e", out);
        else if (*p == '-')
            fputs("\\-", out);
        else if (p[0] == '\n' && p[1] == '\n')
            fputs("\n.PP\n", out), p++;
        else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            fprintf(out, "\\&%c", *p);
        else
            fputc(*p, out);
    }
    fputc('\n', out);
}

static void item_man(FILE *out, const char *heading, const char *text) {
    fputs(".TP\n.B ", out);
    roff(out, heading);
    roff(out, text);
}

static void heading_man(FILE *out, const char *title, const char *text) {
    fputs(".SS \"", out);
    fputs(title, out);
    fputs("\"\n", out);
    if (*text)
        roff(out, text);
}

static void section_man(help_page *page, const char *title, const char *text) {
    heading_man(page->out, title, text);
}

static void entry_man(help_page *page, const char *heading, const char *text) {
    item_man(page->out, heading, text);
}

void ts_help_man(FILE *out) {
    help_page man = {.out = out, .section = section_man, .entry = entry_man};
    fputs(".TH TOYSWEEP 1 \"\" \"toysweep " TOYSWEEP_VERSION "\" \"User Commands\"\n.SH NAME\ntoysweep \\- train "
          "thousands of small models from one sweep file\n.SH SYNOPSIS\n.B toysweep\n.I "
          "COMMAND\n[OPTION]...\n.br\n"
          ".B mpirun \\-n\n.I RANKS\n.B toysweep run\n.I SWEEP.yaml\n.br\n"
          ".B toysweep\\-mpirun \\-n\n.I RANKS\n.B toysweep run\n.I SWEEP.yaml\n.SH DESCRIPTION\n",
          out);
    roff(out, PURPOSE);
    fputs(".SH COMMANDS\n", out);
    for (int i = 0; ts_commands[i]; i++) {
        char title[128];
        snprintf(title, sizeof title, "toysweep %s %s", ts_commands[i]->name, ts_commands[i]->operands);
        heading_man(out, title, ts_commands[i]->description);
        for (const ts_option *option = ts_commands[i]->options; option->name; option++) {
            char name[64], help[1024];
            option_name(option, name, sizeof name);
            option_help(option, help, sizeof help);
            item_man(out, name, help);
        }
    }
    fputs(".SH \"KEYS OF A SWEEP FILE\"\n", out);
    keys_tables(&man);
    fputs(".SH MEASURES\n", out);
    measures_tables(&man);
    fputs(".SH \"EXIT STATUS\"\n", out);
    for (size_t i = 0; i < COUNT(EXIT_CODES); i++)
        item_man(out, EXIT_CODES[i].code, EXIT_CODES[i].meaning);
    fputs(".SH ENVIRONMENT\n", out);
    for (size_t i = 0; i < COUNT(VARIABLES); i++)
        item_man(out, VARIABLES[i].name, VARIABLES[i].meaning);
    fputs(".SH FILES\n", out);
    for (size_t i = 0; i < COUNT(FILES); i++)
        item_man(out, FILES[i].name, FILES[i].meaning);
}
