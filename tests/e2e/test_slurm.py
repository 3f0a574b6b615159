"""slurm/sweep.sh on a real Slurm: whatever ends a job, whenever, the sweep goes on and ends with the same file."""

import concurrent.futures
import os
import pathlib
import random
import signal
import time
import unittest

from processes import MPIRUN, PATIENCE, TIMEOUT, age, command_line, is_pending, to_all
from slurm import LAUNCHERS, PROGRAM, SCRIPT, Cluster, Job, Place, Sweep
from support import NIGHTLY, TOYSWEEP, main

EVENTS = "usr2", "cancel", "kill", "requeue", "preempt"
PHASES = "launch", "start", "training", "saving", "late"
ROUNDS = 10 if NIGHTLY else 1
PREEMPTED_CPUS = 40  # more than half of the node: the high job cannot run beside it
LOW = "--time=10", "--partition=low", f"--cpus-per-task={PREEMPTED_CPUS // 2}"  # of two ranks

# Seconds of one thread. Preemption takes its time, and must meet a sweep that is not finished before.
SWEEPS = {"long": 6, "longer": 10}

cluster = place = None


def setUpModule():
    global cluster, place
    if not MPIRUN:
        raise unittest.SkipTest("built without MPI")
    cluster = Cluster()
    unittest.addModuleCleanup(cluster.stop)
    place = Place(cluster, SWEEPS)


# --- What happens to jobs; each returns the state the job is in then ---

def cancel(sweep):
    sweep.job.signal()
    return sweep.wait("CANCELLED", "COMPLETED")  # not PENDING: a cancelled job must not come back


def kill(sweep):
    end = time.monotonic() + TIMEOUT
    while not (ranks := sweep.job.ranks(PROGRAM)):
        if sweep.look() != "RUNNING" or time.monotonic() > end:
            return sweep.wait("COMPLETED")
        time.sleep(0.02)
    try:
        os.kill(random.choice(ranks), signal.SIGKILL)
    except ProcessLookupError:
        pass
    # Open MPI 4.1's mpirun hangs now and then when a rank dies as it starts.
    end = time.monotonic() + PATIENCE
    while (state := sweep.look()) not in Sweep.OVER and time.monotonic() < end:
        time.sleep(0.1)
    if state == "RUNNING" and not sweep.job.ranks(PROGRAM):
        to_all(sweep.job.ranks(os.path.realpath(MPIRUN)), signal.SIGKILL)
    return sweep.wait("FAILED", "COMPLETED")


def requeue(sweep):
    cluster.ask("scontrol", "requeue", sweep.job.number)
    return sweep.wait("PENDING", "COMPLETED")


def preempt(sweep, stands_still=True):
    # Slurm warns steps. mpirun in a batch script is none, and goes on until its grace is over, which Slurm looks at
    # every 30 s: its ranks stand still meanwhile, and are continued by Slurm's SIGCONT before its SIGTERM.
    if sweep.launcher == "mpirun" and stands_still:
        to_all(sweep.job.ranks(PROGRAM), signal.SIGSTOP)
    high = Job(cluster, place.folder, f"--ntasks={PREEMPTED_CPUS}", "--partition=high", "--output=/dev/null", "--wrap=sleep 0.5")
    state = sweep.wait("PENDING", *Sweep.OVER)
    high.wait("COMPLETED", "")
    return state


HAPPENINGS = {"usr2": Sweep.warn, "cancel": cancel, "kill": kill, "requeue": requeue, "preempt": preempt}
# What may have become of the job; any may have finished its sweep meanwhile.
STATES = {"usr2": ["PENDING"], "cancel": ["CANCELLED"], "kill": ["FAILED"], "requeue": ["PENDING"], "preempt": ["PENDING"]}


def interrupt(launcher, event, number):
    """One sweep, interrupted once in every phase. Returns (phases hit, restarts, jobs)."""
    name = f"{launcher}-{event}-{number}"
    if event == "preempt":
        sweep, hit = Sweep(place, name, launcher, "longer", LOW), 0
    else:
        sweep, hit = Sweep(place, name, launcher), 0
    slow = event == "preempt" and launcher == "mpirun" and ROUNDS == 1
    for phase in ["training", "saving"] if slow else PHASES:
        if not sweep.reach(phase):
            sweep.again()
            continue
        state = HAPPENINGS[event](sweep)
        assert state in STATES[event] or state == "COMPLETED", f"{name}: {state} in '{phase}'\n{sweep.output()}"
        hit += 1
        sweep.go_on(state)
    sweep.finish()
    return hit, sweep.restarts, sweep.jobs


def interrupt_all(launcher, events):
    return [interrupt(launcher, event, number) for number in range(ROUNDS) for event in events]


def outrun():
    """A preempted job that goes on to the end of its sweep, most likely before Slurm looks whether its grace is over."""
    sweep = Sweep(place, "outrun", "mpirun", "longer", LOW)
    state = preempt(sweep, stands_still=False) if sweep.reach("training") else "COMPLETED"
    print(f"{sweep.name}: {state}, Slurm says {sweep.job.look('%T %r')}", flush=True)
    sweep.go_on(state)
    sweep.finish()
    return state


