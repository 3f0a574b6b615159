"""A fault at system calls that touch a command's files: killed there, an input/output error, a full disk, a signal.

strace injects the fault into the n-th call of one kind that one process makes on the command's own files; n goes over
all of them at night, over the first and last of each phase otherwise."""

import collections
import itertools
import os
import re
import shutil
import signal
import subprocess

from processes import MPIRUN, finish
from support import NIGHTLY, TOYSWEEP, Case, fitted, sha256, with_way

CALLS = ("openat", "write", "pwrite64", "pwritev", "fsync", "fdatasync", "rename", "close", "fallocate", "ftruncate",
         "mkdir", "unlink")
# The files of a command that makes run.h5, and what a call on one is about.
SUFFIXES = {"": "results", ".tmp": "create", ".part.tmp": "create", ".part": "results", ".log.jsonl": "log",
            ".lock": "lock", ".state": "state"}
FAULTS = {"KILL": "signal=KILL", "EIO": "error=EIO", "ENOSPC": "error=ENOSPC", "EINTR": "error=EINTR"}

Result = collections.namedtuple("Result", "code output trace")


def phase_of(path, directory):
    """What a call on this path is about."""
    name = os.path.relpath(path, directory)
    if ".state/" in name:
        return "state"
    for suffix, phase in SUFFIXES.items():
        if name == "run.h5" + suffix:
            return phase
    return "directory"


# Four cases of three rows; short, but with states saved.
SHORT = """\
name: short
task: tree
steps: STEPS
checkpoints: {log: 10}
instances: 3
grid:
  depth: [2, 3]
  hidden: [2, 4]
"""


