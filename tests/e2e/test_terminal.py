"""What people see: nothing that files or arguments say steers their terminal, and the progress line stays one line."""

import fcntl
import json
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
import unicodedata

from processes import TIMEOUT, kill_family
from support import ENVIRONMENT, TOYSWEEP, Case, long_sweep, main

import h5py

# Steers a terminal, or what is seen: an escape sequence, a title, DEL, C1, a direction override, a byte order mark.
HOSTILE = "\x1b[31m\x1b]0;owned\x07\x7f\x9b31m\u202e\ufeff"
PLAIN = "ünïcödé 数"
TEXT = PLAIN + HOSTILE
SEEN = PLAIN + r"\x1b[31m\x1b]0;owned\x07\x7f\u009b31m\u202e\ufeff"

SWEEP = """\
name: shown
task: tree
steps: 50
save: final
depth: 2
grid:
  hidden: [2, 4]
"""


class Texts(Case):
    """In every command; each line of output is one that the program began."""

    def check_output(self, output, *parts):
        steering = {c for c in output if c != "\n" and (unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp"))}
        self.assertEqual(steering, set(), output)
        self.assert_says(output, *parts)

    def test_in_a_sweep_file(self):
        quoted = json.dumps(TEXT + "\nsecond")
        faults = {"name": f"name: {quoted}\n", "value": f"model: {quoted}\n", "key": f"{quoted}: 3\n",
                  "where": f"where: {quoted}\n", "range": f"hidden: [{quoted}]\n",
                  "file": "task: cayley\ncayley: " + json.dumps(PLAIN + "\u202e.csv") + "\n"}
        for command in "run", "plan":
            for name, text in faults.items():
                with self.subTest(command, fault=name):
                    self.write("sweep.yaml", text + ("task: tree\n" if "task" not in text else ""))
                    output = self.run_program(command, "sweep.yaml", expect=2)
                    self.check_output(output, PLAIN)
                    for line in output.splitlines():
                        self.assertRegex(line, r"^(toysweep: )?(sweep\.yaml|\.\.\. and)")

    def test_in_arguments_and_paths(self):
        self.write("sweep.yaml", SWEEP)
        name = TEXT + "\nsecond"
        for arguments in ([name], ["run", name], ["plan", name], ["status", name], ["measure", name], ["run", "--" + name],
                          ["export", name, "--instance", "0"], ["run", "sweep.yaml", "--threads", name],
                          ["plan", "sweep.yaml", "--set", name], ["plan", "sweep.yaml", "--set", "hidden=" + name],
                          ["run", "sweep.yaml", "--reuse", name], ["run", "sweep.yaml", "--backend", name],
                          ["run", "sweep.yaml", "--progress", name], ["run", "sweep.yaml", "--time-limit", name]):
            with self.subTest(arguments):
                output, code = self.run_to_any_end(*arguments)
                self.assertIn(code, (1, 2))
                self.assertEqual(output.count("\n"), 1, output)
                self.check_output(output, *([] if "hidden=" in arguments[-1] else [PLAIN]))  # that is no YAML

    def test_in_the_name_of_the_results_file_which_can_be_typed_as_shown(self):
        self.write("sweep.yaml", SWEEP)
        for name in TEXT + "it's\n\\.h5", os.fsdecode(b"\xff\xfe") + PLAIN + ".h5":
            with self.subTest(name):
                output = self.run_program("run", "sweep.yaml", "--output=" + name)
                self.check_output(output, PLAIN)
                for command in ["status"], ["status", "--json"], ["measure"], ["run", "sweep.yaml", "-o"]:
                    self.check_output(self.run_program(*command, name))
                shown = re.search(r"next: \S*toysweep status (.*)   or", output)[1]
                status = subprocess.run(["bash", "-c", f'"$0" status {shown}', TOYSWEEP], cwd=self.directory,
                                        capture_output=True, text=True, env={**ENVIRONMENT, "LC_ALL": "C.UTF-8"})
                self.assertIn("2 done", status.stdout, (shown, status.stderr))
                for line in self.log(name + ".log.jsonl").splitlines():
                    json.loads(line)

    def test_in_a_results_file_and_its_log(self):
        self.run_program("run", self.write("sweep.yaml", SWEEP))
        with h5py.File(self.path("shown.h5"), "r+") as file:
            for name in "name", "version", "backend":
                file.attrs[name] = f"{name} {TEXT}\nsecond"
            file["cases"].move(list(file["cases"])[0], TEXT)
            file["status"][0] = 2
        with open(self.path("shown.h5.log.jsonl"), "a") as log:
            log.write(json.dumps({"event": "failure", "instance": 0, "reason": TEXT + "\nsecond"}) + "\n")
        output = self.run_program("status", "shown.h5")
        self.check_output(output, "name " + SEEN, "version " + SEEN, "instance 0: " + SEEN, "1 done")
        self.assertEqual([line for line in output.splitlines() if line.startswith("second")], [])
        output = self.run_program("status", "shown.h5", "--json")
        self.check_output(output)
        self.assertEqual(json.loads(output)["name"], f"name {TEXT}\nsecond")
        for command in (["run", "sweep.yaml"], ["measure", "shown.h5"], ["measure", "shown.h5", "-o", "new.h5"],
                        ["export", "shown.h5", "--instance", "1"], ["run", "sweep.yaml", "-o", "b.h5", "--reuse", "shown.h5"]):
            with self.subTest(command):
                self.check_output(self.run_to_any_end(*command)[0])


class Progress(Case):
    def start_in_terminal(self, columns, *arguments, **environment):
        """Standard error of self.process is a terminal; returns its other end."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.resize(master, columns)
        self.process = subprocess.Popen([TOYSWEEP, *arguments], cwd=self.directory, stdout=subprocess.DEVNULL, stderr=slave,
                                        start_new_session=True, env={**ENVIRONMENT, "TERM": "xterm", **environment})
        self.addCleanup(kill_family, self.process)
        os.close(slave)
        return master

    def resize(self, terminal, columns):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def lines(self, terminal):
        """Each state of the live line, as it is written."""
        text, end = "", time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                text += os.read(terminal, 65536).decode()
            except OSError:  # the program has closed its end
                break
            *whole, text = text.split("\r\x1b[K")
            yield from filter(None, whole)
        else:
            self.fail("the run did not end")
        if text:
            yield text

    def check(self, lines, columns):
        share = 0.0
        for line in lines:
            self.assertLess(len(line), columns, line)
            self.assertTrue(line.isprintable(), repr(line))
            if "%" in line:
                now = float(re.search(r"([\d.]+)%", line)[1])
                self.assertGreaterEqual(now, share, lines)
                share = now
        self.assertTrue(lines)

    def test_it_stays_on_one_line_of_any_terminal(self):
        sweep = self.write("long.yaml", long_sweep(1))
        for columns in 1, 40, 80, 110, 300:
            with self.subTest(columns):
                terminal = self.start_in_terminal(columns, "run", sweep, "-o", f"{columns}.h5", "--threads", "1")
                lines = list(self.lines(terminal))
                self.check(lines, max(columns, 2))
                if columns >= 40:
                    self.assertTrue(all(re.search(r"[\d.]+%.* left", line) for line in lines), lines)

    def test_it_follows_a_terminal_that_is_resized(self):
        sweep = self.write("long.yaml", long_sweep(3))
        terminal = self.start_in_terminal(110, "run", sweep, "--threads", "1")
        lines, narrow = [], []
        for line in self.lines(terminal):
            (lines if len(lines) < 3 else narrow).append(line)
            if len(lines) == 3 and not narrow:
                self.process.send_signal(signal.SIGSTOP)
                while select.select([terminal], [], [], 1)[0]:  # what it had written by then
                    os.read(terminal, 65536)
                self.resize(terminal, 40)
                self.process.send_signal(signal.SIGCONT)
        self.check(lines, 110)
        self.check(narrow[2:], 40)  # the fourth had been read, and one may have been on its way

    def test_columns_stands_in_for_a_terminal_that_does_not_say(self):
        sweep = self.write("long.yaml", long_sweep(1))
        terminal = self.start_in_terminal(0, "run", sweep, "--threads", "1", COLUMNS="50")
        self.check(list(self.lines(terminal)), 50)
        shutil.rmtree(self.path("long.h5"), ignore_errors=True)
        terminal = self.start_in_terminal(0, "run", sweep, "-o", "other.h5", "--threads", "1", COLUMNS="")
        self.check(list(self.lines(terminal)), 80)

    def test_a_terminal_that_cannot_clear_a_line_gets_a_log(self):
        sweep = self.write("long.yaml", long_sweep(1))
        terminal = self.start_in_terminal(80, "run", sweep, "--threads", "1", TERM="dumb")
        self.assertEqual(list(self.lines(terminal)), [])


if __name__ == "__main__":
    main()
