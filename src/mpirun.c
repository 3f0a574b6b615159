// toysweep-mpirun: mpirun that ends when the run has ended. Open MPI's own hangs while it cannot reach a host; here
// signals reach the ranks as the wish to save, rank 0 says in a file that all is saved, and mpirun is ended if it does
// not end by itself then. Knows nothing of MPI, so that it works beside any, and outside a container that has all else.
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "run/options.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOST_HOST = 205 }; // Open MPI's mpirun: "lost communication with a remote daemon"

// Seconds.
static const double LOOK_INTERVAL = 0.1;
static const double REMIND_INTERVAL = 2; // an mpirun that still starts its ranks drops signals
static const double AFTER_END = 5;       // rank 0 has ended: mpirun's own end takes one or two
static const double STOP_WAIT = 30;      // after a signal without a word of rank 0; twice that after a time limit
static const double WHILE_SAVING = 600;  // rank 0 has said that it stops
static const double BETWEEN_KILLS = 3;   // a second TERM within 5 s makes Open MPI's mpirun exit at once
static const double FOR_ORPHANS = 10;    // ranks whose mpirun has ended may be saving

typedef enum { NO_WORD, SAVING, ENDED } ts_word; // of rank 0

typedef struct ts_watch {
    pid_t mpirun;
    const char *name;                          // of mpirun
    char folder[PATH_MAX], end_file[PATH_MAX]; // folder: "" if the file's place was chosen by the caller
    double now, seen;                          // seconds that passed while this process was not suspended
    double limit;                              // of the run; 0: none
    double wait;                               // STOP_WAIT, or what the user says instead
    double stop, reminder;                     // when the first signal came, and the last reminder; < 0: not yet
    double saving, ended;                      // when rank 0's word came; < 0: not yet
    int signal;                                // the last one that asked for a stop
    int code;                                  // rank 0's exit code, once it has ended
    bool interrupted;                          // Ctrl-C, twice
    bool killed;                               // mpirun has not ended by itself
} ts_watch;

static const char HELP[] =
    "Usage: toysweep-mpirun [MPIRUN-OPTION]... toysweep run SWEEP.yaml [OPTION]...\n"
    "\n"
    "mpirun for toysweep: the same arguments, but it ends when the run has ended, also while a host cannot be\n"
    "reached, and with the run's own exit code.\n"
    "\n"
    "  * TERM, INT, HUP, USR1, USR2 and XCPU reach the ranks as USR2, at which they save and stop. (mpirun itself\n"
    "    would kill them at a TERM.) A second INT ends all at once, with 130.\n"
    "  * mpirun is ended 5 s after rank 0 has said that all is saved, 30 s after a signal without any answer of\n"
    "    rank 0 (10 min while it saves), 60 s after the run's --time-limit. The exit code is what rank 0 said, else\n"
    "    75: run again to continue.\n"
    "  * mpirun notices after 25 s that a host is lost; where it ends the run at that (205), the exit code is 75.\n"
    "\n"
    "Environment:\n"
    "  TOYSWEEP_MPIRUN     the mpirun to use, instead of the one on the PATH\n"
    "  TOYSWEEP_END_FILE   where rank 0 says its exit code; needed where it is on another host than this program, or\n"
    "                      in a container: a place that both see. mpirun passes it on to other hosts only with\n"
    "                      -x TOYSWEEP_END_FILE. Default: one in TMPDIR\n"
    "  TOYSWEEP_STOP_WAIT  how long rank 0 may take to answer a signal, instead of 30 s, and half of what it may take\n"
    "                      after the run's --time-limit\n"
    "  OMPI_MCA_oob_tcp_keepalive_time, _intvl, _probes; PRTE_MCA_... for Open MPI 5\n"
    "                      how mpirun notices a lost host; 10, 5 and 3 unless they are set\n";

// --- Rank 0's word ---

static ts_status choose_end_file(ts_watch *w) {
    const char *chosen = getenv("TOYSWEEP_END_FILE"), *place = getenv("TMPDIR");
    int length;
    if (chosen && *chosen) {
        length = snprintf(w->end_file, sizeof w->end_file, "%s", chosen);
        if (unlink(chosen) != 0 && errno != ENOENT) // one of a run before would be taken for this one's
            return ts_fail_errno(TS_ERROR_FATAL, errno, "TOYSWEEP_END_FILE: cannot delete '%s'", chosen);
    } else {
        snprintf(w->folder, sizeof w->folder, "%s/toysweep-XXXXXX", place && *place ? place : "/tmp");
        if (!mkdtemp(w->folder)) {
            int error = errno;
            w->folder[0] = '\0';
            return ts_fail_errno(TS_ERROR_FATAL, error, "cannot make a folder in '%s' (TMPDIR)",
                                 place && *place ? place : "/tmp");
        }
        length = snprintf(w->end_file, sizeof w->end_file, "%s/end", w->folder);
    }
    if (length < 0 || (size_t)length >= sizeof w->end_file)
        return ts_fail(TS_ERROR_FATAL, "the name of the end file is too long: '%s'", w->end_file);
    return setenv("TOYSWEEP_END_FILE", w->end_file, 1) == 0 ? TS_OK : ts_fail(TS_ERROR_MEMORY, "out of memory");
}

