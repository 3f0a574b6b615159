"""Measures against the stored runs of "A Toy Model of Universality": on their final weights, and along the first steps."""

import csv
import json
import os
import unittest

from support import Case, main

import h5py

REFERENCE = os.environ.get("TOYSWEEP_REFERENCE", "")
ORDER = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../sweeps/orders/S5.txt"))
RUNS = {"S5_MLP_seed1": f"group: S5\nelement_order: {ORDER}\ntrain_fraction: 0.4\n",
        "D59_MLP_seed1": "group: D59\ntrain_fraction: 0.3\n"}
TRANSFORMER = "C113_T_seed1", "group: C113\ntrain_fraction: 0.3\nmodel: transformer\n"

# The paper's names -> ours.
TOTALS = {"train_loss": "train_loss", "test_loss": "test_loss", "all_loss": "all_loss",
          "percent_logits_explained": "logits_explained", "sum_of_squared_weights": "weight_norm2",
          "total_logit_excluded_loss": "total_logit_excluded_loss",
          "total_logit_restricted_loss": "total_logit_restricted_loss",
          "total_hidden_excluded_loss": "total_excluded_loss",
          "total_hidden_restricted_loss": "total_restricted_loss",
          "percent_x_embed_explained": "embed_left_explained",
          "percent_y_embed_explained": "embed_right_explained", "percent_unembed_explained": "unembed_explained",
          "percent_hidden_explained": "hidden_explained",
          "percent_hidden_xy_explained": "hidden_product_explained"}
PER_IRREP = {"percent_x_embed_{}_rep": "embed_left_fraction", "percent_y_embed_{}_rep": "embed_right_fraction",
             "percent_unembed_{}_rep": "unembed_fraction", "percent_hidden_x_{}_rep": "hidden_left_fraction",
             "percent_hidden_y_{}_rep": "hidden_right_fraction",
             "percent_hidden_xy_{}_rep": "hidden_product_fraction",
             "hidden_excluded_loss_{}_rep": "excluded_loss", "hidden_restricted_loss_{}_rep": "restricted_loss",
             "logit_excluded_loss_{}_rep": "logit_excluded_loss",
             "logit_restricted_loss_{}_rep": "logit_restricted_loss",
             "logit_{}_rep_trace_similarity": "logit_similarity"}
PUBLISHED_IRREPS = {"[2,2,1]": "s5_5d_a", "[3,2]": "s5_5d_b", "[3,1,1]": "s5_6d"}


def named(irrep):
    """Published name of an irrep."""
    return PUBLISHED_IRREPS.get(irrep, irrep)


@unittest.skipUnless(os.path.isdir(os.path.join(REFERENCE, "paper")),
                     "TOYSWEEP_REFERENCE names no directory with the paper's stored runs")
