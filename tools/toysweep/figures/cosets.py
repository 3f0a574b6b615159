"""Cosets: how far neurons of a group's network are constant on the cosets of subgroups, and what interventions cost."""

from collections import Counter

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from toysweep.figures.beside import legend_beside
from toysweep.figures.cells import MOST_PANELS, grid_of, label_steps, left_out, name_decades, power_of_ten
from toysweep.figures.published import INTERVENTIONS
from toysweep.figures.view import TINY, Figure, html_table, short, some

SIDES = (("left", "#31688e"), ("right", "#c8553d"))
LOWEST, MOST_SUBGROUPS, MOST_DOTS = 1e-6, 24, 40
WORDS = {"none": "none", "swap": "inputs\nswapped", "swap_embeddings": "embeddings\nswapped",
         "flip_left": "left sign\nflipped", "flip_right": "right sign\nflipped", "flip_both": "both signs\nflipped",
         "absolute": "|x| for the\nactivation"}


def coset_minima(view, options):
    """How near neurons are to being constant on cosets: a histogram of the smallest C_H of each"""
    shown = some(view.has("coset_left_minimum"), MOST_PANELS)
    if not shown:
        return None
    picture, flat, axes = grid_of(shown, 3.8, 2.9, (6.4, 4.0), sharex=True)
    bins, table = np.geomspace(LOWEST, 10, 43), []
    for axis, cell in zip(flat, shown):
        both = [cell.final(f"coset_{side}_minimum") for side, _ in SIDES]
        values = [np.clip(one[np.isfinite(one)], LOWEST, bins[-1]) for one in both]
        axis.hist(values, bins, color=[colour for _, colour in SIDES], histtype="stepfilled", alpha=0.6)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lowest_or_power))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        thresholds = thresholds_of(cell)
        for threshold in thresholds:
            axis.axvline(threshold, color="#888888", linewidth=0.7, linestyle=":")
        shares = np.nanmean(cell.final("coset_neurons"), axis=0)
        table += [(cell.name, len(cell.instances), f"{threshold:g}", f"{share:.1%}",
                   *(f"{(one[np.isfinite(one)] <= threshold).mean():.1%}" for one in both))
                  for threshold, share in zip(thresholds, shares)]
    label_steps(axes, len(shown), "smallest C_H of a neuron")
    for axis in axes[:, 0]:
        axis.set_ylabel("neurons of all instances")
    legend_beside(axes, [Patch(color=colour, alpha=0.6, label=f"{side} input") for side, colour in SIDES])
    picture.suptitle("How near neurons are to being constant on the cosets of a subgroup")
    return Figure(picture, "Of each neuron and side the smallest C_H over proper subgroups H that are not trivial: the "
                           "variance within cosets over that of all; 0: the neuron is constant on each coset. All "
                           f"instances together; what is below {short(LOWEST)} stands there. Dotted: the thresholds of "
                           "the table, which has the share of neurons with both minima up to them, mean over instances."
                  + left_out(view, shown),
                  html_table(("case", "instances", "threshold", "neurons", "left alone", "right alone"), table))


def thresholds_of(cell):
    return [float(one) for one in cell.names("coset_threshold")]


def lowest_or_power(value, _=None):
    return f"\u2264{power_of_ten(value)}" if value <= LOWEST * 1.0001 else power_of_ten(value)


def coset_subgroups(view, options):
    """Of which subgroups' cosets neurons are functions"""
    shown = some(view.has("coset_left_subgroup"), MOST_PANELS)
    counted = [(cell, counts_of(cell)) for cell in shown if "subgroup" in cell.at[0]]  # their names are there
    counted = [(cell, counts) for cell, counts in counted if counts[0] or counts[1]]
    if not counted:
        return None
    limit = limit_of(counted[0][0])
    picture, flat, axes = grid_of([cell for cell, _ in counted], 4.2, 3.0, (7.0, 4.2))
    for axis, (cell, counts) in zip(flat, counted):
        most = [name for name, _ in (counts[0] + counts[1]).most_common(MOST_SUBGROUPS)]
        names = cell.names("subgroup")
        most.sort(key=lambda i: (-order_of(names[i]), i))
        for k, ((_, colour), count) in enumerate(zip(SIDES, counts)):
            axis.bar(np.arange(len(most)) + 0.4 * k - 0.2, [count[i] for i in most], 0.4, color=colour, alpha=0.8)
        axis.set_xticks(range(len(most)), [names[i] for i in most], rotation=90, fontsize=7)
        axis.grid(axis="x", visible=False)
    for axis in axes[:, 0]:
        axis.set_ylabel("neurons of all instances")
    legend_beside(axes, [Patch(color=colour, alpha=0.8, label=f"{side} input") for side, colour in SIDES])
    picture.suptitle(f"Subgroups on whose cosets neurons are constant (C_H up to {limit:g})")
    return Figure(picture, f"How many neurons have their smallest C_H, of {limit:g} at most, with each subgroup, the "
                           "largest subgroups first; a subgroup's name is its order, its number, and the elements that "
                           f"generate it. The {MOST_SUBGROUPS} with most neurons are shown." + left_out(view, shown))


