"""Figures of features: the list of them, and loss over the sweep. What is drawn of weights: geometry.py; several
parts of a sweep in one picture: comparison.py."""

from typing import NamedTuple, Optional

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D

from toysweep.figures import comparison, diagrams, geometry, scaling
from toysweep.figures.beside import legend_beside
from toysweep.figures.cells import step_scale
from toysweep.figures.comparison import draw_losses, limits_handles, said_below
from toysweep.figures.view import TINY, Figure, View, floor, html_table, label, number, panels, shades, short, views_of


class Width(NamedTuple):
    """Of one y: smallest width below the threshold by best instance, by mean and by the sum over stacked instances
    (None: not reached), the widest that is finished, and the best loss of all widths with its standard error."""
    y: object
    best: Optional[int]
    mean: Optional[int]
    stacked: Optional[int]
    widest: int
    loss: float
    error: float


def per(view):
    return f"per {view.y}" if view.y else ""


def views(results, rows, loss):
    """The parts of the sweep, and those that compare side by side."""
    made = views_of(results, rows, loss)
    return made + comparison.together(made)


def whole(results, rows, loss):
    """All of the sweep at once, which has figures of its own."""
    view = View(results, rows, {}, loss)
    view.title, view.figures = "", OF_THE_WHOLE
    return view


# --- Loss over the sweep -------------------------------------------------------------------------------------------

def loss_heatmap(view, options):
    """Loss over depth or features and width, mean and best instance"""
    if not view.x:
        return view.lacks("the sweep varies no number but seeds")
    kinds = [("mean over instances", np.mean), ("best instance", np.min)]
    grids = [np.maximum(view.grid(reduce), TINY) for _, reduce in kinds]
    low = max(np.nanmin(grids), floor(options))
    norm = LogNorm(low, max(np.nanmax(grids), low * 10), clip=True)
    width, height = max(4.2, 0.62 * len(view.xs) + 1.2), max(2.4, 0.42 * len(view.ys) + 1.4)
    picture, axes = panels(1, 2, width, height, sharey=True)
    for axis, (title, _), grid in zip(axes[0], kinds, grids):
        image = axis.imshow(grid, norm=norm, cmap="viridis_r", aspect="auto")
        axis.set(title=title, xlabel=label(view.x))
        axis.set_xticks(range(len(view.xs)), [number(x) for x in view.xs])
        axis.set_yticks(range(len(view.ys)) if view.y else [], [number(y) for y in view.ys] if view.y else [])
        axis.grid(False)
        annotate(view, axis, grid, norm)
    axes[0][0].set_ylabel(label(view.y) if view.y else "")
    picture.colorbar(image, ax=axes, label=label(view.loss), extend="min" if np.nanmin(grids) < low else "neither")
    over = " and ".join(label(name).split(" (")[0] for name in (view.y, view.x) if name)
    picture.suptitle(f"{label(view.loss).capitalize()} by {over}")
    worst = max(view.error(x, y) for x in view.xs for y in view.ys)
    return Figure(picture, f"The {label(view.loss)} after training: mean over the instances of a cell on the left, "
                           "the best of them on the right. Blank: not finished, or not part of the sweep." +
                  (f" ~: estimated, with a standard error of {short(worst)} at most." if worst > 0 else "") +
                  (f" Losses below {short(low)} have its colour." if np.nanmin(grids) < low else ""))


def annotate(view, axis, grid, norm):
    if grid.size > 240:
        return
    for (i, j), value in np.ndenumerate(grid):
        if np.isfinite(value):
            dark = norm(value) > 0.5
            about = "~" if view.error(view.xs[j], view.ys[i]) > 0 else ""
            axis.text(j, i, about + short(value), ha="center", va="center", fontsize=7.5,
                      color="white" if dark else "black")


