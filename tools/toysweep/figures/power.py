"""Sums of powers a^m + b^n mod p: which exponents are learned, and in which terms."""

import numpy as np

import toysweep
from toysweep.figures.cells import name_decades
from toysweep.figures.diagrams import cells_of, column, draw_map
from toysweep.figures.swept import SEEDS, axis_of, parts_of
from toysweep.figures.view import Figure, panels

MOST_ROWS, MOST_GROUPS = 6, 12
MAPS = (("phase", None, None), ("grokked_step", None, None), ("test_accuracy", "final test accuracy", (0, 1)),
        ("logits_explained", "logits explained by a, b", (0, 1)),
        ("value_logits_explained", "logits explained by a^m, b^n", (0, 1)))


def by_exponents(view, options):
    """Phase, grokking, accuracy and logits explained over the exponents m and n"""
    results = view.results
    rows = np.concatenate([cell.instances for cell in view.finished])
    if not {"m", "n"} <= set(results.varying) or "relation" not in results.derived:
        return view.lacks("the sweep does not vary the exponents m and n")
    rows = np.sort(rows[results.table["relation"][rows] != ""])  # those with exponents
    if not len(rows):
        return None
    maps = [column(results, *one) for one in MAPS]
    maps = [one for one in maps if one is not None and np.isfinite(one.values[rows]).any()]
    n, m = (axis_of(results, rows, name) for name in ("n", "m"))
    parts = parts_of(results, rows, [name for name in results.varying if name not in SEEDS + ("m", "n")])[:MOST_ROWS]
    picture, axes = panels(len(parts), len(maps), max(3.3, 0.42 * len(n.values) + 1.3),
                           max(2.6, 0.36 * len(m.values) + 1.0))
    for line, (words, part) in zip(axes, parts):
        for axis, one in zip(line, maps):
            draw_map(axis, cells_of(results, part, n, m), n, m, one)
        line[0].set_ylabel(f"{words}\n\nm" if words else "m")
    picture.suptitle("a^m + b^n mod p, by exponents")
    return Figure(picture, "Median over instances; of phases the most frequent one. Step of grokking: the "
                           "first checkpoint with 99 % of the test pairs right; the median is of the instances that get there, with how many where not all do; "
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
        return view.lacks("no table has exponents m and n")
    rows = np.sort(rows[results.table["relation"][rows] != ""])
    relation = results.table["relation"]
    if len(toysweep.distinct(relation[rows])) < 2 and len(divisors(results, rows)) < 2:
        return view.lacks("all exponents are in one relation to each other")
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
        name_decades(axis.yaxis, *axis.get_ylim())
    if name == "grokked_step":
        axis.set_ylim(top=2.2 * top)
    axis.set_xticks(range(len(part)), [words for words, _ in part], fontsize=8)
    axis.set_xlim(-0.6, len(part) - 0.4)
    axis.grid(axis="x", visible=False)
