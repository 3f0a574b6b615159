"""What figures of table tasks are drawn from: cells, samples of their instances, and panels with the phases shaded."""

import warnings
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogFormatterSciNotation, NullLocator

import networks
import toysweep
from figures.view import TINY, cut, label, number, panels, some

KNOWN = 0.99  # accuracy from which pairs count as known
LOW = 1e-12   # losses below are all as good as 0: scales end here
SEEDS = ("seed", "split_seed", "init_seed")
LEGEND = 1.8   # inches beside the panels
MOST_PANELS, MOST_LINES, MOST_NAMES, MOST_COLOURS = 12, 40, 40, 9
TRAIN, TEST, NORM = "#31688e", "#c8553d", "#4b4b4b"
PHASES = (("memorisation", "#fbf1d9"), ("circuit formation", "#e1ecf7"), ("clean-up", "#f3e1ee"),
          ("generalised", "#dff0df"))


def says_twice(name, keys):
    """Is it a measure in terms of a^m and b^n where these are a and b? Its other form is drawn, then."""
    return name.startswith("value_") and "m" in keys and all(keys[one] % (keys["p"] - 1) == 1 % (keys["p"] - 1)
                                                             for one in ("m", "n"))


@dataclass
class Sample:
    """One finished instance: a row of its case's group."""
    name: str
    results: toysweep.Results
    instance: int
    group: object
    row: int

    def has(self, name):
        return name in self.group and bool(np.isfinite(self.group[name][self.row]).any()) and \
            not says_twice(name, self.keys())

    def get(self, name):
        return self.group[name][self.row]

    def generalises(self):
        return self.has("test_accuracy") and bool((self.get("test_accuracy") >= KNOWN).any())

    def steps(self):
        return self.group["step"][...]

    def names(self, scale):
        return [toysweep.text(value) for value in self.group[scale][...]]

    def keys(self):
        return self.results.resolved(self.instance)

    def has_network(self):
        return "weights" in self.group and networks.is_known(toysweep.links(self.group["weights"]))

    def network(self):
        """With the last weights that are kept; None if there are none."""
        if not self.has_network():
            return None
        if self.instance not in self.results.networks:
            self.results.networks[self.instance] = self.read_network()
        return self.results.networks[self.instance]

    def read_network(self):
        stored = {name: self.group["weights"][name] for name in toysweep.links(self.group["weights"])}
        return networks.network({name: values[self.row, -1] if toysweep.dimensions(values)[1] == "step" else
                                 values[self.row] for name, values in stored.items()})


@dataclass
class Cell:
    """Instances that differ in nothing but seeds. `at`: where their curves are, (group, rows of those finished)."""
    name: str
    count: int
    at: tuple
    results: toysweep.Results
    instances: np.ndarray  # those finished

    def __post_init__(self):
        self.known = {}  # name -> is_known(), which reads the file

    def curves(self, name):
        """(steps, values (finished instances, steps)) of a measure; None if the file does not have it."""
        group, rows = self.at
        if name not in group or "step" not in group:
            return None
        return group["step"][...], group[name][rows]

    def final(self, name):
        """(finished instances, ...) of what is measured at the end."""
        group, rows = self.at
        return group[name][rows]

    def names(self, scale):
        return [toysweep.text(value) for value in self.at[0][scale][...]]

    def reached(self, name):
        """Step of the first checkpoint at which each instance knows its pairs, as first_step."""
        if not self.is_known(name):
            return np.full(len(self.at[1]), np.inf)
        steps, values = self.curves(name)
        return first_step(steps, values)

    def is_known(self, name):
        """Is there anything to draw? (All pairs may be training pairs.)"""
        group, rows = self.at
        if name not in self.known:
            self.known[name] = name in group and len(rows) > 0 and bool(np.isfinite(group[name][rows]).any()) and \
                not says_twice(name, self.results.resolved(int(self.instances[0])))
        return self.known[name]

    def is_followed(self, name):
        """Is it known from the first checkpoint on? (Of weights trained elsewhere only the end is.)"""
        group, rows = self.at
        return self.is_known(name) and bool(np.isfinite(group[name][rows][:, 0]).any())

    def grokked(self):
        """How many of the finished instances came to know their test pairs; None if no curve tells."""
        return int(np.isfinite(self.reached("test_accuracy")).sum()) if self.is_followed("test_accuracy") else None

    def samples(self, most):
        """At most so many of the finished instances."""
        return [self.sample(place) for place in some(range(len(self.instances)), most)]

    def best(self):
        """The finished instance with the smallest final loss on all pairs."""
        final = self.results.table.get("all_loss", np.zeros(self.results.count))[self.instances]
        return self.sample(int(np.argmin(np.where(np.isfinite(final), final, np.inf))))

    def sample(self, place):
        seeds, instance = self.results.table.get("seed", np.arange(self.results.count)), int(self.instances[place])
        name = f"{self.name}, seed {seeds[instance]}" if len(self.instances) > 1 else self.name
        return Sample(name, self.results, instance, self.at[0], int(self.at[1][place]))