def loss_by_width(view, options):
    """Loss over the hidden width, mean and best instance"""
    if not view.x or len(view.xs) < 2:
        return view.lacks("the sweep varies no width")
    picture, axis = plt.subplots(figsize=(6.8, 4.6))
    low, below, estimated = floor(options), False, any(view.error(x, y) > 0 for x in view.xs for y in view.ys)
    mean, best, handles = view.grid(np.mean), view.grid(np.min), []
    for i, (y, color) in enumerate(zip(view.ys, shades(len(view.ys)))):
        below |= draw_losses(axis, view.xs, mean[i], low, "-o", color, markersize=4)
        below |= draw_losses(axis, view.xs, best[i], low, "--s", color, markersize=3.5)
        bars = [(x, loss, min(2 * view.error(x, y), 0.999 * loss)) for x, loss in zip(view.xs, np.maximum(best[i], low))
                if view.error(x, y) > 0]
        if bars:
            axis.errorbar(*zip(*bars), fmt="none", ecolor=color, capsize=2)
        if view.y:
            words = f"{label(view.y).split(' (')[0]} {number(y)}"
            handles.append(Line2D([], [], color=color, linewidth=2, label=words))
    threshold = options.threshold if view.x == "hidden" else None
    if threshold is not None:
        axis.axhline(threshold, color="gray", linewidth=0.8, linestyle=":")
    axis.set(yscale="log", xlabel=label(view.x), ylabel=label(view.loss),
             title=f"{label(view.loss).capitalize()}: mean (solid) and best instance (dashed)")
    if scaling.geometric(view.xs):
        scaling.name_widths(axis.xaxis, view.xs)
    elif view.xs.min() > 0 and view.xs.max() > 20 * view.xs.min():
        axis.set_xscale("log")
    elif len(view.xs) <= 20 and np.ptp(view.xs) <= 30 * np.diff(view.xs).min():  # else labels would overlap
        axis.set_xticks(view.xs)
    handles += [Line2D([], [], color="#4b4b4b", linestyle=style, marker=marker, markersize=4, label=words)
                for style, marker, words in (("-", "o", "mean"), ("--", "s", "best instance"))]
    legend_beside([[axis]], handles + limits_handles(low, below, threshold))
    return Figure(picture, f"The {label(view.loss)} against {view.x}" + (f", one colour {per(view)}" if view.y else "") +
                  ": mean over instances (solid, circles) and best instance (dashed, squares)." +
                  (f" Dotted: the threshold {short(options.threshold)}." if view.x == "hidden" else "") +
                  said_below(low, below) +
                  (" Bars: two standard errors, where the loss is estimated." if estimated else ""))


def smallest_width(view, options):
    """Smallest hidden width whose loss is below the threshold, by best instance, by mean and by the notebook's sum."""
    if view.x != "hidden":
        return view.lacks("the sweep varies no width")
    lines = []
    for y in view.ys:
        seen = [x for x in view.xs if len(view.losses(x, y))]
        if seen:
            best = min(seen, key=lambda x: view.losses(x, y).min())
            lines.append(Width(y, *[comparison.first_below(seen, [of(x, y) for x in seen], options.threshold)
                                    for of in comparison.reductions(view)],
                               int(max(seen)), view.losses(best, y).min(), view.error(best, y)))
    if not any(line.best for line in lines):
        return view.lacks(f"no width has a {label(view.loss)} below {short(options.threshold)}")
    kinds = [kind for kind in comparison.KINDS if kind.field != "stacked" or view.has_stacks()]
    picture, axis = plt.subplots(figsize=(max(6.4, 1.1 * len(lines) + 1), 3.8))
    comparison.draw_bars(axis, [[(getattr(line, kind.field), line.widest) for line in lines] for kind in kinds],
                         [kind.name for kind in kinds], [kind.color for kind in kinds])
    axis.set_xticks(np.arange(len(lines)), [number(line.y) if view.y else "all" for line in lines])
    axis.set(xlabel=label(view.y) if view.y else "", ylabel=label("hidden"), ylim=(0, view.xs.max() * 1.35),
             title=f"Smallest width with {label(view.loss)} below {short(options.threshold)}")
    axis.grid(axis="x", visible=False)
    axis.legend(loc="upper left", ncol=3)
    return Figure(picture, f"The smallest hidden width whose {label(view.loss)} is below {short(options.threshold)}" +
                  (", and by the notebook's number, final_loss summed over the stacked instances"
                   if view.has_stacks() else "") +
                  ". Hatched, \">\": not reached by the widest that is finished.", width_table(view, lines))


