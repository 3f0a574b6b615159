"""Wide instances: several ranks train one together."""

import collections
import os
import random
import signal
import time

from processes import catches, finish, kill_family, ranks_of, to_all
from support import Case, amount, main, needs_mpi, sha256

import h5py
import numpy

SWEEP = """\
name: wide
steps: STEPS
checkpoints: {every: 5}
train_fraction: 0.5
cases:
  - {task: group, group: S4, model: mlp, embed: 40, hidden: 30, seed: 0..2}
  - {task: power, p: 23, m: 2, model: transformer, d_model: 32, heads: 2, d_head: 8, d_mlp: 40, seed: 0..1}
grid:
  ranks_per_instance: [1, 2, 4]
"""

# What may happen to two teams of two ranks: to which ranks (none: to mpirun, which passes it on), and which signal.
EVENTS = {
    "one of a team killed": ([1], signal.SIGKILL),
    "rank 0 killed": ([0], signal.SIGKILL),
    "first of the other team killed": ([2], signal.SIGKILL),
    "all killed": ([0, 1, 2, 3], signal.SIGKILL),
    "told to stop": ([], signal.SIGUSR2),
    "told to end": ([], signal.SIGTERM),
    "one of a team told to stop": ([3], signal.SIGUSR2),
}
INTERRUPTIONS = amount(len(EVENTS), 140)


