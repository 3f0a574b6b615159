"""Groups and their irreps, from the parameters of an instance: what the file's measures per irrep are measured with.

Multiplication tables are those of the program: the same elements in the same order.
"""

import functools
import itertools
import re
from dataclasses import dataclass

import numpy as np

import toysweep
from toysweep.figures.constructions import dicyclic, matrix_group, semidirect

MOST_ORDER = 720
ORDERS = ("auto", "table", "class", "coset", "parity")


@dataclass
class Group:
    table: np.ndarray         # (n, n): table[a, b] = a b
    permutations: np.ndarray  # (n, degree) of S_n and A_n, None of others: element g takes i to permutations[g, i]
    blocks: tuple = ()        # (first element, name) of each coset of a cyclic subgroup, where these follow each other


@dataclass
class Irrep:
    name: str
    character: np.ndarray  # (n); of a pair of conjugate irreps the sum of both
    projector: np.ndarray  # (n, n) onto the functions that its matrix entries span
    space: np.ndarray      # (n, d) orthonormal functions that left translations turn into each other as one copy of it

    def is_sign(self):
        """One dimension, +1 and -1."""
        return self.character.min() < -0.5 and np.abs(np.abs(self.character) - 1).max() < 1e-6

    def is_real(self):
        """Of real type: no pair of conjugate irreps, and no quaternionic one, which the reals have twice as large."""
        return self.space.shape[1] == round(float(self.character.max())) and np.mean(self.character ** 2) < 1.5

    def matrices(self, table):
        """(n, d, d), orthogonal, in the basis of `space`; of a pair of conjugate irreps as one over the reals, and so of
        a quaternionic one, whose d is twice its dimension."""
        moved = self.space[table]  # [g, x] = space at g x
        return np.einsum("xi,gxj->gji", self.space, moved)


def group_of(results, instance):
    """The group in whose functions an instance is measured: the one that it names, Z_p of sums mod p, or that of the
    table in a file. None: no group, one whose elements stand in a file that the results do not hold, or that of an
    expression which is no sum mod p: tokens may stand for its elements in any order."""
    keys = results.resolved(instance)
    if "expression" in keys and not has_terms(keys, results.case_of(instance)[0]):
        return None
    files = [value for key, value in keys.items()
             if key != "init_from" and isinstance(value, str) and value.startswith("sha256:")]
    content = stored_file(results, files[0]) if files else None
    if files and content is None:
        return None
    return make_group(keys.get("group"), keys.get("p"), content)


def has_terms(keys, group):
    """Is the table of a case, with its keys, a sum mod p?"""
    return "m" in keys or ("expression" in keys and not keys["nonzero"] and "value_logit_similarity" in group)


def is_sum(sample):
    return has_terms(sample.keys(), sample.group)


def is_other(sample):
    """Is it an expression that is no sum mod p?"""
    return "expression" in sample.keys() and not is_sum(sample)


def stored_file(results, digest):
    """Text of a file that the sweep names, by its digest ("sha256:..."); None if there is none."""
    if "files" not in results.file["sweep"]:
        return None
    files = results.file["sweep/files"]
    name = next((name for name in (digest, digest[7:]) if name in files), None)
    if name is None:
        return None
    value = files[name][()]
    return value.tobytes().decode() if isinstance(value, np.ndarray) else toysweep.text(value)


FACTOR = re.compile(r"(Dic|[CDSAQ]|P?[SG]L)(?:\(2,)?(\d+)(?::C(\d+))?")  # S5, Dic3, C7:C3, SL(2,3)


@functools.lru_cache(maxsize=32)
def make_group(name, p, content):
    """By name (content: of the file with the order of its elements, or None), else Z_p, else of a table's file."""
    if name is None:
        return Group(cyclic(p), None) if p else group_of_table(content) if content else None
    factors = [named_group(*factor.groups(), content) for factor in FACTOR.finditer(name)]
    table, order = factors[0].table, len(factors[0].table)
    for factor in factors[1:]:
        size = len(factor.table)
        table = (np.kron(table, np.ones((size, size), dtype=int)) * size + np.tile(factor.table, (order, order)))
        order *= size
    return factors[0] if len(factors) == 1 else Group(table, None)


def cyclic(n):
    return np.add.outer(np.arange(n), np.arange(n)) % n