def width_table(view, lines):
    head = [view.y or "", "smallest width (best instance)", "smallest width (mean)", "best loss of all widths"]
    rows = []
    for line in lines:
        found = [line.best or f"> {line.widest}", line.mean or f"> {line.widest}"]
        if view.has_stacks():
            found.append(line.stacked or f"> {line.widest}")
        error = f" +- {short(line.error)}" if line.error else ""
        rows.append([number(line.y) if view.y else "all", *found, short(line.loss) + error])
    if view.has_stacks():
        head.insert(3, "smallest width (notebook's sum)")
    return html_table(head, rows)


def curves_of(view):
    """(the loss whose curves most of a few cells have, lines of those cells); of many features none is exact, or only at
    the end."""
    lines, found = view.samples(most_x=9, most_y=6), {}
    for kind in "exact_loss", "train_loss":
        own = [[cell for cell in line if view.curves(kind, *cell) is not None] for line in lines]
        found[kind] = [line for line in own if line]
    kind = max(found, key=lambda kind: sum(map(len, found[kind])))
    return kind, found[kind]


def training_curves(view, options):
    """Loss at every checkpoint, of a few grid points"""
    kind, lines = curves_of(view)
    if not lines:
        return view.lacks("losses are known of the end alone")
    columns = min(3, len(lines))
    rows = -(-len(lines) // columns)
    width, height = 4.0 if columns > 1 else 6.5, 3.1 if rows > 1 else 3.8
    picture, axes = panels(rows, columns, width, height, sharex=True, sharey=True)
    colors = dict(zip(view.xs, shades(len(view.xs))))
    shown = set()
    for axis, line in zip(axes.flat, lines):
        for x, y in line:
            steps, values = view.curves(kind, x, y)
            values = np.maximum(values, TINY)
            shown.add(x)
            axis.plot(steps, np.median(values, axis=0), color=colors[x], linewidth=1.3)
            axis.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colors[x], alpha=0.15, linewidth=0)
        axis.set_yscale("log")
        axis.set_title(f"{view.y} {number(line[0][1])}" if view.y else "")
    for axis in axes.flat[:len(lines)]:
        step_scale(axis)
    axes[0][0].set_ylim(bottom=max(axes[0][0].get_ylim()[0], floor(options)))
    for axis in axes.flat[len(lines):]:
        axis.set_visible(False)
    for axis in axes.flat[max(0, len(lines) - columns):len(lines)]:  # the lowest that is shown in each column
        axis.set_xlabel("training step")
        axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel(label(kind))
    if view.x:
        order = [x for x in view.xs if x in shown]
        legend_beside(axes, [Line2D([], [], color=colors[x], linewidth=1.3, label=number(x)) for x in order],
                      title=label(view.x).split(" (")[0])
    picture.suptitle(f"Training curves: {label(kind)}")
    hidden = sum(view.best(x, y) is not None for x in view.xs for y in view.ys) - sum(map(len, lines))
    more = f" Not shown: {hidden} more grid points, in between." if hidden else ""
    return Figure(picture, f"The {label(kind)} at every checkpoint: median over instances, the band from the best to "
                           f"the worst of them. The scale ends at {short(floor(options))} at the latest.{more}")


FIGURES = [loss_heatmap, loss_by_width, smallest_width, training_curves, geometry.directions_in_2d,
           geometry.directions_in_3d, geometry.dimensionality_over_sparsity, geometry.weight_geometry,
           geometry.feature_norms]
OF_THE_WHOLE = [diagrams.phase_diagram, scaling.loss_exponents, scaling.neurons_with_several_features]
OF_OTHER_VIEWS = OF_THE_WHOLE + comparison.FIGURES
