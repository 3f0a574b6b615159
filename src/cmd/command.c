// Arguments against a command's list of options, and what goes wrong with them.
#define _GNU_SOURCE
#include "cmd/command.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "run/run.h"
#include "sweep/nearest.h"
#include "sweep/synonyms.h"
#include "task/task.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEYS = 512 };

static int find_option(const ts_command *command, const char *name) {
    for (int i = 0; command->options[i].name; i++)
        if (strcmp(command->options[i].name, name) == 0)
            return i;
    fprintf(stderr, "toysweep: the command '%s' has no option '%s'\n", command->name, name);
    abort();
}

// getopt's lists of a command's options; `help` comes last, as option number -1.
static void make_lists(const ts_command *command, struct option longs[TS_MAX_OPTIONS + 2],
                       char shorts[2 * TS_MAX_OPTIONS + 4]) {
    int n = 0, at = 0;
    shorts[at++] = ':';
    for (; command->options[n].name; n++) {
        const ts_option *option = &command->options[n];
        longs[n] = (struct option){option->name, option->argument ? required_argument : no_argument, NULL, 256 + n};
        if (option->letter) {
            shorts[at++] = option->letter;
            if (option->argument)
                shorts[at++] = ':';
        }
    }
    shorts[at++] = 'h';
    shorts[at] = 0;
    longs[n] = (struct option){"help", no_argument, NULL, 'h'};
    longs[n + 1] = (struct option){0};
}

// What other programs call an option.
static const char *const OPTION_SYNONYMS[][2] = {
    {"jobs", "threads"},        {"workers", "threads"},
    {"cores", "threads"},       {"cpus", "threads"},
    {"nthreads", "threads"},    {"num-threads", "threads"},
    {"device", "backend"},      {"gpu", "backend"},
    {"accelerator", "backend"}, {"out", "output"},
    {"outfile", "output"},      {"out-file", "output"},
    {"output-file", "output"},  {"file", "output"},
    {"walltime", "time-limit"}, {"timeout", "time-limit"},
    {"max-time", "time-limit"}, {"time", "time-limit"},
    {"override", "set"},        {"param", "set"},
    {"parameter", "set"},       {"np", "ranks"},
    {"nprocs", "ranks"},        {"processes", "ranks"},
    {"quiet", "progress"},      {"silent", "progress"},
    {"verbose", "progress"},    {"num-workers", "threads"},
    {"nworkers", "threads"},    {"n-jobs", "threads"},
    {"num-jobs", "threads"},    {"cpus-per-task", "threads"},
    {"ntasks", "ranks"},        {"num-procs", "ranks"},
    {"index", "instance"},      {"idx", "instance"},
    {"row", "instance"},        {"id", "instance"},
};

// What to do in place of an option that there is none of.
static const struct {
    const char *words;   // each between blanks
    const char *command; // of which; NULL: of every one that has the option `with`
    const char *with;
    const char *hint;
} OPTION_HINTS[] = {
    {" nprocs ntasks np ranks processes num-procs n ", "run", NULL,
     "MPI's launcher makes the ranks, as in mpirun -n 4 toysweep run SWEEP.yaml; threads of each come from "
     "--threads"},
    {" dry-run dryrun check ", "run", NULL, "toysweep plan SWEEP.yaml tells what a run would do"},
    {" resume continue restart ", "run", NULL, "the same command again goes on from where a run ended"},
    {" log log-file logfile ", "run", NULL, "the log stands beside the results file, as FILE.h5.log.jsonl"},
    {" force overwrite clobber yes ", NULL, "output",
     "nothing is ever overwritten: name another file with -o, or move the old one away"},
    {" checkpoint ckpt state-dict pretrained load from ", NULL, "weights",
     "weights from a file are given by --weights FILE"},
    {" best ", NULL, "instance", "write --instance best"},
};

static bool has_option(const ts_command *command, const char *name) {
    for (int i = 0; command->options[i].name; i++)
        if (strcmp(command->options[i].name, name) == 0)
            return true;
    return false;
}

// NULL: there is no hint.
static const char *find_hint(const ts_command *command, const char *word) {
    char padded[80];
    snprintf(padded, sizeof padded, " %s ", word);
    for (size_t i = 0; i < sizeof OPTION_HINTS / sizeof *OPTION_HINTS; i++)
        if (strstr(OPTION_HINTS[i].words, padded) &&
            (OPTION_HINTS[i].command ? strcmp(OPTION_HINTS[i].command, command->name) == 0
                                     : has_option(command, OPTION_HINTS[i].with)))
            return OPTION_HINTS[i].hint;
    return NULL;
}

