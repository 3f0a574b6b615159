// Escape sequences of every terminal today; signals through a pipe, since any thread may take them.
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE
#include "base/screen.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int CAUGHT[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
enum { SIGNALS = sizeof CAUGHT / sizeof *CAUGHT };

static struct {
    struct sigaction before[SIGNALS];
    int caught;         // how many of them
    int pipe[2];        // numbers of signals
    bool keys;          // standard input is a terminal
    struct termios was; // its modes, if `keys`
    bool shown;         // the picture is on the terminal
} screen;

static volatile sig_atomic_t deadly; // the signal that ends the process; 0: none yet

static void handle(int number) {
    int error = errno;
    char byte = (char)number;
    if (number != SIGTSTP && number != SIGCONT && number != SIGWINCH)
        deadly = number;
    if (write(screen.pipe[1], &byte, 1) != 1) {
        // The pipe is full of signals that nobody has looked at yet.
    }
    errno = error;
}

ts_status ts_screen_check(void) {
    const char *kind = getenv("TERM");
    if (!isatty(STDOUT_FILENO))
        return ts_fail(TS_ERROR_USER, "--watch: standard output is no terminal; leave --watch out, or run it in one");
    if (kind && strcmp(kind, "dumb") == 0)
        return ts_fail(TS_ERROR_USER, "--watch: a terminal of the kind 'dumb' (TERM) has no screen; leave --watch out");
    return TS_OK;
}

// One that is not ours has no foreground of ours, so that nothing stops us there.
static bool is_in_foreground(void) {
    pid_t group = tcgetpgrp(STDOUT_FILENO);
    return group < 0 || group == getpgrp();
}

static bool put(const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&ready, 1, 100);
        } else if (written < 0 && errno != EINTR) {
            return false;
        }
        bytes += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
        if (length > 0 && deadly)
            return true; // a terminal that takes nothing must not keep us
    }
    return true;
}

static void put_text(const char *text) {
    put(text, strlen(text));
}

static void enter(void) {
    if (screen.shown || !is_in_foreground())
        return;
    if (screen.keys) {
        struct termios now = screen.was;
        now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        now.c_cc[VMIN] = 1;
        now.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &now);
    }
    put_text("\033[?1049h\033[?25l");
    screen.shown = true;
}

static void leave(void) {
    if (screen.shown && is_in_foreground()) {
        put_text("\033[?25h\033[?1049l");
        if (screen.keys)
            tcsetattr(STDIN_FILENO, TCSANOW, &screen.was);
    }
    screen.shown = false;
}

static void catch_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (; screen.caught < SIGNALS; screen.caught++) {
        struct sigaction *before = &screen.before[screen.caught];
        // What the parent ignores stays ignored.
        if (sigaction(CAUGHT[screen.caught], NULL, before) == 0 && before->sa_handler != SIG_IGN)
            sigaction(CAUGHT[screen.caught], &action, NULL);
    }
}

static void release_signals(void) {
    while (screen.caught > 0) {
        screen.caught--;
        sigaction(CAUGHT[screen.caught], &screen.before[screen.caught], NULL);
    }
}

ts_status ts_screen_open(void) {
    screen.caught = 0;
    screen.shown = false;
    screen.keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen.was) == 0;
    deadly = 0;
    if (pipe(screen.pipe) != 0) {
        screen.pipe[0] = screen.pipe[1] = -1;
        return ts_fail(TS_ERROR_FATAL, "cannot make a pipe: %s", strerror(errno));
    }
    for (int i = 0; i < 2; i++) {
        fcntl(screen.pipe[i], F_SETFL, O_NONBLOCK);
        fcntl(screen.pipe[i], F_SETFD, FD_CLOEXEC);
    }
    catch_signals();
    enter();
    return TS_OK;
}

void ts_screen_close(void) {
    leave();
    release_signals();
    for (int i = 0; i < 2; i++)
        if (screen.pipe[i] >= 0)
            close(screen.pipe[i]);
    if (deadly)
        raise(deadly);
}

ts_status ts_screen_show(const char *lines) {
    ts_text out = {0};
    enter();
    ts_text_add(&out, "\033[H");
    for (const char *at = lines;; at++) {
        size_t length = strcspn(at, "\n");
        ts_text_add(&out, "\033[2K");
        ts_text_append(&out, at, length);
        at += length;
        if (!*at)
            break;
        ts_text_add(&out, "\r\n");
    }
    ts_text_add(&out, "\033[J");
    ts_status status = ts_text_status(&out);
    if (status == TS_OK && screen.shown && !put(out.bytes, out.length))
        status = ts_fail(TS_ERROR_FATAL, "cannot write to the terminal: %s", strerror(errno));
    ts_text_free(&out);
    return status;
}

// As if the signal had not been caught; returns when the process goes on.
static void suspend(void) {
    struct sigaction caught, usual;
    memset(&usual, 0, sizeof usual);
    usual.sa_handler = SIG_DFL;
    sigemptyset(&usual.sa_mask);
    leave();
    sigaction(SIGTSTP, &usual, &caught);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &caught, NULL);
}

// Whether the picture is to be drawn anew.
static bool take_signals(void) {
    bool any = false;
    for (char number; read(screen.pipe[0], &number, 1) == 1; any = true) {
        if (number == SIGTSTP)
            suspend();
        if (number == SIGCONT) // also after a stop that nobody could see coming: the shell has had the terminal
            screen.shown = false;
    }
    enter();
    return any;
}

// Whether one of the keys that were pressed is to end it, or there is no terminal any more.
static bool take_keys(void) {
    char key[64];
    ssize_t count = read(STDIN_FILENO, key, sizeof key);
    for (ssize_t i = 0; i < count; i++)
        if (key[i] == 'q' || key[i] == 'Q' || key[i] == 3) // Ctrl-C where the terminal makes no signal of it
            return true;
    return count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN);
}

bool ts_screen_wait(double seconds) {
    double end = ts_clock() + seconds;
    for (double left = seconds; left > 0; left = end - ts_clock()) {
        struct pollfd ready[2] = {{.fd = screen.pipe[0], .events = POLLIN},
                                  {.fd = screen.keys && screen.shown ? STDIN_FILENO : -1, .events = POLLIN}};
        if (deadly)
            return false;
        if (poll(ready, 2, (int)(left * 1000) + 1) <= 0)
            continue;
        if (ready[0].revents && take_signals())
            return !deadly;
        if (ready[1].revents && take_keys())
            return false;
    }
    return !deadly;
}
