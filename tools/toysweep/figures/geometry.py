"""What is drawn of the weights of feature models: W^T W, lengths, directions in 2 and 3 dimensions, dimensionality."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Line3DCollection

import toysweep
from toysweep.figures.beside import legend_beside
from toysweep.figures.chosen import chosen
from toysweep.figures.view import Figure, number, panels, shades, short, some

SUBTREES = ("#31688e", "#c8553d", "#5b8c3a", "#8d5a97", "#b8860b", "#3aa6a0", "#d48ab0", "#4b4b4b")
MOST_ROWS, MOST_COLUMNS, MOST_NUMBERS = 6, 5, 9
NO_WEIGHTS = "no finished instance has its weights in the file (`save: final`; of other steps `save: checkpoints`)"
FRACTIONS = {"1": 1, "3/4": 3 / 4, "2/3": 2 / 3, "1/2": 1 / 2, "2/5": 2 / 5, "3/8": 3 / 8, "1/4": 1 / 4}


def directions_of(view, instance):
    """W (hidden, features) of an instance at the chosen step, else at its end; None if the file keeps none."""
    try:
        return view.results.weights(instance, chosen.step).get("W")
    except toysweep.ResultsError:
        return None


def sample_panels(view, size, has):
    """Axes for a few cells, a row of panels for each y, of those whose best instance `has` what is drawn. [] if none."""
    lines = [[cell for cell in line if has(view.best(*cell))] for line in view.samples(most_x=4, most_y=MOST_ROWS)]
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
    picture, pairs = sample_panels(view, (2.7, 2.75), lambda best: directions_of(view, best) is not None)
    if not pairs:
        return view.lacks(NO_WEIGHTS)
    products = []
    for _, cell in pairs:
        w = directions_of(view, view.best(*cell))
        products.append(w.T @ w)
    limit = max(np.abs(product).max() for product in products)
    norm = Normalize(-min(limit, 1.5), min(limit, 1.5))
    for (axis, cell), product in zip(pairs, products):
        image = axis.imshow(product, norm=norm, cmap="RdBu_r", interpolation="nearest")
        axis.grid(False)
        small_ticks(axis)
        axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        level_lines(view, axis, cell)
    picture.colorbar(image, ax=picture.axes, label=r"$W^\top W$", shrink=0.6,
                     extend="both" if limit > 1.5 else "neither")
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
        return view.lacks("no finished instance has dimensionality")
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


# --- Directions of features ---

class Structure:
    """What belongs together among an instance's features: edges (i, j, style, colour), a colour of each feature, and
    what a legend says of them."""

    def __init__(self, keys, count):
        self.edges, self.legend = [], []
        if "branching" in keys:
            self._tree(keys["branching"], count)
        else:
            correlated, anticorrelated = keys.get("correlated_pairs", 0), keys.get("anticorrelated_pairs", 0)
            alone = count - 2 * (correlated + anticorrelated)
            self.colors = [to_rgb("#4b4b4b")] * count
            if alone == count:
                self.colors = [tuple(color[:3]) for color in shades(count)]
            self._pairs(0, correlated, "correlated pair", "-")
            self._pairs(2 * correlated, anticorrelated, "anticorrelated pair", "--")
            if 0 < alone < count:
                self.legend.append(Line2D([], [], color="#4b4b4b", marker="o", linestyle="", label="feature by itself"))

    def _tree(self, branching, count):
        """Features are nodes 1, 2, ... of a complete tree in heap order, less 1."""
        levels, tops, self.colors = [], [], []
        for feature in range(count):
            parent = feature // branching - 1
            levels.append(0 if parent < 0 else levels[parent] + 1)
            tops.append(to_rgb(SUBTREES[feature % len(SUBTREES)]) if parent < 0 else tops[parent])
            fade = min(0.14 * levels[-1], 0.6)  # deeper ones are paler
            self.colors.append(tuple(part + fade * (1 - part) for part in tops[-1]))
            if parent >= 0:
                self.edges.append((parent, feature, "-", tops[-1]))
        self.legend = [Line2D([], [], color=SUBTREES[i % len(SUBTREES)], marker="o", linestyle="",
                              label=f"subtree of feature {i}") for i in range(min(branching, len(SUBTREES)))]
        if self.edges:
            self.legend.append(Line2D([], [], color="gray", linewidth=0.9, label="parent and child"))

    def _pairs(self, first, count, name, style):
        """A colour for each pair."""
        for i in range(first, first + 2 * count, 2):
            color = to_rgb(SUBTREES[i // 2 % (len(SUBTREES) - 1)])
            self.edges.append((i, i + 1, style, color))
            self.colors[i] = self.colors[i + 1] = color
        if count:
            self.legend.append(Line2D([], [], color="gray", linestyle=style, label=name))


def rows_of_panels(view, hidden):
    """[(name, instances sorted by loss)] of cells with that width, in few rows; of one cell in rows that are full."""
    rows = []
    for y in view.ys:
        for x in view.xs:
            cell = view.cell(x, y)
            cell = cell[np.isfinite(view.all_losses[cell])]
            cell = cell[np.argsort(view.all_losses[cell], kind="stable")]
            w = directions_of(view, int(cell[0])) if len(cell) else None
            if w is not None and len(w) == hidden:
                named = [name for name in (view.y, view.x) if name and name != "hidden"]
                values = {view.y: y, view.x: x}
                rows.append((", ".join(f"{name} {number(values[name])}" for name in named), list(map(int, cell))))
    if len(rows) == 1:
        name, cell = rows[0]
        cell = some(cell, 2 * MOST_COLUMNS)
        return [(name, cell[i:i + MOST_COLUMNS]) for i in range(0, len(cell), MOST_COLUMNS)]
    return [(name, some(cell, MOST_COLUMNS)) for name, cell in some(rows, MOST_ROWS)]


def screen(dimensions):
    """What is to the right and upwards on the picture, (2, dimensions): of three as matplotlib looks at them at first."""
    if dimensions == 2:
        return np.eye(2)
    turn, tilt = np.radians(-60), np.radians(30)
    return np.array([[-np.sin(turn), np.cos(turn), 0],
                     [-np.sin(tilt) * np.cos(turn), -np.sin(tilt) * np.sin(turn), np.cos(tilt)]])


def number_features(axis, w, limit):
    """Beside their ends, those that end in one place together; none at the origin."""
    plane, together = screen(len(w)), {}
    at = plane @ w
    for i in range(w.shape[1]):
        if np.linalg.norm(at[:, i]) > 0.2 * limit:
            first = next((k for k in together if np.linalg.norm(at[:, i] - at[:, k]) <= 0.2 * limit), i)
            together.setdefault(first, []).append(str(i))
    for first, names in together.items():
        outwards = plane.T @ at[:, first] / np.linalg.norm(at[:, first])
        axis.text(*(w[:, first] + (0.1 + 0.05 * len(names)) * limit * outwards), ", ".join(names), fontsize=7, ha="center", va="center", zorder=4)


def clear_axes(axis, dimensions, limit):
    ends = (-1.25 * limit, 1.25 * limit) if dimensions == 2 else (-limit, limit)
    axis.set(xlim=ends, ylim=ends, xticks=[], yticks=[])
    if dimensions == 2:
        axis.set_aspect("equal")
        axis.grid(False)
        for spine in axis.spines.values():
            spine.set_visible(True)
            spine.set_color("#cccccc")
        axis.plot(0, 0, "+", color="black", markersize=5)
    else:
        axis.set_zlim(ends)
        axis.set_box_aspect((1, 1, 1), zoom=1.3)
        axis.computed_zorder = False  # else numbers are behind what they are of
        axis.set_axis_off()
        for k in range(3):
            axis.plot(*[(-limit, limit) if k == other else (0, 0) for other in range(3)], color="#d5d5d5", linewidth=0.8)


def draw_lines(axis, lines, colors, width, **style):
    """Lines (begin and end, each of 2 or 3 numbers), at once: an artist for each takes long where features are many."""
    kind = LineCollection if len(lines[0][0]) == 2 else Line3DCollection
    (axis.add_collection if kind is LineCollection else axis.add_collection3d)(
        kind(lines, colors=colors, linewidths=width, **style))


def draw_directions(axis, w, structure, limit):
    """Each feature as a line from the origin to W_i."""
    few = w.shape[1] <= 30
    clear_axes(axis, len(w), limit)
    draw_lines(axis, [(np.zeros(len(w)), direction) for direction in w.T], structure.colors, 1.2 if few else 0.6)
    for style in "-", "--":
        edges = [(w[:, i], w[:, j]) for i, j, own, _ in structure.edges if own == style]
        if edges:
            draw_lines(axis, edges, [color for *_, own, color in structure.edges if own == style], 0.9, linestyles=style,
                       alpha=0.75)
    axis.scatter(*w, s=30 if few else 12, c=structure.colors, edgecolors="white", linewidths=0.4, zorder=3,
                 **({"depthshade": False} if len(w) == 3 else {}))
    if w.shape[1] <= MOST_NUMBERS:
        number_features(axis, w, limit)


def directions(view, hidden):
    rows = rows_of_panels(view, hidden)
    if not rows:
        is_there = any(is_wide(view, instance, hidden) for instance in view.rows)
        return view.lacks(NO_WEIGHTS if is_there else f"no finished instance has {hidden} hidden dimensions")
    columns = max(len(cell) for _, cell in rows)
    picture, axes = panels(len(rows), columns, 2.3, 2.55, subplot_kw={"projection": "3d"} if hidden == 3 else {})
    legend = {}
    for line, (name, cell) in zip(axes, rows):
        drawn = [directions_of(view, instance) for instance in cell]
        limit = max(float(np.sqrt((w * w).sum(axis=0)).max()) for w in drawn) or 1.0
        for axis, w, instance in zip(line, drawn, cell):
            structure = Structure(view.results.resolved(instance), w.shape[1])
            legend.update((handle.get_label(), handle) for handle in structure.legend)
            draw_directions(axis, w, structure, limit)
            words = f"{seed_of(view, instance)}loss {said_loss(view, instance)}"
            axis.set_title(f"{name}\n{words}" if name else words, fontsize=8.5)
        for axis in line[len(cell):]:
            axis.remove()  # hidden, one in 3 dimensions fails in the layout
    if legend:
        legend_beside(axes[:1, :len(rows[0][1])], list(legend.values()))
    picture.suptitle(f"Directions of features in {hidden} hidden dimensions, best instance first")
    shown = sum(len(cell) for _, cell in rows)
    return Figure(picture, f"Each feature's direction W_i in the {hidden} hidden dimensions, a panel for each instance, "
                           "sorted by loss; the scale is that of a row." +
                  ("" if legend else " Colours go from the first feature (dark) to the last.") +
                  (" Numbers are features." if any(len(line.texts) for line in axes.flat) else "") +
                  (" Of more instances some are shown, evenly from the best to the worst." if shown < len(
                      [1 for i in view.rows if np.isfinite(view.all_losses[i]) and is_wide(view, i, hidden)]) else ""))


def is_wide(view, instance, hidden):
    return view.results.resolved(int(instance)).get("hidden") == hidden


def seed_of(view, instance):
    return f"seed {view.results.table['seed'][instance]}, " if "seed" in view.results.table else ""


def said_loss(view, instance):
    about = "~" if view.judged_by[instance] == "estimated_loss" else ""
    return about + short(view.all_losses[instance])


def directions_in_2d(view, options):
    """Each feature's direction where the hidden layer has two dimensions"""
    return directions(view, 2)


