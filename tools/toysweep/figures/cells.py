"""What figures of table tasks are drawn from: cells, samples of their instances, and panels with the phases shaded."""

import warnings
from dataclasses import dataclass

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from toysweep import networks
import toysweep
from toysweep.figures.beside import legend_beside
from toysweep.figures.chosen import chosen
from toysweep.figures.phases import KNOWN, first_step, phase_handles, reached_words, shade_phases
from toysweep.figures.swept import SEEDS
from toysweep.figures.terms import are_tokens, terms_of
from toysweep.figures.view import TINY, Reasons, cut, is_lacking, label, number, panels, some

LOW = 1e-12   # losses below are all as good as 0: scales end here
MOST_PANELS, MOST_LINES, MOST_NAMES = 12, 40, 40
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#bcbd22", "#17becf", "#1a2f6b",
           "#7a9a01", "#f4a3a8")
MOST_COLOURS = len(COLOURS)
RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
TRAIN, TEST, NORM = "#31688e", "#c8553d", "#4b4b4b"


def says_twice(name, keys):
    """Is it a measure in terms of a^m and b^n where these are a and b? Its other form is drawn, then."""
    terms = terms_of(keys) if name.startswith("value_") else None
    return terms is not None and are_tokens(terms)


def dataset_of(group, name):
    """Of a measure, or of one of several that it has: "final_key_ratio[mean]"; None if the file does not have it."""
    return group.get(name.partition("[")[0])


def read(group, name, rows):
    """What a measure is for rows of its case, or one row; labels in brackets are those along its last dimensions."""
    dataset = dataset_of(group, name)
    values, dimensions = dataset[rows], toysweep.dimensions(dataset)
    labels = [label.strip() for label in name.rstrip("]").partition("[")[2].split(",") if label]
    for wanted, dimension in zip(reversed(labels), reversed(dimensions)):
        values = values[..., [toysweep.text(one) for one in group[dimension][...]].index(wanted)]
    return values


def in_full(steps, values, keys, axis):
    """(steps, values) of a curve, whose steps lie along `axis`: of a measure that is not made at every checkpoint (key
    `measures_every`) at those measured in full alone, so that lines go on."""
    every, last = int(keys.get("measures_every", 1)), len(steps) - 1
    if every == 1:
        return steps, values
    known = np.isfinite(np.moveaxis(values, axis, -1).reshape(-1, len(steps)))
    kept = (np.arange(len(steps)) % every == 0) | (np.arange(len(steps)) == last)
    before_the_end = np.arange(len(steps)) < last - known[:, ::-1].argmax(1)[:, None]  # which may be at any checkpoint
    if (known & before_the_end)[:, ~kept].any():
        return steps, values
    return steps[kept], np.compress(kept, values, axis)


@dataclass
class Sample:
    """One finished instance: a row of its case's group."""
    name: str
    results: toysweep.Results
    instance: int
    group: object
    row: int

    def has(self, name):
        return dataset_of(self.group, name) is not None and bool(np.isfinite(self.get(name)).any()) and \
            not says_twice(name, self.keys())

    def get(self, name):
        return read(self.group, name, self.row)

    def curve(self, name):
        """(steps, values (steps, ...)) to be drawn as a line."""
        return in_full(self.steps(), self.get(name), self.keys(), 0)

    def last(self, name):
        """Of a curve its point at the chosen step, else at the instance's last: it may have stopped before its case."""
        return self.get(name)[self.place()]

    def place(self):
        """Number of that checkpoint; the last that was measured, up to the chosen step."""
        known = np.flatnonzero(np.isfinite(self.get("train_loss")) &
                               (self.steps() <= (np.inf if chosen.step is None else chosen.step)))
        return int(known[-1]) if len(known) else 0

    def generalises(self):
        return self.has("test_accuracy") and bool((self.get("test_accuracy") >= KNOWN).any())

    def steps(self):
        return self.group["step"][...]

    def names(self, scale):
        return [toysweep.text(value) for value in self.group[scale][...]]

    def keys(self):
        return self.results.resolved(self.instance)

    def has_one_embedding(self):
        """Is it that of both sides, as in a transformer?"""
        return self.keys().get("model") == "transformer" or self.keys().get("embedding") == "one_hot"

    def has_network(self):
        return "weights" in self.group and networks.is_known(toysweep.links(self.group["weights"])) and not (
            self.keys().get("layer_norm", False))  # behind which nothing is linear

    def network(self):
        """With the weights of the chosen step, or the last that are kept; None if there are none."""
        if not self.has_network():
            return None
        if self.instance not in self.results.networks:
            try:
                weights = self.results.weights(self.instance, chosen.step)
            except toysweep.ResultsError:  # none of that step: the instance ended before, or it saves those of its end
                weights = {"": np.array(np.nan)}
            known = all(np.isfinite(values).all() for values in weights.values())  # not of unfinished instances
            self.results.networks[self.instance] = networks.network(weights, self.keys()) if known else None
        return self.results.networks[self.instance]


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
        if len(rows) == 0:
            return group["step"][...], group[name][rows]
        return in_full(group["step"][...], group[name][rows], self.results.resolved(int(self.instances[0])), 1)

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