// Whatever a rank has left there too.
static void remove_folder(const ts_watch *w) {
    DIR *folder = *w->folder ? opendir(w->folder) : NULL;
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));)
        unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(w->folder);
}

// The file holds a number and a newline once rank 0 has saved all and ends; before that anything else means that it
// has heard and is saving.
static ts_word read_word(const ts_watch *w, int *code) {
    char text[16] = "";
    int file = open(w->end_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return NO_WORD;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    char *end = text;
    long number = length > 0 && isdigit((unsigned char)*text) ? strtol(text, &end, 10) : -1;
    if (end == text || *end != '\n' || number > 255)
        return SAVING;
    *code = (int)number;
    return ENDED;
}

static void look(ts_watch *w) {
    ts_word word = w->ended < 0 ? read_word(w, &w->code) : ENDED;
    if (word == ENDED && w->ended < 0)
        w->ended = w->now;
    if (word == SAVING && w->saving < 0)
        w->saving = w->now;
}

// --- mpirun ---

static void set_unless_set(const char *name, const char *value) {
    static const char *const PREFIXES[] = {"OMPI_MCA_", "PRTE_MCA_"}; // Open MPI 4, and 5's PRRTE
    for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++) {
        char variable[64];
        snprintf(variable, sizeof variable, "%s%s", PREFIXES[i], name);
        setenv(variable, value, 0);
    }
}

static void notice_lost_hosts(void) {
    set_unless_set("oob_tcp_keepalive_time", "10");
    set_unless_set("oob_tcp_keepalive_intvl", "5");
    set_unless_set("oob_tcp_keepalive_probes", "3");
}

// In a process group of its own, so that a terminal's Ctrl-C comes here only.
static ts_status start(ts_watch *w, char **argv, const sigset_t *mask) {
    const char *mpirun = getenv("TOYSWEEP_MPIRUN");
    argv[0] = (char *)(mpirun && *mpirun ? mpirun : "mpirun");
    w->name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    prctl(PR_SET_CHILD_SUBREAPER, 1); // ranks that mpirun leaves are found among our children
    pid_t self = getpid();
    w->mpirun = fork();
    if (w->mpirun < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot start a process");
    if (w->mpirun == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != self)
            _exit(TS_EXIT_OTHER);
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(argv[0], argv);
        ts_error("cannot start '%s': %s: load the module of your MPI, or name its mpirun in TOYSWEEP_MPIRUN", argv[0],
                 strerror(errno));
        _exit(TS_EXIT_OTHER);
    }
    setpgid(w->mpirun, w->mpirun); // whoever comes first
    return TS_OK;
}

// Has mpirun ended, and how? Takes note of everybody else's end as well.
static bool has_ended(const ts_watch *w, int *status) {
    int how;
    for (pid_t pid; (pid = waitpid(-1, &how, WNOHANG)) > 0;)
        if (pid == w->mpirun) {
            *status = how;
            return true;
        }
    return false;
}

static bool wait_for_mpirun(const ts_watch *w, double seconds, int *status) {
    double end = ts_clock() + seconds;
    bool over;
    while (!(over = has_ended(w, status)) && ts_clock() < end)
        ts_sleep(LOOK_INTERVAL / 2);
    return over;
}

// At TERM mpirun ends its ranks, and at a second one itself; what it started comes to us after a KILL.
static void end_mpirun(ts_watch *w, int *status) {
    w->killed = true;
    kill(w->mpirun, SIGCONT);
    for (int i = 0; i < 2; i++) {
        kill(w->mpirun, SIGTERM);
        if (wait_for_mpirun(w, BETWEEN_KILLS, status))
            return;
    }
    kill(-w->mpirun, SIGKILL);
    while (!wait_for_mpirun(w, 1, status))
        ;
}

// Signals all our children; false where there are none.
static bool signal_children(int number) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *children = fopen(path, "re");
    bool any = false;
    for (int pid; children && fscanf(children, "%d", &pid) == 1; any = true)
        kill(pid, number);
    if (children)
        fclose(children);
    return any;
}

