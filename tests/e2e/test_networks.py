"""Networks that keys make, against a training of them in numpy, which knows nothing of the program's: losses of every
step from the same initial weights, and published initial weights."""

import csv
import json
import os
import sys
import unittest

from support import Case, main

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
import toysweep  # noqa: E402

P, STEPS, RATE = 7, 12, 0.2
QUADRATIC = os.path.join(os.environ.get("TOYSWEEP_REFERENCE", ""), "frontier", "quadratic_single_frequency")
SWEEP = f"""\
name: variants
task: power
p: {P}
model: mlp
embed: 5
hidden: 9
train_fraction: 1
optimizer: sgd
lr: {RATE}
warmup: 3
steps: {STEPS}
checkpoints: {{every: 1}}
save: checkpoints
"""
SIDES = {"separate": ("W_x", "W_y"), "shared": ("W_E", "W_E"), "one_hot": ("U", "U"), "one_hot_separate": ("U", "V")}
USUAL = {"embedding": "separate", "activation": "relu", "loss": "cross_entropy"}
CASES = """\
cases:
  - {init_scale: 1}
  - {embedding: shared, loss: mse, bias: hidden}
  - {embedding: one_hot, activation: square, loss: stablemax, bias: output}
  - {embedding: one_hot, activation: square, init: single_frequency, init_scale: 0.3}
  - {embedding: one_hot_separate, activation: cube, init: single_frequency, init_scale: 0.5, loss: mse}
  - {embedding: one_hot_separate, activation: gelu, init: kaiming, bias: both}
  - {activation: abs, init: normal, init_scale: 2, bias: both, loss: stablemax}
  - {activation: tanh, bias: hidden}
  - {activation: identity, bias: output, loss: mse}
"""


def erf(x):
    """By its Taylor series, which is exact enough here."""
    total, term = np.zeros_like(x), x.copy()
    for k in range(60):
        total += term / (2 * k + 1)
        term = -term * x * x / (k + 1)
    return 2 / np.sqrt(np.pi) * total


def gelu(x):
    below = (1 + erf(x / np.sqrt(2))) / 2
    return x * below, below + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


ACTIVATIONS = {
    "relu": lambda x: (np.maximum(x, 0), x > 0),
    "square": lambda x: (x ** 2, 2 * x),
    "cube": lambda x: (x ** 3, 3 * x * x),
    "abs": lambda x: (np.abs(x), np.sign(x)),
    "gelu": gelu,
    "tanh": lambda x: (np.tanh(x), 1 - np.tanh(x) ** 2),
    "identity": lambda x: (x, np.ones_like(x)),
}


