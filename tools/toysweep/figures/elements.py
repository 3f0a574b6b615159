"""The order in which figures show a group's elements, and its blocks: by conjugacy class, coset or parity."""

from dataclasses import dataclass

import numpy as np

from toysweep.figures import symmetry
from toysweep.figures.chosen import chosen
from toysweep.figures.terms import terms_of


@dataclass
class Order:
    elements: np.ndarray  # (n) as shown
    blocks: list          # (first place, name) of each block, in order
    words: str            # "sorted by parity, then class"


def order_of(group, name, irreps):
    """As it was asked for. auto: groups whose table goes by cosets of a cyclic subgroup (D_n: rotations, then
    reflections) and abelian ones stay in the table's order; others go by parity where half of them are odd, else by
    class."""
    kind = chosen.order
    sign = next((irrep for irrep in irreps if irrep.is_sign()), None)
    is_dihedral = name[:1] == "D" and name[1:].isdigit()
    if kind == "auto":
        kind = "table" if group.blocks or is_abelian(group.table) else "parity" if sign else "class"
    if kind == "table" or kind == "parity" and sign is None:
        return Order(np.arange(len(group.table)), list(group.blocks), "in the order of the table")
    classes, names = classes_of(group)
    if kind == "class":
        return blocks_of(classes, classes, dict(enumerate(names)), "sorted by conjugacy class")
    if kind == "coset":
        return blocks_of(*cosets(group), "sorted by coset")
    odd = (sign.character < 0).astype(int)
    words = ("even", "odd") if group.permutations is not None else \
        ("rotations", "reflections") if is_dihedral else (f"{sign.name} = 1", f"{sign.name} = -1")
    return blocks_of(odd, classes, dict(enumerate(words)), "sorted by parity, then by conjugacy class")


def blocks_of(block, within, names, words):
    """Elements by number of their block, then by that within."""
    elements = np.lexsort((np.arange(len(block)), within, block))
    first = np.flatnonzero(np.diff(block[elements], prepend=-1))
    return Order(elements, [(int(at), names[int(block[elements[at]])]) for at in first], words)


def is_abelian(table):
    return bool((table == table.T).all())


def inverses(table):
    """(n): the inverse of every element."""
    identity = np.flatnonzero((table == np.arange(len(table))).all(axis=1))[0]
    return np.argmax(table == identity, axis=1)


def element_orders(table):
    n, power, order = len(table), np.arange(len(table)), np.ones(len(table), dtype=int)
    identity = np.flatnonzero((table == np.arange(n)).all(axis=1))[0]
    while (running := power != identity).any():
        order += running
        power = np.where(running, table[power, np.arange(n)], power)
    return order


def classes_of(group):
    """(number of each element's conjugacy class, names of the classes): the identity first, then by order and size."""
    table, inverse = group.table, inverses(group.table)
    first = np.min(table[table, inverse[:, None]], axis=0)  # h g h^-1 over all h: the smallest of them names the class
    orders, sizes = element_orders(table), np.bincount(first, minlength=len(table))
    found = sorted(set(first.tolist()), key=lambda g: (orders[g], sizes[g], g))
    number = {g: i for i, g in enumerate(found)}
    if group.permutations is not None:
        names = [" ".join(map(str, cycle_type(group.permutations[g]))) for g in found]
    else:
        names = [f"order {orders[g]}" for g in found]
    return np.array([number[g] for g in first.tolist()]), names


def cosets(group):
    """(number of each element's coset, what sorts within it, {number: name}): of S_n and A_n by where the last point
    goes, of others those of the largest cyclic subgroup."""
    if group.permutations is not None:
        last = group.permutations[:, -1]
        return last, np.arange(len(last)), {i: f"{group.permutations.shape[1] - 1} to {i}" for i in set(last.tolist())}
    table = group.table
    generator = int(element_orders(table).argmax())
    powers, at = [generator], generator
    while (at := int(table[at, generator])) != generator:
        powers.append(at)
    first = table[:, powers].min(axis=1)  # of g H
    number = {g: i for i, g in enumerate(sorted(set(first.tolist())))}
    at = np.array([number[g] for g in first.tolist()])
    return at, np.arange(len(table)), {i: f"coset {i + 1}" for i in number.values()}


def cycle_type(permutation):
    """Lengths of cycles, longest first."""
    lengths, left = [], set(range(len(permutation)))
    while left:
        start = at = left.pop()
        length = 1
        while (at := int(permutation[at])) != start:
            left.remove(at)
            length += 1
        lengths.append(length)
    return tuple(sorted(lengths, reverse=True))


# --- Of an instance ------------------------------------------------------------------------------------------------

@dataclass
class Elements:
    """Tokens of an instance as elements of its group."""
    group: symmetry.Group
    irreps: list
    prefix: str         # of the measures that are in these elements' terms: "" or "value_"
    left: np.ndarray    # (n): the element that token a stands for; a^m of sums of powers
    right: np.ndarray   # (n)
    rows: Order         # of tokens a, b and of outputs, as they are shown
    columns: Order
    outputs: Order


def elements_of(sample):
    """None: not a group, or a large one."""
    group, keys = symmetry.group_of(sample.results, sample.instance), sample.keys()
    if group is None or "irrep" not in sample.group:
        return None
    irreps = symmetry.irreps_of(sample.results, sample.instance, sample.names("irrep"))
    if not irreps:
        return None
    order, n = order_of(group, keys.get("group", ""), irreps), len(group.table)
    terms = terms_of(keys)
    if terms is None:
        return Elements(group, irreps, "", np.arange(n), np.arange(n), order, order, order)
    prefix = "value_" if "value_logit_similarity" in sample.group else ""
    rows, columns = (by_values(*term, token) for term, token in zip(terms, "ab"))
    return Elements(group, irreps, prefix, terms[0][0], terms[1][0], rows, columns, order)


def by_values(values, words, token):
    return Order(np.argsort(values, kind="stable"), [], "in their own order" if np.array_equal(values, np.arange(
        len(values))) else f"{token} sorted by {words}")


def mark(axis, rows, columns, size=7):
    """Lines between blocks, and their names at their middles; ticks at a few elements where there are no blocks. rows,
    columns: Order, or None for no marks on that side."""
    for order, set_ticks, line, turn in ((columns, axis.set_xticks, axis.axvline, 90), (rows, axis.set_yticks,
                                                                                         axis.axhline, 0)):
        if order is None:
            set_ticks([])
            continue
        n = len(order.elements)
        if not order.blocks:
            places = np.unique(np.linspace(0, n - 1, min(n, 5)).round().astype(int))
            set_ticks(places, [str(order.elements[at]) for at in places], fontsize=size)
            continue
        edges = [at for at, _ in order.blocks] + [n]
        for at in edges[1:-1]:
            line(at - 0.5, color="black", linewidth=0.5, alpha=0.6)
        wide = [i for i in range(len(order.blocks)) if edges[i + 1] - edges[i] >= n / 24]
        set_ticks([(edges[i] + edges[i + 1] - 1) / 2 for i in wide], [order.blocks[i][1] for i in wide], fontsize=size,
                  rotation=turn if len(wide) > 2 or turn == 0 else 0)
    axis.tick_params(length=2)
    axis.grid(False)
