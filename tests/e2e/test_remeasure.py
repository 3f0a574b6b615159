"""Early stops, and `measure` on results files: what is computed anew from stored weights is what was stored."""

import json
import os
import re
import shutil
import time

from processes import kill_family
from support import Case, main, needs_mpi, sha256

import h5py
import numpy

# Of D3's seeds 0..3, the last two learn the table before the end.
STOPPING = """\
name: stopping
task: group
group: D3
steps: 3000
checkpoints: {every: 100}
embed: 24
hidden: 48
lr: 3e-3
train_fraction: 0.8
seed: 0..3
stop: {test_loss: 0.5, for: 300}
"""

# Every kind of row: from files and not, in all ways of keeping weights, stopped early, failed.
MIXED = """\
name: mixed
steps: 1500
checkpoints: {log: 12}
cases:
  - {task: group, group: S3, element_order: orders/s3.txt, embed: 24, hidden: 48, lr: 3e-3, train_fraction: 0.8,
     seed: 2..3, stop: {test_loss: 30, for: 100}, save: checkpoints}
  - {task: group, group: S3, embed: 24, hidden: 48, lr: 3e-3, train_fraction: 0.8, seed: 2,
     stop: [none, {test_loss: 3, for: 100}]}
  - {task: group, group: D5, embed: 8, hidden: 8, lr: [1e30, 1e-3], save: checkpoints}
  - {task: group, group: D5, embed: 8, hidden: 16, lr: 1e30}
  - {task: cayley, cayley: [group.csv, loop.csv], embed: 8, hidden: 12, save: checkpoints}
  - {task: power, p: 7, m: 2, n: 3, d_model: 16, heads: 2, d_head: 8, d_mlp: 16, steps: 60, save: checkpoints}
  - {task: tree, depth: 2..3, hidden: 3, instances: 2, save: checkpoints}
  - {task: tree, depth: 2, hidden: 4, lr: [1e-3, 1e30], instances: 2}
"""


def rows(file, label="all"):
    return file["cases"][label]


