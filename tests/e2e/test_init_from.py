"""Networks that begin with given weights: every kind of file, every model and backend, any checkpoint of a results file
and any of its instances; what is said of weights that do not fit, and what becomes of a run that goes on."""

import hashlib
import json
import os
import struct

from support import Case, main, needs_mpi, sha256, write_bytes

import h5py
import numpy

MODELS = {
    "tree": "task: tree\ndepth: 2\nhidden: 3\n",
    "mlp": "task: group\ngroup: D3\nembed: 8\nhidden: 10\n",
    "transformer": "task: power\np: 7\nm: 1\nn: 1\nd_model: 6\nheads: 2\nd_head: 4\nd_mlp: 10\ntrain_fraction: 0.5\n",
}
BASE = "save: checkpoints\ncheckpoints: [0, 50]\nsteps: 100\nseed: 3\n"
FINE = "save: checkpoints\ncheckpoints: [0]\nsteps: 10\n"
TREES = MODELS["tree"].replace("hidden: 3", "hidden: [2, 3]") + BASE.replace("seed: 3", "instances: 3")


def tensors(name, row=0, step=0, label=None):
    """A row's weights at a step, by name."""
    with h5py.File(name) as file:
        group = file["cases"][label or next(iter(file["cases"]))]
        at = list(group["step"][:]).index(step)
        return {key: values[row, at] for key, values in group["weights"].items()}


def resolved(name, instance=0):
    with h5py.File(name) as file:
        return json.loads(file["sweep/resolved"][instance])


def identities(name):
    with h5py.File(name) as file:
        return [text.decode() for text in file["identity"][:]]


def origins(name):
    with h5py.File(name) as file:
        return [json.loads(line) for line in file["sweep/initial_weights"][()].decode().splitlines()]


def as_bfloat16(values):
    """The nearest bfloat16, ties to even, as float32."""
    bits = numpy.ascontiguousarray(values, "<f4").view("<u4").astype("u8")
    return (((bits + 0x7fff + (bits >> 16 & 1)) >> 16 << 16).astype("<u4")).view("<f4").reshape(values.shape)


