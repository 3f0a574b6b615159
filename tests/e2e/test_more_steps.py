"""More steps: instances go on from the state that a file with fewer kept (save: state, run --reuse), and the file is that
of a run that had all of them from the start, to the last bit; what cannot go on, and what is said of it."""

import os
import re
import shlex

from processes import MPIRUN, kill_family
from support import Case, fitted, flip, main, sha256

import h5py
import numpy

COMMON = "checkpoints: {every: 10}\nsave: state\nsteps: 40\n"
MODELS = {
    # Some stop early, before the end with fewer steps, at it and after it; keys of the end, or none.
    "mlp": "task: group\ngroup: S3\nembed: 8\nhidden: 16\ntrain_fraction: 0.7\ncases: [{keys: final}, {keys: none}]\n"
           "stop: [none, {test_loss: 1e9, for: 15}, {test_loss: 1e9, for: 40}, {test_loss: 1e9, for: 55}]\n",
    "transformer": "task: power\np: 7\nm: 2\nd_model: 12\nheads: 2\nd_head: 4\nd_mlp: 12\ninstances: 2\n"
                   "optimizer: [adamw, muon]\ngrokfast: true\n",
    "tree": "warmup: 15\ncases:\n  - {task: tree, depth: 2..3, hidden: 2, seed: 0..2}\n"
            "  - {task: independent, features: 5, hidden: 2, batch: 12, lr: [1e-3, 1e30]}\n",  # the last one fails
}
MLP = MODELS["mlp"].split("cases")[0] + "instances: 3\n" + COMMON


