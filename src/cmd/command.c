#define _GNU_SOURCE
#include "cmd/command.h"

#include "base/clock.h"
#include "base/log.h"
#include "run/run.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static int find_option(const ts_command *command, const char *name) {
    for (int i = 0; command->options[i].name; i++)
        if (strcmp(command->options[i].name, name) == 0)
            return i;
    fprintf(stderr, "toysweep: the command '%s' has no option '%s'\n", command->name, name);
    abort();
}

// getopt's tables of a command's options; `help` comes last, as option number -1.
static void make_tables(const ts_command *command, struct option longs[TS_MAX_OPTIONS + 2],
                        char shorts[2 * TS_MAX_OPTIONS + 4]) {
    int n = 0, at = 0;
    shorts[at++] = ':';
    for (; command->options[n].name; n++) {
        const ts_option *option = &command->options[n];
        longs[n] =
            (struct option){option->name, option->argument ? required_argument : no_argument, NULL, 256 + n};
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

static ts_status bad_option(const ts_command *command, int code, char **argv) {
    if (code == ':')
        return ts_fail(TS_ERROR_USER, "%s needs an argument; see toysweep %s --help", argv[optind - 1],
                       command->name);
    if (optopt && optopt < 256)
        return ts_fail(TS_ERROR_USER, "unknown option -%c; see toysweep %s --help", optopt, command->name);
    return ts_fail(TS_ERROR_USER, "unknown, ambiguous or ill-used option %s; see toysweep %s --help",
                   argv[optind - 1], command->name);
}

static int option_of(const ts_command *command, int code) {
    if (code >= 256)
        return code - 256;
    for (int i = 0; command->options[i].name; i++)
        if (command->options[i].letter == code)
            return i;
    return -1;
}

ts_status ts_arguments_parse(const ts_command *command, int argc, char **argv, ts_arguments *arguments,
                             int *help) {
    struct option longs[TS_MAX_OPTIONS + 2];
    char shorts[2 * TS_MAX_OPTIONS + 4];
    int code;
    *arguments = (ts_arguments){0};
    *help = 0;
    make_tables(command, longs, shorts);
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
        if (strcmp(command->options[i].name, "set") != 0)
            continue;
        if (arguments->n_set == TS_MAX_REPEATS)
            return ts_fail(TS_ERROR_USER, "--set: at most %d times", TS_MAX_REPEATS);
        arguments->set[arguments->n_set++] = optarg;
    }
    for (; optind < argc && arguments->n_operands < TS_MAX_OPERANDS; optind++)
        arguments->operand[arguments->n_operands++] = argv[optind];
    if (arguments->n_operands != command->n_operands)
        return ts_fail(TS_ERROR_USER, "usage: toysweep %s%s%s [OPTION]...; see toysweep %s --help",
                       command->name, *command->operands ? " " : "", command->operands, command->name);
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
        return ts_fail(TS_ERROR_USER, "--%s %s: give an integer from %lld to %lld", name, text, minimum,
                       maximum);
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