class View:
    """All tables of a sweep, as cells in the sweep's order."""

    def __init__(self, results, rows):
        labels = results.labels[results.table["case"]]
        parts = [(label, rows[labels[rows] == label]) for label in dict.fromkeys(labels[rows])]
        keys = [name for name in results.varying if name not in SEEDS and is_beside(results.table[name], parts)]
        self.results = results
        results.networks = {}  # instance -> its network: several figures are made from the same few
        self.title = "Tables" if len(rows) < results.count else ""
        self.cells = [make_cell(results, label, fixed, own) for label, part in parts
                      for fixed, own in cut(results, keys, {}, part) if len(own)]
        self.finished = [cell for cell in self.cells if len(cell.at[1])]

    def has(self, *names):
        return [cell for cell in self.finished if all(cell.is_known(name) for name in names)]

    def best(self, name, most):
        """Of each cell the instance with the smallest loss on all pairs, cells that generalise first."""
        found = [sample for cell in some(self.has(name), 100) for sample in [cell.best()] if sample.has(name)]
        return sorted(found, key=lambda sample: not sample.generalises())[:most]

    def samples(self, name, most=MOST_PANELS, each=4):
        """Instances that have a measure: at most `most` in all, spread over the cells, and `each` of a cell."""
        cells = some(self.has(name), most)
        return [sample for cell in cells for sample in cell.samples(max(1, min(each, most // len(cells))))
                if sample.has(name)]


def is_beside(column, parts):
    """Does a key differ among instances of one label, which then does not say it?"""
    return any(len(toysweep.distinct(column[rows])) > 1 for _, rows in parts)


def make_cell(results, table, fixed, rows):
    keys, parts = results.resolved(int(rows[0])), [table]
    for name in fixed:
        if name in keys:
            value = keys[name]
            parts.append(f"{label(name).split(' (')[0]} "
                         f"{('no', 'yes')[value] if isinstance(value, bool) else number(results.shown(value))}")
    group, _ = results.case_of(int(rows[0]))
    done = rows[results.table["status"][rows] == toysweep.DONE]
    return Cell(", ".join(parts), len(rows), (group, np.searchsorted(group["instance"][...], done)), results, done)


def median(values):
    """Median over instances; NaN where none has a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(values, axis=0)


def first_step(steps, values):
    """Step at which each instance's accuracy, of (instances, steps), first was KNOWN; infinite where it never was, or
    where only the end is known (weights trained elsewhere)."""
    happened = (values >= KNOWN) & np.isfinite(values[:, :1])
    return np.where(happened.any(axis=1), steps[happened.argmax(axis=1)], np.inf)


def median_step(steps):
    """Infinite unless half of the instances get there: the lower median, so that a step is one that was reached."""
    return np.sort(steps)[(len(steps) - 1) // 2] if len(steps) else np.inf


def left_out(view, shown):
    names = [cell.name for cell in view.cells if not any(cell is one for one in shown)]
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f" Not shown: {'; '.join(names[:MOST_NAMES])}{more}."


# --- Phases --------------------------------------------------------------------------------------------------------

PHASES_TEXT = (f" Shaded: memorisation, until {KNOWN:.0%} of the training pairs are right; circuit formation, until "
               "the test loss has fallen to half of its peak; clean-up, until "
               f"{KNOWN:.0%} of the test pairs are right; generalised.")


def phase_starts(group, rows):
    """Median steps over instances at which circuit formation, clean-up and the generalised phase begin."""
    steps, curves = group["step"][...], {}
    for name in ("train_accuracy", "test_accuracy", "test_loss"):
        curves[name] = group[name][rows] if name in group else np.full((len(rows), len(steps)), np.nan)
    memorised = first_step(steps, curves["train_accuracy"])
    generalised = first_step(steps, curves["test_accuracy"])
    high = curves["test_loss"] > 0.5 * np.nanmax(np.nan_to_num(curves["test_loss"]), axis=1, keepdims=True)
    last = len(steps) - 1 - high[:, ::-1].argmax(axis=1)  # the last that is high
    falls = high.any(axis=1) & (last + 1 < len(steps))
    cleaning = np.where(falls, steps[np.minimum(last + 1, len(steps) - 1)], np.inf)
    cleaning = np.minimum(np.maximum(cleaning, memorised), generalised)
    return [median_step(found) for found in (memorised, cleaning, generalised)]


def shade_phases(axis, group, rows):
    left, right = axis.get_xlim()
    starts = phase_starts(group, rows)
    edges = [left, *starts, right]
    for i, (_, colour) in enumerate(PHASES):
        begin, end = min(edges[i], right), min([right, *edges[i + 1:]])
        if begin < end:
            axis.axvspan(begin, end, color=colour, zorder=0, linewidth=0)
        if i and begin < right:
            axis.axvline(begin, color="#888888", linewidth=0.6, linestyle=":", zorder=1)


def phase_handles():
    return [Patch(facecolor=colour, edgecolor="#bbbbbb", linewidth=0.5, label=name) for name, colour in PHASES]


# --- Panels --------------------------------------------------------------------------------------------------------

def step_scale(axis):
    """Logarithmic, with step 0 at the left end: linear from 0 to 1."""
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    axis.set_xlim(left=0)


def strip_scale(axis, first, last):
    """Steps from the first to the last that are drawn, a decade at least; only an early first one shows step 0."""
    if first < 2:
        step_scale(axis)
    else:
        axis.set_xscale("log")
        axis.set_xlim(left=first / 1.3)
    left = axis.get_xlim()[0]
    marks = (1, 1.5, 2, 3, 4, 5, 7) if left > last / 8 else (1, 2, 5) if left > last / 300 else (1,)
    decades = 10.0 ** np.arange(int(np.log10(last)) + 1)
    ticks = [mark * decade for decade in decades for mark in marks if left <= mark * decade <= last]
    if first < 2:
        ticks.insert(0, 0)
    axis.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())


def log_losses(axes):
    """Of panels that share them: minor ticks, which take most of the drawing, only where decades are few."""
    axes[0].set_yscale("log")
    bottom, top = axes[0].get_ylim()
    bottom = max(bottom, LOW)
    axes[0].set_ylim(bottom=bottom)
    for axis in axes:
        if top > 100 * bottom:
            axis.yaxis.set_minor_locator(NullLocator())
        else:
            axis.yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(1.6, 0.5)))


def title_of(one):
    """A long name on two lines."""
    name, at = one.name, one.name.find(", ", len(one.name) // 3)
    return name if len(name) < 30 or at < 0 else f"{name[:at + 1]}\n{name[at + 2:]}"


def grid_of(shown, width=3.4, height=2.8, alone=(5.2, 4.2), beside=0.0, **options):
    """(picture, axes of the shown in a flat list, all axes): small multiples with titles, and room for a legend of a
    width beside them."""
    columns = 4 if len(shown) > 6 else 2 if len(shown) == 4 else min(3, len(shown))
    rows = -(-len(shown) // columns)
    width, height = alone if len(shown) == 1 else (width, height)
    picture, axes = panels(rows, columns, width + beside / columns, height, **options)
    for axis, one in zip(axes.flat, shown):
        axis.set_title(title_of(one), fontsize=9)
    for axis in axes.flat[len(shown):]:
        axis.set_visible(False)
    return picture, list(axes.flat[:len(shown)]), axes


def label_steps(axes, count):
    """Names the x axis below the lowest panel of each column."""
    columns = axes.shape[1]
    for axis in axes.flat[max(0, count - columns):count]:
        axis.set_xlabel("training step")
        axis.tick_params(labelbottom=True)


def legend_beside(axes, handles):
    """To the right of the panels; the last panel keeps its own legend."""
    axis = axes[0][-1]
    own = axis.get_legend()
    axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if own:
        axis.add_artist(own)


def draw_instances(axis, steps, values, color):
    for row in some(range(len(values)), MOST_LINES):
        axis.plot(steps, values[row], color=color, linewidth=0.8, alpha=0.45 if len(values) <= 10 else 0.2, zorder=2)
    axis.plot(steps, median(values), color=color, linewidth=2.0, zorder=3)


def curve_panels(view, measures, scale, what):
    """Small multiples, one for each cell: (measure, name, colour) over steps. None if no cell has the first."""
    cells = view.has(measures[0][0])
    if not cells:
        return None
    shown = some(cells, MOST_PANELS)
    picture, flat, axes = grid_of(shown, beside=LEGEND, sharex=True, sharey=True)
    for axis, cell in zip(flat, shown):
        for name, _, color in measures:
            if cell.is_known(name):
                steps, values = cell.curves(name)
                draw_instances(axis, steps, np.maximum(values, TINY) if scale == "log" else values, color)
    if scale == "log":
        log_losses(flat)
    step_scale(flat[0])
    for axis, cell in zip(flat, shown):
        shade_phases(axis, *cell.at)
    label_steps(axes, len(shown))
    handles = [Line2D([], [], color=color, linewidth=2.0, label=name) for _, name, color in measures if name]
    legend_beside(axes, handles + phase_handles())
    picture.suptitle(what)
    return picture, axes, left_out(view, shown)


def colours(count):
    """Of the first, most important ones; the others are grey."""
    palette = [plt.cm.tab10(i) for i in (0, 1, 2, 3, 4, 5, 6, 8, 9)][:MOST_COLOURS]
    return [palette[i] if i < len(palette) else (0.72, 0.72, 0.72, 1.0) for i in range(count)]


def draw_named(axis, steps, values, names, wanted, style="-"):
    """Lines (steps, names): the `wanted` in colours, most important first, the others thin and grey."""
    for i in np.setdiff1d(np.arange(len(names)), wanted[:MOST_COLOURS]):
        axis.plot(steps, values[:, i], color="#b8b8b8", linewidth=0.5, zorder=1.5)
    for i, colour in zip(wanted[:MOST_COLOURS], colours(len(wanted))):
        axis.plot(steps, values[:, i], style, color=colour, linewidth=1.5, zorder=2, label=names[i])


def small_legend(axis, count, **options):
    if count:
        axis.legend(fontsize=7, handlelength=1.2, labelspacing=0.25, borderaxespad=0.3, ncol=1 + (count > 5),
                    columnspacing=0.8, **{"loc": "best", **options})


def note_grey(names):
    return f" Coloured: the key {names}, at most {MOST_COLOURS}; grey: the others."
