"""Transformers that keys make, against a forward pass in numpy position by position, from their own weights, from
exported ones and from published ones."""

import json
import os
import random
import sys
import unittest

from support import Case, main

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
from toysweep import networks  # noqa: E402
import toysweep  # noqa: E402

P = 7
FRONTIER = os.path.join(os.environ.get("TOYSWEEP_REFERENCE", ""), "frontier")
SWEEP = f"""\
name: transformers
task: power
p: {P}
model: transformer
d_model: 10
heads: 2
d_head: 4
d_mlp: 12
train_fraction: 0.6
keys: none
lr: 1e-2
steps: 60
checkpoints: [0, 60]
"""
CASES = """\
cases:
  - {layers: 1}
  - {layers: 2}
  - {layers: 3, heads: 1, mask: false, activation: tanh}
  - {layers: 4, heads: 1, context: none}
  - {context: none}
  - {context: none, mask: false, separate_vocabulary: true, attention_rate: 0}
  - {attention_rate: 0.3, bias: true}
  - {layers: 2, attention_rate: 0.3, bias: true, mask: true, activation: gelu}
  - {layer_norm: true}
  - {layers: 2, layer_norm: true, bias: true, context: none}
  - {separate_vocabulary: true}
  - {outputs: 9}
  - {outputs: 8, layer_norm: true, separate_vocabulary: true, layers: 2, loss: stablemax}
  - {outputs: 8, bias: true, loss: mse}
"""


def mean_loss(outputs, labels, kind):
    at, rows = outputs[np.arange(len(labels)), labels], np.arange(len(labels))
    if kind == "mse":
        return ((outputs - np.eye(outputs.shape[1])[labels]) ** 2).sum(axis=1).mean()
    if kind == "stablemax":
        s = np.where(outputs >= 0, outputs + 1, 1 / (1 - np.minimum(outputs, 0)))
        return -np.log(s[rows, labels] / s.sum(axis=1)).mean()
    others = outputs - at[:, None]
    others[rows, labels] = -np.inf
    return np.log1p(np.exp(others).sum(axis=1)).mean()


def all_pairs(p):
    a, b = np.meshgrid(np.arange(p), np.arange(p), indexing="ij")
    return a.ravel(), b.ravel(), (a + b).ravel() % p


def said(text):
    return json.loads(text[text.index("{"):text.rindex("}") + 1])


class Transformers(Case):
    def test_measures_are_those_of_numpy_of_every_network_and_its_exported_weights(self):
        self.write("t.yaml", SWEEP + CASES)
        self.run_program("run", "t.yaml", "-o", "t.h5")
        a, b, labels = all_pairs(P)
        with toysweep.Results(self.path("t.h5")) as results:
            count = len(results.table["all_loss"])
            self.assertEqual(count, CASES.count("- {"))
            for i in range(count):
                keys, (group, row) = results.resolved(i), results.case_of(i)
                network = networks.AnyTransformer({name: np.asarray(values, dtype=np.float64)
                                                   for name, values in results.weights(i).items()}, keys)
                outputs, found = network.outputs(a, b), {name: group[name][row] for name in ("all_loss", "attention")}
                expected = mean_loss(outputs, labels, keys.get("loss", "cross_entropy"))
                self.assertLess(abs(found["all_loss"][-1] / expected - 1), 1e-9, keys)
                self.assertLess(group["train_loss"][row][-1], group["train_loss"][row][0], keys)
                attention = network.attention(a, b).mean(axis=0)
                self.assertEqual(found["attention"].shape[1:] if found["attention"].ndim > 2 else attention.shape,
                                 attention.shape, keys)
                self.assertLess(np.abs(found["attention"].reshape(-1, *attention.shape)[-1] - attention).max(), 1e-6,
                                keys)
                self.assertEqual([toysweep.text(name) for name in group["source"][...]],
                                 ["a", "b", "="][:network.positions])
                self.assertEqual(np.isnan(group["restricted_loss"][row]).all(), bool(keys.get("layer_norm")), keys)
                self.compare_exported(i, keys, results.weights(i), found["all_loss"][-1])

    def compare_exported(self, i, keys, weights, loss):
        self.run_program("export", "t.h5", "--instance", str(i), "--format", "h5", "-o", f"w{i}.h5")
        with h5py.File(self.path(f"w{i}.h5")) as file:
            exported = networks.own_names({name: values[...] for name, values in file.items()})
        self.assertEqual({name: values.tobytes() for name, values in exported.items()},
                         {name: np.ascontiguousarray(values).tobytes() for name, values in weights.items()})
        one = self.write("one.yaml", SWEEP.replace("heads: 2\n", "") + "".join(
            f"{name}: {json.dumps(value)}\n" for name, value in keys.items()
            if name in ("layers", "heads", "context", "mask", "attention_rate", "bias", "layer_norm", "separate_vocabulary",
                        "outputs", "activation", "loss")))
        again = json.loads(self.run_program("measure", one, "--weights", f"w{i}.h5"))
        self.assertLess(abs(again["all_loss"] / loss - 1), 1e-12, keys)

    def test_a_second_layer_and_no_mask_are_other_networks_and_a_mask_of_one_layer_is_not(self):
        self.write("m.yaml", SWEEP + "grid: {layers: [1, 2], mask: [true, false]}\n")
        self.run_program("run", "m.yaml", "--backend", "reference", "-o", "m.h5")
        with toysweep.Results(self.path("m.h5")) as results:
            table = {(int(layers), bool(mask)): loss for layers, mask, loss in
                     zip(results.table["layers"], results.table["mask"], results.table["all_loss"])}
        self.assertEqual(table[1, True], table[1, False])
        self.assertEqual(len(set(table.values())), 3)

    def test_what_cannot_be_is_refused_by_its_key(self):
        for keys, expected in (("outputs: 5", "key 'outputs': 5 are fewer than the table's 7 classes"),
                               ("layers: 5", "key 'layers'"), ("attention_rate: 1.5", "key 'attention_rate'"),
                               ("context: two", "key 'context': 'two' is not one of equals, none"),
                               ("layers: 4\nheads: 9", "key 'heads': 9 in each of 4 layers are more than the 32")):
            self.write("r.yaml", SWEEP.replace("heads: 2\n", "") + keys + "\n")
            self.assertIn(expected, self.run_program("plan", "r.yaml", expect=2))

    def test_fused_kernels_leave_other_networks_to_the_general_engine(self):
        self.write("p.yaml", SWEEP + CASES)
        text = self.run_program("plan", "p.yaml", "--backend", "cpu")
        self.assertIn("fused on cpu (1 of 14 cases", text)
        self.assertIn("general on cpu (13 of 14 cases", text)