class Stopping(Case):
    def finish(self, sweep, name, *options, **more):
        self.run_program("run", sweep, "-o", name, *options, **more)
        return h5py.File(self.path(name))

    def test_an_instance_stops_by_itself(self):
        sweep = self.write("stopping.yaml", STOPPING + "save: checkpoints\n")
        with self.finish(sweep, "early.h5") as early, \
                self.finish(sweep, "whole.h5", "--set", "stop=none") as whole:
            steps, done = rows(early)["step"][:], early["steps_done"][:]
            self.assertEqual(list(early["status"][:]), [1, 1, 1, 1])
            self.assertEqual(list(whole["steps_done"][:]), [3000] * 4)
            self.assertTrue((done < 3000).any() and (done == 3000).any(), done)
            for i in range(4):
                # The rule, applied to the curve of the instance that did not stop.
                losses, since, expected = rows(whole)["test_loss"][i], None, 3000
                for step, loss in zip(steps, losses):
                    since = None if not loss < 0.5 else step if since is None else since
                    if since is not None and step - since >= 300:
                        expected = step
                        break
                self.assertEqual(done[i], expected, i)
                trained = steps <= done[i]
                for name, values in [*rows(early).items(), *rows(early)["weights"].items()]:
                    if not isinstance(values, h5py.Dataset) or values.ndim < 2 or \
                            not values.dims[1][0].name.endswith("/step"):
                        continue
                    other = rows(whole)[name] if name in rows(whole) else rows(whole)["weights"][name]
                    numpy.testing.assert_array_equal(values[i][trained], other[i][trained], f"{name} of {i}")
                    self.assertTrue(numpy.isnan(values[i][~trained]).all(), f"{name} of {i}")
                last = numpy.flatnonzero(trained)[-1]
                for name in "train_loss", "test_loss", "all_loss":
                    self.assertEqual(early[name][i], rows(early)[name][i, last], name)
                self.assertTrue(numpy.isfinite(rows(early)["key_irrep"][i]).all())
                self.run_program("export", "early.h5", "--instance", i, "--format", "h5", "-o", f"{i}.h5")
                with h5py.File(self.path(f"{i}.h5")) as weights:
                    for name, tensor in weights.items():
                        numpy.testing.assert_array_equal(tensor, rows(early)["weights"][name][i, last])

    def test_between_full_checkpoints_losses_are_known_alone(self):
        losses = {"train_loss", "test_loss", "all_loss", "train_accuracy", "test_accuracy", "weight_norm2"}
        sweep = self.write("stopping.yaml", STOPPING + "save: checkpoints\n")
        every, some = ("--set", "measures_every=4"), ("--set", "measures=[irreps]")
        with self.finish(sweep, "all.h5") as whole, self.finish(sweep, "some.h5", *every) as file:
            done, steps = file["steps_done"][:], rows(file)["step"][:]
            numpy.testing.assert_array_equal(done, whole["steps_done"][:])
            for i in range(4):
                last = numpy.searchsorted(steps, done[i])
                full = numpy.arange(len(steps)) % 4 == 0
                full = (full | (steps == done[i])) & (steps <= done[i])
                for name, values in rows(whole).items():
                    if not isinstance(values, h5py.Dataset) or values.shape[:2] != (4, len(steps)):
                        continue
                    known = full if name not in losses else steps <= done[i]
                    found = rows(file)[name][i]
                    numpy.testing.assert_array_equal(found[known], values[i][known], f"{name} of {i}")
                    self.assertTrue(numpy.isnan(found[~known]).all(), f"{name} of {i}")
                passed = rows(file)["logit_similarity"][i][full] > 0.05
                first = [steps[full][one.argmax()] if one.any() else numpy.nan for one in passed.T]
                numpy.testing.assert_array_equal(rows(file)["irrep_step"][i], first)
                for name in losses | {"grokked_step", "memorised_step", "cleanup_step"}:
                    self.assertEqual(str(file[name][i]), str(whole[name][i]), name)
                self.assertGreater(last, 0)
        self.run_program("measure", "some.h5", "-o", "again.h5")
        self.assertEqual(sha256(self.path("again.h5")), sha256(self.path("some.h5")))
        with self.finish(sweep, "irreps.h5", *every, *some) as few, h5py.File(self.path("some.h5")) as file:
            names = set(rows(few)) - set(rows(few)["weights"])
            self.assertTrue(losses <= names and "logit_similarity" in names and "margin" not in names)
            for name in losses | {"logit_similarity", "irrep_step", "irrep_order"}:
                numpy.testing.assert_array_equal(rows(few)[name][:], rows(file)[name][:], name)
        said = self.run_program("run", sweep, "-o", "irreps.h5", expect=1)
        self.assertIn("sweep", said)  # another one
        printed = self.run_program("measure", "irreps.h5").splitlines()
        self.assertEqual(len(printed), 4)
        self.assertNotIn("margin", json.loads(printed[0]))

    def test_final_weights_are_those_at_the_stop(self):
        sweep = self.write("stopping.yaml", STOPPING)
        with self.finish(sweep, "all.h5", "--set", "save=checkpoints") as all_of_them, \
                self.finish(sweep, "final.h5") as final:
            numpy.testing.assert_array_equal(all_of_them["steps_done"], final["steps_done"])
            steps = rows(final)["step"][:]
            for i, done in enumerate(final["steps_done"][:]):
                for name, tensor in rows(final)["weights"].items():
                    numpy.testing.assert_array_equal(
                        tensor[i], rows(all_of_them)["weights"][name][i, numpy.searchsorted(steps, done)])

    def test_instances_that_stop_do_not_touch_the_others(self):
        """In one unit: a rule that only some meet, against one that none meets and against each alone."""
        sweep = self.write("stopping.yaml", STOPPING)
        with self.finish(sweep, "some.h5", "--threads", 1) as some, \
                self.finish(sweep, "none.h5", "--threads", 1, "--set", "stop={test_loss: 1e-9, for: 300}") as none:
            for i in numpy.flatnonzero(some["steps_done"][:] == 3000):
                for name in "train_loss", "test_loss", "logit_similarity":
                    numpy.testing.assert_array_equal(rows(some)[name][i], rows(none)[name][i])
            for i in range(4):
                with self.finish(sweep, f"alone{i}.h5", "--set", f"seed={i}") as alone:
                    self.assertEqual(alone["checksum"][0], some["checksum"][i])

    @needs_mpi
    def test_ranks_and_interruptions_do_not_show(self):
        sweep = self.write("stopping.yaml", STOPPING.replace("0..3", "0..79") + "save: checkpoints\n")
        expected, _ = self.run_whole(sweep, "--threads", 1)
        with h5py.File(self.path("whole.h5")) as file:
            self.assertTrue((file["steps_done"][:] < 3000).any())
        self.assertEqual(self.finished(sweep, "ranks.h5", "--threads", 1, ranks=3), expected, "3 ranks")
        interruptions = 0
        for attempt in range(40):
            process = self.start_training(sweep, "parts.h5", "--threads", 1, "--checkpoint-interval", "0.05s")
            time.sleep(attempt * self.whole_seconds / 40)
            running = process.poll() is None
            kill_family(process)
            interruptions += running
            if not running:
                self.assertEqual(process.returncode, 0, attempt)
                if interruptions:
                    break
                self.forget("parts.h5")
        self.assertGreater(interruptions, 0)
        self.assertEqual(self.finished(sweep, "parts.h5"), expected, "killed and continued")

    def test_all_that_looks_at_it_copes(self):
        sweep = self.write("stopping.yaml", STOPPING)
        self.assertIn("4 instances", self.run_program("plan", sweep))
        output = self.run_program("run", sweep)
        self.assertIn("4 done, 0 failed", output)
        status = json.loads(self.run_program("status", "stopping.h5", "--json"))
        self.assertEqual((status["done"], status["failed"], status["pending"]), (4, 0, 0))
        self.assertIn("nothing to do", self.run_program("run", sweep))
        self.run_program("run", sweep, "--retry-failed")
        output = self.run_program("run", sweep, "-o", "again.h5", "--set", "name=again", "--reuse", "stopping.h5")
        with h5py.File(self.path("stopping.h5")) as first, h5py.File(self.path("again.h5")) as again:
            numpy.testing.assert_array_equal(first["checksum"], again["checksum"])


