"""Keys that a sweep varies, as axes and panels of figures: which ones, and their values in order, with their words."""

import json
from dataclasses import dataclass

import numpy as np

import toysweep
from toysweep.figures.view import cut, follow, is_lacking, label, number

SEEDS = ("seed", "split_seed", "init_seed")


@dataclass
class Axis:
    """A key and its values among some instances."""
    name: str
    words: str     # what to write beside the axis
    values: list   # in order, as the column has them
    ticks: list    # the same as texts

    def is_named(self):
        """Are the values no numbers?"""
        return any(not isinstance(measure_of(value), float) for value in self.values)

    def place(self, column):
        """Of each value of a column its number along the axis."""
        at = {value: i for i, value in enumerate(self.values)}
        return np.array([at[value] for value in column.tolist()])


def measure_of(value):
    return float(value) if isinstance(value, (int, float, np.number)) else value


def mapping(value):
    """A mapping, which files hold as JSON; None if it is none."""
    try:
        found = json.loads(value) if isinstance(value, str) and value.startswith("{") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def differing(values):
    """Of mappings such as {base: 0.1} the number that is another in each: (its name, [number]); None: there is none."""
    parts = [mapping(value) for value in values]
    if not parts or None in parts or len({tuple(part) for part in parts}) > 1:
        return None
    for name in parts[0]:
        found = [part[name] for part in parts]
        if all(isinstance(one, (int, float)) for one in found) and len(set(found)) == len(found):
            return name, found
    return None


def axis_of(results, rows, name):
    column = results.table[name][rows]
    values = [value for value in toysweep.distinct(column).tolist() if not is_lacking(column, value)]
    words, part = label(name).split(" (")[0], differing(values)
    if part is not None:  # sorted by it, and only it is written
        order = np.argsort(part[1], kind="stable")
        return Axis(name, f"{words}: {part[0]}", [values[i] for i in order], [number(part[1][i]) for i in order])
    ticks = [("no", "yes")[value] for value in values] if column.dtype.kind == "u" else list(map(number, values))
    return Axis(name, words, values, ticks)


def swept(results, rows):
    """Keys that vary among the rows, seeds and those that advance with one before them aside."""
    found = []
    for name in results.varying:
        if name not in SEEDS and len(axis_of(results, rows, name).values) > 1 and \
                not any(follow(results, rows, name, other) for other in found):
            found.append(name)
    return found


def parts_of(results, rows, names):
    """[(words, rows)]: the rows cut by each combination of the keys, with all that is the same within it and not
    elsewhere."""
    parts = [(fixed, part) for fixed, part in cut(results, names, {}, rows) if len(part)]
    beside = [name for name in results.varying if name not in SEEDS and name not in names
              and any(follow(results, rows, name, other) for other in names)]
    return [(", ".join(f"{axis_of(results, part, name).words.split(':')[0]} {number(results.table[name][part[0]])}"
                       for name in results.varying if name in (*names, *beside)
                       and not is_lacking(results.table[name], results.table[name][part[0]])), part)
            for _, part in parts]
