"""The finished file is a pure function of sweep, version and backend: ranks, threads and interruptions don't show."""

import os
import random
import signal
import time

from support import SMALL, Case, descendants, kill_family, long_sweep, main, needs_mpi, sha256

import h5py


# Two groups; a few seconds of one core.
GROUPS = """\
name: group
steps: 10000
checkpoints: {log: 10}
instances: 3
embed: 32
hidden: 48
cases:
  - {task: group, group: D9, train_fraction: 0.7}
  - {task: group, group: S3xC5, train_fraction: 0.6}
"""


class Identical(Case):
    def finished(self, sweep, name, *options, ranks=0):
        self.run_program("run", sweep, "-o", name, *options, ranks=ranks)
        return sha256(self.path(name))

    @needs_mpi
    def test_any_number_of_ranks_and_threads(self):
        sweep = self.write("small.yaml", SMALL)
        expected = self.finished(sweep, "alone.h5", "--threads", 1)
        self.assertEqual(self.finished(sweep, "threads.h5", "--threads", 2), expected, "2 threads")
        for ranks in 1, 2, 4:
            self.assertEqual(self.finished(sweep, f"ranks{ranks}.h5", "--threads", 1, ranks=ranks), expected, ranks)
        self.assertEqual(self.finished(sweep, "both.h5", "--threads", 2, ranks=2), expected, "2 ranks x 2 threads")

    @needs_mpi
    def test_groups_too(self):
        sweep = self.write("group.yaml", GROUPS)
        expected = self.finished(sweep, "alone.h5", "--threads", 1)
        self.assertEqual(self.finished(sweep, "threads.h5", "--threads", 2), expected, "2 threads")
        self.assertEqual(self.finished(sweep, "ranks.h5", "--threads", 1, ranks=3), expected, "3 ranks")
        self.run_program("run", sweep, "-o", "parts.h5", "--threads", 1, "--time-limit", "1s", expect=75)
        self.assertEqual(self.finished(sweep, "parts.h5", ranks=2), expected, "continued")

    def test_running_again_changes_nothing(self):
        sweep = self.write("small.yaml", SMALL)
        expected = self.finished(sweep, "small.h5")
        output = self.run_program("run", sweep)
        self.assertIn("nothing to do", output)
        self.assertEqual(sha256(self.path("small.h5")), expected)
        self.assertEqual(self.files(), ["small.h5", "small.h5.log.jsonl", "small.yaml"])

    def test_signals_save_and_continue(self):
        sweep = self.write("long.yaml", long_sweep())
        expected = self.finished(sweep, "whole.h5")
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGUSR2:
            process = self.start("run", sweep, "-o", "parts.h5", "--threads", 1)
            self.wait_for(lambda: os.path.exists(self.path("parts.h5")), "the results file")
            time.sleep(0.4)
            process.send_signal(number)
            output = process.communicate(timeout=30)[0]
            self.assertEqual(process.returncode, 75, output)
            self.assertIn("run again to continue", output)
        self.assertTrue(os.listdir(self.path("parts.h5.state")), "no unit was saved")
        self.run_program("run", sweep, "-o", "parts.h5")
        self.assertEqual(sha256(self.path("parts.h5")), expected)
        self.assertFalse(os.path.exists(self.path("parts.h5.state")))

    @needs_mpi
    def test_signals_through_mpirun_save_and_continue(self):
        sweep = self.write("long.yaml", long_sweep())
        expected = self.finished(sweep, "whole.h5")
        for number in signal.SIGUSR2, signal.SIGTERM:
            process = self.start("run", sweep, "-o", "parts.h5", "--threads", 1, ranks=3)
            self.wait_for(lambda: os.path.exists(self.path("parts.h5")), "the results file")
            time.sleep(0.5)
            process.send_signal(number)
            output = process.communicate(timeout=30)[0]
            if number == signal.SIGUSR2:  # mpirun reports its own code when it is told to terminate
                self.assertEqual(process.returncode, 75, output)
        self.finished(sweep, "parts.h5", "--threads", 1, ranks=2)
        self.assertEqual(sha256(self.path("parts.h5")), expected)

    def test_time_limit_stops_before_it(self):
        sweep = self.write("long.yaml", long_sweep())
        expected = self.finished(sweep, "whole.h5")
        begin = time.monotonic()
        output = self.run_program("run", sweep, "-o", "parts.h5", "--time-limit", "2s", "--threads", 1, expect=75)
        self.assertLess(time.monotonic() - begin, 2.5)
        self.assertIn("time limit", output)
        self.finished(sweep, "parts.h5")
        self.assertEqual(sha256(self.path("parts.h5")), expected)


class Killed(Case):
    KILLS = int(os.environ.get("TOYSWEEP_TEST_KILLS", "20"))

    @needs_mpi
    def test_runs_killed_at_random_moments_lose_nothing(self):
        sweep = self.write("long.yaml", long_sweep())
        options = ["--checkpoint-interval", "0.1s", "--threads", 1]
        self.run_program("run", sweep, "-o", "whole.h5", *options, ranks=2)
        expected = sha256(self.path("whole.h5"))
        with h5py.File(self.path("whole.h5")) as file:
            losses = file["exact_loss"][:]
        kills = done_before = restarts = 0
        while kills < self.KILLS:
            process = self.start("run", sweep, "-o", "parts.h5", *options, ranks=2)
            time.sleep(random.uniform(0.05, 1.2))
            if process.poll() is None:
                family = descendants(process.pid)
                # All of it, mpirun alone, or one rank.
                victims = random.choice([family, family[:1], family[-1:], random.sample(family, 1)])
                kill_family(process, victims)
                kills += 1
            else:
                self.assertEqual(process.returncode, 0, process.communicate()[0])
                self.assertEqual(sha256(self.path("parts.h5")), expected)
                os.unlink(self.path("parts.h5"))
                done_before = 0
                restarts += 1
            if not os.path.exists(self.path("parts.h5")):
                continue
            with h5py.File(self.path("parts.h5")) as file:
                status = file["status"][:]
                kept = file["exact_loss"][:]
            done = status == 1
            self.assertGreaterEqual(done.sum(), done_before, "a finished row was lost")
            self.assertTrue((kept[done] == losses[done]).all(), "a finished row is wrong")
            done_before = done.sum()
        self.run_program("run", sweep, "-o", "parts.h5", *options, ranks=2)
        self.assertEqual(sha256(self.path("parts.h5")), expected)
        print(f"{kills} kills, {restarts} runs finished between them", flush=True)


if __name__ == "__main__":
    main()