def directions_in_3d(view, options):
    """Each feature's direction where the hidden layer has three dimensions"""
    return directions(view, 3)


# --- Dimensionality over sparsity ---

def dimensionality_over_sparsity(view, options):
    """A line for each feature of the best instances, a panel for each value of the other key."""
    if "feature_probability" not in (view.x, view.y):
        return view.lacks("the sweep does not vary feature_probability")
    along_x = view.x == "feature_probability"
    probabilities, others = (view.xs, view.ys) if along_x else (view.ys, view.xs)
    other_name = view.y if along_x else view.x
    lines = []
    for other in some(others, 6):
        at, shares = [], []
        for p in sorted(probabilities, reverse=True):
            best = view.best(*((p, other) if along_x else (other, p)))
            share = view.last("dimensionality", best) if best is not None and p > 0 else None
            if share is not None:
                at.append(1 / p)
                shares.append(share)
        if len(at) > 1 and len({len(share) for share in shares}) == 1:
            lines.append((other, at, np.array(shares)))
    if not lines:
        return None
    columns = min(3, len(lines))
    picture, axes = panels(-(-len(lines) // columns), columns, 4.3 if columns > 1 else 6.5, 3.4, sharex=True,
                           sharey=True)
    most = max(shares.shape[1] for _, _, shares in lines)
    for axis, (other, at, shares) in zip(axes.flat, lines):
        for feature, color in enumerate(shades(most)[:shares.shape[1]]):
            axis.plot(at, shares[:, feature], "-o", color=color, linewidth=1, markersize=3)
        axis.set_xscale("log")
        axis.set_ylim(-0.03, 1.07)
        for k, (fraction, value) in enumerate(FRACTIONS.items()):
            axis.axhline(value, color="gray", linewidth=0.7, linestyle=":")
            axis.annotate(fraction, (1.0, value), (2 + 16 * (k % 2), 0), xycoords=("axes fraction", "data"),
                          textcoords="offset points", va="center", fontsize=7, color="#555555")
        axis.set_title(view.said(other_name, other) if other_name else "")
    for axis in axes.flat[len(lines):]:
        axis.set_visible(False)
    for axis in axes.flat[max(0, len(lines) - columns):len(lines)]:
        axis.tick_params(labelbottom=True)
    picture.colorbar(plt.cm.ScalarMappable(Normalize(0, max(most - 1, 1)), plt.cm.viridis), ax=picture.axes,
                     label="feature", shrink=0.7, pad=0.05).ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    picture.supxlabel("1 / probability of a feature (sparser to the right)", fontsize=10)
    picture.supylabel("dimensionality", fontsize=10)
    picture.suptitle("Dimensionality of each feature over sparsity, best instances")
    return Figure(picture, "The dimensionality of each feature in the best instance, over one divided by the probability "
                           "that a feature is on. Dotted: what regular figures have: 1 a dimension for itself, 1/2 two "
                           "opposite features, 2/3 a triangle, 3/4 a tetrahedron, 2/5 a pentagon, 3/8 a square antiprism.")
