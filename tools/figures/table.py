"""Figures of the table tasks (group, cayley): how instances first memorise the training pairs and later generalise."""

import warnings
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogFormatterSciNotation, NullLocator

import toysweep
from figures.view import TINY, Figure, cut, html_table, label, number, panels, some

KNOWN = 0.99  # accuracy from which pairs count as known
LOW = 1e-12   # losses below are all as good as 0: scales end here
SEEDS = ("seed", "split_seed", "init_seed")
MOST_PANELS, MOST_STRIPS, MOST_LINES = 12, 40, 40
MOST_NAMES, MOST_ROWS = 40, 400
TRAIN, TEST, NORM = "#31688e", "#c8553d", "#4b4b4b"
MEMORISED, GENERALISED = "#f6e7c4", "#d9ecd9"


@dataclass
class Cell:
    """Instances that differ in nothing but seeds. `at`: where their curves are, (group, rows of those finished)."""
    name: str
    count: int
    at: tuple

    def curves(self, name):
        """(steps, values (finished instances, steps)) of a measure; None if the file does not have it."""
        group, rows = self.at
        if name not in group or "step" not in group:
            return None
        return group["step"][...], group[name][rows]

    def reached(self, name):
        """Step of the first checkpoint at which each instance knows its pairs; infinite where it never does."""
        if not self.is_known(name):
            return np.full(len(self.at[1]), np.inf)
        steps, values = self.curves(name)
        known = values >= KNOWN
        return np.where(known.any(axis=1), steps[known.argmax(axis=1)], np.inf)

    def is_known(self, name):
        """Is there anything to draw? (All pairs may be training pairs.)"""
        found = self.curves(name)
        return found is not None and bool(np.isfinite(found[1]).any())


class View:
    """All table tasks of a sweep, as cells in the sweep's order."""

    def __init__(self, results, rows):
        own, every = ([*toysweep.distinct(column)] for column in task_columns(results, rows))
        self.title = f"task: {', '.join(own)}" if len(own) < len(every) else ""
        keys = [name for name in results.varying if name not in SEEDS + ("task", "group", "cayley")
                and len(toysweep.distinct(results.table[name][rows])) > 1]
        named = [name for name in ("task", "group", "cayley") if name in results.varying]
        self.cells = [make_cell(results, fixed, part) for fixed, part in cut(results, named + keys, {}, rows)]
        self.finished = [cell for cell in self.cells if len(cell.at[1])]

    def has(self, *names):
        return [cell for cell in self.finished if all(cell.is_known(name) for name in names)]


def task_columns(results, rows):
    """Tasks of the rows, and of all instances. Where the sweep has one task, the file has no such column."""
    column = results.table.get("task", np.array([], dtype=object))
    return column[rows] if len(column) else column, column


def views(results, rows, loss):
    """One view: cells of different groups are compared in one figure. (`loss` is for other families.)"""
    view = View(results, rows)
    return [view] if view.finished else []


def make_cell(results, fixed, rows):
    keys = results.resolved(int(rows[0]))
    parts = [short_name(keys[keys["task"]])] if keys["task"] in ("group", "cayley") else []
    for name in fixed:
        if name not in ("task", "group", "cayley") and name in keys:
            value = keys[name]
            parts.append(f"{label(name).split(' (')[0]} "
                         f"{('no', 'yes')[value] if isinstance(value, bool) else short_name(number(value))}")
    group, _ = results.case_of(int(rows[0]))
    done = rows[results.table["status"][rows] == toysweep.DONE]
    return Cell(", ".join(parts), len(rows), (group, np.searchsorted(group["instance"][...], done)))


def short_name(value):
    """Files are known by the SHA-256 of what they hold: its first digits will do."""
    return f"file {value[7:15]}" if value.startswith("sha256:") else value