// The option that other programs call so; NULL: none.
static const char *synonymous_option(const ts_command *command, const char *word) {
    for (size_t i = 0; i < sizeof OPTION_SYNONYMS / sizeof *OPTION_SYNONYMS; i++)
        if (strcmp(word, OPTION_SYNONYMS[i][0]) == 0 && has_option(command, OPTION_SYNONYMS[i][1]))
            return OPTION_SYNONYMS[i][1];
    return NULL;
}

// The option that is spelt nearly so; NULL: none.
static const char *nearest_option(const ts_command *command, const char *word) {
    const char *names[TS_MAX_OPTIONS + 2];
    int n = 0;
    for (; command->options[n].name; n++)
        names[n] = command->options[n].name;
    names[n++] = "help";
    names[n] = NULL;
    return ts_nearest(word, names);
}

static int add_keys(const ts_key *keys, const char **names, int n) {
    for (; keys->name && n < MAX_KEYS; keys++)
        names[n++] = keys->name;
    return n;
}

// The key of a sweep file that a word is, or that other programs call so; NULL: none. A key that is only spelt nearly
// so is none: the word is more likely an option.
static const char *find_key(const char *word) {
    const char *names[MAX_KEYS + 1];
    int n = add_keys(ts_common_keys, names, 0);
    for (int i = 0; ts_tasks[i]; i++)
        n = add_keys(ts_tasks[i]->keys, names, n);
    for (int i = 0; ts_models[i]; i++)
        n = add_keys(ts_models[i]->keys, names, n);
    n = add_keys(ts_step_keys, names, add_keys(ts_optimizer_keys, names, n));
    for (int i = 0; ts_optimisers[i]; i++)
        n = add_keys(ts_optimisers[i]->keys, names, n);
    names[n] = NULL;
    for (n = 0; names[n]; n++)
        if (strcmp(names[n], word) == 0)
            return names[n];
    ts_meant meant = ts_meant_by(word, names);
    return meant.guessed ? NULL : meant.key[0];
}

// `given` as it stands on the command line, with its dashes.
static ts_status unknown_option(const ts_command *command, const char *given) {
    char word[64], key_word[64], shown[TS_SHOWN_BYTES], value[TS_SHOWN_BYTES];
    const char *name = given + strspn(given, "-");
    size_t length = strcspn(name, "=");
    ts_shown(given, shown);
    if (length >= sizeof word)
        return ts_fail(TS_ERROR_USER, "unknown option %s; see toysweep %s --help", shown, command->name);
    for (size_t i = 0; i <= length; i++) {
        word[i] = i < length ? name[i] : 0;
        key_word[i] = word[i] == '-' ? '_' : word[i];
    }
    const char *hint = find_hint(command, word), *near = synonymous_option(command, word);
    if (hint)
        return ts_fail(TS_ERROR_USER, "unknown option %s; %s", shown, hint);
    const char *key = !near && has_option(command, "set") ? find_key(key_word) : NULL;
    if (!near && !key)
        near = nearest_option(command, word);
    if (key)
        return ts_fail(TS_ERROR_USER, "unknown option %s; to set a key of the sweep, write --set %s=%s", shown, key,
                       name[length] ? ts_shown(name + length + 1, value) : "VALUE");
    if (near)
        return ts_fail(TS_ERROR_USER, "unknown option %s; did you mean --%s? See toysweep %s --help", shown, near,
                       command->name);
    return ts_fail(TS_ERROR_USER, "unknown option %s; see toysweep %s --help", shown, command->name);
}

// A long option that getopt does not take: unknown, the beginning of several, or a flag with an argument.
static ts_status bad_long_option(const ts_command *command, const char *given) {
    const char *name = given + strspn(given, "-");
    size_t length = strcspn(name, "=");
    ts_text several = {0};
    char shown[TS_SHOWN_BYTES];
    int begin = 0;
    ts_shown(given, shown);
    for (const ts_option *option = command->options; option->name; option++) {
        if (strncmp(option->name, name, length) != 0)
            continue;
        if (!option->name[length] && !option->argument)
            return ts_fail(TS_ERROR_USER, "%s: --%s takes no argument; see toysweep %s --help", shown, option->name,
                           command->name);
        ts_text_addf(&several, "%s--%s", begin++ ? ", " : "", option->name);
    }
    ts_status status =
        begin > 1 ? ts_fail(TS_ERROR_USER, "option %s may be any of %s; write more of it", shown, ts_text_get(&several))
                  : unknown_option(command, given);
    ts_text_free(&several);
    return status;
}