class Remeasure(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("sweeps"))
        os.mkdir(self.path("sweeps/orders"))
        self.write("sweeps/mixed.yaml", MIXED)
        self.write("sweeps/orders/s3.txt", "0 1 2\n0 2 1\n1 0 2\n1 2 0\n2 0 1\n2 1 0\n")
        self.write("sweeps/group.csv", "0,1,2\n1,2,0\n2,0,1\n")
        self.write("sweeps/loop.csv", "0,1,2\n1,2,0\n2,1,0\n")

    def train(self, *sets):
        """The finished file, and the inputs gone: all that is needed is in the file."""
        options = [option for text in sets for option in ("--set", text)]
        self.run_program("run", "sweeps/mixed.yaml", "-o", "mixed.h5", *options, expect=3)
        shutil.rmtree(self.path("sweeps"))

    def test_a_current_file_comes_out_bit_for_bit(self):
        self.train("train_fraction=0.75", "checkpoints=[0, 100, 200,\n 1500]")
        with h5py.File(self.path("mixed.h5")) as file:
            done, status = file["steps_done"][:], file["status"][:]
            self.assertTrue((status == 2).any())
            self.assertTrue(((status == 1) & (done < 1500)).any(), done)
            self.assertEqual(json.loads(file["sweep/overrides"].asstr()[()]),
                             ["train_fraction=0.75", "checkpoints=[0, 100, 200,\n 1500]"])
        output = self.run_program("measure", "mixed.h5", "-o", "new.h5")
        self.assertEqual(sha256(self.path("new.h5")), sha256(self.path("mixed.h5")))
        self.assertRegex(output, r"^new\.h5: \d+ instances measured anew, [1-9] finished ones without weights")
        self.assertEqual(self.files(), ["mixed.h5", "mixed.h5.log.jsonl", "new.h5"])

    @needs_mpi
    def test_over_ranks_it_is_the_same(self):
        self.train()
        self.run_program("measure", "mixed.h5", "-o", "new.h5", ranks=2)
        self.assertEqual(sha256(self.path("new.h5")), sha256(self.path("mixed.h5")))

    def spoil(self, name):
        """Makes the file one of another version that lacks a measure and had others wrong. Returns what was spoilt."""
        spoilt = []
        with h5py.File(self.path(name), "r+") as file:
            file.attrs.modify("version", "0.0.9")
            del file["test_loss"]
            for label, group in file["cases"].items():
                for measure, values in group.items():
                    if isinstance(values, h5py.Dataset) and values.dtype.kind == "f":
                        values[...] = 7
                        spoilt.append(f"{label}/{measure}")
                if "logit_similarity" in group:
                    del group["logit_similarity"]
            for measure, values in file.items():
                if isinstance(values, h5py.Dataset) and values.dtype == numpy.float64 and measure != "lr":
                    values[...] = 7
        return spoilt

    def test_an_older_file_gets_the_measures_of_today(self):
        self.train()
        shutil.copy(self.path("mixed.h5"), self.path("old.h5"))
        self.assertGreater(len(self.spoil("old.h5")), 100)
        self.run_program("measure", "old.h5", "-o", "new.h5")
        compared = 0
        with h5py.File(self.path("mixed.h5")) as good, h5py.File(self.path("new.h5")) as new:
            self.assertEqual(new.attrs["version"], good.attrs["version"])
            done, status = good["steps_done"][:], good["status"][:]
            for label, group in good["cases"].items():
                stepped = any(v.dims[1][0].name.endswith("/step") for v in group["weights"].values())
                for name, values in group.items():
                    if not isinstance(values, h5py.Dataset) or values.dtype.kind != "f":
                        continue
                    curve = values.dims[1][0].name.endswith("/step")
                    for row, instance in enumerate(group["instance"][:]):
                        if stepped and curve:
                            at = group["step"][:] <= done[instance]
                        elif status[instance] != 1:
                            continue
                        elif not curve:
                            if name in ("irrep_step", "irrep_order"):  # they follow from the whole curve
                                continue
                            at = slice(None)
                        else:
                            at = group["step"][:] == done[instance]
                        numpy.testing.assert_array_equal(values[row][at], new["cases"][label][name][row][at],
                                                         f"{label}, {name}, row {row}")
                        compared += 1
            for name in "train_loss", "test_loss", "exact_loss", "final_loss", "fit_explained":
                numpy.testing.assert_array_equal(good[name][:][status == 1], new[name][:][status == 1], name)
        self.assertGreater(compared, 200)

    def test_what_came_first_is_not_said_of_a_curve_that_the_file_lacks(self):
        """Both networks pass all thresholds; with the last weights alone it is not known when."""
        sweep = self.write("first.yaml", STOPPING.replace("0..3", "2..3").replace("stop:", "#") + "save: [checkpoints, final]\n")
        self.run_program("run", sweep, "-o", "first.h5")
        self.spoil("first.h5")
        self.run_program("measure", "first.h5", "-o", "new.h5")
        with h5py.File(self.path("new.h5")) as file:
            for label, group in file["cases"].items():
                known = numpy.isfinite(group["logit_similarity"][:, 0]).all()
                self.assertEqual(known, "checkpoints" in label, label)
                for name in "irrep_step", "irrep_order":
                    self.assertEqual(numpy.isfinite(group[name][:]).any(), known, (label, name))

    def test_of_weights_from_elsewhere_only_the_end_is_known(self):
        """A network that has learned its table passes every threshold at the end; nobody knows when it first did."""
        sweep = self.write("stopping.yaml", STOPPING.replace("0..3", "3") + "save: checkpoints\n")
        self.run_program("run", sweep, "-o", "run.h5")
        with h5py.File(self.path("run.h5")) as run:
            self.assertTrue(numpy.isfinite(run["grokked_step"][0]))
            self.assertTrue((rows(run)["irrep_order"][0] == 1).any())
        self.run_program("export", "run.h5", "--instance", 0, "-o", "w.safetensors")
        printed = json.loads(self.run_program("measure", sweep, "--weights", "w.safetensors"))
        self.run_program("measure", sweep, "--weights", "w.safetensors", "-o", "made.h5")
        again = json.loads(self.run_program("measure", "made.h5"))
        self.assertEqual({name: again[name] for name in printed}, printed)
        self.run_program("measure", "made.h5", "-o", "again.h5")
        self.assertEqual(sha256(self.path("again.h5")), sha256(self.path("made.h5")))
        with h5py.File(self.path("made.h5")) as made:
            self.assertTrue(numpy.isnan(made["grokked_step"][0]))
            for name in "irrep_step", "irrep_order":
                self.assertTrue(numpy.isnan(rows(made)[name][0]).all(), name)
            self.assertTrue(rows(made)["key_irrep"][0].any())  # that follows from the end alone
            self.assertEqual(made["test_accuracy"][0], 1)
        point = json.loads(self.run_program("status", "made.h5", "--json"))["points"][0]
        self.assertEqual((point["accuracy"], point["grokked"]), (1, None))
        self.assertRegex(self.run_program("status", "made.h5"), r"all +1/1 .* 1 +-\n")

    def test_printed_measures_are_the_stored_ones(self):
        self.train()
        lines = [json.loads(line) for line in self.run_program("measure", "mixed.h5").splitlines()]
        with h5py.File(self.path("mixed.h5")) as file:
            finished = numpy.flatnonzero(file["status"][:] == 1)
            self.assertEqual(sorted(line["instance"] for line in lines), list(finished))
            for line in lines:
                self.assertEqual(line["step"], file["steps_done"][line["instance"]])
                for name, value in line.items():
                    if name in file and name != "instance":
                        stored = file[name][line["instance"]]
                        self.assertTrue(stored == value or (value is None and numpy.isnan(stored)), (name, line))

    def test_an_interrupted_one_goes_on(self):
        self.train()
        process = self.start("measure", "mixed.h5", "-o", "new.h5")
        self.wait_for(lambda: os.path.exists(self.path("new.h5.part")) or process.poll() is not None, "the part")
        kill_family(process)
        if not os.path.exists(self.path("new.h5")):
            self.run_program("measure", "mixed.h5", "-o", "new.h5")
        expected = sha256(self.path("mixed.h5"))
        self.assertEqual(sha256(self.path("new.h5")), expected)
        # A part with only some rows in it, whatever the moment of the kill was.
        os.rename(self.path("new.h5"), self.path("new.h5.part"))
        with h5py.File(self.path("new.h5.part"), "r+") as file:
            file["status"][::2] = 0
            file["cases"][list(file["cases"])[0]]["train_loss"][0] = 9
        self.run_program("measure", "mixed.h5", "-o", "new.h5")
        self.assertEqual(sha256(self.path("new.h5")), expected)
        self.write("torn.h5.part", "not a results file")
        self.run_program("measure", "mixed.h5", "-o", "torn.h5")
        self.assertEqual(sha256(self.path("torn.h5")), expected)

    def test_what_cannot_be_is_refused(self):
        self.train()
        before = sha256(self.path("mixed.h5"))
        self.assertIn("'mixed.h5' exists", self.run_program("measure", "mixed.h5", "-o", "mixed.h5", expect=2))
        self.write("other.txt", "precious\n")
        self.assertIn("exists", self.run_program("measure", "mixed.h5", "-o", "other.txt", expect=2))
        self.assertIn("--set", self.run_program("measure", "mixed.h5", "--set", "seed=1", expect=2))
        self.assertIn("there is no folder 'no/such/'", self.run_program("measure", "mixed.h5", "-o", "no/such/new.h5", expect=1))
        shutil.copy(self.path("mixed.h5"), self.path("bad.h5"))
        with h5py.File(self.path("bad.h5"), "r+") as file:
            file.attrs.modify("sweep_sha256", "0" * 64)
            file.attrs.modify("version", "0.0.9")
        output = self.run_program("measure", "bad.h5", "-o", "new.h5", expect=2)
        self.assertIn("toysweep 0.0.9, which made the file, and toysweep", output)
        self.assertIn("different instances", output)
        self.assertFalse([name for name in self.files() if name.startswith("new.h5")])
        self.assertEqual(sha256(self.path("mixed.h5")), before)

    def test_damaged_rows_are_left_out(self):
        self.train()
        shutil.copy(self.path("mixed.h5"), self.path("bad.h5"))
        with h5py.File(self.path("bad.h5"), "r+") as file:
            label = file["cases"][list(file["cases"])[0]]
            label["train_loss"][0] = 9
            instance = label["instance"][0]
        damaged = sha256(self.path("bad.h5"))
        output = self.run_program("measure", "bad.h5", "-o", "new.h5")
        self.assertIn(f"instance {instance} is damaged", output)
        self.assertIn("1 pending", output)
        with h5py.File(self.path("new.h5")) as file:
            self.assertEqual(list(numpy.flatnonzero(file["status"][:] == 0)), [instance])
        self.assertEqual(sha256(self.path("bad.h5")), damaged)

    def test_without_weights_it_says_so(self):
        sweep = self.write("none.yaml", "task: tree\ndepth: 2\nhidden: 2..3\nsteps: 20\nsave: none\n")
        self.run_program("run", sweep)
        self.assertIn("keeps no weights", self.run_program("measure", "none.h5", expect=2))
        self.assertIn("keeps no weights", self.run_program("measure", "none.h5", "-o", "new.h5", expect=2))
        sweep = self.write("some.yaml", "task: tree\ndepth: 2\nhidden: 2\nsteps: 20\n"
                                        "cases: [{save: none}, {save: final, seed: 1}]\n")
        self.run_program("run", sweep)
        output = self.run_program("measure", "some.h5", "-o", "some-new.h5")
        self.assertRegex(output, "case .*save=none.* keeps no weights")
        self.assertEqual(sha256(self.path("some.h5")), sha256(self.path("some-new.h5")))
        self.assertEqual(re.findall(r'"instance":(\d)', self.run_program("measure", "some.h5")), ["1"])

    def test_pending_rows_stay_pending(self):
        sweep = self.write("part.yaml", "task: tree\ndepth: 2\nhidden: 2..3\nsteps: 20\n")
        self.run_program("run", sweep)
        finished = sha256(self.path("part.h5"))
        with h5py.File(self.path("part.h5"), "r+") as file:
            file["status"][1] = 0
        self.assertIn("1 pending", self.run_program("measure", "part.h5", "-o", "new.h5"))
        self.assertEqual(self.finished(sweep, "new.h5"), finished)


if __name__ == "__main__":
    main()
