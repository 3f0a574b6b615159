"""Figures of features: loss over the sweep, and the geometry of the weights."""

from typing import NamedTuple, Optional

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator

from figures.view import TINY, Figure, html_table, label, number, panels, views


class Width(NamedTuple):
    """Of one y: smallest width below the threshold by best instance and by mean (None: not reached), the widest
    that is finished, and the best loss of all widths."""
    y: object
    best: Optional[int]
    mean: Optional[int]
    widest: int
    loss: float


def short(loss):
    """A loss in at most six characters."""
    return f"{loss:.2g}" if loss >= 1e-3 else f"{loss:.1e}".replace("e-0", "e-").replace(".0e", "e")


def floor(options):
    """Losses far below the threshold are all as good as 0: scales end here, to leave room for the others."""
    return options.threshold * 1e-4


def shades(count):
    return plt.cm.viridis(np.linspace(0.0, 0.9, max(count, 1)))


def per(view):
    return f"per {view.y}" if view.y else ""


# --- Loss over the sweep -------------------------------------------------------------------------------------------

def loss_heatmap(view, options):
    if not view.x:
        return None
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
        annotate(axis, grid, norm)
    axes[0][0].set_ylabel(label(view.y) if view.y else "")
    picture.colorbar(image, ax=axes, label=label(view.loss), extend="min" if np.nanmin(grids) < low else "neither")
    over = " and ".join(label(name).split(" (")[0] for name in (view.y, view.x) if name)
    picture.suptitle(f"{label(view.loss).capitalize()} by {over}")
    return Figure(picture, f"The {label(view.loss)} after training: mean over the instances of a cell on the left, "
                           "the best of them on the right. Blank: not finished, or not part of the sweep." +
                  (f" Losses below {short(low)} have its colour." if np.nanmin(grids) < low else ""))


def annotate(axis, grid, norm):
    if grid.size > 240:
        return
    for (i, j), value in np.ndenumerate(grid):
        if np.isfinite(value):
            dark = norm(value) > 0.5
            axis.text(j, i, short(value), ha="center", va="center", fontsize=7.5, color="white" if dark else "black")