class MoreSteps(Case):
    def train(self, name, *sets, sweep="a.yaml", expect=0, more=()):
        """What is said of a run."""
        return self.run_program("run", sweep, "-o", name, *(x for one in sets for x in ("--set", one)), *more,
                                expect=expect)

    def go_on(self, *sets, expect=0, more=()):
        said = self.train("new.h5", "steps=70", *sets, expect=expect, more=("--reuse", "old.h5", *more))
        self.assertNotIn("passed over", said)  # states are this sweep's
        return said

    def check_same(self, *sets, expect=0, more=()):
        """new.h5 is as if it had been trained from the start; row by row, so that it is said what is not."""
        self.train("whole.h5", "steps=70", *sets, expect=expect, more=more)
        with h5py.File(self.path("new.h5")) as new, h5py.File(self.path("whole.h5")) as whole:
            def compare(name, item):
                if isinstance(item, h5py.Dataset):
                    numpy.testing.assert_array_equal(new[name][()], item[()], name)
            whole.visititems(compare)
        self.assertEqual(sha256(self.path("new.h5")), sha256(self.path("whole.h5")))
        os.unlink(self.path("whole.h5"))

    def test_they_are_as_if_they_had_them_from_the_start(self):
        for model, text in MODELS.items():
            self.write("a.yaml", text + COMMON)
            for backend, sets in ("cpu", ()), ("reference", ("checkpoints={every: 15}",)):
                with self.subTest(model, backend=backend):
                    failing = 3 if model == "tree" else 0
                    more = ("--backend", backend)
                    self.train("old.h5", *sets, expect=failing, more=more)
                    before = sha256(self.path("old.h5"))
                    said = self.go_on(*sets, expect=failing, more=more)
                    with h5py.File(self.path("old.h5")) as old:
                        done = int((old["status"][:] == 1).sum())
                    self.assertIn(f"{done} instances go on from where they ended in old.h5", said)
                    self.check_same(*sets, expect=failing, more=more)
                    self.assertEqual(sha256(self.path("old.h5")), before)
                    self.check_nothing_else()
                    if (model, backend) == ("mlp", "cpu"):
                        with h5py.File(self.path("new.h5")) as new:
                            self.assertEqual(list(new["steps_done"][:4]), [70, 20, 40, 60])
                    for name in "old.h5", "new.h5":
                        os.unlink(self.path(name))

    def test_a_state_is_weights_and_moments_at_the_end(self):
        self.write("a.yaml", MLP)
        self.train("old.h5")
        with h5py.File(self.path("old.h5")) as file:
            case = file["cases/all"]
            tensors = [case["weights"][name][:].reshape(3, -1) for name in case["weights"]]
            self.assertEqual(case["state/end"].shape, (3, 3, case["parameter"].shape[0]))
            numpy.testing.assert_array_equal(case["state/end"][:, 0], numpy.concatenate(tensors, axis=1))
            numpy.testing.assert_array_equal(case["state/weights"][:, -1], case["state/end"][:, 0])
            self.assertTrue((case["state/end"][:, 2] >= 0).all())  # of squares
        self.train("bare.h5", "keys=none")
        with h5py.File(self.path("bare.h5")) as file:
            self.assertEqual(list(file["cases/all/state"]), ["end"])

    def test_killed_they_go_on_from_where_they_were(self):
        text = fitted(MLP.replace("steps: 40", "steps: STEPS").replace("every: 10", "every: 1000"), 0.3)
        steps = int(re.search(r"steps: (\d+)", text)[1])
        self.write("a.yaml", text)
        self.train("old.h5", f"steps={steps // 3}")
        whole, _ = self.run_whole("a.yaml")
        options = ["--checkpoint-interval", "0.05", "--reuse", "old.h5"]
        for ranks, reuse in (0, False), (2, True):
            if ranks and not MPIRUN:
                continue
            process = self.start_training("a.yaml", "new.h5", *options, ranks=ranks)
            kill_family(process)
            said = self.run_program("run", "a.yaml", "-o", "new.h5", *(options[2:] if reuse else []), ranks=ranks)
            self.assertNotIn("go on from where", said)  # they are further
            self.assertEqual(sha256(self.path("new.h5")), whole)
            self.check_nothing_else()
            for name in "new.h5", "new.h5.log.jsonl":
                os.unlink(self.path(name))

    def test_what_depends_on_steps_is_refused_with_the_cure(self):
        for then, now, words in (
                ("schedule=cosine", "schedule=cosine", ["3 instances", "step 40, now of 70", "'schedule: cosine'",
                                                        "'schedule: constant'", "leave out '--reuse old.h5'"]),
                ("checkpoints={log: 5}", "checkpoints={log: 5}", ["{\"log\":5}", "{every: N}", "a list"]),
                ("checkpoints=[5, 20]", "checkpoints=[5, 10, 50]", ["not measured at step 10", "[5,10,50]"])):
            with self.subTest(now):
                self.write("a.yaml", MLP)
                self.train("old.h5", then)
                self.assert_says(self.go_on(now, expect=2), *words)
                self.assertFalse(os.path.exists(self.path("new.h5")))
                os.unlink(self.path("old.h5"))
        # A list that begins with steps of the file's will do.
        self.train("old.h5", "checkpoints={log: 5}")
        with h5py.File(self.path("old.h5")) as file:
            steps = [int(step) for step in file["cases/all/step"]]
        listed = f"checkpoints={[*steps[1:-2], 50]}"
        self.assertIn("3 instances go on", self.go_on(listed))
        self.check_same(listed)

    def test_what_is_measured_in_full_is_as_from_the_start(self):
        self.write("a.yaml", MLP + "measures_every: 2\nmeasures: [irreps, key_losses]\n")
        self.train("old.h5")  # at 0, 20 and 40
        for now, full in ("checkpoints={every: 10}", [0, 20, 40, 60, 70]), ("checkpoints=[20, 30, 50]", [20, 50, 70]):
            self.assertIn("3 instances go on", self.go_on(now))
            self.check_same(now)
            with h5py.File(self.path("new.h5")) as file:
                case = file["cases/all"]
                known = numpy.isfinite(case["logit_similarity"][0]).all(axis=-1)
                self.assertEqual(list(case["step"][known]), full)
                self.assertTrue(numpy.isfinite(case["test_loss"][:]).all())
            os.unlink(self.path("new.h5"))
        self.assert_says(self.go_on("checkpoints=[10, 20, 50]", expect=2), "not measured in full at step 10")

    def test_what_has_no_state_is_trained_from_the_start_and_that_is_said(self):
        self.write("a.yaml", MLP)
        self.train("old.h5", "save=final")
        said = self.go_on()
        self.assert_says(said, "3 instances with fewer steps", "'save: state' in both sweeps", "from the start")
        self.assertNotIn("go on from where", said)

    def test_a_sweep_that_has_grown_takes_what_there_is(self):
        self.write("a.yaml", MLP)
        self.train("old.h5", "schedule=linear")
        said = self.train("new.h5", "steps=[40, 70]", "schedule=linear", more=("--reuse", "old.h5"))
        self.assert_says(said, "3 instances taken over", "'schedule: linear'", "from the start")
        self.train("more.h5", "steps=[20, 40, 70]", "seed=1..4")
        said = self.train("most.h5", "steps=[60, 70, 80]", "seed=2..5", more=("--reuse", "more.h5"))
        self.assert_says(said, "3 instances taken over", "6 instances go on")
        self.train("whole.h5", "steps=[60, 70, 80]", "seed=2..5")
        self.assertEqual(sha256(self.path("most.h5")), sha256(self.path("whole.h5")))

    def test_what_is_damaged_is_trained_from_the_start(self):
        self.write("a.yaml", MLP)
        self.train("old.h5")
        with h5py.File(self.path("old.h5")) as file:
            state = file["cases/all/state/end"]
            flip(self.path("old.h5"), state.id.get_offset() + state.id.get_storage_size() // 2, 3)
        self.assert_says(self.go_on(), "'old.h5': instance 1 is damaged", "2 instances go on")
        self.check_same()

    def test_states_of_another_sweep_are_not_in_the_way(self):
        self.write("a.yaml", MLP)
        self.train("old.h5")
        process = self.start_training("a.yaml", "new.h5", "--set", "steps=100000000", "--set", "checkpoints=[40]",
                                      "--checkpoint-interval", "0.05", "--threads", "1")
        self.wait_for(lambda: self.states("new.h5"), "a state")
        kill_family(process)
        os.unlink(self.path("new.h5"))
        self.assertIn("3 instances go on", self.go_on())
        self.check_same()

    def test_raised_steps_are_told_how_to_go_on(self):
        self.write("a.yaml", MLP)
        self.train("old.h5")
        said = self.train("old.h5", "steps=70", expect=1)
        (line,) = [line for line in said.splitlines() if "--reuse" in line]
        self.assertIn("3 instances can go on", line)
        words = shlex.split(line.split("fewer steps: ")[1])
        self.assertIn("3 instances go on", self.run_program(*words[1:]))

    def test_states_outlive_what_is_made_of_files(self):
        self.write("a.yaml", MODELS["tree"].replace(", lr: [1e-3, 1e30]", "") + COMMON)
        self.train("a.h5", "where=task == tree")
        self.train("b.h5", "where=task == independent")
        self.run_program("merge", "a.h5", "b.h5", "-o", "merged.h5")
        self.run_program("measure", "merged.h5", "-o", "old.h5")
        self.assertEqual(sha256(self.path("merged.h5")), sha256(self.path("old.h5")))
        self.assertIn("7 instances go on", self.go_on())
        self.check_same()


if __name__ == "__main__":
    main()
