"""Curves of table tasks: how instances first memorise the training pairs and later generalise, and when they do."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from toysweep.figures.cells import (COLOURS, NORM, TEST, TRAIN, curve_panels, is_linear, left_out, name_decades, strip_scale)
from toysweep.figures.chosen import chosen
from toysweep.figures.phases import KNOWN, PHASES_TEXT, first_step, median_step, reached_words
from toysweep.figures.published import FRACTIONS
from toysweep.figures.swept import parts_of, swept
from toysweep.figures.view import Figure, html_table, some

MOST_STRIPS, MOST_ROWS = 40, 400
THIN = " Thin: instances; thick: their median."


def loss_curves(view, options):
    """Loss on training and test pairs"""
    made = curve_panels(view, [("train_loss", "training pairs", TRAIN), ("test_loss", "test pairs", TEST)], "log",
                        "Loss on training and test pairs")
    if made is None:
        return None
    picture, axes, rest = made
    for axis in axes[:, 0]:
        axis.set_ylabel("cross-entropy (nat)")
    return Figure(picture, "The mean cross-entropy at every checkpoint." + THIN + PHASES_TEXT + rest)


def accuracy_curves(view, options):
    """Accuracy on training and test pairs"""
    made = curve_panels(view, [("train_accuracy", "training pairs", TRAIN), ("test_accuracy", "test pairs", TEST)],
                        "linear", "Accuracy on training and test pairs")
    if made is None:
        return None
    picture, axes, rest = made
    axes[0][0].set_ylim(-0.03, 1.03)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy")
    return Figure(picture, "The share of pairs whose most likely output is right, at every checkpoint." + THIN +
                  PHASES_TEXT + rest)


def weight_norm(view, options):
    """Sum of squared weights"""
    made = curve_panels(view, [("weight_norm2", "sum of squared weights", NORM)], "log", "Sum of squared weights")
    if made is None:
        return None
    picture, axes, rest = made
    for axis in axes[:, 0]:
        axis.set_ylabel("sum of squares")
    return Figure(picture, "The sum of squares of all weights at every checkpoint." + THIN + PHASES_TEXT + rest)


def concentration(view, options):
    """Inverse participation ratio of the neurons' Fourier power over steps"""
    made = curve_panels(view, [("concentration", "mean of both", NORM), ("input_concentration", "inputs", TRAIN),
                               ("output_concentration", "outputs", TEST)], "linear",
                        "Inverse participation ratio of the neurons' Fourier power")
    if made is None:
        return None
    picture, axes, rest = made
    low = min(np.nanmin(line.get_ydata()) for axis in axes.flat for line in axis.lines if line.get_zorder() > 1)
    if low > 0.8:  # how near to 1 they stay can be seen then
        bottom = min(low, 0.99) - 0.05 * (1 - min(low, 0.99))
        axes[0][0].set_ylim(bottom, 1 + 0.05 * (1 - bottom))
    else:
        axes[0][0].set_ylim(0, 1.03)
    for axis in axes[:, 0]:
        axis.set_ylabel("inverse participation ratio")
    return Figure(picture, "The mean over neurons of sum P^2 / (sum P)^2, P the Fourier power over tokens of what a "
                           "neuron reads of the inputs and writes to the outputs: 1 for a single frequency." + THIN +
                  PHASES_TEXT + rest)


# --- When it generalises -------------------------------------------------------------------------------------------

def grokking_steps(view, options):
    """When 99 % of the test pairs are right, with a table"""
    cells = [cell for cell in view.has("train_accuracy", "test_accuracy") if cell.is_followed("test_accuracy")]
    if not cells:
        return None
    shown = some(cells, MOST_STRIPS)
    width = 5.6 + 0.08 * max(len(cell.name) for cell in shown)
    picture, axis = plt.subplots(figsize=(width, 1.5 + 0.34 * max(len(shown), 2)))
    steps = [cell.reached("test_accuracy") for cell in shown]
    last = max(1, *(cell.curves("test_accuracy")[0][-1] for cell in shown))
    every = [cell.curves("test_accuracy")[0] for cell in shown]
    edge, never, right = (1.04, 1.09, 1.14) if is_linear(every) else (1.4, 2, 3)
    never *= last
    for y, found in enumerate(steps):
        draw_strip(axis, y, found, never)
        if y:
            axis.axhline(y - 0.5, color="#e4e4e4", linewidth=0.6, zorder=0)
    strip_scale(axis, min(last / 10, *(found.min() for found in steps)), last, every)
    axis.set_xlim(right=right * last)
    axis.axvline(edge * last, color="gray", linewidth=0.8)
    axis.text(never, -0.55, "never", ha="center", va="bottom", fontsize=9, color="#666666")
    axis.set(ylim=(len(shown) - 0.5, -0.5), xlabel="training step")
    axis.set_title(f"First checkpoint with {KNOWN:.0%} of the test pairs right", pad=18)
    axis.set_yticks(range(len(shown)), [cell.name for cell in shown])
    axis.grid(axis="y", visible=False)
    return Figure(picture, f"The step at which each instance first gets {KNOWN:.0%} of its test pairs right (dots, "
                           "one below the other), and the lower median of those that do (bar). "
                           "Crosses: instances that never do." + left_out(view, shown), grokking_table(view))


