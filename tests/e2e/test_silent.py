"""Ranks that fall silent: stopped, stopped and continued, suspended together, or busy for long. Each case says how many
seconds it took from the silence to the end."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

from processes import MPIRUN, TIMEOUT, family, fields_of, finish, kill_family, ranks_of, to_all
from support import ENDLESS, LARGE, TOYSWEEP, Case, fitted, large_table, long_sweep, main, needs_mpi, sha256

import h5py

PATIENCE = 6  # a machine is never as busy as that
RANKS = 3

# Nobody commits at first: a rank that does so when it is stopped may be silent for five times the patience.
FEW = """\
name: few
task: tree
depth: 6
hidden: 8
steps: STEPS
checkpoints: {log: 20}
instances: 4
"""

# One instance that never ends, and some that take three seconds.
ONE = """\
name: mixed
task: tree
depth: 6
hidden: 8
checkpoints: {log: 20}
"""
CASES = """\
cases:
  - {steps: 1000000000}
  - {steps: STEPS, seed: 0..9}
"""


def mixed_sweep():
    steps = re.search(r"steps: (\d+)", fitted(ONE + "steps: STEPS\n", 3))[1]
    return ONE + CASES.replace("STEPS", steps)


class Silent(Case):
    def setUp(self):
        super().setUp()
        self.end_file = self.path("end")

    def start_run(self, sweep, name, *options, patience=PATIENCE, teams=False):
        """Starts a run, waits until all its ranks have work, and returns it with their process ids."""
        process = self.start_training(sweep, name, "--threads", 1, "--patience", f"{patience}s", *options, ranks=RANKS,
                                      environment={"TOYSWEEP_END_FILE": self.end_file})
        with_work = lambda: {line["rank"] for line in self.events(name, "assign")}
        self.wait_for(lambda: teams or len(with_work()) == RANKS or process.poll() is not None, "work for every rank")
        return process, ranks_of(process)

    def events(self, name, event):
        whole, _, _ = self.log(name + ".log.jsonl").rpartition("\n")  # the rest may be a line that is being written
        return [line for line in map(json.loads, whole.splitlines()) if line["event"] == event]

    def states_of(self, name, unit):
        """When the states of a unit were saved."""
        start = f"unit-{unit['case']}-{unit['first_row']}-{unit['rows']}."
        return {state: when for state, when in self.states(name).items() if state.startswith(start)}

    def calm(self, name):
        """Waits until rank 0 writes nothing: while it does, it may be silent for five times the patience."""
        size = lambda: os.path.getsize(self.path(name + ".log.jsonl"))
        seen, since = size(), time.monotonic()
        while time.monotonic() < since + 0.5:
            time.sleep(0.02)
            if size() != seen:
                seen, since = size(), time.monotonic()

    def silence(self, pids):
        """SIGSTOP, to all at once."""
        to_all(pids, signal.SIGSTOP)
        self.begin = time.monotonic()

    def end(self, process, code, *words):
        """Waits for the end of a run, with that exit code and those words, and says how long it took."""
        output = finish(process)
        print(f"{self._testMethodName}: {time.monotonic() - self.begin:.1f} s", flush=True)
        self.assertEqual(process.returncode, code, output)
        self.assert_says(output, *words)
        return output

    def assert_end_file(self, code):
        self.assertEqual(read_text(self.end_file), f"{code}\n")

    def check_continued(self, sweep, name, expected):
        """The same command ends with the file of a run that nothing happened to, and leaves nothing else."""
        self.run_program("run", sweep, "-o", name, "--threads", 1, ranks=2)
        self.assertEqual(sha256(self.path(name)), expected)
        self.check_nothing_else("end")

    def whole(self, sweep):
        return self.finished(sweep, "whole.h5")

    def with_short_unit(self, name):
        """Of the ranks other than 0 one that trains a short unit of a mixed sweep, and that unit."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            done = [(line["case"], line["first_row"]) for line in self.events(name, "unit")]
            begun = {}
            for line in self.events(name, "assign"):
                if (line["case"], line["first_row"]) not in done:
                    begun.setdefault(line["rank"], line)  # what comes after it waits
            for rank, line in begun.items():
                if rank != 0 and line["case"] == 1:
                    return rank, line
            time.sleep(0.05)
        self.fail(f"no rank trains a short unit for {TIMEOUT} s")

    def stop_with_short_unit(self, name, ranks):
        """Stops such a rank in the midst of that unit; returns both."""
        for _ in range(10):
            rank, unit = self.with_short_unit(name)
            self.silence([ranks[rank]])
            if self.is_pending(name, unit):
                break
            os.kill(ranks[rank], signal.SIGCONT)  # it was through with it in that moment
        return rank, unit

    def is_pending(self, name, unit):
        """Is nothing of the unit committed?"""
        with h5py.File(self.path(name)) as file:
            group = list(file["cases"].values())[unit["case"]]
            rows = group["instance"][unit["first_row"]:unit["first_row"] + unit["rows"]]
            return not file["status"][:][rows].any()

    def is_idle(self, pid):
        """Does the process not compute any more? Waiting for messages takes little."""
        before = computed(pid)
        time.sleep(1)
        return computed(pid) - before < 0.3