class View(Reasons):
    """All tables of a sweep, as cells in the sweep's order."""

    def __init__(self, results, rows):
        labels = results.labels[results.table["case"]]
        parts = [(label, rows[labels[rows] == label]) for label in dict.fromkeys(labels[rows])]
        keys = [name for name in results.varying if name not in SEEDS and is_beside(results.table[name], parts)]
        self.results, self.all_rows = results, rows
        results.networks = {}  # instance -> its network: several figures are made from the same few
        self.title = "Tables" if len(rows) < results.count else ""
        self.cells = [make_cell(results, label, fixed, own) for label, part in parts
                      for fixed, own in cut(results, keys, {}, part) if len(own)]
        self.finished = [cell for cell in self.cells if len(cell.at[1])]
        self.has_powers = any("m" in cell.sample(0).keys() for cell in self.finished)

    def has(self, *names):
        found = [cell for cell in self.finished if all(cell.is_known(name) for name in names)]
        if not found:
            self.lacks(f"no finished instance has {' and '.join(names)}")
        return found

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
        column = results.table[name]
        if name in keys or not is_lacking(column, column[rows[0]]):  # a later key is not among them at its default
            value = keys.get(name, column[rows[0]])
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


def left_out(view, shown):
    names = [cell.name for cell in view.cells if not any(cell is one for one in shown)]
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f" Not shown: {'; '.join(names[:MOST_NAMES])}{more}."


# --- Panels --------------------------------------------------------------------------------------------------------

def is_even(steps):
    """Are checkpoints at equal distances? The last may come sooner, where they do not divide the steps."""
    gaps = np.diff(steps)
    return len(gaps) < 2 or (gaps[:-1] == gaps[0]).all() and gaps[-1] <= gaps[0]


def is_linear(every_steps):
    """Is the axis of steps linear? As asked for, else where all checkpoints are at equal distances."""
    return chosen.axis == "linear" or chosen.axis == "auto" and all(map(is_even, every_steps))


def drawn_steps(axis):
    """Steps of the curves in all panels that share the axis."""
    lines = [line for one in axis.get_shared_x_axes().get_siblings(axis) for line in one.lines]
    return [steps for steps in (up_to_gap(np.asarray(line.get_xdata())) for line in lines) if len(steps) > 2]


def up_to_gap(steps):
    """Of a line that is several (draw_named) the first."""
    gaps = np.flatnonzero(np.isnan(steps)) if steps.dtype.kind == "f" else ()
    return steps[:gaps[0]] if len(gaps) else steps


def step_scale(axis, every_steps=None):
    """Linear, or logarithmic with step 0 at the left end (linear from 0 to 1). every_steps: of the checkpoints drawn;
    None: of the curves that the axis has."""
    if is_linear(drawn_steps(axis) if every_steps is None else every_steps):
        axis.set_xlim(left=0)
        axis.xaxis.get_major_locator().set_params(nbins=5)
        axis.xaxis.set_major_formatter(FuncFormatter(short_step))
    else:
        axis.set_xscale("symlog", linthresh=1, linscale=0.4)
        axis.set_xlim(left=0)
        axis.xaxis.set_major_formatter(FuncFormatter(power_of_ten))


def short_step(step, _=None):
    return f"{step / 1e6:g}M" if step >= 1e6 else f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"


def power_of_ten(value, _=None):
    """As matplotlib writes it, but as plain text: mathematics takes ten times as long."""
    if value <= 0:
        return f"{value:g}"
    exponent = int(np.floor(np.log10(value) + 1e-9))
    factor = value / 10.0 ** exponent
    if exponent in (0, 1):
        return f"{value:g}"
    power = "10" + str(exponent).translate(RAISED)
    return power if abs(factor - 1) < 1e-6 else f"{factor:g}\u00b7{power}"


def strip_scale(axis, first, last, every_steps):
    """Steps from the first to the last that are drawn, a decade at least; only an early first one shows step 0."""
    if is_linear(every_steps):
        axis.set_xlim(left=0)
        axis.xaxis.set_major_formatter(FuncFormatter(short_step))
        return
    if first < 2:
        step_scale(axis, every_steps)
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
        name_decades(axis.yaxis, bottom, top)


def name_decades(axis, bottom, top):
    """Of a logarithmic x or y axis from bottom to top."""
    axis.set_major_formatter(FuncFormatter(power_of_ten))
    if top > 100 * bottom:
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_minor_formatter(FuncFormatter(few_minor(top / bottom)))


def few_minor(ratio):
    """Labels of minor ticks: all where there is less than a decade and a half, else 2 and 5."""
    def write(value, _):
        digit = round(value / 10.0 ** np.floor(np.log10(value) + 1e-9))
        return power_of_ten(value) if ratio < 5 or digit in (2, 5) else ""
    return write