def limit_of(cell):
    """Threshold up to which a neuron counts as constant on cosets: the second smallest of those measured."""
    return sorted(thresholds_of(cell))[:2][-1]


def counts_of(cell):
    """For each side {number of the subgroup: neurons}."""
    found = []
    for side, _ in SIDES:
        near = cell.final(f"coset_{side}_minimum") <= limit_of(cell)
        found.append(Counter(cell.final(f"coset_{side}_subgroup")[near].astype(int).tolist()))
    return found


def order_of(name):
    """Of a subgroup by its name, "6.2 <1,9>"."""
    return int(name.split(".")[0]) if name.split(".")[0].isdigit() else 0


# --- Interventions -------------------------------------------------------------------------------------------------

def interventions(view, options):
    """Test loss with embeddings swapped, signs flipped, noise added, with a table"""
    shown = some(view.has("intervention_all_loss"), MOST_PANELS)
    if not shown:
        return None
    picture, flat, axes = grid_of(shown, 5.2, 3.4, (8.0, 4.4), sharey=True)
    split = "test" if all(cell.is_known("intervention_test_loss") for cell in shown) else "all"
    table, beside = [], False
    for axis, cell in zip(flat, shown):
        names, losses = with_none(cell, split, "loss")
        values = np.maximum(losses, TINY)
        known = INTERVENTIONS.values if split == "test" and INTERVENTIONS.fits(
            view.results.resolved(int(cell.instances[0]))) else {}
        for k, name in enumerate(names):
            few = np.array(some(values[:, k], MOST_DOTS))
            axis.plot(k + np.linspace(-0.25, 0.25, len(few)) * (len(few) > 1), few, "o", color="#31688e", markersize=3,
                      alpha=0.55, markeredgewidth=0)
            axis.plot([k - 0.36, k + 0.36], [values[:, k].mean()] * 2, color="black", linewidth=1.4)
            if name in known:
                beside = True
                axis.plot(k, known[name], "D", color="#c8553d", markersize=5, markerfacecolor="none")
        axis.set_yscale("log")
        name_decades(axis.yaxis, *axis.get_ylim())
        axis.set_xticks(range(len(names)), [words_of(name) for name in names], rotation=90, fontsize=7.5)
        axis.grid(axis="x", visible=False)
        table += rows_of(cell, names, split, losses, known)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"loss on {split} pairs (nat)")
    legend_beside(axes, [Line2D([], [], color="#31688e", marker="o", markersize=4, linestyle="", label="instances"),
                         Line2D([], [], color="black", label="their mean")] + [
                             Line2D([], [], color="#c8553d", marker="D", linestyle="", markerfacecolor="none",
                                    label="published mean")] * beside)
    picture.suptitle("What interventions on the embeddings and the activation cost")
    head = ("case", "intervention", f"mean {split} loss", f"median {split} loss", f"mean {split} accuracy")
    return Figure(picture, f"Loss on {split} pairs of the trained networks as they are (none), and with what the hidden "
                           "layer reads of the embeddings changed: an instance a dot, bar: mean. Noise N(m, s) is "
                           "normal, by mean and standard deviation, once for each token or for each pair. Inputs "
                           "swapped: what the layer reads of a and of b changes sides; embeddings swapped: they do, "
                           "before the layer reads them." +
                  (f" Diamonds: published means ({INTERVENTIONS.source})." if beside else "") + left_out(view, shown),
                  html_table(head + ("published mean",) * beside, [row[:len(head) + beside] for row in table]))


def with_none(cell, split, what):
    """(names, values (instances, interventions)), like ones side by side, the networks as they are first."""
    column = {"loss": f"{split}_loss", "accuracy": f"{split}_accuracy"}[what]
    table = cell.results.table.get(column)
    plain = np.full(len(cell.instances), np.nan) if table is None else table[cell.instances]
    names = ["none", *cell.names("intervention")]
    order = sorted(range(len(names)), key=lambda k: (rank_of(names[k]), k))
    values = np.concatenate([plain[:, None], cell.final(f"intervention_{split}_{what}")], axis=1).astype(float)
    return [names[k] for k in order], values[:, order]


def rank_of(name):
    """Kinds of interventions in the order of WORDS, noise behind them."""
    return next((k for k, word in enumerate(WORDS) if name == word), len(WORDS) + name.startswith("pair_"))


def rows_of(cell, names, split, losses, known):
    _, accuracies = with_none(cell, split, "accuracy")
    return [(cell.name, words_of(name).replace("\n", " "), f"{losses[:, k].mean():.3g}",
             f"{np.median(losses[:, k]):.3g}",
             f"{accuracies[:, k].mean():.2%}" if np.isfinite(accuracies[:, k]).all() else "-",
             f"{known[name]:.3g}" if name in known else "") for k, name in enumerate(names)]


def words_of(name):
    if "noise_" in name:
        of, (mean, deviation) = "pair" if name.startswith("pair_") else "token", name.split("_")[-2:]
        return f"noise by {of}\nN({mean}, {deviation})"
    return WORDS.get(name, name)
