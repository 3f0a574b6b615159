"""Feature models over their width: by which power of it the loss falls, and neurons that stand for several features."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

import toysweep
from toysweep.figures.beside import legend_beside
from toysweep.figures.comparison import COLORS
from toysweep.figures.diagrams import REPRESENTED, at_end
from toysweep.figures.swept import parts_of, swept
from toysweep.figures.view import TINY, Figure, html_table, label, panels, short

MOST_PANELS, MOST_LINES = 6, len(COLORS)
STANDS_FOR = 0.1  # |W| from which on a neuron stands for a feature


def geometric(widths):
    """Do they grow by a factor, so that a power of them can be seen?"""
    return len(widths) > 2 and min(widths) > 0 and max(widths) >= 4 * min(widths) and \
        (np.diff(np.log(widths)) >= np.log(1.3)).all()


def loss_exponents(view, options):
    """By which power of the hidden width the loss falls, on logarithmic axes, with a table"""
    results, rows = view.results, view.rows[np.isfinite(view.all_losses[view.rows])]
    if "hidden" not in results.varying or not len(rows):
        return view.lacks("the sweep varies no width")
    features = np.array([results.resolved(int(i)).get("features", 0) for i in rows])
    rows = rows[features > results.table["hidden"][rows]]  # where each has a neuron the width is not what is short
    widths = np.unique(results.table["hidden"][rows])
    if not geometric(widths):
        return view.lacks("it needs three widths and more below the number of features, each larger than the one "
                          "before by a factor of 1.3 and more")
    others = [name for name in swept(results, rows) if name != "hidden"]
    parts = parts_of(results, rows, others[-1:])[:MOST_PANELS]
    columns = min(3, len(parts))
    picture, axes = panels(-(-len(parts) // columns), columns, 4.0 if len(parts) > 1 else 6.4, 3.7, sharex=True,
                           sharey=True)
    table, legend = [], {}
    for axis, (title, part) in zip(axes.flat, parts):
        axis.set_title(title, fontsize=9)
        for (words, own), colour in zip(parts_of(results, part, others[:-1])[:MOST_LINES], COLORS):
            line = draw_power(axis, view, own, colour)
            legend[words] = Line2D([], [], color=colour, marker="o", label=words)
            table.append([title, words, *line] if title else [words, *line])
        axis.set_yscale("log")
        name_widths(axis.xaxis, widths)
        axis.set_xlim(min(widths) / 1.25, max(widths) * 1.6)
    for axis in axes.flat[len(parts):]:
        axis.set_visible(False)
    picture.supxlabel(label("hidden"), fontsize=10)
    picture.supylabel(label(view.loss), fontsize=10)
    if list(legend) != [""]:
        legend_beside(axes, list(legend.values()))
    picture.suptitle(f"{label(view.loss).capitalize()} over the hidden width, with fitted powers")
    head = ["", ""][:1 + bool(parts[0][0])] + ["exponent of the width", "smallest width", "its loss", "largest width",
                                             "its loss", f"features with |W_i| from {REPRESENTED:g} on, there"]
    return Figure(picture, f"The {label(view.loss)}, mean over instances, against the hidden width, both axes "
                           "logarithmic. Dashed: the power of the width that fits best (least squares of logarithms); "
                           "the exponents are in the table. An exponent of -1 is a loss that is halved when the width "
                           "is doubled.", html_table(head, table))


def fit_power(widths, losses):
    """(exponent, factor) of factor width^exponent, by least squares of logarithms; NaN of less than two."""
    if len(widths) < 2:
        return np.nan, np.nan
    exponent, constant = np.polyfit(np.log(widths), np.log(losses), 1)
    return float(exponent), float(np.exp(constant))


def draw_power(axis, view, rows, colour):
    """A line of means with its power; what the table says of it."""
    hidden = view.results.table["hidden"][rows]
    widths = np.unique(hidden)
    losses = np.array([max(view.all_losses[rows[hidden == width]].mean(), TINY) for width in widths])
    exponent, factor = fit_power(widths, losses)
    axis.plot(widths, losses, "o", color=colour, markersize=4.5)
    axis.plot(widths, factor * widths.astype(float) ** exponent, "--", color=colour, linewidth=1.2)
    if np.isfinite(exponent):
        axis.annotate(f"{exponent:.2f}", (widths[-1], losses[-1]), (5, 0), textcoords="offset points", color=colour,
                      fontsize=8, va="center", annotation_clip=False)
    return (f"{exponent:.2f}", widths[0], short(losses[0]), widths[-1], short(losses[-1]),
            represented(view, rows[hidden == widths[-1]]))


def represented(view, rows):
    """Mean share of features, as a percentage."""
    shares = []
    for row in rows:
        group, place = view.results.case_of(int(row))
        if "feature_norm" in group:
            norm = at_end(group, "feature_norm")[place]
            shares.append((norm >= REPRESENTED).mean())
    return f"{np.mean(shares):.0%}" if shares else "-"


def name_widths(axis, widths):
    """A logarithmic x axis with ticks at the widths alone."""
    axis.axes.set_xscale("log")
    axis.set_major_locator(FixedLocator(widths))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


# --- Neurons with several features ---------------------------------------------------------------------------------

def neurons_with_several_features(view, options):
    """How many neurons stand for two features or more, over the hidden width, beside n^2 / (4 m)"""
    results = view.results
    rows = np.array([row for row in view.rows if results.resolved(int(row))["task"] == "one_hot"], dtype=int)
    if "hidden" not in results.varying or not len(rows):
        return view.lacks("the sweep varies no width" if len(rows) else "it is of task one_hot")
    counted = [(row, several(results, int(row))) for row in rows]
    counted = [(row, count) for row, count in counted if count is not None]
    if not counted:
        return view.lacks("no finished instance has its weights in the file")
    rows, counts = (np.array(part) for part in zip(*counted))
    parts = parts_of(results, rows, [name for name in swept(results, rows) if name != "hidden"])[:MOST_LINES]
    picture, axis = plt.subplots(figsize=(7.4, 4.4))
    handles, table = [], []
    for (words, own), colour in zip(parts, COLORS):
        inside, hidden = np.isin(rows, own), results.table["hidden"]
        widths = np.unique(hidden[own])
        axis.plot(hidden[rows[inside]] * 2 ** spread(results, rows[inside]), counts[inside], "o", color=colour,
                  markersize=3.5, alpha=0.45, markeredgewidth=0)
        means = [counts[inside & (hidden[rows] == width)].mean() for width in widths]
        axis.plot(widths, means, "-o", color=colour, linewidth=1.6)
        features = results.resolved(int(own[0]))["features"]
        expected = features ** 2 / (4 * widths)
        axis.plot(widths, expected, "--", color="black", linewidth=1)
        handles.append(Line2D([], [], color=colour, marker="o", label=words or "mean over instances"))
        table += [[words] * bool(words) + [width, (inside & (hidden[rows] == width)).sum(), f"{mean:.2f}", f"{law:.2f}"]
                  for width, mean, law in zip(widths, means, expected)]
    axis.set(xlabel=label("hidden"), ylabel="neurons with two features and more")
    if geometric(np.unique(results.table["hidden"][rows])):
        name_widths(axis.xaxis, np.unique(results.table["hidden"][rows]))
    axis.set_ylim(bottom=-0.02 * axis.get_ylim()[1])
    axis.legend(handles=handles + [Line2D([], [], color="black", linestyle="--", label="n\u00b2 / (4 m)")])
    axis.set_title("Neurons that stand for two features and more")
    head = [""] * bool(parts[0][0]) + ["neurons m", "instances", "with two features and more, mean", "n^2 / (4 m)"]
    return Figure(picture, f"How many neurons have |W| above {STANDS_FOR:g} for two features or more: an instance a "
                           "point, line: mean. Dashed: n^2 / (4 m) for n features and m neurons: pairs that begin in "
                           "one neuron by chance with opposite signs, and stay.", html_table(head, table))


def several(results, instance):
    """Neurons of an instance with several features; None where the file keeps no weights of it."""
    try:
        w = results.weights(instance).get("W")
    except toysweep.ResultsError:
        return None
    return None if w is None or np.isnan(w).any() else int(((np.abs(w) > STANDS_FOR).sum(axis=1) >= 2).sum())


def spread(results, rows):
    """Of each instance how far its point stands beside its width, so that points do not hide each other."""
    seeds = results.table["seed"][rows] if "seed" in results.table else np.zeros(len(rows))
    return 0.12 * ((seeds - seeds.min()) / max(np.ptp(seeds), 1) - 0.5)