def loss_of(kind, z, labels):
    """(mean over the pairs, its gradient by the logits z)."""
    one_hot, pairs = np.eye(z.shape[1])[labels], len(z)
    if kind == "mse":
        return ((z - one_hot) ** 2).sum() / pairs, 2 * (z - one_hot) / pairs
    if kind == "stablemax":
        below = 1 - np.minimum(z, 0)
        s, slope = np.where(z >= 0, z + 1, 1 / below), np.where(z >= 0, 1, below ** -2.0)
        shares = s / s.sum(axis=1, keepdims=True)
        return -np.log((shares * one_hot).sum(axis=1)).mean(), (shares - one_hot) * slope / s / pairs
    shares = np.exp(z - z.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return -np.log((shares * one_hot).sum(axis=1)).mean(), (shares - one_hot) / pairs


def pairs_of(p):
    """(one-hot left tokens, right ones, labels) of all pairs of a + b."""
    a, b = (tokens.ravel() for tokens in np.meshgrid(np.arange(p), np.arange(p), indexing="ij"))
    return np.eye(p)[a], np.eye(p)[b], (a + b) % p


def gradients(w, keys, a, b, labels):
    """(loss, {tensor: its gradient}) of an mlp, layer by layer."""
    left, right = SIDES[keys["embedding"]]
    x = np.concatenate([a @ w[left], b @ w[right]], axis=1) if "W" in w else a @ w[left] + b @ w[right]
    h, slope = ACTIVATIONS[keys["activation"]]((x @ w["W"] if "W" in w else x) + w.get("b", 0))
    loss, dz = loss_of(keys["loss"], h @ w["W_U"] + w.get("b_U", 0), labels)
    dpre = (dz @ w["W_U"].T) * slope
    out = {name: np.zeros_like(values) for name, values in w.items()}
    out["W_U"] += h.T @ dz
    for name, by in (("b", dpre), ("b_U", dz)):
        if name in w:
            out[name] += by.sum(axis=0)
    halves = (dpre, dpre)
    if "W" in w:
        out["W"] += x.T @ dpre
        halves = np.split(dpre @ w["W"].T, 2, axis=1)
    out[left] += a.T @ halves[0]
    out[right] += b.T @ halves[1]
    return loss, out


def train(w, keys, p, steps, rate, warmup):
    """Losses before each step, and after the last."""
    w, losses = {name: np.asarray(values, dtype=np.float64) for name, values in w.items()}, []
    a, b, labels = pairs_of(p)
    for t in range(steps + 1):
        loss, gradient = gradients(w, keys, a, b, labels)
        losses.append(loss)
        w = {name: values - rate * min(t / warmup, 1) * gradient[name] for name, values in w.items()}
    return losses


class Networks(Case):
    def test_losses_of_every_step_are_those_of_numpy(self):
        self.write("variants.yaml", SWEEP + CASES)
        for backend, within in (("reference", 2e-6), ("cpu", 2e-5)):
            self.run_program("run", "variants.yaml", "--backend", backend, "-o", f"{backend}.h5")
            with toysweep.Results(self.path(f"{backend}.h5")) as results:
                self.assertEqual(len(results.table["train_loss"]), CASES.count("- {"))
                for i in range(len(results.table["train_loss"])):
                    keys = {**USUAL, **results.resolved(i)}
                    expected = train(results.weights(i, 0), keys, P, STEPS, RATE, 3)
                    group, row = results.case_of(i)
                    for measure in "train_loss", "all_loss":
                        found = group[measure][row][:STEPS + 1]
                        difference = np.abs(found / expected - 1).max()
                        self.assertLess(difference, within, (backend, keys, measure, found, expected))
                    self.assertLess(expected[-1], expected[0], keys)


class Starts(Case):
    """Initial weights."""

    def weights(self, *sets, hidden=1000):
        self.write("start.yaml", f"name: s\ntask: power\np: 13\nmodel: mlp\nembed: 400\nhidden: {hidden}\nsteps: 1\n"
                                 "save: checkpoints\ncheckpoints: [0, 1]\nkeys: none\n")
        self.runs = getattr(self, "runs", 0) + 1
        out = f"start-{self.runs}.h5"
        self.run_program("run", "start.yaml", "-o", out, *(o for s in sets for o in ("--set", s)))
        with toysweep.Results(self.path(out)) as results:
            return results.weights(0, 0)

    def test_normal_and_kaiming_have_the_variance_of_what_feeds_a_unit(self):
        fans = {"W_x": 400, "W_y": 400, "W_E": 400, "W": 800, "U": 13, "V": 13, "W_U": 1000}
        for embedding in "separate", "shared", "one_hot_separate":
            for init, variance in ("normal", 1), ("kaiming", 2):
                found = self.weights(f"embedding={embedding}", f"init={init}", "init_scale=3", "bias=both")
                for name, values in found.items():
                    if name in ("b", "b_U"):
                        self.assertFalse(values.any(), name)
                        continue
                    deviation = 3 * np.sqrt(variance / fans[name])
                    self.assertLess(abs(values.std() / deviation - 1), 0.05, (embedding, init, name))
                    largest = np.abs(values).max() / deviation
                    self.assertEqual(largest > np.sqrt(3) + 1e-6, init == "normal", (embedding, init, name, largest))

    def test_single_frequencies_are_balanced(self):
        for embedding in "one_hot", "one_hot_separate":
            found = self.weights(f"embedding={embedding}", "init=single_frequency", "init_scale=0.02")
            functions = [found[name].T if name == "W_U" else found[name] for name in found]
            powers = [np.abs(np.fft.rfft(values, axis=0)) ** 2 for values in functions]
            frequency = powers[0].argmax(axis=0)
            for values, power in zip(functions, powers):
                self.assertTrue((power.argmax(axis=0) == frequency).all())
                self.assertGreater((power.max(axis=0) / power.sum(axis=0)).min(), 1 - 1e-9)
                self.assertTrue(np.allclose((values ** 2).sum(axis=0), 0.02 ** 2 * 13 / 2, rtol=1e-5))
            counts = np.bincount(frequency)[1:]
            self.assertEqual((len(counts), counts.min(), counts.max()), (6, 166, 167))
            self.assertFalse((np.diff(frequency) == np.diff(frequency)[0]).all())
            self.assertEqual(len({values.tobytes() for values in functions}), len(functions))


class Names(Case):
    def test_quadratic_networks_are_read_under_their_published_names(self):
        """As torch.nn.Linear has them, [out, in], also where the shape does not tell; their basis is no weight."""
        for hidden in 9, 7:
            sweep = self.write("one.yaml", "name: o\ntask: power\np: 7\nmodel: mlp\nembedding: one_hot\nkeys: none\n"
                                           f"activation: square\nhidden: {hidden}\n")
            random = np.random.default_rng(hidden)
            u, w_u = random.normal(size=(7, hidden)), random.normal(size=(hidden, 7))
            published = {"mlp.W_in": u.T, "mlp.W_out": w_u.T, "mlp.basis": np.eye(7)[::-1]}
            for name, tensors in (("own.h5", {"U": u, "W_U": w_u}), ("published.h5", published),
                                  ("more.h5", {**published, "mlp.bias": np.ones(7)})):
                with h5py.File(self.path(name), "w") as file:
                    for tensor, values in tensors.items():
                        file[tensor] = values.astype("f4")
            own = json.loads(self.run_program("measure", sweep, "--weights", "own.h5"))
            said = self.run_program("measure", sweep, "--weights", "published.h5")
            self.assertIn("'mlp.W_in'", said)
            self.assertIn("is taken as [hidden, token], and transposed to [token, hidden]", said)
            self.assertEqual(json.loads(said[said.index("{"):said.rindex("}") + 1]), own)
            self.assertIn("mlp.bias", self.run_program("measure", sweep, "--weights", "more.h5", expect=2))


def fourier_construction(p):
    """The network of largest margin on Z_p (Morwani et al. 2023), u and v for the tokens and w for the output: of each
    frequency the four terms of cos(t_a + t_b - t_c), each by two neurons, as (u + v)^2 w - (u - v)^2 w = 4 u v w."""
    angle = 2 * np.pi * np.outer(np.arange(p), np.arange(1, (p + 1) // 2)) / p
    cos, sin = np.cos(angle), np.sin(angle)
    terms = (cos, cos, cos), (sin, cos, sin), (cos, sin, sin), (sin, -sin, cos)
    u, v, w = (np.concatenate(part, axis=1) for part in zip(*(t for a, b, c in terms for t in ((a, b, c), (a, -b, -c)))))
    return {"U": u, "V": v, "W_U": w.T}


class Margin(Case):
    def test_the_fourier_construction_has_the_largest_margin(self):
        """sqrt(2 / 27) / (sqrt(p) (p - 1)), to the digits of the file: measures take float64 as it is."""
        published = 4.61430079e-4
        for p, kind, within in (7, "f4", 1e-6), (7, "f8", 1e-13), (71, "f8", 1e-13):
            largest = np.sqrt(2 / 27) / (np.sqrt(p) * (p - 1))
            sweep = self.write("fourier.yaml", f"name: f\ntask: power\np: {p}\nmodel: mlp\nembedding: one_hot_separate\n"
                                               f"activation: square\nhidden: {4 * (p - 1)}\nkeys: none\n")
            with h5py.File(self.path("w.h5"), "w") as file:
                for name, values in fourier_construction(p).items():
                    file[name] = values.astype(kind)
            found = json.loads(self.run_program("measure", sweep, "--weights", "w.h5"))["normalised_margin"]
            self.assertLess(abs(found / largest - 1), within, (p, kind))
        self.assertLess(abs(found / published - 1), 1e-8)


@unittest.skipUnless(os.path.isdir(QUADRATIC), "TOYSWEEP_REFERENCE names no directory with the quadratic network")
class Published(Case):
    def test_the_quadratic_network_has_its_published_losses(self):
        sweep = self.write("quadratic.yaml", "name: q\ntask: power\np: 23\nmodel: mlp\nembedding: one_hot\n"
                                             "activation: square\nhidden: 512\ntrain_fraction: 1\nkeys: none\n")
        with open(os.path.join(QUADRATIC, "curve.csv")) as file:
            losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
        for name, expected, within in ("initial.h5", losses[0], 1e-7), ("final.h5", losses[-1], 1e-3):
            said = self.run_program("measure", sweep, "--weights", os.path.join(QUADRATIC, name))
            self.assertIn("'mlp.W_in' (512 x 23) is taken as [hidden, token]", said)
            out = json.loads(said[said.index("{"):said.rindex("}") + 1])
            self.assertLess(abs(out["train_loss"] / expected - 1), within, (name, out["train_loss"], expected))


if __name__ == "__main__":
    main()