// Ranks of this host that mpirun has left behind: gone, or killed after some time. One that waits for a dead disk
// stays.
static void end_orphans(const ts_watch *w) {
    double patience = w->killed ? 0 : FOR_ORPHANS, begin = ts_clock();
    for (double passed = 0; signal_children(0) && passed < patience + BETWEEN_KILLS; passed = ts_clock() - begin) {
        if (passed >= patience)
            signal_children(SIGKILL);
        ts_sleep(LOOK_INTERVAL / 2);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}

// --- Watching it ---

static void take_signal(ts_watch *w, int number) {
    if (number == SIGCHLD)
        return;
    w->interrupted = number == SIGINT && w->signal == SIGINT;
    w->signal = number;
    if (w->stop < 0)
        w->stop = w->now;
}

static void remind(ts_watch *w) {
    if (w->stop < 0 || w->ended >= 0 || (w->reminder >= 0 && w->now < w->reminder + REMIND_INTERVAL))
        return;
    kill(w->mpirun, SIGUSR2);
    w->reminder = w->now;
}

// Is it time to end mpirun? Says why.
static bool is_overdue(const ts_watch *w) {
    char text[32];
    if (w->ended >= 0) {
        if (w->now < w->ended + AFTER_END)
            return false;
        ts_warn("rank 0 ended with %d, but %s does not, as when a host does not answer: it is ended", w->code, w->name);
    } else if (w->interrupted) {
        ts_warn("interrupted again: %s is ended", w->name);
    } else if (w->saving >= 0) {
        if (w->now < w->saving + WHILE_SAVING)
            return false;
        ts_warn("rank 0 has been saving for %s: %s is ended", ts_duration_text(WHILE_SAVING, text), w->name);
    } else if (w->stop >= 0 && w->now >= w->stop + w->wait) {
        ts_warn("no answer from rank 0 in %s to signal %d (%s): %s is ended", ts_duration_text(w->wait, text),
                w->signal, strsignal(w->signal), w->name);
    } else if (w->limit > 0 && w->now >= w->limit + 2 * w->wait) {
        ts_warn("the run has not ended at its time limit of %s: %s is ended", ts_duration_text(w->limit, text),
                w->name);
    } else {
        return false;
    }
    return true;
}

static void watch(ts_watch *w, const sigset_t *signals, int *status) {
    const struct timespec interval = {.tv_nsec = (long)(LOOK_INTERVAL * 1e9)};
    double last = ts_clock();
    while (!has_ended(w, status)) {
        int number = sigtimedwait(signals, NULL, &interval);
        double now = ts_clock(), passed = now - last;
        w->now += passed < 1 ? passed : 1; // a job that was suspended has not been waiting
        last = now;
        if (number > 0)
            take_signal(w, number);
        look(w);
        remind(w);
        if (is_overdue(w)) {
            end_mpirun(w, status);
            return;
        }
    }
}

// Rank 0's word counts, else what mpirun says.
static int exit_code(ts_watch *w, int status) {
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    look(w);
    if (w->ended >= 0)
        return w->code;
    if (w->interrupted)
        return 128 + SIGINT;
    if (w->killed)
        return TS_EXIT_STOPPED;
    if (w->stop >= 0 && (code == 128 + SIGUSR2 || code == 128 + SIGTERM)) // before anybody could handle them
        return TS_EXIT_STOPPED;
    if (code == LOST_HOST) {
        ts_warn("%s has lost a host (exit code %d): nothing that was saved is lost, run again to continue", w->name,
                code);
        return TS_EXIT_STOPPED;
    }
    return code;
}

// The run's --time-limit, among the program's arguments: the last one counts. A faulty one is the program's to refuse.
static double find_limit(char **argv) {
    static const char NAME[] = "--time-limit";
    const size_t length = sizeof NAME - 1;
    double limit = 0;
    for (; *argv; argv++) {
        if (strncmp(*argv, NAME, length) != 0)
            continue;
        const char *text = (*argv)[length] == '=' ? *argv + length + 1 : (*argv)[length] == '\0' ? argv[1] : NULL;
        if (text)
            (void)ts_duration_parse(text, &limit);
    }
    return limit;
}

static ts_status find_wait(double *wait) {
    const char *text = getenv("TOYSWEEP_STOP_WAIT");
    *wait = STOP_WAIT;
    if (!text || !*text || ts_duration_parse(text, wait) == TS_OK)
        return TS_OK;
    return ts_fail(TS_ERROR_USER, "TOYSWEEP_STOP_WAIT: '%s' is no duration; say 30s or 2m", text);
}

// --- All of it ---

static void hold_signals(sigset_t *signals, sigset_t *before) {
    static const int HELD[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGCHLD};
    signal(SIGCHLD, SIG_DFL); // a parent that ignores it would hide the end from us
    sigemptyset(signals);
    for (size_t i = 0; i < sizeof HELD / sizeof *HELD; i++) {
        struct sigaction action;
        if (sigaction(HELD[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) // as nohup has it
            sigaddset(signals, HELD[i]);
    }
    sigprocmask(SIG_BLOCK, signals, before);
}

int main(int argc, char **argv) {
    ts_watch w = {.stop = -1, .reminder = -1, .saving = -1, .ended = -1};
    sigset_t signals, before;
    int status = 0, code = TS_EXIT_OTHER;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(HELP, argc < 2 ? stderr : stdout);
        return argc < 2 ? TS_EXIT_USAGE : TS_EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        ts_print("toysweep-mpirun %s", TOYSWEEP_VERSION);
        return TS_EXIT_DONE;
    }
    hold_signals(&signals, &before);
    notice_lost_hosts();
    w.limit = find_limit(argv + 1);
    if (find_wait(&w.wait) != TS_OK || choose_end_file(&w) != TS_OK || start(&w, argv, &before) != TS_OK) {
        ts_error_message();
    } else {
        watch(&w, &signals, &status);
        end_orphans(&w);
        code = exit_code(&w, status);
    }
    remove_folder(&w);
    return code;
}