static ts_status bad_option(const ts_command *command, int code, char **argv) {
    const char *given = argv[optind - 1];
    if (code == ':')
        return ts_fail(TS_ERROR_USER, "%s needs an argument; see toysweep %s --help", given, command->name);
    if (!optopt || optopt >= 256)
        return bad_long_option(command, given);
    // A letter: of -x, or of a word behind one dash, at which getopt still stands.
    if (argv[optind] && argv[optind][0] == '-' && argv[optind][1] == optopt && argv[optind][2])
        return unknown_option(command, argv[optind]);
    return ts_fail(TS_ERROR_USER, "unknown option -%c; see toysweep %s --help", optopt, command->name);
}

static int option_of(const ts_command *command, int code) {
    if (code >= 256)
        return code - 256;
    for (int i = 0; command->options[i].name; i++)
        if (command->options[i].letter == code)
            return i;
    return -1;
}

// Notes one more of an option that may be given repeatedly. False: too many.
static bool repeat(ts_arguments *arguments, const char *option, const char *value) {
    bool set = strcmp(option, "set") == 0;
    if (!set && strcmp(option, "reuse") != 0)
        return true;
    int *count = set ? &arguments->n_set : &arguments->n_reuse;
    if (*count == TS_MAX_REPEATS)
        return false;
    (set ? arguments->set : arguments->reuse)[(*count)++] = value;
    return true;
}

ts_status ts_arguments_parse(const ts_command *command, int argc, char **argv, ts_arguments *arguments, int *help) {
    struct option longs[TS_MAX_OPTIONS + 2];
    char shorts[2 * TS_MAX_OPTIONS + 4];
    int code;
    *arguments = (ts_arguments){0};
    *help = 0;
    make_lists(command, longs, shorts);
    opterr = 0;
    optind = 0; // also resets getopt
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (code == 'h') {
            *help = 1;
            return TS_OK;
        }
        int i = option_of(command, code);
        if (code == ':' || code == '?' || i < 0)
            return bad_option(command, code, argv);
        arguments->value[i] = optarg ? optarg : "";
        if (!repeat(arguments, command->options[i].name, optarg))
            return ts_fail(TS_ERROR_USER, "--%s: at most %d times", command->options[i].name, TS_MAX_REPEATS);
    }
    arguments->operand = (const char *const *)argv + optind;
    arguments->n_operands = argc - optind;
    if (arguments->n_operands < command->n_operands ||
        (arguments->n_operands > command->n_operands && !command->more_operands))
        return ts_fail(TS_ERROR_USER, "usage: toysweep %s%s%s [OPTION]...; see toysweep %s --help", command->name,
                       *command->operands ? " " : "", command->operands, command->name);
    return TS_OK;
}

const char *ts_argument(const ts_command *command, const ts_arguments *arguments, const char *name) {
    return arguments->value[find_option(command, name)];
}

ts_status ts_argument_integer(const ts_command *command, const ts_arguments *arguments, const char *name,
                              long long minimum, long long maximum, long long absent, long long *value) {
    const char *text = ts_argument(command, arguments, name);
    *value = absent;
    if (!text)
        return TS_OK;
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    if (end == text || *end || errno || *value < minimum || *value > maximum)
        return ts_fail(TS_ERROR_USER, "--%s %s: give an integer from %lld to %lld", name, text, minimum, maximum);
    return TS_OK;
}

ts_status ts_argument_ranks_per_instance(const ts_command *command, const ts_arguments *arguments, int *ranks) {
    const char *text = ts_argument(command, arguments, "ranks-per-instance");
    long long number = 0;
    *ranks = 0;
    if (!text || strcmp(text, "auto") == 0)
        return TS_OK;
    if (ts_argument_integer(command, arguments, "ranks-per-instance", 1, 1024, 0, &number) != TS_OK)
        return ts_fail(TS_ERROR_USER, "--ranks-per-instance %s: give auto or an integer from 1 to 1024", text);
    *ranks = (int)number;
    return TS_OK;
}

ts_status ts_argument_duration(const ts_command *command, const ts_arguments *arguments, const char *name,
                               double absent, double *seconds) {
    const char *text = ts_argument(command, arguments, name);
    *seconds = absent;
    if (!text || ts_duration_parse(text, seconds) == TS_OK)
        return TS_OK;
    return ts_fail(TS_ERROR_USER, "--%s: %s", name, ts_message());
}

int ts_command_fail(const ts_comm *comm, ts_status status) {
    if (comm->rank == 0)
        ts_error_message();
    return ts_exit_code(status);
}
