// The bare name where the shell finds this program by it, else a path.
#define _GNU_SOURCE
#include "base/program.h"

#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Is what the shell finds under this name that file?
static bool is_on_path(const char *name, const struct stat *file) {
    const char *path = getenv("PATH");
    while (path && *path) {
        char candidate[PATH_MAX];
        struct stat found;
        int length = (int)strcspn(path, ":");
        int bytes = snprintf(candidate, sizeof candidate, "%.*s/%s", length, path, name);
        if (length > 0 && bytes < (int)sizeof candidate && stat(candidate, &found) == 0 && S_ISREG(found.st_mode) &&
            access(candidate, X_OK) == 0)
            return found.st_dev == file->st_dev && found.st_ino == file->st_ino;
        path += length + (path[length] == ':');
    }
    return false;
}

// What to type for the program in this file, whose path is absolute. False: there is no such program.
static bool shorten(const char *file, char command[TS_COMMAND_BYTES]) {
    char here[PATH_MAX];
    struct stat found;
    const char *name = ts_path_name(file);
    if (stat(file, &found) != 0 || access(file, X_OK) != 0)
        return false;
    size_t length = getcwd(here, sizeof here) ? strlen(here) : 0;
    if (is_on_path(name, &found))
        snprintf(command, TS_COMMAND_BYTES, "%s", name);
    else if (length > 1 && strncmp(file, here, length) == 0 && file[length] == '/')
        snprintf(command, TS_COMMAND_BYTES, "%s%s", file + length + 1 == name ? "./" : "", file + length + 1);
    else
        snprintf(command, TS_COMMAND_BYTES, "%s", file);
    return true;
}

// Path of the file that is running. False: the system does not say.
static bool find_program(char file[PATH_MAX]) {
    ssize_t length = readlink("/proc/self/exe", file, PATH_MAX - 1);
    file[length > 0 ? length : 0] = 0;
    return length > 0 && length < PATH_MAX - 1;
}

void ts_program_command(char command[TS_COMMAND_BYTES]) {
    char file[PATH_MAX];
    if (!find_program(file) || !shorten(file, command))
        snprintf(command, TS_COMMAND_BYTES, "toysweep");
}

bool ts_program_plotter(char command[TS_COMMAND_BYTES]) {
    char file[PATH_MAX], beside[PATH_MAX + 32], built[PATH_MAX];
    if (!find_program(file))
        return false;
    int directory = (int)(ts_path_name(file) - file);
    snprintf(beside, sizeof beside, "%.*stoysweep-plot", directory, file);
    if (shorten(beside, command))
        return true;
    snprintf(beside, sizeof beside, "%.*s../../tools/plot.py", directory, file); // from build/PRESET
    return realpath(beside, built) && shorten(built, command);
}
