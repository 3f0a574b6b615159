"""What the end-to-end tests share: running the program, alone or over ranks, in a directory of its own."""

import functools
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOYSWEEP = os.environ["TOYSWEEP"]
MPIRUN = os.environ.get("TOYSWEEP_MPIRUN", "")  # empty: built without MPI
TIMEOUT = 240

ENVIRONMENT = {
    **os.environ,
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_btl": "self,vader",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
}
if os.geteuid() == 0:
    ENVIRONMENT["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    ENVIRONMENT["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"

# 21 instances in 7 cases, both tasks; about a second of one core.
SMALL = """\
name: small
steps: 3000
checkpoints: {log: 20}
save: checkpoints
instances: 3
cases:
  - {task: tree, depth: 2..4, hidden: [3, 6]}
  - {task: independent, features: 12, feature_probability: 0.1, batch: 100, hidden: 4}
"""

# Time enough to be interrupted: long_sweep() fits the steps to the machine and the build.
LONG = """\
name: long
task: tree
steps: STEPS
checkpoints: {log: 20}
instances: 4
grid:
  depth: [4, 5, 6]
  hidden: [4, 8]
"""


@functools.cache
def long_sweep(seconds=6):
    """LONG with as many steps as take one thread about so many seconds."""
    trial = 1000
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "long.yaml"), "w") as file:
            file.write(LONG.replace("STEPS", str(trial)))
        begin = time.monotonic()
        subprocess.run([TOYSWEEP, "run", "long.yaml", "--threads", "1"], cwd=directory, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elapsed = time.monotonic() - begin
    return LONG.replace("STEPS", str(max(trial, int(trial * seconds / elapsed))))


def needs_mpi(test):
    return unittest.skipUnless(MPIRUN, "built without MPI")(test)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def command(*arguments, ranks=0):
    """Argument list; ranks 0: started alone."""
    launcher = [MPIRUN, "-n", str(ranks)] if ranks else []
    return [*launcher, TOYSWEEP, *map(str, arguments)]


class Case(unittest.TestCase):
    """A test with an empty working directory."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="toysweep-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return name

    def files(self):
        return sorted(os.listdir(self.directory))

    def run_program(self, *arguments, ranks=0, expect=0, environment=None, **options):
        """Runs to the end and checks the exit code; returns standard output and error together."""
        result = subprocess.run(command(*arguments, ranks=ranks), cwd=self.directory, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT,
                                env={**ENVIRONMENT, **(environment or {})}, **options)
        self.assertEqual(result.returncode, expect, f"{arguments}:\n{result.stdout}")
        return result.stdout

    def start(self, *arguments, ranks=0, **options):
        """Starts in a process group of its own, to be signalled or killed."""
        process = subprocess.Popen(command(*arguments, ranks=ranks), cwd=self.directory, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT, start_new_session=True,
                                   **options)
        self.addCleanup(kill_family, process)
        return process

    def wait_for(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited {seconds} s for {what}")
            time.sleep(0.01)


def descendants(pid):
    """The process and everything it started, its ranks' own process groups too."""
    family = [pid]
    for process in family:
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/children") as file:
                    family.extend(int(child) for child in file.read().split())
        except OSError:
            pass
    return family


def kill_family(process, victims=None):
    """SIGKILL to all of a started process's family (or the chosen ones), then waits for it."""
    if process.poll() is None:
        for pid in victims if victims is not None else descendants(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    try:
        process.communicate(timeout=60)
    except ValueError:
        pass


def main():
    random.seed(int(os.environ.get("TOYSWEEP_TEST_SEED", "1")))
    unittest.main(module="__main__", argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
