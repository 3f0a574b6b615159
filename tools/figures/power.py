"""Sums of powers a^m + b^n mod p: which exponents are learned, and in which terms."""

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FuncFormatter, NullLocator

import toysweep
from figures.cells import SEEDS, few_minor, median, power_of_ten
from figures.phases import median_step
from figures.view import Figure, cut, label, number, panels

MOST_ROWS, MOST_GROUPS = 6, 12
MAPS = (("grokked_step", "step of grokking", True, None), ("test_accuracy", "final test accuracy", False, (0, 1)),
        ("logits_explained", "logits explained by a, b", False, (0, 1)),
        ("value_logits_explained", "logits explained by a^m, b^n", False, (0, 1)))


def by_exponents(view, options):
    """Grokking, accuracy and logits explained over the exponents m and n"""
    results = view.results
    rows = np.concatenate([cell.instances for cell in view.finished])
    if not {"m", "n"} <= set(results.varying) or "relation" not in results.derived:
        return None
    rows = np.sort(rows[results.table["relation"][rows] != ""])  # those with exponents
    if not len(rows):
        return None
    maps = [one for one in MAPS if one[0] in results.table and np.isfinite(results.table[one[0]][rows]).any()]
    names = [name for name in results.varying if name not in SEEDS + ("m", "n")
             and len(toysweep.distinct(results.table[name][rows])) > 1]
    parts = [(fixed, part) for fixed, part in cut(results, names, {}, rows) if len(part)][:MOST_ROWS]
    ms, ns = (toysweep.distinct(results.table[name][rows]) for name in ("m", "n"))
    picture, axes = panels(len(parts), len(maps), max(3.3, 0.42 * len(ns) + 1.3), max(2.6, 0.36 * len(ms) + 1.0))
    for line, (fixed, part) in zip(axes, parts):
        for axis, one in zip(line, maps):
            draw_map(axis, results, part, ms, ns, one)
        words = ", ".join(f"{label(name)} {number(value)}" for name, value in fixed.items())
        line[0].set_ylabel(f"{words}\n\nm" if words else "m")
    picture.suptitle("a^m + b^n mod p, by exponents")
    return Figure(picture, "Median over instances. Step of grokking: the first checkpoint with 99 % of the test pairs "
                           "right; the median is of the instances that get there, with how many where not all do; "
                           "a dash where none does. Logits explained: the sum of squared similarities of the logits "
                           "with the characters of a + b, and of a^m + b^n. Blank: not finished, or not part of the "
                           "sweep.")


# --- The hypotheses ------------------------------------------------------------------------------------------------

RELATIONS = (("equal", "m = n"), ("multiple", "one divides\nthe other"), ("neither", "neither"))
HEIGHTS = (("test_loss", "final test loss (nat)"), ("grokked_step", "step of grokking"),
           ("value_logits_explained", "logits explained\nby a^m, b^n"))


def by_relation(view, options):
    """What exponents with m = n, m = k n and neither reach, and exponents by their common divisors with p - 1"""
    results = view.results
    rows = np.concatenate([cell.instances for cell in view.finished])
    if "relation" not in results.derived:
        return None
    rows = np.sort(rows[results.table["relation"][rows] != ""])
    relation = results.table["relation"]
    if len(toysweep.distinct(relation[rows])) < 2 and len(divisors(results, rows)) < 2:
        return None
    measures = [one for one in HEIGHTS if one[0] in results.table and np.isfinite(results.table[one[0]][rows]).any()]
    groups = [[(words, rows[relation[rows] == name]) for name, words in RELATIONS],
              [(words, own) for words, own in divisors(results, rows)]]
    groups = [[(words, own) for words, own in part if len(own)] for part in groups]
    width = [1.2 + 0.8 * len(part) for part in groups]
    picture, axes = panels(len(measures), 2, sum(width) / 2, 2.6, sharey="row", gridspec_kw={"width_ratios": width})
    for line, one in zip(axes, measures):
        for axis, part in zip(line, groups):
            draw_groups(axis, results, part, one)
        line[0].set_ylabel(one[1])
    axes[0][0].set_title("relation of m and n", fontsize=9)
    axes[0][1].set_title("gcd(m, p - 1), gcd(n, p - 1)", fontsize=9)
    picture.suptitle("Exponents by what they have to do with each other, and with p - 1")
    return Figure(picture, "An instance a dot, bar: median. Left: m = n, one of m and n a multiple of the other, "
                           "neither. Right: by the greatest common divisors of the exponents and p - 1: where one is d, "
                           "only one in d results of the power occurs. Crosses at the top: instances that never got 99 % of the "
                           "test pairs right; numbers: how many did, of how many.")


