"""Parts of a sweep in one picture, on an axis of equal feature counts: a tree, a tree without stopping, features
without hierarchy. And what they share with feature.py: the ways in which the instances of a cell are taken together,
and bars of smallest widths."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from toysweep.figures.beside import legend_beside
from toysweep.figures.view import Figure, Reasons, floor, html_table, label, number, panels, short, some

COLORS = ("#31688e", "#c8553d", "#5b8c3a", "#8d5a97", "#b8860b", "#4b4b4b", "#3aa6a0", "#d48ab0")
MOST_PARTS, MOST_PANELS = len(COLORS), 9


class Kind(NamedTuple):
    """How the instances of a cell are taken together."""
    field: str
    name: str
    color: str


KINDS = (Kind("best", "best instance", "#31688e"), Kind("mean", "mean over instances", "#8fc0a9"),
         Kind("stacked", "notebook's sum", "#d9a05b"))


def reductions(view):
    """Functions of a cell (x, y), one for each of KINDS."""
    return (lambda x, y: view.losses(x, y).min(), lambda x, y: view.losses(x, y).mean(), view.stacked)


def first_below(widths, losses, threshold):
    """The first of the widths with a loss below it, None if there is none."""
    return next((int(width) for width, loss in zip(widths, losses) if loss < threshold), None)


def draw_bars(axis, groups, names, colors):
    """Bars beside each other. groups: for each name a list of (width or None, widest tried), or None for a place without
    one; what is not reached is hatched, up to the widest."""
    size = 0.84 / len(groups)
    for k, (places, name, color) in enumerate(zip(groups, names, colors)):
        for i, place in enumerate(places):
            if place is None:
                continue
            width, widest = place
            at = i + (k - (len(groups) - 1) / 2) * size
            axis.bar(at, width or widest, 0.92 * size, color=color if width else "white", edgecolor=color,
                     hatch=None if width else "///", linewidth=0.8)
            axis.annotate(f"{width}" if width else f">{widest}", (at, width or widest), (0, 2), ha="center", va="bottom",
                          textcoords="offset points", fontsize=8 if len(groups) * len(places) <= 18 else 6.5)
        axis.bar(0, 0, color=color, label=name)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))


# --- Parts of a sweep side by side ---

@dataclass
class Part:
    """A view whose cells are (features, hidden): `losses` {(features, hidden): losses}, the same with `stacked` sums and
    standard `errors`."""
    name: str
    losses: dict
    stacked: dict
    errors: dict

    def features(self):
        return sorted({features for features, _ in self.losses})

    def widths(self, features):
        return sorted(hidden for of, hidden in self.losses if of == features)


def part_of(view):
    if view.x != "hidden" or view.y not in ("depth", "features"):
        return None
    part = Part(name_of(view), {}, {}, {})
    for y in view.ys:
        for x in view.xs:
            if len(view.losses(x, y)):
                group, _ = view.results.case_of(view.best(x, y))
                at = len(group["feature"]), int(x)
                part.losses[at], part.stacked[at] = view.losses(x, y), view.stacked(x, y)
                part.errors[at] = view.error(x, y)
    return part


def name_of(view):
    keys = view.results.resolved(int(view.rows[0]))
    if keys["task"] == "tree":
        return "tree" if keys["early_stopping"] else "tree, paths to leaves"
    probability = keys.get("feature_probability")
    if isinstance(probability, dict) and "branching" in probability:
        return f"no hierarchy, P(on) = {number(probability['base'])}^level"
    return f"no hierarchy, P(on) = {number(probability)}"


class Together(Reasons):
    """Parts of a sweep that have counts of features in common."""
    title = "Side by side"

    def __init__(self, parts, views):
        self.parts, self.loss = parts, views[0].loss if len({view.loss for view in views}) == 1 else "loss"
        self.results = views[0].results
        self.features = sorted({features for part in parts for features in part.features()})
        self.figures = FIGURES


def together(views):
    """[the view of those that can be compared], or none."""
    found = [(part, view) for view in views if (part := part_of(view)) and len(part.features()) > 1]
    shared = [(part, view) for part, view in found
              if any(len(set(part.features()) & set(other.features())) > 1 for other, _ in found if other is not part)]
    shared = sorted(shared, key=lambda one: (not one[0].name.startswith("tree"), one[0].name))[:MOST_PARTS]
    names = [part.name for part, _ in shared]
    for part, view in shared:
        if names.count(part.name) > 1:  # they differ in something else
            part.name = view.title
    return [Together([part for part, _ in shared], [view for _, view in shared])] if len(shared) > 1 else []


def features_axis(axis, counts):
    axis.set_xticks(range(len(counts)), [str(count) for count in counts])
    axis.set_xlim(-0.5, len(counts) - 0.5)


def name_parts(axes, parts, others=()):
    legend_beside(axes, [*(Patch(color=color, label=part.name) for part, color in zip(parts, COLORS)), *others])


BELOW = {"marker": "v", "linestyle": "", "markersize": 7, "markerfacecolor": "white"}


def draw_losses(axis, places, losses, low, style, color, **options):
    """A line with a point for each loss; those below `low`, which are drawn there, have an open triangle instead. Were
    there any?"""
    places, losses = np.asarray(places), np.asarray(losses)
    ordinary = list(np.flatnonzero(losses >= low))
    axis.plot(places, np.maximum(losses, low), style, color=color, markevery=ordinary, **options)
    axis.plot(places[losses < low], np.full((losses < low).sum(), low), color=color, zorder=3, **BELOW)
    return bool((losses < low).any())


def said_below(low, is_below):
    return f" Open triangles: losses below {short(low)}, drawn there." if is_below else ""


def limits_handles(low, is_below, threshold):
    """What a legend says of the open triangles, and of the dotted line (threshold None: there is none)."""
    found = [Line2D([], [], color="#4b4b4b", label=f"below {short(low)}", **BELOW)] if is_below else []
    if threshold is not None:
        found.append(Line2D([], [], color="gray", linewidth=0.8, linestyle=":", label=f"threshold {short(threshold)}"))
    return found


def loss_by_features(view, options):
    """A panel for each width, a colour for each part."""
    widths = some(sorted({hidden for part in view.parts for _, hidden in part.losses}), MOST_PANELS)
    columns = min(3, len(widths))
    rows = -(-len(widths) // columns)
    picture, axes = panels(rows, columns, 3.5, 2.7, sharex=True, sharey=True)
    low, estimated, below = floor(options), False, False
    for axis, width in zip(axes.flat, widths):
        for part, color in zip(view.parts, COLORS):
            at = [(i, features) for i, features in enumerate(view.features) if (features, width) in part.losses]
            if not at:
                continue
            places = [i for i, _ in at]
            values = [part.losses[features, width] for _, features in at]
            best = np.array([max(v.min(), low) for v in values])
            below |= draw_losses(axis, places, [v.min() for v in values], low, "-o", color, markersize=4)
            axis.plot(places, [max(v.mean(), low) for v in values], "--", color=color, linewidth=1)
            errors = np.array([2 * part.errors[features, width] for _, features in at])
            estimated = estimated or bool((errors > 0).any())
            axis.errorbar(places, best, yerr=np.minimum(errors, 0.999 * best), fmt="none", ecolor=color, capsize=2)
        axis.axhline(options.threshold, color="gray", linewidth=0.8, linestyle=":")
        axis.set_title(f"hidden width {width}")
        axis.set_yscale("log")
        features_axis(axis, view.features)
    for axis in axes.flat[len(widths):]:
        axis.set_visible(False)
    for axis in axes.flat[max(0, len(widths) - columns):len(widths)]:
        axis.tick_params(labelbottom=True)
    picture.supxlabel("features", fontsize=10)
    picture.supylabel(label(view.loss), fontsize=10)
    name_parts(axes, view.parts, limits_handles(low, below, options.threshold))
    picture.suptitle(f"{label(view.loss).capitalize()} by features: best instance (solid) and mean (dashed)")
    return Figure(picture, f"The {label(view.loss)} against the number of features, a panel for each hidden width: best "
                           f"instance (solid, points) and mean over instances (dashed). Dotted: the threshold "
                           f"{short(options.threshold)}." + said_below(low, below) +
                  (" Bars: two standard errors, where the loss is estimated." if estimated else ""))


def smallest_width_by_features(view, options):
    """A panel for each way of taking instances together, bars for each part."""
    kinds = [kind for kind in KINDS if kind.field != "stacked" or
             any(np.isfinite(sums) for part in view.parts for sums in part.stacked.values())]
    found = {kind.field: [smallest(part, kind.field, view.features, options.threshold) for part in view.parts]
             for kind in kinds}
    if not any(place and place[0] for groups in found.values() for places in groups for place in places):
        return view.lacks(f"no width has a {label(view.loss)} below {short(options.threshold)}")
    width = max(7.0, 0.38 * len(view.parts) * len(view.features) + 1)
    picture, axes = panels(len(kinds), 1, width, 2.5, sharex=True, sharey=True)
    for axis, kind in zip(axes[:, 0], kinds):
        draw_bars(axis, found[kind.field], [part.name for part in view.parts], COLORS)
        axis.set_title(kind.name)
        axis.grid(axis="x", visible=False)
        features_axis(axis, view.features)
    top = max(place[0] or place[1] for groups in found.values() for places in groups for place in places if place)
    axes[0][0].set_ylim(0, 1.2 * top)
    picture.supxlabel("features", fontsize=10)
    picture.supylabel("smallest hidden width", fontsize=10)
    name_parts(axes, view.parts)
    picture.suptitle(f"Smallest width with {label(view.loss)} below {short(options.threshold)}")
    head = ("features", "", *[kind.name for kind in kinds])
    rows = [(features, part.name, *[said(found[kind.field][k][i]) for kind in kinds])
            for i, features in enumerate(view.features) for k, part in enumerate(view.parts)
            if found[kinds[0].field][k][i]]
    return Figure(picture, f"The smallest hidden width with a {label(view.loss)} below {short(options.threshold)}, by "
                           "the best instance, the mean over instances" +
                  (" and the notebook's number, final_loss summed over the stacked instances" if len(kinds) > 2 else "") +
                  ". Hatched, \">\": not reached by the widest that is finished.", html_table(head, rows))


def smallest(part, field, counts, threshold):
    """For each count of features (smallest width or None, widest tried); None where the part has no such count."""
    of = {"best": lambda at: part.losses[at].min(), "mean": lambda at: part.losses[at].mean(),
          "stacked": lambda at: part.stacked[at]}[field]
    found = []
    for features in counts:
        widths = part.widths(features)
        found.append((first_below(widths, [of((features, width)) for width in widths], threshold), widths[-1])
                     if widths else None)
    return found


def said(place):
    return "" if place is None else place[0] or f"> {place[1]}"


FIGURES = [loss_by_features, smallest_width_by_features]
