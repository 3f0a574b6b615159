"""Multiplication tables of groups of your own, as files that a sweep can name.

>>> group = from_function(range(5), lambda a, b: (a + b) % 5)
>>> group.table[3].tolist()
[3, 4, 0, 1, 2]

`group.save("c5.csv")` writes the file and gives its name: {"task": "cayley", "cayley": group.save("c5.csv")}. Groups that
have names need none of this: {"task": "group", "group": "S3xC5"} (toysweep help keys).
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Hashable, Iterable, Sequence

import numpy as np

MOST = 1024  # elements of a table that the program takes


class Table:
    """Entry (a, b) of `table` (n, n) is the number of a b among the `elements`."""

    def __init__(self, table: Any, elements: Sequence[Any] | None = None):
        self.table = np.asarray(table)
        n = len(self.table)
        if self.table.shape != (n, n) or not n or self.table.dtype.kind not in "iu":
            raise ValueError(f"a table of shape {self.table.shape}, of {self.table.dtype}: n rows of n whole numbers are "
                             "wanted")
        if self.table.min() < 0 or self.table.max() >= n:
            raise ValueError(f"entries from {self.table.min()} to {self.table.max()}: they count the {n} elements from 0")
        if n > MOST:
            raise ValueError(f"{n} elements: the program takes tables of {MOST} at most")
        self.elements = list(range(n) if elements is None else elements)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"<table of {len(self)} elements{', a group' if self.is_group() else ''}>"

    def is_group(self) -> bool:
        """Has it an identity, inverses, and is it associative?"""
        every = np.arange(len(self))
        units = np.flatnonzero((self.table == every).all(axis=1) & (self.table.T == every).all(axis=1))
        if len(units) != 1 or not (self.table == units[0]).any(axis=1).all():
            return False
        return all(np.array_equal(self.table[row], row[self.table]) for row in self.table)  # (a b) c = a (b c)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Writes it as a sweep's key `cayley` takes it; returns the path."""
        np.savetxt(path, self.table, fmt="%d", delimiter=",")
        return os.fspath(path)


def from_function(elements: Iterable[Any], times: Callable[[Any, Any], Any]) -> Table:
    """Of elements that can be told apart with == (texts, numbers, tuples, lists, numpy's arrays), and the product of two of
    them.

    >>> from_function([1, -1, 1j, -1j], lambda a, b: a * b)
    <table of 4 elements, a group>
    >>> from_function([1, 2, 3], lambda a, b: a * b)
    Traceback (most recent call last):
        ...
    ValueError: the product of 2 and 2 is 4, which is none of the elements
    """
    elements = list(elements)
    if len(elements) > MOST:
        raise ValueError(f"{len(elements)} elements: the program takes tables of {MOST} at most")
    place = {_key(one): i for i, one in enumerate(elements)}
    if len(place) < len(elements):
        raise ValueError("an element is there twice")
    table = np.empty((len(elements),) * 2, dtype=np.int32)
    for a, x in enumerate(elements):
        for b, y in enumerate(elements):
            product = times(x, y)
            if _key(product) not in place:
                raise ValueError(f"the product of {x!r} and {y!r} is {product!r}, which is none of the elements")
            table[a, b] = place[_key(product)]
    return Table(table, elements)


def from_generators(generators: Iterable[Any], times: Callable[[Any, Any], Any]) -> Table:
    """Of all products of the generators, those that take fewest of them first.

    >>> from_generators([np.array([[0, 1], [1, 0]]), np.array([[-1, 0], [0, 1]])], np.matmul)
    <table of 8 elements, a group>
    """
    generators = list(generators)
    found = {_key(one): one for one in generators}
    rest = list(found.values())
    while rest:
        products = [times(one, by) for one in rest for by in generators]
        rest = list({_key(one): one for one in products if _key(one) not in found}.values())
        found.update((_key(one), one) for one in rest)
        if len(found) > MOST:
            raise ValueError(f"these generate more than {MOST} elements, which is the most that the program takes")
    elements = list(found.values())
    units = [one for one in elements if all(_key(times(one, by)) == _key(by) for by in generators)]
    return from_function(units + [one for one in elements if not any(one is unit for unit in units)], times)


def from_gap(text: str) -> Table:
    """Of what GAP prints: MultiplicationTable(G), or a group of permutations, as Group([ (1,2,3,4), (1,3) ]). Products are
    GAP's: of permutations the left one acts first.

    >>> from_gap("[ [ 1, 2, 3 ], [ 2, 3, 1 ], [ 3, 1, 2 ] ]").table.tolist()
    [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    >>> from_gap("Group([ (1,2,3,4), (1,3) ])")
    <table of 8 elements, a group>
    """
    words = re.sub(r"\\\n|\s", "", text).strip(";")  # GAP breaks long lines with a backslash
    if re.fullmatch(r"\[\[\d+(,\d+)*\](,\[\d+(,\d+)*\])*\]", words):
        rows = [[int(word) - 1 for word in row.split(",")] for row in re.findall(r"\[([\d,]+)\]", words)]
        if {len(row) for row in rows} != {len(rows)}:
            raise ValueError(f"a table of {len(rows)} rows, not all of as many numbers")
        return Table(rows)
    inside = re.fullmatch(r"(?:Group\()?\[?((?:\([\d,]*\))+(?:,(?:\([\d,]*\))+)*)\]?\)?", words)
    if inside is None:
        raise ValueError("neither a table, as GAP prints MultiplicationTable(G), nor generators that are permutations, as "
                         "Group([ (1,2,3), (1,2) ]); for other groups let GAP print the table")
    generators = re.findall(r"(?:\([\d,]*\))+", inside[1])
    points = max([int(word) for word in re.findall(r"\d+", inside[1])] or [1])
    return from_generators([_permutation(cycles, points) for cycles in generators], _left_first)


def from_sympy(group: Any) -> Table:
    """Of a group of SymPy: PermutationGroup (SymmetricGroup(4), ...) or a finite FpGroup. The left factor acts first, as
    in SymPy."""
    if hasattr(group, "coset_enumeration"):  # by generators and relations: the permutations of its own elements
        cosets = group.coset_enumeration([])
        cosets.compress()
        columns = range(0, len(cosets.A), 2)  # of generators; between them are those of their inverses
        return from_generators([tuple(row[column] for row in cosets.table) for column in columns], _left_first)
    if not hasattr(group, "generators"):
        raise TypeError(f"{type(group).__name__} is no group of SymPy: a PermutationGroup or FpGroup is wanted")
    return from_generators([tuple(one.array_form) for one in group.generators], _left_first)


def _left_first(p: Sequence[int], q: Sequence[int]) -> tuple[int, ...]:
    """Of permutations of 0, 1, ...: first p, then q."""
    return tuple(q[i] for i in p)


def _permutation(cycles: str, points: int) -> tuple[int, ...]:
    """From GAP's cycles, of 1, 2, ..."""
    image = list(range(points))
    for cycle in re.findall(r"\(([\d,]*)\)", cycles):
        numbers = [int(word) - 1 for word in cycle.split(",") if word]
        for i, number in enumerate(numbers):
            image[number] = numbers[(i + 1) % len(numbers)]
    if sorted(image) != list(range(points)):
        raise ValueError(f"{cycles} is no permutation: a number is in it twice")
    return tuple(image)


def _key(element: Any) -> Hashable:
    if isinstance(element, np.ndarray):
        return (element.shape, *element.reshape(-1).tolist())
    return tuple(map(_key, element)) if isinstance(element, (list, tuple)) else element
