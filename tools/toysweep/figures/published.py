"""Numbers that papers print, each with the settings they are of; figures show them beside a sweep with those settings.

In all of them they are of runs that the papers made; none goes into a measure."""

import csv
from dataclasses import dataclass

import numpy as np

import toysweep


@dataclass
class Published:
    source: str
    settings: dict   # keys and values of the instances that may be compared
    values: dict

    def fits(self, keys):
        return all(keys.get(name) == value for name, value in self.settings.items())


# {(rates from, to): median gradient symmetricity} of 2842 runs.
PIZZA = Published("Zhong et al. 2023, width 128, one vocabulary",
                  {"model": "transformer", "p": 59, "d_model": 128, "context": "none", "bias": True,
                   "train_fraction": 0.8},
                  {(0, 0.45): 0.9922, (0.55, 0.6): 0.9771, (0.7, 0.75): 0.7911, (0.9, 0.95): 0.5310})

# {intervention: mean test loss} of 128 runs.
INTERVENTIONS = Published("the paper on coset circuits, 128 seeds",
                          {"task": "group", "group": "S5", "model": "mlp", "embed": 256, "hidden": 128,
                           "train_fraction": 0.4},
                          {"none": 1.97e-6, "swap_embeddings": 4.76, "flip_left": 22.39, "flip_right": 22.36,
                           "flip_both": 1.97e-6, "absolute": 3.69e-13, "pair_noise_0_0.1": 2.96e-6,
                           "pair_noise_0_1": 0.0017, "pair_noise_1_1": 0.029, "pair_noise_-1_1": 0.0021})

# {fraction: first step with a test loss below 0.01} of one run each.
FRACTIONS = Published("Nanda et al. 2023, one run each",
                      {"model": "transformer", "p": 113, "split": "python", "bias": True, "outputs": 114, "bound": 0.01},
                      {0.95: 279, 0.9: 387, 0.8: 439, 0.7: 343, 0.6: 556, 0.5: 1109, 0.4: 3324, 0.3: 8258, 0.28: 15612,
                       0.25: 22177})

# Names in the table of runs of "The Clock and the Pizza", and ours. Its distance irrelevance is that of the largest wrong
# logit, the notebook's that of the correct one.
COLUMNS = {"attn_coeff": "attention_rate", "gradient_sim": "gradient_symmetricity",
           "distance_irrelevance": "distance_irrelevance_wrong"}


def read_runs(path):
    """{column: values} of a CSV file of runs (--published), under our names; what is no number is NaN."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(line for line in file if not line.startswith("#"))
    except (OSError, ValueError, csv.Error) as fault:
        raise toysweep.ResultsError(f"--published {path}: cannot be read as CSV with a head ({fault})")
    rows = [row for row in rows if len(row) == len(head)]
    names = COLUMNS if {"attn_coeff", "gradient_sim"} & set(head) else {}
    return {names.get(name, name): np.array([number_or_nan(row[k]) for row in rows]) for k, name in enumerate(head)}


def number_or_nan(word):
    try:
        return float(word)
    except ValueError:
        return float("nan")