def safetensors(path, weights, kind="F32"):
    entries, data = {}, b""
    for name, values in weights.items():
        piece = ((values.view("<u4") >> 16).astype("<u2") if kind == "BF16" else values).tobytes()
        entries[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    header = json.dumps(entries).encode()
    write_bytes(path, struct.pack("<Q", len(header)) + header + data)


class InitFrom(Case):
    def base(self, model, name="base"):
        self.write(f"{name}.yaml", MODELS[model] + BASE)
        self.run_program("run", f"{name}.yaml")
        return self.path(f"{name}.h5")

    def trees(self):
        self.write("trees.yaml", TREES)
        self.run_program("run", "trees.yaml")
        return self.path("trees.h5")

    def begin(self, model, value, name="fine", *options, more="", **rest):
        """Trains from a value of init_from; the results file."""
        self.write(f"{name}.yaml", MODELS[model] + FINE + f"init_from: {value}\n{more}")
        self.run_program("run", f"{name}.yaml", *options, **rest)
        return self.path(f"{name}.h5")

    def refused(self, model, value, *said):
        text = MODELS[model] + FINE + f"init_from: {value}\n"
        self.write("bad.yaml", text)
        before = self.files()
        output = self.run_program("run", "bad.yaml", expect=2)
        self.assert_says(output, f"bad.yaml:{text.count(chr(10))}: key 'init_from'", *said)
        self.assertEqual(output.count("\n"), 1, output)
        self.assertEqual(self.files(), before, "nothing is written")

    def assert_same(self, found, expected, what=None):
        self.assertEqual(set(found), set(expected), what)
        for name in expected:
            self.assertEqual(found[name].tobytes(), expected[name].tobytes(), (name, what))


class Kinds(InitFrom):
    def test_every_model_begins_with_the_bits_of_another_files_checkpoint(self):
        for model in MODELS:
            base = self.base(model, f"base-{model}")
            for step, backend in (50, "cpu"), (100, "reference"):
                fine = self.begin(model, f"{{file: base-{model}.h5, step: {step}}}", f"{model}-{step}", "--backend", backend)
                self.assert_same(tensors(fine), tensors(base, step=step), (model, step, backend))
                first = next(iter(tensors(fine)))
                self.assertNotEqual(tensors(fine, step=10)[first].tobytes(), tensors(fine)[first].tobytes(), "it trains on")

    def test_the_same_weights_are_the_same_instance_whatever_their_file(self):
        self.base("mlp")
        expected = self.begin("mlp", "{file: base.h5, step: 50}", "stored")
        for kind in "h5", "safetensors":
            self.run_program("export", "base.h5", "--instance", 0, "--step", 50, "--format", kind, "-o", f"w.{kind}")
        weights = tensors(self.path("base.h5"), step=50)
        with h5py.File(self.path("wide.h5"), "w") as file:
            for name, values in weights.items():
                file["model/" + name] = values.astype("f8")
        with h5py.File(self.path("turned.h5"), "w") as file:
            for name, values in weights.items():
                file[name] = values if name in ("W_x", "W_y") else values.T
        for value in "w.h5", "w.safetensors", "wide.h5", "turned.h5":
            found = self.begin("mlp", value, value.replace(".", "-"))
            self.assertEqual(identities(found), identities(expected), value)
            self.assert_same(tensors(found, step=10), tensors(expected, step=10), value)
        packed = b"".join(weights[name].astype("<f4").tobytes() for name in ("W_x", "W_y", "W", "W_U"))
        self.assertEqual(resolved(expected)["init_from"], "sha256:" + hashlib.sha256(packed).hexdigest())
        self.assertEqual(origins(expected), [{"weights": resolved(expected)["init_from"], "file": "base.h5", "step": 50,
                                              "from_instance": 0, "from_step": 50}])
        self.assertEqual(origins(found)[0].keys(), {"weights", "file"})

    def test_smaller_and_larger_numbers(self):
        weights = tensors(self.base("tree"), step=100)
        halves = {name: values.astype("f2") for name, values in weights.items()}
        rounded = {name: as_bfloat16(values) for name, values in weights.items()}
        safetensors(self.path("bf16.safetensors"), rounded, "BF16")
        safetensors(self.path("f16.safetensors"), halves, "F16")
        self.assert_same(tensors(self.begin("tree", "bf16.safetensors", "a")), rounded)
        self.assert_same(tensors(self.begin("tree", "f16.safetensors", "b")),
                         {name: values.astype("f4") for name, values in halves.items()})
        # What float32 does not hold is rounded, but on `reference`, where a tiny lr shows the rest of its digits.
        fine = {name: values.astype("f8") + 1e-9 * numpy.sign(values) for name, values in weights.items()}
        safetensors(self.path("f64.safetensors"), fine, "F64")
        losses = {}
        for name, value in ("exact", "f64.safetensors"), ("rounded", "rounded.safetensors"):
            safetensors(self.path("rounded.safetensors"), {k: v.astype("f4") for k, v in fine.items()})
            made = self.begin("tree", value, name, "--backend", "reference", more="lr: 1e-9\n")
            with h5py.File(made) as file:
                losses[name] = file["final_loss"][0]
            self.assert_same(tensors(made), {k: v.astype("f4") for k, v in fine.items()}, value)
        self.assertNotEqual(identities(self.path("exact.h5")), identities(self.path("rounded.h5")))


class Instances(InitFrom):
    def test_instances_are_those_with_the_same_parameters(self):
        base = self.trees()
        self.write("fine.yaml", "task: tree\ndepth: 2\nhidden: [3, 2]\nseed: 2..0..-1\nlr: [1e-3, 1e-4]\n" + FINE +
                   "init_from: {file: trees.h5, step: [50, 100]}\n")
        output = self.run_program("run", "fine.yaml")
        self.assert_says(output, "init_from=trees.h5 @50", "  3/3")
        for label in "hidden=2", "hidden=3":
            with h5py.File(self.path("fine.h5")) as file:
                chosen = [json.loads(file["sweep/resolved"][i]) for i in file["cases"][label]["instance"][:]]
                columns = [file["init_from"][i].decode() for i in file["cases"][label]["instance"][:]]
            for row, (parameters, column) in enumerate(zip(chosen, columns)):
                step = 50 if column == "matched 0" else 100
                self.assert_same(tensors(self.path("fine.h5"), row, 0, label),
                                 tensors(base, parameters["seed"], step, label), (label, row))
        self.assertEqual(len(origins(self.path("fine.h5"))), 12)
        self.assertEqual(origins(self.path("fine.h5"))[0]["matched"], '{"hidden":3,"seed":2}')

    def test_an_instance_by_its_number(self):
        base = self.trees()
        self.write("fine.yaml", "task: tree\ndepth: 2\nhidden: 3\n" + FINE +
                   "grid:\n  init_from: [\"\", {file: trees.h5, instance: [3, 5..4..-1], step: 50}]\n")
        output = self.run_program("run", "fine.yaml")
        self.assert_says(output, "init_from=none", "init_from=trees.h5 #3 @50", "init_from=trees.h5 #5 @50")
        for row, instance in (1, 0), (2, 2), (3, 1):
            self.assert_same(tensors(self.path("fine.h5"), row), tensors(base, instance, 50, "hidden=3"))
        self.assertNotIn("init_from", resolved(self.path("fine.h5")))

    def test_files_are_swept_like_any_value(self):
        for seed in 0, 1:
            self.write(f"b{seed}.yaml", MODELS["tree"] + BASE.replace("3", str(seed)))
            self.run_program("run", f"b{seed}.yaml")
        fine = self.begin("tree", "[b1.h5, b0.h5]")
        for row, seed in enumerate((1, 0)):
            self.assert_same(tensors(fine, row), tensors(self.path(f"b{seed}.h5"), step=100))

    @needs_mpi
    def test_ranks_and_parts_give_the_same_file(self):
        self.trees()
        sweep = "task: tree\ndepth: 2\nhidden: [2, 3]\nseed: 0..2\n" + FINE + "init_from: {file: trees.h5, step: [50, 100]}\n"
        self.write("fine.yaml", sweep)
        alone = self.finished("fine.yaml", "alone.h5")
        self.assertEqual(self.finished("fine.yaml", "ranks.h5", ranks=3), alone)
        parts = [f"part{k}.h5" for k in range(2)]
        self.finished("fine.yaml", parts[0], "--set", "init_from={file: trees.h5, step: 50}")
        self.finished("fine.yaml", parts[1], "--set", "init_from={file: trees.h5, step: 100}")
        os.rename(self.path("trees.h5"), self.path("away.h5"))
        self.run_program("merge", "-o", "merged.h5", *parts)
        self.assertEqual(sorted(identities(self.path("merged.h5"))), sorted(identities(self.path("alone.h5"))))
        self.run_program("measure", "merged.h5", "-o", "again.h5")


class Continued(InitFrom):
    def test_a_run_that_goes_on_needs_no_file_unless_an_instance_begins(self):
        self.trees()
        sweep = "task: tree\ndepth: 2\nhidden: [2, 3]\nseed: 0..2\ninit_from: trees.h5\nsave: checkpoints\n"
        self.write("fine.yaml", sweep + "steps: 10\ncheckpoints: [0]\n")
        whole = self.finished("fine.yaml", "fine.h5")
        os.rename(self.path("trees.h5"), self.path("away.h5"))
        self.assert_says(self.run_program("run", "fine.yaml"), "nothing to do")
        self.assertEqual(sha256(self.path("fine.h5")), whole)
        self.assert_says(self.run_program("plan", "fine.yaml", expect=2), "trees.h5", "fine.yaml:5", "init_from")
        self.assert_says(self.run_program("run", "fine.yaml", "-o", "new.h5", expect=2), "trees.h5", "init_from")
        with h5py.File(self.path("fine.h5"), "r+") as file:
            file["status"][4] = 0
        self.assert_says(self.run_program("run", "fine.yaml", expect=1), "instance 4", "trees.h5", "put it back")
        os.rename(self.path("away.h5"), self.path("trees.h5"))
        self.assertEqual(self.finished("fine.yaml", "fine.h5"), whole)

    def test_a_saved_state_goes_on_without_the_file(self):
        self.base("tree")
        self.write("long.yaml", MODELS["tree"] + "steps: 1000000000\nsave: final\ninit_from: base.h5\n")
        self.interrupt_a_unit("long.yaml", "long.h5", "--threads", 1)
        os.unlink(self.path("base.h5"))
        output = self.interrupt("long.yaml", "long.h5", "--threads", 1)
        self.assertNotIn("base.h5", output)

    def test_other_weights_under_the_same_name_are_another_sweep(self):
        self.base("tree")
        self.begin("tree", "base.h5")
        self.write("base.yaml", MODELS["tree"] + BASE.replace("seed: 3", "seed: 4"))
        os.unlink(self.path("base.h5"))
        self.run_program("run", "base.yaml")
        self.assert_says(self.run_program("run", "fine.yaml", expect=1), "the sweep 'fine' has changed", "init_from: sha256:",
                         "then,", "now")

    def test_rows_of_the_same_weights_are_reused(self):
        self.base("tree")
        self.begin("tree", "base.h5", "first")
        self.run_program("export", "base.h5", "--instance", 0, "--format", "safetensors", "-o", "w.safetensors")
        self.write("second.yaml", MODELS["tree"] + FINE + "init_from: w.safetensors\n")
        self.assert_says(self.run_program("run", "second.yaml", "--reuse", "first.h5"), "1 instance taken over")


class Refused(InitFrom):
    def test_values_that_are_none(self):
        self.base("tree")
        for value, *said in (("", "has no value"), ("{step: 3}", "has no file"),
                             ("{file: base.h5, stp: 3}", "'stp' is none of file, instance and step", "did you mean 'step'?"),
                             ("[]", "the list is empty"), ("[[base.h5]]", "a list within a list"),
                             ("missing.h5", "missing.h5", "No such file", "relative to the sweep file"),
                             ("bad.yaml", "neither an HDF5 nor a safetensors file"),
                             ("{file: base.h5, instance: 1}", "'", "has no instance 1; it has 0 to 0"),
                             ("{file: base.h5, step: 7}", "no weights of step 7; there are those of steps 0, 50, 100")):
            self.refused("tree", value, *said)
        self.write("bad.yaml", MODELS["tree"] + FINE + "init_from: {file: base.h5, step: -1}\n")
        self.assert_says(self.run_program("plan", "bad.yaml", expect=2), "'init_from.step'", "below the minimum 0")

    def test_weights_that_do_not_fit(self):
        self.base("tree")
        self.write("bad.yaml", MODELS["tree"].replace("hidden: 3", "hidden: [3, 4]") + FINE + "init_from: base.h5\n")
        self.assert_says(self.run_program("run", "bad.yaml", expect=2), "bad.yaml:7: key 'init_from'", "'W' is 3 x 6",
                         "4 x 6 [hidden, feature]", "weights of its own")
        self.refused("transformer", "base.h5", "has no 'embed.W_E' (or 'W_E')", "embed.W_E (8 x 6)", "there are: W (3 x 6), b (6)")
        weights = tensors(self.path("base.h5"), step=50)
        weights["W"][1, 2] = numpy.nan
        with h5py.File(self.path("nan.h5"), "w") as file:
            for name, values in weights.items():
                file[name] = values
        self.refused("tree", "nan.h5", "'W' has NaN at [1, 2]")
        self.refused("tree", "{file: nan.h5, step: 50}", "is a file of weights", "leave 'step' out")
        self.refused("tree", "{file: nan.h5, instance: 0}", "leave 'instance' out")
        self.assertNotIn("bad.h5", self.files())

    def test_weights_that_a_results_file_does_not_keep(self):
        self.write("final.yaml", MODELS["tree"] + "steps: 20\n")
        self.write("none.yaml", MODELS["tree"] + "steps: 20\nsave: none\n")
        for name in "final", "none":
            self.run_program("run", f"{name}.yaml")
        self.refused("tree", "{file: final.h5, step: 10}", "only those of its last step, 20", "save: checkpoints")
        self.refused("tree", "none.h5", "keeps no weights", "save: final")

    def test_instances_that_match_none(self):
        self.trees()
        self.write("bad.yaml", "task: tree\ndepth: 2\nhidden: 3\nseed: 7\n" + FINE + "init_from: trees.h5\n")
        self.assert_says(self.run_program("run", "bad.yaml", expect=2), "bad.yaml:8", "its 6 instances differ in hidden and seed",
                         '{"hidden":3,"seed":7}', "{file: trees.h5, instance: I}")

    def test_what_says_how_weights_are_drawn_has_no_meaning_beside_them(self):
        self.base("mlp")
        self.write("bad.yaml", MODELS["mlp"] + FINE + "init_from: base.h5\ninit_seed: 4\n")
        self.assert_says(self.run_program("run", "bad.yaml", expect=2), "bad.yaml:9: key 'init_seed'",
                         "has no meaning beside init_from")
        self.write("bad.yaml", MODELS["mlp"] + FINE + "init_from: base.h5\nwhere: init_from == 3\n")
        self.assert_says(self.run_program("run", "bad.yaml", expect=2), "cannot be compared; use exclude")

    def test_the_same_weights_twice_are_one_instance_twice(self):
        self.base("tree")
        self.write("bad.yaml", MODELS["tree"] + FINE + "init_from: [base.h5, {file: base.h5, step: 100}]\n")
        self.assert_says(self.run_program("run", "bad.yaml", expect=2), "instances 0 and 1 are the same")

    def test_damaged_results_files_are_refused_not_followed(self):
        self.base("tree")
        with h5py.File(self.path("base.h5"), "r+") as file:
            del file["sweep/resolved"]
        self.refused("tree", "{file: base.h5, instance: 0}", "base.h5")
        with open(self.path("base.h5"), "r+b") as file:
            file.truncate(3000)
        self.refused("tree", "base.h5", "base.h5")


if __name__ == "__main__":
    main()