def read_text(path):
    with open(path) as file:
        return file.read()


def state_of(pid):
    """The letter that ps shows: Z has ended, T is stopped, t traced; "": it is gone."""
    return b"".join(fields_of(pid)[:1]).decode()


def computed(pid):
    """Seconds that a process has computed for."""
    fields = fields_of(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0


@needs_mpi
class Stopped(Silent):
    def test_a_team_that_loses_a_rank_ends_and_its_instances_go_on(self):
        self.write("table.csv", large_table())
        sweep = self.write("large.yaml", LARGE.replace("24", "120"))
        expected = self.whole(sweep)
        process, ranks = self.start_run(sweep, "large.h5", "--ranks-per-instance", "3", "--checkpoint-interval", "0.5s",
                                        teams=True)
        self.silence([ranks[1]])
        self.end(process, 75, "rank 1", "lost")
        self.assert_end_file(75)
        self.check_continued(sweep, "large.h5", expected)

    def test_a_stopped_worker_is_named_and_the_others_go_on_without_it(self):
        sweep = self.write("long.yaml", long_sweep(4))
        process, ranks = self.start_run(sweep, "long.h5")
        self.silence([ranks[1]])
        self.end(process, 75, "rank 1 (", "fell silent", "is given up", "lost; run again to continue")
        self.assert_end_file(75)
        self.assertEqual([line["rank"] for line in self.events("long.h5", "lost")], [1])
        trained = {line["rank"] for line in self.events("long.h5", "unit")}
        self.assertTrue(trained & {0, 2}, trained)
        (silent,) = json.loads(self.run_program("status", "long.h5", "--json"))["silent_ranks"]
        self.assertTrue(silent["rank"] == 1 and silent["lost"], silent)
        self.assertNotIn("long.h5.lock", self.files())
        self.check_continued(sweep, "long.h5", self.whole(sweep))

    def test_a_stopped_rank_0_is_left_by_the_others_who_save(self):
        self.write("endless.yaml", ENDLESS)
        process, ranks = self.start_run("endless.yaml", "long.h5")
        self.calm("long.h5")
        self.silence([ranks[0]])
        self.end(process, 75, "rank 0 has been silent", "rank 1 has heard nothing", "rank 2 has heard nothing", "saves")
        begun = {unit["rank"]: unit for unit in reversed(self.events("long.h5", "assign"))}  # the first of each
        for rank in 1, 2:
            self.assertTrue(self.states_of("long.h5", begun[rank]), f"the state of {begun[rank]} is not saved")

    def test_what_the_others_save_without_rank_0_is_continued(self):
        sweep = self.write("long.yaml", fitted(FEW, 6))
        process, ranks = self.start_run(sweep, "long.h5")
        self.calm("long.h5")
        self.silence([ranks[0]])
        self.end(process, 75)
        self.check_continued(sweep, "long.h5", self.whole(sweep))

    def test_a_signal_and_a_limit_wait_only_a_moment_for_a_stopped_worker(self):
        sweep = self.write("long.yaml", long_sweep(4))
        expected = self.whole(sweep)
        process, ranks = self.start_run(sweep, "long.h5")
        self.silence([ranks[2]])
        process.send_signal(signal.SIGUSR2)
        self.end(process, 75, "signal 12", "rank 2 (", "lost")
        self.assert_end_file(75)
        self.check_continued(sweep, "long.h5", expected)
        self.write("endless.yaml", ENDLESS)
        limit = 5
        while True:  # some limit leaves the time to begin
            process, ranks = self.start_run("endless.yaml", f"limit{limit}.h5", "--time-limit", f"{limit}s", patience=60)
            if 1 in ranks and process.poll() is None and not self.events(f"limit{limit}.h5", "end"):
                break
            finish(process)
            limit *= 2
        self.silence([ranks[1]])
        self.end(process, 75, "the time limit is near", "rank 1 (", "lost")

    def test_a_worker_that_is_continued_in_time_loses_nothing(self):
        sweep = self.write("long.yaml", long_sweep(4))
        process, ranks = self.start_run(sweep, "long.h5", patience=20)
        self.silence([ranks[1]])
        self.wait_for(lambda: self.events("long.h5", "silent"), "rank 1 to be named")
        (silent,) = json.loads(self.run_program("status", "long.h5", "--json"))["silent_ranks"]
        self.assertTrue(silent["rank"] == 1 and not silent["lost"], silent)
        self.assert_says(self.run_program("status", "long.h5"), "rank 1 (", "is silent")
        os.kill(ranks[1], signal.SIGCONT)
        self.end(process, 0, "rank 1 (", "fell silent", "can be heard again")
        self.assert_end_file(0)
        self.assertEqual(sha256(self.path("long.h5")), self.whole(sweep))
        self.assertEqual(json.loads(self.run_program("status", "long.h5", "--json"))["silent_ranks"], [])
        self.check_nothing_else("end")

    def test_a_suspended_job_loses_nobody(self):
        sweep = self.write("long.yaml", long_sweep(4))
        process, ranks = self.start_run(sweep, "long.h5")
        self.silence(ranks.values())
        time.sleep(2 * PATIENCE)
        to_all(ranks.values(), signal.SIGCONT)
        self.assertNotIn("silent", self.end(process, 0))
        self.assertEqual(sha256(self.path("long.h5")), self.whole(sweep))

    def test_a_rank_that_was_given_up_writes_nothing_when_it_goes_on(self):
        sweep = self.write("mixed.yaml", mixed_sweep())
        process, ranks = self.start_run(sweep, "mixed.h5", "--checkpoint-interval", "0.5s")
        rank, unit = self.stop_with_short_unit("mixed.h5", ranks)
        self.wait_for(lambda: self.events("mixed.h5", "lost"), "the rank to be given up")
        states = self.states_of("mixed.h5", unit)
        os.kill(ranks[rank], signal.SIGCONT)
        self.wait_for(lambda: self.is_idle(ranks[rank]), "it to notice")
        process.send_signal(signal.SIGUSR2)
        self.end(process, 75, f"rank {rank} was silent for too long", "writes nothing more")
        self.assertEqual(self.states_of("mixed.h5", unit), states)
        self.assertTrue(self.is_pending("mixed.h5", unit), unit)

    def test_another_run_may_begin_while_a_stopped_worker_hangs(self):
        """Rank 0 is dead, which the launcher does not notice. What hangs changes nothing when it goes on."""
        sweep = self.write("long.yaml", fitted(FEW, 6))
        expected = self.whole(sweep)
        process, ranks = self.start_run(sweep, "long.h5", "--checkpoint-interval", "0.2s")
        self.calm("long.h5")
        self.silence([ranks[1], process.pid])
        to_all([ranks[0], ranks[2]], signal.SIGKILL)
        self.assertIn("another run is using this results file", self.run_program("run", sweep, "-o", "long.h5", expect=1))
        os.unlink(self.path("long.h5.lock"))
        self.check_continued(sweep, "long.h5", expected)
        self.begin = time.monotonic()
        os.kill(ranks[1], signal.SIGCONT)
        self.wait_for(lambda: state_of(ranks[1]) in ("Z", ""), "the worker to end")
        print(f"{self._testMethodName}: {time.monotonic() - self.begin:.1f} s", flush=True)
        kill_family(process)
        self.assertEqual(sha256(self.path("long.h5")), expected)
        self.check_nothing_else("end")

    def test_a_killed_worker_is_lost_though_the_launcher_does_not_notice(self):
        sweep = self.write("long.yaml", fitted(FEW, 6))
        process, ranks = self.start_run(sweep, "long.h5")
        self.calm("long.h5")
        self.silence([process.pid])
        os.kill(ranks[1], signal.SIGKILL)
        self.wait_for(lambda: all(state_of(pid) in ("Z", "") for pid in ranks.values()), "the ranks to end")
        print(f"{self._testMethodName}: {time.monotonic() - self.begin:.1f} s", flush=True)
        self.assert_end_file(75)
        self.assertEqual([line["rank"] for line in self.events("long.h5", "lost")], [1])
        kill_family(process)
        self.check_continued(sweep, "long.h5", self.whole(sweep))


@needs_mpi
class Traced(Silent):
    """What happens at one system call of one rank."""

    def setUp(self):
        super().setUp()
        trial = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", "inject=rename:error=EIO", "true"]
        if not shutil.which("strace") or subprocess.run(trial, capture_output=True).returncode != 0:
            self.skipTest("needs strace, and the right to trace")
        self.directory = os.path.realpath(self.directory)

    def start_traced(self, sweep, rank, file, injection, *options, patience=PATIENCE):
        """A run of which one rank does something else at its calls on a file, and has those options."""
        call = injection.partition(":")[0]
        plain = [TOYSWEEP, "run", sweep, "-o", self.path("long.h5"), "--threads", "1", "--patience", f"{patience}s"]
        traced = ["strace", "-D", "-f", "-qq", "-o", self.path("trace.yaml"), "-P", self.path(file),
                  "-e", "trace=" + call, "-e", "inject=" + injection, *plain, *options]
        words = [MPIRUN]
        for r in range(RANKS):
            words += [*([":"] if r else []), "-n", "1", *(traced if r == rank else plain)]
        self.begin = time.monotonic()
        return self.start_command(words, environment={"TOYSWEEP_END_FILE": self.end_file})

    def is_stopped(self, process):
        """Is one of the ranks? For longer than a look of strace at a call takes."""
        if "SIGSTOP" not in self.log("trace.yaml"):
            return False
        stopped = lambda: {pid for pid in family(process) if state_of(pid) in ("T", "t")}
        found = stopped()
        for _ in range(20):
            time.sleep(0.05)
            found &= stopped()
        return bool(found)

    def test_a_slow_commit_is_no_silence(self):
        sweep = self.write("long.yaml", long_sweep(2))
        expected = self.whole(sweep)
        for rank in 0, 1:
            with self.subTest(rank=rank):
                process = self.start_traced(sweep, rank, "long.h5", f"fdatasync:delay_enter={2 * PATIENCE}s:when=3")
                self.assertNotIn("given up", self.end(process, 0))
                self.assertIn("DELAYED", read_text(self.path("trace.yaml")))
                self.assertEqual(sha256(self.path("long.h5")), expected)
                self.forget("long.h5")

    def test_what_a_rank_finishes_after_it_was_given_up_is_not_committed(self):
        """Its main thread is away, as if stopped, while another one trains."""
        sweep = self.write("mixed.yaml", mixed_sweep())
        process, ranks = self.start_run(sweep, "mixed.h5")
        rank, unit = self.with_short_unit("mixed.h5")
        self.begin = time.monotonic()
        tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(ranks[rank]), "-e",
                                   f"inject=clock_nanosleep,futex:delay_enter={3 * PATIENCE}s:when=1"])
        self.addCleanup(tracer.wait)
        self.addCleanup(tracer.kill)
        self.wait_for(lambda: self.events("mixed.h5", "lost"), "the rank to be given up")
        known = len(self.events("mixed.h5", "unit"))
        time.sleep(3 * PATIENCE)
        process.send_signal(signal.SIGUSR2)
        self.end(process, 75, f"rank {rank} was silent for too long", "writes nothing more")
        self.assertNotIn(rank, [line["rank"] for line in self.events("mixed.h5", "unit")[known:]])
        self.assertTrue(self.is_pending("mixed.h5", unit), unit)

    def test_a_state_is_not_saved_where_another_run_has_ended(self):
        """The worker stops when it is about to make the directory of states."""
        sweep = self.write("long.yaml", fitted(FEW, 6))
        expected = self.whole(sweep)
        process = self.start_traced(sweep, 1, "long.h5.state", "?stat,newfstatat:signal=STOP:when=1",
                                    "--checkpoint-interval", "0.1s")
        self.wait_for(lambda: self.is_stopped(process), "rank 1 to stop")
        ranks = ranks_of(process)
        self.silence([process.pid])
        to_all([ranks[0], ranks[2]], signal.SIGKILL)
        os.unlink(self.path("long.h5.lock"))
        os.unlink(self.path("trace.yaml"))
        self.check_continued(sweep, "long.h5", expected)
        os.kill(ranks[1], signal.SIGCONT)
        self.wait_for(lambda: state_of(ranks[1]) in ("Z", ""), "the worker to end")
        kill_family(process)
        self.check_nothing_else("end")

    def test_before_training_a_signal_ends_a_run_that_waits_for_a_stopped_worker(self):
        sweep = self.write("long.yaml", long_sweep(2))
        process = self.start_traced(sweep, 1, "long.h5.lock", "openat:signal=STOP:when=1", patience=4)
        self.wait_for(lambda: self.is_stopped(process), "rank 1 to stop")
        self.begin = time.monotonic()
        process.send_signal(signal.SIGUSR2)
        self.end(process, 75, "rank 0 has waited", "run again to continue")
        self.assert_end_file(75)
        os.unlink(self.path("trace.yaml"))
        self.check_continued(sweep, "long.h5", self.whole(sweep))

    def test_after_training_nobody_waits_for_a_stopped_worker(self):
        sweep = self.write("long.yaml", long_sweep(2))
        process = self.start_traced(sweep, 1, "long.h5.lock", "close:signal=STOP:when=1", patience=4)
        self.wait_for(lambda: self.is_stopped(process), "rank 1 to stop")
        self.begin = time.monotonic()
        output = finish(process)
        print(f"{self._testMethodName}: {time.monotonic() - self.begin:.1f} s, exit code {process.returncode}", flush=True)
        self.assert_says(output, "24 done, 0 failed, 0 left", "rank 0 has waited", "all that was finished is saved")
        self.assert_end_file(0)
        os.unlink(self.path("trace.yaml"))
        self.check_continued(sweep, "long.h5", self.whole(sweep))


if __name__ == "__main__":
    main()
