"""What a figure is drawn from: a view is a part of a sweep that fits on two axes, x (columns) and y (rows).

A sweep with more varying keys than that is cut into one view for each combination of the others; instances that
differ in nothing but the seed share a cell.
"""

import html
import json
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import toysweep
from toysweep.figures.chosen import complain

TINY = 1e-30  # a loss can be exactly 0, which no log scale shows
LOSSES = ("exact_loss", "estimated_loss", "final_loss", "train_loss")  # the better ones first
LABELS = {
    "depth": "tree depth (levels below the root)", "hidden": "hidden width (dimensions)",
    "features": "features", "branching": "children per node", "steps": "training steps",
    "feature_probability": "probability of a feature", "lr": "learning rate",
    "exact_loss": "expected loss", "estimated_loss": "estimated loss", "final_loss": "loss on 500 fresh samples",
    "train_loss": "training loss", "loss": "loss (expected, or estimated)",
}
MOST_VIEWS = 24


@dataclass
class Figure:
    picture: object  # matplotlib figure
    caption: str
    table: str = ""  # HTML


def label(name):
    return LABELS.get(name, name.replace("_", " "))


def number(value):
    """A value of a key as a person would write it: of a mapping or list, which files hold as JSON, its parts."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:  # a name that begins so
            return value
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {number(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(number, value))
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def short(loss):
    """A loss in at most six characters."""
    return f"{loss:.2g}" if loss >= 1e-3 else f"{loss:.1e}".replace("e-0", "e-").replace(".0e", "e")


def floor(options):
    """Losses far below the threshold are all as good as 0: scales end here, to leave room for the others."""
    return options.threshold * 1e-4


def shades(count):
    return plt.cm.viridis(np.linspace(0.0, 0.9, max(count, 1)))


def panels(rows, columns, width, height, **options):
    return plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False, **options)


def html_table(head, rows):
    lines = ["<tr>" + "".join(f"<th>{html.escape(str(c))}</th>" for c in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows]
    return "\n<table>" + "\n".join(lines) + "</table>"


def is_same(column, value):
    return np.isnan(column) if value != value else column == value


def is_lacking(column, value):
    """Is it what the file holds where an instance has no such key?"""
    return value != value or value == {"i": -1, "u": 255}.get(column.dtype.kind, "")


def title(results, name, value):
    if results.table[name].dtype.kind == "u":
        return f"{label(name)}: {'yes' if value else 'no'}"
    return f"{label(name).split(' (')[0]}: {number(value)}"


def some(values, most):
    """At most `most` of the values, evenly spread, the first and last among them."""
    values = list(values)
    if len(values) <= most:
        return values
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]


def regular(values, most):
    """At most `most` of the values, all at one distance from each other, the first among them: for ticks."""
    return values[::max(1, -(-len(values) // most))]


class Reasons:
    """What a view knows of why a figure shows nothing."""
    lack = ""

    def lacks(self, words):
        """Says why; None, which a figure then returns."""
        self.lack = words

    def make(self, make, options):
        """A figure, or None; then `lack` has the reason, as far as it is known."""
        self.lack = ""
        return make(self, options)


class View(Reasons):
    def __init__(self, results, rows, fixed, loss):
        self.results = results
        done = results.table["status"][rows] == toysweep.DONE
        self.rows = rows[done]  # finished instances
        self.all_rows = rows
        self.x, self.y = self._axes(fixed)
        self.title = ", ".join(title(results, name, value) for name, value in self._constant(fixed).items()
                               if not is_lacking(results.table[name], value))
        self.xs = toysweep.distinct(self._values(self.x)) if self.x else np.array([0])
        self.ys = toysweep.distinct(self._values(self.y)) if self.y else np.array([0])
        self.loss = self._judge([loss] if loss else LOSSES)  # the name; "loss" where instances have different ones

    def _constant(self, fixed):
        """{key: value} of what the sweep varies, but not the view."""
        constant = dict(fixed)
        for name in self.results.varying:
            values = toysweep.distinct(self._values(name))
            if name not in ("seed", *fixed) and len(values) == 1:
                constant[name] = values[0]
        return constant

    def _judge(self, names):
        """By which of the measures each instance is judged, the first that is known of it, and its loss by that."""
        table, count = self.results.table, self.results.count
        self.judged_by, self.all_losses = np.full(count, "", dtype=object), np.full(count, np.nan)
        for name in (name for name in names if name in table):
            first = np.isfinite(table[name]) & np.isnan(self.all_losses)
            self.judged_by[first], self.all_losses[first] = name, table[name][first]
        used = set(self.judged_by[self.rows]) - {""}
        return used.pop() if len(used) == 1 else "loss" if used else names[0]

    def _axes(self, fixed):
        free = [name for name in axis_names(self.results, self.all_rows) if name not in fixed]
        x = "hidden" if "hidden" in free else free[-1] if free else None
        rest = [name for name in free if name != x]
        return x, next((name for name in ("depth", "features") if name in rest), rest[0] if rest else None)

    def _values(self, name):
        return self.results.table[name][self.all_rows]

    def has_losses(self):
        return bool(np.isfinite(self.all_losses[self.rows]).any())

    def error(self, x, y):
        """Largest standard error of a cell's losses; 0 where none is estimated."""
        cell = self.cell(x, y)
        cell = cell[self.judged_by[cell] == "estimated_loss"]
        return float(np.nanmax(self.results.table["final_loss_error"][cell])) if len(cell) else 0.0

    def has_stacks(self):
        table = self.results.table
        return "stacked_loss" in table and bool(np.isfinite(table["stacked_loss"][self.rows]).any())

    def stacked(self, x, y):
        """The published number of a cell, the sum over its stacked instances, the least where there are several stacks;
        NaN where there is none."""
        values = self.results.table.get("stacked_loss", np.full(self.results.count, np.nan))[self.cell(x, y)]
        return float(np.nanmin(values)) if np.isfinite(values).any() else np.nan

    def cell(self, x, y):
        """Finished instances of a cell."""
        table, keep = self.results.table, np.ones(len(self.rows), dtype=bool)
        if self.x:
            keep &= table[self.x][self.rows] == x
        if self.y:
            keep &= table[self.y][self.rows] == y
        return self.rows[keep]

    def losses(self, x, y):
        values = self.all_losses[self.cell(x, y)]
        return values[np.isfinite(values)]

    def grid(self, reduce):
        """(ys, xs) reduced losses; NaN where nothing is finished or the sweep has no such point."""
        cells = [[self.losses(x, y) for x in self.xs] for y in self.ys]
        return np.array([[reduce(c) if len(c) else np.nan for c in line] for line in cells])

    def best(self, x, y):
        """The instance with the smallest loss in a cell; None if there is none."""
        cell = self.cell(x, y)
        values = self.all_losses[cell]
        return int(cell[np.nanargmin(values)]) if np.isfinite(values).any() else None

    def curves(self, name, x, y):
        """(steps, values (instances, steps)) of a cell's curves; None if the file has none, or they are not known."""
        cell = self.cell(x, y)
        if not len(cell):
            return None
        places = [self.results.case_of(instance) for instance in cell]
        group = places[0][0]
        if name not in group or "step" not in group:
            return None
        rows = [row for other, row in places if other == group]
        values = group[name][np.sort(rows)]
        followed = np.isfinite(values).any(axis=0).sum() > min(1, values.shape[1] - 1)  # some are known at the end alone
        return (group["step"][...], values) if followed else None

    def last(self, name, instance):
        """A per-feature measure at the last checkpoint; None if the file does not have it."""
        group, row = self.results.case_of(instance)
        if name not in group:
            return None
        return group[name][row, -1] if group[name].ndim == 3 else group[name][row]

    def cell_name(self, x, y):
        return ", ".join([self.said(name, value) for name, value in ((self.y, y), (self.x, x)) if name]) or "all"

    def said(self, name, value):
        """A value of an axis, with those of the numbers that advance with it."""
        table = self.results.table
        row = self.all_rows[table[name][self.all_rows] == value][0]
        beside = [other for other in self.results.varying if other not in ("seed", name)
                  and table[other].dtype.kind in "if" and follow(self.results, self.all_rows, other, name)]
        return ", ".join([f"{other} {number(table[other][row])}" for other in beside] + [f"{name} {number(value)}"])

    def samples(self, most_x, most_y):
        """Cells (x, y) with something finished, evenly spread: at most most_x for each of at most most_y rows."""
        lines = [(y, [x for x in self.xs if self.best(x, y) is not None]) for y in self.ys]
        return [[(x, y) for x in some(xs, most_x)] for y, xs in some([line for line in lines if line[1]], most_y)]


