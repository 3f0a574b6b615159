"""A fault at every system call that touches the files of a run, of a run of teams, of a new measurement."""

import itertools
import os

from support import LARGE, large_table, main, needs_mpi, sha256
from system_calls import SHORT, SystemCalls


class Run(SystemCalls):
    SWEEP = SHORT
    OPTIONS = ["--threads", "1", "--checkpoint-interval", "0.01s", "--progress", "none"]

    def units(self):
        rows = itertools.combinations(range(4), 2)
        return [f"{case}-{first}-{last - first}" for case, (first, last) in itertools.product(range(4), rows)]

    def test_alone(self):
        self.check_all()

    @needs_mpi
    def test_rank_0(self):
        self.check_all(ranks=2, rank=0)

    @needs_mpi
    def test_a_worker(self):
        self.check_all(ranks=2, rank=1)


@needs_mpi
class Team(SystemCalls):
    """Two ranks that train every instance together; the first of them saves and writes."""
    SWEEP = LARGE.replace("24", "4").replace("8, ", "1, ")
    OPTIONS = [*Run.OPTIONS, "--ranks-per-instance", "2"]
    RANKS = 2
    PHASES = ["state"]

    def prepare(self):
        self.write("table.csv", large_table())

    def units(self):
        return ["0-0-1", "0-1-1"]

    def test_the_rank_that_saves(self):
        self.check_all(ranks=2, rank=0)

    def test_the_other_rank(self):
        self.PHASES = ["results"]  # it saves nothing
        self.check_all(ranks=2, rank=1)


class Measure(SystemCalls):
    """`measure -o`: the new file is whole or not there, the old one is only read."""
    SWEEP = Run.SWEEP + "save: final\n"
    OPTIONS = ["--threads", "1"]

    def arguments(self):
        return ["measure", self.path("whole.h5"), "-o", self.path("run.h5")]

    def go_on(self):
        self.assertEqual(sha256(self.path("whole.h5")), self.expected)
        whole = os.path.exists(self.path("run.h5"))  # then the command refuses to replace it
        if whole:
            self.assertEqual(sha256(self.path("run.h5")), self.expected)
        self.run_program(*self.arguments(), expect=2 if whole else 0)

    def test_measure(self):
        self.check_all()


if __name__ == "__main__":
    main()