class Paper(Case):
    def test_stored_summaries_are_reproduced_from_stored_weights(self):
        for run, text in (*RUNS.items(), TRANSFORMER):
            sweep = self.write(run + ".yaml", "task: group\nseed: 1\n" + text)
            folder = os.path.join(REFERENCE, "paper", run)
            ours = json.loads(self.run_program("measure", sweep, "--weights", os.path.join(folder, "weights.h5")))
            with open(os.path.join(folder, "summary.json")) as file:
                theirs = json.load(file)
            pairs = [(name, ours[mine]) for name, mine in TOTALS.items()]
            for irrep in ours["logit_similarity"]:
                pairs += [(name.format(named(irrep)), ours[mine][irrep]) for name, mine in PER_IRREP.items()]
            pairs = [(name, value) for name, value in pairs if name in theirs]  # none for the trivial irrep
            if run == TRANSFORMER[0]:  # docs/workloads.md: flaws of the original
                pairs = [(name, value) for name, value in pairs
                         if "hidden" not in name and name != "sum_of_squared_weights"]
            for name, value in pairs:
                self.assertLessEqual(abs(value - theirs[name]), max(1e-3 * abs(theirs[name]), 1e-6), (run, name))
            self.assertGreater(len(pairs), 80)

    def test_fourier_measures_of_the_stored_transformer_agree_with_its_summary(self):
        folder = os.path.join(REFERENCE, "paper", "C113_T_seed1")
        sweep = self.write("c113.yaml", "task: group\nmodel: transformer\ngroup: C113\nseed: 1\ntrain_fraction: 0.3\n")
        ours = json.loads(self.run_program("measure", sweep, "--weights", os.path.join(folder, "weights.h5")))
        with open(os.path.join(folder, "summary.json")) as file:
            theirs = json.load(file)
        square = {name: value ** 2 for name, value in ours["embed_fourier_norm"].items()}
        for k in range(1, 57):
            share = (square[f"cos {k}"] + square[f"sin {k}"]) / sum(square.values())
            self.assertAlmostEqual(ours["logit_cos_similarity"][f"freq_{k}"],
                                   theirs[f"logit_freq_{k}_rep_trace_similarity"], delta=1e-6)
            self.assertAlmostEqual(share, theirs[f"percent_x_embed_freq_{k}_rep"], delta=1e-6)
        # What all frequencies leave of the logits, they have as what they explain.
        self.assertAlmostEqual(1 - ours["logit_residual_fraction"] ** 2, theirs["percent_logits_explained"], delta=1e-5)
        # Frequencies that own neurons are the irreps they found by logits, and what is left without them is useless.
        keys = [name for name, key in ours["key_frequency"].items() if key]
        self.assertEqual(sorted(keys), sorted(theirs["key_irreps_in_order"]))
        self.assertEqual(keys, [name for name, key in ours["key_irrep"].items() if key])
        self.assertLess(ours["key_restricted_loss"], ours["all_loss"])
        self.assertGreater(ours["key_excluded_loss"], 5)

    def test_neurons_of_the_stored_dihedral_network_have_one_frequency_each(self):
        sweep = self.write("d59.yaml", "task: group\nseed: 1\n" + RUNS["D59_MLP_seed1"])
        weights = os.path.join(REFERENCE, "paper", "D59_MLP_seed1", "weights.h5")
        ours = json.loads(self.run_program("measure", sweep, "--weights", weights))
        self.assertEqual(len(ours["neuron_frequency"]), 128)
        self.assertGreater(min(ours["neuron_frequency_fraction"]), 0.85)
        self.assertEqual([k for k in range(1, 30) if ours["key_frequency"][f"freq_{k}"]],
                         sorted({int(k) for k in ours["neuron_frequency"]}))
        self.assertLess(ours["reflection_corrected_loss"], ours["all_loss"])

    def test_stored_curves_are_followed_while_rounding_lets_them(self):
        # Totals are over the key irreps, which early in training are almost none: they are left out.
        totals = [name for name in TOTALS if "loss" in name[-4:] and "total" not in name] + ["sum_of_squared_weights"]
        for run, text in RUNS.items():
            sweep = self.write(run + ".yaml", "task: group\nseed: 1\nsteps: 99\ncheckpoints: {every: 1}\n" + text)
            self.run_program("run", sweep, "-o", run + ".h5")
            with h5py.File(self.path(run + ".h5")) as file, \
                    open(os.path.join(REFERENCE, "paper", run, "curve.csv")) as curve:
                group = file["cases/all"]
                irreps = list(group["irrep"].asstr()[:])
                compared = 0
                for row in csv.DictReader(curve):
                    step = int(float(row["epoch"])) + 1  # measured after that epoch's update
                    if step > 99:
                        break
                    pairs = [(name, group[TOTALS[name]][0, step]) for name in totals]
                    pairs += [(name.format(named(irrep)), group[mine][0, step, i])
                              for i, irrep in enumerate(irreps) for name, mine in PER_IRREP.items()]
                    for name, value in pairs:
                        if name not in row:
                            continue
                        compared += 1
                        # Rounding differs and grows: tenfold within the first ten steps, and again until the 99th.
                        relative = 2e-4 if name.endswith("_loss") and "_rep" not in name else 2e-2
                        if step <= 11:
                            relative = 1e-7 if relative == 2e-4 else 1e-3
                        theirs = float(row[name])
                        self.assertLessEqual(abs(value - theirs), max(relative * abs(theirs), 1e-6),
                                             (run, step, name, value, theirs))
                self.assertGreater(compared, 1000)


@unittest.skipUnless(os.path.isdir(os.path.join(REFERENCE, "frontier")),
                     "TOYSWEEP_REFERENCE names no directory with other published runs")
class Circuits(Case):
    def measures(self, name, sweep, weights):
        sweep = self.write(name + ".yaml", "steps: 10\ntask: power\n" + sweep)
        path = os.path.join(REFERENCE, "frontier", weights)
        return json.loads(self.run_program("measure", sweep, "--weights", path).splitlines()[-1])  # behind warnings

    def compare(self, ours, figures):
        for name, value, tolerance in figures:
            self.assertAlmostEqual(ours[name], value, delta=tolerance, msg=name)

    def test_two_models_of_the_clock_and_the_pizza_have_their_figures(self):
        runs = {"p99zdpze5l": (0, 0.9936651651, 0.17173646, 0.22180727, 0.99781835, 22.853816),
                "l8k1hzciux": (1, 0.3336378385, 0.84825988, 0.88491815, 0.99890702, 24.813896)}
        for run, (rate, *known) in runs.items():
            ours = self.measures(run, "p: 59\nmodel: transformer\ncontext: none\nbias: true\ntrain_fraction: 0.8\n"
                                 f"attention_rate: {rate}\n", f"pizza_{run}/weights.h5")
            ours["norm"] = ours["weight_norm2"] ** 0.5
            names = ("gradient_symmetricity", "distance_irrelevance", "distance_irrelevance_wrong", "circularity", "norm")
            self.compare(ours, zip(names, known, (1e-8, 2e-8, 2e-8, 2e-8, 1e-5)))

    def test_quadratic_networks_are_as_concentrated_as_published(self):
        for weights, known in (("initial", (1, 1, 1)), ("final", (0.99372913, 0.98900931, 0.99844895))):
            ours = self.measures(weights, "p: 23\nmodel: mlp\nembedding: one_hot\nactivation: square\nhidden: 512\n"
                                 "train_fraction: 0.9\n", f"quadratic_single_frequency/{weights}.h5")
            names = ("concentration", "input_concentration", "output_concentration")
            self.compare(ours, zip(names, known, (1e-8, 1e-8, 1e-8)))


if __name__ == "__main__":
    main()
