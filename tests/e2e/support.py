"""What the end-to-end tests share: running the program, alone or over ranks, in a directory of its own."""

import functools
import hashlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

from processes import MPIRUN, TIMEOUT, finish, kill_family

TOYSWEEP = os.environ["TOYSWEEP"]
NIGHTLY = os.environ.get("TOYSWEEP_TEST_NIGHTLY", "") == "1"

ENVIRONMENT = {
    **os.environ,
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",  # other tests run beside
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
    """LONG with as many steps as take one thread about so many seconds: of its own, since others may be busy here."""
    trial = 1000
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "long.yaml"), "w") as file:
            file.write(LONG.replace("STEPS", str(trial)))
        begin = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([TOYSWEEP, "run", "long.yaml", "--threads", "1"], cwd=directory, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elapsed = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begin
    return LONG.replace("STEPS", str(max(trial, int(trial * seconds / elapsed))))


def needs_mpi(test):
    return unittest.skipUnless(MPIRUN, "built without MPI")(test)


def amount(always, nightly):
    """How often to try what is tried at random: a share with every change, all of it at night."""
    return nightly if NIGHTLY else always


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def flip(path, at, bit=0):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << bit)]))


def finished_rows(path):
    """Bytes of every row that is marked done or failed, by instance, in the order of their checksum. Each has the
    checksum it claims, or this raises; for sweeps of one model."""
    import h5py

    rows = {}
    with h5py.File(path) as file:
        status = file["status"][:]  # first: what it vouches for does not change any more
        names = in_creation_order(file)
        measures = [name for name in names[names.index("steps_done") + 1:] if name not in ("cases", "sweep")]
        for label in in_creation_order(file["cases"]):
            group = file["cases"][label]
            fields = [name for name in in_creation_order(group) if name not in ("row", "instance", "step", "weights")]
            data = [group[name][:] for name in fields if group[name].ndim > 1]
            if "weights" in group:
                data += [group["weights"][name][:] for name in in_creation_order(group["weights"])]
            for row, instance in enumerate(group["instance"][:]):
                if not status[instance]:
                    continue
                parts = [file["steps_done"][instance].tobytes(), status[instance].tobytes()]
                parts += [file[name][instance].tobytes() for name in measures]
                parts += [field[row].tobytes() for field in data]
                rows[int(instance)] = b"".join(parts)
                checksum = zlib.crc32(rows[int(instance)])
                if checksum != file["checksum"][instance]:
                    raise AssertionError(f"{path}: instance {instance} has the checksum {checksum:08x}, not "
                                         f"{file['checksum'][instance]:08x} as it says")
    return rows


def in_creation_order(group):
    import h5py

    names = []
    group.id.links.iterate(lambda name: names.append(name.decode()), idx_type=h5py.h5.INDEX_CRT_ORDER)
    return names


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

    def log(self, name):
        """A run log's text, "" if there is none yet."""
        if not os.path.exists(self.path(name)):
            return ""
        with open(self.path(name)) as file:
            return file.read()

    def files(self):
        return sorted(os.listdir(self.directory))

    def run_program(self, *arguments, expect=0, **options):
        """Runs to the end and checks the exit code; returns standard output and error together."""
        output, code = self.run_to_any_end(*arguments, **options)
        self.assertEqual(code, expect, f"{arguments}:\n{output}")
        return output

    def run_to_any_end(self, *arguments, seconds=TIMEOUT, **options):
        """Output and exit code, whatever it is."""
        process = self.start(*arguments, **options)
        return finish(process, seconds), process.returncode

    def run_whole(self, sweep, *options, ranks=0):
        """What an uninterrupted run leaves: the SHA-256 of its file, and its rows."""
        self.run_program("run", sweep, "-o", "whole.h5", *options, ranks=ranks)
        return sha256(self.path("whole.h5")), finished_rows(self.path("whole.h5"))

    def check_survivor(self, name, whole, acknowledged=()):
        """After a fault: the file can be read, what was acknowledged is there, what is there is right. Returns the
        finished instances."""
        dump = subprocess.run(["h5dump", "-d", "/status", name], cwd=self.directory, capture_output=True)
        self.assertEqual(dump.returncode, 0, dump.stderr)
        rows = finished_rows(self.path(name))
        self.assertLessEqual(set(acknowledged), set(rows), "acknowledged rows are lost")
        for instance, data in rows.items():
            self.assertEqual(data, whole[instance], f"instance {instance} is wrong")
        return set(rows)

    def check_nothing_else(self, *names):
        """Besides these, the directory holds only sweeps and their results, with logs."""
        kept = (".yaml", ".h5", ".h5.log.jsonl", *names)
        self.assertEqual([name for name in self.files() if not name.endswith(kept)], [])

    def start(self, *arguments, ranks=0, **options):
        return self.start_command(command(*arguments, ranks=ranks), **options)

    def start_command(self, words, environment=None, where=".", **options):
        """Starts in a session of its own, to be signalled or killed."""
        process = subprocess.Popen(words, cwd=self.path(where), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, start_new_session=True, env={**ENVIRONMENT, **(environment or {})},
                                   **options)
        self.addCleanup(kill_family, process)
        return process

    def wait_for(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited {seconds} s for {what}")
            time.sleep(0.01)


def main():
    random.seed(int(os.environ.get("TOYSWEEP_TEST_SEED", "1")))
    unittest.main(module="__main__", argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
