"""A fault at every system call that touches a run's files: killed there, an input/output error, a full disk.

strace injects the fault into the n-th call of one kind that one process makes on the run's own files; n goes over all
of them at night, over the first and last of each phase otherwise."""

import collections
import itertools
import os
import re
import shutil
import signal
import subprocess

from processes import MPIRUN, finish
from support import NIGHTLY, TOYSWEEP, Case, main, needs_mpi, sha256

CALLS = ("openat", "write", "pwrite64", "pwritev", "fsync", "fdatasync", "rename", "close", "fallocate", "ftruncate",
         "mkdir", "unlink")
FAULTS = {"KILL": "signal=KILL", "EIO": "error=EIO", "ENOSPC": "error=ENOSPC"}

# Four cases of three rows; short, but with states saved.
SWEEP = """\
name: short
task: tree
steps: 4000
checkpoints: {log: 10}
instances: 3
grid:
  depth: [2, 3]
  hidden: [2, 4]
"""
OPTIONS = ["--threads", "1", "--checkpoint-interval", "0.01s", "--progress", "none"]

Result = collections.namedtuple("Result", "code output trace")


def phase_of(path, directory):
    """What a call on this path is about."""
    name = os.path.relpath(path, directory)
    suffixes = {".h5.tmp": "create", ".h5": "results", ".log.jsonl": "log", ".lock": "lock", ".state": "state"}
    if ".state/" in name:
        return "state"
    for suffix, phase in suffixes.items():
        if name.endswith(suffix):
            return phase
    return "directory"


class SystemCalls(Case):
    def setUp(self):
        super().setUp()
        # The names of states have the process id in them, which the shell knows before the program starts.
        trial = ["strace", "-D", "--seccomp-bpf", "-f", "-qq", "-o", "/dev/null", "-e", "inject=rename:error=EIO", "true"]
        if not shutil.which("strace") or subprocess.run(trial, capture_output=True).returncode != 0:
            self.skipTest("needs strace with --seccomp-bpf, and the right to trace")
        self.directory = os.path.realpath(self.directory)
        self.sweep = self.write("short.yaml", SWEEP)
        self.expected, self.whole = self.run_whole(self.sweep, *OPTIONS)
        self.tried, self.happened = collections.Counter(), collections.Counter()

    def watched(self):
        """The run's own files, as the shell's words."""
        file = self.path("run.h5")
        paths = [self.directory, file, file + ".tmp", file + ".log.jsonl", file + ".lock", file + ".state"]
        for case, (first, last) in itertools.product(range(4), itertools.combinations(range(4), 2)):
            unit = f"{file}.state/unit-{case}-{first}-{last - first}"
            paths += [unit + ".bin", unit + ".old", unit + ".bin.$$.tmp"]
        return paths

    def traced(self, calls, fault=None):
        """A shell command that runs the program under strace."""
        words = ["strace", "-D", "-f", "-y", "-qq", "-o", self.path("trace"), "-e", "trace=" + ",".join(calls)]
        if not fault or "signal" not in fault:
            words += ["--seccomp-bpf"]  # faster; but then strace (6.1) does not send the signal
        if fault:
            words += ["-e", "inject=" + fault]
        for path in self.watched():
            words += ["-P", path]
        words += [TOYSWEEP, "run", self.sweep, "-o", self.path("run.h5"), *OPTIONS]
        return "exec " + " ".join(words)

    def run_traced(self, calls, fault=None, ranks=0, rank=0):
        program = ["sh", "-c", self.traced(calls, fault)]
        plain = [TOYSWEEP, "run", self.sweep, "-o", self.path("run.h5"), *OPTIONS]
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

    def forget(self):
        for name in self.files():
            if name.startswith("run.h5"):
                path = self.path(name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def census(self, **where):
        """The phase of every call of every kind, per thread: {call: {phase: [n, ...]}}."""
        result = self.run_traced(CALLS, **where)
        self.assertEqual(result.code, 0, result.output)
        self.forget()
        counted = collections.Counter()
        phases = collections.defaultdict(lambda: collections.defaultdict(set))
        for line in result.trace.splitlines():
            match = re.match(r"(\d+) +(\w+)\((.*)", line)
            if not match or match[2] not in CALLS:
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
        """One run with a fault, checked, and continued."""
        result = self.run_traced([call], f"{call}:{FAULTS[fault]}:when={n}", **where)
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
        output = self.run_program("run", self.sweep, "-o", "run.h5", *OPTIONS)
        self.assertEqual(sha256(self.path("run.h5")), self.expected, output)
        self.check_nothing_else("trace")
        self.forget()
        self.tried[fault] += 1
        self.happened[fault] += happened

    def sweep_all(self, **where):
        """At night: every n of every kind of call, with every fault."""
        for call, phases in sorted(self.census(**where).items()):
            count = max(max(numbers) for numbers in phases.values())
            for n, fault in itertools.product(range(1, count + 1), FAULTS):
                with self.subTest(call=call, n=n, fault=fault, **where):
                    self.inject(call, n, fault, **where)

    def sweep_sample(self, **where):
        """The first and the last call of each kind in each phase, the faults in turn; errors in all openings of the
        results file, in which ranks must agree."""
        turn = itertools.cycle(FAULTS)
        for call, phases in sorted(self.census(**where).items()):
            for phase, numbers in sorted(phases.items()):
                opening = call == "openat" and phase == "results"
                for n in sorted(numbers if opening else {min(numbers), max(numbers)}):
                    fault = "EIO" if opening else next(turn)
                    with self.subTest(call=call, phase=phase, n=n, fault=fault, **where):
                        self.inject(call, n, fault, **where)

    def check_all(self, **where):
        if NIGHTLY:
            self.sweep_all(**where)
        else:
            self.sweep_sample(**where)
        print(f"faults: {dict(self.tried)}, came about: {dict(self.happened)}", flush=True)
        if not NIGHTLY:
            self.assertGreater(self.happened.total(), self.tried.total() * 3 / 4)

    def test_alone(self):
        self.check_all()

    @needs_mpi
    def test_rank_0(self):
        self.check_all(ranks=2, rank=0)

    @needs_mpi
    def test_a_worker(self):
        self.check_all(ranks=2, rank=1)


if __name__ == "__main__":
    main()