def divisors(results, rows):
    pairs = np.sort(np.stack([results.table["gcd_m"][rows], results.table["gcd_n"][rows]], axis=1), axis=1)
    found = sorted(set(map(tuple, pairs.tolist())))
    return [(f"{a}, {b}", rows[(pairs == (a, b)).all(axis=1)]) for a, b in found][:MOST_GROUPS]


def draw_groups(axis, results, part, one):
    name, _ = one
    every = np.concatenate([results.table[name][rows] for _, rows in part])
    top = 1.3 * np.nanmax(every[np.isfinite(every)])
    for x, (_, rows) in enumerate(part):
        values = results.table[name][rows]
        known = np.isfinite(values)
        spread = x + (np.linspace(-0.3, 0.3, len(rows)) if len(rows) > 1 else np.zeros(1))
        axis.plot(spread[known], values[known], "o", markersize=3.5, alpha=0.7, color="#31688e", markeredgewidth=0)
        if name == "grokked_step":
            axis.plot(spread[~known], np.full((~known).sum(), top), "x", markersize=3.5, color="#888888")
            axis.text(x, 1.25 * top, f"{known.sum()} of {len(rows)}", ha="center", va="bottom", fontsize=7)
        if known.any():
            axis.plot([x - 0.38, x + 0.38], [np.median(values[known])] * 2, color="black", linewidth=1.2)
    if name != "value_logits_explained":
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
        low, high = axis.get_ylim()
        if high > 100 * low:
            axis.yaxis.set_minor_locator(NullLocator())
        else:
            axis.yaxis.set_minor_formatter(FuncFormatter(few_minor(high / low)))
    if name == "grokked_step":
        axis.set_ylim(top=2.2 * top)
    axis.set_xticks(range(len(part)), [words for words, _ in part], fontsize=8)
    axis.set_xlim(-0.6, len(part) - 0.4)
    axis.grid(axis="x", visible=False)


# --- Maps ----------------------------------------------------------------------------------------------------------

def draw_map(axis, results, rows, ms, ns, one):
    name, words, is_step, limits = one
    values = np.full((len(ms), len(ns)), np.nan)
    seen, share = np.zeros(values.shape, dtype=bool), np.full(values.shape, "", dtype=object)
    for i, m in enumerate(ms):
        for j, n in enumerate(ns):
            own = rows[(results.table["m"][rows] == m) & (results.table["n"][rows] == n)]
            if len(own):
                values[i, j], seen[i, j] = middle(results.table[name][own], is_step), True
                share[i, j] = shown_share(results.table[name][own], is_step)
    norm = Normalize(*limits) if limits else scale_of(values)
    image = axis.imshow(values, norm=norm, cmap="viridis_r" if is_step else "viridis", aspect="auto", origin="lower")
    axis.set_title(words, fontsize=9)
    axis.set_xticks(range(len(ns)), ns)
    axis.set_yticks(range(len(ms)), ms)
    axis.set_xlabel("n")
    axis.grid(False)
    axis.figure.colorbar(image, ax=axis)
    if values.size <= 100:
        for (i, j), value in np.ndenumerate(values):
            if seen[i, j]:
                axis.text(j, i, written(value, is_step) + share[i, j], ha="center", va="center", fontsize=7.5,
                          color=ink(image, value))


def middle(values, is_step):
    """The lower median of the steps of those that get there; the median of others."""
    if not is_step:
        return median(values)
    step = median_step(values)
    return step if np.isfinite(step) else np.nan


def shown_share(values, is_step):
    """How many get there, where only some do."""
    did = int(np.isfinite(values).sum())
    return f"\n{did} of {len(values)}" if is_step and 0 < did < len(values) else ""


def scale_of(values):
    """Logarithmic where the steps span a decade."""
    seen = values[np.isfinite(values) & (values > 0)]
    if not len(seen):
        return Normalize(0, 1)
    if seen.max() < 10 * seen.min():
        return Normalize(0.8 * seen.min(), 1.1 * seen.max())
    return LogNorm(seen.min(), seen.max())


def written(value, is_step):
    if not np.isfinite(value):
        return "-"
    return f"{value:.0f}" if is_step and value < 1000 else f"{value / 1000:.3g}k" if is_step else f"{value:.2f}"


def ink(image, value):
    if not np.isfinite(value):
        return "black"
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
