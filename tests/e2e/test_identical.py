"""The finished file is a pure function of sweep, version and backend: ranks, threads and interruptions don't show."""

import os
import resource
import signal
import time

from processes import finish
from support import ENDLESS, SMALL, Case, amount, fitted, long_sweep, main, needs_mpi, sha256


# Two groups.
TABLES = """\
name: tables
steps: STEPS
checkpoints: {log: 10}
instances: 3
cases:
  - {task: group, group: D9, train_fraction: 0.7, embed: 32, hidden: 48}
  - {task: group, group: S3xC5, train_fraction: 0.6, embed: 32, hidden: 48}
  - {task: power, p: 11, m: 2, n: 3, model: transformer, d_model: 16, heads: 2, d_head: 8, d_mlp: 32}
"""

# A step of 6e9 multiply-adds, measured in less than that takes.
LARGE = """\
name: large
task: group
group: S5
hidden: 3072
steps: 2
checkpoints: [2]
measures: [irreps, neurons, irrep_losses]
save: final
instances: 2
"""

# 300 cases of one instance each, and so 300 units, over in an instant.
SHORT_UNITS = """\
name: short
task: tree
depth: 2
checkpoints: [0]
save: none
grid:
  hidden: 2..5
  steps: 1..75
"""


class Identical(Case):
    @needs_mpi
    def test_any_number_of_ranks_and_threads(self):
        sweep = self.write("small.yaml", SMALL)
        expected = self.finished(sweep, "alone.h5", "--threads", 1)
        self.assertEqual(self.finished(sweep, "threads.h5", "--threads", 2), expected, "2 threads")
        for ranks in 1, 2, 4:
            self.assertEqual(self.finished(sweep, f"ranks{ranks}.h5", "--threads", 1, ranks=ranks), expected, ranks)
        self.assertEqual(self.finished(sweep, "both.h5", "--threads", 2, ranks=2), expected, "2 ranks x 2 threads")

    def test_any_number_of_slots_on_a_rank(self):
        """A rank's units on their way are as many as its slots, and one more: none may get lost (a run would wait for
        it forever), however often it is tried."""
        sweep = self.write("short.yaml", SHORT_UNITS)
        expected = self.finished(sweep, "one.h5", "--threads", 1)
        for threads in 1, 64, 65, 200:
            for attempt in range(amount(2, 20)):
                name = f"slots{threads}-{attempt}.h5"
                self.assertEqual(self.finished(sweep, name, "--threads", threads), expected, name)

    @needs_mpi
    def test_many_slots_on_each_of_two_ranks(self):
        sweep = self.write("short.yaml", SHORT_UNITS)
        expected = self.finished(sweep, "one.h5", "--threads", 1)
        self.assertEqual(self.finished(sweep, "ranks.h5", "--threads", 100, ranks=2), expected)

    @needs_mpi
    def test_table_models_too(self):
        sweep = self.write("tables.yaml", fitted(TABLES, 2))
        expected = self.finished(sweep, "alone.h5", "--threads", 1)
        self.assertEqual(self.finished(sweep, "threads.h5", "--threads", 2), expected, "2 threads")
        self.assertEqual(self.finished(sweep, "ranks.h5", "--threads", 1, ranks=3), expected, "3 ranks")
        self.stop_halfway(sweep, "parts.h5", "--threads", 1)
        self.assertEqual(self.finished(sweep, "parts.h5", ranks=2), expected, "continued")

    def test_a_large_instance_with_any_number_of_threads(self):
        """All threads of a rank train it together; the second one is alone at the end."""
        sweep = self.write("large.yaml", LARGE)
        expected = self.finished(sweep, "alone.h5", "--threads", 1)
        for threads in 2, 3:
            self.assertEqual(self.finished(sweep, f"threads{threads}.h5", "--threads", threads), expected, threads)

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
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU:
            before = self.states("parts.h5")
            for _ in range(10):
                done = self.rows_done("parts.h5")
                self.assertIn("run again to continue", self.interrupt(sweep, "parts.h5", "--threads", 1, number=number))
                saved = set(self.states("parts.h5").items()) - set(before.items())
                if saved or self.rows_done("parts.h5") == done:
                    break  # else it came between two units, or to a run that had begun anew
            self.assertTrue(saved, "no unit was saved")
        self.assertEqual(self.finished(sweep, "parts.h5"), expected)
        self.assertFalse(os.path.exists(self.path("parts.h5.state")))

    @needs_mpi
    def test_signals_through_mpirun_save_and_continue(self):
        sweep = self.write("long.yaml", long_sweep())
        expected = self.finished(sweep, "whole.h5")
        for number in signal.SIGUSR1, signal.SIGUSR2:
            self.interrupt(sweep, "parts.h5", "--threads", 1, ranks=3, number=number)
        process = self.start_training(sweep, "parts.h5", "--threads", 1, ranks=3)
        process.send_signal(signal.SIGTERM)
        finish(process)  # mpirun reports its own code when it is told to terminate
        self.finished(sweep, "parts.h5", "--threads", 1, ranks=2)
        self.assertEqual(sha256(self.path("parts.h5")), expected)

    def test_a_limit_on_processor_time_stops_it(self):
        sweep = self.write("endless.yaml", ENDLESS)
        for limits in (2, 600), (8, 8):  # of the second, as of ulimit -t, half is kept for saving
            limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, limits)
            output = self.run_program("run", sweep, "--threads", 1, expect=75, preexec_fn=limit)
            self.assertIn(f"signal {signal.SIGXCPU.value}", output)

    def test_time_limit_stops_before_it(self):
        """A twentieth of the limit is kept for saving: however busy the machine is, that is enough of a long one."""
        sweep = self.write("endless.yaml", ENDLESS)
        for limit in 2, 8, 32, 128:
            begin = time.monotonic()
            output = self.run_program("run", sweep, "--time-limit", f"{limit}s", "--threads", 1, expect=75)
            self.assertIn("time limit", output)
            if time.monotonic() - begin < limit:
                break
        else:
            self.fail(f"it took {time.monotonic() - begin} s")

    def test_stopped_by_the_time_limit_it_continues(self):
        sweep = self.write("long.yaml", long_sweep())
        expected = self.finished(sweep, "whole.h5")
        self.stop_halfway(sweep, "parts.h5", "--threads", 1)
        self.assertEqual(self.finished(sweep, "parts.h5"), expected)


if __name__ == "__main__":
    main()
