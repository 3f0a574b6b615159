"""Sums of powers a^m + b^n mod p: which exponents are learned, and in which terms."""

import numpy as np
from matplotlib.colors import LogNorm, Normalize

import toysweep
from figures.cells import SEEDS, median
from figures.view import Figure, cut, label, number, panels

MOST_ROWS = 6
MAPS = (("grokked_step", "step of grokking", True, None), ("test_accuracy", "final test accuracy", False, (0, 1)),
        ("logits_explained", "logits explained by a, b", False, (0, 1)),
        ("value_logits_explained", "logits explained by a^m, b^n", False, (0, 1)))


def by_exponents(view, options):
    """Heatmaps over m and n: grokking, accuracy, and the share of the logits that sums over irreps explain."""
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
                           "right; a dash where fewer than half of the instances get there. Logits explained: the sum "
                           "of squared similarities of the logits with the characters of a + b, and of a^m + b^n. "
                           "Blank: not finished, or not part of the sweep.")


def draw_map(axis, results, rows, ms, ns, one):
    name, words, is_step, limits = one
    values = np.full((len(ms), len(ns)), np.nan)
    seen = np.zeros(values.shape, dtype=bool)
    for i, m in enumerate(ms):
        for j, n in enumerate(ns):
            own = rows[(results.table["m"][rows] == m) & (results.table["n"][rows] == n)]
            if len(own):
                values[i, j], seen[i, j] = middle(results.table[name][own], is_step), True
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
                axis.text(j, i, written(value, is_step), ha="center", va="center", fontsize=7.5,
                          color=ink(image, value))


def middle(values, is_step):
    """The lower median of steps, infinite ones included; the median of others."""
    if not is_step:
        return median(values)
    ordered = np.sort(np.where(np.isfinite(values), values, np.inf))
    step = ordered[(len(ordered) - 1) // 2]
    return step if np.isfinite(step) else np.nan


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