def median(values):
    """Median over instances; NaN where none has a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(values, axis=0)


def median_step(steps):
    """Infinite unless half of the instances get there: the lower median, so that a step is one that was reached."""
    return np.sort(steps)[(len(steps) - 1) // 2] if len(steps) else np.inf


def left_out(view, shown):
    names = [cell.name for cell in view.cells if not any(cell is one for one in shown)]
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f" Not shown: {'; '.join(names[:MOST_NAMES])}{more}."


# --- Curves --------------------------------------------------------------------------------------------------------

def step_scale(axis):
    """Logarithmic, with step 0 at the left end: linear from 0 to 1."""
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    axis.set_xlim(left=0)


def shade_phases(axis, cell):
    """Shades what follows the median step of memorisation and that of generalisation."""
    end = axis.get_xlim()[1]
    memorised, generalised = (median_step(cell.reached(name)) for name in ("train_accuracy", "test_accuracy"))
    for start, stop, color in ((memorised, min(generalised, end), MEMORISED), (generalised, end, GENERALISED)):
        if start < stop:
            axis.axvspan(start, stop, color=color, zorder=0, linewidth=0)
            axis.axvline(start, color="#777777", linewidth=0.7, linestyle=":", zorder=1)


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
    columns = 4 if len(shown) > 6 else 2 if len(shown) == 4 else min(3, len(shown))
    rows = -(-len(shown) // columns)
    picture, axes = panels(rows, columns, *((6.4, 4.2) if len(shown) == 1 else (3.4, 2.8)), sharex=True, sharey=True)
    for axis, cell in zip(axes.flat, shown):
        for name, _, color in measures:
            if cell.is_known(name):
                steps, values = cell.curves(name)
                draw_instances(axis, steps, np.maximum(values, TINY) if scale == "log" else values, color)
        axis.set_yscale(scale)
        axis.set_title(title_of(cell), fontsize=9)
        if scale == "log":
            axis.yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(1.6, 0.5)))
    step_scale(axes[0][0])
    finish_panels(axes, shown, columns)
    handles = [Line2D([], [], color=color, linewidth=2.0, label=name) for _, name, color in measures if name]
    handles += [Patch(color=MEMORISED, label="memorised"), Patch(color=GENERALISED, label="generalised")]
    picture.suptitle(what)
    axes[0][-1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return picture, axes, left_out(view, shown)


def title_of(cell):
    """A long name on two lines."""
    name, at = cell.name, cell.name.find(", ", len(cell.name) // 3)
    return name if len(name) < 30 or at < 0 else f"{name[:at + 1]}\n{name[at + 2:]}"


def finish_panels(axes, shown, columns):
    for axis, cell in zip(axes.flat, shown):
        shade_phases(axis, cell)
    for axis in axes.flat[len(shown):]:
        axis.set_visible(False)
    for axis in axes.flat[max(0, len(shown) - columns):len(shown)]:  # the lowest that is shown in each column
        axis.set_xlabel("training step")
        axis.tick_params(labelbottom=True)


PHASES = (f" Thin: instances; thick: their median. Shaded: from the median step at which {KNOWN:.0%} of the training "
          f"pairs are right (memorised), and from that at which {KNOWN:.0%} of the test pairs are (generalised).")


def loss_curves(view, options):
    made = curve_panels(view, [("train_loss", "training pairs", TRAIN), ("test_loss", "test pairs", TEST)], "log",
                        "Loss on training and test pairs")
    if made is None:
        return None
    picture, axes, rest = made
    axes[0][0].set_ylim(bottom=max(axes[0][0].get_ylim()[0], LOW))
    for axis in axes[:, 0]:
        axis.set_ylabel("cross-entropy (nat)")
    return Figure(picture, "The mean cross-entropy at every checkpoint." + PHASES + rest)


def accuracy_curves(view, options):
    made = curve_panels(view, [("train_accuracy", "training pairs", TRAIN), ("test_accuracy", "test pairs", TEST)],
                        "linear", "Accuracy on training and test pairs")
    if made is None:
        return None
    picture, axes, rest = made
    axes[0][0].set_ylim(-0.03, 1.03)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy")
    return Figure(picture, "The share of pairs whose most likely output is right, at every checkpoint." + PHASES + rest)


def weight_norm(view, options):
    made = curve_panels(view, [("weight_norm2", "sum of squared weights", NORM)], "log", "Sum of squared weights")
    if made is None:
        return None
    picture, axes, rest = made
    for axis in axes[:, 0]:
        axis.set_ylabel("sum of squares")
    return Figure(picture, "The sum of squares of all weights at every checkpoint." + PHASES + rest)


# --- When it generalises -------------------------------------------------------------------------------------------

def grokking_steps(view, options):
    """Step at which the test accuracy first reaches 99 %, an instance a dot."""
    cells = view.has("train_accuracy", "test_accuracy")
    if not cells:
        return None
    shown = some(cells, MOST_STRIPS)
    width = 5.6 + 0.08 * max(len(cell.name) for cell in shown)
    picture, axis = plt.subplots(figsize=(width, 1.5 + 0.34 * max(len(shown), 2)))
    steps = [cell.reached("test_accuracy") for cell in shown]
    last = max(1, *(cell.curves("test_accuracy")[0][-1] for cell in shown))
    never = 2 * last
    for y, found in enumerate(steps):
        draw_strip(axis, y, found, never)
        axis.axhline(y + 0.5, color="#e4e4e4", linewidth=0.6, zorder=0)
    strip_scale(axis, min(last / 10, *(found.min() for found in steps)), last)
    axis.set_xlim(right=1.5 * never)
    axis.axvline(1.4 * last, color="gray", linewidth=0.8)
    axis.text(never, -0.65, "never", ha="center", va="bottom", fontsize=9, color="#666666")
    axis.set(ylim=(len(shown) - 0.4, -0.6), xlabel="training step")
    axis.set_title(f"First checkpoint with {KNOWN:.0%} of the test pairs right", pad=18)
    axis.set_yticks(range(len(shown)), [cell.name for cell in shown])
    axis.grid(axis="y", visible=False)
    return Figure(picture, f"The step at which each instance first gets {KNOWN:.0%} of its test pairs right (dots, "
                           "one below the other), and the median (bar), where half of the instances get there. "
                           "Crosses: instances that never do." + left_out(view, shown), grokking_table(view))


def strip_scale(axis, first, last):
    """Steps from the first to the last that are drawn, a decade at least; only an early first one shows step 0."""
    if first < 2:
        step_scale(axis)
    else:
        axis.set_xscale("log")
        axis.set_xlim(left=first / 1.3)
    left = axis.get_xlim()[0]
    marks = (1, 2, 5) if left > last / 300 else (1,)
    decades = 10.0 ** np.arange(int(np.log10(last)) + 1)
    ticks = [0] * (first < 2) + [mark * decade for decade in decades for mark in marks if left <= mark * decade <= last]
    axis.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())


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
        if done and cell.is_known("test_accuracy"):
            steps, last = cell.reached("test_accuracy"), cell.curves("test_accuracy")[0][-1]
            middle = median_step(steps)
            rows.append((cell.name, count, int(np.isfinite(steps).sum()),
                         f"{middle:.0f}" if np.isfinite(middle) else f"> {last}"))
        else:
            rows.append((cell.name, count, "-", "-"))
    if len(view.cells) > MOST_ROWS:
        rows.append((f"and {len(view.cells) - MOST_ROWS} more", "", "", ""))
    return html_table(("case", "instances", "grokked", "median step"), rows)


FIGURES = [loss_curves, accuracy_curves, weight_norm, grokking_steps]
