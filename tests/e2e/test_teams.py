"""Large instances: threads and ranks train one together, with the same bits however many they are."""

import collections
import json
import os
import random
import signal
import time
import unittest

from processes import catches, finish, kill_family, ranks_of, to_all
from support import LARGE, NIGHTLY, Case, amount, large_table, main, needs_mpi, sha256

import h5py

# Threads and ranks of a run; the last ones are told how many ranks an instance is to have.
LAYOUTS = [(0, 1), (0, 3), (2, 1), (3, 1), (4, 2), (3, 2, "--ranks-per-instance", "3"),
           (4, 1, "--ranks-per-instance", "2"), (2, 1, "--ranks-per-instance", "1")]

# What may happen to a run: to which ranks (none: to mpirun, which passes it on), and which signal.
EVENTS = {
    "one of a team killed": ([1], signal.SIGKILL),
    "rank 0 killed": ([0], signal.SIGKILL),
    "all killed": ([0, 1, 2], signal.SIGKILL),
    "told to stop": ([], signal.SIGUSR2),
    "told to end": ([], signal.SIGTERM),
    "one of a team told to stop": ([2], signal.SIGUSR2),
}
INTERRUPTIONS = amount(len(EVENTS), 100)


@needs_mpi
class Teams(Case):
    def setUp(self):
        super().setUp()
        self.write("table.csv", large_table())
        self.sweep = self.write("large.yaml", LARGE)

    def run_layout(self, layout, name, *options, sweep="large.yaml", expect=0):
        ranks, threads, *more = layout
        output = self.run_program("run", sweep, "-o", name, "--threads", threads, *more, *options, ranks=ranks,
                                  expect=expect)
        return output if expect else sha256(self.path(name))

    def assignments(self, name):
        """What was handed out: ranks of each unit."""
        lines = map(json.loads, self.log(name + ".log.jsonl").splitlines())
        return [line.get("ranks", 1) for line in lines if line["event"] == "assign"]

    def test_results_do_not_depend_on_threads_and_ranks(self):
        for instances in amount([1], [1, 2, 3]):
            self.write("large.yaml", LARGE.replace("instances: 2", f"instances: {instances}"))
            files = {layout: self.run_layout(layout, f"{number}-{instances}.h5") for number, layout in enumerate(LAYOUTS)}
            self.assertEqual(len(set(files.values())), 1, files)
        self.assertEqual(self.assignments("2-1.h5"), [2])  # one instance, two ranks: of themselves
        self.assertEqual(self.assignments("5-1.h5"), [3])
        self.assertEqual(self.assignments("7-1.h5"), [1])

    def test_states_may_be_saved_at_every_moment(self):
        """Each rank's clock says when; measures come in between."""
        whole = self.run_layout((0, 1), "whole.h5")
        self.assertEqual(self.run_layout((2, 1, "--ranks-per-instance", "2"), "saves.h5", "--checkpoint-interval", "0.05s"),
                         whole)

    def interrupt(self, process, event):
        """At a random moment of what a run takes; False if it was over before."""
        self.wait_for(lambda: len(ranks_of(process)) == 3 or process.poll() is not None, "three ranks")
        time.sleep(random.uniform(0, self.whole_seconds))
        ranks = ranks_of(process)
        if process.poll() is not None or len(ranks) < 3:
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

    def test_what_is_killed_or_stopped_continues_with_other_threads_and_ranks(self):
        options = "large.yaml", "-o", "parts.h5", "--checkpoint-interval", "0.1s"
        expected, whole = self.run_whole("large.yaml", "--threads", 1)
        happened, acknowledged = collections.Counter(), ()
        while happened.total() < INTERRUPTIONS:
            event = list(EVENTS)[happened.total() % len(EVENTS)]
            wide = random.choice([(), ("--ranks-per-instance", "3"), ("--ranks-per-instance", "2")])
            process = self.start("run", *options, "--threads", random.choice([1, 2]), *wide, ranks=3,
                                 environment={"OMPI_MCA_odls_base_sigkill_timeout": "0"})
            happened[event] += self.interrupt(process, event)
            with self.subTest(event, number=happened.total()):
                if os.path.exists(self.path("parts.h5")):
                    acknowledged = self.check_survivor("parts.h5", whole, acknowledged)
                if len(acknowledged) == len(whole):
                    self.run_layout(random.choice(LAYOUTS), "parts.h5")
                    self.assertEqual(sha256(self.path("parts.h5")), expected)
                    os.unlink(self.path("parts.h5"))
                    acknowledged = ()
                elif random.random() < 0.3:  # a stretch on other ranks
                    self.run_to_any_end("run", *options, "--time-limit", f"{self.whole_seconds / 2:.2f}s", "--threads", 2,
                                        ranks=random.choice([0, 2]))
        self.assertEqual(self.run_layout((0, 2), "parts.h5"), expected)
        self.check_nothing_else()
        print(f"{happened.total()} interruptions {dict(happened)}", flush=True)

    def test_teams_stop_at_the_time_limit_and_after_too_many_failures(self):
        self.write("long.yaml", LARGE.replace("steps: 24", "steps: 100000").replace("24]", "100000]"))
        output = self.run_layout((2, 1, "--ranks-per-instance", "2"), "long.h5", "--time-limit", "3s", sweep="long.yaml", expect=75)
        self.assertIn("the time limit is near", output)
        self.write("hot.yaml", LARGE + "lr: 1e30\n")
        output = self.run_layout((2, 1, "--ranks-per-instance", "2"), "hot.h5", "--max-failures", 0, sweep="hot.yaml", expect=3)
        self.assertIn("--max-failures", output)

    def test_a_team_diverges_as_one_rank_does(self):
        self.write("hot.yaml", LARGE.replace("instances: 2", "lr: [1, 1e3, 1e30]"))
        for number, layout in enumerate([(0, 1), (3, 1, "--ranks-per-instance", "3")]):
            self.run_program("run", "hot.yaml", "-o", f"{number}.h5", "--threads", layout[1], *layout[2:], ranks=layout[0],
                             expect=3)
        with h5py.File(self.path("0.h5")) as file:
            self.assertEqual(sorted(file["status"][:])[-1], 2)
        self.assertEqual(sha256(self.path("0.h5")), sha256(self.path("1.h5")))

    @unittest.skipUnless(NIGHTLY, "takes some minutes")
    def test_a_team_is_called_back_and_formed_wider(self):
        """Of three long instances on two ranks the last is begun by one rank, and ends on both."""
        self.write("long.yaml", LARGE.replace("instances: 2", "instances: 3").replace("24", "1000"))
        expected = self.run_layout((0, 2), "alone.h5", sweep="long.yaml")
        self.assertEqual(self.run_layout((2, 1), "wider.h5", sweep="long.yaml"), expected)
        self.assertIn('"event":"recall"', self.log("wider.h5.log.jsonl"))
        self.assertEqual(self.assignments("wider.h5")[-1], 2)

    def test_sweeps_that_say_how_many_ranks_are_told_what_to_do(self):
        self.write("old.yaml", LARGE + "ranks_per_instance: 4\n")
        for command in "run", "plan":
            output = self.run_program(command, "old.yaml", expect=2)
            self.assertIn("old.yaml:%d: key 'ranks_per_instance'" % (LARGE.count("\n") + 1), output)
            self.assertIn("--ranks-per-instance", output)
        self.assertIn("give auto or an integer", self.run_program("run", "large.yaml", "--ranks-per-instance", "many", expect=2))


if __name__ == "__main__":
    main()
