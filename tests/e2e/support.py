"""What the end-to-end tests share: running the program, alone or over ranks, in a directory of its own."""

import functools
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

from processes import MPIRUN, TIMEOUT, finish, kill_family, processor_time

TOYSWEEP = os.environ["TOYSWEEP"]
WAY = os.environ.get("TOYSWEEP_TEST_IO", "")  # how ranks write rows, where a test does not say; empty: as they choose
NIGHTLY = os.environ.get("TOYSWEEP_TEST_NIGHTLY", "") == "1"

ENVIRONMENT = {
    **os.environ,
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # the same two of Open MPI 5
    "PRTE_MCA_hwloc_default_binding_policy": "none",
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

# Time enough to be interrupted: fitted() fits the steps to the machine and the build.
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


# Never over by itself.
ENDLESS = LONG.replace("STEPS", str(10**9))


def processor_time_of(sweep, steps):
    """Seconds that a run of so many STEPS computes for."""
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "trial.yaml"), "w") as file:
            file.write(sweep.replace("STEPS", str(steps)))
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([TOYSWEEP, "run", "trial.yaml", "--threads", "1"], cwd=directory, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime


@functools.cache
def fitted(sweep, seconds):
    """The sweep with as many STEPS as one thread computes in about so many seconds, on a machine of any speed and
    however busy it is."""
    start, trial = processor_time_of(sweep, 1), 500
    while (spent := processor_time_of(sweep, trial) - start) < max(0.1, 0.03 * seconds):
        trial *= 4
    return sweep.replace("STEPS", str(max(100, int(trial * seconds / spent))))


def long_sweep(seconds=3):
    return fitted(LONG, seconds)


# A table that is no group, so that measures are cheap, without those that are not (test_measure_parts has them all),
# learned by a network just large enough to be shared by ranks.
ORDER = 120
LARGE = """\
name: large
task: cayley
cayley: table.csv
model: mlp
hidden: 928
train_fraction: 0.9
steps: 24
checkpoints: [8, 24]
measures: [margin, gradients]
save: final
instances: 2
"""


def large_table():
    """What table.csv holds."""
    rows = (",".join(str((7 * a + a * b + 3 * b) % ORDER) for b in range(ORDER)) for a in range(ORDER))
    return "\n".join(rows) + "\n"


def is_sanitized():
    """Is the program built with the address sanitizer?"""
    return "asan" in subprocess.run(["ldd", TOYSWEEP], capture_output=True, text=True).stdout


def needs_mpi(test):
    return unittest.skipUnless(MPIRUN, "built without MPI")(test)


def amount(always, nightly):
    """How often to try what is tried at random: a share with every change, all of it at night."""
    return nightly if NIGHTLY else always


def sha256(path):
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def write_bytes(path, data):
    with open(path, "wb") as file:
        file.write(data)


def safetensors_of(path):
    """(header, data) of a safetensors file."""
    content = read_bytes(path)
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8:8 + length]), content[8 + length:]


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
            others = ("row", "instance", "step", "state", "weights")
            fields = [name for name in in_creation_order(group) if name not in others]
            data = [group[name][:] for name in fields if group[name].ndim > 1]
            for place in ("state", "weights"):
                data += [group[place][name][:] for name in in_creation_order(group[place])] if place in group else []
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


def with_way(arguments, ranks):
    """A command's arguments, with how ranks are to write."""
    says = WAY and ranks and arguments[0] == "run" and "--io" not in arguments
    return [*arguments, "--io", WAY] if says else [*arguments]