def loss_by_width(view, options):
    if not view.x or len(view.xs) < 2:
        return None
    picture, axis = plt.subplots(figsize=(7.6, 4.6))
    low = floor(options)
    mean, best = np.maximum(view.grid(np.mean), low), np.maximum(view.grid(np.min), low)
    for i, (y, color) in enumerate(zip(view.ys, shades(len(view.ys)))):
        axis.plot(view.xs, mean[i], "-o", color=color, markersize=4, label=number(y) if view.y else "mean")
        axis.plot(view.xs, best[i], "--", color=color, marker="v", markersize=4,
                  label=None if view.y else "best")
    if view.x == "hidden":
        axis.axhline(options.threshold, color="gray", linewidth=0.8, linestyle=":")
    axis.set(yscale="log", xlabel=label(view.x), ylabel=label(view.loss),
             title=f"{label(view.loss).capitalize()}: mean (solid) and best instance (dashed)")
    if view.xs.min() > 0 and view.xs.max() > 20 * view.xs.min():
        axis.set_xscale("log")
    elif len(view.xs) <= 20 and np.ptp(view.xs) <= 30 * np.diff(view.xs).min():  # else labels would overlap
        axis.set_xticks(view.xs)
    axis.legend(title=view.y, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Figure(picture, f"The {label(view.loss)} against {view.x}" + (f", one colour {per(view)}" if view.y else "") +
                  ": mean over instances (solid, circles) and best instance (dashed, triangles)." +
                  (f" Dotted: the threshold {short(options.threshold)}." if view.x == "hidden" else "") +
                  (f" Losses below {short(low)} are drawn there." if np.nanmin(best) == low else ""))


def smallest_width(view, options):
    """Smallest hidden width whose loss is below the threshold, by best instance and by mean."""
    if view.x != "hidden":
        return None
    lines = []
    for y, mean, best in zip(view.ys, view.grid(np.mean), view.grid(np.min)):
        seen = np.isfinite(best)
        if seen.any():
            reached = [view.xs[np.flatnonzero(row < options.threshold)[:1]] for row in (best, mean)]
            lines.append(Width(y, *[int(found[0]) if len(found) else None for found in reached],
                               int(view.xs[seen].max()), best[seen].min()))
    if not any(line.best for line in lines):
        return None
    picture, axis = plt.subplots(figsize=(6.4, 3.8))
    at, top = np.arange(len(lines)), view.xs.max()
    for offset, field, name, color in ((-0.19, "best", "best instance", "#31688e"),
                                       (0.19, "mean", "mean over instances", "#a0c8b0")):
        widths = [getattr(line, field) for line in lines]
        axis.bar(at + offset, [width or 0 for width in widths], 0.36, label=name, color=color)
        for i, (width, line) in enumerate(zip(widths, lines)):
            axis.text(at[i] + offset, (width or 0) + 0.02 * top, width or f"> {line.widest}", ha="center", va="bottom",
                      fontsize=8)
    axis.set_xticks(at, [number(line.y) if view.y else "all" for line in lines])
    axis.set(xlabel=label(view.y) if view.y else "", ylabel=label("hidden"), ylim=(0, top * 1.25),
             title=f"Smallest width with {label(view.loss)} below {short(options.threshold)}")
    axis.grid(axis="x", visible=False)
    axis.legend(loc="upper left", ncol=2)
    return Figure(picture, f"The smallest hidden width whose {label(view.loss)} is below {short(options.threshold)}. "
                           "\">\" the widest in the sweep: not reached.", width_table(view, lines))


def width_table(view, lines):
    head = (view.y or "", "smallest width (best instance)", "smallest width (mean)", "best loss of all widths")
    rows = [(number(line.y) if view.y else "all", line.best or f"> {line.widest}", line.mean or f"> {line.widest}",
             short(line.loss)) for line in lines]
    return html_table(head, rows)


def curves_of(view):
    """(the loss whose curves most of a few cells have, lines of those cells); of many features none is exact."""
    lines, found = view.samples(most_x=9, most_y=6), {}
    for kind in "exact_loss", "train_loss":
        own = [[cell for cell in line if view.curves(kind, *cell) is not None] for line in lines]
        found[kind] = [line for line in own if line]
    kind = max(found, key=lambda kind: sum(map(len, found[kind])))
    return kind, found[kind]


def training_curves(view, options):
    kind, lines = curves_of(view)
    if not lines:
        return None
    columns = min(3, len(lines))
    rows = -(-len(lines) // columns)
    width, height = 4.0 if columns > 1 else 6.5, 3.1 if rows > 1 else 3.8
    picture, axes = panels(rows, columns, width, height, sharex=True, sharey=True)
    colors = dict(zip(view.xs, shades(len(view.xs))))
    shown = {}
    for axis, line in zip(axes.flat, lines):
        for x, y in line:
            steps, values = view.curves(kind, x, y)
            values = np.maximum(values, TINY)
            shown[x], = axis.plot(steps, np.median(values, axis=0), color=colors[x], linewidth=1.3)
            axis.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colors[x], alpha=0.15, linewidth=0)
        axis.set_xscale("symlog", linthresh=1)
        axis.set_yscale("log")
        axis.set_title(f"{view.y} {number(line[0][1])}" if view.y else "")
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
        axes[0][-1].legend([shown[x] for x in order], [number(x) for x in order], title=view.x, loc="upper left",
                           bbox_to_anchor=(1.0, 1.0))
    picture.suptitle(f"Training curves: {label(kind)}")
    hidden = sum(view.best(x, y) is not None for x in view.xs for y in view.ys) - sum(map(len, lines))
    more = f" Not shown: {hidden} more grid points, in between." if hidden else ""
    return Figure(picture, f"The {label(kind)} at every checkpoint: median over instances, the band from the best to "
                           f"the worst of them. The scale ends at {short(floor(options))} at the latest.{more}")


# --- Geometry of the weights ---------------------------------------------------------------------------------------

def sample_panels(view, size, has):
    """Axes for a few cells, a row of panels for each y, of those whose best instance `has` what is drawn. [] if none."""
    lines = [[cell for cell in line if has(view.best(*cell))] for line in view.samples(most_x=4, most_y=4)]
    lines = [line for line in lines if line]
    if not lines:
        return None, []
    columns = max(len(line) for line in lines)
    picture, axes = panels(len(lines), columns, *size)
    for axis in axes.flat:
        axis.set_visible(False)
    pairs = [(axis, cell) for row, line in zip(axes, lines) for axis, cell in zip(row, line)]
    for axis, cell in pairs:
        axis.set_visible(True)
        loss = view.losses(*cell).min()
        axis.set_title(f"{view.cell_name(*cell)}\nloss {short(loss)}", fontsize=9)
    return picture, pairs


def small_ticks(axis):
    axis.tick_params(labelsize=7)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def weight_geometry(view, options):
    """W^T W of the best instance of some cells."""
    picture, pairs = sample_panels(view, (2.7, 2.75), view.results.weights)
    if not pairs:
        return None
    products = []
    for _, cell in pairs:
        w = view.results.weights(view.best(*cell))["W"]
        w = w[-1] if w.ndim == 3 else w  # (hidden, features); every checkpoint is kept: the last
        products.append(w.T @ w)
    limit = max(np.abs(product).max() for product in products)
    norm = Normalize(-min(limit, 1.5), min(limit, 1.5))
    for (axis, cell), product in zip(pairs, products):
        image = axis.imshow(product, norm=norm, cmap="RdBu_r", interpolation="nearest")
        axis.grid(False)
        small_ticks(axis)
        axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        level_lines(view, axis, cell)
    picture.colorbar(image, ax=picture.axes, label=r"$W^\top W$", shrink=0.6, extend="both" if limit > 1.5 else "neither")
    picture.supxlabel("feature", fontsize=10)
    picture.supylabel("feature", fontsize=10)
    picture.suptitle(r"Weight geometry: $W^\top W$ of the best instance")
    return Figure(picture, "W^T W of the best instance: on the diagonal the squared length of each feature's "
                           "direction, off it how features overlap." +
                  (" Thin lines part the levels of the tree." if is_tree(view) else ""))


def is_tree(view):
    return "branching" in view.results.resolved(int(view.rows[0]))


def level_lines(view, axis, cell):
    """Thin lines between the levels of a tree: features are numbered level by level."""
    if not is_tree(view):
        return
    keys = view.results.resolved(view.best(*cell))
    branching, last = keys.get("branching", 2), 0
    for level in range(1, keys["depth"]):
        last += branching**level
        axis.axhline(last - 0.5, color="gray", linewidth=0.5)
        axis.axvline(last - 0.5, color="gray", linewidth=0.5)


def feature_norms(view, options):
    """Length of each feature's direction, coloured by its dimensionality."""
    picture, pairs = sample_panels(view, (3.0, 2.35), lambda best: view.last("dimensionality", best) is not None)
    if not pairs:
        return None
    norm, cmap = Normalize(0, 1), plt.cm.plasma_r
    for axis, cell in pairs:
        best = view.best(*cell)
        lengths, share = view.last("feature_norm", best), view.last("dimensionality", best)
        axis.bar(np.arange(len(lengths)), lengths, 1.0 if len(lengths) > 40 else 0.85,
                 color=cmap(norm(np.nan_to_num(share))))
        axis.set_ylim(0, max(1.15, float(np.nanmax(lengths)) * 1.08))
        small_ticks(axis)
        axis.grid(axis="x", visible=False)
    picture.colorbar(plt.cm.ScalarMappable(norm, cmap), ax=picture.axes, label="dimensionality", shrink=0.6)
    picture.supxlabel("feature", fontsize=10)
    picture.supylabel(r"length $|W_i|$", fontsize=10)
    picture.suptitle("Feature lengths and dimensionality of the best instance")
    return Figure(picture, "How strongly each feature is represented, |W_i|, in the best instance. Colour: its "
                           "dimensionality, the share of a hidden dimension that it has for itself (1: all of it).")


FIGURES = [loss_heatmap, loss_by_width, smallest_width, training_curves, weight_geometry, feature_norms]
