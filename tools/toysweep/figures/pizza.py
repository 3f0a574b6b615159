"""The clock and the pizza: how a network adds on a circle, by its gradients and by what its logits depend on."""

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

import toysweep
from toysweep.figures.beside import legend_beside
from toysweep.figures.chosen import chosen
from toysweep.figures.published import PIZZA
from toysweep.figures.swept import axis_of, swept
from toysweep.figures.view import Figure, html_table, label, number, panels

SYMMETRICITY, CIRCULARITY = ("gradient_symmetricity", "gradient symmetricity"), ("circularity", "circularity")
IRRELEVANCE = ("distance_irrelevance", "distance irrelevance")
WRONG = ("distance_irrelevance_wrong", "distance irrelevance, largest wrong logit")
CIRCULAR = 0.995  # circularity from which on the paper takes a network as one on circles
ABOUT = (" Gradient symmetricity: 1 where a logit's gradients by both embeddings are alike, as of a pizza. Distance "
         "irrelevance: 1 where the correct logit (or the largest wrong one) varies within a distance a - b as much as over "
         "all, as of a clock.")


def measured(view):
    """(instances with a gradient symmetricity, the key that colours them or None)."""
    results = view.results
    if "gradient_symmetricity" not in results.table or "distance_irrelevance" not in results.table:
        return np.array([], dtype=int), None
    rows = view.all_rows[(results.table["status"][view.all_rows] == toysweep.DONE) &
                         np.isfinite(results.table["gradient_symmetricity"][view.all_rows]) &
                         np.isfinite(results.table["distance_irrelevance"][view.all_rows])]
    numeric = [name for name in swept(results, rows) if results.table[name].dtype.kind in "if"] if len(rows) else []
    return rows, "attention_rate" if "attention_rate" in numeric else numeric[0] if numeric else None


def shown_measures(table, rows):
    """(measure, its words) of those that the file has; the distance irrelevance is that of the published runs."""
    runs = chosen.published or {}
    irrelevance = WRONG if WRONG[0] in runs and IRRELEVANCE[0] not in runs else IRRELEVANCE
    return [one for one in (SYMMETRICITY, irrelevance, CIRCULARITY)
            if one[0] in table and np.isfinite(table[one[0]][rows]).any()]


def published_runs(*names):
    """Columns of the runs that were given with --published, where all are known and, as far as it says, the paper's
    settings: one layer, one vocabulary."""
    runs = chosen.published
    if not runs or any(name not in runs for name in names):
        return None
    keep = np.all([np.isfinite(runs[name]) for name in names], axis=0)
    for name, value in (("n_layers", 1), ("diff_vocab", 0)):
        if name in runs:
            keep &= ~(np.isfinite(runs[name]) & (runs[name] != value))
    return [runs[name][keep] for name in names]


def clock_and_pizza(view, options):
    """Gradient symmetricity against distance irrelevance and circularity, an instance a point"""
    rows, key = measured(view)
    if len(rows) < 2:
        return view.lacks("it needs two finished instances with gradient_symmetricity and distance_irrelevance")
    table = view.results.table
    others = shown_measures(table, rows)[1:]
    picture, axes = panels(1, len(others), 4.6 if len(others) > 1 else 6.2, 4.4, sharey=True)
    colour = table[key][rows].astype(float) if key else None
    coloured = {"c": colour, "cmap": "viridis", "norm": Normalize(colour.min(), colour.max())} if key else \
        {"color": "#31688e"}
    beside = False
    for axis, (name, words) in zip(axes[0], others):
        runs = published_runs(name, "gradient_symmetricity")
        if runs is not None:
            axis.plot(*runs, "o", color="#c9c9c9", markersize=2, markeredgewidth=0, zorder=1, rasterized=True)
            beside = True
        dots = axis.scatter(table[name][rows], table["gradient_symmetricity"][rows], s=26, zorder=2,
                            edgecolors="white", linewidths=0.4, **coloured)
        axis.set(xlabel=words)
    axes[0][0].set(ylabel=SYMMETRICITY[1], ylim=(min(-0.03, table["gradient_symmetricity"][rows].min() - 0.03), 1.04))
    if key:
        picture.colorbar(dots, ax=axes[0], label=label(key))
    if beside:
        axes[0][0].legend(handles=[Line2D([], [], color="#c9c9c9", marker="o", markersize=4, linestyle="",
                                          label="published runs")], loc="lower left")
    picture.suptitle("Clock and pizza: gradients and logits of each instance")
    return Figure(picture, "An instance a point" + (f", coloured by {label(key)}" if key else "") + "." + ABOUT +
                  (" Grey: published runs." if beside else ""))


def clock_and_pizza_medians(view, options):
    """The same measures over the attention rate, with medians"""
    rows, key = measured(view)
    if key is None:
        return view.lacks("it needs a number that the sweep varies, and gradient_symmetricity and distance_irrelevance "
                          "of its instances")
    results, table = view.results, view.results.table
    axis_x = axis_of(results, rows, key)
    shown = shown_measures(table, rows)
    picture, axes = panels(1, len(shown), 4.0, 3.8)
    cells = [rows[table[key][rows] == value] for value in axis_x.values]
    for axis, (name, words) in zip(axes[0], shown):
        runs = published_runs(key, name)
        if runs is not None:
            axis.plot(*runs, "o", color="#cfcfcf", markersize=1.8, markeredgewidth=0, zorder=1, rasterized=True)
        axis.plot(table[key][rows], table[name][rows], "o", color="#31688e", markersize=4, alpha=0.55, markeredgewidth=0)
        axis.plot(axis_x.values, [np.nanmedian(table[name][own]) for own in cells], "-", color="#31688e", linewidth=1.8)
        axis.set(xlabel=label(key), ylabel=words)
    has_published = key == "attention_rate" and PIZZA.fits(results.resolved(int(rows[0])))
    if has_published:
        for (begin, end), value in PIZZA.values.items():
            axes[0][0].plot([begin, end], [value, value], color="#c8553d", linewidth=3, alpha=0.85, zorder=3)
    handles = [Line2D([], [], color="#31688e", marker="o", label="instances and their median")]
    if has_published:
        handles.append(Line2D([], [], color="#c8553d", linewidth=3, label="published medians"))
    if chosen.published:
        handles.append(Line2D([], [], color="#cfcfcf", marker="o", linestyle="", label="published runs"))
    legend_beside(axes, handles)
    picture.suptitle(f"Clock and pizza over the {label(key)}")
    return Figure(picture, f"An instance a point, line: median over the instances of each {label(key)}." + ABOUT +
                  (f" Red bars: medians of published runs in ranges of the rate ({PIZZA.source})." if has_published else
                   ""), medians_table(table, axis_x, cells, shown, has_published))


def medians_table(table, axis_x, cells, shown, has_published):
    head = [axis_x.words, "instances", *(f"median {words}" for _, words in shown),
            f"circularity above {CIRCULAR:g}"] + ["published median symmetricity"] * has_published
    lines = []
    for value, own in zip(axis_x.values, cells):
        line = [number(value), len(own), *(f"{np.nanmedian(table[name][own]):.4f}" for name, _ in shown),
                f"{(table['circularity'][own] > CIRCULAR).sum()}" if "circularity" in table else ""]
        if has_published:
            line.append(next((f"{median:.4f}" for (begin, end), median in PIZZA.values.items() if begin <= value <= end),
                             ""))
        lines.append(line)
    return html_table(head, lines)
