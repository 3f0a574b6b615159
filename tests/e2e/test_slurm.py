"""slurm/sweep.sh on a real Slurm: whatever ends a job, whenever, the sweep goes on and ends with the same file."""

import concurrent.futures
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from processes import MPIRUN, TIMEOUT, age, command_line, is_pending, to_all
from slurm import Cluster, Job
from support import NIGHTLY, TOYSWEEP, long_sweep, main, sha256

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "slurm", "sweep.sh")
PROGRAM = os.path.realpath(TOYSWEEP)
LAUNCHERS = "srun", "mpirun"
EVENTS = "usr2", "cancel", "kill", "requeue", "preempt"
PHASES = "launch", "start", "training", "saving", "late"
ROUNDS = 10 if NIGHTLY else 1
PREEMPTED_CPUS = 40  # more than half of the node: the high job cannot run beside it

# Seconds of one thread. Preemption takes its time, and must meet a sweep that is not finished before.
SWEEPS = {"long": 6, "longer": 10}

cluster = folder = None
idle_seconds = None  # what a run takes that finds nothing to do
expected = {}


def setUpModule():
    global cluster, folder, idle_seconds
    if not MPIRUN:
        raise unittest.SkipTest("built without MPI")
    cluster = Cluster()
    unittest.addModuleCleanup(cluster.stop)
    folder = tempfile.mkdtemp(prefix="toysweep jobs ")  # with spaces: paths with spaces must work
    unittest.addModuleCleanup(shutil.rmtree, folder, ignore_errors=True)
    for name, seconds in SWEEPS.items():
        with open(os.path.join(folder, name + ".yaml"), "w") as file:
            file.write(long_sweep(seconds).replace("name: long", "name: " + name))
        for _ in range(2):
            begin = time.monotonic()
            subprocess.run([TOYSWEEP, "run", name + ".yaml"], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        idle_seconds = time.monotonic() - begin
        expected[name] = sha256(os.path.join(folder, name + ".h5"))


class Sweep:
    """One sweep on its way to its end, through as many jobs and restarts as it takes."""

    def __init__(self, name, launcher, sweep="long", slurm=("--time=10",), options=("--checkpoint-interval", "0.1s")):
        self.name, self.launcher, self.sweep, self.slurm, self.options = name, launcher, sweep, slurm, options
        self.file = os.path.join(folder, name + ".h5")
        self.jobs = self.restarts = self.read = 0
        # mpirun fails now and then if another one makes its directory beside it at the same moment.
        self.scratch = os.path.join(folder, "tmp", name)
        os.makedirs(self.scratch, exist_ok=True)
        self.submit()

    def submit(self):
        self.read = self.log_size()
        self.jobs += 1
        self.job = Job(cluster, folder, "--oversubscribe", "--ntasks=2", *self.slurm, f"--output={self.name}.log", SCRIPT,
                       self.sweep + ".yaml", "-o", self.name + ".h5", "--threads", 1, *self.options,
                       TOYSWEEP=TOYSWEEP, TOYSWEEP_LAUNCHER=self.launcher, TMPDIR=self.scratch)

    def log_size(self):
        return os.path.getsize(self.file + ".log.jsonl") if os.path.exists(self.file + ".log.jsonl") else 0

    def said(self, event):
        """How often the run log of this job's current start has such an event."""
        if self.log_size() <= self.read:
            return 0
        with open(self.file + ".log.jsonl") as log:
            log.seek(self.read)
            return log.read().count(f'"event":"{event}"')

    def output(self):
        path = os.path.join(folder, self.name + ".log")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()

    def saved(self):
        directory = self.file + ".state"
        return os.path.isdir(directory) and any(name.endswith((".bin", ".tmp")) for name in os.listdir(directory))

    def is_in(self, phase):
        return {
            "launch": lambda: True,  # the script runs; the program perhaps not yet
            "start": lambda: os.path.exists(self.file) and self.job.ranks(PROGRAM),
            "training": lambda: self.said("assign"),
            "saving": lambda: self.said("assign") and self.saved(),
            "late": lambda: self.said("unit") and self.is_far(),
        }[phase]()

    def is_far(self):
        with open(self.file + ".log.jsonl") as log:
            return log.read().count('"event":"unit"') >= 4

    def reach(self, phase):
        """Waits for the phase; False if the sweep was finished before."""
        end = time.monotonic() + TIMEOUT
        while True:
            state = self.job.look()
            if state == "RUNNING" and self.is_in(phase):
                time.sleep(random.uniform(0, 0.3))
                return True
            if state == "COMPLETED":
                return False
            assert state not in Job.OVER, f"{self.name}: {state} before '{phase}'\n{self.output()}"
            assert time.monotonic() < end, f"{self.name}: '{phase}' was not reached, {state}\n{self.output()}"
            time.sleep(0.05)

    def go_on(self, state):
        """After the job has ended or was put back: starts it again."""
        if state == "PENDING":
            self.read = self.log_size()
            self.restarts += 1
            self.job.release()
        elif state != "COMPLETED":
            self.submit()

    def finish(self):
        """Restarts until all is done; the file must be that of a run without interruptions."""
        end, patience = time.monotonic() + TIMEOUT, 0
        while (state := self.job.look()) != "COMPLETED":
            assert time.monotonic() < end, f"{self.name}: {self.job.look('%T %r %S')} after {TIMEOUT} s\n{self.output()}"
            assert state in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING"), f"{self.name}: {state}\n{self.output()}"
            if state == "PENDING" and time.monotonic() > patience:
                self.go_on(state)
                patience = time.monotonic() + 6
            time.sleep(0.2)
        self.check()

    def check(self):
        found = sha256(self.file)
        assert found == expected[self.sweep], f"{self.name}: {found} is not {expected[self.sweep]}\n{self.output()}"
        left = [name for name in os.listdir(folder) if name.startswith(self.name + ".h5.")]
        assert left == [self.name + ".h5.log.jsonl"], left


# --- What happens to jobs; each returns the state the job is in then ---

def usr2(sweep):
    """The warning before the time limit, to the script."""
    sweep.job.signal("--signal=USR2", "--batch")
    return sweep.job.wait("PENDING", "COMPLETED", "FAILED")


def cancel(sweep):
    sweep.job.signal()
    return sweep.job.wait("CANCELLED", "COMPLETED")  # not PENDING: a cancelled job must not come back


def kill(sweep):
    end = time.monotonic() + TIMEOUT
    while not (ranks := sweep.job.ranks(PROGRAM)):
        if sweep.job.look() != "RUNNING" or time.monotonic() > end:
            return sweep.job.wait("COMPLETED")
        time.sleep(0.02)
    try:
        os.kill(random.choice(ranks), signal.SIGKILL)
    except ProcessLookupError:
        pass
    return sweep.job.wait("FAILED", "COMPLETED")


def requeue(sweep):
    cluster.ask("scontrol", "requeue", sweep.job.number)
    return sweep.job.wait("PENDING", "COMPLETED")


def preempt(sweep):
    # Slurm warns steps. mpirun in a batch script is none, and goes on until its grace is over, which Slurm looks at
    # every 30 s: its ranks stand still meanwhile, and are continued by Slurm's SIGCONT before its SIGTERM.
    if sweep.launcher == "mpirun":
        to_all(sweep.job.ranks(PROGRAM), signal.SIGSTOP)
    high = Job(cluster, folder, f"--ntasks={PREEMPTED_CPUS}", "--partition=high", "--output=/dev/null", "--wrap=sleep 0.5")
    state = sweep.job.wait("PENDING", *Job.OVER)
    high.wait("COMPLETED")
    return state


HAPPENINGS = {"usr2": usr2, "cancel": cancel, "kill": kill, "requeue": requeue, "preempt": preempt}
# What may have become of the job; any may have finished its sweep meanwhile.
STATES = {"usr2": ["PENDING"], "cancel": ["CANCELLED"], "kill": ["FAILED"], "requeue": ["PENDING"], "preempt": ["PENDING"]}


def interrupt(launcher, event, number):
    """One sweep, interrupted once in every phase. Returns (phases hit, restarts, jobs)."""
    name = f"{launcher}-{event}-{number}"
    if event == "preempt":
        slurm = "--time=10", "--partition=low", f"--cpus-per-task={PREEMPTED_CPUS // 2}"
        sweep, hit = Sweep(name, launcher, "longer", slurm), 0
    else:
        sweep, hit = Sweep(name, launcher), 0
    slow = event == "preempt" and launcher == "mpirun" and ROUNDS == 1
    for phase in ["training", "saving"] if slow else PHASES:
        if not sweep.reach(phase):
            sweep.check()
            os.unlink(sweep.file)
            os.unlink(sweep.file + ".log.jsonl")
            sweep.submit()
            continue
        state = HAPPENINGS[event](sweep)
        assert state in STATES[event] or state == "COMPLETED", f"{name}: {state} in '{phase}'\n{sweep.output()}"
        hit += 1
        sweep.go_on(state)
    sweep.finish()
    return hit, sweep.restarts, sweep.jobs


def interrupt_all(launcher, events):
    return [interrupt(launcher, event, number) for number in range(ROUNDS) for event in events]


def is_warned(pid):
    """Has Slurm's warning reached a rank that stands still, or is the limit over that the script has set?"""
    words = command_line(pid).split(b"\0")
    if b"--time-limit" in words:
        return age(pid) > float(words[words.index(b"--time-limit") + 1].removesuffix(b"s"))
    return is_pending(pid, signal.SIGUSR2)


def time_limit(launcher):
    """A job of one minute whose ranks stand still until the limit is near: Slurm's warning, or with mpirun the limit
    that the script sets, must stop them, saved, and put the job back."""
    sweep = Sweep(f"limit-{launcher}", launcher, slurm=("--time=1", "--signal=USR2@25"))
    assert sweep.reach("training")
    ranks = sweep.job.ranks(PROGRAM)
    to_all(ranks, signal.SIGSTOP)
    while not all(map(is_warned, ranks)) and sweep.job.look() == "RUNNING":
        time.sleep(0.2)
    to_all(ranks, signal.SIGCONT)
    state = sweep.job.wait("PENDING", *Job.OVER)
    assert state == "PENDING", f"{sweep.name}: {state}\n{sweep.output()}"
    sweep.go_on(state)
    sweep.finish()


def slices(launcher):
    """Jobs so short that it takes several: requeued until done."""
    sweep = Sweep(f"slices-{launcher}", launcher, options=("--time-limit", f"{max(1, 10 * idle_seconds):.1f}s"))
    sweep.finish()
    print(sweep.name, sweep.restarts, 'restarts', flush=True)
    return sweep.restarts


def fruitless():
    """Jobs too short for any progress: given up after three restarts."""
    sweep = Sweep("fruitless", "srun", options=("--time-limit", "0.000001s"))
    while (state := sweep.job.wait("PENDING", *Job.OVER)) == "PENDING":
        if sweep.output().count("back into the queue") > sweep.restarts:  # else it is still to start
            sweep.go_on(state)
        time.sleep(0.1)
    return sweep, state


def array():
    """Two tasks of a job array, one warned, both until they are done. Returns the tasks' logs, under the sweep's name."""
    job = Job(cluster, folder, "--oversubscribe", "--ntasks=1", "--array=3-4", "--time=10", SCRIPT, "longer.yaml", "--set",
              "seed=%a", "--set", "name=array", "-o", "part-%a.h5", "--threads", 1, TOYSWEEP=TOYSWEEP)
    logs = {task: os.path.join(folder, f"array-{job.number}_{task}.log") for task in (3, 4)}
    tasks = {task: job.task(task) for task in logs}
    end = time.monotonic() + TIMEOUT
    while not os.path.exists(os.path.join(folder, "part-3.h5")):
        assert time.monotonic() < end, [task.look("%T %r") for task in tasks.values()]
        time.sleep(0.1)
    tasks[3].signal("--signal=USR2", "--batch")
    if tasks[3].wait("PENDING", *Job.OVER) == "PENDING":
        tasks[3].release()
    for task in tasks.values():
        state = task.wait("COMPLETED", "FAILED", "CANCELLED")
        assert state == "COMPLETED", state
    return {task: open(log, encoding="utf-8").read() for task, log in logs.items()}


class Slurm(unittest.TestCase):
    """All of it at once, since most of it is waiting; each test asks for the outcome of its part."""

    @classmethod
    def setUpClass(cls):
        cls.pool = concurrent.futures.ThreadPoolExecutor(8)
        begin = cls.pool.submit
        cls.limits = {launcher: begin(time_limit, launcher) for launcher in LAUNCHERS}
        # Preemption chooses among the jobs of its partition: one at a time.
        cls.preempted = begin(lambda: {launcher: interrupt_all(launcher, ["preempt"]) for launcher in LAUNCHERS})
        cls.chains = {(launcher, event): begin(interrupt_all, launcher, [event])
                      for event in EVENTS if event != "preempt" for launcher in LAUNCHERS}
        cls.slices = {launcher: begin(slices, launcher) for launcher in LAUNCHERS}
        cls.fruitless = begin(fruitless)
        cls.array = begin(array)
        cls.addClassCleanup(cls.pool.shutdown)

    def outcome(self, results, what, least=len(PHASES) - 1):
        hit, restarts, jobs = (sum(numbers) for numbers in zip(*results))
        print(f"{what}: {hit} interruptions, {restarts} restarts, {jobs} jobs, {len(results)} identical files", flush=True)
        self.assertGreaterEqual(hit, len(results) * least, "too few phases were reached")

    def chain(self, event):
        for launcher in LAUNCHERS:
            with self.subTest(launcher):
                self.outcome(self.chains[launcher, event].result(), f"{event}, {launcher}")

    def test_a_warned_job_saves_requeues_itself_and_goes_on(self):
        self.chain("usr2")

    def test_a_cancelled_job_stays_cancelled_and_goes_on_when_submitted_again(self):
        self.chain("cancel")

    def test_a_killed_rank_ends_the_job_and_it_goes_on_when_submitted_again(self):
        self.chain("kill")

    def test_a_requeued_job_goes_on(self):
        self.chain("requeue")

    def test_a_preempted_job_comes_back_and_goes_on(self):
        for launcher, results in self.preempted.result().items():
            with self.subTest(launcher):
                self.outcome(results, f"preempt, {launcher}", 1)

    def test_the_time_limit_saves_and_requeues(self):
        for launcher in LAUNCHERS:
            with self.subTest(launcher):
                self.limits[launcher].result()

    def test_short_jobs_requeue_until_the_sweep_is_done(self):
        for launcher in LAUNCHERS:
            with self.subTest(launcher):
                self.assertGreaterEqual(self.slices[launcher].result(), 2)

    def test_a_task_of_an_array_is_requeued_alone_and_logs_under_the_sweeps_name(self):
        logs = self.array.result()
        self.assertEqual([log.count("back into the queue") for log in logs.values()], [1, 0], logs)
        for task, log in logs.items():
            self.assertIn(f"part-{task}.h5: ", log)
        self.assertEqual([name for name in os.listdir(folder) if name.startswith("toysweep-")], [])

    def test_a_job_that_makes_no_progress_gives_up(self):
        sweep, state = self.fruitless.result()
        self.assertEqual(state, "FAILED", sweep.output())
        self.assertIn("no progress", sweep.output())
        self.assertEqual(sweep.output().count("back into the queue"), 3, sweep.output())


if __name__ == "__main__":
    main()