@needs_mpi
class Wide(Case):
    def losses(self, file):
        """train_loss of every case, [case, row, step], by ranks_per_instance."""
        result = {}
        for name, group in file["cases"].items():
            words = dict(word.split("=") for word in name.split(","))
            result[words["task"], words["ranks_per_instance"]] = group["train_loss"][:]
        return result

    def test_losses_are_those_of_one_rank(self):
        self.write("wide.yaml", SWEEP.replace("STEPS", "20"))
        self.run_program("run", "wide.yaml", ranks=4)
        with h5py.File(self.path("wide.h5")) as file:
            numpy.testing.assert_array_equal(file["status"][:], 1)
            losses = self.losses(file)
        for (task, ranks), values in losses.items():
            numpy.testing.assert_allclose(values, losses[task, "1"], rtol=1e-6, err_msg=f"{task} over {ranks} ranks")

    def test_results_depend_on_the_ranks_of_an_instance_alone(self):
        self.write("wide.yaml", SWEEP.replace("STEPS", "20"))
        for ranks in 4, 5:
            self.run_program("run", "wide.yaml", "-o", f"over{ranks}.h5", ranks=ranks)
        self.assertEqual(sha256(self.path("over4.h5")), sha256(self.path("over5.h5")))

    def interrupt(self, process, event):
        """At a random moment of the first half of what a run takes; False if it was over before."""
        self.wait_for(lambda: len(ranks_of(process)) == 4 or process.poll() is not None, "four ranks")
        time.sleep(random.uniform(0, self.whole_seconds / 2))
        ranks = ranks_of(process)
        if process.poll() is not None or len(ranks) < 4:
            finish(process)
            return False
        victims, number = EVENTS[event]
        if number == signal.SIGKILL:
            kill_family(process, [ranks[rank] for rank in victims])
            return True
        # A process that has only just been started dies of any signal.
        self.wait_for(lambda: all(catches(pid, number) for pid in ranks.values()) or process.poll() is not None, "ears")
        to_all([ranks[rank] for rank in victims] or [process.pid], number)
        output = finish(process)
        # Stopped, or it was through. mpirun that is told to end has a code of its own.
        self.assertTrue(process.returncode in (0, 75) or number == signal.SIGTERM, output)
        return True

    def test_teams_that_are_killed_or_stopped_continue_with_the_same_bits(self):
        text = SWEEP.replace("STEPS", "3000").replace("[1, 2, 4]", "[2]").replace("every: 5", "every: 500")
        self.write("wide.yaml", "\n".join(line for line in text.splitlines() if "power" not in line))
        options = "wide.yaml", "-o", "parts.h5", "--checkpoint-interval", "0.1s"
        expected, whole = self.run_whole("wide.yaml", ranks=4)
        happened, finished, acknowledged = collections.Counter(), 0, ()
        while happened.total() < INTERRUPTIONS:
            event = list(EVENTS)[happened.total() % len(EVENTS)]
            process = self.start("run", *options, ranks=4, environment={"OMPI_MCA_odls_base_sigkill_timeout": "0"})
            happened[event] += self.interrupt(process, event)
            with self.subTest(event, number=happened.total()):
                if os.path.exists(self.path("parts.h5")):
                    acknowledged = self.check_survivor("parts.h5", whole, acknowledged)
                if len(acknowledged) == len(whole):
                    self.run_program("run", *options, ranks=4)
                    self.assertEqual(sha256(self.path("parts.h5")), expected)
                    self.check_nothing_else()
                    os.unlink(self.path("parts.h5"))
                    acknowledged, finished = (), finished + 1
        self.run_program("run", *options, ranks=4)
        self.assertEqual(sha256(self.path("parts.h5")), expected)
        self.check_nothing_else()
        print(f"{happened.total()} interruptions {dict(happened)}, {finished} files finished between them", flush=True)

    def test_teams_stop_at_the_time_limit_and_after_too_many_failures(self):
        text = SWEEP.replace("[1, 2, 4]", "[2]").replace("every: 5", "every: 500")
        text = "\n".join(line for line in text.splitlines() if "power" not in line)
        self.write("wide.yaml", text.replace("STEPS", "10000000"))
        output = self.run_program("run", "wide.yaml", "--time-limit", "2s", ranks=2, expect=75)
        self.assertIn("the time limit is near", output)
        self.write("hot.yaml", text.replace("STEPS", "1000") + "\nlr: 1e30\n")
        output = self.run_program("run", "hot.yaml", "-o", "hot.h5", "--max-failures", 0, ranks=2, expect=3)
        self.assertIn("--max-failures", output)

    def test_a_team_diverges_as_one(self):
        """All of its ranks at the same step: none waits for another. One rank alone finds it within a step of them, as
        sums are rounded elsewhere."""
        self.write("hot.yaml", "name: hot\nsteps: 8\ncheckpoints: {every: 1}\ncases:\n"
                               "  - {task: group, group: S3, model: mlp, embed: 8, hidden: 8}\n"
                               "  - {task: power, p: 7, m: 2, model: transformer, d_model: 8, heads: 2, d_head: 4, d_mlp: 8}\n"
                               "grid: {lr: [1, 10, 1e3, 1e6, 1e9, 1e12, 1e18, 1e30], ranks_per_instance: [1, 2]}\n")
        self.run_program("run", "hot.yaml", ranks=2, expect=3)
        found = collections.defaultdict(list)
        with h5py.File(self.path("hot.h5")) as file:
            for name, group in file["cases"].items():
                done = file["status"][:][group["instance"][:]] == 1
                self.assertTrue(done[0] and not done[-1], name)
                for weights in group["weights"].values():
                    self.assertTrue(numpy.isfinite(weights[:][done]).all(), name)
                found["mlp" in name].append(file["steps_done"][:][group["instance"][:]])
        for one, two in found.values():
            self.assertLessEqual(abs(one - two).max(), 1)

    def test_too_few_ranks_are_refused(self):
        self.write("wide.yaml", SWEEP.replace("STEPS", "20"))
        output = self.run_program("run", "wide.yaml", ranks=3, expect=2)
        self.assertIn("ranks_per_instance: 4", output)
        self.assertIn("mpirun -n 4", output)
        self.assertIn("mpirun -n 4", self.run_program("plan", "wide.yaml", "--ranks", 3, expect=2))


if __name__ == "__main__":
    main()