def preemptions():
    """Slurm chooses among the jobs of the partition: one at a time."""
    return {launcher: interrupt_all(launcher, ["preempt"]) for launcher in LAUNCHERS}, outrun()


def is_warned(pid):
    """Has Slurm's warning reached a rank that stands still, or is the limit over that the script has set?"""
    words = command_line(pid).split(b"\0")
    if b"--time-limit" in words:
        return age(pid) > float(words[words.index(b"--time-limit") + 1].removesuffix(b"s"))
    return is_pending(pid, signal.SIGUSR2)


def time_limit(launcher):
    """A job of one minute whose ranks stand still until the limit is near: Slurm's warning, or with mpirun the limit
    that the script sets, must stop them, saved, and put the job back."""
    sweep = Sweep(place, f"limit-{launcher}", launcher, slurm=("--time=1", "--signal=USR2@25"))
    while not sweep.reach("training") or (state := stand_still_until_warned(sweep)) == "COMPLETED":
        sweep.again()
    assert state == "PENDING", f"{sweep.name}: {state}\n{sweep.output()}"
    sweep.go_on(state)
    sweep.finish()


def stand_still_until_warned(sweep):
    """Returns the state the job is in then."""
    ranks = sweep.job.ranks(PROGRAM)
    to_all(ranks, signal.SIGSTOP)
    while not all(map(is_warned, ranks)) and sweep.look() == "RUNNING":
        time.sleep(0.2)
    to_all(ranks, signal.SIGCONT)
    return sweep.wait("PENDING", *Sweep.OVER)


def slices(launcher):
    """Jobs so short that it takes several: requeued until done."""
    limit = max(1, 10 * place.idle_seconds)
    for attempt in range(5):
        sweep = Sweep(place, f"slices-{launcher}-{attempt}", launcher, options=("--time-limit", f"{limit:.2f}s"))
        sweep.finish()
        print(f"{sweep.name}: {sweep.restarts} restarts", flush=True)
        if sweep.restarts >= 2:
            break
        limit /= 2  # a run starts sooner than it seemed
    return sweep.restarts


def fruitless():
    """Jobs too short for any progress: given up after three restarts."""
    sweep = Sweep(place, "fruitless", "srun", options=("--time-limit", "0.000001s"))
    while (state := sweep.wait("PENDING", *Sweep.OVER)) == "PENDING":
        if sweep.output().count("back into the queue") > sweep.restarts:  # else it is still to start
            sweep.go_on(state)
        time.sleep(0.1)
    return sweep, state


def array():
    """Two tasks of a job array, one warned, both until they are done. Returns the tasks' logs, under the sweep's name."""
    job = Job(cluster, place.folder, "--oversubscribe", "--ntasks=1", "--array=3-4", "--time=10", SCRIPT, "longer.yaml", "--set",
              "seed=%a", "--set", "name=array", "-o", "part-%a.h5", "--threads", 1, TOYSWEEP=TOYSWEEP)
    logs = {task: place.path(f"array-{job.number}_{task}.log") for task in (3, 4)}
    tasks = {task: job.task(task) for task in logs}
    end = time.monotonic() + TIMEOUT
    while not os.path.exists(place.path("part-3.h5")):
        assert time.monotonic() < end, [task.look("%T %r") for task in tasks.values()]
        time.sleep(0.1)
    tasks[3].signal("--signal=USR2", "--batch")
    if tasks[3].wait("PENDING", *Job.OVER) == "PENDING":
        tasks[3].release()
    for task in tasks.values():
        state = task.wait("COMPLETED", "FAILED", "CANCELLED")
        assert state == "COMPLETED", state
    return {task: pathlib.Path(log).read_text(encoding="utf-8") for task, log in logs.items()}


class Slurm(unittest.TestCase):
    """All of it at once, since most of it is waiting; each test asks for the outcome of its part."""

    @classmethod
    def setUpClass(cls):
        cls.pool = concurrent.futures.ThreadPoolExecutor(8)
        begin = cls.pool.submit
        cls.limits = {launcher: begin(time_limit, launcher) for launcher in LAUNCHERS}
        cls.preempted = begin(preemptions)
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
        interrupted, _ = self.preempted.result()
        for launcher, results in interrupted.items():
            with self.subTest(launcher):
                self.outcome(results, f"preempt, {launcher}", 1)

    def test_a_preempted_job_that_finishes_first_is_done(self):
        _, state = self.preempted.result()
        self.assertIn(state, ["COMPLETED", "PENDING"])

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
        self.assertEqual([name for name in os.listdir(place.folder) if name.startswith("toysweep-")], [])

    def test_a_job_that_makes_no_progress_gives_up(self):
        sweep, state = self.fruitless.result()
        self.assertEqual(state, "FAILED", sweep.output())
        self.assertIn("no progress", sweep.output())
        self.assertEqual(sweep.output().count("back into the queue"), 3, sweep.output())


if __name__ == "__main__":
    main()