def axis_names(results, rows):
    """Varying keys with numbers that differ among the rows, without those that advance together with `hidden`."""
    found = [name for name in results.varying if name != "seed" and results.table[name].dtype.kind in "if"
             and len(toysweep.distinct(results.table[name][rows])) > 1]
    return [name for name in found if name == "hidden" or "hidden" not in found or
            not follow(results, rows, name, "hidden")]


def follow(results, rows, name, other):
    """Do two keys advance together, so that one of them says it all?"""
    pairs = set(zip(results.table[name][rows].tolist(), results.table[other][rows].tolist()))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def rows_of_kind(results, kind):
    """Instances that learn data of the kind, in order."""
    return np.flatnonzero(results.kinds[results.table["case"]] == kind)


def views_of(results, rows, loss):
    """Cuts instances of a sweep into views: first by names and flags, then by numbers beyond two axes."""
    if loss and loss not in results.table:
        raise toysweep.ResultsError(f"{results.path}: has no {loss}")
    named = [name for name in results.varying if results.table[name].dtype.kind not in "if"]
    made = []
    for fixed, rows in cut(results, named, {}, rows):
        numeric = axis_names(results, rows)
        axes = [name for name in ("hidden", "depth", "features") if name in numeric]
        axes = (axes + [name for name in reversed(numeric) if name not in axes])[:2]
        others = [name for name in numeric if name not in axes]
        made += [View(results, part, keys, loss) for keys, part in cut(results, others, fixed, rows)]
    made = [view for view in made if len(view.rows)]
    lacking = [view for view in made if not view.has_losses()]
    for view in lacking:
        complain(f"no finished instance has the {label(view.loss)}; left out" +
                 (f": {view.title}" if view.title else ""))
    made = [view for view in made if view not in lacking]
    if len(made) > MOST_VIEWS:
        complain(f"{len(made)} combinations of other keys; drawing the first {MOST_VIEWS}")
    return made[:MOST_VIEWS]


def cut(results, names, fixed, rows):
    parts = [(fixed, rows)]
    for name in names:
        column = results.table[name]
        parts = [({**keys, name: value}, part[is_same(column[part], value)]) for keys, part in parts
                 for value in toysweep.distinct(column[part])]
    return parts
