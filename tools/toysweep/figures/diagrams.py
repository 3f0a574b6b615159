"""Phase diagrams: what becomes of networks over two keys of a sweep, as a colour in each cell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.ticker import MaxNLocator

import toysweep
from toysweep.figures.cells import median
from toysweep.figures.chosen import chosen
from toysweep.figures.phases import median_step
from toysweep.figures.swept import SEEDS, axis_of, parts_of, swept
from toysweep.figures.view import LABELS, Figure, is_lacking, label, panels, short

MOST_ROWS, MOST_WRITTEN = 8, 130
PHASES = (("comprehension", "#8cc084"), ("grokking", "#f2cf63"), ("memorisation", "#e08a63"), ("confusion", "#b3b3c4"))
LAST = (("left out", "#e3e3e3"), ("in superposition", "#d98c6a"), ("a dimension of its own", "#6a9cc9"))
FIRST = ("importance", "feature_probability")  # as axes, however few values they have
OF_TABLES = ("phase", "grokked_step", "test_loss")
REPRESENTED, OWN = 0.5, 0.9  # |W_i| and dimensionality from which on a feature counts as such
WORDS = {"grokked_step": "step of grokking", "test_loss": "final test loss (nat)", "phase": "phase"}


@dataclass
class Quantity:
    words: str
    values: np.ndarray       # of each instance of the sweep; NaN: not known, of a step: it never comes to it
    kind: str                # "category", "step", "loss" or "number"
    categories: tuple = ()   # (name, colour) of 0, 1, ...
    limits: tuple | None = None  # of the scale

    def of(self, values):
        """What a cell with these values shows."""
        known = values[np.isfinite(values)]
        if self.kind == "step":
            step = median_step(values)
            return step if np.isfinite(step) else np.nan
        if self.kind == "category":
            return Counter(np.sort(known).tolist()).most_common(1)[0][0] if len(known) else np.nan
        return median(values) if len(known) else np.nan

    def share(self, values, value):
        """How many of them do what the cell shows, where not all do."""
        did = {"step": np.isfinite(values).sum(), "category": (values == value).sum()}.get(self.kind, 0)
        return f"{did} of {len(values)}" if 0 < did < len(values) else ""

    def written(self, value):
        if not np.isfinite(value):
            return "-" if self.kind == "step" else ""
        if self.kind == "category":
            return ""
        if self.kind == "step":
            return f"{value:.0f}" if value < 1000 else f"{value / 1000:.3g}k"
        if self.kind == "loss" and value < 100:
            return short(value)
        return f"{value:.2f}" if self.limits else f"{value:.3g}" if value < 1000 else f"{value:.1e}".replace("e+0", "e")

    def scale(self, values):
        if self.kind == "category":
            return Normalize(-0.5, len(self.categories) - 0.5)
        return Normalize(*self.limits) if self.limits else scale_of(values, self.kind == "number")

    def colours(self):
        if self.kind == "category":
            return ListedColormap([colour for _, colour in self.categories])
        return "viridis_r" if self.kind in ("step", "loss") else "viridis"


def scale_of(values, linear=False):
    """Logarithmic where they span a decade."""
    seen = values[np.isfinite(values) & (values > 0)]
    if linear and np.isfinite(values).any():
        low, high = np.nanmin(values), np.nanmax(values)
        return Normalize(low, high if high > low else low + 1)
    if not len(seen):
        return Normalize(0, 1)
    if seen.max() < 10 * seen.min():
        return Normalize(0.8 * seen.min(), 1.1 * seen.max())
    return LogNorm(seen.min(), seen.max())


def column(results, name, words=None, limits=None):
    """A column of the file as a quantity; None where nothing of it is known."""
    values = results.table.get(name)
    if values is None or values.dtype.kind not in "iuf" or not np.isfinite(values).any():
        return None
    kind = "category" if name == "phase" else "step" if name.endswith(("_step", "_delay")) else \
        "loss" if name.endswith("loss") else "number"
    return Quantity(words or WORDS.get(name) or LABELS.get(name, name.replace("_", " ")), values.astype(float), kind,
                    PHASES if name == "phase" else (), limits)


# --- Cells of a diagram --------------------------------------------------------------------------------------------

def cells_of(results, rows, x, y):
    """{(number of the y, of the x): its instances} of two axes (swept.Axis)."""
    found = {}
    for row, i, j in zip(rows, y.place(results.table[y.name][rows]), x.place(results.table[x.name][rows])):
        found.setdefault((int(i), int(j)), []).append(int(row))
    return {at: np.array(own) for at, own in found.items()}


def values_of(cells, x, y, quantity):
    """(y, x) what the cells show."""
    values = np.full((len(y.values), len(x.values)), np.nan)
    for at, own in cells.items():
        values[at] = quantity.of(quantity.values[own])
    return values


def draw_map(axis, cells, x, y, quantity, norm=None):
    """A colour for each cell, with what it stands for written in where they are few."""
    values = values_of(cells, x, y, quantity)
    image = axis.imshow(values, norm=norm or quantity.scale(values), cmap=quantity.colours(), aspect="auto",
                        origin="lower")
    axis.set_title(quantity.words, fontsize=9)
    axis.set_xticks(range(len(x.ticks)), x.ticks, rotation=90 if max(map(len, x.ticks)) > 4 else 0)
    axis.set_yticks(range(len(y.ticks)), y.ticks)
    axis.set_xlabel(x.words)
    axis.label_outer()
    axis.grid(False)
    bar = axis.figure.colorbar(image, ax=axis)
    if quantity.kind == "category":
        bar.set_ticks(range(len(quantity.categories)), labels=[name for name, _ in quantity.categories])
        bar.ax.tick_params(length=0, labelsize=8)
    elif quantity.kind == "number" and (values[np.isfinite(values)] % 1 == 0).all():
        bar.ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    for at, own in cells.items():
        share = quantity.share(quantity.values[own], values[at])
        words = "\n".join(filter(None, (quantity.written(values[at]), share)))
        if values.size <= MOST_WRITTEN:
            axis.text(at[1], at[0], words, ha="center", va="center", fontsize=7.5 if values.size <= 50 else 6.5,
                      color=ink(image, values[at]))


def ink(image, value):
    if not np.isfinite(value):
        return "black"
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"


def mark(axis, cells, instances, sign, **style):
    """Cells with some of the instances (flags of all); returns how many there are."""
    at = [place for place, own in cells.items() if instances[own].any()]
    dx, dy = (-0.36, 0.32) if sign == "x" else (0.38, 0.34)
    if at:
        axis.plot([j + dx for _, j in at], [i + dy for i, _ in at], sign, **style)
    return len(at)


# --- The figure ----------------------------------------------------------------------------------------------------

def phase_diagram(view, options):
    """Over two keys (--axes): phase, step of grokking, loss; of features which are left out, superposed or alone"""
    results = view.results
    rows = view.all_rows[results.table["status"][view.all_rows] != toysweep.PENDING]
    axes = axes_of(results, rows)
    if axes is None:
        return view.lacks(why_no_axes(results, rows))
    is_features = bool((results.kinds[results.table["case"][rows]] == "features").all())
    if is_features and not (chosen.axes or chosen.quantities or
                            {"feature_probability", "importance"} & {axis.name for axis in axes}):
        return view.lacks("the sweep varies neither feature_probability nor importance, and loss-heatmap shows what "
                          "there is; --axes or --quantity asks for it")
    for axis in axes:  # instances of other cases may lack the key
        rows = rows[~is_lacking_in(results.table[axis.name][rows])]
    quantities = [column(results, name) for name in chosen.quantities] or (
        of_features(view) if is_features else [column(results, name) for name in OF_TABLES])
    quantities = [one for one in quantities if one is not None and np.isfinite(one.values[rows]).any()]
    if not quantities:
        return view.lacks(f"no finished instance has {' or '.join(chosen.quantities or OF_TABLES)}")
    every, over = rows_of_panels(results, rows, axes)
    parts = [part for part in every if all(len(set(results.table[axis.name][part[1]])) > 1 for axis in axes)] or every
    thin = [words for words, own in every if not any(own is shown for _, shown in parts)]
    picture, marked = draw_panels(view, parts, axes, quantities, is_features)
    words = " and ".join(axis.words.replace(": ", " (") + ")" * (": " in axis.words) for axis in axes[::-1])
    picture.suptitle(f"{'What becomes of features' if is_features else 'Phase diagram'} over {words}")
    marked += f" Not shown, as one of these keys has one value there (see --axes): {'; '.join(thin)}." if thin else ""
    return Figure(picture, caption(quantities, is_features, over) + marked)


def why_no_axes(results, rows):
    """Why there are no two keys to take as axes."""
    keys = swept(results, rows)
    if len(keys) > 1:
        return "by-exponents shows what there is over m and n; --axes m,n asks for it"
    varied = f"{keys[0]} alone" if keys else "none"
    return f"it needs two keys that the sweep varies, beside seeds, and it varies {varied}"


def is_lacking_in(column):
    return np.array([is_lacking(column, value) for value in column.tolist()], dtype=bool)


def axes_of(results, rows):
    """(x, y): those that were asked for, or FIRST and the keys with most values, names along y. None: no two."""
    names = list(chosen.axes)
    if not names:
        keys = swept(results, rows)
        names = sorted(keys, key=lambda name: (name not in FIRST, -len(axis_of(results, rows, name).values)))[:2]
        names.sort(key=keys.index, reverse=True)
        if len(names) < 2 or set(names) == {"m", "n"}:  # figures.power has those
            return None
    x, y = (axis_of(results, rows, name) for name in names)
    if not x.values or not y.values:
        return None
    return (y, x) if x.is_named() and not y.is_named() and not chosen.axes else (x, y)


def rows_of_panels(results, rows, axes):
    """([(words, rows)], keys over which there are medians): a row of panels for each combination of the other keys, or
    of those that were asked for; of the first keys none while there are more than MOST_ROWS."""
    rest = [name for name in swept(results, rows) if name not in [axis.name for axis in axes]]
    apart = [name for name in rest if chosen.panels is None or name in chosen.panels]
    parts = parts_of(results, rows, apart)
    while len(parts) > MOST_ROWS:
        apart = apart[1:]
        parts = parts_of(results, rows, apart)
    return parts, [name for name in rest if name not in apart]


def draw_panels(view, parts, axes, quantities, is_features):
    """(picture, what marks in it say). Panels of a quantity have one scale."""
    (x, y), results = axes, view.results
    lost, stopped = results.table["status"] == toysweep.FAILED, stopped_early(results)
    names = max(map(len, y.ticks))
    height = max(2.5, 0.33 * len(y.values) + 1.2)
    picture, grid = panels(len(parts), len(quantities), max(3.2, 0.46 * len(x.values) + 1.5 + 0.07 * names), height)
    done = [rows[results.table["status"][rows] == toysweep.DONE] for _, rows in parts]
    drawn = [cells_of(results, best_instances(view, rows) if is_features else rows, x, y) for rows in done]
    norms = [quantity.scale(np.array([values_of(cells, x, y, quantity) for cells in drawn])) for quantity in quantities]
    crosses = dots = 0
    for line, (words, rows), cells in zip(grid, parts, drawn):
        every = cells_of(results, rows, x, y)
        for axis, quantity, norm in zip(line, quantities, norms):
            draw_map(axis, cells, x, y, quantity, norm)
            crosses += mark(axis, every, lost, "x", color="#c00000", markersize=5, markeredgewidth=1.5)
            dots += mark(axis, every, stopped, "o", color="black", markersize=2.5, markeredgewidth=0)
        line[0].set_ylabel(f"{words}\n\n{y.words}" if words else y.words)
    return picture, (" Red crosses: instances were lost there, as their loss was no number any more." if crosses else
                     "") + (" Black dots: instances stopped before their last step, as `stop` says." if dots else "")


def stopped_early(results):
    """[instance]: was it done before the last of its steps?"""
    done = np.flatnonzero(results.table["status"] == toysweep.DONE)
    found = np.zeros(results.count, dtype=bool)
    found[done] = [results.table["steps_done"][i] < results.resolved(int(i))["steps"] for i in done]
    return found


def best_instances(view, rows):
    """Of the instances that differ in nothing but seeds the one with the smallest loss."""
    table, best = view.results.table, {}
    keys = [table[name] for name in view.results.varying if name not in SEEDS]
    for row in rows[np.isfinite(view.all_losses[rows])]:
        at = tuple(key[row] for key in keys)
        if at not in best or view.all_losses[row] < view.all_losses[best[at]]:
            best[at] = row
    return np.array(sorted(best.values()), dtype=int)


def caption(quantities, is_features, over):
    kinds = {quantity.kind for quantity in quantities}
    others = " and ".join(label(name).split(" (")[0] for name in over)
    among = f"the best instance of each setting, over all values of {others}" if is_features and over else \
        f"instances and all values of {others}" if over else "instances"
    words = "Of the best instance of each cell." if is_features and not over else \
        f"Median over {among}" + "; phases: the most frequent one" * ("category" in kinds) + "."
    if "step" in kinds:
        words += (" Steps: the lower median of those that get there, with how many where not all do; a dash where none "
                  "does.")
    for quantity in quantities:
        if quantity.categories == PHASES:
            words += (" Comprehension: the test pairs are known less than `delay` steps after the training pairs; "
                      "grokking: later; memorisation: never; confusion: not even the training pairs are. Thresholds "
                      "are those of the sweep.")
        if quantity.categories == LAST:
            words += (f" Left out: |W_i| below {REPRESENTED:g}; a dimension of its own: with a dimensionality from "
                      f"{OWN:g} on; else in superposition.")
    return words + " Blank: not finished, or not part of the sweep."


# --- Features ------------------------------------------------------------------------------------------------------

def of_features(view):
    """Of each instance: what becomes of the last feature, how many are represented, and the loss."""
    results = view.results
    last, represented = np.full(results.count, np.nan), np.full(results.count, np.nan)
    for group, instances in results.cases.values():
        if "dimensionality" in group:
            norm, share = (at_end(group, name) for name in ("feature_norm", "dimensionality"))
            last[instances] = np.where(norm[:, -1] < REPRESENTED, 0, np.where(share[:, -1] >= OWN, 2, 1))
            represented[instances] = (norm >= REPRESENTED).sum(axis=1)
            unknown = instances[np.isnan(norm[:, -1])]
            last[unknown] = represented[unknown] = np.nan
    return [Quantity("the last feature", last, "category", LAST),
            Quantity(f"features with |W_i| from {REPRESENTED:g} on", represented, "number"),
            Quantity(label(view.loss), view.all_losses, "loss")]


def at_end(group, name):
    """(rows, features) at each instance's last checkpoint, or the chosen step."""
    steps = group["step"][...]
    known = np.isfinite(group["train_loss"][...]) & (steps <= (np.inf if chosen.step is None else chosen.step))
    return group[name][...][np.arange(len(known)), len(steps) - 1 - known[:, ::-1].argmax(axis=1)]