def draw_strip(axis, y, steps, never):
    """Instances of a cell one below the other, in the order of their seeds, and their median."""
    at = y + (np.linspace(-0.24, 0.24, len(steps)) if len(steps) > 1 else np.zeros(1))
    did = np.isfinite(steps)
    axis.plot(steps[did], at[did], "o", color=TEST, markersize=4.5, alpha=0.75, markeredgewidth=0, clip_on=False)
    axis.plot(np.full((~did).sum(), never), at[~did], "x", color="#888888", markersize=4)
    middle = median_step(steps)
    if np.isfinite(middle):
        axis.plot([middle, middle], [y - 0.38, y + 0.38], color="black", linewidth=1.4, zorder=1)


def grokking_table(view):
    rows = []
    for cell in view.cells[:MOST_ROWS]:
        done = len(cell.at[1])
        count = f"{done}" if done == cell.count else f"{done} of {cell.count}"
        if cell.grokked() is not None:
            rows.append((cell.name, count, reached_words(cell.reached("test_accuracy"))))
        else:
            rows.append((cell.name, count, "-"))
    if len(view.cells) > MOST_ROWS:
        rows.append((f"and {len(view.cells) - MOST_ROWS} more", "", ""))
    return html_table(("case", "instances", "grokked, at the lower median"), rows)


# --- Over the train fraction ---------------------------------------------------------------------------------------

def bound_of(keys):
    """The test loss to come to: as asked for, as the sweep stops at, or 0.01."""
    stop = keys.get("stop")
    return chosen.bound or (stop.get("test_loss") if isinstance(stop, dict) else None) or 0.01


def steps_over_train_fraction(view, options):
    """First step with a test loss below a bound, over the train fraction"""
    results, cells = view.results, [cell for cell in view.has("test_loss") if cell.is_followed("test_loss")]
    if "train_fraction" not in results.varying or not cells:
        return view.lacks(view.lack or "the sweep does not vary train_fraction")
    rows = np.concatenate([cell.instances for cell in cells])
    bound = bound_of(results.resolved(int(rows[0])))
    first = np.full(results.count, np.inf)
    for cell in cells:
        steps, losses = cell.curves("test_loss")
        first[cell.instances] = np.maximum(first_step(steps, -losses, -bound), 1)  # no logarithmic scale shows 0
    if not np.isfinite(first).any():
        return view.lacks(f"no instance has a test loss below {bound:g}")
    others = [name for name in swept(results, rows) if name != "train_fraction"]
    parts = parts_of(results, rows, others)[:len(COLOURS)]
    picture, axis = plt.subplots(figsize=(8.2 if len(parts) > 1 else 6.6, 4.4))
    fits = FRACTIONS.fits({**results.resolved(int(rows[0])), "bound": bound})
    top = 1.7 * max([*first[np.isfinite(first)], *(FRACTIONS.values.values() if fits else ())])
    table = []
    handles = [draw_over_fraction(axis, results, one, colour, first, top, table, len(parts) == 1)
               for one, colour in zip(parts, COLOURS)]
    if fits:
        axis.plot(*zip(*FRACTIONS.values.items()), "D", color="black", markerfacecolor="none", markersize=6, zorder=4)
        handles.append(Line2D([], [], color="black", marker="D", linestyle="", markerfacecolor="none",
                              label="published"))
        table = [[*line, FRACTIONS.values.get(round(float(line[-3]), 6), "")] for line in table]
    axis.set(yscale="log", xlabel="train fraction", ylabel=f"first step with a test loss below {bound:g}")
    name_decades(axis.yaxis, *axis.get_ylim())
    if not np.isfinite(first[rows]).all():
        axis.axhline(top / 1.25, color="gray", linewidth=0.8)
        axis.text(1.01, top, "never", transform=axis.get_yaxis_transform(), va="center", fontsize=9, color="#666666")
    axis.legend(handles=handles, **({"loc": "upper left", "bbox_to_anchor": (1.0, 0.88)} if len(parts) > 1 else {}))
    axis.set_title(f"When the test loss is below {bound:g}, by the share of pairs in training")
    return Figure(picture, f"The first checkpoint with a test loss below {bound:g}: an instance a point, line: the "
                           "lower median of those that come to it. Crosses at the top: instances that never do" +
                  (", and how many there are." if len(parts) == 1 else ".") +
                  (f" Diamonds: published ({FRACTIONS.source})." if fits else ""), html_table(
                      [""] * bool(parts[0][0]) + ["train fraction", "instances", "below it, at the lower median"] +
                      ["published"] * fits, table))


def draw_over_fraction(axis, results, part, colour, first, top, table, one_part):
    """Points and a line; their entry of the legend. Adds rows to the table."""
    words, rows = part
    fractions = results.table["train_fraction"][rows]
    did = np.isfinite(first[rows])
    axis.plot(fractions[did], first[rows][did], "o", color=colour, markersize=4, alpha=0.55, markeredgewidth=0)
    axis.plot(fractions[~did], np.full((~did).sum(), top), "x", color=colour, markersize=5)
    for value in np.unique(fractions[~did]) if one_part else ():
        axis.annotate(f"{(fractions[~did] == value).sum()}", (value, top), (0, 4), textcoords="offset points",
                      ha="center", fontsize=7, color="#666666")
    middles = [(value, median_step(first[rows][fractions == value])) for value in np.unique(fractions)]
    axis.plot(*zip(*[one for one in middles if np.isfinite(one[1])] or [(np.nan, np.nan)]), "-", color=colour,
              linewidth=1.5)
    for value in np.unique(fractions):
        own = first[rows][fractions == value]
        table.append([words] * bool(words) + [f"{value:g}", len(own), reached_words(own)])
    return Line2D([], [], color=colour, marker="o", label=words or "instances and their lower median")
