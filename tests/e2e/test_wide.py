"""Wide instances: several ranks train one together."""

import os
import signal
import time

from processes import finish, kill_family
from support import Case, main, needs_mpi, sha256

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

    def test_interrupted_wide_runs_continue_with_the_same_bits(self):
        text = SWEEP.replace("STEPS", "4000").replace("[1, 2, 4]", "[2]").replace("every: 5", "every: 500")
        self.write("wide.yaml", "\n".join(line for line in text.splitlines() if "power" not in line))
        self.run_program("run", "wide.yaml", "-o", "whole.h5", ranks=2)
        for number in range(3):
            process = self.start("run", "wide.yaml", "-o", "parts.h5", "--checkpoint-interval", "1s", ranks=2)
            self.wait_for(lambda: os.path.exists(self.path("parts.h5")), "the results file")
            time.sleep(1.5)
            if number == 0:
                kill_family(process)
            else:
                process.send_signal(signal.SIGTERM)
                finish(process)
        self.run_program("run", "wide.yaml", "-o", "parts.h5", ranks=2)
        self.assertEqual(sha256(self.path("whole.h5")), sha256(self.path("parts.h5")))

    def test_too_few_ranks_are_refused(self):
        self.write("wide.yaml", SWEEP.replace("STEPS", "20"))
        output = self.run_program("run", "wide.yaml", ranks=3, expect=2)
        self.assertIn("ranks_per_instance: 4", output)
        self.assertIn("mpirun -n 4", output)
        self.assertIn("mpirun -n 4", self.run_program("plan", "wide.yaml", "--ranks", 3, expect=2))


if __name__ == "__main__":
    main()