def named_group(family, degree, acting, content):
    degree = int(degree)
    if acting:
        names = ["$x^r$", "$x^r y$"] + [f"$x^r y^{{{s}}}$" for s in range(2, int(acting))]
        return Group(semidirect(degree, int(acting)), None, tuple((s * degree, name) for s, name in enumerate(names)))
    if family == "C":
        return Group(cyclic(degree), None)
    if family == "D":
        rotation, flip = np.arange(2 * degree) % degree, np.arange(2 * degree) // degree
        turned = rotation[:, None] + np.where(flip[:, None], -rotation[None], rotation[None])
        return Group(turned % degree + degree * (flip[:, None] ^ flip[None]), None,
                     ((0, "rotations"), (degree, "reflections")))
    if family in ("Q", "Dic"):
        n = degree // 4 if family == "Q" else degree
        return Group(dicyclic(n), None, ((0, "$x^r$"), (2 * n, "$x^r y$")))
    if family.endswith("L"):
        return Group(matrix_group(family, degree), None)
    if content:
        rows = rows_of(content, degree)
    else:
        rows = [p for p in itertools.permutations(range(degree)) if family == "S" or not is_odd(p)]
    return Group(permutation_table(np.array(rows)), np.array(rows))


def rows_of(content, n=None):
    """The rows of n whole numbers (None: as many as there are rows) of a table or an order of elements that the program
    has read, counted from 0. docs/sweep-file.md lists the forms that they may have."""
    content = re.sub(r"#[^\n]*", "", content)
    name = re.match(r"[\w.:=(\s]*[=(]\s*(?=\[)", content)  # "t := [[1, 2], ..."
    words = re.findall(r"[0-9.][0-9.eE+-]*", content[name.end() if name else 0:])
    numbers = np.array([int(float(word)) for word in words])
    n = n or int(round(len(numbers) ** 0.5))
    return numbers.reshape(-1, n) - (set(numbers) == set(range(1, n + 1)))


def is_odd(permutation):
    return sum(a > b for a, b in itertools.combinations(permutation, 2)) % 2 == 1


def permutation_table(rows):
    """x y is x first, then y."""
    degree = rows.shape[1]
    codes = rows @ degree ** np.arange(degree)
    products = np.stack([row[rows] for row in rows], axis=1)  # [x, y] = rows[y][rows[x]]
    order = np.argsort(codes)
    return order[np.searchsorted(codes[order], products @ degree ** np.arange(degree))]


def group_of_table(content):
    table = rows_of(content)
    n = len(table)
    if (np.sort(table, axis=0) != np.arange(n)[:, None]).any() or (
            np.sort(table, axis=1) != np.arange(n)).any():
        return None
    return Group(table, None)


# --- Irreps --------------------------------------------------------------------------------------------------------

def irreps_of(results, instance, names):
    """Irreps under the names that the file gives them, in its order; [] if they cannot be had."""
    group = group_of(results, instance)
    if group is None or len(group.table) > MOST_ORDER:
        return []
    found = irreps_of_table(group.table.tobytes(), len(group.table))
    return [Irrep(name, *irrep) for name, irrep in zip(names, found)] if len(found) == len(names) else []


@functools.lru_cache(maxsize=8)
def irreps_of_table(raw, n):
    """(character, projector, space) of every irrep, sorted by dimension, pairs last, then falling characters. A random
    symmetric matrix that commutes with the left regular representation has irreducible eigenspaces."""
    table = np.frombuffer(raw, dtype=int).reshape(n, n)
    random = np.random.default_rng(0).standard_normal(n)
    matrix = np.zeros((n, n))
    for g in range(n):
        matrix[np.arange(n), table[:, g]] += random[g]
    values, vectors = np.linalg.eigh(matrix + matrix.T)
    edges = np.flatnonzero(np.diff(values) > 1e-8 * np.abs(values).max()) + 1
    found = []
    for space in np.split(vectors, edges, axis=1):
        projector = space @ space.T
        character = projector[table, np.arange(n)].sum(axis=1)
        for same in found:
            if np.abs(same[0] - character).max() < 1e-6:
                same[1] += projector
                break
        else:
            found.append([character, projector, space])
    return sorted(map(complex_irrep, found), key=sort_key)


def complex_irrep(found):
    """An irrep over the reals is one over the complex numbers, a pair of them, or twice one."""
    character, projector, space = found
    norm = round(float(np.mean(character ** 2)))
    return character / 2 if norm == 4 else character, projector, space


def sort_key(irrep):
    character = irrep[0]
    dimension, is_pair = character.max(), np.mean(character ** 2) > 1.5
    return round(dimension / (1 + is_pair)), is_pair, tuple(-np.round(character, 6))


def standard_matrices(permutations):
    """(n, d, d): the standard representation of S_n or A_n in an orthonormal basis, x first then y being the product
    of x's and y's matrix."""
    degree = permutations.shape[1]
    basis = np.zeros((degree - 1, degree))
    for i in range(degree - 1):
        basis[i, :i + 1], basis[i, i + 1] = 1, -(i + 1)
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    images = np.eye(degree)[permutations]  # (n, i, image of i)
    return np.einsum("ri,nij,sj->nrs", basis, images, basis)
