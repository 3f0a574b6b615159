"""`status --watch`: what is on the terminal, and that it is left as it was whatever ends the picture."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

from processes import TIMEOUT, finish, kill_family
from support import ENDLESS, ENVIRONMENT, TOYSWEEP, Case, main

import h5py

SWEEP = """\
name: watched
task: tree
steps: 100
checkpoints: {log: 20}
depth: 2
grid:
  hidden: [2, 3, 4, 5, 6, 7]
"""
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
BLOCKS = "▁▂▃▄▅▆▇█"


class Terminal:
    """A process in a terminal of its own, which it may be stopped and ended by."""

    def __init__(self, test, *words, rows=24, columns=100, **environment):
        self.test, self.bytes, self.output = test, b"", ""
        self.master, self.slave = pty.openpty()
        test.addCleanup(os.close, self.master)
        test.addCleanup(os.close, self.slave)
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(words, cwd=test.directory, stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env={**ENVIRONMENT, "TERM": "xterm", **environment})
        test.addCleanup(kill_family, self.process)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys):
        os.write(self.master, keys)

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            self.bytes += os.read(self.master, 65536)
            self.output = self.bytes.decode(errors="replace")

    def wait_for(self, condition, what):
        end = time.monotonic() + TIMEOUT
        while not condition():
            self.test.assertLess(time.monotonic(), end, f"waited for {what}: {self.output!r}")
            self.read()

    def pictures(self):
        """All that are whole, as lists of lines."""
        found = re.findall("\x1b\\[H(.*?)\x1b\\[J", self.output, re.DOTALL)
        return [re.split("\r+\n", picture.replace("\x1b[2K", "")) for picture in found]

    def wait_for_picture(self, *parts, after=0):
        """Until there is one with all of these; returns its lines."""
        def last():
            pictures = self.pictures()[after:]
            return pictures and all(part in "\n".join(pictures[-1]) for part in parts)

        self.wait_for(last, parts)
        return self.pictures()[-1]

    def end(self, code):
        """Waits for the end; the terminal is as it was. Returns what was written after the picture."""
        self.wait_for(lambda: self.process.poll() is not None, "the end")
        self.read()
        self.test.assertEqual(self.process.returncode, code, self.output)
        self.test.assertEqual(termios.tcgetattr(self.slave), self.modes)
        self.test.assertEqual(self.output.count(ENTER), self.output.count(LEAVE), self.output)
        return self.output.rpartition(LEAVE)[2]


class Watch(Case):
    def setUp(self):
        super().setUp()
        self.run_program("run", self.write("sweep.yaml", SWEEP))
        # As if a run were writing.
        self.lock = open(self.path("watched.h5.lock"), "w")
        self.addCleanup(self.lock.close)
        fcntl.lockf(self.lock, fcntl.LOCK_EX, 1)

    def watch(self, **options):
        return Terminal(self, TOYSWEEP, "status", "watched.h5", "--watch", **options)

    def set_status(self, instance, value):
        with h5py.File(self.path("watched.h5"), "r+", locking=False) as file:
            file["status"][instance] = value

    def test_it_follows_the_file_and_ends_with_the_run(self):
        self.set_status(0, 0)
        terminal = self.watch()
        picture = terminal.wait_for_picture("5 done, 0 failed, 1 pending of 6")
        self.assert_says(picture[0], "watched.h5", "'watched'", "a run is writing")
        self.assertRegex(picture[1], r"^\[#+\.+\]")
        self.assertRegex(picture[4], r"^hidden=2 +\[\.{10}\] +0/1 +- +- *$")
        self.assertRegex(picture[5], rf"^hidden=3 +\[#{{10}}\] +1/1 +[\d.e-]+ +[\d.e-]+  █[{BLOCKS}]{{9,19}}$")  # the loss falls
        self.assertNotEqual(termios.tcgetattr(terminal.slave), terminal.modes)
        self.set_status(0, 1)
        terminal.wait_for_picture("6 done, 0 failed, 0 pending of 6")
        self.lock.close()
        terminal.resize(30, 100)  # need not be waited for
        rest = terminal.end(0)
        self.assert_says(rest, "no run is writing", "6 instances: 6 done", "median")

    def test_q_leaves(self):
        terminal = self.watch()
        terminal.wait_for_picture("6 done")
        terminal.press(b"xq")
        self.assertEqual(terminal.end(0), "")

    def test_signals_leave_the_terminal_as_it_was(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            with self.subTest(number):
                terminal = self.watch()
                terminal.wait_for_picture("6 done")
                if number == signal.SIGINT:
                    terminal.press(b"\x03")
                else:
                    terminal.process.send_signal(number)
                self.assertNotIn("instances", terminal.end(-number))

    def test_it_is_suspended_and_goes_on(self):
        script = 'set -m; "$0" status watched.h5 --watch; echo "code $? $(stty -g)"; fg >&2; echo "code $?"'
        before = subprocess.run(["stty", "-g"], stdin=(other := pty.openpty())[1], capture_output=True, text=True).stdout
        for end in other:
            os.close(end)
        terminal = Terminal(self, "bash", "-c", script, TOYSWEEP)
        terminal.wait_for_picture("6 done")
        terminal.press(b"\x1a")
        terminal.wait_for(lambda: terminal.output.count(ENTER) == 2, "the picture to come back")
        terminal.wait_for_picture("6 done", after=1)
        terminal.press(b"q")
        self.assert_says(terminal.end(0), "code 0")
        between = terminal.output.partition(LEAVE)[2].partition(ENTER)[0]
        self.assert_says(between, f"code {128 + signal.SIGTSTP} {before.strip()}")

    def test_it_fits_the_terminal_and_is_drawn_anew_with_its_size(self):
        terminal = self.watch()
        terminal.wait_for_picture("6 done")
        for rows, columns in (8, 60), (7, 40), (5, 15), (2, 8), (1, 1), (24, 300):
            with self.subTest(rows=rows, columns=columns):
                drawn = len(terminal.pictures())
                terminal.resize(rows, columns)
                terminal.wait_for(lambda: len(terminal.pictures()) > drawn, "a picture")
                picture = terminal.pictures()[-1]
                self.assertLessEqual(len(picture), rows)
                self.assertLessEqual(max(map(len, picture)), columns)
                if rows == 8:
                    self.assertEqual(picture[-1], "and 3 more")
                    self.assertEqual(len(picture), 8)
        terminal.press(b"q")
        terminal.end(0)

    def test_a_file_that_is_not_there_any_more_is_an_error(self):
        def replace():
            shutil.copy(self.path("watched.h5"), self.path("other.h5"))
            os.replace(self.path("other.h5"), self.path("watched.h5"))

        faults = {"'watched.h5' is another file now": replace,
                  "'watched.h5' is shorter than it was": lambda: os.truncate(self.path("watched.h5"), 3000),
                  "cannot read 'watched.h5' any more": lambda: os.unlink(self.path("watched.h5"))}
        for fault, act in faults.items():
            with self.subTest(fault):
                shutil.copy(self.path("watched.h5"), self.path("whole.h5"))
                terminal = self.watch()
                terminal.wait_for_picture("6 done")
                act()
                terminal.resize(20, 80)  # it looks at once
                self.assert_says(terminal.end(1), "toysweep: " + fault)
                os.replace(self.path("whole.h5"), self.path("watched.h5"))

    def test_what_is_refused(self):
        output = self.run_program("status", "watched.h5", "--watch", expect=2)
        self.assert_says(output, "standard output is no terminal; leave --watch out")
        for option in ["--json"], ["--output", "new.h5"]:
            output = self.run_program("status", "watched.h5", "--watch", *option, expect=2)
            self.assert_says(output, f"--watch does not go with {option[0]}")
        self.assert_says(self.watch(TERM="dumb").end(2), "TERM")
        terminal = Terminal(self, TOYSWEEP, "status", "none.h5", "--watch")
        self.assert_says(terminal.end(1), "none.h5")
        self.assertNotIn(ENTER, terminal.output)


class OfARun(Case):
    def test_unfinished_instances_have_curves(self):
        run = self.start_training(self.write("long.yaml", ENDLESS), "long.h5", "--threads", "1",
                                  "--checkpoint-interval", "0.2s")
        self.wait_for(lambda: self.states("long.h5"), "a state")
        terminal = Terminal(self, TOYSWEEP, "status", "long.h5", "--watch")
        terminal.wait_for(lambda: re.search(f" 0/4 .*[{BLOCKS}]", terminal.output), "a curve")
        run.send_signal(signal.SIGTERM)
        finish(run)
        terminal.resize(30, 100)
        self.assert_says(terminal.end(0), "no run is writing", "0 done")



if __name__ == "__main__":
    main()