def title_of(one):
    """A long name on two lines."""
    name, at = one.name, one.name.find(", ", len(one.name) // 3)
    return name if len(name) < 30 or at < 0 else f"{name[:at + 1]}\n{name[at + 2:]}"


def grid_of(shown, width=3.4, height=2.8, alone=(5.2, 4.2), **options):
    """(picture, axes of the shown in a flat list, all axes): small multiples with titles."""
    columns = 4 if len(shown) > 6 else 2 if len(shown) == 4 else min(3, len(shown))
    rows = -(-len(shown) // columns)
    width, height = alone if len(shown) == 1 else (width, height)
    picture, axes = panels(rows, columns, width, height, **options)
    for axis, one in zip(axes.flat, shown):
        axis.set_title(title_of(one), fontsize=9)
    for axis in axes.flat[len(shown):]:
        axis.set_visible(False)
    return picture, list(axes.flat[:len(shown)]), axes


def label_steps(axes, count, words="training step"):
    """Names the x axis below the lowest panel of each column."""
    columns = axes.shape[1]
    for axis in axes.flat[max(0, count - columns):count]:
        axis.set_xlabel(words)
        axis.tick_params(labelbottom=True)


def draw_instances(axis, steps, values, color):
    for row in some(range(len(values)), MOST_LINES):
        axis.plot(steps, values[row], color=color, linewidth=0.8, alpha=0.45 if len(values) <= 10 else 0.2, zorder=2)
    axis.plot(steps, median(values), color=color, linewidth=2.0, zorder=3)


def note_grokked(axis, cell):
    """Where not all instances generalise, so that a boundary is not that of all."""
    if cell.grokked() not in (None, 0, len(cell.at[1])):
        axis.text(0.99, 0.01, f"grokked: {reached_words(cell.reached('test_accuracy'))}", transform=axis.transAxes,
                  ha="right", va="bottom", fontsize=7.5, zorder=4)


def curve_panels(view, measures, scale, what):
    """Small multiples, one for each cell: (measure, name, colour) over steps. None if no cell has the first."""
    cells = view.has(measures[0][0])
    if not cells:
        return None
    shown = some(cells, MOST_PANELS)
    picture, flat, axes = grid_of(shown, sharex=True, sharey=True)
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
        note_grokked(axis, cell)
    label_steps(axes, len(shown))
    handles = [Line2D([], [], color=color, linewidth=2.0, label=name) for _, name, color in measures if name]
    legend_beside(axes, handles + phase_handles())
    picture.suptitle(what)
    return picture, axes, left_out(view, shown)


def coloured(names, wanted):
    """{number: colour} of the lines that get one: those that were asked for, else all if they are few (then a name has
    the same colour everywhere), else the `wanted`, most important first."""
    if chosen.irreps:
        return dict(zip(chosen.places(names), COLOURS))
    if len(names) <= MOST_COLOURS:
        return dict(enumerate(COLOURS[:len(names)]))
    return dict(zip(map(int, wanted), COLOURS))


def draw_named(axis, steps, values, names, wanted, style="-"):
    """Lines (steps, names): the `wanted` in colours, most important first, the others thin, or grey."""
    shown = coloured(names, wanted)
    others = [values[:, i] for i in range(len(names)) if i not in shown]
    if others:  # as one line with gaps, which is drawn in a tenth of the time
        axis.plot(np.tile(np.append(steps, np.nan), len(others)),
                  np.concatenate([np.append(one, np.nan) for one in others]), color="#b8b8b8", linewidth=0.5,
                  zorder=1.5)
    for i, colour in shown.items():
        is_key = i in wanted or chosen.irreps
        axis.plot(steps, values[:, i], style, color=colour, linewidth=1.6 if is_key else 0.7,
                  zorder=2 if is_key else 1.8, label=names[i])


def name_lines(flat, axes, handles, **place):
    """Legends of what draw_named drew: one beside all panels if they have the same lines, else one in each; beside them
    `handles` too."""
    found = [axis.get_legend_handles_labels() for axis in flat]
    same = {tuple((line.get_color(), name) for line, name in zip(*one)) for one in found}
    if len(same) == 1 and found[0][0]:
        lines, names = found[0]
        legend_beside(axes, [Line2D([], [], color=line.get_color(), linewidth=line.get_linewidth(), label=name)
                             for line, name in zip(lines, names)] + handles)
        return
    for axis in flat:
        small_legend(axis, len(axis.get_legend_handles_labels()[0]), **place)
    legend_beside(axes, handles)


def small_legend(axis, count, **options):
    if count:
        axis.legend(fontsize=7 if count <= 8 else 6, handlelength=1.2, labelspacing=0.25, borderaxespad=0.3,
                    ncol=1 + (count > 5) + (count > 8), columnspacing=0.8, **{"loc": "best", **options})


def note_grey(names):
    if chosen.irreps:
        return f" Coloured: {', '.join(chosen.irreps)}; grey: the others."
    return f" Thick: the key {names}. Of more than {MOST_COLOURS} only the key {names} are coloured, the others grey."