def command(*arguments, ranks=0):
    """Argument list; ranks 0: started alone."""
    launcher = [MPIRUN, "-n", str(ranks)] if ranks else []
    return [*launcher, TOYSWEEP, *map(str, with_way(arguments, ranks))]


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
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def files(self):
        return sorted(os.listdir(self.directory))

    def run_program(self, *arguments, expect=0, **options):
        """Runs to the end and checks the exit code; returns standard output and error together."""
        output, code = self.run_to_any_end(*arguments, **options)
        self.assertEqual(code, expect, f"{arguments}:\n{output}")
        return output

    def run_to_any_end(self, *arguments, **options):
        """Output and exit code, whatever it is."""
        process = self.start(*arguments, **options)
        return finish(process), process.returncode

    def finished(self, sweep, name, *options, **more):
        """The SHA-256 of the file that a run to its end leaves."""
        self.run_program("run", sweep, "--output=" + name, *options, **more)
        return sha256(self.path(name))

    def run_whole(self, sweep, *options, ranks=0):
        """What an uninterrupted run leaves: the SHA-256 of its file, and its rows. How long it takes is kept."""
        begin = time.monotonic()
        digest = self.finished(sweep, "whole.h5", *options, ranks=ranks)
        self.whole_seconds = time.monotonic() - begin
        return digest, finished_rows(self.path("whole.h5"))

    def assert_says(self, said, *words):
        for word in words:
            self.assertIn(word, said)

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
        """Besides these, the directory holds only sweeps, with tables, and their results, with logs."""
        kept = (".yaml", ".csv", ".h5", ".h5.log.jsonl", *names)
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

    def start_training(self, sweep, name, *options, **more):
        """Starts a run and waits until it trains: has handed out a unit, and computed since."""
        log = name + ".log.jsonl"
        known = len(self.log(log))
        process = self.start("run", sweep, "--output=" + name, *options, **more)
        over = lambda: process.poll() is not None
        self.wait_for(lambda: '"event":"assign"' in self.log(log)[known:] or over(), "a unit to be handed out")
        begin = processor_time(process)
        self.wait_for(lambda: processor_time(process) > begin + 0.04 or over(), "a unit to be trained")
        return process

    def forget(self, name):
        """Removes a results file and all that runs have put beside it."""
        folder, start = os.path.split(self.path(name))
        with os.scandir(folder) as entries:
            left = [entry for entry in entries if entry.name.startswith(start) and not entry.is_symlink()]
        for entry in left:
            shutil.rmtree(entry) if entry.is_dir() else os.unlink(entry)

    def interrupt(self, sweep, name, *options, number=signal.SIGTERM, **more):
        """Starts a run and stops it when it trains; returns what it said. One that was over before begins anew."""
        for _ in range(20):
            process = self.start_training(sweep, name, *options, **more)
            process.send_signal(number)
            output = finish(process)
            if process.returncode != 0:
                break
            self.forget(name)
        self.assertEqual(process.returncode, 75, output)
        return output

    def interrupt_a_unit(self, sweep, name, *options):
        """The same, in the midst of a unit: one whose state is saved. (A signal may also come between two.)"""
        self.interrupt(sweep, name, *options)
        while not self.states(name):
            self.interrupt(sweep, name, *options)

    def rows_done(self, name):
        import h5py

        if not os.path.exists(self.path(name)):
            return 0
        with h5py.File(self.path(name)) as file:
            return int((file["status"][:] == 1).sum())

    def stop_halfway(self, sweep, name, *options, **more):
        """Leaves a file of which some instances are finished and some are not, and a unit's state: tries time limits,
        longer ones if none are, shorter ones if all are."""
        import h5py

        limit = 0.5
        for _ in range(50):
            output, code = self.run_to_any_end("run", sweep, "-o", name, "--time-limit", f"{limit:.6f}s", *options, **more)
            self.assertIn(code, (0, 75), output)
            with h5py.File(self.path(name)) as file:
                finished = file["status"][:] > 0
            self.assertEqual(code, 0 if finished.all() else 75, output)
            if finished.any() and not finished.all() and self.states(name):
                return
            limit *= 0.6 if finished.all() else 1.3
            self.forget(name)
        self.fail(f"no time limit stops {sweep} halfway; the last was {limit} s")

    def states(self, name):
        """Of the units' states that are saved beside a results file: when, by name."""
        try:
            with os.scandir(self.path(name + ".state")) as entries:
                return {entry.name: entry.stat().st_mtime_ns for entry in entries}
        except FileNotFoundError:  # no state, or one that has just been renamed
            return {}

    def wait_for(self, condition, what):
        end = time.monotonic() + TIMEOUT
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited {TIMEOUT} s for {what}")
            time.sleep(0.01)


def main():
    random.seed(int(os.environ.get("TOYSWEEP_TEST_SEED", "1")))
    unittest.main(module="__main__", argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