class SystemCalls(Case):
    """Of a command that makes run.h5, from whole.h5 or with its bytes."""
    SWEEP = ""
    SECONDS = 0.1  # for one thread: time enough for some states to be saved
    OPTIONS = []
    RANKS = 0  # of a run without faults
    PHASES = None  # those of which some are tried with every change; all phases if None

    def arguments(self):
        return ["run", self.sweep, "-o", self.path("run.h5"), *self.OPTIONS]

    def go_on(self):
        """After a fault: the same command."""
        self.run_program(*self.arguments(), ranks=self.RANKS)

    def prepare(self):
        """Writes what the sweep names."""

    def units(self):
        """Whose states are watched."""
        return []

    def setUp(self):
        super().setUp()
        # The names of states have the process id in them, which the shell knows before the program starts.
        trial = ["strace", "-D", "--seccomp-bpf", "-f", "-qq", "-o", "/dev/null", "-e", "inject=rename:error=EIO", "true"]
        if not shutil.which("strace") or subprocess.run(trial, capture_output=True).returncode != 0:
            self.skipTest("needs strace with --seccomp-bpf, and the right to trace")
        self.directory = os.path.realpath(self.directory)
        self.prepare()
        self.sweep = self.write("short.yaml", fitted(self.SWEEP, self.SECONDS) if "STEPS" in self.SWEEP else self.SWEEP)
        self.tried, self.happened = collections.Counter(), collections.Counter()
        self.expected, self.whole = self.run_whole(self.sweep, *self.OPTIONS, ranks=self.RANKS)

    def watched(self):
        """The command's own files, as the shell's words."""
        file = self.path("run.h5")
        paths = [self.directory] + [file + suffix for suffix in SUFFIXES]
        paths += [f"/proc/self/fd/{descriptor}" for descriptor in range(10, 40)]  # MPI-IO opens the results file so
        for unit in self.units():
            state = f"{file}.state/unit-{unit}"
            paths += [state + ".bin", state + ".old", state + ".bin.$$.tmp"]
        return paths

    def traced(self, calls, fault=None, ranks=0):
        """A shell command that runs the program under strace."""
        words = ["strace", "-D", "-f", "-y", "-qq", "-o", self.path("trace"), "-e", "trace=" + ",".join(calls)]
        if not fault or "signal" not in fault:
            words += ["--seccomp-bpf"]  # faster; but then strace (6.1) does not send the signal
        if fault:
            words += ["-e", "inject=" + fault]
        for path in self.watched():
            words += ["-P", path]
        words += [TOYSWEEP, *with_way(self.arguments(), ranks)]
        return "exec " + " ".join(words)

    def run_traced(self, calls, fault=None, ranks=0, rank=0):
        program = ["sh", "-c", self.traced(calls, fault, ranks)]
        plain = [TOYSWEEP, *with_way(self.arguments(), ranks)]
        if ranks:
            apps = [program if r == rank else plain for r in range(ranks)]
            program = [MPIRUN]
            for app in apps:
                program += [*([":"] if len(program) > 1 else []), "-n", "1", *app]
        if os.path.exists(self.path("trace")):
            os.unlink(self.path("trace"))
        process = self.start_command(program, environment={"OMPI_MCA_odls_base_sigkill_timeout": "0"})
        output = finish(process)
        with open(self.path("trace")) as file:
            return Result(process.returncode, output, file.read())

    def census(self, calls=CALLS, **where):
        """The phase of every call of every kind, per thread: {call: {phase: [n, ...]}}."""
        result = self.run_traced(calls, **where)
        self.assertEqual(result.code, 0, result.output)
        self.forget("run.h5")
        counted = collections.Counter()
        phases = collections.defaultdict(lambda: collections.defaultdict(set))
        for line in result.trace.splitlines():
            match = re.match(r"(\d+) +(\w+)\((.*)", line)
            if not match or match[2] not in calls:
                continue
            thread, call, arguments = match.groups()
            counted[thread, call] += 1
            paths = re.findall(re.escape(self.directory) + r"[^>\"]*", arguments)
            paths = [path for path in paths if not arguments.startswith(f"AT_FDCWD<{path}>")] or [self.directory]
            if call == "openat" and len(paths) > 1:
                paths = paths[-1:]
            phases[call][phase_of(paths[0], self.directory)].add(counted[thread, call])
        return phases

    def inject(self, call, n, fault, **where):
        """One run with a fault, checked, and continued. False if there were not so many calls this time."""
        self.forget("run.h5")
        result = self.run_traced([call], f"{call}:{FAULTS.get(fault, 'error=' + fault)}:when={n}", **where)
        happened = "INJECTED" in result.trace if fault != "KILL" else result.code not in (0, 75)
        messages = [line for line in result.output.splitlines()
                    if line.startswith("toysweep: ") and "warning: " not in line]
        if fault != "KILL":
            self.assertIn(result.code, (0, 1), result)
            self.assertEqual(len(messages), result.code, result)
            # The file is named, and what to do.
            self.assertTrue(all(self.path("run.h5") in line or self.directory in line for line in messages), result)
            self.assertTrue(all("again" in line or "-o" in line for line in messages), result)
        elif where.get("ranks", 0) == 0:
            self.assertIn(result.code, (0, -signal.SIGKILL), result)
        if os.path.exists(self.path("run.h5")):
            self.check_survivor("run.h5", self.whole)
        if fault != "KILL" and result.code == 0:
            self.assertEqual(sha256(self.path("run.h5")), self.expected, result)
        self.go_on()
        self.assertEqual(sha256(self.path("run.h5")), self.expected)
        self.check_nothing_else("trace")
        return happened

    def inject_near(self, call, numbers, n, fault, **where):
        """States are saved at other moments in every run: if there is no n-th call this time, then an earlier one. Nor
        does a rank that is late get any work: the first call is tried more than once."""
        self.tried[fault] += 1
        first, order = min(numbers), [n]
        while order[-1] > first:
            order.append(max(number for number in numbers if number <= max(order[-1] // 2, first)))
        self.happened[fault] += any(self.inject(call, number, fault, **where) for number in order + 4 * [first])

    def sweep_all(self, **where):
        """At night: every n of every kind of call, with every fault."""
        for call, phases in sorted(self.census(**where).items()):
            count = max(max(numbers) for numbers in phases.values())
            for n, fault in itertools.product(range(1, count + 1), FAULTS):
                with self.subTest(call=call, n=n, fault=fault, **where):
                    self.tried[fault] += 1
                    self.happened[fault] += self.inject(call, n, fault, **where)

    def sweep_sample(self, **where):
        """Of each kind of call in each phase the first or the last, and the faults, in turn; errors in all openings of
        the results file, in which ranks must agree."""
        turn = itertools.cycle([(fault, end) for ends in ((min, max), (max, min))
                                for fault, end in zip(FAULTS, itertools.cycle(ends))])
        for call, phases in sorted(self.census(**where).items()):
            for phase, numbers in sorted(phases.items()):
                if self.PHASES and phase not in self.PHASES:
                    continue
                opening = call == "openat" and phase == "results"
                fault, end = ("EIO", None) if opening else next(turn)
                for n in sorted(numbers) if opening else [end(numbers)]:
                    with self.subTest(call=call, phase=phase, n=n, fault=fault, **where):
                        self.inject_near(call, numbers, n, fault, **where)

    def check_all(self, **where):
        if NIGHTLY:
            self.sweep_all(**where)
        else:
            self.sweep_sample(**where)
        print(f"faults: {dict(self.tried)}, came about: {dict(self.happened)}", flush=True)
        if not NIGHTLY:
            self.assertGreater(self.happened.total(), self.tried.total() * 3 / 4)