@unittest.skipUnless(os.path.isdir(FRONTIER), "TOYSWEEP_REFERENCE names no directory with published transformers")
class Published(Case):
    def measured(self, name, keys):
        sweep = self.write(f"{name}.yaml", f"name: {name}\ntask: power\nkeys: none\nbias: true\n{keys}")
        return said(self.run_program("measure", sweep, "--weights", os.path.join(FRONTIER, name, "weights.h5")))

    def weights(self, name):
        """As they lie in the file, [out, in], turned into this program's."""
        found = {}
        with h5py.File(os.path.join(FRONTIER, name, "weights.h5")) as file:
            file.visititems(lambda path, item: found.update(
                {path.replace("/", "."): item[...]}) if isinstance(item, h5py.Dataset) else None)
        found = networks.own_names({path: values for path, values in found.items() if not path.endswith("mask")})
        heads, width, model = found["W_Q"].shape
        for tensor in "W_Q", "W_K", "W_V":
            found[tensor] = found[tensor].swapaxes(1, 2)
        found["W_O"] = found["W_O"].T.reshape(heads, width, model)
        return found | {tensor: found[tensor].T for tensor in ("W_E", "W_in", "W_out")}

    def test_the_grokked_network_has_its_published_losses(self):
        keys = "p: 113\noutputs: 114\ntrain_fraction: 0.3\nseed: 1\nsplit: python\n"
        found = self.measured("nanda", keys)
        self.assertLess(abs(found["train_loss"] / 9.202424e-9 - 1), 1e-6)
        self.assertLess(abs(found["test_loss"] / 4.988379e-7 - 1), 1e-6)
        network, pairs = networks.network(self.weights("nanda")), [(a, b) for a in range(113) for b in range(113)]
        random.seed(1)
        random.shuffle(pairs)
        for part, measure in ((pairs[:3830], "train_loss"), (pairs[3830:], "test_loss")):
            a, b = np.array(part).T
            expected = mean_loss(network.outputs(a, b), (a + b) % 113, "cross_entropy")
            self.assertLess(abs(found[measure] / expected - 1), 1e-12, measure)

    def test_networks_with_and_without_attention_are_those_of_numpy(self):
        for name, rate, norm in ("pizza_p99zdpze5l", 0, 22.853816), ("pizza_l8k1hzciux", 1, 24.813896):
            found = self.measured(name, f"p: 59\ncontext: none\nattention_rate: {rate}\ntrain_fraction: 0.8\n")
            a, b, labels = all_pairs(59)
            outputs = networks.network(self.weights(name), {"attention_rate": rate}).outputs(a, b)
            self.assertLess(abs(found["all_loss"] / mean_loss(outputs, labels, "cross_entropy") - 1), 1e-12, name)
            self.assertEqual(found["test_accuracy"], 1)
            self.assertLess(abs(found["weight_norm2"] ** 0.5 / norm - 1), 1e-6)
            self.assertEqual(set(found["attention"][0]), {"a", "b"})
            self.assertLess(abs(sum(found["attention"][0].values()) - (2 - rate)), 1e-9)


if __name__ == "__main__":
    main()
