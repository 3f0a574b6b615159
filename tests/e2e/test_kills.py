"""SIGKILL at random moments: of a worker, of rank 0, of mpirun, of all. Nothing acknowledged is lost."""

import collections
import os
import random
import time

from processes import family, finish, kill_family, ranks_of
from support import Case, amount, fitted, long_sweep, main, needs_mpi, sha256

KILLS = amount(30, 300)
TRANSFORMERS = """\
name: transformers
task: power
model: transformer
p: 11
m: [1, 2]
n: [1, 3]
d_model: 16
heads: 2
d_head: 8
d_mlp: 32
steps: STEPS
checkpoints: {log: 20}
instances: 4
"""
VICTIMS = "a worker", "rank 0", "mpirun", "all"


class Killed(Case):
    # mpirun waits a second for ranks to die that it has killed; the test need not.
    HASTE = {"OMPI_MCA_odls_base_sigkill_timeout": "0"}
    OPTIONS = ["--checkpoint-interval", "0.1s", "--threads", 1]

    def kill(self, process, victim):
        """Within the first quarter of what a run takes; False if it was over before."""
        self.wait_for(lambda: len(ranks_of(process)) == 2 or process.poll() is not None, "two ranks")
        time.sleep(random.uniform(0, self.whole_seconds / 4))
        ranks = ranks_of(process)
        if process.poll() is not None or len(ranks) < 2:
            return False
        victims = {"a worker": [ranks[1]], "rank 0": [ranks[0]], "mpirun": [process.pid], "all": None}
        kill_family(process, victims[victim])
        self.wait_for(lambda: not family(process), "ranks without an mpirun to end")
        return True

    @needs_mpi
    def test_trees_killed_at_random_moments_lose_nothing(self):
        self.kill_at_random(long_sweep(6))

    @needs_mpi
    def test_transformers_killed_at_random_moments_lose_nothing(self):
        self.kill_at_random(fitted(TRANSFORMERS, 6))

    def kill_at_random(self, text):
        sweep = self.write("long.yaml", text)
        expected, whole = self.run_whole(sweep, *self.OPTIONS, ranks=2)
        kills = collections.Counter()
        acknowledged, finished = set(), 0
        while kills.total() < KILLS // 2:
            victim = VICTIMS[kills.total() % len(VICTIMS)]
            process = self.start("run", sweep, "-o", "parts.h5", *self.OPTIONS, ranks=2, environment=self.HASTE)
            killed = self.kill(process, victim)
            kills[victim] += killed
            with self.subTest(kill=kills.total(), victim=victim):
                if not killed:
                    finish(process)
                    self.assertEqual(process.returncode, 0)
                    self.assertEqual(sha256(self.path("parts.h5")), expected)
                    self.check_nothing_else()
                    os.unlink(self.path("parts.h5"))
                    acknowledged = set()
                    finished += 1
                elif os.path.exists(self.path("parts.h5")):
                    acknowledged = self.check_survivor("parts.h5", whole, acknowledged)
                else:
                    self.assertFalse(acknowledged, "the file is gone")
        self.assertEqual(self.finished(sweep, "parts.h5", *self.OPTIONS, ranks=2), expected)
        self.check_nothing_else()
        print(f"{kills.total()} kills {dict(kills)}, {finished} runs finished between them", flush=True)


if __name__ == "__main__":
    main()
